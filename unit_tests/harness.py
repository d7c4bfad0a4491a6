"""Runs the connector's command line against the sandbox, and tells what came of it."""

import gc
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache, cached_property
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, unquote, urlsplit

from airbyte_cdk.logger import PRINT_BUFFER
from airbyte_cdk.sources.declarative import concurrent_declarative_source as cdk
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource

from sandbox import Sandbox
from source_instagram.run import run

ROOT = Path(__file__).parents[1]
TEMPO = "0.001"  # of the waits, where a test does not say otherwise
SCHEMAS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "source_instagram" / "schemas").glob("*.json"))
}
STREAMS = [
    "accounts",
    "users",
    "user_insights",
    "user_total_insights",
    "user_insights_breakdowns",
    "user_lifetime_insights",
    "audience_demographics",
    "media",
    "stories",
    "tags",
    "media_insights",
    "story_insights",
    "comments",
]
CONDITIONAL = {  # streams that are there once a key is configured
    "discovered_users": "discover_usernames",
    "discovered_media": "discover_usernames",
    "hashtags": "hashtags",
    "hashtag_media": "hashtags",
}
OTHERS: dict[str, list[str]] = {
    "discover_usernames": ["bluebottle", "tea.time_24"],
    "hashtags": ["coffee", "日本"],
}
CURSORS_OF_OTHERS = {"discovered_media": "timestamp", "discovered_users": "date", "hashtag_media": "date"}
INCREMENTAL = {
    "audience_demographics": "date",
    "comments": "media_timestamp",
    "media": "timestamp",
    "media_insights": "timestamp",
    "stories": "timestamp",
    "story_insights": "timestamp",
    "user_insights": "date",
    "user_insights_breakdowns": "date",
    "user_lifetime_insights": "date",
    "user_total_insights": "date",
    "users": "date",
}
# Of which each sync reads all there is, whatever the state.
SNAPSHOTS = ("audience_demographics", "stories", "story_insights", "user_lifetime_insights", "users")

POLLS = ("poll_options", "poll_expires_at")  # columns of `media` that cost a call each, so that few tests select them
DISCOVERED: dict[str, str] = {}  # by login and keys; it is the same every time, as a test of the manifest shows


def spare_the_cdk_repetitions() -> None:
    """Let it parse, resolve and validate a manifest once in a process, and build no stream that a catalog leaves out.

    These take most of the time of a small sync. Each source still gets a manifest of its own.
    """
    parse, resolve = YamlDeclarativeSource._parse, ConcurrentDeclarativeSource._pre_process_manifest
    configs, schema = ConcurrentDeclarativeSource._stream_configs, cdk.get_declarative_component_schema()

    known: dict[str, bytes] = {}

    @cache
    def parsed(text: str) -> bytes:
        return pickle.dumps(parse(text))

    def resolved(source: ConcurrentDeclarativeSource, manifest: dict[str, Any]) -> Any:
        text = json.dumps(manifest)
        if text not in known:
            whole = resolve(source, manifest)
            cdk.validate_manifest(whole, schema)
            known[text] = pickle.dumps(whole)
        return pickle.loads(known[text])  # noqa: S301 - our own

    def selected(source: ConcurrentDeclarativeSource, manifest: dict[str, Any]) -> list[dict[str, Any]]:
        every, names = configs(source, manifest), source._constructor._stream_name_to_configured_stream
        return [each for each in every if each["name"] in names] or every

    parse_once = staticmethod(lambda text: pickle.loads(parsed(text)))  # noqa: S301 - likewise
    mock.patch.object(YamlDeclarativeSource, "_parse", parse_once).start()
    mock.patch.multiple(
        ConcurrentDeclarativeSource,
        _pre_process_manifest=resolved,
        _validate_source=lambda _: None,
        _stream_configs=selected,
    ).start()
    mock.patch.object(cdk, "get_declarative_component_schema", return_value=schema).start()


