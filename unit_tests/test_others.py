"""Accounts of others, found by their names, and hashtags."""

import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from engine import verdict
from harness import OTHERS, Connector, Outcome
from law import Trial
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram.answers import Verdict
from source_instagram.askers import Askers
from source_instagram.calls import GraphCall
from source_instagram.discovery import Discovery, Question
from source_instagram.hashtags import dealt
from source_instagram.rate_limiter import RateLimiter
from source_instagram.session import SyncSession

FIRST, SECOND, THIRD = (str(17841400000000001 + at) for at in range(3))
USERS, MEDIA, TAGS, TAG_MEDIA = "discovered_users", "discovered_media", "hashtags", "hashtag_media"
DISCOVERY, SEARCH = r"business_discovery", r"ig_hashtag_search"
DENIED = {"code": 10, "message": "(#10) Application does not have permission for this action"}
SERVICE = {"code": 2, "message": "An unexpected error has occurred.", "is_transient": True}


def asked(box: Sandbox, pattern: str) -> list[str]:
    """The calls so far that match, as path and fields."""
    calls = []
    for request in box.requests:
        query = "&".join(f"{name}={value}" for name, value in request["params"].items())
        own = [] if "items" in request else [f"{request['path']}?{query}"]
        calls += [*own, *(item["relative_url"] for item in request.get("items", ()))]
    return [call for call in calls if re.search(pattern, call)]


def unlike_the_world(box: Sandbox, outcome: Outcome, *streams: str) -> list[str]:
    """The streams whose records are not just those of the world."""
    oracle = Oracle(box.world)
    return [name for name in streams if keyed(name, outcome.records[name]) != keyed(name, oracle.records(name))]


@pytest.fixture
def calm(box: Sandbox) -> Sandbox:
    """A sandbox whose headers tell of no usage, so that the first account asks for everything."""
    box.set_usage(mode="missing")
    return box


# -- Accounts of others ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("incremental", [pytest.param(False, marks=pytest.mark.slow), True])
def test_others_are_read_by_value_and_a_call_serves_both_streams(
    calm: Sandbox, connector: Connector, *, incremental: bool
) -> None:
    outcome = connector.read(USERS, MEDIA, incremental=incremental)
    assert outcome.statuses == {USERS: "COMPLETE", MEDIA: "COMPLETE"}
    assert unlike_the_world(calm, outcome, USERS, MEDIA) == []
    # Of each of two names: 50 media with the profile, 10, and nothing, as this list never says that it ends.
    assert len(asked(calm, DISCOVERY)) == 6
    assert len([call for call in asked(calm, "media.limit") if "followers_count" in call]) == 2


@pytest.mark.slow
def test_a_stream_alone_asks_for_no_more_than_it_needs(calm: Sandbox, connector: Connector) -> None:
    connector.read(USERS, without=["biography", "website"])
    (call, other) = asked(calm, DISCOVERY)
    assert "media.limit" not in call + other
    assert "biography" not in call + other
    connector.read(MEDIA, without=["view_count", "children"])
    assert not [call for call in asked(calm, "media.limit") if "view_count" in call or "followers_count" in call]


@pytest.mark.slow
def test_names_are_taken_with_and_without_at_once(calm: Sandbox, connector: Connector) -> None:
    outcome = connector.read(USERS, discover_usernames=["@BlueBottle", "bluebottle", "@tea.time_24"])
    assert unlike_the_world(calm, outcome, USERS) == []
    assert len(asked(calm, DISCOVERY)) == 2


