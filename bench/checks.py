"""What the bench must show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Results
from bench.worlds import DAILY, FIRST

CALLS, REQUESTS, WALL, MEMORY, TIMES_THE_PEER = 1.15, 1.2, 1.3, 1.25, 40
CPU = 1.5  # of what the CDK takes to emit the same records
SHARES = {0: 1.2, 90: 2.5}  # per cent of the first sync's calls that a day may cost, by `media_refresh_days`
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


def checks(results: Results) -> Iterator[Check]:
    """What the measured worlds must show."""
    for world, latency, sync in results.syncs:
        where = f"{world}, {sync}, {latency} ms"
        this, least = (results.figures(world, latency, sync, who) for who in ("this", "least"))
        if not this or not least:
            continue
        yield Check("Graph calls, of the least", where, this["calls"] / least["calls"], CALLS)
        yield Check("HTTP requests, of the least", where, this["requests"] / least["requests"], REQUESTS)
        if "seconds" in least:
            yield Check("wall, of start-up and critical path", where, this["seconds"] / least["seconds"], WALL)
        if "peak" in least:
            yield Check("peak memory, of the idle process", where, this["peak"] / least["peak"], MEMORY)
    yield from _against_the_peer(results)
    yield from _of_the_brand(results)
    yield from _beside(results)


def _beside(results: Results) -> Iterator[Check]:
    for stream, _, _, _, times, *_ in results.tables.get("memory", ()):
        yield Check("CPU, of what the CDK takes for the same records", stream, times, CPU)
    for refresh, _, share, _, _, *oldest in results.tables.get("refresh", ()):
        about = f"media_refresh_days {refresh}"
        if refresh in SHARES:
            yield Check(f"a day's calls, % of the first sync's, with {about}", "91 days", share, SHARES[refresh])
        if refresh:
            yield Check(
                f"days between two reads of a medium, with {about}", "91 days", max(oldest), refresh, form=".0f"
            )


def _against_the_peer(results: Results) -> Iterator[Check]:
    this, peer = (results.figures("peers", 100, FIRST, who) for who in ("this", "peer"))
    if this and peer:
        for figure, claim in (("requests", "fewer HTTP requests than the peer"), ("seconds", "less wall time")):
            times = peer[figure] / this[figure]
            yield Check(f"times {claim}", f"peers, {FIRST}, 100 ms", times, TIMES_THE_PEER, at_least=True)


def _of_the_brand(results: Results) -> Iterator[Check]:
    for world, latency, sync in results.syncs:
        if (world, sync) == ("brand", DAILY):
            first, daily = (results.figures(world, latency, kind, "this") for kind in (FIRST, DAILY))
            if first and daily:
                share = daily["calls"] / first["calls"]
                yield Check(
                    "calls of the daily sync, of the first", f"brand, {latency} ms", share, DAILY_SHARE, form=".2%"
                )
