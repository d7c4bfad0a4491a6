"""The least that the API allows, counted by hand; the report; and that the bench runs."""

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from harness import CONDITIONAL, STREAMS, Connector

import bench.__main__ as command
from bench import measure, peer
from bench import results as kept
from bench.checks import checks
from bench.limit import SEVERAL, Limit, Needs, Reach, calls, limit, reach_of_daily
from bench.measure import Row
from bench.refresh import Simulation
from bench.report import lines, page, ratio, shown
from bench.results import Results
from bench.worlds import BY_NAME, EVERYTHING, FIRST, SETTINGS
from sandbox import Options, World
from sandbox.nodes import Media

NOW = "2026-06-15T12:00:00Z"


def world(**options: object) -> World:
    plain = {"accounts": 1, "portfolio_accounts": 0, "media": 0, "stories": 0, "tags": 0, "comments": 0, "now": NOW}
    return World(Options(**{**plain, **options}))


def insights(there: World) -> list[int]:
    """The calls for each medium of the first account, newest first."""
    needs = Needs(there, there.accounts[0], frozenset({"media_insights"}), Reach())
    return [cost.calls for cost in needs._insights(there.media(there.accounts[0]))]


def without_actions(there: World) -> None:
    """Nobody did anything on the profile, so that no breakdown is needed."""
    there.media_metric = lambda *_: 0  # type: ignore[method-assign]


# -- Lists -------------------------------------------------------------------------------------------------------------


def test_accounts_are_listed_once_and_an_empty_list_costs_a_call() -> None:
    assert limit(world(), ["accounts"]) == Limit(calls=1, requests=1, waits=1)
    assert limit(world(), ["accounts", "users", "media", "stories", "tags"]) == Limit(calls=5, requests=2, waits=2)


def test_more_than_a_hundred_pages_are_two_calls() -> None:
    assert limit(world(accounts=100), ["accounts"]).calls == 2  # one Page has no account


def test_pages_follow_from_one_another_and_streams_share_them() -> None:
    there = world(media=250)
    assert limit(there, ["media"]) == Limit(calls=4, requests=4, waits=4)
    assert limit(there, ["media", "media_insights"]).calls == 4 + sum(insights(there))
    assert limit(there, ["media", "comments"]) == Limit(calls=6, requests=6, waits=6)


def test_only_an_empty_page_ends_tags() -> None:
    assert limit(world(tags=30), ["tags"]).calls == 1 + 2
    assert limit(world(tags=200), ["tags"]).calls == 1 + 3


def test_pages_of_many_accounts_travel_together() -> None:
    assert limit(world(accounts=60, media=10), ["media"]) == Limit(calls=61, requests=3, waits=2)


# -- Media and stories -------------------------------------------------------------------------------------------------


def test_a_medium_that_is_not_cross_posted_costs_two_calls() -> None:
    there = world(media=6, albums=6, before_conversion=0, cross_posted=2)
    without_actions(there)
    assert sorted(insights(there)) == [1, 1, 1, 2, 2, 2]
    # The list, then calls, then those that were refused.
    assert limit(there, ["media_insights"]) == Limit(calls=1 + 1 + 9, requests=1 + 3, waits=1 + 3)


def test_after_three_refusals_in_a_row_every_fifth_is_asked() -> None:
    there = world(media=14, albums=14, before_conversion=0, cross_posted=0)
    without_actions(there)
    assert insights(there) == [2, 2, 2, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2]


def test_a_breakdown_that_is_not_zero_costs_a_call() -> None:
    there = world(media=10, before_conversion=0, cross_posted=1)
    acted = [
        m.product == "FEED" and there.media_metric(m, "profile_activity") > 0 for m in there.media(there.accounts[0])
    ]
    assert insights(there) == [1 + has for has in acted]
    assert True in acted
    assert False in acted


def test_media_from_before_the_conversion_are_believed_after_three() -> None:
    there = world(media=20, before_conversion=1)
    assert insights(there) == [1] * 3 + [0] * 17


def test_ads_have_no_insights() -> None:
    there = world(media=4, albums=0, ads=1, before_conversion=0, cross_posted=1)
    without_actions(there)
    assert sorted(insights(there)) == [0, 1, 1, 1]


