"""What is sent, by whom, and what each answer leads to: the parts of the engine beside each other, without a server."""

import itertools
import json
import logging
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from engine import (
    DAYS,
    FEED,
    NO_FIELD,
    NOT_LISTED,
    NOT_THE_PRODUCT,
    REDUCE,
    REELS,
    UNKNOWN,
    Meta,
    data,
    error,
    insights,
    session,
    verdict,
    window,
)

from source_instagram import circuit_breaker
from source_instagram import scout as scout_module
from source_instagram.answers import Reply, Verdict
from source_instagram.calls import GraphCall, Scope
from source_instagram.evidence import REFUSALS, Evidence
from source_instagram.rate_limiter import ENOUGH, Lane
from source_instagram.sampling import sample
from source_instagram.scout import announce
from source_instagram.session import SyncSession
from source_instagram.verdicts import DAY, Verdicts

MEDIA = Scope("media", "a", "media")  # the edge of a list
REFUSED = verdict("refused_metric", "(#100) The saved metric is not there")
DEAD, ALIVE = error(190, "Session has expired", error_subcode=463), {"id": "1"}


@pytest.fixture
def shared() -> SyncSession:
    return session()


def nothing(_: GraphCall) -> Any:
    pytest.fail("nobody is asked")


def listed(**params: str) -> GraphCall:
    return GraphCall("a/media", {"limit": "100", "fields": "id,caption,children{id,alt_text}", **params}, [], MEDIA)


def is_open(shared: SyncSession, *calls: GraphCall) -> bool:
    """Whether two refusals more would open the circuit of the calls, because it counts them."""
    for number in range(2):
        shared.breaker.refused(insights(f"other {number}"), REFUSED)
    return all(shared.breaker.open_for(call) for call in calls)


# -- What an ended call shows ------------------------------------------------------------------------------------------


def split(*ends: Any, **more: Any) -> list[GraphCall]:
    call = insights("m", "views", "saved", **more)
    parts = call.split([["views"], ["saved"]])
    for part, end in zip(parts, ends, strict=True):
        part.answer, part.verdict = (None, end) if isinstance(end, Verdict) else (end, None)
    return parts


CONTROL, LOST_CONTROL = insights("m", "reach", answer=data("reach")), insights("m", "reach", verdict=REFUSED)


@pytest.mark.parametrize(
    ("call", "is_doubt", "is_refusal"),
    [
        (split(data("views"), REFUSED)[0], True, False),  # it has others: what it lacks is a column
        (split(data("views"), verdict("unknown"))[1], True, False),
        (split(data("views"), verdict("no_data"))[0], False, False),  # true of this object alone
        (split(data("views"), verdict("retry"))[0], False, False),
        (split(None, REFUSED)[1], False, False),  # has not ended
        (split(REFUSED, REFUSED)[1], False, True),  # may be closed to us as a whole
        (insights("m", "saved", verdict=REFUSED), False, True),
        (insights("m", "saved", verdict=verdict("fail_account")), False, True),
        (insights("m", "saved", verdict=verdict("unconfirmed")), False, True),
        (insights("m", "saved", verdict=verdict("no_data")), False, False),
        (insights("m", "saved", verdict=verdict("retry")), False, False),
        (insights("m", "saved", answer=data()), False, False),
        (insights("m", "saved", verdict=REFUSED, control=CONTROL), False, True),  # not extra: a record of its own
        (insights("m", "saved", verdict=REFUSED, control=CONTROL, is_optional=True), True, False),
        (insights("m", "saved", verdict=REFUSED, control=CONTROL, is_secondary=True), True, False),
        (insights("m", "saved", verdict=REFUSED, control=LOST_CONTROL, is_optional=True), False, True),
        (insights("m", "saved", verdict=REFUSED, control=LOST_CONTROL, trial=CONTROL, is_optional=True), True, False),
    ],
)
def test_what_a_call_shows_once_the_whole_of_it_has_ended(
    shared: SyncSession,
    call: GraphCall,
    is_doubt: bool,  # noqa: FBT001 - columns of the table
    is_refusal: bool,  # noqa: FBT001
) -> None:
    Evidence(shared).conclude(call)
    assert shared.metrics.is_open(["saved"], FEED) is is_doubt
    assert not shared.metrics.is_open(["views"], FEED)
    assert is_open(shared, insights("new")) is is_refusal


