"""What becomes of a call by what Meta answered: what is learned of it, and what goes again."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from source_instagram.answers import THE_TOKEN, Reply, Verdict, failure
from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import FIELD, named_in, without
from source_instagram.client import Client
from source_instagram.retry_policy import RetryPolicy

if TYPE_CHECKING:
    from source_instagram.graph import Graph

log = logging.getLogger("airbyte.instagram")

DAY = 86_400  # seconds
FEW = 3  # metrics that are tried one by one, not by halves, when a refusal names none
REFUSALS = ("refused_metric", "fail_account", "unknown")  # of an object, for reasons that may be those of others

Handler = Callable[[GraphCall, Verdict, Client], list[GraphCall]]


class Verdicts:
    """One method for each thing that the rules of the manifest say to do."""

    def __init__(self, session: "Graph") -> None:
        """Keep what is learned in the parts of a session."""
        self._session = session
        self.retry_policy = RetryPolicy(session.breaker, session.metrics, self.end)
        self._handlers: dict[str, Handler] = {
            "unsign": self._unsigned,
            "not_visible": self._asked_twice,
            "reduce_page": self._reduced,
            "retry": lambda call, verdict, _: self.retry_policy.failed(call, verdict),
            "shorten_window": self._shortened,
            "refused_field": self._without_fields,
            "fail_sync": self._confirmed,
            **dict.fromkeys(REFUSALS, self._apart),
        }

    def accept(self, call: GraphCall, reply: Reply) -> None:
        """End a call with its answer."""
        call.answer, call.response = reply.body, reply.response
        session, scope = self._session, field_scope(call)
        session.breaker.answered(call)
        if call.metrics:
            session.metrics.trust((item["name"] for item in call.items), call.scope)
        if "fields" in call.params:
            session.fields.trust(re.findall(r"\w+", call.params["fields"]), scope)
        if call.is_shrunk:
            session.fields.lower(scope, call.limit)
        self._conclude(call)

    def refuse(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """What goes again after a refusal: nothing where it ends the call."""
        return self._handlers.get(verdict.then, self._ended)(call, verdict, client)

    def end(self, call: GraphCall, verdict: Verdict) -> None:
        """End a call without an answer."""
        call.verdict = verdict
        self._conclude(call)

    def _ended(self, call: GraphCall, verdict: Verdict, _: Client) -> list[GraphCall]:
        self.end(call, verdict)
        return []

    # -- What goes again ----------------------------------------------------------------------------------------------

    def _unsigned(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Leave the signature out, once."""
        if call.is_unsigned:
            return self._ended(call, verdict, client)
        call.is_unsigned = True
        self._session.unsign(verdict)
        return [call]

    def _asked_twice(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Ask again, once: Meta sometimes throttles in these words."""
        if call.was_invisible:
            return self._ended(call, verdict, client)
        call.was_invisible = True
        return [call]

    def _reduced(self, call: GraphCall, verdict: Verdict, _: Client) -> list[GraphCall]:
        """Ask for half of a list at once, for the rest of it; what has no pages may heal."""
        if call.limit <= 1:
            return self.retry_policy.failed(call, verdict)
        limit = self._session.fields.lower(field_scope(call), call.limit // 2)
        log.info("%s: asking for %d at once from now on. %s", call.subject, limit, verdict)
        return [call]

    def _shortened(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Begin a window a day later, while anything of it is left."""
        since, until = (int(call.params.get(name, 0)) for name in ("since", "until"))
        if since + DAY >= until:
            return self._ended(call, verdict, client)
        call.params["since"] = str(since + DAY)
        return [call]

    def _apart(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Leave out the metrics that a refusal names for all of their kind; else find out which this object refuses."""
        session = self._session
        if verdict.then == "refused_metric" and call.metrics and self._learned(call, verdict):
            return [call]
        session.executor.scout.suspect(call)
        named = named_in(call.metrics, verdict.words)
        rest = [name for name in call.metrics if name not in named]
        is_of_object = verdict.then != "refused_metric" and not (named or call.is_optional)
        if len(call.metrics) <= 1 or is_of_object or session.breaker.open_for(call):
            return self._ended(call, verdict, client)
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

    def _without_fields(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Ask again without the fields that a refusal names; end where there are none, or the call needs them."""
        names = set(FIELD.findall(verdict.words))
        needed = ", ".join(sorted(names & set(call.needs)))
        fields = without(call.params.get("fields", ""), names)
        if needed or fields == call.params.get("fields", ""):
            because = f"{verdict.because} Nothing can be read without {needed}." if needed else verdict.because
            return self._ended(call, replace(verdict, because=because), client)
        call.params["fields"] = fields
        scope = field_scope(call)
        believed = self._session.fields.doubt(names, scope, f"{call.path} {call.params.get('after', '')}")
        for name in sorted(names):
            if self._session.first("field", name, *map(str, scope[:2])):
                log.warning(
                    "%s: field %s is left out of %s and its column stays empty there. Meta says: %s",
                    call.subject, name, scope.stream, verdict.said,
                )  # fmt: skip
        for name in believed:
            log.warning("Field %s of %s is left out for the rest of this sync: several refused it.", name, scope.stream)
        return [call]

    def _confirmed(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Let nobody through any more when the token itself is refused; what one object says of it is not enough."""
        session = self._session
        with session.confirming:
            if not session.turnstile.stopped:
                problem = session.executor.who_am_i(client)
                if problem is None:
                    verdict = replace(verdict, then="unknown")
                elif problem.then == "fail_sync":
                    session.turnstile.stop(failure(problem, THE_TOKEN))
        return self._ended(call, verdict, client)

    # -- Ends ---------------------------------------------------------------------------------------------------------

    def _conclude(self, call: GraphCall) -> None:
        """Once the whole of a call has ended: what it says of its object, and whether that adds to what others said."""
        top = call.top
        if not top.is_done:
            return
        outcome = top.outcome
        is_refused = outcome is not None and outcome.then in REFUSALS
        is_extra = top.is_optional or top.is_secondary
        others = (each for each in (top.control, top.trial) if each is not None)
        is_column = top.is_answered or (is_extra and any(other.is_answered for other in others))
        if not is_refused or top.is_optional:
            self._session.executor.scout.proven(top)
        if outcome is not None and is_refused and not is_column:
            self._session.breaker.refused(top, outcome)
        elif is_column:
            self._doubt(top)

    def _doubt(self, top: GraphCall) -> None:
        """An object has no value for some metrics, while it has others."""
        session = self._session
        for metrics, verdict in top.refused:
            if verdict.then not in REFUSALS:
                continue
            level = logging.WARNING if session.first(*metrics, str(top.scope), verdict.words) else logging.INFO
            log.log(level, "%s: no %s. Meta says: %s", top.subject, ", ".join(metrics), verdict.said)
            for name in session.metrics.doubt(metrics, top.scope, top.object):
                log.warning(
                    "Metric %s of %s is left out of most calls of account %s for the rest of this sync: several in a "
                    "row refused it. Meta says: %s", name, top.scope, top.scope.account, verdict.said,
                )  # fmt: skip


def field_scope(call: GraphCall) -> Scope:
    """Whose fields and page sizes a call speaks of: an edge of an account, in a stream."""
    return Scope(call.scope.stream, call.scope.account, call.path.partition("/")[2])
