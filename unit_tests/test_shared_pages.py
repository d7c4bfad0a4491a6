"""Lists that several streams read: each page is asked for once, and nobody loses by what happens to another."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from engine import Meta, error, session
from harness import Connector, asked, serving
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram import shared_pages
from source_instagram.answers import GraphError
from source_instagram.calls import GraphCall, Scope
from source_instagram.session import SyncSession
from source_instagram.shared_pages import Reader, projected, top_level, united

FIELDS = {"media": "id,caption,children{id}", "media_insights": "id,timestamp"}
BOTH = "id,caption,children{id},timestamp"


def page(call: GraphCall) -> dict[str, Any]:
    item = {"id": "179", "caption": "A", "children": {"data": []}, "timestamp": "2026"}
    names = top_level(call.params["fields"])
    return {"data": [{name: item[name] for name in names}], "paging": {"cursors": {"after": "x"}}}


def ask(here: SyncSession, meta: Meta, stream: str, **params: str) -> Any:
    """What a stream gets when it asks for a page."""
    reader = Reader(stream, "media", lambda: FIELDS[stream])
    call = GraphCall("a/media", {"fields": FIELDS[stream], **params}, scope=Scope(stream, "a"), subject="account a")
    here.pages.ask(reader, call, meta.client(stream=stream))
    return call.response.json() if call.response else call.answer


def shared(*streams: str) -> SyncSession:
    here = session()
    for stream in streams or FIELDS:
        here.pages.join(Reader(stream, "media", lambda stream=stream: FIELDS[stream]))
    return here


def fields_of(meta: Meta) -> list[str]:
    return [parse_qs(urlsplit(url).query)["fields"][0] for url in meta.asked]


def test_a_page_is_asked_for_once_and_each_gets_what_it_asked_for() -> None:
    here, meta = shared(), Meta(page)
    mine = ask(here, meta, "media_insights", after="x")
    theirs = ask(here, meta, "media", after="x")
    assert fields_of(meta) == [BOTH]
    assert set(mine["data"][0]) == {"id", "timestamp"}
    assert set(theirs["data"][0]) == {"id", "caption", "children"}
    assert mine["paging"] == theirs["paging"]


@pytest.mark.parametrize("params", [{"after": "y"}, {"since": "7"}, {"since": "7", "until": "9"}])
def test_other_pages_are_others(params: dict[str, str]) -> None:
    here, meta = shared(), Meta(page)
    ask(here, meta, "media")
    ask(here, meta, "media_insights", **params)
    assert fields_of(meta) == [BOTH, BOTH]


def test_a_page_that_is_asked_for_again_is_read_again() -> None:
    here, meta = shared(), Meta(page)
    for _ in range(2):
        ask(here, meta, "media")
    assert fields_of(meta) == [BOTH, FIELDS["media"]]


def test_who_reads_alone_asks_for_nothing_more() -> None:
    here, meta = shared("media_insights"), Meta(page)
    ask(here, meta, "media_insights")
    assert fields_of(meta) == [FIELDS["media_insights"]]


def test_a_refusal_of_what_another_needs_costs_that_one_alone() -> None:
    def no_caption(call: GraphCall) -> Any:
        return error(10, "no permission") if "caption" in call.params["fields"] else page(call)

    here, meta = shared(), Meta(no_caption)
    assert set(ask(here, meta, "media_insights")["data"][0]) == {"id", "timestamp"}
    with pytest.raises(GraphError):
        ask(here, meta, "media")
    assert fields_of(meta) == [BOTH, FIELDS["media_insights"], FIELDS["media"]]


def test_who_is_far_behind_asks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    here, meta = shared(), Meta(page)
    size = len(projected(page(GraphCall("", {"fields": BOTH})), FIELDS["media_insights"]))
    monkeypatch.setattr(shared_pages, "MOST", 3 * size)
    for at in range(5):
        ask(here, meta, "media", after=str(at))
    for at in range(5):
        assert set(ask(here, meta, "media_insights", after=str(at))["data"][0]) == {"id", "timestamp"}
    assert len(meta.asked) == 7, "the oldest two were not kept"


def test_who_comes_while_a_page_is_under_way_waits_for_it() -> None:
    here, asked, go = shared(), threading.Event(), threading.Event()

    def slow(call: GraphCall) -> Any:
        asked.set()
        assert go.wait(30)
        return page(call)

    meta = Meta(slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, here, meta, "media")
        assert asked.wait(30)
        second = pool.submit(ask, here, meta, "media_insights")
        go.set()
        assert set(second.result(30)["data"][0]) == {"id", "timestamp"}
        assert set(first.result(30)["data"][0]) == {"id", "caption", "children"}
    assert fields_of(meta) == [BOTH]


def test_of_two_ways_to_ask_for_a_field_the_longer_counts() -> None:
    assert united(["id,children{id}", "children{id,url},a.limit(5){b,c}"]) == "id,children{id,url},a.limit(5){b,c}"


# -- Whole syncs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with serving(accounts=2, portfolio_accounts=0, media=130, albums=20, children=2, stories=5, days=300) as box:
        yield box


def lists(box: Sandbox, edge: str) -> int:
    return sum(path.endswith(f"/{edge}") for path, _ in asked(box.requests))


def whole(box: Sandbox, streams: tuple[str, ...], **options: Any) -> None:
    """A sync that brings all of some streams."""
    outcome, oracle = Connector(box).read(*streams, **options), Oracle(box.world)
    for stream in streams:
        assert outcome.statuses[stream] == "COMPLETE"
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream))


def test_media_and_their_insights_list_together(box: Sandbox) -> None:
    box.reset()
    whole(box, ("media", "media_insights", "stories", "story_insights"))
    assert (lists(box, "media"), lists(box, "stories")) == (4, 2)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop", "times": 3},
        {"error": {"code": 1, "message": "An unknown error occurred"}, "times": 2},
        {"error": {"code": 4, "message": "(#4) Application request limit reached"}, "times": 1},
    ],
)
def test_trouble_with_a_page_that_is_shared_costs_nothing(box: Sandbox, fault: dict[str, Any]) -> None:
    box.reset()
    hit = box.add_fault(path="/media", **fault)
    whole(box, ("media", "media_insights"))
    assert hit.fired


def test_a_field_that_only_one_needs_and_meta_refuses_is_left_out_there(box: Sandbox) -> None:
    box.reset()
    box.add_fault(refuse_field="boost_ads_list")
    outcome = Connector(box).read("media", "media_insights")
    assert set(outcome.statuses.values()) == {"COMPLETE"}
    expected = keyed("media_insights", Oracle(box.world).records("media_insights"))
    assert keyed("media_insights", outcome.records["media_insights"]) == expected
