"""Which accounts a sync reads, and what it says where it cannot tell or may not read them."""

from typing import Any

import pytest
from harness import Connector, Outcome, command
from oracle import Oracle, keyed

from sandbox import Sandbox

INSIGHTS = ["user_insights", "user_total_insights", "user_insights_breakdowns", "media_insights", "story_insights"]
RECENT = "2026-11-01T00:00:00Z"
SCOPES = [
    "instagram_basic",
    "instagram_manage_insights",
    "instagram_manage_comments",
    "pages_show_list",
    "pages_read_engagement",
]


def expected(box: Sandbox, stream: str, *, instagram: bool = False) -> dict[Any, Any]:
    return keyed(stream, Oracle(box.world, instagram=instagram).records(stream))


def asked(box: Sandbox, path: str) -> int:
    """How often a path was asked for, alone or in a batch."""
    urls = [request["path"] for request in box.requests]
    urls += [item["relative_url"] for request in box.requests for item in request.get("items", [])]
    return sum(path in url for url in urls)


def warned(outcome: Outcome, *words: str) -> list[str]:
    return [line for line in outcome.log("WARN") if all(word in line for word in words)]


# -- Pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", [True, False])
def test_a_pages_id_stands_for_its_account(box: Sandbox, connector: Connector, *, listed: bool) -> None:
    account = box.world.accounts[0 if listed else -1]
    outcome = connector.read("accounts", "users", accounts=[account.page.id])
    assert outcome.statuses == {"accounts": "COMPLETE", "users": "COMPLETE"}
    assert outcome.records["accounts"] == [
        {
            "business_account_id": account.id,
            "page_id": account.page.id,
            "page_name": account.page.values["name"],
            "username": account.values["username"],
        }
    ]
    assert [user["username"] for user in outcome.records["users"]] == [account.values["username"]]
    assert warned(outcome, account.page.id, account.id, "Page")


def test_an_account_and_its_page_are_read_once(box: Sandbox, connector: Connector) -> None:
    account = box.world.accounts[0]
    outcome = connector.read("users", accounts=[account.id, account.page.id])
    assert len(outcome.records["users"]) == 1


def test_an_id_of_something_else_is_told(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=1, pages_without_instagram=1)
    media = box.world.media(box.world.accounts[0])[0]
    page = next(page for page in box.world.pages if page.account is None)
    for name in (media.id, page.id):
        status, message = connector.check(accounts=[name])
        assert status == "FAILED"
        assert name in message
        assert "neither" in message


def test_a_page_whose_account_has_no_id_is_named(box: Sandbox, connector: Connector) -> None:
    box.add_fault(kind="edit", path="/me/accounts", remove="data.1.instagram_business_account.id")
    outcome = connector.read("users")
    (row,) = [page for page in [box.world.accounts[0].page, box.world.accounts[1].page, box.world.accounts[2].page]
              if warned(outcome, f"Page {page.id}")]  # fmt: skip
    ids = {user["business_account_id"] for user in outcome.records["users"]}
    assert ids == {each.id for each in box.world.accounts[:3] if each.page is not row}
    assert outcome.statuses == {"users": "COMPLETE"}


@pytest.mark.parametrize("order", [False, True])
def test_the_page_of_an_account_with_two_is_always_the_same(box: Sandbox, connector: Connector, *, order: bool) -> None:
    account = box.world.accounts[0]
    row = {"name": "Second", "instagram_business_account": {"id": account.id, "username": "blue.cup"}}
    rows = [{**row, "id": "99"}, {**row, "id": account.page.id}]
    box.add_fault(kind="shape", path="/me/accounts", body={"data": rows[::-1] if order else rows})
    outcome = connector.read("accounts", "users")
    assert [record["page_id"] for name in outcome.records for record in outcome.records[name]] == ["99", "99"]
    assert [line for line in outcome.log("INFO") if "99" in line and account.page.id in line]


# -- The list breaks ---------------------------------------------------------------------------------------------------


def test_a_list_that_breaks_makes_no_name_wrong(box: Sandbox, connector: Connector) -> None:
    box.add_fault(path="/me/accounts")
    account = box.world.accounts[0]
    outcome = connector.read("users", accounts=[account.values["username"]])
    assert outcome.statuses == {"users": "INCOMPLETE"}
    assert outcome.errors[0]["failure_type"] == "transient_error"
    assert account.values["username"] in outcome.errors[0]["message"]
    assert "list of Pages" in outcome.errors[0]["message"]
    again = connector.read("users", accounts=[account.id])
    assert len(again.records["users"]) == 1


