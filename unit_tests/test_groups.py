"""`source-instagram groups` deals the accounts of a token out by their size, for few calls, and tells no secret."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from harness import Connector, Outcome, command

from sandbox import Sandbox
from source_instagram.groups import NoDeal, calls_of, dealt


@pytest.fixture(autouse=True)
def _only_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build the one stream that is asked for its requests: the others take most of the time."""
    whole = ConcurrentDeclarativeSource._stream_configs
    monkeypatch.setattr(
        ConcurrentDeclarativeSource,
        "_stream_configs",
        lambda *given: [each for each in whole(*given) if each["name"] == "accounts"],
    )


def groups(box: Sandbox, count: int, *flags: str, **config: Any) -> Outcome:
    return command("groups", box.env, flags=["--groups", str(count), *flags], config=Connector(box).config(**config))


def accounts(outcome: Outcome) -> list[list[str]]:
    return [group["accounts"] for group in json.loads(outcome.stdout)]


# -- Dealing -----------------------------------------------------------------------------------------------------------

COSTS = {"1": 900, "2": 500, "3": 300, "4": 100, "5": 100}


def test_the_dearest_are_dealt_first_and_each_goes_where_least_is() -> None:
    assert dealt(COSTS, 2) == [
        {"accounts": ["1", "5"], "estimated_calls": 1000},
        {"accounts": ["2", "3", "4"], "estimated_calls": 900},
    ]
    assert dealt(dict(reversed(COSTS.items())), 2) == dealt(COSTS, 2)


def test_who_was_dealt_stays_and_who_is_gone_goes() -> None:
    assert [each["accounts"] for each in dealt(COSTS, 3, [["3", "gone"], ["1", "2"]])] == [
        ["3"],
        ["1", "2"],
        ["4", "5"],
    ]


@pytest.mark.parametrize(
    ("count", "before", "words"),
    [
        (0, [], "Ask for one group or more"),
        (6, [], "reaches 5 accounts, too few for 6 groups"),
        (1, [["1"], ["2"]], "There are 2 groups already"),
        (2, [["1", "2", "3", "4", "5"], ["gone"]], "Of the group with gone no account is left"),
    ],
)
def test_what_makes_no_groups_is_told(count: int, before: list[list[str]], words: str) -> None:
    with pytest.raises(NoDeal, match=words):
        dealt(COSTS, count, before)


# -- The command -------------------------------------------------------------------------------------------------------


def test_the_list_of_pages_tells_all(box: Sandbox) -> None:
    outcome = groups(box, 2)
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    assert sorted(name for group in accounts(outcome) for name in group) == [each.id for each in box.world.accounts[:3]]
    assert box.http_requests == 1


def test_accounts_that_no_page_shows_are_counted_too(box: Sandbox) -> None:
    hidden = next(each for each in box.world.accounts if each.portfolio)
    outcome = groups(box, 2, accounts=[hidden.id, str(box.world.accounts[0].values["username"])])
    assert sorted(map(tuple, accounts(outcome))) == [(box.world.accounts[0].id,), (hidden.id,)]
    first, second = (group["estimated_calls"] for group in json.loads(outcome.stdout))
    assert first == second == calls_of(24, 729)


def test_instagram_login_has_one_account(box: Sandbox) -> None:
    outcome = groups(box, 1, login_type="instagram", start_date=f"{box.world.now():%Y-%m-%dT00:00:00Z}")
    assert json.loads(outcome.stdout) == [
        {"accounts": [box.world.accounts[0].id], "estimated_calls": calls_of(24, 0)},
    ]
    assert box.http_requests == 1


def test_files_hold_accounts_and_no_token(box: Sandbox, tmp_path: Path) -> None:
    home = tmp_path / "new" / "groups"
    outcome = groups(box, 2, "--out", str(home))
    written = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in home.iterdir()}
    assert written == {f"group_00{at}.json": {"accounts": group} for at, group in enumerate(accounts(outcome), 1)}
    assert all(box.token not in path.read_text(encoding="utf-8") for path in home.iterdir())
    again = groups(box, 3, "--out", str(home), accounts=[each.id for each in box.world.accounts])
    assert accounts(again)[:2] == accounts(outcome)
    assert accounts(again)[2] == [box.world.accounts[3].id]


def test_groups_keep_their_files_whatever_is_missing_between_them(box: Sandbox, tmp_path: Path) -> None:
    names = [each.id for each in box.world.accounts[:3]]
    for at, name in ((1, names[0]), (3, names[2])):
        (tmp_path / f"group_00{at}.json").write_text(json.dumps({"accounts": [name]}), encoding="utf-8")
    assert accounts(groups(box, 3, "--out", str(tmp_path))) == [[names[0]], [names[2]], [names[1]]]
    assert {path.name: json.loads(path.read_text(encoding="utf-8"))["accounts"] for path in tmp_path.iterdir()} == {
        f"group_00{at}.json": [name] for at, name in enumerate(names, 1)
    }


def test_a_folder_that_is_none_is_told(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = groups(box, 2, "--out", str(tmp_path / "file"))
    assert outcome.exit_code == 1
    assert outcome.stderr == f"{tmp_path / 'file'} cannot be read or written: File exists.\n"


def test_a_file_that_is_no_group_is_told(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "group_001.json").write_text("[]", encoding="utf-8")
    outcome = groups(box, 2, "--out", str(tmp_path))
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert outcome.stderr == f"{tmp_path / 'group_001.json'} is no group of accounts. Delete or mend it.\n"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"num_workers": 0}, "`num_workers` must be at least 1, but is '0'.\n"),
        ({"access_token": "EAAwrong"}, "The access token is malformed"),
        ({"accounts": ["nobody"]}, "Account nobody, which the configuration names, is not among those"),
    ],
)
def test_what_is_to_be_changed_is_told(box: Sandbox, config: dict[str, Any], words: str) -> None:
    outcome = groups(box, 2, **config)
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert words in outcome.stderr
    assert "EAAwrong" not in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_what_passes_has_an_exit_code_of_its_own(box: Sandbox) -> None:
    box.add_fault(error={"code": 2, "message": "Service temporarily unavailable"})
    outcome = groups(box, 2)
    assert (outcome.exit_code, outcome.stdout) == (75, "")
    assert "temporarily unavailable" in outcome.stderr


def test_a_throttle_is_waited_for_and_told(box: Sandbox) -> None:
    box.add_throttle(after=0, seconds=0.1, times=1)
    outcome = groups(box, 2)
    assert (outcome.exit_code, len(accounts(outcome))) == (0, 2)  # stdout holds nothing but the groups
    assert re.fullmatch(r"(accounts: waiting \d+ s more\. Meta throttles the app\.\n)+", outcome.stderr)


def test_a_configuration_that_is_not_there_is_told(tmp_path: Path, box: Sandbox) -> None:
    outcome = command("groups", box.env, flags=["--groups", "2", "--config", str(tmp_path / "none.json")])
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert "none.json is missing" in outcome.stderr


def test_without_arguments_it_says_what_it_wants(box: Sandbox) -> None:
    outcome = command("groups", box.env)
    assert outcome.exit_code == 2
    assert "--config" in outcome.stderr
