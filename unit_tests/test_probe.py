"""A probe tells of each rule whether it holds; where one does not, a sync still brings what the page says."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Outcome, command, serving
from law import Excuse, Spec, Trial, unkept

from sandbox import Sandbox
from source_instagram import probing
from source_instagram.probing import MOST
from source_instagram.truth import BOTH, RULES, VERSION, Rule

WORLD: Spec = {
    "accounts": 2, "portfolio_accounts": 0, "media": 18, "albums": 4, "children": 2, "stories": 3, "comments": 4,
    "tags": 3, "days": 36, "counted_comments": "ends", "only_me": False, "rivals": 1,
}  # fmt: skip
OTHERS = {"discover_usernames": ["bluebottle"]}
NAMES = [rule.name for rule in RULES]


@pytest.fixture(scope="module")
def probed() -> Iterator[Sandbox]:
    with serving(**WORLD) as box:
        yield box


def test_the_version_that_is_probed_is_the_one_that_is_asked() -> None:
    manifest = (ROOT / "source_instagram" / "manifest.yaml").read_text(encoding="utf-8")
    (url_base,) = re.findall(r"^    url_base: (.*)$", manifest, re.MULTILINE)
    assert url_base.strip('"').endswith(f".com/{VERSION}")


@dataclass
class Probe:
    """What a probe printed and reported."""

    outcome: Outcome
    report: str
    calls: int

    @property
    def marks(self) -> dict[str, str]:
        """By rule, how it was found."""
        rows = [line.strip("| ").split(" | ") for line in self.report.splitlines() if line.startswith("| ")]
        return {row[0]: row[2].partition(":")[0] for row in rows if row[0] in NAMES}


def probe_of(box: Sandbox, folder: Path, *flags: str, **config: Any) -> Probe:
    """Run a probe with all that the configuration may hold."""
    is_instagram = config.get("login_type") == "instagram"
    token = box.instagram_token if is_instagram else box.token
    secrets = {"client_id": box.app_id, "client_secret": box.app_secret}
    whole = {"access_token": token, **secrets, **({} if is_instagram else OTHERS), **config}
    file, calls = folder / "report.md", box.graph_calls
    outcome = command("probe", box.env, flags=["--report", str(file), *flags], config=whole)
    return Probe(outcome, file.read_text(encoding="utf-8") if file.exists() else "", box.graph_calls - calls)


def texts_of(box: Sandbox) -> set[str]:
    """Every id, name and text of the world, and every secret."""
    dump = json.dumps([box.world.dump(None), [node.values for node in box.world.nodes.values()]], default=str)
    found = set(re.findall(r'"((?:[^"\\]|\\.)*)"', dump)) | {box.token, box.instagram_token, box.app_id, box.app_secret}
    ours = {word for rule in RULES for word in re.findall(r"\w+", f"{rule.name} {rule.expected}")}
    values = {text for text in found if re.search(r"\d{8}|[^\w]", text)} | {
        page.values["name"] for page in box.world.pages
    }
    names = {account.values["username"] for account in box.world.accounts}
    return {text for text in values | names if len(text) > 4 and text not in ours}


@pytest.mark.parametrize("login", BOTH)
def test_each_rule_holds_in_the_sandbox(probed: Sandbox, tmp_path: Path, login: str) -> None:
    probed.reset()
    code = ["--code", probed.code, "--redirect-uri", "https://platform.example/"]
    found = probe_of(probed, tmp_path, *code, login_type=login)
    assert found.outcome.exit_code == 0, found.outcome.stderr
    expected = {rule.name: "as expected" if login in rule.logins else "not tried" for rule in RULES}
    assert found.marks == expected
    assert found.calls <= MOST
    assert f"It took {found.calls} of {MOST} Graph calls." in found.report
    assert found.report.splitlines()[-1] in found.outcome.stdout
    assert [text for text in texts_of(probed) if text in found.report] == []
    told = json.dumps(probed.requests) + found.outcome.stdout + found.outcome.stderr
    assert probed.token not in told
    assert probed.instagram_token not in told
    # Nothing was exchanged: the token in use is as it was.
    assert len(probed.tokens.known) == 2 + (login == "instagram")


def test_what_cannot_be_tried_says_so(probed: Sandbox, tmp_path: Path) -> None:
    probed.reset(media=0, stories=0)
    found = probe_of(probed, tmp_path, client_id="", client_secret="")
    probed.reset(**WORLD)
    assert found.outcome.exit_code == 0
    marks = found.marks
    for name in (
        "exchange",
        "since",
        "label",
        "all or nothing",
        "optional metrics",
        "nested comments",
        "media metrics",
    ):
        assert marks[name] == "not tried", name
    assert "The account has too few media." in found.report
    assert "client_id and client_secret, which the configuration does not have." in found.report


def test_no_call_goes_beyond_the_limit(probed: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed.reset()
    monkeypatch.setattr(probing, "MOST", 20)
    found = probe_of(probed, tmp_path)
    assert found.calls == 20
    assert found.marks["usage"] == "not tried"
    assert "The 20 calls that a probe may cost are used." in found.report


def test_a_throttle_ends_it(probed: Sandbox, tmp_path: Path) -> None:
    probed.reset()
    probed.add_throttle(after=8, seconds=3600)
    found = probe_of(probed, tmp_path)
    assert found.outcome.exit_code == 0
    assert found.marks["batch"] == "as expected"
    assert found.marks["usage"] == "not tried"
    assert probed.counts["throttled"] <= 2


@pytest.mark.parametrize(
    ("config", "fault", "says"),
    [
        ({"access_token": "EAAnobodys"}, None, "malformed"),
        ({"access_token": ""}, None, "access_token"),
        ({"accounts": ["nobody.at.all"]}, None, "There is no account to probe"),
        ({}, {"code": 4, "message": "(#4) Application request limit reached"}, "Meta throttles just now"),
    ],
)
def test_a_probe_that_cannot_be_run_says_why(
    probed: Sandbox, tmp_path: Path, config: Spec, fault: Spec | None, says: str
) -> None:
    probed.reset()
    if fault:
        probed.add_fault(error=fault)
    found = probe_of(probed, tmp_path, **config)
    assert found.outcome.exit_code == 2
    assert found.outcome.stdout == ""
    assert says in found.outcome.stderr
    assert "Traceback" not in found.outcome.stderr


# -- Otherwise ---------------------------------------------------------------------------------------------------------


class Sync(Trial):
    """A sync of all that the world has."""

    @property
    def start(self) -> datetime:
        return datetime.combine(self.box.world.now().date(), time(), timezone.utc) - timedelta(days=WORLD["days"] + 1)


@dataclass(frozen=True)
class Turn:
    """A sandbox in which one rule is otherwise, and what a sync of some streams brings in it."""

    faults: tuple[Spec, ...] = ()
    streams: tuple[str, ...] = ("media",)
    world: Spec = field(default_factory=dict)
    usage: Spec = field(default_factory=dict)
    login: str = "facebook"
    columns: tuple[str, ...] = ()  # that are null then
    without: tuple[str, ...] = ()  # columns that are not selected
    config: Spec = field(default_factory=dict)
    also: tuple[str, ...] = ()  # rules that do not hold either, as a consequence
    ends: bool = False  # it ends the sync, which says why


def refused(path: str, code: int, message: str, **more: Any) -> tuple[Spec, ...]:
    return ({"path": path, "error": {"code": code, "message": message, **more}},)


RARE = (
    "follows", "profile_visits", "ig_reels_avg_watch_time", "ig_reels_video_view_total_time", "reels_skip_rate",
    "crossposted_views", "facebook_views", "total_likes", "total_comments", "total_views", "profile_activity",
    *(f"profile_activity_{part}" for part in ("bio_link_clicked", "call", "direction", "email", "text", "other")),
)  # fmt: skip
NO_TOKEN = "An active access token must be used to query information about the current user."
UNKNOWN = "An unknown error occurred"
TURNS = {
    "header": Turn(refused("", 2500, NO_TOKEN), ends=True),
    "version": Turn(({"kind": "stall", "headers": {"facebook-api-version": "v26.0"}},)),
    "by id": Turn(world={"only_me": True}, login="instagram"),
    "batch": Turn(refused(r"\?batch$", 100, "Unsupported post request."), ("media_insights",), also=("debug_token",)),
    "debug_token": Turn(refused("debug_token", 100, "Unsupported get request.")),
    "exchange": Turn(refused("oauth/access_token", 101, "Missing client_id parameter.")),
    "refresh": Turn(refused("refresh_access_token", 104, "An access token is required."), login="instagram"),
    "code": Turn(({"kind": "edit", "path": "oauth/access_token", "wrap": ""},), login="instagram"),
    "since": Turn(({"ignore": ["since", "until"], "path": "/media"},), ("media", "media_insights")),
    "edges": Turn(({"whole_days": True},), ("user_insights",)),
    "label": Turn(world={"counted_comments": "begins"}, streams=("user_insights", "user_total_insights")),
    "all or nothing": Turn(({"lenient": True},), ("media_insights", "story_insights")),
    "optional metrics": Turn(refused("metric=views,.*facebook_views", 100, "Invalid parameter"), ("media_insights",)),
    "nested comments": Turn(refused(r"/media.*comments\.limit", 1, UNKNOWN), ("comments",)),
    "nested insights": Turn(refused(r"/media.*insights\.metric", 1, UNKNOWN), ("media_insights",), without=RARE),
    "fields": Turn(({"refuse_field": "is_ai_generated"},), columns=("is_ai_generated",)),
    "media metrics": Turn(
        ({"retire_metric": "reels_skip_rate", "level": "media"},), ("media_insights",), columns=("reels_skip_rate",)
    ),
    "account metrics": Turn(
        ({"retire_metric": "replies", "level": "user"},), ("user_total_insights",), columns=("replies",)
    ),
    "polls": Turn(
        refused("poll_attachment", 100, "Unsupported get request."), columns=("poll_options", "poll_expires_at")
    ),
    "discovery": Turn(({"refuse_field": "view_count"},), ("discovered_media",), columns=("view_count",), config=OTHERS),
    "usage": Turn(usage={"mode": "missing"}, streams=("users", "media")),
}


def turn_of(box: Sandbox, turn: Turn) -> None:
    box.reset(**{**WORLD, **turn.world})
    for fault in turn.faults:
        box.add_fault(**fault)
    box.set_usage(**turn.usage)


def test_each_rule_is_turned() -> None:
    assert sorted(TURNS) == sorted(NAMES)
    assert len({*NAMES}) == len(NAMES)
    modules = {path.stem for path in (ROOT / "source_instagram").glob("*.py")} | {"manifest.yaml", ""}
    assert {rule.healed_by for rule in RULES} <= modules


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_is_otherwise_is_reported_and_costs_no_record(probed: Sandbox, tmp_path: Path, rule: Rule) -> None:
    turn = TURNS[rule.name]
    turn_of(probed, turn)
    found = probe_of(probed, tmp_path, "--code", probed.code, login_type=turn.login)
    assert found.outcome.exit_code == 1
    assert [name for name, mark in found.marks.items() if mark == "OTHERWISE"] == [rule.name, *turn.also], found.report
    assert rule.otherwise in found.report

    turn_of(probed, turn)
    secrets = {"client_id": probed.app_id, "client_secret": probed.app_secret}
    trial = Sync(probed, turn.streams, {"login_type": turn.login, **secrets, **turn.config}, turn.without)
    outcome = trial.read()
    if turn.ends:
        assert outcome.exit_code
        assert any(NO_TOKEN in str(error["message"]) for error in outcome.errors)
        return
    world = trial.world()
    assert outcome.exit_code == 0
    assert unkept(world, outcome, [Excuse(streams=turn.streams, columns=turn.columns)] * bool(turn.columns)) == []
    for stream, expected in world.items():
        assert len(outcome.records[stream]) == len(expected)


@pytest.mark.slow
def test_dearer_expansions_are_reported(probed: Sandbox, tmp_path: Path) -> None:
    turn_of(probed, Turn(usage={"per_expansion": 5}))
    assert probe_of(probed, tmp_path).marks["usage"] == "OTHERWISE"
