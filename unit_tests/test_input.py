"""Whatever configuration, state and catalog hold is handled, or refused in one clear sentence. No secret shows."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from harness import INCREMENTAL, ROOT, SCHEMAS, Connector, Outcome, _in_process, clean, command
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from sandbox import Sandbox
from source_instagram.components import AccountState
from source_instagram.configuration import problems

START = {"start_date": "2026-11-01T00:00:00Z"}
SECRET = "EAAMadeUpTokenThatNobodyMaySee0123456789"
KEYS = {
    "access_token",
    "login_type",
    "start_date",
    "client_id",
    "client_secret",
    "accounts",
    "insights_lookback_days",
    "media_lookback_days",
    "media_refresh_days",
    "num_workers",
}
OPTIONS: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
PURE = settings(max_examples=150, **OPTIONS)
# A whole command each: making an example smaller would take minutes.
COMMANDS = settings(max_examples=8, phases=[Phase.explicit, Phase.generate], **OPTIONS)
SPECIFICATION = yaml.safe_load((ROOT / "source_instagram" / "manifest.yaml").read_text(encoding="utf-8"))["spec"][
    "connection_specification"
]

awkward = some.sampled_from(
    [
        "",
        " ",
        "\x00",
        "a\nb",
        "a\r\nX-Evil: 1",
        "\x1b[31m",
        "../../etc/passwd",
        "..%2f..%2f",
        "//evil.example/",
        "@evil.example",
        "{{ config['access_token'] }}",
        "{% for x in range(9) %}x{% endfor %}",
        "${HOME}",
        "' OR 1=1 --",
        "ünïcödé",
        "夏",
        "👩‍👩‍👧",
        "\u202e",
        "x" * 5_000,
        "0",
        "-1",
        "true",
        "null",
        "NaN",
        "1e9",
        "2026-02-30T00:00:00Z",
        "2026-01-01",
        "9999-12-31T23:59:59Z",
        "0000-00-00T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-01-01T00:00:00+00:00",
        "facebook",
        "instagram",
        "FACEBOOK",
    ]
)
texts = awkward | some.text(max_size=40)
numbers = some.sampled_from([0, -1, 1, 30, 31, 50, 51, 730, 731, 10**20, -(10**20), 0.5, 1e308]) | some.integers()
junk = some.recursive(
    texts | numbers | some.booleans() | some.none(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def catalog(*streams: str, mode: str = "incremental") -> dict[str, Any]:
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": SCHEMAS[name],
                    "supported_sync_modes": ["full_refresh", "incremental"],
                },
                "sync_mode": mode if name in INCREMENTAL else "full_refresh",
                "destination_sync_mode": "append",
            }
            for name in streams
        ]
    }


def problem(outcome: Outcome, config: Mapping[str, Any]) -> str:
    """The first error's sentence, empty where there is none; whatever it is, it may not be a traceback or a secret."""
    secrets = [config.get(key) for key in ("access_token", "client_secret")]
    for secret in secrets:
        if isinstance(secret, str) and len(secret) >= 16:
            for form in (secret, quote(secret, safe="")):
                assert form not in outcome.stdout
                assert form not in outcome.stderr
    assert not outcome.stderr
    said = [error["message"] for error in outcome.errors]
    assert (outcome.exit_code == 0) == (not said), (outcome.exit_code, said)
    for message in said:
        # The CDK's summary of several streams has a line for each.
        assert message.startswith("During the sync") or is_sentence(message), message
    return said[0] if said else ""


def is_sentence(message: str) -> bool:
    signs = ("Traceback", "Error(", "Error:", "object has no", "NoneType", "<class", "unhashable", "not subscriptable")
    return (
        0 < len(message) <= 700
        and ("Meta says: " in message or message.endswith((".", ")", "'", '"', "…")))
        and "\n" not in message
        and not any(sign in message for sign in signs)
    )


# -- Configurations ----------------------------------------------------------------------------------------------------

odd_keys = some.tuples(some.sampled_from(sorted(KEYS)), junk)
odd_configs = some.dictionaries(some.sampled_from(sorted(KEYS)) | texts, junk, max_size=6)


@PURE
@given(odd=odd_keys)
def test_what_is_wrong_with_a_key_is_said_with_its_name(odd: tuple[str, Any]) -> None:
    key, value = odd
    for said in problems({"access_token": SECRET, **START, key: value}, SPECIFICATION):
        assert said.startswith(f"`{key}")
        assert is_sentence(said), said
        assert SECRET not in said


@PURE
@given(config=odd_configs)
def test_what_is_wrong_with_a_configuration_is_a_sentence(config: dict[str, Any]) -> None:
    for said in problems(config, SPECIFICATION):
        assert is_sentence(said), said