@pytest.mark.slow
def test_an_incremental_sync_costs_a_call_for_each_name(calm: Sandbox, connector: Connector) -> None:
    calm.reset(upcoming=6)
    calm.set_usage(mode="missing")
    first = connector.read(USERS, MEDIA, incremental=True)
    newest = {rival.values["username"]: rival.media[0] for rival in calm.world.rivals}
    states = first.states[MEDIA]["stream"]["stream_state"]["states"]
    assert [each["partition"].keys() for each in states] == [{"username": 0}.keys()] * 2
    assert first.cursors(USERS).keys() == newest.keys()
    before = calm.graph_calls
    calm.set_now(calm.world.anchor.replace(hour=23, minute=59))
    second = connector.read(USERS, MEDIA, incremental=True, state=first, media_lookback_days=7)
    assert second.exit_code == 0
    assert calm.graph_calls - before == 3, "the list of accounts and a call for each name"
    cursors = first.cursors(MEDIA)
    for name in OTHERS["discover_usernames"]:
        rival = calm.world.rival(name)
        assert rival
        came = {record["id"] for record in second.records[MEDIA] if record["username"] == name}
        there = {post.id for post in calm.world.media(rival)}
        assert came <= there
        assert {
            post.id for post in calm.world.media(rival) if post.values["timestamp"][:19] >= cursors[name][:19]
        } <= came
        assert len(came) < len(there), "the older ones are not read again"


@pytest.mark.slow
def test_a_name_that_nobody_goes_by_costs_only_itself(calm: Sandbox, connector: Connector) -> None:
    outcome = connector.read(
        USERS, MEDIA, incremental=True, discover_usernames=["nobody", *OTHERS["discover_usernames"]]
    )
    assert outcome.exit_code == 0
    assert unlike_the_world(calm, outcome, USERS, MEDIA) == []
    told = [line for line in outcome.log("WARN") if line.startswith("user nobody: nothing for")]
    assert len(told) == 2
    assert "private" in told[0]
    assert len(asked(calm, r"username\(nobody\)")) == 1, "it is asked for once, for both streams"


@pytest.mark.slow
def test_a_field_that_meta_does_not_know_costs_only_itself(calm: Sandbox, connector: Connector) -> None:
    names = [f"rival.{n}" for n in range(4, 34)]
    calm.reset(rivals=34, rival_media=2)
    calm.set_usage(mode="missing")
    calm.add_fault(refuse_field="view_count")
    outcome = connector.read(MEDIA, discover_usernames=names)
    assert outcome.exit_code == 0
    assert len(outcome.records[MEDIA]) == 2 * len(names)
    assert {record.get("view_count") for record in outcome.records[MEDIA]} == {None}
    assert any("view_count is left out" in line for line in outcome.log("WARN"))
    refused = [request for request in asked(calm, DISCOVERY) if "view_count" in request]
    assert len(refused) <= 10, "three that say so are believed, and no more than a few go at once before"


