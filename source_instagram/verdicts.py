"""What becomes of a call by what Meta answered: what is learned of it, and what goes again."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from source_instagram.answers import THE_TOKEN, Reply, Verdict, failure
from source_instagram.calls import GraphCall
from source_instagram.capabilities import FIELD, among, named_in, names_in, without
from source_instagram.client import Client
from source_instagram.evidence import REFUSALS, Evidence
from source_instagram.retry_policy import RetryPolicy
from source_instagram.riders import alight, refused, shared_out

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

DAY = 86_400  # seconds
KEPT = (28, 728)  # days that Meta keeps at least, of what it keeps for 30 days and for two years
NUMBERS = ("name", "values", "total_value")  # what of a metric is needed
FEW = 3  # metrics that are tried one by one, not by halves, when a refusal names none

Handler = Callable[[GraphCall, Verdict, Client], list[GraphCall]]


class Verdicts:
    """One method for each thing that the rules of the manifest say to do."""

    def __init__(self, session: "SyncSession") -> None:
        """Keep what is learned in the parts of a session."""
        self._session = session
        self.evidence = Evidence(session)
        self.retry_policy = RetryPolicy(session.breaker, session.metrics, self.end)
        self._handlers: dict[str, Handler] = {
            "unsign": self._unsigned,
            "not_visible": self._asked_twice,
            "reduce_page": self._reduced,
            "retry": lambda call, verdict, _: self.retry_policy.failed(call, verdict),
            "shorten_window": self._shortened,
            "refused_field": self._without_fields,
            "fail_sync": self._confirmed,
            "no_data": self._lacking,
            **dict.fromkeys(REFUSALS, self._apart),
        }

    def accept(self, call: GraphCall, reply: Reply) -> None:
        """End a call with its answer, and those that travel in it."""
        for each, body in shared_out(call, reply.body):
            each.answer, each.response = body, reply.response
            self._accepted(each)

    def _accepted(self, call: GraphCall) -> None:
        session, scope = self._session, call.edge
        if call.metrics:  # Meta describes each metric each time; of many calls that is most of the memory
            call.answer = {"data": [{name: item[name] for name in NUMBERS if name in item} for item in call.items]}
        session.breaker.answered(call)
        if call.metrics:
            session.metrics.trust((item["name"] for item in call.items), call.scope)
        if "fields" in call.params:
            session.fields.trust(names_in(call.params["fields"]), scope)
        if call.unshrunk:
            session.fields.shrunk(scope, call.limit, again=call.was_told)
        self.evidence.conclude(call)

    def refuse(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """What goes again after a refusal: nothing where it ends the call."""
        if call.has_other_way and (verdict.is_too_much or verdict.then == "refused_field"):
            return self._ended(call, verdict, client)
        if call.riders and verdict.then == "refused_metric":
            # All, because the words may speak of several.
            learned = [self._learned(each, verdict) for each in (call, *call.riders)]
            if any(learned):
                return [call]
        if refused(call, verdict):
            scout = self._session.executor.scout
            # Meta looks at the metrics before it looks at the media, so that it knows those which a media has not.
            (scout.proven if verdict.then == "no_data" else scout.suspect)(call.top)
            return [call]
        return self._handlers.get(verdict.then, self._ended)(call, verdict, client)

    def end(self, call: GraphCall, verdict: Verdict) -> None:
        """End a call without an answer; one that was only to spare others shows nothing then, as they are made."""
        call.verdict = verdict
        for rider in list(call.riders):
            alight(call, rider)
        if not call.spares:
            self.evidence.conclude(call)

    def released(self, call: GraphCall) -> list[GraphCall]:
        """What travelled in a call, and goes by itself now that it has ended."""
        top = call.top
        if not (top.waiting and top.is_done):
            return []
        waiting, top.waiting = top.waiting, []
        again = []
        for rider, verdict in waiting:
            # What is said of the others alike was not about this one alone.
            is_told = verdict is not None and verdict.saying not in [each.saying for _, each in top.refused]
            why = (verdict if is_told else None) if top.is_answered else top.outcome
            if why:
                self.end(rider, why)
            else:
                again.append(rider)
        return again

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
        limit = self._session.fields.lower(call.edge, call.limit // 2)
        log.info("%s: asking for %d at once from now on. %s", call.subject, limit, verdict)
        return [call]

    def _shortened(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Begin a window a day later, while anything of it is left."""
        since, until = (int(call.params.get(name, 0)) for name in ("since", "until"))
        if since > time.time() - KEPT[bool(re.search("2 years", verdict.words))] * DAY:  # Meta does keep these
            return self._apart(call, replace(verdict, then="unknown"), client)
        if since + DAY >= until:
            return self._ended(call, verdict, client)
        call.params["since"] = str(since + DAY)
        return [call]

    def _lacking(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """End a call of which there is nothing; where only some metric is lacking, find out which."""
        return (self._apart if verdict.metrics else self._ended)(call, verdict, client)

    def _apart(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
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
        asked = call.params.get("fields", "")
        names = set(FIELD.findall(verdict.words))
        # Meta does not say where: the lists within come first, as they may lack what the object has.
        names = {name for name in names_in(asked) if name.startswith(".") and name[1:] in names} or names
        needed = ", ".join(sorted(names & set(call.needs)))
        fields = without(asked, names)
        if needed or fields == asked:
            because = f"{verdict.because} Nothing can be read without {needed}." if needed else verdict.because
            return self._ended(call, replace(verdict, because=because), client)
        call.params["fields"] = fields
        scope = call.edge
        believed = self._session.fields.doubt(names, scope, f"{call.path} {call.params.get('after', '')}")
        for name in sorted(names):
            if self._session.first("field", name, *map(str, scope[:2])):
                log.warning(
                    "%s: field %s is left out of %s and its column stays empty there. Meta says: %s",
                    call.subject, name.replace(".", "…."), scope.stream, verdict.said,
                )  # fmt: skip
        for name in believed:
            log.warning("Field %s of %s is left out for the rest of this sync: several refused it.", name, scope.stream)
        return [call]

    def _confirmed(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Let nobody through any more when the token itself is refused; what one object says of it is not enough."""
        session = self._session
        with session.confirming:
            if not session.rate_limiter.stopped:
                problem = session.transport.who_am_i(client)
                if problem is None:
                    verdict = replace(verdict, then="unconfirmed")
                elif problem.then == "fail_sync":
                    session.rate_limiter.stop(failure(problem, THE_TOKEN))
                else:  # a throttle or a fault: whether the token is still good will be seen
                    return self.retry_policy.failed(call, problem)
        return self._ended(call, verdict, client)
