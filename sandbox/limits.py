"""How much may be asked: throttles, and the usage headers that announce them, or something else.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox import errors
from sandbox.errors import INSTAGRAM, GraphError

Regain = Literal["none", "minutes", "fraction"]


@dataclass
class Throttle:
    """A limit on the calls of the app, or of each account.

    With `after`, a pause: `seconds` of refusals once that many calls have passed, `times` times over (0: without end).
    With `quota`, Meta's rolling kind: at most that many calls within any `seconds`; the usage headers tell how full.
    With `announce` they tell of a pause, too: their percentages rise with the calls, and strike at 100.
    """

    after: int | None = None
    quota: int | None = None
    seconds: float = 1.0
    code: int = 4
    status: int | None = None
    scope: str = "app"  # or "account"
    times: int = 1
    regain: Regain = "none"
    announce: bool = False
    refused: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._calls: dict[str, int] = defaultdict(int)
        self._rounds: dict[str, int] = defaultdict(int)
        self._until: dict[str, float] = defaultdict(float)
        self._recent: dict[str, deque[float]] = defaultdict(deque)

    def key(self, account: str | None) -> str | None:
        return "" if self.scope == "app" else account

    def charge(self, account: str | None) -> float | None:
        """Count a call; the seconds until access returns when it is refused."""
        key, now = self.key(account), time.monotonic()
        if key is None:
            return None
        wait = self._pause(key, now) if self.after is not None else self._roll(key, now)
        self.refused += wait is not None
        return wait

    def _pause(self, key: str, now: float) -> float | None:
        if self._until[key] > now:
            return self._until[key] - now
        self._calls[key] += 1
        if self._calls[key] <= (self.after or 0) or (self.times and self._rounds[key] >= self.times):
            return None
        self._calls[key] = 0
        self._rounds[key] += 1
        self._until[key] = now + self.seconds
        return self.seconds

    def _roll(self, key: str, now: float) -> float | None:
        recent = self._recent[key]
        while recent and recent[0] <= now - self.seconds:
            recent.popleft()
        if len(recent) >= (self.quota or 0):
            return recent[0] + self.seconds - now if recent else self.seconds
        recent.append(now)
        return None

    def percent(self, account: str | None) -> float:
        """How much of a quota is used, or of the calls before an announced pause."""
        key, now = self.key(account), time.monotonic()
        if key is None:
            return 0.0
        if self.quota:
            return 100.0 * sum(moment > now - self.seconds for moment in self._recent[key]) / self.quota
        if not (self.announce and self.after):
            return 0.0
        if self._until[key] > now:
            return 100.0
        return 0.0 if self.times and self._rounds[key] >= self.times else 100.0 * self._calls[key] / self.after


@dataclass
class Usage:
    """How the usage headers look: they may be missing, empty or malformed, and grow with the calls.

    `extra` stands beside the figures of the app and of the account, or in place of them. With `business` the id of the
    portfolio tells the same as the account's. `entries` are more of the business header's, by id; `$account` is the
    account's.
    """

    mode: str = "normal"  # or "missing", "empty", "malformed"
    header: str = "both"  # or "app", "business"
    start: float = 1.0
    per_call: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)
    business: bool = False
    entries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    per_expansion: float = 0.0  # what a list within a list adds to a call


@dataclass
class Refusal:
    """A throttled call: what to answer, and the minutes to tell in the header."""

    error: GraphError
    minutes: float


class Limits:
    """Throttles, and the usage headers that announce them."""

    def __init__(self, business: str) -> None:
        self.business = business  # the portfolio's id
        self.throttles: list[Throttle] = []
        self.usage = Usage()
        self._calls = 0
        self._expansions = 0

    def expand(self) -> None:
        """Count a call that brings lists within a list."""
        self._expansions += 1

    def charge(self, account: str | None) -> Refusal | None:
        """Count one Graph call; the refusal when a limit is reached."""
        self._calls += 1
        for throttle in self.throttles:
            wait = throttle.charge(account)
            if wait is not None:
                minutes = {"none": 0.0, "minutes": float(math.ceil(wait / 60)), "fraction": wait / 60}[throttle.regain]
                return Refusal(errors.throttled(throttle.code, throttle.status), minutes)
        return None

    def headers(self, host: str, account: str | None, minutes: float = 0.0) -> dict[str, str]:
        """Usage headers as the host sends them. Keys differ: graph.instagram.com has no business header."""
        usage = self.usage
        if usage.mode == "missing":
            return {}
        grown = usage.start + usage.per_call * self._calls + usage.per_expansion * self._expansions
        app = max([grown, *(t.percent(account) for t in self.throttles if t.scope == "app")])
        own = max([grown, *(t.percent(account) for t in self.throttles)])
        if minutes:
            own = max(own, 100.0)
        texts: dict[str, str] = {}
        if host == INSTAGRAM:
            texts["X-App-Usage"] = json.dumps({"call_volume": _whole(app), "cpu_time": 0, **usage.extra})
        else:
            if usage.header in ("both", "app"):
                counts = {"call_count": _whole(app), "total_cputime": 0, "total_time": 0}
                texts["X-App-Usage"] = json.dumps({**counts, **usage.extra})
            if usage.header in ("both", "business") and (entries := self._entries(account, own, minutes)):
                texts["X-Business-Use-Case-Usage"] = json.dumps(entries)
        broken = {"empty": "", "malformed": '{"call_count":'}
        return {name: broken.get(usage.mode, text) for name, text in texts.items()}

    def _entries(self, account: str | None, percent: float, minutes: float) -> dict[str, list[dict[str, Any]]]:
        """The business header: the account's own entry when the call is about one, and all that others have in it."""
        found: dict[str, list[dict[str, Any]]] = {}
        if account:
            regain = int(minutes) if minutes == int(minutes) else round(minutes, 5)
            row = {"type": "instagram", "call_count": _whole(percent), "total_cputime": 0, "total_time": 0}
            row = {**row, "estimated_time_to_regain_access": regain, **self.usage.extra}
            found = {self.business: [row]} if self.usage.business else {}
            found[account] = [row]
        for name, rows in self.usage.entries.items():
            owner = account if name == "$account" else name
            if owner:
                found[owner] = [*found.get(owner, []), *rows]
        return found


def _whole(percent: float) -> int:
    return min(int(percent), 100)
