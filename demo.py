"""Sync every stream from a local sandbox into a DuckDB file, twice, and report what is in it, without a Meta app."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TextIO

import duckdb

from bench.clock import NOW, PROGRAM
from bench.connector import ROOT, Connector, Message, StreamProgress, Sync, chosen, discovered
from bench.ledger import Ledger
from bench.text import table
from environments import Missing
from sandbox import Sandbox
from sandbox.figures import DAY, labels
from warehouse import dbt, raw

DAYS = 90  # of posts and of daily insights; without a start date the connector goes back two years
WORLD: dict[str, Any] = {
    "accounts": 3, "media": 60, "stories": 5, "comments": 3, "tags": 30, "days": DAYS, "growing": 240,
}  # fmt: skip

FOLDER = ROOT / "demo"
DATABASE = FOLDER / "instagram.duckdb"
LOG = FOLDER / "sync.log"
REPORT = FOLDER / "report.html"
QUESTION = "Which kind of post reaches most people, and on which weekday?"
QUERY = """\
SELECT kind, dayname(published_at) AS weekday, count(*) AS posts,
       round(avg(reach))::BIGINT AS reach, round(avg(views))::BIGINT AS views
FROM posts GROUP BY ALL HAVING posts > 2 ORDER BY reach DESC LIMIT 5"""


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


def sync(connector: Connector, streams: list[Message], out: TextIO, state: list[Message] | None = None) -> Sync:
    """Read the streams; the rows of each become a file of JSON lines in the connector's folder."""
    progress = Sync({stream["name"]: StreamProgress() for stream in streams})
    board = Board(progress, out)
    number = 2 if state else 1
    names = [stream["name"] for stream in streams]
    files = {name: (connector.folder / f"{name}.jsonl").open("w", encoding="utf-8") for name in names}
    given = {"catalog": chosen(streams, without=()), **({"state": state} if state else {})}
    try:
        for message in connector.messages("read", **given):
            progress.take(message)
            if message["type"] == "RECORD":
                files[message["record"]["stream"]].write(f"{raw.row(message, number)}\n")
            board.show()
    finally:
        for file in files.values():
            file.close()
    board.show(last=True)
    return progress


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


def check_result(progress: Sync, connector: Connector) -> None:
    """Fail unless every stream is complete."""
    if progress.unfinished or (connector.usage and connector.usage.exit_code):
        names = ", ".join(progress.unfinished) or "none"
        reasons = list(dict.fromkeys(progress.errors))[:3] or [connector.stderr()[-500:]]
        raise Failure(f"Streams that did not end COMPLETE: {names}. {' '.join(reasons)}")


def check_rows(rows: dict[str, int]) -> None:
    """Fail unless every table has rows."""
    if empty := [name for name, count in rows.items() if not count]:
        raise Failure(f"Tables without a row: {', '.join(empty)}. Every stream of the sandbox has records.")


def a_day_passes(sandbox: Sandbox) -> None:
    """It is today: posts have grown, stories have come and gone, people have followed and left, and a post is gone."""
    sandbox.set_now(None)
    world = sandbox.world
    label = labels(world.now() - DAY, world.now())[-1]
    for account in world.accounts:
        gained = world.daily(account, "follower_count", label) - world.daily(account, "unfollows", label)
        followers = account.followers + (0 if account.is_small else gained)
        sandbox.add_fault(kind="edit", path=f"/{account.id}\\?", set={"followers_count": followers})
    blue_cup = world.accounts[0]
    gone = world.media(blue_cup)[4]
    sandbox.add_fault(kind="edit", path=f"/{blue_cup.id}/media", remove=f"data.id={gone.id}")


