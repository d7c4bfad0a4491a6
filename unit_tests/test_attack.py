"""One odd answer, from one object or one account: nothing is lost in silence (see `law.py` for what a sync owes)."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from harness import SCHEMAS, STREAMS, Connector
from law import ALONE, CONFIG, WORLD, Excuse, Spec, Trial, answer
from oracle import Oracle, keyed

from sandbox import Sandbox
from sandbox.errors import unknown_object
from sandbox.graph import _cursor
from sandbox.nodes import Media

GONE = {"code": 100, "error_subcode": 33, "type": "GraphMethodException", "message": unknown_object("0").message}
NO_PERMISSION = {"code": 10, "message": "(#10) Application does not have permission for this action"}
INVALID = {"code": 100, "message": "Invalid parameter"}
COMMENTS_OFF = {"code": 100, "message": "The comments of this media are turned off"}
UNSUPPORTED = {"code": -1, "error_subcode": 2207073, "message": "Fatal"}
SERVICE = {"code": 2, "message": "An unexpected error has occurred. Please retry your request later."}
ACTIVITY = tuple(name for name in SCHEMAS["media_insights"]["properties"] if name.startswith("profile_activity"))
NAVIGATION = tuple(name for name in SCHEMAS["story_insights"]["properties"] if name.startswith("navigation"))
# Recorded on 2 June 2026, with the latest names in front and some more, as Meta goes on adding them.
LEGAL = (
    "threads_follows, threads_profile_visits, threads_saves, "
    "threads_likes, threads_replies, quotes, threads_followers, threads_follower_demographics, content_views, "
    "threads_views, threads_clicks, threads_reposts, engaged_audience_demographics, reached_audience_demographics, "
    "follower_demographics, follows_and_unfollows, reach, follower_count, website_clicks, profile_views, "
    "online_followers, accounts_engaged, total_interactions, likes, comments, shares, replies, profile_links_taps, "
    "views, reposts, saves"
)


def error(path: str, envelope: Spec, **more: Any) -> Spec:
    return {"path": path, "error": envelope, **more}


@pytest.fixture
def small(box: Sandbox) -> Sandbox:
    """A world of its own for each test, which may change it."""
    box.reset(**WORLD)
    box.set_now(box.world.now())
    return box


def feed(box: Sandbox, at: int = 0) -> list[Media]:
    """The feed posts of an account that have insights, newest first."""
    posts = box.world.media(box.world.accounts[at])
    return [post for post in posts if post.product == "FEED" and not post.before_conversion]


# -- 1. Objects that are gone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "path", "skip"),
    [("media_insights", "/insights", 40), ("comments", "/comments", 9), ("story_insights", "/insights", 14)],
)
def test_access_lost_in_the_words_of_a_vanished_object_is_no_end(
    small: Sandbox, stream: str, path: str, skip: int
) -> None:
    tried = Trial(small, (stream,)).run(error(path, GONE, skip=skip), ALONE)
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses[stream] == "INCOMPLETE"


def test_access_to_one_account_lost_in_those_words_is_no_end(small: Sandbox) -> None:
    account = small.world.accounts[1]
    for stream, path in (("media_insights", "/insights"), ("comments", "/comments")):
        tried = Trial(small, (stream,)).run(error(path, GONE, account=account.id), ALONE)
        assert tried.broken == []
        assert tried.outcome.statuses[stream] == "INCOMPLETE"


# -- 2. One object's code 100 that names no metric ---------------------------------------------------------------------


@pytest.mark.parametrize("envelope", [INVALID, COMMENTS_OFF], ids=["unnamed", "comments are turned off"])
@pytest.mark.parametrize("at", [0, 2], ids=["the first", "another"])
def test_one_object_that_names_no_metric_speaks_for_itself_alone(small: Sandbox, envelope: Spec, at: int) -> None:
    one = feed(small)[at]
    tried = Trial(small, ("media_insights",)).run(error(f"/{one.id}/insights", envelope))
    assert tried.broken == []
    assert len(tried.outcome.records["media_insights"]) == len(Oracle(small.world).records("media_insights")) - 1


def test_one_metric_that_one_object_refuses_without_naming_it_is_null_there_alone(small: Sandbox) -> None:
    one = feed(small)[0]
    own = Excuse(streams={"media_insights"}, records=lambda record: record["id"] == one.id, columns={"reach"})
    tried = Trial(small, ("media_insights",)).run(
        error(rf"/{one.id}/insights.*metric=([^&]*,)?reach\b", INVALID), excuses=[own]
    )
    assert tried.broken == []


def test_media_from_before_the_conversion_give_no_rows_of_nulls(small: Sandbox) -> None:
    """Their numbers, once good under dedup, would be overwritten: where all metrics are left out, nothing is asked."""
    old = [post for account in small.world.accounts for post in small.world.media(account) if post.before_conversion]
    assert old
    one = feed(small)[0]
    tried = Trial(small, ("media_insights",)).run(error(f"/({one.id}|{old[0].id})/insights", INVALID))
    assert tried.broken == []
    assert not [record for record in tried.outcome.records["media_insights"] if record.get("views") is None]


# -- 3., 4., 5. Fields that Meta refuses or leaves out -----------------------------------------------------------------


def test_comments_come_where_their_count_is_refused(small: Sandbox) -> None:
    assert Trial(small, ("comments",)).run({"refuse_field": "comments_count"}).broken == []


def test_comments_come_where_their_count_is_absent(small: Sandbox) -> None:
    for post in small.world.accounts[1].media:
        del post.values["comments_count"]
    assert Trial(small, ("comments",)).run(calm=60).broken == []


def test_insights_come_where_the_product_type_is_refused(small: Sandbox) -> None:
    metrics = {*SCHEMAS["media_insights"]["properties"]} - {"id", "timestamp", "business_account_id", "page_id"}
    shared = {"views", "reach", "likes", "comments", "saved", "shares", "total_interactions", "reposts"}
    own = Excuse(streams={"media_insights"}, columns=metrics - shared)
    tried = Trial(small, ("media_insights",)).run({"refuse_field": "media_product_type"}, excuses=[own])
    assert tried.broken == []
    assert tried.outcome.records["media_insights"] or tried.outcome.exit_code


@pytest.mark.parametrize("stream", ["media", "media_insights", "comments"])
def test_a_refused_timestamp_ends_in_a_sentence(small: Sandbox, stream: str) -> None:
    own = Excuse(streams={stream}, columns={"timestamp", "media_timestamp", "children"})
    tried = Trial(small, (stream,)).run({"refuse_field": "timestamp"}, excuses=[own])
    assert tried.broken == []


def test_a_field_refused_on_one_account_is_asked_of_the_others(box: Sandbox) -> None:
    box.reset(**{**WORLD, "media": 220, "albums": 0})
    box.set_now(box.world.now())
    first = box.world.accounts[0]
    refused = {"code": 100, "message": "(#100) Tried accessing nonexisting field (caption)"}
    own = Excuse(
        streams={"media"}, records=lambda record: record["business_account_id"] == first.id, columns={"caption"}
    )
    tried = Trial(box, ("media",)).run(
        error(r"/media\?.*fields=[^&]*caption", refused, account=first.id), excuses=[own]
    )
    assert tried.broken == []


# -- 6. Repeated cursors -----------------------------------------------------------------------------------------------


def again(box: Sandbox, path: str, *, empty: bool = False, **params: Any) -> Spec:
    """A first page that leads to itself. It ends after 400 answers, which a sync must not need."""
    page = answer(box, path, **params)
    after = _cursor(box.world.find(page["data"][-1]["id"]))  # type: ignore[arg-type]
    paging = {"cursors": {"before": after, "after": after}, "next": f"https://graph.facebook.com/v25.0/{path}"}
    return {
        "path": rf"/{path}\?",
        "kind": "shape",
        "times": 400,
        "body": {"data": [] if empty else page["data"], "paging": paging},
    }


@pytest.mark.parametrize("empty", [False, True], ids=["with rows", "empty"])
@pytest.mark.parametrize("stream", ["media", "stories", "tags", "media_insights"])
def test_a_cursor_that_comes_again_is_an_error(small: Sandbox, stream: str, *, empty: bool) -> None:
    account = small.world.accounts[0]
    edge = "media" if stream == "media_insights" else stream
    fields = "id,timestamp,media_product_type,media_type"
    tried = Trial(small, (stream,)).run(again(small, f"{account.id}/{edge}", fields=fields, empty=empty), calm=60)
    assert tried.fired[0] <= 10
    assert tried.outcome.statuses[stream] == "INCOMPLETE"
    came = [record for record in tried.outcome.records[stream] if record["business_account_id"] == account.id]
    assert bool(came) is not empty, "what came is kept"
    values = [each for each in tried.broken if "wrong in" not in each or "next sync" in each]
    assert [each for each in values if stream != "media_insights" or "times" not in each] == []


def test_a_cursor_of_comments_that_comes_again_is_an_error(small: Sandbox) -> None:
    one = next(post for post in feed(small) if len(small.world.comments(post)) > 100)
    fields = "id,text,timestamp,username,from,user,hidden,like_count,legacy_instagram_comment_id"
    fields = f"{fields},replies.limit(50){{{fields},parent_id}}"
    tried = Trial(small, ("comments",)).run(again(small, f"{one.id}/comments", fields=fields, limit=50), ALONE, calm=60)
    assert tried.fired[0] <= 10
    assert tried.outcome.statuses["comments"] == "INCOMPLETE"
    assert tried.broken == []


# -- 7. One refused call -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", [NO_PERMISSION, INVALID, COMMENTS_OFF, {"code": 7777, "message": "New"}])
def test_one_refused_call_does_not_close_its_account(box: Sandbox, envelope: Spec) -> None:
    box.reset(**{**WORLD, "accounts": 1, "media": 130, "albums": 0})
    box.set_now(box.world.now())
    posts = box.world.media(box.world.accounts[0])
    newest, *others = [post for post in posts if box.world.comments(post)]
    for post in posts[:100]:  # the first page: one of a hundred has comments
        if post is not newest:
            post.values["comments_count"] = 0
            box.world.comments(post).clear()
    tried = Trial(box, ("comments",)).run(error(f"/{newest.id}/comments", envelope), ALONE)
    assert tried.broken == []
    media = {record["media_id"] for record in tried.outcome.records["comments"]}
    assert media == {post.id for post in others if box.world.comments(post)}


# -- 8., 9., 10. Rows that are refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", [UNSUPPORTED, NO_PERMISSION, GONE], ids=["-1/2207073", "#10", "100/33"])
@pytest.mark.parametrize(
    ("stream", "metric", "columns"),
    [("media_insights", "profile_activity", ACTIVITY), ("story_insights", "navigation", NAVIGATION)],
)
def test_a_secondary_row_that_is_refused_costs_its_own_columns(
    small: Sandbox, stream: str, metric: str, columns: tuple[str, ...], envelope: Spec
) -> None:
    own = Excuse(streams={stream}, columns=columns)
    tried = Trial(small, (stream,)).run(error(f"metric={metric}", envelope), excuses=[own])
    assert tried.broken == []
    if envelope != GONE:  # which may be said of the object, too: then it is missing, and named
        assert len(tried.outcome.records[stream]) == len(Oracle(small.world).records(stream))


@pytest.mark.parametrize("metric", ["total_likes", "total_comments", "total_views"])
def test_metrics_that_are_asked_together_do_not_fall_together(small: Sandbox, metric: str) -> None:
    refused = {"code": 200, "message": f"(#200) {metric} not available"}
    own = Excuse(streams={"media_insights"}, columns={metric})
    fault = error(rf"/insights.*metric=([^&]*,)?{metric}\b", refused, status=403)
    assert Trial(small, ("media_insights",)).run(fault, excuses=[own]).broken == []


def test_no_longer_supported_since_a_version_is_not_about_a_window(small: Sandbox) -> None:
    refused = {"code": 100, "message": "(#100) The reposts metric is no longer supported since v26.0"}
    streams = ("media_insights", "story_insights", "user_total_insights")
    tried = Trial(small, streams).run(
        error(r"/insights.*metric=([^&]*,)?reposts\b", refused), excuses=[Excuse(streams=streams, columns={"reposts"})]
    )
    assert tried.broken == []
    assert set(tried.outcome.statuses.values()) == {"COMPLETE"}


# -- 11. Long lists of metrics -----------------------------------------------------------------------------------------


def test_a_long_list_of_metrics_is_read_to_its_end(small: Sandbox) -> None:
    legal = [name for name in LEGAL.split(", ") if name != "likes"]
    assert len(", ".join(legal[: legal.index("reposts")])) > 450
    refused = {
        "code": 100,
        "message": f"(#100) metric[4] must be one of the following values: {', '.join(legal)}",
        "error_user_title": "Metric Not Supported",
    }
    own = Excuse(streams={"user_total_insights"}, columns={"likes"})
    tried = Trial(small, ("user_total_insights",)).run(
        error(r"/1784\d+/insights.*metric=([^&]*,)?likes\b", refused), excuses=[own]
    )
    assert tried.broken == []
    assert tried.outcome.statuses["user_total_insights"] == "COMPLETE"


# -- 12. Threads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads that take turns far more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hurried")
def test_many_refusals_at_once_do_not_trip_over_each_other(box: Sandbox) -> None:
    box.reset(**{**WORLD, "accounts": 12})
    box.set_now(box.world.now())
    metrics = ("shares", "reposts", "saved", "total_likes", "profile_activity", "likes", "comments")
    columns = ("caption", "permalink", "shortcode", "username", "like_count", "alt_text", "media_url", "children")
    faults: list[Spec] = [{"retire_metric": name, "level": "media", "message": "named"} for name in metrics]
    faults += [{"refuse_field": name} for name in columns]
    empty = {*columns, *metrics, *ACTIVITY}
    streams = ("media", "media_insights", "tags", "stories", "story_insights")
    trial = Trial(box, streams)
    calm = trial.calm()
    for _ in range(3):
        assert trial.run(*faults, excuses=[Excuse(streams=streams, columns=empty)], calm=calm).broken == []


# -- 13. Shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stream", "listed"), [("media_insights", 75), ("comments", 60)])
def test_a_list_that_breaks_costs_no_object_that_it_has_listed(box: Sandbox, stream: str, listed: int) -> None:
    box.reset(**{**WORLD, "accounts": 1, "media": 130, "albums": 0})
    box.set_now(box.world.now())
    posts = box.world.media(box.world.accounts[0])
    faults = ({"max_limit": 30, "path": "/media"}, error(rf"/media\?.*after={_cursor(posts[listed - 1])}", SERVICE))
    tried = Trial(box, (stream,), most=8).run(*faults)
    assert tried.fired[1], "pages of 25 break after the third; with comments, of 10, 25 and 25"
    assert tried.broken == []
    name = "id" if stream == "media_insights" else "media_id"
    expected = {record[name] for record in Oracle(box.world).records(stream)}
    assert {record[name] for record in tried.outcome.records[stream]} == expected & {post.id for post in posts[:listed]}


def test_the_id_of_a_page_is_no_account(small: Sandbox, connector: Connector) -> None:
    page = small.world.pages[0]
    outcome = connector.read("accounts", "users", "media", accounts=[page.id])
    assert outcome.records == {}
    assert outcome.exit_code
    assert {error["failure_type"] for error in outcome.errors if page.id in error["message"]} == {"config_error"}
    assert connector.check(accounts=[page.id])[0] == "FAILED"


def test_a_null_among_dimensions_costs_no_other_cell(small: Sandbox) -> None:
    account = small.world.accounts[0]
    day = int(Trial(small, ()).start.timestamp()) + 2 * 86_400
    params = {
        "period": "day",
        "metric_type": "total_value",
        "breakdown": "follow_type",
        "metric": "views,reach,follows_and_unfollows",
    }
    body = answer(small, f"{account.id}/insights", **params, since=day, until=day + 86_400)
    (cells,) = body["data"][0]["total_value"]["breakdowns"]
    cells["results"].append({"dimension_values": [None], "value": 3})
    path = rf"/{account.id}/insights.*metric=views,reach,follows.*since={day}"
    tried = Trial(small, ("user_insights_breakdowns",)).run({"path": path, "kind": "shape", "body": body})
    assert tried.fired == [1]
    odd = [each for each in tried.broken if "is not in the world" not in each]  # the cell without a name
    assert odd == []


def test_a_reply_whose_parent_is_null_keeps_its_comment(small: Sandbox) -> None:
    one = next(p for p in feed(small) if any(comment.replies for comment in small.world.comments(p)) and p.number != 3)
    fields = "id,text,timestamp,username,from,user,hidden,like_count,legacy_instagram_comment_id"
    body = answer(small, f"{one.id}/comments", fields=f"{fields},replies.limit(50){{{fields},parent_id}}")
    replies = [reply for comment in body["data"] for reply in comment.get("replies", {"data": []})["data"]]
    assert replies
    for reply in replies:
        reply["parent_id"] = None
    tried = Trial(small, ("comments",)).run({"path": rf"/{one.id}/comments\?", "kind": "shape", "body": body}, ALONE)
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses["comments"] == "COMPLETE"


@pytest.mark.parametrize("stream", ["media", "media_insights", "comments"])
def test_a_medium_that_is_listed_twice_is_one_record(small: Sandbox, stream: str) -> None:
    account = small.world.accounts[0]
    one = next(post for post in feed(small) if small.world.comments(post))
    account.media.insert(account.media.index(one) + 1, one)
    assert Trial(small, (stream,)).run(calm=60).broken == []


def test_a_story_without_a_product_type_shares_nothing_with_its_account(small: Sandbox) -> None:
    account = small.world.accounts[0]
    for story in small.world.stories(account):
        story.values.pop("media_product_type")
    refused = {
        "code": 100,
        "message": "(#100) The Media Insights API does not support the {reposts} metric for this media product type",
    }
    faults = (
        error(r"/181\d+/insights.*metric=([^&]*,)?reposts\b", refused, account=account.id),
        {"path": r"/1784\d+/insights", "account": account.id, "kind": "stall", "seconds": 0.3, "times": 1},
    )
    trial = Trial(small, ("story_insights", "user_total_insights"))
    own = Excuse(streams={"story_insights"}, columns={"reposts"})
    tried = trial.run(*faults, excuses=[own], calm=60)
    assert tried.fired[0]
    assert tried.broken == []


def test_a_page_of_accounts_lost_to_a_passing_fault_is_no_mistake_of_the_user(
    small: Sandbox, connector: Connector
) -> None:
    name = small.world.accounts[2].values["username"]
    small.add_fault(**error(r"/me/accounts\?", SERVICE))
    outcome = connector.read("accounts", "users", accounts=[name])
    assert outcome.exit_code
    # Apart from the CDK's own summary, which names no stream.
    own = [error for error in outcome.errors if error.get("stream_descriptor")]
    assert {error["failure_type"] for error in own} == {"transient_error"}
    assert not [error for error in outcome.errors if "Correct its name" in error["message"]]


def test_an_account_without_an_id_is_told_in_a_sentence(small: Sandbox, connector: Connector) -> None:
    body = answer(small, "me/accounts", fields="id,name,instagram_business_account{id,username}")
    row = next(row for row in body["data"] if "instagram_business_account" in row)
    del row["instagram_business_account"]["id"]
    small.add_fault(path=r"/me/accounts\?", kind="shape", body=body)
    outcome = connector.read("accounts", "users")
    assert "KeyError" not in outcome.stdout
    told = [*(error["message"] for error in outcome.errors), *outcome.log("WARN", "ERROR")]
    if outcome.exit_code == 0:
        assert len(outcome.records["users"]) == 2
        assert [line for line in told if row["id"] in line]
    assert told


# -- 14. An outage that an optional call meets -------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["facebook_views", "total_likes"])
def test_an_outage_that_optional_calls_meet_empties_no_column(box: Sandbox, metric: str) -> None:
    box.reset(**{**WORLD, "accounts": 1, "media": 230, "albums": 0, "comments": 0})
    box.set_now(box.world.now())
    struck = {post.id for post in feed(box)[:6]}
    own = Excuse(
        streams={"media_insights"},
        records=lambda record: record["id"] in struck,
        columns={"facebook_views", "total_likes", "total_comments", "total_views"},
    )
    fault = error(rf"/({'|'.join(sorted(struck))})/insights.*metric=[^&]*{metric}", SERVICE)
    tried = Trial(box, ("media_insights",)).run(fault, excuses=[own])
    assert tried.fired[0] >= 6
    assert tried.broken == []


# -- 15. Empty pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 40], ids=["empty", "short"])
def test_a_page_of_tags_without_rows_is_not_the_last(box: Sandbox, left: int) -> None:
    box.reset(**{**WORLD, "accounts": 1, "tags": 250})
    box.set_now(box.world.now())
    account = box.world.accounts[0]
    tags = box.world.tags(account)
    first, second = _cursor(tags[99]), _cursor(tags[199])
    page = answer(box, f"{account.id}/tags", fields=",".join(SCHEMAS["tags"]["properties"]).replace(
        "business_account_id,", "").replace("page_id,", "").replace("children", "children{id,media_type,media_url}"),
        limit=100, after=first)  # fmt: skip
    body = {"data": page["data"][:left], "paging": {"cursors": {"before": first, "after": second}}}
    private = {tag.id for tag in tags[100 + left : 200]}
    own = Excuse(streams={"tags"}, records=lambda record: record["id"] in private)
    trial = Trial(box, ("tags",))
    tried = trial.run({"path": rf"/tags\?.*after={first}", "kind": "shape", "body": body}, excuses=[own])
    assert tried.fired == [1]
    came = keyed("tags", tried.outcome.records["tags"])
    expected = trial.world()["tags"]
    assert came == {key: expected[key] for key in expected if key[0] not in private}


# -- 16. A refused day -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    ["(#100) No data can be given for this day", "Invalid parameter", "The views of this day are being counted"],
)
@pytest.mark.parametrize("stream", ["user_total_insights", "user_insights_breakdowns"])
def test_one_refused_day_costs_no_other(small: Sandbox, stream: str, message: str) -> None:
    account = small.world.accounts[0]
    trial = Trial(small, (stream,))
    day = int(trial.start.timestamp()) + 9 * 86_400
    fault = error(rf"/{account.id}/insights.*since={day}\b", {"code": 100, "message": message})
    tried = trial.run(fault)
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses[stream] == "INCOMPLETE"
    world = keyed(stream, Oracle(small.world, trial.start).records(stream))
    lost = world.keys() - keyed(stream, tried.outcome.records[stream]).keys()
    assert len({key[:2] for key in lost}) == 1, "just that day of that account"


# -- 18. Nested lists that are cut -------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [5, 10, 24])
def test_nested_replies_cut_without_paging_are_asked_for_singly(small: Sandbox, most: int) -> None:
    one = next(post for post in feed(small) if len(small.world.comments(post)) > 100)
    fields = "id,text,timestamp,username,from,user,hidden,like_count,legacy_instagram_comment_id"
    body = answer(small, f"{one.id}/comments", fields=f"{fields},replies.limit(50){{{fields},parent_id}}", limit=50)
    replies = body["data"][0]["replies"]
    assert len(replies.pop("data")[most:]) > 10
    cut = answer(small, f"{body['data'][0]['id']}/replies", fields=f"{fields},parent_id", limit=most)
    body["data"][0]["replies"] = {"data": cut["data"]}
    path = rf"/{one.id}/comments\?(?!.*after=)"
    tried = Trial(small, ("comments",)).run({"path": path, "kind": "shape", "body": body})
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses["comments"] == "COMPLETE"


# -- 20. Keys alone, and wrapped nodes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_columns_that_are_keys_alone_have_all_their_rows(small: Sandbox, stream: str) -> None:
    trial = Trial(small, (stream,))
    config = {**CONFIG, "start_date": f"{trial.start:%Y-%m-%dT%H:%M:%SZ}"}
    connector = Connector(small)
    without = {*SCHEMAS[stream]["properties"]} - {"page_id"}
    outcome = connector.read(stream, without=without, **config)
    assert (outcome.exit_code, outcome.errors) == (0, [])
    has, came = len(trial.world()[stream]), len(outcome.records[stream])
    # Whether an object has numbers at all is not known where none are asked.
    listed = {"media_insights": small.world.media, "story_insights": small.world.stories}.get(stream)
    assert has <= came <= (sum(len(listed(account)) for account in small.world.accounts) if listed else has)


@pytest.mark.parametrize("wrap", [lambda node: {"data": [node]}, lambda node: {"data": node}], ids=["list", "object"])
def test_a_node_wrapped_in_data_is_no_record_of_nulls(small: Sandbox, wrap: Any) -> None:
    account = small.world.accounts[0]
    names = {*SCHEMAS["users"]["properties"]} & account.values.keys() - {"account_type"}
    body = wrap(answer(small, account.id, fields=",".join(sorted(names))))
    tried = Trial(small, ("users",)).run({"path": rf"/{account.id}\?", "kind": "shape", "body": body})
    assert tried.fired[0]
    assert tried.broken == []
