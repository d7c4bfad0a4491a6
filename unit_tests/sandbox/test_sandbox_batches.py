"""Batches, with everything that can go differently for one of their items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sandbox_client import FACEBOOK, INSTAGRAM, Client

from sandbox import Sandbox
from sandbox.nodes import Account, Media


def bodies(answer: Any) -> list[Any]:
    return [item and json.loads(item["body"]) for item in answer.json()]


def test_items_are_answered_in_order_and_fail_alone(api: Client, box: Sandbox, posts: dict[str, Media]) -> None:
    urls = [f"{posts[kind].id}/insights?metric=reach" for kind in ("IMAGE", "OLD", "REELS")]
    answer = api.batch(urls)
    assert answer.status_code == 200
    assert [item["code"] for item in answer.json()] == [200, 400, 200]
    assert all(set(item) == {"code", "body"} for item in answer.json())
    first, old, last = bodies(answer)
    assert old["error"]["error_subcode"] == 2108006
    assert [part["data"][0]["id"].split("/")[0] for part in (first, last)] == [posts["IMAGE"].id, posts["REELS"].id]
    assert (box.http_requests, box.graph_calls) == (1, 3)


def test_headers_come_unless_declined(api: Client, posts: dict[str, Media]) -> None:
    answer = api.batch([posts["IMAGE"].id], include_headers="true").json()
    assert {header["name"] for header in answer[0]["headers"]} >= {"Content-Type", "X-App-Usage"}


def test_a_form_is_as_good_as_json(api: Client, box: Sandbox, account: Account) -> None:
    form = {"batch": json.dumps([{"method": "GET", "relative_url": f"/v24.0/{account.id}?fields=id%2Cusername"}])}
    headers = {"Authorization": f"Bearer {box.token}"}
    answer = api.session.post(f"https://{FACEBOOK}", data=form, headers=headers, timeout=10)
    assert bodies(answer) == [{"id": account.id, "username": account.values["username"]}]
    multipart = api.session.post(f"https://{FACEBOOK}/v25.0", files={"batch": (None, form["batch"])}, headers=headers)
    assert bodies(multipart) == bodies(answer)


def test_more_than_50_items_have_an_error_without_a_code(api: Client, account: Account) -> None:
    assert len(api.batch([account.id] * 50).json()) == 50
    error = api.batch([account.id] * 51).json()["error"]
    assert error["message"] == "Too many requests in batch message. Maximum batch size is 50"
    assert error["type"] == "GraphBatchException"
    assert "code" not in error


def test_trouble_with_the_post_itself_is_a_plain_envelope(api: Client, box: Sandbox, account: Account) -> None:
    url = f"https://{FACEBOOK}/v25.0/"
    bad = api.session.post(url, json={"access_token": "nonsense", "batch": [{"relative_url": account.id}]}, timeout=10)
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, 190)
    bad = api.session.post(url, data={"access_token": box.token, "batch": "not json"}, timeout=10)
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, 100)
    body = {"access_token": box.instagram_token, "batch": [{"relative_url": "me"}]}
    bad = api.session.post(f"https://{INSTAGRAM}/v25.0/", json=body, timeout=10)
    assert bad.json()["error"]["message"] == "Unsupported request - method type: post"


def test_an_item_may_carry_a_token_of_its_own(api: Client, box: Sandbox, account: Account) -> None:
    dead = box.tokens.mint(dead=467).text
    items = [{"relative_url": account.id}, {"relative_url": account.id, "access_token": dead}]
    answer = api.batch([], batch=items)
    assert [item["code"] for item in answer.json()] == [200, 400]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("null_item", None),
        ("drop", None),
        ("empty", (200, "")),
        ("not_json", (200, "Service temporarily unavailable")),
        ("shape", (200, '{"data":null}')),
    ],
)
def test_faults_hit_single_items(
    api: Client, box: Sandbox, posts: dict[str, Media], kind: str, expected: tuple[int, str] | None
) -> None:
    box.add_fault(path=posts["REELS"].id, kind=kind, times=1)
    urls = [posts["IMAGE"].id, posts["REELS"].id]
    good, hit = api.batch(urls).json()
    assert good["code"] == 200
    assert (hit and (hit["code"], hit["body"])) == expected
    assert api.batch(urls).json()[1]["code"] == 200
    assert box.requests[0]["items"][1]["relative_url"] == posts["REELS"].id


def test_html_and_truncated_items(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(path=account.id, kind="html", times=1)
    box.add_fault(path=account.id, kind="truncate", times=1)
    html, cut = api.batch([account.id, account.id]).json()
    assert (html["code"], html["body"][:9]) == (502, "<!DOCTYPE")
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(cut["body"])


def test_faults_can_hit_the_post_that_carries_the_batch(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(path=r"\?batch$", error={"code": 2, "message": "later"}, times=1)
    answer = api.batch([account.id])
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, 2)
    assert api.batch([account.id]).json()[0]["code"] == 200


def test_items_are_throttled_one_by_one(api: Client, box: Sandbox, account: Account) -> None:
    throttle = box.add_throttle(after=2, seconds=60, code=80002, regain="minutes")
    answer = api.batch([account.id] * 4, include_headers="true")
    assert [item["code"] for item in answer.json()] == [200, 200, 400, 400]
    assert [body.get("error", {}).get("code") for body in bodies(answer)] == [None, None, 80002, 80002]
    headers = {header["name"]: header["value"] for header in answer.json()[2]["headers"]}
    usage = json.loads(headers["X-Business-Use-Case-Usage"])[account.id][0]
    assert (usage["call_count"], usage["estimated_time_to_regain_access"]) == (100, 1)
    assert throttle.refused == box.counts["throttled"] == 2
