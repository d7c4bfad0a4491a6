"""Command line: `python -m sandbox serve` prints two exports and a token, and runs until it is stopped.

`record` and `replay` do the same with the real answers of a sync.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from sandbox import Options, Sandbox, Scenario
from sandbox.recording import Recorder
from sandbox.replaying import Replay
from sandbox.server import Proxy

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
    "ads": "posts of product type AD per account",
    "cross_posted": "every how many posts one is on Facebook too, 0 is never",
    "second_pages": "how many accounts have a second Page",
    "settling": "hours until a day's numbers are final (Meta: 48; default: at once)",
    "growing": "hours until a post's counters are final, likes and comments left out (default: at once)",
    "asleep": "days on which nothing happened, as FIRST-LAST days ago: their numbers are 0",
    "nested_max": "nested comments and replies end after so many, without paging",
    "silent_permissions": "insights without their permission are 200 and empty",
    "only_me": "the Instagram Login token reads /me and no numeric id of its account",
    "polls": "every how many posts one has a poll, 0 is never",
    "rivals": "accounts of others, found by their names: bluebottle, tea.time_24, 0815, caffe__nero, rival.4, …",
    "rival_media": "posts of each of them",
    "hashtag_media": "top posts of every hashtag",
    "searched": "hashtags that each account has searched lately with other tools",
    "no_public_content": "the app lacks the feature Instagram Public Content Access",
    "counted_comments": "an account's comments are those on its media, of the day that `ends` or `begins` at the label",
    "now": "the world's present, ISO (default: the clock's)",
}


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    add_recording(commands)
    serve = commands.add_parser("serve", help="serve until stopped")
    world = serve.add_argument_group("world", argument_default=argparse.SUPPRESS)
    world.add_argument("--world", type=Path, metavar="FILE", help="a JSON file with all of this, see README.md")
    for item in fields(Options):
        name, help_text = f"--{item.name.replace('_', '-')}", WORLD_HELP[item.name]
        if isinstance(item.default, bool):
            world.add_argument(name, action="store_true", help=help_text)
            continue
        kind = (
            float
            if isinstance(item.default, float)
            else str
            if item.name in ("now", "asleep", "counted_comments")
            else int
        )
        world.add_argument(name, type=kind, help=f"{help_text} (default {item.default})" if item.default else help_text)
    serving = serve.add_argument_group("serving", argument_default=argparse.SUPPRESS)
    serving.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    serving.add_argument("--latency", type=float, help="seconds before every answer")
    serving.add_argument("--log", default=None, help="file for one JSON line per request; - is stderr")
    serving.add_argument("--wrap-me", action="store_true", help="graph.instagram.com/me answers inside data[]")
    serving.add_argument("--require-proof", action="store_true", help="refuse calls without appsecret_proof")
    serving.add_argument("--token", type=json.loads, action="append", default=[], metavar="JSON", dest="tokens",
                         help="a further token, see README.md")  # fmt: skip
    faults = serve.add_argument_group("faults")
    faults.add_argument("--fault", type=json.loads, action="append", default=[], metavar="JSON", dest="faults",
                        help="see README.md")  # fmt: skip
    faults.add_argument("--usage", type=json.loads, default={}, metavar="JSON", help="usage headers, see README.md")
    faults.add_argument("--throttle-after", type=int, metavar="N", help="refuse calls once N have passed")
    faults.add_argument("--throttle-quota", type=int, metavar="N", help="refuse more than N calls in any S seconds")
    faults.add_argument("--throttle-seconds", type=float, default=5.0, metavar="S", help="how long (default 5)")
    faults.add_argument("--throttle-code", type=int, default=4, help="4, 17, 32, 613, 80002, … (default 4)")
    faults.add_argument("--throttle-status", type=int, help="HTTP status (default: 403 for code 4, else 400)")
    faults.add_argument("--throttle-scope", choices=("app", "account"), default="app")
    faults.add_argument("--throttle-times", type=int, default=1, help="how often (0: again and again)")
    faults.add_argument("--throttle-regain", choices=("none", "minutes", "fraction"), default="none",
                        help="whether the business header tells the minutes left")  # fmt: skip
    faults.add_argument("--throttle-announce", action="store_true", help="the usage headers rise before it strikes")
    return root


def add_recording(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What keeps real answers, and what gives them again."""
    record = commands.add_parser(
        "record", help="pass a sync on to Meta, and keep its answers without what is anybody's"
    )
    record.add_argument("--folder", type=Path, required=True, help="where the answers are kept")
    record.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration of the sync")
    record.add_argument("--state", type=Path, metavar="FILE", help="the state that it begins with")
    replay = commands.add_parser("replay", help="answer as it was recorded")
    replay.add_argument("folder", type=Path, help="what `record` has made")
    for command in (record, replay):
        command.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")


