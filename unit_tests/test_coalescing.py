"""Calls that are sent at the same moment share a batch; what is said of the batch is said of none of them."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from engine import Meta, at_once, data, error, insights, session
from harness import Connector
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram import coalescing
from source_instagram.answers import Reply, Verdict
from source_instagram.calls import GraphCall, Scope
from source_instagram.client import Client
from source_instagram.coalescing import ITEMS, Departure
from source_instagram.session import SyncSession

Outcomes = list[tuple[Reply | None, Verdict | None]]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches wait for others as they do with people, whatever else is hurried."""
    monkeypatch.setattr(coalescing, "TEMPO", 1.0)


@pytest.fixture(autouse=True)
def long_patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where threads begin together, wait until all are there, however slow the machine is."""
    if "connector" not in request.fixturenames:
        monkeypatch.setattr(coalescing, "STEP", 0.3)
        monkeypatch.setattr(coalescing, "PATIENCE", 3.0)


@pytest.fixture
def shared() -> SyncSession:
    return session(num_workers=3)


def together(shared: SyncSession, batches: list[list[GraphCall]], client: Client) -> list[Outcomes]:
    """What comes of batches that are sent at the same moment, each by a thread of its own."""
    return at_once(lambda number: list(shared.transport.send(batches[number], client)), threads=len(batches))


def names(outcomes: Outcomes) -> list[str]:
    return [reply.body["data"][0]["name"] for reply, _ in outcomes if reply and "data" in reply.body]


def by_path(call: GraphCall) -> Any:
    return data(call.path.partition("/")[0])


def test_calls_of_the_same_moment_share_a_batch_and_each_gets_its_own_answer(shared: SyncSession) -> None:
    meta = Meta(by_path)
    batches = [[insights(f"{who}-{number}") for number in range(5)] for who in "abcdefgh"]
    found = together(shared, batches, meta.client())
    assert [len(urls) for urls in meta.requests] == [40]
    assert list(map(names, found)) == [[f"{who}-{number}" for number in range(5)] for who in "abcdefgh"]


def test_a_batch_is_filled_to_its_fifty_calls(shared: SyncSession) -> None:
    meta = Meta(by_path)
    batches = [[insights(f"{who}-{number}") for number in range(30)] for who in "abcde"]
    found = together(shared, batches, meta.client())
    assert [len(urls) for urls in meta.requests] == [50, 50, 50]
    assert list(map(names, found)) == [[f"{who}-{number}" for number in range(30)] for who in "abcde"]


def test_pages_of_lists_are_large_so_that_fewer_share_a_batch(shared: SyncSession) -> None:
    meta = Meta(lambda call: {"data": [{"id": call.path}]})
    pages = [[GraphCall(f"{number}/media", {"limit": "400"}, scope=Scope("media", "a"))] for number in range(4)]
    together(shared, pages, meta.client())
    assert sorted(len(urls) for urls in meta.requests) == [2, 2]


def test_a_page_that_is_larger_than_all_travels_nevertheless() -> None:
    departure = Departure(Meta(by_path).client())
    huge = GraphCall("1/media", {"limit": str(ITEMS + 1)})
    assert departure.board([huge, insights("m")]) == [huge]


@pytest.mark.parametrize("change", [{"attempts": 1}, {"was_invisible": True}])
def test_what_came_to_nothing_before_travels_by_itself(shared: SyncSession, change: dict[str, Any]) -> None:
    meta = Meta(by_path)
    together(shared, [[insights("a", **change)], [insights("b")], [insights("c")]], meta.client())
    assert sorted(len(urls) for urls in meta.requests) == [1, 2]


def test_with_instagram_login_there_are_no_batches() -> None:
    meta = Meta(by_path)
    together(session(login_type="instagram"), [[insights("a")], [insights("b")]], meta.client())
    assert [len(urls) for urls in meta.requests] == [1, 1]


# -- A batch that comes to nothing -------------------------------------------------------------------------------------


class Whole(Meta):
    """Says the same of each batch as a whole that holds calls of several."""

    def __init__(self, say: Callable[[int], Any]) -> None:
        super().__init__(by_path)
        self.say = say

    def _send(self, batch: list[GraphCall]) -> list[Reply | None]:
        self.requests.append([call.url for call in batch])
        if len(batch) == 1:
            return [Reply(200, {}, '{"data": [{"name": "alone"}]}')]
        said: list[Reply | None] = self.say(len(batch))
        return said


def broken(_: int) -> Any:
    raise ConnectionError("ReadTimeout")


def refused(count: int) -> Any:
    return [Reply(500, {}, '{"error": {"code": 1, "message": "An unknown error occurred"}}', is_whole=True)] * count


@pytest.mark.parametrize("say", [broken, refused, lambda count: [None] * count])
def test_what_is_said_of_a_batch_is_said_of_none_of_its_passengers(
    shared: SyncSession, say: Callable[[int], Any]
) -> None:
    meta = Whole(say)
    found = together(shared, [[insights(name)] for name in "abcd"], meta.client())
    assert Counter(len(urls) for urls in meta.requests) == {4: 1, 1: 4}
    assert [verdict for outcomes in found for _, verdict in outcomes] == [None] * 4


@pytest.mark.parametrize(("say", "because"), [(broken, "ReadTimeout"), (refused, "passing fault")])
def test_of_who_travels_alone_it_is_true(shared: SyncSession, say: Callable[[int], Any], because: str) -> None:
    meta = Whole(say)
    ((_, verdict), (_, other)) = shared.transport.send([insights("a"), insights("b")], meta.client())
    assert len(meta.requests) == 1
    assert verdict == other
    assert verdict
    assert because in verdict.because


def test_a_refusal_of_one_call_is_its_own(shared: SyncSession) -> None:
    meta = Meta(lambda call: error(100, "Invalid parameter") if "b" in call.path else by_path(call))
    ((_, first),), ((_, second),) = together(shared, [[insights("a")], [insights("b")]], meta.client())
    assert len(meta.requests) == 1
    assert first is None
    assert second
    assert second.then == "refused_metric"


def test_one_broken_request_counts_once_however_many_were_in_it(
    shared: SyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    monkeypatch.setattr(shared.breaker, "is_silent", lambda *, was_answered: counted.append(was_answered) or 0)
    together(shared, [[insights(name)] for name in "abcd"], Whole(broken).client())
    assert sorted(counted) == [False, True, True, True, True]


def test_whoever_waits_for_a_free_request_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "STEP", 0.0)
    shared, free, sent = session(num_workers=1), threading.Event(), threading.Event()

    def slow(call: GraphCall) -> Any:
        sent.set()
        assert free.wait(30)
        return by_path(call)

    meta = Meta(slow)
    send = lambda name: list(shared.transport.send([insights(name)], meta.client()))  # noqa: E731
    threads = [threading.Thread(target=send, args=(name,)) for name in "abcd"]
    threads[0].start()
    assert sent.wait(30)
    for thread in threads[1:]:
        thread.start()
    while sum(len(each.calls) for each in shared.transport._coalescer._open) < 3:
        time.sleep(0.01)
    free.set()
    for thread in threads:
        thread.join(30)
    assert [len(urls) for urls in meta.requests] == [1, 3]


def test_a_bug_in_sending_reaches_all_who_wait(shared: SyncSession) -> None:
    def bug(_: GraphCall) -> Any:
        raise KeyError("bug")

    client = Meta(bug).client()
    found = []

    def send(number: int) -> None:
        with pytest.raises(KeyError, match="bug"):
            shared.transport.send([insights(f"m{number}")], client)
        found.append(number)

    at_once(send, threads=3)
    assert sorted(found) == [0, 1, 2]


# -- Whole syncs -------------------------------------------------------------------------------------------------------


TROUBLE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a broken connection": {"kind": "drop", "every": 3},
    "half an answer": {"kind": "truncate", "every": 4},
    "a fault of the whole": {"kind": "error", "status": 500, "every": 3},
    "a throttle": {"kind": "error", "error": {"code": 4, "message": "Application request limit reached"}, "every": 5},
    "less than was asked": {"kind": "shape", "body": [], "every": 3},
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_all_records_are_there_whatever_becomes_of_a_batch(box: Sandbox, connector: Connector, trouble: str) -> None:
    if TROUBLE[trouble]:
        box.add_fault(path=r"\?batch$", **TROUBLE[trouble])
    streams = ("users", "media", "media_insights", "stories", "story_insights", "comments", "tags", "user_insights")
    outcome = connector.read(*streams)
    oracle = Oracle(box.world)
    assert outcome.statuses == dict.fromkeys(streams, "COMPLETE")
    for stream in streams:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream)), stream
    shared = [entry for entry in box.requests if len({account_of(item) for item in entry.get("items", ())}) > 1]
    assert len(shared) > 1


def account_of(item: dict[str, Any]) -> str:
    return str(item["relative_url"]).partition("/")[0]
