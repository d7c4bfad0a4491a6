"""Runs a first sync and the next day's of a world, and tells what they cost."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from bench import peer
from bench.connector import OURS, Connector, StreamProgress, Sync, chosen, discovered
from bench.ledger import Ledger
from bench.remote import RemoteSandbox, serving
from bench.worlds import DAILY, FIRST, PEERS_LATENCY, TINY, Setting, limits
from sandbox import Options, World
from sandbox.figures import DAY

T = TypeVar("T")
Figures = dict[str, float]
CDK = "airbyte_cdk.entrypoint, airbyte_cdk.sources.declarative.concurrent_declarative_source"
OTHERS = {"discover_usernames", "hashtags"}  # keys with which there are more streams
EVERY = 10  # seconds between two lines of progress
BUSY = 0.7  # of the time that passed: more, and the sandbox was what everything waited for


@dataclass(frozen=True)
class Subject:
    """A connector that is measured."""

    name: str
    program: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)


THIS = Subject("this", OURS)
PEER = Subject("peer", (str(peer.PROGRAM),), {**peer.SECRETS, "num_workers": peer.WORKERS})


@dataclass
class Row:
    """What one sync cost one connector: the medians of several runs, and what went wrong."""

    world: str
    latency: int
    sync: str
    who: str
    figures: Figures
    runs: int = 1
    edges: dict[str, int] = field(default_factory=dict)  # the calls of the last run, by edge
    problems: list[str] = field(default_factory=list)


STREAMS: dict[str, list[dict[str, Any]]] = {}  # of each subject, by the keys that make a difference


def _streams(subject: Subject, connector: Connector, setting: Setting) -> list[dict[str, Any]]:
    about = f"{subject.name} {sorted(OTHERS & setting.config.keys())}"
    if about not in STREAMS:
        STREAMS[about] = discovered(connector.messages("discover"))
    return STREAMS[about]


@dataclass
class Lab:
    """Where syncs of one world are run at one latency."""

    setting: Setting
    latency: int
    sandbox: RemoteSandbox
    folder: Path
    now: datetime
    tell: Callable[[str], None]

    @cached_property
    def env(self) -> dict[str, str]:
        env: dict[str, str] = self.sandbox.ask("env")
        return env

    def connector(self, subject: Subject) -> Connector:
        """A connector, connected to the sandbox."""
        if subject is PEER:
            peer.trust(Path(self.env["REQUESTS_CA_BUNDLE"]))
        env = {name: value for name, value in self.env.items() if not name.endswith("token")}
        ours = self.setting.config if subject is THIS else {}
        config = {"access_token": self.env["token"], **ours, **subject.config}
        return Connector(config, env, self.folder, subject.program)

    def rows(self, subject: Subject, runs: int, *, daily: bool = True) -> list[Row]:
        """First syncs, each followed by the next day's."""
        connector = self.connector(subject)
        streams = _streams(subject, connector, self.setting)
        if subject is THIS:
            streams = [stream for stream in streams if stream["name"] in self.setting.streams]
        found: dict[str, list[tuple[Figures, Sync]]] = {FIRST: [], DAILY: []}
        for run in range(runs):
            self.sandbox.tell("reset")
            label = f"{subject.name}, run {run + 1} of {runs}"
            found[FIRST].append(self.read(connector, streams, [], f"{label}, first sync"))
            if daily:
                self.sandbox.tell("now", now=(self.now + DAY).isoformat())
                state = list(found[FIRST][-1][1].states.values())
                found[DAILY].append(self.read(connector, streams, state, f"{label}, a day later"))
        parts = apart(calls_by_edge, self.setting, self.now, self.sandbox.address, int(found[FIRST][-1][0]["requests"]))
        return [self._row(subject, sync, results, parts[sync]) for sync, results in found.items() if results]

    def _row(self, subject: Subject, sync: str, results: list[tuple[Figures, Sync]], edges: dict[str, int]) -> Row:
        figures = {name: median(each[name] for each, _ in results) for name in results[0][0]}
        problems = [problem for _, each in results for problem in (*each.unfinished, *each.errors)]
        unique = list(dict.fromkeys(problems))
        return Row(self.setting.name, self.latency, sync, subject.name, figures, len(results), edges, unique)

    def read(
        self, connector: Connector, streams: list[dict[str, Any]], state: list[dict[str, Any]], label: str
    ) -> tuple[Figures, Sync]:
        """Sync once."""
        sync = Sync({stream["name"]: StreamProgress() for stream in streams})
        before, load = self.sandbox.ask("counts"), self.sandbox.ask("load")
        files = {"catalog": chosen(streams), **({"state": state} if state else {})}
        for message in self._watched(connector.messages("read", **files), sync, label):
            sync.take(message)
        after, loaded, usage = self.sandbox.ask("counts"), self.sandbox.ask("load"), connector.usage
        assert usage is not None  # noqa: S101 - it has run
        if usage.exit_code and not sync.errors:
            sync.errors.append(f"It ended with {usage.exit_code}. {connector.stderr()[-300:]}")
        records = sum(told.records for told in sync.streams.values())
        return {
            "requests": after["http_requests"] - before["http_requests"],
            "calls": after["graph_calls"] - before["graph_calls"],
            "seconds": usage.seconds,
            "cpu": usage.cpu_seconds,
            "peak": usage.peak_bytes / 2**20,
            "records": records,
            "rate": records / usage.seconds,
            "busy": (loaded["cpu_seconds"] - load["cpu_seconds"]) / usage.seconds,
        }, sync

    def _watched(self, messages: Iterator[dict[str, Any]], sync: Sync, label: str) -> Iterator[dict[str, Any]]:
        """The messages, with a line now and then of how far the sync is."""
        began = last = time.monotonic()
        for message in messages:
            yield message
            if time.monotonic() - last > EVERY:
                last = time.monotonic()
                records = sum(told.records for told in sync.streams.values())
                calls = self.sandbox.ask("counts")["graph_calls"]
                self.tell(f"    {label}: {records:,} records, {calls:,} calls, {last - began:.0f} s")


