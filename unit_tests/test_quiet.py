"""A span of days on which nothing happened costs one call, and its days get what Meta would have said of each."""

from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta, timezone
from typing import Any

import pytest
from engine import verdict
from harness import Connector, Outcome
from hypothesis import given
from hypothesis import strategies as st
from law import Trial
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram.calls import GraphCall, Scope
from source_instagram.quiet import SPAN, first_days, next_days, quiet

TOTALS, CELLS = "user_total_insights", "user_insights_breakdowns"
DAY = 86_400
ROW = {"metrics": ["views"], "days": 1}
Number = int | None  # None is a day that Meta does not know


def day(number: int, *metrics: str, row: dict[str, Any] = ROW, at: int = 0) -> GraphCall:
    params = {"since": str(number * DAY), "until": str((number + 1) * DAY)}
    return GraphCall("a/insights", params, list(metrics or ["views"]), Scope(TOTALS, "a", "", at), about=row)


def item(name: str, value: Any, rows: dict[str, int] | None = None) -> dict[str, Any]:
    if rows is None:
        return {"name": name, "total_value": {"value": value}}
    results = [{"dimension_values": [key], "value": each} for key, each in rows.items()]
    breakdown = {"dimension_keys": ["follow_type"], **({"results": results} if results else {})}
    return {"name": name, "total_value": {"value": value, "breakdowns": [breakdown]}}


def window(call: GraphCall) -> range:
    return range(int(call.params["since"]) // DAY, int(call.params["until"]) // DAY)


def summed(numbers: list[Number]) -> Callable[[GraphCall], None]:
    """Meta, with these numbers of views: it sums the days of a window that it knows."""

    def answer(call: GraphCall) -> None:
        known = [number for each in window(call) if (number := numbers[each]) is not None]
        call.answer = {"data": [item("views", sum(known))] if known else []}

    return answer


def asked(calls: list[GraphCall], answer: Callable[[GraphCall], None]) -> Iterator[GraphCall]:
    """Make some calls of an account, and all that come after them; those that were really made."""
    held = first_days(calls)
    new = list(held)
    while new:
        for call in new:
            if not call.is_done:
                answer(call)
                yield call
        new = next_days(held)
        held += new
    assert sorted(held, key=id) == sorted(calls, key=id), "all days are there, and no span"


# -- What is quiet -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([item("views", 0), item("likes", 0)], {"views": 0, "likes": 0}),
        ([item("views", 0), item("likes", 1)], None),
        ([item("views", 0)], None),
        ([item("views", 0), {"name": "likes"}], None),
        ([], {}),
        ([item("views", 0, {}), item("likes", 0, {})], {"views": {}, "likes": {}}),
        ([item("views", 7, {}), item("likes", 0, {})], {"views": {}, "likes": {}}),
        ([item("views", 7), item("likes", 0, {})], None),
        ([item("views", 1, {"FOLLOWER": 1}), item("likes", 0, {})], None),
        ([item("views", 0, {"FOLLOWER": 0}), item("likes", 0, {})], {"views": {"FOLLOWER": 0}, "likes": {}}),
    ],
)
def test_what_is_quiet(items: list[dict[str, Any]], expected: Any) -> None:
    call = day(1, "views", "likes")
    call.answer = {"data": items}
    assert quiet(call) == expected


@pytest.mark.parametrize("how", ["not asked", "refused", "partly refused", "partly failed"])
def test_what_is_not_answered_is_not_quiet(how: str) -> None:
    call = day(1, "views", "likes")
    if how == "refused":
        call.verdict = verdict("refused_metric")
    elif how.startswith("partly"):
        views, likes = call.split([["views"], ["likes"]])
        views.answer = {"data": [item("views", 0)]}
        likes.verdict = verdict("refused_metric" if how == "partly refused" else "retry")
    assert quiet(call) is None


def test_an_answer_in_parts_may_be_quiet() -> None:
    call = day(1, "views", "likes")
    for part in call.split([["views"], ["likes"]]):
        part.answer = {"data": [item(part.metrics[0], 0)]}
    assert quiet(call) == {"views": 0, "likes": 0}


# -- Which calls are made ----------------------------------------------------------------------------------------------


