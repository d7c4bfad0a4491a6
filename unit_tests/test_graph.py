"""Dealing with Meta: what its answers mean, when to wait, what heals, what goes again."""

import json
from collections import Counter, deque
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import requests_mock
from airbyte_cdk.models import FailureType
from engine import RULES
from harness import Connector, asked
from oracle import Oracle, keyed
from test_syncs import START, iso

from sandbox import Sandbox
from source_instagram import answers, rate_limiter
from source_instagram.answers import Reply, among, well_formed
from source_instagram.capabilities import without
from source_instagram.rate_limiter import RateLimiter
from source_instagram.session import SyncSession

TOKEN = "EAAmadeup|with%bar"


def judge(status: int, body: Any, headers: dict[str, str] | None = None) -> Any:
    """What the manifest's rules say of an answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    return answers.judge(Reply(status, headers or {}, text), RULES, SyncSession({"access_token": TOKEN}).clean)


# -- What answers mean -------------------------------------------------------------------------------------------------

METRICS = (
    "(#100) The Media Insights API does not support the {follows, profile_visits} metric for this media product type"
)
UNREADABLE = (
    "Unsupported get request. Object with ID '179' does not exist, cannot be loaded due to missing permissions, or "
    "does not support this operation"
)
REDUCE = "Please reduce the amount of data you're asking for, then retry your request"

# HTTP status, code, subcode, further keys of the envelope (a text is its message) -> what to do.
# Sections 6.6, 7, 8.6, 13 and 14.4 of the API reference.
MEANINGS: list[tuple[int, int | None, int | None, Any, str]] = [
    # Metrics and fields that Meta does not know.
    (400, 100, None, METRICS, "refused_metric"),
    (
        400, 100, None, METRICS.removeprefix("(#100) ").replace("{follows, profile_visits}", "impressions"),
        "refused_metric",
    ),
    (400, 100, None, "(#100) metric[0] must be one of the following values: impressions, reach", "refused_metric"),
    (
        400, 100, None, "(#100) Starting from version v22.0, the impressions metric is no longer supported",
        "refused_metric",
    ),
    (400, 100, None, "(#100) Incompatible metrics (exits) with single post media", "refused_metric"),
    (400, 100, None, "(#100) Incompatible breakdowns (follow_type) for metric (views)", "refused_metric"),
    (400, 100, None, "Invalid parameter", "refused_metric"),
    (400, 100, None, "(#100) Tried accessing nonexisting field (foo)", "refused_field"),
    (400, 100, None, "(#100) Tried accessing nonexisting field (foo) on node type (ShadowIGMedia)", "refused_field"),
    # An object without such data.
    (400, -1, 2207086, "Fatal", "no_data"),
    (400, -1, 2207073, "Fatal", "no_data"),
    (
        400, 100, 2108006, {"message": "Invalid parameter", "error_user_title": "Media Posted Before …"},
        "before_conversion",
    ),
    (
        400, 100, 2108006, {"message": "Das Medium wurde vor dem Wechsel gepostet", "type": "IGApiException"},
        "before_conversion",
    ),
    (400, 10, None, "(#10) Not enough viewers for the media to show insights", "no_data"),
    (400, 100, 2874010, {"message": "Not enough users", "error_user_title": "Demographic data …"}, "no_data"),
    (400, 9005, 1452042, "Video content was not found.", "no_data"),
    (400, 100, None, "(#100) Field is not available for Carousel children media.", "no_data"),
    (400, 100, None, "(#100) The After Cursor specified exceeds the max limit supported by this endpoint", "last_page"),
    (400, 100, 33, {"message": UNREADABLE, "type": "GraphMethodException"}, "not_visible"),
    (400, 100, 33, {"message": "", "type": "IGApiException"}, "not_visible"),
    (404, 100, 33, UNREADABLE, "not_visible"),
    # Permissions.
    (400, 10, None, "(#10) Application does not have permission for this action", "fail_account"),
    (403, 10, None, "(#10) Application does not have permission for this action", "fail_account"),
    (403, 200, None, "(#200) This endpoint requires the 'pages_read_engagement' permission", "fail_account"),
    (403, 210, None, "(#210) A page access token is required", "fail_account"),
    (400, 299, None, "(#299) …ads_management…", "fail_account"),
    (400, 3, None, "(#3) Application does not have the capability to make this API call.", "fail_account"),
    (400, 368, None, "The action attempted has been deemed abusive", "fail_account"),
    # Tokens.
    (400, 190, 463, "Error validating access token: Session has expired on Thursday", "fail_sync"),
    (401, 190, 463, "Error validating access token: Session has expired on Thursday", "fail_sync"),
    (400, 190, 458, "Error validating access token: The user has not authorized application.", "fail_sync"),
    (400, 190, 459, "The user is checkpointed", "fail_sync"),
    (400, 190, 460, "The session has been invalidated because the user changed their password", "fail_sync"),
    (400, 190, 464, "The user is not confirmed", "fail_sync"),
    (400, 190, 467, "The access token is invalid since the user has logged out", "fail_sync"),
    (400, 190, 492, "Error validating access token: The user doesn't have the role", "fail_sync"),
    (400, 190, None, "Invalid OAuth access token - Cannot parse access token", "fail_sync"),
    (400, 190, None, "Malformed access token", "fail_sync"),
    (400, 190, None, "Something new", "fail_sync"),
    (400, 102, None, "Session key invalid", "fail_sync"),
    (400, 104, None, "An access token is required to request this resource.", "fail_sync"),
    (400, 100, None, {"message": "Unsupported request - method type: get", "type": "IGApiException"}, "fail_sync"),
    (400, 100, None, "Invalid appsecret_proof provided in the API argument", "unsign"),
    # Throttles, at any HTTP status.
    *(
        (status, code, None, "calls", "rate_limited")
        for code in (4, 17, 32, 341, 613)
        for status in (200, 400, 403, 429, 500)
    ),
    *((400, code, None, "There have been too many calls", "rate_limited") for code in range(80000, 80015)),
    (403, 4, None, {"message": "(#4) Application request limit reached", "is_transient": True}, "rate_limited"),
    (403, 4, 2207051, {"message": "Action is blocked", "is_transient": False}, "rate_limited"),
    (400, 4, 1504022, "limit", "rate_limited"),
    (400, 613, 1996, "inconsistent volume", "rate_limited"),
    (400, 80004, 2446079, "too many", "rate_limited"),
    # Faults that pass.
    (400, 1, None, "An unknown error occurred", "retry"),
    (500, 1, None, "An unknown error occurred", "retry"),
    (200, 2, None, "An unexpected error has occurred. Please retry your request later.", "retry"),
    (500, 2, None, {"message": "An unexpected error has occurred.", "is_transient": True}, "retry"),
    (400, -1, 2207001, "Instagram server error. Try again.", "retry"),
    (400, -2, None, "Timeout", "retry"),
    (400, 36000, None, {"message": "new", "is_transient": True}, "retry"),
    (503, None, None, "Service unavailable", "retry"),
    (500, 36000, None, "Something new", "retry"),
    # Too much data, wherever it says so.
    (500, 1, None, REDUCE, "reduce_page"),
    (400, 1, 99, REDUCE, "reduce_page"),
    (200, 1, None, REDUCE, "reduce_page"),
    (500, 1, None, {"message": "An unknown error occurred", "error_user_msg": REDUCE}, "reduce_page"),
    (500, 1, None, {"message": "An unknown error occurred", "error_user_title": REDUCE.upper()}, "reduce_page"),
    (500, 1, None, {"message": REDUCE, "is_transient": True}, "reduce_page"),
    # Requests that nobody can mend by repeating them.
    (400, 2500, None, "Unknown path components: /impressions/day", "unknown"),
    (400, None, None, {"message": "Too many requests in batch message. Maximum batch size is 50"}, "unknown"),
    (400, 36000, None, "Something new", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code", "subcode", "more", "then"),
    MEANINGS,
    ids=[f"{status}-{code}-{subcode}-{then}-{at}" for at, (status, code, subcode, _, then) in enumerate(MEANINGS)],
)
def test_answers_are_understood_by_code_and_words(
    status: int, code: int | None, subcode: int | None, more: Any, then: str
) -> None:
    keys = {"code": code, "error_subcode": subcode, **({"message": more} if isinstance(more, str) else more)}
    refusal = judge(status, {"error": {key: value for key, value in keys.items() if value is not None}})
    assert refusal.then == then
    assert refusal.because


WINDOW_ERRORS = [
    "(#100) since param is not valid. Metrics data is available for the last 2 years",
    "(#100) There cannot be more than 30 days (2592000 s) between since and until",
    "(#100) (follower_count) metric only supports querying data for the last 30 days excluding the current day",
    "(#100) The parameter since must be before until",
]


@pytest.mark.parametrize("message", WINDOW_ERRORS)
def test_a_window_that_is_refused_is_no_metric_that_is_unknown(message: str) -> None:
    assert judge(400, {"error": {"code": 100, "message": message}}).then != "refused_metric"


@pytest.mark.parametrize(
    ("body", "then"),
    [
        ({"data": []}, None),
        ({"id": "1"}, None),
        ([], None),
        ("", "retry"),
        ("   \n", "retry"),
        ("<!DOCTYPE html><html>…</html>", "retry"),
        ('{"data": [{"id": "1"', "retry"),
        ('"text"', "retry"),
        ("null", None),  # whether it may be one is seen by its path
        ("42", "retry"),
        ({"error": None}, None),
    ],
)
@pytest.mark.parametrize("status", [200])
def test_a_good_status_is_not_enough(status: int, body: Any, then: str | None) -> None:
    refusal = judge(status, body)
    assert (refusal and refusal.then) == then


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", ["", "<html>Sorry</html>", {}, {"error": "text"}, {"error": {}}, {"error": []}, []])
def test_a_broken_server_is_asked_again(status: int, body: Any) -> None:
    assert judge(status, body).then == "retry"


@pytest.mark.parametrize(
    "error",
    [
        {"code": "190"},
        {"code": True},
        {"code": 1.5},
        {"code": None},
        {"message": None},
        {"message": {"a": 1}},
        {},
        [],
        3,
        "x",
    ],
)
def test_an_odd_envelope_is_no_crash(error: Any) -> None:
    assert judge(400, {"error": error}).then in ("unknown", "retry", "fail_sync")


@pytest.mark.parametrize(
    ("code", "subcode", "blame"),
    [
        (190, 463, FailureType.config_error),
        (10, None, FailureType.config_error),
        (200, None, FailureType.config_error),
        (4, None, FailureType.transient_error),
        (80002, None, FailureType.transient_error),
        (2, None, FailureType.transient_error),
        (368, None, FailureType.transient_error),
    ],
)
def test_who_is_to_blame(code: int, subcode: int | None, blame: FailureType) -> None:
    assert judge(400, {"error": {"code": code, "error_subcode": subcode, "message": "x"}}).blame == blame


def test_the_token_is_not_repeated() -> None:
    words = f"Malformed access token {TOKEN} in https://x/?access_token=EAAother&a=1 and EAAmadeup%7Cwith%25bar"
    told = str(judge(400, {"error": {"code": 190, "message": words}}))
    for secret in (TOKEN, "EAAother", "EAAmadeup%7Cwith%25bar"):
        assert secret not in told


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        (4, None, True),
        (None, None, True),
        (4, 4, True),
        (4, [17, 4], True),
        (80014, [4, [80000, 80014]], True),
        (80015, [4, [80000, 80014]], False),
        (None, 4, False),
    ],
)
def test_codes_and_ranges(value: Any, wanted: Any, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    assert among(value, wanted) is expected


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("179/insights", {"data": [{"name": "reach"}]}, True),
        ("179/insights", {"data": []}, True),
        ("179/insights", {"data": [{"id": "1"}]}, False),
        ("179/insights", {"data": None}, False),
        ("179/insights", {}, False),
        ("179/media", {"data": [{"id": "1"}]}, True),
        ("179/media", {"data": [None]}, False),
        ("179/media", {"data": {"id": "1"}}, False),
        ("179/media", [], False),
        ("179", {"id": "1"}, True),
        ("me", {"data": [{"user_id": 1}]}, True),
        ("me", {"user_id": 1}, True),
        ("179", {}, False),
    ],
)
def test_an_answer_has_the_shape_of_its_path(path: str, body: Any, expected: bool) -> None:  # noqa: FBT001
    assert well_formed(path, body) is expected


@pytest.mark.parametrize(
    ("fields", "names", "kept"),
    [
        ("id,ig_id,children{id,ig_id}", {"ig_id"}, "id,children{id}"),
        ("id,ig_id", set(), "id,ig_id"),
        ("id,ig_id", {"ig"}, "id,ig_id"),
        ("ig_id,id", {"ig_id"}, "id"),
        ("id,children{id,media_url},caption", {"children"}, "id,caption"),
        (
            "id,text,replies.limit(50){id,hidden,text},like_count",
            {"hidden"},
            "id,text,replies.limit(50){id,text},like_count",
        ),
        ("id,text,replies.limit(50){id,text},like_count", {"replies"}, "id,text,like_count"),
        ("id,like_count,total_like_count", {"like_count"}, "id,total_like_count"),
        ("id,a,b,c", {"a", "c"}, "id,b"),
        ("id,children{alt_text,id}", {"alt_text"}, "id,children{id}"),
    ],
)
def test_refused_fields_are_left_out_at_any_depth(fields: str, names: set[str], kept: str) -> None:
    assert without(fields, names) == kept


# -- Waiting -----------------------------------------------------------------------------------------------------------


class GaveUpError(Exception):
    """What a gate is closed with."""


class Gate:
    """A rate_limiter and a clock that only its sleepers move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.rate_limiter = RateLimiter()
        self.announced: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += max(seconds, 1e-3)

    def enter(self, account: str | None = "a", calls: int = 1) -> Any:
        """Go through; what `refuse` wants back."""
        granted, epochs = self.rate_limiter.enter(account, calls, lambda wait, _: self.announced.append(wait))
        self.rate_limiter.leave(account, granted)
        return epochs

    def waited(self, account: str | None = "a") -> float:
        """The seconds that the next call of an account has to wait."""
        began = self.now
        self.enter(account)
        return self.now - began

    def refuse(self, epochs: Any, code: int = 80002, seconds: float | None = None, account: str | None = "a") -> None:
        entry = {"type": "instagram", "estimated_time_to_regain_access": (seconds or 0) / 60}
        headers = {"X-Business-Use-Case-Usage": json.dumps({account or "app": [entry]})}
        self.rate_limiter.refuse(account, code, headers, GaveUpError(), epochs)

    def usage(self, percent: float, account: str | None = "a", header: str = "X-App-Usage") -> None:
        figures = {"call_count": percent}
        self.rate_limiter.observe(
            account, {header: json.dumps(figures if header == "X-App-Usage" else {account: [figures]})}
        )


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(rate_limiter, "TEMPO", 1.0)
    monkeypatch.setattr(rate_limiter, "time", SimpleNamespace(monotonic=gate.monotonic, sleep=gate.sleep))
    monkeypatch.setattr(gate.rate_limiter._stopping, "wait", gate.sleep)
    return gate


