"""Calls that several streams need are sent once; what one stream loses is not lost for the other."""

import functools
import json
import threading
from collections import Counter
from datetime import datetime, time, timedelta, timezone
from typing import Any

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from engine import at_once, verdict, window
from harness import Connector, Outcome
from oracle import Oracle, keyed, plain

from sandbox import Sandbox
from source_instagram.calls import GraphCall, Scope
from source_instagram.session import SyncSession
from source_instagram.shared_answers import SharedAnswers, kind_of
from source_instagram.source import SourceInstagram

TOTALS, CELLS = "user_total_insights", "user_insights_breakdowns"
DAYS = 40
DAILY = {"days": 1}
ANSWER = {"data": [{"name": "follows_and_unfollows"}]}


a_day = functools.partial(window, about=DAILY)


def ask(stream: str, day: int = 1, account: str = "a") -> GraphCall:
    return a_day(day, "follows_and_unfollows", scope=Scope(stream, account))


def shared(*streams: str, **more: Any) -> SharedAnswers:
    answers = SharedAnswers(**more)
    for stream in streams:
        answers.need(stream, [(0, DAILY, ["follows_and_unfollows"], {})])
    return answers


# -- The part by itself ------------------------------------------------------------------------------------------------


def test_the_window_the_account_and_the_metrics_of_a_day_are_no_part_of_a_kind() -> None:
    day, month = {"days": 1, "metrics": ["views"]}, {"days": 30, "metrics": ["views"]}
    assert kind_of({"since": "1", "until": "2", "period": "day"}, day) == kind_of({"period": "day"}, day)
    assert kind_of({"period": "day"}, day) == kind_of({"period": "day"}, {"days": 1, "metrics": ["likes"]})
    assert kind_of({"period": "day"}, day) != kind_of({"period": "week"}, day)
    assert kind_of({"period": "day"}, day) != kind_of({"period": "day"}, {**day, "recent": True})
    assert kind_of({"period": "day"}, month) != kind_of({"period": "day"}, {**month, "metrics": ["likes"]})


def test_what_differs_in_its_metrics_alone_travels_along() -> None:
    answers = shared("one", "two")
    answers.need("two", [(3, DAILY, ["views", "reach"], {})])
    first, second, third = ask("one"), ask("two"), a_day(1, "views", "reach", scope=Scope("two", "a", row=3))
    assert answers.divide([first]) == ([first], [])
    assert "metric=follows_and_unfollows,views,reach" in first.url
    assert answers.divide([second, third]) == ([], [second, third])
    (along,), first.riders = first.riders, []
    assert along.scope == third.scope
    both = {"data": [{"name": "views"}, {"name": "reach"}]}
    first.answer, along.answer = ANSWER, both
    answers.publish([first])
    assert [json.loads(text) for text in answers.take([second, third])] == [ANSWER, both]


@pytest.mark.parametrize("how", ["refused", "left out", "never sent", "half of it"])
def test_what_travelled_along_and_was_not_answered_is_left_to_who_needs_it(how: str) -> None:
    answers = shared("one")
    answers.need("two", [(3, DAILY, ["views", "reach"], {})])
    first, second = ask("one"), a_day(1, "views", "reach", scope=Scope("two", "a", row=3))
    answers.divide([first])
    (along,), first.riders = first.riders, []
    first.answer = ANSWER
    if how == "refused":
        along.verdict = verdict("no_data")
    elif how == "left out":
        along.answer, along.left_out = ANSWER, ["reach"]
    elif how == "half of it":
        along.answer = {"data": [{"name": "views"}]}
    answers.publish([first])
    assert answers.divide([second]) == ([second], [])


def test_who_comes_first_asks_and_the_second_takes_the_answer_once() -> None:
    answers, first, second = shared("one", "two"), ask("one"), ask("two")
    assert answers.divide([first]) == ([first], [])
    assert answers.divide([second]) == ([], [second])
    first.answer = ANSWER
    answers.publish([first])
    assert [json.loads(text) for text in answers.take([second])] == [ANSWER]
    again = ask("two")
    assert answers.divide([again]) == ([again], []), "it was dropped when it was taken"


def test_each_of_three_streams_takes_it() -> None:
    answers, first = shared("one", "two", "three"), ask("one")
    answers.divide([first])
    first.answer = ANSWER
    answers.publish([first])
    assert answers.divide([ask("two"), ask("three")])[0] == []
    assert all(answers.take([ask("two"), ask("three")]))
    assert answers.divide([ask("three")])[1] == []


