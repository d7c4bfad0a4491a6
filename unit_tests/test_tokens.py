"""A token is extended by `check` and `read` alike, is tried before it is handed over, and what fails is said."""

import json
from datetime import timedelta
from typing import Any

import pytest
from harness import Connector, Outcome, command

from sandbox import Sandbox
from source_instagram.tokens import can_travel


def controls(outcome: Outcome) -> list[dict[str, Any]]:
    """The configurations that were handed back to the platform."""
    return [m["control"]["connectorConfig"]["config"] for m in outcome.messages if m["type"] == "CONTROL"]


def run(connector: Connector, name: str, **config: Any) -> Outcome:
    """A check, or a sync of one small stream."""
    if name == "check":
        return command("check", connector.box.env, config=connector.config(**config))
    return connector.read("users", debug=True, **config)


def app(box: Sandbox) -> dict[str, str]:
    return {"client_id": box.app_id, "client_secret": box.app_secret}


def error(code: int, message: str, path: str) -> dict[str, Any]:
    return {"path": path, "kind": "error", "error": {"code": code, "message": message, "type": "OAuthException"}}


both = pytest.mark.parametrize("name", ["check", "read"])


@both
@pytest.mark.parametrize("require_proof", [True, False])
def test_the_token_of_the_button_is_extended_with_facebook_login(
    box: Sandbox, connector: Connector, name: str, *, require_proof: bool
) -> None:
    box.tokens.require_proof = require_proof
    try:
        old = box.tokens.mint(age=timedelta(0), lifetime=timedelta(hours=1), long_lived=False).text
        outcome = run(connector, name, access_token=old, **app(box))
    finally:
        box.tokens.require_proof = False
    (config,) = controls(outcome)
    assert config == {**app(box), "access_token": config["access_token"]}
    assert box.tokens.known[config["access_token"]].long_lived
    assert outcome.exit_code == 0
    assert [line for line in outcome.log("WARN") if "token" in line] == []


@both
def test_the_token_of_the_button_is_extended_with_instagram_login(
    box: Sandbox, connector: Connector, name: str
) -> None:
    short = {"age": timedelta(0), "lifetime": timedelta(hours=1), "long_lived": False}
    old = box.tokens.mint(host="graph.instagram.com", **short).text
    keys = {"login_type": "instagram", "client_secret": box.app_secret}
    (config,) = controls(run(connector, name, access_token=old, **keys))
    assert config == {**keys, "access_token": config["access_token"]}
    assert box.tokens.known[config["access_token"]].long_lived


def test_the_control_message_of_a_check_comes_before_its_status(box: Sandbox, connector: Connector) -> None:
    old = box.tokens.mint(host="graph.instagram.com", age=timedelta(days=45)).text
    outcome = run(connector, "check", access_token=old, login_type="instagram")
    kinds = [message["type"] for message in outcome.messages if message["type"] != "LOG"]
    assert kinds == ["CONTROL", "CONNECTION_STATUS"]
    assert outcome.check == ("SUCCEEDED", "")


@both
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (1, "Error validating client secret."),
        (4, "(#4) Application request limit reached"),
        (101, "Error validating application. Cannot get application info due to a system error"),
        (190, "Error validating access token: Session has expired"),
    ],
)
def test_a_refused_exchange_is_said_in_metas_words(
    box: Sandbox, connector: Connector, name: str, code: int, message: str
) -> None:
    old = box.tokens.mint(age=timedelta(days=59)).text
    box.add_fault(**error(code, f"{message} {old} {box.app_secret}", "oauth/access_token"))
    outcome = run(connector, name, access_token=old, **app(box))
    (line,) = [line for line in outcome.log("WARN") if "was not extended" in line]
    ends = box.tokens.known[old].expires
    assert ends
    assert f"The access token ends on {ends:%Y-%m-%d}" in line
    assert message in line
    assert "client_secret" in line
    assert old not in outcome.stdout
    assert box.app_secret not in outcome.stdout
    assert (outcome.exit_code, controls(outcome)) == (0, [])


