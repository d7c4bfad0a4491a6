"""Good answers that are changed on their way out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sandbox_client import Client

from sandbox import Options, Sandbox, World
from sandbox.edits import edited
from sandbox.faults import Fault
from sandbox.nodes import Account, Media

ANSWER = {
    "data": [{"id": "1", "n": 1, "children": {"data": ["a", "b"]}}, {"id": "2", "n": 2}],
    "paging": {"cursors": {"after": "A"}},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"remove": "data.*.n"}, {"data": [{"id": "1", "children": {"data": ["a", "b"]}}, {"id": "2"}]}),
        ({"remove": ["data.0.children", "data.id=2"]}, {"data": [{"id": "1", "n": 1}]}),
        ({"remove": ["data.*"]}, {"data": []}),
        ({"set": {"paging.cursors.after": "B"}}, {"paging": {"cursors": {"after": "B"}}}),
        ({"set": {"data.id=2.n": {"x": None}}}, {"data": [ANSWER["data"][0], {"id": "2", "n": {"x": None}}]}),
        ({"set": {"data.1.new": 3}, "remove": "data.0"}, {"data": [{"id": "2", "n": 2, "new": 3}]}),
        ({"set": {"data": None, "nothing.here": 1, "data.9": 1}}, {"data": None}),
        ({"keep": {"data": 1, "data.*.children.data": 0}}, {"data": [{"id": "1", "n": 1, "children": {"data": []}}]}),
        ({"duplicate": "data.*"}, {"data": [each for each in ANSWER["data"] for _ in range(2)]}),
        ({"reverse": "data"}, {"data": ANSWER["data"][::-1]}),
        ({"wrap": "data.1.n"}, {"data": [ANSWER["data"][0], {"id": "2", "n": {"data": [2]}}]}),
        ({"thin": {"data": 1.0}}, {"data": []}),
        ({"thin": {"data": 0.0}, "remove": "data.7", "keep": {"none": 1}, "reverse": "none", "wrap": "none"}, {}),
    ],
    ids=str,
)  # fmt: skip
def test_what_an_edit_does(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    before = json.dumps(ANSWER)
    assert edited(ANSWER, changes) == {**ANSWER, **expected}
    assert json.dumps(ANSWER) == before


def test_the_whole_answer_can_be_edited() -> None:
    assert edited(ANSWER, {"wrap": ""}) == {"data": [ANSWER]}
    assert edited(ANSWER, {"set": {"": []}}) == []
    assert edited([1, None], {"set": {"0": None}}) == [None, None]


def test_an_edit_says_what_it_does() -> None:
    for spec in (
        {"kind": "edit"},
        {"kind": "edit", "set": {}},
        {"kind": "error", "remove": "data"},
        {"remove": "data"},
    ):
        with pytest.raises(ValueError, match="A fault of kind edit has one of set, remove"):
            Fault.of(spec)


def test_edits_hit_calls_and_items_of_batches_as_other_faults_do(
    api: Client, box: Sandbox, account: Account, small: Account
) -> None:
    fault = box.add_fault(path="fields=", account=account.id, kind="edit", remove="username", skip=1, times=2)
    urls = [f"{each.id}?fields=username" for each in (account, small)]
    assert set(api.get(urls[0])) == {"id", "username"}
    bodies = [json.loads(item["body"]) for item in api.batch([*urls, urls[0], urls[0]]).json()]
    assert [set(body) for body in bodies] == [{"id"}, {"id", "username"}, {"id"}, {"id", "username"}]
    assert (fault.seen, fault.fired) == (4, 2)
    assert box.requests[-1]["calls"] == 4


def test_several_edits_add_up_and_refusals_are_left_alone(api: Client, box: Sandbox, account: Account) -> None:
    fault = box.add_fault(kind="edit", remove="username", headers={"X-Edited": "yes"})
    box.add_fault(kind="edit", set={"name": 7})
    answer = api.request(account.id, fields="username,name")
    assert answer.json() == {"id": account.id, "name": 7}
    assert answer.headers["X-Edited"] == "yes"
    assert api.error("17900000000000000")["code"] == 100
    assert fault.fired == 1


def test_the_outer_answer_of_a_batch_can_be_edited(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(path=r"\?batch$", kind="edit", keep={"": 1}, set={"1": None})
    assert [item and item["code"] for item in api.batch([account.id] * 3).json()] == [200]


def test_one_object_of_a_page(api: Client, box: Sandbox, posts: dict[str, Media], account: Account) -> None:
    box.add_fault(path="/media", kind="edit", remove=f"data.id={posts['REELS'].id}.comments_count")
    without = [
        each["id"]
        for each in api.get(f"{account.id}/media", fields="comments_count", limit=100)["data"]
        if "comments_count" not in each
    ]
    assert without == [posts["REELS"].id]


def test_a_node_inside_data(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(path=f"/{account.id}\\?", kind="edit", wrap="")
    assert api.get(account.id, fields="username") == {
        "data": [{"username": account.values["username"], "id": account.id}]
    }
    assert "paging" in api.get(f"{account.id}/media")


def test_a_loop_never_ends(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(path="/(media|tags)", kind="edit", loop=True)
    for edge in ("media", "tags"):
        first = api.get(f"{account.id}/{edge}", limit=10)
        after = first["paging"]["cursors"]["after"]
        second = api.get(f"{account.id}/{edge}", limit=10, after=after)
        assert second["data"] != first["data"]
        assert second["paging"]["cursors"]["after"] == after
        assert ("next" in second["paging"]) == (edge == "media")
    second = api.get(
        f"{account.id}/media", limit=10, after=api.get(f"{account.id}/media", limit=10)["paging"]["cursors"]["after"]
    )
    third = api.session.get(second["paging"]["next"], timeout=10).json()
    assert third["data"] == second["data"]


def test_a_loop_of_empty_pages(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(path="/media.*after=", kind="edit", loop=True, remove="data.*")
    pages = api.pages(f"{account.id}/media", limit=100)  # all 80 at once: nothing to go on with
    assert [len(page) for page in pages] == [80]
    second = api.session.get(api.get(f"{account.id}/media", limit=10)["paging"]["next"], timeout=10).json()
    assert second["data"] == []
    assert api.session.get(second["paging"]["next"], timeout=10).json()["data"] == []


# -- more ways to say which calls -----------------------------------------------------------------------------------


def test_faults_of_one_product(api: Client, box: Sandbox, posts: dict[str, Media]) -> None:
    box.add_fault(path="/insights", product="REELS", error={"code": 100, "message": "Invalid parameter"})
    assert api.error(f"{posts['REELS'].id}/insights", metric="reach")["message"] == "Invalid parameter"
    assert api.get(f"{posts['IMAGE'].id}/insights", metric="reach")


def test_a_refused_day(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(day="2026-05-10", error={"code": 100, "message": "Unsupported day"})

    def status(since: str, until: str | None = None, path: str = "insights") -> int:
        params = {"metric": "reach", "period": "day", "since": since} | ({"until": until} if until else {})
        return api.request(f"{account.id}/{path}", **params).status_code

    assert status("2026-05-09", "2026-05-10") == 200  # its label stands at 07:00
    assert status("2026-05-10", "2026-05-11") == 400
    assert status("2026-05-01", "2026-05-30") == 400
    assert status("1778457600", "1778544000") == 200  # the next one, in seconds
    assert status("2026-06-10") == 200
    assert status("nonsense", "2026-06-10", "media") == 400


def test_a_code_may_come_as_a_string(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(error={"code": "190", "error_subcode": "463", "message": "Session has expired"})
    error = api.error(account.id)
    assert (error["code"], error["error_subcode"], error["status"]) == ("190", "463", 400)


# -- pages with less on them ----------------------------------------------------------------------------------------


def test_private_accounts_tags_are_left_out_after_the_pages_were_cut(box: Sandbox, api: Client) -> None:
    options = box.options
    try:
        box.reset(tags=320, tags_hidden=0.5)
        account = box.world.accounts[0]
        sizes, found, after = [], [], None
        while True:
            answer = api.get(f"{account.id}/tags", limit=50, **({"after": after} if after else {}))
            if "paging" not in answer:
                break
            sizes.append(len(answer["data"]))
            found += [each["id"] for each in answer["data"]]
            after = answer["paging"]["cursors"]["after"]
        assert sizes[2:4] == [0, 0]
        assert all(0 < size < 50 for size in (*sizes[:2], *sizes[4:6]))
        assert len(sizes) == 7
        assert found == [tag.id for tag in box.world.tags(account)]
    finally:
        box.options = options
        box.reset(seed=options.seed)


def test_a_world_without_hidden_tags_is_the_same() -> None:
    plain, hiding = (World(Options(now="2026-06-15", accounts=1, tags=20, tags_hidden=share)) for share in (0.0, 0.4))
    tags = [tag.values for tag in plain.tags(plain.accounts[0])]
    assert [tag.values for tag in hiding.tagged(hiding.accounts[0])] == tags
    assert 0 < len(hiding.tags(hiding.accounts[0])) < len(tags)


def test_thin_pages_go_on(api: Client, box: Sandbox, account: Account) -> None:
    box.add_fault(path="/media", kind="edit", thin={"data": 0.5})
    pages = api.pages(f"{account.id}/media", limit=10)
    assert len(pages) == 8
    assert 20 < sum(map(len, pages)) < 60