@pytest.mark.slow
@pytest.mark.parametrize("fault", [
    {"path": DISCOVERY, "times": 2, "error": SERVICE},
    {"path": DISCOVERY, "times": 2, "kind": "shape", "body": {"id": FIRST}},
    {"path": DISCOVERY, "times": 2, "kind": "edit", "remove": "business_discovery.id"},
    {"path": DISCOVERY, "times": 2, "kind": "edit", "set": {"business_discovery.media.data": "many"}},
    {"path": DISCOVERY, "times": 1, "kind": "edit", "remove": "business_discovery.media.data.*.timestamp"},
    {"path": DISCOVERY, "times": 2, "kind": "drop"},
    {"path": DISCOVERY, "times": 2, "kind": "null_item"},
    {"path": r"\?batch", "times": 1, "kind": "html"},
    {"path": DISCOVERY, "max_limit": 20},
    {"path": DISCOVERY, "max_limit": 20, "message": "error_user_msg"},
    {"path": DISCOVERY, "max_cost": 30},
], ids=lambda fault: str(fault.get("kind") or "-".join(fault)))  # fmt: skip
def test_what_heals_costs_nothing(calm: Sandbox, connector: Connector, fault: dict[str, Any]) -> None:
    calm.add_fault(**fault)
    outcome = connector.read(USERS, MEDIA, incremental=True)
    assert outcome.exit_code == 0, outcome.errors
    assert unlike_the_world(calm, outcome, USERS, MEDIA) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", [
    {"path": rf"{DISCOVERY}.username\(bluebottle\).*after", "error": SERVICE},
    {"path": rf"{DISCOVERY}.username\(bluebottle\)", "error": SERVICE},
    {"path": rf"{DISCOVERY}.username\(bluebottle\)", "error": DENIED},
    {"path": rf"{DISCOVERY}.username\(bluebottle\)", "kind": "shape", "body": {"id": FIRST}},
    {"path": rf"{DISCOVERY}.username\(bluebottle\).*after", "kind": "edit",
     "set": {"business_discovery.media.paging": {"cursors": {"after": "QVFIagain"}}}},
], ids=["page", "service", "denied", "shape", "loop"])  # fmt: skip
def test_what_is_missing_is_named_and_read_by_the_next_sync(calm: Sandbox, fault: dict[str, Any]) -> None:
    trial = Trial(calm, (USERS, MEDIA))
    calm.add_fault(**fault)
    calm.set_usage(mode="missing")
    outcome = Connector(calm).read(USERS, MEDIA, incremental=True)
    assert outcome.statuses[MEDIA] == "INCOMPLETE"
    others = [record for record in outcome.records[MEDIA] if record["username"] == "tea.time_24"]
    assert len(others) == 60, "the other name has all"
    assert all("bluebottle" in str(error["message"]) for error in outcome.errors if "sync" not in str(error["message"]))
    assert any("user bluebottle" in str(error["message"]).lower() for error in outcome.errors)
    now = calm.world.now()
    calm.reset()
    calm.set_now(now)
    calm.set_usage(mode="missing")
    after = Connector(calm).read(USERS, MEDIA, incremental=True, state=outcome)
    assert after.exit_code == 0
    held = keyed(MEDIA, outcome.records[MEDIA]) | keyed(MEDIA, after.records[MEDIA])
    assert held == trial.world()[MEDIA]


@pytest.mark.slow
def test_the_account_with_the_most_room_asks(box: Sandbox, connector: Connector) -> None:
    box.reset(rivals=9, rival_media=3)
    box.set_usage(
        entries={FIRST: [{"type": "instagram", "call_count": 70}], SECOND: [{"type": "instagram", "call_count": 40}]}
    )
    outcome = connector.read(USERS, discover_usernames=[f"rival.{n}" for n in range(4, 9)], num_workers=1)
    assert outcome.exit_code == 0
    calls = [call.strip("/").split("/")[-1].split("?")[0] for call in asked(box, DISCOVERY)]
    assert calls[0] == FIRST, "nothing is known before somebody is asked"
    assert Counter(record["business_account_id"] for record in outcome.records[USERS]).keys() == set(calls)
    if len(calls) == 5:
        assert calls[-1] == THIRD or len(set(calls)) < 3


@pytest.mark.slow
def test_an_account_that_may_not_ask_leaves_it_to_others(calm: Sandbox, connector: Connector) -> None:
    calm.add_fault(forbid_account=FIRST)
    outcome = connector.read(USERS, MEDIA)
    assert outcome.exit_code == 0
    assert {record["business_account_id"] for record in outcome.records[USERS]} == {SECOND}
    assert len(outcome.records[MEDIA]) == 120


@pytest.mark.slow
def test_a_permission_that_nobody_has_is_named_and_costs_few_calls(calm: Sandbox, connector: Connector) -> None:
    calm.reset(rivals=40, rival_media=2)
    calm.set_usage(mode="missing")
    token = calm.mint(declined=["instagram_manage_insights"])
    names = [f"rival.{n}" for n in range(4, 40)]
    outcome = connector.read(USERS, MEDIA, discover_usernames=names, access_token=token)
    assert outcome.statuses == {USERS: "INCOMPLETE", MEDIA: "INCOMPLETE"}
    assert "instagram_manage_insights" in outcome.errors[0]["message"]
    assert outcome.errors[0]["failure_type"] == "config_error"
    assert len(asked(calm, DISCOVERY)) <= 40


