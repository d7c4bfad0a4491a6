"""What was measured, as tables for a terminal and as docs/performance.md; and whether it is good enough."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.connector import ROOT
from bench.measure import BUSY, Row
from bench.text import markdown, table
from bench.worlds import BY_NAME, DAILY, FIRST

RESULTS = ROOT / ".bench" / "results.json"
PAGE = ROOT / "docs" / "performance.md"
SHOWN = {
    "requests": "HTTP requests",
    "calls": "Graph calls",
    "seconds": "wall, s",
    "cpu": "CPU, s",
    "peak": "peak memory, MiB",
    "rate": "records a second",
}
HEAD = ["sync", "latency", "", "this", "peer", "of the peer's", "least", "of the least"]
EDGES = ["sync", "Graph calls of", "this", "least", "of the least"]
CALLS, REQUESTS, WALL, MEMORY, TIMES_THE_PEER = 1.15, 1.2, 1.3, 1.25, 40
DAILY_SHARE = 0.012  # of the calls of a first sync of a big brand, without `media_refresh_days`


@dataclass(frozen=True)
class Check:
    """Something that the bench must show."""

    claim: str
    where: str
    found: float
    bound: float
    at_least: bool = False
    form: str = ".2f"

    @property
    def holds(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound


class Results:
    """All that was measured on this machine, the newest of each; kept in a file, because some of it takes long."""

    def __init__(self, rows: Iterable[Row] = (), about: dict[str, Any] | None = None) -> None:
        self.rows: dict[str, Row] = {}
        self.about = about or {}
        self.add(rows)

    @classmethod
    def kept(cls, path: Path | None = None) -> Results:
        """What the file has."""
        path = path or RESULTS
        if not path.exists():
            return cls()
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls([Row(**row) for row in content["rows"]], content["about"])

    def keep(self, path: Path | None = None) -> None:
        path = path or RESULTS
        path.parent.mkdir(exist_ok=True)
        content = {"about": self.about, "rows": [asdict(row) for row in self.rows.values()]}
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows[self._key(row.world, row.latency, row.sync, row.who)] = row

    @staticmethod
    def _key(world: str, latency: int, sync: str, who: str) -> str:
        return f"{world} {latency} {sync} {who}"

    def row(self, world: str, latency: int, sync: str, who: str) -> Row | None:
        return self.rows.get(self._key(world, latency, sync, who))

    def figures(self, world: str, latency: int, sync: str, who: str) -> dict[str, float]:
        """What a sync cost somebody; of the least also the time and the memory that the process needs by itself."""
        row = self.row(world, latency, sync, who)
        figures = dict(row.figures) if row else {}
        if row and who == "least" and (idle := self.idle):
            figures["seconds"] = idle["seconds"] + figures["waits"] * latency / 1000
            figures["peak"] = idle["peak"]
        return figures

    @property
    def idle(self) -> dict[str, float]:
        """What the process costs by itself."""
        row = self.row("idle", 0, FIRST, "this")
        return row.figures if row else {}

    @property
    def syncs(self) -> list[tuple[str, int, str]]:
        """World, latency and kind of each sync that was measured."""
        found = [(row.world, row.latency, row.sync) for row in self.rows.values()]
        order = {name: at for at, name in enumerate(BY_NAME)}
        kinds = (FIRST, DAILY)
        known = {each for each in found if each[0] in order}
        return sorted(known, key=lambda each: (order[each[0]], kinds.index(each[2]), each[1]))

    @property
    def worlds(self) -> list[str]:
        return list(dict.fromkeys(world for world, _, _ in self.syncs))


# -- Tables ------------------------------------------------------------------------------------------------------------


def lines(results: Results, world: str) -> list[list[str]]:
    """The table of a world."""
    found = []
    for name, latency, sync in results.syncs:
        this, peer, least = (results.figures(name, latency, sync, who) for who in ("this", "peer", "least"))
        for figure, title in SHOWN.items() if name == world else ():
            first = figure == next(iter(SHOWN))
            found.append(
                [
                    sync if first else "",
                    f"{latency} ms" if first else "",
                    title,
                    shown(this.get(figure)),
                    shown(peer.get(figure)),
                    ratio(this.get(figure), peer.get(figure)),
                    shown(least.get(figure)),
                    ratio(this.get(figure), least.get(figure)),
                ]
            )
    return found


def where(results: Results, world: str) -> Iterator[list[str]]:
    """Where the calls went, beside where they had to: the same at each latency."""
    for sync in (FIRST, DAILY):
        latency = next((latency for name, latency, kind in results.syncs if (name, kind) == (world, sync)), 0)
        this, least = (results.row(world, latency, sync, who) for who in ("this", "least"))
        if this and least:
            edges = sorted(this.edges | least.edges, key=lambda edge: -this.edges.get(edge, 0))
            for edge in edges:
                calls, fewest = this.edges.get(edge, 0), least.edges.get(edge, 0)
                yield [sync if edge == edges[0] else "", edge, shown(calls), shown(fewest), ratio(calls, fewest)]


def shown(value: float | None) -> str:
    """A number as people read it; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def ratio(value: float | None, of: float | None) -> str:
    """How many times something a number is.

    Before: 49, 4936
    After:  "0.010"
    """
    if value is None or not of:
        return "-"
    times = value / of
    return f"{times:,.0f}" if times >= 100 else f"{times:.2f}" if times >= 0.1 else f"{times:.3f}"


