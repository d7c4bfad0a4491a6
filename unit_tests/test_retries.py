"""Whether it is worth asking again, and when: the circuit breaker and the retry policy."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from engine import DAYS, FEED, REELS, at_once, data, insights, verdict, window

from source_instagram import circuit_breaker, retry_policy
from source_instagram.answers import Verdict
from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import Capabilities
from source_instagram.circuit_breaker import ATTEMPTS, CircuitBreaker
from source_instagram.rate_limiter import TEMPO
from source_instagram.retry_policy import RetryPolicy, batch_size, delay, shrink

OTHER_STREAM, OTHER_ACCOUNT = FEED._replace(stream="comments"), FEED._replace(account="b")
FAULT = verdict("retry", "An unknown error occurred", code=1)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that only tests move, in full length."""
    clock = SimpleNamespace(at=1000.0)
    for module in (circuit_breaker, retry_policy):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.at))
        monkeypatch.setattr(module, "TEMPO", 1.0)
    return clock


def failing(breaker: CircuitBreaker, count: int, make: Callable[[int], GraphCall]) -> None:
    for number in range(count):
        breaker.gave_up(make(number))


# -- Attempts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "make", "call", "attempts"),
    [
        (9, lambda at: insights(f"m{at}", "views"), insights("new", "views"), 6),
        (10, lambda at: insights(f"m{at}", "views"), insights("new", "views"), 1),
        (10, lambda at: insights(f"m{at}", "views"), insights("new", "views", scope=REELS), 1),
        (10, lambda at: insights(f"m{at}", "views"), insights("new", "views", scope=OTHER_STREAM), 6),
        (10, lambda at: insights(f"m{at}", "views"), insights("new", "views", scope=OTHER_ACCOUNT), 6),
        # Many calls of one media are one media.
        (30, lambda _: insights("m", "views"), insights("new", "views"), 6),
        (1, lambda _: insights("m", "views"), insights("m", "saved", scope=REELS), 1),
        (1, lambda _: insights("m", "views"), insights("m", "views", scope=OTHER_STREAM), 1),
        # All days of an account have one path, and are not one object.
        (1, lambda at: window(at, "reach"), window(5, "reach"), 6),
        (9, lambda at: window(at, "reach"), window(20, "reach"), 6),
        (10, lambda at: window(at, "reach"), window(20, "reach"), 1),
        (10, lambda at: window(at, "reach"), window(20, "reach", scope=DAYS._replace(account="b")), 6),
    ],
)
def test_where_many_have_come_to_nothing_the_next_gets_one_attempt(
    count: int, make: Callable[[int], GraphCall], call: GraphCall, attempts: int
) -> None:
    breaker = CircuitBreaker()
    failing(breaker, count, make)
    assert breaker.attempts(call) == attempts


@pytest.mark.parametrize(
    ("answered", "attempts"),
    [
        (insights("new", "views"), 6),
        (insights("new", "views", scope=REELS, is_secondary=True), 6),
        (insights("new", "views", scope=OTHER_ACCOUNT), 1),
    ],
)
def test_an_answer_gives_its_place_all_attempts_back(answered: GraphCall, attempts: int) -> None:
    breaker = CircuitBreaker()
    failing(breaker, 15, lambda at: insights(f"m{at}", "views"))
    breaker.answered(answered)
    assert breaker.attempts(insights("newer", "views")) == attempts
    assert breaker.attempts(insights("m3", "views")) == 1, "this media itself has not been answered"


# -- Circuits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "is_open"),
    [
        ([insights("m1"), insights("m2")], False),
        ([insights("m1"), insights("m2"), insights("m3")], True),
        ([insights("m1"), insights("m2"), insights("m2"), insights("m1")], False),
        ([insights("m1"), insights("m2"), insights("m3", scope=REELS)], False),
        ([insights("m1"), insights("m2"), insights("m3", scope=OTHER_ACCOUNT)], False),
    ],
)
def test_three_objects_that_are_refused_open_the_circuit_of_their_scope(
    refused: list[GraphCall],
    is_open: bool,  # noqa: FBT001 - a column of the table
) -> None:
    breaker = CircuitBreaker()
    for number, call in enumerate(refused):
        breaker.refused(call, verdict("unknown", str(number)))
    last = breaker.open_for(insights("new"))
    assert (last is not None) is is_open
    assert last is None or last.words == str(len(refused) - 1), "the last reason is told"
    assert breaker.open_for(insights("new", scope=FEED._replace(row=7))) is None


