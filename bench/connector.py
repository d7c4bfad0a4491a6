"""The connector as its users run it: a process that reads files and writes messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OURS = (sys.executable, str(ROOT / "main.py"))
POLLS = ("poll_options", "poll_expires_at")  # columns of `media` for which each media costs a call
Message = dict[str, Any]


@dataclass
class Usage:
    """What a process used from its start to its end."""

    exit_code: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


class Connector:
    """Runs commands with one configuration. Whatever it has to write goes to `folder`, which should be temporary.

    `program` is another connector, or this one started in another way.
    """

    def __init__(
        self, config: Mapping[str, Any], env: Mapping[str, str], folder: Path, program: Sequence[str] = OURS
    ) -> None:
        self.folder = folder
        self.program = program
        self.env = {**os.environ, **env}
        self.files = {"config": self._write("config", config)}
        self.usage: Usage | None = None

    def messages(self, command: str, **files: Any) -> Iterator[Message]:
        """Run a command with further files (catalog, state) and give its messages as they come; then `usage` is set."""
        paths = {**self.files, **{name: self._write(name, content) for name, content in files.items()}}
        arguments = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
        started = time.monotonic()
        with self._stderr.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [*self.program, command, *arguments],
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=self.env,
                cwd=self.folder,
            )
        finished = False
        try:
            for line in process.stdout or ():
                yield _parsed(line)
            finished = True
        finally:
            if not finished:
                process.kill()
            if process.stdout:
                process.stdout.close()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            unit = 1 if sys.platform == "darwin" else 1024
            self.usage = Usage(
                exit_code=process.returncode,
                seconds=time.monotonic() - started,
                cpu_seconds=used.ru_utime + used.ru_stime,
                peak_bytes=used.ru_maxrss * unit,
            )

    def stderr(self) -> str:
        """What the last command wrote beside its messages, normally nothing."""
        return self._stderr.read_text(encoding="utf-8", errors="replace").strip()

    @property
    def _stderr(self) -> Path:
        return self.folder / "stderr.txt"

    def _write(self, name: str, content: Any) -> Path:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path


def _parsed(line: bytes) -> Message:
    try:
        message: Message = json.loads(line)
    except ValueError as error:
        raise RuntimeError(f"The connector wrote something to stdout that is not a message: {line[:200]!r}") from error
    return message


def discovered(messages: Iterator[Message]) -> list[Message]:
    """The streams in the answer to `discover`."""
    catalogs = [message["catalog"]["streams"] for message in messages if message["type"] == "CATALOG"]
    return list(catalogs[0]) if catalogs else []


def chosen(streams: list[Message], without: Collection[str] = POLLS) -> Message:
    """A catalog of these streams, each incremental where it can be, without the columns named."""
    return {
        "streams": [
            {
                "stream": {**stream, "json_schema": _without(stream["json_schema"], without)},
                "sync_mode": "incremental" if "incremental" in stream["supported_sync_modes"] else "full_refresh",
                "destination_sync_mode": "append",
            }
            for stream in streams
        ]
    }


def _without(schema: Message, names: Collection[str]) -> Message:
    return {**schema, "properties": {name: kind for name, kind in schema["properties"].items() if name not in names}}


@dataclass
class StreamProgress:
    """What the messages have told about a stream so far."""

    status: str = "WAITING"
    records: int = 0
    began: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """From its first status to its last."""
        return max(self.ended - self.began, 0.0)


@dataclass
class Sync:
    """A read, as its messages tell it."""

    streams: dict[str, StreamProgress]
    remarks: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    states: dict[str, Message] = field(default_factory=dict)  # the last one of each stream

    def take(self, message: Message) -> None:
        """Learn from a message."""
        if message["type"] == "RECORD":
            self.streams[message["record"]["stream"]].records += 1
        elif message["type"] == "STATE":
            self.states[message["state"]["stream"]["stream_descriptor"]["name"]] = message["state"]
        elif message["type"] == "LOG" and message["log"]["level"] in ("WARN", "ERROR", "FATAL"):
            self.remarks.append(f"{message['log']['level']} {message['log']['message']}")
        elif message["type"] == "TRACE" and message["trace"]["type"] == "ERROR":
            error = message["trace"]["error"]
            self.errors.append(str(error["message"]))
        elif message["type"] == "TRACE" and message["trace"]["type"] == "STREAM_STATUS":
            told = message["trace"]["stream_status"]
            progress = self.streams[told["stream_descriptor"]["name"]]
            progress.status = told["status"]
            progress.ended = message["trace"]["emitted_at"] / 1000
            progress.began = progress.began or progress.ended

    @property
    def unfinished(self) -> list[str]:
        """The streams that did not end COMPLETE."""
        return [name for name, progress in self.streams.items() if progress.status != "COMPLETE"]
