"""What a proxy keeps of a sync gives the same records again, and holds nothing that is anybody's."""

import gc
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
from harness import CONDITIONAL, OTHERS, ROOT, STREAMS, Connector, Outcome, command, serving
from oracle import PRIMARY_KEYS
from test_probe import texts_of

from sandbox import Sandbox
from sandbox.recording import Recorder
from sandbox.replaying import Replay
from sandbox.scrubbing import TIME, TOKEN, Scrubber
from sandbox.server import Proxy

WORLD = {"accounts": 2, "media": 30, "albums": 4, "children": 2, "stories": 2, "comments": 2, "tags": 4, "days": 12}
FEW = ("accounts", "users", "media", "comments", "stories", "user_insights")
P = TypeVar("P", bound=Proxy)
Keyed = dict[str, dict[tuple[Any, ...], Any]]


@pytest.fixture(scope="module")
def played() -> Iterator[Sandbox]:
    with serving(**WORLD) as box:
        yield box


@contextmanager
def ending(proxy: P) -> Iterator[P]:
    """A proxy that runs. The connector's idle connections end with it, and nobody has to be warned of that."""
    with proxy:
        yield proxy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def start(box: Sandbox) -> str:
    return f"{box.world.now() - timedelta(days=14):%Y-%m-%dT00:00:00Z}"


def recorded(
    box: Sandbox, folder: Path, *streams: str, as_process: bool = False, **keys: Any
) -> tuple[Outcome, Scrubber]:
    """A sync of the sandbox, which plays Meta, through the proxy."""
    config = {**Connector(box).config(**keys), "client_secret": box.app_secret}
    catalog = Connector(box).catalog(streams, incremental=True)
    with ending(Recorder(folder, config, env=box.env)) as proxy:
        return command("read", proxy.env, as_process=as_process, config=config, catalog=catalog), proxy.scrubber


def replayed(box: Sandbox, folder: Path, *streams: str, as_process: bool = False) -> tuple[Outcome, list[str]]:
    """The same sync of the folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    catalog = Connector(box).catalog(streams, incremental=True)
    with ending(Replay(folder)) as proxy:
        return command("read", proxy.env, as_process=as_process, config=config, catalog=catalog), proxy.missing


def mapped(value: Any, scrubber: Scrubber, column: str = "") -> Any:
    """A record's value with stand-ins; addresses, which change with each request, are all the same."""
    if isinstance(value, dict):
        return {name: mapped(each, scrubber, name) for name, each in value.items()}
    if isinstance(value, list):
        return [mapped(each, scrubber, column) for each in value]
    if isinstance(value, str) and value.startswith("http"):
        return "an address"
    if isinstance(value, str) or (column.endswith("id") and isinstance(value, int)):
        kinds = ("user",) if column in ("username", "from_username") else ("id", "name", "text")
        for kind in kinds:
            if str(value) in scrubber.known.get(kind, {}):
                return type(value)(scrubber.known[kind][str(value)])
    return value


def keyed(outcome: Outcome, scrubber: Scrubber) -> Keyed:
    found: Keyed = {}
    for stream, records in outcome.records.items():
        rows = [mapped(record, scrubber) for record in records]
        found[stream] = {tuple(row[name] for name in PRIMARY_KEYS[stream]): row for row in rows}
        assert len(found[stream]) == len(rows)
    return found


def told(outcome: Outcome, scrubber: Scrubber | None = None) -> list[str]:
    """What each stream says of its failure."""
    said = [str(error["message"]) for error in outcome.errors if error.get("stream_descriptor")]
    return sorted(re.sub("trace .*", "", scrubber.words(each) if scrubber else each) for each in said)


def same(folder: Path, box: Sandbox, *streams: str, but: str = "", **keys: Any) -> Outcome:
    """Record, replay, and compare; `but` is a column that may differ."""
    first, scrubber = recorded(box, folder, *streams, start_date=start(box), **keys)
    again, missing = replayed(box, folder, *streams)
    assert missing == []
    before, after = keyed(first, scrubber), keyed(again, Scrubber())
    for row in (row for rows in (*before.values(), *after.values()) for row in rows.values()):
        row.pop(but, None)
    assert {name: len(rows) for name, rows in after.items()} == {name: len(rows) for name, rows in before.items()}
    assert after == before
    assert again.statuses == first.statuses
    assert again.exit_code == first.exit_code
    assert told(again) == told(first, scrubber)
    return first


def needle(text: str) -> str:
    """A text as it would stand in a file: short ones as a whole value, others wherever they are."""
    value = json.dumps(text, ensure_ascii=False)
    return value if len(text) < 8 else value[1:-1]


def kept(folder: Path) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.iterdir()))