def test_nobody_waits_without_a_reason(gate: Gate) -> None:
    assert [gate.waited(account) for account in ("a", "b", None) for _ in range(20)] == [0.0] * 60


def test_an_accounts_throttle_leaves_others_alone(gate: Gate) -> None:
    gate.refuse(gate.enter("a"), code=80002, seconds=300)
    assert gate.waited("b") == 0
    assert gate.waited("a") == pytest.approx(300, abs=1)


@pytest.mark.parametrize("code", [4, 17, 341, 613])
def test_the_apps_throttle_holds_all(gate: Gate, code: int) -> None:
    gate.refuse(gate.enter("a"), code=code, seconds=120)
    assert gate.waited("b") == pytest.approx(120, abs=1)


def test_the_minutes_of_the_header_are_waited_and_told(gate: Gate) -> None:
    gate.refuse(gate.enter(), seconds=45 * 60)
    assert gate.waited() == pytest.approx(2700, abs=1)
    assert max(gate.announced) == pytest.approx(2700, abs=1)
    assert all(before - after <= 61 for before, after in pairwise(gate.announced)), "it is said again every minute"


def test_unexplained_throttles_wait_longer_each_time_and_an_hour_in_all(gate: Gate) -> None:
    waits = []
    with pytest.raises(GaveUpError):  # noqa: PT012 - it comes in the middle
        for _ in range(50):
            began = gate.now
            epochs = gate.enter()
            waits.append(gate.now - began)
            gate.refuse(epochs)
    steps = waits[1:]
    assert steps == sorted(steps)
    assert steps[0] <= 30
    assert sum(steps) == pytest.approx(3600, rel=0.02)


