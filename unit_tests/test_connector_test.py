"""Airbyte's own tests of connectors pass, for the package and for the bundle that is made of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from harness import ROOT

import connector_test
from connector_test import main

FOLDERS = [pytest.param(False, id="package"), pytest.param(True, id="bundle")]


@pytest.mark.slow
@pytest.mark.parametrize("bundled", FOLDERS)
def test_airbytes_own_tests_pass(
    bundled: bool,  # noqa: FBT001 - a column of the table
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if bundled:
        pytest.importorskip("bundle")
        for command in (["bundle", "--out", str(tmp_path)], ["manifest_lint", str(tmp_path)]):
            subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True)  # noqa: S603
    status = main([str(tmp_path)] if bundled else [])
    told = capfd.readouterr().out
    assert status == 0, told
    # Check twice, once refused; discover, spec twice, read, a bad catalog. A refused one needs no more.
    assert re.search(r"\b7 passed, 4 skipped\b", told), told


def test_the_configurations_that_they_name_are_written(tmp_path: Path) -> None:
    connector_test.write_secrets(tmp_path / "secrets", "EAA")
    sections = yaml.safe_load((ROOT / "acceptance-test-config.yml").read_text(encoding="utf-8"))["acceptance_tests"]
    named = {test["config_path"] for section in sections.values() for test in section["tests"]}
    assert named == {f"secrets/{path.name}" for path in (tmp_path / "secrets").iterdir()}
