"""Brings calls to their end: what goes together, what goes again, and what is not worth sending."""

import logging
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
from airbyte_cdk.models import (
    AirbyteMessageSerializer,
    AirbyteStreamStatus,
    AirbyteStreamStatusReason,
    AirbyteStreamStatusReasonType,
    FailureType,
    StreamDescriptor,
)
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message

from source_instagram.answers import (
    THE_TOKEN,
    UNFINISHED,
    GraphError,
    Reply,
    Rules,
    Verdict,
    failure,
    judge,
    well_formed,
)
from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import FIELD, named_in, without
from source_instagram.circuit_breaker import ATTEMPTS, BATCH_SIZE, SEVERAL, batch_size, delay
from source_instagram.turnstile import TEMPO

if TYPE_CHECKING:
    from source_instagram.graph import Graph

log = logging.getLogger("airbyte.instagram")

DAY = 86_400  # seconds
SCOUTING = 30  # seconds that calls wait for the first ones of their kind
FEW = 3  # metrics that are tried one by one, not by halves, when a refusal names none
TOO_MUCH = 2  # attempts of a list that fail without a reason, after which less is asked for

Send = Callable[["list[GraphCall]"], "list[Reply | None]"]
REFUSALS = ("refused_metric", "fail_account", "unknown")  # of an object, for reasons that may be those of others


@dataclass(frozen=True)
class Client:
    """How the calls of a stream are sent and judged, and for which account (None for what is about the token)."""

    send: Send
    rules: Rules
    permissions: Mapping[str, str]  # by edge, "*" for all others
    account: str | None
    stream: str

    @property
    def place(self) -> tuple[str, str | None]:
        """What fails together when a part of Meta's service is down."""
        return self.stream, self.account

    def permission(self, edge: str) -> str:
        """The permission that an edge needs."""
        return self.permissions.get(edge) or self.permissions.get("*", "")

    def failure(self, call: GraphCall) -> GraphError:
        """The error for a call that ended without its answer, with the missing permission by its name."""
        verdict = call.outcome
        assert verdict is not None  # noqa: S101 - the caller has just seen it
        if verdict.closed_by:
            return verdict.closed_by
        because = verdict.because.replace("{permission}", self.permission(call.path.rpartition("/")[2]))
        return failure(replace(verdict, because=because), call.subject)