def test_who_was_refused_together_waits_once(gate: Gate) -> None:
    together = [gate.enter() for _ in range(10)]
    for epochs in together:
        gate.refuse(epochs)
    assert gate.waited() <= 30


def test_an_answer_ends_the_count(gate: Gate) -> None:
    first = []
    for _ in range(30):
        gate.refuse(gate.enter())
        began = gate.now
        epochs = gate.enter()
        first.append(gate.now - began)
        gate.rate_limiter.passed("a", epochs)
    assert set(first) == {first[0]}


def test_after_a_stop_nobody_passes(gate: Gate) -> None:
    gate.rate_limiter.stop(GaveUpError())
    for account in ("a", "b", None):
        with pytest.raises(GaveUpError):
            gate.enter(account)


@pytest.mark.parametrize("percent", [0, 50, 79])
def test_far_from_the_limit_nothing_is_spaced(gate: Gate, percent: float) -> None:
    for _ in range(30):
        gate.usage(percent)
        assert gate.waited() == 0


@pytest.mark.parametrize("per_call", [0.02, 0.5, 2.0])
@pytest.mark.parametrize("header", ["X-App-Usage", "X-Business-Use-Case-Usage"])
def test_the_limit_is_never_reached_within_its_hour(gate: Gate, header: str, per_call: float) -> None:
    used, began, calls = 70.0, gate.now, 0
    while gate.now < began + 3600 and calls < 3000:
        gate.usage(int(used), header=header)
        gate.enter()
        calls += 1
        used += per_call
        assert used < 100
    assert calls > 5, "and it goes on"


