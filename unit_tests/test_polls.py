"""Polls of media: asked only when their columns are selected, as each is a call."""

from typing import Any

import pytest
from harness import POLLS, Connector, Outcome
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram.answers import Reply, judge, poll_in, well_formed
from source_instagram.polls import COLUMNS, poll_columns

POLL = "poll_attachment"
SERVICE = {"code": 2, "message": "An unexpected error has occurred.", "is_transient": True}
UNKNOWN_PATH = {"code": 2500, "message": "Unknown path components: /poll_attachment"}


def polls(box: Sandbox) -> int:
    """How many polls were asked for."""
    paths = [item["relative_url"] for request in box.requests for item in request.get("items", ())]
    return sum(POLL in path for path in [*paths, *(request["path"] for request in box.requests)])


def is_like_the_world(box: Sandbox, outcome: Outcome) -> bool:
    return keyed("media", outcome.records["media"]) == keyed("media", Oracle(box.world, polls=True).records("media"))


@pytest.mark.slow
def test_each_media_costs_a_call_when_a_column_is_selected(box: Sandbox, connector: Connector) -> None:
    outcome = connector.read("media", polls=True)
    assert is_like_the_world(box, outcome)
    assert any(record.get("poll_options") for record in outcome.records["media"])
    assert polls(box) == len(outcome.records["media"]) == 3 * 24
    assert box.http_requests <= 1 + 3 + 3 * 2, "the polls travel in batches"


@pytest.mark.slow
@pytest.mark.parametrize("without", COLUMNS)
def test_either_column_can_be_left_out(box: Sandbox, connector: Connector, without: str) -> None:
    outcome = connector.read("media", without=[without], polls=True)
    assert {without} & {name for record in outcome.records["media"] for name in record} == set()
    assert polls(box) == 3 * 24


@pytest.mark.slow
def test_nothing_is_asked_when_no_column_is_selected(box: Sandbox, connector: Connector) -> None:
    connector.read("media", "media_insights", "comments")
    assert polls(box) == 0


@pytest.mark.slow
def test_streams_that_list_media_for_themselves_ask_for_no_polls(box: Sandbox, connector: Connector) -> None:
    connector.read("media_insights", "comments", polls=True)
    assert polls(box) == 0


@pytest.mark.slow
def test_there_are_no_polls_with_instagram_login(box: Sandbox, connector: Connector) -> None:
    outcome = connector.read("media", polls=True, login_type="instagram")
    assert polls(box) == 0
    assert {record.get("poll_options") for record in outcome.records["media"]} == {None}


@pytest.mark.parametrize("error", [UNKNOWN_PATH, {"code": 10, "message": "(#10) No"}], ids=["unknown", "denied"])
@pytest.mark.slow
def test_polls_that_nobody_may_read_cost_their_columns_and_few_calls(
    box: Sandbox, connector: Connector, error: dict[str, Any]
) -> None:
    box.reset(accounts=1, media=120)
    box.add_fault(path=POLL, error=error)
    outcome = connector.read("media", polls=True)
    assert outcome.exit_code == 0
    assert len(outcome.records["media"]) == 120
    assert {record.get("poll_options") for record in outcome.records["media"]} == {None}
    assert polls(box) <= 10, "several that say so are believed"
    assert any("no poll_attachment in media" in line for line in outcome.log("WARN"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["error", "empty", "truncate"])
def test_a_poll_that_is_missing_keeps_its_media_back(box: Sandbox, connector: Connector, kind: str) -> None:
    media = next(post for post in box.world.media(box.world.accounts[0]) if post.poll)
    box.add_fault(path=f"{media.id}/{POLL}", kind=kind, **({"error": SERVICE} if kind == "error" else {}))
    outcome = connector.read("media", polls=True, incremental=True)
    assert outcome.statuses["media"] == "INCOMPLETE"
    assert media.id not in {record["id"] for record in outcome.records["media"]}
    assert len(outcome.records["media"]) == 3 * 24 - 1
    assert any(media.id in str(error["message"]) for error in outcome.errors)
    box.service.faults.all.clear()
    after = connector.read("media", polls=True, incremental=True, state=outcome)
    assert media.id in {record["id"] for record in after.records["media"]}


@pytest.mark.slow
def test_polls_that_break_once_are_asked_for_again(box: Sandbox, connector: Connector) -> None:
    box.add_fault(path=POLL, every=5, times=10, error=SERVICE)
    box.add_fault(path=POLL, every=7, times=5, kind="shape", body={"data": [{"option_a": 1}]})
    assert is_like_the_world(box, connector.read("media", polls=True))


@pytest.mark.slow
def test_a_list_that_breaks_costs_no_media_before(box: Sandbox, connector: Connector) -> None:
    box.reset(accounts=1, media=150, days=100)
    box.add_fault(path="/media.*after=", error=SERVICE)
    outcome = connector.read("media", polls=True)
    assert outcome.statuses["media"] == "INCOMPLETE"
    assert len(outcome.records["media"]) == 100
    asked = [post for post in box.world.media(box.world.accounts[0])[:100] if post.poll]
    assert len([record for record in outcome.records["media"] if "poll_options" in record]) == len(asked) > 0


@pytest.mark.parametrize(("body", "poll"), [
    ({}, {}),
    ({"data": None}, {}),
    ({"data": []}, {}),
    ({POLL: None}, {}),
    ({"id": "179"}, {"id": "179"}),
    ({"option_a": "yes"}, {"option_a": "yes"}),
    ({"data": {"option_a": "yes"}}, {"option_a": "yes"}),
    ({"data": [{"option_a": "yes"}]}, {"option_a": "yes"}),
])  # fmt: skip
def test_a_poll_may_be_wrapped(body: dict[str, Any], poll: dict[str, Any]) -> None:
    assert poll_in(body) == poll
    assert well_formed(f"179/{POLL}", body)


@pytest.mark.parametrize("body", [[], {"data": "x"}, {"data": [{}, {}]}, {"option_a": 1}, {"option_b": "no"}])
def test_other_shapes_are_no_poll(body: Any) -> None:
    assert not well_formed(f"179/{POLL}", body)


def test_other_tests_leave_just_these_columns_out() -> None:
    assert POLLS == COLUMNS


def test_null_is_an_answer_with_nothing_in_it() -> None:
    reply = Reply(200, {}, "null")
    assert judge(reply, [], str) is None
    assert well_formed(f"179/{POLL}", reply.body)
    assert not well_formed("179/media", reply.body)
    assert not well_formed("179", reply.body)


@pytest.mark.parametrize(
    ("time", "ends"),
    [
        ("2026-10-02T09:00:00+0000", "2026-10-02T09:00:00+00:00"),
        (1790931600, "2026-10-02T09:00:00+00:00"),
        ("1790931600", "2026-10-02T09:00:00+00:00"),
        ("soon", None),
        (True, None),
        (None, None),
    ],
)
def test_options_become_a_list_and_the_end_a_time(time: Any, ends: str | None) -> None:
    answer = {
        "option_a": "yes", "option_a_votes_percentage": 0.75, "option_b": "no", "option_b_votes_percentage": 0.25,
        "expiration_timestamp": time,
    }  # fmt: skip
    options = [{"option": "yes", "votes_percentage": 0.75}, {"option": "no", "votes_percentage": 0.25}]
    assert poll_columns(answer) == {"poll_options": options, "poll_expires_at": ends}
    assert poll_columns({}) == {"poll_options": None, "poll_expires_at": None}
