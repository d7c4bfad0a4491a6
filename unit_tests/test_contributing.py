"""CONTRIBUTING leads to a new metric: its steps are done to a copy, as they stand there."""

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from harness import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EDITS = [textwrap.dedent(text) for text in re.findall(r"^   ```diff\n(.*?)^   ```", GUIDE, re.DOTALL | re.MULTILINE)]
FOLDERS = ("bench", "docs", "sandbox", "source_instagram", "unit_tests")


def edited(text: str, edit: str) -> str:
    """A file with what a diff takes out and puts in, at the one place that it is about."""
    old, new = (
        "".join(line[1:] for line in edit.splitlines(keepends=True) if line[0] in kinds) for kinds in (" -", " +")
    )
    assert text.count(old) == 1
    return text.replace(old, new)


def test_each_edit_has_its_place() -> None:
    assert len(EDITS) == 3
    for edit in EDITS:
        file, _, lines = edit.partition("\n")
        text = (ROOT / file.removeprefix("--- ")).read_text(encoding="utf-8")
        assert "rewatches" not in text
        assert "rewatches" in edited(text, lines)


@pytest.mark.slow
def test_the_steps_bring_the_metric(tmp_path: Path) -> None:
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("*.*"):
        if file.is_file():
            shutil.copy(file, tmp_path)
    for edit in EDITS:
        file, _, lines = edit.partition("\n")
        path = tmp_path / file.removeprefix("--- ")
        path.write_text(edited(path.read_text(encoding="utf-8"), lines), encoding="utf-8")
    (chosen,) = re.findall(r"make test PYTEST_ARGS='(.*)'", GUIDE)
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "unit_tests/test_syncs.py",
        *shlex.split(chosen),
    ]
    ran = subprocess.run(tests, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert re.search(r"\b[1-9] passed", ran.stdout), ran.stdout + ran.stderr
    assert ran.returncode == 0
    assert "rewatches" in (tmp_path / "source_instagram" / "schemas" / "media_insights.json").read_text(
        encoding="utf-8"
    )


def test_make_knows_what_the_guide_names() -> None:
    named = {*re.findall(r"^make (\w+)", GUIDE, re.MULTILINE), *re.findall(r"`make (\w+)`", GUIDE)}
    assert [name for name in named if not re.search(rf"^{name}:.*## ", MAKEFILE, re.MULTILINE)] == []


def test_the_hooks_are_what_make_lint_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks]
    lint = re.findall(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[0]
    for command in re.findall(r"\$\(BIN\)/(.*)", lint):
        begins = command.partition(" .")[0].partition(" --")[0]
        assert [entry for entry in entries if entry.startswith(begins)], command


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda form: form.stem
)
def test_forms_have_what_github_wants(form: Path) -> None:
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert content.keys() >= {"name", "description", "body"}
    for field in content["body"]:
        assert field["type"] in ("markdown", "textarea", "input", "dropdown")
        assert field["attributes"].get("label") or field["type"] == "markdown"
        assert ("id" in field) == (field["type"] != "markdown")
