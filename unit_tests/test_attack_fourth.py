"""The fourth attack: where calls share a batch, and what was never attacked before (see `law.py`)."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from engine import Meta, data, session, window
from harness import ROOT, STREAMS, Connector
from law import Excuse, Spec, Trial
from test_attack import GONE, INVALID, NO_PERMISSION, error
from test_attack_second import edit, fresh

from sandbox import Sandbox
from sandbox.messages import Reply as Sent
from source_instagram import coalescing
from source_instagram.answers import Reply, batch_replies, response_of
from source_instagram.calls import GraphCall, Scope
from source_instagram.client import Client
from source_instagram.coalescing import ITEMS, Coalescer
from source_instagram.retrievers import Reading
from source_instagram.slots import Slots
from source_instagram.source import SourceInstagram

BATCH = r"\?batch$"
BY_FOLLOW_TYPE = ("user_total_insights", "user_insights_breakdowns")  # a call of a day serves both


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches wait for others as they do with people, whatever else is hurried."""
    monkeypatch.setattr(coalescing, "TEMPO", 1.0)


# -- Who shares a batch ------------------------------------------------------------------------------------------------


def test_a_bug_in_one_of_several_batches_keeps_nobody_waiting_for_the_others() -> None:
    sent = []

    def send(calls: list[GraphCall], _: Client) -> list[Reply | None]:
        sent.append([call.path for call in calls])
        if len(sent) == 1:
            raise KeyError("bug")
        return [None] * len(calls)

    coalescer = Coalescer(Slots(1), send)
    pages = [GraphCall(f"{at}/media", {"limit": str(ITEMS)}) for at in range(2)]
    (first, broken), (second, other) = coalescer.board(pages, Meta(lambda _: data()).client())
    with pytest.raises(KeyError, match="bug"):
        broken.replies_to(first)
    assert other.replies_to(second) == [None]
    assert coalescer._open == []


# -- What comes back for a batch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "shape", "body": {"data": []}},
        {"kind": "edit", "set": {"0.code": float("inf")}},
        {"kind": "edit", "set": {"*.body": "[" * 50_000}},
    ],
    ids=lambda spec: repr(spec)[:40],
)
def test_an_odd_answer_to_a_batch_answers_none_of_its_calls(box: Sandbox, spec: Spec) -> None:
    """An empty list would be an answer to each of them: nothing is there."""
    fresh(box, accounts=1)
    tried = Trial(box, ("media_insights",), most=20).run({"path": BATCH, "every": 2, **spec})
    assert tried.fired[0]
    assert tried.broken == []
    assert tried.outcome.statuses == {"media_insights": "COMPLETE"}


WHOLE: dict[str, Spec] = {
    "no permission": NO_PERMISSION,
    "invalid": INVALID,
    "gone": GONE,
    "new": {"code": 7777, "message": "Something new"},
    "no words": {"message": "Too many requests in batch message."},
    "no data": {"code": -1, "error_subcode": 2207086, "message": "Fatal"},
    "a field": {"code": 100, "message": "(#100) Tried accessing nonexisting field (like_count)"},
    "a metric": {
        "code": 100,
        "message": "The Media Insights API does not support the views metric for this media product type",
    },
}


@pytest.mark.parametrize(
    "words", [each if "permi" in each else pytest.param(each, marks=pytest.mark.slow) for each in WHOLE]
)
@pytest.mark.parametrize(("stream", "skip"), [("media_insights", 0), ("story_insights", 2), ("comments", 0)])
def test_a_refusal_of_a_whole_batch_is_about_none_of_its_calls(
    box: Sandbox, stream: str, skip: int, words: str
) -> None:
    """Also where they are all of one stream, of which it could be true."""
    fresh(box, accounts=1)
    tried = Trial(box, (stream,)).run(error(BATCH, WHOLE[words], skip=skip, times=1))
    assert tried.fired == [1]
    assert tried.broken == []
    assert tried.outcome.statuses == {stream: "COMPLETE"}


# -- Letters that are none ---------------------------------------------------------------------------------------------


def spoiled(self: Sent, real: Any = Sent.spoiled) -> tuple[int, bytes]:
    """An answer with the first half of a letter in each caption, as when something cuts texts by their bytes."""
    status, body = real(self)
    return status, body.replace(b'"caption":"', b'"caption":"\xf0\x9f')


@pytest.mark.parametrize("streams", [("media",), ("media", "tags", "stories")], ids=len)
def test_half_a_letter_costs_no_page(box: Sandbox, streams: tuple[str, ...]) -> None:
    fresh(box, accounts=1)
    trial = Trial(box, streams)
    with mock.patch.object(Sent, "spoiled", spoiled):
        outcome = trial.read()
    assert {name: len(outcome.records[name]) for name in streams} == {n: len(w) for n, w in trial.world().items()}
    assert any("\ufffd" in (record["caption"] or "") for record in outcome.records["media"])


