"""The fifth attack: what one odd answer, account or moment costs the streams of others, polls and what is new."""

import json
from typing import Any

import pytest
from engine import verdict
from harness import OTHERS, Connector, command
from runners import in_builder
from test_attack import NO_PERMISSION
from test_others import DISCOVERY, MEDIA, SEARCH, TAG_MEDIA, TAGS, USERS, asked, unlike_the_world

from sandbox import Sandbox
from source_instagram.answers import Verdict
from source_instagram.askers import Askers
from source_instagram.calls import GraphCall
from source_instagram.retry_policy import BATCH_SIZE
from source_instagram.session import SyncSession

BLUE = r"username\(bluebottle\)"
GONE = {"code": 110, "error_subcode": 2207013, "message": "Invalid user id"}


def unknown_field(name: str) -> dict[str, Any]:
    """Meta's words for a field that it does not know."""
    return {"code": 100, "message": f"(#100) Tried accessing nonexisting field ({name}) on node type (IGUser)"}


@pytest.fixture
def calm(box: Sandbox) -> Sandbox:
    """A sandbox whose headers tell of no usage, so that the first account asks for everything."""
    box.set_usage(mode="missing")
    return box


# -- Accounts of others ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("streams", [(USERS,), (MEDIA,), (USERS, MEDIA)], ids="-".join)
@pytest.mark.parametrize("name", [DISCOVERY, "media", "timestamp"])
def test_what_nothing_can_be_read_without_is_never_left_out(
    calm: Sandbox, connector: Connector, name: str, streams: tuple[str, ...]
) -> None:
    """Without it an answer tells of nobody, and looks as good as one that tells of somebody."""
    calm.add_fault(path=rf"{DISCOVERY}.*\b{name}\b|fields={name}", error=unknown_field(name))
    outcome = connector.read(*streams, incremental=True, without=["children"])
    is_hit = name == DISCOVERY or MEDIA in streams
    assert outcome.statuses == dict.fromkeys(streams, "INCOMPLETE" if is_hit else "COMPLETE")
    assert len(asked(calm, DISCOVERY)) <= 6
    assert [error for error in outcome.errors if f"without {name}." not in str(error["message"])][1:] == []


@pytest.fixture
def long(calm: Sandbox) -> Sandbox:
    """The same with three pages of media of each account."""
    calm.reset(rival_media=140)
    calm.set_usage(mode="missing")
    return calm


def test_a_page_of_which_nothing_may_be_seen_is_not_the_last(long: Sandbox, connector: Connector) -> None:
    long.add_fault(kind="edit", path=rf"{BLUE}.*media\.after", times=1, set={"business_discovery.media.data": []})
    outcome = connector.read(MEDIA, incremental=True)
    assert outcome.statuses == {MEDIA: "COMPLETE"}
    assert len(outcome.records[MEDIA]) == 140 + 90
    assert "user bluebottle: Meta counts 140 media and shows 90 in discovered_media." in outcome.log("INFO")


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"remove": "business_discovery.media"}, {"loop": True}], ids=repr)
def test_a_list_that_ends_before_its_end_is_told(long: Sandbox, connector: Connector, change: dict[str, Any]) -> None:
    empty = {"set": {"business_discovery.media.data": []}} if "loop" in change else {}
    long.add_fault(kind="edit", path=rf"{BLUE}.*media\.after", **change, **empty)
    outcome = connector.read(MEDIA, incremental=True)
    assert len(outcome.records[MEDIA]) == 140 + 50
    assert "user bluebottle: Meta counts 140 media and shows 50 in discovered_media." in outcome.log("INFO")


@pytest.mark.slow
def test_who_is_gone_between_two_pages_is_missing(long: Sandbox, connector: Connector) -> None:
    """Else the state would move past what the further pages have."""
    long.add_fault(path=rf"{BLUE}.*media\.after", times=1, error=GONE)
    outcome = connector.read(MEDIA, incremental=True)
    assert outcome.statuses == {MEDIA: "INCOMPLETE"}
    assert "User bluebottle: Meta has just shown it" in outcome.errors[0]["message"]
    assert outcome.errors[0]["failure_type"] == "transient_error"
    after = connector.read(MEDIA, incremental=True, state=outcome)
    assert unlike_the_world(long, after, MEDIA) == [MEDIA], "only the account that was missing begins anew"
    held = {record["id"] for record in outcome.records[MEDIA] + after.records[MEDIA]}
    assert len(held) == 2 * 140


@pytest.mark.slow
def test_one_media_out_of_its_order_ends_no_list(long: Sandbox, connector: Connector) -> None:
    odd = {"business_discovery.media.data.49.timestamp": "2009-01-01T00:00:00+0000"}
    long.add_fault(kind="edit", path=f"{BLUE}.*media\\.limit", set=odd)
    outcome = connector.read(MEDIA, incremental=True)
    assert outcome.statuses == {MEDIA: "COMPLETE"}
    assert len(outcome.records[MEDIA]) == 2 * 140 - 1, "the odd one is older than the start"


