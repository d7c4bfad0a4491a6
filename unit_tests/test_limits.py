"""Limits: whose usage a header tells, what is no figure, and a check that does not wait."""

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from harness import Connector, Outcome, command
from hypothesis import given
from hypothesis import strategies as some

from sandbox import Sandbox
from source_instagram import rate_limiter
from source_instagram.answers import item_reply
from source_instagram.rate_limiter import FIGURES, RateLimiter, entries_about, in_header, regain_seconds, used_percent

APP, BUSINESS = "X-App-Usage", "X-Business-Use-Case-Usage"
MINE, OTHER, FIRM = "17841400000000001", "17841400000000002", "9001"


class Clock:
    """A clock that only sleepers move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-3)

    def event(self) -> threading.Event:
        """An event whose waiters move the clock."""
        event = threading.Event()
        event.wait = self.sleep  # type: ignore[assignment]
        return event


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The rate_limiter's own time, in full length."""
    clock = Clock()
    monkeypatch.setattr(rate_limiter, "TEMPO", 1.0)
    monkeypatch.setattr(rate_limiter, "time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(rate_limiter, "threading", SimpleNamespace(Lock=threading.Lock, Event=clock.event))
    return clock


# -- Headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "percent"),
    [
        ('{"call_count":12,"total_time":85,"total_cputime":3}', 85),
        ('{"call_volume":7,"cpu_time":0}', 7),
        ('{"call_count":99.5}', 99.5),
        ('{"call_count":5,"reset_time_duration":3600}', 5),
        ('{"call_count":5,"acc_id_util_pct":100}', 5),
        ('{"call_count":NaN,"total_time":3}', 3),
        ('{"call_count":Infinity}', None),
        ('{"call_count":-1}', None),
        ('{"call_count":1e999}', None),
        ('{"call_count":1' + "0" * 400 + "}", None),
        ('{"call_count":true}', None),
        ('{"call_count":"12"}', None),
        ('{"estimated_time_to_regain_access":90}', None),
        ('{"1784":[{"call_count":90}]}', None),
        ("{}", None),
        ("[]", None),
        ("null", None),
        ("12", None),
        ("", None),
        ('{"call_count":', None),
        ("[" * 100_000, None),
    ],
)
@pytest.mark.parametrize("name", [APP, APP.lower()])
def test_the_figures_of_the_app(header: str, percent: float | None, name: str) -> None:
    assert used_percent([in_header({name: header}, APP)]) == percent


def entry(percent: float, kind: str | None = "instagram", **more: Any) -> dict[str, Any]:
    return {**({"type": kind} if kind else {}), "call_count": percent, **more}


@pytest.mark.parametrize(
    ("header", "percent"),
    [
        ({MINE: [entry(12)]}, 12),
        ({MINE: [entry(12, None)]}, 12),
        ({MINE: [entry(12), entry(100, "ads_management")]}, 12),
        ({MINE: [entry(12)], FIRM: [entry(12)]}, 12),
        ({MINE: [entry(12)], FIRM: [entry(100)]}, 12),
        ({FIRM: [entry(40)]}, 40),
        ({FIRM: [entry(40, None)]}, None),
        ({FIRM: [entry(100, "ads_management")]}, None),
        ({FIRM: [entry(100)], "9002": [entry(100)]}, None),
        ({MINE: [entry(100, "ads_management")], FIRM: [entry(3)]}, 3),
        ({OTHER: [entry(100)]}, None),
        ({OTHER: [entry(100)], FIRM: [entry(3)]}, 3),
        ({MINE: entry(12)}, 12),
        ({MINE: "full", FIRM: None}, None),
        ({MINE: [[entry(12)], 5]}, None),
        ({}, None),
    ],
)
def test_the_entries_of_an_account(header: dict[str, Any], percent: float | None) -> None:
    assert used_percent(entries_about(MINE, header, {MINE, OTHER})) == percent
    assert entries_about(None, header, {MINE, OTHER}) == [], "what is asked for no account says nothing of one"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({MINE: [entry(100, estimated_time_to_regain_access=5)]}, 300),
        ({MINE: [entry(100, estimated_time_to_regain_access=0.5)]}, 30),
        ({MINE: [entry(100)], OTHER: [entry(1, estimated_time_to_regain_access=9)]}, None),
        ({MINE: [entry(1)], FIRM: [entry(100, estimated_time_to_regain_access=9)]}, None),
        ({MINE: [entry(1), entry(100, "ads_insights", estimated_time_to_regain_access=9)]}, None),
        ({FIRM: [entry(100, estimated_time_to_regain_access=9)]}, 540),
        *(
            ({MINE: [entry(100, estimated_time_to_regain_access=odd)]}, None)
            for odd in (None, "5", -3, True, [], 1e300)
        ),
    ],
)  # fmt: skip
def test_the_minutes_until_access_comes_back(header: dict[str, Any], seconds: float | None) -> None:
    assert regain_seconds(entries_about(MINE, header, {MINE, OTHER})) == seconds


