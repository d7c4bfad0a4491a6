"""Whoever comes from Airbyte's connector finds columns, keys, values and state as docs/migration.md says.

Its columns and its state stand here as data, taken from a run of its release 4.1.0; a slow test runs it once more.
"""

import json
import math
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, SCHEMAS, Connector, Outcome
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


@pytest.fixture(scope="module")
def left() -> Iterator[tuple[Sandbox, dict[str, Any], dict[str, list[Record]], list[dict[str, Any]]]]:
    """A sandbox that the peer has read, and the catalog, records and last states that it leaves."""
    try:
        peer.install()
    except Missing as reason:
        pytest.skip(str(reason))
    world = {"accounts": 3, "media": 8, "albums": 1, "children": 2, "stories": 3, "comments": 1, "tags": 1}
    with Sandbox(**world) as box, tempfile.TemporaryDirectory() as folder:
        box.set_now(datetime.now(timezone.utc).replace(microsecond=0))
        peer.trust(Path(box.env["REQUESTS_CA_BUNDLE"]))
        config = {"access_token": box.token, "start_date": START, **peer.SECRETS}
        program = process.Connector(config, box.env, Path(folder), (str(peer.PROGRAM),))
        catalog = process.chosen(process.discovered(program.messages("discover")))
        records: defaultdict[str, list[Record]] = defaultdict(list)
        states: dict[str, dict[str, Any]] = {}
        for message in program.messages("read", catalog=catalog):
            if message["type"] == "RECORD":
                records[message["record"]["stream"]].append(message["record"]["data"])
            elif message["type"] == "STATE":
                states[message["state"]["stream"]["stream_descriptor"]["name"]] = message["state"]
        yield box, catalog, records, list(states.values())


@pytest.mark.slow
def test_the_columns_and_the_state_are_still_those_that_stand_here(left: Any) -> None:
    box, catalog, _, states = left
    found = {each["stream"]["name"]: each["stream"] for each in catalog["streams"]}
    assert found.keys() == {*COLUMNS, "Api"}
    for stream, columns in COLUMNS.items():
        assert list(found[stream]["json_schema"]["properties"]) == columns.split(), stream
    came = {each["stream"]["stream_descriptor"]["name"]: each["stream"]["stream_state"] for each in states}
    (insights,) = [each["stream"]["stream_state"] for each in state_of(box, "…") if "states" in str(each)]
    assert came["user_insights"].keys() == insights.keys()
    assert [each["partition"] for each in sorted(came["user_insights"]["states"], key=str)] == [
        each["partition"] for each in insights["states"]
    ]


@pytest.mark.slow
def test_what_the_peer_leaves_is_taken_with_the_same_values(left: Any) -> None:
    box, catalog, records, states = left
    known = {"streams": [each for each in catalog["streams"] if each["stream"]["name"] != "Api"]}
    first = Connector(box).read(catalog=known, start_date=START)
    again = Connector(box).read(catalog=known, state=states, start_date=START, insights_lookback_days=0)
    assert again.statuses == dict.fromkeys(COLUMNS, "COMPLETE")
    assert {each["date"] for each in again.records["user_insights"]} == {
        max(each["date"] for each in first.records["user_insights"])
    }, "the state of the peer goes on with the last day"
    for stream in COLUMNS:
        theirs = [each for each in records[stream] if stream != "user_insights" or each.get("date")]
        came = {key: as_ours(stream, each) for key, each in shared(stream, theirs).items()}
        ours = shared(stream, first.records[stream])
        assert came.keys() == ours.keys(), stream
        for key, each in came.items():
            assert each == {name: ours[key].get(name) for name in each}, "it may have more, and nothing else"
    assert {each["page_id"] for each in first.records["users"]} == {each["id"] for each in records["Api"]}


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