def apart(task: Callable[..., T], *arguments: Any) -> T:
    """Do something in a process of its own: a child's peak memory counts that of the process which began it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()


def calls_by_edge(setting: Setting, now: datetime, address: str, first: int) -> dict[str, dict[str, int]]:
    """Where the calls of the first sync went, which are in as many requests, and those of the one after it."""
    world = World(Options(**setting.world, now=now.isoformat()))
    world.set_now(now + DAY)
    for name in setting.config.get("hashtags", ()):
        world.hashtag(name)  # which are there once they were searched
    log = RemoteSandbox(address).ask("requests")
    return {sync: dict(Ledger(part, world).calls) for sync, part in ((FIRST, log[:first]), (DAILY, log[first:]))}


def measured(
    setting: Setting, latency: int, runs: int, *, with_peer: bool, tell: Callable[[str], None] = print
) -> list[Row]:
    """What a world costs this connector, the peer, and at least.

    The next day is one by the sandbox's clock. The connectors keep the machine's, and ask for no newer day.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    tell(f"{setting.name}: {setting.about}; {latency} ms latency")
    rows = []
    for sync, least in apart(limits, setting, now).items():
        figures: Figures = {"requests": least.requests, "calls": least.calls, "waits": least.waits}
        rows.append(Row(setting.name, latency, sync, "least", figures, edges=least.edges))
    with (
        tempfile.TemporaryDirectory(prefix="instagram-bench-") as folder,
        serving({**setting.world, "now": now.isoformat()}, latency) as sandbox,
    ):
        lab = Lab(setting, latency, sandbox, Path(folder), now, tell)
        rows += lab.rows(THIS, runs)
        if with_peer and setting.peer and latency == PEERS_LATENCY:
            rows += lab.rows(PEER, 1, daily=DAILY in setting.peer)
    return rows


def idle(runs: int) -> Row:
    """What the process costs by itself: a sync of the list of accounts."""
    setting = Setting("idle", TINY.about, TINY.options, streams=("accounts",))
    with tempfile.TemporaryDirectory(prefix="instagram-bench-") as folder, serving(setting.world) as sandbox:
        lab = Lab(setting, 0, sandbox, Path(folder), datetime.now(timezone.utc), print)
        row = lab.rows(THIS, runs, daily=False)[0]
    row.figures["import"] = median(_importing() for _ in range(runs))
    return row


def _importing() -> float:
    """Seconds that the CDK takes to be there, whoever uses it."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", f"import {CDK}"], check=True)  # noqa: S603 - our own program
    return time.monotonic() - began
