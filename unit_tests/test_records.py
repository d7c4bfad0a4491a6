"""How answers become records: every rule of `records.py`, and every example that its texts give."""

from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time

from source_instagram.calls import GraphCall
from source_instagram.records import (
    cells,
    columns,
    columns_of,
    converter,
    each_breakdown,
    each_cell,
    each_day,
    each_total,
    next_cursor,
    one_record,
    parameters_of,
    stable_url,
    total,
    windows,
)
from source_instagram.times import days_of, label_in, moment

DAY = 86_400
PRESENT = "2026-11-23T18:00:00+00:00"


def seconds(day: str) -> str:
    return str(int(datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp()))


def answered(
    *items: dict[str, Any], row: dict[str, Any] | None = None, path: str = "1784/insights", **params: str
) -> GraphCall:
    """A call that was answered with these items."""
    return GraphCall(path=path, params=params, about=row or {}, answer={"data": list(items)})


def series(name: str, **values: Any) -> dict[str, Any]:
    """A metric by day: `d0507=3` is the value with the label of 7 May."""
    days = [{"value": value, "end_time": f"2026-{day[1:3]}-{day[3:]}T07:00:00+0000"} for day, value in values.items()]
    return {"name": name, "period": "day", "values": days}


def broken_down(name: str, keys: list[str], results: dict[Any, int] | None, **more: Any) -> dict[str, Any]:
    rows = [
        {"dimension_values": [key] if isinstance(key, str) else list(key), "value": value}
        for key, value in (results or {}).items()
    ]
    breakdown: dict[str, Any] = {"dimension_keys": keys}
    if results is not None:
        breakdown["results"] = rows
    return {"name": name, "period": "day", "total_value": {"breakdowns": [breakdown], **more}}


# -- Windows -----------------------------------------------------------------------------------------------------------

SERIES = {"metrics": ["reach"], "days": 30}
RECENT = {"metrics": ["follower_count"], "days": 30, "recent": True}


def windows_at(present: str, row: dict[str, Any], start: str) -> list[tuple[str, ...]]:
    """The windows as days, up to the end of the present one."""
    with freeze_time(present):
        found = list(windows(row, {"start_time": start, "end_time": f"{present[:10]}T23:59:59Z"}))
    return [
        tuple(f"{datetime.fromtimestamp(int(each[end]), timezone.utc):%m-%d %H:%M}" for end in ("since", "until"))
        for each in found
    ]


def test_windows_of_the_example() -> None:
    assert windows_at(PRESENT, SERIES, "2026-09-25T00:00:00Z") == [
        ("09-25 00:00", "10-25 00:00"),
        ("10-25 00:00", "11-24 00:00"),
    ]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("2026-11-20T00:00:00Z", [("11-20 00:00", "11-24 00:00")], id="all recent"),
        pytest.param("2026-10-20T00:00:00Z", [("10-25 00:00", "11-24 00:00")], id="straddles the border"),
        pytest.param("2026-10-25T00:00:00Z", [("10-25 00:00", "11-24 00:00")], id="begins with the border"),
        pytest.param("2026-11-01T23:59:59Z", [("11-01 00:00", "11-24 00:00")], id="a start with a time is its day"),
        pytest.param("2026-11-24T00:00:00Z", [], id="nothing to ask"),
    ],
)
def test_recent_metrics_are_asked_for_thirty_days(start: str, expected: list[tuple[str, str]]) -> None:
    assert windows_at(PRESENT, RECENT, start) == expected


def test_a_row_without_days_is_one_call() -> None:
    assert list(windows({"metrics": ["x"]}, {})) == [{}]


@pytest.mark.parametrize("days", [1, 30])
@pytest.mark.parametrize("start", ["2024-11-25T00:00:00Z", "2025-03-08T13:00:00+00:00", "2026-10-31T23:59:59Z"])
@pytest.mark.parametrize(
    "present", ["2026-11-23T00:00:01+00:00", "2026-03-08T09:59:59+00:00", "2026-11-01T23:59:59+00:00"]
)
def test_every_label_lies_in_just_one_window(present: str, start: str, days: int) -> None:
    end = f"{present[:10]}T23:59:59Z"
    with freeze_time(present):
        found = list(windows({"metrics": ["reach"], "days": days}, {"start_time": start, "end_time": end}))
    spans = [(int(bounds["since"]), int(bounds["until"])) for bounds in found]
    for since, until in spans:
        assert since % DAY == until % DAY == 0, "00:00 UTC, daylight saving or not"
        assert 0 < until - since <= days * DAY
    assert [until for _, until in spans[:-1]] == [since for since, _ in spans[1:]], "no gap and no overlap"
    if spans:
        assert spans[0][0] == int(seconds(start[:10]))
        assert spans[-1][1] == int(seconds(end[:10])) + DAY


