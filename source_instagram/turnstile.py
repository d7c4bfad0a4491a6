"""Waiting: for throttles that Meta has called, and before limits that are near.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

import json
import logging
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
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
        """Count calls in, and let the next ones wait where the limit is near."""
        self.under_way += calls
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

    def forget(self) -> None:
        """After a throttle there will be a new reading."""
        self.percent, self.near_since = None, None


class Turnstile:
    """Lets requests through no faster than Meta allows: one lane for the app, one for each account.

    Every worker passes it before every request. So a throttle of one account holds all its workers and nobody else's,
    and the workers do not each start a count of their own.
    """

    def __init__(self) -> None:
        """Open."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._lanes: defaultdict[str | None, Lane] = defaultdict(lambda: Lane("the app"))

    def _of(self, account: str | None) -> list[Lane]:
        if account is not None and account not in self._lanes:
            self._lanes[account] = Lane(f"account {account}")
        return [self._lanes[owner] for owner in dict.fromkeys((None, account))]

    def enter(
        self, account: str | None, wanted: int, announce: Callable[[float, str], None]
    ) -> tuple[int, tuple[int, ...]]:
        """Wait for an account's turn: how many of the calls may go, and the epochs that `refuse` and `passed` want.

        Raises:
            Exception: what `stop` or `refuse` closed the lane with.
        """
        while True:
            with self._lock:
                lanes = self._of(account)
                for lane in lanes:
                    if lane.closed:
                        raise lane.closed
                slowest = max(lanes, key=lambda lane: lane.opens)
                wait, why = slowest.opens - time.monotonic(), slowest.why
                if wait <= 0:
                    granted = min(lane.grant(wanted) for lane in lanes)
                    if granted:
                        for lane in lanes:
                            lane.admit(granted)
                        return granted, tuple(lane.epoch for lane in lanes)
                    wait, why = 0.1, ""
            announce(wait, why)
            self._stopping.wait(min(wait, 60))

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
        self, account: str | None, code: int | None, seconds: float | None, error: Exception, epochs: tuple[int, ...]
    ) -> None:
        """Close the lane that a throttle is about, once for all requests that met it together.

        It opens after the seconds that Meta names, else after the next of the growing steps. When these are used up it
        stays closed with the error.
        """
        with self._lock:
            lanes = self._of(account)
            lane = lanes[0 if code in WHOLE_APP_CODES else -1]
            if lane.epoch != epochs[lanes.index(lane)]:
                return
            lane.epoch += 1
            if seconds:
                lane.explained += seconds
            elif lane.unexplained < len(UNEXPLAINED_STEPS):
                seconds = UNEXPLAINED_STEPS[lane.unexplained]
                lane.unexplained += 1
            if not seconds or lane.explained > EXPLAINED_LIMIT:
                lane.closed = error
                return
            # What Meta names is waited for in full, even where TEMPO hurries the rest.
            lane.opens = time.monotonic() + seconds * (1 if lane.explained else TEMPO)
            lane.why = f"Meta throttles {lane.owner}."
            lane.forget()

    def passed(self, account: str | None, epochs: tuple[int, ...]) -> None:
        """Meta answered: the next throttle starts a new count."""
        with self._lock:
            for lane, epoch in zip(self._of(account), epochs, strict=True):
                if lane.epoch == epoch:
                    lane.unexplained, lane.explained = 0, 0.0

    def observe(self, account: str | None, headers: Mapping[str, str]) -> None:
        """Read the usage headers, however incomplete."""
        for owner, header in ((None, "X-App-Usage"), (account, "X-Business-Use-Case-Usage")):
            percent = used_percent(headers.get(header) or headers.get(header.lower()))
            if percent is not None:
                with self._lock:
                    self._of(owner)[-1].read(percent)


def used_percent(header: Any) -> float | None:
    """The highest percentage in a usage header, None where there is none.

    Before: {"call_count": 12, "total_time": 85, "total_cputime": 3}, or lists of such objects by business or account id
    After:  85.0

    The minutes until access comes back, which stand among them, are not a percentage.
    """
    try:
        queue = [json.loads(header)] if isinstance(header, str) else []
    except ValueError:
        return None
    percents: list[float] = []
    while queue:
        item = queue.pop()
        if isinstance(item, list):
            queue.extend(item)
        elif isinstance(item, dict):
            for key, value in item.items():
                if isinstance(value, (dict, list)):
                    queue.append(value)
                elif isinstance(value, (int, float)) and not isinstance(value, bool) and "estimated_time" not in key:
                    percents.append(float(value))
    return max(percents, default=None)


def regain_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds until Meta lets us in again, by its business-use-case header (which counts minutes), else None.

    Before: {"17841400000000001": [{"type": "instagram", "call_count": 100, "estimated_time_to_regain_access": 5}]}
    After:  300.0
    """
    header = headers.get("X-Business-Use-Case-Usage") or headers.get("x-business-use-case-usage") or ""
    minutes = [float(number) for number in re.findall(r'"estimated_time_to_regain_access"\s*:\s*(\d+\.?\d*)', header)]
    return max(minutes, default=0.0) * 60 or None
