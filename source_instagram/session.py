"""What one sync knows of Meta, shared by all its streams and workers: the parts of the engine, wired together.

Mechanics: https://developers.facebook.com/docs/graph-api/batch-requests, .../guides/error-handling and
.../overview/rate-limiting.
"""

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import quote
from weakref import WeakValueDictionary

from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram import tokens
from source_instagram.answers import GraphError, Rules, Verdict
from source_instagram.building import record_limit
from source_instagram.calls import GraphCall
from source_instagram.capabilities import Capabilities
from source_instagram.circuit_breaker import CircuitBreaker
from source_instagram.client import Client
from source_instagram.configuration import TABLES
from source_instagram.executor import BatchExecutor
from source_instagram.page_sizes import PageSizes
from source_instagram.rate_limiter import RateLimiter
from source_instagram.record_limit import RecordLimit
from source_instagram.retry_policy import BATCH_SIZE
from source_instagram.sentences import log_sentences
from source_instagram.shared_answers import SharedAnswers
from source_instagram.shared_pages import SharedPages
from source_instagram.transport import GraphTransport

log = logging.getLogger("airbyte.instagram")

FEWEST = 10  # objects whose calls a slice has under way together, however many slices there are


class SyncSession:
    """One connection's dealings with Meta during one sync, shared by all its streams and workers.

    It holds what must be known together: who has to wait, which metrics and fields were refused, which accounts there
    are, whether the app secret fits the token.
    """

    _sessions: ClassVar["WeakValueDictionary[int, SyncSession]"] = WeakValueDictionary()
    _sessions_lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "SyncSession":
        """The one session of this configuration object, which lives for as long as one of the components that share it.

        The CDK hands the same object to every component of a source, and nothing else that could carry what they
        share.
        """
        with cls._sessions_lock:
            session = cls._sessions.get(id(config))
            if session is None:
                session = cls._sessions[id(config)] = cls(config)
            return session

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Prepare; nothing is sent."""
        self._config = config  # is kept, so that its id cannot come to mean another configuration
        self.login = config.get("login_type") or "facebook"
        self.instagram_login = self.login == "instagram"
        self.workers = int(config.get("num_workers") or 10)
        tables = config.get(TABLES) or {"errors": (), "permissions": {}}
        self.rules: Rules = tables["errors"]
        self.permissions: Mapping[str, str] = tables["permissions"].get(self.login, {})
        self.limit = RecordLimit(record_limit())
        self.accounts: list[dict[str, Any]] | None = None  # None: nobody has looked for them yet
        self.missing: dict[str, GraphError] = {}  # accounts that the configuration names and that cannot be found
        self.lost: dict[str, GraphError] = {}  # likewise hashtags, as `#name`
        self.in_sync = False  # some stream asks for the accounts to read them, so one that is missing must not stop it
        self.answers_to_me: bool | None = None  # Instagram Login: whether Meta answers under `me` only; None: not known
        self.rate_limiter = RateLimiter()
        self.breaker = CircuitBreaker()
        self.metrics, self.fields = Capabilities(), Capabilities()
        self.page_sizes = PageSizes()
        self.answers = SharedAnswers()
        self.lists: dict[str, Any] = {}  # by stream: its ListRetriever, for the streams that are read for its objects
        self.pages = SharedPages(self)
        self._readings = Counter[bool]()  # slices of accounts that are being read for their many calls, by `of_objects`
        self.transport = GraphTransport(self, self.workers)
        self.executor = BatchExecutor(self)
        self._said, self._is_signed = set[tuple[str, ...]](), True
        log_sentences()
        tokens.hide(config)  # now, because a command of the CDK's has just forgotten what was hidden before
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

    @contextmanager
    def reading(self, *, of_objects: bool) -> Iterator[None]:
        """While a slice of an account is read for the calls of its objects, or of its days."""
        with self._memo_lock:
            self._readings[of_objects] += 1
        try:
            yield
        finally:
            with self._memo_lock:
                self._readings[of_objects] -= 1

    def is_crowded(self, *, of_objects: bool) -> bool:
        """Whether so many slices are read, or so many of objects, that they keep all requests busy."""
        with self._memo_lock:
            return self._readings[True] + (0 if of_objects else self._readings[False]) >= self.workers

    def share(self, most: int) -> int:
        """Of how many objects a slice should have the calls under way: of so many, or less where many are read.

        All together have twice as many as the requests carry at once, so that some wait while others are answered.
        """
        with self._memo_lock:
            return min(most, max(FEWEST, 2 * self.workers * BATCH_SIZE // max(self._readings[True], 1)))

    def must_have(self, account: str | None) -> None:
        """Raise why an account, or a hashtag, cannot be read that the configuration names and that was not found."""
        problem = self.missing.get(account or "") or self.lost.get(account or "")
        if problem:
            raise problem.again()

    def proof(self) -> dict[str, str]:
        """The appsecret_proof parameter: https://developers.facebook.com/docs/graph-api/guides/secure-requests."""
        return tokens.proof(self._config, self._token) if self._is_signed else {}

    @property
    def _token(self) -> str:
        return str(self._config.get("access_token") or "")

    def clean(self, text: Any) -> str:
        """Someone else's words, without the token, on one line."""
        words = str(text or "")
        if self._token:
            words = words.replace(self._token, "****").replace(quote(self._token, safe=""), "****")
        return " ".join(re.sub(r"access_token=[^&\s\"]+", "access_token=****", words).split())

    def ask(self, call: GraphCall, client: Client) -> None:
        """Bring one call to its end, here and now. Raises a GraphError where it ends with less than an answer."""
        self.executor.run([call], client)
        self.see(call, client)

    def see(self, call: GraphCall, client: Client) -> None:
        """Tell what of a call that has ended nobody can have. Raises a GraphError where more is missing."""
        if call.verdict and call.verdict.then == "last_page":
            log.warning("%s: %s ends before its end. %s", call.subject, client.stream, call.verdict)
        elif call.verdict and call.verdict.then == "no_such_name":
            log.warning("%s: nothing for %s. %s", call.subject, client.stream, call.verdict)
        elif call.verdict:
            raise client.failure(call)

    def unsign(self, verdict: Verdict) -> None:
        """Send requests without a signature from now on."""
        with self._memo_lock:
            was_signed, self._is_signed = bool(self.proof()), False
        if was_signed:
            log.warning(
                "client_secret is not that of the app which issued access_token, so requests go on unsigned. "
                "Correct or remove client_secret. Meta says: %s", verdict.said,
            )  # fmt: skip
