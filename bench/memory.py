"""What a sync costs beside the CDK's own part: `python -m bench.memory user_insights_breakdowns media comments`.

Syncs each stream twice in a process of its own: through the connector, from a sandbox in another process, and with a
retriever that holds the same records in memory, ready to be emitted. Manifest, schema, cursor and entry point are the
same, so that the second is what the CDK takes for these records whoever makes them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from airbyte_cdk.entrypoint import AirbyteEntrypoint, launch
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_cdk.sources.declarative.retrievers import Retriever
from airbyte_cdk.sources.types import Record, StreamSlice

from bench.connector import ROOT, Message, chosen, discovered
from bench.text import table

WORLD = {"accounts": 3, "media": 600, "comments": 3}
STREAMS = ["user_insights_breakdowns", "media", "media_insights", "comments"]


# -- The records from memory -------------------------------------------------------------------------------------------


@dataclass
class MemoryRetriever(Retriever):
    """Gives the records of an account with its first slice."""

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    partition_router: Any = None
    name: str = ""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Read them, which is not a part of the sync."""
        started = time.process_time()
        self._records: defaultdict[str, list[Message]] = defaultdict(list)
        with Path(self.config["records"]).open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                self._records[record["business_account_id"]].append(record)
        with Path(self.config["took"]).open("a", encoding="utf-8") as took:  # the CDK may build it more than once
            print(time.process_time() - started, file=took)

    def read_records(
        self,
        records_schema: Mapping[str, Any],  # noqa: ARG002 - they are what they should be
        stream_slice: StreamSlice | None = None,
    ) -> Iterable[Record]:
        """Whole records, each only made the CDK's own."""
        assert stream_slice is not None  # noqa: S101 - there is one for each account
        for record in self._records.pop(stream_slice.partition["business_account_id"], []):
            yield Record(data=record, stream_name=self.name, associated_slice=stream_slice)


def emit(args: list[str]) -> None:
    """Be the source of the one stream in the catalog, from memory."""
    config = json.loads(Path(str(AirbyteEntrypoint.extract_config(args))).read_text(encoding="utf-8"))
    catalog_file = AirbyteEntrypoint.extract_catalog(args)
    text = resources.files("source_instagram").joinpath("manifest.yaml").read_text(encoding="utf-8")
    manifest = yaml.safe_load(text.replace("source_declarative_manifest.components.", "source_instagram.components."))
    router = {"type": "ListPartitionRouter", "values": config["accounts"], "cursor_field": "business_account_id"}
    retriever = {"type": "CustomRetriever", "class_name": "bench.memory.MemoryRetriever", "partition_router": router}
    stream = {"$ref": f"#/definitions/{config['stream']}", "retriever": retriever, "transformations": []}
    manifest["streams"] = [stream]
    catalog = ConcurrentDeclarativeSource.read_catalog(str(catalog_file))
    launch(ConcurrentDeclarativeSource(catalog=catalog, config=config, state=None, source_config=manifest), args)


# -- Both --------------------------------------------------------------------------------------------------------------


@contextmanager
def serving(world: Mapping[str, int]) -> Iterator[tuple[dict[str, str], str]]:
    """A sandbox in a process of its own, so that its work is not counted: what to set, and its token."""
    options = [part for name, value in world.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "sandbox", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 - our own
        try:
            told: dict[str, str] = {}
            for line in process.stdout or ():
                name, _, value = line.strip().removeprefix("export ").replace(":  ", "=").partition("=")
                told[name] = value
                if "control plane" in line:
                    break
            env = {name: told[name] for name in ("HTTPS_PROXY", "REQUESTS_CA_BUNDLE")}
            yield env, told["# access_token for graph.facebook.com"]
        finally:
            process.terminate()


@dataclass
class Process:
    """Runs a program that speaks Airbyte's protocol. What it writes beside its messages stays in a file."""

    program: list[str]
    env: Mapping[str, str]
    folder: Path

    def run(self, command: str, **files: Any) -> tuple[list[Message], float]:
        """The messages of a command with these files, and the CPU seconds that it took."""
        arguments = [command]
        for name, content in files.items():
            path = self.folder / f"{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            arguments += [f"--{name}", str(path)]
        output, self.errors = self.folder / "output.jsonl", self.folder / "errors.txt"
        with output.open("wb") as out, self.errors.open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                [sys.executable, *self.program, *arguments], stdout=out, stderr=err,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.env},
            )  # fmt: skip
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{command} failed. {self.errors.read_text(encoding='utf-8')[-2000:]}")
        with output.open("rb") as lines:
            return [json.loads(line) for line in lines], used.ru_utime + used.ru_stime


def records_of(messages: list[Message]) -> list[Message]:
    return [message["record"]["data"] for message in messages if message["type"] == "RECORD"]


def from_memory(memory: Process, stream: str, catalog: Message, records: list[Message]) -> float:
    """The CPU seconds of a process that emits these records, without those that it takes to read them."""
    lines, took = memory.folder / "records.jsonl", memory.folder / "took.txt"
    took.unlink(missing_ok=True)
    lines.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    accounts = sorted({record["business_account_id"] for record in records}) or ["0"]
    config = {"access_token": "none", "stream": stream, "records": str(lines), "took": str(took), "accounts": accounts}
    messages, seconds = memory.run("read", config=config, catalog=catalog)
    if sorted(map(json.dumps, records_of(messages))) != sorted(map(json.dumps, records)):
        raise SystemExit(f"{stream}: other records came from memory.")
    return seconds - sum(map(float, took.read_text(encoding="utf-8").split()))


def measured(connector: Process, config: Message, stream: Message) -> list[Any]:
    """A line of the table."""
    catalog = chosen([stream])
    messages, whole = connector.run("read", config=config, catalog=catalog)
    records = records_of(messages)
    memory = replace(connector, program=["-m", "bench.memory", "--emit"])
    least, idle = (from_memory(memory, stream["name"], catalog, some) for some in (records, []))
    per_record = [round((seconds - idle) / max(len(records), 1) * 1e6) for seconds in (whole, least)]
    return [stream["name"], len(records), round(whole, 2), round(least, 2), round(whole / least, 2), *per_record]


def main() -> int:
    root = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    root.add_argument("streams", nargs="*", default=STREAMS)
    for name, value in WORLD.items():
        root.add_argument(f"--{name}", type=int, default=value)
    given = root.parse_args()
    world = {name: getattr(given, name) for name in WORLD}
    rows = []
    with tempfile.TemporaryDirectory(prefix="instagram-memory-") as folder, serving(world) as (env, token):
        config, connector = {"access_token": token}, Process([str(ROOT / "main.py")], env, Path(folder))
        found = {each["name"]: each for each in discovered(iter(connector.run("discover", config=config)[0]))}
        for stream in given.streams:
            print(f"Syncing {stream} …", flush=True)
            rows.append(measured(connector, config, found[stream]))
    from bench.report import MEMORY  # noqa: PLC0415 - the process that emits from memory needs none of it
    from bench.results import Results  # noqa: PLC0415

    Results.keep_table("memory", rows)
    print(f"\n{table(MEMORY, rows)}\n\n  A record's share is without what a process takes that emits none.")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--emit"]:
        emit(sys.argv[2:])
    else:
        sys.exit(main())
