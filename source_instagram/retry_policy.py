"""Whether and when a call goes again that came to nothing for a reason that may heal.

https://developers.facebook.com/docs/graph-api/guides/error-handling
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from source_instagram.answers import Verdict
from source_instagram.calls import NESTED_LIMIT, GraphCall
from source_instagram.capabilities import Capabilities
from source_instagram.circuit_breaker import ATTEMPTS, CircuitBreaker
from source_instagram.rate_limiter import TEMPO

log = logging.getLogger("airbyte.instagram")

BATCH_SIZE = 50  # Meta's limit: https://developers.facebook.com/docs/graph-api/batch-requests
TOO_MUCH = 2  # attempts of a list that fail without a reason, after which less is asked for

End = Callable[[GraphCall, Verdict], None]


class RetryPolicy:
    """Six attempts, 1, 2, 4, 8 and 16 seconds apart; one where others show that there is no hope."""

    def __init__(self, breaker: CircuitBreaker, metrics: Capabilities, end: End) -> None:
        """Ask these; `end` ends a call for good."""
        self._breaker, self._metrics, self._end = breaker, metrics, end

    def is_over(self, call: GraphCall) -> list[GraphCall] | None:
        """What goes in place of a call that is not worth another attempt; None where it is."""
        if call.last_fault is None or call.trial:
            return None
        if call.attempts >= self._breaker.attempts(call):
            return self._give_up(call, call.last_fault)
        if call.is_extra and call.metrics and all(self._metrics.is_doubted(name, call.scope) for name in call.metrics):
            self._end(call, replace(call.last_fault, then="refused_metric"))
            return []
        return None

    def failed(self, call: GraphCall, verdict: Verdict) -> list[GraphCall]:
        """Try again what may heal by itself, with less of a list each time: too much data may come in these words."""
        verdict = replace(verdict, then="retry")
        call.attempts += 1
        call.last_fault = verdict
        if call.trial or call.attempts >= self._breaker.attempts(call):
            return self._give_up(call, verdict)
        if verdict.code == 1 and call.attempts >= TOO_MUCH and call.limit > 1:
            call.unshrunk = call.unshrunk or dict(call.params)
            shrink(call, call.limit // 4 or 1)
        call.not_before = time.monotonic() + delay(call.attempts)
        log.info("%s: %s Attempt %d of %d follows.", call.subject, verdict, call.attempts + 1, ATTEMPTS)
        return [call]

    def _give_up(self, call: GraphCall, verdict: Verdict) -> list[GraphCall]:
        """End a call that no attempt helped.

        What an object does not have is also refused in the words of a fault. It is one when the main call of the same
        object is answered beside it, at the same moment.
        """
        if call.is_extra and verdict.is_vague and call.control and not (call.trial or call.control.outcome):
            answered = [item["name"] for item in call.control.items] or call.control.metrics
            call.trial = call.control.again(metrics=answered[:1], is_planned=True)
            return [call.trial, call]
        if call.trial and call.trial.is_answered:
            self._end(call, replace(verdict, then="refused_metric"))
            return []
        tried = f"Tried {call.attempts} times" if call.attempts > 1 else "Tried once, as others before it failed"
        self._breaker.gave_up(call)
        self._end(call, replace(verdict, because=f"{verdict.because} {tried}; the next sync tries again."))
        return []


def delay(attempt: int) -> float:
    """Seconds to wait after an attempt that failed: 1, 2, 4, 8, 16."""
    return float(2 ** (attempt - 1)) * TEMPO


def batch_size(attempts: int) -> int:
    """How many calls go together: what broke as part of a large batch may arrive in a smaller one, or alone."""
    return max(1, BATCH_SIZE >> 2 * attempts)


def shrink(call: GraphCall, most: int) -> None:
    """Ask for no more than so many items of a list, and of the lists within.

    Before: limit=100 and fields=id,replies.limit(50){id}, with 25
    After:  limit=25 and fields=id,replies.limit(25){id}
    """
    if "limit" in call.params:
        call.params["limit"] = str(min(call.limit, most))
    if "fields" in call.params:
        fields = call.params["fields"]
        call.params["fields"] = NESTED_LIMIT.sub(lambda found: f".limit({min(int(found[1]), most)})", fields)
