"""What becomes of a call by what Meta answered: what is learned of it, and what goes again."""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from source_instagram.answers import DISCOVERY, THE_TOKEN, Reply, Verdict, failure, listed_in
from source_instagram.calls import GraphCall
from source_instagram.capabilities import names_in
from source_instagram.client import Client
from source_instagram.evidence import REFUSALS, Evidence
from source_instagram.refusals import Refusals
from source_instagram.retry_policy import RetryPolicy
from source_instagram.riders import alight, shared_out

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

DAY = 86_400  # seconds
KEPT = (28, 728)  # days that Meta keeps at least, of what it keeps for 30 days and for two years
NUMBERS = ("name", "values", "total_value")  # what of a metric is needed

Handler = Callable[[GraphCall, Verdict, Client], list[GraphCall]]


def shows_fields(answer: Any) -> bool:
    """Whether an answer shows that Meta knows the fields it was asked for: it looks at them where an object has them.

    Before: {"data": []}, or {"business_discovery": {"id": "1784…", "media": {"data": []}}, …}
    After:  False
    """
    found = answer.get(DISCOVERY)
    listed = listed_in(found.get("media")) if found else answer.get("data")
    return bool(listed != [])


class Verdicts:
    """One method for each thing that the rules of the manifest say to do."""

    def __init__(self, session: "SyncSession") -> None:
        """Keep what is learned in the parts of a session."""
        self._session = session
        self.evidence = Evidence(session)
        self.retry_policy = RetryPolicy(session.breaker, session.metrics, self.end)
        self._refusals = Refusals(session, self.end)
        self._confirming = threading.Lock()  # of the token: one asks, the others wait for the answer
        self._handlers: dict[str, Handler] = {
            "unsign": self._unsigned,
            "not_visible": self._asked_twice,
            "reduce_page": self._reduced,
            "retry": lambda call, verdict, _: self.retry_policy.failed(call, verdict),
            "shorten_window": self._shortened,
            "refused_field": self._refusals.without_fields,
            "fail_sync": self._confirmed,
            "no_data": self._refusals.lacking,
            **dict.fromkeys(REFUSALS, self._refusals.apart),
        }

    def accept(self, call: GraphCall, reply: Reply) -> None:
        """End a call with its answer, and those that travel in it."""
        for each, body in shared_out(call, reply.body):
            each.answer = body
            self._accepted(each)

    def _accepted(self, call: GraphCall) -> None:
        session, scope = self._session, call.edge
        if call.metrics:  # Meta describes each metric each time; of many calls that is most of the memory
            call.answer = {"data": [{name: item[name] for name in NUMBERS if name in item} for item in call.items]}
        session.breaker.answered(call)
        if call.metrics:
            session.metrics.trust((item["name"] for item in call.items), call.scope)
        if "fields" in call.params and shows_fields(call.answer):
            session.fields.trust(names_in(call.params["fields"]), scope)
        if call.unshrunk:
            session.page_sizes.shrunk(scope, call.limit, again=call.was_told)
        if call.metrics and "since" in call.params:
            call.pack()
        self.evidence.conclude(call)

    def refuse(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """What goes again after a refusal: nothing where it ends the call."""
        if call.has_other_way and (verdict.is_too_much or verdict.then == "refused_field"):
            return self._ended(call, verdict, client)
        if self._refusals.unburdened(call, verdict):
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
        limit = self._session.page_sizes.lower(call.edge, call.limit // 2)
        log.info("%s: asking for %d at once from now on. %s", call.subject, limit, verdict)
        return [call]

    def _shortened(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Begin a window a day later, while anything of it is left."""
        since, until = (int(call.params.get(name, 0)) for name in ("since", "until"))
        if since > time.time() - KEPT[bool(re.search("2 years", verdict.words))] * DAY:  # Meta does keep these
            return self._refusals.apart(call, replace(verdict, then="unknown"), client)
        if since + DAY >= until:
            return self._ended(call, verdict, client)
        call.params["since"] = str(since + DAY)
        return [call]

    def _confirmed(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """Let nobody through any more when the token itself is refused; what one object says of it is not enough."""
        session = self._session
        with self._confirming:
            if not session.rate_limiter.stopped:
                problem = session.transport.who_am_i(client)
                if problem is None:
                    verdict = replace(verdict, then="unconfirmed")
                elif problem.then == "fail_sync":
                    session.rate_limiter.stop(failure(problem, THE_TOKEN))
                else:  # a throttle or a fault: whether the token is still good will be seen
                    return self.retry_policy.failed(call, problem)
        return self._ended(call, verdict, client)
