"""What can go wrong on demand: error envelopes, broken answers, retired metrics, throttles and usage headers.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Literal

from sandbox import errors
from sandbox.edits import EDITS
from sandbox.errors import INSTAGRAM, GraphError
from sandbox.figures import label_time, unit
from sandbox.insights import read_time

KINDS = (
    "error", "drop", "stall", "halt", "truncate", "html", "empty", "not_json", "null_item", "envelope200", "shape",
    "edit",
)  # fmt: skip
SERVICE_ERROR = {
    "code": 2,
    "message": "An unexpected error has occurred. Please retry your request later.",
    "is_transient": True,
}
Regain = Literal["none", "minutes", "fraction"]


@dataclass(frozen=True)
class Asked:
    """What faults look at in a call."""

    target: str  # decoded path and query, without secrets
    account: str | None = None
    product: str | None = None  # of the media that the path names
    params: dict[str, str] = field(default_factory=dict)
    in_batch: bool = False

    def covers(self, day: str) -> bool:
        """Whether the window asked for holds the label of that day."""
        try:
            since, until = (read_time(self.params.get(name), name) for name in ("since", "until"))
        except GraphError:
            return False
        return bool(since and until) and since <= label_time(date.fromisoformat(day)) <= until  # type: ignore[operator]


@dataclass
class Fault:
    """One thing that goes wrong for the calls that it matches. The names are the keys of a `--fault` JSON object.

    `path` is searched in a call's decoded path and query, `/v25.0/178…/media?fields=id`. Items of a batch are calls
    too, and the request that carries them is `/v25.0/?batch`. `product` is that of the media that the path names, `day`
    a label inside the window asked for. A fault without `times`, `every` or `probability` fires every time.
    """

    path: str = ""
    account: str | None = None
    product: str | None = None
    day: str | None = None
    skip: int = 0
    times: int | None = None
    every: int | None = None
    probability: float | None = None
    kind: str = "error"
    error: dict[str, Any] | None = None
    status: int | None = None
    seconds: float = 0.0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    # What an `edit` changes in a good answer, see `edits`. `loop`: the cursor of a page is the one it was asked with.
    remove: str | list[str] | None = None
    set: dict[str, Any] | None = None
    keep: dict[str, int] | None = None
    thin: dict[str, float] | None = None
    duplicate: str | list[str] | None = None
    reverse: str | list[str] | None = None
    wrap: str | list[str] | None = None
    loop: bool = False
    # Lasting changes of the API rather than accidents:
    retire_metric: str | None = None
    product_types: list[str] | None = None
    level: str | None = None  # "user" or "media"; None retires the metric on both
    message: str = "named"  # or "unnamed"; for max_limit "message" or "error_user_msg"
    refuse_field: str | None = None
    forbid_account: str | None = None
    permission: str = "all"
    max_limit: int | None = None
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    @classmethod
    def of(cls, spec: dict[str, Any]) -> Fault:
        """Read a fault from its JSON form, refusing keys that would silently do nothing."""
        known = {item.name for item in fields(cls) if item.init}
        if unknown := set(spec) - known:
            raise ValueError(
                f"Unknown keys in a fault: {', '.join(sorted(unknown))}. Known: {', '.join(sorted(known))}."
            )
        fault = cls(**spec)
        if fault.kind not in KINDS:
            raise ValueError(f"Unknown kind of fault: {fault.kind}. Known: {', '.join(KINDS)}.")
        if bool(fault.changes) != (fault.kind == "edit"):
            raise ValueError(f"A fault of kind edit has one of {', '.join(EDITS)}, and no other kind has any.")
        re.compile(fault.path)
        return fault

    @property
    def changes(self) -> dict[str, Any]:
        """What an `edit` does."""
        return {name: value for name in EDITS if (value := getattr(self, name))}

    @property
    def is_policy(self) -> bool:
        """Whether it changes what the API allows, rather than breaking single calls."""
        return any((self.retire_metric, self.refuse_field, self.forbid_account, self.max_limit))

    def matches(self, asked: Asked) -> bool:
        """Whether it is about such a call."""
        return (
            self.account in (None, asked.account)
            and self.product in (None, asked.product)
            and re.search(self.path, asked.target) is not None
            and (self.day is None or asked.covers(self.day))
            and (self.kind != "null_item" or asked.in_batch)
        )

    def fires(self, seed: object, asked: Asked) -> bool:
        """Whether this call is hit; counts it as seen when it matches."""
        if not self.matches(asked):
            return False
        self.seen += 1
        nth = self.seen - self.skip
        if nth <= 0 or (self.times is not None and self.fired >= self.times):
            return False
        if self.every and nth % self.every:
            return False
        if self.probability is not None and unit(seed, self.path, self.kind, self.seen) >= self.probability:
            return False
        self.fired += 1
        return True

    def graph_error(self) -> GraphError:
        """The envelope that an `error` or `envelope200` fault answers with."""
        spec = self.error or SERVICE_ERROR
        return errors.from_spec(spec, self.status or (500 if spec.get("code") in (1, 2) else 400))


class Faults:
    """All faults in force."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.all: list[Fault] = []

    def add(self, spec: dict[str, Any]) -> Fault:
        fault = Fault.of(spec)
        self.all.append(fault)
        return fault

    def pick(self, asked: Asked) -> Fault | None:
        """The first accident that hits this call."""
        for at, fault in enumerate(self.all):
            if not fault.is_policy and fault.kind != "edit" and fault.fires((self.seed, at), asked):
                return fault
        return None

    def edits(self, asked: Asked) -> list[Fault]:
        """All edits that hit the good answer to this call."""
        return [
            fault for at, fault in enumerate(self.all) if fault.kind == "edit" and fault.fires((self.seed, at), asked)
        ]

    def retired(self, metric: str, product: str | None) -> str | None:
        """How Meta words that a metric has gone, or None while it lives. No product means an account's metric."""
        for fault in self.all:
            if fault.retire_metric != metric or fault.level not in (None, "media" if product else "user"):
                continue
            if not product or not fault.product_types or product in fault.product_types:
                return fault.message
        return None

    def refuses_field(self, name: str) -> bool:
        return any(fault.refuse_field == name for fault in self.all)

    def forbids(self, account: str | None, permission: str) -> bool:
        return any(
            fault.forbid_account == account and fault.permission in ("all", permission)
            for fault in self.all
            if fault.forbid_account
        )

    def check_limit(self, target: str, limit: int) -> None:
        """Refuse pages that are too big for the moment."""
        for fault in self.all:
            if fault.max_limit and limit > fault.max_limit and re.search(fault.path, target):
                fault.fired += 1
                raise errors.reduce_data(fault.message)