@pytest.mark.slow
def test_many_names_travel_in_batches(calm: Sandbox, connector: Connector) -> None:
    calm.reset(rivals=60, rival_media=2)
    calm.latency = 0.02
    calm.set_usage(mode="missing")
    names = [f"rival.{n}" for n in range(4, 60)]
    with mock.patch("source_instagram.coalescing.TEMPO", 1):  # as with people, whatever else is hurried
        outcome = connector.read(USERS, MEDIA, discover_usernames=names)
    assert len(outcome.records[USERS]) == 56
    assert len(outcome.records[MEDIA]) == 112
    calls = asked(calm, DISCOVERY)
    assert len(calls) == 2 * 56, "a page, and one that is empty"
    assert calm.http_requests < len(calls) / 2


@pytest.mark.slow
def test_media_that_are_counted_and_not_shown_are_told(calm: Sandbox, connector: Connector) -> None:
    calm.add_fault(kind="edit", path=r"username\(bluebottle\)", remove="business_discovery.media")
    outcome = connector.read(MEDIA)
    assert outcome.exit_code == 0
    assert "user bluebottle: Meta counts 60 media and shows none in discovered_media." in outcome.log("WARN")


@pytest.mark.slow
def test_states_that_make_no_sense_are_left_out(calm: Sandbox, connector: Connector) -> None:
    partition = {"username": "bluebottle"}
    stream_state = {"states": [{"partition": partition, "cursor": {"timestamp": "yesterday"}}, {"cursor": {}}]}
    state = [{"type": "STREAM", "stream": {"stream_descriptor": {"name": MEDIA}, "stream_state": stream_state}}]
    outcome = connector.read(MEDIA, incremental=True, state=state)
    assert unlike_the_world(calm, outcome, MEDIA) == []
    assert len([line for line in outcome.log("WARN") if "no username or no time" in line]) == 2


# -- Hashtags ----------------------------------------------------------------------------------------------------------


def test_hashtags_are_read_by_value(calm: Sandbox, connector: Connector) -> None:
    outcome = connector.read(TAGS, TAG_MEDIA)
    assert outcome.statuses == {TAGS: "COMPLETE", TAG_MEDIA: "COMPLETE"}
    assert unlike_the_world(calm, outcome, TAGS, TAG_MEDIA) == []
    # The accounts; what was searched lately; each hashtag, two pages of top media and one of recent ones.
    assert calm.graph_calls == 1 + 1 + 2 * (1 + 2 + 1)


@pytest.mark.slow
def test_what_was_searched_lately_is_not_searched_again(calm: Sandbox, connector: Connector) -> None:
    first = connector.read(TAGS, TAG_MEDIA, incremental=True)
    searches = len(asked(calm, SEARCH))
    assert searches == 2
    second = connector.read(TAGS, TAG_MEDIA, incremental=True, state=first, hashtags=["#COFFEE", "日本", "coffee"])
    assert len(asked(calm, SEARCH)) == searches
    assert unlike_the_world(calm, second, TAGS, TAG_MEDIA) == []
    assert first.cursors(TAG_MEDIA).keys() == {
        f"{edge} {name}" for edge in ("top_media", "recent_media") for name in OTHERS["hashtags"]
    }


@pytest.mark.slow
def test_hashtags_are_dealt_out_to_accounts_with_room(calm: Sandbox, connector: Connector) -> None:
    calm.reset(searched=29)
    calm.set_usage(mode="missing")
    outcome = connector.read(TAGS, TAG_MEDIA, hashtags=["a", "b", "c"])
    assert outcome.exit_code == 0
    assert {record["name"]: record["business_account_id"] for record in outcome.records[TAGS]} == {
        "a": FIRST, "b": SECOND, "c": THIRD,
    }  # fmt: skip
    assert {record["hashtag"] for record in outcome.records[TAG_MEDIA]} == {"a", "b", "c"}
    again = connector.read(TAGS, hashtags=["c", "b", "a"])
    assert keyed(TAGS, again.records[TAGS]) == keyed(TAGS, outcome.records[TAGS])