@pytest.mark.parametrize(("window", "limit", "hours"), [(1, 150, 8), (1, 1000, 8), (1, 20_000, 8), (24, 20_000, 3)])
@pytest.mark.parametrize("before", [0, 0.7, 0.9])
def test_a_rolling_limit_is_not_reached_however_long_the_sync_is(
    gate: Gate, window: int, limit: int, hours: int, before: float
) -> None:
    recent = deque([gate.now] * int(limit * before))
    began, calls = gate.now, 0
    while gate.now < began + hours * 3600 and calls < 3 * limit:
        gate.enter()
        while recent and recent[0] <= gate.now - window * 3600:
            recent.popleft()
        recent.append(gate.now)
        assert len(recent) < limit
        gate.usage(100 * len(recent) // limit)
        calls += 1
    assert calls > limit * min(0.9, (1 - before) * 0.9), "and it goes on"


def test_a_limit_that_is_used_up_while_meta_goes_on_answering_is_none(gate: Gate) -> None:
    began = gate.now
    for _ in range(500):
        gate.usage(100)
        gate.enter()
    assert gate.now - began == pytest.approx(3600, rel=0.01)


def test_another_users_calls_do_not_stop_a_sync(gate: Gate) -> None:
    began = gate.now
    for _ in range(2000):
        gate.usage(90)
        gate.enter()
    assert gate.now - began < 2 * 3600


def test_the_spacing_is_the_accounts_own_where_its_limit_is(gate: Gate) -> None:
    for step in range(40):
        gate.usage(80 + step / 4, "a", "X-Business-Use-Case-Usage")
        gate.enter("a")
    assert gate.waited("b") == 0
    assert gate.waited("a") > 0


@pytest.mark.parametrize("header", ["", "{", "null", "{}", '{"call_count":"many"}', "[[[]]]"])
def test_a_malformed_header_changes_nothing(gate: Gate, header: str) -> None:
    for _ in range(5):
        gate.rate_limiter.observe("a", {"X-App-Usage": header, "X-Business-Use-Case-Usage": header})
        assert gate.waited() == 0
    gate.rate_limiter.observe("a", {})
    assert gate.waited() == 0


# -- Throttles in a sync -----------------------------------------------------------------------------------------------


def everything(box: Sandbox, outcome: Any, *streams: str) -> None:
    """All records of the streams are there, and they ended well."""
    oracle = Oracle(box.world, START)
    assert outcome.statuses == dict.fromkeys(streams, "COMPLETE")
    for stream in streams:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream)), stream