def test_a_story_costs_what_its_numbers_need() -> None:
    there = world(stories=4)
    (account,) = there.accounts
    needs = Needs(there, account, frozenset({"story_insights"}), Reach(), stories=SEVERAL + 1)
    story = there.stories(account)[0]
    story.few_viewers, story.on_facebook = False, True
    numbers = {"navigation": 3, "profile_activity": 0}
    there.media_metric = lambda _, metric: numbers[metric]  # type: ignore[method-assign]
    assert needs._story(story).calls == 2
    story.on_facebook = False
    assert needs._story(story).calls == 3
    # Nobody knows beforehand that stories have no `total_views`: the first three tell.
    asked = {before for before in range(20) if replace(needs, stories=before)._story(story).calls == 4}
    assert asked == {0, 1, 2}
    story.few_viewers = True
    assert needs._story(story).calls == 1


def test_comments_ride_in_the_page_of_media_as_far_as_they_fit() -> None:
    there = world(media=4, comments=2)
    (popular,) = [m for m in there.media(there.accounts[0]) if len(there.comments(m)) == 130]
    cost = Needs(there, there.accounts[0], frozenset({"comments"}), Reach())._comments(popular)
    # Two further pages, one after the other; and the ten of sixty replies to the first comment that did not fit.
    assert (cost.calls, cost.chain) == (3, 2)
    assert limit(there, ["comments"]).calls == 1 + 1 + 3


def test_what_follows_from_an_answer_is_in_a_later_batch() -> None:
    many = calls("media/insights", 60)
    assert many.batches == 2
    assert (calls("account/media") >> many).batches == 3
    assert (many >> calls("media/insights")).batches == 2
    assert (calls("account/media") | many).batches == 2
    assert ((calls("account") >> calls("account/media")) | calls("account/insights", 48)).batches == 2


# -- Days --------------------------------------------------------------------------------------------------------------


def test_two_years_of_days() -> None:
    there = world()
    assert limit(there, ["user_insights"]).calls == 1 + 25 * 3 + 1
    assert limit(there, ["user_total_insights"]).calls == 1 + 730 * 2
    assert limit(there, ["user_total_insights", "user_insights_breakdowns"]).calls == 1 + 730 * 4


def test_thirty_days_in_which_nothing_happened_are_one_call() -> None:
    there = world()
    today = there.now().date()
    days = today - timedelta(days=59), today
    there.accounts[0].insights_from = datetime.combine(today - timedelta(days=9), datetime.min.time(), timezone.utc)
    found = limit(there, ["user_total_insights"], Reach(days=days))
    assert found.calls == 1 + 2 * (1 + 30)


def test_an_account_that_slept_costs_as_little() -> None:
    there = world(asleep="730-30")
    days = there.now().date() - timedelta(days=59), there.now().date()
    assert limit(there, ["user_total_insights"], Reach(days=days)).calls == 1 + 2 * (1 + 30)


def test_followers_are_asked_for_once_by_two_streams() -> None:
    assert limit(world(), ["user_lifetime_insights"]).calls == 1 + 3
    assert limit(world(), ["audience_demographics", "user_lifetime_insights"]).calls == 1 + 25


def test_the_next_day_reads_what_is_young() -> None:
    there = world(media=365, days=365, upcoming=4)
    reach = reach_of_daily(there)
    there.set_now("2026-06-16T12:00:00Z")
    young = [m for m in there.media(there.accounts[0]) if m.published >= reach.media_since[there.accounts[0].id]]
    assert 30 < len(young) < 40
    assert limit(there, ["media_insights", "user_total_insights"], reach).calls == (
        1 + 2 + sum(insights_of_young(there, young)) + 4 * 2
    )


def insights_of_young(there: World, young: list[Media]) -> list[int]:
    needs = Needs(there, there.accounts[0], frozenset({"media_insights"}), Reach())
    return [cost.calls for cost in needs._insights(young)]


# -- The report --------------------------------------------------------------------------------------------------------


def results(**figures: float) -> Results:
    usual = {"requests": 10, "calls": 100, "seconds": 4.0, "cpu": 2.0, "peak": 100.0, "rate": 5.0, "busy": 0.1}
    least = {"requests": 9, "calls": 95, "waits": 10}
    return Results(
        [
            Row("idle", 0, FIRST, "this", {**usual, "seconds": 2.0, "import": 1.5}),
            Row("peers", 100, FIRST, "this", {**usual, **figures}),
            Row("peers", 100, FIRST, "peer", {**usual, "requests": 400, "seconds": 160.0}),
            Row("peers", 100, FIRST, "least", least),
        ]
    )


def failed(found: Results) -> list[str]:
    return [check.claim for check in checks(found) if not check.holds]


def test_the_least_time_is_start_up_and_the_waits() -> None:
    assert results().figures("peers", 100, FIRST, "least")["seconds"] == 2.0 + 10 * 0.1


