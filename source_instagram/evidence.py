"""What an ended call says of its object, and whether that adds to what others said."""

import logging
from typing import TYPE_CHECKING

from source_instagram.calls import GraphCall
from source_instagram.capabilities import MANY, named_in

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

REFUSALS = ("refused_metric", "fail_account", "unknown")  # of an object, for reasons that may be those of others


class Evidence:
    """Tells the parts of a session what each call has shown, once the whole of it has ended."""

    def __init__(self, session: "SyncSession") -> None:
        """Collect for a session."""
        self._session = session

    def conclude(self, call: GraphCall) -> None:
        """Take what a call or a part of one has come to."""
        top = call.top
        if not top.is_done:
            return
        outcome = top.outcome
        is_refused = outcome is not None and outcome.then in REFUSALS
        others = (each for each in (top.control, top.trial) if each is not None)
        is_column = top.is_answered or (top.is_extra and any(other.is_answered for other in others))
        if not is_refused or top.is_optional:
            self._session.executor.scout.proven(top)
        # What one object says of the token is not true of it, but may be of others like it.
        if outcome is not None and (is_refused or outcome.then == "unconfirmed") and not is_column:
            self._session.breaker.refused(top, outcome)
        elif is_column:
            self._doubt(top)

    def _doubt(self, top: GraphCall) -> None:
        """An object has no value for some metrics, while it has others."""
        session = self._session
        for metrics, verdict in top.refused:
            if verdict.then == "no_data" and top.is_optional:
                for name in session.metrics.lack(metrics, top.scope, top.object):
                    log.info(
                        "Account %s: %s is asked of each fifth %s only, until one has it: the last %d had none. %s",
                        top.scope.account, name, top.scope, MANY, verdict,
                    )  # fmt: skip
            if verdict.then not in REFUSALS:
                continue
            level = logging.WARNING if session.first(*metrics, str(top.scope), verdict.words) else logging.INFO
            log.log(level, "%s: no %s. Meta says: %s", top.subject, ", ".join(metrics), verdict.said)
            is_vague = not named_in(metrics, verdict.words)
            for name in session.metrics.doubt(metrics, top.scope, top.object, is_vague=is_vague):
                log.warning(
                    "Metric %s of %s is left out of most calls of account %s for the rest of this sync: several in a "
                    "row refused it. Meta says: %s", name, top.scope, top.scope.account, verdict.said,
                )  # fmt: skip