@pytest.mark.parametrize("code", [4, 17, 32, 341, 613, 80002])
def test_a_throttle_is_waited_out(box: Sandbox, connector: Connector, code: int) -> None:
    throttle = box.add_throttle(after=4, seconds=0.05, code=code, scope="app", times=3)
    outcome = connector.read("media", "media_insights", "users")
    assert throttle.refused > 0
    everything(box, outcome, "media", "media_insights", "users")


def test_a_wait_is_told_to_the_platform(box: Sandbox, connector: Connector) -> None:
    box.add_throttle(after=6, seconds=1.5, code=80002, scope="account", regain="fraction", times=1)
    outcome = connector.read("media_insights")
    everything(box, outcome, "media_insights")
    assert outcome.rate_limited == {"media_insights"}
    assert [line for line in outcome.log("INFO", "WARN") if "waiting" in line]


def test_a_throttle_without_end_is_an_error_that_names_the_account(box: Sandbox, connector: Connector) -> None:
    first, *others = box.world.accounts[:3]
    error = {"code": 80002, "message": "(#80002) There have been too many calls to this Instagram account."}
    box.add_fault(path=f"/{first.id}/", error=error)
    outcome = connector.read("media")
    assert outcome.statuses == {"media": "INCOMPLETE"}
    assert {record["business_account_id"] for record in outcome.records["media"]} == {each.id for each in others}
    assert first.id in outcome.errors[0]["message"]
    assert outcome.errors[0]["failure_type"] == "transient_error"


# -- Batches -----------------------------------------------------------------------------------------------------------


def urls(box: Sandbox) -> list[list[str]]:
    """What each batch carried."""
    return [[item["relative_url"] for item in request["items"]] for request in box.requests if "items" in request]


def test_a_batch_has_at_most_fifty_calls(box: Sandbox, connector: Connector) -> None:
    everything(box, connector.read("media_insights"), "media_insights")
    sizes = [len(items) for items in urls(box)]
    assert max(sizes) <= 50
    assert len(sizes) < sum(sizes) / 5, "and they are well filled"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "null_item"},
        {"error": {"code": 2, "message": "An unexpected error has occurred."}, "status": 500},
        {"error": {"code": 80002, "message": "(#80002) There have been too many calls"}},
        {"error": {"code": 1, "message": "An unknown error occurred"}, "status": 400},
        {"kind": "truncate"},
        {"kind": "empty"},
        {"kind": "html"},
        {"kind": "shape"},
        {"kind": "envelope200"},
    ],
    ids=lambda fault: str(fault.get("kind") or fault["error"]["code"]),
)
def test_only_what_was_refused_or_unfinished_goes_again(
    box: Sandbox, connector: Connector, fault: dict[str, Any]
) -> None:
    fired = box.add_fault(path="/insights", skip=8, every=6, times=4, **fault)
    everything(box, connector.read("media_insights"), "media_insights")
    counts = Counter((path, params["metric"]) for path, params in asked(box.requests) if "metric" in params)
    assert fired.fired == 4
    assert sum(counts.values()) - len(counts) <= 4


