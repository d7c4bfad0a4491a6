"""The package, the manifest-only image's runner and the Builder refuse the same, and keep tokens alive.

All three run the same manifest with the same components; only the entry point is another.
"""

import json
import runpy
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
import yaml
from airbyte_cdk.cli.source_declarative_manifest._run import run as run_manifest
from harness import ROOT, STREAMS, Connector, Outcome, command
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram import components

MANIFEST = ROOT / "source_instagram" / "manifest.yaml"
SECRET = "EAAMadeUpTokenThatNobodyMaySee0123456789"
BAD: list[tuple[str, Any]] = [
    ("start_date", "2099-01-01T00:00:00Z"),
    ("start_date", "2026-02-30T00:00:00Z"),
    ("access_token", f"{SECRET}\n{SECRET}"),
    ("access_token", ""),
    ("access_token", [SECRET]),
    ("client_secret", f"{SECRET}\ud800"),
    ("num_workers", 0),
    ("num_workers", "many"),
    ("accounts", ["../me"]),
    ("insights_lookback_days", "3D"),
]
bad = pytest.mark.parametrize(("key", "value"), BAD, ids=[f"{key}={value!a:.20}" for key, value in BAD])

Run = Callable[..., Outcome]


@pytest.fixture
def by_manifest(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of the runner that is the manifest-only image's entry point."""
    monkeypatch.setenv("AIRBYTE_ENABLE_UNSAFE_CODE", "true")
    monkeypatch.setitem(sys.modules, "source_declarative_manifest.components", components)

    def run(name: str, **files: Any) -> Outcome:
        with mock.patch("harness.run", run_manifest):
            return command(name, box.env, flags=["--manifest-path", str(MANIFEST)], **files)

    return run


@pytest.fixture
def by_builder(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A test read of the Builder."""
    monkeypatch.setenv("AIRBYTE_ENABLE_UNSAFE_CODE", "true")
    monkeypatch.setitem(sys.modules, "source_declarative_manifest.components", components)
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    module = "airbyte_cdk.connector_builder.main"

    def read(config: dict[str, Any], catalog: dict[str, Any]) -> Outcome:
        config = {**config, "__command": "test_read", "__injected_declarative_manifest": manifest}
        with mock.patch("harness.run", partial(runpy.run_module, module, run_name="__main__")):
            return command("read", box.env, config=config, catalog=catalog, state="[]")

    return read


def told(outcome: Outcome) -> set[str]:
    """The sentences of a sync's errors, without the CDK's summary of them."""
    return {each["message"] for each in outcome.errors if not each["message"].startswith("During the sync")}


def assert_nothing_shown(outcome: Outcome) -> None:
    assert SECRET not in outcome.stdout
    assert SECRET not in outcome.stderr


def controls(outcome: Outcome) -> list[dict[str, Any]]:
    return [m["control"]["connectorConfig"]["config"] for m in outcome.messages if m["type"] == "CONTROL"]


# -- What cannot work --------------------------------------------------------------------------------------------------


@bad
def test_the_image_refuses_what_the_package_refuses(
    connector: Connector, by_manifest: Run, key: str, value: Any
) -> None:
    config, catalog = connector.config(**{key: value}), connector.catalog(["user_insights"])
    checked = by_manifest("check", config=config)
    read = by_manifest("read", config=config, catalog=catalog)
    _, sentence = connector.check(**{key: value})
    assert sentence.startswith(f"`{key}")
    status, words = checked.check
    assert (status, sentence in words) == ("FAILED", True)
    assert told(read) == {sentence}
    assert {each["failure_type"] for each in read.errors} == {"config_error"}
    assert (read.exit_code, read.records) == (1, {})
    own = command("read", connector.box.env, config=config, catalog=catalog)
    assert ([each["message"] for each in own.errors], own.exit_code) == ([sentence], 1)
    assert "Traceback" not in "".join(own.log())
    assert connector.box.requests == []
    for outcome in (checked, read, own):
        assert_nothing_shown(outcome)


@bad
def test_the_builder_refuses_it_too(connector: Connector, by_builder: Run, key: str, value: Any) -> None:
    outcome = by_builder(connector.config(**{key: value}), connector.catalog(["user_insights"]))
    (answer,) = [message["record"]["data"] for message in outcome.messages if message["type"] == "RECORD"]
    (said,) = {log["message"] for log in answer["logs"] if log["level"] == "ERROR"}
    # What breaks the spec's own rules the CDK sees first here, in its words.
    assert said.startswith((f"`{key}", "Config validation error: "))
    assert not [page for each in answer["slices"] for page in each["pages"] if page["records"]]
    assert connector.box.requests == []
    if isinstance(value, str):  # else it is shown by the CDK's own look at the spec, which no component can change
        assert_nothing_shown(outcome)


@bad
def test_streams_are_discovered_without_a_configuration_that_works(
    connector: Connector, by_manifest: Run, key: str, value: Any
) -> None:
    outcome = by_manifest("discover", config=connector.config(**{key: value}))
    assert [stream["name"] for stream in outcome.catalog] == STREAMS
    assert connector.box.requests == []


# -- Tokens ------------------------------------------------------------------------------------------------------------


def aged(box: Sandbox, login: str) -> dict[str, Any]:
    """A configuration whose token must be extended."""
    token = box.tokens.mint(host=f"graph.{login}.com", age=timedelta(days=45)).text
    app = {"client_id": box.app_id, "client_secret": box.app_secret} if login == "facebook" else {}
    return {"access_token": token, "login_type": login, **app}


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_the_image_extends_a_token(box: Sandbox, connector: Connector, by_manifest: Run, login: str) -> None:
    old = aged(box, login)
    catalog = connector.catalog(["users", "media"], login_type=login)
    box.tokens.require_proof = login == "facebook"  # of the new token too
    try:
        outcome = by_manifest("read", config=old, catalog=catalog)
    finally:
        box.tokens.require_proof = False
    (new,) = controls(outcome)
    assert new == {**old, "access_token": new["access_token"]}
    assert box.tokens.known[new["access_token"]].long_lived
    kinds = [message["type"] for message in outcome.messages if message["type"] in ("CONTROL", "RECORD")]
    assert kinds[0] == "CONTROL"
    assert keyed("users", outcome.records["users"]) == keyed(
        "users", Oracle(box.world, instagram=login == "instagram").records("users")
    )
    others = json.dumps([message for message in outcome.messages if message["type"] != "CONTROL"])
    assert new["access_token"] not in others
    assert old["access_token"] not in others


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_from_then_on_the_new_token_is_sent(
    box: Sandbox, connector: Connector, by_manifest: Run, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    old = aged(box, login)
    catalog = connector.catalog(["users", "media", "user_lifetime_insights"], login_type=login)
    sent, record = [], box.service._record

    def recorded(request: Any, *more: Any) -> None:
        sent.append(request.token)
        record(request, *more)

    monkeypatch.setattr(box.service, "_record", recorded)
    (new,) = controls(by_manifest("read", config=old, catalog=catalog))
    changed = sent.index(new["access_token"])
    assert len(sent) - changed > 5
    assert set(sent[changed:]) == {new["access_token"]}
    assert new["access_token"] != old["access_token"]


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_a_check_of_the_image_extends_a_token(box: Sandbox, by_manifest: Run, login: str) -> None:
    outcome = by_manifest("check", config=aged(box, login))
    kinds = [message["type"] for message in outcome.messages if message["type"] != "LOG"]
    assert kinds == ["CONTROL", "CONNECTION_STATUS"]
    assert outcome.check[0] == "SUCCEEDED"


def test_a_check_of_the_image_warns_of_a_token_that_ends_soon(box: Sandbox, by_manifest: Run) -> None:
    token = box.tokens.mint(age=timedelta(days=50)).text
    outcome = by_manifest("check", config={"access_token": token})
    assert [line for line in outcome.log("WARN") if "ends on" in line]


def test_an_expired_token_is_said_by_the_image(box: Sandbox, connector: Connector, by_manifest: Run) -> None:
    config = {"access_token": box.tokens.mint(age=timedelta(days=61)).text}
    assert "The access token has expired." in by_manifest("check", config=config).check[1]
    read = by_manifest("read", config=config, catalog=connector.catalog(["users"]))
    (sentence,) = told(read)
    assert sentence.startswith("The access token has expired.")
    assert read.exit_code == 1


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_a_test_read_leaves_the_token_alone(box: Sandbox, connector: Connector, by_builder: Run, login: str) -> None:
    """It belongs to no connection that could store another one; the old one lasts until a check or sync extends it."""
    outcome = by_builder(aged(box, login), connector.catalog(["users"], login_type=login))
    (answer,) = [message["record"]["data"] for message in outcome.messages if message["type"] == "RECORD"]
    found = [record for each in answer["slices"] for page in each["pages"] for record in page["records"]]
    assert keyed("users", found) == keyed("users", Oracle(box.world, instagram=login == "instagram").records("users"))
    assert controls(outcome) == []
    assert not answer.get("latest_config_update")
    assert not [request for request in box.requests if "access_token" in request["path"]]


def test_an_expired_token_is_said_by_a_test_read(box: Sandbox, connector: Connector, by_builder: Run) -> None:
    config = {"access_token": box.tokens.mint(age=timedelta(days=61)).text}
    outcome = by_builder(config, connector.catalog(["users"]))
    (answer,) = [message["record"]["data"] for message in outcome.messages if message["type"] == "RECORD"]
    assert any("The access token has expired." in log["message"] for log in answer["logs"])


# -- Catalogs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"properties": {}}, {"properties": None}])
def test_a_catalog_without_fields_selects_all(
    box: Sandbox, connector: Connector, by_manifest: Run, schema: dict[str, Any]
) -> None:
    catalog = connector.catalog(["users"])
    catalog["streams"][0]["stream"]["json_schema"] = schema
    outcome = by_manifest("read", config=connector.config(), catalog=catalog)
    assert outcome.statuses == {"users": "COMPLETE"}
    assert keyed("users", outcome.records["users"]) == keyed("users", Oracle(box.world).records("users"))
