"""Accounts of others, by their user names: the profile of each and its media, a page at a time.

https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/business_discovery
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime
from typing import Any

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.extractors.record_selector import RecordSelector
from airbyte_cdk.sources.declarative.retrievers import Retriever
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import StreamSlice

from source_instagram.answers import DISCOVERY, Verdict, failure, listed_in, number
from source_instagram.askers import ACCOUNT, Askers, who_may_ask
from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import SEVERAL, names_in
from source_instagram.client import Client
from source_instagram.observed import observed
from source_instagram.requester import GraphRequester
from source_instagram.session import SyncSession
from source_instagram.shared_pages import united
from source_instagram.times import moment, today
from source_instagram.vanished import REPEATED

log = logging.getLogger("airbyte.instagram")

# Without these an answer is of no use, wherever in the expansion they stand.
NEEDS = (DISCOVERY, "id", "username", ".username", "timestamp", ".timestamp", "media", ".media")
HIDDEN = Verdict(
    "retry",
    "Meta has just shown it, and says now that there is no such account. The next sync tries again.",
    blame=FailureType.transient_error,
)
KEPT = 200  # answers that wait for another stream; the oldest beyond that are asked for again, which costs a call

Found = Mapping[str, Any]


@dataclass(eq=False)
class Question:
    """What is asked about a user name, and the call that has brought it to its end."""

    name: str
    stream: str  # that asks, or that needs most of the answer
    fields: str
    account: str = ""  # that asks, where no other may: it was given the cursor
    takers: set[str] = field(default_factory=set)  # the other streams that need the answer, until they have come
    is_there: threading.Event = field(default_factory=threading.Event)
    call: GraphCall | None = None

    @property
    def ended(self) -> GraphCall:
        """The call, after it was asked."""
        assert self.call is not None  # noqa: S101 - see `Discovery`
        return self.call

    @property
    def found(self) -> Found:
        """What Meta gave; empty where nobody goes by the name who may be shown."""
        return ((self.call.answer if self.call else None) or {}).get(DISCOVERY) or {}

    def through(self, account: str) -> GraphCall:
        """The call, through an account; what no attempt helped through another gets no more than one."""
        self.call = GraphCall(
            account,
            {"fields": f"{DISCOVERY}.username({self.name}){{{self.fields}}}"},
            scope=Scope(self.stream, account),
            subject=f"user {self.name}",
            who=self.name,
            needs=NEEDS,
            attempts=self.call.attempts if self.call else 0,
        )
        return self.call


class Discovery:
    """What all streams of a sync ask about user names: one call of a name serves whoever needs its first page.

    Each goes through the account that has most room left.
    """

    def __init__(self, session: SyncSession) -> None:
        """Nobody asks anything yet."""
        self._session = session
        self._lock = threading.Lock()
        self._needed: dict[str, str] = {}  # by stream: the fields of the first answer
        self._first: dict[str, Question] = {}  # by name, oldest first: what others have still to come for
        self._askers = Askers(session)
        self._clients: dict[str, GraphRequester] = {}

    def join(self, stream: str, requester: GraphRequester, fields: str) -> None:
        """Let a stream ask; in a sync, what it needs of each name's first answer is asked for together."""
        with self._lock:
            self._clients[stream] = requester
            if requester.catalog_entry:
                self._needed[stream] = fields

    def first(self, stream: str, name: str, fields: str) -> Question:
        """The first answer about a name, with what the other streams need of it."""
        with self._lock:
            known = self._first.get(name)
            is_mine = known is None or stream not in known.takers
            if is_mine:
                others = {each: needed for each, needed in self._needed.items() if each != stream}
                whose = max([stream, *others], key=lambda each: len(others.get(each, fields)))
                known = Question(name, whose, united([fields, *others.values()]), takers=set(others))
                if others:
                    self._first[name] = known
        assert known is not None  # noqa: S101 - it is there, or was just made
        if is_mine:
            self.ask(known)
        known.is_there.wait()
        with self._lock:
            known.takers.discard(stream)
            if not known.takers and self._first.get(name) is known:
                del self._first[name]
            while len(self._first) > KEPT:
                self._first.pop(next(iter(self._first)))
        if known.call is None:  # who asked was stopped
            known = Question(name, stream, fields)
            self.ask(known)
        return known

    def ask(self, question: Question) -> None:
        """Bring a question to its end; where that is not reached, what was begun tells nobody anything."""
        try:
            self._ask(question)
        except BaseException:
            question.call = None
            raise
        finally:
            question.is_there.set()

    def _ask(self, question: Question) -> None:
        """Ask through the best account; what is refused to that, through another, up to several.

        A further page only through the account that was given its cursor.
        """
        tried, is_left = list[str](), True
        while is_left and len(tried) < SEVERAL:
            with self._askers.one_by_one(lambda: self._is_open(question, tried)):
                asker = question.account or self._askers.best(tried)
                if not asker:
                    break
                tried.append(asker)
                call = question.through(asker)
                self._session.executor.run_all([call], self.client(question))
                is_left = self._askers.note(asker, call) and not question.account
        if question.call is None:
            question.through("").verdict = self._askers.why()

    def _is_open(self, question: Question, tried: list[str]) -> bool:
        """Whether it is not known of a field that was refused if it is of everybody, or of who asks if all is."""
        account = question.account or self._askers.best(tried)
        if account and self._askers.is_in_doubt(account):
            return True
        return self._session.fields.is_open(names_in(question.fields), Scope(question.stream, account))

    def client(self, question: Question) -> Client:
        """How it was sent and judged."""
        client = self._clients[question.stream].client(question.ended.path)
        return replace(client, permissions={"*": client.permission(DISCOVERY)})