@COMMANDS
@given(odd=odd_keys)
def test_a_configuration_with_one_odd_key(server: Sandbox, odd: tuple[str, Any]) -> None:
    assert_handled(server, {"access_token": server.token, **START, odd[0]: odd[1]})


@COMMANDS
@given(config=odd_configs)
def test_a_configuration_of_odd_keys(server: Sandbox, config: dict[str, Any]) -> None:
    assert_handled(server, config)


@pytest.mark.parametrize("key", ["client_id", "client_secret"])
@pytest.mark.parametrize("value", ["1", "e", '"', "account"])
def test_a_secret_that_is_a_common_text_leaves_the_messages_whole(server: Sandbox, key: str, value: str) -> None:
    config = {"access_token": server.token, **START, key: value}
    problem(command("read", server.env, config=config, catalog=catalog("users"), flags=["--debug"]), config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("login_type", "twitter"),
        ("start_date", "2026-02-30T00:00:00Z"),
        ("start_date", "2026-01-01"),
        ("start_date", "2099-01-01T00:00:00Z"),
        ("start_date", 5),
        ("accounts", "../me"),
        ("accounts", ["../me"]),
        ("accounts", ["ünïcödé"]),
        ("accounts", ["a\n"]),
        ("accounts", ["x" * 31]),
        ("accounts", [178414]),
        ("insights_lookback_days", 31),
        ("insights_lookback_days", -1),
        ("insights_lookback_days", "3"),
        ("media_lookback_days", 731),
        ("media_lookback_days", 0.5),
        ("media_refresh_days", 366),
        ("num_workers", 0),
        ("num_workers", 51),
        ("num_workers", True),
        ("access_token", ""),
        ("access_token", "a b"),
        ("access_token", "x\n"),
        ("access_token", None),
        ("access_token", ["EAA"]),
        ("client_id", 12345),
        ("client_secret", {"a": 1}),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(key: str, value: Any) -> None:
    said = next(problems({"access_token": SECRET, key: value}, SPECIFICATION), "")
    assert said.startswith(f"`{key}")


def assert_handled(server: Sandbox, config: dict[str, Any]) -> None:
    """Whether `read` and `check` take a configuration or refuse it with a sentence, the same one."""
    read = problem(command("read", server.env, config=config, catalog=catalog("users")), config)
    outcome = command("check", server.env, config=config)
    status, checked = outcome.check
    assert outcome.exit_code == 0
    assert not outcome.stderr
    assert (status == "FAILED") == bool(checked)
    assert not checked or is_sentence(checked), checked
    assert not read.startswith("`") or read == checked


@COMMANDS
@given(content=junk.map(json.dumps) | texts)
def test_a_configuration_file_of_another_shape(server: Sandbox, content: str) -> None:
    outcome = command("read", server.env, config=content, catalog=catalog("users"))
    assert outcome.exit_code == 1
    assert problem(outcome, {})


@COMMANDS
@given(secret=some.text(some.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=60))
def test_a_token_never_shows_however_it_is_written(server: Sandbox, secret: str) -> None:
    config = {"access_token": secret, "client_id": "112233445566", "client_secret": secret[::-1], **START}
    outcome = command("read", server.env, config=config, catalog=catalog("users", "media"), flags=["--debug"])
    assert problem(outcome, config)


# -- States ------------------------------------------------------------------------------------------------------------

moments = some.sampled_from(
    [
        "2026-11-20T08:00:00+00:00",
        "2026-11-20T08:00:00Z",
        "2099-01-01T00:00:00+00:00",
        "2026-11-20",
        "1900-01-01T00:00:00Z",
        "yesterday",
        "",
        "🕛",
    ]
)
entries = some.fixed_dictionaries(
    {},
    optional={
        "partition": some.fixed_dictionaries({}, optional={"business_account_id": junk, "parent_slice": junk}) | junk,
        "cursor": some.fixed_dictionaries({}, optional={"date": moments | junk, "timestamp": moments | junk}) | junk,
    },
)
stream_states = (
    some.fixed_dictionaries(
        {},
        optional={
            "states": some.lists(entries | junk, max_size=3) | junk,
            "state": junk,
            "use_global_cursor": junk,
            "lookback_window": junk,
            "parent_state": junk,
        },
    )
    | some.dictionaries(
        some.sampled_from(["17841400000000001", "17841400000000002", "date"]), entries | junk, max_size=2
    )
    | some.dictionaries(texts, junk, max_size=3)
)


@PURE
@given(state=stream_states)
def test_any_state_becomes_one_cursor_for_each_account(state: dict[str, Any]) -> None:
    migrated = AccountState(config={}, parameters={}, cursor_field="date").migrate(state)
    now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S+00:00}"
    accounts = [entry["partition"]["business_account_id"] for entry in migrated["states"]]
    assert len(set(accounts)) == len(accounts)
    for entry in migrated["states"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", entry["cursor"]["date"])
        assert entry["cursor"]["date"] <= now
        assert isinstance(entry["partition"]["business_account_id"], str)
    json.dumps(migrated)


@COMMANDS
@given(stream=some.sampled_from(["media", "user_insights"]), state=stream_states)
def test_a_state_of_another_shape(server: Sandbox, stream: str, state: dict[str, Any]) -> None:
    message = {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": state}}
    config = {"access_token": server.token, **START}
    outcome = command("read", server.env, config=config, catalog=catalog(stream), state=[message])
    assert not problem(outcome, config)
    assert outcome.statuses == {stream: "COMPLETE"}


@COMMANDS
@given(content=junk.map(json.dumps) | texts | some.lists(some.dictionaries(texts, junk, max_size=2)).map(json.dumps))
def test_a_state_file_of_another_shape(server: Sandbox, content: str) -> None:
    config = {"access_token": server.token, **START}
    outcome = command("read", server.env, config=config, catalog=catalog("users"), state=content)
    problem(outcome, config)


def test_a_state_from_the_future_loses_no_later_day(connector: Connector, box: Sandbox) -> None:
    account = box.world.accounts[0].id
    state = [
        {
            "type": "STREAM",
            "stream": {
                "stream_descriptor": {"name": "user_insights"},
                "stream_state": {account: {"date": "2099-01-01T00:00:00+00:00"}},
            },
        }
    ]
    outcome = connector.read("user_insights", state=state, accounts=[account])
    assert outcome.statuses == {"user_insights": "COMPLETE"}
    (cursor,) = outcome.cursors("user_insights").values()
    assert cursor < f"{box.world.now().year + 1}"


@pytest.fixture(autouse=True)
def first_world(server: Sandbox) -> None:
    """Another test may have left one of its own."""
    clean(server)


# -- Catalogs ----------------------------------------------------------------------------------------------------------


@COMMANDS
@given(schema=junk | some.fixed_dictionaries({"properties": junk | some.dictionaries(texts, junk, max_size=3)}))
def test_a_catalog_with_an_odd_schema(server: Sandbox, schema: Any) -> None:
    chosen = catalog("users", "accounts")
    chosen["streams"][0]["stream"]["json_schema"] = schema
    config = {"access_token": server.token}
    outcome = command("read", server.env, config=config, catalog=chosen)
    said = problem(outcome, config)
    assert said or len(outcome.records["accounts"]) == len(server.world.accounts) - 1


@COMMANDS
@given(name=texts)
def test_a_catalog_with_an_unknown_stream(server: Sandbox, name: str) -> None:
    chosen = catalog("users")
    chosen["streams"].append({**chosen["streams"][0], "stream": {**chosen["streams"][0]["stream"], "name": name}})
    config = {"access_token": server.token}
    outcome = command("read", server.env, config=config, catalog=chosen)
    problem(outcome, config)
    assert len(outcome.records["users"]) == len(server.world.accounts) - 1


@COMMANDS
@given(content=junk.map(json.dumps) | some.dictionaries(some.just("streams"), junk).map(json.dumps) | texts)
def test_a_catalog_file_of_another_shape(server: Sandbox, content: str) -> None:
    config = {"access_token": server.token}
    outcome = command("read", server.env, config=config, catalog=content)
    problem(outcome, config)


@pytest.mark.parametrize(
    ("key", "meant"), [("acounts", "accounts"), ("startdate", "start_date"), ("acess_token", "access_token")]
)
def test_a_key_that_is_nearly_ours_is_not_left_aside(connector: Connector, key: str, meant: str) -> None:
    sentence = f"`{key}` is no key of the configuration. Do you mean `{meant}`?"
    assert connector.check(**{key: SECRET}) == ("FAILED", sentence)


@pytest.mark.parametrize("key", ["credentials", "__injected_declarative_manifest", "owner"])
def test_other_keys_may_belong_to_whoever_runs_the_sync(key: str) -> None:
    assert not list(problems({"access_token": SECRET, key: {}}, SPECIFICATION))


def test_help_tells_all_commands_and_without_one_so_does_an_error() -> None:
    asked, nothing = _in_process(["--help"], {}), _in_process([], {})
    assert asked.exit_code == 0
    assert all(name in asked.stdout for name in ("spec", "check", "discover", "read", "groups", "probe"))
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (2, "", asked.stdout)