def test_the_recent_days_are_never_older_than_thirty() -> None:
    for hour in range(24):
        present = datetime(2026, 11, 23, hour, 30, tzinfo=timezone.utc)
        with freeze_time(present):
            bounds = {"start_time": "2026-08-01T00:00:00Z", "end_time": "2026-11-23T23:59:59Z"}
            (recent,) = windows(RECENT, bounds)
        assert present.timestamp() - int(recent["since"]) <= 30 * DAY


@pytest.mark.parametrize(
    ("day", "label"),
    [
        ("2026-05-07", "2026-05-07T07:00:00+00:00"),
        ("2026-03-07", "2026-03-07T08:00:00+00:00"),
        ("2026-03-08", "2026-03-08T08:00:00+00:00"),  # clocks go forward at 02:00, after the midnight that counts
        ("2026-03-09", "2026-03-09T07:00:00+00:00"),
        ("2026-11-01", "2026-11-01T07:00:00+00:00"),  # and back at 02:00
        ("2026-11-02", "2026-11-02T08:00:00+00:00"),
        ("2026-12-31", "2026-12-31T08:00:00+00:00"),
    ],
)
def test_the_label_is_midnight_in_california(day: str, label: str) -> None:
    assert label_in(seconds(day)) == label


@pytest.mark.parametrize(
    ("until", "words"), [("1778198400", ", 2026-05-07"), ("1778284800", ", 2026-05-07 to 2026-05-08")]
)
def test_a_window_in_words(until: str, words: str) -> None:
    assert days_of({"since": "1778112000", "until": until}) == words
    assert days_of({}) == ""


def test_the_example_of_label_in() -> None:
    assert label_in("1778112000") == "2026-05-07T07:00:00+00:00"


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-07T13:00:34+0000",
        "2026-05-07T13:00:34+00:00",
        "2026-05-07T13:00:34Z",
        "2026-05-07T06:00:34-07:00",
        "2026-05-07T13:00:34.000Z",
        "2026-05-07T13:00:34",
        "2026-05-07 13:00:34",
        "20260507T130034Z",
        "2026-05-07T21:00:34+08",
    ],
)
def test_times_are_read_in_all_their_forms(text: str) -> None:
    assert moment(text) == datetime(2026, 5, 7, 13, 0, 34, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "P1D",
        "10:00",
        "2026-05-07",
        "2026-05-07/2026-05-08",
        "2026-05-07T13:00:34Z\n",
        "٢٠٢٦-05-07T13:00:34Z",
        "9999-12-31T23:59:59-08:00",
        "0001-01-01T00:00:00+08:00",
    ],
)
def test_what_is_no_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the parser's
        moment(text)


# -- Calls -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"period": "lifetime", "breakdown": ["city", "country"]},
            [{"period": "lifetime", "breakdown": "city"}, {"period": "lifetime", "breakdown": "country"}],
        ),
        ({"metrics": ["x"]}, [{}]),
        (
            {"breakdown": ["age", "age,gender"], "timeframe": ["this_week", "this_month"]},
            [
                {"breakdown": "age", "timeframe": "this_week"},
                {"breakdown": "age", "timeframe": "this_month"},
                {"breakdown": "age,gender", "timeframe": "this_week"},
                {"breakdown": "age,gender", "timeframe": "this_month"},
            ],
        ),
    ],
    ids=["the example", "nothing", "two lists"],
)
def test_lists_give_a_call_for_each_combination(row: dict[str, Any], expected: list[dict[str, str]]) -> None:
    assert list(parameters_of(row)) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, ["reach"]),
        ({"as": "reach_week"}, ["reach_week"]),
        ({"as": {"A": "part_a", "B": "part_b"}}, ["reach", "part_a", "part_b"]),
        ({"as": {"A": "part_a"}, "total": False}, ["part_a"]),
    ],
)
def test_columns_that_a_metric_fills(row: dict[str, Any], expected: list[str]) -> None:
    assert columns_of("reach", row) == expected


