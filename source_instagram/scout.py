"""The first calls of each kind go ahead, so that what they meet is met once."""

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson
from airbyte_cdk.models import (
    AirbyteMessageSerializer,
    AirbyteStreamStatus,
    AirbyteStreamStatusReason,
    AirbyteStreamStatusReasonType,
    StreamDescriptor,
)
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message

from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import SEVERAL, names_in
from source_instagram.client import Client
from source_instagram.rate_limiter import TEMPO

if TYPE_CHECKING:
    from source_instagram.executor import BatchExecutor
    from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

FEW = 5  # calls of a kind that go at once
SCOUTING = 30  # seconds that calls wait for the first ones of their kind


class Scout:
    """Sends the first call of each kind ahead, so that what it meets is met once."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._lock = threading.Lock()
        self._ahead: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by stream: who scouts
        self._proven: set[Scope] = set()  # kinds of calls that Meta has answered, of all accounts or one
        self._suspect: set[Scope] = set()  # kinds of which Meta has refused a metric for some account
        self._waiting: set[tuple[str, str | None]] = set()  # places that wait for a throttle

    def go_ahead(self, executor: "BatchExecutor", calls: list[GraphCall], client: Client) -> list[GraphCall]:
        """Send the first calls of unknown kinds until Meta understands them, up to three of each.

        Returns:
            What is still to be sent of them, or for them.
        """
        with self._lock:
            ahead = self._ahead[client.stream]
        is_unknown = partial(self._is_unknown, executor.session)
        # Of a few calls of a kind none is worth waiting for: a refusal costs no more than these.
        counts = Counter(call.scope for call in calls)
        unknown = [call for call in calls if counts[call.scope] > FEW and is_unknown(call)]
        held = self._held(ahead, unknown, is_unknown, client.stream)
        begun: list[GraphCall] = []
        try:
            for _ in range(SEVERAL if unknown else 0):
                scouts: dict[Scope, GraphCall] = {}
                for call in filter(is_unknown, unknown):
                    scouts.setdefault(call.scope, call)
                for chunk in executor.chunks(list(scouts.values())):
                    begun += executor.run(chunk, client, is_enough=Understood(chunk, is_unknown))
        finally:
            if held:
                ahead.release()
        return begun

    def _held(
        self, ahead: threading.Lock, unknown: list[GraphCall], is_unknown: Callable[[GraphCall], bool], stream: str
    ) -> bool:
        """Whether it is this thread that scouts; the others wait until what they ask is known.

        Who scouts may be throttled for long; the others then rather scout for themselves than wait along.
        """
        held, patience = False, time.monotonic() + SCOUTING
        while any(map(is_unknown, unknown)) and not held and time.monotonic() < patience:
            held = ahead.acquire(timeout=0.02)
            if not held and self._is_any_waiting(stream):
                break
        return held

    def _is_unknown(self, session: "SyncSession", call: GraphCall) -> bool:
        """Whether nothing tells what Meta will say of a call's metrics and fields."""
        return not call.is_done and (
            self._is_unproven(call)
            or session.metrics.is_open(call.metrics, call.scope)
            or session.fields.is_open(names_in(call.params.get("fields", "")), call.edge)
        )

    def _is_unproven(self, call: GraphCall) -> bool:
        everyone = call.scope._replace(account=None)
        return (call.scope if everyone in self._suspect else everyone) not in self._proven

    def proven(self, call: GraphCall) -> None:
        """Meta understood a call of this kind."""
        if call.scope in self._proven:
            return
        with self._lock:
            self._proven |= {call.scope, call.scope._replace(account=None)}

    def suspect(self, call: GraphCall) -> None:
        """Meta refused a metric of this kind: each account has to try for itself."""
        with self._lock:
            self._suspect.add(call.scope._replace(account=None))

    # -- Who waits ----------------------------------------------------------------------------------------------------

    def waits(self, client: Client, wait: float, why: str) -> None:
        """An account's stream waits for a throttle."""
        if why:
            with self._lock:
                self._waiting.add(client.place)
        announce(client.stream, wait, why)

    def waits_no_more(self, client: Client) -> None:
        """It was let through."""
        with self._lock:
            self._waiting.discard(client.place)

    def _is_any_waiting(self, stream: str) -> bool:
        with self._lock:
            return any(waiting == stream for waiting, _ in self._waiting)


@dataclass
class Understood:
    """Whether Meta has understood all of some calls."""

    calls: list[GraphCall]
    is_unknown: Callable[[GraphCall], bool]

    def __call__(self, _: Iterable[GraphCall]) -> bool:
        """Ask now."""
        return not any(map(self.is_unknown, self.calls))


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
