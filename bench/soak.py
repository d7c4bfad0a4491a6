"""Many accounts, much trouble, nothing lost: `python -m bench.soak`.

Syncs a world twice through the real command line, once without trouble and once with 5 % of all calls going wrong in
every way that the sandbox knows and with throttles of the app and of the accounts, and compares record by record.
Equal are two records that differ in nothing but `_nc_rid`, the parameter of file addresses that Meta makes anew for
each answer, and the day of an audience's snapshot.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.cases import BATCH, BROKEN, GONE, THROTTLES, UNKNOWN, Case, throttled
from bench.connector import Connector, Message, StreamProgress, Sync, chosen, discovered
from bench.reliability import shown, text, the_present
from bench.text import table
from sandbox import Sandbox
from sandbox.faults import Fault

TEMPO = 0.01  # waits are this part of their length
EVERY_CALL = r"/v25"
# What heals by itself when the call is sent again. A stalled answer is late by a quarter of a second.
PASSING: tuple[dict[str, Any], ...] = (
    *BROKEN.values(),
    {"kind": "null_item"},
    {"kind": "stall", "seconds": 0.25},
    {"error": UNKNOWN, "status": 500},
)


@dataclass
class Side:
    """One of the two syncs."""

    records: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    sync: Sync | None = None
    seconds: float = 0.0
    requests: int = 0
    calls: int = 0


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    root.add_argument("--accounts", type=int, default=50)
    root.add_argument("--media", type=int, default=400, help="per account")
    root.add_argument("--days", type=int, default=3, help="of daily insights")
    root.add_argument("--rate", type=float, default=0.05, help="part of the calls that goes wrong")
    root.add_argument("--seed", type=int, default=7, help="of the world and of the trouble")
    root.add_argument("--streams", type=lambda names: names.split(","), metavar="A,B", help="only these streams")
    return root


def trouble(sandbox: Sandbox, rate: float, seed: int) -> list[Fault]:
    """Let everything go wrong at random: passing faults, throttled calls, objects that seem gone for once, batches."""
    faults = [*PASSING, *({"error": throttled(code), "status": (400, 403, 429)[code % 3]} for code in THROTTLES)]
    added = [sandbox.add_fault(path=EVERY_CALL, probability=rate / len(faults), **spec) for spec in faults]
    added += [sandbox.add_fault(path=BATCH, probability=rate / 5, **spec) for spec in BROKEN.values() if "kind" in spec]
    chance = random.Random(seed)
    media = [item.id for account in sandbox.world.accounts for item in sandbox.world.media(account)]
    added += [
        sandbox.add_fault(path=f"/{one}/(insights|comments)", error=GONE, times=1)
        for one in chance.sample(media, min(20, len(media)))
    ]
    for code, scope in ((4, "app"), (80002, "account")):
        sandbox.add_throttle(
            after=1500 if scope == "app" else 300, seconds=0.8, times=3, code=code, scope=scope, regain="fraction"
        )
        sandbox.add_throttle(after=2500 if scope == "app" else 700, seconds=0.8, times=3, code=code, scope=scope)
    return added


def read(connector: Connector, catalog: Message, sandbox: Sandbox, name: str) -> Side:
    """Sync once, and keep of each record only what tells it from others."""
    side = Side()
    sync = side.sync = Sync({})
    cases = {
        each["stream"]["name"]: Case(group="", fault="", stream=each["stream"]["name"]) for each in catalog["streams"]
    }
    for stream in cases:
        sync.streams[stream] = StreamProgress()
    started = time.monotonic()
    before = sandbox.http_requests, sandbox.graph_calls
    last = started
    for message in connector.messages("read", catalog=catalog):
        sync.take(message)
        if message["type"] == "RECORD":
            stream = message["record"]["stream"]
            side.records[stream][hash(text(shown(message["record"]["data"], cases[stream])))] += 1
        if time.monotonic() - last > 10:
            last = time.monotonic()
            done = sum(told.records for told in sync.streams.values())
            print(
                f"  {name}: {done:,} records, {sandbox.graph_calls - before[1]:,} calls, {last - started:.0f} s",
                flush=True,
            )
    side.seconds = time.monotonic() - started
    side.requests, side.calls = sandbox.http_requests - before[0], sandbox.graph_calls - before[1]
    return side


def differences(calm: Side, troubled: Side) -> Iterator[str]:
    """In what the two syncs differ."""
    for stream in calm.records.keys() | troubled.records.keys():
        missing = calm.records[stream] - troubled.records[stream]
        others = troubled.records[stream] - calm.records[stream]
        if missing or others:
            yield f"{stream}: {missing.total()} records are missing, {others.total()} are others or came twice."


def main() -> int:
    given = parser().parse_args()
    now = the_present()
    world = {"accounts": given.accounts, "media": given.media, "seed": given.seed, "portfolio_accounts": 0}
    day = datetime.fromisoformat(now.replace("Z", "+00:00")) - timedelta(days=given.days)
    print(
        f"{given.accounts} accounts with {given.media} media each; {given.rate:.0%} of the calls will go wrong.",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="instagram-soak-") as folder, Sandbox(**world, now=now) as sandbox:
        config = {"access_token": sandbox.token, "start_date": f"{day:%Y-%m-%d}T00:00:00Z"}
        connector = Connector(config, {**sandbox.env, "SOURCE_INSTAGRAM_TEMPO": str(TEMPO)}, Path(folder))
        streams = [
            s for s in discovered(connector.messages("discover")) if given.streams is None or s["name"] in given.streams
        ]
        catalog = chosen(streams)
        for each in catalog["streams"]:
            each["sync_mode"] = (
                "full_refresh"
                if "media" in each["stream"]["name"] or each["stream"]["name"] == "comments"
                else each["sync_mode"]
            )
        calm = read(connector, catalog, sandbox, "without trouble")
        sandbox.reset()
        faults = trouble(sandbox, given.rate, given.seed)
        troubled = read(connector, catalog, sandbox, "with trouble")
        throttled_calls = sandbox.counts["throttled"]
    problems = list(differences(calm, troubled))
    for name, side in (("without", calm), ("with", troubled)):
        if side.sync:
            problems += [f"{stream} did not end COMPLETE {name} trouble." for stream in side.sync.unfinished]
            problems += side.sync.errors
    rows = [
        [
            stream,
            calm.records[stream].total(),
            troubled.records[stream].total(),
            "equal" if calm.records[stream] == troubled.records[stream] else "DIFFERENT",
        ]
        for stream in sorted(calm.records.keys() | troubled.records.keys())
    ]
    print()
    print(table(["stream", "without trouble", "with trouble", ""], rows or [["-", 0, 0, ""]]))
    print()
    figures = [
        ["requests", calm.requests, troubled.requests],
        ["Graph calls", calm.calls, troubled.calls],
        ["seconds", round(calm.seconds), round(troubled.seconds)],
        ["faults", 0, sum(fault.fired for fault in faults)],
        ["throttled calls", 0, throttled_calls],
    ]
    print(table(["", "without trouble", "with trouble"], figures))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
