"""How the connector talks to Meta: patiently, economically, and losing nothing.

No stream is known here. `components.py` names what is wanted and this module gets it: it waits for throttles, spaces
requests before they happen, repeats what may heal, leaves out what Meta no longer knows, and says what is missing.

Mechanics: https://developers.facebook.com/docs/graph-api/batch-requests, .../guides/error-handling and
.../overview/rate-limiting.
"""

import hashlib
import hmac
import logging
import re
import threading
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import orjson
import requests
from airbyte_cdk.models import (
    AirbyteMessageSerializer,
    AirbyteStreamStatus,
    AirbyteStreamStatusReason,
    AirbyteStreamStatusReasonType,
    FailureType,
    StreamDescriptor,
)
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram.answers import (
    LASTING,
    THE_TOKEN,
    UNFINISHED,
    GraphError,
    Refusal,
    Reply,
    Rules,
    judge,
    refused,
    well_formed,
)
from source_instagram.turnstile import TEMPO, Turnstile

log = logging.getLogger("airbyte.instagram")

DAY = 86_400  # seconds
BATCH_SIZE = 50  # Meta's limit: https://developers.facebook.com/docs/graph-api/batch-requests
ATTEMPTS = 6  # of a request that may heal by itself, 1, 2, 4, 8 and 16 seconds apart
HOPELESS = 10  # objects or days in a row that no attempt helped: until one is answered, others get a single attempt
ONLY_SOMETIMES = 3  # refused calls in a row for optional metrics, after which the account counts as without them
SCOUTING = 30  # seconds that calls wait for the first ones of their kind
SILENCE = 60  # seconds in which no request was answered: then Meta is asked whether it answers anything at all

Send = Callable[["list[Call]"], "list[Reply | None]"]


@dataclass(frozen=True)
class Errand:
    """How calls are sent and judged, and for whom: an account (None for what is about the token) of a stream."""

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

    def failure(self, call: "Call") -> GraphError:
        """The error for a call that ended in a refusal, with the missing permission by its name."""
        assert call.refusal is not None  # noqa: S101 - the caller has just seen it
        if call.refusal.closed_by:
            return call.refusal.closed_by
        because = call.refusal.because.replace("{permission}", self.permission(call.path.rpartition("/")[2]))
        return refused(replace(call.refusal, because=because), call.subject)


@dataclass
class Call:
    """One Graph call. It ends with either an answer (the parsed body) or a refusal."""

    path: str
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    about: Any = None  # whatever its caller wants to find it by
    subject: str = ""  # the account or object, in words for people
    kind: str = ""  # what a refused metric or field is remembered for: a product type, a stream's fields, an account
    row: str = ""  # which line of the table of metrics, and product type: the first call of each goes ahead
    optional: bool = False  # its metrics are only sometimes there: a refusal is a null, not an event
    answer: Any = None
    refusal: Refusal | None = None
    response: requests.Response | None = None
    whole: "Call | None" = None  # the call that this one is a single metric of
    attempts: int = 0  # in which it came to nothing, for a reason that may heal
    trouble: Refusal | None = None  # that reason
    asked_again: bool = False
    due: float = 0.0  # when it may go again, on the monotonic clock

    @property
    def is_of_object(self) -> bool:
        """Whether it is about one media, story or list, of which one failure tells enough, not one day of many."""
        return family(self.kind) == "media"

    @property
    def matters(self) -> bool:
        """Whether its refusal is more than a null: it is not optional, or what was refused is not its metrics."""
        return not self.optional or (self.refusal is not None and self.refusal.then in ("stop", "closed", "retry"))

    @property
    def url(self) -> str:
        """Path and query, as they stand in a batch."""
        metric = {"metric": ",".join(self.metrics)} if self.metrics else {}
        query = urlencode({**metric, **self.params}, safe=",{}().")
        return f"{self.path}?{query}" if query else self.path


