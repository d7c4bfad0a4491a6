"""The sixth attack: what is read at the same time, and what is looked at without a lock."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from harness import Connector, asked
from oracle import Oracle, keyed
from test_attack import GONE
from test_comments import of

from sandbox import Sandbox
from source_instagram.calls import Scope
from source_instagram.capabilities import Capabilities
from source_instagram.refreshing import window
from source_instagram.times import INSTAGRAM_BEGAN, rfc3339

LISTS = {"media_lookback_days": 0, "media_refresh_days": 1}  # what is new, and at the same time all that is older


def state_at(stream: str, account: str, column: str, time: datetime) -> list[dict[str, Any]]:
    """The state of a stream that has read an account up to a time."""
    states = [{"partition": {"business_account_id": account}, "cursor": {column: rfc3339(time)}}]
    descriptor = {"name": stream}
    return [{"type": "STREAM", "stream": {"stream_descriptor": descriptor, "stream_state": {"states": states}}}]


# -- Two lists at the same time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"kind": "shape", "body": {"data": []}}, {"error": GONE}], ids=["nothing", "gone"])
def test_what_was_listed_first_shows_nothing_of_what_was_listed_last(
    box: Sandbox, connector: Connector, answer: dict[str, Any]
) -> None:
    """Comments cease to be shown before the last page of what is new; the older media were listed long before."""
    posts = of(box, media=115, before_conversion=0)
    account = box.world.accounts[0].id
    state = state_at("comments", account, "media_timestamp", posts[104].published)
    calm = connector.read("comments", incremental=True, state=state, **LISTS)
    everything = keyed("comments", Oracle(box.world).records("comments"))
    assert keyed("comments", calm.records["comments"]) == everything
    calls = asked(box.requests)
    new = [at for at, (path, params) in enumerate(calls) if path.endswith("/media") and "until" not in params]
    shown = sum(bool(re.fullmatch(r"179\d+/comments", path)) for path, _ in calls[: new[3]])

    box.reset()
    last = box.add_fault(kind="edit", path=r"/media\?(?!.*until=).*after=", remove="data.*.comments", skip=2)
    box.add_fault(path=r"/179\d+/comments", skip=shown, **answer)
    outcome = connector.read("comments", incremental=True, state=state, **LISTS)
    assert last.fired == 1
    assert len(outcome.records["comments"]) < len(everything)
    assert outcome.statuses == {"comments": "INCOMPLETE"}
    assert outcome.cursors("comments") == {account: rfc3339(posts[104].published)}


@pytest.mark.slow
def test_old_and_new_media_that_are_gone_are_listed_each_by_their_own_time(box: Sandbox, connector: Connector) -> None:
    """Not with all that was published in the years between."""
    posts = of(box, media=1500, before_conversion=0, days=3650)
    state = state_at("media_insights", box.world.accounts[0].id, "timestamp", posts[20].published)
    for number in range(90):
        today = box.world.now() + timedelta(days=number)
        turn = window(INSTAGRAM_BEGAN, posts[20].published, 90, today)
        old = [post for post in posts[500:] if turn and turn[0] <= post.published <= turn[1]]
        if len(old) > 2:
            break
    gone = [posts[3], *old[:2]]
    box.add_fault(path=rf"/({'|'.join(post.id for post in gone)})/insights", error=GONE)
    with mock.patch("source_instagram.requester.now", return_value=today):
        outcome = connector.read("media_insights", incremental=True, state=state, media_lookback_days=0)
    assert outcome.statuses == {"media_insights": "INCOMPLETE"}, "they are still listed"
    assert all(any(post.id in line for line in outcome.log("ERROR")) for post in gone)
    assert len([path for path, _ in asked(box.requests) if path.endswith("/media")]) == 4


# -- What is looked at without a lock ----------------------------------------------------------------------------------


def test_a_doubt_that_goes_while_it_is_looked_at_breaks_nothing() -> None:
    capabilities, scope = Capabilities(), Scope("media_insights", "1", "FEED")

    class Fleeting(dict[str, Any]):
        """Doubts that another thread removes as soon as they were seen."""

        def __iter__(self) -> Iterator[str]:
            yield from list(super().__iter__())
            capabilities._doubts = {}

    capabilities.doubt(["views"], scope, "179")
    capabilities._doubts = Fleeting(capabilities._doubts)
    capabilities.trust(["views", "reach"], scope)
    assert capabilities.is_trusted("views", scope)
    assert not capabilities.is_open(["views"], scope)