def test_a_list_that_repeats_a_page_ends(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=120, media=0, albums=0, stories=0, tags=0)
    box.add_fault(kind="edit", path="/me/accounts", loop=True)
    outcome = connector.read("users")
    assert outcome.statuses == {"users": "INCOMPLETE"}
    assert outcome.errors[0]["failure_type"] == "transient_error"
    assert "came back to a page" in outcome.errors[0]["message"]
    assert len(box.requests) < 10


# -- Tokens ------------------------------------------------------------------------------------------------------------


def test_a_page_token_is_told_for_what_it_is(box: Sandbox, connector: Connector) -> None:
    account = box.world.accounts[0]
    token = box.tokens.of_page(account.page)
    status, message = connector.check(access_token=token)
    assert status == "FAILED"
    assert "Page" in message
    assert "user" in message
    outcome = connector.read("users", access_token=token, accounts=[account.id])
    assert outcome.statuses == {"users": "COMPLETE"}
    assert len(outcome.records["users"]) == 1


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_answer_without_user_id_is_told(box: Sandbox, connector: Connector, *, wrapped: bool) -> None:
    box.add_fault(kind="edit", path="/me\\?", remove="user_id", **({"wrap": [""]} if wrapped else {}))
    status, message = connector.check(login_type="instagram")
    assert status == "FAILED"
    assert "user_id" in message
    assert "Facebook Page" not in message


@pytest.mark.parametrize(
    ("code", "words"), [(2500, "Unknown path components: /media"), (100, "Unknown path components: /media")]
)
def test_a_token_that_reads_only_me(box: Sandbox, connector: Connector, code: int, words: str) -> None:
    box.add_fault(path=f"/v25.0/{box.world.accounts[0].id}", error={"code": code, "message": words})
    assert connector.check(login_type="instagram")[0] == "SUCCEEDED"
    box.requests.clear()
    streams = ("users", "media", "user_insights", "stories", "media_insights")
    outcome = connector.read(*streams, login_type="instagram", num_workers=1, start_date=RECENT)
    assert set(outcome.statuses.values()) == {"COMPLETE"}
    for stream in ("users", "media", "stories"):
        assert keyed(stream, outcome.records[stream]) == expected(box, stream, instagram=True)
    assert outcome.records["user_insights"]
    refused = [
        request for request in box.requests if request["status"] >= 400 and box.world.accounts[0].id in request["path"]
    ]
    assert len(refused) <= 2, "decided once"


def test_a_refusal_that_me_shares_changes_nothing(box: Sandbox, connector: Connector) -> None:
    box.add_fault(path="/stories", error={"code": 2500, "message": "Unknown path components: /stories"})
    outcome = connector.read("stories", "media", login_type="instagram")
    assert outcome.statuses == {"stories": "INCOMPLETE", "media": "COMPLETE"}
    assert asked(box, "/me/media") == 0


# -- Wrapped -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_a_wrapped_profile_is_unwrapped(box: Sandbox, connector: Connector, login: str) -> None:
    box.add_fault(kind="edit", path=r"/1784\d+\?", wrap=[""])
    outcome = connector.read("users", login_type=login)
    assert outcome.statuses == {"users": "COMPLETE"}
    assert keyed("users", outcome.records["users"]) == expected(box, "users", instagram=login == "instagram")


def test_a_profile_of_nothing_is_no_record(box: Sandbox, connector: Connector) -> None:
    box.add_fault(kind="shape", path=r"/1784\d+\?", body={"data": []})
    outcome = connector.read("users")
    assert outcome.statuses == {"users": "INCOMPLETE"}
    assert outcome.records["users"] == []


# -- Permissions -------------------------------------------------------------------------------------------------------


def empty_insights(box: Sandbox) -> None:
    """Meta's other way to say that a permission is missing."""
    box.add_fault(kind="shape", path="/insights", body={"data": []})