ODD = some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5)
KEYS = some.sampled_from(["type", "estimated_time_to_regain_access", "new_key", *FIGURES]) | some.text(max_size=5)
ENTRY = some.dictionaries(KEYS, ODD | some.just("instagram"), max_size=5)
BY_ID = some.dictionaries(some.sampled_from([MINE, OTHER, FIRM, ""]), some.lists(ENTRY, max_size=3) | ENTRY | ODD)
HEADER = some.text(max_size=40) | some.builds(json.dumps, ENTRY | BY_ID | ODD)


@given(app=HEADER, business=HEADER, account=some.sampled_from([MINE, None]))
def test_no_header_raises_or_closes(app: str, business: str, account: str | None) -> None:
    gate = RateLimiter()
    gate.accounts = {MINE, OTHER}
    gate.observe(account, {APP: app, BUSINESS: business})
    epochs = gate.enter(account, 1, lambda *_: None)[1]
    gate.refuse(account, 80002, {APP: app, BUSINESS: business}, RuntimeError(), epochs)
    assert not gate.stopped


ROW = some.dictionaries(some.sampled_from(["name", "value", "x"]), ODD | HEADER)


@given(headers=some.lists(ROW | ODD) | ROW | ODD, outer=HEADER)
def test_no_header_costs_a_part_of_a_batch(headers: Any, outer: str) -> None:
    reply = item_reply({"code": 200, "headers": headers, "body": '{"id":"1"}'}, {APP: outer})
    assert reply is not None
    assert reply.body == {"id": "1"}


def test_one_account_is_not_held_by_another(clock: Clock) -> None:
    gate = RateLimiter()
    gate.accounts = {MINE, OTHER}
    for _ in range(5):
        gate.observe(MINE, {BUSINESS: json.dumps({OTHER: [entry(100)]})})
        gate.enter(MINE, 1, lambda *_: None)
    assert clock.now == 1000.0
    gate.observe(MINE, {BUSINESS: json.dumps({MINE: [entry(100)]})})
    for _ in range(2):
        gate.enter(MINE, 1, lambda *_: None)
    assert clock.now > 1000.0, "its own reading holds it"


# -- In a sync ---------------------------------------------------------------------------------------------------------


def with_headers(box: Sandbox, path: str = "", **headers: str) -> None:
    box.add_fault(kind="stall", path=path, headers={name.replace("_", "-"): text for name, text in headers.items()})


def spaced(outcome: Outcome) -> list[str]:
    return [line for line in outcome.log("WARN") if "requests are spaced" in line]


@pytest.mark.parametrize(
    "headers",
    [
        {"X_App_Usage": '{"call_count":1,"reset_time_duration":3600}'},
        {"X_App_Usage": '{"call_count":NaN,"total_time":Infinity}'},
        {"X_Business_Use_Case_Usage": json.dumps({FIRM: [entry(100, "ads_management")]})},
        {"X_Business_Use_Case_Usage": json.dumps({FIRM: [entry(100)], "9002": [entry(1)]})},
    ],
)
def test_figures_of_something_else_space_nothing(box: Sandbox, connector: Connector, headers: dict[str, str]) -> None:
    with_headers(box, **headers)
    outcome = connector.read("media", "media_insights")
    assert outcome.statuses == {"media": "COMPLETE", "media_insights": "COMPLETE"}
    assert len(outcome.records["media_insights"]) > 0
    assert (spaced(outcome), outcome.rate_limited) == ([], set())


def test_an_unknown_key_is_told_once(box: Sandbox, connector: Connector) -> None:
    with_headers(box, X_App_Usage='{"call_count":1,"reset_time_duration":3600}')
    outcome = connector.read("users", "media")
    assert len([line for line in outcome.log("INFO") if "reset_time_duration" in line]) == 1


@pytest.mark.usefixtures("clock")
def test_a_batchs_own_header_counts(box: Sandbox, connector: Connector) -> None:
    with_headers(box, r"\?batch$", X_App_Usage='{"call_count":85}')
    outcome = connector.read("media_insights", accounts=[box.world.accounts[0].id])
    assert spaced(outcome)
    assert outcome.statuses == {"media_insights": "COMPLETE"}


