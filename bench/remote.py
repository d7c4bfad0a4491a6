"""A sandbox in a process of its own, so that its work is not counted as a connector's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from bench.connector import ROOT


class RemoteSandbox:
    """Talks to the control plane of a sandbox."""

    def __init__(self, address: str) -> None:
        """Talk to that host and port."""
        self.address = address

    @classmethod
    def begun(cls, process: subprocess.Popen[str]) -> RemoteSandbox:
        """Wait until it says where it listens."""
        lines = iter(process.stdout or ())
        url = urlsplit(next((line for line in lines if "HTTPS_PROXY=" in line), "").strip().partition("=")[2])
        if not url.port:
            raise SystemExit("The sandbox did not start.")
        next(line for line in lines if "control plane" in line)
        return cls(url.netloc)

    def ask(self, path: str) -> Any:
        """What it tells."""
        return self._exchange("GET", path)

    def tell(self, path: str, **content: Any) -> Any:
        """Change something."""
        return self._exchange("POST", path, content)

    def _exchange(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Any:
        connection = HTTPConnection(self.address)
        try:
            connection.request(method, f"/_sandbox/{path}", None if content is None else json.dumps(content))
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"The sandbox refused {path}: {response.read().decode()}")
            return json.load(response)
        finally:
            connection.close()


@contextmanager
def serving(world: Mapping[str, Any], latency: int = 0) -> Iterator[RemoteSandbox]:
    """Run a sandbox, with a latency in milliseconds."""
    options = [part for name, value in world.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "sandbox", "serve", "--latency", str(latency / 1000), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603
        try:
            yield RemoteSandbox.begun(process)
        finally:
            process.terminate()