def check(box: Sandbox, connector: Connector, **config: Any) -> Outcome:
    return command("check", box.env, config=connector.config(**config))


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize(
    ("missing", "streams"),
    [("instagram_manage_insights", "insights and demographics"), ("instagram_manage_comments", "comments and tags")],
)
def test_a_check_names_a_permission_that_only_some_streams_need(
    box: Sandbox, connector: Connector, missing: str, streams: str, *, empty: bool
) -> None:
    token = box.tokens.mint(scopes=[scope for scope in SCOPES if scope != missing]).text
    if empty:
        empty_insights(box)
    outcome = check(box, connector, access_token=token)
    assert outcome.check == ("SUCCEEDED", "")
    assert warned(outcome, missing, streams)


def test_a_declined_permission_is_missing(box: Sandbox, connector: Connector) -> None:
    rows = [{"permission": scope, "status": "granted" if "comments" not in scope else "declined"} for scope in SCOPES]
    box.add_fault(kind="shape", path="/me/permissions", body={"data": rows})
    assert warned(check(box, connector), "instagram_manage_comments")


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_a_check_tells_of_insights_that_are_empty(box: Sandbox, connector: Connector, login: str) -> None:
    empty_insights(box)
    outcome = check(box, connector, login_type=login)
    assert outcome.check == ("SUCCEEDED", "")
    assert warned(outcome, "manage_insights", box.world.accounts[0].id)


def test_streams_that_come_empty_for_a_missing_permission_are_incomplete(box: Sandbox, connector: Connector) -> None:
    token = box.tokens.mint(scopes=[scope for scope in SCOPES if scope != "instagram_manage_insights"]).text
    empty_insights(box)
    outcome = connector.read("users", "media", *INSIGHTS, access_token=token, start_date=RECENT)
    assert outcome.statuses == {"users": "COMPLETE", "media": "COMPLETE", **dict.fromkeys(INSIGHTS, "INCOMPLETE")}
    errors = [error for error in outcome.errors if "lacks instagram_manage_insights" in error["message"]]
    assert {error["failure_type"] for error in errors} == {"config_error"}
    assert asked(box, "me/permissions") == 1


def test_comments_that_come_empty_for_a_missing_permission_are_incomplete(box: Sandbox, connector: Connector) -> None:
    token = box.tokens.mint(scopes=[scope for scope in SCOPES if scope != "instagram_manage_comments"]).text
    outcome = connector.read("comments", access_token=token)
    assert outcome.statuses == {"comments": "INCOMPLETE"}
    assert any("instagram_manage_comments" in error["message"] for error in outcome.errors)


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_an_account_that_gives_no_day_is_told(box: Sandbox, connector: Connector, login: str) -> None:
    account = box.world.accounts[0]
    box.add_fault(kind="shape", account=account.id, path="/insights", body={"data": []})
    outcome = connector.read("user_insights", "user_total_insights", login_type=login, start_date=RECENT)
    assert set(outcome.statuses.values()) == {"COMPLETE"}
    for stream in ("user_insights", "user_total_insights"):
        assert len(warned(outcome, f"for {stream}.", account.id, "manage_insights")) == 1
        assert all(record["business_account_id"] != account.id for record in outcome.records[stream])
    assert asked(box, "me/permissions") == (1 if login == "facebook" else 0)


def test_nobody_is_asked_for_permissions_where_everything_gives_data(box: Sandbox, connector: Connector) -> None:
    connector.read("user_insights", "user_total_insights", "media_insights", "comments", start_date=RECENT)
    assert asked(box, "me/permissions") == 0


# -- Lost, and found again ---------------------------------------------------------------------------------------------


def test_what_a_state_says_of_a_lost_account_costs_it_nothing_later(box: Sandbox, connector: Connector) -> None:
    first, hidden = box.world.accounts[0], box.world.accounts[-1]
    box.add_fault(forbid_account=hidden.id)
    lost = connector.read("media", incremental=True, accounts=[first.id, hidden.id, "nobody.here"])
    assert lost.statuses == {"media": "INCOMPLETE"}
    box.service.faults.all.clear()
    later = connector.read("media", state=lost, accounts=[first.id, hidden.id])
    assert later.statuses == {"media": "COMPLETE"}
    ids = {record["id"] for record in later.records["media"] if record["business_account_id"] == hidden.id}
    assert ids == {media.id for media in box.world.media(hidden)}