@pytest.mark.slow
def test_a_list_beyond_the_limit_is_refused_before_anything_is_spent(calm: Sandbox, connector: Connector) -> None:
    calm.reset(searched=29)
    calm.set_usage(mode="missing")
    outcome = connector.read(TAGS, TAG_MEDIA, hashtags=["a", "b", "c", "d", "elsewhere1"])
    assert outcome.statuses == {TAGS: "INCOMPLETE", TAG_MEDIA: "INCOMPLETE"}
    message = outcome.errors[0]["message"]
    assert "names 4 hashtags" in message
    assert "room for 3" in message
    assert "Remove 1" in message
    assert {error["failure_type"] for error in outcome.errors} == {"config_error"}
    assert asked(calm, f"{SEARCH}|_media") == []


@pytest.mark.slow
def test_a_hashtag_that_does_not_exist_costs_only_itself(calm: Sandbox, connector: Connector) -> None:
    calm.add_fault(path=rf"{SEARCH}.*q=empty", kind="shape", body={"data": []})
    outcome = connector.read(TAGS, TAG_MEDIA, hashtags=["nosuchthing", "empty", *OTHERS["hashtags"]])
    assert outcome.exit_code == 0
    assert unlike_the_world(calm, outcome, TAGS, TAG_MEDIA) == []
    told = "\n".join(outcome.log("WARN"))
    assert "hashtag nosuchthing: nothing for hashtags." in told
    assert "hashtag empty: nothing for hashtags." in told


@pytest.mark.slow
def test_the_missing_feature_is_told_after_one_call(calm: Sandbox, connector: Connector) -> None:
    calm.reset(no_public_content=True)
    outcome = connector.read(TAGS, TAG_MEDIA)
    assert outcome.statuses == {TAGS: "INCOMPLETE", TAG_MEDIA: "INCOMPLETE"}
    assert "Apply for it" in outcome.errors[0]["message"]
    assert outcome.errors[0]["failure_type"] == "config_error"
    assert calm.graph_calls == 2


@pytest.mark.slow
@pytest.mark.parametrize("refusal", [
    {"code": 18, "message": "(#18) This account has queried the maximum of 30 unique hashtags within 7 days"},
    {"code": 100, "message": "This account has queried the maximum number of unique hashtags"},
    SERVICE,
])  # fmt: skip
def test_a_hashtag_that_could_not_be_looked_for_is_missing(
    calm: Sandbox, connector: Connector, refusal: dict[str, Any]
) -> None:
    calm.add_fault(path=rf"{SEARCH}.*q=coffee", error=refusal)
    outcome = connector.read(TAGS, TAG_MEDIA)
    assert outcome.statuses == {TAGS: "INCOMPLETE", TAG_MEDIA: "INCOMPLETE"}
    assert any("Hashtag coffee" in str(error["message"]) for error in outcome.errors)
    told = [error for error in outcome.errors if "Hashtag coffee" in str(error["message"])]
    assert {error["failure_type"] for error in told if error["message"].startswith("Hashtag")} == {"transient_error"}
    assert {record["hashtag"] for record in outcome.records[TAG_MEDIA]} == {"日本"}
    assert {record["name"] for record in outcome.records[TAGS]} == {"日本"}


@pytest.mark.slow
def test_an_account_that_may_not_search_leaves_it_to_others(calm: Sandbox, connector: Connector) -> None:
    calm.add_fault(forbid_account=FIRST)
    outcome = connector.read(TAGS, TAG_MEDIA)
    assert outcome.exit_code == 0
    assert {record["business_account_id"] for record in outcome.records[TAGS]} == {SECOND}
    calm.add_fault(forbid_account=SECOND)
    calm.add_fault(forbid_account=THIRD)
    outcome = connector.read(TAGS, TAG_MEDIA)
    assert outcome.statuses == {TAGS: "INCOMPLETE", TAG_MEDIA: "INCOMPLETE"}
    assert "instagram_basic" in outcome.errors[0]["message"]


