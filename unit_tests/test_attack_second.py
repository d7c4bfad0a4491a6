"""The second attack: what one odd answer, one odd object or one odd moment cost the rewritten engine (see `law.py`)."""

import re
from datetime import timedelta

import pytest
from law import ALONE, WORLD, Excuse, Spec, Trial
from test_attack import GONE, INVALID, NO_PERMISSION, error, feed

from sandbox import Sandbox

OUTAGE = {"code": 1, "message": "An unknown error occurred"}
FEW_VIEWERS = {"code": 10, "message": "(#10) Not enough viewers for the media to show insights"}
CONVERSION = {"code": 100, "error_subcode": 2108006, "message": "Media Posted Before Business Account Conversion"}
UNSUPPORTED = {"code": -1, "error_subcode": 2207073, "message": "Fatal"}
DEAD = {"code": 190, "message": "Error validating access token: Session has expired"}
THROTTLE = {"code": 4, "message": "(#4) Application request limit reached"}


@pytest.fixture
def small(box: Sandbox) -> Sandbox:
    """A world of its own for each test, which may change it."""
    return fresh(box)


def fresh(box: Sandbox, **options: object) -> Sandbox:
    box.reset(**{**WORLD, "nested_max": 0, "only_me": False, **options})
    box.set_now(box.world.now())
    return box


def edit(path: str, **more: object) -> Spec:
    return {"path": path, "kind": "edit", **more}


# -- What one object says of metrics and fields ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("legal", "at"), [("impressions, engagement", 0), ("impressions, engagement", 2), ("reach, likes", 2)]
)
def test_a_list_of_metrics_that_is_not_ours_or_was_cut_blanks_nothing(box: Sandbox, legal: str, at: int) -> None:
    fresh(box, accounts=1)
    one = feed(box)[at]
    refused = {"code": 100, "message": f"(#100) metric[0] must be one of the following values: {legal}"}
    tried = Trial(box, ("media_insights",)).run(error(f"/{one.id}/insights", refused))
    assert tried.broken == []


def test_an_object_that_is_asked_late_for_a_metric_may_lack_it(small: Sandbox) -> None:
    """Several lack it, one has it after all, and of those that were left out another one lacks it, too."""
    struck = [post.id for post in feed(small)[:5]]
    own = Excuse(streams={"media_insights"}, records=lambda record: record["id"] in struck, columns={"reposts"})
    fault = error(rf"/({'|'.join(struck)})/insights.*metric=([^&]*,)?reposts\b", INVALID)
    tried = Trial(small, ("media_insights",)).run(fault, excuses=[own])
    assert tried.broken == []
    assert tried.outcome.statuses["media_insights"] == "COMPLETE"


@pytest.mark.parametrize("name", ["permalink", "timestamp"])
def test_a_field_that_only_the_children_lack_stays_on_their_albums(small: Sandbox, name: str) -> None:
    refused = {"code": 100, "message": f"(#100) Tried accessing nonexisting field ({name}) on node type (IGMedia)"}
    own = Excuse(streams={"media"}, columns={"children"})
    tried = Trial(small, ("media",)).run(error(rf"children\{{[^}}]*\b{name}\b", refused), excuses=[own])
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses["media"] == "COMPLETE"


def test_a_page_is_asked_for_in_full_again_after_an_outage(box: Sandbox) -> None:
    fresh(box, accounts=1, media=330, albums=0, comments=0)
    outage = error(r"/media\?", OUTAGE, times=4, status=500)
    tried = Trial(box, ("media",)).run(outage)
    assert tried.fired == [4]
    assert tried.broken == []
    assert box.http_requests < 20, "was one for each media"


def test_media_are_read_after_a_wrong_word_about_the_conversion(box: Sandbox) -> None:
    """The last three of a page say it, and what was listed while the next page's calls were under way is asked late."""
    fresh(box, accounts=1, media=330, albums=0, comments=0)
    posts = box.world.media(box.world.accounts[0])
    struck = [post.id for post in posts[97:100]]
    own = Excuse(streams={"media_insights"}, records=lambda record: record["id"] in struck)
    tried = Trial(box, ("media_insights",)).run(error(f"/({'|'.join(struck)})/insights", CONVERSION), excuses=[own])
    assert tried.broken == []


# -- Comments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", ["7", "1", -1, None], ids=repr)
def test_a_count_of_comments_may_be_anything(small: Sandbox, count: object) -> None:
    tried = Trial(small, ("comments",), most=20).run(edit(r"/media\?", set={"data.*.comments_count": count}))
    assert tried.fired[0]
    assert tried.broken == []


@pytest.mark.parametrize(
    "fault", [{"refuse_field": "comments_count"}, edit(r"/media\?", remove="data.*.comments_count")]
)
def test_cut_replies_are_found_where_nobody_counts_them(box: Sandbox, fault: Spec) -> None:
    fresh(box, nested_max=5)
    assert Trial(box, ("comments",), most=20).run(fault).broken == []


