"""Make the SQL models of the connector's tables and test them, or make a report of the models."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import duckdb

import demo
from environments import Missing
from warehouse import dbt, postgres, raw


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m warehouse", description=__doc__)
    root.add_argument("what", choices=["models", "report"])
    root.add_argument(
        "--database", type=Path, default=demo.DATABASE, help="a DuckDB file with the tables (default: the demo's)"
    )
    root.add_argument(
        "--page", type=Path, default=demo.REPORT, help="where the report goes (default: demo/report.html)"
    )
    return root


def has(database: Path, schema: str, table: str) -> bool:
    """Whether there is such a table."""
    if not database.exists():
        return False
    with duckdb.connect(str(database), read_only=True) as connection:
        known = "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"
        return bool(connection.execute(known, [schema, table]).fetchall()[0][0])


def make(database: Path) -> None:
    """Make the models in DuckDB, of the demo's tables when there are none yet."""
    if database == demo.DATABASE and not has(database, raw.SCHEMA, "users"):
        demo.gather(database)
    print(dbt.build_in_duckdb(database), flush=True)


def main() -> None:
    given = parser().parse_args()
    if given.what == "models":
        make(given.database)
        with tempfile.TemporaryDirectory(prefix="instagram-tables-") as folder, postgres.serving() as server:
            postgres.copy(given.database, server, Path(folder))
            print(postgres.build(server))
        return
    if not has(given.database, "main", "account_days"):
        make(given.database)
    given.page.parent.mkdir(exist_ok=True)
    print(f"{given.page} and {dbt.report(given.database, given.page)}")


if __name__ == "__main__":
    try:
        main()
    except (demo.Failure, raw.Doubled, dbt.Failed, Missing) as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit(130)
