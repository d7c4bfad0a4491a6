"""The world's file, the scenarios that come along, and the README's examples."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW
from sandbox_client import INSTAGRAM, Client

from sandbox import Options, Sandbox, Scenario
from sandbox.__main__ import parser, scenario_of
from sandbox.faults import Fault

ROOT = Path(__file__).parents[2]
SCENARIOS = {path.stem: path for path in sorted((ROOT / "sandbox" / "scenarios").glob("*.json"))}


@pytest.fixture
def stage(box: Sandbox) -> Iterator[Sandbox]:
    """A sandbox for scenarios, and the usual one afterwards."""
    usual = Scenario(world=vars(box.options))
    yield box
    box.play(usual)


def played(box: Sandbox, name: str) -> list[str]:
    scenario = Scenario.read(SCENARIOS[name])
    scenario.world["now"] = NOW
    return box.play(scenario)


def test_every_scenario_says_what_it_is_and_has_its_test() -> None:
    tests = {name for name in globals() if name.startswith("test_scenario_")}
    assert tests == {f"test_scenario_{name.replace('-', '_')}" for name in SCENARIOS}
    for path in SCENARIOS.values():
        assert Scenario.read(path).about.endswith(".")


def test_scenario_access_lost(stage: Sandbox, api: Client) -> None:
    played(stage, "access-lost")
    media = [each.id for each in stage.world.media(stage.world.accounts[0])[:30]]
    subcodes = [
        api.request(f"{each}/insights", metric="reach").json().get("error", {}).get("error_subcode") for each in media
    ]
    assert subcodes == [None] * 20 + [33] * 10
    assert api.get(media[25])["id"] == media[25]


def test_scenario_odd_answers(stage: Sandbox, api: Client) -> None:
    played(stage, "odd-answers")
    first, second = (
        [api.get(f"{each.id}/media", fields="id,comments_count", limit=100)["data"] for _ in range(2)]
        for each in stage.world.accounts[:2]
    )
    assert first[0][0] == first[0][1]
    assert first[1] == first[0][1:]
    assert all("comments_count" in each for each in first[0])
    assert not any("comments_count" in each for each in second[0])
    popular = max(stage.world.media(stage.world.accounts[0]), key=lambda each: len(stage.world.comments(each)))
    comments = api.get(f"{popular.id}/comments", fields="id,replies{id,parent_id}")["data"]
    assert comments[0]["replies"]["data"][0]["parent_id"] is None
    day = {"metric": "reach", "period": "day", "since": "2026-05-10", "until": "2026-05-11"}
    codes = [api.request(f"{each.id}/insights", **day).status_code for each in stage.world.accounts[:2]]
    assert codes == [400, 200]


def test_scenario_odd_pages(stage: Sandbox, api: Client) -> None:
    played(stage, "odd-pages")
    account = stage.world.accounts[0]
    first = api.get(f"{account.id}/tags", limit=100)
    second = api.get(f"{account.id}/tags", limit=100, after=first["paging"]["cursors"]["after"])
    third = api.get(f"{account.id}/tags", limit=100, after=second["paging"]["cursors"]["after"])
    assert 50 < len(first["data"]) < 100
    assert second["data"] == []
    assert 0 < len(third["data"]) < 50
    nested = "id,comments.limit(50){id}"
    assert api.error(f"{account.id}/media", fields=nested, limit=50)["code"] == 1
    listed = api.get(f"{account.id}/media", fields=nested, limit=20)["data"]
    sizes = [(len(each["comments"]["data"]), set(each["comments"])) for each in listed if "comments" in each]
    assert max(sizes)[0] == 10
    assert all(keys == {"data"} for _, keys in sizes)
    after = api.get(f"{account.id}/stories", limit=2)["paging"]["cursors"]["after"]
    assert api.get(f"{account.id}/stories", limit=2, after=after)["paging"]["cursors"]["after"] == after


def test_scenario_others_usage(stage: Sandbox, api: Client) -> None:
    played(stage, "others-usage")
    account = stage.world.accounts[0].id
    business = json.loads(api.request(account).headers["X-Business-Use-Case-Usage"])
    assert len(business) == 3
    assert [row["type"] for row in business[account]] == ["instagram", "ads_management"]
    assert math.isnan(business[account][0]["total_cputime"])
    shown = [json.loads(api.request("me").headers["X-App-Usage"])["call_count"] for _ in range(20)]
    assert shown == sorted(shown)
    assert shown[-1] == 10


def test_scenario_odd_tokens(stage: Sandbox, api: Client) -> None:
    declined, lapsed, page, only_me = played(stage, "odd-tokens")
    account = stage.world.accounts[0].id
    assert api.get(f"{account}/insights", token=declined, metric="reach", period="day") == {"data": []}
    assert "declined" in {each["status"] for each in api.get("me/permissions", token=declined)["data"]}
    assert api.error(account, token=lapsed)["code"] == 10
    assert api.get("me", token=page)["id"] == "100200300000001"
    assert api.error(f"{account}/media", host=INSTAGRAM, token=only_me)["code"] == 2500
    assert len(api.get("me/accounts")["data"]) == 4
    listed = api.get(f"{account}/media", fields="media_product_type", limit=100)["data"]
    assert [each["media_product_type"] for each in listed].count("AD") == 2


# -- from the command line ------------------------------------------------------------------------------------------


def told(*arguments: str) -> Scenario:
    return scenario_of(vars(parser().parse_args(["serve", *arguments])))


def test_the_command_line_and_the_file_say_the_same_things(tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    content: dict[str, Any] = {
        "world": {"media": 3, "ads": 1, "silent_permissions": True, "tags_hidden": 0.5},
        "faults": [{"kind": "empty"}],
        "throttles": [
            {"after": 9, "seconds": 5.0, "code": 4, "status": None, "scope": "app", "times": 1, "regain": "none",
             "announce": True}
        ],
        "usage": {"start": 80},
        "tokens": [{"declined": ["instagram_basic"]}],
        "latency": 0.5,
        "require_proof": True,
    }  # fmt: skip
    file.write_text(json.dumps(content))
    by_file = told("--world", str(file))
    by_hand = told(
        *("--media", "3", "--ads", "1", "--silent-permissions", "--tags-hidden", "0.5", "--fault", '{"kind": "empty"}'),
        *("--throttle-after", "9", "--throttle-announce", "--usage", '{"start": 80}', "--latency", "0.5"),
        *("--require-proof", "--token", '{"declined": ["instagram_basic"]}'),
    )
    assert by_file == by_hand == Scenario.of(content)
    both = told("--world", str(file), "--media", "9", "--fault", '{"kind": "drop"}', "--usage", '{"per_call": 2}')
    assert both.world == {**content["world"], "media": 9}
    assert [fault["kind"] for fault in both.faults] == ["empty", "drop"]
    assert (both.usage, both.latency) == ({"start": 80, "per_call": 2}, 0.5)
    assert told() == Scenario()
    assert Options(**told().world) == Options()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"wold": {}}, "Unknown keys in a scenario: wold"),
        ({"world": {"medium": 1}}, "Unknown keys in a world: medium"),
        ({"usage": {"x": 1}}, "Unknown keys in usage: x"),
        ({"throttles": [{"afer": 1}]}, "Unknown keys in a throttle: afer"),
        ({"faults": [{"kind": "explode"}]}, "Unknown kind of fault: explode"),
        ([], "is a JSON object"),
    ],
)
def test_a_file_that_would_do_nothing_is_refused(content: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        Scenario.of(content)
    file = tmp_path / "world.json"
    file.write_text(json.dumps(content))
    command = [sys.executable, "-m", "sandbox", "serve", "--world", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scenario_is_served_from_the_command_line() -> None:
    command = [sys.executable, "-m", "sandbox", "serve", "--world", str(SCENARIOS["odd-tokens"])]
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    with subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = [process.stdout.readline() for _ in range(9)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert lines[5].startswith('# access_token {"declined": ["instagram_manage_insights"]}: EAA')
    assert lines[8].startswith('# access_token {"host": "graph.instagram.com", "only_me": true}: IGAA')


def test_a_scenario_by_the_control_plane(stage: Sandbox, api: Client) -> None:
    content = {"world": {"accounts": 1, "media": 2, "now": NOW}, "tokens": [{}], "faults": [{"kind": "empty"}]}
    answer = api.session.post(f"{stage.url}/_sandbox/scenario", json=content, timeout=10).json()
    assert answer == {"tokens": [list(stage.tokens.known)[-1]]}
    assert (len(stage.world.media(stage.world.accounts[0])), api.request("me").content) == (2, b"")
    wrong = api.session.post(f"{stage.url}/_sandbox/scenario", json={"tokens": [{"page": "1"}]}, timeout=10)
    assert (wrong.status_code, wrong.text[:22]) == (400, "Nothing has the id 1. ")


# -- the README -----------------------------------------------------------------------------------------------------


def test_the_readmes_examples_are_faults() -> None:
    text = (ROOT / "sandbox" / "README.md").read_text(encoding="utf-8")
    examples = [json.loads(found) for found in re.findall(r"^\| `(\{.*\})` \|", text, re.MULTILINE)]
    assert len(examples) >= 19
    for example in examples:
        Fault.of(example)
    (scenario,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert Scenario.of(json.loads(scenario)).about


def test_every_option_is_in_the_readme() -> None:
    text = (ROOT / "sandbox" / "README.md").read_text(encoding="utf-8")
    for name in vars(Options()):
        assert f"`--{name.replace('_', '-')}`" in text
