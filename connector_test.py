"""Airbyte's own tests of connectors, against a local Instagram: `python -m connector_test [FOLDER]`.

FOLDER holds a manifest and its components; without one the package is tested. Either is copied into a folder of its own
first, for the CDK's command wants the connector's name of it, and leaves its results there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from sandbox import Sandbox

ROOT = Path(__file__).resolve().parent
NAME = "source-instagram"
BOTH = ("metadata.yaml", "acceptance-test-config.yml")
PACKAGE = ("pyproject.toml", "source_instagram")
DAYS = 7  # of insights
WORLD: dict[str, Any] = {"accounts": 2, "media": 12, "albums": 2, "stories": 2, "comments": 2, "tags": 4}
# Those of images build one, for which Airbyte's templates are fetched, and would have to find the sandbox from inside.
CHOSEN = ("--pytest-arg", "-m", "--pytest-arg", "not image_tests")


def main(arguments: list[str]) -> int:
    """Run them; the exit status of the CDK's command."""
    with tempfile.TemporaryDirectory() as home, Sandbox(**WORLD) as box:
        connector = Path(home) / NAME
        lay_out(connector, Path(arguments[0]) if arguments else None)
        write_secrets(connector / "secrets", box.token)
        command = [str(Path(sys.executable).with_name("airbyte-cdk")), "connector", "test", str(connector), *CHOSEN]
        env = {"SOURCE_INSTAGRAM_TEMPO": "0.001"} | os.environ | box.env
        return subprocess.run(command, env=env, check=False).returncode  # noqa: S603 - the CDK's


def lay_out(connector: Path, bundle: Path | None) -> None:
    """Copy a connector as the CDK expects it: the package, or a manifest with its components."""
    connector.mkdir()
    for name in (*BOTH, *(() if bundle else PACKAGE)):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, connector / name)
    if bundle:
        shutil.copytree(bundle, connector, dirs_exist_ok=True)
        metadata = connector / "metadata.yaml"
        text = metadata.read_text(encoding="utf-8")
        metadata.write_text(text.replace("language:python", "language:manifest-only"), encoding="utf-8")


def write_secrets(folder: Path, token: str) -> None:
    """The files that acceptance-test-config.yml names."""
    start = datetime.now(timezone.utc) - timedelta(days=DAYS)
    config = {"access_token": token, "start_date": f"{start:%Y-%m-%dT00:00:00Z}"}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "invalid_config.json").write_text(json.dumps({"access_token": "no token"}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
