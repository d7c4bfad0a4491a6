"""What was measured, as tables for a terminal and as docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.checks import Check, checks
from bench.connector import ROOT
from bench.measure import BUSY, THIS
from bench.results import Results
from bench.text import markdown, table
from bench.worlds import BY_NAME, DAILY, FIRST

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
MEMORY = ["stream", "records", "CPU, s", "from memory", "ratio", "µs a record", "from memory"]
REFRESH = ["media_refresh_days", "first, calls", "a day, % of these", "least", "most"]
REFRESH += [f"days between reads: {stream}" for stream in ("media", "media_insights", "comments")]
EDGES = ["sync", "Graph calls of", "this", "least", "of the least"]


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


def to_terminal(results: Results) -> Iterator[str]:
    """A table for each world, and what must be shown."""
    yield from by_itself(results)
    for world in results.worlds:
        setting = BY_NAME[world]
        yield f"\n{world}: {setting.about}\n"
        yield table(HEAD, lines(results, world))
        yield from (f"  {remark}" for remark in remarks(results, world))
        yield f"\n{table(EDGES, list(where(results, world)))}"
    if found := list(checks(results)):
        yield "\nIt must show\n"
        yield table(*verdicts(found))


def by_itself(results: Results) -> Iterator[str]:
    """What the process costs that only lists the accounts."""
    if idle := results.idle:
        yield (
            f"The process by itself: {idle['seconds']:.2f} s wall, {idle['cpu']:.2f} s CPU, {idle['peak']:.0f} MiB; "
            f"the import of the CDK alone: {idle['import']:.2f} s wall."
        )


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


def worst(found: Iterable[Check]) -> tuple[list[str], list[list[str]]]:
    """A line for each claim: where it holds least, and how often it holds."""
    claims: defaultdict[str, list[Check]] = defaultdict(list)
    for check in found:
        claims[check.claim].append(check)
    rows = []
    for claim, alike in claims.items():
        last = min(alike, key=lambda check: check.found if check.at_least else -check.found)
        holds = sum(check.holds for check in alike)
        _, (line,) = verdicts([last])
        rows.append([line[0], claim, line[4], line[3], last.where, f"{holds} of {len(alike)}"])
    return ["", "claim", "bound", "worst", "where", "holds in"], rows


# -- The page ----------------------------------------------------------------------------------------------------------

INTRODUCTION = """\
# What a sync costs

`python -m bench --write` writes this page. It compares, on the same worlds of the [sandbox](../sandbox/README.md) and
in one run, this connector; the peer, which is the last release of Airbyte's under the MIT license,
`airbyte-source-instagram` 4.1.0 (8 streams, 30 days of daily insights, 15 workers); and the least that the API allows,
whose rules stand in [bench/limit.py](../bench/limit.py). The least time is start-up and the answers that follow from
one another; the least memory is that of the process which only lists the accounts. Each first
sync is followed by an incremental one a day later, by the sandbox's clock.
"""

WHY = """\
What fails, and why. The **least of HTTP requests** takes every batch to be full, and nothing to be waited for: a sync
with few calls does not fill them, and waits for more only some hundredths of a second, because time is worth more than
a request, which costs nothing. **Wall** on first syncs is the work, of which the critical path knows nothing. That of
an agency is CPU. The 200 pages of a big brand's comments follow each other, and to make one in the sandbox, to read it
and to ask for the next takes as long as the latency. **Memory** is what is under way at once: the answers of up to ten
batches, each held as text and as objects, and the threads that wait for them.
"""


BESIDE = {  # title, what it is, and the head of its table
    "memory": (
        "What of the CPU is the CDK's",
        """\
`python -m bench.memory` syncs a stream, and then emits the same records from memory by the CDK alone. A record's share
is without what a process takes that emits none.
""",
        MEMORY,
    ),
    "refresh": (
        "90 days",
        "`python -m bench.refresh` simulates a big brand: a first sync, and one on each of the 91 days after it.\n",
        REFRESH,
    ),
}


def shown_in(cell: Any) -> str:
    """A cell of the other measurements."""
    return cell if isinstance(cell, str) else shown(cell)


def page(results: Results) -> str:
    """The text of docs/performance.md."""
    most = max((row.runs for row in results.rows.values() if row.who == THIS.name), default=0)
    medians = f"medians of up to {most} runs" if most > 1 else "of single runs"
    parts = [
        INTRODUCTION,
        f"Numbers are {medians}, the peer's of one.\n",
        f"Measured on {results.about.get('machine', 'an unknown machine')}.\n",
    ]
    parts += [f"{line}\n" for line in by_itself(results)]
    if found := list(checks(results)):
        parts += [
            "## It must show\n",
            markdown(*worst(found)),
            "",
            *([] if all(each.holds for each in found) else [WHY]),
        ]
    for name, (title, about, head) in BESIDE.items():
        if rows := results.tables.get(name):
            parts += [f"## {title}\n", about, markdown(head, [list(map(shown_in, row)) for row in rows]), ""]
    parts += plots(results)
    for world in results.worlds:
        parts += [f"## {world}\n", f"{BY_NAME[world].about[0].upper()}{BY_NAME[world].about[1:]}.\n"]
        parts += [markdown(HEAD, lines(results, world)), ""]
        parts += [f"* {remark}" for remark in remarks(results, world)]
        parts += ["", markdown(EDGES, list(where(results, world))), ""]
    return "\n".join(parts).rstrip() + "\n"


def plots(results: Results) -> list[str]:
    """Cost against size: first syncs without latency of the worlds that are read alike, by their media."""
    streams = BY_NAME["huge"].streams
    worlds = sorted((world for world in results.worlds if BY_NAME[world].streams == streams), key=_size)
    found = [(world, results.figures(world, 0, FIRST, "this")) for world in worlds]
    rows = [(world, figures) for world, figures in found if figures]
    if len(rows) < 2:
        return []
    lines = [
        [
            world,
            shown(BY_NAME[world].options["accounts"]),
            shown(_size(world)),
            f"{figures['calls'] / _size(world):.2f}",
            f"{figures['cpu'] / _size(world) * 1000:.2f}",
            shown(figures["peak"]),
        ]
        for world, figures in rows
    ]
    head = ["world", "accounts", "media", "Graph calls a medium", "CPU a medium, ms", "peak memory, MiB"]
    sizes = [f"{world} {_size(world):,}" for world, _ in rows]
    charts = [
        _chart(title, sizes, [figures[figure] for _, figures in rows])
        for figure, title in (("calls", "Graph calls"), ("cpu", "CPU, s"), ("peak", "peak memory, MiB"))
    ]
    about = "First syncs without latency, by the number of media.\n"
    return ["## Cost against size\n", about, markdown(head, lines), "", *charts]


def _size(world: str) -> int:
    return BY_NAME[world].media


def _chart(title: str, labels: list[str], values: list[float]) -> str:
    """Bars, in the language that GitHub draws."""
    lines = [
        "```mermaid",
        "xychart-beta",
        f"    x-axis {json.dumps(labels)}",
        f'    y-axis "{title}" 0 --> {max(values) * 1.1:.0f}',
        f"    bar {json.dumps([round(value, 1) for value in values])}",
        "```\n",
    ]
    return "\n".join(lines)


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