@pytest.mark.parametrize("kind", ["drop", "html", "not_json", "empty", "truncate", "shape", "error"])
def test_a_batch_that_breaks_as_a_whole_goes_again(box: Sandbox, connector: Connector, kind: str) -> None:
    box.add_fault(path=r"\?batch$", kind=kind, times=2)
    everything(box, connector.read("media_insights", "story_insights"), "media_insights", "story_insights")


# -- Healing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["named", "unnamed"])
@pytest.mark.parametrize("metric", ["shares", "views", "reels_skip_rate"])
def test_a_retired_media_metric_costs_its_column_only(
    box: Sandbox, connector: Connector, metric: str, message: str
) -> None:
    box.add_fault(retire_metric=metric, level="media", message=message)
    outcome, oracle = connector.read("media_insights"), Oracle(box.world)
    expected = [{**record, metric: None} for record in oracle.records("media_insights")]
    assert outcome.statuses == {"media_insights": "COMPLETE"}
    assert keyed("media_insights", outcome.records["media_insights"]) == keyed("media_insights", expected)
    for product in ("FEED", "REELS")[metric == "reels_skip_rate" :]:
        assert [line for line in outcome.log("WARN") if metric in line and product in line], product
    wasted = [path for path, params in asked(box.requests) if metric in params.get("metric", "").split(",")]
    if message == "named":
        assert len(wasted) <= 2, "one wasted call per product type"
    else:  # true of each object only, until several of an account have said so; then every fifth is asked
        assert len(wasted) <= len(expected) * 2 / 3


def test_a_retirement_for_one_product_type_leaves_the_others_alone(box: Sandbox, connector: Connector) -> None:
    box.add_fault(retire_metric="reach", level="media", product_types=["REELS"])
    outcome = connector.read("media_insights", "story_insights")
    for record in outcome.records["media_insights"]:
        assert (record.get("reach") is None) == (record["media_product_type"] == "REELS")
    assert all(record["reach"] is not None for record in outcome.records["story_insights"])


@pytest.mark.parametrize("message", ["named", "unnamed"])
@pytest.mark.parametrize("stream", ["user_insights", "user_total_insights", "user_insights_breakdowns"])
def test_a_retired_account_metric_costs_its_column_only(
    box: Sandbox, connector: Connector, stream: str, message: str
) -> None:
    metric = {"user_insights": "follower_count"}.get(stream, "likes")
    box.add_fault(retire_metric=metric, level="user", message=message)
    outcome = connector.read(stream, start_date=iso(START))
    expected = [
        {name: value for name, value in record.items() if name != metric}
        for record in Oracle(box.world, START).records(stream)
        if record.get("metric") != metric
    ]
    assert outcome.statuses == {stream: "COMPLETE"}
    assert keyed(stream, outcome.records[stream]) == keyed(stream, expected)
    assert [line for line in outcome.log("WARN") if metric in line]


def test_what_accounts_have_lost_media_may_still_have(box: Sandbox, connector: Connector) -> None:
    box.add_fault(retire_metric="likes", level="user", message="named")
    outcome = connector.read("user_total_insights", "media_insights", start_date=iso(START), num_workers=1)
    everything_of_media = keyed("media_insights", Oracle(box.world).records("media_insights"))
    assert keyed("media_insights", outcome.records["media_insights"]) == everything_of_media


@pytest.mark.parametrize(
    ("stream", "field"),
    [("media", "alt_text"), ("media", "legacy_instagram_media_id"), ("users", "has_profile_pic"), ("tags", "shortcode"),
     ("stories", "caption"), ("comments", "hidden")],
)  # fmt: skip
def test_a_refused_field_costs_its_column_only(box: Sandbox, connector: Connector, stream: str, field: str) -> None:
    box.add_fault(refuse_field=field)
    outcome = connector.read(stream)
    expected = Oracle(box.world).records(stream)
    for record in expected:
        record.pop(field, None)
        for child in record.get("children", []):
            child.pop(field, None)
    assert outcome.statuses == {stream: "COMPLETE"}
    assert keyed(stream, outcome.records[stream]) == keyed(stream, expected)
    assert [line for line in outcome.log("WARN") if field in line]


def test_two_refused_fields_are_left_out_one_after_the_other(box: Sandbox, connector: Connector) -> None:
    box.add_fault(refuse_field="alt_text")
    box.add_fault(refuse_field="saved_count")
    outcome = connector.read("media")
    assert outcome.statuses == {"media": "COMPLETE"}
    assert len(outcome.records["media"]) == len(Oracle(box.world).records("media"))


@pytest.mark.parametrize("where", ["message", "error_user_msg"])
@pytest.mark.parametrize(
    ("stream", "path"),
    [
        ("media", "/media"),
        ("tags", "/tags"),
        ("comments", "/comments"),
        ("accounts", "/me/accounts"),
        ("media_insights", "/media"),
    ],
)
def test_pages_shrink_until_meta_is_content(
    box: Sandbox, connector: Connector, stream: str, path: str, where: str
) -> None:
    box.add_fault(max_limit=7, path=path, message=where)
    everything(box, connector.read(stream), stream)


