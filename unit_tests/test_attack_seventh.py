"""The seventh attack: names of others are asked for by themselves, so that one odd one must cost the others nothing."""

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from engine import verdict
from harness import Connector
from oracle import Oracle, keyed
from test_others import DENIED, DISCOVERY, FIRST, MEDIA, SERVICE, USERS, asked, asked_about, unlike_the_world

from sandbox import Sandbox
from source_instagram.askers import Askers
from source_instagram.calls import GraphCall
from source_instagram.client import Client
from source_instagram.session import SyncSession
from source_instagram.transport import GraphTransport, Outcomes

THROTTLED = {"code": 80002, "message": "There have been too many calls to this Instagram account"}


@pytest.fixture
def calm(box: Sandbox) -> Sandbox:
    """A sandbox with many accounts of others, whose headers tell of no usage: the first account asks for everything."""
    box.reset(rivals=64, rival_media=2)
    box.set_usage(mode="missing")
    return box


def rivals(begin: int, end: int) -> list[str]:
    """The user names of some of them."""
    return [f"rival.{number}" for number in range(begin, end)]


# -- Names that are refused --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 10])
def test_names_that_nobody_is_told_keep_no_account_from_asking_for_the_others(
    calm: Sandbox, connector: Connector, workers: int
) -> None:
    """They stand first in the list of the only account, so that nothing speaks for it when they are refused."""
    odd, good = rivals(4, 9), rivals(20, 28)
    calm.add_fault(path=rf"username\(({'|'.join(odd)})\)", error={"code": 7777, "message": "Something new"})
    own = [calm.world.accounts[0].id]
    outcome = connector.read(
        USERS, MEDIA, incremental=True, discover_usernames=odd + good, accounts=own, num_workers=workers
    )
    assert outcome.statuses == {USERS: "INCOMPLETE", MEDIA: "INCOMPLETE"}
    assert {record["username"] for record in outcome.records[USERS]} == {*good}
    assert len(outcome.records[MEDIA]) == 2 * len(good)


def test_more_things_are_refused_before_an_account_is_left_out_where_nobody_is_given_any() -> None:
    session = SyncSession({"access_token": "x"})
    session.accounts = [{"business_account_id": "a"}, {"business_account_id": "b"}]
    askers = Askers(session)
    for number in range(5):
        askers.note("a", asked_about(str(number), verdict("unknown")))
    assert askers.best() == "a"
    askers.note("b", asked_about("5", None))
    assert askers.best() == "b", "it is the account that is refused"


@pytest.mark.slow
def test_an_account_that_may_not_ask_is_not_asked_for_all_that_is_under_way(
    calm: Sandbox, connector: Connector
) -> None:
    """What another was given let all others ask the first, which had been refused one thing only."""
    calm.latency = 0.03
    refused = calm.add_fault(path=DISCOVERY, account=FIRST, error=DENIED)
    outcome = connector.read(USERS, discover_usernames=rivals(4, 64), num_workers=40)
    assert outcome.statuses == {USERS: "COMPLETE"}
    assert len(outcome.records[USERS]) == 60
    assert refused.fired <= 10


# -- Faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("fault", [{"error": SERVICE}, {"kind": "drop"}], ids=["service", "drop"])
def test_a_fault_of_all_names_is_not_tried_to_the_end_through_several_accounts(
    calm: Sandbox, connector: Connector, fault: dict[str, Any]
) -> None:
    names = rivals(4, 64)
    calm.latency = 0.03
    calm.add_fault(path=DISCOVERY, **fault)
    outcome = connector.read(USERS, MEDIA, incremental=True, discover_usernames=names)
    assert outcome.statuses == {USERS: "INCOMPLETE", MEDIA: "INCOMPLETE"}
    assert [name for name in names if not any(f"User {name}:" in line for line in outcome.log("ERROR"))] == []
    assert len(asked(calm, DISCOVERY)) <= (6 + 1 + 1) * len(names) + 50


@pytest.mark.slow
def test_who_was_stopped_leaves_nobody_without_an_answer(box: Sandbox, connector: Connector) -> None:
    """The other stream took what was never answered for somebody who is not there, and was COMPLETE without it."""
    box.set_usage(mode="missing")
    send, stopped = GraphTransport.send, list[Client]()

    def stopping(transport: GraphTransport, batch: list[GraphCall], client: Client) -> Outcomes:
        if any(call.who == "bluebottle" for call in batch) and not stopped:
            stopped.append(client)
            time.sleep(0.3)  # until the other stream waits for it
            raise MemoryError
        return send(transport, batch, client)

    with mock.patch.object(GraphTransport, "send", stopping):
        outcome = connector.read(USERS, MEDIA, incremental=True)
    complete = [stream for stream, status in outcome.statuses.items() if status == "COMPLETE"]
    assert len(complete) == 1
    assert unlike_the_world(box, outcome, *complete) == []