# -- Values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"name": "reach", "period": "lifetime", "values": [{"value": 318}]}, 318),
        ({"total_value": {"value": 850}}, 850),
        ({"total_value": {"value": 0}, "values": [{"value": 9}]}, 0),
        ({"values": [{"value": 11}], "total_value": {"value": 11, "breakdowns": []}}, 11),
        ({"values": [{"value": 11}], "total_value": {"breakdowns": []}}, 11),
        ({"values": []}, None),
        ({"total_value": None}, None),
        ({"name": "follows_and_unfollows"}, None),
        ({"values": [{"end_time": "2026-05-07T07:00:00+0000"}]}, None),
    ],
)
def test_the_one_number_of_a_metric(item: dict[str, Any], expected: int | None) -> None:
    assert total(item) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (broken_down("x", ["age", "gender"], {("18-24", "F"): 7}), {"18-24,F": 7}),
        (broken_down("x", ["timeframe", "country"], {("THIS_MONTH", "DE"): 77}), {"DE": 77}),
        (broken_down("x", ["timeframe", "age", "gender"], {("THIS_WEEK", "18-24", "F"): 7}), {"18-24,F": 7}),
        (
            broken_down("x", ["city"], {"Berlin, Berlin": 3, "Rho, Lombardy": 0}),
            {"Berlin, Berlin": 3, "Rho, Lombardy": 0},
        ),
        (broken_down("x", ["city"], None), {}),
        (broken_down("x", ["city"], {}), {}),
        ({"total_value": {"value": 3}}, {}),
        ({"total_value": {"breakdowns": None}}, {}),
        ({"values": [{"value": 3}]}, {}),
    ],
)
def test_the_cells_of_a_breakdown(item: dict[str, Any], expected: dict[str, int]) -> None:
    assert cells(item) == expected


NAVIGATION = {
    "as": {
        "TAP_FORWARD": "navigation_tap_forward",
        "TAP_BACK": "navigation_tap_back",
        "TAP_EXIT": "navigation_tap_exit",
        "SWIPE_FORWARD": "navigation_swipe_forward",
    }
}
PARTS = dict.fromkeys(NAVIGATION["as"].values(), 0)


@pytest.mark.parametrize("case", [str.lower, str.upper], ids=["lower case", "upper case"])
def test_parts_that_meta_leaves_out_are_zero(case: Any) -> None:
    item = broken_down("navigation", ["story_navigation_action_type"], {case("tap_forward"): 25}, value=25)
    assert columns(item, NAVIGATION) == {"navigation": 25, **PARTS, "navigation_tap_forward": 25}


def test_all_parts_are_zero_where_meta_gives_no_results() -> None:
    assert columns(broken_down("navigation", ["x"], None, value=0), NAVIGATION) == {"navigation": 0, **PARTS}


def test_parts_are_unknown_where_there_is_no_breakdown() -> None:
    assert columns({"name": "navigation", "total_value": {"value": 3}}, NAVIGATION) == {"navigation": 3}


def test_a_metric_may_have_both_forms_or_another_name() -> None:
    both = broken_down("profile_activity", ["action_type"], {"call": 2}, value=11) | {"values": [{"value": 11}]}
    assert columns(both, {"as": {"CALL": "c"}}) == {"profile_activity": 11, "c": 2}
    assert columns({"name": "reach", "values": [{"value": 5}]}, {"as": "reach_week"}) == {"reach_week": 5}
    moves = broken_down("follows_and_unfollows", ["follow_type"], {"FOLLOWER": 6})
    row = {"as": {"FOLLOWER": "follows", "NON_FOLLOWER": "unfollows"}, "total": False}
    assert columns(moves, row) == {"follows": 6, "unfollows": 0}


# -- Records of many calls ---------------------------------------------------------------------------------------------


def test_an_object_has_a_column_for_each_metric() -> None:
    calls = [
        answered({"name": "reach", "values": [{"value": 1}]}, {"name": "likes", "values": [{"value": 0}]}),
        answered(),
        answered(broken_down("navigation", ["x"], {"tap_back": 2}, value=2), row=NAVIGATION),
    ]
    (record,) = one_record({"id": "179", "timestamp": "t"}, calls, [])
    assert record == {
        "id": "179",
        "timestamp": "t",
        "reach": 1,
        "likes": 0,
        "navigation": 2,
        **PARTS,
        "navigation_tap_back": 2,
    }


def test_the_example_of_each_day() -> None:
    calls = [answered(series("reach", d0507=120), series("follower_count", d0507=2))]
    assert list(each_day({}, calls, [])) == [{"date": "2026-05-07T07:00:00+0000", "reach": 120, "follower_count": 2}]