@pytest.mark.slow
def test_media_that_cannot_be_listed_cost_no_profile(calm: Sandbox, connector: Connector) -> None:
    calm.add_fault(path=rf"{BLUE}.*media\.", error={"code": 1, "message": "An unknown error occurred"})
    outcome = connector.read(USERS, MEDIA, incremental=True)
    assert outcome.statuses == {USERS: "COMPLETE", MEDIA: "INCOMPLETE"}
    assert unlike_the_world(calm, outcome, USERS) == []
    assert len([call for call in asked(calm, BLUE) if "media." not in call]) == 1


# -- The account that asks ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        {"code": 100, "message": "(#100) Invalid parameter"},
        {"code": 7777, "message": "Something new"},
        {"code": 190, "message": "Session has expired"},
        {"code": 1, "message": "An unknown error occurred"},
        unknown_field(DISCOVERY),
    ],
    ids=lambda error: str(error["code"]),
)
def test_what_one_account_is_refused_another_may_be_given(
    calm: Sandbox, connector: Connector, error: dict[str, Any]
) -> None:
    first, second = (account.id for account in calm.world.accounts[:2])
    calm.add_fault(path=DISCOVERY, account=first, error=error)
    outcome = connector.read(USERS, MEDIA)
    assert outcome.exit_code == 0, outcome.errors[:1]
    assert {record["business_account_id"] for record in outcome.records[USERS]} == {second}
    assert unlike_the_world(calm, outcome, MEDIA) == []


def test_what_others_were_given_beside_speaks_for_an_account() -> None:
    """Three names that nobody is told would else keep an account, perhaps the only one, from asking for all others."""
    session = SyncSession({"access_token": "x"})
    session.accounts = [{"business_account_id": "a"}]
    askers = Askers(session)

    def note(name: str, refused: Verdict | None) -> bool:
        return askers.note("a", GraphCall("a", who=name, verdict=refused, answer=None if refused else {}))

    assert note("given", None) is False
    assert all(note(f"n{at}", verdict("fail_account")) for at in range(BATCH_SIZE - 1))
    assert askers.best() == "a", "in a batch they may be next to each other"
    note("more", verdict("fail_account"))
    assert askers.best() is None
    note("given", None)
    assert askers.best() == "a"
    assert askers.why() == verdict("fail_account"), "who was about to ask for the reason must be told one"


# -- Hashtags ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_spellings_of_one_hashtag_are_one(calm: Sandbox, connector: Connector) -> None:
    outcome = connector.read(TAGS, TAG_MEDIA, hashtags=["café", "cafe\u0301", "#CAFE\u0301"])
    assert outcome.exit_code == 0
    assert [record["name"] for record in outcome.records[TAGS]] == ["café"]
    assert len(asked(calm, SEARCH)) == 1
    again = connector.read(TAGS, hashtags=["cafe\u0301"])
    assert [record["name"] for record in again.records[TAGS]] == ["café"]
    assert len(asked(calm, SEARCH)) == 1, "it was searched lately"