class BatchExecutor:
    """The loop that sends calls until each has ended. What it learns on the way is kept by the parts of the session."""

    def __init__(self, session: "Graph") -> None:
        """Work for a session."""
        self.session = session
        self._scout = Scout()

    # -- Many calls ---------------------------------------------------------------------------------------------------

    def start(self, pool: Executor, calls: list[GraphCall], client: Client) -> list["Future[None]"]:
        """Get every call answered or refused, in batches of 50, or singly on the host where batches are unknown.

        The first call of each kind that Meta has not answered yet in this sync goes ahead. So a retired metric costs
        one call for each product type, not one for each media. Where several were refused only samples are sent.
        """
        self._scout.go_ahead(self, calls, client)
        self._sample(calls, client)
        rest = [call for call in calls if not call.is_done]
        return [pool.submit(self.run, chunk, client) for chunk in self.chunks(rest)]

    def chunks(self, calls: list[GraphCall]) -> Iterator[list[GraphCall]]:
        """The calls, as many at once as a batch holds."""
        size = 1 if self.session.instagram_login else BATCH_SIZE
        for start in range(0, len(calls), size):
            yield calls[start : start + size]

    def _sample(self, calls: list[GraphCall], client: Client) -> None:
        """Where several objects were refused and none answered, ask the first, the middle and the last of the others.

        If one of them is answered all are asked. Otherwise they end like those before them.
        """
        closed: defaultdict[Scope, list[GraphCall]] = defaultdict(list)
        for call in calls:
            if not call.is_done and self.session.breaker.open_for(call):
                closed[call.scope].append(call)
        samples = {id(each[at]): each[at] for each in closed.values() for at in (0, len(each) // 2, -1)}
        for chunk in self.chunks(list(samples.values())):
            self.run(chunk, client)
        for alike in closed.values():
            for call in alike:
                verdict = self.session.breaker.open_for(call)
                if verdict and not call.is_done:
                    call.verdict = replace(
                        verdict, because=f"{verdict.because} It was not asked, as others before it were refused."
                    )

    # -- The loop -----------------------------------------------------------------------------------------------------

    def run(self, calls: list[GraphCall], client: Client) -> None:
        """Send what is pending until nothing is: only what was refused, unfinished or shortened goes again."""
        limiter, queue = self.session.turnstile, deque(calls)
        while queue:
            batch, epochs = self._admitted(queue, client)
            if not batch:
                continue
            try:
                replies, broken = self._sent(batch, client)
            finally:
                limiter.leave(client.account, len(batch))
            verdicts = [broken or (self._judged(reply, client) if reply else UNFINISHED) for reply in replies]
            self._listen(verdicts, client)
            again: list[GraphCall] = []
            for call, reply, verdict in zip(batch, replies, verdicts, strict=True):
                again += self._received(call, reply, verdict, client, epochs)
            # Before the others, so that the first call of a broken batch soon tells whether there is any hope for them.
            queue.extendleft(reversed(again))

    def _admitted(self, queue: deque[GraphCall], client: Client) -> tuple[list[GraphCall], tuple[int, ...]]:
        """The next calls to send together, taken from the queue when it is their turn, with the epochs of their lanes."""
        batch = self._next_batch(queue)
        if not batch:
            return [], ()
        # All parts of a broken batch have waited once the first has.
        time.sleep(max(0.0, batch[0].not_before - time.monotonic()))
        session = self.session
        try:
            granted, epochs = session.turnstile.enter(
                client.account, len(batch), lambda wait, why: self._scout.waits(client, wait, why)
            )
        except GraphError as error:  # must not cost the calls that were answered
            for call in (*batch, *queue):
                if not call.is_done:
                    self._ended(call, Verdict("closed", str(error.message), blame=error.failure_type, closed_by=error))
            queue.clear()
            return [], ()
        finally:
            self._scout.waits_no_more(client)
        queue.extendleft(reversed(batch[granted:]))
        return batch[:granted], epochs

    def _next_batch(self, queue: deque[GraphCall]) -> list[GraphCall]:
        attempts = queue[0].attempts
        size = 1 if self.session.instagram_login else batch_size(attempts)
        batch: list[GraphCall] = []
        while queue and len(batch) < size and queue[0].attempts == attempts:
            call = queue.popleft()
            ready = self._prepared(call)
            if ready == [call]:
                batch.append(call)
            else:
                queue.extendleft(reversed(ready))
        return batch

    def _prepared(self, call: GraphCall) -> list[GraphCall]:
        """Leave out what is known to be refused or too much; a call of which nothing is left has its answer."""
        if call.last_fault and not call.trial:
            if call.attempts >= self.session.breaker.attempts(call):
                return self._give_up(call, call.last_fault)
            if call.is_optional and all(self.session.metrics.is_doubted(name, call.scope) for name in call.metrics):
                self._ended(call, replace(call.last_fault, then="refused_metric"))
                return []
        self._fit(call)
        if not call.metrics:
            return [call]
        if call.is_planned:
            call.metrics = self.session.metrics.known(call.metrics, call.scope)
            groups = [call.metrics]
        else:
            together, alone = self.session.metrics.plan(call.metrics, call.scope)
            groups = [group for group in (together, *([name] for name in alone)) if group]
            call.is_planned = True
        if len(groups) > 1:
            return call.split(groups)
        call.metrics = groups[0] if groups else []
        if not call.metrics:
            call.answer = {"data": []}
        return [call] if call.metrics else []

    def _fit(self, call: GraphCall) -> None:
        """Leave out fields that Meta does not know, and ask for no more items than it gives at once."""
        scope = field_scope(call)
        names = {
            name
            for name in re.findall(r"\w+", call.params.get("fields", ""))
            if self.session.fields.is_doubted(name, scope)
        }
        if names:
            call.params["fields"] = without(call.params["fields"], names)
        cap = self.session.fields.limit(scope)
        if cap and call.limit:
            shrink(call, cap)

    def _sent(self, batch: list[GraphCall], client: Client) -> tuple[list[Reply | None], Verdict | None]:
        """What came back for each call, and what is wrong with all where the connection broke."""
        try:
            with self.session.slots:
                return client.send(batch), None
        except ConnectionError as error:
            broken = Verdict("retry", f"The connection broke ({error}).", blame=FailureType.transient_error)
            return [None] * len(batch), broken

    def _judged(self, reply: Reply, client: Client) -> Verdict | None:
        return judge(reply, client.rules, self.session.clean)

    # -- What came back -----------------------------------------------------------------------------------------------

    def _received(
        self, call: GraphCall, reply: Reply | None, verdict: Verdict | None, client: Client, epochs: tuple[int, ...]
    ) -> list[GraphCall]:
        """Take an answer, or decide what becomes of a refused call: the calls to send again, or none when it ends."""
        limiter = self.session.turnstile
        # A throttle's own reading of 100 % is no reason to wait longer than for the throttle.
        if reply is not None and not (verdict and verdict.then == "rate_limited"):
            limiter.observe(client.account, reply.headers)
        if verdict is None and reply is not None:
            limiter.passed(client.account, epochs)
            if well_formed(call.path, reply.body):
                self._accept(call, reply)
                return []
            came = self.session.clean(reply.text)[:120]
            because = f"Meta answered {call.path} in a shape that this connector does not know: {came}"
            verdict = Verdict("retry", because, blame=FailureType.transient_error)
        assert verdict is not None  # noqa: S101 - without a reply there is one
        if verdict.then == "rate_limited":
            error = failure(
                replace(verdict, because=f"{verdict.because} It did not end while we waited."), call.subject
            )
            limiter.refuse(client.account, verdict.code, verdict.wait, error, epochs)
            return [call]
        return self._refused(call, verdict, client)

    def _accept(self, call: GraphCall, reply: Reply) -> None:
        call.answer, call.response = reply.body, reply.response
        session, scope = self.session, field_scope(call)
        session.breaker.answered(call)
        if call.metrics:
            session.metrics.trust((item["name"] for item in call.items), call.scope)
        if "fields" in call.params:
            session.fields.trust(re.findall(r"\w+", call.params["fields"]), scope)
        if call.is_shrunk:
            session.fields.lower(scope, call.limit)
        self._concluded(call)

    def _refused(self, call: GraphCall, verdict: Verdict, client: Client) -> list[GraphCall]:
        """What goes again after a refusal."""
        session, then = self.session, verdict.then
        if then == "unsign" and session.unsign(verdict):
            return [call]
        if then == "not_visible" and not call.was_invisible:
            call.was_invisible = True  # Meta sometimes throttles in these words
            return [call]
        if then == "reduce_page" and call.limit > 1:
            limit = session.fields.lower(field_scope(call), call.limit // 2)
            log.info("%s: asking for %d at once from now on. %s", call.subject, limit, verdict)
            return [call]
        if then in ("reduce_page", "retry"):
            return self._retried(call, replace(verdict, then="retry"))
        if then == "shorten_window" and int(call.params.get("since", 0)) + DAY < int(call.params.get("until", 0)):
            call.params["since"] = str(int(call.params["since"]) + DAY)
            return [call]
        if then == "refused_field":
            return self._without_fields(call, verdict)
        if then in REFUSALS and call.metrics:
            return self._apart(call, verdict)
        if then == "fail_sync":
            verdict = self._confirmed(verdict, client)
        self._ended(call, verdict)
        return []

    def _retried(self, call: GraphCall, verdict: Verdict) -> list[GraphCall]:
        """Try again what may heal by itself, with less of a list each time: too much data may come in these words."""
        call.attempts += 1
        call.last_fault = verdict
        if call.trial or call.attempts >= self.session.breaker.attempts(call):
            return self._give_up(call, verdict)
        if verdict.code == 1 and call.attempts >= TOO_MUCH and call.limit > 1:
            shrink(call, call.limit // 4 or 1)
            call.is_shrunk = True
        call.not_before = time.monotonic() + delay(call.attempts)
        log.info("%s: %s Attempt %d of %d follows.", call.subject, verdict, call.attempts + 1, ATTEMPTS)
        return [call]

    def _give_up(self, call: GraphCall, verdict: Verdict) -> list[GraphCall]:
        """End a call that no attempt helped.

        What is only sometimes there is refused in the words of a fault. It is a refusal when the main call of the same
        object is answered beside it, at the same moment.
        """
        control = call.control
        if call.is_optional and verdict.code is not None and control and control.items and not call.trial:
            call.trial = control.again(metrics=[control.items[0]["name"]], is_planned=True)
            return [call.trial, call]
        if call.trial and call.trial.is_answered:
            self._ended(call, replace(verdict, then="refused_metric"))
            return []
        tried = f"Tried {call.attempts} times" if call.attempts > 1 else "Tried once, as others before it failed"
        self.session.breaker.gave_up(call)
        self._ended(call, replace(verdict, because=f"{verdict.because} {tried}; the next sync tries again."))
        return []

    def _apart(self, call: GraphCall, verdict: Verdict) -> list[GraphCall]:
        """Leave out the metrics that a refusal names for all of their kind; else find out which this object refuses."""
        if verdict.then == "refused_metric":
            named, kind = self.session.metrics.learn(call.metrics, call.scope, verdict.words)
            for name in named:
                if self.session.first("metric", name, kind):
                    log.warning(
                        "Metric %s for %s is left out for the rest of this sync and its column stays empty. "
                        "Meta says: %s", name, kind, verdict.said,
                    )  # fmt: skip
            if named:
                self._scout.suspect(call)
                return [call]
        self._scout.suspect(call)
        named = named_in(call.metrics, verdict.words)
        rest = [name for name in call.metrics if name not in named]
        looks_of_object = verdict.then != "refused_metric" and not (named or call.is_optional)
        if len(call.metrics) == 1 or looks_of_object or self.session.breaker.open_for(call):
            self._ended(call, verdict)
            return []
        if named and rest:
            return call.split([named, rest])
        if call.whole is None and len(call.metrics) > FEW:
            half = len(call.metrics) // 2
            return call.split([call.metrics[:half], call.metrics[half:]])
        return call.split([[name] for name in call.metrics])

    def _without_fields(self, call: GraphCall, verdict: Verdict) -> list[GraphCall]:
        """Ask again without the fields that a refusal names; end where there are none, or the call needs them."""
        names = set(FIELD.findall(verdict.words))
        needed = names & set(call.needs)
        if needed:
            verdict = replace(
                verdict, because=f"{verdict.because} Nothing can be read without {', '.join(sorted(needed))}."
            )
        fields = without(call.params.get("fields", ""), names)
        if needed or not names or fields == call.params.get("fields", ""):
            self._ended(call, verdict)
            return []
        call.params["fields"] = fields
        scope = field_scope(call)
        believed = self.session.fields.doubt(names, scope, f"{call.path} {call.params.get('after', '')}")
        for name in names:
            if self.session.first("field", name, *map(str, scope[:2])):
                log.warning(
                    "%s: field %s is left out of %s and its column stays empty there. Meta says: %s",
                    call.subject, name, scope.stream, verdict.said,
                )  # fmt: skip
        for name in believed:
            log.warning(
                "Field %s of %s is left out for the rest of this sync, as several refused it.", name, scope.stream
            )
        return [call]

    def _confirmed(self, verdict: Verdict, client: Client) -> Verdict:
        """Let nobody through any more when the token itself is refused; what one object says of it is not enough."""
        session = self.session
        with session.confirming:
            if not session.turnstile.stopped:
                problem = self._asked_who(client)
                if problem is None:
                    return replace(verdict, then="unknown")
                if problem.then == "fail_sync":
                    session.turnstile.stop(failure(problem, THE_TOKEN))
        return verdict

    def _asked_who(self, client: Client) -> Verdict | None:
        """What comes instead of an answer to the question who the token is; None where Meta does answer."""
        replies, broken = self._sent([GraphCall("me", {"fields": "id"})], client)
        return broken or (self._judged(replies[0], client) if replies[0] else UNFINISHED)

    def _listen(self, verdicts: list[Verdict | None], client: Client) -> None:
        """End the sync when Meta answers nothing any more, not even who the token is."""
        was_answered = any(verdict is None or verdict.then != "retry" for verdict in verdicts)
        silent = self.session.breaker.is_silent(was_answered=was_answered)
        problem = self._asked_who(client) if silent else None
        if problem and problem.then == "retry":
            because = f"Meta has answered none of the last {silent} requests. The next sync goes on from here."
            stopped = replace(problem, because=f"{because} {problem.because}")
            self.session.turnstile.stop(failure(stopped, THE_TOKEN))

    # -- Ends ---------------------------------------------------------------------------------------------------------

    def _ended(self, call: GraphCall, verdict: Verdict) -> None:
        call.verdict = verdict
        self._concluded(call)

    def _concluded(self, call: GraphCall) -> None:
        """Once the whole of a call has ended: what it says of its object, and whether that adds to what others said."""
        top = call.top
        if not top.is_done:
            return
        session, outcome = self.session, top.outcome
        if outcome is None or outcome.then not in REFUSALS or top.is_optional:
            self._scout.proven(top)
        is_column = top.is_answered or (
            (top.is_optional or top.is_secondary) and top.control is not None and top.control.is_answered
        )
        if outcome is not None and outcome.then in REFUSALS and not is_column:
            session.breaker.refused(top, outcome)
        for metrics, verdict in top.refused if is_column else ():
            if verdict.then not in REFUSALS:
                continue
            level = logging.WARNING if session.first(*metrics, str(top.scope), verdict.words) else logging.INFO
            log.log(level, "%s: no %s. Meta says: %s", top.subject, ", ".join(metrics), verdict.said)
            for name in session.metrics.doubt(metrics, top.scope, top.object):
                log.warning(
                    "Metric %s of %s is left out of most calls of account %s for the rest of this sync, as several in a "
                    "row refused it. Meta says: %s", name, top.scope, top.scope.account, verdict.said,
                )  # fmt: skip


class Scout:
    """Sends the first call of each kind ahead, so that what it meets is met once."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._lock = threading.Lock()
        self._ahead: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by stream: who scouts
        self._proven: set[Scope] = set()  # kinds of calls that Meta has answered, of all accounts or one
        self._suspect: set[Scope] = set()  # kinds of which Meta has refused a metric for some account
        self._waiting: set[tuple[str, str | None]] = set()  # places that wait for a throttle

    def go_ahead(self, executor: BatchExecutor, calls: list[GraphCall], client: Client) -> None:
        """Bring the first calls of unknown kinds to their end; up to three of each while they are refused."""
        with self._lock:
            ahead = self._ahead[client.stream]
        # Who scouts may be throttled for long; the others then rather scout for themselves than wait along.
        held, patience = False, time.monotonic() + SCOUTING
        metrics = executor.session.metrics

        def is_unknown(call: GraphCall) -> bool:
            return not call.is_done and (
                self._is_unproven(call) or any(metrics.is_open(name, call.scope) for name in call.metrics)
            )

        while any(map(is_unknown, calls)) and not held and time.monotonic() < patience:
            held = ahead.acquire(timeout=0.02)
            if not held and self._is_any_waiting(client.stream):
                break
        try:
            for _ in range(SEVERAL):
                scouts: dict[Scope, GraphCall] = {}
                for call in filter(is_unknown, calls):
                    scouts.setdefault(call.scope, call)
                for chunk in executor.chunks(list(scouts.values())):
                    executor.run(chunk, client)
        finally:
            if held:
                ahead.release()

    def _is_unproven(self, call: GraphCall) -> bool:
        everyone = call.scope._replace(account=None)
        with self._lock:
            key = call.scope if everyone in self._suspect else everyone
            return key not in self._proven

    def proven(self, call: GraphCall) -> None:
        """Meta understood a call of this kind."""
        with self._lock:
            self._proven |= {call.scope, call.scope._replace(account=None)}

    def suspect(self, call: GraphCall) -> None:
        """Meta refused a metric of this kind: each account has to try for itself."""
        with self._lock:
            self._suspect.add(call.scope._replace(account=None))

    # -- Who waits ----------------------------------------------------------------------------------------------------

    def waits(self, client: Client, wait: float, why: str) -> None:
        """An account's stream waits for a throttle."""
        if why:
            with self._lock:
                self._waiting.add(client.place)
        announce(client.stream, wait, why)

    def waits_no_more(self, client: Client) -> None:
        """It was let through."""
        with self._lock:
            self._waiting.discard(client.place)

    def _is_any_waiting(self, stream: str) -> bool:
        with self._lock:
            return any(waiting == stream for waiting, _ in self._waiting)


def field_scope(call: GraphCall) -> Scope:
    """Whose fields and page sizes a call speaks of: an edge of an account, in a stream."""
    return Scope(call.scope.stream, call.scope.account, call.path.partition("/")[2])


def shrink(call: GraphCall, most: int) -> None:
    """Ask for no more than so many items of a list, and of the lists within."""
    call.params["limit"] = str(min(call.limit, most))
    nested = re.compile(r"\.limit\((\d+)\)")
    call.params["fields"] = nested.sub(
        lambda found: f".limit({min(int(found[1]), most)})", call.params.get("fields", "")
    )


def announce(stream: str, wait: float, why: str) -> None:
    """Tell the platform that a stream is waiting, not hanging: a log line and the protocol's RATE_LIMITED status.

    The status is printed as the CDK prints its own: its message queue is not read while a worker waits.
    """
    if not why or wait < TEMPO:
        return
    log.info("%s: waiting %.0f s more. %s", stream, wait, why)
    reasons = [AirbyteStreamStatusReason(type=AirbyteStreamStatusReasonType.RATE_LIMITED)]
    status = as_airbyte_message(StreamDescriptor(name=stream), AirbyteStreamStatus.RUNNING, reasons)
    print(f"{orjson.dumps(AirbyteMessageSerializer.dump(status)).decode()}\n", end="", flush=True)  # noqa: T201
