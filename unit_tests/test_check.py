"""What `check` says: one sentence or two, what is wrong and what to do. And what `read` says of the same."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from harness import Connector, command
from oracle import Oracle, keyed

from sandbox import Sandbox

SCOPES = [
    "instagram_basic",
    "instagram_manage_insights",
    "instagram_manage_comments",
    "pages_show_list",
    "pages_read_engagement",
]


def is_readable(message: str) -> bool:
    """Words for a person: short, on one line, no code and nobody's quotation marks around them."""
    has_code = re.search(r"Traceback|Exception|Error\(|\{\w+\}|\n|\\\\|Something went wrong", message)
    return 20 < len(message) < 500 and not has_code and not re.match(r"[\"']|Stream ", message)


def test_a_good_configuration_passes_without_a_word(connector: Connector) -> None:
    assert connector.check() == ("SUCCEEDED", "")
    assert connector.check(login_type="instagram") == ("SUCCEEDED", "")


def test_a_check_is_cheap(box: Sandbox, connector: Connector) -> None:
    connector.check()
    assert box.http_requests <= 3


@pytest.mark.parametrize("login", ["facebook", "instagram"])
@pytest.mark.parametrize(
    ("dead", "words"),
    [
        (463, "expired"),
        (458, "revoked"),
        (460, "revoked"),
        (467, "revoked"),
        (492, "revoked"),
        (459, "confirm"),
        (464, "confirm"),
        (499, "not valid"),
    ],
)
def test_a_dead_token(box: Sandbox, connector: Connector, login: str, dead: int, words: str) -> None:
    token = box.tokens.mint(host=f"graph.{login}.com", dead=dead).text
    status, message = connector.check(access_token=token, login_type=login)
    assert status == "FAILED"
    assert words in message
    assert is_readable(message)
    assert token not in message


def test_a_token_that_ran_out(box: Sandbox, connector: Connector) -> None:
    token = box.tokens.mint(age=timedelta(days=61)).text
    status, message = connector.check(access_token=token)
    assert (status, "expired" in message, is_readable(message)) == ("FAILED", True, True)


@pytest.mark.parametrize("token", ["EAAnonsense", "x", "EAA|%+&/?#=", "a" * 5000])
def test_a_malformed_token(connector: Connector, token: str) -> None:
    status, message = connector.check(access_token=token)
    assert status == "FAILED"
    assert "malformed" in message
    assert is_readable(message)


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_a_token_of_the_other_login(box: Sandbox, connector: Connector, login: str) -> None:
    token = box.instagram_token if login == "facebook" else box.token
    status, message = connector.check(access_token=token, login_type=login)
    assert status == "FAILED"
    assert "login" in message
    assert is_readable(message)


@pytest.mark.parametrize("missing", ["instagram_basic", "pages_show_list", "pages_read_engagement"])
def test_a_permission_that_is_missing_is_named(box: Sandbox, connector: Connector, missing: str) -> None:
    token = box.tokens.mint(scopes=[scope for scope in SCOPES if scope != missing]).text
    status, message = connector.check(access_token=token)
    assert status == "FAILED"
    assert missing in message
    assert is_readable(message)


def test_a_token_without_an_account(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=0, portfolio_accounts=0, pages_without_instagram=2)
    status, message = connector.check()
    assert status == "FAILED"
    assert "professional account" in message
    assert is_readable(message)


def test_accounts_of_a_portfolio_are_hinted_at(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=0, portfolio_accounts=1)
    status, message = connector.check()
    assert status == "FAILED"
    assert "business_management" in message


@pytest.mark.parametrize("accounts", [["nobody.here"], ["@nobody"], ["17841499999999999"], ["blue.cup", "nobody.here"]])
def test_an_account_that_cannot_be_found_is_named(connector: Connector, accounts: list[str]) -> None:
    status, message = connector.check(accounts=accounts)
    assert status == "FAILED"
    assert accounts[-1].lstrip("@") in message
    assert is_readable(message)


def test_accounts_that_are_found_pass(box: Sandbox, connector: Connector) -> None:
    first, second, _, hidden = box.world.accounts
    chosen = [first.id, second.values["username"], f"@{first.values['username'].upper()}", hidden.id]
    assert connector.check(accounts=chosen)[0] == "SUCCEEDED"
    assert connector.check(accounts=[])[0] == "SUCCEEDED"


