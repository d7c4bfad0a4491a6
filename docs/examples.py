"""One record of each stream, from a sync of the sandbox.

The sandbox's world and the connector's clock stand at the same day, so that the same code gives the same records on
every day. `python -m docs.examples read …` is the connector with that clock.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from freezegun import freeze_time

from sandbox import Sandbox
from source_instagram.run import run

ROOT = Path(__file__).parents[1]
NOW = "2026-06-15T12:00:00Z"
START = "2026-06-08T00:00:00Z"  # within the last 30 days, so that no metric of a day is too old
WORLD: dict[str, Any] = {
    "accounts": 1,
    "portfolio_accounts": 0,
    "media": 12,
    "children": 2,
    "stories": 6,
    "tags": 6,
    "comments": 2,
    "days": 60,
    "rival_media": 9,
    "hashtag_media": 9,
}
OTHERS = {"discover_usernames": ["bluebottle"], "hashtags": ["coffee"]}  # with which all streams are there
TELLING = {
    "media": "children",
    "comments": "parent_id",
    "discovered_media": "view_count",
    "hashtag_media": "children",
}  # what the example of a stream should have
LONG_QUERY = re.compile(r"\?[^\s\"]{80,}")

Record = dict[str, Any]


def examples(streams: Iterable[Any]) -> dict[str, str]:
    """The example of each stream as JSON, of a sync of all of them."""
    catalog: dict[str, Any] = {
        "streams": [
            {
                "stream": {
                    "name": stream.name,
                    "json_schema": stream.json_schema,
                    "supported_sync_modes": ["full_refresh"],
                },
                "sync_mode": "full_refresh",
                "destination_sync_mode": "append",
            }
            for stream in streams
        ]
    }
    found: dict[str, list[Record]] = {entry["stream"]["name"]: [] for entry in catalog["streams"]}
    for message in synced(catalog):
        if message["type"] == "RECORD":
            found[message["record"]["stream"]].append(message["record"]["data"])
    return {name: written(example(records, TELLING.get(name))) for name, records in found.items()}


def synced(catalog: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a sync on the day of the examples."""
    with Sandbox(now=NOW, **WORLD) as sandbox, tempfile.TemporaryDirectory() as folder:
        sandbox.set_usage(mode="missing")  # no limit is near, so nothing waits
        files = {"config": {"access_token": sandbox.token, "start_date": START, **OTHERS}, "catalog": catalog}
        arguments = [sys.executable, "-m", "docs.examples", "read"]
        for name, content in files.items():
            path = Path(folder) / f"{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            arguments += [f"--{name}", str(path)]
        read = subprocess.run(  # noqa: S603 - our own program
            arguments, cwd=ROOT, env={**os.environ, **sandbox.env}, capture_output=True, text=True, check=False
        )
    if read.returncode:
        raise SystemExit(f"The sync for the examples failed. {read.stderr or read.stdout[-2000:]}")
    return [json.loads(line) for line in read.stdout.splitlines()]


def example(records: Iterable[Record], telling: str | None = None) -> Record:
    """The record that shows most: with the most columns, of these one of the shorter ones, and always the same."""
    shown = [record for record in records if not telling or record.get(telling)]
    return min(shown, key=lambda record: (-_columns(record), len(written(record)) // 100, written(record)))


def _columns(record: Record) -> int:
    return sum(value is not None for value in record.values())


def written(record: Record) -> str:
    """A record as JSON, a line for each column and for each item of a list. Signatures of addresses are cut."""
    lines = ",\n".join(f"  {_json(name)}: {_column(value)}" for name, value in record.items())
    return LONG_QUERY.sub("?…", f"{{\n{lines}\n}}")


def _column(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"    {_json(item)}" for item in value) + "\n  ]"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    with freeze_time(NOW, tick=True):
        run()