def test_all_that_must_be_shown_has_a_bound() -> None:
    assert len(list(checks(results()))) == 6
    assert failed(results()) == ["wall, of start-up and critical path"]  # 4 s of 3
    assert failed(results(seconds=3.9)) == []
    assert failed(results(seconds=3.9, calls=110)) == ["Graph calls, of the least"]
    assert failed(results(seconds=3.9, requests=11)) == [
        "HTTP requests, of the least",
        "times fewer HTTP requests than the peer",
    ]
    assert failed(results(seconds=3.9, peak=126)) == ["peak memory, of the idle process"]


def test_a_table_has_what_was_measured_beside_the_peer_and_the_least() -> None:
    first = lines(results(), "peers")[0]
    assert first == [FIRST, "100 ms", "HTTP requests", "10", "400", "0.025", "9", "1.11"]
    assert lines(results(), "small") == []


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (4936, "4,936"), (3, "3"), (2.345, "2.35"), (123.4, "123")])
def test_numbers_are_written_for_people(value: float | None, text: str) -> None:
    assert shown(value) == text


def test_a_ratio_needs_two_numbers() -> None:
    assert [ratio(49, 4936), ratio(3, 2), ratio(1, None), ratio(None, 1), ratio(1, 0)] == ["0.010", "1.50", *"---"]


def test_the_page_says_when_the_sandbox_was_the_bottleneck() -> None:
    assert "bottleneck" not in page(results())
    assert "peers" in page(results())
    assert "Numbers are of single runs" in page(results())
    assert "the sandbox was the bottleneck itself, it was busy 90% of the time" in page(results(busy=0.9))


def test_the_page_has_the_worst_of_each_claim() -> None:
    found = results()
    for latency, count in ((100, 100), (400, 114)):
        for who in ("this", "least"):
            row = found.rows[f"peers 100 {FIRST} {who}"]
            found.add(
                [Row("small", latency, FIRST, who, {**row.figures, **({"calls": count} if who == "this" else {})})]
            )
    written = page(found)
    assert "| FAIL | Graph calls, of the least | ≤ 1.15 | 1.20 | small, first, 400 ms | 2 of 3 |" in written
    assert "| pass | HTTP requests, of the least | ≤ 1.20 | 1.11 | small, first, 100 ms | 3 of 3 |" in written
    assert "| pass | times less wall time | ≥ 40.00 | 40.00 | peers, first, 100 ms | 1 of 1 |" in written


def test_cost_is_drawn_against_size() -> None:
    found = results()
    assert "xychart" not in page(found)
    for world, count in (("brand", 20_000), ("huge", 210_000)):
        figures = {**found.rows[f"peers 100 {FIRST} this"].figures, "calls": count, "cpu": count / 1000}
        found.add([Row(world, 0, FIRST, "this", figures)])
    written = page(found)
    assert "| brand | 1 | 10,000 | 2.00 | 2.00 | 100 |" in written
    assert "| huge | 10 | 100,000 | 2.10 | 2.10 | 100 |" in written
    assert 'x-axis ["brand 10,000", "huge 100,000"]' in written
    assert "bar [20000, 210000]" in written


def test_what_was_measured_is_kept(tmp_path: Path) -> None:
    found = results()
    found.keep(tmp_path / "results.json")
    assert page(Results.kept(tmp_path / "results.json")) == page(found)


# -- Accounts of others and hashtags -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "streams", "count"),
    [
        (0, ["discovered_media"], 1),
        (49, ["discovered_media"], 2),
        (50, ["discovered_media"], 2),
        (51, ["discovered_media", "discovered_users"], 3),
        (51, ["discovered_users"], 1),
        (51, ["media"], 0),
    ],
)
def test_a_list_of_others_shows_its_end_by_an_empty_page(media: int, streams: list[str], count: int) -> None:
    there = world(rivals=1, rival_media=media)
    assert limit(there, streams).edges.get("account/business_discovery", 0) == count


def test_the_next_day_reads_older_media_whose_turn_it_is() -> None:
    there = world(media=365, days=365)
    (account,) = there.accounts
    reach = reach_of_daily(there)
    since = reach.media_since[account.id]
    without = limit(there, ["media_insights"], replace(reach, turns={}))
    older = [media for media in there.media(account) if since - timedelta(days=20) <= media.published <= since]
    turn = limit(there, ["media_insights"], replace(reach, turns={account.id: (since - timedelta(days=20), since)}))
    assert len(older) > 10
    assert turn.calls - without.calls == 1 + sum(insights_of_young(there, older))