def test_days_come_from_all_calls_oldest_first_and_only_with_values() -> None:
    calls = [
        answered(series("reach", d0508=0, d0507=120)),
        answered(series("reach", d0507=300), row={"as": "reach_week"}),
        answered(series("online_followers", d0507={}, d0509={"0": 3}), series("follower_count", d0510=None)),
        answered({"name": "reach", "period": "day"}),
    ]
    assert list(each_day({}, calls, [])) == [
        {"date": "2026-05-07T07:00:00+0000", "reach": 120, "reach_week": 300},
        {"date": "2026-05-08T07:00:00+0000", "reach": 0},
        {"date": "2026-05-09T07:00:00+0000", "online_followers": {"0": 3}},
    ]


def test_a_window_without_data_gives_no_day() -> None:
    assert list(each_day({}, [answered(), answered(series("reach"))], [])) == []


def test_days_of_which_a_part_is_lost_wait_for_the_next_sync() -> None:
    calls = [answered(series("reach", d0506=1, d0507=2, d0508=3))]
    lost = [GraphCall("1784/insights", {"since": seconds("2026-05-07"), "until": seconds("2026-05-08")})]
    assert [day["reach"] for day in each_day({}, calls, lost)] == [1, 3]


def test_a_snapshot_is_one_record_for_each_breakdown() -> None:
    calls = [
        answered(broken_down("follower_demographics", ["age", "gender"], {("18-24", "F"): 7}), breakdown="age,gender"),
        answered(broken_down("follower_demographics", ["city"], None), breakdown="city"),
        answered(breakdown="country"),
    ]
    with freeze_time(PRESENT):
        (record,) = each_breakdown({}, calls, [])
    about = {"metric": "follower_demographics", "breakdown": "age,gender", "date": "2026-11-23T00:00:00+00:00"}
    assert record == {**about, "value": {"18-24,F": 7}}


def test_a_total_is_dated_by_the_label_in_its_window() -> None:
    def day(day: str, *items: dict[str, Any], **row: Any) -> GraphCall:
        return answered(*items, row=row, since=seconds(day), until=str(int(seconds(day)) + DAY))

    calls = [
        day("2026-11-02", {"name": "views", "total_value": {"value": 850}}),
        day(
            "2026-05-07", {"name": "views", "total_value": {"value": 0}}, {"name": "likes", "total_value": {"value": 3}}
        ),
        day(
            "2026-05-07",
            broken_down("f", ["follow_type"], {"FOLLOWER": 6}),
            total=False,
            **{"as": {"FOLLOWER": "follows"}},
        ),
        day("2026-05-08"),
        day("2026-05-09", {"name": "views", "total_value": {}}),
        day("2026-05-10", {"name": "views", "total_value": {"value": 1}}),
    ]
    lost = [GraphCall("1784/insights", {"since": seconds("2026-05-10"), "until": seconds("2026-05-11")})]
    assert list(each_total({}, calls, lost)) == [
        {"date": "2026-05-07T07:00:00+00:00", "views": 0, "likes": 3, "follows": 6},
        {"date": "2026-11-02T08:00:00+00:00", "views": 850},
    ]


def test_a_cell_is_a_record() -> None:
    views = broken_down("views", ["follow_type"], {"FOLLOWER": 300, "NON_FOLLOWER": 5})
    day = {"since": seconds("2026-05-07"), "until": seconds("2026-05-08"), "breakdown": "follow_type"}
    about = {
        "metric": "views",
        "breakdown": "follow_type",
        "date": "2026-05-07T07:00:00+00:00",
        "timeframe": "lifetime",
    }
    assert list(each_cell({}, [answered(views, **day)], [])) == [
        {**about, "dimension": "FOLLOWER", "value": 300},
        {**about, "dimension": "NON_FOLLOWER", "value": 5},
    ]
    assert list(each_cell({}, [answered(views, **day)], [GraphCall("1784/insights", day)])) == []


def test_a_cell_of_a_snapshot_is_dated_today() -> None:
    call = answered(
        broken_down("reached", ["timeframe", "country"], {("THIS_WEEK", "DE"): 7}),
        breakdown="country",
        timeframe="this_week",
    )
    with freeze_time(PRESENT):
        (cell,) = each_cell({}, [call], [])
    about = {"metric": "reached", "breakdown": "country", "timeframe": "this_week"}
    about["date"] = "2026-11-23T00:00:00+00:00"
    assert cell == {**about, "dimension": "DE", "value": 7}


# -- Lists -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "cursor"),
    [
        ({"paging": {"cursors": {"after": "a", "before": "b"}, "next": "https://…"}}, "a"),
        ({"paging": {"cursors": {"after": "a"}}}, None),
        ({"paging": {}}, None),
        ({"paging": None}, None),
        ({"data": []}, None),
        ({"paging": {"next": "https://…"}}, None),
    ],
)
def test_a_list_goes_on_while_there_is_a_next(page: dict[str, Any], cursor: str | None) -> None:
    assert next_cursor(page) == cursor


