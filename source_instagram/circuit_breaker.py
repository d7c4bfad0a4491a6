"""Whether it is worth asking again: of one object, of one kind of calls for an account, of the whole service."""

import threading
import time
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field

from source_instagram.answers import Verdict
from source_instagram.calls import GraphCall, Scope
from source_instagram.rate_limiter import TEMPO

SEVERAL = 3  # distinct objects that are refused, and none answered, open the circuit of their scope
HOPELESS = 10  # objects or days in a row that no attempt helped: until one is answered, others get a single attempt
ATTEMPTS = 6  # of a request that may heal by itself, 1, 2, 4, 8 and 16 seconds apart
FEW = 2  # of one that was only to spare others
SILENCE = 60  # seconds in which no request was answered: then Meta is asked whether it answers anything at all


@dataclass
class Circuit:
    """The refusals of one scope. Open, it lets only samples through."""

    refused: set[str] = field(default_factory=set)  # objects, since the last answer
    verdict: Verdict | None = None

    @property
    def is_open(self) -> bool:
        """Whether several objects were refused and none was answered since."""
        return len(self.refused) >= SEVERAL


class CircuitBreaker:
    """Counts what comes to nothing, by what may be down or closed together."""

    def __init__(self) -> None:
        """All circuits are closed: everything may be asked."""
        self._lock = threading.Lock()
        self._circuits: dict[Scope, Circuit] = {}
        self._samples: dict[str, GraphCall] = {}
        self._faults: Counter[Hashable] = Counter()  # by place and object: calls in a row that no attempt helped
        self._silence: deque[float] = deque()  # when the requests since the last answer of any kind were broken

    def attempts(self, call: GraphCall) -> int:
        """How many a call gets: one where many of its place, or another of its media, have just come to nothing."""
        with self._lock:
            return 1 if self._is_hopeless(call) else FEW if call.spares else ATTEMPTS

    def _is_hopeless(self, call: GraphCall) -> bool:
        of_object = call.scope.family == "media" and self._faults[call.path] > 0
        return of_object or self._faults[call.scope.place] >= HOPELESS

    def gave_up(self, call: GraphCall) -> None:
        """No attempt helped a call."""
        with self._lock:
            is_first = not (call.scope.family == "media" and self._faults[call.path])
            self._faults[call.scope.place] += is_first
            self._faults[call.path] += 1

    def refused(self, call: GraphCall, verdict: Verdict) -> None:
        """Meta refuses an object for a reason that may be that of others."""
        with self._lock:
            circuit = self._circuits.setdefault(call.scope, Circuit())
            circuit.refused.add(call.object)
            circuit.verdict = verdict

    def answered(self, call: GraphCall) -> None:
        """Something of the call's scope, place and object is there."""
        with self._lock:
            self._circuits.pop(call.scope, None)
            if call.items and call.is_first:
                self._samples[call.scope.stream] = call
            for key in (call.scope.place, call.path):
                self._faults.pop(key, None)

    def sample(self, stream: str) -> GraphCall | None:
        """The last call of a stream that brought something, of any account: to see whether it still does."""
        with self._lock:
            return self._samples.get(stream)

    def open_for(self, call: GraphCall) -> Verdict | None:
        """Why calls of this scope are not worth sending but for samples; None where they are."""
        with self._lock:
            circuit = self._circuits.get(call.scope)
            return circuit.verdict if circuit and circuit.is_open else None

    def is_silent(self, *, was_answered: bool) -> int:
        """Count a request; how many have gone without any answer for too long, 0 while that may still be chance."""
        with self._lock:
            self._silence.append(time.monotonic())
            if was_answered:
                self._silence.clear()
            count = len(self._silence)
            if count < ATTEMPTS or self._silence[-1] - self._silence[0] < SILENCE * TEMPO:
                return 0
            self._silence.clear()
            return count
