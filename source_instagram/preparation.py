"""What of a call is worth sending, by what is known of others."""

from typing import TYPE_CHECKING

from source_instagram.calls import GraphCall
from source_instagram.retry_policy import shrink
from source_instagram.riders import alight, seat
from source_instagram.verdicts import Verdicts

if TYPE_CHECKING:
    from source_instagram.session import SyncSession


class Preparation:
    """Makes calls ready to be sent."""

    def __init__(self, session: "SyncSession", verdicts: Verdicts) -> None:
        """Ask the parts of a session."""
        self._metrics, self._fields, self._page_sizes = session.metrics, session.fields, session.page_sizes
        self._verdicts = verdicts

    def ready(self, call: GraphCall) -> list[GraphCall]:
        """Leave out what is known to be refused or too much; a call of which nothing is left has its answer."""
        instead = self._verdicts.retry_policy.is_over(call)
        if instead is not None:
            return instead
        self._fit(call)
        if not call.metrics:
            return [call]
        metrics = self._metrics
        seat(call, metrics)
        if call.is_planned:
            groups = [metrics.known(call.metrics, call.scope)]
        else:
            together, alone, call.left_out = metrics.plan(call.metrics, call.scope)
            groups = [group for group in (together, *([name] for name in alone)) if group]
            call.is_planned = True
        if len(groups) > 1:
            parts = call.split(groups)
            parts[0].riders, call.riders = call.riders, []
            return parts
        call.metrics = groups[0] if groups else []
        if not call.metrics:
            for rider in list(call.riders):
                alight(call, rider)
            call.answer = {"data": []}
            if call.whole:  # what its other parts have shown waits for the last
                self._verdicts.evidence.conclude(call)
        return [call] if call.metrics else []

    def _fit(self, call: GraphCall) -> None:
        """Leave out fields that Meta does not know, and ask for no more items than it gives at once."""
        scope = call.edge
        if "fields" in call.params:
            call.params["fields"] = self._fields.known_of(call.params["fields"], scope)
        if not call.attempts:
            call.was_told = self._page_sizes.was_shrunk(scope)
        cap = self._page_sizes.limit(scope)
        if cap and call.limit and not call.has_other_way:
            shrink(call, cap)
