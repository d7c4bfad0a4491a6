"""How many requests are under way at once, and which goes next."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from source_instagram.calls import GraphCall
from source_instagram.rate_limiter import TEMPO

LIST, OBJECT, DAYS = range(3)  # whose turn it is, in this order
LONG = 10  # seconds


class Turn(NamedTuple):
    """A request that waits for a slot: how soon it should have one, which may change, and what tells that it does."""

    rank: Callable[[], int]
    has_one: threading.Event
    since: float  # when it came, on the monotonic clock

    def place(self) -> int:
        """How soon it should go: who has waited long is as good as any, because others wait for its answer."""
        return self.rank() if time.monotonic() < self.since + LONG * TEMPO else LIST


class Slots:
    """So many requests at once. First go those whose answers lead to further calls: lists, then objects, then days.

    Nobody waits for long because of that.

    Before: 60 batches of days are waiting, and the page with the media, whose insights and comments take five more
            answers, after each other, goes last
    After:  it goes next, and the days are asked for meanwhile
    """

    def __init__(self, count: int) -> None:
        """All are free."""
        self._lock = threading.Lock()
        self._free = count
        self._waiting: list[Turn] = []

    @contextmanager
    def taken(self, rank: Callable[[], int]) -> Iterator[None]:
        """A slot, once it is one's turn."""
        me = Turn(rank, threading.Event(), time.monotonic())
        with self._lock:
            if self._free:
                self._free -= 1
                me.has_one.set()
            else:
                self._waiting.append(me)
        me.has_one.wait()
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                following = min(self._waiting, key=Turn.place)  # of several the one that came first
                self._waiting.remove(following)
                following.has_one.set()
            else:
                self._free += 1


def rank_of(calls: Iterable[GraphCall]) -> int:
    """How soon calls that travel together should go: that of the soonest."""
    return min(map(rank, calls), default=DAYS)


def rank(call: GraphCall) -> int:
    """How soon a call should go. Days that tell what to ask of those between them are no days like others."""
    if call.limit:
        return LIST
    return DAYS if "since" in call.params and not (call.gap or call.spares) else OBJECT