@pytest.mark.slow
def test_two_names_of_one_hashtag_are_read_once(calm: Sandbox, connector: Connector) -> None:
    tag = calm.world.hashtag("coffee")
    assert tag
    calm.add_fault(kind="edit", path=rf"{SEARCH}.*q=kaffee", set={"data.0.id": tag.id})
    outcome = connector.read(TAGS, TAG_MEDIA, hashtags=["coffee", "kaffee"])
    assert outcome.exit_code == 0
    assert [record["name"] for record in outcome.records[TAGS]] == ["coffee"]
    assert {record["hashtag"] for record in outcome.records[TAG_MEDIA]} == {"coffee"}
    keys = [(record["edge"], record["id"]) for record in outcome.records[TAG_MEDIA]]
    assert len(keys) == len(set(keys))
    assert "Hashtag kaffee is left out: Meta gives the same for coffee." in outcome.log("WARN")


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"remove": "data.*.name"}, {"set": {"data.*.name": None}}], ids=repr)
def test_a_hashtag_without_its_name_is_searched_again(
    calm: Sandbox, connector: Connector, change: dict[str, Any]
) -> None:
    connector.read(TAGS, hashtags=["none", "coffee"])
    calm.add_fault(kind="edit", path="recently", **change)
    outcome = connector.read(TAGS, hashtags=["none", "coffee"])
    assert {record["id"] for record in outcome.records[TAGS]} == {
        tag.id for name in ("none", "coffee") if (tag := calm.world.hashtag(name))
    }
    assert len(asked(calm, SEARCH)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("code", [18, 7777])
def test_what_an_account_may_not_search_after_all_another_searches(
    calm: Sandbox, connector: Connector, code: int
) -> None:
    """Meta counts what was read by its id, too, and tells only what was searched."""
    first, second = (account.id for account in calm.world.accounts[:2])
    calm.add_fault(path=f"{SEARCH}.*{first}", error={"code": code, "message": "Too many of them"})
    outcome = connector.read(TAGS, TAG_MEDIA, incremental=True)
    assert outcome.statuses == {TAGS: "COMPLETE", TAG_MEDIA: "COMPLETE"}
    assert {record["business_account_id"] for record in outcome.records[TAGS]} == {second}
    assert unlike_the_world(calm, outcome, TAG_MEDIA) == []
    calm.add_fault(path=f"{SEARCH}.*q=other", error={"code": code, "message": "Too many of them"})
    nobody = connector.read(TAGS, hashtags=["other"])
    assert nobody.statuses == {TAGS: "INCOMPLETE"}
    assert len([line for line in nobody.log("ERROR") if line.startswith("Missing: hashtags. Hashtag other")]) == 1
    assert len(asked(calm, "q=other")) == 3


# -- Polls -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("skip", [60, 200])  # within what is asked for together, and just before the rest
def test_polls_that_are_lost_in_the_middle_are_missing(calm: Sandbox, connector: Connector, skip: int) -> None:
    calm.reset(accounts=1, media=240)
    fault = calm.add_fault(path="poll_attachment", skip=skip, error=NO_PERMISSION)
    outcome = connector.read("media", polls=True, incremental=True)
    assert fault.fired
    assert outcome.statuses == {"media": "INCOMPLETE"}
    shown = {record["id"] for record in outcome.records["media"] if record.get("poll_options")}
    there = {post.id for post in calm.world.media(calm.world.accounts[0]) if post.poll}
    assert there & {record["id"] for record in outcome.records["media"]} == shown, "no medium without its poll"
    calm.service.faults.all.clear()
    after = connector.read("media", polls=True, incremental=True, state=outcome)
    assert {record["id"] for record in after.records["media"] if record.get("poll_options")} == there


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [{"option_a": None, "option_b": None, "expiration_timestamp": None}, {"data": {"option_a": None}}],
    ids=repr,
)
def test_a_poll_of_nothing_is_none(calm: Sandbox, connector: Connector, body: dict[str, Any]) -> None:
    calm.reset(accounts=1, media=4)
    calm.add_fault(path="poll_attachment", kind="shape", body=body)
    outcome = connector.read("media", polls=True)
    assert outcome.statuses == {"media": "COMPLETE"}
    assert {record.get("poll_options") for record in outcome.records["media"]} == {None}
    assert len(asked(calm, "poll_attachment")) == 4


# -- Test reads --------------------------------------------------------------------------------------------------------

OF_TEST_READS = {  # the calls of each for two records, beside that for the accounts
    USERS: [DISCOVERY, DISCOVERY],
    MEDIA: [DISCOVERY],
    TAGS: ["recently_searched", SEARCH, SEARCH],  # all are dealt out before any is searched
    TAG_MEDIA: ["recently_searched", "_media"],
    "media": ["/media", "poll_attachment", "poll_attachment"],
}


@pytest.mark.slow
def test_a_test_read_asks_others_for_what_it_may_show(calm: Sandbox, connector: Connector) -> None:
    config = connector.config(**OTHERS, start_date="2010-10-06T00:00:00Z")
    answers = in_builder([*OF_TEST_READS], calm.env, config, max_records=2, max_pages_per_slice=5, max_slices=5)
    for stream in OF_TEST_READS:
        slices = answers[stream]["slices"]
        assert sum(len(page["records"]) for each in slices for page in each["pages"]) == 2, stream
    made = asked(calm, "")
    for calls in OF_TEST_READS.values():
        these, made = made[: len(calls) + 1], made[len(calls) + 1 :]
        assert [call for call, part in zip(these, ["me/accounts", *calls], strict=True) if part not in call] == []
    assert made == []


# -- Groups ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, "many", {"count": 3}], ids=repr)
def test_a_count_of_media_that_is_no_number_is_asked_for(calm: Sandbox, connector: Connector, value: Any) -> None:
    """Of each account by itself; of who has none then either it is told."""
    second = calm.world.accounts[1].id
    calm.add_fault(kind="edit", path="/me/accounts", set={"data.*.instagram_business_account.media_count": value})
    calm.add_fault(kind="edit", path=f"{second}.*media_count", set={"media_count": value})
    outcome = command("groups", calm.env, flags=["--groups", "3"], config=connector.config())
    assert (outcome.exit_code, len(json.loads(outcome.stdout))) == (0, 3), outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert len(asked(calm, r"fields=media_count")) == 3
