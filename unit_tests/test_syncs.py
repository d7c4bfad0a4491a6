"""Whole syncs of the sandbox's world, with both logins: everything it has arrives, as it is, once, and as declared."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from typing import Any

import pytest
from harness import INCREMENTAL, SCHEMAS, SNAPSHOTS, STREAMS, Connector, Outcome, asked, clean
from jsonschema import Draft7Validator, FormatChecker
from oracle import PRIMARY_KEYS, Oracle, Record, keyed, plain, rfc3339

from sandbox import Sandbox

DAYS = 45
START = datetime.combine(datetime.now(timezone.utc).date(), time(), timezone.utc) - timedelta(days=DAYS)
DAILY = ("user_insights", "user_insights_breakdowns", "user_total_insights")
OF_MEDIA = ("comments", "media", "media_insights")


def iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def names_of(fields: str) -> set[str]:
    """The fields of the first level."""
    while "{" in fields:
        fields = re.sub(r"(\.\w+\([^()]*\))?\{[^{}]*\}", "", fields)
    return set(filter(None, fields.split(",")))


# -- Everything there is -----------------------------------------------------------------------------------------------


@dataclass(repr=False)
class Synced:
    """A full refresh of all streams, and what it should have given."""

    outcome: Outcome
    expected: dict[str, list[Record]]
    requests: list[dict[str, Any]]
    childless: set[str]
    token: str


@pytest.fixture(scope="module", params=["facebook", "instagram"])
def synced(server: Sandbox, request: pytest.FixtureRequest) -> Synced:
    clean(server)
    is_instagram = request.param == "instagram"
    outcome = Connector(server).read(login_type=request.param, start_date=iso(START))
    oracle = Oracle(server.world, START, instagram=is_instagram)
    expected = {stream: oracle.records(stream) for stream in STREAMS}
    posts = [post for account in server.world.accounts for post in server.world.media(account)]
    silent = {post.id for post in posts if not post.values["comments_count"]}
    token = server.instagram_token if is_instagram else server.token
    return Synced(outcome, expected, list(server.requests), silent, token)


def test_every_stream_ends_complete(synced: Synced) -> None:
    assert synced.outcome.statuses == dict.fromkeys(STREAMS, "COMPLETE")
    assert (synced.outcome.exit_code, synced.outcome.errors, synced.outcome.log("ERROR", "FATAL")) == (0, [], [])


@pytest.mark.parametrize("stream", STREAMS)
def test_everything_arrives_as_it_is(synced: Synced, stream: str) -> None:
    came, expected = (keyed(stream, records) for records in (synced.outcome.records[stream], synced.expected[stream]))
    assert expected, "the world has something for every stream"
    assert came.keys() == expected.keys()
    assert [difference(came[key], expected[key]) for key in expected if came[key] != expected[key]] == []


def difference(came: Record, expected: Record) -> dict[str, Any]:
    """The columns in which two records differ, with both values."""
    names = [name for name in {**came, **expected} if came.get(name) != expected.get(name)]
    return {name: (came.get(name), expected.get(name)) for name in names}


@pytest.mark.parametrize("stream", STREAMS)
def test_primary_keys_are_unique(synced: Synced, stream: str) -> None:
    keys = Counter(tuple(record[name] for name in PRIMARY_KEYS[stream]) for record in synced.outcome.records[stream])
    assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize("stream", STREAMS)
def test_records_are_as_declared(synced: Synced, stream: str) -> None:
    validator = Draft7Validator(SCHEMAS[stream], format_checker=FormatChecker())
    for record in synced.outcome.records[stream]:
        validator.validate(record)
        assert undeclared(record, SCHEMAS[stream]) == []


def undeclared(value: Any, schema: dict[str, Any], name: str = "") -> list[str]:
    """The fields that a schema does not declare, at any depth."""
    if isinstance(value, list):
        return [found for item in value for found in undeclared(item, schema["items"], name)]
    if not isinstance(value, dict) or isinstance(schema.get("additionalProperties"), dict):
        return []
    declared = schema["properties"]
    unknown = [f"{name}{field}" for field in value if field not in declared]
    return unknown + [
        found
        for field in value
        if field in declared
        for found in undeclared(value[field], declared[field], f"{field}.")
    ]


@pytest.mark.parametrize("stream", STREAMS)
def test_times_ids_and_addresses_have_their_forms(synced: Synced, stream: str) -> None:
    for record in synced.outcome.records[stream]:
        for part in (record, *(record.get("children") or [])):
            for name, value in part.items():
                if name == "timestamp" or name.endswith("_timestamp") or name == "date":
                    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", value), name
                if name.endswith("id") and value is not None:
                    assert isinstance(value, str), name
            assert "_nc_rid" not in (part.get("media_url") or "")
            assert "ccb=" not in (part.get("profile_picture_url") or "")


def test_no_request_is_for_a_child_or_for_a_media_without_comments(synced: Synced) -> None:
    paths = [path for path, _ in asked(synced.requests)]
    children = {child["id"] for media in synced.expected["media"] for child in media.get("children", [])}
    assert children
    assert [path for path in paths if path.partition("/")[0] in children] == []
    assert [path for path in paths if path.endswith("/comments") and path.partition("/")[0] in synced.childless] == []


def test_one_host_one_version_and_no_token_in_an_address(synced: Synced) -> None:
    assert len({request["host"] for request in synced.requests}) == 1
    # A token that was extended is tried before it is handed over.
    of_tokens = {"refresh_access_token", "me"}
    assert {request["path"].split("/")[1] for request in synced.requests} - of_tokens == {"v25.0"}
    for _, params in asked(synced.requests):
        assert "access_token" not in params


def test_the_accounts_are_found_once(synced: Synced) -> None:
    paths = [
        path for path, params in asked(synced.requests) if path in ("me", "me/accounts") and params["fields"] != "id"
    ]
    assert len(paths) == 1


def test_media_without_insights_are_named_with_the_reason(synced: Synced) -> None:
    log = synced.outcome.log("INFO", "WARN")
    skipped = {media["id"] for media in synced.expected["media"]} - {
        media["id"] for media in synced.expected["media_insights"]
    }
    silent = {story["id"] for story in synced.expected["stories"]} - {
        story["id"] for story in synced.expected["story_insights"]
    }
    assert skipped
    assert silent
    for media in skipped:
        assert [line for line in log if media in line and "before the account became a professional account" in line]
    for story in silent:
        assert [line for line in log if story in line and "Too few people have viewed it" in line]


def test_log_lines_hold_no_placeholder(synced: Synced) -> None:
    assert [line for line in synced.outcome.log() if re.search(r"\{\w+\}", line) and "Meta says" in line] == []


# -- Long lists and long times -----------------------------------------------------------------------------------------


def test_long_lists_arrive_completely(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=1, media=230, albums=3, children=10, tags=205, comments=0)
    outcome, oracle = connector.read("media", "tags", "media_insights"), Oracle(box.world)
    for stream in ("media", "tags", "media_insights"):
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream))
        assert len(outcome.records[stream]) == len(oracle.records(stream))
    lists = Counter(path.partition("/")[2] for path, _ in asked(box.requests) if path.endswith(("/media", "/tags")))
    assert lists["media"] <= 6, "three pages for each of media and media_insights"
    assert lists["tags"] <= 4


def test_two_years_of_days_arrive_without_a_gap(box: Sandbox, connector: Connector) -> None:
    account = box.world.accounts[0]
    streams = ("user_insights", "user_total_insights")
    outcome, oracle = connector.read(*streams, accounts=[account.id]), Oracle(box.world)
    oracle.chosen = [account]
    for stream in streams:
        assert len(outcome.records[stream]) >= 729
        assert len(outcome.records[stream]) == len(oracle.records(stream))
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream))
    windows = [params for path, params in asked(box.requests) if path.endswith("/insights")]
    for params in windows:
        since, until = int(params["since"]), int(params["until"])
        assert since % 86_400 == until % 86_400 == 0, "windows begin and end at 00:00 UTC"
        assert 0 < until - since <= 30 * 86_400
    assert box.http_requests < 50


def test_an_account_without_data_gives_no_rows(box: Sandbox, connector: Connector) -> None:
    third = box.world.accounts[2]
    start = datetime.combine(box.world.now().date(), time(), timezone.utc) - timedelta(days=430)
    outcome, oracle = (
        connector.read("user_insights", accounts=[third.id], start_date=iso(start)),
        Oracle(box.world, start),
    )
    oracle.chosen = [third]
    assert keyed("user_insights", outcome.records["user_insights"]) == keyed(
        "user_insights", oracle.records("user_insights")
    )
    assert len(outcome.records["user_insights"]) <= 401


@pytest.mark.parametrize("start", ["2026-03-08T13:45:10Z", "2025-11-02T00:00:00Z", "2026-01-01T23:59:59Z"])
def test_a_start_date_may_have_a_time(box: Sandbox, connector: Connector, start: str) -> None:
    outcome = connector.read("user_insights", accounts=[box.world.accounts[0].id], start_date=start)
    dates = sorted(record["date"] for record in outcome.records["user_insights"])
    assert dates[0][:10] in (start[:10], rfc3339(datetime.fromisoformat(start[:10]) + timedelta(days=1))[:10])
    assert len(dates) == len({date[:10] for date in dates})


# -- Accounts ----------------------------------------------------------------------------------------------------------


def test_accounts_are_chosen_by_id_and_by_name(box: Sandbox, connector: Connector) -> None:
    first, second, third, _ = box.world.accounts
    chosen = [first.id, f"@{third.values['username']}"]
    outcome = connector.read("accounts", "users", accounts=chosen)
    for stream in ("accounts", "users"):
        assert {record["business_account_id"] for record in outcome.records[stream]} == {first.id, third.id}
    assert not [path for path, _ in asked(box.requests) if path.startswith(second.id)]


def test_an_account_named_by_digits_is_found(box: Sandbox, connector: Connector) -> None:
    second = box.world.accounts[1]
    outcome = connector.read("users", accounts=[second.values["username"]])
    assert [record["id"] for record in outcome.records["users"]] == [second.id]


def test_an_account_that_no_page_shows_is_read_by_its_id(box: Sandbox, connector: Connector) -> None:
    hidden = box.world.accounts[3]
    assert hidden.portfolio
    outcome, oracle = connector.read("accounts", "users", "media", accounts=[hidden.id]), Oracle(box.world)
    oracle.chosen = [hidden]
    for stream in ("users", "media"):
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream))
    assert [plain(record) for record in outcome.records["accounts"]] == [
        {"business_account_id": hidden.id, "username": hidden.values["username"]}
    ]
    for stream in ("accounts", "users", "media"):  # the CDK writes a null as an absent key
        assert all(record.get("page_id") is None for record in outcome.records[stream])


def test_an_account_that_is_not_found_costs_only_itself(box: Sandbox, connector: Connector) -> None:
    first = box.world.accounts[0]
    outcome = connector.read("users", "media", accounts=["nobody.here", first.id])
    assert {record["business_account_id"] for record in outcome.records["media"]} == {first.id}
    assert outcome.exit_code != 0
    assert outcome.statuses == {"users": "INCOMPLETE", "media": "INCOMPLETE"}
    assert any("nobody.here" in error["message"] for error in outcome.errors)


# -- Accounts that fail ------------------------------------------------------------------------------------------------


def test_an_account_that_is_forbidden_costs_only_itself(box: Sandbox, connector: Connector) -> None:
    first, *others = box.world.accounts[:3]
    box.add_fault(forbid_account=first.id)
    outcome, oracle = connector.read(incremental=True, start_date=iso(START)), Oracle(box.world, START)
    oracle.chosen = others
    for stream in set(STREAMS) - {"accounts", *OF_MEDIA}:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream)), stream
    assert {record["business_account_id"] for record in outcome.records["media"]} == {each.id for each in others}
    assert outcome.exit_code != 0
    assert outcome.statuses == {stream: "COMPLETE" if stream == "accounts" else "INCOMPLETE" for stream in STREAMS}
    for stream in INCREMENTAL:
        assert outcome.cursors(stream).keys() >= {each.id for each in others}
    told = [error["message"] for error in outcome.errors if error.get("stream_descriptor")]
    for message in told:
        assert first.id in message
        assert first.values["username"] in message
        assert "permission" in message
        assert "Traceback" not in message
    assert {error["stream_descriptor"]["name"] for error in outcome.errors if error.get("stream_descriptor")} == set(
        STREAMS
    ) - {"accounts"}


def test_a_permission_that_an_account_lacks_is_named(box: Sandbox, connector: Connector) -> None:
    first = box.world.accounts[0]
    box.add_fault(forbid_account=first.id, permission="instagram_manage_insights")
    outcome = connector.read(
        "media", "media_insights", "user_insights", "story_insights", "tags", start_date=iso(START)
    )
    assert outcome.statuses["media"] == outcome.statuses["tags"] == "COMPLETE"
    for stream in ("media_insights", "user_insights", "story_insights"):
        assert outcome.statuses[stream] == "INCOMPLETE"
        assert {record["business_account_id"] for record in outcome.records[stream]} >= {
            each.id for each in box.world.accounts[1:3]
        }
    assert all(
        "instagram_manage_insights" in error["message"] for error in outcome.errors if error.get("stream_descriptor")
    )


def test_an_account_that_failed_keeps_its_cursors(box: Sandbox, connector: Connector) -> None:
    first, second, _ = box.world.accounts[:3]
    before = iso(box.world.now() - timedelta(days=20))
    state = [state_of(stream, {first.id: before, second.id: before}) for stream in INCREMENTAL]
    box.add_fault(forbid_account=first.id)
    outcome = connector.read(*INCREMENTAL, state=state, start_date=iso(START))
    for stream in INCREMENTAL:
        cursors = outcome.cursors(stream)
        assert cursors[first.id] == before.replace("Z", "+00:00"), stream
        assert cursors[second.id] >= before.replace("Z", "+00:00"), stream
    for stream in DAILY:
        assert outcome.cursors(stream)[second.id] > iso(box.world.now() - timedelta(days=2))


def test_unreadable_comments_are_warned_of(box: Sandbox, connector: Connector) -> None:
    scopes = ["instagram_basic", "instagram_manage_insights", "pages_show_list", "pages_read_engagement"]
    token = box.tokens.mint(scopes=scopes).text
    outcome = connector.read("comments", "media", access_token=token)
    assert outcome.records["comments"] == []
    assert outcome.statuses == {"comments": "INCOMPLETE", "media": "COMPLETE"}
    warnings = [line for line in outcome.log("WARN") if "instagram_manage_comments" in line]
    for account in box.world.accounts[:3]:
        assert len([line for line in warnings if account.id in line]) == 1


# -- Incremental syncs -------------------------------------------------------------------------------------------------


def state_of(stream: str, cursors: dict[str, str]) -> dict[str, Any]:
    """A state as the connector writes it."""
    states = [
        {"partition": {"business_account_id": account}, "cursor": {INCREMENTAL[stream]: cursor}}
        for account, cursor in cursors.items()
    ]
    return state_message(stream, {"use_global_cursor": False, "states": states})


def state_message(stream: str, state: Any) -> dict[str, Any]:
    return {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": state}}


def test_what_was_published_since_arrives_with_the_next_sync(box: Sandbox, connector: Connector) -> None:
    box.reset(upcoming=8)
    streams = OF_MEDIA
    first = connector.read(*streams, incremental=True)
    box.set_now(box.world.now() + timedelta(hours=18))
    second, oracle = connector.read(*streams, state=first), Oracle(box.world)
    for stream in streams:
        both = keyed(stream, first.records[stream]) | keyed(stream, second.records[stream])
        assert both == keyed(stream, oracle.records(stream)), stream
        assert {*keyed(stream, second.records[stream])} - {*keyed(stream, first.records[stream])}, "there are new ones"
    assert len(second.records["media"]) < len(first.records["media"])


@pytest.mark.parametrize("stream", DAILY)
def test_a_sync_over_midnight_loses_no_more_than_the_day_that_leaves_the_two_years(
    box: Sandbox, connector: Connector, stream: str
) -> None:
    # The connector has planned its windows when Meta's day changes: the first is now older than two years, and the
    # first recent one older than 30 days.
    account, oracle = box.world.accounts[2], Oracle(box.world)
    oracle.chosen = [account]
    expected = keyed(stream, oracle.records(stream))
    box.set_now(box.world.now() + timedelta(days=1))
    later = Oracle(box.world)
    later.chosen = [account]
    still_there = keyed(stream, later.records(stream)).keys()  # breakdowns by follow_type are kept for a year
    expected = {key: record for key, record in expected.items() if key in still_there}
    outcome = connector.read(stream, accounts=[account.id])
    came = keyed(stream, outcome.records[stream])
    if outcome.exit_code == 0:
        assert expected.keys() - came.keys() == set()
        columns = {name for record in expected.values() for name in record} - {"follower_count", "online_followers"}
        for key, record in expected.items():
            assert {n: v for n, v in came[key].items() if n in columns} == {
                n: v for n, v in record.items() if n in columns
            }
    else:
        assert outcome.cursors(stream).get(account.id, "") < iso(box.world.now() - timedelta(days=360))


def test_state_is_kept_by_account_alone(box: Sandbox, connector: Connector) -> None:
    outcome = connector.read(*INCREMENTAL, incremental=True, start_date=iso(START))
    accounts = {account.id for account in box.world.accounts[:3]}
    for stream in INCREMENTAL:
        state = outcome.states[stream]["stream"]["stream_state"]
        assert {tuple(each["partition"]) for each in state["states"]} == {("business_account_id",)}
        assert outcome.cursors(stream).keys() == accounts
        newest = {
            account: max(
                (
                    record[INCREMENTAL[stream]]
                    for record in outcome.records[stream]
                    if record["business_account_id"] == account
                ),
                default="2010-10-06T00:00:00+00:00",  # it has no audience
            )
            for account in accounts
        }
        assert outcome.cursors(stream) == newest, stream


def test_a_first_incremental_sync_begins_with_the_start_date_or_the_oldest(box: Sandbox, connector: Connector) -> None:
    everything = Oracle(box.world).records("media")
    since = iso(START)
    outcome = connector.read("media", "media_insights", incremental=True, start_date=since)
    expected = {record["id"] for record in everything if record["timestamp"] >= since}
    assert {record["id"] for record in outcome.records["media"]} == expected
    assert {record["id"] for record in outcome.records["media_insights"]} == expected
    assert len(connector.read("media", incremental=True).records["media"]) == len(everything)


def test_a_second_sync_of_a_big_account_is_cheap(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=1, portfolio_accounts=0, media=5000, albums=0, days=500, comments=0)
    box.set_now(box.world.now())
    account = box.world.accounts[0]
    newest = box.world.media(account)[0].published
    recent = {post.id for post in box.world.media(account) if post.published >= newest - timedelta(days=1)}
    assert 8 <= len(recent) <= 12
    state = [state_of(stream, {account.id: rfc3339(newest)}) for stream in ("media", "media_insights")]
    outcome = connector.read("media", "media_insights", state=state, media_lookback_days=1, media_refresh_days=0)
    for stream in ("media", "media_insights"):
        assert {record["id"] for record in outcome.records[stream]} == recent
    expected = keyed("media_insights", Oracle(box.world).records("media_insights"))
    for key, record in keyed("media_insights", outcome.records["media_insights"]).items():
        assert record == expected[key]
    besides = [request for request in box.requests if not request["path"].endswith("/me/accounts")]
    assert len(besides) <= 5


def test_the_list_carries_since(box: Sandbox, connector: Connector) -> None:
    account = box.world.accounts[0]
    cursor = box.world.now() - timedelta(days=10)
    streams = ("media", "media_insights", "comments")
    state = [state_of(stream, {account.id: rfc3339(cursor)}) for stream in streams]
    connector.read(*streams, state=state, accounts=[account.id], media_lookback_days=7, media_refresh_days=0)
    lists = [params for path, params in asked(box.requests) if path == f"{account.id}/media"]
    assert len(lists) == 2, "one for comments, and one for the others"
    for params in lists:
        assert int(params["since"]) == int((cursor - timedelta(days=7)).timestamp())
        assert "until" not in params or int(params["until"]) >= int(box.world.now().timestamp())


@pytest.mark.parametrize("days", [0, 3, 30])
def test_days_in_the_look_back_are_read_again(box: Sandbox, connector: Connector, days: int) -> None:
    account, cursor = box.world.accounts[0], rfc3339(box.world.now() - timedelta(days=8))
    outcome = connector.read(
        *DAILY,
        state=[state_of(stream, {account.id: cursor}) for stream in DAILY],
        accounts=[account.id],
        insights_lookback_days=days,
        start_date=iso(START),
    )
    first = box.world.now() - timedelta(days=8 + days)
    for stream in DAILY:
        dates = {record["date"] for record in outcome.records[stream]}
        oracle = Oracle(box.world, START)
        wanted = {rfc3339(datetime.fromisoformat(each["date"])) for each in oracle.records(stream)}
        assert dates >= {date for date in wanted if date >= rfc3339(first)}, stream
        assert min(dates) >= rfc3339(first - timedelta(days=1)), "at most the day before, whose end a window touches"


STATES = {
    "legacy": lambda account, date: {account: {"date": date}},
    "legacy of several": lambda account, date: {account: {"date": date}, "17841499999999999": {"date": date}},
    "own": lambda account, date: state_of("user_insights", {account: date})["stream"]["stream_state"],
    "Airbyte's per partition": lambda account, date: {
        "states": [{"partition": {"business_account_id": account, "parent_slice": {}}, "cursor": {"date": date}}]
    },
    "Airbyte's with a page": lambda account, date: {
        "use_global_cursor": False,
        "states": [
            {
                "partition": {"business_account_id": account, "page_id": "100200300000001", "parent_slice": {}},
                "cursor": {"date": date},
            }
        ],
        "state": {"date": date},
        "lookback_window": 4,
        "parent_state": {},
    },
}


@pytest.mark.parametrize(
    ("shape", "form"), [*((shape, "Z") for shape in STATES), *(("own", form) for form in ("+00:00", "+0000", "-08:00"))]
)
def test_states_of_older_connections_are_understood(box: Sandbox, connector: Connector, shape: str, form: str) -> None:
    account, moment = box.world.accounts[0], box.world.now() - timedelta(days=12)
    local = moment - timedelta(hours=8) if form == "-08:00" else moment
    state = STATES[shape](account.id, f"{local:%Y-%m-%dT%H:%M:%S}{form}")
    outcome = connector.read(
        "user_insights", state=[state_message("user_insights", state)], accounts=[account.id], start_date=iso(START)
    )
    dates = {record["date"] for record in outcome.records["user_insights"]}
    assert outcome.statuses == {"user_insights": "COMPLETE"}
    assert 15 <= len(dates) <= 17, "twelve days and the look-back, not the forty-five since start_date"


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_what_is_alive_is_read_whole_by_each_incremental_sync(box: Sandbox, connector: Connector, login: str) -> None:
    oracle = Oracle(box.world, instagram=login == "instagram")
    full = connector.read(*SNAPSHOTS, login_type=login)
    calls = box.graph_calls
    syncs = [full, first := connector.read(*SNAPSHOTS, incremental=True, login_type=login)]
    syncs += [connector.read(*SNAPSHOTS, state=first, login_type=login)]
    assert box.graph_calls == 3 * calls, "the mode costs nothing"
    for stream in SNAPSHOTS:
        expected = keyed(stream, oracle.records(stream))
        assert [keyed(stream, sync.records[stream]) for sync in syncs] == [expected] * 3, stream
        assert syncs[2].cursors(stream) == first.cursors(stream)


@pytest.mark.parametrize("shape", ["legacy", "own", "Airbyte's with a page"])
def test_no_state_keeps_back_what_is_alive(box: Sandbox, connector: Connector, shape: str) -> None:
    account = box.world.accounts[0]
    later = rfc3339(box.world.now() + timedelta(days=2))
    states = {stream: json.dumps(STATES[shape](account.id, later)) for stream in SNAPSHOTS}
    state = [
        state_message(stream, json.loads(text.replace('"date"', f'"{INCREMENTAL[stream]}"')))
        for stream, text in states.items()
    ]
    outcome, oracle = connector.read(*SNAPSHOTS, state=state, accounts=[account.id]), Oracle(box.world)
    oracle.chosen = [account]
    assert not [line for line in outcome.log("WARN") if "state" in line]
    for stream in SNAPSHOTS:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream)), stream
        assert outcome.cursors(stream)[account.id] <= rfc3339(box.world.now() + timedelta(minutes=1)), stream


@pytest.mark.parametrize("stream", ["media", "media_insights", "comments"])
def test_legacy_states_of_media_are_understood(box: Sandbox, connector: Connector, stream: str) -> None:
    account, moment = box.world.accounts[0], box.world.now() - timedelta(days=40)
    state = [state_message(stream, {account.id: {INCREMENTAL[stream]: rfc3339(moment)}})]
    # Without the older ones whose turn it is on some days.
    outcome = connector.read(stream, state=state, accounts=[account.id], media_refresh_days=0)
    assert outcome.records[stream]
    assert min(record[INCREMENTAL[stream]] for record in outcome.records[stream]) >= rfc3339(
        moment - timedelta(days=30)
    )


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"states": None},
        {"states": "all"},
        {
            "states": [
                None,
                3,
                "x",
                {},
                {"partition": {}},
                {"partition": None, "cursor": {"date": "2026-01-01T00:00:00Z"}},
            ]
        },
        {"states": [{"partition": {"business_account_id": "17841400000000001"}, "cursor": {"date": "yesterday"}}]},
        {"states": [{"partition": {"business_account_id": "17841400000000001"}, "cursor": {"date": None}}]},
        {"states": [{"partition": {"business_account_id": "17841400000000001"}, "cursor": {}}]},
        {"17841400000000001": {"date": ""}},
        {"17841400000000001": "2026-01-01"},
        {"17841400000000001": {"date": 1767225600}},
        {"17841400000000001": {"date": {"nested": True}}},
        {"17841400000000001": {"date": "P1D"}},
        {"17841400000000001": {"date": "10:00"}},
        {"use_global_cursor": True, "state": {"date": "2026-11-01T00:00:00+00:00"}},
        {"date": "2026-11-01T00:00:00+00:00"},
        {"__ab_no_cursor_state_message": True},
        {"17841400000000001": {"date": "0001-01-01T00:00:00+00:00"}},
    ],
    ids=str,
)
def test_a_state_without_sense_loses_no_day(box: Sandbox, connector: Connector, state: Any) -> None:
    account = box.world.accounts[0]
    outcome = connector.read(
        "user_insights", state=[state_message("user_insights", state)], accounts=[account.id], start_date=iso(START)
    )
    if outcome.exit_code:
        assert len(outcome.errors) >= 1
        assert all("Traceback" not in error["message"] and len(error["message"]) < 400 for error in outcome.errors)
        assert any("state" in error["message"].lower() for error in outcome.errors)
    else:
        assert len(outcome.records["user_insights"]) >= DAYS


@pytest.mark.parametrize("stream", [*DAILY, *OF_MEDIA])
def test_a_state_from_the_future_does_no_harm(box: Sandbox, connector: Connector, stream: str) -> None:
    account = box.world.accounts[0]
    state = [state_of(stream, {account.id: "2099-01-01T00:00:00+00:00"})]
    outcome = connector.read(stream, state=state, accounts=[account.id], media_lookback_days=60, start_date=iso(START))
    assert outcome.statuses == {stream: "COMPLETE"}
    assert outcome.records[stream], "the look-back before today is read"
    assert outcome.cursors(stream)[account.id] <= rfc3339(box.world.now() + timedelta(hours=1))


@pytest.mark.parametrize("cut", [0.1, 0.35, 0.6, 0.85])
def test_a_sync_that_is_cut_off_loses_nothing(connector: Connector, cut: float) -> None:
    whole = connector.read(*INCREMENTAL, incremental=True, start_date=iso(START))
    lines = whole.stdout.splitlines(keepends=True)
    first = Outcome(137, "".join(lines[: int(len(lines) * cut)]), "")
    second = connector.read(*INCREMENTAL, state=first, start_date=iso(START))
    for stream in INCREMENTAL:
        both = keyed(stream, first.records[stream]) | keyed(stream, second.records[stream])
        assert both == keyed(stream, whole.records[stream]), stream


# -- What is not selected is not asked ---------------------------------------------------------------------------------

# Where a column's name is not that of the metric or field that it comes from.
SOURCES = {
    "reach_week": "reach/week",
    "reach_days_28": "reach/days_28",
    "follows": "follows_and_unfollows",
    "unfollows": "follows_and_unfollows",
    "page_name": "name",
    "business_account_id": "instagram_business_account",
    "username": "instagram_business_account",
}
FLAT = {"owner_id": "owner", "from_id": "from", "from_username": "from"}
# What a stream cannot do without.
NEEDED = {
    "accounts": {"id", "name", "instagram_business_account"},
    "users": {"id"},
    "media": {"id", "timestamp"},
    "stories": {"id", "timestamp"},
    "tags": {"id"},
    "media_insights": {"id", "media_product_type", "media_type", "timestamp", "views"},
    "story_insights": {"id", "media_product_type", "timestamp", "views"},
    "user_insights": {"reach"},
    "user_total_insights": {"views"},
    "comments": {"id", "timestamp", "comments_count", "comments", "replies", "parent_id"},
}
TABLES = ("media_insights", "story_insights", "user_insights", "user_total_insights")
LISTS = ("users", "media", "stories", "tags", "comments")


def sources_asked(requests: list[dict[str, Any]]) -> set[str]:
    """The names of all fields and metrics that were asked for, except in finding the accounts."""
    found: set[str] = set()
    for path, params in asked(requests):
        if path != "me/accounts":
            period = params.get("period", "")
            suffix = f"/{period}" if period in ("week", "days_28") else ""
            found |= {f"{metric}{suffix}" for metric in filter(None, params.get("metric", "").split(","))}
            found |= names_of(params.get("fields", ""))
    return found


def source_of(stream: str, column: str) -> str:
    for name in ("navigation", "profile_activity"):
        if stream in TABLES and column.startswith(name):
            return name
    if stream in LISTS:
        return FLAT.get(column, column)
    return SOURCES.get(column, column) if stream in ("user_insights", "user_total_insights") else column


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("stream", [*LISTS, *TABLES])
def test_a_column_that_is_not_selected_is_not_asked(box: Sandbox, connector: Connector, stream: str, half: int) -> None:
    account = box.world.accounts[0]
    keys = {*PRIMARY_KEYS[stream], INCREMENTAL.get(stream), "business_account_id", "page_id"}
    optional = [column for column in SCHEMAS[stream]["properties"] if column not in keys]
    dropped = set(optional[half::2])
    outcome, oracle = (
        connector.read(stream, without=dropped, accounts=[account.id], start_date=iso(START)),
        Oracle(box.world, START),
    )
    oracle.chosen = [account]
    kept = {source_of(stream, column) for column in SCHEMAS[stream]["properties"] if column not in dropped}
    unwanted = {source_of(stream, column) for column in dropped} - kept - NEEDED.get(stream, set())
    assert unwanted & sources_asked(box.requests) == set()
    expected = {
        key: {name: value for name, value in record.items() if name not in dropped}
        for key, record in keyed(stream, oracle.records(stream)).items()
    }
    came = {
        key: {name: value for name, value in record.items() if name not in dropped}
        for key, record in keyed(stream, outcome.records[stream]).items()
    }
    assert came == expected


@pytest.mark.parametrize("stream", [*LISTS, *TABLES])
def test_keys_alone_ask_for_next_to_nothing(box: Sandbox, connector: Connector, stream: str) -> None:
    keys = {*PRIMARY_KEYS[stream], INCREMENTAL.get(stream)}
    others = [column for column in SCHEMAS[stream]["properties"] if column not in keys]
    outcome = connector.read(stream, without=others, start_date=iso(START))
    assert outcome.statuses == {stream: "COMPLETE"}
    assert sources_asked(box.requests) <= NEEDED.get(stream, set())
    assert (
        keyed(stream, outcome.records[stream]).keys() == keyed(stream, Oracle(box.world, START).records(stream)).keys()
    )


@pytest.mark.parametrize(
    ("stream", "dropped"), [("user_insights_breakdowns", "value"), ("audience_demographics", "value")]
)
def test_a_record_does_not_need_its_value(box: Sandbox, connector: Connector, stream: str, dropped: str) -> None:
    outcome = connector.read(stream, without=[dropped], start_date=iso(START))
    assert outcome.statuses == {stream: "COMPLETE"}
    assert all(dropped not in record for record in outcome.records[stream])
    assert (
        keyed(stream, outcome.records[stream]).keys() == keyed(stream, Oracle(box.world, START).records(stream)).keys()
    )


@pytest.mark.parametrize(
    ("stream", "whole", "parts"),
    [
        ("media", "owner", {"owner_id"}),
        ("stories", "owner", {"owner_id"}),
        ("comments", "from", {"from_id", "from_username"}),
    ],
)
def test_flat_columns_and_their_object_are_there_each_by_itself(
    box: Sandbox, connector: Connector, stream: str, whole: str, parts: set[str]
) -> None:
    oracle = Oracle(box.world)
    oracle.chosen = oracle.chosen[:1]
    expected = keyed(stream, oracle.records(stream))
    none = {"children", whole, *parts}  # children have an owner, too
    for without in ({"children", whole}, {"children", *parts}, none):
        box.reset()
        outcome = connector.read(stream, without=without, accounts=[oracle.chosen[0].id])
        left = {key: {n: v for n, v in each.items() if n not in without} for key, each in expected.items()}
        assert keyed(stream, outcome.records[stream]) == left, without
        assert (whole in str(asked(box.requests))) is (without != none)
        assert not [part for part in parts if part in str(box.requests)], "Meta has no such field"


# -- As a process ------------------------------------------------------------------------------------------------------


def test_the_command_line_writes_messages_only_and_tells_by_its_exit_code(box: Sandbox, connector: Connector) -> None:
    good = connector.read("accounts", "media", as_process=True)
    assert (good.exit_code, good.stderr, good.statuses) == (0, "", {"accounts": "COMPLETE", "media": "COMPLETE"})
    assert keyed("media", good.records["media"]) == keyed("media", Oracle(box.world).records("media"))
    box.add_fault(forbid_account=box.world.accounts[1].id)
    bad = connector.read("accounts", "media", as_process=True)
    assert bad.exit_code != 0
    assert bad.stderr == ""
    assert {record["business_account_id"] for record in bad.records["media"]} == {
        box.world.accounts[0].id,
        box.world.accounts[2].id,
    }


def test_no_secret_is_ever_written(box: Sandbox, connector: Connector) -> None:
    box.add_fault(path="/media", kind="not_json", times=3)
    box.add_fault(path="/insights", every=7)
    streams = ("media", "user_insights", "media_insights")
    app = {"client_id": box.app_id, "client_secret": box.app_secret}
    outcome = connector.read(*streams, start_date=iso(START), debug=True, **app)
    assert outcome.statuses == dict.fromkeys(streams, "COMPLETE")
    for secret in (box.token, box.app_secret, box.tokens.proof(box.token)):
        assert secret not in outcome.stdout + outcome.stderr
