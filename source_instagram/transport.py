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
from source_instagram.coalescing import Coalescer, Departure
from source_instagram.retry_policy import BATCH_SIZE

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

Outcomes = list[tuple[Reply | None, Verdict | None]]


class GraphTransport:
    """Sends no more at once than the configuration allows, and notices when Meta answers nothing any more."""

    def __init__(self, session: "SyncSession", workers: int) -> None:
        """Send for a session."""
        self._session = session
        self._slots = threading.BoundedSemaphore(workers)
        self._coalescer = Coalescer(self._slots, self._request)

    def send(self, batch: list[GraphCall], client: Client) -> Outcomes:
        """What came back for each call, and what is wrong with it."""
        if not self._may_wait(batch):
            return self._outcomes(batch, client)
        parts = self._coalescer.board(batch, client)
        return [outcome for calls, departure in parts for outcome in self._outcomes(calls, client, departure)]

    def who_am_i(self, client: Client) -> Verdict | None:
        """What comes instead of an answer to the question who the token is; None where Meta does answer."""
        with self._slots:
            return self._who_am_i(client)

    def _who_am_i(self, client: Client) -> Verdict | None:
        try:
            return self._judged(client.send([GraphCall("me", {"fields": "id"})]), client)[0][1]
        except ConnectionError as error:
            return broken(error)

    def _may_wait(self, batch: list[GraphCall]) -> bool:
        """Whether calls may travel with others: not where one has come to nothing already, which might cost others."""
        is_fresh = not any(call.attempts or call.trial or call.was_invisible for call in batch)
        return is_fresh and len(batch) < BATCH_SIZE and not self._session.instagram_login

    def _outcomes(self, calls: list[GraphCall], client: Client, departure: Departure | None = None) -> Outcomes:
        try:
            replies = departure.replies_to(calls) if departure else None
            if replies is None:
                with self._slots:
                    replies = self._request(calls, client)
        except ConnectionError as error:
            return [(None, broken(error))] * len(calls)
        return self._judged(replies, client)

    def _judged(self, replies: list[Reply | None], client: Client) -> Outcomes:
        clean = self._session.clean
        return [(reply, judge(reply, client.rules, clean) if reply else UNFINISHED) for reply in replies]

    def _request(self, calls: list[GraphCall], client: Client) -> list[Reply | None]:
        was_answered = False
        try:
            replies = client.send(calls)
            judged = (verdict for _, verdict in self._judged(replies, client))
            was_answered = any(verdict is None or verdict.then != "retry" for verdict in judged)
        finally:
            self._listen(client, was_answered=was_answered)
        return replies

    def _listen(self, client: Client, *, was_answered: bool) -> None:
        """End the sync when Meta answers nothing any more, not even who the token is."""
        silent = self._session.breaker.is_silent(was_answered=was_answered)
        problem = self._who_am_i(client) if silent else None
        if problem and problem.then == "retry":
            because = f"Meta has answered none of the last {silent} requests. The next sync goes on from here."
            stopped = replace(problem, because=f"{because} {problem.because}")
            self._session.rate_limiter.stop(failure(stopped, THE_TOKEN))


def broken(error: ConnectionError) -> Verdict:
    """What a broken connection says of every call that was on it."""
    return Verdict("retry", f"The connection broke ({error}).", blame=FailureType.transient_error)