def test_a_recorded_sync_gives_the_same_records_again(played: Sandbox, tmp_path: Path) -> None:
    played.reset()
    outcome = same(tmp_path, played, *FEW, accounts=[played.world.accounts[0].id])
    assert outcome.exit_code == 0
    assert set(outcome.records) == set(FEW)


@pytest.mark.slow
def test_all_streams_are_recorded_and_nothing_that_is_anybodys(played: Sandbox, tmp_path: Path) -> None:
    played.reset()
    same(tmp_path, played, *STREAMS)
    text = kept(tmp_path)
    assert TOKEN in text
    world = played.world
    media = [post for account in world.accounts for post in world.media(account)]
    ids = {node.id for node in world.nodes.values()} | {account.values["username"] for account in world.accounts}
    written = {comment.values["text"] for post in media for comment in world.comments(post)}
    written |= {post.values.get("caption", "") for post in media}
    texts = {each for each in texts_of(played) if not TIME.fullmatch(each)}
    assert [each for each in (ids | written | texts) - {""} if needle(each) in text] == []
    for secret in (played.token, played.app_secret, *played.tokens.known):
        assert secret not in text
    assert "http" not in re.sub(r"https://(graph\.facebook\.com|recorded\.example)/", "", text)


FIRST, SECOND = "17841400000000001", "17841400000000002"
PERMISSION = {"code": 10, "message": "(#10) Application does not have permission for this action"}
FAULTS: dict[str, dict[str, Any]] = {
    "an account may not be read": {"path": f"/{FIRST}/media", "error": PERMISSION},
    "what Meta says names an id": {"path": f"/{FIRST}/stories", "error": {"code": 5, "message": f"No {FIRST}"}},
    "the connection breaks": {"path": f"/{SECOND}/media", "kind": "drop"},
    "the token has died": {"skip": 3, "error": {"code": 190, "error_subcode": 463, "message": "It has expired"}},
    "pages of HTML": {"path": f"/{FIRST}/media", "kind": "html"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_failing_sync_fails_again(played: Sandbox, tmp_path: Path, name: str) -> None:
    played.reset()
    played.add_fault(**FAULTS[name])
    # In a process of its own where threads may still be at work when a sync in this one has ended.
    alone = {"as_process": FAULTS[name].get("kind") == "drop"}
    first, scrubber = recorded(played, tmp_path, "users", "media", "stories", start_date=start(played), **alone)
    again, _ = replayed(played, tmp_path, "users", "media", "stories", **alone)
    assert first.exit_code == again.exit_code == 1
    assert again.statuses == first.statuses
    assert told(again) == told(first, scrubber)
    assert keyed(again, Scrubber()) == keyed(first, scrubber)
    assert FIRST not in kept(tmp_path)


def test_a_recording_is_replayed_days_later(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_text("", encoding="utf-8")
    about = {"format": 1, "began": f"{datetime.now(timezone.utc) - timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}"}
    (tmp_path / "about.json").write_text(json.dumps(about), encoding="utf-8")
    replay = Replay(tmp_path)
    assert replay.later == timedelta(days=9)
    assert replay._body({"body": "2026-01-01T07:00:00+0000"}) == '"2026-01-10T07:00:00+0000"'
    assert replay._then({"since": "1764806400", "limit": "9"}) == {"since": "1764028800", "limit": "9"}
    replay.stop()


def test_metrics_and_pages_may_be_asked_otherwise(tmp_path: Path) -> None:
    lines = [
        {"path": "/v25.0/1/insights", "params": {"metric": "a,b"}, "body": {"data": [{"name": "a"}, {"name": "b"}]}},
        {"path": "/v25.0/1/insights", "params": {"metric": "c"}, "status": 400, "body": {"error": {"code": 100}}},
        {"path": "/v25.0/1/media", "params": {"fields": "id,x", "limit": "2"},
         "body": {"data": [{"id": "1"}, {"id": "2"}], "paging": {"cursors": {"after": "cursor 1"}, "next": "h"}}},
        {"path": "/v25.0/1/media", "params": {"fields": "id,x", "limit": "2", "after": "cursor 1"},
         "body": {"data": [{"id": "3"}]}},
    ]  # fmt: skip
    text = "\n".join(json.dumps({"status": 200, "headers": {}, **line}) for line in lines)
    (tmp_path / "calls.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "about.json").write_text(json.dumps({"format": 1, "began": "2026-11-01T00:00:00Z"}), encoding="utf-8")
    replay = Replay(tmp_path)
    asked = replay._line("/v25.0/1/insights", {"metric": "b,a"})["body"]["data"]
    assert [row["name"] for row in asked] == ["a", "b"]
    assert replay._line("/v25.0/1/insights", {"metric": "b"})["body"] == {"data": [{"name": "b"}]}
    assert replay._line("/v25.0/1/insights", {"metric": "b,c"})["body"]["error"] == {"code": 100}
    page = replay._line("/v25.0/1/media", {"fields": "id", "limit": "1"})["body"]
    assert [row["id"] for row in page["data"]] == ["1"]
    page = replay._line("/v25.0/1/media", {"fields": "id", "limit": "5", "after": page["paging"]["cursors"]["after"]})
    assert [row["id"] for row in page["body"]["data"]] == ["2", "3"]
    assert "next" not in page["body"]["paging"]
    assert replay.missing == []
    assert replay._line("/v25.0/2", {})["body"]["error"]["message"] == "Nothing was recorded for this call."
    assert replay.missing
    replay.stop()


def test_stand_ins_are_one_to_one_and_the_same_everywhere() -> None:
    scrubber = Scrubber(["a-secret-of-ours"])
    link = (
        "https://graph.facebook.com/v25.0/17841400000000009/media?access_token=EAAx&after=QVFI&limit=9&since=1764806400"
    )
    found = scrubber.body(
        {
            "id": "17841400000000009",
            "user_id": 17841400000000009,
            "username": "4815162342",
            "name": "Blue Cup",
            "caption": "17841400000000009 likes",
            "like_count": 12,
            "timestamp": "2026-05-07T13:00:34+0000",
            "media_type": "IMAGE",
            "access_token": "EAAxyz",
            "insights": {"data": [{"name": "reach", "period": "day", "id": "17841400000000009/insights/reach/day"}]},
            "paging": {"cursors": {"after": "QVFI"}, "next": link},
            "error": {"code": 100, "message": "Object '17841400000000009' of Blue Cup, a-secret-of-ours"},
        }
    )
    own = found["id"]
    assert own == "17800000000000001"
    assert found["user_id"] == int(own)
    assert found["insights"]["data"] == [{"name": "reach", "period": "day", "id": f"{own}/insights/reach/day"}]
    assert found["error"] == {"code": 100, "message": f"Object '{own}' of name1, ***"}
    after = found["paging"]["cursors"]["after"]
    assert found["paging"]["next"] == (
        f"https://graph.facebook.com/v25.0/{own}/media?after={after}&limit=9&since=1764806400"
    )
    assert scrubber.params({"after": "QVFI", "access_token": "EAAx", "limit": "9"}) == {"after": after, "limit": "9"}
    assert (found["username"], found["name"], found["caption"]) == ("user1", "name1", "text1")
    assert (found["like_count"], found["media_type"]) == (12, "IMAGE")
    assert found["timestamp"] == "2026-05-07T13:00:34+0000"
    assert found["access_token"] == TOKEN
    assert scrubber.body({"id": "17841400000000010"})["id"] != own


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"path": r"\?batch$", "kind": "drop", "times": 2},
        {"path": r"\?batch$", "status": 500, "times": 2},
        {"path": "/insights", "kind": "null_item", "times": 9},
        {"path": "/insights", "kind": "truncate", "times": 9},
    ],
)
def test_trouble_with_batches_comes_again(played: Sandbox, tmp_path: Path, fault: dict[str, Any]) -> None:
    played.reset()
    hit = played.add_fault(**fault)
    outcome = same(tmp_path, played, "media_insights", "user_total_insights")
    assert outcome.exit_code == 0
    assert hit.fired


@pytest.mark.slow
def test_what_is_read_of_others_is_recorded_too(played: Sandbox, tmp_path: Path) -> None:
    played.reset()
    outcome = same(tmp_path, played, *CONDITIONAL, but="business_account_id", **OTHERS)  # who asked is who had room
    assert set(outcome.records) == set(CONDITIONAL)
    text = kept(tmp_path)
    names = [*OTHERS["discover_usernames"], *OTHERS["hashtags"]]
    assert [name for name in names if f'"{name}"' in text or f"({name})" in text] == []


@pytest.mark.slow
def test_the_command_line_records_and_replays(played: Sandbox, tmp_path: Path) -> None:
    played.reset()
    config, folder = tmp_path / "config.json", tmp_path / "kept"
    config.write_text(json.dumps(Connector(played).config()), encoding="utf-8")
    url = "https://graph.facebook.com/v25.0/me/accounts?fields=name"
    answers = []
    for arguments, token in (
        (["record", "--folder", str(folder), "--config", str(config)], played.token),
        (["replay", str(folder)], TOKEN),
    ):
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=ROOT, env={**os.environ, **played.env}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout
        proxy, authority = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
        headers = {"Authorization": f"Bearer {token}"}
        answers.append(requests.get(url, headers=headers, proxies={"https": proxy}, verify=authority, timeout=10))
        process.terminate()
        assert process.wait(10) == 0
        process.stdout.close()
    real, again = (answer.json()["data"] for answer in answers)
    assert [row["name"] for row in real] != [row["name"] for row in again]
    assert len(real) == len(again) > 0
