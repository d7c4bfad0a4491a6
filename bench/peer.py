"""The peer: the last release of Airbyte's connector under the MIT license, in an environment of its own.

It is run and never looked into. It knows Facebook Login only and has eight streams; its daily insights begin 30 days
back.
"""

from __future__ import annotations

import shutil
import subprocess
import venv
from pathlib import Path

from bench.connector import ROOT

RELEASE = "airbyte-source-instagram==4.1.0"
HOME = ROOT / ".bench" / "peer"
PROGRAM = HOME / "bin" / "source-instagram"
WORKERS = 15  # its default, ours is 10
SECRETS = {"client_id": "0", "client_secret": "0"}  # which it wants to see and does not use
STREAMS = {"Api": "accounts"}  # where its name is another than ours


class Missing(Exception):  # noqa: N818 - a sentence for the report
    """Why there is no peer."""


def install() -> None:
    """Make its environment, once.

    Raises:
        Missing: it cannot be had here.
    """
    if PROGRAM.exists():
        return
    print(f"Installing {RELEASE} into {HOME.relative_to(ROOT)}; a minute or two, once.", flush=True)
    try:
        venv.create(HOME, with_pip=True, clear=True)
        command = [
            str(HOME / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            RELEASE,
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(HOME, ignore_errors=True)
        raise Missing(f"The peer is left out: its environment could not be made ({error}).") from error
    if made.returncode or not PROGRAM.exists():
        shutil.rmtree(HOME, ignore_errors=True)
        why = (made.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Missing(f"The peer is left out: {RELEASE} could not be installed here ({why}).")


def trust(authority: Path) -> None:
    """Let it trust the sandbox: its CDK reads certifi's bundle and no environment variable."""
    (bundle,) = HOME.glob("lib/python3*/site-packages/certifi/cacert.pem")
    original = bundle.with_suffix(".original")
    if not original.exists():
        shutil.copy(bundle, original)
    bundle.write_bytes(original.read_bytes() + b"\n" + authority.read_bytes())