@pytest.mark.parametrize("paging", [{"cursors": {"after": "QVFI"}}, {"next": "https://graph.facebook.com/x"}, []])
def test_cut_replies_are_found_whatever_their_paging_says(small: Sandbox, paging: object) -> None:
    cut = edit(r"/comments\?", keep={"data.*.replies.data": 5}, set={"data.*.replies.paging": paging})
    tried = Trial(small, ("comments",), most=20).run(cut, ALONE)
    assert tried.fired[0]
    assert tried.broken == []


def test_replies_come_where_they_may_not_be_nested(small: Sandbox) -> None:
    assert Trial(small, ("comments",), most=20).run({"refuse_field": "replies"}).broken == []


@pytest.mark.parametrize("envelope", [GONE, FEW_VIEWERS, CONVERSION, UNSUPPORTED], ids=lambda each: each["message"][:9])
@pytest.mark.parametrize("path", [r"/comments\?.*after=", "/replies"])
def test_a_list_of_comments_refused_in_the_words_of_an_object_is_not_at_its_end(
    small: Sandbox, path: str, envelope: Spec
) -> None:
    tried = Trial(small, ("comments",)).run(error(path, envelope), ALONE)
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses["comments"] == "INCOMPLETE"


@pytest.mark.parametrize("envelope", [FEW_VIEWERS, CONVERSION, UNSUPPORTED], ids=lambda each: each["message"][:9])
def test_words_about_numbers_say_nothing_of_comments(small: Sandbox, envelope: Spec) -> None:
    one = next(post for post in feed(small) if small.world.comments(post))
    tried = Trial(small, ("comments",)).run(error(f"/{one.id}/comments", envelope), ALONE)
    assert tried.broken == []
    assert tried.outcome.statuses["comments"] == "INCOMPLETE"


# -- An account's days -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "envelope",
    [FEW_VIEWERS, UNSUPPORTED, {"code": 100, "message": "(#100) The query is missing buckets"}],
    ids=lambda each: each["message"][:9],
)
@pytest.mark.parametrize("stream", ["user_total_insights", "user_insights_breakdowns"])
def test_a_day_that_was_is_not_lost_for_ever(small: Sandbox, stream: str, envelope: Spec) -> None:
    account, trial = small.world.accounts[0], Trial(small, (stream,))
    day = int(trial.start.timestamp()) + 9 * 86_400
    tried = trial.run(error(rf"/{account.id}/insights.*since={day}\b", envelope))
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses[stream] == "INCOMPLETE"


@pytest.mark.parametrize("words", ["since param must be within the last 2 years", "only for the last 30 days"])
@pytest.mark.parametrize("stream", ["user_insights", "user_total_insights"])
def test_days_that_meta_keeps_are_not_skipped_as_too_old(small: Sandbox, stream: str, words: str) -> None:
    account, trial = small.world.accounts[0], Trial(small, (stream,))
    fault = error(
        rf"/{account.id}/insights.*since={int(trial.start.timestamp())}\b",
        {"code": 100, "message": f"(#100) {words}"},
        times=1,
    )
    assert trial.run(fault).broken == []


@pytest.mark.parametrize("row", ["metric=reach.*period=day&", "metric=reach.*period=week", "metric=follower_count"])
def test_one_refused_window_does_not_cost_an_account_its_metric(small: Sandbox, row: str) -> None:
    """It is asked for in parts: that all are refused is some proof, and that one is answered is another."""
    account = small.world.accounts[0]
    tried = Trial(small, ("user_insights",)).run(error(f"/{account.id}/insights.*{row}", INVALID, times=1))
    assert tried.fired == [1]
    assert tried.broken == []
    assert tried.outcome.statuses["user_insights"] == "COMPLETE"


def test_a_metric_that_is_refused_for_every_part_of_a_window_is_left_out(small: Sandbox) -> None:
    account = small.world.accounts[0]
    own = Excuse(streams={"user_insights"}, columns={"follower_count"})
    fault = error(f"/{account.id}/insights.*metric=follower_count", INVALID)
    tried = Trial(small, ("user_insights",)).run(fault, excuses=[own])
    assert tried.broken == []
    assert tried.outcome.statuses["user_insights"] == "COMPLETE"


@pytest.mark.parametrize(
    ("stream", "row"), [("user_insights", "metric=reach.*period=day&"), ("user_total_insights", "metric=(?!follows)")]
)
def test_the_one_day_of_a_daily_sync_that_is_refused_is_missing(box: Sandbox, stream: str, row: str) -> None:
    fresh(box, accounts=1)
    trial = Trial(box, (stream,))
    before = trial.read()
    box.set_now(box.world.now() + timedelta(days=1))
    struck = box.add_fault(**error(row, INVALID))
    outcome = trial.read(before)
    assert struck.fired
    assert outcome.statuses[stream] == "INCOMPLETE"
    assert outcome.cursors(stream) == before.cursors(stream), "the day is read again"