# -- Types -------------------------------------------------------------------------------------------------------------

STRING, TIME = {"type": ["string", "null"]}, {"type": ["string", "null"], "format": "date-time"}
THING = {"type": "object", "properties": {"id": {"type": "string"}, "at": TIME}}


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        (17_900_000_000_000_001, STRING, "17900000000000001"),
        ("007", STRING, "007"),
        (True, STRING, True),
        (None, STRING, None),
        (3, {"type": ["integer", "null"]}, 3),
        (48.4, {"type": ["number", "null"]}, 48.4),
        ("2026-05-07T13:00:34+0000", TIME, "2026-05-07T13:00:34+00:00"),
        ("2026-05-07T06:00:34-0700", TIME, "2026-05-07T13:00:34+00:00"),
        ("soon", TIME, "soon"),
        (None, TIME, None),
        ({"id": 1, "at": None, "helper": 3}, THING, {"id": "1", "at": None}),
        ({"data": [{"id": 1, "x": 2}]}, {"type": "array", "items": THING}, [{"id": "1"}]),
        ([{"id": "1"}], {"type": ["array", "null"], "items": THING}, [{"id": "1"}]),
        ({"data": None}, {"type": "array", "items": THING}, []),
        ({}, {"type": "array", "items": THING}, []),
        (
            {"0": 110, "23": 98},
            {"type": ["object", "null"], "additionalProperties": {"type": "integer"}},
            {"0": 110, "23": 98},
        ),
        ({"free": 1}, {"type": "object"}, {"free": 1}),
    ],
)
def test_values_become_what_their_schema_declares(value: Any, schema: dict[str, Any], expected: Any) -> None:
    convert = converter(schema)
    assert (convert(value) if convert else value) == expected


ADDRESS = "https://scontent.example/v/a.jpg"


@pytest.mark.parametrize(
    ("before", "parameter", "after"),
    [
        (f"{ADDRESS}?_nc_cat=1&_nc_rid=9f2c&oh=00_AfD", "_nc_rid", f"{ADDRESS}?_nc_cat=1&oh=00_AfD"),
        (f"{ADDRESS}?_nc_cat=1&_nc_rid=9f2c", "_nc_rid", f"{ADDRESS}?_nc_cat=1"),
        (f"{ADDRESS}?_nc_rid=9f2c&oh=1", "_nc_rid", f"{ADDRESS}?oh=1"),
        (f"{ADDRESS}?_nc_rid=9f2c", "_nc_rid", ADDRESS),
        (f"{ADDRESS}?a=1&_nc_rid=9f2c#end", "_nc_rid", f"{ADDRESS}?a=1#end"),
        (f"{ADDRESS}?_nc_rid=#end", "_nc_rid", f"{ADDRESS}#end"),
        (f"{ADDRESS}?x_nc_rid=1&_nc_ridx=2", "_nc_rid", f"{ADDRESS}?x_nc_rid=1&_nc_ridx=2"),
        (f"{ADDRESS}?efg=eyJ2%3D%3D&oh=00_Af-%2B", "_nc_rid", f"{ADDRESS}?efg=eyJ2%3D%3D&oh=00_Af-%2B"),
        (f"{ADDRESS}?", "_nc_rid", f"{ADDRESS}?"),
        (f"{ADDRESS}?ccb=7-5&_nc_sid=18de74", "ccb", f"{ADDRESS}?_nc_sid=18de74"),
        (f"{ADDRESS}?_nc_rid=1&_nc_rid=2&b=3", "_nc_rid", f"{ADDRESS}?b=3"),
        ("", "ccb", ""),
        ("not an address", "ccb", "not an address"),
    ],
)
def test_an_address_loses_its_volatile_parameter_and_nothing_else(before: str, parameter: str, after: str) -> None:
    assert stable_url(before, parameter) == after


def test_a_window_is_a_day_of_california_in_every_day_of_three_years() -> None:
    day = datetime(2024, 1, 1, tzinfo=timezone.utc)
    for number in range(3 * 366):
        midnight = day + timedelta(days=number)
        label = datetime.fromisoformat(label_in(str(int(midnight.timestamp()))))
        assert midnight < label < midnight + timedelta(days=1)
        assert label.astimezone(ZoneInfo("America/Los_Angeles")).hour == 0