def test_a_daily_sync_of_others_ends_with_the_first_that_is_too_old() -> None:
    there = world(rivals=2, rival_media=60, days=365)
    reach = reach_of_daily(there)
    assert limit(there, ["discovered_media"], reach).edges["account/business_discovery"] == 2


def test_hashtags_are_searched_once_in_a_week() -> None:
    there = world(rivals=0, hashtag_media=60)
    streams, tags = ["hashtags", "hashtag_media"], ["tea", "cup", "nosuch"]
    first = limit(there, streams, hashtags=tags)
    assert first.edges == {
        "me/accounts": 1, "account/recently_searched_hashtags": 1, "ig_hashtag_search": 3,
        "hashtag/top_media": 4, "hashtag/recent_media": 2,
    }  # fmt: skip
    assert first.waits == 1 + 1 + 1 + 2
    assert "ig_hashtag_search" not in limit(there, streams, reach_of_daily(there), hashtags=tags).edges
    assert limit(there, ["hashtags"], hashtags=tags).edges.keys() == {
        "me/accounts", "account/recently_searched_hashtags", "ig_hashtag_search",
    }  # fmt: skip


# -- The bench itself --------------------------------------------------------------------------------------------------


def test_the_worlds_and_streams_exist() -> None:
    assert set(EVERYTHING) == set(STREAMS)
    for setting in SETTINGS:
        assert set(setting.streams) <= {*STREAMS, *CONDITIONAL}
        assert {CONDITIONAL[stream] for stream in setting.streams if stream in CONDITIONAL} <= setting.config.keys()
        Options(**setting.world)


def test_a_simulation_knows_how_old_a_number_got() -> None:
    found = Simulation(refresh=2, calls=[100])
    found.gave("media", "1", 0)
    found.gave("media", "2", 0)
    found.calls += [1, 1, 1]
    found.gave("media", "1", 2)
    found.end()
    assert found.oldest == {"media": 3}
    assert list(found.failures) == ["media_refresh_days 2: a medium of media was not read for 3 days."]


def test_the_peer_trusts_each_sandbox_and_what_it_trusted_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "lib" / "python3.11" / "site-packages" / "certifi" / "cacert.pem"
    bundle.parent.mkdir(parents=True)
    bundle.write_text("the world's")
    monkeypatch.setattr(peer, "PROGRAM", tmp_path / "bin" / "source-instagram")
    for authority in ("one", "another"):
        (tmp_path / "ca.pem").write_text(authority)
        peer.trust(tmp_path / "ca.pem")
        assert bundle.read_text() == f"the world's\n{authority}"


def test_a_tiny_world_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], connector: Connector
) -> None:
    monkeypatch.setattr(kept, "RESULTS", tmp_path / "results.json")
    options = {"accounts": 1, "media": 12, "upcoming": 0}
    few = measure.Setting("tiny", "twelve media", options, streams=("accounts", "media"), latencies=(0,))
    monkeypatch.setitem(BY_NAME, "tiny", few)
    monkeypatch.setattr(command, "idle", lambda _: results().rows[f"idle 0 {FIRST} this"])
    monkeypatch.setitem(measure.STREAMS, "this", connector.discover())
    assert command.main(["--world", "tiny", "--runs", "1", "--no-peer"]) == 0
    told = capsys.readouterr().out
    assert "It must show" in told
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    first = next(row for row in rows if (row["world"], row["sync"], row["who"]) == ("tiny", FIRST, "this"))
    assert first["figures"]["records"] == 1 + 12
    assert 0 < first["figures"]["busy"] < 1


# -- Beside the worlds -------------------------------------------------------------------------------------------------


def test_the_other_measurements_are_kept_judged_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "RESULTS", tmp_path / "results.json")
    Results.keep_table("memory", [["media", 1800, 2.72, 1.7, 1.6, 286, 180], ["comments", 900, 2.0, 2.0, 1.0, 90, 90]])
    Results.keep_table("refresh", [[0, 100, 1.0, 0.5, 1.1, 91, 91, 91], [90, 100, 2.0, 1.5, 2.1, 91, 90, 88]])
    found = {(check.where, check.bound): check.holds for check in checks(Results.kept())}
    assert found == {
        ("media", 1.5): False,
        ("comments", 1.5): True,
        ("91 days", 1.2): True,
        ("91 days", 2.5): True,
        ("91 days", 90): False,
    }
    text = page(Results.kept())
    assert "| media | 1,800 | 2.72 | 1.70 | 1.60 | 286 | 180 |" in text
    assert "| 90 | 100 | 2 | 1.50 | 2.10 | 91 | 90 | 88 |" in text