@pytest.mark.parametrize("streams", [(), ("one",), ("one", "one")])
def test_what_no_other_stream_needs_is_not_kept(streams: tuple[str, ...]) -> None:
    answers, first = shared(*streams), ask("one")
    answers.divide([first])
    first.answer = ANSWER
    answers.publish([first])
    assert answers.divide([ask("two")])[1] == []


def test_only_calls_of_the_kind_are_kept() -> None:
    answers, first = shared("one", "two"), a_day(1, "reach", scope=Scope("one", "a"))
    first.params["period"] = "day"
    answers.divide([first])
    first.answer = ANSWER
    answers.publish([first])
    second = a_day(1, "reach", scope=Scope("two", "a"))
    second.params["period"] = "day"
    assert answers.divide([second])[1] == []


def test_what_travels_in_another_call_does_not_wait() -> None:
    answers, first, second = shared("one", "two"), ask("one"), ask("two")
    answers.divide([first])
    second.carrier = a_day(1, "views", scope=Scope("two", "a"))
    assert answers.divide([second]) == ([second], [])


def test_another_day_or_account_is_another_call() -> None:
    answers = shared("one", "two")
    answers.divide([ask("one")])
    others = [ask("two", day=2), ask("two", account="b")]
    assert answers.divide(others) == (others, [])


@pytest.mark.parametrize("how", ["refused", "split", "left out", "shortened"])
def test_what_is_not_wholly_answered_is_left_to_the_second(how: str) -> None:
    answers, first, second = shared("one", "two"), ask("one"), ask("two")
    answers.divide([first])
    answers.divide([second])
    if how == "refused":
        first.verdict = verdict("retry")
    elif how == "split":
        first.split([["follows_and_unfollows"], []])
    else:
        first.answer = ANSWER
        first.left_out = ["follows_and_unfollows"] if how == "left out" else []
        first.params["since"] = "5" if how == "shortened" else first.params["since"]
    answers.publish([first])
    assert answers.take([second]) == [""]
    assert answers.divide([second]) == ([second], []), "and now it is the one that asks"


def test_who_waits_gets_the_answer_when_it_comes() -> None:
    answers, first, second = shared("one", "two"), ask("one"), ask("two")
    answers.divide([first])
    answers.divide([second])
    first.answer = ANSWER
    later = threading.Timer(0.05, answers.publish, [[first]])
    later.start()
    assert [json.loads(text) for text in answers.take([second])] == [ANSWER]
    later.join()


def test_who_waits_too_long_asks_by_itself() -> None:
    answers, first, second = shared("one", "two", patience=0.0), ask("one"), ask("two")
    answers.divide([first])
    answers.divide([second])
    assert answers.take([second]) == [""]
    first.answer = ANSWER
    answers.publish([first])  # which nobody takes any more
    assert answers.divide([ask("two")])[1] == []


def test_no_more_is_kept_than_it_may_be() -> None:
    answers = shared("one", "two", most=3)
    calls = [ask("one", day) for day in range(5)]
    answers.divide(calls)
    for call in calls:
        call.answer = ANSWER
    answers.publish(calls)
    assert len(answers.divide([ask("two", day) for day in range(5)])[1]) == 3


def test_threads_send_each_call_once() -> None:
    answers, sent, given = shared("0", "1", "2", "3"), Counter[str](), list[str]()

    def stream(number: int) -> None:
        own, others = answers.divide([ask(str(number), day) for day in range(30)])
        for call in own:
            sent[call.url] += 1
            call.answer = ANSWER
        answers.publish(own)
        given.extend(answers.take(others))

    at_once(stream, threads=4)
    assert len(sent) == 30
    assert set(sent.values()) == {1}
    assert len(given) == 90
    assert all(given)


@pytest.mark.parametrize(
    "streams", [(), ("user_lifetime_insights",), ("user_lifetime_insights", "audience_demographics")]
)
def test_only_what_the_catalog_selects_is_shared(connector: Connector, streams: tuple[str, ...]) -> None:
    """In a check and in the Builder there is no catalog, and all streams are built."""
    catalog = ConfiguredAirbyteCatalogSerializer.load(connector.catalog(streams)) if streams else None
    source = SourceInstagram(catalog, connector.config(), [])
    built = source.streams(source._config)
    answers = SyncSession.of(source._config).answers
    row = {"metrics": ["follower_demographics"]}
    params = {"period": "lifetime", "metric_type": "total_value", "breakdown": "city"}
    first, second = (
        GraphCall("a/insights", params, ["follower_demographics"], Scope(stream, "a"), about=row)
        for stream in ("audience_demographics", "user_lifetime_insights")
    )
    answers.divide([first])
    first.answer = ANSWER
    answers.publish([first])
    assert len(answers.divide([second])[1]) == (len(streams) == 2)
    del built


# -- Whole syncs -------------------------------------------------------------------------------------------------------


