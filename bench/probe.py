"""Probe a sandbox in which each rule can be tried, with both logins. `python -m bench.probe`, or `make probe`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.connector import ROOT
from sandbox import Sandbox

WORLD: dict[str, Any] = {"accounts": 1, "media": 18, "stories": 3, "comments": 4, "days": 36}


def main() -> int:
    worst = 0
    with Sandbox(**WORLD, counted_comments="ends") as box, tempfile.TemporaryDirectory() as folder:
        secrets = {"client_id": box.app_id, "client_secret": box.app_secret}
        facebook = {"access_token": box.token, "discover_usernames": ["bluebottle"]}
        for login, own in (("facebook", facebook), ("instagram", {"access_token": box.instagram_token})):
            config = Path(folder) / f"{login}.json"
            config.write_text(json.dumps({"login_type": login, **own, **secrets}), encoding="utf-8")
            command = [sys.executable, str(ROOT / "main.py"), "probe", "--config", str(config), "--code", box.code]
            print(f"\n{login.capitalize()} Login\n", flush=True)
            run = subprocess.run(command, env={**os.environ, **box.env}, check=False)  # noqa: S603 - our own program
            worst = max(worst, run.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
