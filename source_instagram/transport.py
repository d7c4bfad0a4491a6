"""One request or batch, and what came back for each of its calls.

https://developers.facebook.com/docs/graph-api/batch-requests
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from airbyte_cdk.models import FailureType

from source_instagram.answers import THE_TOKEN, UNFINISHED, Reply, Verdict, failure, judge
from source_instagram.calls import GraphCall
from source_instagram.client import Client
from source_instagram.coalescing import Coalescer, Departure
from source_instagram.retry_policy import BATCH_SIZE
from source_instagram.slots import LIST, Slots, rank_of

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

ABOUT_ALL = ("rate_limited", "fail_sync", "unsign")  # what a refusal of a whole batch may say that is true of its calls

Outcomes = Iterator[tuple[Reply | None, Verdict | None]]


class GraphTransport:
    """Sends no more at once than the configuration allows, and notices when Meta answers nothing any more."""

    def __init__(self, session: "SyncSession", workers: int) -> None:
        """Send for a session."""
        self._session = session
        self._slots = Slots(workers)
        self._coalescer = Coalescer(self._slots, self._request)

    def send(self, batch: list[GraphCall], client: Client) -> Outcomes:
        """What came back for each call, once all have, and what is wrong with it: each judged when it is taken."""
        parts = self._coalescer.board(batch, client) if self._may_wait(batch) else [(batch, None)]
        answers = [(calls, self._replies(calls, client, departure)) for calls, departure in parts]
        return chain.from_iterable(self._judged(calls, replies, client) for calls, replies in answers)

    def who_am_i(self, client: Client) -> Verdict | None:
        """What comes instead of an answer to the question who the token is; None where Meta does answer."""
        with self._slots.taken(lambda: LIST):
            return self._who_am_i(client)

    def _who_am_i(self, client: Client) -> Verdict | None:
        try:
            return self._verdict(client.send([GraphCall("me", {"fields": "id"})])[0], client)
        except ConnectionError as error:
            return broken(error)

    def _may_wait(self, batch: list[GraphCall]) -> bool:
        """Whether calls may travel with others: not where one has come to nothing already, which might cost others."""
        is_fresh = not any(call.attempts or call.trial or call.was_invisible for call in batch)
        return is_fresh and len(batch) < BATCH_SIZE and not self._session.instagram_login

    def _replies(
        self, calls: list[GraphCall], client: Client, departure: Departure | None
    ) -> list[Reply | None] | Verdict:
        try:
            replies = departure.replies_to(calls) if departure else None
            if replies is None:
                with self._slots.taken(lambda: rank_of(calls)):
                    replies = self._request(calls, client)
        except ConnectionError as error:
            return broken(error)
        return replies

    def _judged(self, calls: list[GraphCall], replies: list[Reply | None] | Verdict, client: Client) -> Outcomes:
        if isinstance(replies, Verdict):
            yield from ((None, replies) for _ in calls)
            return
        for reply in replies:
            yield reply, self._verdict(reply, client)
            if reply:
                reply.forget()

    def _verdict(self, reply: Reply | None, client: Client) -> Verdict | None:
        verdict = judge(reply, client.rules, self._session.clean) if reply else UNFINISHED
        if verdict and reply and reply.is_whole and verdict.then not in ABOUT_ALL:
            return replace(verdict, then="retry")  # in smaller batches, and in the end each call by itself
        return verdict

    def _request(self, calls: list[GraphCall], client: Client) -> list[Reply | None]:
        was_answered = False
        try:
            replies = client.send(calls)
            if self._refuses_batches(replies, client):
                replies = [reply for call in calls for reply in client.send([call])]
            verdicts = (self._verdict(reply, client) for reply in replies)
            was_answered = any(verdict is None or verdict.then != "retry" for verdict in verdicts)
        finally:
            self._listen(client, was_answered=was_answered)
        return replies

    def _refuses_batches(self, replies: list[Reply | None], client: Client) -> bool:
        """Whether a batch is refused in words that can be true of single calls only: then they go one by one."""
        first = replies[0]
        verdict = judge(first, client.rules, self._session.clean) if first and first.is_whole else None
        is_lasting = verdict and verdict.then not in (*ABOUT_ALL, "retry", "reduce_page")
        if not (verdict and is_lasting) or verdict.blame == FailureType.transient_error:
            return False
        if self._session.first("batches"):
            log.warning("Meta refuses a batch as a whole, so its calls are sent one by one. %s", verdict)
        return True

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