def remarks(results: Results, world: str) -> Iterator[str]:
    """What a reader of the numbers has to know."""
    for name, latency, sync in results.syncs:
        for who in ("this", "peer") if name == world else ():
            row = results.row(name, latency, sync, who)
            if row and row.problems:
                yield f"{who}, {sync}, {latency} ms: {'; '.join(row.problems)[:300]}"
            if row and row.figures["busy"] > BUSY:
                yield (
                    f"{who}, {sync}, {latency} ms: the sandbox was the bottleneck itself, it was busy "
                    f"{row.figures['busy']:.0%} of the time."
                )


def to_terminal(results: Results, worlds: Iterable[str]) -> Iterator[str]:
    """A table for each world, and what must be shown."""
    for world in worlds:
        setting = BY_NAME[world]
        yield f"\n{world}: {setting.about}\n"
        yield table(HEAD, lines(results, world))
        yield from (f"  {remark}" for remark in remarks(results, world))
        yield f"\n{table(EDGES, list(where(results, world)))}"
    if found := list(checks(results, worlds)):
        yield "\nIt must show\n"
        yield table(*verdicts(found))


def verdicts(found: Iterable[Check]) -> tuple[list[str], list[list[str]]]:
    """The table of checks: what failed comes first."""
    rows = [
        [
            "pass" if check.holds else "FAIL",
            check.claim,
            check.where,
            f"{check.found:{check.form}}",
            f"{'≥' if check.at_least else '≤'} {check.bound:{check.form}}",
        ]
        for check in sorted(found, key=lambda check: check.holds)
    ]
    return ["", "claim", "where", "measured", "bound"], rows


# -- Checks ------------------------------------------------------------------------------------------------------------


def checks(results: Results, worlds: Iterable[str]) -> Iterator[Check]:
    """What the measured worlds must show."""
    chosen = set(worlds)
    for world, latency, sync in results.syncs:
        if world not in chosen:
            continue
        where = f"{world}, {sync}, {latency} ms"
        this, least = (results.figures(world, latency, sync, who) for who in ("this", "least"))
        if not this or not least:
            continue
        yield Check("Graph calls, of the least", where, this["calls"] / least["calls"], CALLS)
        yield Check("HTTP requests, of the least", where, this["requests"] / least["requests"], REQUESTS)
        if latency and "seconds" in least:
            yield Check("wall, of start-up and critical path", where, this["seconds"] / least["seconds"], WALL)
        if "peak" in least:
            yield Check("peak memory, of the idle process", where, this["peak"] / least["peak"], MEMORY)
    yield from _against_the_peer(results, chosen)
    yield from _of_the_brand(results, chosen)