def test_days_of_an_account_are_objects() -> None:
    breaker = CircuitBreaker()
    for number in (1, 2, 2, 1):
        breaker.refused(window(number, "reach"), FAULT)
    assert breaker.open_for(window(9, "reach")) is None
    breaker.refused(window(3, "reach"), FAULT)
    assert breaker.open_for(window(9, "reach")) is FAULT


@pytest.mark.parametrize(
    ("scope", "is_open"), [(FEED, False), (REELS, True), (OTHER_ACCOUNT, True), (FEED._replace(row=5), True)]
)
def test_an_answer_closes_the_circuit_of_its_scope(scope: Scope, is_open: bool) -> None:  # noqa: FBT001
    breaker = CircuitBreaker()
    for media in ("m1", "m2", "m3"):
        breaker.refused(insights(media), FAULT)
    breaker.answered(insights("m4", scope=scope))
    assert (breaker.open_for(insights("new")) is not None) is is_open
    breaker.answered(insights("m5"))
    breaker.refused(insights("m6"), FAULT)
    assert breaker.open_for(insights("new")) is None, "it is counted from the beginning"


SOME = data("views")


@pytest.mark.parametrize(
    ("call", "is_sample"),
    [
        (insights("m", "views", answer=SOME), True),
        (insights("m", "views", answer=SOME, scope=OTHER_ACCOUNT), True),
        (insights("m", "views", answer={"data": []}), False),
        (insights("m", "views", answer=SOME, is_secondary=True), False),
        (insights("m", "views", answer=SOME, is_optional=True), False),
        (insights("m", "views", answer=SOME, control=insights("m", "reach")), False),
        (insights("m", "views", answer=SOME, params={"after": "x"}), False),
        (insights("m", "views", answer=SOME, about=None), False),
        (insights("m", "views", answer=SOME, scope=OTHER_STREAM), False),
        (GraphCall("c/replies", answer=SOME, about="id", scope=FEED), False),
    ],
)
def test_the_last_main_call_that_brought_something_is_the_sample(call: GraphCall, is_sample: bool) -> None:  # noqa: FBT001
    breaker = CircuitBreaker()
    breaker.answered(insights("first", "views", answer=SOME))
    before = breaker.sample("media_insights")
    breaker.answered(call)
    assert breaker.sample("media_insights") is (call if is_sample else before)


# -- Silence -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "silent"),
    [
        ([0] * 20, 0),  # many at once are one outage, that may be short
        ([20] * 5, 0),
        ([20] * 6, 6),
        ([12] * 6, 6),
        ([11] * 6, 0),
        ([11] * 7, 7),
        ([1] * 61, 61),
        ([1] * 60, 0),
    ],
)
def test_a_minute_and_six_requests_without_any_answer_are_silence(
    now: SimpleNamespace, steps: list[int], silent: int
) -> None:
    breaker = CircuitBreaker()
    told = []
    for step in steps:
        now.at += step
        told.append(breaker.is_silent(was_answered=False))
    assert (told[:-1], told[-1]) == ([0] * (len(steps) - 1), silent)


@pytest.mark.usefixtures("now")
def test_an_answer_breaks_the_silence_and_it_is_told_once(now: SimpleNamespace) -> None:
    breaker = CircuitBreaker()
    told = []
    for number in range(24):
        now.at += 20
        told.append(breaker.is_silent(was_answered=number == 4))
    assert {at: count for at, count in enumerate(told) if count} == {10: 6, 16: 6, 22: 6}


# -- Threads -----------------------------------------------------------------------------------------------------------


def test_a_media_that_comes_to_nothing_in_many_threads_is_one() -> None:
    breaker = CircuitBreaker()
    at_once(lambda _: failing(breaker, 9, lambda at: insights(f"m{at}", "views")))
    assert breaker.attempts(insights("new", "views")) == ATTEMPTS
    breaker.gave_up(insights("m9", "views"))
    assert breaker.attempts(insights("new", "views")) == 1


