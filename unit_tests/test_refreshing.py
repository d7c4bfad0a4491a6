"""Old media are read again once in so many days, and what that costs."""

import itertools
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from harness import Connector, Outcome, asked
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram.refreshing import turns, window
from source_instagram.times import INSTAGRAM_BEGAN, at, unix

DAY = 86_400
FIRST = INSTAGRAM_BEGAN


def longest_wait(  # noqa: PLR0913 - what it depends on
    days: int,
    look_back: int,
    age: int,
    *,
    since_days: int = 0,
    is_synced: Callable[[int], bool] = lambda _: True,
    length: int | None = None,
) -> int:
    """The days that some medium was not read for, in daily syncs at any hours of an account that goes on posting.

    `age` is that of the account at its first sync, `since_days` how long before that the start date is.
    """
    chance = random.Random(f"{days} {look_back} {age}")  # noqa: S311 - to say the same every time
    begin = int(FIRST.timestamp()) + (5600 + chance.randrange(400)) * DAY
    length = length or 3 * days + look_back + 60
    first = begin - since_days * DAY if since_days else int(FIRST.timestamp())
    shots = (begin + chance.randrange(-age * DAY, length * DAY) for _ in range((age + length) // 14 + 40))
    media = sorted(time for time in shots if time >= first)
    read: dict[int, int] = {}
    cursor, worst = first, 0
    for number in filter(is_synced, range(length)):
        now = begin + number * DAY + chance.randrange(DAY)
        known = media[: bisect_right(media, now)]
        start = max(cursor - look_back * DAY, first)
        again = window(at(first), at(start), days, at(now))
        since, until = (int(unix(each)) for each in again) if again else (0, -1)
        listed = [*known[bisect_left(known, start) :], *known[bisect_left(known, since) : bisect_right(known, until)]]
        worst = max([worst, *(number - read.get(each, number) for each in listed)])
        read.update(dict.fromkeys(listed, number))
        cursor = max([cursor, *known[-1:]])
        assert len(read) == len(set(known)), "something was never read"
    return max([worst, *(length - 1 - last for last in read.values())])


@pytest.mark.parametrize("age", [1, 40, 500, 3650])
@pytest.mark.parametrize("look_back", [0, 30, 730])
@pytest.mark.parametrize("days", [1, 2, 7, 90, 365])
def test_no_medium_waits_longer_than_promised(days: int, look_back: int, age: int) -> None:
    assert longest_wait(days, look_back, age) <= days


@pytest.mark.parametrize("days", [7, 90])
def test_so_it_is_with_a_start_date(days: int) -> None:
    assert longest_wait(days, 30, 3650, since_days=700) <= days


@pytest.mark.parametrize(
    ("days", "is_synced", "rounds"),
    [
        (90, lambda day: day % 90 not in range(40, 60) or day > 90, 2),
        (90, lambda day: day % 2 == 0, 3),
        (90, lambda day: day % 3 == 1, 5),
        (90, lambda day: day % 5 == 1, 9),
        (90, lambda day: day % 7 < 5, 3),
        (90, lambda day: day % 7 == 3, 14),
        (7, lambda day: day % 7 < 5, 4),
        (28, lambda day: day % 7 == 3, 12),
    ],
)
def test_days_without_a_sync_delay_and_lose_nothing(days: int, is_synced: Callable[[int], bool], rounds: int) -> None:
    assert days < longest_wait(days, 30, 3650, is_synced=is_synced, length=2 * (rounds + 1) * days) <= rounds * days


def test_the_parts_are_no_more_than_the_days() -> None:
    assert [turns(days) for days in (1, 2, 3, 4, 7, 10, 11, 90, 365)] == [1, 2, 3, 3, 5, 5, 11, 89, 359]


def test_nothing_is_read_again_that_is_read_anyway() -> None:
    start = FIRST + timedelta(days=100)
    for number in range(200):
        today = FIRST + timedelta(days=101 + number)
        again = window(FIRST, start, 90, today)
        assert again is None or FIRST <= again[0] < again[1] <= start
        assert window(FIRST, FIRST, 90, today) is None, "a first sync reads everything"
        assert window(FIRST, start, 0, today) is None


# -- Whole syncs -------------------------------------------------------------------------------------------------------

STREAMS = ("media", "media_insights", "comments")


def lists(box: Sandbox) -> list[dict[str, Any]]:
    """The parameters of all requests for a list of media."""
    return [params for path, params in asked(box.requests) if path.endswith("/media")]


def synced(
    connector: Connector, today: datetime, state: Outcome | None = None, *streams: str, **config: Any
) -> Outcome:
    """An incremental sync on a day."""
    connector.box.reset()
    connector.box.set_now(min(today, connector.box.world.anchor + timedelta(days=50)))  # then its token expires
    with mock.patch("source_instagram.requester.now", return_value=today):
        outcome = connector.read(*(streams or STREAMS), incremental=True, state=state, **config)
    assert outcome.exit_code == 0, outcome.errors
    return outcome


@pytest.fixture
def today(box: Sandbox) -> datetime:
    """The day of the first sync, of an account that has posted for ten years."""
    box.reset(accounts=1, portfolio_accounts=0, media=40, albums=4, comments=1, days=3650, before_conversion=0)
    return box.world.anchor


@pytest.mark.parametrize("days", [1, 11])
def test_in_so_many_syncs_every_medium_comes_again(
    box: Sandbox, connector: Connector, today: datetime, days: int
) -> None:
    everything = {stream: keyed(stream, Oracle(box.world).records(stream)) for stream in STREAMS}
    first = last = synced(connector, today, media_refresh_days=days)
    came: dict[str, list[Any]] = {stream: [] for stream in STREAMS}
    for number in range(1, days + 1):
        last = synced(connector, today + timedelta(days=number), last, media_refresh_days=days)
        for stream in STREAMS:
            came[stream] += last.records[stream]
            assert last.cursors(stream) == first.cursors(stream)
    for stream in STREAMS:
        assert keyed(stream, came[stream]) == everything[stream]


def test_the_state_is_the_same_with_and_without(connector: Connector, today: datetime) -> None:
    first = synced(connector, today)
    for days in (0, 1, 90):
        again = synced(connector, today + timedelta(days=1), first, media_refresh_days=days, media_lookback_days=0)
        for stream in STREAMS:
            assert again.cursors(stream) == first.cursors(stream)


def test_an_object_comes_once_though_both_lists_have_it(box: Sandbox, connector: Connector, today: datetime) -> None:
    newest = box.world.media(box.world.accounts[0])[0]
    first = synced(connector, today, None, "media")
    again = synced(connector, today + timedelta(days=1), first, "media", media_refresh_days=1, media_lookback_days=0)
    assert {params.get("until") for params in lists(box)} == {None, f"{newest.published.timestamp():.0f}"}
    assert sorted(record["id"] for record in again.records["media"]) == sorted(
        post.id for post in box.world.media(box.world.accounts[0])
    )


def test_what_is_read_again_costs_one_call_and_its_own(box: Sandbox, connector: Connector, today: datetime) -> None:
    state, spent = synced(connector, today), {}
    ids = {post.id for post in box.world.media(box.world.accounts[0])}
    for days in (0, 90):
        spent[days] = 0
        for number in range(1, 90, 11):
            outcome = synced(connector, today + timedelta(days=number), state, "media", media_refresh_days=days)
            spent[days] += box.graph_calls
            assert {record["id"] for record in outcome.records["media"]} < ids
    assert spent[0] < spent[90] <= spent[0] + 9


@pytest.mark.parametrize("mode", ["first", "full", "never"])
def test_where_nothing_has_its_turn_nothing_more_is_asked(
    box: Sandbox, connector: Connector, today: datetime, mode: str
) -> None:
    first = synced(connector, today)
    if mode == "never":
        synced(connector, today, first, media_refresh_days=0)
    elif mode == "full":
        box.reset()
        connector.read(*STREAMS, media_refresh_days=1)
    assert lists(box)
    assert not any("until" in params for params in lists(box))


def test_no_further_back_than_the_start_date(box: Sandbox, connector: Connector, today: datetime) -> None:
    start = today - timedelta(days=1000)
    config = {"start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}", "media_refresh_days": 1}
    again = synced(connector, today + timedelta(days=1), synced(connector, today, **config), **config)
    expected = {post.id for post in box.world.media(box.world.accounts[0]) if post.published >= start}
    for stream in ("media", "media_insights"):
        assert {record["id"] for record in again.records[stream]} == expected


def test_what_has_no_insights_comes_in_longer_parts() -> None:
    start = datetime(2026, 10, 25, tzinfo=FIRST.tzinfo)
    begin = at(89 * 234 * DAY)  # of a round
    parts = [window(FIRST, start, 90, begin + timedelta(days=number)) for number in range(89)]
    found = [part for part in parts if part]
    assert (found[0][0], found[-1][1]) == (FIRST, start)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))
    lengths = [(until - since).days for since, until in found[:-1]]
    assert set(lengths[:3]) == {6 * lengths[-1]}
