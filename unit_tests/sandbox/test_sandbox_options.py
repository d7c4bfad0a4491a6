"""What an option of the world changes, each beside a world that has it not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import NOW
from sandbox_client import INSTAGRAM, Client

from sandbox import Options, Sandbox, World
from sandbox.fields import parse
from sandbox.figures import labels
from sandbox.graph import page_cost
from sandbox.nodes import Account, Media


@pytest.fixture
def other(box: Sandbox) -> Iterator[Callable[..., Account]]:
    """Makes the world another one; gives its first account."""
    options = box.options

    def make(**changed: Any) -> Account:
        box.reset(**changed)
        return box.world.accounts[0]

    yield make
    box.options = options
    box.reset(seed=options.seed)


def test_ads_change_nothing_else() -> None:
    plain, other = (World(Options(now=NOW, accounts=1, media=40, ads=ads)) for ads in (0, 2))
    known = {media.id: media.values for media in plain.media(plain.accounts[0])}
    same = [media for media in other.media(other.accounts[0]) if media.product != "AD"]
    assert {media["media_product_type"] for media in known.values()} == {"FEED", "REELS"}
    assert len(same) == 38
    assert all(media.values == known[media.id] for media in same)


def test_ads_are_listed_and_have_no_insights(api: Client, box: Sandbox, other: Callable[..., Account]) -> None:
    account = other(ads=3)
    listed = api.get(f"{account.id}/media", fields="id,media_type,media_product_type", limit=100)["data"]
    ads = [each for each in listed if each["media_product_type"] == "AD"]
    assert len(listed) == box.options.media
    assert {each["media_type"] for each in ads} == {"IMAGE"}
    assert len(ads) == 3
    error = api.error(f"{ads[0]['id']}/insights", metric="reach,likes")
    assert "does not support the {reach, likes} metric for this media product type" in error["message"]
    box.add_fault(product="AD", path="/insights", kind="shape", body={"data": []})
    assert api.get(f"{ads[0]['id']}/insights", metric="reach") == {"data": []}


@pytest.mark.parametrize(("every", "count"), [(0, 0), (1, 12), (3, 4), (4, 3)])
def test_every_so_many_posts_are_cross_posted(every: int, count: int) -> None:
    world = World(Options(now=NOW, accounts=1, media=12, cross_posted=every))
    assert sum(media.on_facebook for media in world.media(world.accounts[0])) == count


def test_two_pages_of_one_account(api: Client, box: Sandbox, other: Callable[..., Account]) -> None:
    account = other(second_pages=1)
    pages = api.get("me/accounts", fields="id,instagram_business_account")["data"]
    mine = [page["id"] for page in pages if page.get("instagram_business_account", {}).get("id") == account.id]
    assert len(mine) == 2
    assert account.page.id == min(mine) == mine[0]
    assert api.get(mine[1], fields="instagram_business_account")["instagram_business_account"]["id"] == account.id
    box.add_fault(path="/me/accounts", kind="edit", reverse="data")
    assert api.get("me/accounts", fields="id")["data"][0]["id"] == mine[1]


def test_numbers_settle(api: Client, box: Sandbox, other: Callable[..., Account]) -> None:
    account, final = other(settling=48), World(Options(now=NOW, seed=box.options.seed))
    today = labels(box.world.now() - timedelta(days=1), box.world.now())[-1]

    def reach() -> int:
        window = {"since": f"{today}", "until": f"{today + timedelta(days=1)}"}
        answer = api.get(f"{account.id}/insights", metric="reach", period="day", **window)
        total = api.get(f"{account.id}/insights", metric="reach", period="day", metric_type="total_value", **window)[
            "data"
        ][0]["total_value"]["value"]
        (value,) = [row["value"] for row in answer["data"][0]["values"]]
        assert value == total == box.world.daily(account, "reach", today)
        return value

    told = []
    for hours in (0, 12, 30, 48, 72):
        box.set_now(box.world.anchor + timedelta(hours=8 + hours))
        told.append(reach())
    whole = final.daily(final.accounts[0], "reach", today)
    assert told[0] < told[1] < told[2] < told[3] == told[4] == whole
    assert whole // 2 <= told[0] <= whole // 2 + whole // 40


def test_counters_grow(api: Client, box: Sandbox, other: Callable[..., Account]) -> None:
    account, final = other(growing=240), World(Options(now=NOW, seed=box.options.seed))
    newest = box.world.media(account)[0]
    told = []
    for days in (0, 1, 5, 10, 11):
        box.set_now(newest.published + timedelta(days=days))
        (views,) = api.get(f"{newest.id}/insights", metric="views")["data"]
        told.append(views["values"][0]["value"])
    assert told[0] == 0 < told[1] < told[2] < told[3] == told[4] == final.media_metric(newest, "views")


def test_nested_lists_that_are_cut_without_paging(api: Client, box: Sandbox, other: Callable[..., Account]) -> None:
    account = other(nested_max=10)
    popular = max(box.world.media(account), key=lambda media: len(box.world.comments(media)))
    fields = "comments.limit(50){id,replies.limit(25){id}},children{id}"
    nested = api.get(popular.id, fields=fields)["comments"]
    assert (len(nested["data"]), set(nested)) == (10, {"data"})
    assert (len(nested["data"][0]["replies"]["data"]), set(nested["data"][0]["replies"])) == (10, {"data"})
    assert len(api.get(f"{popular.id}/comments", limit=50)["data"]) == 50
    album = next(media for media in box.world.media(account) if len(media.children) > 10)
    assert len(api.get(album.id, fields=fields)["children"]["data"]) == len(album.children)


def test_a_missing_insights_permission_may_be_silent(
    api: Client, box: Sandbox, posts: dict[str, Media], other: Callable[..., Account]
) -> None:
    account = other(silent_permissions=True)
    token = box.tokens.mint(declined=["instagram_manage_insights"]).text
    for path in (f"{posts['IMAGE'].id}/insights?metric=reach", f"{account.id}/insights?metric=reach&period=day"):
        assert api.get(path, token=token) == {"data": []}
        assert api.get(path)["data"]
    nested = api.get(f"{account.id}/media", token=token, fields="id,insights.metric(reach)", limit=1)["data"][0]
    assert set(nested) == {"id"}
    box.add_fault(forbid_account=account.id, permission="instagram_manage_insights")
    assert api.get(f"{posts['IMAGE'].id}/insights", metric="reach") == {"data": []}
    assert api.error(f"{account.id}/tags", token=box.tokens.mint(scopes=["instagram_basic"]).text)["code"] == 10


def test_an_instagram_token_may_read_only_me(api: Client, box: Sandbox, other: Callable[..., Account]) -> None:
    account = other(only_me=True)
    error = api.error(f"{account.id}/media", host=INSTAGRAM)
    assert (error["code"], error["type"]) == (2500, "IGApiException")
    assert error["message"] == "Unknown path components: /media"
    assert api.error(account.id, host=INSTAGRAM)["error_subcode"] == 33
    media = [each["id"] for page in api.pages("me/media", host=INSTAGRAM) for each in page]
    assert media == [each.id for each in box.world.media(account)]
    assert api.get(f"{media[0]}/insights", host=INSTAGRAM, metric="reach")["data"]
    assert api.get("me/insights", host=INSTAGRAM, metric="reach", period="day")["data"]
    assert api.get(f"{account.id}/media")["data"]
    box.reset(only_me=False)
    token = box.tokens.mint(INSTAGRAM, only_me=True).text
    assert api.error(f"{account.id}/stories", host=INSTAGRAM, token=token)["code"] == 2500
    assert api.get(f"{account.id}/media", host=INSTAGRAM)["data"]


def test_albums_on_tags_have_children(api: Client, box: Sandbox, account: Account) -> None:
    fields = "id,media_type,children{id,media_type,media_url,permalink,username,owner}"
    listed = api.get(f"{account.id}/tags", fields=fields, limit=100)["data"]
    albums = [each for each in listed if "children" in each]
    assert {each["media_type"] for each in albums} == {"CAROUSEL_ALBUM"}
    known = {tag.id: [child.id for child in tag.children] for tag in box.world.tags(account) if tag.children}
    assert {each["id"]: [child["id"] for child in each["children"]["data"]] for each in albums} == known
    child = albums[0]["children"]["data"][0]
    assert set(child) == {"id", "media_type", "media_url", "permalink", "username"}
    assert api.error(child["id"])["error_subcode"] == 33


# -- too much data --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ("id,caption", 1),
        ("id,children{id}", 11),
        ("comments.limit(5){id}", 6),
        ("comments{id}", 51),
        ("comments.limit(5){id,replies.limit(4){id}}", 26),
        ("insights.metric(reach)", 2),
    ],
)
def test_what_a_row_costs(fields: str, cost: int) -> None:
    assert page_cost(parse(fields)) == cost


def test_too_much_data_by_what_a_page_costs(api: Client, box: Sandbox, account: Account) -> None:
    fault = box.add_fault(max_cost=200, path="/media")
    fields = "id,comments.limit(3){id,replies.limit(2){id}}"
    error = api.error(f"{account.id}/media", limit=21, fields=fields)
    assert (error["status"], error["code"], error["message"]) == (500, 1, "An unknown error has occurred.")
    assert len(api.get(f"{account.id}/media", limit=20, fields=fields)["data"]) == 20
    assert api.get(f"{account.id}/media", limit=100, fields="id")
    assert fault.fired == 1
    box.reset()
    box.add_fault(max_cost=50, account=account.id, message="message")
    popular = max(box.world.media(account), key=lambda media: len(box.world.comments(media)))
    assert api.error(popular.id, fields="comments.limit(50){id}")["message"].startswith("Please reduce")
    assert api.get(popular.id, fields="comments.limit(49){id}")
    assert api.get(f"{box.world.accounts[1].id}/media", limit=100)


def test_one_media_that_refuses_a_nested_field_costs_its_page(api: Client, box: Sandbox, account: Account) -> None:
    odd = box.world.media(account)[2]
    words = {"code": 1, "message": "An unknown error has occurred."}
    fault = box.add_fault(refuse_field="comments", node=odd.id, error=words)
    error = api.error(f"{account.id}/media", limit=3, fields="id,comments{id}")
    assert (error["status"], error["code"], error["message"]) == (500, 1, words["message"])
    assert api.get(f"{account.id}/media", limit=2, fields="id,comments{id}")
    assert api.get(f"{account.id}/media", limit=3, fields="id")
    assert "data" in api.get(f"{odd.id}/comments")
    assert fault.fired == 1
