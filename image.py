"""The connector's image: `python -m image` builds it, `python -m image constraints` pins what it installs.

What is said of the image stands in metadata.yaml: its name, its version and the image below it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "constraints.txt"
BACKEND = "hatchling"  # builds the wheel
HEAD = "# Written by `make constraints`: what the image installs, for the Python that it has.\n"


def metadata() -> dict[str, Any]:
    """What Airbyte's platform knows of the connector."""
    data: dict[str, Any] = yaml.safe_load((ROOT / "metadata.yaml").read_text(encoding="utf-8"))["data"]
    return data


def base_image() -> str:
    """The image below ours, by its digest."""
    return str(metadata()["connectorBuildOptions"]["baseImage"])


def python_version() -> str:
    """The version of the Python in it.

    Before: python:3.13.9-slim-bookworm@sha256:4c9f…
    After:  3.13
    """
    (version,) = re.findall(r"(?:^|/)python:(\d+\.\d+)", base_image())
    return str(version)


def interpreter() -> str:
    """A Python of that version: on the path, or one of pyenv's.

    Raises:
        LookupError: there is none; the message says what to do.
    """
    version = python_version()
    for python in [f"python{version}", *sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))]:
        asked = [python, "-c", "import ensurepip, venv"]
        if shutil.which(python) and not subprocess.run(asked, capture_output=True, check=False).returncode:  # noqa: S603
            return python
    raise LookupError(f"The image has Python {version}, which is not here. Install it, with its venv module.")


def labels() -> dict[str, str]:
    """What the image says of itself: to Airbyte, and to everybody in the words of the OCI."""
    known = metadata()
    repository = f"https://github.com/{known['dockerRepository']}"
    return {
        "io.airbyte.name": known["dockerRepository"],
        "io.airbyte.version": known["dockerImageTag"],
        "org.opencontainers.image.title": known["name"],
        "org.opencontainers.image.version": known["dockerImageTag"],
        "org.opencontainers.image.licenses": known["license"],
        "org.opencontainers.image.source": repository,
        "org.opencontainers.image.documentation": known["documentationUrl"],
        "org.opencontainers.image.base.name": base_image().partition("@")[0],
        "org.opencontainers.image.base.digest": base_image().partition("@")[2],
    }


def build_command() -> list[str]:
    """The command that builds the image."""
    known = metadata()
    said = [part for name, value in labels().items() for part in ("--label", f"{name}={value}")]
    tag = f"{known['dockerRepository']}:{known['dockerImageTag']}"
    return ["docker", "build", "--build-arg", f"BASE_IMAGE={base_image()}", *said, "--tag", tag, str(ROOT)]


def constraints(python: str) -> str:
    """Everything that this Python would install for the connector, and to build it, in exact versions.

    Raises:
        SystemExit: pip cannot tell; it says why.
    """
    with tempfile.TemporaryDirectory() as home:
        subprocess.run([python, "-m", "venv", home], check=True)  # noqa: S603 - fresh, so that nothing is there yet
        pip = [f"{home}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--quiet"]
        told = subprocess.run(  # noqa: S603
            [*pip, "--report", "-", str(ROOT), BACKEND], capture_output=True, text=True, check=False
        )
    if told.returncode:
        sys.exit(f"What the image would install could not be found out: {told.stderr.strip()}")
    found = [each["metadata"] for each in json.loads(told.stdout)["install"] if not each["is_direct"]]
    pins = {re.sub(r"[-_.]+", "-", each["name"]).lower(): each["version"] for each in found}
    marker = f'python_version == "{python_version()}"'
    return HEAD + "".join(f"{name}=={version}; {marker}\n" for name, version in sorted(pins.items()))


def main(arguments: list[str]) -> None:
    """Build the image, or write constraints.txt."""
    if arguments == ["constraints"]:
        CONSTRAINTS.write_text(constraints(interpreter()), encoding="utf-8")
    elif arguments:
        sys.exit("usage: python -m image [constraints]")
    elif not shutil.which("docker"):
        sys.exit("There is no docker here. What it would be asked to do:\n" + " ".join(build_command()))
    else:
        sys.exit(subprocess.run(build_command(), check=False).returncode)  # noqa: S603 - our own words


if __name__ == "__main__":
    main(sys.argv[1:])
