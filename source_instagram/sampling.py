"""Where several objects of a kind were refused, only some of the others are asked."""

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from source_instagram.calls import GraphCall, Scope
from source_instagram.client import Client

if TYPE_CHECKING:
    from source_instagram.executor import BatchExecutor


def sample(executor: "BatchExecutor", calls: list[GraphCall], client: Client) -> None:
    """Where several objects were refused and none answered, ask the first, the middle and the last of the others.

    If one of them is answered all are asked. Otherwise they end like those before them.
    """
    closed: defaultdict[Scope, list[GraphCall]] = defaultdict(list)
    for call in calls:
        if not call.is_done and executor.session.breaker.open_for(call):
            closed[call.scope].append(call)
    samples = {id(each[at]): each[at] for each in closed.values() for at in (0, len(each) // 2, -1)}
    executor.run_all(list(samples.values()), client)
    for call in [call for alike in closed.values() for call in alike if not call.is_done]:
        verdict = executor.session.breaker.open_for(call)
        if verdict:
            because = f"{verdict.because} It was not asked, as others before it were refused."
            call.verdict = replace(verdict, because=because)
