"""Paths, fields, paging, tokens and permissions."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest
from sandbox_client import FACEBOOK, INSTAGRAM, Client

from sandbox import Sandbox
from sandbox.nodes import Account, Media

SYNTAX_ERRORS = ["id,", "media{id", "id}", "", "media.limit(2", "id,,name"]


# -- accounts -------------------------------------------------------------------------------------------------------


def test_pages_without_instagram_lack_the_key_and_portfolio_pages_are_not_listed(api: Client, box: Sandbox) -> None:
    pages = api.get("me/accounts", fields="id,name,instagram_business_account{id,username}")["data"]
    linked = [page["instagram_business_account"]["id"] for page in pages if "instagram_business_account" in page]
    assert "instagram_business_account" not in pages[0]
    assert linked == [account.id for account in box.world.accounts if not account.portfolio]


def test_a_portfolio_account_is_read_directly_or_listed_with_business_management(api: Client, box: Sandbox) -> None:
    hidden = next(account for account in box.world.accounts if account.portfolio)
    assert api.get(hidden.id, fields="username")["username"] == hidden.values["username"]
    scopes = [*box.tokens.known[box.token].scopes, "business_management"]
    token = box.tokens.mint(scopes=scopes).text
    pages = api.get("me/accounts", token=token, fields="instagram_business_account")["data"]
    assert hidden.id in [page.get("instagram_business_account", {}).get("id") for page in pages]
    assert api.get("me/businesses", token=token)["data"]


def test_absent_values_are_absent_keys(api: Client, small: Account) -> None:
    user = api.get(small.id, fields="id,ig_id,name,username,biography,website,followers_count,profile_picture_url")
    assert set(user) == {"id", "ig_id", "username", "followers_count", "profile_picture_url"}
    assert user["username"].isdigit()
    assert "ccb=" in user["profile_picture_url"]


def test_me_on_both_hosts(api: Client, box: Sandbox, account: Account) -> None:
    assert set(api.get("me")) == {"id", "name"}
    me = api.get("me", host=INSTAGRAM, fields="id,user_id,username,account_type")
    assert me["user_id"] == account.id != me["id"]
    box.service.graph.wrap_me = True
    try:
        assert api.get("me", host=INSTAGRAM, fields="user_id") == {"data": [{"user_id": account.id, "id": me["id"]}]}
    finally:
        box.service.graph.wrap_me = False


# -- fields ---------------------------------------------------------------------------------------------------------


def test_the_default_is_the_id_alone(api: Client, account: Account) -> None:
    assert set(api.get(f"{account.id}/media", limit=1)["data"][0]) == {"id"}
    assert set(api.get(account.id)) == {"id"}


def test_nested_expansion_with_modifiers(api: Client, account: Account, posts: dict[str, Media]) -> None:
    fields = "id,owner{id,username},children{id,media_type},comments.limit(2){id,text,replies{id,text}}"
    media = api.get(posts["CAROUSEL_ALBUM"].id, fields=fields)
    assert media["owner"] == {"id": account.id, "username": account.values["username"]}
    assert [child["id"] for child in media["children"]["data"]] == [c.id for c in posts["CAROUSEL_ALBUM"].children]
    user = api.get(account.id, fields="username,media.limit(3){id,insights.metric(reach,views)}")
    assert [len(item["insights"]["data"]) for item in user["media"]["data"]] == [2, 2, 2]
    assert "next" in user["media"]["paging"]


def test_spaces_in_fields_do_not_matter(api: Client, account: Account) -> None:
    assert set(api.get(account.id, fields="id, username , name")) == {"id", "username", "name"}


@pytest.mark.parametrize("fields", [text for text in SYNTAX_ERRORS if text])
def test_bad_syntax_is_2500(api: Client, account: Account, fields: str) -> None:
    assert api.error(account.id, fields=fields)["code"] == 2500


def test_a_field_twice_is_a_syntax_error(api: Client, account: Account) -> None:
    error = api.error(account.id, fields="id,username,id")
    assert (error["code"], error["status"]) == (2500, 400)
    assert "Field id specified more than once" in error["message"]


def test_unknown_fields_and_edges_are_refused_with_metas_words(
    api: Client, account: Account, posts: dict[str, Media]
) -> None:
    assert api.error(account.id, fields="id,foo")["message"] == "(#100) Tried accessing nonexisting field (foo)"
    assert api.error(f"{account.id}/feed")["message"] == "(#100) Tried accessing nonexisting field (feed)"
    error = api.error(f"{account.id}/navigation")
    assert (error["code"], error["message"]) == (2500, "Unknown path components: /navigation")
    assert api.error(posts["IMAGE"].id, fields="filter_name")["code"] == 100


def test_an_empty_list_never_notices_a_wrong_field(api: Client, account: Account) -> None:
    window = {"since": "2030-01-01", "until": "2030-01-02"}
    assert api.get(f"{account.id}/media", fields="id,nonsense", **window) == {"data": []}


def test_some_unknown_fields_are_ignored(api: Client, posts: dict[str, Media]) -> None:
    assert set(api.get(posts["IMAGE"].id, fields="id,from_id,from_full_name")) == {"id"}


def test_fields_that_fail_by_kind(api: Client, posts: dict[str, Media]) -> None:
    image = posts["IMAGE"].id
    error = api.error(image, fields="copyright_check_information")
    assert (error["code"], error["error_subcode"], error["message"]) == (9005, 1452042, "Video content was not found.")
    assert "status" in api.get(posts["REELS"].id, fields="copyright_check_information")["copyright_check_information"]
    assert api.error(image, fields="view_count")["code"] == 36104
    child = posts["CAROUSEL_ALBUM"].children[0].id
    message = "(#100) Field is not available for Carousel children media."
    assert api.error(child, fields="like_count")["message"] == message
    assert api.error(f"{child}/insights", metric="reach")["message"] == message


def test_shop_fields_need_their_permission(api: Client, account: Account) -> None:
    error = api.error(account.id, fields="shopping_product_tag_eligibility")
    assert (error["code"], error["message"]) == (10, "(#10) Application does not have permission for this action")


def test_the_instagram_host_drops_two_counters_and_refuses_other_facebook_fields(
    api: Client, posts: dict[str, Media]
) -> None:
    media = api.get(posts["REELS"].id, host=INSTAGRAM, fields="id,view_count,total_views_count,media_type")
    assert set(media) == {"id", "media_type"}
    error = api.error(posts["REELS"].id, host=INSTAGRAM, fields="saved_count")
    assert (error["type"], error["message"]) == ("IGApiException", "Tried accessing nonexisting field (saved_count)")


def test_addresses_carry_a_new_request_id_each_time(api: Client, posts: dict[str, Media]) -> None:
    first, second = (api.get(posts["IMAGE"].id, fields="media_url")["media_url"] for _ in range(2))
    assert "_nc_rid=" in first
    assert first != second


# -- paging ---------------------------------------------------------------------------------------------------------


def test_media_are_paged_newest_first_until_next_is_missing(api: Client, box: Sandbox, account: Account) -> None:
    pages = api.pages(f"{account.id}/media", fields="id,timestamp", limit=30)
    assert [len(page) for page in pages] == [30, 30, 20]
    walked = [item for page in pages for item in page]
    assert [item["id"] for item in walked] == [media.id for media in box.world.media(account)]
    assert walked == sorted(walked, key=lambda item: item["timestamp"], reverse=True)


def test_the_last_page_has_cursors_but_no_next(api: Client, account: Account) -> None:
    first = api.get(f"{account.id}/media", limit=50)["paging"]
    last = api.get(f"{account.id}/media", limit=50, after=first["cursors"]["after"])["paging"]
    assert api.box.token in first["next"]
    assert set(first) == {"cursors", "next"}
    assert set(last) == {"cursors", "previous"}
    assert last["cursors"]["after"]


def test_a_window_filters_by_publish_time_and_survives_paging(api: Client, box: Sandbox, account: Account) -> None:
    whole = box.world.media(account)
    since, until = whole[40].published, whole[10].published
    window = {"since": int(since.timestamp()), "until": int(until.timestamp())}
    pages = api.pages(f"{account.id}/media", limit=10, **window)
    assert [item["id"] for page in pages for item in page] == [media.id for media in whole[10:41]]
    day = whole[20].published.date()
    dated = api.get(f"{account.id}/media", since=str(day), until=str(day + timedelta(days=1)))
    assert whole[20].id in [item["id"] for item in dated["data"]]


def test_an_account_without_media_has_no_paging(api: Client, account: Account) -> None:
    assert api.get(f"{account.id}/media", since="2031-01-01") == {"data": []}
    assert api.error(f"{account.id}/media", since="soon")["code"] == 100
    assert api.error(f"{account.id}/media", limit=0)["code"] == 100
    assert api.error(f"{account.id}/media", after="nonsense")["code"] == 100


def test_tags_have_cursors_but_no_links(api: Client, account: Account) -> None:
    first = api.get(f"{account.id}/tags", fields="id,username,saved_count")
    assert set(first["paging"]) == {"cursors"}
    assert "saved_count" not in first["data"][0]
    second = api.get(f"{account.id}/tags", after=first["paging"]["cursors"]["after"])
    third = api.get(f"{account.id}/tags", after=second["paging"]["cursors"]["after"])
    assert (len(first["data"]), len(second["data"]), third) == (25, 5, {"data": []})
    assert api.error(first["data"][0]["id"])["error_subcode"] == 33


def test_comments_come_in_fifties_and_end_without_paging(api: Client, box: Sandbox, account: Account) -> None:
    popular = max(box.world.media(account), key=lambda media: len(box.world.comments(media)))
    first = api.get(f"{popular.id}/comments", limit=100)
    assert len(first["data"]) == 50
    assert set(first["data"][0]) == {"id", "text", "timestamp"}
    pages = api.pages(f"{popular.id}/comments", fields="id,replies{id,parent_id,text}", limit=50)
    assert [len(page) for page in pages] == [50, 50, 30]
    last = api.get(f"{popular.id}/comments", after=first["paging"]["cursors"]["after"], limit=50)
    last = api.session.get(last["paging"]["next"], timeout=10).json()
    assert set(last) == {"data"}
    nested = pages[0][0]["replies"]
    assert len(nested["data"]) == 25
    rest = api.session.get(nested["paging"]["next"], timeout=10).json()
    assert rest["data"][0]["parent_id"] == pages[0][0]["id"]
    found = [reply["id"] for page in api.pages(f"{pages[0][0]['id']}/replies") for reply in page]
    assert found == [reply.id for reply in box.world.comments(popular)[0].replies]
    plain = next(comment for comment in pages[0] if "replies" not in comment)
    assert api.get(f"{plain['id']}/replies") == {"data": []}


def test_stories_are_those_of_the_last_day(api: Client, box: Sandbox, account: Account) -> None:
    before = [story["id"] for story in api.get(f"{account.id}/stories")["data"]]
    assert len(before) == 4
    box.set_now("2026-06-15T20:00:00Z")
    after = [story["id"] for story in api.get(f"{account.id}/stories")["data"]]
    assert len(after) == 4
    assert set(before) & set(after)
    gone = (set(before) - set(after)).pop()
    for path in (gone, f"{gone}/insights?metric=reach"):
        error = api.error(path)
        assert (error["code"], error["error_subcode"], error["type"]) == (100, 33, "GraphMethodException")


# -- what has ended -------------------------------------------------------------------------------------------------


def test_the_features_that_ended_on_27_october_2026_are_refused_on_every_version(
    api: Client, box: Sandbox, account: Account
) -> None:
    headers = {"Authorization": f"Bearer {box.token}"}

    def code(version: str, path: str, more: dict[str, str] | None = None) -> int | None:
        answer = api.session.get(
            f"https://{FACEBOOK}/{version}/{path}", headers={**headers, **(more or {})}, timeout=10
        )
        return answer.json().get("error", {}).get("code")

    for version in ("v21.0", "v25.0", "v27.0"):
        assert code(version, account.id) is None
        assert code(version, account.id, {"If-None-Match": '"x"'}) == 100
        for feature in (f"?ids={account.id}", f"insights?ids={account.id}&metric=reach", f"{account.id}?pretty=0"):
            assert code(version, feature) == 100
        for feature in ("debug=all", "date_format=U"):
            assert code(version, f"{account.id}?{feature}") == 100
    items = [
        {"relative_url": f"{account.id}?pretty=1"},
        {"relative_url": account.id, "headers": ['If-None-Match: "x"']},
    ]
    assert [item["code"] for item in api.batch([], batch=items).json()] == [400, 400]
    assert api.batch([account.id], pretty="1").json()["error"]["code"] == 100


# -- tokens ---------------------------------------------------------------------------------------------------------


def dead_token(box: Any, kind: str) -> str:
    if kind == "expired":
        return box.tokens.mint(age=timedelta(days=70)).text
    if kind == "wrong host":
        return box.instagram_token
    return "nonsense" if kind == "malformed" else box.tokens.mint(dead=int(kind)).text


@pytest.mark.parametrize(
    ("kind", "subcode", "words"),
    [
        ("expired", 463, "Session has expired on"),
        ("463", 463, "Session has expired on"),
        ("458", 458, "The user has not authorized application."),
        ("460", 460, "invalidated"),
        ("malformed", None, "Invalid OAuth access token - Cannot parse access token"),
        ("wrong host", None, "Invalid OAuth access token - Cannot parse access token"),
    ],
)
def test_dead_tokens(api: Client, box: Sandbox, kind: str, subcode: int | None, words: str) -> None:
    answer = api.request("me/accounts", token=dead_token(box, kind))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("error_subcode")) == (400, 190, subcode)
    assert words in error["message"]
    assert "invalid_token" in answer.headers["WWW-Authenticate"]


def test_the_token_may_come_as_a_parameter_or_be_missing(api: Client, box: Sandbox) -> None:
    url = f"https://{FACEBOOK}/me"
    assert api.session.get(url, params={"access_token": box.token}, timeout=10).json()["id"] == box.world.user.id
    assert api.session.get(url, timeout=10).json()["error"]["code"] == 104


def test_missing_permissions(api: Client, box: Sandbox, account: Account, posts: dict[str, Media]) -> None:
    token = box.tokens.mint(scopes=["instagram_basic", "pages_show_list"]).text
    commented = next(media for media in box.world.media(account) if box.world.comments(media))
    assert api.get(f"{commented.id}/comments", token=token) == {"data": []}
    for path in (f"{account.id}/tags", f"{posts['IMAGE'].id}/insights?metric=reach"):
        error = api.error(path, token=token)
        assert (error["code"], error["message"]) == (10, "(#10) Application does not have permission for this action")
    pages = api.get("me/accounts", token=token, fields="id,instagram_business_account")["data"]
    assert all("instagram_business_account" not in page for page in pages)
    assert api.error(pages[0]["id"], token=token)["code"] == 200
    assert api.get("me/accounts", token=box.tokens.mint(scopes=[]).text) == {"data": []}
    granted = api.get("me/permissions", token=token)["data"]
    assert {"permission": "instagram_basic", "status": "granted"} in granted


def test_a_page_token_reads_its_own_account_only(api: Client, account: Account, small: Account) -> None:
    pages = api.get("me/accounts", fields="access_token,instagram_business_account")["data"]
    mine = next(page for page in pages if page.get("instagram_business_account", {}).get("id") == account.id)
    assert api.get(account.id, token=mine["access_token"], fields="username")["username"]
    assert api.error(small.id, token=mine["access_token"])["error_subcode"] == 33


def test_an_instagram_token_reaches_one_account(api: Client, small: Account) -> None:
    assert api.get("me/media", host=INSTAGRAM, limit=1)["data"][0]["id"]
    assert api.error(small.id, host=INSTAGRAM)["type"] == "IGApiException"


def test_appsecret_proof(api: Client, box: Sandbox, account: Account) -> None:
    proof = hmac.new(box.app_secret.encode(), box.token.encode(), hashlib.sha256).hexdigest()
    assert api.get(account.id, appsecret_proof=proof)
    error = api.error(account.id, appsecret_proof="0" * 64)
    assert (error["code"], error["message"]) == (100, "Invalid appsecret_proof provided in the API argument")
    right = hmac.new(box.app_secret.encode(), box.instagram_token.encode(), hashlib.sha256).hexdigest()
    assert api.error("me", host=INSTAGRAM, appsecret_proof=right)["code"] == 100
    box.tokens.require_proof = True
    assert "appsecret_proof" in api.error(account.id)["message"]


def test_tokens_are_inspected_and_extended(api: Client, box: Sandbox) -> None:
    data = api.get("debug_token", input_token=box.token)["data"]
    assert data["is_valid"]
    assert data["expires_at"] - data["issued_at"] == 60 * 86_400
    assert not api.get("debug_token", input_token=dead_token(box, "expired"))["data"]["is_valid"]
    exchange = {
        "grant_type": "fb_exchange_token",
        "client_id": box.app_id,
        "client_secret": box.app_secret,
        "fb_exchange_token": box.token,
    }
    longer = api.get("oauth/access_token", **exchange)
    assert set(longer) == {"access_token", "token_type", "expires_in"}
    assert api.get("me", token=longer["access_token"])
    assert api.error("oauth/access_token", **{**exchange, "client_secret": "wrong"})["code"] == 1
    expired = {**exchange, "fb_exchange_token": dead_token(box, "expired")}
    assert api.error("oauth/access_token", **expired)["error_subcode"] == 463


def test_instagram_tokens_are_refreshed_after_a_day(api: Client, box: Sandbox) -> None:
    renewed = api.get("refresh_access_token", host=INSTAGRAM, grant_type="ig_refresh_token")
    assert renewed["expires_in"] == 60 * 86_400
    young = box.tokens.mint(INSTAGRAM, age=timedelta(hours=3)).text
    assert api.error("refresh_access_token", host=INSTAGRAM, token=young, grant_type="ig_refresh_token")["code"] == 100
    short = box.tokens.mint(INSTAGRAM, age=timedelta(0), lifetime=timedelta(hours=1), long_lived=False).text
    exchange = {"grant_type": "ig_exchange_token", "client_secret": box.app_secret}
    assert api.get("access_token", host=INSTAGRAM, token=short, **exchange)["access_token"].startswith("IGAA")
    error = api.error("access_token", host=INSTAGRAM, **exchange)
    assert "Session key invalid" in error["message"]


# -- the world ------------------------------------------------------------------------------------------------------


def test_the_instagram_host_has_errors_and_headers_of_its_own(api: Client, account: Account) -> None:
    answer = api.request(f"{account.id}/impressions/day", host=INSTAGRAM)
    error = {"message": "Unknown path components: /impressions/day", "type": "IGApiException", "code": 2500}
    assert answer.json()["error"].items() >= error.items()
    assert set(api.request("me", host=INSTAGRAM).headers) >= {"instagram-api-version", "X-App-Usage"}
    assert "X-Business-Use-Case-Usage" not in api.request("me", host=INSTAGRAM).headers


def test_dead_versions_are_served_by_the_oldest_alive(api: Client, box: Sandbox) -> None:
    versions = [("/v12.0/me", "v21.0"), ("/me", "v21.0"), ("/v25.0/me", "v25.0"), ("/v27.0/me", "v27.0")]
    for path, version in versions:
        headers = {"Authorization": f"Bearer {box.token}"}
        answer = api.session.get(f"https://{FACEBOOK}{path}", headers=headers, timeout=10)
        assert (answer.status_code, answer.headers["facebook-api-version"]) == (200, version)


def test_versions_that_do_not_exist_yet_are_refused_before_the_token_is_looked_at(api: Client, box: Sandbox) -> None:
    for token in (box.token, "nonsense"):
        headers = {"Authorization": f"Bearer {token}"}
        answer = api.session.get(f"https://{FACEBOOK}/v99.0/me", headers=headers, timeout=10).json()["error"]
        assert (answer["code"], answer["message"]) == (2500, "Unknown path components: /me")
    body = {"access_token": box.token, "batch": [{"relative_url": "me"}]}
    answer = api.session.post(f"https://{FACEBOOK}/v99.0/", json=body, timeout=10).json()["error"]
    assert (answer["code"], answer["message"]) == (2500, "Unknown path components: /")


# -- odd tokens -----------------------------------------------------------------------------------------------------


def test_declined_permissions_are_told_and_missing(api: Client, box: Sandbox, account: Account) -> None:
    token = box.tokens.mint(declined=["instagram_manage_comments"]).text
    told = {each["permission"]: each["status"] for each in api.get("me/permissions", token=token)["data"]}
    assert told["instagram_manage_comments"] == "declined"
    assert told["instagram_basic"] == "granted"
    assert api.error(f"{account.id}/tags", token=token)["code"] == 10
    assert "instagram_manage_comments" not in api.get("debug_token", input_token=token)["data"]["scopes"]


def test_access_to_data_ends_though_the_token_lives(
    api: Client, box: Sandbox, account: Account, posts: dict[str, Media]
) -> None:
    token = box.tokens.mint(data_access=timedelta(days=1)).text
    data = api.get("debug_token", input_token=token)["data"]
    assert data["is_valid"]
    assert data["data_access_expires_at"] < box.world.now().timestamp() < data["expires_at"]
    for path in (account.id, f"{account.id}/media", f"{posts['IMAGE'].id}/insights?metric=reach"):
        assert api.error(path, token=token)["code"] == 10
    assert len(api.get("me/accounts", token=token)["data"]) == 4
    told = {each["permission"]: each["status"] for each in api.get("me/permissions", token=token)["data"]}
    assert (told["instagram_basic"], told["pages_show_list"]) == ("expired", "granted")
    exchange = {"grant_type": "fb_exchange_token", "client_id": box.app_id, "client_secret": box.app_secret}
    renewed = api.get("oauth/access_token", **exchange, fb_exchange_token=token)["access_token"]
    assert api.error(account.id, token=renewed)["code"] == 10  # only its person can renew that


def test_a_page_token_is_nobody_who_has_pages(api: Client, box: Sandbox, account: Account) -> None:
    token = box.tokens.of_page(account.page)
    me = api.get("me", token=token, fields="id,name,instagram_business_account")
    assert me["id"] == account.page.id
    assert me["instagram_business_account"] == {"id": account.id}
    error = api.error("me/accounts", token=token)
    assert (error["code"], error["message"]) == (100, "(#100) Tried accessing nonexisting field (accounts)")
    assert api.error("me/permissions", token=token)["code"] in (100, 2500)
    assert api.get(f"{account.id}/media", token=token)["data"]


def test_a_token_may_be_any_text(api: Client, box: Sandbox) -> None:
    token = box.tokens.mint(text="x|y.z-" + "~" * 300).text
    assert api.get("me", token=token)["id"] == box.world.user.id


def test_what_lasts_can_be_about_one_account_or_product(
    api: Client, box: Sandbox, account: Account, small: Account, posts: dict[str, Media]
) -> None:
    box.add_fault(refuse_field="caption", account=account.id)
    assert api.error(f"{account.id}/media", fields="caption")["code"] == 100
    assert api.get(f"{small.id}/media", fields="caption")
    box.add_fault(refuse_field="permalink", product="REELS")
    assert api.error(posts["REELS"].id, fields="permalink")["code"] == 100
    assert api.get(posts["IMAGE"].id, fields="permalink")
    box.add_fault(retire_metric="views", account=small.id)
    day = {"period": "day", "metric_type": "total_value"}
    assert api.error(f"{small.id}/insights", metric="views", **day)["code"] == 100
    assert api.get(f"{account.id}/insights", metric="views", **day)
    assert api.error(f"{box.world.media(small)[0].id}/insights", metric="views")["code"] == 100
    box.add_fault(max_limit=10, account=small.id)
    assert api.error(f"{small.id}/media", limit=11)["code"] == 1
    assert api.get(f"{account.id}/media", limit=11)
