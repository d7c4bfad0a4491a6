"""How many items of a list Meta gives at once.

https://developers.facebook.com/docs/graph-api/results
"""

import threading
from collections.abc import Hashable


class PageSizes:
    """The sizes that were too much, by edge: what is lowered never goes up again in a sync."""

    def __init__(self) -> None:
        """Everything is believed to be given."""
        self._lock = threading.Lock()
        self._limits: dict[Hashable, int] = {}
        self._shrunk: set[Hashable] = set()

    def limit(self, place: Hashable) -> int | None:
        """How many items of a list Meta gives at once."""
        with self._lock:
            return self._limits.get(place)

    def lower(self, place: Hashable, limit: int) -> int:
        """Ask for no more than that from now on; it never goes up again."""
        with self._lock:
            self._limits[place] = min(limit, self._limits.get(place, limit))
            return self._limits[place]

    def shrunk(self, place: Hashable, limit: int, *, again: bool) -> None:
        """A page was answered once it asked for less. An outage looks the same, so that only another is believed."""
        with self._lock:
            self._shrunk.add(place)
        if again:
            self.lower(place, limit)

    def was_shrunk(self, place: Hashable) -> bool:
        """Whether a page of a list was answered once it asked for less."""
        with self._lock:
            return place in self._shrunk
