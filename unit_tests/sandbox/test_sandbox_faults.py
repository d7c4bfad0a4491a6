"""Accidents, lasting changes, throttles and usage headers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests
from sandbox_client import INSTAGRAM, Client

from sandbox import Sandbox
from sandbox.faults import Fault
from sandbox.nodes import Account, Media


def codes(api: Client, path: str, times: int) -> list[int]:
    return [api.request(path).status_code for _ in range(times)]


# -- when a fault fires ---------------------------------------------------------------------------------------------


def test_skip_times_and_every(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(path="fields=username$", skip=1, times=2)
    assert codes(api, f"{account.id}?fields=username", 5) == [200, 500, 500, 200, 200]
    fault = box.add_fault(path="fields=name$", every=3, error={"code": 100, "message": "no"})
    assert codes(api, f"{account.id}?fields=name", 6) == [200, 200, 400, 200, 200, 400]
    assert (fault.seen, fault.fired) == (6, 2)


def test_probability_is_seeded(api: Client, box: Sandbox, account: Account) -> None:
    outcomes = []
    for _ in range(2):
        box.reset()
        box.add_fault(probability=0.5)
        outcomes.append(codes(api, account.id, 20))
    assert outcomes[0] == outcomes[1]
    assert set(outcomes[0]) == {200, 500}


def test_faults_of_one_account_leave_the_others_alone(
    api: Client, box: Sandbox, account: Account, small: Account
) -> None:
    box.add_fault(account=small.id)
    assert (api.request(account.id).status_code, api.request(small.id).status_code) == (200, 500)


def test_any_envelope_with_any_status_and_headers(api: Client, box: Sandbox, account: Account) -> None:
    error = {"code": 368, "error_subcode": 5, "message": "blocked", "error_user_title": "T", "error_user_msg": "M"}
    box.add_fault(error=error, status=429, headers={"Retry-After": "7"}, times=1)
    answer = api.request(account.id)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["error"].items() >= error.items()


def test_a_fault_that_would_do_nothing_is_refused(box: Sandbox) -> None:
    with pytest.raises(ValueError, match="Unknown keys in a fault: kinds"):
        box.add_fault(kinds="drop")
    with pytest.raises(ValueError, match="Unknown kind of fault: explode"):
        Fault.of({"kind": "explode"})


# -- broken answers -------------------------------------------------------------------------------------------------


def test_broken_answers(api: Client, box: Sandbox, account: Account) -> None:
    for kind in ("html", "empty", "not_json", "envelope200", "shape"):
        box.add_fault(kind=kind, times=1)
    html, empty, text, envelope, shape = (api.request(account.id) for _ in range(5))
    assert (html.status_code, html.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert (empty.status_code, empty.content) == (200, b"")
    assert text.text == "Service temporarily unavailable"
    assert (envelope.status_code, envelope.json()["error"]["code"]) == (200, 2)
    assert shape.json() == {"data": None}
    assert api.get(account.id)["id"] == account.id
    box.add_fault(kind="shape", body=[], status=201)
    assert (api.request(account.id).status_code, api.request(account.id).json()) == (201, [])


def test_broken_connections(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(kind="drop", times=1)
    box.add_fault(kind="truncate", times=1)
    with pytest.raises(requests.ConnectionError):
        api.request(account.id)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.request(account.id)
    assert api.get(account.id)


def test_a_stalled_answer_comes_late(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(kind="stall", seconds=0.6, times=1)
    headers = {"Authorization": f"Bearer {box.token}"}
    with pytest.raises(requests.ReadTimeout):
        api.session.get(f"https://graph.facebook.com/{account.id}", headers=headers, timeout=0.2)
    assert api.get(account.id)


def test_an_answer_that_halts_in_its_middle(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(kind="halt", seconds=30, times=1)
    headers = {"Authorization": f"Bearer {box.token}"}
    address = f"https://graph.facebook.com/{account.id}"
    with api.session.get(address, headers=headers, timeout=0.2, stream=True) as answer:
        assert answer.status_code == 200
        with pytest.raises(requests.ConnectionError, match="timed out"):
            answer.json()
    assert api.get(account.id)


# -- lasting changes ------------------------------------------------------------------------------------------------


def test_retired_metrics(api: Client, box: Sandbox, account: Account, posts: dict[str, Media]) -> None:
    box.add_fault(retire_metric="shares", product_types=["REELS"])
    assert "{shares}" in api.error(f"{posts['REELS'].id}/insights", metric="reach,shares")["message"]
    assert api.get(f"{posts['IMAGE'].id}/insights", metric="reach,shares")
    assert api.error(f"{account.id}/insights", metric="shares", period="day", metric_type="total_value")
    box.add_fault(retire_metric="views", message="unnamed", level="media")
    error = api.error(f"{posts['IMAGE'].id}/insights", metric="reach,views")
    assert (error["code"], error["message"]) == (100, "Invalid parameter")
    assert api.get(f"{account.id}/insights", metric="views", period="day", metric_type="total_value")


def test_a_refused_field(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(refuse_field="alt_text")
    error = api.error(f"{account.id}/media", fields="id,alt_text")
    assert error["message"] == "(#100) Tried accessing nonexisting field (alt_text)"


def test_a_forbidden_account(
    api: Client, box: Sandbox, account: Account, posts: dict[str, Media], small: Account
) -> None:
    box.add_fault(forbid_account=account.id, permission="instagram_manage_insights")
    assert api.get(account.id)
    assert api.error(f"{posts['IMAGE'].id}/insights", metric="reach")["status"] == 403
    box.add_fault(forbid_account=small.id)
    for path in (small.id, f"{small.id}/media", box.world.media(small)[0].id):
        assert api.error(path)["code"] == 10
    assert len(api.get("me/accounts", fields="instagram_business_account{id,username}")["data"]) == 4


@pytest.mark.parametrize("where", ["message", "error_user_msg"])
def test_too_much_data(api: Client, box: Sandbox, account: Account, where: str) -> None:
    box.add_fault(max_limit=30, path="/media", message=where)
    error = api.error(f"{account.id}/media", limit=31)
    assert (error["status"], error["code"]) == (500, 1)
    assert error[where].startswith("Please reduce the amount of data")
    assert len(api.get(f"{account.id}/media", limit=30)["data"]) == 30


# -- throttles ------------------------------------------------------------------------------------------------------


def test_a_pause_after_so_many_calls(api: Client, box: Sandbox, account: Account) -> None:
    box.add_throttle(after=3, seconds=0.3, code=4)
    answers = [api.request(account.id) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 403, 403]
    assert answers[3].json()["error"].items() >= {"code": 4, "is_transient": True}.items()
    time.sleep(0.35)
    assert codes(api, account.id, 5) == [200] * 5


def test_limits_of_an_account_leave_the_others_alone(
    api: Client, box: Sandbox, account: Account, small: Account
) -> None:
    box.add_throttle(after=1, seconds=60, code=80002, scope="account", regain="fraction")
    assert codes(api, account.id, 2) == [200, 400]
    assert codes(api, small.id, 1) == [200]
    assert codes(api, "me", 3) == [200] * 3
    usage = json.loads(api.request(account.id).headers["X-Business-Use-Case-Usage"])[account.id][0]
    assert 0.9 < usage["estimated_time_to_regain_access"] <= 1


def test_a_rolling_quota_shows_in_the_usage_headers(api: Client, box: Sandbox, account: Account) -> None:
    box.add_throttle(quota=4, seconds=60, code=17)
    shown = [json.loads(api.request(account.id).headers["X-App-Usage"])["call_count"] for _ in range(5)]
    assert shown == [25, 50, 75, 100, 100]
    assert api.error(account.id)["code"] == 17


def test_usage_headers(api: Client, box: Sandbox, account: Account) -> None:
    def usage(**params: Any) -> list[str | None]:
        headers = api.request(account.id, **params).headers
        return [headers.get(name) for name in ("X-App-Usage", "X-Business-Use-Case-Usage")]

    app, business = map(json.loads, usage())
    assert set(app) == {"call_count", "total_cputime", "total_time"}
    assert set(business[account.id][0]) == {*app, "type", "estimated_time_to_regain_access"}
    assert json.loads(usage(host=INSTAGRAM)[0]) == {"call_volume": 1, "cpu_time": 0}
    assert usage(host=INSTAGRAM)[1] is None
    box.set_usage(mode="missing")
    assert usage() == [None, None]
    box.set_usage(mode="empty")
    assert usage() == ["", ""]
    box.set_usage(mode="malformed", header="app")
    assert usage() == ['{"call_count":', None]
    box.set_usage(start=80, per_call=1)
    assert json.loads(usage()[0])["call_count"] > 80


def test_usage_of_other_kinds_and_other_businesses(api: Client, box: Sandbox, account: Account) -> None:
    ads = {"type": "ads_management", "call_count": 100, "estimated_time_to_regain_access": 60}
    box.set_usage(start=7, business=True, entries={"9900": [ads], "$account": [ads, {"call_count": 3}]})
    answer = api.request(account.id)
    business = json.loads(answer.headers["X-Business-Use-Case-Usage"])
    assert list(business) == [box.world.business.id, account.id, "9900"]
    own = business[box.world.business.id]
    assert (own[0]["type"], own[0]["call_count"]) == ("instagram", 7)
    assert business[account.id] == [*own, ads, {"call_count": 3}]
    assert business["9900"] == [ads]
    assert json.loads(api.request("me").headers["X-Business-Use-Case-Usage"]) == {"9900": [ads]}
    outer = json.loads(api.batch([account.id]).headers["X-Business-Use-Case-Usage"])
    assert outer == business


def test_keys_that_nobody_documented(api: Client, box: Sandbox, account: Account) -> None:
    box.set_usage(extra={"reset_time_duration": 3600, "total_time": float("nan")})
    headers = api.request(account.id).headers
    for row in (
        json.loads(headers["X-App-Usage"]),
        json.loads(headers["X-Business-Use-Case-Usage"])[account.id][0],
        json.loads(api.request("me", host=INSTAGRAM).headers["X-App-Usage"]),
    ):
        assert (row["reset_time_duration"], str(row["total_time"])) == (3600, "nan")


def test_an_announced_pause_can_be_seen_coming(api: Client, box: Sandbox, account: Account) -> None:
    def shown() -> int:
        return json.loads(api.request(account.id).headers["X-App-Usage"])["call_count"]

    box.add_throttle(after=4, seconds=0.3, announce=True)
    assert [shown() for _ in range(5)] == [25, 50, 75, 100, 100]
    time.sleep(0.35)
    assert shown() == 1
    box.reset()
    box.add_throttle(after=4, seconds=0.3)
    assert [shown() for _ in range(4)] == [1, 1, 1, 1]


def test_an_announced_pause_of_an_account(api: Client, box: Sandbox, account: Account, small: Account) -> None:
    box.add_throttle(after=2, seconds=60, code=80002, scope="account", announce=True, times=0)

    def shown(about: str) -> int:
        return json.loads(api.request(about).headers["X-Business-Use-Case-Usage"])[about][0]["call_count"]

    assert [shown(account.id) for _ in range(3)] == [50, 100, 100]
    assert shown(small.id) == 50