@dataclass(repr=False)
class Outcome:
    """How a command ended, and its messages by kind. A line of stdout that is no message is an error."""

    exit_code: int
    stdout: str
    stderr: str

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.split("\n") if line]

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [message[kind.lower()] for message in self.messages if message["type"] == kind]

    @cached_property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in self._of("RECORD"):
            found[record["stream"]].append(record["data"])
        return found

    @cached_property
    def states(self) -> dict[str, dict[str, Any]]:
        """The last state of each stream."""
        return {state["stream"]["stream_descriptor"]["name"]: state for state in self._of("STATE")}

    def cursors(self, stream: str) -> dict[str, str]:
        """The cursor of each account, or what else the state is kept by, in the last state of a stream."""
        states = self.states[stream]["stream"]["stream_state"].get("states", [])
        return {" ".join(each["partition"].values()): next(iter(each["cursor"].values())) for each in states}

    @cached_property
    def statuses(self) -> dict[str, str]:
        """The last status of each stream."""
        told = [trace["stream_status"] for trace in self._of("TRACE") if trace["type"] == "STREAM_STATUS"]
        return {status["stream_descriptor"]["name"]: status["status"] for status in told}

    @property
    def rate_limited(self) -> set[str]:
        """The streams that told the platform that they were waiting."""
        told = [trace["stream_status"] for trace in self._of("TRACE") if trace["type"] == "STREAM_STATUS"]
        return {
            status["stream_descriptor"]["name"]
            for status in told
            if any(reason["type"] == "RATE_LIMITED" for reason in status.get("reasons") or [])
        }

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [trace["error"] for trace in self._of("TRACE") if trace["type"] == "ERROR"]

    def log(self, *levels: str) -> list[str]:
        """The log lines of these levels, of all without one."""
        return [entry["message"] for entry in self._of("LOG") if not levels or entry["level"] in levels]

    @property
    def check(self) -> tuple[str, str]:
        """Status and message of a check."""
        (status,) = [m["connectionStatus"] for m in self.messages if m["type"] == "CONNECTION_STATUS"]
        return status["status"], status.get("message") or ""

    @property
    def catalog(self) -> list[dict[str, Any]]:
        (catalog,) = self._of("CATALOG")
        return list(catalog["streams"])

    @property
    def spec(self) -> dict[str, Any]:
        (spec,) = self._of("SPEC")
        return dict(spec)


def asked(requests: list[dict[str, Any]]) -> list[tuple[str, dict[str, str]]]:
    """Every Graph call, alone or in a batch: its path without the version, and its parameters."""
    calls = []
    for request in requests:
        calls.append((request["path"], request["params"]))
        for item in request.get("items", []):
            url = urlsplit(item["relative_url"])
            calls.append((url.path, {name: values[0] for name, values in parse_qs(url.query).items()}))
    return [(re.sub(r"^/?(v\d+\.\d+/)?", "", unquote(path)), params) for path, params in calls]


