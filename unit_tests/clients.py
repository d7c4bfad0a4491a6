"""Programs of other environments that run the connector: PyAirbyte and engines, step by step, and what they stored."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from harness import ROOT, SCHEMAS, TEMPO
from law import Key, different
from oracle import Record, keyed, rfc3339

from bench.clock import NOW
from environments import environment
from sandbox import Sandbox

REQUIREMENTS = (ROOT / "examples" / "dagster" / "requirements.txt").read_text(encoding="utf-8").split()
OLD_ENOUGH = sys.version_info < (3, 13)  # PyAirbyte has no release for later ones
# The connector as a user installs it, at the moment that a file tells. With KEEP what it always says is asked once.
PROGRAM = f"""#!/bin/sh
here=$(dirname "$0")
export {NOW}=$(cat "$here/now")
run() {{ "{sys.executable}" "{ROOT / "bench" / "clock.py"}" "$@"; }}
case "$KEEP$1" in
    1spec | 1discover) test -e "$here/$1" || run "$@" >"$here/$1"; cat "$here/$1" ;;
    *) run "$@" ;;
esac
"""
# Runs a piece of code once for each line that it is given.
STEPS = """
import sys
code = compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec")
for line in sys.stdin:
    exec(code, {"__name__": "__main__"})
    print("DONE", flush=True)
"""
PATIENCE = 120  # seconds for one step


@dataclass
class Client:
    """A folder with the connector's program, and a process beside it that runs code again and again."""

    box: Sandbox
    folder: Path
    process: subprocess.Popen[str]

    def step(self) -> list[str]:
        """Run the code once, at the present moment of the sandbox; what it printed."""
        (self.folder / "bin" / "now").write_text(self.box.world.now().isoformat(), encoding="utf-8")
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            if line == "DONE\n":
                return printed
            printed.append(line.rstrip("\n"))
        raise AssertionError("\n".join([*printed, (self.folder / "stderr.txt").read_text(encoding="utf-8")[-4000:]]))


@contextmanager
def client(box: Sandbox, folder: Path, code: str, env: Mapping[str, str] | None = None) -> Iterator[Client]:
    """Code for PyAirbyte or an engine, with a sandbox for Meta; `bin/source-instagram` is ours."""
    python = environment("engines", *REQUIREMENTS) / "bin" / "python"
    (folder / "bin").mkdir()
    (folder / "steps.py").write_text(code, encoding="utf-8")
    program = folder / "bin" / "source-instagram"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    quiet = {"AIRBYTE_OFFLINE_MODE": "1", "AIRBYTE_LOGGING_ROOT": str(folder), "SOURCE_INSTAGRAM_TEMPO": TEMPO}
    path = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    with (
        (folder / "stderr.txt").open("w") as stderr,
        subprocess.Popen(  # noqa: S603 - our own code
            [str(python), "-W", "ignore", "-c", STEPS, "steps.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder,
            env={**os.environ, **box.env, **quiet, **path, **(env or {})},
        ) as process,
    ):  # fmt: skip
        try:
            yield Client(box, folder, process)
        finally:
            process.kill()


@contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of a database that another process holds."""
    with tempfile.TemporaryDirectory() as folder:
        for file in database.parent.glob(f"{database.name}*"):  # what is not in the file yet stands in its .wal
            shutil.copy(file, folder)
        with duckdb.connect(str(Path(folder) / database.name)) as connection:
            yield connection


def stored(database: Path, stream: str) -> list[Record]:
    """The records of a table that PyAirbyte wrote."""
    with opened(database) as connection:
        found = connection.execute(f"SELECT COLUMNS('^[^_]') FROM {stream}")  # noqa: S608 - our own streams
        names = [column[0] for column in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [{name: told(stream, name, value) for name, value in row.items()} for row in rows]


def told(stream: str, name: str, value: Any) -> Any:
    """What the connector said, of what a database made of it."""
    if isinstance(value, datetime):
        return rfc3339(value.replace(tzinfo=timezone.utc))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    kinds = SCHEMAS[stream]["properties"][name]["type"]
    return json.loads(value) if isinstance(value, str) and {"object", "array"} & {*kinds} else value


def unequal(database: Path, expected: Mapping[str, Mapping[Key, Record]]) -> list[str]:
    """In what the tables differ from records by their keys."""
    found = []
    for stream, world in expected.items():
        came = keyed(stream, stored(database, stream))
        found += [f"{stream}: {key} is in one only" for key in sorted(came.keys() ^ world.keys(), key=str)]
        found += different(stream, came, world, ())
    return found


def days_written(database: Path, stream: str, since: datetime) -> list[datetime]:
    """The days of a stream that were read since a moment, by the connector's clock."""
    with opened(database) as connection:
        found = connection.execute(
            f"SELECT date FROM {stream} WHERE _airbyte_extracted_at > $since ORDER BY date",  # noqa: S608 - our own streams
            {"since": since.replace(tzinfo=None)},
        )
        return [day.replace(tzinfo=timezone.utc) for (day,) in found.fetchall()]
