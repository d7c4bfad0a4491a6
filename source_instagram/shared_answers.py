"""Answers that several streams of a sync need: whoever comes first asks, the others take what came."""

import threading
import time
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from source_instagram.answers import dumped
from source_instagram.calls import GraphCall, Scope

MOST = 10_000  # answers that are kept at once; what is dropped beyond that costs a call, no data
PATIENCE = 60  # seconds that a stream waits for the calls of others before it asks by itself


Kind = tuple[int, Mapping[str, Any], list[str], Mapping[str, str]]  # a row with its place, metrics and parameters


class Need(NamedTuple):
    """A kind of calls that a stream makes: a row of its table of metrics."""

    stream: str
    row: int
    metrics: tuple[str, ...]


@dataclass
class Entry:
    """A call of one stream that others need, too."""

    takers: list[str]  # the other streams, until they have come for it
    answer: str = ""  # empty while it is under way


class SharedAnswers:
    """Calls that several streams make alike, each sent once; what differs in its metrics alone travels along.

    Before: views,reach by follow_type in one stream, and follows_and_unfollows by follow_type there and in another
    After:  views,reach,follows_and_unfollows by follow_type, of which each takes its own

    Only answers are shared. A call that failed, or was answered in parts, tells the other streams nothing: they ask by
    themselves. Nobody waits before all calls of its own have ended, so that no two wait for each other.
    """

    def __init__(self, most: int = MOST, patience: float = PATIENCE) -> None:
        """Nothing is shared until streams say what they need."""
        self._most, self._patience = most, patience
        self._needed: defaultdict[Hashable, list[Need]] = defaultdict(list)  # by kind of call
        self._entries: dict[str, Entry] = {}  # by address, oldest first
        self._asking: dict[GraphCall, str] = {}  # calls that others may wait for, by the address they began with
        self._along: defaultdict[GraphCall, list[GraphCall]] = defaultdict(list)  # what travels in a call for others
        self._changed = threading.Condition()

    def need(self, stream: str, kinds: Iterable[Kind]) -> None:
        """A stream of this sync will make calls of these rows, metrics and parameters, whatever their windows."""
        with self._changed:
            for at, row, metrics, params in kinds:
                need, needed = Need(stream, at, tuple(metrics)), self._needed[kind_of(params, row)]
                if need not in needed:
                    needed.append(need)

    def divide(self, calls: list[GraphCall]) -> tuple[list[GraphCall], list[GraphCall]]:
        """The calls that are left to their caller, and those that other calls bring or have brought.

        What travels in another call is no call of its own, so that it does not wait.
        """
        own, others = list[GraphCall](), list[GraphCall]()
        with self._changed:
            for call in calls:
                entry = None if call.is_done or call.carrier else self._entries.get(call.url)
                if entry and call.scope.stream in entry.takers:
                    others.append(call)
                    continue
                own.append(call)
                if call.metrics and not (entry or call.is_done or call.carrier):
                    self._expect(call)
        return own, others

    def _expect(self, call: GraphCall) -> None:
        """Keep the answer to a call for others that make it too, and let what they ask beside it travel along."""
        needed, own = self._needed.get(kind_of(call.params, call.about or {}), []), tuple(call.metrics)
        groups = {need.metrics: [each for each in needed if each.metrics == need.metrics] for need in needed}
        is_known = any(need.stream == call.scope.stream for need in groups.get(own, ()))
        for metrics, needs in groups.items() if is_known else ():
            is_own = metrics == own
            scope = Scope(needs[0].stream, call.scope.account, row=needs[0].row)
            each = call if is_own else call.again(metrics=list(metrics), scope=scope, is_for_others=True, control=call)
            takers = [need.stream for need in needs if not (is_own and need.stream == call.scope.stream)]
            if takers and each.url not in self._entries:
                self._entries[each.url], self._asking[each] = Entry(takers), each.url
                self._along[call] += [] if is_own else [each]
        for each in self._along.get(call, ()):
            each.carrier = call
            call.riders.append(each)

    def publish(self, calls: list[GraphCall]) -> None:
        """Leave the answers of calls that have ended to the streams that need them, too."""
        with self._changed:
            for whole in calls:
                together = [whole, *self._along.pop(whole, ())]
                for call in together:
                    address = self._asking.pop(call, "")
                    entry = self._entries.get(address)
                    if entry and call.url == address and is_whole(call, together):
                        entry.answer = dumped(call.body).decode()
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


def is_whole(call: GraphCall, together: list[GraphCall]) -> bool:
    """Whether a call was answered as it would have been by itself.

    Where several travelled together that is: with each of its metrics, or all of them with nothing.
    """
    if call.answer is None or call.left_out:
        return False
    has_all = {item["name"] for item in call.items}.issuperset(call.metrics)
    return len(together) == 1 or has_all or not any(each.items for each in together)


def kind_of(params: Mapping[str, str], row: Mapping[str, Any]) -> Hashable:
    """What calls have in common that differ in their account, window and metrics alone.

    Those for a day at a time. Others may differ in the days that Meta keeps, or in whom it tells them of.
    """
    together = [row["days"], row.get("recent")] if row.get("days") == 1 else list(row.get("metrics", ()))
    return *together, *((name, value) for name, value in sorted(params.items()) if name not in ("since", "until"))
