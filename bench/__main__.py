"""Measure this connector beside its peer and beside the least that the API allows, on worlds of the sandbox.

Without options the small worlds, which takes a quarter of an hour, half of it the peer's. Results are kept in
.bench/results.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime, timezone

from bench import peer
from bench.checks import checks
from bench.measure import Row, idle, measured
from bench.report import PAGE, machine, page, to_terminal
from bench.results import Results
from bench.worlds import BY_NAME, SETTINGS, TINY, Setting
from environments import Missing


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    which = root.add_mutually_exclusive_group()
    which.add_argument("--world", action="append", choices=list(BY_NAME), metavar="NAME", help=f"{', '.join(BY_NAME)}")
    which.add_argument("--quick", action="store_true", help="one tiny world, once, without the peer")
    which.add_argument("--all", action="store_true", help="the heavy worlds, too: two hours")
    root.add_argument("--runs", type=int, default=3, help="of which the medians count; the peer runs once (default 3)")
    root.add_argument("--latency", type=int, action="append", metavar="MS", help="in place of those of the worlds")
    root.add_argument("--no-peer", action="store_true", help="measure the peer neither, nor install it")
    root.add_argument(
        "--write", action="store_true", help="write docs/performance.md from all that was measured so far"
    )
    root.add_argument("--only-write", action="store_true", help="likewise, and measure nothing")
    root.add_argument("--strict", action="store_true", help="end with 1 when something that must be shown is not")
    return root


def settings(given: argparse.Namespace) -> list[Setting]:
    """The worlds that were asked for."""
    if given.quick:
        return [TINY]
    if given.world:
        return [BY_NAME[name] for name in given.world]
    return [setting for setting in SETTINGS if given.all or not setting.is_heavy]


def rows(given: argparse.Namespace, chosen: list[Setting]) -> Iterator[list[Row]]:
    """Measure, world by world."""
    runs = 1 if given.quick else given.runs
    has_peer = not (given.quick or given.no_peer) and any(setting.peer for setting in chosen)
    if has_peer:
        try:
            peer.install()
        except Missing as reason:
            print(reason, flush=True)
            has_peer = False
    print("The process by itself: a sync of the list of accounts", flush=True)
    yield [idle(runs)]
    for setting in chosen:
        for latency in given.latency or setting.latencies:
            yield measured(setting, latency, runs, with_peer=has_peer, tell=_tell)


def _tell(line: str) -> None:
    print(line, flush=True)


def main(argv: list[str] | None = None) -> int:
    given = parser().parse_args(argv)
    kept, results = Results.kept(), Results()
    chosen = [] if given.only_write else settings(given)
    if chosen:
        kept.about = {"machine": f"{machine()}, {datetime.now(timezone.utc):%d %B %Y}"}
        for found in rows(given, chosen):
            results.add(found)
            kept.add([] if given.quick else found)
            kept.keep()
    names = [setting.name for setting in chosen]
    for part in to_terminal(results):
        print(part)
    left = [setting.name for setting in SETTINGS if setting.name not in names]
    if chosen and left and not given.quick:
        print(f"\nNot measured now: {', '.join(left)}. `python -m bench --world NAME` or `--all` does.")
    if given.write or given.only_write:
        PAGE.write_text(page(kept), encoding="utf-8")
        print(f"\nWrote {PAGE}.")
    broken = any(row.problems for row in results.rows.values() if row.who == "this")
    failed = [check for check in checks(results) if not check.holds]
    return 1 if broken or (failed and given.strict) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
