"""Syncs side by side in one process, each with what is its own, and whatever else is in that process."""

import gc
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import yaml
from airbyte_cdk.connector_builder import connector_builder_handler as builder
from airbyte_cdk.models import (
    AirbyteMessage,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
    Status,
    Type,
)
from harness import ROOT, STREAMS, TEMPO, Connector, asked
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram import components
from source_instagram.rate_limiter import RateLimiter
from source_instagram.session import SyncSession
from source_instagram.source import SourceInstagram

LOG = logging.getLogger("airbyte.test")
ALIAS = "source_declarative_manifest.components"


@pytest.fixture
def connected(box: Sandbox) -> Iterator[None]:
    with mock.patch.dict(os.environ, box.env):
        yield


def configured(connector: Connector, *streams: str) -> ConfiguredAirbyteCatalog:
    return ConfiguredAirbyteCatalogSerializer.load(connector.catalog(streams))


def records(messages: Iterator[AirbyteMessage], stream: str) -> list[dict[str, Any]]:
    return [m.record.data for m in messages if m.record and m.record.stream == stream]


# -- Side by side ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("connected")
def test_twenty_syncs_at_once_bring_all_records(box: Sandbox, connector: Connector) -> None:
    """Each has a configuration of its own, in turn one of all accounts and one of a single one."""
    ready = threading.Barrier(20)
    catalog = connector.catalog(["users", "stories"])
    chosen = [[], *([account.id] for account in box.world.accounts[:3])]

    def sync(number: int) -> list[AirbyteMessage]:
        config = connector.config(accounts=chosen[number % 4])
        mine = ConfiguredAirbyteCatalogSerializer.load(catalog)
        source = SourceInstagram(mine, config, [])
        streams = source.streams(config)  # as a Builder's server has them ready, while others come
        ready.wait(60)
        del streams
        return list(source.read(LOG, config, mine, []))

    with ThreadPoolExecutor(20) as pool:
        for number, messages in enumerate(pool.map(sync, range(20))):
            for stream in ("users", "stories"):
                wanted = [
                    record
                    for record in Oracle(box.world).records(stream)
                    if not chosen[number % 4] or record["business_account_id"] in chosen[number % 4]
                ]
                assert keyed(stream, records(iter(messages), stream)) == keyed(stream, wanted), (number, stream)


