"""Which older media a sync reads again today. The date alone says it, so that no state has to remember it."""

from datetime import datetime, timedelta, timezone

from source_instagram.times import DAY, at

STEP = 8 * DAY  # by which the parts of a round become longer
# Instagram had no professional accounts before: media from then have no insights, so that they cost less than others.
PROFESSIONAL = datetime(2016, 7, 1, tzinfo=timezone.utc)
LIGHT = 6  # times as long are the parts of that time


def turns(days: int) -> int:
    """In how many parts, one a day, the media are read again at least once in so many days.

    The largest prime that fits, so that whoever syncs every other day, or once a week, comes to all parts after some
    rounds: of 90 parts, every second one would never have its turn. Of 7 those of the weekends would not.

    Before: 1, 7, 90, 365
    After:  1, 5, 89, 359
    """
    return next(n for n in range(days, 0, -1) if n != 7 and all(n % k for k in range(2, n)))  # noqa: PLR2004


def window(first: datetime, start: datetime, days: int, today: datetime) -> tuple[datetime, datetime] | None:
    """The times of publication whose turn it is today, of those from `first` to `start`; None where there are none.

    `start` is from where the sync reads all anyway. A round has as many days and parts as `turns` says, and begins on
    the same day for everyone. The parts become longer as time goes by, which brings a medium's turn forward; but only
    every eighth round, so that who does not sync each day is not unlucky in all of them.

    Before: what was published from 2016-11-25 to 2026-10-25, once in 90 days, on 2026-11-25
    After:  2022-10-25 to 2022-12-12
    """
    if not days:
        return None
    parts = turns(days)
    number = int(today.timestamp()) // int(DAY.total_seconds())
    turn = number % parts
    end = at(0) + (number - turn + parts) * DAY
    spared = max(PROFESSIONAL - first, timedelta(0)) * (LIGHT - 1) / LIGHT
    length = -((first + spared - end) // (parts * STEP)) * STEP

    def bound(turn: int) -> datetime:
        return first + min(turn * length * LIGHT, turn * length + spared)

    since, until = bound(turn), min(bound(turn + 1), start)
    return (since, until) if since < until else None