def test_the_example_of_first_days() -> None:
    calls = [day(number) for number in range(100)]
    assert first_days(calls) == [calls[0], calls[50], calls[99]]


def test_few_days_and_other_calls_are_asked_at_once() -> None:
    days, series = [day(number) for number in range(14)], [day(30 * n, row={"days": 30}, at=1) for n in range(20)]
    assert first_days([*days, *series]) == [*days, *series]


def test_each_row_is_searched_by_itself() -> None:
    calls = [day(number, at=at) for number in range(100) for at in (0, 1)]

    def answer(call: GraphCall) -> None:
        call.answer = {"data": [item("views", 0 if call.scope.row else 1)]}

    made = list(asked(calls, answer))
    assert [sum(call.scope.row == at for call in made) for at in (0, 1)] == [100, 7]


@pytest.mark.parametrize(
    ("numbers", "most"),
    [
        ([5] * 100, 100),
        ([0] * 100, 7),
        ([None] * 100, 7),
        ([0] * 123, 7),
        ([0] * 70 + [5] * 30, 46),
        ([None] * 70 + [5] * 30, 46),
        ([5] * 30 + [0] * 70, 46),
        ([None] * 40 + [0] * 60, 26),
        ([5] * 20 + [0] * 60 + [5] * 20, 59),
    ],
)
def test_how_many_calls_a_sleeping_account_costs(numbers: list[Number], most: int) -> None:
    calls = [day(number) for number in range(len(numbers))]
    assert len(list(asked(calls, summed(numbers)))) <= most


RUN = st.tuples(st.sampled_from([None, 0, 0, 1, 7]), st.integers(1, 60))


@given(st.lists(RUN, min_size=1, max_size=5))
def test_days_say_what_they_would_say_one_by_one(runs: list[tuple[Number, int]]) -> None:
    # What Meta does not know of is before or after what it knows.
    numbers = [number for number, count in runs for _ in range(count)]
    known = [at for at, number in enumerate(numbers) if number is not None]
    numbers = [number or 0 if known and known[0] < at < known[-1] else number for at, number in enumerate(numbers)]
    calls, answer = [day(number) for number in range(len(numbers))], summed(numbers)
    made = list(asked(calls, answer))
    assert len(made) == len({call.url for call in made}), "nothing is asked twice"
    assert max(len(window(call)) for call in made) <= SPAN
    for each, number in zip(calls, range(len(numbers)), strict=True):
        single = day(number)
        answer(single)
        assert each.answer == single.answer


@pytest.mark.parametrize("trouble", ["refused", "failed", "empty", "incomplete", "shortened"])
def test_a_span_that_does_not_tell_leaves_all_to_its_days(trouble: str) -> None:
    calls, answer = (
        [day(number, "views", "likes") for number in range(100)],
        {"data": [item("views", 0), item("likes", 0)]},
    )

    def troubled(call: GraphCall) -> None:
        if len(window(call)) == 1:
            call.answer = answer
        elif trouble == "shortened":
            call.answer, call.params["since"] = answer, str(int(call.params["since"]) + DAY)
        elif trouble in ("empty", "incomplete"):
            call.answer = {"data": answer["data"][: trouble == "incomplete"]}
        else:
            call.verdict = verdict("refused_metric" if trouble == "refused" else "retry")

    assert len(list(asked(calls, troubled))) == 100 + 4
    assert all(call.answer == answer for call in calls)


def test_what_was_left_out_of_a_span_was_left_out_of_its_days() -> None:
    calls = [day(number, "views", "likes") for number in range(20)]

    def answer(call: GraphCall) -> None:
        call.metrics, call.left_out, call.answer = ["views"], ["likes"], {"data": [item("views", 0)]}

    list(asked(calls, answer))
    assert all(call.left_out == ["likes"] for call in calls)


# -- Whole syncs -------------------------------------------------------------------------------------------------------


def read(box: Sandbox, *streams: str, days: int = 0, **config: Any) -> Outcome:
    """A sync that brings all that the world has."""
    start = datetime.combine(box.world.now().date(), time(), timezone.utc) - timedelta(days=days) if days else None
    config |= {"start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}"} if start else {}
    outcome = Connector(box).read(*streams, **config)
    oracle = Oracle(box.world, start, instagram=config.get("login_type") == "instagram")
    for stream in streams:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream))
        assert len(outcome.records[stream]) == len(oracle.records(stream))
    return outcome


