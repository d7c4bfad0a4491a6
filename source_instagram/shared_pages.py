"""Pages of a list that several streams read: each is asked for once, with what all of them need of its objects.

`media` and `media_insights` list the same media, when both read all of them, or all from the same day on.
https://developers.facebook.com/docs/graph-api/results
"""

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from source_instagram.answers import GraphError, dumped, response_of
from source_instagram.calls import GraphCall
from source_instagram.client import Client

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

MOST = 8 * 2**20  # bytes of pages that wait for their readers; beyond it a stream asks for itself

Fields = Callable[[], str]  # the `fields` parameter of a stream


@dataclass
class Reader:
    """A stream that reads a list."""

    name: str
    group: Hashable  # what the streams have in common that read the same pages
    fields: Fields


@dataclass
class SharedPage:
    """A page that one stream asks for, and what of it waits for others."""

    waiting: set[str]  # streams that have not had it yet
    is_there: threading.Event = field(default_factory=threading.Event)
    bodies: dict[str, bytes] = field(default_factory=dict)  # by stream

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.bodies.values()))


class SharedPages:
    """What one stream has listed, for as long as others have still to come for it.

    Whoever comes first asks. A stream that is far behind, or whose page was refused for what another needs, asks for
    itself: that costs a call, and never an object.
    """

    def __init__(self, session: "SyncSession") -> None:
        """Nobody reads anything yet."""
        self._session = session
        self._lock = threading.Lock()
        self._readers: defaultdict[Hashable, dict[str, Reader]] = defaultdict(dict)
        self._pages: dict[Hashable, SharedPage] = {}  # in the order in which they were asked for
        self._size = 0

    def join(self, reader: Reader) -> None:
        """Let a stream read along."""
        with self._lock:
            self._readers[reader.group][reader.name] = reader

    def ask(self, reader: Reader, call: GraphCall, client: Client) -> None:
        """Bring a call for a page of a list to its end. Raises a GraphError where it cannot be had."""
        readers = self._readers[reader.group]
        if len(readers) < 2:  # noqa: PLR2004 - nobody to share with
            self._session.ask(call, client)
            return
        key = (call.path, *sorted((name, value) for name, value in call.params.items() if name not in OWN))
        with self._lock:
            page = self._pages.get(key)
            is_first = page is None
            if page is None:
                page = self._pages[key] = SharedPage(set(readers) - {reader.name})
        if is_first:
            self._ask_for_all(page, reader, call, client)
        elif reader.name not in page.waiting or not self._taken(key, page, reader.name, call):
            self._session.ask(call, client)

    def _ask_for_all(self, page: SharedPage, reader: Reader, call: GraphCall, client: Client) -> None:
        """Ask for what all readers need; where Meta refuses that, for what this one needs."""
        readers, is_more = self._readers[reader.group], False
        try:
            own, all_fields = call.params["fields"], united(each.fields() for each in readers.values())
            is_more = top_level(all_fields) != top_level(own)
            whole = call.again(params=call.params | {"fields": all_fields})
            self._session.ask(whole, client)
            call.response = whole.page
            if whole.answer is not None:
                if is_more:
                    call.response = response_of(projected(whole.answer, own))
                others = {name: projected(whole.answer, readers[name].fields()) for name in page.waiting}
                self._keep(page, others)
        except GraphError:
            if not is_more or self._session.rate_limiter.stopped:
                raise
            self._session.ask(call, client)
        finally:
            page.is_there.set()

    def _keep(self, page: SharedPage, bodies: dict[str, bytes]) -> None:
        """Keep it for the others, and no more than so much in all: the oldest go first."""
        with self._lock:
            page.bodies = bodies
            self._size += page.size
            for oldest in self._pages.values() if self._size > MOST else ():
                if self._size > MOST:
                    self._size -= oldest.size
                    oldest.bodies = {}

    def _taken(self, key: Hashable, page: SharedPage, name: str, call: GraphCall) -> bool:
        """Whether a page that another stream has asked for is there, once it has ended."""
        page.is_there.wait()
        with self._lock:
            page.waiting.discard(name)
            body = page.bodies.pop(name, None)
            self._size -= len(body or b"")
            if not page.waiting:
                self._pages.pop(key, None)
        if body is not None:
            call.response = response_of(body)
        return body is not None


OWN = ("fields", "limit")  # parameters in which the readers of a page may differ


def top_level(fields: str) -> dict[str, str]:
    """The fields of a `fields` parameter by their names, whatever is within.

    Before: id,children{id,media_url},comments.limit(5){id}
    After:  {"id": "id", "children": "children{id,media_url}", "comments": "comments.limit(5){id}"}
    """
    parts, depth, begin = list[str](), 0, 0
    for at, letter in enumerate(f"{fields},"):
        depth += (letter in "{(") - (letter in "})")
        if letter == "," and not depth:
            parts.append(fields[begin:at])
            begin = at + 1
    return {re.split(r"[.{(]", part)[0]: part for part in parts if part}


def united(each: Iterable[str]) -> str:
    """One `fields` parameter for several, of which each field is asked as the one that asks for most of it.

    Before: id,timestamp and id,children{id}
    After:  id,timestamp,children{id}
    """
    found: dict[str, str] = {}
    for fields in each:
        for name, part in top_level(fields).items():
            found[name] = max(found.get(name, ""), part, key=len)
    return ",".join(found.values())


def projected(body: Any, fields: str) -> bytes:
    """A page as if no more than some fields had been asked for."""
    names = {"id", *top_level(fields)}
    items = [{name: value for name, value in item.items() if name in names} for item in body.get("data") or []]
    return dumped({**body, "data": items})
