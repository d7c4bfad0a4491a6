"""The connector on another day: run as a program, it takes the same arguments, and `BENCH_NOW` says when it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, str(Path(__file__)))
NOW = "BENCH_NOW"

if __name__ == "__main__":
    sys.path[0] = str(ROOT)

    from freezegun import freeze_time

    from source_instagram.run import run

    with freeze_time(os.environ[NOW], tick=True):
        run()