def test_what_is_named_for_another_account_is_not_waited_for(box: Sandbox, connector: Connector, clock: Clock) -> None:
    first, second = box.world.accounts[:2]
    names = json.dumps({second.id: [entry(100, estimated_time_to_regain_access=1440)], first.id: [entry(1)]})
    box.add_fault(
        path=f"/{first.id}/media",
        times=1,
        error={"code": 80002, "message": "too many calls"},
        headers={BUSINESS: names},
    )
    outcome = connector.read("media", accounts=[first.id])
    assert outcome.statuses == {"media": "COMPLETE"}
    assert clock.now < 1000 + 60


# -- A check does not wait ---------------------------------------------------------------------------------------------


def checked(box: Sandbox, connector: Connector, **config: Any) -> Outcome:
    return command("check", box.env, config=connector.config(**config))


@pytest.mark.parametrize("login", ["facebook", "instagram"])
@pytest.mark.parametrize("code", [4, 17, 32, 80002])
def test_a_throttle_before_the_accounts_are_listed(
    box: Sandbox, connector: Connector, clock: Clock, login: str, code: int
) -> None:
    box.add_fault(error={"code": code, "message": "(#4) Application request limit reached", "is_transient": True})
    status, message = connector.check(login_type=login)
    assert status == "FAILED"
    assert "throttles" in message
    assert "later" in message
    assert clock.now < 1000 + 60


@pytest.mark.parametrize("accounts", [[], None])
def test_a_throttle_after_the_accounts_were_listed(
    box: Sandbox, connector: Connector, clock: Clock, accounts: list[str] | None
) -> None:
    box.add_throttle(after=1, seconds=1e6, times=0)
    outcome = checked(box, connector, accounts=accounts or [])
    assert outcome.check[0] == "SUCCEEDED"
    assert [line for line in outcome.log("WARN") if "could not be tried" in line]
    assert [line for line in outcome.log("WARN") if "throttles" in line]
    assert clock.now < 1000 + 60


def test_a_day_that_meta_names(box: Sandbox, connector: Connector, clock: Clock) -> None:
    box.add_throttle(after=1, seconds=86_000, code=80002, scope="account", times=0, regain="minutes")
    assert connector.check()[0] == "SUCCEEDED"
    assert clock.now < 1000 + 60


@pytest.mark.parametrize("percent", [80, 99, 100])
def test_a_limit_that_is_near_holds_no_check(box: Sandbox, connector: Connector, clock: Clock, percent: int) -> None:
    box.set_usage(start=percent)
    outcome = checked(box, connector)
    assert outcome.check == ("SUCCEEDED", "")
    assert [line for line in outcome.log("WARN") if "tried" in line] == []
    assert clock.now == 1000.0


def test_a_sync_after_a_check_waits_again(clock: Clock) -> None:
    gate = RateLimiter()
    with gate.hurried(35, RuntimeError):
        epochs = gate.enter(MINE, 1, lambda *_: None)[1]
        gate.refuse(
            MINE,
            80002,
            {BUSINESS: json.dumps({MINE: [entry(1, estimated_time_to_regain_access=2)]})},
            RuntimeError(),
            epochs,
        )
        with pytest.raises(RuntimeError):
            gate.enter(MINE, 1, lambda *_: None)
    gate.enter(MINE, 1, lambda *_: None)
    assert clock.now == pytest.approx(1000 + 120, abs=1)


@pytest.mark.parametrize(("accounts", "refused"), [(40, 30), (300, 30), (30, 29)])
def test_refused_accounts_do_not_hide_those_that_can_be_read(
    box: Sandbox, connector: Connector, accounts: int, refused: int
) -> None:
    box.reset(accounts=accounts, media=0, albums=0, stories=0, tags=0)
    for account in box.world.accounts[:refused]:
        box.add_fault(forbid_account=account.id)
    outcome = checked(box, connector)
    assert outcome.check == ("SUCCEEDED", "")
    assert box.http_requests <= 7
    assert [line for line in outcome.log("WARN") if box.world.accounts[0].id in line]


def test_none_that_can_be_read_is_a_failure_that_says_how_many(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=60, media=0, albums=0, stories=0, tags=0)
    for account in box.world.accounts:
        box.add_fault(forbid_account=account.id)
    status, message = connector.check()
    assert status == "FAILED"
    assert "25 accounts" in message
    assert "instagram_basic" in message
    assert box.http_requests <= 5
