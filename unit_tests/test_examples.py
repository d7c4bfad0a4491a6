"""The examples for engines do what docs/scaling.md says of them."""

import ast
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from clients import OLD_ENOUGH, Client, client, days_written, unequal
from harness import ROOT, Connector
from law import Key
from oracle import Oracle, Record, keyed

from sandbox import Sandbox

DAGSTER = (ROOT / "examples" / "dagster" / "instagram.py").read_text(encoding="utf-8")
AIRFLOW = (ROOT / "examples" / "airflow" / "instagram.py").read_text(encoding="utf-8")
STREAMS = ["users", "user_insights", "media"]
World = dict[str, dict[Key, Record]]
RUN = """
import sys
sys.path.insert(0, ".")
import instagram
result = instagram.defs.resolve_job_def("instagram_daily").execute_in_process(raise_on_error=False)
for event in result.get_asset_materialization_events():
    print("made", event.asset_key.path[-1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not OLD_ENOUGH, reason="PyAirbyte needs Python 3.12 or older")
def test_dagster_reads_the_groups_each_by_itself(tmp_path: Path) -> None:
    with Sandbox(accounts=3, portfolio_accounts=0, media=12, days=14, upcoming=8) as box:
        today = box.world.now()
        box.set_now(today)
        start = (today - timedelta(days=15)).replace(hour=0, minute=0, second=0)
        config = Connector(box).config(start_date=f"{start:%Y-%m-%dT00:00:00Z}")
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (tmp_path / "groups").mkdir()
        names = [each.id for each in box.world.accounts]
        groups = {f"group_{at:03}": names[at - 1 :: 2] for at in (1, 2)}
        for group, accounts in groups.items():
            (tmp_path / "groups" / f"{group}.json").write_text(json.dumps({"accounts": accounts}), encoding="utf-8")
        example = DAGSTER.replace('= "*"', f"= {STREAMS}").replace("max_retries=2, delay=600", "max_retries=1, delay=0")
        (tmp_path / "instagram.py").write_text(example, encoding="utf-8")

        lost = {"error": {"code": 10, "message": "(#10) Application does not have permission for this action"}}
        once, lasting = box.add_fault(account=names[0], times=1, **lost), box.add_fault(account=names[1], **lost)
        with client(box, tmp_path, RUN, {"INSTAGRAM_HOME": str(tmp_path), "DAGSTER_HOME": "", "KEEP": "1"}) as dagster:
            assert made(dagster) == ["group_001"]
            assert once.fired == 1
            assert lasting.fired >= 2  # in both attempts
            first = world(box, start)
            assert unequal(tmp_path / "group_001.duckdb", of(groups["group_001"], first)) == []

            box.reset()
            box.set_now(today + timedelta(days=1))
            assert made(dagster) == ["group_001", "group_002"]
        both = {stream: first[stream] | records for stream, records in world(box, start).items()}
        for group, accounts in groups.items():
            assert unequal(tmp_path / f"{group}.duckdb", of(accounts, both)) == []
        # The second sync of a group reads the look-back; the group that failed had none before.
        since, days = today + timedelta(hours=12), today - timedelta(days=4)
        assert days_written(tmp_path / "group_001.duckdb", "user_insights", since)[0] >= days
        assert days_written(tmp_path / "group_002.duckdb", "user_insights", since)[0] < days


def made(dagster: Client) -> list[str]:
    """The groups that a run materialized."""
    return [line.removeprefix("made ") for line in dagster.step() if line.startswith("made ")]


def world(box: Sandbox, start: datetime) -> World:
    """What the accounts have, by stream and key."""
    return {stream: keyed(stream, Oracle(box.world, start, polls=True).records(stream)) for stream in STREAMS}


def of(accounts: list[str], records: World) -> World:
    """The part of some accounts."""
    return {
        stream: {key: record for key, record in those.items() if record["business_account_id"] in accounts}
        for stream, those in records.items()
    }


# -- Airflow, which is not installed for tests -------------------------------------------------------------------------


def functions(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}


def test_what_airflow_runs_elsewhere_needs_nothing_of_its_file() -> None:
    sync = functions(AIRFLOW)["sync"]
    outside = {
        name.asname or name.name
        for node in ast.parse(AIRFLOW).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    } | {"HOME", "PYTHON", "AT_ONCE"}
    own = {
        name.asname or name.name.split(".")[0]
        for node in ast.walk(sync)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    } | {"ab"}
    used = {node.id for each in sync.body for node in ast.walk(each) if isinstance(node, ast.Name)}
    assert used & outside - own == set()


def test_both_examples_ask_pyairbyte_alike() -> None:
    asked = [
        {
            word.arg
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ab.get_source"
            for word in node.keywords
        }
        for text in (DAGSTER, AIRFLOW)
    ]
    assert asked[0] == asked[1]