def test_an_object_that_seems_gone_is_asked_twice(box: Sandbox, connector: Connector) -> None:
    error = {"code": 100, "error_subcode": 33, "message": UNREADABLE, "type": "GraphMethodException"}
    box.add_fault(path="/insights", skip=9, times=3, error=error)
    everything(box, connector.read("media_insights"), "media_insights")


def test_an_object_that_is_gone_costs_only_itself(box: Sandbox, connector: Connector) -> None:
    gone = box.world.media(box.world.accounts[0])[5]
    error = {"code": 100, "error_subcode": 33, "message": UNREADABLE, "type": "GraphMethodException"}
    box.add_fault(path=f"/{gone.id}/insights", error=error)
    outcome = connector.read("media_insights")
    expected = keyed("media_insights", Oracle(box.world).records("media_insights"))
    del expected[(gone.id,)]
    assert outcome.statuses == {"media_insights": "COMPLETE"}
    assert keyed("media_insights", outcome.records["media_insights"]) == expected
    assert [line for line in outcome.log("WARN") if gone.id in line]


UNKNOWN = {"code": 1, "message": "An unknown error has occurred."}


def feed_posts(box: Sandbox) -> list[str]:
    """Posts of the first account that have insights, newest first."""
    return [
        post.id
        for post in box.world.media(box.world.accounts[0])
        if post.product == "FEED" and not post.before_conversion
    ]


def test_an_optional_metric_that_fails_for_one_media_is_there_for_the_others(
    box: Sandbox, connector: Connector
) -> None:
    one = feed_posts(box)[0]
    box.add_fault(path=f"/{one}/.*facebook_views", error=UNKNOWN)
    outcome = connector.read("media_insights")
    expected = Oracle(box.world).records("media_insights")
    for record in expected:
        if record["id"] == one:
            record["facebook_views"] = None
    assert outcome.statuses == {"media_insights": "COMPLETE"}
    assert keyed("media_insights", outcome.records["media_insights"]) == keyed("media_insights", expected)
    assert [line for line in outcome.log("WARN") if one in line and "facebook_views" in line]


@pytest.mark.parametrize("error", [UNKNOWN, {"code": 10, "message": "(#10) Application does not have permission"}])
def test_an_account_without_an_optional_metric_costs_no_other_account_its(
    box: Sandbox, connector: Connector, error: dict[str, Any]
) -> None:
    first = box.world.accounts[0].id
    fault = box.add_fault(path="facebook_views", account=first, error=error)
    outcome = connector.read("media_insights")
    expected = Oracle(box.world).records("media_insights")
    for record in expected:
        if record["business_account_id"] == first:
            record["facebook_views"] = None
    assert outcome.statuses == {"media_insights": "COMPLETE"}
    assert keyed("media_insights", outcome.records["media_insights"]) == keyed("media_insights", expected)
    assert fault.fired > 0


def test_an_optional_metric_that_always_fails_is_soon_not_asked_any_more(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=1, media=200)
    fault = box.add_fault(path="facebook_views", error=UNKNOWN)
    outcome = connector.read("media_insights", num_workers=1)
    assert outcome.statuses == {"media_insights": "COMPLETE"}
    assert len(outcome.records["media_insights"]) == len(Oracle(box.world).records("media_insights"))
    assert fault.fired < 250, "and not 1,200 times, six for each media"
    assert [line for line in outcome.log("WARN") if "facebook_views" in line and "left out" in line]


@pytest.mark.parametrize("kind", ["drop", "html", "error"])
def test_bad_neighbours_cost_only_themselves(box: Sandbox, connector: Connector, kind: str) -> None:
    bad = feed_posts(box)[:5]
    for one in bad:
        box.add_fault(path=f"/{one}/insights", kind=kind)
    outcome = connector.read("media_insights")
    expected = [record for record in Oracle(box.world).records("media_insights") if record["id"] not in bad]
    assert outcome.statuses == {"media_insights": "INCOMPLETE"}
    assert keyed("media_insights", outcome.records["media_insights"]) == keyed("media_insights", expected)
    assert all([line for line in outcome.log("ERROR") if one in line] for one in bad)


