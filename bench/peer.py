"""The peer: the last release of Airbyte's connector under the MIT license, in an environment of its own.

It is run and never looked into. It knows Facebook Login only and has eight streams; its daily insights begin 30 days
back.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from environments import HOME, environment

RELEASE = "airbyte-source-instagram==4.1.0"
PROGRAM = HOME / "peer" / "bin" / "source-instagram"
WORKERS = 15  # its default, ours is 10
SECRETS = {"client_id": "0", "client_secret": "0"}  # which it wants to see and does not use
STREAMS = {"Api": "accounts"}  # where its name is another than ours


def install() -> None:
    """Make its environment, once.

    Raises:
        Missing: it cannot be had here.
    """
    environment("peer", RELEASE)


def trust(authority: Path) -> None:
    """Let it trust the sandbox: its CDK reads certifi's bundle and no environment variable."""
    (bundle,) = PROGRAM.parents[1].glob("lib/python3*/site-packages/certifi/cacert.pem")
    original = bundle.with_suffix(".original")
    if not original.exists():
        shutil.copy(bundle, original)
    bundle.write_bytes(original.read_bytes() + b"\n" + authority.read_bytes())