@pytest.mark.usefixtures("connected")
def test_ten_reads_of_the_builder_at_once_bring_all_records(
    box: Sandbox, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ten sources stand before the first one reads."""
    monkeypatch.setenv("AIRBYTE_ENABLE_UNSAFE_CODE", "true")
    monkeypatch.setitem(sys.modules, ALIAS, components)
    manifest = yaml.safe_load((ROOT / "source_instagram" / "manifest.yaml").read_text(encoding="utf-8"))
    text, ready = json.dumps(manifest), threading.Barrier(10)

    def read(_number: int) -> dict[str, Any]:
        config = connector.config() | {"__injected_declarative_manifest": json.loads(text)}
        catalog, limits = configured(connector, "users"), builder.get_limits(config)
        source = builder.create_source(config, limits, catalog, [])
        streams = source.streams(config)
        ready.wait(60)
        del streams
        message = builder.read_stream(source, config, catalog, [], limits)
        assert message.record, message
        return message.record.data

    connector.catalog(["users"])
    with ThreadPoolExecutor(10) as pool:
        for answer in pool.map(read, range(10)):
            found = [record for slice_ in answer["slices"] for page in slice_["pages"] for record in page["records"]]
            assert keyed("users", found) == keyed("users", Oracle(box.world).records("users"))


@pytest.mark.usefixtures("connected")
def test_streams_find_the_accounts_once(box: Sandbox, connector: Connector) -> None:
    config, catalog = connector.config(), configured(connector, "accounts", "users", "stories", "tags")
    list(SourceInstagram().read(LOG, config, catalog, []))
    assert [path for path, _ in asked(box.requests)].count("me/accounts") == 1


@pytest.mark.usefixtures("connected")
def test_a_second_sync_of_a_source_starts_anew(box: Sandbox, connector: Connector) -> None:
    """What the first one learnt, that its token is dead, holds for that sync only."""
    source, config, catalog = SourceInstagram(), connector.config(), configured(connector, "users")
    box.add_fault(path="/me/accounts", kind="error", times=1, error={"code": 190, "error_subcode": 463, "message": "-"})
    with pytest.raises(Exception, match="expired"):
        list(source.read(LOG, config, catalog, []))
    assert keyed("users", records(source.read(LOG, config, catalog, []), "users")) == keyed(
        "users", Oracle(box.world).records("users")
    )


def test_what_is_shared_lives_as_long_as_who_shares_it() -> None:
    config = {"access_token": "EAAx"}
    gc.collect()
    before = len(SyncSession._sessions)
    source = SourceInstagram(config=config)
    streams = source.streams(config)
    graph = SyncSession.of(source._config)
    for number in range(100):  # others do not push it out
        SyncSession.of({"access_token": str(number)})
    assert SyncSession.of(source._config) is graph
    SourceInstagram().discover(LOG, {})
    SourceInstagram().spec(LOG)
    del source, streams, graph
    gc.collect()
    assert len(SyncSession._sessions) <= before


# -- The current directory, and other connectors -----------------------------------------------------------------------


def test_a_manifest_in_the_current_directory_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.yaml").write_text("version: 1.0.0\ntype: DeclarativeSource\nstreams: []\n", encoding="utf-8")
    (tmp_path / "spec.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert [stream.name for stream in SourceInstagram().discover(LOG, {}).streams] == STREAMS


@pytest.mark.usefixtures("connected")
def test_another_connector_in_the_same_process_is_in_nobodys_way(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ModuleType("components")
    for name in (ALIAS, "components"):
        monkeypatch.setitem(sys.modules, name, other)
    assert SourceInstagram().check(LOG, connector.config()).status == Status.SUCCEEDED
    assert sys.modules[ALIAS] is other
    for name in (ALIAS, "components"):
        monkeypatch.delitem(sys.modules, name)
    assert SourceInstagram().check(LOG, connector.config()).status == Status.SUCCEEDED
    assert ALIAS not in sys.modules, "the other one may come later"


# -- As the CDK's API has it -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("of_constructor", [None, {"access_token": "EAAofSomebodyElse", "accounts": ["nobody"]}])
def test_what_is_handed_to_a_command_counts(
    box: Sandbox, connector: Connector, of_constructor: Mapping[str, Any] | None
) -> None:
    source, config = SourceInstagram(config=of_constructor), connector.config(accounts=[box.world.accounts[1].id])
    assert source.check(LOG, config).status == Status.SUCCEEDED
    assert {stream.name for stream in source.discover(LOG, config).streams} == set(STREAMS)
    found = records(source.read(LOG, config, configured(connector, "users"), []), "users")
    assert [record["business_account_id"] for record in found] == [box.world.accounts[1].id]
    broken = source.check(LOG, {"access_token": "EAAofSomebodyElse"})
    assert (broken.status, source.check(LOG, {}).status) == (Status.FAILED, Status.FAILED)
    assert box.http_requests > 0


@pytest.mark.usefixtures("connected")
def test_the_state_handed_to_a_read_counts(connector: Connector) -> None:
    config, stream = connector.config(), "media"
    catalog = ConfiguredAirbyteCatalogSerializer.load(connector.catalog([stream], incremental=True))
    config["media_lookback_days"] = 0
    first = list(SourceInstagram().read(LOG, config, catalog, []))
    state = [m.state for m in first if m.type == Type.STATE and m.state]
    second = records(SourceInstagram().read(LOG, config, catalog, state[-1:]), stream)
    assert 0 < len(second) < len(records(iter(first), stream))


# -- The end of a sync -------------------------------------------------------------------------------------------------


def test_a_dead_token_is_told_once_for_each_stream(box: Sandbox, connector: Connector) -> None:
    error = {"code": 190, "error_subcode": 463, "message": "Error validating access token: Session has expired"}
    box.add_fault(path=".*", skip=4, kind="error", error=error)
    outcome = connector.read(start_date="2026-01-01T00:00:00Z")
    told = [each["stream_descriptor"]["name"] for each in outcome.errors if each.get("stream_descriptor")]
    assert len(told) == len(set(told))
    incomplete = {stream for stream, status in outcome.statuses.items() if status == "INCOMPLETE"}
    assert set(told) == incomplete
    assert len(incomplete) > 8
    assert outcome.exit_code == 1
    (message,) = {each["message"] for each in outcome.errors if each.get("stream_descriptor")}
    assert message.startswith("The access token has expired. Authorize the connection again or enter a new token. ")
    assert "Traceback" not in "".join(outcome.log("ERROR"))
    assert len(outcome.stdout) < 1_000_000


def test_who_waits_is_woken_when_all_is_stopped() -> None:
    class StoppedError(Exception):
        pass

    gate, waiting, seen = RateLimiter(), threading.Event(), list[BaseException]()
    usage = json.dumps({"b": [{"type": "instagram", "estimated_time_to_regain_access": 1_000}]})
    gate.refuse("a", 80002, {"X-Business-Use-Case-Usage": usage}, StoppedError(), (0, 0))

    def enter() -> None:
        try:
            gate.enter("a", 1, lambda *_: waiting.set())
        except StoppedError as error:
            seen.append(error)

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    assert waiting.wait(60)
    gate.stop(StoppedError())
    thread.join(60)
    assert len(seen) == 1


ABANDONED = """
import json, logging, sys
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from source_instagram.source import SourceInstagram

config, catalog = json.loads(sys.argv[1])
for message in SourceInstagram().read(
    logging.getLogger("airbyte.test"), config, ConfiguredAirbyteCatalogSerializer.load(catalog), []
):
    if message.record:
        sys.exit(3)
"""


def test_a_process_that_ends_waits_for_no_throttle(box: Sandbox, connector: Connector) -> None:
    """Its reader goes away after the first record, while other accounts are to wait for an hour."""
    usage = json.dumps({box.world.accounts[2].id: [{"type": "instagram", "estimated_time_to_regain_access": 60}]})
    box.add_fault(
        account=box.world.accounts[2].id, path="insights", kind="error", error={"code": 80002, "message": "limit"},
        headers={"X-Business-Use-Case-Usage": usage},
    )  # fmt: skip
    catalog = connector.catalog(["user_lifetime_insights", "user_insights"])
    env = {**os.environ, **box.env, "SOURCE_INSTAGRAM_TEMPO": TEMPO, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", ABANDONED, json.dumps([connector.config(), catalog])],
        env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert process.returncode == 3, process.stderr
