"""The third attack: what one odd answer, one odd object or one odd moment cost the economies (see `law.py`)."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import law
import pytest
from harness import SCHEMAS
from law import Excuse, Spec, Trial
from test_attack import ACTIVITY, INVALID, NO_PERMISSION, error, feed
from test_attack_second import edit, fresh

from sandbox import Sandbox

NOT_ON_FACEBOOK = {"code": -1, "error_subcode": 2207086, "message": "Fatal"}
NEW = {"code": 7777, "message": "Something new"}
UNKNOWN = {"code": 1, "message": "An unknown error occurred"}
BY_FOLLOW_TYPE = ("user_total_insights", "user_insights_breakdowns")  # a call of a day serves both
COMMON = {
    "id", "timestamp", "media_product_type", "business_account_id", "page_id",
    "views", "reach", "likes", "comments", "saved", "shares", "total_interactions", "reposts",
}  # fmt: skip
OTHERS = {*SCHEMAS["media_insights"]["properties"]} - COMMON
DAY = 86_400


# -- Answers of another shape than was ever seen -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [["views"], {"a": 1}, 5], ids=repr)
@pytest.mark.parametrize("stream", ["media_insights", "user_insights", "user_total_insights"])
def test_a_metric_of_an_unknown_name_is_asked_for_again(box: Sandbox, stream: str, name: Any) -> None:
    fresh(box)
    account = box.world.accounts[1].id
    tried = Trial(box, (stream,)).run(edit("/insights", set={"data.0.name": name}, account=account, times=1))
    assert tried.fired == [1]
    assert tried.broken == []
    assert tried.outcome.statuses[stream] == "COMPLETE"


@pytest.mark.parametrize("value", [["x"], {"a": 1}, True], ids=repr)
@pytest.mark.parametrize(
    ("stream", "path", "place"),
    [
        ("media", r"/media\?", "data.0.id"),
        ("media_insights", r"/media\?", "paging.cursors"),
        ("tags", r"/tags\?", "data.0.id"),
        ("comments", r"/media\?", "data.*.comments.paging.cursors"),
        ("comments", r"/media\?", "data.*.comments.data.0.id"),
        ("comments", r"/media\?", "data.*.comments.data.*.replies.paging.cursors.after"),
        ("user_insights_breakdowns", "/insights", "data.0.total_value.breakdowns.0.dimension_keys"),
        ("story_insights", "breakdown=", "data.0.total_value.breakdowns.0.results.0.dimension_values"),
    ],
)
def test_a_list_of_another_shape_is_asked_for_again(
    box: Sandbox, stream: str, path: str, place: str, value: Any
) -> None:
    if value == ["x"] and place.endswith(("keys", "values")):
        value = 7
    fresh(box)
    fault = edit(path, set={place: value}, account=box.world.accounts[1].id, times=1)
    tried = Trial(box, (stream,), most=20).run(fault)
    assert tried.fired == [1]
    assert tried.broken == []


@pytest.mark.parametrize(
    "value",
    [
        [1], "x", 7, {"data": [None]}, {"data": "x"}, {"data": [{"name": ["a"]}]},
        {"data": [{"name": "a", "values": 3}]}, {"data": [{"name": name} for name in sorted(COMMON)]},
        {"data": [{"name": name, "values": []} for name in sorted(COMMON)]},
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_what_came_along_in_another_shape_is_asked_for_singly(box: Sandbox, value: Any) -> None:
    fresh(box)
    account = box.world.accounts[1].id
    fault = edit(r"/media\?.*insights\.metric", set={"data.0.insights": value}, account=account)
    tried = Trial(box, ("media_insights",), without=OTHERS).run(fault)
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses["media_insights"] == "COMPLETE"


# -- What travels along for another stream -----------------------------------------------------------------------------


@pytest.mark.parametrize("days", [2, 4, 14])
@pytest.mark.parametrize("envelope", [NO_PERMISSION, NEW, UNKNOWN], ids=lambda each: each["message"][:9])
@pytest.mark.parametrize("streams", [BY_FOLLOW_TYPE, BY_FOLLOW_TYPE[::-1]], ids=lambda each: each[0])
def test_a_refusal_of_what_travels_for_another_stream_is_met_by_that_stream(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, streams: tuple[str, ...], envelope: Spec, days: int
) -> None:
    """Beside another call it would cost columns, and several of them all days after: the stream would be COMPLETE."""
    monkeypatch.setattr(law, "DAYS", days)
    fresh(box, accounts=1)
    fault = error(r"metric=[^&]*\bviews\b[^&]*&.*breakdown=follow_type", envelope)
    tried = Trial(box, streams).run(fault)
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses == {BY_FOLLOW_TYPE[0]: "COMPLETE", BY_FOLLOW_TYPE[1]: "INCOMPLETE"}


@pytest.mark.parametrize("left_out", [1, 2])
def test_what_an_answer_leaves_out_of_what_travels_for_another_stream_is_asked_by_that_stream(
    box: Sandbox, left_out: int
) -> None:
    fresh(box, accounts=1)
    fault = edit(r"metric=follows_and_unfollows,views,reach.*breakdown=follow_type", remove=f"data.{left_out}")
    tried = Trial(box, BY_FOLLOW_TYPE).run(fault)
    assert tried.broken == []


@pytest.mark.parametrize("skip", [20, 30, 40, 50])
def test_rows_that_are_refused_after_others_came_from_another_stream_are_missing(box: Sandbox, skip: int) -> None:
    """That they came shows that the account has others, but not that it has access still."""
    fresh(box)
    tried = Trial(box, BY_FOLLOW_TYPE[::-1]).run(error(r"/1784\d+/insights", INVALID, skip=skip))
    assert tried.fired[0]
    assert tried.broken == []


# -- What travels in the call of a media -------------------------------------------------------------------------------


def test_the_same_refusal_of_what_is_left_of_a_call_is_not_about_what_was_taken_out(box: Sandbox) -> None:
    fresh(box, accounts=1, media=30)
    struck = [post.id for post in box.world.media(box.world.accounts[0])[:9]]
    own = Excuse(
        streams={"media_insights"},
        records=lambda record: record["id"] in struck,
        columns={"total_likes", "total_comments", "total_views"},
    )
    fault = error(rf"/({'|'.join(struck)})/insights.*metric=[^&]*\btotal_likes\b", NOT_ON_FACEBOOK)
    tried = Trial(box, ("media_insights",)).run(fault, excuses=[own])
    assert tried.fired[0]
    assert tried.broken == []


# -- What an answer leaves out -----------------------------------------------------------------------------------------


def named(lines: Iterable[str], one: str, column: str) -> bool:
    """Whether some line names an object together with a column."""
    return any(one in line and column in line for line in lines)


@pytest.mark.parametrize("change", [{"remove": "data.*"}, {"remove": "data.*.total_value.breakdowns"}], ids=repr)
@pytest.mark.parametrize("stream", ["media_insights", "story_insights"])
def test_parts_that_meta_does_not_give_of_a_total_are_named(box: Sandbox, stream: str, change: Spec) -> None:
    fresh(box)
    own = Excuse(streams={stream}, columns=ACTIVITY)
    tried = Trial(box, (stream,)).run(edit("breakdown=action_type", **change), excuses=[own])
    assert tried.broken == []
    told = tried.outcome.log("INFO", "WARN")
    short = [each for each in tried.outcome.records[stream] if each.get("profile_activity_call") is None]
    short = [each for each in short if each.get("profile_activity") is not None]
    assert short
    assert all(named(told, each["id"], "profile_activity") for each in short)


def test_a_metric_that_meta_leaves_out_of_an_answer_is_named(box: Sandbox) -> None:
    fresh(box, accounts=1)
    one = feed(box)[2]
    own = Excuse(streams={"media_insights"}, records=lambda record: record["id"] == one.id, columns={"views"})
    tried = Trial(box, ("media_insights",)).run(edit(f"/{one.id}/insights.*=views", remove="data.0"), excuses=[own])
    assert tried.fired[0]
    assert tried.broken == []
    assert named(tried.outcome.log("INFO", "WARN"), one.id, "views")
    assert not [line for line in tried.outcome.log("INFO", "WARN") if "left it out" in line and one.id not in line]


def test_a_day_without_one_of_its_numbers_is_named(box: Sandbox) -> None:
    fresh(box, accounts=1)
    trial = Trial(box, ("user_total_insights",))
    day = trial.start + timedelta(days=6)
    own = Excuse(
        streams={"user_total_insights"},
        records=lambda record: record["date"][:10] == str(day.date()),
        columns={"views"},
    )
    fault = edit(rf"metric=views.*since={int(day.timestamp())}\b", remove="data.0")
    tried = trial.run(fault, excuses=[own])
    assert tried.fired[0]
    assert tried.broken == []
    assert named(tried.outcome.log("INFO", "WARN"), f", {day.date()}", "views")


# -- Days on which nothing happened ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", BY_FOLLOW_TYPE)
@pytest.mark.parametrize("value", [None, "0"], ids=repr)
def test_days_between_two_without_a_number_are_not_quiet(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, stream: str, value: Any
) -> None:
    monkeypatch.setattr(law, "DAYS", 40)
    fresh(box, accounts=1, days=40)
    trial = Trial(box, (stream,))
    marks = [trial.start, trial.start + timedelta(days=20)]
    first, middle = (int(mark.timestamp()) for mark in marks)
    spans = [
        (since, until)
        for since in range(first + DAY, middle, DAY)
        for until in range(since + 3 * DAY, middle + DAY, DAY)
    ]
    windows = [(first, first + DAY), (middle, middle + DAY), *spans]
    struck = "|".join(f"since={since}&until={until}" for since, until in windows)
    dates = {str(mark.date()) for mark in marks}
    own = {"records": lambda record: record["date"][:10] in dates, "silent": True}
    columns = {*SCHEMAS[stream]["properties"]}
    excuses = [Excuse(streams={stream}, **own), Excuse(streams={stream}, columns=columns, **own)]
    fault = edit(rf"({struck})\b", set={"data.*.total_value": {"value": value}})
    tried = trial.run(fault, excuses=excuses)
    assert tried.fired[0]
    assert [each for each in tried.broken if "'0'" not in each] == []


# -- Comments ----------------------------------------------------------------------------------------------------------


def test_media_that_are_not_asked_for_what_they_count_are_named(box: Sandbox) -> None:
    fresh(box, accounts=1)
    posts = [post for post in box.world.media(box.world.accounts[0]) if box.world.comments(post)]
    lost = posts[6]
    counted = edit(r"/media\?", set={"data.*.comments_count": 300})
    left_out = edit(r"/media\?", remove=f"data.id={lost.id}.comments")
    own = Excuse(streams={"comments"}, records=lambda record: record["media_id"] == lost.id)
    tried = Trial(box, ("comments",), most=20).run(counted, left_out, excuses=[own])
    assert tried.fired[1]
    assert tried.broken == []
