"""PyAirbyte runs the connector as the README says, into DuckDB."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from clients import OLD_ENOUGH, client, days_written, unequal
from harness import ROOT, STREAMS
from oracle import Oracle, keyed

from sandbox import Sandbox

README = (ROOT / "README.md").read_text(encoding="utf-8")
WORLD: dict[str, Any] = {
    "accounts": 2, "portfolio_accounts": 0, "media": 12, "albums": 3, "children": 2, "upcoming": 8, "stories": 3,
    "tags": 5, "days": 14,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not OLD_ENOUGH, reason="PyAirbyte needs Python 3.12 or older")
def test_all_streams_twice_as_the_readme_says(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    code = code.replace(".venv/bin/source-instagram", "bin/source-instagram")
    with Sandbox(**WORLD) as box:
        first_day = box.world.now()
        box.set_now(first_day)
        config = {
            "access_token": box.tokens.mint(age=timedelta(days=45)).text, "client_id": box.app_id,
            "client_secret": box.app_secret, "start_date": f"{first_day - timedelta(days=15):%Y-%m-%dT00:00:00Z}",
        }  # fmt: skip
        home = tmp_path / "secrets"
        home.mkdir()
        (home / "config.json").write_text(json.dumps(config), encoding="utf-8")

        with client(box, tmp_path, code) as pyairbyte:
            pyairbyte.step()
            start = (first_day - timedelta(days=15)).replace(hour=0, minute=0, second=0)
            oracle = Oracle(box.world, start, polls=True)
            expected = {stream: keyed(stream, oracle.records(stream)) for stream in STREAMS}
            assert unequal(tmp_path / "instagram.duckdb", expected) == []

            # The token was to end within 20 days: it is extended once, and the new one is what is stored.
            kept = json.loads((home / "config.json").read_text(encoding="utf-8"))
            assert kept == {**config, "access_token": kept["access_token"]}
            assert box.tokens.known[kept["access_token"]].long_lived
            assert kept["access_token"] != config["access_token"]
            assert sum("oauth/access_token" in request["path"] for request in box.requests) == 1

            box.set_now(first_day + timedelta(days=1))
            pyairbyte.step()
        # Tables keep what full reads do not bring any more: stories that are over, yesterday's audience.
        later = {stream: keyed(stream, Oracle(box.world, start, polls=True).records(stream)) for stream in STREAMS}
        both = {stream: expected[stream] | later[stream] for stream in STREAMS}
        assert unequal(tmp_path / "instagram.duckdb", both) == []
        assert len(later["media"]) > len(expected["media"])
        # The second sync was incremental: it read the days of the look-back and what came after them.
        first_again = days_written(
            tmp_path / "instagram.duckdb", "user_total_insights", first_day + timedelta(hours=12)
        )[0]
        assert first_again >= first_day - timedelta(days=4)
