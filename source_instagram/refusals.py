"""What Meta refuses of a call: metrics, or fields. It goes again without them, or in parts that find out which."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from source_instagram.answers import Verdict
from source_instagram.calls import GraphCall
from source_instagram.capabilities import FIELD, among, named_in, names_in, without
from source_instagram.client import Client
from source_instagram.riders import refused

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

FEW = 3  # metrics that are tried one by one, not by halves, when a refusal names none


class Refusals:
    """Takes calls apart, down to what is refused. Each method gives what goes again: nothing where it ends the call."""

    def __init__(self, session: "SyncSession", end: Callable[[GraphCall, Verdict], None]) -> None:
        """Learn for a session; `end` ends a call for good."""
        self._session, self._end = session, end

    def _ended(self, call: GraphCall, verdict: Verdict) -> list[GraphCall]:
        self._end(call, verdict)
        return []

    def unburdened(self, call: GraphCall, verdict: Verdict) -> bool:
        """Whether a call goes again without what travelled in it, or what is now known to be refused of it."""
        if call.riders and verdict.then == "refused_metric":
            # All, because the words may speak of several.
            learned = [self._learned(each, verdict) for each in (call, *call.riders)]
            if any(learned):
                return True
        if refused(call, verdict):
            scout = self._session.executor.scout
            # Meta looks at the metrics before it looks at the media, so that it knows those which a media has not.
            (scout.proven if verdict.then == "no_data" else scout.suspect)(call.top)
            return True
        return False

    def lacking(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """End a call of which there is nothing; where only some metric is lacking, find out which."""
        return self.apart(call, verdict, client) if verdict.metrics else self._ended(call, verdict)

    def apart(self, call: GraphCall, verdict: Verdict, _: Client) -> list[GraphCall]:
        """Leave out the metrics that a refusal names for all of their kind; else find out which this object refuses."""
        session = self._session
        if verdict.then == "refused_metric" and call.metrics and self._learned(call, verdict):
            return [call]
        if verdict.then != "no_data":
            session.executor.scout.suspect(call)
        named = [*named_in(call.metrics, verdict.words), *among(call.metrics, " ".join(verdict.metrics))]
        rest = [name for name in call.metrics if name not in named]
        is_of_object = verdict.then != "refused_metric" and not (named or verdict.metrics or call.is_optional)
        if len(call.metrics) <= 1 or call.spares or is_of_object or session.breaker.open_for(call):
            return self._ended(call, verdict)
        if named and rest:
            return call.split([named, rest])
        if call.whole is None and len(call.metrics) > FEW:
            half = len(call.metrics) // 2
            return call.split([call.metrics[:half], call.metrics[half:]])
        return call.split([[name] for name in call.metrics])

    def _learned(self, call: GraphCall, verdict: Verdict) -> bool:
        """Whether the words speak of all of a kind; then it is told once."""
        named, kind = self._session.metrics.learn(call.metrics, call.scope, verdict.words)
        for name in named:
            if self._session.first("metric", name, kind):
                log.warning(
                    "Metric %s for %s is left out for the rest of this sync and its column stays empty. Meta says: %s",
                    name, kind, verdict.said,
                )  # fmt: skip
        if named:
            self._session.executor.scout.suspect(call)
        return bool(named)

    def without_fields(self, call: GraphCall, verdict: Verdict, _: Client) -> list[GraphCall]:
        """Ask again without the fields that a refusal names; end where there are none, or the call needs them."""
        asked = call.params.get("fields", "")
        names = set(FIELD.findall(verdict.words))
        # Meta does not say where: the lists within come first, as they may lack what the object has.
        names = {name for name in names_in(asked) if name.startswith(".") and name[1:] in names} or names
        needed = ", ".join(sorted(name.lstrip(".") for name in names & set(call.needs)))
        fields = without(asked, names)
        if needed or fields == asked:
            because = f"{verdict.because} Nothing can be read without {needed}." if needed else verdict.because
            return self._ended(call, replace(verdict, because=because))
        call.params["fields"] = fields
        scope = call.edge
        believed = self._session.fields.doubt(names, scope, f"{call.object} {call.params.get('after', '')}")
        for name in sorted(names):
            if self._session.first("field", name, *map(str, scope[:2])):
                log.warning(
                    "%s: field %s is left out of %s and its column stays empty there. Meta says: %s",
                    call.subject, name.replace(".", "…."), scope.stream, verdict.said,
                )  # fmt: skip
        for name in believed:
            log.warning("Field %s of %s is left out for the rest of this sync: several refused it.", name, scope.stream)
        return [call]