class Graph:
    """One connection's dealings with Meta during one sync, shared by all its streams and workers.

    It holds what must be known together: who has to wait, which metrics and fields were refused, which accounts there
    are, whether the app secret fits the token.
    """

    _sessions: ClassVar["OrderedDict[int, tuple[Any, Graph]]"] = OrderedDict()
    _sessions_lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Graph":
        """The one Graph of this configuration object.

        The CDK hands the same object to every component of a source, and nothing else that could carry what they
        share. The object is kept with its Graph, so that its id cannot come to mean another one; only the last few
        are, because a Builder's server lives long and each of its reads brings a new one.
        """
        with cls._sessions_lock:
            if id(config) not in cls._sessions:
                cls._sessions[id(config)] = (config, cls(config))
                while len(cls._sessions) > 8:  # noqa: PLR2004
                    cls._sessions.popitem(last=False)
            return cls._sessions[id(config)][1]

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Prepare; nothing is sent."""
        self.instagram_login = config.get("login_type") == "instagram"
        self.workers = int(config.get("num_workers") or 10)
        self.accounts: list[dict[str, Any]] = []
        self.missing: dict[str, GraphError] = {}  # accounts that the configuration names and that cannot be found
        self.converted: dict[tuple[str, str | None], str] = {}  # when an account's newest media without insights is of
        self.in_sync = False  # some stream asks for the accounts to read them, so one that is missing must not stop it
        self.answers_to_me: bool | None = None  # Instagram Login: whether Meta answers under `me` only; None: not known
        self.turnstile = Turnstile()
        self.refused: defaultdict[str, set[str]] = defaultdict(set)  # by kind: metrics and fields Meta does not know
        self._limits: dict[str, int] = {}  # by kind: how many Meta is willing to give at once
        self._proven: set[Any] = set()  # rows of metrics that Meta has answered, also by kind
        self._suspect: set[str] = set()  # rows of which Meta has refused a metric for some kind
        self.closed: dict[tuple[str, str | None], GraphError] = {}  # streams of accounts that are refused as a whole
        self._in_vain: Counter[Any] = Counter()  # by place, path, and row: calls in a row that came to nothing
        self._silence: deque[float] = deque()  # when the requests since the last answer of any kind were broken
        self._said: set[tuple[str, ...]] = set()
        self._scouting: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._held_up: set[tuple[str, str | None]] = set()  # places that wait for a throttle
        self._slots = threading.BoundedSemaphore(self.workers)
        self._token = str(config.get("access_token") or "")
        self._proof = None
        if config.get("client_secret") and not self.instagram_login:
            secret = str(config["client_secret"]).encode()
            self._proof = hmac.new(secret, self._token.encode(), hashlib.sha256).hexdigest()
        for secret_text in (quote(self._token, safe=""), self._proof):
            if secret_text:
                add_to_secrets(secret_text)
        self._memo: dict[str, Any] = {}
        self._memo_lock = threading.Lock()

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once per sync; its error is remembered too, so that it costs no second request."""
        with self._memo_lock:
            lock = self._memo.setdefault(f"lock {key}", threading.Lock())
        with lock:
            if key not in self._memo:
                try:
                    self._memo[key] = (make(), None)
                except AirbyteTracedException as error:
                    self._memo[key] = (None, error)
            value, failure = self._memo[key]
        if failure:
            raise failure
        return value

    def first(self, *what: str) -> bool:
        """Whether this is to be said for the first time in this sync."""
        with self._memo_lock:
            new = what not in self._said
            self._said.add(what)
            return new

    def proof(self) -> dict[str, str]:
        """The appsecret_proof parameter: https://developers.facebook.com/docs/graph-api/guides/secure-requests."""
        return {"appsecret_proof": self._proof} if self._proof else {}

    def clean(self, text: Any) -> str:
        """Someone else's words, without the token, on one line."""
        words = str(text or "")
        if self._token:
            words = words.replace(self._token, "****").replace(quote(self._token, safe=""), "****")
        return " ".join(re.sub(r"access_token=[^&\s\"]+", "access_token=****", words).split())[:500]

    def ask(self, call: Call, errand: Errand) -> None:
        """Bring one call to its end, here and now. Raises a GraphError where it ends with less than an answer."""
        self.settle_chunk([call], errand)
        if call.refusal and call.refusal.then in ("absent", "older"):
            log.info("%s: nothing for %s. %s", call.subject, errand.stream, call.refusal)
        elif call.refusal:
            raise errand.failure(call)

    def settle(self, pool: Executor, calls: list[Call], errand: Errand) -> list["Future[None]"]:
        """Get every call answered or refused, in batches of 50, or singly on the host where batches are unknown.

        The first call of each row and kind that Meta has not answered yet in this sync goes ahead. So a retired metric
        costs one call for each product type, not one for each media.
        """
        scouting = self._scouting[errand.stream]
        # Who scouts may be throttled for long; the others then rather scout for themselves than wait along.
        held, patience = False, time.monotonic() + SCOUTING
        while any(map(self._unproven, calls)) and not held and time.monotonic() < patience:
            held = scouting.acquire(timeout=0.02)
            if not held and any(stream == errand.stream for stream, _ in [*self._held_up]):
                break
        try:
            scouts: dict[tuple[str, str], Call] = {}
            for call in filter(self._unproven, calls):
                scouts.setdefault((call.row, call.kind), call)
            for chunk in self._chunks(list(scouts.values())):
                self.settle_chunk(chunk, errand)
        finally:
            if held:
                scouting.release()
        rest = [call for call in calls if call.answer is None and call.refusal is None]
        return [pool.submit(self.settle_chunk, chunk, errand) for chunk in self._chunks(rest)]

    def _unproven(self, call: Call) -> bool:
        return call.row not in self._proven or (call.row in self._suspect and (call.row, call.kind) not in self._proven)

    def _chunks(self, calls: list[Call]) -> Iterator[list[Call]]:
        size = 1 if self.instagram_login else BATCH_SIZE
        for start in range(0, len(calls), size):
            yield calls[start : start + size]

    def settle_chunk(self, calls: list[Call], errand: Errand) -> None:
        """Send what is pending until nothing is: only the refused, unfinished and shortened calls go again."""
        later = deque(calls)
        while later:
            pending, epochs = self._admitted(later, errand)
            if not pending:
                continue
            try:
                replies, broken = self._sent(pending, errand)
            finally:
                self.turnstile.leave(errand.account, len(pending))
            refusals = [
                broken or (judge(reply, errand.rules, self.clean) if reply else UNFINISHED) for reply in replies
            ]
            self._listen(refusals, errand)
            again: list[Call] = []
            for call, reply, verdict in zip(pending, replies, refusals, strict=True):
                refusal = verdict
                # A throttle's own reading of 100 % is no reason to wait longer than for the throttle.
                if reply is not None and not (refusal and refusal.then == "wait"):
                    self.turnstile.observe(errand.account, reply.headers)
                if refusal is None and reply is not None:
                    self.turnstile.passed(errand.account, epochs)
                    refusal = self._accept(call, reply)
                if refusal is None:
                    self._proven |= {call.row, (call.row, call.kind)}
                    for key in (errand.place, call.path, (call.row, errand.account)):
                        self._in_vain.pop(key, None)
                else:
                    again += self._consider(call, refusal, errand, epochs)
            # Before the others, so that the first call of a broken batch soon tells whether there is any hope for them.
            later.extendleft(reversed(again))

    def _admitted(self, later: deque[Call], errand: Errand) -> tuple[list[Call], tuple[int, ...]]:
        """The next calls to send together, taken from `later` when it is their turn, with the epochs of their lanes."""
        # What broke as part of a large batch may arrive in a smaller one.
        size = 1 if self.instagram_login else max(1, BATCH_SIZE >> 2 * later[0].attempts)
        attempts, pending = later[0].attempts, list[Call]()
        while later and len(pending) < size and later[0].attempts == attempts:
            pending.append(later.popleft())
        pending = [call for call in pending if self._worth_asking(call, errand)]
        if not pending:
            return [], ()
        # All parts of a broken batch have waited once the first has.
        time.sleep(max(0.0, pending[0].due - time.monotonic()))

        def hold(wait: float, why: str) -> None:
            if why:
                self._held_up.add(errand.place)
            announce(errand.stream, wait, why)

        try:
            granted, epochs = self.turnstile.enter(errand.account, len(pending), hold)
        except GraphError as error:  # must not cost the calls that were answered
            for call in (*pending, *later):
                self._ended(call, Refusal("closed", str(error.message), blame=error.failure_type, closed_by=error))
            later.clear()
            return [], ()
        finally:
            self._held_up.discard(errand.place)
        later.extendleft(reversed(pending[granted:]))
        return pending[:granted], epochs

    def _sent(self, pending: list[Call], errand: Errand) -> tuple[list[Reply | None], Refusal | None]:
        """What came back for each call, and what is wrong with all where the connection broke."""
        try:
            with self._slots:
                return errand.send(pending), None
        except ConnectionError as error:
            broken = Refusal("retry", f"The connection broke ({error}).", blame=FailureType.transient_error)
            return [None] * len(pending), broken

    def _worth_asking(self, call: Call, errand: Errand) -> bool:
        """Leave out what is known to be refused or too much; a call of which nothing is left has its answer."""
        if call.trouble and call.attempts >= self._attempts(call, errand):
            self._give_up(call, call.trouble, errand)
            return False
        cap = self._limits.get(call.kind)
        if "fields" in call.params:
            call.params["fields"] = without(call.params["fields"], self.refused[call.kind])
        if cap and "limit" in call.params:
            call.params["limit"] = str(min(int(call.params["limit"]), cap))
            nested = re.compile(r"\.limit\((\d+)\)")
            call.params["fields"] = nested.sub(
                lambda found: f".limit({min(int(found[1]), cap)})", call.params.get("fields", "")
            )
        if call.metrics:
            kind = within(errand.account, call.kind)
            call.metrics = [metric for metric in call.metrics if not self._is_refused(metric, call.kind, kind)]
            if not call.metrics:
                self._answered(call, {"data": []})
        return call.answer is None

    def _accept(self, call: Call, reply: Reply) -> Refusal | None:
        if not well_formed(call.path, reply.body):
            came = self.clean(reply.text)[:120]
            return Refusal(
                "retry",
                f"Meta answered {call.path} in a shape that this connector does not know: {came}",
                blame=FailureType.transient_error,
            )
        call.response = reply.response
        self._answered(call, reply.body)
        return None

    @staticmethod
    def _answered(call: Call, body: Any) -> None:
        call.answer = body
        if call.whole:
            call.whole.answer["data"].extend(body["data"])

    def _consider(  # noqa: C901, PLR0911 - one branch and return for each thing that may be done
        self, call: Call, refusal: Refusal, errand: Errand, epochs: tuple[int, ...]
    ) -> list[Call]:
        """Decide what becomes of a refused call: the calls to send again, or none, when it ends as it is."""
        if refusal.then == "wait":
            error = refused(
                replace(refusal, because=f"{refusal.because} It did not end while we waited."), call.subject
            )
            self.turnstile.refuse(errand.account, refusal.code, refusal.headers, error, epochs)
            return [call]
        if refusal.then == "proof" and self._proof:
            self._drop_proof(refusal)
            return [call]
        if refusal.then == "gone" and not call.asked_again:
            call.asked_again = True  # Meta sometimes throttles in these words
            return [call]
        if refusal.then == "smaller" and int(call.params.get("limit", 1)) > 1:
            self._limits[call.kind] = int(call.params["limit"]) // 2
            log.info("%s: asking for %d at once from now on. %s", call.subject, self._limits[call.kind], refusal)
            return [call]
        if refusal.then == "smaller":
            refusal = replace(refusal, then="retry")
        if refusal.then == "retry":
            call.attempts += 1
            call.trouble = refusal
            if call.attempts >= self._attempts(call, errand):
                self._give_up(call, refusal, errand)
                return []
            call.due = time.monotonic() + 2 ** (call.attempts - 1) * TEMPO
            log.info("%s: %s Attempt %d of %d follows.", call.subject, refusal, call.attempts + 1, ATTEMPTS)
            return [call]
        if refusal.then == "later" and int(call.params.get("since", 0)) + DAY < int(call.params.get("until", 0)):
            call.params["since"] = str(int(call.params["since"]) + DAY)
            return [call]
        if refusal.then == "metric" and call.metrics:
            return self._leave_out(call, refusal)
        if refusal.then == "field" and self._forget_fields(call, refusal):
            return [call]
        if call.optional and refusal.then in ("fail", "unknown"):
            self._not_there(call, refusal, errand)
        if refusal.then == "stop":
            self.turnstile.stop(refused(refusal, THE_TOKEN))
        self._ended(call, refusal)
        return []

    def _attempts(self, call: Call, errand: Errand) -> int:
        """How many a call gets: one where many of its place, or another of its object, have just come to nothing."""
        hopeless = self._in_vain[errand.place] >= HOPELESS or (call.is_of_object and self._in_vain[call.path] > 0)
        return 1 if hopeless else ATTEMPTS

    def _give_up(self, call: Call, refusal: Refusal, errand: Errand) -> None:
        """End a call that no attempt helped."""
        tried = f"Tried {call.attempts} times" if call.attempts > 1 else "Tried once, as others before it failed"
        refusal = replace(refusal, because=f"{refusal.because} {tried}; the next sync tries again.")
        # What is only sometimes there is refused in the words of a fault, while all else is answered.
        is_fault = not (call.optional and refusal.code) or self._in_vain[errand.place] > 0
        if is_fault or (len(self._silence) >= ATTEMPTS and self._silent(errand)):
            self._in_vain[errand.place] += not (call.is_of_object and self._in_vain[call.path])
            self._in_vain[call.path] += 1
        else:
            self._not_there(call, refusal, errand)
            refusal = replace(refusal, then="metric")
        self._ended(call, refusal)

    def _not_there(self, call: Call, refusal: Refusal, errand: Errand) -> None:
        """Count a refused call for metrics that are only sometimes there, until the account counts as without them."""
        self._in_vain[call.row, errand.account] += 1
        if self._in_vain[call.row, errand.account] >= ONLY_SOMETIMES:
            self._refuse(call.metrics, within(errand.account, call.kind), refusal)

    def _listen(self, refusals: list[Refusal | None], errand: Errand) -> None:
        """End the sync when Meta answers nothing any more, not even who the token is."""
        with self._memo_lock:
            self._silence.append(time.monotonic())
            if any(refusal is None or refusal.then != "retry" for refusal in refusals):
                self._silence.clear()
            if len(self._silence) < ATTEMPTS or self._silence[-1] - self._silence[0] < SILENCE * TEMPO:
                return
            silent = len(self._silence)
            self._silence.clear()
        problem = self._silent(errand)
        if problem:
            because = f"Meta has answered none of the last {silent} requests. The next sync goes on from here."
            self.turnstile.stop(refused(replace(problem, because=f"{because} {problem.because}"), THE_TOKEN))

    def _silent(self, errand: Errand) -> Refusal | None:
        """What comes instead of an answer to the question who the token is; None where Meta does answer."""
        replies, broken = self._sent([Call("me", {"fields": "id"})], errand)
        problem = broken or (judge(replies[0], errand.rules, self.clean) if replies[0] else UNFINISHED)
        return problem if problem and problem.then == "retry" else None

    def _ended(self, call: Call, refusal: Refusal) -> None:
        call.refusal = refusal
        self._proven |= {call.row, (call.row, call.kind)}
        if not call.matters and refusal.then not in LASTING:
            names = ", ".join(call.metrics)
            level = logging.WARNING if self.first(names, call.kind, refusal.words) else logging.DEBUG
            log.log(level, "%s: no %s. Meta says: %s", call.subject, names, refusal.words)
        if call.whole and call.matters and refusal.then not in LASTING:
            call.whole.refusal = refusal

    def _is_refused(self, metric: str, *kinds: str) -> bool:
        return any(metric in self.refused[kind] for kind in (*kinds, family(kinds[0])))

    def _leave_out(self, call: Call, refusal: Refusal) -> list[Call]:
        """Strip the metrics that a refusal names, for this kind and the rest of the sync; try each, if it names none.

        `metric[2] must be one of the following values: reach, likes` names those that are not in its list, everywhere;
        `does not support the {follows, profile_visits} metric for this media product type` names them itself.
        """
        listed = re.search(r"metric\[\d+\] must be one of the following values:(.*)", refusal.words)
        words = set(re.findall(r"\w+", listed[1] if listed else refusal.words))
        named = [metric for metric in call.metrics if (metric in words) is not bool(listed)]
        self._suspect.add(call.row)
        if not named and len(call.metrics) > 1:
            call.answer = {"data": []}
            return [replace(call, metrics=[metric], whole=call, answer=None) for metric in call.metrics]
        self._refuse(named or call.metrics, family(call.kind) if listed else call.kind, refusal)
        return [call]

    def _refuse(self, metrics: list[str], kind: str, refusal: Refusal) -> None:
        for metric in metrics:
            if not self._is_refused(metric, kind):
                self.refused[kind].add(metric)
                log.warning(
                    "Metric %s for %s is left out for the rest of this sync and its column stays empty. Meta says: %s",
                    metric, kind, refusal.words,
                )  # fmt: skip

    def _forget_fields(self, call: Call, refusal: Refusal) -> bool:
        """Leave out the fields that a refusal names, for the rest of the sync; False where the call has none."""
        named = set(re.findall(r"field \((\w+)\)", refusal.words))
        for name in named - self.refused[call.kind]:
            self.refused[call.kind].add(name)
            log.warning(
                "Field %s (%s) is left out for the rest of this sync and its column stays empty. Meta says: %s",
                name, call.kind, refusal.words,
            )  # fmt: skip
        fields = call.params.get("fields", "")
        return without(fields, named) != fields

    def _drop_proof(self, refusal: Refusal) -> None:
        with self._memo_lock:
            if self._proof:
                log.warning(
                    "client_secret is not that of the app which issued access_token, so requests go on unsigned. "
                    "Correct or remove client_secret. Meta says: %s", refusal.words,
                )  # fmt: skip
            self._proof = None


def without(fields: str, names: set[str]) -> str:
    """A `fields` parameter without the names, at any depth.

    Before: id,ig_id,children{id,ig_id}, without ig_id
    After:  id,children{id}
    """
    if not names:
        return fields
    pattern = "|".join(map(re.escape, names))
    kept = re.sub(rf"(?<![\w.])(?:{pattern})(?:\.\w+\([^)]*\))*(?:\{{[^{{}}]*\}})?(?=[,}}]|$),?", "", fields)
    return kept.replace(",}", "}").rstrip(",")


def family(kind: str) -> str:
    """What Meta's lists of metrics are for: accounts have one, and media of all product types another."""
    return "accounts" if kind.startswith("account ") else "media"


def within(account: str | None, kind: str) -> str:
    """A kind of calls within one account: `REELS of account 17841…`."""
    return kind if kind.startswith("account ") else f"{kind} of account {account}"


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
