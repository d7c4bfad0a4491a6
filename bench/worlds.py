"""The worlds that are measured: what is in them, what is read of them, and what the least of it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.limit import Limit, limit, reach_of_daily
from sandbox import Options, World
from sandbox.figures import DAY
from sandbox.strangers import rival_name

OBJECTS = ("accounts", "users", "media", "media_insights", "stories", "story_insights", "comments", "tags")
INSIGHTS = (
    "accounts", "users", "user_insights", "user_total_insights", "user_insights_breakdowns", "user_lifetime_insights",
    "audience_demographics", "media_insights", "story_insights",
)  # fmt: skip
OF_OTHERS = ("discovered_users", "discovered_media", "hashtags", "hashtag_media")
RIVALS = 100
EVERYTHING = tuple(dict.fromkeys((*OBJECTS, *INSIGHTS)))
OF_THE_PEER = (
    "accounts", "users", "user_insights", "user_lifetime_insights", "media", "media_insights", "stories",
    "story_insights",
)  # fmt: skip
LATENCIES = (0, 100, 400)  # milliseconds
PEERS_LATENCY = 100
UPCOMING = 8  # posts in the two days that a first sync and the next one see
FIRST, DAILY = "first", "daily"


@dataclass(frozen=True)
class Setting:
    """A world, and what is read of it."""

    name: str
    about: str
    options: dict[str, Any]
    streams: tuple[str, ...] = EVERYTHING
    latencies: tuple[int, ...] = (0, 100)
    config: dict[str, Any] = field(default_factory=dict)
    peer: tuple[str, ...] = ()  # which syncs of it the peer runs, at 100 ms: each takes it minutes
    is_heavy: bool = False  # takes minutes, and is left out unless asked for

    @property
    def world(self) -> dict[str, Any]:
        """The options of the sandbox."""
        return {"portfolio_accounts": 0, "upcoming": UPCOMING, **self.options}

    @property
    def media(self) -> int:
        """How many there are, which is what a world's size is."""
        own: int = self.options["accounts"] * self.options["media"]
        others: int = self.options.get("rivals", 0) * self.options.get("rival_media", 0)
        return own + others


BRAND = {"accounts": 1, "media": 10_000, "albums": 4_000, "children": 10, "days": 3650, "cross_posted": 3}
SETTINGS = (
    Setting(
        "small",
        "one account with 50 media, every stream, two years of daily insights",
        {"accounts": 1, "media": 50},
        latencies=LATENCIES,
        peer=(FIRST, DAILY),
    ),
    Setting(
        "peers",
        "three accounts with 300 media each, a third of them albums of 6, the eight streams that the peer has",
        {"accounts": 3, "media": 300, "albums": 100, "children": 6},
        streams=OF_THE_PEER,
        latencies=(100,),
        peer=(FIRST,),
    ),
    Setting(
        "insights",
        "two years of all insights of one account with 100 media",
        {"accounts": 1, "media": 100, "days": 730},
        streams=INSIGHTS,
    ),
    Setting(
        "young",
        "the same of an account that is half a year old",
        {"accounts": 1, "media": 100, "days": 182, "before_conversion": 0.0, "asleep": "730-183"},
        streams=INSIGHTS,
    ),
    Setting(
        "others",
        f"{RIVALS} accounts of others with 120 media each, and 20 hashtags with 100 top media each",
        {"accounts": 1, "media": 1, "rivals": RIVALS, "rival_media": 120, "hashtag_media": 100},
        streams=("accounts", *OF_OTHERS),
        config={
            "discover_usernames": [rival_name(n) for n in range(RIVALS)],
            "hashtags": [f"coffee{n}" for n in range(20)],
        },
    ),
    Setting(
        "agency",
        "100 accounts with 200 media each, without daily insights",
        {"accounts": 100, "media": 200, "days": 730, "children": 3},
        streams=OBJECTS,
        latencies=LATENCIES,
        is_heavy=True,
    ),
    Setting(
        "brand",
        "one account with 10,000 media over ten years, 40 % albums of 10, a third cross-posted, without daily insights",
        BRAND,
        streams=OBJECTS,
        latencies=LATENCIES,
        config={"media_refresh_days": 0},
        is_heavy=True,
    ),
    Setting(
        "thousand",
        "1,000 accounts with 50 media each, without daily insights",
        {"accounts": 1000, "media": 50, "children": 3, "tags": 5},
        streams=OBJECTS,
        latencies=(0,),
        is_heavy=True,
    ),
    Setting(
        "huge",
        "100,000 media over 10 accounts, without daily insights",
        {"accounts": 10, "media": 10_000, "albums": 1_000, "children": 5, "days": 3650},
        streams=OBJECTS,
        latencies=(0,),
        is_heavy=True,
    ),
)
TINY = Setting(
    "tiny", "one account with 12 media, to try the bench itself", {"accounts": 1, "media": 12}, latencies=(0,)
)
BY_NAME = {setting.name: setting for setting in (*SETTINGS, TINY)}


def limits(setting: Setting, now: datetime) -> dict[str, Limit]:
    """The least of a first sync, and of one a day later. Runs in a process of its own, for worlds are big."""
    world = World(Options(**setting.world, now=now.isoformat()))
    tags = setting.config.get("hashtags", ())
    found = {FIRST: limit(world, setting.streams, hashtags=tags)}
    reach = reach_of_daily(world, refresh=setting.config.get("media_refresh_days", 90))
    world.set_now(now + DAY)
    return found | {DAILY: limit(world, setting.streams, reach, hashtags=tags)}
