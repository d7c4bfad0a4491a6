"""Environments of their own, for what the connector meets and does not depend on: clients, engines, a peer.

Each lies in `.environments/NAME`, is made with pip when it is first wanted, and made again when what it holds changes.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HOME = ROOT / ".environments"
PATIENCE = 900  # seconds for pip


class Missing(Exception):  # noqa: N818 - a sentence for whoever wanted it
    """Why an environment cannot be had here."""


def environment(name: str, *requirements: str) -> Path:
    """The folder of an environment that holds these requirements; its programs are in `bin`.

    Requirements are what pip takes: `duckdb>=1.1`, or the path of a project or wheel, whose changes are not noticed.

    Raises:
        Missing: pip cannot make it; the message says why.
    """
    home, wanted = HOME / name, "\n".join((sys.version, *requirements))
    HOME.mkdir(exist_ok=True)
    with (HOME / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        stamp = home / "made-from"
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            make(home, requirements)
            stamp.write_text(wanted, encoding="utf-8")
    return home


def make(home: Path, requirements: tuple[str, ...]) -> None:
    """Make it, or leave nothing of it."""
    print(f"Making {home.relative_to(HOME.parent)} with {', '.join(requirements)}; a minute or two, once.", flush=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        venv.create(home, with_pip=True, clear=True)
        made = subprocess.run(  # noqa: S603 - the requirements are this repository's
            [*pip, *requirements], capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(home, ignore_errors=True)
        raise Missing(f"{home.name}: its environment could not be made ({error}).") from error
    if made.returncode:
        shutil.rmtree(home, ignore_errors=True)
        why = (made.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Missing(f"{home.name}: {', '.join(requirements)} could not be installed here ({why}).")