@dataclass
class Throttle:
    """A limit on the calls of the app, or of each account.

    With `after`, a pause: `seconds` of refusals once that many calls have passed, `times` times over (0: without end).
    With `quota`, Meta's rolling kind: at most that many calls within any `seconds`; the usage headers tell how full.
    """

    after: int | None = None
    quota: int | None = None
    seconds: float = 1.0
    code: int = 4
    status: int | None = None
    scope: str = "app"  # or "account"
    times: int = 1
    regain: Regain = "none"
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
        """How much of a rolling quota is used."""
        key = self.key(account)
        if key is None or not self.quota:
            return 0.0
        horizon = time.monotonic() - self.seconds
        return 100.0 * sum(moment > horizon for moment in self._recent[key]) / self.quota


@dataclass
class Usage:
    """How the usage headers look: they may be missing, empty or malformed, and grow with the calls."""

    mode: str = "normal"  # or "missing", "empty", "malformed"
    header: str = "both"  # or "app", "business"
    start: float = 1.0
    per_call: float = 0.0


@dataclass
class Refusal:
    """A throttled call: what to answer, and the minutes to tell in the header."""

    error: GraphError
    minutes: float


class Limits:
    """Throttles, and the usage headers that announce them."""

    def __init__(self) -> None:
        self.throttles: list[Throttle] = []
        self.usage = Usage()
        self._calls = 0

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
        grown = usage.start + usage.per_call * self._calls
        app = max([grown, *(t.percent(account) for t in self.throttles if t.scope == "app")])
        own = max([grown, *(t.percent(account) for t in self.throttles)])
        if minutes:
            own = max(own, 100.0)
        texts: dict[str, str] = {}
        if host == INSTAGRAM:
            texts["X-App-Usage"] = json.dumps({"call_volume": _whole(app), "cpu_time": 0})
        else:
            if usage.header in ("both", "app"):
                counts = {"call_count": _whole(app), "total_cputime": 0, "total_time": 0}
                texts["X-App-Usage"] = json.dumps(counts)
            if usage.header in ("both", "business") and account:
                regain = int(minutes) if minutes == int(minutes) else round(minutes, 5)
                row = {"type": "instagram", "call_count": _whole(own), "total_cputime": 0, "total_time": 0}
                texts["X-Business-Use-Case-Usage"] = json.dumps(
                    {account: [{**row, "estimated_time_to_regain_access": regain}]}
                )
        broken = {"empty": "", "malformed": '{"call_count":'}
        return {name: broken.get(usage.mode, text) for name, text in texts.items()}


def _whole(percent: float) -> int:
    return min(int(percent), 100)
