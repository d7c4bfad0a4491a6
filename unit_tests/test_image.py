"""The image holds what it needs, pinned, and nothing else; what builds it works."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import pytest
from harness import ROOT, Connector, Outcome

import image

STEPS = [
    (word, rest.strip())
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
    for word, _, rest in [line.partition(" ")]
]
COPIED = {source for word, rest in STEPS if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]}
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
PINS = dict(
    re.findall(
        r'^([a-z0-9-]+)==([\w.]+); python_version == "(?:3\.\d+)"$', image.CONSTRAINTS.read_text("utf-8"), re.MULTILINE
    )
)


def test_the_context_is_what_is_copied_and_nothing_else() -> None:
    let_in = {line[1:] for line in IGNORED if line.startswith("!")}
    assert "*" in IGNORED
    assert let_in == COPIED
    assert [name for name in let_in if not (ROOT / name).exists()] == []


def test_the_image_runs_as_a_user_who_may_do_little() -> None:
    users = [rest for word, rest in STEPS if word == "USER"]
    assert users[-1:] == ["airbyte"]


def test_what_is_said_of_the_image_is_said_in_its_metadata() -> None:
    command = image.build_command()
    known = image.metadata()
    assert f"BASE_IMAGE={known['connectorBuildOptions']['baseImage']}" in command
    assert [rest for word, rest in STEPS if word == "ARG"] == ["BASE_IMAGE"], "without a default"
    assert {rest.split()[0] for word, rest in STEPS if word == "FROM"} == {"${BASE_IMAGE}"}
    for label in (
        f"io.airbyte.name={known['dockerRepository']}",
        f"io.airbyte.version={known['dockerImageTag']}",
        f"org.opencontainers.image.version={known['dockerImageTag']}",
        f"org.opencontainers.image.documentation={known['documentationUrl']}",
    ):
        assert command[command.index(label) - 1] == "--label"
    repository = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition('Repository = "')[2]
    assert image.labels()["org.opencontainers.image.source"] == repository.partition('"')[0]


def test_everything_is_pinned_for_the_python_of_the_image() -> None:
    lines = image.CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    assert lines[0] == image.HEAD.strip()
    assert len(PINS) == len(lines) - 1
    assert all(line.endswith(f'; python_version == "{image.python_version()}"') for line in lines[1:])
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (declared,) = re.findall(r"^dependencies = \[(.*?)^\]$", project, re.MULTILINE | re.DOTALL)
    for name in [*re.findall(r'"([\w-]+)', declared), image.BACKEND]:
        assert name in PINS, "run make constraints"
    assert "://" not in "".join(lines), "where it comes from is whoever builds it's to say"


# -- As docker would ---------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """A stage of the Dockerfile: a folder that is its `/`, with an environment of its own for the base image."""

    root: Path
    cwd: Path

    @classmethod
    def begun(cls, root: Path, python: str) -> "Stage":
        """With what an image has and an environment has not: the tools that make users, who are not this machine's."""
        subprocess.run([python, "-m", "venv", str(root / "venv")], check=True)  # noqa: S603
        for name in ("groupadd", "useradd"):
            program = root / "venv" / "bin" / name
            program.write_text("#!/bin/sh\n", encoding="utf-8")
            program.chmod(0o755)
        return cls(root, root)

    def inside(self, text: str) -> str:
        """Absolute paths of the image as paths of this machine."""
        return re.sub(r"(?<![\w.-])/(?=(src|wheels|airbyte)\b)", f"{self.root}/", text)

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": f"{self.root}/venv/bin:/usr/bin:/bin", "HOME": str(Path.home())}

    def copy(self, sources: list[str], target: str, context: Path) -> None:
        for source in sources:
            path, to = context / source.lstrip("/"), self.cwd / self.inside(target)
            if path.is_dir():
                shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, to)


def built(home: Path, python: str) -> tuple[Stage, list[str]]:
    """The last stage of the image, and its entry point."""
    stages: dict[str, Stage] = {}
    stage, entrypoint = Stage(home, home), ""
    for word, rest in STEPS:
        if word == "FROM":
            name = rest.partition(" AS ")[2]
            stages[name] = stage = Stage.begun(home / (name or "last"), python)
        elif word == "WORKDIR":
            stage.cwd = Path(stage.inside(rest))
            stage.cwd.mkdir(parents=True)
        elif word == "COPY":
            *sources, target = rest.split()
            origin = stages[sources.pop(0).partition("=")[2]].root if rest.startswith("--from=") else ROOT
            stage.copy(sources, target, origin)
        elif word == "RUN":
            words = stage.inside(rest).replace("--no-cache-dir", "--quiet --disable-pip-version-check")
            done = subprocess.run(  # noqa: S603
                ["/bin/sh", "-euc", words], cwd=stage.cwd, env=stage.env, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr.decode()
        elif word == "ENTRYPOINT":
            entrypoint = stage.inside(rest)
        else:
            assert word in ("ARG", "USER", "ENV"), f"this test does not know {word}"
    return stage, json.loads(entrypoint)


def somebody_else(stage: Stage) -> int | None:
    """The image's user, where this machine lets another one run this Python; None is whoever runs the test."""
    with contextlib.suppress(subprocess.CalledProcessError, PermissionError):
        subprocess.run([f"{stage.root}/venv/bin/python", "-c", ""], user=1000, check=True, capture_output=True)  # noqa: S603
        return 1000
    return None


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder that everybody may read, for the image's user too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.slow
def test_what_the_dockerfile_builds_reads_instagram(home: Path, connector: Connector) -> None:
    try:
        python = image.interpreter()
    except LookupError:  # with another one the pins are left aside
        python = sys.executable
    stage, entrypoint = built(home, python)
    user = somebody_else(stage)

    def run(*arguments: str) -> Outcome:
        done = subprocess.run(  # noqa: S603
            [*entrypoint, *arguments], user=user, cwd=stage.cwd, env=stage.env | connector.box.env,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    config, catalog = home / "config.json", home / "catalog.json"
    config.write_text(json.dumps(connector.config()), encoding="utf-8")
    catalog.write_text(json.dumps(connector.catalog(["users"])), encoding="utf-8")
    assert run("spec").spec["documentationUrl"] == image.metadata()["documentationUrl"]
    assert run("check", "--config", str(config)).check[0] == "SUCCEEDED"
    read = run("read", "--config", str(config), "--catalog", str(catalog))
    assert (read.exit_code, read.statuses) == (0, {"users": "COMPLETE"})
    here = connector.read("users")
    assert sorted(read.records["users"], key=itemgetter("id")) == sorted(here.records["users"], key=itemgetter("id"))

    (installed,) = stage.root.glob("venv/lib/python3*/site-packages")
    modules = {path.stem for path in (installed / "source_instagram").glob("*.py")}
    assert modules == {
        path.name.partition(".")[0] for path in (installed / "source_instagram" / "__pycache__").iterdir()
    }
    assert (installed / "source_instagram" / "py.typed").exists()
    if python != sys.executable:
        found = {path.name.split("-")[0].lower().replace("_", "-"): path for path in installed.glob("*.dist-info")}
        assert {
            name: PINS[name]
            for name, path in found.items()
            if name in PINS and f"-{PINS[name]}.dist-info" not in path.name
        } == {}
        assert found.keys() - PINS.keys() == {"pip", "source-instagram"}, "nothing came unpinned"
