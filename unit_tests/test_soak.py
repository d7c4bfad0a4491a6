"""Many accounts and much trouble: a smaller run of `python -m bench.soak`, as a program of its own."""

import subprocess
import sys

import pytest
from harness import ROOT


@pytest.mark.slow
def test_nothing_is_lost_in_much_trouble() -> None:
    soak = subprocess.run(
        [sys.executable, "-m", "bench.soak", "--accounts", "10", "--media", "100"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert soak.returncode == 0, soak.stdout + soak.stderr