@pytest.mark.parametrize(("stream", "rows"), [(TOTALS, 2), (CELLS, 3)])
def test_an_account_that_is_awake_pays_no_call_more(box: Sandbox, stream: str, rows: int) -> None:
    box.reset(accounts=1, portfolio_accounts=0)
    outcome = read(box, stream, days=300)
    days = len({record["date"] for record in outcome.records[stream]})
    assert box.graph_calls == 1 + rows * days


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_half_a_year_costs_half_a_year(box: Sandbox, login: str) -> None:
    """Of two years: 4,400 calls when each day is one."""
    box.reset(accounts=1, portfolio_accounts=0, asleep="730-180")
    read(box, TOTALS, CELLS, login_type=login)
    assert 180 * 4 < box.graph_calls < 180 * 4 + 200


@pytest.mark.parametrize("asleep", ["250-170", "100-0", "400-290"])
def test_a_sleep_in_between_costs_little(box: Sandbox, asleep: str) -> None:
    box.reset(accounts=1, portfolio_accounts=0, asleep=asleep)
    read(box, TOTALS, days=400)
    first, last = map(int, asleep.split("-"))
    assert box.graph_calls < 2 * (401 - 0.6 * (first - last))


def test_a_small_account_and_one_that_is_not_there_yet(box: Sandbox) -> None:
    """One has followers that do not count, the other no days at all before the 400 that it exists."""
    box.reset(accounts=3, portfolio_accounts=0)
    read(box, TOTALS, CELLS, days=450)
    assert box.graph_calls < 0.85 * 3 * 451 * 5


@pytest.mark.parametrize(
    "error",
    [
        {"code": 100, "message": "Invalid parameter"},
        {"code": 100, "message": "(#100) There cannot be more than 30 days (2592000 s) between since and until"},
        {"code": 1, "message": "Please reduce the amount of data you're asking for, then retry your request"},
        {"code": 2, "message": "An unexpected error has occurred. Please retry your request later."},
        {"code": 100, "error_subcode": 33, "message": "Unsupported get request."},
        {"code": 10, "message": "(#10) Application does not have permission for this action"},
    ],
)
def test_a_span_that_meta_refuses_costs_calls_and_no_data(box: Sandbox, error: dict[str, Any]) -> None:
    box.reset(accounts=1, portfolio_accounts=0, asleep="730-60")
    midnight = datetime.combine(box.world.now().date(), time(), timezone.utc)
    singles = "|".join(str(int((midnight - timedelta(days=n)).timestamp()) + DAY) for n in range(-1, 200))
    days = "|".join(str(int((midnight - timedelta(days=n)).timestamp())) for n in range(-1, 200))
    pairs = "|".join(f"since={a}&until={b}" for a, b in zip(days.split("|"), singles.split("|"), strict=True))
    hits = box.add_fault(path=rf"/insights\?(?!.*(?:{pairs})(?!\d)).*since=", error=error)
    outcome = read(box, TOTALS, CELLS, days=190)
    assert hits.fired
    assert outcome.exit_code == 0
    assert not [line for line in outcome.log("WARN", "ERROR") if "metric" in line.lower()]


@pytest.mark.parametrize("stream", [TOTALS, CELLS])
@pytest.mark.parametrize(
    "fault",
    [
        {"every": 5, "error": {"code": 2, "message": "An unexpected error has occurred."}},
        {"every": 7, "kind": "drop"},
        {"skip": 5, "times": 20, "error": {"code": 100, "error_subcode": 33, "message": "Gone"}},
        {"skip": 9, "error": {"code": 190, "error_subcode": 463, "message": "Error validating access token"}},
    ],
)
def test_trouble_of_a_sleeping_account_keeps_the_law(box: Sandbox, stream: str, fault: dict[str, Any]) -> None:
    box.reset(accounts=2, portfolio_accounts=0, days=14, asleep="20-3")
    tried = Trial(box, (stream,)).run({"path": r"/1784\d+/insights", **fault})
    assert sum(tried.fired)
    assert tried.broken == []