def command(
    name: str, env: Mapping[str, str], *, as_process: bool = False, flags: Iterable[str] = (), **files: Any
) -> Outcome:
    """Run a command with these files, in this process for speed, or in one of its own."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [name, *flags]
        for option, content in files.items():
            path = Path(folder) / f"{option}.json"
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
            arguments += [f"--{option}", str(path)]
        return _as_process(arguments, env, folder) if as_process else _in_process(arguments, env)


def _as_process(arguments: list[str], env: Mapping[str, str], folder: str) -> Outcome:
    process = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(ROOT / "main.py"), *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "SOURCE_INSTAGRAM_TEMPO": TEMPO, **env},
    )  # fmt: skip
    return Outcome(process.returncode, process.stdout, process.stderr)


def _in_process(arguments: list[str], env: Mapping[str, str]) -> Outcome:
    """The same entry point, with all that it changes put back afterwards."""
    out, err = StringIO(), StringIO()
    logger = logging.getLogger("airbyte")
    level = logger.level
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, env))
        stack.enter_context(
            mock.patch.multiple(
                sys, argv=["source-instagram", *arguments], stdout=out, __stdout__=out, stderr=err, excepthook=None
            )
        )
        try:
            run()
            exit_code = 0
        except SystemExit as error:
            exit_code = int(error.code or 0)
        except Exception:  # noqa: BLE001 - what an interpreter does with it before it ends
            sys.excepthook(*sys.exc_info())
            exit_code = 1
        finally:
            PRINT_BUFFER.flush()
            logger.setLevel(level)
    return Outcome(exit_code, out.getvalue(), err.getvalue())


@dataclass
class Connector:
    """The connector, connected to a sandbox."""

    box: Sandbox

    def config(self, **keys: Any) -> dict[str, Any]:
        """A configuration with the token of its login."""
        is_instagram = keys.get("login_type") == "instagram"
        return {"access_token": self.box.instagram_token if is_instagram else self.box.token, **keys}

    def check(self, **config: Any) -> tuple[str, str]:
        """Status and message of `check`."""
        return command("check", self.box.env, config=self.config(**config)).check

    def discover(self, **config: Any) -> list[dict[str, Any]]:
        return command("discover", self.box.env, config=self.config(**config)).catalog

    def catalog(
        self,
        streams: Iterable[str],
        *,
        incremental: bool = False,
        without: Collection[str] = (),
        polls: bool = False,
        **config: Any,
    ) -> dict[str, Any]:
        """A configured catalog of these streams, without the columns named, and those of polls unless asked for."""
        without = {*without, *(() if polls else POLLS)}
        streams = list(streams)
        keys = {CONDITIONAL[name] for name in streams if name in CONDITIONAL} | (config.keys() & OTHERS.keys())
        keys = {key for key in keys if config.get(key, OTHERS)}
        login = config.get("login_type", "facebook")
        about = f"{login} {sorted(keys)}"
        if about not in DISCOVERED:
            known = {key: OTHERS[key] for key in keys}
            DISCOVERED[about] = json.dumps(self.discover(login_type=login, **known))
        found = {stream["name"]: stream for stream in json.loads(DISCOVERED[about])}
        chosen = []
        for name in streams:
            stream = found[name]
            stream["json_schema"]["properties"] = {
                column: kind for column, kind in stream["json_schema"]["properties"].items() if column not in without
            }
            mode = "incremental" if incremental and "incremental" in stream["supported_sync_modes"] else "full_refresh"
            chosen.append({"stream": stream, "sync_mode": mode, "destination_sync_mode": "append"})
        return {"streams": chosen}

    def read(  # noqa: PLR0913 - what a sync depends on
        self,
        *streams: str,
        incremental: bool = False,
        state: Outcome | list[dict[str, Any]] | None = None,
        without: Collection[str] = (),
        polls: bool = False,
        catalog: Any = None,
        as_process: bool = False,
        debug: bool = False,
        **config: Any,
    ) -> Outcome:
        """Read streams (all thirteen when none is named), from the state that an earlier read left or one given.

        Those that are there only when a key is configured are configured with what `OTHERS` says, unless it is given.
        """
        config = {**{CONDITIONAL[name]: OTHERS[CONDITIONAL[name]] for name in streams if name in CONDITIONAL}, **config}
        files: dict[str, Any] = {
            "config": self.config(**config),
            "catalog": catalog
            or self.catalog(
                streams or STREAMS,
                incremental=incremental or state is not None,
                without=without,
                polls=polls,
                **config,
            ),
        }
        if state is not None:
            files["state"] = list(state.states.values()) if isinstance(state, Outcome) else state
        return command("read", self.box.env, as_process=as_process, flags=["--debug"] if debug else [], **files)


WORLD = {"accounts": 3, "media": 24, "albums": 6, "stories": 4, "comments": 2, "tags": 12}


@contextmanager
def serving(**world: Any) -> Iterator[Sandbox]:
    """A sandbox of one's own. The connector's idle connections end with it, and nobody has to be warned of that."""
    with Sandbox(**world) as box:
        yield box
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def clean(server: Sandbox) -> None:
    """Forget what an earlier test did."""
    asked = {name: getattr(server.options, name) for name in WORLD}
    if asked != WORLD or server.options != type(server.options)(**WORLD):
        server.options = type(server.options)(**WORLD)
        server.reset(**WORLD)
    else:
        server.reset()
    server.latency = 0.0
    server.set_now(datetime.now(timezone.utc).replace(microsecond=0))
