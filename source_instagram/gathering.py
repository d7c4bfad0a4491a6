"""Calls that many threads need at the same time, sent together."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from source_instagram.rate_limiter import TEMPO
from source_instagram.retry_policy import BATCH_SIZE

T = TypeVar("T")
PATIENCE = 0.5  # seconds that somebody waits for others, who may be busy with what they have read


@dataclass(eq=False)
class Seat(Generic[T]):
    """An item, and whether it was sent."""

    item: T
    is_done: bool = False


class Gathering(Generic[T]):
    """Sends what many threads bring, as many at once as a batch holds.

    One sends at a time; who comes meanwhile goes next. Who is to send waits until all members have brought something,
    but not for long.
    """

    def __init__(self, send: Callable[[list[T]], None], size: int = BATCH_SIZE) -> None:
        """`send` brings up to `size` of them to their end."""
        self._send, self._size = send, size
        self._changed = threading.Condition()
        self._waiting: list[Seat[T]] = []
        self._members, self._is_sending = 0, False

    @contextmanager
    def member(self, count: int = 1) -> Iterator[None]:
        """While a thread may bring something; with -1 while one that may is busy otherwise."""
        with self._changed:
            self._members += count
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._members -= count
                self._changed.notify_all()

    def run(self, item: T) -> None:
        """Bring an item to its end, here or by somebody else."""
        seat = Seat(item)
        with self._changed:
            self._waiting.append(seat)
            self._changed.notify_all()
        while batch := self._batch(seat):
            try:
                self._send([each.item for each in batch])
            finally:
                with self._changed:
                    self._is_sending = False
                    for each in batch:
                        each.is_done = True
                    self._changed.notify_all()

    def _batch(self, seat: "Seat[T]") -> "list[Seat[T]]":
        """What to send together, once nobody else sends; nothing where somebody has sent this one."""
        with self._changed:
            self._changed.wait_for(lambda: seat.is_done or not self._is_sending)
            if seat.is_done:
                return []
            self._is_sending = True
            self._changed.wait_for(self._is_everybody_here, timeout=PATIENCE * TEMPO)
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            return batch

    def _is_everybody_here(self) -> bool:
        return len(self._waiting) >= min(self._size, self._members)
