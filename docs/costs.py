"""What syncs cost by the size of an account and by schedule, reckoned from what each stream costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from docs import generate

HISTORY = 729  # days of insights that Meta keeps
LOOK_BACK, YOUNG, REFRESH = 3, 30, 90  # days, as the configuration has them without a word
TODAY = 1.5  # days that an incremental sync reads beside the look-back: the last one, and often the one that runs
SHARED_PER_DAY = 1  # the call by `follow_type` serves totals and breakdowns
SHARED = 3  # follower demographics serve both streams of audiences
# What media and stories are like, where the number of calls depends on it.
OFF_FACEBOOK, ACTIVE, TALKED, STORIES_LACK, PARTS = 2 / 3, 1 / 4, 1 / 20, 5 / 3, 2
STORY_STREAMS = ("accounts", "stories", "story_insights")


@dataclass(frozen=True)
class Size:
    """How big an account is."""

    name: str
    media: int
    posts: float  # a day
    stories: float  # alive at a time, which is as many as there are in a day
    tags: int


SIZES = (
    Size("a shop", 100, 0.2, 1, 20),
    Size("a magazine", 1_000, 1, 4, 200),
    Size("a brand", 10_000, 4, 10, 2_000),
)


def units(size: Size, media: float, days: float) -> dict[str, float]:
    """What there is to be paid for, when so many media and days are read."""
    return {
        "": 1, "100 Pages of the token": 1, "day": days, "30 days": ceil(days / 30),
        "100 media": ceil(media / 100) or 1, "media": media, generate.OFF_FACEBOOK: media * OFF_FACEBOOK,
        "media with profile activity": media * ACTIVE,
        generate.PAGE: 1 + ceil(media / 50), generate.FURTHER: media * TALKED,
        "comment with 25 replies or more": media * TALKED / 10, "story": size.stories,
        generate.LACKING: size.stories * STORIES_LACK, "breakdown of a story that is not 0": size.stories * PARTS,
        "100 stories": ceil(size.stories / 100), "100 tags": ceil(size.tags / 100),
    }  # fmt: skip


def calls(there: Mapping[str, float]) -> dict[str, float]:
    """Graph calls by stream, of a sync of all of an account's, without polls of media."""
    paid = {**there, generate.POLL: 0}
    own = {name: cost for name, cost in generate.COSTS.items() if name not in generate.OF_OTHERS}
    found: dict[str, float] = {
        name: sum(rate * paid[unit] for unit, rate in cost.calls.items()) for name, cost in own.items()
    }
    found["user_insights_breakdowns"] -= SHARED_PER_DAY * there["day"]
    found["user_lifetime_insights"] -= SHARED
    return found


def first(size: Size, days: float = HISTORY) -> dict[str, float]:
    """A first sync."""
    return calls(units(size, size.media, days))


def daily(size: Size) -> dict[str, float]:
    """An incremental sync, a day after another one."""
    young = min(size.posts * YOUNG, size.media)
    return calls(units(size, young + (size.media - young) / REFRESH, LOOK_BACK + TODAY))


def stories(size: Size) -> dict[str, float]:
    """A sync of the stories alone."""
    return {name: cost for name, cost in calls(units(size, 0, 0)).items() if name in STORY_STREAMS}


def costs() -> str:
    """A table by size and schedule."""
    rows = []
    for size in SIZES:
        day, hour = sum(daily(size).values()), sum(stories(size).values())
        about = f"{size.name}: {size.media:,} media, {size.posts * 30:.0f} more a month; stories: {size.stories} a day"
        rows.append(
            [
                about,
                *(
                    rounded(each)
                    for each in (sum(first(size).values()), day, hour, day + 24 * hour, 30 * (day + 24 * hour))
                ),
            ]
        )
    head = ["account", "first sync", "daily sync of all", "sync of stories", "a day: both, stories hourly", "a month"]
    return generate.table(head, rows)


def where_it_goes() -> str:
    """A table by stream."""
    rows = [
        [f"[`{name}`](streams.md#{name})", *(rounded(sync(size)[name]) for size in SIZES for sync in (first, daily))]
        for name in generate.COSTS
        if name not in generate.OF_OTHERS
    ]
    head = ["stream", *(f"{size.name}, {sync}" for size in SIZES for sync in ("first", "daily"))]
    return generate.table(head, rows)


def rounded(count: float) -> str:
    """A count as exact as it is known: two figures."""
    digits = max(len(str(round(count))) - 2, 0)
    return f"{round(count, -digits):,.0f}"
