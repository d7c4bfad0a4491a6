"""Environments of their own are made once, and made again when what they hold changes."""

import subprocess
from pathlib import Path

import pytest

import environments
from environments import Missing, environment


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip is asked for, in a folder where nothing is installed."""
    asked: list[list[str]] = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command[6:])
        failed = "nowhere" in command
        return subprocess.CompletedProcess(command, int(failed), "", "WARNING: no route\nERROR: none found\n")

    monkeypatch.setattr(environments, "HOME", tmp_path / ".environments")
    monkeypatch.setattr(environments.venv, "create", lambda home, **_: Path(home).mkdir(exist_ok=True))
    monkeypatch.setattr(environments.subprocess, "run", pip)
    return asked


def test_it_is_made_once_and_again_when_it_changes(asked: list[list[str]]) -> None:
    home = environment("engine", "one==1")
    assert environment("engine", "one==1") == home
    environment("engine", "one==2", "two")
    assert asked == [["one==1"], ["one==2", "two"]]


def test_what_cannot_be_had_is_told_in_a_sentence_and_tried_again(asked: list[list[str]]) -> None:
    for _ in range(2):
        with pytest.raises(Missing, match=r"engine: nowhere could not be installed here \(ERROR: none found\)"):
            environment("engine", "nowhere")
    assert asked == [["nowhere"], ["nowhere"]]
    assert not (environments.HOME / "engine").exists()