# -- Odd answers -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{"remove": "business_discovery.username"}, {"set": {"business_discovery.username": None}}]
)
def test_a_profile_without_its_name_goes_by_that_which_it_was_asked_for(
    box: Sandbox, connector: Connector, change: dict[str, Any]
) -> None:
    """Its record had no primary key, as those of its media had."""
    box.set_usage(mode="missing")
    box.add_fault(kind="edit", path=DISCOVERY, **change)
    outcome = connector.read(USERS, MEDIA, incremental=True)
    assert outcome.statuses == {USERS: "COMPLETE", MEDIA: "COMPLETE"}
    assert unlike_the_world(box, outcome, USERS, MEDIA) == []


# -- Waits -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_throttle_of_who_asks_alone_holds_nobody_for_long(box: Sandbox, connector: Connector) -> None:
    """Other accounts may ask meanwhile: Meta's throttles last up to an hour."""
    box.set_usage(mode="missing")
    box.add_fault(path=DISCOVERY, times=1, error=THROTTLED)
    with (
        mock.patch("source_instagram.rate_limiter.UNEXPLAINED_STEPS", (3000,)),  # 3 seconds, at the tempo of tests
        mock.patch("source_instagram.askers.PATIENCE", 0.2),
    ):
        outcome = connector.read(USERS)
    came, there = keyed(USERS, outcome.records[USERS]), keyed(USERS, Oracle(box.world).records(USERS))
    assert {record.pop("business_account_id") for record in came.values()} >= {FIRST}
    assert all(record.items() <= there[key].items() for key, record in came.items())
    assert len(came) == len(there)
    first, other, again = asked(box, DISCOVERY)
    assert first == again
    assert first != other


@mock.patch("source_instagram.rate_limiter.UNEXPLAINED_STEPS", (10, 20))
def test_what_one_account_was_throttled_for_to_the_end_another_is_asked_for(box: Sandbox, connector: Connector) -> None:
    box.set_usage(mode="missing")
    box.add_fault(path=DISCOVERY, account=FIRST, error=THROTTLED)
    outcome = connector.read(USERS, MEDIA, incremental=True)
    assert outcome.statuses == {USERS: "COMPLETE", MEDIA: "COMPLETE"}
    assert unlike_the_world(box, outcome, MEDIA) == []


@mock.patch("source_instagram.rate_limiter.UNEXPLAINED_STEPS", (10, 20))
def test_throttles_of_all_accounts_end(box: Sandbox, connector: Connector) -> None:
    box.set_usage(mode="missing")
    box.add_fault(path=DISCOVERY, error=THROTTLED)
    outcome = connector.read(USERS, MEDIA, incremental=True)
    assert outcome.statuses == {USERS: "INCOMPLETE", MEDIA: "INCOMPLETE"}
    assert any("Meta throttles" in str(error["message"]) for error in outcome.errors)
    assert len(asked(box, DISCOVERY)) <= 3 * 3 * 2


def test_who_waits_to_ask_alone_asks_beside_others_after_a_while() -> None:
    askers, done = Askers(SyncSession({"access_token": "x"})), threading.Event()

    def ask() -> None:
        with askers.one_by_one(lambda: False):
            done.set()

    with mock.patch("source_instagram.askers.PATIENCE", 0.05), ThreadPoolExecutor(1) as pool:
        with askers.one_by_one(lambda: False):
            pool.submit(ask)
            assert done.wait(timeout=30)
        with askers.one_by_one(lambda: False):
            assert not askers._first.acquire(blocking=False), "who did not have the lock has not given it back"


# -- What outlives a sync ----------------------------------------------------------------------------------------------


def test_nothing_that_a_sync_knows_outlives_it(connector: Connector) -> None:
    """A notebook or the Builder's server reads many times in one process, and each held its answers and its token."""
    alive = list[int]()
    for _ in range(3):
        assert connector.read("media_insights", "user_insights").exit_code == 0
        gc.collect()
        alive.append(len(SyncSession._sessions))
    assert alive[2] <= alive[0]