@pytest.mark.parametrize("encoding", ["undefined", "utf-16", "iso-8859-1", "ascii"])
def test_json_is_read_as_it_is_written_whatever_encoding_its_headers_say(encoding: str) -> None:
    response = response_of('[{"code": 200, "headers": [], "body": "{\\"data\\": [\\"caf\u00e9\\"]}"}]'.encode())
    response.encoding = encoding
    (reply,) = batch_replies(response, 1)
    assert reply
    assert reply.body == {"data": ["caf\u00e9"]}


@pytest.mark.parametrize("path", [r"/media\?", pytest.param("/insights", marks=pytest.mark.slow)])
def test_half_a_pair_of_surrogates_in_metas_words_breaks_no_line(box: Sandbox, path: str) -> None:
    fresh(box, accounts=2)
    fault = error(path, {**NO_PERMISSION, "message": "\ud83d broken"}, account=box.world.accounts[1].id)
    tried = Trial(box, ("media", "user_insights")).run(fault)
    assert tried.fired[0]
    assert tried.broken == []
    assert any("? broken" in line["message"] for line in tried.outcome.errors)


def test_half_a_pair_of_surrogates_in_what_streams_share_breaks_none_of_them(box: Sandbox) -> None:
    fresh(box, accounts=1)
    odd = {"data.*.total_value.breakdowns.0.results.0.dimension_values.0": "\ud83d"}
    own = Excuse(streams={"user_insights_breakdowns"}, silent=True)
    moves = Excuse(streams={"user_total_insights"}, columns={"follows", "unfollows"})
    tried = Trial(box, BY_FOLLOW_TYPE).run(edit("breakdown=follow_type", set=odd), excuses=[own, moves])
    assert tried.fired[0]
    assert tried.outcome.statuses == dict.fromkeys(BY_FOLLOW_TYPE, "COMPLETE")


# -- Nobody reads any more ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("how", ["its reader has gone", "it is interrupted"])
def test_a_sync_that_nobody_reads_any_more_ends(box: Sandbox, tmp_path: Path, how: str) -> None:
    """Its threads wait for records to be written, and for each other's answers."""
    fresh(box, accounts=4)
    box.latency = 0.05
    connector = Connector(box)
    files = {"config": connector.config(), "catalog": connector.catalog(STREAMS, incremental=True)}
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    options = [part for name in files for part in (f"--{name}", str(tmp_path / f"{name}.json"))]
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore interrupts
    sync = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, str(ROOT / "main.py"), "read", *options],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path, env={**os.environ, **box.env},
    )  # fmt: skip
    signal.signal(signal.SIGINT, heard)
    try:
        assert sync.stdout
        for _ in range(250):
            assert sync.stdout.readline()
        if how == "it is interrupted":
            sync.send_signal(signal.SIGINT)
            sync.communicate(timeout=50)
        else:
            sync.stdout.close()
            sync.wait(timeout=50)
    finally:
        sync.kill()
    assert sync.returncode not in (0, -signal.SIGKILL)


def test_records_that_nobody_takes_hold_no_thread(box: Sandbox) -> None:
    fresh(box, accounts=1)
    connector = Connector(box)
    catalog = ConfiguredAirbyteCatalogSerializer.load(connector.catalog(["audience_demographics"]))
    with mock.patch.dict(os.environ, box.env):
        source = SourceInstagram(catalog, connector.config(), [])
        source._concurrent_source._queue.maxsize = 5
        messages = source.read(logging.getLogger("airbyte"), source._config or {}, catalog, [])
        while next(messages).type.value != "RECORD":
            pass
        messages.close()
        ending = threading.Thread(target=source._concurrent_source._threadpool._threadpool.shutdown, daemon=True)
        ending.start()
        ending.join(timeout=20)
    assert not ending.is_alive()


def test_calls_that_cannot_even_be_sent_keep_no_other_stream_waiting() -> None:
    shared, row, meta = session(), {"days": 1}, Meta(lambda _: data("views"))
    for stream in ("one", "two"):
        shared.answers.need(stream, [(0, row, ["views"], {})])
    first, second = (window(1, "views", scope=Scope(stream, "a"), about=row) for stream in ("one", "two"))
    reading = Reading.__new__(Reading)
    reading._session, reading._client, reading._pool = shared, meta.client(), ThreadPoolExecutor(1)
    reading._pool.shutdown()
    with pytest.raises(RuntimeError):
        reading._start([first])
    assert shared.answers.divide([second]) == ([second], [])