def test_what_an_object_lacks_is_told_and_what_is_believed_too(
    shared: SyncSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for media in ("m1", "m2", "m3", "m4"):
        call = insights(media, "saved", verdict=REFUSED, control=CONTROL, is_optional=True)
        Evidence(shared).conclude(call)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    words = f"Meta says: {REFUSED.words}"
    assert told[0] == ("WARNING", f"media m1: no saved. {words}")
    assert [line for line in told if line[0] == "INFO"] == [
        ("INFO", f"media {media}: no saved. {words}") for media in ("m2", "m3", "m4")
    ]
    ((_, believed),) = [line for line in told[1:] if line[0] == "WARNING"]
    assert "saved of FEED is left out of most calls of account a" in believed


# -- What goes again ---------------------------------------------------------------------------------------------------


def refuse(shared: SyncSession, call: GraphCall, why: Verdict, meta: Meta | None = None) -> list[GraphCall]:
    return Verdicts(shared).refuse(call, why, (meta or Meta(nothing)).client())


@pytest.mark.parametrize(
    "then", ["no_data", "before_conversion", "last_page", "rate_limited", "closed", "whatever comes new", *REFUSALS]
)
def test_what_a_word_has_no_method_for_or_one_metric_ends_the_call(shared: SyncSession, then: str) -> None:
    call, why = insights("m", "views"), verdict(then)
    assert refuse(shared, call, why) == []
    assert call.outcome is why


@pytest.mark.parametrize("then", ["unsign", "not_visible"])
def test_what_may_be_otherwise_the_second_time_is_asked_twice(shared: SyncSession, then: str) -> None:
    call, why = insights("m", "views"), verdict(then)
    assert refuse(shared, call, why) == [call]
    assert not call.is_done
    assert refuse(shared, call, why) == []
    assert call.outcome is why


def test_a_wrong_signature_is_left_out_for_all() -> None:
    shared = session(client_id="1234567890", client_secret="made up, too")
    assert shared.proof()
    refuse(shared, insights("m", "views"), verdict("unsign"))
    assert not shared.proof()


def test_pages_are_halved_until_there_is_no_smaller_one(shared: SyncSession) -> None:
    call, limits = listed(), []
    while True:
        assert refuse(shared, call, verdict("reduce_page", REDUCE)) == [call]
        if call.attempts:
            break
        assert shared.executor._preparation.ready(call) == [call]
        limits.append(call.limit)
    assert limits == [50, 25, 12, 6, 3, 1]
    assert shared.page_sizes.limit(call.edge) == 1
    assert call.last_fault is not None
    assert call.last_fault.then == "retry", "one at once is too much: it may heal"


def test_a_fault_goes_again_later(shared: SyncSession) -> None:
    call = insights("m", "views")
    assert refuse(shared, call, verdict("retry")) == [call]
    assert (call.attempts, call.is_done) == (1, False)


@pytest.mark.parametrize(
    ("days_ago", "length", "words", "then"),
    [
        (800, 30, "the last 2 years", None),
        (800, 2, "the last 2 years", None),
        (800, 1, "the last 2 years", "shorten_window"),  # of which nothing is left
        (100, 30, "the last 30 days", None),
        (100, 30, "the last 2 years", "unknown"),  # which Meta does keep
        (10, 5, "the last 30 days", "unknown"),
    ],
)
def test_a_window_begins_a_day_later_while_it_is_too_old(
    shared: SyncSession, days_ago: int, length: int, words: str, then: str | None
) -> None:
    since = int(time.time()) - days_ago * DAY
    call = window(0, "reach")
    call.params = {"since": str(since), "until": str(since + length * DAY)}
    assert refuse(shared, call, verdict("shorten_window", words)) == ([] if then else [call])
    assert call.params == {"since": str(since if then else since + DAY), "until": str(since + length * DAY)}
    assert (call.outcome and call.outcome.then) == then


@pytest.mark.parametrize(
    ("fields", "refused", "kept"),
    [
        ("id,caption,alt_text", "alt_text", "id,caption"),
        ("id,alt_text,children{id,alt_text}", "alt_text", "id,alt_text,children{id}"),  # that within comes first
        ("id,alt_text,children{id}", "alt_text", "id,children{id}"),
        ("id,caption", "alt_text", None),  # it was not asked for
        ("id,caption", "id", None),  # nothing can be read without it
        ("", "alt_text", None),
    ],
)
def test_a_field_that_is_refused_is_left_out(shared: SyncSession, fields: str, refused: str, kept: str | None) -> None:
    call = listed(fields=fields)
    again = refuse(shared, call, verdict("refused_field", NO_FIELD % refused))
    assert again == ([] if kept is None else [call])
    assert call.params["fields"] == (fields if kept is None else kept)
    if refused == "id":
        assert "Nothing can be read without id." in str(call.outcome)


@pytest.mark.parametrize(
    ("me", "then"),
    [
        (ALIVE, "unconfirmed"),  # what one object says of the token is true of it alone
        (DEAD, "fail_sync"),
        (error(2, "passing"), None),
        (error(4, "limit"), None),
        (None, None),
    ],
)
def test_a_dead_token_is_believed_once_meta_does_not_know_who_it_is(
    shared: SyncSession, me: Any, then: str | None
) -> None:
    call, meta = insights("m", "views"), Meta(lambda _: me)
    assert refuse(shared, call, verdict("fail_sync"), meta) == ([] if then else [call])
    assert (call.outcome and call.outcome.then) == then
    assert shared.rate_limiter.stopped is (then == "fail_sync")
    assert meta.asked == ["me?fields=id"]


def test_a_dead_token_is_confirmed_once(shared: SyncSession) -> None:
    meta = Meta(lambda _: DEAD)
    for media in ("m1", "m2", "m3"):
        assert refuse(shared, insights(media, "views"), verdict("fail_sync"), meta) == []
    assert len(meta.asked) == 1


SIX = ["a", "b", "c", "d", "e", "f_f"]


@pytest.mark.parametrize(
    ("why", "metrics", "more", "groups"),
    [
        # Words that name some cost these alone.
        (verdict("refused_metric", "(#100) Incompatible metrics (b)"), SIX, {}, [["b"], ["a", "c", "d", "e", "f_f"]]),
        (verdict("fail_account", "(#200) f_f not available"), SIX, {}, [["f_f"], ["a", "b", "c", "d", "e"]]),
        (verdict("unknown", "the a metric is no more"), SIX, {}, [["a"], ["b", "c", "d", "e", "f_f"]]),
        (verdict("unknown", "the {a, b} metrics are no more"), ["a", "b"], {}, [["a"], ["b"]]),
        # Words that name none: halves, then one by one.
        (verdict("refused_metric", "Invalid parameter"), SIX, {}, [["a", "b", "c"], ["d", "e", "f_f"]]),
        (verdict("refused_metric", "Invalid parameter"), SIX[:3], {}, [["a"], ["b"], ["c"]]),
        (verdict("refused_metric", "Invalid parameter"), SIX, {"whole": insights("m", *SIX)}, [[name] for name in SIX]),
        (verdict("unknown", "Something new"), SIX[:2], {"is_optional": True}, [["a"], ["b"]]),
        # Of the object itself.
        (verdict("unknown", "Something new"), SIX, {}, None),
        (verdict("fail_account", "(#10) Application does not have permission"), SIX, {}, None),
        (verdict("refused_metric", "Invalid parameter"), SIX[:1], {}, None),
        (verdict("refused_metric", "Invalid parameter"), [], {}, None),
    ],
)
def test_which_metrics_an_object_refuses_is_found_out(
    shared: SyncSession, why: Verdict, metrics: list[str], more: dict[str, Any], groups: Any
) -> None:
    call = insights("m", *metrics, **more)
    again = refuse(shared, call, why)
    assert ([part.metrics for part in again] or None) == groups
    assert again == list(call.parts)
    assert call.is_done is (groups is None)


def test_where_the_circuit_is_open_nothing_is_found_out(shared: SyncSession) -> None:
    for media in ("m1", "m2", "m3"):
        shared.breaker.refused(insights(media), REFUSED)
    call = insights("m", *SIX)
    assert refuse(shared, call, verdict("refused_metric", "Invalid parameter")) == []
    assert call.is_done


@pytest.mark.parametrize("words", [NOT_THE_PRODUCT % "saved", NOT_LISTED % "views, reach"])
def test_what_is_refused_for_all_of_a_kind_is_learned_and_told_once(
    shared: SyncSession, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    calls = [insights(media, "views", "saved") for media in ("m1", "m2")]
    for call in calls:
        assert refuse(shared, call, verdict("refused_metric", words)) == [call]
        assert shared.executor._preparation.ready(call) == [call]
        assert call.metrics == ["views"]
    assert len([line for line in caplog.messages if "its column stays empty" in line]) == 1


def test_an_answer_speaks_for_what_it_has(shared: SyncSession) -> None:
    for media in ("m1", "m2"):
        shared.metrics.doubt(["views", "saved"], FEED, media)
    call = insights("m", "views", "saved")
    Verdicts(shared).accept(call, Reply(200, {}, json.dumps(data("views"))))
    assert call.items[0]["name"] == "views"
    assert [shared.metrics.is_open([name], FEED) for name in ("views", "saved")] == [False, True]
    fields = listed()
    shared.fields.doubt(["caption", ".alt_text", "owner"], fields.edge, "page")
    named = ("caption", ".alt_text", "owner")
    for shown, is_open in (("", [True, True, True]), ('{"id": "1"}', [False, False, True])):
        # Meta looks at the fields where there is an object, so that an empty list shows nothing of them.
        Verdicts(shared).accept(fields, Reply(200, {}, f'{{"data": [{shown}]}}'))
        assert [shared.fields.is_open([name], fields.edge) for name in named] == is_open


# -- What is worth sending ---------------------------------------------------------------------------------------------


def test_a_list_asks_for_what_its_account_has_and_no_more_at_once(shared: SyncSession) -> None:
    ready, call = shared.executor._preparation.ready, listed()
    for page in ("1", "2", "3"):
        shared.fields.doubt(["caption", ".alt_text"], call.edge, page)
    shared.page_sizes.lower(call.edge, 25)
    assert ready(call) == [call]
    assert call.params == {"limit": "25", "fields": "id,children{id}"}
    assert ready(other := listed()) == [other]
    elsewhere = GraphCall("b/media", dict(listed().params), [], MEDIA._replace(account="b"))
    assert ready(elsewhere) == [elsewhere]
    assert elsewhere.params == listed().params


@pytest.mark.parametrize(
    ("doubts", "groups", "left_out"),
    [
        ({}, None, []),
        ({"saved": 1}, [["views", "reach"], ["saved"]], []),
        ({"saved": 2, "reach": 1}, [["views"], ["reach"], ["saved"]], []),
        ({"saved": 3}, None, ["saved"]),
        ({"saved": 3, "views": 1}, [["reach"], ["views"]], ["saved"]),
        ({"views": 3, "saved": 3, "reach": 3}, [], ["views", "reach", "saved"]),
    ],
)
def test_what_others_refused_travels_alone_or_not_at_all(
    shared: SyncSession, doubts: dict[str, int], groups: list[list[str]] | None, left_out: list[str]
) -> None:
    for name, count in doubts.items():
        for media in range(count):
            shared.metrics.doubt([name], FEED, str(media))
    call = insights("m", "views", "reach", "saved")
    ready = shared.executor._preparation.ready(call)
    assert list(call.left_out) == left_out
    assert ready == ([call] if groups is None else list(call.parts))
    assert groups is None or [part.metrics for part in ready] == groups
    if not ready:
        assert (call.is_answered, call.items) == (True, [])
    for part in call.parts:
        for media in ("x", "y", "z"):
            shared.metrics.doubt(part.metrics, FEED, media)
        assert shared.executor._preparation.ready(part) == [part], "its metrics are chosen"


def test_a_call_that_is_over_is_not_prepared(shared: SyncSession) -> None:
    call = insights("m", "views", attempts=6, last_fault=verdict("retry"))
    assert shared.executor._preparation.ready(call) == []
    assert (call.outcome and call.outcome.then) == "retry"


def test_what_a_part_shows_is_told_when_nothing_is_left_of_the_other(
    shared: SyncSession, caplog: pytest.LogCaptureFixture
) -> None:
    """One object refuses a metric for itself, and then the others are refused for all of its kind."""
    words = {
        "reach,saved,likes": "(#100) Incompatible metrics (saved) with this media",
        "saved": "(#100) Incompatible metrics (saved) with this media",
        "reach,likes": NOT_THE_PRODUCT % "reach, likes",
    }
    meta, call = Meta(lambda call: error(100, words[",".join(call.metrics)])), insights("m", "reach", "saved", "likes")
    shared.executor.run([call], meta.client())
    assert call.is_done
    assert [line for line in caplog.messages if line.startswith("media m: no saved.")]
    assert shared.metrics.is_open(["saved"], FEED)


# -- One request -------------------------------------------------------------------------------------------------------


def broken(_: GraphCall) -> Any:
    raise ConnectionError("ReadTimeout")


def test_a_broken_connection_is_a_fault_of_each_call(shared: SyncSession) -> None:
    replies, verdicts = zip(
        *shared.transport.send([insights("m1"), insights("m2")], Meta(broken).client()), strict=True
    )
    assert replies == (None, None)
    assert {(why.then, why.because) for why in verdicts if why} == {("retry", "The connection broke (ReadTimeout).")}


def test_each_part_of_a_batch_is_judged_for_itself(shared: SyncSession) -> None:
    bodies = {"m1/insights": data("views"), "m2/insights": error(100, "Invalid parameter"), "m3/insights": None}
    meta = Meta(lambda call: bodies[call.path])
    calls = [insights(media) for media in ("m1", "m2", "m3")]
    replies, verdicts = zip(*shared.transport.send(calls, meta.client()), strict=True)
    assert [reply and reply.status for reply in replies] == [200, 400, None]
    assert [why and why.then for why in verdicts] == [None, "refused_metric", "retry"]


@pytest.mark.parametrize(
    ("code", "words", "singly"),
    [
        (100, "Unsupported post request.", True),
        (3, "Application does not have the capability to make this API call.", True),
        (4, "Application request limit reached", False),
        (190, "Error validating access token", False),
        (2, UNKNOWN, False),
    ],
)
def test_a_refused_batch_goes_one_by_one(
    shared: SyncSession,
    code: int,
    words: str,
    singly: bool,  # noqa: FBT001 - a column of the table
) -> None:
    meta = Meta(lambda _: data("views"))

    def send(batch: list[GraphCall]) -> list[Reply | None]:
        if len(batch) > 1:
            return [Reply(400, {}, json.dumps(error(code, words)), is_whole=True)] * len(batch)
        return meta._send(batch)

    calls = [insights("m1"), insights("m2")]
    verdicts = [why for _, why in shared.transport.send(calls, replace(meta.client(), send=send))]
    assert verdicts.count(None) == 2 * singly
    assert meta.asked == [call.url for call in calls] * singly


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request takes 15 seconds."""
    clock = iter(range(0, 10_000, 15))
    monkeypatch.setattr(circuit_breaker, "time", SimpleNamespace(monotonic=lambda: next(clock)))


@pytest.mark.usefixtures("slow_clock")
@pytest.mark.parametrize(
    ("insight", "me", "is_stopped", "asked"),
    [
        (broken, broken, True, 1),
        (lambda _: error(2, UNKNOWN), lambda _: error(2, UNKNOWN), True, 1),
        (broken, lambda _: ALIVE, False, 1),
        (broken, lambda _: DEAD, False, 1),  # an answer, too: what it means others decide
        (lambda _: error(100, "Invalid parameter"), broken, False, 0),  # Meta answers
        (lambda call: None if call.path == "m1/insights" else data(), broken, False, 0),
    ],
)
def test_a_sync_stops_when_meta_does_not_even_say_who_the_token_is(
    shared: SyncSession,
    insight: Any,
    me: Any,
    is_stopped: bool,  # noqa: FBT001 - columns of the table
    asked: int,
) -> None:
    meta = Meta(lambda call: me(call) if call.path == "me" else insight(call))
    for _ in range(circuit_breaker.ATTEMPTS):
        assert not shared.rate_limiter.stopped
        shared.transport.send([insights("m1"), insights("m2")], meta.client())
    assert shared.rate_limiter.stopped is is_stopped
    assert meta.asked.count("me?fields=id") == asked
    if is_stopped:
        with pytest.raises(Exception, match="none of the last 6 requests"):
            shared.rate_limiter.enter("a", 1, lambda *_: None)


# -- Who goes ahead ----------------------------------------------------------------------------------------------------


def ahead(shared: SyncSession, meta: Meta, *calls: GraphCall) -> list[list[str]]:
    """The requests of those that go ahead of some calls."""
    before = len(meta.requests)
    with mock.patch.object(scout_module, "FEW", 0):
        shared.executor.scout.go_ahead(shared.executor, list(calls), meta.client())
    return meta.requests[before:]


def three(scope: Scope = FEED, *metrics: str) -> list[GraphCall]:
    return [insights(f"m{at}", *(metrics or ("views",)), scope=scope) for at in range(3)]


def test_a_few_calls_of_a_kind_go_at_once(shared: SyncSession) -> None:
    meta = Meta(lambda call: data(*call.metrics))
    for count, went in ((scout_module.FEW, 0), (scout_module.FEW + 1, 1)):
        calls = [insights(f"m{at}", "views") for at in range(count)]
        shared.executor.scout.go_ahead(shared.executor, calls, meta.client())
        assert len(meta.asked) == went


def test_the_first_of_each_kind_goes_ahead_once(shared: SyncSession) -> None:
    meta = Meta(lambda call: data(*call.metrics))
    assert ahead(shared, meta, *three(), *three(REELS)) == [["m0/insights?metric=views"] * 2]
    assert ahead(shared, meta, *three(), *three(REELS)) == [], "they are known"
    assert ahead(shared, meta, *three(FEED._replace(account="b"))) == [], "of other accounts, too"
    assert len(ahead(shared, meta, *three(FEED._replace(row=5)))) == 1


@pytest.mark.parametrize(
    ("body", "requests"),
    [
        (error(100, "Invalid parameter"), 3),  # one may be refused for itself: three show more
        (error(10, "(#10) Application does not have permission"), 3),
        (error(10, "(#10) Not enough viewers"), 1),  # is understood
        (data(), 1),
    ],
)
def test_while_they_are_refused_three_go_ahead(shared: SyncSession, body: Any, requests: int) -> None:
    calls = [*three(), *(insights(f"n{at}", "views") for at in range(3))]
    assert [len(urls) for urls in ahead(shared, Meta(lambda _: body), *calls)] == [1] * requests
    assert sum(call.is_done for call in calls) == requests


def test_where_an_account_lacks_a_metric_the_others_go_ahead_for_themselves(shared: SyncSession) -> None:
    meta = Meta(lambda call: data(*call.metrics))
    ahead(shared, meta, *three())
    shared.executor.scout.suspect(insights("m", "views"))
    assert ahead(shared, meta, *three()) == [], "which it has proven itself"
    assert len(ahead(shared, meta, *three(FEED._replace(account="b")))) == 1


def test_what_few_refused_goes_ahead_until_it_is_known(shared: SyncSession) -> None:
    meta = Meta(lambda call: data(*call.metrics) if call.metrics else {"data": [{"id": "1"}]})
    ahead(shared, meta, *three())
    shared.metrics.doubt(["views"], FEED, "m9")
    assert len(ahead(shared, meta, *three())) == 1
    shared.fields.doubt(["caption"], listed().edge, "page")
    shared.executor.scout.proven(listed())
    assert len(ahead(shared, meta, listed(), listed())) == 1


def test_who_scouts_is_waited_for_but_not_while_a_throttle_holds_it(
    shared: SyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(scout_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    scout, meta = shared.executor.scout, Meta(lambda call: data(*call.metrics))
    scouting = scout._ahead["media_insights"]
    with scouting:  # somebody else scouts
        scout.waits(meta.client("b"), 1e-9, "Meta throttles account b.")
        assert len(ahead(shared, meta, *three())) == 1, "so it scouts for itself"
        assert next(clock) < 5, "at once"
    scout.waits_no_more(meta.client("b"))
    assert scout._waiting == set()
    assert scouting.acquire(blocking=False), "who scouted has let go"
    scout.proven(insights("m", "views", scope=REELS))
    assert ahead(shared, meta, *three(REELS)) == [], "who needs no scout does not wait for one"


def test_a_scout_that_fails_lets_go(shared: SyncSession) -> None:
    def fails(_: GraphCall) -> Any:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ahead(shared, Meta(fails), *three())
    assert shared.executor.scout._ahead["media_insights"].acquire(blocking=False)


@pytest.mark.parametrize(("wait", "why", "count"), [(30, "Meta throttles.", 1), (30, "", 0), (1e-9, "Spaced.", 0)])
def test_a_wait_with_a_reason_is_announced(
    capsys: pytest.CaptureFixture[str], wait: float, why: str, count: int
) -> None:
    announce("media", wait, why)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    statuses = [line["trace"]["stream_status"] for line in lines]
    assert [(status["stream_descriptor"]["name"], status["reasons"][0]["type"]) for status in statuses] == [
        ("media", "RATE_LIMITED")
    ] * count


# -- What travels together ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("login", "sizes"), [("facebook", [50, 50, 20]), ("instagram", [1] * 120)])
def test_fifty_travel_together_where_there_are_batches(login: str, sizes: list[int]) -> None:
    shared, meta = session(login_type=login), Meta(lambda call: data(*call.metrics))
    calls = [insights(f"m{at}", "views") for at in range(120)]
    shared.executor.run_all(calls, meta.client())
    assert [len(urls) for urls in meta.requests] == sizes
    assert all(call.is_answered for call in calls)


def test_what_broke_goes_again_before_the_others_in_fewer_at_once(shared: SyncSession) -> None:
    failures = iter([True] * 50 + [True] * 12)
    meta = Meta(lambda call: None if next(failures, False) else data(*call.metrics))
    calls = [insights(f"m{at}", "views") for at in range(50)]
    shared.executor.run(calls, meta.client())
    assert [len(urls) for urls in meta.requests] == [50, 12, 3, 3, 3, 3, 12, 12, 12, 2]
    assert all(call.is_answered for call in calls)


@pytest.mark.parametrize("answered", [None, "m0/insights", "m4/insights"])
def test_where_several_were_refused_the_first_middle_and_last_are_asked(
    shared: SyncSession, answered: str | None
) -> None:
    meta = Meta(lambda call: data("views") if call.path == answered else error(10, "no permission"))
    for media in ("x", "y", "z"):
        shared.breaker.refused(insights(media), REFUSED)
    calls = [insights(f"m{at}", "views") for at in range(9)]
    sample(shared.executor, calls, meta.client())
    assert meta.asked == [f"m{at}/insights?metric=views" for at in (0, 4, 8)]
    ended = [call for call in calls if call.is_done]
    assert len(ended) == (9 if answered is None else 3), "one that is answered speaks for the others"
    assert answered or "It was not asked, as others before it were refused." in str(calls[1].outcome)


def test_once_it_is_stopped_all_that_wait_end(shared: SyncSession) -> None:
    failure = Meta(nothing).client().failure(insights("m", verdict=verdict("fail_sync")))
    shared.rate_limiter.stop(failure)
    calls = [insights(f"m{at}", "views") for at in range(60)]
    shared.executor.run(calls, Meta(nothing).client())
    assert {(call.outcome.then, call.outcome.closed_by) for call in calls if call.outcome} == {("closed", failure)}
    assert all(call.is_done for call in calls)


def test_days_of_an_account_fail_by_themselves(shared: SyncSession) -> None:
    meta = Meta(lambda call: error(1, UNKNOWN) if call.params["since"] == "0" else data("reach"))
    calls = [window(at, "reach", scope=DAYS) for at in range(3)]
    shared.executor.run(calls, meta.client("a", "user_insights"))
    assert [call.is_answered for call in calls] == [False, True, True]
    assert len(meta.asked) == 3 + 5


# -- A lane ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lane", "granted"),
    [
        ({}, 50),
        ({"percent": 10.0}, 50),
        ({"percent": 10.0, "under_way": ENOUGH}, 0),  # what a call uses is not known yet
        ({"percent": 10.0, "under_way": ENOUGH, "answered": ENOUGH}, 50),
        # Each call uses 0.1 percent.
        ({"percent": 70.0, "answered": 98, "risen": 9.0}, 50),
        ({"percent": 95.0, "answered": 98, "risen": 9.0}, 25),  # half of what fits
        ({"percent": 95.0, "answered": 98, "risen": 9.0, "under_way": 10}, 0),  # their answers will tell
        ({"percent": 100.0, "answered": 98, "risen": 9.0}, 1),
        ({"percent": 100.0, "answered": 98, "risen": 9.0, "near_since": -1e9}, 50),  # for an hour: it is no limit
    ],
)
def test_how_many_of_fifty_a_lane_lets_through(lane: dict[str, Any], granted: int) -> None:
    assert Lane("the app", **lane).grant(50) == granted
