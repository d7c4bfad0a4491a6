"""Calls of several streams and accounts that are to be sent at the same moment share a batch.

https://developers.facebook.com/docs/graph-api/batch-requests
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from source_instagram.answers import Reply
from source_instagram.calls import GraphCall
from source_instagram.client import Client
from source_instagram.rate_limiter import TEMPO
from source_instagram.retry_policy import BATCH_SIZE
from source_instagram.slots import DAYS, Slots, rank_of

STEP = 0.015  # seconds: a batch departs when nobody has joined it for so long, and nobody is about to
PATIENCE = 10 * STEP  # and at the latest after so many
BUSY = 0.5  # of the time: so long as the process computes, somebody may be about to bring more
ITEMS = 1000  # of lists, in one batch: its answer is held in memory whole, several times over; what others show is less

Replies = list[Reply | None]
Send = Callable[[list[GraphCall], Client], Replies]


@dataclass(eq=False)
class Departure:
    """A batch that is about to be sent, and who has calls in it."""

    leader: Client  # who sends it
    calls: list[GraphCall] = field(default_factory=list)
    passengers: int = 0
    rank: int = DAYS
    replies: Future[Replies] = field(default_factory=Future)

    def board(self, calls: list[GraphCall]) -> list[GraphCall]:
        """Take along as many as fit: Meta takes 50 calls, and pages of lists are large."""
        count, items = 0, sum(map(items_of, self.calls))
        for call in calls[: BATCH_SIZE - len(self.calls)]:
            items += items_of(call)
            count += items <= max(ITEMS, items_of(call))
        self.calls += calls[:count]
        self.rank = min(self.rank, rank_of(calls[:count]))
        self.passengers += bool(count)
        return calls[:count]

    def replies_to(self, calls: list[GraphCall]) -> Replies | None:
        """What came back for a passenger's calls, once it is there; None where it tells nothing about them.

        What is said of a batch as a whole is true of none of its passengers: each then asks for itself, and learns what
        is true of its own calls. Of who travels alone it is true.

        Raises:
            ConnectionError: nothing came back, and nobody else was asking.
        """
        try:
            replies = self.replies.result()
        except ConnectionError as error:
            if self.passengers > 1:
                return None
            raise ConnectionError(*error.args) from None
        is_whole = not any(replies) or any(reply.is_whole for reply in replies if reply)
        if is_whole and self.passengers > 1:
            return None
        start = next(place for place, call in enumerate(self.calls) if call is calls[0])
        return replies[start : start + len(calls)]


class Coalescer:
    """Lets whoever has calls to send wait a moment for others, and as long as all requests are busy."""

    def __init__(self, slots: Slots, send: Send) -> None:
        """Send by `send`, in one of the slots."""
        self._slots, self._send = slots, send
        self._lock = threading.Lock()
        self._open: list[Departure] = []

    def board(self, calls: list[GraphCall], client: Client) -> list[tuple[list[GraphCall], Departure]]:
        """Let calls travel, in as many batches as have room for some; whoever opens one sends it."""
        left, parts = list(calls), list[tuple[list[GraphCall], Departure]]()
        own: list[Departure] = []
        with self._lock:
            departures = iter(list(self._open))
            while left:
                departure = next(departures, None)
                if departure is None:
                    departure = Departure(client)
                    own.append(departure)
                    self._open.append(departure)
                taken = departure.board(left)
                if taken:
                    parts.append((taken, departure))
                del left[: len(taken)]
        for departure in own:
            self._depart(departure)
        return parts

    def _depart(self, departure: Departure) -> None:
        """Send a batch; whatever comes of it, all whose calls are in it are told, and the next one departs."""
        try:
            self._gather(departure)
            with self._slots.taken(lambda: departure.rank):
                self._close(departure)
                departure.replies.set_result(self._send(departure.calls, departure.leader))
        except BaseException as error:  # noqa: BLE001 - is raised for its leader, too, where he asks what came back
            self._close(departure)
            departure.replies.set_exception(error)

    def _gather(self, departure: Departure) -> None:
        end = time.monotonic() + PATIENCE * TEMPO
        while len(departure.calls) < BATCH_SIZE and time.monotonic() < end:
            seen, before = len(departure.calls), (time.monotonic(), time.process_time())
            time.sleep(STEP * TEMPO)
            passed, computed = time.monotonic() - before[0], time.process_time() - before[1]
            if len(departure.calls) == seen and computed < BUSY * passed:
                return

    def _close(self, departure: Departure) -> None:
        with self._lock:
            if departure in self._open:
                self._open.remove(departure)


def items_of(call: GraphCall) -> int:
    """How many items of a list it asks for, of those that are large: what an account shows to others is not."""
    return int(call.params.get("limit") or 0)
