"""Simulate a first sync and the daily ones after it: what do they cost, and how old does a number get?

A brand's media are spread over ten years. Without `media_refresh_days` an incremental sync reads the young again and
the old never; with it each medium at least once in so many days. Calls are counted as a share of the first sync's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import mean
from typing import Any

from bench.checks import SHARES
from bench.clock import NOW, PROGRAM
from bench.connector import Connector, Message, StreamProgress, Sync, chosen, discovered
from bench.remote import RemoteSandbox, serving
from bench.report import REFRESH
from bench.results import Results
from bench.text import table

STREAMS = {"media": "id", "media_insights": "id", "comments": "media_id"}
TEN_YEARS = 3650
LISTED, UPCOMING = 10_000, 8  # media that Meta lists at most, the newest; and those that are posted meanwhile
BOUNDS = {days: share / 100 for days, share in SHARES.items()}  # of the first sync


@dataclass
class Simulation:
    """One course of days."""

    refresh: int
    calls: list[int] = field(default_factory=list)  # of each day, the first sync's first
    read: dict[tuple[str, str], int] = field(default_factory=dict)  # stream and medium: the last day that gave it
    oldest: dict[str, int] = field(default_factory=dict)  # by stream: days between two reads of a medium, at most
    problems: list[str] = field(default_factory=list)

    def gave(self, stream: str, medium: str, day: int) -> None:
        """A record came."""
        before = self.read.get((stream, medium), day)
        self.oldest[stream] = max(self.oldest.get(stream, 0), day - before)
        self.read[stream, medium] = day

    def end(self) -> None:
        """What was not read since counts until now."""
        day = len(self.calls) - 1
        for stream, medium in list(self.read):
            self.gave(stream, medium, day)

    @property
    def shares(self) -> list[float]:
        """What each later sync cost, of the first."""
        return [calls / self.calls[0] for calls in self.calls[1:]]

    @property
    def failures(self) -> Iterator[str]:
        """What was promised and is not so."""
        yield from dict.fromkeys(self.problems)
        key, bound = f"media_refresh_days {self.refresh}", BOUNDS.get(self.refresh)
        if bound and mean(self.shares) > bound:
            yield f"{key}: a day costs {mean(self.shares):.2%} of the first sync, not {bound:.1%}."
        for stream, days in self.oldest.items() if self.refresh else ():
            if days > self.refresh:
                yield f"{key}: a medium of {stream} was not read for {days} days."


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m bench.refresh", description=__doc__)
    root.add_argument("--media", type=int, default=2000, help="over ten years (default 2000; a big brand has 10000)")
    root.add_argument("--days", type=int, default=91, help="that are simulated (default 91)")
    root.add_argument("--refresh", type=int, action="append", metavar="DAYS", help="default: 0, then 90")
    return root


def simulated(sandbox: RemoteSandbox, folder: Path, start: datetime, days: int, refresh: int) -> Simulation:
    """A sync a day, each from the state of the one before."""
    found = Simulation(refresh)
    sandbox.tell("reset")
    state: list[Message] = []
    streams: list[Message] = []
    for day in range(days + 1):
        now = (start + timedelta(days=day)).isoformat()
        sandbox.tell("now", now=now)
        config = {"access_token": sandbox.tell("tokens")["access_token"], "media_refresh_days": refresh}
        env = {name: value for name, value in sandbox.ask("env").items() if not name.endswith("token")}
        connector = Connector(config, env | {NOW: now}, folder, PROGRAM)
        streams = streams or [each for each in discovered(connector.messages("discover")) if each["name"] in STREAMS]
        state = _sync(found, sandbox, connector, {"catalog": chosen(streams), **({"state": state} if state else {})})
        if day % 10 == 0 or day == days:
            print(f"  media_refresh_days {refresh}, day {day}: {found.calls[-1]:,} calls", flush=True)
    found.end()
    return found


def _sync(found: Simulation, sandbox: RemoteSandbox, connector: Connector, files: dict[str, Any]) -> list[Message]:
    """One day's sync; its state is what comes back."""
    before, day = sandbox.ask("counts")["graph_calls"], len(found.calls)
    sync = Sync({name: StreamProgress() for name in STREAMS})
    for message in connector.messages("read", **files):
        sync.take(message)
        if message["type"] == "RECORD":
            stream, record = message["record"]["stream"], message["record"]["data"]
            found.gave(stream, record[STREAMS[stream]], day)
    found.calls.append(sandbox.ask("counts")["graph_calls"] - before)
    found.problems += [f"Day {day}: {name} did not end COMPLETE." for name in sync.unfinished]
    found.problems += [f"Day {day}: {error}" for error in sync.errors]
    return list(sync.states.values())


def main(argv: list[str] | None = None) -> int:
    given = parser().parse_args(argv)
    start = datetime.now(timezone.utc).replace(microsecond=0)
    media = min(given.media, LISTED - UPCOMING)
    world = {
        "accounts": 1, "portfolio_accounts": 0, "media": media, "albums": media * 2 // 5, "children": 10,
        "days": TEN_YEARS, "upcoming": UPCOMING, "now": start.isoformat(),
    }  # fmt: skip
    print(f"{media:,} media over ten years, a first sync and {given.days} daily ones.", flush=True)
    with tempfile.TemporaryDirectory(prefix="instagram-refresh-") as folder, serving(world) as sandbox:
        courses = [
            simulated(sandbox, Path(folder), start, given.days, refresh) for refresh in given.refresh or list(BOUNDS)
        ]
    rows = [
        [
            course.refresh,
            course.calls[0],
            *(round(100 * of(course.shares), 2) for of in (mean, min, max)),
            *(course.oldest.get(stream, 0) for stream in STREAMS),
        ]
        for course in courses
    ]
    Results.keep_table("refresh", rows)
    print(f"\n{table(REFRESH, rows)}")
    failures = [failure for course in courses for failure in course.failures]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
