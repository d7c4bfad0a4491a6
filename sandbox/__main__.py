"""Command line: `python -m sandbox serve` prints two exports and a token, and runs until it is stopped."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from sandbox import Options, Sandbox

WORLD_HELP = {
    "seed": "another seed, another world",
    "accounts": "professional accounts with a Page",
    "pages_without_instagram": "Pages without an account",
    "portfolio_accounts": "accounts that only ids or business_management reach",
    "media": "posts per account",
    "albums": "how many of them are albums (default: a third)",
    "children": "items per album (0: 2 to 20 by turns)",
    "stories": "stories alive per account",
    "comments": "comments on an ordinary post (0: none at all)",
    "tags": "posts by others that tag the account",
    "tags_hidden": "share of them (and all of the second hundred) left out after the pages were cut",
    "days": "the time over which the posts are spread",
    "upcoming": "posts per account that appear every 6 hours from today on",
    "before_conversion": "share of the time before the account was professional",
    "now": "the world's present, ISO (default: the clock's)",
}


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    serve = root.add_subparsers(dest="command", required=True).add_parser("serve", help="serve until stopped")
    world = serve.add_argument_group("world")
    for item in fields(Options):
        default = None if item.default is MISSING else item.default
        kind = {"before_conversion": float, "tags_hidden": float, "now": str}.get(item.name, int)
        world.add_argument(f"--{item.name.replace('_', '-')}", type=kind, default=default, help=WORLD_HELP[item.name])
    serving = serve.add_argument_group("serving")
    serving.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    serving.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    serving.add_argument("--log", help="file for one JSON line per request; - is stderr")
    serving.add_argument("--wrap-me", action="store_true", help="graph.instagram.com/me answers inside data[]")
    serving.add_argument("--require-proof", action="store_true", help="refuse calls without appsecret_proof")
    faults = serve.add_argument_group("faults")
    faults.add_argument("--fault", type=json.loads, action="append", default=[], metavar="JSON", help="see README.md")
    faults.add_argument("--usage", type=json.loads, default=None, metavar="JSON", help="usage headers, see README.md")
    faults.add_argument("--throttle-after", type=int, metavar="N", help="refuse calls once N have passed")
    faults.add_argument("--throttle-quota", type=int, metavar="N", help="refuse more than N calls in any S seconds")
    faults.add_argument("--throttle-seconds", type=float, default=5.0, metavar="S", help="how long (default 5)")
    faults.add_argument("--throttle-code", type=int, default=4, help="4, 17, 32, 613, 80002, … (default 4)")
    faults.add_argument("--throttle-status", type=int, help="HTTP status (default: 403 for code 4, else 400)")
    faults.add_argument("--throttle-scope", choices=("app", "account"), default="app")
    faults.add_argument("--throttle-times", type=int, default=1, help="how often (0: again and again)")
    faults.add_argument("--throttle-regain", choices=("none", "minutes", "fraction"), default="none",
                        help="whether the business header tells the minutes left")  # fmt: skip
    return root


def main(argv: list[str] | None = None) -> int:
    # Blocked before any thread starts, so that no signal is lost and every thread leaves them to sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    given = vars(parser().parse_args(argv))
    options: dict[str, Any] = {item.name: given[item.name] for item in fields(Options)}
    log = None
    if given["log"]:
        log = sys.stderr if given["log"] == "-" else Path(given["log"]).open("a", encoding="utf-8")  # noqa: SIM115
    serving = {name: given[name] for name in ("port", "latency", "wrap_me", "require_proof")}
    with Sandbox(log=log, **serving, **options) as sandbox:
        for fault in given["fault"]:
            sandbox.add_fault(**fault)
        if given["usage"]:
            sandbox.set_usage(**given["usage"])
        for kind in ("after", "quota"):
            if given[f"throttle_{kind}"] is not None:
                names = ("seconds", "code", "status", "scope", "times", "regain")
                sandbox.add_throttle(
                    **{kind: given[f"throttle_{kind}"]}, **{name: given[f"throttle_{name}"] for name in names}
                )
        print(f"export HTTPS_PROXY={sandbox.url}")
        print(f"export REQUESTS_CA_BUNDLE={sandbox.ca_file}")
        print(f"# access_token for graph.facebook.com:  {sandbox.token}")
        print(f"# access_token for graph.instagram.com: {sandbox.instagram_token}")
        print(
            f"# client_id {sandbox.app_id}, client_secret {sandbox.app_secret}; control plane: {sandbox.url}/_sandbox/"
        )
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())