@pytest.mark.slow
def test_a_hashtag_that_is_withheld_meanwhile_costs_only_itself(calm: Sandbox, connector: Connector) -> None:
    tag = calm.world.hashtag("coffee")
    assert tag
    calm.add_fault(path=f"{tag.id}/", error={"code": 24, "error_subcode": 2207024, "message": "It does not exist"})
    outcome = connector.read(TAG_MEDIA)
    assert outcome.exit_code == 0
    assert {record["hashtag"] for record in outcome.records[TAG_MEDIA]} == {"日本"}
    assert any(line.startswith("hashtag coffee: nothing for hashtag_media.") for line in outcome.log("WARN"))


@pytest.mark.slow
def test_lists_of_hashtags_end_where_no_cursor_is(calm: Sandbox, connector: Connector) -> None:
    calm.add_fault(kind="edit", path="top_media", remove="paging.next")
    outcome = connector.read(TAG_MEDIA)
    assert unlike_the_world(calm, outcome, TAG_MEDIA) == []


# -- Configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("key", OTHERS)
def test_with_instagram_login_check_says_what_is_needed(connector: Connector, key: str) -> None:
    status, message = connector.check(login_type="instagram", **{key: OTHERS[key]})
    assert status == "FAILED"
    assert f"`{key}` needs Facebook Login" in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("discover_usernames", ["a b"], "`discover_usernames.0` must be written as the username"),
        (
            "discover_usernames",
            [f"a{n}" for n in range(1001)],
            "`discover_usernames` must name at most 1000, but names 1001.",
        ),
        ("hashtags", ["two words"], "`hashtags.0` must be written as one word"),
        ("hashtags", ["a.b"], "`hashtags.0` must be written as one word"),
        ("hashtags", "coffee", "`hashtags` must be of type array"),
    ],
)
def test_lists_have_their_rules(connector: Connector, key: str, value: Any, words: str) -> None:
    status, message = connector.check(**{key: value})
    assert status == "FAILED"
    assert words in message


@pytest.mark.slow
def test_lists_that_are_right_are_taken(connector: Connector) -> None:
    names = ["@a", "a.b_1", "0815"]
    assert connector.check(discover_usernames=names, hashtags=["#Café", "日本", "a_1"])[0] == "SUCCEEDED"


def test_an_old_catalog_is_told_which_key_is_missing(connector: Connector) -> None:
    catalog = connector.catalog(["users", USERS, TAG_MEDIA])
    outcome = connector.read(catalog=catalog)
    assert outcome.exit_code == 1
    assert len(outcome.records["users"]) == 3
    message = str(outcome.errors[-1]["message"]) + str(outcome.errors[0]["message"])
    assert "there once `discover_usernames` is configured: discovered_users" in message
    assert "there once `hashtags` is configured: hashtag_media" in message


# -- Parts -------------------------------------------------------------------------------------------------------------


def asked_about(name: str, refused: Verdict | None) -> GraphCall:
    return GraphCall("a", who=name, verdict=refused, answer=None if refused else {})


def test_who_was_refused_several_things_is_left_out_until_given() -> None:
    session = SyncSession({"access_token": "x"})
    session.accounts = [{"business_account_id": name} for name in "abcd"]
    askers = Askers(session)
    assert askers.best() == "a"
    assert askers.best(["a"]) == "b"
    for thing in ("x", "x", "y"):
        assert askers.note("a", asked_about(thing, verdict("fail_account")))
    assert askers.best() == "a", "one thing twice, and another"
    for thing in range(8):
        assert askers.best() == "a"
        assert askers.note("a", asked_about(str(thing), verdict("not_visible")))
    assert askers.best() == "b"
    assert not askers.note("a", asked_about("z", verdict("no_such_name")))
    assert askers.best() == "a"
    other = Askers(session)
    for account in "abc":
        for thing in "0123456789":
            other.note(account, asked_about(thing, verdict("fail_account", thing)))
    assert other.best() is None, "nobody was ever given anything"
    assert other.why() == verdict("fail_account", "9")


