"""Runs the bundle in what runs manifests: the manifest-only image, the Connector Builder, and the manifest server."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from socket import create_server
from typing import Any

import yaml
from harness import TEMPO, Outcome

from bundle.__main__ import bundle
from environments import environment

FOLDER = "source_declarative_manifest"  # where the image has both files
# What the image's command does once it has seen its folder, whose place is fixed.
IMAGE = f"import sys; from airbyte_cdk.cli.{FOLDER}._run import handle_local_manifest_command as run; run(sys.argv[1:])"
# What the Builder's program does with its arguments, several times.
BUILDER = (
    "import json, sys; from airbyte_cdk.connector_builder.main import handle_request\n"
    "for arguments in json.loads(sys.argv[1]): print(handle_request(arguments), flush=True)"
)
UNSAFE = {"AIRBYTE_ENABLE_UNSAFE_CODE": "true"}
PATIENCE = 300  # seconds


@cache
def texts() -> dict[str, str]:
    """The two files of the bundle."""
    return bundle()


def manifest() -> dict[str, Any]:
    """The bundle's manifest, as the Builder hands it on."""
    return dict(yaml.safe_load(texts()["manifest.yaml"]))


@cache
def python() -> Path:
    """An interpreter that has the CDK with its server, and nothing else of ours."""
    return environment("manifest-server", f"airbyte-cdk[manifest-server]=={version('airbyte-cdk')}") / "bin" / "python"


@contextmanager
def written(**files: Any) -> Iterator[tuple[Path, list[str]]]:
    """A folder with the bundle as the image has it, and the options that name these files in it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FOLDER).mkdir()
        for name, text in texts().items():
            (Path(folder) / FOLDER / name).write_text(text, encoding="utf-8")
        options = []
        for name, content in files.items():
            path = Path(folder) / f"{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            options += [f"--{name}", str(path)]
        yield Path(folder), options


def run(arguments: list[str], env: Mapping[str, str], folder: Path, interpreter: Path | None = None) -> Outcome:
    """A command of an interpreter that knows nothing of this repository."""
    process = subprocess.run(  # noqa: S603 - our own
        [str(interpreter or sys.executable), *arguments],
        capture_output=True, text=True, check=False, cwd=folder / FOLDER, timeout=PATIENCE,
        env={**os.environ, "SOURCE_INSTAGRAM_TEMPO": TEMPO, **env},
    )  # fmt: skip
    return Outcome(process.returncode, process.stdout, process.stderr)


def as_image(command: str, env: Mapping[str, str], interpreter: Path | None = None, **files: Any) -> Outcome:
    """A command of the manifest-only image."""
    with written(**files) as (folder, options):
        return run(["-c", IMAGE, command, *options], {**env, "PYTHONPATH": str(folder)}, folder, interpreter)


def by_paths(command: str, env: Mapping[str, str], interpreter: Path | None = None, **files: Any) -> Outcome:
    """A command of `source-declarative-manifest`, which is told where both files lie."""
    with written(**files) as (folder, options):
        paths = ["--manifest-path", "manifest.yaml", "--components-path", "components.py"]
        call = f"from airbyte_cdk.cli.{FOLDER}._run import run; run()"
        return run(["-c", call, command, *options, *paths], {**env, **UNSAFE}, folder, interpreter)


def in_builder(
    streams: list[str],
    env: Mapping[str, str],
    config: Mapping[str, Any],
    interpreter: Path | None = None,
    **limits: int,
) -> dict[str, dict[str, Any]]:
    """What the Connector Builder's own program answers to test reads of some streams, one after the other."""
    whole = {
        **config,
        **injected(),
        "__injected_declarative_manifest": manifest(),
        "__command": "test_read",
        "__test_read_config": limits,
    }
    catalogs = {stream: catalog(stream) for stream in streams}
    with written(config=whole, state=[], **catalogs) as (folder, options):
        named = dict(zip(options[::2], options[1::2], strict=True))
        reads = [["read", *options[:4], "--catalog", named[f"--{stream}"]] for stream in streams]
        outcome = run(["-c", BUILDER, json.dumps(reads)], {**env, **UNSAFE}, folder, interpreter)
    assert outcome.exit_code == 0, outcome.stderr
    answers = [json.loads(line) for line in outcome.stdout.splitlines() if line.startswith('{"type":"RECORD"')]
    return {answer["record"]["stream"]: answer["record"]["data"] for answer in answers}


def injected() -> dict[str, Any]:
    """The components as a part of the configuration, where a program takes them by no other way."""
    code = texts()["components.py"]
    return {"__injected_components_py": code, "__injected_components_py_checksums": {"md5": md5(code)}}


def md5(text: str) -> str:
    """The checksum by which the CDK knows a text again."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def catalog(stream: str) -> dict[str, Any]:
    """A catalog as the Builder makes it."""
    named = {"name": stream, "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]}
    return {"streams": [{"stream": named, "sync_mode": "incremental", "destination_sync_mode": "overwrite"}]}


@contextmanager
def serving_manifests(env: Mapping[str, str]) -> Iterator[str]:
    """The address of a manifest server whose requests go to the sandbox."""
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["-m", "uvicorn", "airbyte_cdk.manifest_server.app:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(  # noqa: S603 - our own
        [str(python()), *arguments], env={**os.environ, "SOURCE_INSTAGRAM_TEMPO": TEMPO, **env, **UNSAFE}
    )
    try:
        url = f"http://127.0.0.1:{port}"
        while not is_up(f"{url}/health/"):
            assert process.poll() is None, "the server has ended"
            time.sleep(0.1)
        yield f"{url}/v1/manifest"
    finally:
        process.terminate()
        process.wait()


def is_up(url: str) -> bool:
    try:
        OPENER.open(url, timeout=10).close()
    except OSError:
        return False
    return True


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def posted(url: str, **body: Any) -> tuple[int, Any]:
    """What a server answers to JSON."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    try:
        with OPENER.open(request, timeout=PATIENCE) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