def recording(given: dict[str, Any]) -> Proxy:
    """The proxy that records, or replays."""
    if given["command"] == "replay":
        return Replay(given["folder"], port=given["port"])
    config, state = (given[name] and json.loads(given[name].read_text("utf-8")) for name in ("config", "state"))
    return Recorder(given["folder"], config, state, port=given["port"], env=os.environ)


def scenario_of(given: dict[str, Any]) -> Scenario:
    """What the file and the command line say together; where both say something, the command line counts."""
    scenario = Scenario.read(given["world"]) if "world" in given else Scenario()
    scenario.world |= {item.name: given[item.name] for item in fields(Options) if item.name in given}
    for name in ("latency", "wrap_me", "require_proof"):
        setattr(scenario, name, given.get(name, getattr(scenario, name)))
    scenario.faults += given["faults"]
    scenario.tokens += given["tokens"]
    scenario.usage |= given["usage"]
    names = ("seconds", "code", "status", "scope", "times", "regain", "announce")
    how = {name: given[f"throttle_{name}"] for name in names}
    scenario.throttles += [
        {kind: given[f"throttle_{kind}"], **how} for kind in ("after", "quota") if given[f"throttle_{kind}"] is not None
    ]
    return Scenario.of(vars(scenario))


def run_recording(arguments: argparse.ArgumentParser, given: dict[str, Any]) -> int:
    """Record or replay until stopped."""
    try:
        proxy = recording(given)
    except (OSError, TypeError, ValueError) as error:
        arguments.error(str(error))
    with proxy:
        print(f"export HTTPS_PROXY={proxy.url}\nexport REQUESTS_CA_BUNDLE={proxy.ca_file}")
        if isinstance(proxy, Replay):
            print(f"# read with --config {given['folder'] / 'config.json'}")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


def main(argv: list[str] | None = None) -> int:
    # Blocked before any thread starts, so that no signal is lost and every thread leaves them to sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    arguments = parser()
    given = vars(arguments.parse_args(argv))
    if given["command"] != "serve":
        return run_recording(arguments, given)
    try:
        scenario = scenario_of(given)
    except (OSError, TypeError, ValueError) as error:
        arguments.error(str(error))
    log = None
    if given["log"]:
        log = sys.stderr if given["log"] == "-" else Path(given["log"]).open("a", encoding="utf-8")  # noqa: SIM115
    with Sandbox(log=log, port=given["port"]) as sandbox:
        tokens = sandbox.play(scenario)
        print(f"export HTTPS_PROXY={sandbox.url}")
        print(f"export REQUESTS_CA_BUNDLE={sandbox.ca_file}")
        print(f"# access_token for graph.facebook.com:  {sandbox.token}")
        print(f"# access_token for graph.instagram.com: {sandbox.instagram_token}")
        print(
            f"# client_id {sandbox.app_id}, client_secret {sandbox.app_secret}; control plane: {sandbox.url}/_sandbox/"
        )
        for spec, token in zip(scenario.tokens, tokens, strict=True):
            print(f"# access_token {json.dumps(spec)}: {token}")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())