@both
@pytest.mark.parametrize("login", ["facebook", "instagram"])
@pytest.mark.parametrize(
    "given", ["not a token", "EAA\r\nHost: evil.example", "EAAneverIssuedByAnybody", 5, None, {"a": 1}, ""], ids=repr
)
def test_what_is_no_token_is_not_handed_over(
    box: Sandbox, connector: Connector, name: str, login: str, given: Any
) -> None:
    old = box.tokens.mint(host=f"graph.{login}.com", age=timedelta(days=45)).text
    box.add_fault(path="access_token", kind="shape", body={"access_token": given, "expires_in": 5183944})
    outcome = run(connector, name, access_token=old, login_type=login, **app(box))
    assert (outcome.exit_code, controls(outcome)) == (0, [])
    assert [line for line in outcome.log("WARN") if "was not extended" in line]
    assert name == "check" or outcome.statuses == {"users": "COMPLETE"}


def test_a_new_token_that_cannot_be_tried_is_not_handed_over(box: Sandbox, connector: Connector) -> None:
    old = box.tokens.mint(age=timedelta(days=45)).text
    box.add_fault(path=r"^/?(v\d+\.\d+/)?me\?fields=id", kind="html")
    outcome = run(connector, "read", access_token=old, **app(box))
    assert controls(outcome) == []
    assert [line for line in outcome.log("WARN") if "was not extended" in line]


def test_the_inspection_of_a_token_that_is_refused_is_said(box: Sandbox, connector: Connector) -> None:
    old = box.tokens.mint(age=timedelta(days=45)).text
    outcome = run(connector, "read", access_token=old, client_id=box.app_id, client_secret="0" * 32)
    assert controls(outcome) == []
    (line,) = [line for line in outcome.log("WARN") if "ends is not known" in line]
    assert "appsecret_proof" in line


@pytest.mark.parametrize("body", ["html", "empty", "not_json", "drop", "truncate"])
@pytest.mark.parametrize("path", ["debug_token", "access_token", r"^/?\?batch$"])
def test_whatever_breaks_is_a_warning_only(box: Sandbox, connector: Connector, path: str, body: str) -> None:
    box.add_fault(path=path, kind=body, times=1)
    old = box.tokens.mint(age=timedelta(days=45)).text
    outcome = run(connector, "read", access_token=old, **app(box))
    assert outcome.statuses == {"users": "COMPLETE"}
    assert [line for line in outcome.log("WARN") if "not known" in line or "not extended" in line]


@both
def test_a_token_that_lasts_costs_one_call(box: Sandbox, connector: Connector, name: str) -> None:
    run(connector, name, **app(box))
    asked = [request["path"] for request in box.requests if "oauth" in request["path"] or request["path"] == "/"]
    assert asked == ["/"]


def test_a_token_without_an_app_is_not_inspected_by_a_sync(box: Sandbox, connector: Connector) -> None:
    run(connector, "read")
    assert "/" not in [request["path"] for request in box.requests]


# -- What cannot be a token --------------------------------------------------------------------------------------------

CANNOT_TRAVEL = [
    "",
    " ",
    "a b",
    "a\tb",
    "a\nb",
    "a\r\nX: 1",
    "a\x00",
    "\x7f",
    "EAA—ü",
    "ü",
    "夏",
    "\u202e",
    " EAA",
    "EAA ",
    'EAA"',
    "EAA\\",
]


@pytest.mark.parametrize("secret", CANNOT_TRAVEL, ids=ascii)
@pytest.mark.parametrize("key", ["access_token", "client_id", "client_secret"])
def test_what_cannot_travel_is_refused_and_not_printed(connector: Connector, key: str, secret: str) -> None:
    if key != "access_token" and not secret:
        return  # means that there is none
    marked = f"{secret}{'Q' * 20}" if secret.strip() else secret
    status, message = connector.check(**{key: marked})
    assert status == "FAILED"
    assert message.startswith(f"`{key}` ")
    assert "Q" * 5 not in message
    assert connector.box.requests == []


@pytest.mark.parametrize("secret", ["x", "1", "EAA+/=~%&?#", "a" * 5000, "123|abc", "'", "{{1}}", "0x1F", "1_000"])
def test_what_a_token_looks_like_is_metas_to_say(connector: Connector, secret: str) -> None:
    assert can_travel(secret)
    status, message = connector.check(access_token=secret)
    assert (status, "Meta says" in message) == ("FAILED", True)


@pytest.mark.parametrize(
    "config", [{}, {"access_token": ""}, {"access_token": "a b", "num_workers": "many"}, {"client_id": "e"}]
)
def test_discover_needs_no_configuration(connector: Connector, config: dict[str, Any]) -> None:
    outcome = command("discover", connector.box.env, config=config)
    assert json.dumps(outcome.catalog) == json.dumps(connector.discover())
    assert connector.box.requests == []
