"""Waiting: for throttles that Meta has called, and before limits that are near.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

import functools
import json
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("airbyte.instagram")

UNEXPLAINED_STEPS = (10, 20, 60, 120, 300, 600, 1200, 1290)  # seconds, an hour in all, where Meta names no wait
EXPLAINED_LIMIT = 86_400  # seconds: the longest of Meta's rolling windows; waiting longer than that helps nobody
SLOW_DOWN_AT = 80  # percent of a limit
ENOUGH = 50  # calls, to say what one uses
HORIZON = 3600  # seconds: what is left of a limit is spread over this long, so that it shrinks but is never used up
# Shortens every wait in tests and demonstrations; a sync of the real thing leaves it alone.
TEMPO = float(os.environ.get("SOURCE_INSTAGRAM_TEMPO", "1"))

# Percentages of a limit, with Facebook Login and with Instagram Login. Other numbers beside them have other units.
FIGURES = ("call_count", "total_time", "total_cputime", "call_volume", "cpu_time")
BESIDE = ("type", "estimated_time_to_regain_access", "ads_api_access_tier")

WHOLE_APP_CODES = {4, 17, 341, 613}  # throttles of the app or its user; all others are the account's own


@dataclass
class Lane:
    """The queue in front of one limit. Times are of the monotonic clock, in seconds; usage is in percent."""

    owner: str
    opens: float = 0.0
    why: str = ""
    epoch: int = 0  # how many throttles there were; who was sent before the last one tells nothing new
    unexplained: int = 0  # throttles in a row for which Meta named no wait
    explained: float = 0.0  # seconds of wait that Meta named, in a row
    closed: Exception | None = None
    percent: float | None = None  # at the last reading
    risen: float = 0.0  # percent, by all readings together
    answered: int = 0  # calls, since the first reading
    unseen: int = 0  # calls answered since the reading last changed: a whole number hides what they use
    under_way: int = 0  # calls whose answer, and with it the next reading, is not there yet
    near_since: float | None = None  # when the hour began for which the rest of the limit has to last

    @property
    def per_call(self) -> float:
        """What one call uses at most; a reading is a whole number, so it may hide almost one percent."""
        return (self.risen + 1) / (self.answered + 2)

    def room(self) -> float:
        """How many more calls fit under the limit."""
        return float("inf") if self.percent is None else (100 - self.percent) / self.per_call - self.under_way

    @property
    def pressure(self) -> tuple[bool, float, float]:
        """How little may be asked: whether nothing, for how many seconds nothing, and how much is used."""
        return self.closed is not None, max(0.0, self.opens - time.monotonic()), self.percent or 0.0

    def grant(self, wanted: int) -> int:
        """How many of the wanted calls may go now: all, or where they would come near the limit, half of what fits."""
        room = self.room()
        if self.percent is not None and self.answered < ENOUGH and self.under_way and self.under_way + wanted > ENOUGH:
            return 0  # what a call uses is not known yet, so the limit is not tried with many at once
        expected = (self.percent or 0.0) + (wanted + self.under_way) * self.per_call
        if self.percent is None or self.is_none() or expected < SLOW_DOWN_AT:
            return wanted
        if self.under_way and room < wanted:
            return 0  # their answers will tell
        return min(wanted, max(1, int(room / 2)))

    def hour_is_over(self) -> bool:
        """Whether the limit has been near for an hour."""
        return self.near_since is not None and time.monotonic() - self.near_since > HORIZON * TEMPO

    def is_none(self) -> bool:
        """Whether Meta says that all is used, and for an hour has gone on answering."""
        return (self.percent or 0) >= 100 and self.hour_is_over()  # noqa: PLR2004 - percent

    def admit(self, calls: int) -> None:
        """Count calls in."""
        self.under_way += calls

    def space(self, calls: int) -> None:
        """Let the next calls wait where the limit is near."""
        if self.near_since is None or self.percent is None or self.is_none():
            return
        hidden = min(1.0, self.unseen * self.risen / max(self.answered, 1))
        hour, left = HORIZON * TEMPO, 100 - self.percent - hidden - self.per_call * self.under_way
        if left > self.per_call:
            pause = hour * self.per_call * calls / left
        else:
            pause = self.near_since + hour - time.monotonic()
        self.opens = max(self.opens, time.monotonic() + pause)
        self.why = f"{self.percent:.0f} % of the limit of {self.owner} are used, so requests are spaced."

    def leave(self, calls: int) -> None:
        """Count calls out."""
        self.under_way -= calls
        if self.percent is not None:
            self.answered += calls
            self.unseen += calls

    def read(self, percent: float) -> None:
        """Take a reading of the usage."""
        if self.percent is not None:
            self.risen += max(percent - self.percent, 0)
        if percent != self.percent:
            self.unseen = 0
        self.percent = percent
        if percent < SLOW_DOWN_AT:
            self.near_since = None
        elif self.near_since is None or (self.hour_is_over() and not self.is_none()):
            first, self.near_since = self.near_since is None, time.monotonic()
            if first:
                log.warning(
                    "Meta reports %.0f %% of the limit of %s as used: requests are spaced.", percent, self.owner
                )

    def throttle(self, seconds: float | None, error: Exception) -> None:
        """Close for so many seconds, or for the next of the growing steps where Meta names none."""
        self.epoch += 1
        if seconds:
            self.explained += seconds
        elif self.unexplained < len(UNEXPLAINED_STEPS):
            seconds = UNEXPLAINED_STEPS[self.unexplained]
            self.unexplained += 1
        if not seconds or self.explained > EXPLAINED_LIMIT:
            self.closed = error
            return
        # What Meta names is waited for in full, even where TEMPO hurries the rest.
        self.opens = time.monotonic() + seconds * (1 if self.explained else TEMPO)
        self.why = f"Meta throttles {self.owner}."
        self.forget()

    def forget(self) -> None:
        """After a throttle there will be a new reading."""
        self.percent, self.near_since = None, None


class RateLimiter:
    """Lets requests through no faster than Meta allows: one lane for the app, one for each account.

    Every worker passes it before every request. So a throttle of one account holds all its workers and nobody else's,
    and the workers do not each start a count of their own.
    """

    def __init__(self) -> None:
        """Open."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._lanes: defaultdict[str | None, Lane] = defaultdict(lambda: Lane("the app"))
        self.accounts: set[str] = set()  # all that the token reaches: what a header says of one is said of no other
        self._knows_all_keys = True  # of the usage headers, so far
        self._hurry: tuple[float, Callable[[str], Exception]] | None = None

    @contextmanager
    def hurried(self, seconds: float, late: Callable[[str], Exception]) -> Iterator[None]:
        """Let nobody wait longer than so many seconds from now: who would have to gets the error for the reason.

        The few calls of someone in a hurry are not spaced either; only what Meta refuses holds them.
        """
        self._hurry = time.monotonic() + seconds, late
        try:
            yield
        finally:
            self._hurry = None

    def _of(self, account: str | None) -> list[Lane]:
        if account is not None and account not in self._lanes:
            self._lanes[account] = Lane(f"account {account}")
        return [self._lanes[owner] for owner in dict.fromkeys((None, account))]

    def enter(
        self, account: str | None, wanted: int, announce: Callable[[float, str], None]
    ) -> tuple[int, tuple[int, ...]]:
        """Wait for an account's turn: how many of the calls may go, and the epochs that `refuse` and `passed` want.

        Raises:
            Exception: what `stop` or `refuse` closed the lane with, or what `hurried` has for those who are late.
        """
        while True:
            hurry = self._hurry
            with self._lock:
                lanes = self._of(account)
                for lane in lanes:
                    if lane.closed:
                        raise lane.closed
                slowest = max(lanes, key=lambda lane: lane.opens)
                wait, why = slowest.opens - time.monotonic(), slowest.why
                if hurry and time.monotonic() + max(wait, 0) > hurry[0]:
                    raise hurry[1](why if wait > 0 else "")
                if wait <= 0:
                    granted = wanted if hurry else min(lane.grant(wanted) for lane in lanes)
                    if granted:
                        for lane in lanes:
                            lane.admit(granted)
                            if not hurry:
                                lane.space(granted)
                        return granted, tuple(lane.epoch for lane in lanes)
                    wait, why = 0.1, ""
            announce(wait, why)
            self._stopping.wait(min(wait, 60))

    def roomiest(self, accounts: Iterable[str]) -> str:
        """Which of some accounts has used the least of its limit, by Meta's headers; the first of those alike.

        One that Meta has not told of yet comes before those that have used something, one that has to wait comes last.
        """
        with self._lock:
            lanes = {account: self._of(account)[-1] for account in accounts}
            return min(lanes, key=lambda account: lanes[account].pressure)

    def leave(self, account: str | None, calls: int) -> None:
        """Calls were answered, or never will be."""
        with self._lock:
            for lane in self._of(account):
                lane.leave(calls)

    def stop(self, error: Exception) -> None:
        """Let nobody through any more: what Meta refused here, it will refuse everywhere."""
        with self._lock:
            self._lanes[None].closed = self._lanes[None].closed or error
        self._stopping.set()

    @property
    def stopped(self) -> bool:
        """Whether nobody is let through any more."""
        return self._lanes[None].closed is not None

    def refuse(
        self,
        account: str | None,
        code: int | None,
        headers: Mapping[str, str],
        error: Exception,
        epochs: tuple[int, ...],
    ) -> None:
        """Close the lane that a throttle is about, once for all requests that met it together.

        It opens after the minutes that Meta names in the headers, else after the next of the growing steps. When these
        are used up it stays closed with the error.
        """
        with self._lock:
            lanes = self._of(account)
            lane = lanes[0 if code in WHOLE_APP_CODES else -1]
            if lane.epoch != epochs[lanes.index(lane)]:
                return
            lane.throttle(regain_seconds(self._entries(account, headers)), error)

    def passed(self, account: str | None, epochs: tuple[int, ...]) -> None:
        """Meta answered: the next throttle starts a new count."""
        with self._lock:
            for lane, epoch in zip(self._of(account), epochs, strict=True):
                if lane.epoch == epoch:
                    lane.unexplained, lane.explained = 0, 0.0

    def _entries(self, account: str | None, headers: Mapping[str, str]) -> list[Mapping[str, Any]]:
        return entries_about(account, in_header(headers, "X-Business-Use-Case-Usage"), self.accounts)

    def observe(self, account: str | None, headers: Mapping[str, str]) -> None:
        """Read the usage headers, however incomplete: the app's figures, and those of the account that was asked."""
        app, own = in_header(headers, "X-App-Usage"), self._entries(account, headers)
        for owner, entries in ((None, [app]), (account, own)):
            percent = used_percent(entries)
            if percent is not None:
                with self._lock:
                    self._of(owner)[-1].read(percent)
        unknown = {key for entry in (app, *own) for key in entry if key not in (*FIGURES, *BESIDE)}
        if unknown and self._knows_all_keys:
            self._knows_all_keys = False
            names = ", ".join(sorted(key[:40] for key in unknown))
            log.info("Meta's usage headers hold what this connector does not know, so it is left aside: %.200r", names)


