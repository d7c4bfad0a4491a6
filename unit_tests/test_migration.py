"""Whoever comes from Airbyte's connector finds columns, keys, values and state as docs/migration.md says.

Its columns and its state stand here as data, taken from a run of its release 4.1.0; a slow test runs it once more.
"""

import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, SCHEMAS, Connector, Outcome, serving
from oracle import PRIMARY_KEYS, Oracle, Record, keyed, plain

from bench import connector as process
from bench import peer
from docs import generate
from environments import Missing
from sandbox import Sandbox

PAGE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
DAYS = 10
TODAY = datetime.combine(datetime.now(timezone.utc).date(), time(), timezone.utc)
START = f"{TODAY - timedelta(days=DAYS):%Y-%m-%dT%H:%M:%SZ}"
COLUMNS = {
    "media": "business_account_id page_id caption comments_count id ig_id is_comment_enabled like_count media_type "
    "media_product_type media_url owner permalink shortcode thumbnail_url timestamp username children",
    "media_insights": "business_account_id page_id id ig_reels_avg_watch_time ig_reels_video_view_total_time reach "
    "saved comments likes shares total_interactions follows profile_visits",
    "users": "page_id id biography ig_id followers_count follows_count media_count name profile_picture_url username "
    "website",
    "user_lifetime_insights": "page_id business_account_id breakdown metric value",
    "stories": "business_account_id page_id caption id ig_id like_count media_type media_product_type media_url owner "
    "permalink shortcode thumbnail_url timestamp username",
    "story_insights": "business_account_id page_id id reach replies follows profile_visits shares total_interactions",
    "user_insights": "page_id business_account_id date follower_count reach reach_week reach_days_28 online_followers",
}


def configured(*names: str) -> dict[str, Any]:
    """A configured catalog of the peer's streams with the peer's columns, each in the mode that it has there."""
    streams = {name: COLUMNS.get(name, "id account") for name in names}
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": {"type": "object", "properties": {column: {} for column in columns.split()}},
                    "supported_sync_modes": ["full_refresh", "incremental"],
                },
                "sync_mode": "incremental" if name == "user_insights" else "full_refresh",
                "destination_sync_mode": "append_dedup" if name == "user_insights" else "append",
            }
            for name, columns in streams.items()
        ]
    }


def state_of(box: Sandbox, date: str) -> list[dict[str, Any]]:
    """The last state of each stream, as the peer writes it."""
    accounts = [each.id for each in box.world.accounts if not each.portfolio]
    insights = {
        "use_global_cursor": False,
        "states": [{"partition": {"business_account_id": each}, "cursor": {"date": date}} for each in accounts],
        "state": {"date": date},
        "lookback_window": 5,
        "parent_state": {},
    }
    none = {"__ab_no_cursor_state_message": True}
    return [
        {"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": state}}
        for name, state in {**dict.fromkeys(COLUMNS, none), "user_insights": insights}.items()
    ]


def shared(stream: str, records: list[Record]) -> dict[tuple[Any, ...], Record]:
    """Records by their key, with no more than the peer's columns."""
    columns = {*COLUMNS[stream].split(), *PRIMARY_KEYS[stream]}
    return {key: {n: v for n, v in each.items() if n in columns} for key, each in keyed(stream, records).items()}


# -- What it leaves behind ---------------------------------------------------------------------------------------------


def test_state_and_catalog_of_the_peer_are_taken(box: Sandbox, connector: Connector) -> None:
    date = f"{TODAY - timedelta(days=4):%Y-%m-%d}T08:00:00+00:00"
    outcome = connector.read(catalog=configured(*COLUMNS), state=state_of(box, date), start_date=START)
    oracle = Oracle(box.world, TODAY - timedelta(days=4 + 3))  # and the look-back
    assert outcome.statuses == dict.fromkeys(COLUMNS, "COMPLETE")
    assert not [line for line in outcome.log("WARN") if "state" in line]
    added = {"business_account_id", "date", "timestamp", "media_product_type"}
    for stream, columns in COLUMNS.items():
        assert shared(stream, outcome.records[stream]) == shared(stream, oracle.records(stream)), stream
        assert {name for each in outcome.records[stream] for name in each} <= {*columns.split(), *added}, stream
    assert min(outcome.cursors("user_insights").values()) > date


def test_of_a_stream_that_is_no_more_it_is_told_after_all_others(box: Sandbox, connector: Connector) -> None:
    outcome = connector.read(catalog=configured("media", "Api"))
    assert outcome.statuses == {"media": "COMPLETE", "Api": "INCOMPLETE"}
    assert outcome.exit_code == 1
    assert "streams that this connector does not have: Api." in outcome.errors[-1]["message"]
    assert shared("media", outcome.records["media"]) == shared("media", Oracle(box.world).records("media"))


# -- The page ----------------------------------------------------------------------------------------------------------


def test_the_page_names_every_new_column() -> None:
    (table,) = re.findall(r"^New columns.*?^New streams", PAGE, re.DOTALL | re.MULTILINE)
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))
    new = {stream: set(SCHEMAS[stream]["properties"]) - {*columns.split()} for stream, columns in COLUMNS.items()}
    for stream, columns in new.items():
        assert {*re.findall(r"`(\w+)`", rows.get(stream, ""))} == columns, stream
    (told,) = re.findall(r"New streams: (.*?)\.", PAGE, re.DOTALL)
    assert {*re.findall(r"`(\w+)`", told)} == SCHEMAS.keys() - COLUMNS.keys()


