"""Accounts of others, hashtags and polls."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sandbox_client import INSTAGRAM, Client

from sandbox import Options, Sandbox, World
from sandbox.nodes import Account
from sandbox.world import REQUEST_ID


def discovered(api: Client, account: Account, name: str, fields: str) -> Any:
    return api.get(account.id, fields=f"business_discovery.username({name}){{{fields}}}")["business_discovery"]


# -- Business discovery ------------------------------------------------------------------------------------------------


def test_a_rival_is_found_by_name_alone(api: Client, box: Sandbox, account: Account) -> None:
    rival = box.world.rivals[0]
    found = discovered(api, account, "BlueBottle", "id,username,followers_count,media_count")
    assert found == {name: rival.values[name] for name in ("id", "username", "followers_count", "media_count")}
    assert api.error(rival.id)["error_subcode"] == 33
    assert api.error(rival.media[0].id)["error_subcode"] == 33


@pytest.mark.parametrize("name", ["nobody", "blue.cup", ""])
def test_whoever_else_goes_by_a_name_is_refused_alike(api: Client, account: Account, name: str) -> None:
    error = api.error(account.id, fields=f"business_discovery.username({name}){{id}}")
    assert (error["status"], error["code"], error["error_subcode"]) == (400, 110, 2207013)
    assert error["message"] == "Invalid user id"


def test_pages_of_a_rival_have_no_next(api: Client, box: Sandbox, account: Account) -> None:
    first = discovered(api, account, "bluebottle", "media.limit(40){id}")["media"]
    assert first["paging"].keys() == {"cursors"}
    assert first["paging"]["cursors"].keys() == {"after"}
    after = first["paging"]["cursors"]["after"]
    second = discovered(api, account, "bluebottle", f"media.after({after}).limit(40){{id}}")["media"]
    assert second["paging"]["cursors"].keys() == {"before", "after"}
    ids = [item["id"] for item in (*first["data"], *second["data"])]
    assert ids == [media.id for media in box.world.rivals[0].media]
    last = discovered(api, account, "bluebottle", f"media.after({second['paging']['cursors']['after']}){{id}}")
    assert "media" not in last


def test_views_of_others_are_those_of_reels(api: Client, account: Account) -> None:
    fields = "media.limit(60){media_product_type,view_count,saved_count}"
    error = api.error(account.id, fields=f"business_discovery.username(bluebottle){{{fields}}}")
    assert "nonexisting field (saved_count)" in error["message"]
    found = discovered(api, account, "bluebottle", fields.replace(",saved_count", ""))["media"]["data"]
    assert {item["media_product_type"] for item in found if "view_count" in item} == {"REELS"}


@pytest.mark.parametrize("scope", ["instagram_manage_insights", "pages_read_engagement"])
def test_discovery_needs_its_permissions(api: Client, box: Sandbox, account: Account, scope: str) -> None:
    token = box.mint(declined=[scope])
    error = api.error(account.id, token=token, fields="business_discovery.username(bluebottle){id}")
    assert error["code"] == 10


def test_others_are_not_there_with_instagram_login(api: Client) -> None:
    error = api.error("me", host=INSTAGRAM, fields="business_discovery.username(bluebottle){id}")
    assert "nonexisting field (business_discovery)" in error["message"]
    assert api.error("ig_hashtag_search", host=INSTAGRAM, q="tea")["code"] == 100


# -- Hashtags ----------------------------------------------------------------------------------------------------------


def test_a_hashtag_has_one_id_for_all(api: Client, box: Sandbox) -> None:
    found = [
        api.get("ig_hashtag_search", user_id=each.id, q="Tea", fields="id,name") for each in box.world.accounts[:2]
    ]
    assert found[0] == found[1] == {"data": [{"id": found[0]["data"][0]["id"], "name": "tea"}]}
    assert api.get(found[0]["data"][0]["id"], fields="name")["name"] == "tea"
    error = api.error("ig_hashtag_search", user_id=box.world.accounts[0].id, q="nosuch")
    assert (error["code"], error["error_subcode"]) == (24, 2207024)


def test_lists_of_a_hashtag_end_without_paging(api: Client, box: Sandbox, account: Account) -> None:
    tag = box.world.hashtag("tea")
    assert tag
    pages = api.pages(f"{tag.id}/top_media", user_id=account.id, fields="id", limit=100)
    assert [len(page) for page in pages] == [50, 10]
    last = api.get(f"{tag.id}/recent_media", user_id=account.id, fields="id,timestamp")
    assert "paging" not in last
    assert len(last["data"]) == 12
    assert {media.id for media in box.world.recent(tag)} == {item["id"] for item in last["data"]}
    assert all(media.published > box.world.now() - timedelta(days=1) for media in box.world.recent(tag))
    assert (
        "nonexisting field (username)"
        in api.error(f"{tag.id}/top_media", user_id=account.id, fields="username")["message"]
    )


def test_an_account_searches_thirty_hashtags_in_seven_days(api: Client, box: Sandbox, account: Account) -> None:
    for n in range(30):
        api.get("ig_hashtag_search", user_id=account.id, q=f"t{n}")
    assert api.error("ig_hashtag_search", user_id=account.id, q="another")["code"] == 18
    tag = box.world.hashtag("another")
    assert tag
    assert api.error(f"{tag.id}/top_media", user_id=account.id)["code"] == 18, "its lists count as well"
    api.get("ig_hashtag_search", user_id=account.id, q="t3")
    told = api.get(f"{account.id}/recently_searched_hashtags", fields="id,name", limit=30)
    assert told["data"][0]["name"] == "t3"
    assert len(told["data"]) == 30
    assert "next" not in told["paging"]
    box.set_now(box.world.now() + timedelta(days=7, seconds=1))
    api.get("ig_hashtag_search", user_id=account.id, q="another")
    assert len(api.get(f"{account.id}/recently_searched_hashtags")["data"]) == 1


def test_without_the_feature_all_of_hashtags_is_refused(api: Client, box: Sandbox) -> None:
    account = box.world.accounts[0]
    box.service.world.options = Options(**{**vars(box.options), "no_public_content": True})
    try:
        tag = box.world.hashtag("tea")
        assert tag
        for path in (f"{account.id}/recently_searched_hashtags", f"{tag.id}/top_media", "ig_hashtag_search"):
            error = api.error(path, user_id=account.id, q="tea")
            assert error["code"] == 10
            assert "Instagram Public Content Access" in error["message"]
    finally:
        box.service.world.options = box.options


def test_some_hashtags_were_searched_before() -> None:
    with Sandbox(accounts=1, portfolio_accounts=0, media=1, searched=4) as box:
        api = Client(box)
        told = api.get(f"{box.world.accounts[0].id}/recently_searched_hashtags", fields="name")
        api.session.close()
    assert len(told["data"]) == 4


# -- Polls -------------------------------------------------------------------------------------------------------------


def test_a_poll_is_a_call_of_its_own(api: Client, box: Sandbox, account: Account) -> None:
    posts = box.world.media(account)
    poll = next(post for post in posts if post.poll)
    found = api.get(f"{poll.id}/poll_attachment")
    assert found == {"id": poll.id, **(poll.poll or {})}
    assert api.get(f"{poll.id}/poll_attachment", fields="option_a").keys() == {"id", "option_a"}
    assert api.request(f"{next(post.id for post in posts if not post.poll)}/poll_attachment").text == "null"
    assert api.error(account.id, fields="media{poll_attachment}")["code"] == 100
    assert api.error(f"{box.world.stories(account)[0].id}/poll_attachment")["code"] == 100
    assert api.error(f"me/media/{poll.id}/poll_attachment")["code"] in (100, 2500)


def test_the_same_seed_makes_the_same_strangers() -> None:
    worlds = [World(Options(now="2026-06-15T12:00:00Z")) for _ in range(2)]
    dumps = [world.dump()["rivals"] for world in worlds]
    assert dumps[0] == dumps[1]
    first, second = (world.hashtag("tea") for world in worlds)
    assert first
    assert second
    assert first.values == second.values
    assert REQUEST_ID in str(dumps[0])
