"""The rules of insights: metrics, products, periods, windows, labels, breakdowns, audiences."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sandbox_client import INSTAGRAM, Client

from sandbox import Sandbox
from sandbox.figures import label_time, labels, parse_moment
from sandbox.nodes import Account, Media

FEED = "views,reach,shares,reposts,total_interactions,likes,comments,saved,profile_visits,profile_activity,follows"
REELS = (
    "views,reach,shares,reposts,total_interactions,likes,comments,saved,ig_reels_avg_watch_time,"
    "ig_reels_video_view_total_time,reels_skip_rate"
)
STORY = "views,reach,shares,reposts,total_interactions,profile_visits,profile_activity,follows,replies,navigation"
TOTALS = (
    "reach,views,accounts_engaged,total_interactions,likes,comments,shares,saves,replies,reposts,profile_views,"
    "website_clicks,profile_links_taps,follows_and_unfollows"
)


def names(answer: Any) -> list[str]:
    return [row["name"] for row in answer["data"]]


def label_dates(answer: Any) -> list[str]:
    return [value["end_time"] for value in answer["data"][0]["values"]]


# -- media ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "metrics"),
    [("IMAGE", FEED), ("VIDEO", FEED), ("CAROUSEL_ALBUM", FEED), ("REELS", REELS), ("IMAGE", "total_likes")],
)
def test_each_product_has_its_metrics(
    api: Client, box: Sandbox, posts: dict[str, Media], kind: str, metrics: str
) -> None:
    answer = api.get(f"{posts[kind].id}/insights", metric=metrics)
    assert names(answer) == metrics.split(",")
    for row in answer["data"]:
        assert set(row) == {"name", "period", "values", "title", "description", "id"}
        assert row["id"] == f"{posts[kind].id}/insights/{row['name']}/lifetime"
        assert row["values"] == [{"value": box.world.media_metric(posts[kind], row["name"])}]


def test_one_wrong_metric_fails_the_call_and_is_named(api: Client, posts: dict[str, Media]) -> None:
    error = api.error(f"{posts['REELS'].id}/insights", metric="reach,follows,views,profile_visits")
    assert error["message"] == (
        "(#100) The Media Insights API does not support the {follows, profile_visits} metric "
        "for this media product type"
    )
    error = api.error(f"{posts['REELS'].id}/insights", host=INSTAGRAM, metric="reach,follows")
    assert error["type"] == "IGApiException"
    assert error["message"] == "The Media Insights API does not support the follows metric for this media product type."


def test_an_unknown_metric_is_named_by_its_place(api: Client, posts: dict[str, Media]) -> None:
    error = api.error(f"{posts['IMAGE'].id}/insights", metric="reach,plays")
    assert error["message"].startswith("(#100) metric[1] must be one of the following values: impressions, reach,")
    assert api.error(f"{posts['IMAGE'].id}/insights", host=INSTAGRAM, metric="link_clicks")["code"] == 100
    assert "metric" in api.error(f"{posts['IMAGE'].id}/insights")["message"]


def test_impressions_live_on_for_media_made_before_july_2024(
    api: Client, box: Sandbox, account: Account, posts: dict[str, Media]
) -> None:
    error = api.error(f"{posts['IMAGE'].id}/insights", metric="impressions")
    assert "the impressions metric is no longer supported for the queried media" in error["message"]
    old = [m for m in box.world.media(account) if not m.before_conversion][-1]
    assert old.published < parse_moment("2024-07-02")
    assert names(api.get(f"{old.id}/insights", metric="impressions,reach")) == ["impressions", "reach"]


def test_media_from_before_the_conversion(api: Client, posts: dict[str, Media]) -> None:
    error = api.error(f"{posts['OLD'].id}/insights", metric="reach")
    assert (error["code"], error["error_subcode"], error["status"]) == (100, 2108006, 400)
    assert error["message"] == "Invalid parameter"
    assert error["error_user_title"] == "Media Posted Before Business Account Conversion"
    error = api.error(f"{posts['OLD'].id}/insights", host=INSTAGRAM, metric="reach")
    assert (error["type"], error["error_subcode"]) == ("IGApiException", 2108006)
    assert error["message"] != "Invalid parameter"


def test_facebook_views_need_a_share_to_facebook(api: Client, box: Sandbox, account: Account) -> None:
    reels = [media for media in box.world.media(account) if media.product == "REELS"]
    shared = next(media for media in reels if media.on_facebook)
    alone = next(media for media in reels if not media.on_facebook)
    assert len(names(api.get(f"{shared.id}/insights", metric="reach,facebook_views,crossposted_views"))) == 3
    error = api.error(f"{alone.id}/insights", metric="reach,facebook_views")
    assert (error["code"], error["error_subcode"], error["message"]) == (-1, 2207086, "Fatal")


def test_stories(api: Client, box: Sandbox, account: Account) -> None:
    stories = box.world.stories(account)
    few = next(story for story in stories if story.few_viewers)
    seen = next(story for story in stories if not story.few_viewers and not story.on_facebook)
    assert names(api.get(f"{seen.id}/insights", metric=STORY)) == STORY.split(",")
    error = api.error(f"{few.id}/insights", metric="reach")
    assert (error["code"], error["message"]) == (10, "(#10) Not enough viewers for the media to show insights")
    assert "{likes, saved}" in api.error(f"{seen.id}/insights", metric="reach,likes,saved")["message"]
    assert api.error(f"{seen.id}/insights", metric="total_views")["code"] == 200
    assert api.error(f"{seen.id}/insights", metric="reach,facebook_views")["error_subcode"] == 2207086


def test_media_breakdowns(api: Client, box: Sandbox, account: Account, posts: dict[str, Media]) -> None:
    story = next(story for story in box.world.stories(account) if not story.few_viewers)
    (row,) = api.get(f"{story.id}/insights", metric="navigation", breakdown="story_navigation_action_type")["data"]
    assert "values" not in row
    cells = {r["dimension_values"][0]: r["value"] for r in row["total_value"]["breakdowns"][0]["results"]}
    assert cells == box.world.media_cells(story, "navigation")
    assert row["total_value"]["value"] == sum(cells.values())
    (row,) = api.get(f"{posts['IMAGE'].id}/insights", metric="profile_activity", breakdown="action_type")["data"]
    assert row["values"][0]["value"] == row["total_value"]["value"]
    error = api.error(f"{posts['IMAGE'].id}/insights", metric="views", breakdown="follow_type")
    assert error["message"] == "(#100) Incompatible breakdowns (follow_type) for metric (views)"
    error = api.error(f"{posts['IMAGE'].id}/insights", metric="views", breakdown="colour")
    assert error["message"].startswith("(#100) breakdown[0] must be one of the following values: follow_type,")


def test_nested_insights_fail_the_whole_page(api: Client, account: Account) -> None:
    ask = "id,insights.metric(reach,views)"
    assert len(api.get(f"{account.id}/media", fields=ask, limit=20)["data"]) == 20
    error = api.error(f"{account.id}/media", fields=ask, limit=100)
    assert error["error_subcode"] == 2108006
    error = api.error(f"{account.id}/media", fields="insights.metric(impressions,reach,engagement)")
    assert error["message"].startswith("(#100) metric[2] must be one of")
    empty = api.get(f"{account.id}/media", fields="insights.metric(engagement)", since="2030-01-01")
    assert empty == {"data": []}


# -- windows --------------------------------------------------------------------------------------------------------


def test_labels_are_pacific_midnights_through_daylight_saving() -> None:
    assert label_time(date(2026, 3, 8)).hour == 8  # the clocks change that day, after midnight
    assert label_time(date(2026, 3, 9)).hour == 7
    assert label_time(date(2025, 11, 2)).hour == 7
    assert label_time(date(2025, 11, 3)).hour == 8


def series(api: Client, account: Account, **window: Any) -> Any:
    return api.get(f"{account.id}/insights", metric="reach", period="day", metric_type="time_series", **window)


def test_a_bare_date_is_midnight_utc_and_a_week_has_seven_labels(api: Client, account: Account) -> None:
    answer = series(api, account, since="2026-04-14", until="2026-04-21")
    assert label_dates(answer) == [f"2026-04-{day}T07:00:00+0000" for day in range(14, 21)]
    assert "since=1775519999&until=1776124799" in answer["paging"]["previous"]
    assert "since=1776729601&until=1777334401" in answer["paging"]["next"]


def test_both_ends_of_the_window_are_inclusive(api: Client, account: Account) -> None:
    start, end = (int(label_time(date(2026, 4, day)).timestamp()) for day in (14, 15))
    assert len(label_dates(series(api, account, since=start, until=end))) == 2
    assert len(label_dates(series(api, account, since=start, until=end - 1))) == 1
    assert len(label_dates(series(api, account, since=start + 1, until=end))) == 1
    assert series(api, account, since=start + 1, until=end - 1)["data"] == []
    assert series(api, account, since=start + 1, until=start + 1)["data"] == []


def test_the_default_window_is_48_hours(api: Client, account: Account) -> None:
    answer = series(api, account)
    assert label_dates(answer) == ["2026-06-14T07:00:00+0000", "2026-06-15T07:00:00+0000"]
    since = int(parse_moment("2026-06-15").timestamp()) + 1
    alone = series(api, account, since=since)
    assert label_dates(alone) == ["2026-06-15T07:00:00+0000"]
    assert f"since={since - 86_401}&until={since - 1}" in alone["paging"]["previous"]


def test_the_day_that_has_not_ended_has_no_label(api: Client, account: Account) -> None:
    assert label_dates(series(api, account, since="2026-06-14", until="2026-06-17"))[-1] == "2026-06-15T07:00:00+0000"


def test_windows_across_the_clock_change(api: Client, account: Account) -> None:
    days = [stamp[8:13] for stamp in label_dates(series(api, account, since="2026-03-06", until="2026-03-12"))]
    assert days == ["06T08", "07T08", "08T08", "09T07", "10T07", "11T07"]


def test_spans_and_history(api: Client, account: Account) -> None:
    assert len(label_dates(series(api, account, since="2026-05-01", until="2026-05-31"))) == 30
    path, ask = f"{account.id}/insights", {"metric": "reach", "period": "day"}
    error = api.error(path, **ask, since="2026-05-01", until="2026-06-01")
    assert error["message"] == "(#100) There cannot be more than 30 days (2592000 s) between since and until"
    assert api.get(path, host=INSTAGRAM, **ask, since="2026-02-01", until="2026-06-01")["data"]
    too_old = "(#100) since param is not valid. Metrics data is available for the last 2 years"
    assert api.error(path, **ask, since="2024-06-15", until="2024-07-01")["message"] == too_old
    assert api.get(path, **ask, since="2024-06-16", until="2024-07-01")["data"]
    assert api.error(path, **ask, since="2026-06-16", until="2026-06-20")["message"] == too_old
    error = api.error(path, **ask, since="2026-06-10", until="2026-06-09")
    assert error["message"] == "(#100) The parameter since must be before until"


def test_follower_count_goes_back_30_days_and_spoils_the_call_beyond(
    api: Client, box: Sandbox, account: Account, small: Account
) -> None:
    ask = {"metric": "follower_count,reach", "period": "day"}
    answer = api.get(f"{account.id}/insights", **ask, since="2026-05-17", until="2026-06-15")
    assert names(answer) == ["follower_count", "reach"]
    day = date(2026, 5, 17)
    assert answer["data"][0]["values"][0]["value"] == box.world.daily(account, "follower_count", day)
    error = api.error(f"{account.id}/insights", **ask, since="2026-05-16", until="2026-06-10")
    assert error["message"] == (
        "(#100) (follower_count) metric only supports querying data for the last 30 days excluding the current day"
    )
    assert names(api.get(f"{small.id}/insights", **ask, since="2026-06-01", until="2026-06-10")) == ["reach"]


def test_online_followers(api: Client, box: Sandbox, account: Account, small: Account) -> None:
    ask = {"metric": "online_followers", "period": "lifetime"}
    (row,) = api.get(f"{account.id}/insights", **ask, since="2026-05-20", until="2026-06-15")["data"]
    maps = [value["value"] for value in row["values"]]
    assert {} in maps
    assert {len(hours) for hours in maps} == {0, 24}
    assert maps[0] == box.world.online_followers(account, date(2026, 5, 20))
    assert api.get(f"{account.id}/insights", **ask, since="2026-04-01", until="2026-04-20")["data"] == []
    assert api.get(f"{small.id}/insights", **ask)["data"] == []


# -- metric types ---------------------------------------------------------------------------------------------------


def test_totals_need_their_metric_type(api: Client, account: Account) -> None:
    path, ask = f"{account.id}/insights", {"metric": "comments,reach,total_interactions,views", "period": "day"}
    assert api.error(path, **ask)["message"] == (
        "(#100) The following metrics (comments,total_interactions,views) should be specified with parameter "
        "metric_type=total_value"
    )
    assert names(api.get(path, host=INSTAGRAM, **ask)) == ["reach"]
    error = api.error(path, metric="follower_count", period="day", metric_type="total_value")
    assert error["message"] == (
        "(#100) The following metric (follower_count) is incompatible with the metric type (total_value)"
    )
    error = api.error(path, metric="online_followers", period="week")
    assert error["message"] == "(#100) The following periods (week) are incompatible with the metric (online_followers)"
    assert api.error(path, metric="views", period="day", metric_type="time_series")["code"] == 100
    assert "period" in api.error(path, metric="reach")["message"]
    assert "period must be one of" in api.error(path, metric="reach", period="year")["message"]
    assert "metric_type must be one of" in api.error(path, metric="reach", period="day", metric_type="x")["message"]
    assert api.error(path, metric="reach,impressions", period="day")["message"].startswith(
        "(#100) metric[1] must be one of the following values: reach, follower_count, website_clicks,"
    )


def total(api: Client, account: Account, metric: str, since: str, until: str, **more: Any) -> list[dict[str, Any]]:
    ask = {"metric": metric, "period": "day", "metric_type": "total_value", "since": since, "until": until}
    return api.get(f"{account.id}/insights", **ask, **more)["data"]


def test_all_totals_of_a_day_in_one_call(api: Client, box: Sandbox, account: Account) -> None:
    rows = total(api, account, TOTALS, "2026-06-10", "2026-06-11")
    assert [row["name"] for row in rows] == TOTALS.split(",")
    assert "total_value" not in rows[-1]
    for row in rows[:-1]:
        assert row["total_value"] == {"value": box.world.daily(account, row["name"], date(2026, 6, 10))}


def test_reach_is_not_additive_and_other_totals_are(api: Client, box: Sandbox, account: Account) -> None:
    days = labels(parse_moment("2026-06-01"), parse_moment("2026-06-08"))
    daily = {name: [box.world.daily(account, name, day) for day in days] for name in ("reach", "views")}
    reach, views = total(api, account, "reach,views", "2026-06-01", "2026-06-08")
    assert max(daily["reach"]) <= reach["total_value"]["value"] < sum(daily["reach"])
    assert views["total_value"]["value"] == sum(daily["views"])
    (week,) = api.get(f"{account.id}/insights", metric="reach", period="week", since="2026-06-07", until="2026-06-08")[
        "data"
    ]
    assert week["values"][0]["value"] == reach["total_value"]["value"]
    assert week["id"].endswith("/insights/reach/week")


def test_a_window_without_labels_has_no_rows(api: Client, account: Account) -> None:
    assert total(api, account, "views", "2026-06-10T08:00:00Z", "2026-06-10T09:00:00Z") == []


def test_an_account_may_begin_later_than_two_years_ago(api: Client, box: Sandbox) -> None:
    late = next(account for account in box.world.accounts if account.insights_from)
    assert series(api, late, since="2024-08-01", until="2024-08-20")["data"] == []
    assert series(api, late, since="2026-05-01", until="2026-05-20")["data"]


# -- breakdowns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "breakdown"),
    [
        ("reach", "media_product_type"),
        ("reach", "follow_type"),
        ("views", "follow_type,media_product_type"),
        ("saves", "media_product_type"),
        ("profile_links_taps", "contact_button_type"),
    ],
)
def test_breakdowns_add_up(api: Client, box: Sandbox, account: Account, metric: str, breakdown: str) -> None:
    (row,) = total(api, account, metric, "2026-06-10", "2026-06-11", breakdown=breakdown)
    (part,) = row["total_value"]["breakdowns"]
    assert part["dimension_keys"] == breakdown.split(",")
    cells = {tuple(result["dimension_values"]): result["value"] for result in part["results"]}
    assert cells == box.world.cells(account, metric, tuple(breakdown.split(",")), [date(2026, 6, 10)])
    assert sum(cells.values()) == row["total_value"]["value"]
    assert 0 not in cells.values()


def test_follows_and_unfollows_by_follow_type(api: Client, box: Sandbox, account: Account, small: Account) -> None:
    (row,) = total(api, account, "follows_and_unfollows", "2026-06-10", "2026-06-11", breakdown="follow_type")
    assert set(row["total_value"]) == {"breakdowns"}
    cells = {r["dimension_values"][0]: r["value"] for r in row["total_value"]["breakdowns"][0]["results"]}
    assert cells["FOLLOWER"] == box.world.daily(account, "follower_count", date(2026, 6, 10))
    (row,) = total(api, small, "follows_and_unfollows", "2026-06-10", "2026-06-11", breakdown="follow_type")
    assert row["total_value"] == {"breakdowns": [{"dimension_keys": ["follow_type"]}]}


def test_follow_type_ends_after_a_year(api: Client, account: Account) -> None:
    (row,) = total(api, account, "views", "2025-05-01", "2025-05-02", breakdown="follow_type")
    assert "results" not in row["total_value"]["breakdowns"][0]
    (row,) = total(api, account, "views", "2025-05-01", "2025-05-02", breakdown="media_product_type")
    assert "results" in row["total_value"]["breakdowns"][0]


def test_a_breakdown_that_does_not_fit_is_a_generic_error(api: Client, account: Account) -> None:
    ask = {"period": "day", "metric_type": "total_value", "breakdown": "follow_type"}
    error = api.error(f"{account.id}/insights", metric="views,likes", **ask)
    assert (error["code"], error["message"]) == (1, "An unknown error has occurred.")
    assert "breakdown[0]" in api.error(f"{account.id}/insights", metric="views", **{**ask, "breakdown": "x"})["message"]
    ignored = api.get(f"{account.id}/insights", metric="reach", period="day", breakdown="follow_type")
    assert "values" in ignored["data"][0]


# -- audiences ------------------------------------------------------------------------------------------------------


def audience(metric: str, **more: Any) -> dict[str, Any]:
    return {"metric": metric, "period": "lifetime", "metric_type": "total_value", **more}


def test_follower_demographics(api: Client, box: Sandbox, account: Account) -> None:
    for breakdown in ("country", "city", "age", "gender", "age,gender"):
        (row,) = api.get(f"{account.id}/insights", **audience("follower_demographics", breakdown=breakdown))["data"]
        assert "value" not in row["total_value"]
        (part,) = row["total_value"]["breakdowns"]
        cells = {tuple(result["dimension_values"]): result["value"] for result in part["results"]}
        assert cells == box.world.demographics(account, "follower_demographics", tuple(breakdown.split(",")))
        assert len(cells) <= 45
    assert "paging" not in api.get(f"{account.id}/insights", **audience("follower_demographics", breakdown="age"))


def test_timeframes(api: Client, account: Account) -> None:
    path = f"{account.id}/insights"
    for metric in ("engaged_audience_demographics", "reached_audience_demographics"):
        answer = api.get(path, **audience(metric, breakdown="country", timeframe="this_week"))
        (part,) = answer["data"][0]["total_value"]["breakdowns"]
        assert part["dimension_keys"] == ["timeframe", "country"]
        assert part["results"][0]["dimension_values"][0] == "THIS_WEEK"
        assert api.error(path, **audience(metric, breakdown="country"))["code"] == 100
        assert api.error(path, **audience(metric, breakdown="country", timeframe="last_90_days"))["code"] == 100


def test_small_accounts_have_no_audience(api: Client, small: Account) -> None:
    path, ask = f"{small.id}/insights", {"breakdown": "country", "timeframe": "this_month"}
    assert api.get(path, **audience("follower_demographics", breakdown="country")) == {"data": []}
    assert api.get(path, **audience("reached_audience_demographics", **ask)) == {"data": []}
    error = api.error(path, **audience("engaged_audience_demographics", **ask))
    assert (error["message"], error["error_subcode"], error["is_transient"]) == ("Not enough users", 2874010, False)


def test_days_do_not_overlap_between_neighbouring_midnight_windows(api: Client, account: Account) -> None:
    first = label_dates(series(api, account, since="2026-02-20", until="2026-03-20"))
    second = label_dates(series(api, account, since="2026-03-20", until="2026-04-10"))
    days = [stamp[:10] for stamp in first + second]
    assert days == [str(date(2026, 2, 20) + timedelta(days=n)) for n in range(49)]
