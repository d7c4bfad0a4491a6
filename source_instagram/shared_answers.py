"""Answers that several streams of a sync need: whoever comes first asks, the others take what came."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from source_instagram.calls import GraphCall

MOST = 10_000  # answers that are kept at once; what is dropped beyond that costs a call, no data
PATIENCE = 60  # seconds that a stream waits for the calls of others before it asks by itself


@dataclass
class Entry:
    """A call of one stream that others need, too."""

    takers: list[str]  # the other streams, until they have come for it
    answer: str = ""  # empty while it is under way


class SharedAnswers:
    """Calls that several streams make alike, each sent once.

    Only answers are shared. A call that failed, or was answered in parts, tells the other streams nothing: they ask by
    themselves. Nobody waits before all calls of its own have ended, so that no two wait for each other.
    """

    def __init__(self, most: int = MOST, patience: float = PATIENCE) -> None:
        """Nothing is shared until streams say what they need."""
        self._most, self._patience = most, patience
        self._needed: defaultdict[Hashable, list[str]] = defaultdict(list)  # by kind of call: the streams
        self._entries: dict[str, Entry] = {}  # by address, oldest first
        self._asking: dict[GraphCall, str] = {}  # calls that others may wait for, by the address they began with
        self._changed = threading.Condition()

    def need(self, stream: str, kinds: Iterable[tuple[list[str], Mapping[str, str]]]) -> None:
        """A stream of this sync will make calls with these metrics and parameters, whatever their windows."""
        with self._changed:
            for metrics, params in kinds:
                streams = self._needed[kind_of(metrics, params)]
                if stream not in streams:
                    streams.append(stream)

    def divide(self, calls: list[GraphCall]) -> tuple[list[GraphCall], list[GraphCall]]:
        """The calls that are left to their caller, and those that other streams have made or are making.

        What travels in another call is no call of its own, so that it does not wait.
        """
        own, others = list[GraphCall](), list[GraphCall]()
        with self._changed:
            for call in calls:
                streams = [] if call.is_done else self._needed.get(kind_of(call.metrics, call.params), [])
                entry = self._entries.get(call.url) if len(streams) > 1 else None
                if entry and call.scope.stream in entry.takers and not call.carrier:
                    others.append(call)
                    continue
                own.append(call)
                if len(streams) > 1 and not entry:
                    self._asking[call] = call.url
                    self._entries[call.url] = Entry([stream for stream in streams if stream != call.scope.stream])
        return own, others

    def publish(self, calls: list[GraphCall]) -> None:
        """Leave the answers of calls that have ended to the streams that need them, too."""
        with self._changed:
            for call in calls:
                address = self._asking.pop(call, "")
                entry = self._entries.get(address)
                if entry and call.answer is not None and call.url == address and not call.left_out:
                    entry.answer = json.dumps(call.answer)
                else:
                    self._entries.pop(address, None)
            self._drop(len(self._entries) - self._most)
            self._changed.notify_all()

    def _drop(self, count: int) -> None:
        answered = [address for address, entry in self._entries.items() if entry.answer] if count > 0 else []
        for address in answered[: max(0, count)]:
            del self._entries[address]

    def take(self, calls: list[GraphCall]) -> list[str]:
        """The answers to calls of others, in their order, once they are there; empty for what is left to the caller."""
        until = time.monotonic() + self._patience
        with self._changed:
            return [self._taken(call, until) for call in calls]

    def _taken(self, call: GraphCall, until: float) -> str:
        while (entry := self._entries.get(call.url)) and not entry.answer:
            if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                break
        if not entry or call.scope.stream not in entry.takers:
            return ""
        entry.takers.remove(call.scope.stream)
        if not entry.takers:
            del self._entries[call.url]
        return entry.answer


def kind_of(metrics: Iterable[str], params: Mapping[str, str]) -> Hashable:
    """What calls have in common that differ in their account and window."""
    return *metrics, *((name, value) for name, value in sorted(params.items()) if name not in ("since", "until"))