def gather(database: Path) -> int:
    """Sync yesterday and today into a new database; gives how many remarks the connector had."""
    yesterday = datetime.now(timezone.utc).replace(microsecond=0) - DAY
    start_date = (yesterday - timedelta(days=DAYS)).strftime("%Y-%m-%dT00:00:00Z")
    database.parent.mkdir(exist_ok=True)
    database.unlink(missing_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="instagram-demo-") as name,
        Sandbox(**WORLD, now=yesterday.isoformat()) as sandbox,
    ):
        print(
            f"A local Instagram Graph API with {WORLD['accounts']} accounts of {WORLD['media']} posts each; "
            f"daily insights from {start_date[:10]}."
        )
        others = {"discover_usernames": ["bluebottle", "tea.time_24"], "hashtags": ["coffee", "tea"]}
        config = {"access_token": sandbox.token, "start_date": start_date, **others}
        connector = Connector(config, {**sandbox.env, NOW: yesterday.isoformat()}, Path(name), PROGRAM)
        streams = prepare(connector, sandbox)
        first = sync_first(connector, streams, sandbox, database)
        a_day_passes(sandbox)
        second = sync_again(Connector(config, sandbox.env, Path(name)), streams, sandbox, first, database)
    return len(first.remarks) + len(second.remarks)


def sync_first(connector: Connector, streams: list[Message], sandbox: Sandbox, database: Path) -> Sync:
    """Read everything, and show what it took."""
    print("read", flush=True)
    earlier = sandbox.http_requests
    progress = sync(connector, streams, sys.stdout)
    rows = raw.append(database, streams, connector.folder)
    seconds = connector.usage.seconds if connector.usage else 0.0
    keep_remarks(progress)
    print(f"\n{report(progress, Ledger(sandbox.requests[earlier:], sandbox.world), rows, seconds)}\n")
    check_result(progress, connector)
    check_rows(rows)
    return progress


def sync_again(connector: Connector, streams: list[Message], sandbox: Sandbox, before: Sync, database: Path) -> Sync:
    """Read what is new, and tell what it took."""
    requests, calls = sandbox.http_requests, sandbox.graph_calls
    progress = sync(connector, streams, io.StringIO(), list(before.states.values()))
    rows = raw.append(database, streams, connector.folder)
    keep_remarks(before, progress)
    check_result(progress, connector)
    print(
        f"The same a day later: {sum(rows.values()):,} rows more, {sandbox.http_requests - requests:,} requests, "
        f"{sandbox.graph_calls - calls:,} graph calls.\n"
    )
    return progress


def keep_remarks(*syncs: Sync) -> None:
    """Write down what the connector had to say."""
    LOG.write_text(
        "\n".join([*(line for each in syncs for line in (*each.remarks, *each.errors)), ""]), encoding="utf-8"
    )


def main() -> None:
    """Run the demo."""
    remarks = gather(DATABASE)
    where, log = DATABASE.relative_to(ROOT), LOG.relative_to(ROOT)
    print(f"The connector's tables are in {where}, in the schema {raw.SCHEMA}; {remarks} remarks of it, on what")
    print(f"Instagram would not tell and why, in {log}.\n")
    try:
        stand_on(DATABASE)
    except Missing as missing:
        print(f"The SQL models and the report are left out: they need dbt. {missing}")
        return
    print("Ask your own question (or open the file with any DuckDB client):\n")
    print(f"  .venv/bin/python -c \"import duckdb; duckdb.connect('{where}').sql('FROM posts').show()\"")


def stand_on(database: Path) -> None:
    """Make the models and the report of it, and ask the models a question."""
    print(f"{dbt.build_in_duckdb(database)}\n")
    print(f"{QUESTION}\n\n{QUERY}\n\n{answer(database)}\n")
    picture = dbt.report(database, REPORT)
    print(f"The report, one page that needs no network, is {REPORT.relative_to(ROOT)}, its picture {picture.name}.\n")


if __name__ == "__main__":
    try:
        main()
    except (Failure, raw.Doubled, dbt.Failed) as failure:
        sys.exit(f"The demo failed. {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
