"""What a call that was not answered costs: nothing, some columns, the record, or the completeness of the stream.

This is the one place that decides it. What nobody can get any more is left out, with a line in the log. What the next
sync, or the user, can get is missing: its stream ends INCOMPLETE, so that the state stays before it.
"""

import enum
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from source_instagram.calls import GraphCall
from source_instagram.capabilities import SEVERAL
from source_instagram.client import Client
from source_instagram.records import parts_in, total
from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")


class Cost(enum.Enum):
    """What a call without an answer costs."""

    NOTHING = enum.auto()
    COLUMNS = enum.auto()  # stay empty; Meta does not have them for this object
    RECORD = enum.auto()  # is not there; nobody can have it
    MISSING = enum.auto()  # the next sync may have it


def cost(call: GraphCall, others: Iterable[GraphCall], session: SyncSession, *, of_object: bool) -> Cost:
    """What it costs that a call of an object (or of an account's days) ended as it did, beside the others of it."""
    verdict = call.outcome
    if verdict is None:
        return Cost.NOTHING
    if verdict.may_heal or (verdict.then == "not_visible" and not of_object):  # an account does not vanish
        return Cost.MISSING
    if call.is_extra:
        return Cost.COLUMNS
    if call.is_lasting and not is_misplaced(call, others, of_object=of_object):
        return Cost.RECORD
    # A row of the table that an account never had, while it has others: a metric of which Meta does not say that it has
    # gone. Where some of its days have it, or too few were asked to know, this one is missing.
    is_row = verdict.then == "refused_metric" and not of_object and any(other.is_answered for other in others)
    alike = {o.url for o in others if o.scope == call.scope and o.outcome and o.outcome.then == verdict.then}
    if (
        is_row
        and len(alike) >= SEVERAL
        and not any(session.metrics.is_trusted(name, call.scope) for name in call.metrics)
    ):
        return Cost.COLUMNS
    return Cost.MISSING


def is_misplaced(call: GraphCall, others: Iterable[GraphCall], *, of_object: bool) -> bool:
    """Whether a lasting refusal cannot be meant as it stands, so that it is not believed."""
    then = call.outcome.then if call.outcome else ""
    if not of_object:
        return then == "no_data" and "since" in call.params
    if call.metrics:
        return False
    # Words about numbers end no list of comments, and an object of which something came is there.
    return then in ("no_data", "before_conversion") or (then == "not_visible" and any(o.is_answered for o in others))


def unsaid(call: GraphCall) -> list[str]:
    """The metrics that an answer to them leaves out: them, a media's number, or the parts of a total that is not 0."""
    came = {item["name"] for item in call.items if call.metrics and is_said(item, call)}
    return [name for leaf in call.leaves() if leaf.answer is not None for name in leaf.metrics if name not in came]


def is_said(item: Mapping[str, Any], call: GraphCall) -> bool:
    """Whether an item has what its call asked for."""
    if (item.get("total_value") or {}).get("breakdowns"):
        return True
    has_parts = "breakdown" in call.params and bool(parts_in(call.about or {}))
    return total(item) == 0 if has_parts else total(item) is not None or call.scope.family != "media"


@dataclass
class Losses:
    """What one read of an account's slice has lost, told as it happens."""

    name: str  # of the stream
    client: Client
    session: SyncSession
    of_objects: bool
    missing: list[GraphCall] = field(default_factory=list)

    def judge(self, one: Mapping[str, Any], calls: list[GraphCall]) -> tuple[list[GraphCall], bool]:
        """The calls of an object that are missing, and whether nobody can have its record; all is told in the log."""
        costs = [(call, cost(call, calls, self.session, of_object=bool(one))) for call in calls]
        gone = [call for call, what in costs if what is Cost.RECORD]
        # Of an object that nobody can have a record of, no more than its main call matters.
        missing = [
            call for call, what in costs if what is Cost.MISSING and not (one and gone and call.control is not None)
        ]
        columns = [call for call, what in costs if what is Cost.COLUMNS and not call.is_optional]
        self.missing += missing
        for call in missing:
            self._tell_missing(call)
        for call in gone[:1] if self.of_objects else gone:
            what = self.name if self.of_objects else f"{', '.join(call.metrics)} in {self.name}"
            if self.session.first("gone", call.subject, what):
                log.warning("%s: nothing for %s. %s", call.subject, what, call.outcome)
        for call in columns if not (missing or gone) else ():
            level = logging.WARNING if self.session.first("columns", str(call.scope)) else logging.INFO
            what = ", ".join(call.metrics) or call.path.rpartition("/")[2]
            log.log(level, "%s: no %s in %s. %s", call.subject, what, self.name, self._because(call))
        if not (missing or gone) and any(call.items for call in calls):
            self._tell_unsaid(calls)
        return missing, bool(gone)

    def _tell_unsaid(self, calls: list[GraphCall]) -> None:
        """Name what Meta was asked for and left out of its answer, beside others: its column stays empty."""
        for call in calls:
            is_expected = not call.is_optional and (self.of_objects or call.items)
            names = unsaid(call) if is_expected else []
            if names:
                level = logging.WARNING if self.session.first("unsaid", *names, str(call.scope)) else logging.INFO
                told = (call.subject, ", ".join(names), self.name)
                log.log(level, "%s: no %s in %s. Meta left it out of its answer.", *told)

    def _tell_missing(self, call: GraphCall) -> None:
        if call.outcome and call.outcome.then not in ("fail_sync", "closed"):  # these are told once for all
            what = f"{', '.join(call.metrics)} in {self.name}" if call.metrics else self.name
            log.error("Missing: %s. %s", what, self.client.failure(call).message)

    def _because(self, call: GraphCall) -> str:
        return str(self.client.failure(call).message).partition(": ")[2]

    def fail(self) -> None:
        """Raise the error of what is missing, if anything is: the one that closed the sync, or the first."""
        closed = (call for call in self.missing if call.outcome and call.outcome.closed_by)
        first = next(closed, self.missing[0] if self.missing else None)
        if first:
            raise self.client.failure(first)