@pytest.mark.parametrize("spec", [{"kind": "drop"}, {"kind": "html"}, {"error": UNKNOWN}, {"kind": "shape"}])
def test_a_part_of_metas_service_that_is_down_is_not_stormed(
    box: Sandbox, connector: Connector, spec: dict[str, Any]
) -> None:
    first, *others = (account.id for account in box.world.accounts[:3])
    box.add_fault(path=f"/{first}/insights", **spec)
    days = 120
    start = datetime.now(timezone.utc) - timedelta(days=days)
    streams = ("user_insights_breakdowns", "user_total_insights", "media_insights")
    outcome = connector.read(*streams, start_date=f"{start:%Y-%m-%dT%H:%M:%SZ}")
    assert outcome.statuses == {
        "user_insights_breakdowns": "INCOMPLETE",
        "user_total_insights": "INCOMPLETE",
        "media_insights": "COMPLETE",
    }
    assert {record["business_account_id"] for record in outcome.records["user_total_insights"]} == set(others)
    assert first in outcome.errors[0]["message"]
    calls = [path for path, _ in asked(box.requests) if path.endswith(f"{first}/insights")]
    necessary = days * (2 + 10)
    assert len(calls) < 1.5 * necessary


@pytest.mark.parametrize("spec", [{"kind": "drop"}, {"kind": "html"}, {"error": UNKNOWN}])
@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_an_outage_ends_the_sync_with_one_sentence(
    box: Sandbox, connector: Connector, login: str, spec: dict[str, Any]
) -> None:
    box.add_fault(path="/v25", skip=40, **spec)
    outcome = connector.read(login_type=login, num_workers=4)
    assert len(box.requests) < 40 + 150, "nobody storms a service that is down"
    assert "INCOMPLETE" in outcome.statuses.values()
    sentences = [each for each in outcome.errors if each["message"].startswith("Meta has answered none of the last")]
    assert len({each["message"] for each in sentences}) == 1
    assert {each["failure_type"] for each in sentences} == {"transient_error"}


# -- Signing -----------------------------------------------------------------------------------------------------------


def test_requests_are_signed_where_there_is_a_secret(box: Sandbox, connector: Connector) -> None:
    everything(
        box, connector.read("media_insights", "users", client_id=box.app_id, client_secret=box.app_secret),
        "media_insights", "users",
    )  # fmt: skip
    assert all(request["proof"] for request in box.requests if request["path"].startswith("/v25.0"))


def test_a_signature_that_does_not_fit_is_left_out_with_one_warning(box: Sandbox, connector: Connector) -> None:
    outcome = connector.read("media_insights", "users", client_id=box.app_id, client_secret="0" * 32)
    everything(box, outcome, "media_insights", "users")
    assert len([line for line in outcome.log("WARN") if "client_secret" in line]) == 1
    assert sum(request["proof"] for request in box.requests) <= 10, "those under way, and no more"


def test_instagram_login_is_not_signed(box: Sandbox, connector: Connector) -> None:
    connector.read("users", login_type="instagram", client_id=box.app_id, client_secret=box.app_secret)
    assert not any(request["proof"] for request in box.requests)


# -- The wire ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def wire() -> Iterator[requests_mock.Mocker]:
    with requests_mock.Mocker() as mocker:
        yield mocker


def test_every_request_has_timeouts_and_carries_the_token_in_a_header(
    wire: requests_mock.Mocker, connector: Connector
) -> None:
    account = {"id": "17841400000000009", "username": "cup"}
    wire.get(
        "https://graph.facebook.com/v25.0/me/accounts",
        json={"data": [{"id": "1", "name": "P", "instagram_business_account": account}, {"id": "2", "name": "no"}]},
    )
    wire.get(
        "https://graph.facebook.com/v25.0/17841400000000009/media",
        json={
            "data": [
                {"id": one, "timestamp": "2026-05-07T13:00:34+0000", "media_product_type": "FEED"}
                for one in ("179", "178", "177")
            ]
        },
    )
    answer = {"data": [{"name": name, "values": [{"value": 0}]} for name in ("views", "profile_activity")]}
    wire.post(requests_mock.ANY, json=[{"code": 200, "body": json.dumps(answer)}] * 3)
    wire.get("https://graph.facebook.com/v25.0/me/permissions", json={"data": []})
    outcome = connector.read("media", "media_insights")
    assert outcome.statuses == {"media": "COMPLETE", "media_insights": "COMPLETE"}
    sent = [request for request in wire.request_history if "graph." in request.url]
    assert {request.method for request in sent} == {"GET", "POST"}
    for request in sent:
        assert request.timeout is not None
        assert all(request.timeout) if isinstance(request.timeout, tuple) else request.timeout
        assert request.headers["Authorization"].startswith("Bearer ")
        assert connector.box.token not in request.url


@pytest.mark.parametrize("error", [requests.ConnectTimeout, requests.ReadTimeout, requests.ConnectionError])
def test_a_connection_that_never_works_is_an_error_in_words(
    wire: requests_mock.Mocker, connector: Connector, error: type[Exception]
) -> None:
    wire.get(requests_mock.ANY, exc=error(f"https://graph.facebook.com/?access_token={connector.box.token}"))
    status, message = connector.check()
    assert status == "FAILED"
    assert connector.box.token not in message
    assert "onnect" in message
    assert len(message) < 400