# -- Input -------------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, Any]] = [
    ("start_date", "2099-01-01T00:00:00Z"),
    ("start_date", "2026-02-30T00:00:00Z"),
    ("start_date", "yesterday"),
    ("start_date", "2026-01-01"),
    ("start_date", ""),
    ("start_date", 20260101),
    ("start_date", "2026-01-01T00:00:00Z\n"),
    ("login_type", "google"),
    ("login_type", "Facebook"),
    ("login_type", ""),
    ("login_type", 1),
    ("accounts", "blue.cup"),
    ("accounts", ["../17841400000000001"]),
    ("accounts", ["blue cup"]),
    ("accounts", ["me"[:0]]),
    ("accounts", ["a" * 31]),
    ("accounts", ["кофе"]),
    ("accounts", ["blue.cup\n"]),
    ("accounts", [17841400000000001]),
    ("accounts", [None]),
    ("insights_lookback_days", -1),
    ("insights_lookback_days", 31),
    ("insights_lookback_days", "3"),
    ("insights_lookback_days", 2.5),
    ("insights_lookback_days", True),
    ("media_lookback_days", -1),
    ("media_lookback_days", 731),
    ("media_lookback_days", None),
    ("media_refresh_days", -1),
    ("media_refresh_days", 366),
    ("media_refresh_days", "90"),
    ("num_workers", 0),
    ("num_workers", 51),
    ("num_workers", "many"),
    ("num_workers", 1e9),
    ("access_token", ""),
    ("access_token", "  "),
    ("access_token", "EAA with spaces"),
    ("access_token", "EAA\r\nHost: evil.example"),
    ("access_token", "EAA\x00"),
    ("access_token", "EAA—ü"),
    ("access_token", 12345),
    ("access_token", None),
    ("access_token", ["EAA"]),
    ("client_id", 5),
    ("client_secret", {"a": 1}),
]


@pytest.mark.parametrize(("key", "value"), REFUSED, ids=[f"{key}={value!r:.30}" for key, value in REFUSED])
def test_a_value_that_is_refused_names_its_key(connector: Connector, key: str, value: Any) -> None:
    status, message = connector.check(**{key: value})
    assert status == "FAILED"
    assert key in message
    assert is_readable(message)
    assert connector.box.requests == []


@pytest.mark.parametrize(
    ("key", "value"), [REFUSED[0], ("login_type", "google"), ("accounts", ["../x"]), ("num_workers", 0)]
)
def test_read_says_the_same(connector: Connector, key: str, value: Any) -> None:
    _, message = connector.check(**{key: value})
    outcome = command(
        "read", connector.box.env, config=connector.config(**{key: value}), catalog=connector.catalog(["users"])
    )
    assert outcome.exit_code != 0
    assert outcome.records == {}
    assert [error["message"] for error in outcome.errors] == [message]
    assert outcome.errors[0]["failure_type"] == "config_error"


def test_a_missing_token_is_said(connector: Connector) -> None:
    status, message = command("check", connector.box.env, config={}).check
    assert status == "FAILED"
    assert "access_token" in message


@pytest.mark.parametrize("config", ["[]", "null", "3", "{", "", '"x"'])
def test_a_configuration_file_without_sense_is_said(connector: Connector, config: str) -> None:
    outcome = command("check", connector.box.env, config=config)
    told = [error["message"] for error in outcome.errors] or [outcome.check[1]]
    assert is_readable(told[0])
    assert "config" in told[0].lower()


GOOD: list[tuple[str, Any]] = [
    ("insights_lookback_days", 0),
    ("insights_lookback_days", 30),
    ("media_lookback_days", 0),
    ("media_lookback_days", 730),
    ("media_refresh_days", 0),
    ("media_refresh_days", 365),
    ("num_workers", 1),
    ("num_workers", 50),
    ("start_date", "2010-01-01T00:00:00Z"),
    ("unknown_key", "of an older connection"),
    ("url_base", "https://evil.example"),
]


@pytest.mark.parametrize(("key", "value"), GOOD, ids=[f"{key}={value}" for key, value in GOOD])
def test_a_value_in_its_range_passes(connector: Connector, key: str, value: Any) -> None:
    assert connector.check(**{key: value}) == ("SUCCEEDED", "")
    assert {request["host"] for request in connector.box.requests} == {"graph.facebook.com"}


@pytest.mark.parametrize(
    ("host", "login"), [("graph.facebook.com@evil.example", "facebook"), ("evil.example", "instagram")]
)
def test_no_key_changes_the_host(box: Sandbox, connector: Connector, host: str, login: str) -> None:
    connector.check(login_type=login, host=host, base_url=f"https://{host}", api_version="v1.0/../..")
    assert box.refused_hosts == []
    assert {request["host"] for request in box.requests} == {f"graph.{login}.com"}


# -- Tokens that do not die --------------------------------------------------------------------------------------------


def controls(outcome: Any) -> list[dict[str, Any]]:
    """The configurations that were handed back to the platform."""
    return [m["control"]["connectorConfig"]["config"] for m in outcome.messages if m["type"] == "CONTROL"]


def test_a_token_that_ends_soon_is_warned_of(box: Sandbox, connector: Connector) -> None:
    token = box.tokens.mint(age=timedelta(days=50)).text
    outcome = command("check", box.env, config=connector.config(access_token=token))
    assert outcome.check[0] == "SUCCEEDED"
    assert [line for line in outcome.log("WARN") if "ends on" in line]
    fresh = command("check", box.env, config=connector.config())
    assert [line for line in fresh.log("WARN") if "ends on" in line] == []


