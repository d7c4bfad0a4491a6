"""Measure a first sync: requests, Graph calls, seconds and memory of the connector against a sandbox with latency."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.connector import ROOT, Connector, StreamProgress, Sync, chosen, discovered
from bench.ledger import Ledger
from bench.text import table
from sandbox import Options, World

# Airbyte's connector 4.2.27 with 15 workers, measured on another machine; it reads 30 days of insights, we two years.
PEER = {"accounts": 3, "media": 300, "latency": 100, "requests": 4936, "seconds": 195.0}
MOST_REQUESTS = 500  # that a first sync of this size may need


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    root.add_argument("--accounts", type=int, default=PEER["accounts"])
    root.add_argument("--media", type=int, default=PEER["media"], help="per account, a third of them albums of 6")
    root.add_argument("--latency", type=int, default=PEER["latency"], metavar="MS", help="before every answer")
    root.add_argument("--streams", type=lambda text: text.split(","), metavar="A,B", help="only these streams")
    root.add_argument("--workers", type=int, help="num_workers in the configuration")
    return root


class RemoteSandbox:
    """A sandbox in a process of its own, so that its work is not counted as the connector's."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait until it says where it listens."""
        lines = iter(process.stdout or ())
        url = urlsplit(next((line for line in lines if "HTTPS_PROXY=" in line), "").strip().partition("=")[2])
        if not url.port:
            raise SystemExit("The sandbox did not start.")
        self.address = (str(url.hostname), url.port)
        next(line for line in lines if "control plane" in line)

    def ask(self, path: str) -> Any:
        """What its control plane tells."""
        connection = HTTPConnection(*self.address)
        try:
            connection.request("GET", f"/_sandbox/{path}")
            return json.load(connection.getresponse())
        finally:
            connection.close()


@contextmanager
def serving(world: dict[str, int], latency: int) -> Iterator[RemoteSandbox]:
    """Run a sandbox."""
    options = [part for name, value in world.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "sandbox", "serve", "--latency", str(latency / 1000), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603
        try:
            yield RemoteSandbox(process)
        finally:
            process.terminate()


def read(connector: Connector, wanted: list[str] | None) -> Sync:
    """Run a first sync of the wanted streams."""
    streams = discovered(connector.messages("discover"))
    if unknown := sorted(set(wanted or []) - {stream["name"] for stream in streams}):
        raise SystemExit(f"discover has no stream {', '.join(unknown)}.")
    streams = [stream for stream in streams if wanted is None or stream["name"] in wanted]
    print(f"Syncing {len(streams)} streams …", flush=True)
    sync = Sync({stream["name"]: StreamProgress() for stream in streams})
    for message in connector.messages("read", catalog=chosen(streams)):
        sync.take(message)
    return sync


def report(connector: Connector, sync: Sync, ledger: Ledger, *, like_the_peer: bool) -> None:
    """Print what was measured."""
    usage = connector.usage
    if usage is None:
        raise RuntimeError("Nothing was run.")
    peer: dict[str, Any] = {"HTTP requests": PEER["requests"], "wall seconds": PEER["seconds"]} if like_the_peer else {}
    head = ["first sync", "this", *(["Airbyte's 4.2.27 *"] if peer else [])]
    figures = {
        "HTTP requests": ledger.requests.total(),
        "Graph calls": ledger.calls.total(),
        "requests for single children": len(ledger.singly),
        "records": sum(told.records for told in sync.streams.values()),
        "wall seconds": round(usage.seconds, 1),
        "CPU seconds": round(usage.cpu_seconds, 1),
        "peak memory, MiB": round(usage.peak_bytes / 2**20),
    }
    print()
    print(
        table(head, [[name, value, *([peer.get(name, 0) or "-"] if peer else [])] for name, value in figures.items()])
    )
    if peer:
        print("\n  * its 8 streams with 30 days of daily insights and 15 workers, measured on another machine")
    print()
    edges = sorted(ledger.calls, key=lambda edge: -ledger.calls[edge])
    print(
        table(
            ["edge", "requests", "graph calls"], [[edge, ledger.requests[edge], ledger.calls[edge]] for edge in edges]
        )
    )
    print()
    lines = [
        [
            name,
            told.records,
            ledger.stream_requests[name],
            ledger.stream_calls[name],
            round(told.seconds, 1),
            told.status,
        ]
        for name, told in sync.streams.items()
    ]
    print(table(["stream", "records", "requests", "graph calls", "seconds", "status"], lines))
    print()


def main() -> int:
    given = parser().parse_args()
    world = {"accounts": given.accounts, "media": given.media, "albums": given.media // 3, "children": 6, "stories": 5}
    print(
        f"{given.accounts} accounts with {given.media} media ({world['albums']} albums of {world['children']}) "
        f"and {world['stories']} stories each, {given.latency} ms latency, two years of daily insights."
    )
    with tempfile.TemporaryDirectory(prefix="instagram-bench-") as folder, serving(world, given.latency) as sandbox:
        env = sandbox.ask("env")
        config = {"access_token": env.pop("token"), **({"num_workers": given.workers} if given.workers else {})}
        env.pop("instagram_token")
        connector = Connector(config, env, Path(folder))
        sync = read(connector, given.streams)
        ledger = Ledger(sandbox.ask("requests"), World(Options(**world)))
        same_size = all(getattr(given, name) == PEER[name] for name in ("accounts", "media", "latency"))
        report(connector, sync, ledger, like_the_peer=same_size and given.streams is None)
        problems = [f"{name} did not end COMPLETE." for name in sync.unfinished] + sync.errors
        if connector.usage and connector.usage.exit_code and not problems:
            problems = [f"The connector ended with {connector.usage.exit_code}. {connector.stderr()[-500:]}"]
    if ledger.singly:
        problems.append(f"Children of albums were requested singly: {', '.join(ledger.singly[:3])} …")
    if same_size and ledger.requests.total() > MOST_REQUESTS:
        problems.append(f"More than {MOST_REQUESTS} requests.")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