def test_no_request_is_counted_twice_in_a_silence(now: SimpleNamespace) -> None:
    breaker = CircuitBreaker()

    def work(_: int) -> int:
        count = 0
        for _ in range(40):
            now.at += 5
            count += breaker.is_silent(was_answered=False)
        return count

    told = sum(at_once(work))
    now.at += 1000
    rest = next(count for _ in range(ATTEMPTS) if (count := breaker.is_silent(was_answered=False)))
    assert told <= 8 * 40 < told + rest <= 8 * 40 + ATTEMPTS


# -- Retries -----------------------------------------------------------------------------------------------------------


class Tries:
    """A retry policy, and what it has ended."""

    def __init__(self) -> None:
        self.breaker, self.metrics = CircuitBreaker(), Capabilities()
        self.ended: list[tuple[GraphCall, Verdict]] = []
        self.policy = RetryPolicy(self.breaker, self.metrics, self._end)

    def _end(self, call: GraphCall, verdict: Verdict) -> None:
        call.verdict = verdict
        self.ended.append((call, verdict))


@pytest.fixture
def tries() -> Tries:
    return Tries()


def test_waits_double() -> None:
    assert [delay(attempt) / TEMPO for attempt in range(1, 6)] == [1, 2, 4, 8, 16]


def test_what_broke_together_goes_again_in_fewer_at_once() -> None:
    assert [batch_size(attempts) for attempts in range(6)] == [50, 12, 3, 1, 1, 1]


def test_six_attempts_and_then_it_is_given_up(tries: Tries, now: SimpleNamespace) -> None:
    call = insights("m", "views")
    waits = []
    while tries.policy.failed(call, verdict("reduce_page", blame=FAULT.blame)):
        waits.append(call.not_before - now.at)
        now.at = call.not_before
        assert tries.policy.is_over(call) is None
    assert waits == [1, 2, 4, 8, 16]
    ((ended, why),) = tries.ended
    assert (ended, why.then) == (call, "retry")
    assert "Tried 6 times; the next sync tries again." in why.because
    assert tries.breaker.attempts(insights("m", "saved")) == 1, "the breaker knows"


def test_where_there_is_no_hope_one_attempt_is_all(tries: Tries) -> None:
    failing(tries.breaker, 10, lambda at: insights(f"m{at}", "views"))
    assert tries.policy.failed(insights("new", "views"), FAULT) == []
    assert "Tried once, as others before it failed" in tries.ended[0][1].because


def test_what_waits_is_over_once_others_show_that_there_is_no_hope(tries: Tries) -> None:
    fresh, waiting = insights("fresh", "views"), insights("waiting", "views")
    assert tries.policy.failed(waiting, FAULT) == [waiting]
    failing(tries.breaker, 10, lambda at: insights(f"m{at}", "views"))
    assert tries.policy.is_over(fresh) is None, "what was never sent is worth one attempt"
    assert tries.policy.is_over(waiting) == []
    assert [(call, why.then) for call, why in tries.ended] == [(waiting, "retry")]


@pytest.mark.parametrize(
    ("more", "names", "then"),
    [
        ({"is_optional": True}, ["views"], "refused_metric"),
        ({"is_secondary": True}, ["views"], "refused_metric"),
        ({"is_optional": True}, ["views", "reach"], None),  # of the other nobody has said so
        ({}, ["views"], None),
    ],
)
def test_what_several_refused_meanwhile_is_not_tried_again(
    tries: Tries, more: dict[str, bool], names: list[str], then: str | None
) -> None:
    call = insights("m", *names, **more)
    tries.policy.failed(call, FAULT)
    for media in ("m1", "m2", "m3"):
        tries.metrics.doubt(["views"], FEED, media)
    assert tries.policy.is_over(call) == (None if then is None else [])
    assert [why.then for _, why in tries.ended] == ([] if then is None else [then])