def test_the_page_tells_the_costs_that_all_pages_tell() -> None:
    cost, windows = generate.COSTS["user_insights"], math.ceil(730 / 30)
    first, daily = (cost.calls[""] + cost.calls["30 days"] * each for each in (windows, 1))
    requests = [cost.requests[""] + cost.requests["500 days"] * each for each in (math.ceil(730 / 500), 1)]
    told = re.findall(r"^\| `user_insights`, .* \| (\d+) A, .*at most (\d+) A requests \|$", PAGE, re.MULTILINE)
    assert told == [(str(first), str(requests[0])), (str(daily), str(requests[1]))]


def test_no_column_is_lost() -> None:
    for stream, columns in COLUMNS.items():
        assert {*columns.split()} <= SCHEMAS[stream]["properties"].keys(), stream


def test_the_example_on_the_page_is_a_state_that_is_taken(box: Sandbox, connector: Connector) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    date = f"{box.world.now() - timedelta(days=5):%Y-%m-%dT08:00:00+00:00}"
    example = json.loads(text.replace("2026-11-20T08:00:00+00:00", date))
    accounts = [each.id for each in box.world.accounts[:2]]
    outcome = connector.read("user_insights", state=example, accounts=accounts)
    first = {account: min(each["date"] for each in found) for account, found in by_account(outcome).items()}
    expected = f"{datetime.fromisoformat(date) - timedelta(days=3):%Y-%m-%d}"
    assert {account: each[:10] for account, each in first.items()} == dict.fromkeys(accounts, expected)
    assert not [line for line in outcome.log("WARN") if "state" in line]


def by_account(outcome: Outcome) -> dict[str, list[Record]]:
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in outcome.records["user_insights"]:
        found[record["business_account_id"]].append(record)
    return found


# -- The peer itself ---------------------------------------------------------------------------------------------------


@dataclass
class Left:
    """What the peer leaves of a sync: the catalog, the records, and the last state of each stream."""

    catalog: dict[str, Any]
    records: dict[str, list[Record]]
    states: dict[str, dict[str, Any]]


def read_by_the_peer(box: Sandbox, folder: Path) -> Left:
    peer.trust(Path(box.env["REQUESTS_CA_BUNDLE"]))
    config = {"access_token": box.token, "start_date": START, **peer.SECRETS}
    program = process.Connector(config, box.env, folder, (str(peer.PROGRAM),))
    left = Left(process.chosen(process.discovered(program.messages("discover"))), defaultdict(list), {})
    for message in program.messages("read", catalog=left.catalog):
        if message["type"] == "RECORD":
            left.records[message["record"]["stream"]].append(message["record"]["data"])
        elif message["type"] == "STATE":
            left.states[message["state"]["stream"]["stream_descriptor"]["name"]] = message["state"]
    return left


@pytest.mark.slow
def test_what_the_peer_leaves_is_as_it_stands_here_and_is_taken(tmp_path: Path) -> None:
    try:
        peer.install()
    except Missing as reason:
        pytest.skip(str(reason))
    with serving(accounts=3, media=8, albums=1, children=2, stories=3, comments=1, tags=1) as box:
        box.set_now(datetime.now(timezone.utc).replace(microsecond=0))
        left = read_by_the_peer(box, tmp_path)
        assert_it_is_what_stands_here(box, left)
        known = {"streams": [each for each in left.catalog["streams"] if each["stream"]["name"] != "Api"]}
        states = [*left.states.values()]
        first = Connector(box).read(catalog=known, start_date=START)
        again = Connector(box).read(catalog=known, state=states, start_date=START, insights_lookback_days=0)
    assert again.statuses == dict.fromkeys(COLUMNS, "COMPLETE")
    newest = max(each["date"] for each in first.records["user_insights"])
    assert {each["date"] for each in again.records["user_insights"]} == {newest}, "it goes on with the last day"
    for stream in COLUMNS:
        theirs = [each for each in left.records[stream] if stream != "user_insights" or each.get("date")]
        came = {key: as_ours(stream, each) for key, each in shared(stream, theirs).items()}
        ours = shared(stream, first.records[stream])
        assert came.keys() == ours.keys(), stream
        for key, each in came.items():
            assert each == {name: ours[key].get(name) for name in each}, "it may have more, and nothing else"
    assert {each["page_id"] for each in first.records["users"]} == {each["id"] for each in left.records["Api"]}


def assert_it_is_what_stands_here(box: Sandbox, left: Left) -> None:
    found = {each["stream"]["name"]: each["stream"] for each in left.catalog["streams"]}
    assert found.keys() == {*COLUMNS, "Api"}
    for stream, columns in COLUMNS.items():
        assert list(found[stream]["json_schema"]["properties"]) == columns.split(), stream
    for mine in state_of(box, ""):
        name, state = mine["stream"]["stream_descriptor"]["name"], mine["stream"]["stream_state"]
        theirs = left.states[name]["stream"]["stream_state"]
        assert theirs.keys() == state.keys(), name
        partitions = [[each["partition"] for each in one.get("states", [])] for one in (theirs, state)]
        assert sorted(partitions[0], key=str) == sorted(partitions[1], key=str), name


def as_ours(stream: str, record: Record) -> Record:
    """A record of the peer's with the changes that the page tells of."""
    record = plain(record)
    if stream == "users":
        record["ig_id"] = str(record["ig_id"])
    if stream == "user_insights" and not record.get("online_followers"):
        record.pop("online_followers", None)
    if stream == "user_lifetime_insights" and record["breakdown"] == "age,gender":
        record.pop("value")
    return record