# -- The token ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hiccup", [OUTAGE, THROTTLE], ids=["fault", "throttle"])
def test_a_moment_without_an_answer_is_no_proof_against_the_token(small: Sandbox, hiccup: Spec) -> None:
    one = feed(small)[0]
    tried = Trial(small, ("media_insights",)).run(error(f"/{one.id}/insights", DEAD), error(r"/me\?", hiccup, times=1))
    assert tried.fired[1] == 1
    assert tried.broken == []
    errors = [each for each in tried.outcome.errors if each.get("stream_descriptor")]
    assert [each["message"] for each in errors if one.id not in each["message"]] == []


@pytest.mark.parametrize("hiccup", [OUTAGE, THROTTLE], ids=["fault", "throttle"])
def test_a_moment_without_an_answer_does_not_tell_where_an_account_is_read(box: Sandbox, hiccup: Spec) -> None:
    fresh(box, only_me=True)
    trial = Trial(box, ("media", "media_insights", "user_insights"), config={"login_type": "instagram"})
    tried = trial.run(error("/me/", hiccup, times=1), calm=100)
    assert tried.fired == [1]
    assert tried.broken == []
    assert tried.outcome.exit_code == 0


def test_threads_that_find_out_together_where_an_account_is_read_lose_nothing(box: Sandbox) -> None:
    fresh(box, only_me=True)
    box.latency = 0.05
    trial = Trial(box, ("users", "media", "stories", "user_insights"), config={"login_type": "instagram"})
    for _ in range(3):
        tried = trial.run(calm=100)
        assert tried.broken == []
        assert tried.outcome.exit_code == 0


def test_access_that_is_lost_is_not_our_mistake(small: Sandbox) -> None:
    tried = Trial(small, ("media_insights",)).run(error(r"/179\d+/insights", GONE, skip=30))
    kinds = {each["failure_type"] for each in tried.outcome.errors}
    assert kinds == {"config_error"}


@pytest.mark.parametrize("envelope", [NO_PERMISSION, INVALID, {"code": 7777, "message": "New"}])
@pytest.mark.parametrize("skip", [20, 50])
@pytest.mark.parametrize("stream", ["user_total_insights", "media_insights"])
def test_access_that_is_lost_after_the_main_calls_empties_no_column(
    small: Sandbox, stream: str, skip: int, envelope: Spec
) -> None:
    tried = Trial(small, (stream,)).run(error("/insights", envelope, skip=skip))
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses[stream] == "INCOMPLETE"


# -- Shapes ------------------------------------------------------------------------------------------------------------

ODD: list[tuple[str, str, Spec]] = [
    ("media_insights", r"/179\d+/insights", {"data.*.values": [None]}),
    ("media_insights", r"/179\d+/insights", {"data.0.values": "x"}),
    ("media_insights", "profile_activity", {"data.*.total_value": 7}),
    ("media_insights", "profile_activity", {"data.*.total_value.breakdowns": [None]}),
    ("media_insights", "profile_activity", {"data.*.total_value.breakdowns.0.results": [None]}),
    ("user_insights", r"/1784\d+/insights", {"data.*.values": [None]}),
    *(("user_insights", r"/1784\d+/insights", {"data.*.values.0.end_time": each}) for each in (None, "soon", 17)),
    ("comments", "/comments", {"data.*.replies": "x"}),
    ("comments", "/comments", {"data.*.replies.data.0": None}),
    ("comments", "/comments", {"data.*.replies.data.0": {"text": "without an id"}}),
]


@pytest.mark.parametrize(("stream", "path", "change"), ODD)
def test_an_answer_of_an_unknown_shape_is_told_in_a_sentence(
    small: Sandbox, stream: str, path: str, change: Spec
) -> None:
    account = small.world.accounts[1]
    tried = Trial(small, (stream,), most=20).run(edit(path, account=account.id, set=change), ALONE)
    assert tried.fired[0]
    assert tried.broken == []
    assert any(re.search("shape", each["message"]) for each in tried.outcome.errors)


@pytest.mark.parametrize(
    ("stream", "path"), [("media_insights", r"/179\d+/insights"), ("comments", r"/179\d+/comments")]
)
def test_access_that_is_lost_in_empty_answers_is_no_end(small: Sandbox, stream: str, path: str) -> None:
    tried = Trial(small, (stream,)).run({"path": path, "skip": 12, "kind": "shape", "body": {"data": []}}, ALONE)
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses[stream] == "INCOMPLETE"


def test_an_account_that_vanishes_between_a_days_calls_empties_no_column(small: Sandbox) -> None:
    tried = Trial(small, ("user_total_insights",)).run(error(r"/1784\d+/insights", GONE, skip=3))
    assert tried.fired[0]
    assert tried.broken == []