def _against_the_peer(results: Results, chosen: set[str]) -> Iterator[Check]:
    this, peer = (results.figures("peers", 100, FIRST, who) for who in ("this", "peer"))
    if "peers" in chosen and this and peer:
        for figure, claim in (("requests", "fewer HTTP requests than the peer"), ("seconds", "less wall time")):
            times = peer[figure] / this[figure]
            yield Check(f"times {claim}", f"peers, {FIRST}, 100 ms", times, TIMES_THE_PEER, at_least=True)


def _of_the_brand(results: Results, chosen: set[str]) -> Iterator[Check]:
    for world, latency, sync in results.syncs:
        if world == "brand" and world in chosen and sync == DAILY:
            first, daily = (results.figures(world, latency, kind, "this") for kind in (FIRST, DAILY))
            if first and daily:
                share = daily["calls"] / first["calls"]
                yield Check(
                    "calls of the daily sync, of the first", f"brand, {latency} ms", share, DAILY_SHARE, form=".2%"
                )


# -- The page ----------------------------------------------------------------------------------------------------------

INTRODUCTION = """\
# What a sync costs

`python -m bench --write` writes this page. It compares, on the same worlds of the [sandbox](../sandbox/README.md) and
in one run, this connector; the peer, which is the last release of Airbyte's under the MIT license,
`airbyte-source-instagram` 4.1.0 (8 streams, 30 days of daily insights, 15 workers); and the least that the API allows,
whose rules stand in [bench/limit.py](../bench/limit.py). The least time is start-up and the answers that follow from
one another; the least memory is that of the process which only lists the accounts. Numbers are medians of several runs,
the peer's are of one. Each first sync is followed by an incremental one a day later, by the sandbox's clock.
"""


def page(results: Results) -> str:
    """The text of docs/performance.md."""
    parts = [INTRODUCTION, f"Measured on {results.about.get('machine', 'an unknown machine')}.\n"]
    if results.idle:
        parts.append(
            f"The process by itself: {shown(results.idle['seconds'])} s wall, {shown(results.idle['cpu'])} s CPU, "
            f"{shown(results.idle['peak'])} MiB.\n"
        )
    if found := list(checks(results, results.worlds)):
        parts += ["## It must show\n", markdown(*verdicts(found)), ""]
    parts += plots(results)
    for world in results.worlds:
        parts += [f"## {world}\n", f"{BY_NAME[world].about[0].upper()}{BY_NAME[world].about[1:]}.\n"]
        parts += [markdown(HEAD, lines(results, world)), ""]
        parts += [f"* {remark}" for remark in remarks(results, world)]
        parts += ["", markdown(EDGES, list(where(results, world))), ""]
    return "\n".join(parts).rstrip() + "\n"


def plots(results: Results) -> list[str]:
    """Cost against size: first syncs without latency of the worlds with the same streams, by their media."""
    streams = BY_NAME["huge"].streams
    sizes = sorted(
        (BY_NAME[world].media, world)
        for world, latency, sync in results.syncs
        if sync == FIRST and latency == 0 and BY_NAME[world].streams == streams
    )
    measured = [(f"{world} {size:,}", results.figures(world, 0, FIRST, "this")) for size, world in sizes]
    measured = [(label, figures) for label, figures in measured if figures]
    if len(measured) < 2:
        return []
    found = ["## Cost against size\n", "By the number of media, without latency.\n"]
    for figure, title in (("calls", "Graph calls"), ("cpu", "CPU seconds"), ("peak", "peak memory, MiB")):
        values = [figures[figure] for _, figures in measured]
        found += [
            "```mermaid",
            "xychart-beta",
            f'    title "{title}"',
            f"    x-axis [{', '.join(json.dumps(label) for label, _ in measured)}]",
            f'    y-axis "{title}" 0 --> {max(values) * 1.1:.0f}',
            f"    bar [{', '.join(f'{value:.1f}' for value in values)}]",
            "```\n",
        ]
    return found


def machine() -> str:
    """What this machine is, in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    load = f"load {os.getloadavg()[0]:.1f} when it began"
    return f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB, {system}, {load}; the sandbox runs on the same machine"