def in_header(headers: Mapping[str, str], name: str) -> Mapping[str, Any]:
    """The JSON object in a header, empty where there is none."""
    text = text_of(headers, name)
    return usage_in(text) if isinstance(text, str) else {}


def text_of(headers: Mapping[str, str], name: str) -> str | None:
    """A header's text, whose name may be written in small letters."""
    return headers.get(name) or headers.get(name.lower())


@functools.lru_cache(maxsize=256)  # most calls of a batch say the same
def usage_in(text: str) -> Mapping[str, Any]:
    """The JSON object in a text, empty where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def entries_about(
    account: str | None, header: Mapping[str, Any], accounts: Collection[str] = ()
) -> list[Mapping[str, Any]]:
    """What a business-use-case header says of an account's calls to Instagram.

    Before: {"1784…1": [{"type": "instagram", "call_count": 12}, {"type": "ads_management", "call_count": 100}],
             "9001": [{"type": "instagram", "call_count": 12}]}
    After:  [{"type": "instagram", "call_count": 12}] for 1784…1

    The same stands under its business, so that counts where there is none under the account itself, and just one under
    an id that is none of the token's `accounts`: of several nobody knows which business is the account's.
    """

    def of(owner: str) -> list[Mapping[str, Any]]:
        rows = header[owner] if isinstance(header[owner], list) else [header[owner]]
        return [row for row in rows if isinstance(row, dict) and row.get("type", "instagram") == "instagram"]

    if account is None:
        return []
    own = of(account) if account in header else []
    others = [of(owner) for owner in header if owner not in accounts and any("type" in row for row in of(owner))]
    return own or (others[0] if len(others) == 1 else [])


def numbers(entries: Iterable[Mapping[str, Any]], keys: Iterable[str], most: float) -> Iterator[float]:
    """The values of some keys that are numbers within reason; JSON also has NaN, Infinity and 400 digits."""
    for entry in entries:
        for key in keys:
            value: Any = entry.get(key)
            if type(value) in (int, float) and 0 <= value <= most:
                yield float(value)


def used_percent(entries: Iterable[Mapping[str, Any]]) -> float | None:
    """The highest percentage in usage entries, None where there is none.

    Before: [{"call_count": 12, "total_time": 85, "total_cputime": 3}]
    After:  85.0
    """
    return max(numbers(entries, FIGURES, most=1000), default=None)


def regain_seconds(entries: Iterable[Mapping[str, Any]]) -> float | None:
    """Seconds until Meta lets us in again, by usage entries (which count minutes), else None.

    Before: [{"type": "instagram", "call_count": 100, "estimated_time_to_regain_access": 5}]
    After:  300.0
    """
    return max(numbers(entries, ["estimated_time_to_regain_access"], most=1e6), default=0.0) * 60 or None
