"""What can go wrong on demand: error envelopes, broken and edited answers, and what the API no longer allows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

from sandbox import errors
from sandbox.edits import EDITS
from sandbox.errors import GraphError
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


@dataclass(frozen=True)
class Asked:
    """What faults look at in a call."""

    target: str  # decoded path and query, without secrets
    account: str | None = None
    product: str | None = None  # of the media that the path names
    params: dict[str, str] = field(default_factory=dict)
    in_batch: bool = False
    node: str | None = None  # whose fields are asked for

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
    node: str | None = None  # the one object that lacks it
    forbid_account: str | None = None
    permission: str = "all"
    max_limit: int | None = None
    max_cost: int | None = None  # rows of a page times those of its nested lists
    ignore: list[str] = field(default_factory=list)  # parameters that the API does not look at
    lenient: bool = False  # of several metrics those that are refused are left out, and cost none of the others
    whole_days: bool = False  # a window of days goes on to the end of the day on which it ends
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
        return {name: value for name in EDITS if (value := getattr(self, name)) not in (None, False, {}, [])}

    @property
    def is_policy(self) -> bool:
        """Whether it changes what the API allows, rather than breaking single calls."""
        limits = (self.retire_metric, self.refuse_field, self.forbid_account, self.max_limit, self.max_cost)
        return any((*limits, self.ignore, self.lenient, self.whole_days))

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

    def ignored(self, asked: Asked) -> set[str]:
        """The parameters of a call that are not looked at."""
        return {name for fault in self.all if fault.ignore and fault.matches(asked) for name in fault.ignore}

    @property
    def is_lenient(self) -> bool:
        """Whether metrics that are refused are left out, where there are others."""
        return any(fault.lenient for fault in self.all)

    @property
    def has_whole_days(self) -> bool:
        """Whether a window of days goes on to the end of its last."""
        return any(fault.whole_days for fault in self.all)

    def retired(self, metric: str, product: str | None, account: str | None = None) -> str | None:
        """How Meta words that a metric has gone, or None while it lives. No product means an account's metric."""
        for fault in self.all:
            if fault.account not in (None, account):
                continue
            if fault.retire_metric != metric or fault.level not in (None, "media" if product else "user"):
                continue
            if not product or not fault.product_types or product in fault.product_types:
                return fault.message
        return None

    def check_field(self, name: str, asked: Asked) -> None:
        """Refuse a field; `asked` tells of which account, product and object."""
        for fault in self.all:
            if (
                fault.refuse_field == name
                and fault.account in (None, asked.account)
                and fault.product in (None, asked.product)
                and fault.node in (None, asked.node)
            ):
                fault.fired += 1
                raise fault.graph_error() if fault.error else errors.nonexisting_field(name)

    def forbids(self, account: str | None, permission: str) -> bool:
        return any(
            fault.forbid_account == account and fault.permission in ("all", permission)
            for fault in self.all
            if fault.forbid_account
        )

    def check_limit(self, asked: Asked, limit: int) -> None:
        """Refuse pages that are too big for the moment."""
        for fault in self.all:
            if fault.max_limit and limit > fault.max_limit and fault.matches(asked):
                fault.fired += 1
                raise errors.reduce_data(fault.message)

    def check_cost(self, asked: Asked, cost: int) -> None:
        """Refuse pages that are too much with all that is nested in them: in words that say nothing, or that do."""
        for fault in self.all:
            if fault.max_cost and cost > fault.max_cost and fault.matches(asked):
                fault.fired += 1
                raise errors.unknown_error() if fault.message == "named" else errors.reduce_data(fault.message)
