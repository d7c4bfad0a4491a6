"""Instagram in groups of accounts with Airflow and PyAirbyte, a mapped task for each group: see docs/scaling.md.

    source-instagram groups --config config.json --groups 4 --out groups

PyAirbyte and Airflow want other versions of the same packages, so PyAirbyte has an environment of its own. What fails
is tried again twice, and harms no other group.
"""

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.sdk import dag, task

HOME = Path(os.environ["INSTAGRAM_HOME"]).resolve()  # has config.json and groups/
PYTHON = os.environ["PYAIRBYTE_PYTHON"]  # of the environment with `airbyte`; has source-instagram on its PATH
AT_ONCE = 4  # groups


@dag(schedule="0 9 * * *", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, max_active_runs=1)
def instagram() -> None:
    """All groups, some at a time."""

    @task
    def groups() -> list[str]:
        """The files of the groups."""
        return [str(file) for file in sorted((HOME / "groups").glob("*.json"))]

    @task.external_python(
        python=PYTHON,
        expect_airflow=False,
        retries=2,
        retry_delay=timedelta(minutes=10),
        retry_exponential_backoff=True,
        max_active_tis_per_dagrun=AT_ONCE,
    )
    def sync(home: str, group: str) -> int:
        """All accounts of a group, into a database of its own, which keeps its state as well; how many records came."""
        import json
        import os
        from pathlib import Path

        import airbyte as ab

        stored = Path(home) / "config.json"

        def keep_token(config: dict) -> None:
            new = stored.with_suffix(f".{os.getpid()}")
            new.touch(mode=0o600)
            new.write_text(json.dumps({**json.loads(stored.read_text()), "access_token": config["access_token"]}))
            new.replace(stored)  # in one step, because groups run side by side

        source = ab.get_source(
            "source-instagram",
            local_executable="source-instagram",
            config={**json.loads(stored.read_text()), **json.loads(Path(group).read_text())},
            config_change_callback=keep_token,
            streams="*",
        )
        result = source.read(cache=ab.DuckDBCache(db_path=Path(home) / f"{Path(group).stem}.duckdb"))
        return result.processed_records

    sync.partial(home=str(HOME)).expand(group=groups())


instagram()
