"""Times and days as Meta counts them: in UTC, but for the midnight where its days begin, which is California's."""

import functools
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

CALIFORNIA = ZoneInfo("America/Los_Angeles")
INSTAGRAM_BEGAN = datetime(2010, 10, 6, tzinfo=timezone.utc)
DAY = timedelta(days=1)
FORM = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?(?:Z|([+-])(\d\d):?(\d\d)?)?",
    re.ASCII,
)


@functools.lru_cache(maxsize=1024)
def moment(text: str) -> datetime:
    """A time in UTC, from any of the forms that Meta, the CDK and old states write it in; UTC where none is given.

    Before: 2026-05-07T13:00:34+0000, 2026-05-07T06:00:34-07:00, 2026-05-07T13:00:34.000Z
    After:  2026-05-07T13:00:34+00:00

    Raises:
        ValueError: it is no time, or none that exists.
    """
    match = FORM.fullmatch(text)
    if not match:
        raise ValueError(f"not a time: {text}")
    *numbers, fraction, sign, hours, minutes = match.groups(default="0")
    micros = int(f"{fraction:0<6}"[:6])
    ahead = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    year, month, day, hour, minute, second = map(int, numbers)
    try:
        return datetime(year, month, day, hour, minute, second, micros, tzinfo=timezone.utc) - ahead
    except OverflowError:  # its zone puts it before the year 1 or after 9999
        raise ValueError(f"not a time: {text}") from None


def rfc3339(time: datetime) -> str:
    """A time as records and states have it: `2026-05-07T13:00:34+00:00`."""
    return time.isoformat(timespec="seconds")


@functools.lru_cache(maxsize=1024)
def stamp(text: str) -> str:
    """A time of any form that `moment` reads, as records have it."""
    return rfc3339(moment(text))


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(timezone.utc)


def at(seconds: str | int) -> datetime:
    """A time from unix seconds, as Meta's parameters have it."""
    return datetime.fromtimestamp(int(seconds), timezone.utc)


def unix(time: datetime) -> str:
    """The reverse of `at`: whole seconds."""
    return str(int(time.timestamp()))


def midnight(time: datetime) -> datetime:
    """The beginning of a time's day."""
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def today() -> str:
    """The `date` of what is read now: the beginning of this day, in UTC."""
    return rfc3339(midnight(now()))


def days_of(window: Mapping[str, str]) -> str:
    """A window in words for people, after whom it is about; nothing where there is none.

    Before: {"since": "1778112000", "until": "1778198400"}
    After:  , 2026-05-07
    """
    if not window:
        return ""
    first, last = at(window["since"]).date(), at(int(window["until"]) - 1).date()
    return f", {first} to {last}" if last > first else f", {first}"


@functools.lru_cache(maxsize=1024)
def label_in(since: str) -> str:
    """The `end_time` that Meta gives the one day whose label lies in the 24 hours from `since` (unix seconds).

    Before: 1778112000 (2026-05-07T00:00:00Z)
    After:  2026-05-07T07:00:00+00:00, midnight in California, where Meta's days begin
    """
    return rfc3339(midnight(at(since)).replace(tzinfo=CALIFORNIA).astimezone(timezone.utc))
