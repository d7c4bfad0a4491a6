"""Every number of the world, as a hash of (seed, what it is about): no stream of random numbers, no state.

Any of them can be computed again, in any order and in another process, which is what a comparison record by record
needs. Meta's daily buckets end at midnight in California, daylight saving included.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from sandbox.nodes import Account, Media
from sandbox.vocabulary import DAILY_SHARE, DIMENSIONS, MEDIA_DIMENSIONS

PACIFIC = ZoneInfo("America/Los_Angeles")
UTC = timezone.utc
DAY = timedelta(days=1)


def number(*about: object) -> int:
    """Hash what a number is about into 64 bits: our replacement for a random generator."""
    text = "|".join(map(str, about)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def unit(*about: object) -> float:
    return number(*about) / 2**64


@lru_cache(maxsize=4096)
def label_time(label: date) -> datetime:
    """The instant that stands on a daily bucket: Pacific midnight in UTC, 07:00Z in summer and 08:00Z in winter."""
    return datetime.combine(label, time(), PACIFIC).astimezone(UTC)


def labels(since: datetime, until: datetime) -> list[date]:
    """The daily labels inside [since, until], both ends inclusive."""
    first, last = since.astimezone(PACIFIC).date(), until.astimezone(PACIFIC).date()
    days = (first + n * DAY for n in range((last - first).days + 1))
    return [day for day in days if since <= label_time(day) <= until]


def stamp(moment: datetime) -> str:
    """Meta's timestamps have no colon in their offset."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}+0000"


def parse_moment(text: str) -> datetime:
    """An ISO date or date-time; without an offset it is UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Figures(ABC):
    """The counters of accounts and media."""

    seed: int
    settling: int  # hours until a day's numbers are final; 0 is at once
    growing: int  # hours until a post's counters are; likewise
    anchor: datetime  # the midnight from which days ago are counted
    asleep: tuple[int, ...]  # the first and the last day, in days ago, on which nothing happened; empty: there is none

    @abstractmethod
    def now(self) -> datetime:
        """The world's present."""

    # -- numbers of an account ------------------------------------------------------------------------------------

    def has_insights(self, account: Account, label: date) -> bool:
        """Whether the account has numbers for that day: it has happened, and came after the account's beginning."""
        moment = label_time(label)
        return moment <= self.now() and (account.insights_from is None or moment >= account.insights_from)

    def daily(self, account: Account, metric: str, label: date) -> int:
        """One metric's value in the bucket with this label."""
        if metric in ("reach_week", "reach_days_28"):
            days = 7 if metric == "reach_week" else 28
            return self.total(account, "reach", [label - n * DAY for n in range(days)])
        if self.is_asleep(label):
            return 0
        wave = 0.4 + 1.2 * unit(self.seed, metric, account.index, label)
        return int(account.followers * DAILY_SHARE[metric] * wave * self._settled(label))

    def is_asleep(self, label: date) -> bool:
        """Whether nothing happened on that day: all its numbers are 0, which is not the same as none at all."""
        days_ago = (self.anchor.date() - label).days
        return bool(self.asleep) and self.asleep[-1] <= days_ago <= self.asleep[0]

    def _settled(self, label: date) -> float:
        """How much of a day's final number is there yet: half of it at first, more with every hour."""
        hours = (self.now() - label_time(label)) // timedelta(hours=1)
        return 1.0 if hours >= self.settling else 0.5 + 0.5 * hours / self.settling

    def total(self, account: Account, metric: str, days: Iterable[date]) -> int:
        """A metric over several days. Reach counts people once, so it grows slower than the sum of its days."""
        values = [self.daily(account, metric, day) for day in days]
        if metric != "reach" or len(values) < 2:
            return sum(values)
        return max(*values, int(sum(values) / len(values) ** 0.35))

    def cells(
        self, account: Account, metric: str, breakdowns: tuple[str, ...], days: list[date]
    ) -> dict[tuple[str, ...], int]:
        """A metric by dimension; cells without a count are left out, and `follow_type` ends after about a year."""
        if metric == "follows_and_unfollows":
            gained, lost = (self.total(account, name, days) for name in ("follower_count", "unfollows"))
            split: dict[tuple[str, ...], int] = {("FOLLOWER",): gained, ("NON_FOLLOWER",): lost}
        else:
            if "follow_type" in breakdowns:
                days = [day for day in days if self.now() - label_time(day) <= timedelta(days=365)]
            if not days:
                return {}
            split = self._split(self.total(account, metric, days), breakdowns, metric, account.index, days[0], days[-1])
        return {key: value for key, value in split.items() if value}

    def _split(self, whole: int, breakdowns: tuple[str, ...], *about: object) -> dict[tuple[str, ...], int]:
        keys: list[tuple[str, ...]] = [()]
        for breakdown in breakdowns:
            keys = [(*key, value) for key in keys for value in DIMENSIONS[breakdown]]
        weights = [unit(self.seed, *about, *key) ** 3 for key in keys]
        parts = [int(whole * weight / sum(weights)) for weight in weights]
        parts[weights.index(max(weights))] += whole - sum(parts)
        return dict(zip(keys, parts, strict=True))

    def online_followers(self, account: Account, label: date) -> dict[str, int]:
        """Followers online by hour of the day; Meta has an empty map for some days."""
        if number(self.seed, "online", account.index, label) % 6 == 0:
            return {}
        return {
            str(hour): int(account.followers * (0.1 + 0.4 * unit(self.seed, "online", account.index, label, hour)))
            for hour in range(24)
        }

    def demographics(
        self, account: Account, metric: str, breakdowns: tuple[str, ...], timeframe: str = ""
    ) -> dict[tuple[str, ...], int]:
        """The 45 largest cells of an audience; `timeframe` is empty for followers."""
        share = {"": 1.0, "this_week": 0.2, "this_month": 0.5}[timeframe]
        whole = 0 if account.is_small else int(account.followers * share * (0.4 if metric.startswith("eng") else 1))
        split = self._split(whole, breakdowns, metric, account.index, timeframe, breakdowns)
        largest = sorted(split.items(), key=lambda item: -item[1])[:45]
        return {key: value for key, value in largest if value}

    # -- numbers of a media ---------------------------------------------------------------------------------------

    def media_metric(self, media: Media, metric: str) -> int | float:
        """One lifetime counter of a media."""
        if metric in MEDIA_DIMENSIONS:
            return sum(self.media_cells(media, metric).values())
        if metric in ("likes", "comments"):
            return int(media.values.get(f"{metric[:-1] if metric == 'likes' else metric}_count", 0))
        h = number(self.seed, "metric", metric, media.id)
        if metric == "reels_skip_rate":
            return h % 1000 / 10
        scale = {"views": 40_000, "reach": 20_000, "impressions": 60_000, "total_views": 50_000}
        if metric.startswith("ig_reels_"):
            return 1500 + h % (9_000 if "avg" in metric else 90_000_000)
        return int(h % scale.get(metric, 300) * self._grown(media))

    def _grown(self, media: Media) -> float:
        """How much of its final numbers a media has: most comes soon after it was published."""
        hours = (self.now() - media.published) / timedelta(hours=1)
        span = min(self.growing, 24) if media.product == "STORY" else self.growing
        return 1.0 if hours >= span else 1 - (1 - hours / span) ** 3

    def media_cells(self, media: Media, metric: str) -> dict[str, int]:
        """Navigation or profile activity by action; actions that nobody took are left out."""
        values = {name: number(self.seed, "cell", metric, media.id, name) % 23 - 4 for name in MEDIA_DIMENSIONS[metric]}
        return {name: value for name, value in values.items() if value > 0}
