"""One request or batch, and what came back for each of its calls.

https://developers.facebook.com/docs/graph-api/batch-requests
"""

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from airbyte_cdk.models import FailureType

from source_instagram.answers import THE_TOKEN, UNFINISHED, Reply, Verdict, failure, judge
from source_instagram.calls import GraphCall
from source_instagram.client import Client

if TYPE_CHECKING:
    from source_instagram.session import SyncSession


class GraphTransport:
    """Sends no more at once than the configuration allows, and notices when Meta answers nothing any more."""

    def __init__(self, session: "SyncSession", workers: int) -> None:
        """Send for a session."""
        self._session = session
        self._slots = threading.BoundedSemaphore(workers)

    def send(self, batch: list[GraphCall], client: Client) -> tuple[list[Reply | None], list[Verdict | None]]:
        """What came back for each call, and what is wrong with it."""
        replies, verdicts = self._sent(batch, client)
        self._listen(verdicts, client)
        return replies, verdicts

    def who_am_i(self, client: Client) -> Verdict | None:
        """What comes instead of an answer to the question who the token is; None where Meta does answer."""
        return self._sent([GraphCall("me", {"fields": "id"})], client)[1][0]

    def _sent(self, batch: list[GraphCall], client: Client) -> tuple[list[Reply | None], list[Verdict | None]]:
        try:
            with self._slots:
                replies = client.send(batch)
        except ConnectionError as error:
            broken = Verdict("retry", f"The connection broke ({error}).", blame=FailureType.transient_error)
            return [None] * len(batch), [broken] * len(batch)
        clean = self._session.clean
        return replies, [judge(reply, client.rules, clean) if reply else UNFINISHED for reply in replies]

    def _listen(self, verdicts: list[Verdict | None], client: Client) -> None:
        """End the sync when Meta answers nothing any more, not even who the token is."""
        was_answered = any(verdict is None or verdict.then != "retry" for verdict in verdicts)
        silent = self._session.breaker.is_silent(was_answered=was_answered)
        problem = self.who_am_i(client) if silent else None
        if problem and problem.then == "retry":
            because = f"Meta has answered none of the last {silent} requests. The next sync goes on from here."
            stopped = replace(problem, because=f"{because} {problem.because}")
            self._session.rate_limiter.stop(failure(stopped, THE_TOKEN))