def test_a_fault_is_tried_elsewhere_while_the_account_may_be_its_cause() -> None:
    session = SyncSession({"access_token": "x"})
    askers, fault = Askers(session), verdict("retry")
    assert askers.note("a", asked_about("x", fault))
    askers.note("a", asked_about("y", None))
    assert not askers.note("a", asked_about("x", fault)), "it gives other things"
    assert not askers.note("b", asked_about("x", verdict("rate_limited"))), "who waits need not be asked twice"


@pytest.mark.parametrize(
    ("said", "alone"),
    [([None], 1), ([verdict("retry")], 1), ([verdict("fail_account")] * 6 + [None], 7)],
    ids=["given", "a fault", "refused"],
)
def test_things_are_asked_for_alone_until_one_is_given(said: list[Verdict | None], alone: int) -> None:
    askers, together = Askers(SyncSession({"access_token": "x"})), threading.Barrier(4)
    under_way, most = Counter[str](), list[int]()

    def ask(_: int) -> None:
        with askers.one_by_one(lambda: False):
            under_way["now"] += 1
            most.append(under_way["now"])
            number = len(most) - 1
            if number < alone:
                time.sleep(0.02)
            else:
                together.wait(timeout=30)
            askers.note("a", asked_about(str(number), said[number] if number < len(said) else None))
            under_way["now"] -= 1

    with ThreadPoolExecutor(16) as pool:
        for found in [pool.submit(ask, number) for number in range(alone + 4)]:
            found.result(timeout=30)
    assert most[:alone] == [1] * alone
    assert max(most) > 1


def test_who_asks_for_what_is_open_waits_for_others_who_do() -> None:
    askers, is_open = Askers(SyncSession({"access_token": "x"})), threading.Event()
    askers.note("a", asked_about("x", None))
    is_open.set()
    done = list[str]()

    def ask() -> None:
        with askers.one_by_one(is_open.is_set):
            done.append("second")

    with ThreadPoolExecutor(1) as pool:
        with askers.one_by_one(is_open.is_set):
            second = pool.submit(ask)
            time.sleep(0.1)
            done.append("first")
        second.result(timeout=30)
    assert done == ["first", "second"]


def test_the_roomiest_account_has_used_least_and_need_not_wait() -> None:
    limiter = RateLimiter()
    header = {"X-Business-Use-Case-Usage": '{"%s": [{"type": "instagram", "call_count": %d}]}'}
    assert limiter.roomiest("abc") == "a"
    for account, percent in (("a", 50), ("b", 20)):
        limiter.observe(account, {name: text % (account, percent) for name, text in header.items()})
    assert limiter.roomiest("abc") == "c", "of which nothing is known"
    assert limiter.roomiest("ab") == "b"
    limiter.refuse("b", 80002, {}, ValueError(), (0, 0))
    assert limiter.roomiest("ab") == "a"


def test_hashtags_are_free_where_they_were_searched() -> None:
    full = {f"h{n}": str(n) for n in range(30)}
    assert dealt(["tea", "cup"], {"a": full, "b": {"tea": "1"}}) == {"tea": "b", "cup": "b"}
    assert dealt(["h3", "new"], {"a": full}) == {"h3": "a"}
    assert dealt(["x", "y"], {"a": {f"h{n}": "1" for n in range(29)}, "b": {}}) == {"x": "a", "y": "b"}


def test_answers_that_nobody_comes_for_are_not_kept_for_good() -> None:
    session = SyncSession({"access_token": "x"})
    discovery = Discovery(session)
    discovery._needed = {"users": "id", "media": "id,media.limit(5){id}"}
    discovery._ask = lambda question: question.through("")  # type: ignore[assignment,method-assign,return-value]
    first = [discovery.first("users", f"n{n}", "id") for n in range(250)]
    assert len(discovery._first) == 200
    assert discovery.first("media", "n249", "id") is first[249]
    assert discovery.first("media", "n0", "id") is not first[0]
    assert first[0].fields == "id,media.limit(5){id}"
    assert isinstance(first[0], Question)
    assert first[0].stream == "media"
