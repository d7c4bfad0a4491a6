"""What is asked for first, where more waits than may be under way."""

import threading
import time
from collections.abc import Callable

import pytest
from engine import insights, session, window
from harness import Connector
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram import slots
from source_instagram.calls import GraphCall
from source_instagram.coalescing import Departure
from source_instagram.slots import DAYS, LIST, OBJECT, Slots, rank_of


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has waited long, however hurried all else is."""
    monkeypatch.setattr(slots, "TEMPO", 100.0)


PAGE, MEDIA, DAY = GraphCall("1/media", {"limit": "100"}), insights("m"), window(1, "views")


def served(of: Slots, *ranks: Callable[[], int], free: Callable[[], None] = lambda: None) -> list[int]:
    """The order in which requests that wait have their turn, once the only slot is free; each came after the last."""
    order, threads = list[int](), list[threading.Thread]()

    def ask(number: int) -> None:
        with of.taken(ranks[number]):
            order.append(number)

    with of.taken(lambda: LIST):
        for number in range(len(ranks)):
            threads.append(threading.Thread(target=ask, args=(number,)))
            threads[-1].start()
            while len(of._waiting) <= number:
                time.sleep(0.001)
        free()
        assert order == []
    for thread in threads:
        thread.join(timeout=30)
    assert of._free == 1
    assert of._waiting == []
    return order


def test_lists_go_first_then_objects_then_days_and_of_each_who_came_first() -> None:
    ranks = [lambda rank=rank: rank for rank in (DAYS, OBJECT, LIST, DAYS, OBJECT, LIST)]
    assert served(Slots(1), *ranks) == [2, 5, 1, 4, 0, 3]


def test_what_joins_a_request_that_waits_pulls_it_forward() -> None:
    waiting = [Departure(None) for _ in range(2)]  # type: ignore[arg-type] # nobody sends it
    for each in waiting:
        each.board([DAY])
    order = served(
        Slots(1), lambda: waiting[0].rank, lambda: waiting[1].rank, free=lambda: waiting[1].board([PAGE]) and None
    )
    assert order == [1, 0]


def test_who_has_waited_long_goes_before_those_who_came_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days are shared, and a stream that has waited a minute for another's asks by itself."""
    monkeypatch.setattr(slots, "LONG", 0)
    assert served(Slots(1), lambda: DAYS, lambda: OBJECT, lambda: LIST) == [0, 1, 2]


def test_a_slot_is_free_again_whatever_became_of_its_request() -> None:
    one = Slots(1)
    with pytest.raises(KeyError), one.taken(lambda: LIST):
        raise KeyError
    assert served(one, lambda: DAYS) == [0]


def test_as_many_are_under_way_as_there_are_slots() -> None:
    three, together = Slots(3), threading.Barrier(3)

    def ask() -> None:
        with three.taken(lambda: DAYS):
            together.wait(timeout=30)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not together.broken
    assert three._free == 3


def test_how_soon_a_call_goes() -> None:
    assert [rank_of([call]) for call in (PAGE, MEDIA, DAY)] == [LIST, OBJECT, DAYS]
    assert rank_of([DAY, PAGE, MEDIA]) == LIST
    assert rank_of([]) == DAYS
    expanded = GraphCall("me", {"fields": "business_discovery.username(x){media.limit(50){id}}"})
    assert rank_of([expanded]) == LIST


def test_days_that_tell_what_to_ask_of_others_go_before_these() -> None:
    between, after = [window(2, "views")], window(3, "views")
    assert rank_of([window(1, "views", gap=(between, after))]) == OBJECT
    assert rank_of([window(1, "views", spares=between)]) == OBJECT


# -- Who is crowded ----------------------------------------------------------------------------------------------------


def test_days_crowd_nobody_out_who_reads_objects() -> None:
    shared = session(num_workers=2)
    with shared.reading(of_objects=False), shared.reading(of_objects=False), shared.reading(of_objects=True):
        assert shared.is_crowded(of_objects=False)
        assert not shared.is_crowded(of_objects=True)
        assert shared.share(200) == 200
        with shared.reading(of_objects=True):
            assert shared.is_crowded(of_objects=True)
            assert shared.share(200) == 100
    assert not shared.is_crowded(of_objects=False)


# -- Whole syncs -------------------------------------------------------------------------------------------------------


def test_media_and_what_follows_them_do_not_wait_for_two_years_of_days(box: Sandbox) -> None:
    """With one request at a time: each further page of media is the next one, and the days come last."""
    box.reset(accounts=1, portfolio_accounts=0, media=120)
    streams = ["user_insights_breakdowns", "comments"]
    outcome = Connector(box).read(*streams, num_workers=1)
    for stream in streams:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, Oracle(box.world).records(stream))
    asked = [[item["relative_url"] for item in each.get("items") or ()] or [each["path"]] for each in box.requests]
    pages = [at for at, urls in enumerate(asked) if any("/media" in url for url in urls)]
    days = [at for at, urls in enumerate(asked) if sum("since" in url for url in urls) > 40]
    assert len(pages) > 3
    assert sum(at > pages[-1] for at in days) > len(days) // 2


def test_no_limit_is_sent_for_what_is_no_list(box: Sandbox) -> None:
    box.reset(accounts=3)
    assert len(Connector(box).read("users").records["users"]) == 3
    urls = [str(item) for request in box.requests for item in request.get("items") or [request]]
    assert not [url for url in urls if "biography" in url and "limit" in url]