@pytest.mark.parametrize(
    ("code", "limit", "limits"),
    [
        (1, "100", ["100", "25", "6", "1", "1"]),
        (1, "3", ["3", "1", "1", "1", "1"]),
        (1, "1", ["1"] * 5),
        (2, "100", ["100"] * 5),
        (None, "100", ["100"] * 5),
    ],
)
def test_an_unknown_error_may_mean_that_it_was_too_much(
    tries: Tries, code: int | None, limit: str, limits: list[str]
) -> None:
    call = GraphCall("a/media", {"limit": limit, "fields": "id,replies.limit(50){id}"}, scope=Scope("media", "a"))
    asked = []
    while tries.policy.failed(call, verdict("retry", code=code)):
        asked.append(call.params["limit"])
    assert asked == limits
    shrunk = len(set(limits)) > 1
    assert (call.unshrunk or {}).get("limit") == (limit if shrunk else None), "what it asked for at first is kept"
    assert call.params["fields"] == f"id,replies.limit({1 if shrunk else 50}){{id}}"


@pytest.mark.parametrize(
    ("params", "most", "after"),
    [
        (
            {"limit": "100", "fields": "id,replies.limit(50){id}"},
            25,
            {"limit": "25", "fields": "id,replies.limit(25){id}"},
        ),
        (
            {"limit": "10", "fields": "id,replies.limit(50){id}"},
            25,
            {"limit": "10", "fields": "id,replies.limit(25){id}"},
        ),
        ({"limit": "100", "after": "x"}, 25, {"limit": "25", "after": "x"}),
    ],
)
def test_less_is_asked_for_at_any_depth(params: dict[str, str], most: int, after: dict[str, str]) -> None:
    call = GraphCall("a/media", params)
    shrink(call, most)
    assert call.params == after


# -- The trial beside a control ----------------------------------------------------------------------------------------


def optional(control: GraphCall | None, **more: Any) -> GraphCall:
    return insights("m", "facebook_views", is_optional=True, control=control, attempts=5, last_fault=FAULT, **more)


@pytest.mark.parametrize(
    ("control", "asked"),
    [
        (insights("m", "views", "reach", answer=data("reach")), ["reach"]),  # what it was answered with
        (insights("m", "views", "reach", answer=data()), ["views"]),
        (insights("m", "views", "reach"), ["views"]),  # is still under way
    ],
)
def test_beside_its_last_attempt_goes_what_the_object_has(tries: Tries, control: GraphCall, asked: list[str]) -> None:
    call = optional(control)
    again = tries.policy.failed(call, FAULT)
    assert again == [call.trial, call], "in this order, in one batch"
    assert call.trial is not None
    assert (call.trial.path, call.trial.metrics, call.trial.is_planned) == (control.path, asked, True)
    assert not call.trial.is_done
    assert tries.policy.is_over(call) is None
    assert tries.ended == []


@pytest.mark.parametrize(
    ("trial", "then", "attempts"),
    [
        ({"answer": data("views")}, "refused_metric", 6),  # the object is there, so this metric is not
        ({"verdict": FAULT}, "retry", 1),  # nothing is there now
    ],
)
def test_the_trial_tells_a_fault_from_a_refusal(tries: Tries, trial: dict[str, Any], then: str, attempts: int) -> None:
    control = insights("m", "views", answer=data("views"))
    call = optional(control, trial=control.again(**trial))
    assert tries.policy.failed(call, FAULT) == []
    assert [(ended, why.then) for ended, why in tries.ended] == [(call, then)]
    assert tries.breaker.attempts(insights("m", "saved")) == attempts


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (optional(None), FAULT),
        (optional(insights("m", "views", verdict=FAULT)), FAULT),  # which has itself come to nothing
        (optional(insights("m", "views", answer=data("views"))), verdict("retry", code=2)),  # no unknown error
        (optional(insights("m", "views", answer=data("views"))), verdict("retry", code=1, is_transient=True)),
        (insights("m", "saved", control=insights("m", "views", answer=data("views")), attempts=5), FAULT),
    ],
)
def test_where_a_trial_would_tell_nothing_there_is_none(tries: Tries, call: GraphCall, why: Verdict) -> None:
    assert tries.policy.failed(call, why) == []
    assert call.trial is None
    assert [ended.then for _, ended in tries.ended] == ["retry"]