def test_data_access_that_ends_soon_is_warned_of(box: Sandbox, connector: Connector) -> None:
    token = box.tokens.mint(lifetime=None, age=timedelta(days=80)).text
    outcome = command("check", box.env, config=connector.config(access_token=token))
    assert outcome.check[0] == "SUCCEEDED"
    assert [line for line in outcome.log("WARN") if "data" in line]


def test_facebook_login_extends_a_token_that_ends_soon(box: Sandbox, connector: Connector) -> None:
    app = {"client_id": box.app_id, "client_secret": box.app_secret}
    old = box.tokens.mint(age=timedelta(days=45)).text
    outcome = connector.read("users", access_token=old, accounts=["blue.cup"], **app)
    (config,) = controls(outcome)
    assert config == {"access_token": config["access_token"], "accounts": ["blue.cup"], **app}
    assert config["access_token"] != old
    assert config["access_token"] in box.tokens.known
    assert outcome.statuses == {"users": "COMPLETE"}


@pytest.mark.parametrize(("age", "app"), [(10, True), (45, False)], ids=["lasts", "no secret"])
def test_facebook_login_leaves_other_tokens_alone(box: Sandbox, connector: Connector, age: int, *, app: bool) -> None:
    token = box.tokens.mint(age=timedelta(days=age)).text
    keys = {"client_id": box.app_id, "client_secret": box.app_secret} if app else {}
    outcome = connector.read("users", access_token=token, **keys)
    assert controls(outcome) == []
    assert outcome.statuses == {"users": "COMPLETE"}


def test_instagram_login_extends_a_token_that_is_a_day_old(box: Sandbox, connector: Connector) -> None:
    old = box.tokens.mint(host="graph.instagram.com", age=timedelta(days=45)).text
    outcome = connector.read("users", login_type="instagram", access_token=old)
    (config,) = controls(outcome)
    assert config["access_token"] != old
    assert config["login_type"] == "instagram"
    assert outcome.statuses == {"users": "COMPLETE"}


def test_an_extension_that_fails_fails_no_sync(box: Sandbox, connector: Connector) -> None:
    box.add_fault(path="access_token", kind="html")
    app = {"client_id": box.app_id, "client_secret": box.app_secret}
    old = box.tokens.mint(age=timedelta(days=45)).text
    outcome = connector.read("users", access_token=old, **app)
    assert (outcome.exit_code, controls(outcome)) == (0, [])
    young = box.tokens.mint(host="graph.instagram.com", age=timedelta(hours=2)).text
    outcome = connector.read("users", login_type="instagram", access_token=young)
    assert (outcome.exit_code, controls(outcome)) == (0, [])


def test_a_new_token_is_told_in_the_control_message_only(box: Sandbox, connector: Connector) -> None:
    old = box.tokens.mint(host="graph.instagram.com", age=timedelta(days=45)).text
    outcome = connector.read("users", login_type="instagram", access_token=old, debug=True)
    (config,) = controls(outcome)
    others = [message for message in outcome.messages if message["type"] != "CONTROL"]
    assert config["access_token"] not in json.dumps(others)
    assert old not in json.dumps(others)
    assert keyed("users", outcome.records["users"]) == keyed(
        "users", Oracle(box.world, instagram=True).records("users")
    )


# -- Catalogs ----------------------------------------------------------------------------------------------------------


def test_a_catalog_with_an_unknown_stream_is_one_sentence(connector: Connector) -> None:
    catalog = connector.catalog(["users"])
    catalog["streams"][0]["stream"]["name"] = "user_dreams"
    outcome = connector.read(catalog=catalog)
    told = [error["message"] for error in outcome.errors] + outcome.log("WARN", "ERROR")
    assert any("user_dreams" in message and is_readable(message) for message in told)
    assert outcome.exit_code != 0, "something is missing"


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"properties": {}}, {"properties": None}])
@pytest.mark.parametrize("stream", ["users", "media_insights", "comments", "user_insights"])
def test_a_catalog_without_fields_is_handled(connector: Connector, stream: str, schema: dict[str, Any]) -> None:
    catalog = connector.catalog([stream])
    catalog["streams"][0]["stream"]["json_schema"] = schema
    outcome = connector.read(catalog=catalog, start_date="2026-11-01T00:00:00Z")
    if outcome.exit_code:
        assert any(is_readable(error["message"]) and stream in error["message"] for error in outcome.errors)
    else:
        assert outcome.statuses == {stream: "COMPLETE"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"streams": 3}', '{"streams": [{}]}', "null"])
def test_a_catalog_file_without_sense_is_one_sentence(connector: Connector, text: str) -> None:
    outcome = command("read", connector.box.env, config=connector.config(), catalog=text)
    assert outcome.exit_code != 0
    assert is_readable(outcome.errors[0]["message"])
    assert "catalog" in outcome.errors[0]["message"]
