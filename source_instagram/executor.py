"""Sends calls in batches until each has ended: what goes together, and by whom.

https://developers.facebook.com/docs/graph-api/batch-requests
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airbyte_cdk.models import FailureType

from source_instagram.answers import GraphError, Reply, Verdict, failure, well_formed
from source_instagram.calls import GraphCall
from source_instagram.client import Client
from source_instagram.preparation import Preparation
from source_instagram.retry_policy import BATCH_SIZE, batch_size
from source_instagram.sampling import sample
from source_instagram.scout import Scout
from source_instagram.verdicts import Verdicts

if TYPE_CHECKING:
    from source_instagram.session import SyncSession


Done = TypeVar("Done")


class OneRound:
    """Whether calls have been sent once, and what is left of them has not failed: that goes on in its own time."""

    def __init__(self) -> None:
        """They have not."""
        self._is_sent = False

    def __call__(self, left: Iterable[GraphCall]) -> bool:
        """Is asked before each batch."""
        was_sent, self._is_sent = self._is_sent, True
        return was_sent and not any(call.attempts for call in left)


def here(work: Callable[..., Done], *given: Any, **named: Any) -> "Future[Done]":
    """Do as a pool does, without a thread."""
    done: Future[Done] = Future()
    done.set_result(work(*given, **named))
    return done


class BatchExecutor:
    """The loop that sends calls. What it learns on the way is kept by the parts of the session."""

    def __init__(self, session: "SyncSession") -> None:
        """Work for a session."""
        self.session = session
        self.scout = Scout()
        self._verdicts = Verdicts(session)
        self._preparation = Preparation(session, self._verdicts)

    # -- Many calls ---------------------------------------------------------------------------------------------------

    def start(self, pool: Executor, calls: list[GraphCall], client: Client) -> list["Future[list[GraphCall]]"]:
        """Get every call answered or refused, in batches of 50, or singly on the host where batches are unknown.

        The first call of each kind that Meta has not answered yet in this sync goes ahead. So a retired metric costs
        one call for each product type, not one for each media. Where several were refused only samples are sent.
        """
        calls = [call for call in calls if not call.carrier]
        begun = self.scout.go_ahead(self, calls, client)
        under_way = {id(call.top) for call in begun}
        calls = [call for call in calls if id(call) not in under_way]
        sample(self, calls, client)
        return self.go_on(pool, [*begun, *(call for call in calls if not call.is_done)], client)

    def finish(self, pool: Executor, futures: list["Future[list[GraphCall]]"], client: Client) -> None:
        """See what was started to its end."""
        while futures:
            left = [call for future in futures for call in future.result()]
            futures = self.go_on(pool, left, client)

    def go_on(self, pool: Executor, calls: list[GraphCall], client: Client) -> list["Future[list[GraphCall]]"]:
        """Send calls, batch by batch at once; each gives what is left of it, to travel with what others left.

        A single one is sent here and now where other slices keep the requests busy: it is not worth a thread.
        """
        chunks = list(self.chunks(calls))
        submit = here if len(chunks) == 1 and self.session.is_crowded(of_objects=False) else pool.submit
        return [submit(self.run, chunk, client, is_enough=OneRound()) for chunk in chunks]

    def run_all(self, calls: list[GraphCall], client: Client) -> None:
        """Bring calls to their end here and now, batch by batch."""
        for chunk in self.chunks(calls):
            self.run(chunk, client)

    def take(self, calls: list[GraphCall], client: Client) -> None:
        """End calls that other streams make, too, with the answers that these had; make those that had none."""
        for call, text in zip(calls, self.session.answers.take(calls), strict=True):
            if text:
                self._verdicts.accept(call, Reply(200, {}, text))
        self.run_all([call for call in calls if not call.is_done], client)

    def chunks(self, calls: list[GraphCall]) -> Iterator[list[GraphCall]]:
        """The calls, as many at once as a batch holds."""
        size = 1 if self.session.instagram_login else BATCH_SIZE
        for start in range(0, len(calls), size):
            yield calls[start : start + size]

    # -- The loop -----------------------------------------------------------------------------------------------------

    def run(
        self, calls: list[GraphCall], client: Client, *, is_enough: Callable[[deque[GraphCall]], bool] = lambda _: False
    ) -> list[GraphCall]:
        """Send what is pending until nothing is: only what was refused, unfinished or shortened goes again.

        It may be enough earlier, for who then takes care of what is left: that is returned.
        """
        queue = deque(calls)
        while queue and not is_enough(queue):
            batch, epochs = self._admitted(queue, client)
            if not batch:
                continue
            try:
                outcomes = self.session.transport.send(batch, client)
            finally:
                self.session.rate_limiter.leave(client.account, len(batch))
            again: list[GraphCall] = []
            for call, (reply, verdict) in zip(batch, outcomes, strict=True):
                again += self._received(call, reply, verdict, client, epochs)
                again += self._verdicts.released(call)
            del batch, outcomes  # which would stay while the next ones are waited for
            # Before the others, so that the first call of a broken batch soon tells whether there is hope for them.
            queue.extendleft(reversed(again))
        return list(queue)

    def _admitted(self, queue: deque[GraphCall], client: Client) -> tuple[list[GraphCall], tuple[int, ...]]:
        """The next calls to send together, once it is their turn, with the epochs of their lanes."""
        batch = self._next_batch(queue)
        if not batch:
            return [], ()
        # All parts of a broken batch have waited once the first has.
        time.sleep(max(0.0, batch[0].not_before - time.monotonic()))
        try:
            granted, epochs = self.session.rate_limiter.enter(
                client.account, len(batch), lambda wait, why: self.scout.waits(client, wait, why)
            )
        except GraphError as error:  # must not cost the calls that were answered
            closed = Verdict("closed", str(error.message), blame=error.failure_type, closed_by=error)
            ending = deque([*batch, *queue])
            queue.clear()
            while ending:
                self._verdicts.end(ending[0], closed)
                ending.extend(self._verdicts.released(ending.popleft()))
            return [], ()
        finally:
            self.scout.waits_no_more(client)
        queue.extendleft(reversed(batch[granted:]))
        return batch[:granted], epochs

    def _next_batch(self, queue: deque[GraphCall]) -> list[GraphCall]:
        attempts = queue[0].attempts
        size = 1 if self.session.instagram_login else batch_size(attempts)
        batch: list[GraphCall] = []
        while queue and len(batch) < size and queue[0].attempts == attempts:
            call = queue.popleft()
            ready = self._preparation.ready(call)
            if ready == [call]:
                batch.append(call)
            else:
                queue.extendleft(reversed(ready or self._verdicts.released(call)))
        return batch

    # -- What came back -----------------------------------------------------------------------------------------------

    def _received(
        self, call: GraphCall, reply: Reply | None, verdict: Verdict | None, client: Client, epochs: tuple[int, ...]
    ) -> list[GraphCall]:
        """Take an answer, or decide what becomes of a refused call: the calls to send again, or none when it ends."""
        limiter = self.session.rate_limiter
        if verdict and verdict.then == "rate_limited":
            because = f"{verdict.because} It did not end while we waited."
            error = failure(replace(verdict, because=because), call.subject)
            limiter.refuse(client.account, verdict.code, verdict.headers, error, epochs)
            return [call]
        if reply is not None:
            limiter.observe(client.account, reply.headers)
        if verdict is None and reply is not None:
            limiter.passed(client.account, epochs)
            if well_formed(call.path, reply.body, call.params.get("fields", "")):
                self._verdicts.accept(call, reply)
                return []
            came = self.session.clean(reply.text)[:120]
            because = f"Meta answered {call.path} in a shape that this connector does not know: {came}"
            verdict = Verdict("retry", because, blame=FailureType.transient_error)
        assert verdict is not None  # noqa: S101 - without a reply there is one
        return self._verdicts.refuse(call, verdict, client)