@dataclass
class DiscoveryRetriever(Retriever):
    """The profile of each user name, or with a `page_size` its media.

    Before: {"business_discovery": {"id": "1784…777", "username": "rival", "media_count": 1, "media": {"data":
             [{"id": "178…", "like_count": 3000, "timestamp": "2026-05-07T13:00:34+0000"}]}}, "id": "1784…001"}
    After:  {"id": "1784…777", "username": "rival", "media_count": 1, "date": …, "business_account_id": "1784…001"}, or
            {"id": "178…", "username": "rival", "like_count": 3000, "timestamp": "2026-05-07T13:00:34+0000"}

    Pages are asked for without `since`: they come newest first, so that the first that goes back behind the start of an
    incremental sync is known to be the last, while a list that is cut by `since` shows its end by an empty page only.
    """

    requester: GraphRequester
    record_selector: RecordSelector
    accounts: Any  # the router whose slices are the accounts of the token
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    partition_router: Any = None
    page_size: int = 0
    name: str = ""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        self.session = SyncSession.of(self.config)
        self._discovery: Discovery = self.session.once(DISCOVERY, lambda: Discovery(self.session))
        self._discovery.join(self.name, self.requester, self._fields())

    def _fields(self, after: str = "") -> str:
        """The fields to ask for: of the profile, or of a page of media."""
        fields = self.requester.fields_parameter()
        if not self.page_size:
            return fields
        page = f"media{f'.after({after})' if after else ''}.limit({self.page_size}){{{fields}}}"
        return page if after else f"id,username,media_count,{page}"

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """The records of one user name.

        Raises:
            GraphError: some could not be had; after all that could.
        """
        assert stream_slice is not None  # noqa: S101 - every slice is that of a name
        who_may_ask(self.session, self.accounts)
        made = self._media(stream_slice) if self.page_size else self._profile(stream_slice.partition["username"])
        records = self.record_selector.filter_and_transform(
            made, stream_state={}, records_schema=records_schema, stream_slice=stream_slice
        )
        yield from self.session.limit.of(observed(records))

    def _first(self, name: str) -> Question:
        question = self._discovery.first(self.name, name, self._fields())
        outcome = question.ended.outcome
        if outcome and outcome.is_too_much and not self.page_size and question.fields != self._fields():
            question = Question(name, self.name, self._fields())  # the profile, without the media that are too much
            self._discovery.ask(question)
        self._see(question)
        return question

    def _see(self, question: Question) -> None:
        """Tell that nobody goes by the name; raise where that is not known."""
        self.session.see(question.ended, replace(self._discovery.client(question), stream=self.name))

    def _profile(self, name: str) -> Iterator[Mapping[str, Any]]:
        question = self._first(name)
        if question.found:
            username = question.found.get("username") or name  # by which its records are known
            yield {**question.found, "username": username, "date": today(), ACCOUNT: question.ended.path}

    def _media(self, stream_slice: StreamSlice) -> Iterator[Mapping[str, Any]]:
        name, start = stream_slice.partition["username"], self.requester.start(stream_slice)
        question = self._first(name)
        username, counted = question.found.get("username") or name, number(question.found.get("media_count"))
        listed, cursors = set[Any](), set[str]()
        while True:
            items, after = page_of(question.found), cursor_of(question.found)
            for item in items:
                if item["id"] not in listed and is_since(item, start):
                    yield {**item, "username": username}
                listed.add(item["id"])
            if items and not any(is_since(item, start) for item in items[-SEVERAL:]):  # one may be out of its order
                return
            if not after or (after in cursors and listed and not items):  # what is not shown may leave a page empty
                break
            if after in cursors:
                raise failure(REPEATED, f"{self.name} of user {name}")
            cursors.add(after)
            question = self._page(name, after, question.ended.path)
        if counted and len(listed) < counted:
            level, shown = (logging.INFO, len(listed)) if listed else (logging.WARNING, "none")
            log.log(level, "user %s: Meta counts %d media and shows %s in %s.", name, counted, shown, self.name)

    def _page(self, name: str, after: str, account: str) -> Question:
        """A further page of somebody's media, through the account that was given the cursor."""
        question = Question(name, self.name, self._fields(after), account)
        self._discovery.ask(question)
        outcome = question.ended.outcome
        if outcome and outcome.then == "no_such_name":
            raise failure(HIDDEN, question.ended.subject)
        self._see(question)
        return question


def page_of(found: Found) -> list[Mapping[str, Any]]:
    """The media of a page, newest first."""
    return listed_in(found.get("media"))


def cursor_of(found: Found) -> str | None:
    """Where the next page begins; this list never has a `next`."""
    return (((found.get("media") or {}).get("paging") or {}).get("cursors") or {}).get("after")


def is_since(item: Mapping[str, Any], start: datetime | None) -> bool:
    """Whether a media was published since then."""
    return start is None or moment(item["timestamp"]) >= start
