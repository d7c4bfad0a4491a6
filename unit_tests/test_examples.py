"""The examples for engines do what docs/scaling.md says of them."""

import ast
import json
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from clients import OLD_ENOUGH, Client, client, days_written, unequal
from harness import ROOT, Connector
from law import Key
from oracle import Oracle, Record, keyed

from sandbox import Sandbox
from source_instagram.groups import dealt

DAGSTER = (ROOT / "examples" / "dagster" / "instagram.py").read_text(encoding="utf-8")
AIRFLOW = (ROOT / "examples" / "airflow" / "instagram.py").read_text(encoding="utf-8")
STREAMS = ["users", "user_insights", "media"]
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
        for at, group in enumerate(dealt(dict.fromkeys(names, 1), 3), 1):
            (tmp_path / "groups" / f"group_{at:03}.json").write_text(json.dumps(group), encoding="utf-8")
        example = DAGSTER.replace('= "*"', f"= {STREAMS}").replace("delay=600", "delay=0")
        (tmp_path / "instagram.py").write_text(example, encoding="utf-8")

        lost = {"error": {"code": 10, "message": "(#10) Application does not have permission for this action"}}
        box.add_fault(account=names[1], times=1, **lost)
        lasting = box.add_fault(account=names[2], path="fields=", **lost)
        with client(box, tmp_path, RUN, {"INSTAGRAM_HOME": str(tmp_path), "DAGSTER_HOME": ""}) as dagster:
            assert made(dagster) == ["group_001", "group_002"]
            assert lasting.fired >= 3  # tried three times
            first = world(box, start)
            for at, name in enumerate(names[:2], 1):
                assert unequal(tmp_path / f"group_{at:03}.duckdb", first[name]) == []

            box.reset()
            box.set_now(today + timedelta(days=1))
            assert made(dagster) == ["group_001", "group_002", "group_003"]
        for at, name in enumerate(names, 1):
            both = {stream: first[name][stream] | records for stream, records in world(box, start)[name].items()}
            assert unequal(tmp_path / f"group_{at:03}.duckdb", both) == []
        # The second sync of a group reads the look-back; the group that failed had none before.
        since, days = today + timedelta(hours=12), today - timedelta(days=4)
        assert days_written(tmp_path / "group_001.duckdb", "user_insights", since)[0] >= days
        assert days_written(tmp_path / "group_003.duckdb", "user_insights", since)[0] < days


def made(dagster: Client) -> list[str]:
    """The groups that a run materialized."""
    return [line.removeprefix("made ") for line in dagster.step() if line.startswith("made ")]


def world(box: Sandbox, start: datetime) -> dict[str, dict[str, dict[Key, Record]]]:
    """What each account has, by stream and key."""
    found: dict[str, dict[str, dict[Key, Record]]] = defaultdict(lambda: {stream: {} for stream in STREAMS})
    for stream in STREAMS:
        for key, record in keyed(stream, Oracle(box.world, start).records(stream)).items():
            found[record["business_account_id"]][stream][key] = record
    return found


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