def start(box: Sandbox) -> datetime:
    return datetime.combine(box.world.now().date(), time(), timezone.utc) - timedelta(days=DAYS)


def read(box: Sandbox, *streams: str, **config: Any) -> Outcome:
    """A sync in which nothing is missing."""
    first = start(box)
    outcome = Connector(box).read(*streams, start_date=f"{first:%Y-%m-%dT%H:%M:%SZ}", **config)
    oracle = Oracle(box.world, first, instagram=config.get("login_type") == "instagram")
    for stream in streams:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream))
        assert len(outcome.records[stream]) == len(oracle.records(stream))
    return outcome


def cost(box: Sandbox, *streams: str, **config: Any) -> int:
    before = box.graph_calls
    read(box, *streams, **config)
    return box.graph_calls - before


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_a_day_is_asked_once_for_all_that_need_it(box: Sandbox, login: str) -> None:
    box.reset(accounts=1, portfolio_accounts=0)
    outcome = read(box, TOTALS, login_type=login)
    days = len({record["date"] for record in outcome.records[TOTALS]})
    assert saved(box, TOTALS, CELLS, login_type=login) == days


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_demographics_are_asked_once_for_all_that_need_them(box: Sandbox, login: str) -> None:
    box.reset(accounts=1, portfolio_accounts=0)
    assert saved(box, "user_lifetime_insights", "audience_demographics", login_type=login) == 3


def saved(box: Sandbox, one: str, other: str, **config: Any) -> int:
    """How many calls fewer two streams cost together; the accounts are asked for in each sync."""
    base, alone = cost(box, "accounts", **config), [cost(box, each, **config) for each in (one, other)]
    return sum(alone) - base - cost(box, one, other, **config)


def test_a_call_that_fails_for_one_stream_is_asked_again_by_the_other(box: Sandbox) -> None:
    """Meta says twice that the account does not exist, which ends the call of whoever asked it."""
    box.reset(accounts=1, portfolio_accounts=0)
    error = {"code": 100, "error_subcode": 33, "message": "Gone"}
    day = int(start(box).timestamp()) + 10 * 86_400
    hits = box.add_fault(path=rf"follows_and_unfollows.*since={day}", times=2, error=error)
    outcome = Connector(box).read(TOTALS, CELLS, start_date=f"{start(box):%Y-%m-%dT%H:%M:%SZ}")
    assert hits.fired == 2
    assert sorted(outcome.statuses.values()) == ["COMPLETE", "INCOMPLETE"]
    (whole,) = [stream for stream in (TOTALS, CELLS) if outcome.statuses[stream] == "COMPLETE"]
    assert keyed(whole, outcome.records[whole]) == keyed(whole, Oracle(box.world, start(box)).records(whole))


def test_a_connection_that_breaks_loses_nothing(box: Sandbox) -> None:
    box.reset(accounts=1, portfolio_accounts=0)
    hits = box.add_fault(path="follows_and_unfollows", times=2, kind="drop")
    assert read(box, TOTALS, CELLS).exit_code == 0
    assert hits.fired == 2


def test_a_refusal_that_lasts_costs_each_stream_its_own(box: Sandbox) -> None:
    box.reset(accounts=1, portfolio_accounts=0)
    box.add_fault(path="follows_and_unfollows", error={"code": 100, "message": "Unsupported"})
    outcome = Connector(box).read(TOTALS, CELLS, start_date=f"{start(box):%Y-%m-%dT%H:%M:%SZ}")
    assert outcome.exit_code == 0
    assert not any("follows" in record for record in map(plain, outcome.records[TOTALS]))
    assert {record["metric"] for record in outcome.records[CELLS]} >= {"views", "reach", "likes"}
    assert "follows_and_unfollows" not in {record["metric"] for record in outcome.records[CELLS]}


def test_who_is_further_shares_the_days_that_both_ask(box: Sandbox) -> None:
    """One was synced to today, the other is new: they share the days that are read again."""
    box.reset(accounts=1, portfolio_accounts=0)
    first = f"{start(box):%Y-%m-%dT%H:%M:%SZ}"
    state = Connector(box).read(TOTALS, incremental=True, start_date=first)
    box.reset(accounts=1, portfolio_accounts=0)
    alone = Connector(box).read(CELLS, incremental=True, start_date=first)
    calls = box.graph_calls
    outcome = Connector(box).read(TOTALS, CELLS, state=state, start_date=first)
    assert keyed(CELLS, outcome.records[CELLS]) == keyed(CELLS, alone.records[CELLS])
    again = len(outcome.records[TOTALS])
    assert 0 < again < 6
    assert box.graph_calls - calls <= calls + 2 * again
