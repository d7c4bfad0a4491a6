"""Calls: which an object needs, what became of each, and what it costs that one has no answer."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from engine import DAYS, FEED, REELS, data, insights, session, verdict, window

from source_instagram.answers import Verdict
from source_instagram.calls import GraphCall, Scope
from source_instagram.losses import Cost, cost
from source_instagram.planning import Plan, narrowed

FAULT, REFUSED, NOTHING = verdict("retry"), verdict("refused_metric"), verdict("no_data")

# -- A call and its parts ----------------------------------------------------------------------------------------------


def of_parts(*ends: Any) -> GraphCall:
    """A call that was split; each part has an answer, a verdict, or is under way."""
    call = insights("m", *(f"m{at}" for at in range(len(ends))))
    for part, end in zip(call.split([[name] for name in call.metrics]), ends, strict=True):
        part.verdict = end if isinstance(end, Verdict) else None
        part.answer = end if isinstance(end, dict) else None
    return call


@pytest.mark.parametrize(
    ("call", "is_done", "is_answered", "names", "outcome"),
    [
        (of_parts(data("m0"), data("m1")), True, True, ["m0", "m1"], None),
        (of_parts(data("m0"), REFUSED), True, True, ["m0"], None),  # a null
        (of_parts(data("m0"), FAULT), True, True, ["m0"], FAULT),  # missing
        (of_parts(REFUSED, FAULT), True, False, [], FAULT),
        (of_parts(REFUSED, NOTHING), True, False, [], REFUSED),
        (of_parts(data("m0"), None), False, True, ["m0"], None),
        (of_parts(None, FAULT), False, False, [], FAULT),
        (of_parts({"data": []}, {"data": None}), True, True, [], None),
        (insights("m", "m0"), False, False, [], None),
        (insights("m", "m0", answer=data("m0")), True, True, ["m0"], None),
        (insights("m", "m0", answer={}), True, True, [], None),
        (insights("m", "m0", verdict=NOTHING), True, False, [], NOTHING),
    ],
)
def test_what_becomes_of_the_parts_becomes_of_the_call(
    call: GraphCall,
    is_done: bool,  # noqa: FBT001 - columns of the table
    is_answered: bool,  # noqa: FBT001
    names: list[str],
    outcome: Verdict | None,
) -> None:
    assert (call.is_done, call.is_answered) == (is_done, is_answered)
    assert [item["name"] for item in call.items] == names
    assert call.outcome is outcome


def test_a_part_may_be_split_again() -> None:
    call = insights("m", "a", "b", "c", control=insights("m", "x"), attempts=3, params={"period": "day"})
    first, rest = call.split([["a"], ["b", "c"]])
    second, third = rest.split([["b"], ["c"]])
    assert list(call.leaves()) == [first, second, third]
    assert {each.top for each in (call, first, rest, second, third)} == {call}
    assert [leaf.metrics for leaf in call.leaves()] == [["a"], ["b"], ["c"]]
    assert {(leaf.path, leaf.attempts, leaf.is_planned, leaf.control) for leaf in call.leaves()} == {
        (call.path, 0, True, call.control)
    }
    first.answer, second.verdict, third.verdict = data("a"), REFUSED, FAULT
    assert call.refused == [(["b"], REFUSED), (["c"], FAULT)]
    third.params["period"] = "week"
    assert (call.params, second.params) == ({"period": "day"}, {"period": "day"}), "each has its own parameters"


def test_again_is_as_if_it_had_not_been_sent() -> None:
    call = insights("m", "a", params={"limit": "25"}, control=insights("m", "x"), is_optional=True)
    call.answer, call.verdict, call.attempts, call.not_before = data("a"), FAULT, 4, 1e9
    call.last_fault, call.unshrunk, call.trial = FAULT, {"limit": "100"}, insights("m", "x")
    call.split([["a"]])
    again = call.again(metrics=["b"])
    assert (again.is_done, again.attempts, again.not_before, list(again.parts)) == (False, 0, 0.0, [])
    assert (again.last_fault, again.unshrunk, again.trial, again.whole) == (None, None, None, None)
    assert (again.path, again.params, again.scope, again.control) == (call.path, call.params, call.scope, call.control)
    assert (again.metrics, call.metrics, again.is_optional) == (["b"], ["a"], True)


@pytest.mark.parametrize(
    ("call", "url", "thing", "edge"),
    [
        (insights("m", "a", "b"), "m/insights?metric=a,b", "m/insights ", Scope("media_insights", "a", "insights")),
        (
            GraphCall("m/comments", {"fields": "id,replies.limit(50){id}"}, scope=Scope("comments", "a")),
            "m/comments?fields=id,replies.limit(50){id}", "m/comments ", Scope("comments", "a", "comments"),
        ),
        (GraphCall("me"), "me", "me ", Scope("")),
        (GraphCall("m/media", {"after": "a&b=c"}), "m/media?after=a%26b%3Dc", "m/media ", Scope("", None, "media")),
        (
            GraphCall("a/insights", {"since": "0", "until": "9"}), "a/insights?since=0&until=9", "a/insights 0",
            Scope("", None, "insights"),
        ),
    ],
)  # fmt: skip
def test_what_a_call_is_about(call: GraphCall, url: str, thing: str, edge: Scope) -> None:
    assert (call.url, call.object, call.edge) == (url, thing, edge)


# -- Which calls -------------------------------------------------------------------------------------------------------

MEDIA_ROWS: list[dict[str, Any]] = [
    {"of": ["FEED"], "metrics": ["views", "saved", "follows"]},
    {"of": ["REELS"], "metrics": ["views", "saved", "avg_time"]},
    {"of": ["FEED"], "metrics": ["activity"], "as": {"CALL": "calls"}, "secondary": True},
    {"of": ["FEED", "REELS"], "metrics": ["facebook_views"], "optional": True, "login": "facebook"},
]
DAY_ROWS: list[dict[str, Any]] = [
    {"metrics": ["reach"], "period": "day", "days": 2},
    {"metrics": ["reach"], "as": "reach_week", "period": "week", "days": 2},
    {"metrics": ["follows"], "period": "day", "days": 2, "optional": True},
]
DAY = {"start_time": "2026-05-01T00:00:00Z", "end_time": "2026-05-04T23:59:59Z"}  # four days, two windows
FEED_ONE, REELS_ONE = ({"id": "m", "media_product_type": product} for product in ("FEED", "REELS"))


def planned(
    rows: list[dict[str, Any]],
    one: Mapping[str, Any],
    columns: Iterable[str] | None = None,
    bounds: Mapping[str, str] = DAY,
    **more: Any,
) -> list[GraphCall]:
    """The calls for an object, where the catalog selected some columns, or all of them."""

    def selected(names: Iterable[str]) -> list[str]:
        return [name for name in names if columns is None or name in columns]

    plan = Plan("stream", rows, more.pop("login", "facebook"), selected, **more)
    return list(plan.calls(one, "a", "media m", bounds))


@pytest.mark.parametrize(
    ("one", "product", "products", "has_numbers"),
    [
        (FEED_ONE, "", ["FEED"], True),
        (REELS_ONE, "", ["REELS"], True),
        ({"id": "m", "media_product_type": "AD"}, "", ["AD"], False),
        ({"id": "m"}, "STORY", ["STORY"], False),
        ({"id": "m", "media_type": "VIDEO"}, "", ["FEED", "REELS"], True),
        ({"id": "m"}, "", ["FEED", "REELS"], True),
        ({"id": "m", "media_type": "IMAGE"}, "", ["FEED"], True),
        ({"id": "m", "media_type": "CAROUSEL_ALBUM", "media_product_type": None}, "", ["FEED"], True),
        ({}, "", [""], False),
    ],
)
def test_the_product_types_that_an_object_may_be_of(
    one: dict[str, Any],
    product: str,
    products: list[str],
    has_numbers: bool,  # noqa: FBT001
) -> None:
    plan = Plan("stream", MEDIA_ROWS, "facebook", list, product)
    assert (plan.products(one), plan.has_numbers(one)) == (products, has_numbers)


MAIN, SECONDARY, OPTIONAL = "main", "secondary", "optional"


def kind(call: GraphCall) -> str:
    return OPTIONAL if call.is_optional else SECONDARY if call.is_secondary else MAIN


@pytest.mark.parametrize(
    ("one", "login", "columns", "calls"),
    [
        (
            FEED_ONE, "facebook", None,
            [
                ("FEED", 0, MAIN, ["views", "saved", "follows"]), ("FEED", 2, SECONDARY, ["activity"]),
                ("FEED", 3, OPTIONAL, ["facebook_views"]),
            ],
        ),
        (
            REELS_ONE, "instagram", None,
            [("REELS", 1, MAIN, ["views", "saved", "avg_time"])],
        ),
        # Where the product is not known, the second product's row asks for what the first does not.
        (
            {"id": "m"}, "facebook", None,
            [
                ("?", 0, MAIN, ["views", "saved", "follows"]), ("?", 1, SECONDARY, ["avg_time"]),
                ("?", 2, SECONDARY, ["activity"]), ("?", 3, OPTIONAL, ["facebook_views"]),
            ],
        ),
        ({"id": "m", "media_product_type": "AD"}, "facebook", None, []),
        # What the catalog selected, and at least what tells that there is a record.
        (FEED_ONE, "facebook", ["id", "saved"], [("FEED", 0, MAIN, ["saved"])]),
        (FEED_ONE, "facebook", ["id"], [("FEED", 0, MAIN, ["views"])]),
        (FEED_ONE, "facebook", ["calls"], [("FEED", 0, MAIN, ["views"]), ("FEED", 2, SECONDARY, ["activity"])]),
        (FEED_ONE, "facebook", ["avg_time"], [("FEED", 0, MAIN, ["views"])]),
        ({"id": "m"}, "facebook", ["avg_time"], [("?", 0, MAIN, ["views"]), ("?", 1, SECONDARY, ["avg_time"])]),
    ],
)  # fmt: skip
def test_the_calls_of_a_media(
    one: dict[str, Any], login: str, columns: list[str] | None, calls: list[tuple[str, int, str, list[str]]]
) -> None:
    made = planned(MEDIA_ROWS, one, columns, login=login)
    assert [(call.scope.product, call.scope.row, kind(call), call.metrics) for call in made] == calls
    assert [call.control for call in made] == [None, *made[:1] * (len(made) - 1)][: len(made)], (
        "the first is the main one"
    )
    assert {(call.path, call.scope.stream, call.scope.account, call.subject) for call in made} <= {
        ("m/insights", "stream", "a", "media m")
    }
    assert [call.about for call in made] == [MEDIA_ROWS[call.scope.row] for call in made]


def test_each_window_has_its_own_control() -> None:
    calls = planned(DAY_ROWS, {})
    assert [(call.scope.row, call.subject) for call in calls] == [
        (row, f"media m, 2026-05-0{first} to 2026-05-0{first + 1}") for row in range(3) for first in (1, 3)
    ]
    assert [call.control for call in calls] == [None, None, *calls[:2], *calls[:2]]
    assert {call.path for call in calls} == {"a/insights"}


def test_of_days_only_the_rows_that_were_selected_are_asked() -> None:
    assert {call.scope.row for call in planned(DAY_ROWS, {}, ["date", "reach_week"])} == {1}
    assert {call.scope.row for call in planned(DAY_ROWS, {}, ["date"])} == {0}, "else nothing tells of the days"


def test_each_value_of_a_list_is_a_call() -> None:
    row = {"metrics": ["x"], "as": "value", "period": "lifetime", "breakdown": ["age", "city"], "timeframe": ["w", "m"]}
    assert [(call.params["breakdown"], call.params["timeframe"]) for call in planned([row], {})] == [
        ("age", "w"), ("age", "m"), ("city", "w"), ("city", "m"),
    ]  # fmt: skip


@pytest.mark.parametrize("columns", [None, ["value"], ["date", "metric"]])
def test_records_that_have_their_metric_in_the_key_are_there_whatever_is_selected(columns: list[str] | None) -> None:
    rows = [{"metrics": ["views", "reach"], "as": "value", "days": 4}]
    assert [call.metrics for call in planned(rows, {}, columns)] == [["views", "reach"]]


@pytest.mark.parametrize(
    ("days", "more", "thirds"),
    [
        (30, {"verdict": REFUSED}, [(0, 10), (10, 20), (20, 30)]),
        (4, {"verdict": REFUSED}, [(0, 2), (2, 4)]),
        (3, {"verdict": REFUSED}, [(0, 1), (1, 2), (2, 3)]),
        (2, {"verdict": REFUSED}, None),
        (30, {"verdict": REFUSED, "is_optional": True}, None),
        (30, {"verdict": REFUSED, "is_secondary": True}, None),
        (30, {"verdict": FAULT}, None),
        (30, {"verdict": NOTHING}, None),
        (30, {"answer": data("reach")}, None),
    ],
)
def test_a_window_that_is_refused_is_asked_in_thirds(
    days: int, more: dict[str, Any], thirds: list[tuple[int, int]] | None
) -> None:
    call = window(0, "reach", subject="account a, 1970-01-01 to …", control=window(0, "views"), **more)
    call.params["until"] = str(days * 86_400)
    before, other = window(9, "reach"), window(8, "reach")
    calls = [before, call, other]
    made = narrowed(calls, [call])
    assert [(int(each.params["since"]) // 86_400, int(each.params["until"]) // 86_400) for each in made] == (
        thirds or []
    )
    assert calls == ([before, call, other] if thirds is None else [before, other]), "they stand in its place"
    assert {(each.control, each.outcome) for each in made} <= {(None, None)}
    assert [
        each.subject.startswith(f"account a, 1970-01-{first + 1:02}")
        for each, (first, _) in zip(made, thirds or (), strict=True)
    ] == [True] * len(made)


def test_days_of_a_call_without_days_are_not_narrowed() -> None:
    call = GraphCall("a/insights", {"period": "lifetime"}, ["x"], DAYS, verdict=REFUSED)
    assert narrowed([call], [call]) == []


# -- What it costs -----------------------------------------------------------------------------------------------------

N, C, R, M = Cost.NOTHING, Cost.COLUMNS, Cost.RECORD, Cost.MISSING


@pytest.mark.parametrize(
    ("then", "of_object", "of_days"),
    [
        # Each for a main, a secondary and an optional call.
        ("", (N, N, N), (N, N, N)),
        ("retry", (M, M, M), (M, M, M)),
        ("closed", (M, M, M), (M, M, M)),
        ("fail_sync", (M, M, M), (M, M, M)),
        ("unconfirmed", (M, M, M), (M, M, M)),
        ("no_data", (R, C, C), (M, C, C)),  # a day has numbers, once they are counted
        ("before_conversion", (R, C, C), (R, C, C)),
        ("not_visible", (R, C, C), (M, M, M)),  # an account does not vanish
        ("shorten_window", (R, C, C), (R, C, C)),
        ("last_page", (R, C, C), (R, C, C)),
        ("refused_metric", (M, C, C), (M, C, C)),
        ("refused_field", (M, C, C), (M, C, C)),
        ("fail_account", (M, C, C), (M, C, C)),
        ("reduce_page", (M, C, C), (M, C, C)),
        ("unsign", (M, C, C), (M, C, C)),
        ("unknown", (M, C, C), (M, C, C)),
    ],
)
def test_what_a_refusal_costs(then: str, of_object: tuple[Cost, ...], of_days: tuple[Cost, ...]) -> None:
    end = verdict(then) if then else None
    kinds: list[dict[str, Any]] = [{}, {"is_secondary": True}, {"is_optional": True}]
    for more, object_cost, days_cost in zip(kinds, of_object, of_days, strict=True):
        media, day = insights("m", "views", verdict=end, **more), window(1, "reach", verdict=end, **more)
        assert cost(media, [media], session(), of_object=True) is object_cost, more
        assert cost(day, [day], session(), of_object=False) is days_cost, more


@pytest.mark.parametrize(
    ("then", "other", "expected"),
    [
        ("no_data", None, M),  # words about numbers end no list of comments
        ("before_conversion", None, M),
        ("not_visible", None, R),
        ("not_visible", {"data": []}, M),  # something came of it, so it is there
        ("last_page", {"data": []}, R),
    ],
)
def test_a_list_of_comments_is_not_ended_by_words_for_something_else(then: str, other: Any, expected: Cost) -> None:
    call = GraphCall("m/comments", {"after": "x"}, scope=Scope("comments", "a"), verdict=verdict(then))
    calls = [call, GraphCall("m/comments", answer=other)]
    assert cost(call, calls, session(), of_object=True) is expected


def test_a_lifetime_number_that_is_not_there_is_none() -> None:
    call = GraphCall("a/insights", {"period": "lifetime"}, ["x"], DAYS, verdict=NOTHING)
    assert cost(call, [call], session(), of_object=False) is R


ROW = DAYS._replace(row=1)


@pytest.mark.parametrize(
    ("others", "trusted", "expected"),
    [
        ([window(at, "new", scope=ROW, verdict=REFUSED) for at in (2, 3)], None, C),
        ([window(2, "new", scope=ROW, verdict=REFUSED)], None, M),  # too few were asked to know
        ([window(1, "new", scope=ROW, verdict=REFUSED) for _ in range(2)], None, M),  # of the same days
        ([window(at, "new", scope=DAYS._replace(row=2), verdict=REFUSED) for at in (2, 3)], None, M),
        ([window(at, "new", scope=ROW, verdict=NOTHING) for at in (2, 3)], None, M),
        ([window(at, "new", scope=ROW, verdict=REFUSED) for at in (2, 3)], ROW, M),  # some of its days have it
        ([window(at, "new", scope=ROW, verdict=REFUSED) for at in (2, 3)], ROW._replace(account="b"), C),
    ],
)
def test_a_row_that_an_account_never_had_costs_its_columns(
    others: list[GraphCall], trusted: Scope | None, expected: Cost
) -> None:
    shared, call = session(), window(1, "new", scope=ROW, verdict=REFUSED)
    if trusted:
        shared.metrics.trust(["new"], trusted)
    answered = window(1, "reach", answer=data("reach"))
    assert cost(call, [call, *others, answered], shared, of_object=False) is expected
    assert cost(call, [call, *others], shared, of_object=False) is M, "while it has others"
    assert cost(call, [call, *others, answered], shared, of_object=True) is M, "an object's main call is its record"


def test_scopes_are_told_in_words_for_people() -> None:
    assert (str(REELS), str(DAYS)) == ("REELS", "account a")
    assert (FEED.family, DAYS.family, FEED.place) == ("media", "accounts", ("media_insights", "a"))
