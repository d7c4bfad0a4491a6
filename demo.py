"""Sync every stream from a local sandbox into a DuckDB file and ask it a question, without a Meta app."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TextIO

import duckdb

from bench.connector import ROOT, Connector, StreamProgress, Sync, chosen, discovered
from bench.ledger import Ledger
from bench.text import table
from sandbox import Sandbox

DAYS = 90  # of posts and of daily insights; without a start date the connector goes back two years
WORLD: dict[str, Any] = {"accounts": 3, "media": 60, "stories": 5, "comments": 3, "tags": 30, "days": DAYS}

FOLDER = ROOT / "demo"
DATABASE = FOLDER / "instagram.duckdb"
LOG = FOLDER / "sync.log"
QUESTION = "Which kind of post reaches most people, and on which weekday?"
QUERY = """\
SELECT media_product_type AS product, dayname(m.timestamp) AS weekday, count(*) AS posts,
       round(avg(reach))::BIGINT AS reach, round(avg(views))::BIGINT AS views
FROM media AS m JOIN media_insights AS i USING (id, media_product_type)
GROUP BY ALL HAVING posts > 2 ORDER BY reach DESC LIMIT 5"""
TYPES = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "object": "JSON", "array": "JSON"}
FORMATS = {"date-time": "TIMESTAMPTZ", "date": "DATE"}


class Failure(Exception):  # noqa: N818 - it is what the demo ends with, in a sentence
    """What went wrong, in a sentence for whoever runs the demo."""


class Board:
    """The streams and how far they are: rewritten in place on a terminal, else a line for each stream that ends."""

    def __init__(self, sync: Sync, out: TextIO = sys.stdout) -> None:
        """Show nothing yet."""
        self.sync = sync
        self.out = out
        self.in_place = out.isatty() and shutil.get_terminal_size().lines > len(sync.streams) + 1
        self.drawn = 0
        self.next_draw = 0.0
        self.told: set[str] = set()

    def show(self, *, last: bool = False) -> None:
        """Show what has changed, ten times a second at most."""
        now = time.monotonic()
        if not last and now < self.next_draw:
            return
        self.next_draw = now + 0.1
        width = max(map(len, self.sync.streams))
        lines = {
            name: f"  {name:<{width}}  {progress.status:<10}  {progress.records:>7,} records"
            for name, progress in self.sync.streams.items()
        }
        if self.in_place:
            back = f"\033[{self.drawn}A" if self.drawn else ""
            self.out.write(back + "".join(f"\033[2K{line}\n" for line in lines.values()))
            self.drawn = len(lines)
        else:
            ended = [name for name in lines if last or self.sync.streams[name].status in ("COMPLETE", "INCOMPLETE")]
            self.out.write("".join(f"{lines[name]}\n" for name in ended if name not in self.told))
            self.told.update(ended)
        self.out.flush()


def prepare(connector: Connector, sandbox: Sandbox) -> list[dict[str, Any]]:
    """Run check and discover; gives the streams."""
    answers = [message["connectionStatus"] for message in connector.messages("check") if "connectionStatus" in message]
    if not answers or answers[0]["status"] != "SUCCEEDED":
        raise Failure(f"check failed: {answers[0]['message'] if answers else connector.stderr()}")
    print(f"check     succeeded, {sandbox.http_requests} requests")

    streams = discovered(connector.messages("discover"))
    if not streams:
        raise Failure(f"discover found no streams. {connector.stderr()}")
    print(f"discover  {len(streams)} streams")
    return streams


def sync(connector: Connector, streams: list[dict[str, Any]], folder: Path) -> Sync:
    """Read the streams; the records of each become a file of JSON lines in the folder."""
    print("read", flush=True)
    catalog = chosen(streams)
    progress = Sync({stream["name"]: StreamProgress() for stream in streams})
    board = Board(progress)
    files = {stream["name"]: (folder / f"{stream['name']}.jsonl").open("w", encoding="utf-8") for stream in streams}
    try:
        for message in connector.messages("read", catalog=catalog):
            progress.take(message)
            if message["type"] == "RECORD":
                files[message["record"]["stream"]].write(json.dumps(message["record"]["data"]) + "\n")
            board.show()
    finally:
        for file in files.values():
            file.close()
    board.show(last=True)
    return progress


def column_type(schema: dict[str, Any]) -> str:
    """The database's type for a column: `{"type": ["integer", "null"]}` gives BIGINT."""
    kinds = schema.get("type", "string")
    kind = next(kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null")
    return FORMATS.get(schema.get("format", ""), "VARCHAR") if kind == "string" else TYPES[kind]


def load(streams: list[dict[str, Any]], folder: Path, database: Path) -> dict[str, int]:
    """Make a table of each stream's file, described as its schema describes it; gives the rows of each."""
    rows = {}
    with duckdb.connect(str(database)) as connection:
        for stream in streams:
            name, properties = stream["name"], stream["json_schema"]["properties"]
            columns = {column: column_type(schema) for column, schema in properties.items()}
            key = ", ".join(quoted(part) for (part,) in stream["source_defined_primary_key"])
            declared = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
            connection.execute(f"CREATE TABLE {quoted(name)} ({declared}, PRIMARY KEY ({key}))")
            source = "read_json($file, format = 'newline_delimited', columns = $columns)"
            try:
                connection.execute(
                    f"INSERT INTO {quoted(name)} SELECT * FROM {source}",  # noqa: S608 - the names are our schemas'
                    {"file": str(folder / f"{name}.jsonl"), "columns": columns},
                )
            except duckdb.ConstraintException as error:
                raise Failure(f"Two records of {name} have the same primary key. {error}") from error
            for column, schema in properties.items():
                unit = f" ({schema['unit']})" if "unit" in schema else ""
                text = f"{schema.get('description', '')}{unit}".replace("'", "''")
                connection.execute(f"COMMENT ON COLUMN {quoted(name)}.{quoted(column)} IS '{text}'")
            rows[name] = connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchall()[0][0]  # noqa: S608
    return rows


def quoted(name: str) -> str:
    """A name as SQL wants it where it may be one of its own words."""
    return '"' + name.replace('"', '""') + '"'


def report(progress: Sync, ledger: Ledger, rows: dict[str, int], seconds: float) -> str:
    """The table of streams."""
    lines = [
        [name, rows[name], ledger.stream_requests[name], ledger.stream_calls[name], round(told.seconds, 1), told.status]
        for name, told in progress.streams.items()
    ]
    lines += [
        [name, 0, ledger.stream_requests[name], ledger.stream_calls[name], 0.0, ""]
        for name in sorted(ledger.stream_requests.keys() - progress.streams.keys())
    ]
    totals = [sum(rows.values()), ledger.requests.total(), ledger.stream_calls.total(), round(seconds, 1)]
    return table(["stream", "rows", "requests", "graph calls", "seconds", "status"], [*lines, ["all", *totals, ""]])


def answer(database: Path) -> str:
    """The example query's answer."""
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(QUERY)
        head = [column[0] for column in found.description or ()]
        return table(head, [list(row) for row in found.fetchall()])


def check_result(progress: Sync, rows: dict[str, int], connector: Connector) -> None:
    """Fail unless every stream is complete and every table has rows."""
    if progress.unfinished or (connector.usage and connector.usage.exit_code):
        names = ", ".join(progress.unfinished) or "none"
        reasons = list(dict.fromkeys(progress.errors))[:3] or [connector.stderr()[-500:]]
        raise Failure(f"Streams that did not end COMPLETE: {names}. {' '.join(reasons)}")
    if empty := [name for name, count in rows.items() if not count]:
        raise Failure(f"Tables without a row: {', '.join(empty)}. Every stream of the sandbox has records.")


def main() -> None:
    """Run the demo."""
    start_date = (datetime.now(timezone.utc) - timedelta(days=DAYS)).strftime("%Y-%m-%dT00:00:00Z")
    with tempfile.TemporaryDirectory(prefix="instagram-demo-") as name, Sandbox(**WORLD) as sandbox:
        folder = Path(name)
        print(
            f"A local Instagram Graph API with {WORLD['accounts']} accounts of {WORLD['media']} posts each; "
            f"daily insights from {start_date[:10]}."
        )
        connector = Connector({"access_token": sandbox.token, "start_date": start_date}, sandbox.env, folder)
        streams = prepare(connector, sandbox)
        earlier = sandbox.http_requests
        progress = sync(connector, streams, folder)
        seconds = connector.usage.seconds if connector.usage else 0.0
        ledger = Ledger(sandbox.requests[earlier:], sandbox.world)
        database = folder / "instagram.duckdb"
        rows = load(streams, folder, database)
        FOLDER.mkdir(exist_ok=True)
        shutil.move(database, DATABASE)
        LOG.write_text("\n".join([*progress.remarks, *progress.errors, ""]), encoding="utf-8")
        print(f"\n{report(progress, ledger, rows, seconds)}\n")
        check_result(progress, rows, connector)
    where, log = DATABASE.relative_to(ROOT), LOG.relative_to(ROOT)
    print(f"{QUESTION}\n\n{QUERY}\n\n{answer(DATABASE)}\n")
    print(f"The tables are in {where}. Ask your own question (or open the file with any DuckDB client):\n")
    print(f"  .venv/bin/python -c \"import duckdb; duckdb.connect('{where}').sql('FROM users').show()\"\n")
    print(f"{len(progress.remarks)} remarks of the connector, on what Instagram would not tell and why: {log}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"The demo failed. {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
