"""Instagram in groups of accounts with Dagster and PyAirbyte, an asset for each group: see docs/scaling.md.

    source-instagram groups --config config.json --groups 4 --out groups
    INSTAGRAM_HOME=. dagster dev -f instagram.py
    dagster instance concurrency set instagram 4

The last line, with DAGSTER_HOME set, says how many groups run at a time. What fails is tried
again twice, and harms no other group.
"""

import json
import os
from pathlib import Path
from typing import Any

import airbyte as ab
import dagster as dg

HOME = Path(os.environ["INSTAGRAM_HOME"]).resolve()  # has config.json and groups/
STREAMS: str | list[str] = "*"
RETRIES = dg.RetryPolicy(max_retries=2, delay=600, backoff=dg.Backoff.EXPONENTIAL)


def config_of(group: Path) -> dict[str, Any]:
    """The connection's configuration, with the accounts of a group."""
    return {**json.loads((HOME / "config.json").read_text()), **json.loads(group.read_text())}


def keep_token(config: dict[str, Any]) -> None:
    """A token that was to end soon is extended: the next runs of all groups use the new one."""
    stored = {**json.loads((HOME / "config.json").read_text()), "access_token": config["access_token"]}
    new = HOME / f"config.{os.getpid()}"
    new.touch(mode=0o600)
    new.write_text(json.dumps(stored))
    new.replace(HOME / "config.json")  # in one step, because groups run side by side


def asset_of(group: Path) -> dg.AssetsDefinition:
    """The asset of a group. The limit of its pool says how many groups run at a time."""

    @dg.asset(name=group.stem, key_prefix="instagram", retry_policy=RETRIES, pool="instagram")
    def sync() -> dg.MaterializeResult:
        """All accounts of the group, into a database of its own, which keeps its state as well."""
        source = ab.get_source(
            "source-instagram",
            local_executable="source-instagram",
            config=config_of(group),
            config_change_callback=keep_token,
            streams=STREAMS,
        )
        result = source.read(cache=ab.DuckDBCache(db_path=HOME / f"{group.stem}.duckdb"))
        return dg.MaterializeResult(metadata={"records": result.processed_records})

    return sync


groups = [asset_of(file) for file in sorted((HOME / "groups").glob("*.json"))]
daily = dg.define_asset_job("instagram_daily", selection=groups)
defs = dg.Definitions(
    assets=groups, jobs=[daily], schedules=[dg.ScheduleDefinition(job=daily, cron_schedule="0 9 * * *")]
)
