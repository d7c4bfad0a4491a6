"""The connector's tables as Airbyte's destinations write them, in a DuckDB file: each sync is appended to them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb

SCHEMA = "raw"
TYPES = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "object": "JSON", "array": "JSON"}
FORMATS = {"date-time": "TIMESTAMPTZ", "date": "DATE"}
ADDED = {
    "_airbyte_raw_id": "VARCHAR",
    "_airbyte_extracted_at": "TIMESTAMPTZ",
    "_airbyte_meta": "JSON",
    "_airbyte_generation_id": "BIGINT",
}
MEANINGS = {"_airbyte_extracted_at": "When the connector read the record."}


class Doubled(Exception):  # noqa: N818 - a sentence
    """Two records of one sync have the same primary key."""


def row(message: dict[str, Any], sync: int) -> str:
    """A RECORD message as a line of JSON, with the columns that a destination adds."""
    read = datetime.fromtimestamp(message["record"]["emitted_at"] / 1000, timezone.utc)
    added = {
        "_airbyte_raw_id": str(uuid.uuid4()),
        "_airbyte_extracted_at": read.isoformat(),
        "_airbyte_meta": {"sync_id": sync, "changes": []},
        "_airbyte_generation_id": 0,
    }
    return json.dumps(message["record"]["data"] | added)


def column_type(schema: dict[str, Any]) -> str:
    """The database's type for a column: `{"type": ["integer", "null"]}` gives BIGINT."""
    kinds = schema.get("type", "string")
    kind = next(kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null")
    return FORMATS.get(schema.get("format", ""), "VARCHAR") if kind == "string" else TYPES[kind]


def columns(stream: dict[str, Any]) -> dict[str, str]:
    """The columns of a stream's table with their types."""
    return {name: column_type(kind) for name, kind in stream["json_schema"]["properties"].items()} | ADDED


def append(database: Path, streams: Iterable[dict[str, Any]], folder: Path) -> dict[str, int]:
    """Append the rows of one sync, a file of JSON lines for each stream; gives how many there are of each.

    Raises:
        Doubled: Two of them have the same primary key.
    """
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        return {stream["name"]: _append(connection, stream, folder) for stream in streams}


def _append(connection: duckdb.DuckDBPyConnection, stream: dict[str, Any], folder: Path) -> int:
    name, types = stream["name"], columns(stream)
    table = f"{SCHEMA}.{quoted(name)}"
    declared = ", ".join(f"{quoted(column)} {kind}" for column, kind in types.items())
    key = ", ".join(quoted(part) for (part,) in stream["source_defined_primary_key"])
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({declared})")
    connection.execute(f"CREATE TEMP TABLE arrived ({declared}, PRIMARY KEY ({key}))")
    try:
        connection.execute(
            "INSERT INTO arrived SELECT * FROM read_json($file, format = 'newline_delimited', columns = $columns)",
            {"file": str(folder / f"{name}.jsonl"), "columns": types},
        )
    except duckdb.ConstraintException as error:
        raise Doubled(f"Two records of {name} have the same primary key. {error}") from error
    for column, text in descriptions(stream).items():
        connection.execute(f"COMMENT ON COLUMN {table}.{quoted(column)} IS '{text}'")
    connection.execute(f"INSERT INTO {table} SELECT * FROM arrived")  # noqa: S608 - the names are our schemas'
    arrived = connection.execute("SELECT count(*) FROM arrived").fetchall()[0][0]
    connection.execute("DROP TABLE arrived")
    return int(arrived)


def descriptions(stream: dict[str, Any]) -> dict[str, str]:
    """What each column says of itself, as SQL writes a text."""
    told = dict(MEANINGS)
    for column, schema in stream["json_schema"]["properties"].items():
        unit = f" ({schema['unit']})" if "unit" in schema else ""
        told[column] = f"{schema.get('description', '')}{unit}"
    return {column: text.replace("'", "''") for column, text in told.items()}


def quoted(name: str) -> str:
    """A name as SQL wants it where it may be one of its own words."""
    return '"' + name.replace('"', '""') + '"'
