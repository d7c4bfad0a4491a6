"""What Meta does not know or have, and of whom it is believed."""

from typing import Any

import pytest
from engine import DAYS, FEED, NOT_LISTED, NOT_THE_PRODUCT, REELS, at_once

from source_instagram.calls import NOBODY, Scope
from source_instagram.capabilities import UNKNOWN_PRODUCT, Capabilities, named_in, names_in, without
from source_instagram.page_sizes import PageSizes

LOST = Scope("media_insights", "a", UNKNOWN_PRODUCT)
STORY = Scope("story_insights", "a", "STORY")


def of(scope: Scope, account: str) -> Scope:
    return scope._replace(account=account)


def doubted(capabilities: Capabilities, name: str, scope: Scope, *who: str) -> list[list[str]]:
    """What is believed after each object says that it does not have a name."""
    return [capabilities.doubt([name], scope, each) for each in who]


# -- What one refusal says of all of a kind ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "scope", "named", "kind"),
    [
        (NOT_LISTED % "views, reach, likes", FEED, ["follows"], "media"),
        (NOT_LISTED % "views,\nreach,\nlikes", FEED, ["follows"], "media"),
        (NOT_LISTED % "views, reach, likes", DAYS, ["follows"], "accounts"),
        (NOT_LISTED % "reach", FEED, ["views", "follows"], "media"),
        (NOT_LISTED % "reach, exits", FEED, ["views", "follows"], "media"),
        (NOT_LISTED % "reach, views, follows", FEED, [], "media"),
        (NOT_LISTED % "exits, taps_forward", FEED, [], "media"),  # none of ours: it is for something else
        (NOT_LISTED % "", FEED, [], "media"),
        (NOT_THE_PRODUCT % "follows", FEED, ["follows"], "FEED"),
        (NOT_THE_PRODUCT % "follows, views", FEED, ["views", "follows"], "FEED"),
        (NOT_THE_PRODUCT.replace("{%s} metric", "follows metrics"), FEED, ["follows"], "FEED"),
        (NOT_THE_PRODUCT % "follows", REELS, ["follows"], "REELS"),
        (NOT_THE_PRODUCT % "saved", FEED, [], "FEED"),
        (NOT_THE_PRODUCT % "follows", LOST, [], ""),  # of which product it speaks is not known
        ("(#100) Incompatible metrics (follows) with single post media", FEED, [], ""),
        ("(#100) The follows metric is no longer supported", FEED, [], ""),
        ("Invalid parameter", FEED, [], ""),
    ],
)
def test_two_wordings_speak_of_all_of_a_kind(words: str, scope: Scope, named: list[str], kind: str) -> None:
    capabilities = Capabilities()
    assert capabilities.learn(["views", "follows"], scope, words) == (named, kind)
    assert capabilities.known(["views", "follows"], scope) == [
        name for name in ("views", "follows") if name not in named
    ]


@pytest.mark.parametrize(
    ("words", "scope", "others"),
    [
        (NOT_LISTED % "reach", FEED, {REELS: [], STORY: [], of(FEED, "b"): [], DAYS: ["views"]}),
        (NOT_LISTED % "reach", DAYS, {of(DAYS, "b"): [], FEED: ["views"]}),
        (NOT_THE_PRODUCT % "views", FEED, {of(FEED, "b"): [], REELS: ["views"], LOST: ["views"], DAYS: ["views"]}),
        (NOT_THE_PRODUCT % "views", DAYS, {of(DAYS, "b"): ["views"], FEED: ["views"]}),
    ],
)
def test_who_else_lacks_what_a_refusal_names(words: str, scope: Scope, others: dict[Scope, list[str]]) -> None:
    capabilities = Capabilities()
    capabilities.learn(["views"], scope, words)
    assert {other: capabilities.known(["views"], other) for other in others} == others


@pytest.mark.parametrize(
    ("answered", "whose", "named"),
    [
        ("likes", REELS, []),  # the list leaves out what Meta has answered, so it was cut
        ("likes", of(REELS, "b"), []),
        ("reach", REELS, ["follows"]),
        ("likes", DAYS, ["follows"]),  # accounts have a list of their own
    ],
)
def test_a_list_without_what_was_answered_tells_nothing(answered: str, whose: Scope, named: list[str]) -> None:
    capabilities = Capabilities()
    capabilities.trust([answered], whose)
    assert capabilities.learn(["reach", "follows"], FEED, NOT_LISTED % "views, reach")[0] == named


# -- Objects, accounts, all --------------------------------------------------------------------------------------------


def test_what_nobody_doubts_is_asked_together() -> None:
    assert Capabilities().plan(["views", "reach"], FEED) == (["views", "reach"], [], [])


@pytest.mark.parametrize("count", [1, 2])
def test_what_an_object_refused_is_asked_of_the_next_alone(count: int) -> None:
    capabilities = Capabilities()
    assert doubted(capabilities, "views", FEED, *map(str, range(count))) == [[]] * count
    assert [capabilities.plan(["views", "reach"], FEED) for _ in range(7)] == [(["reach"], ["views"], [])] * 7
    assert not capabilities.is_doubted("views", FEED)


def test_what_several_refused_is_asked_of_each_fifth() -> None:
    capabilities = Capabilities()
    assert doubted(capabilities, "views", FEED, "1", "2", "3", "4") == [[], [], ["views"], []], "it is told once"
    plans = [capabilities.plan(["views", "reach"], FEED) for _ in range(10)]
    assert [alone for _, alone, _ in plans] == [[], [], [], [], ["views"]] * 2
    assert [left_out for _, _, left_out in plans] == [["views"], ["views"], ["views"], ["views"], []] * 2
    assert {tuple(together) for together, _, _ in plans} == {("reach",)}


def test_an_object_that_says_it_twice_is_one() -> None:
    capabilities = Capabilities()
    assert doubted(capabilities, "views", FEED, *["1"] * 5) == [[]] * 5
    assert not capabilities.is_doubted("views", FEED)


@pytest.mark.parametrize("other", [REELS, of(FEED, "b"), STORY, FEED._replace(row=3)])
def test_several_objects_of_an_account_speak_for_no_other(other: Scope) -> None:
    capabilities = Capabilities()
    doubted(capabilities, "views", FEED, *"12345")
    assert capabilities.is_doubted("views", FEED)
    assert not capabilities.is_doubted("views", other)
    assert capabilities.plan(["views"], other) == (["views"], [], [])


def test_objects_of_several_accounts_speak_for_all() -> None:
    capabilities = Capabilities()
    believed = [capabilities.doubt(["views"], of(FEED, account), "1") for account in "abc"]
    assert believed == [[], [], ["views"]]
    assert capabilities.plan(["views"], of(FEED, "d")) == ([], [], ["views"]), "who was never asked"
    assert capabilities.plan(["views"], REELS) == (["views"], [], [])


@pytest.mark.parametrize("scope", [NOBODY, Scope("accounts")])
def test_what_is_about_the_token_takes_as_many_to_be_believed(scope: Scope) -> None:
    capabilities = Capabilities()
    assert doubted(capabilities, "followers_count", scope, "1", "2", "3") == [[], [], ["followers_count"]]


def test_an_account_that_has_it_speaks_against_all_but_not_against_another_account() -> None:
    capabilities = Capabilities()
    capabilities.trust(["views"], of(FEED, "d"))
    assert [capabilities.doubt(["views"], of(FEED, account), "1") for account in "abc"] == [[]] * 3
    assert not capabilities.is_doubted("views", of(FEED, "e"))
    assert doubted(capabilities, "views", FEED, "2", "3") == [[], ["views"]]
    assert capabilities.is_doubted("views", FEED)


def test_one_that_has_it_ends_the_doubt() -> None:
    capabilities = Capabilities()
    doubted(capabilities, "views", FEED, *"123")
    capabilities.trust(["views"], FEED)
    assert capabilities.is_trusted("views", FEED)
    assert not capabilities.is_trusted("views", of(FEED, "b"))
    assert not capabilities.is_doubted("views", FEED)
    assert capabilities.plan(["views"], FEED) == (["views"], [], [])
    assert doubted(capabilities, "views", FEED, "1", "2", "3") == [[], [], ["views"]], "counted from the beginning"


@pytest.mark.parametrize(("count", "is_open"), [(0, False), (1, True), (2, True), (3, False), (4, False)])
def test_a_question_is_open_while_few_have_answered_it(count: int, is_open: bool) -> None:  # noqa: FBT001
    capabilities = Capabilities()
    doubted(capabilities, "views", FEED, *map(str, range(count)))
    assert capabilities.is_open(["reach", "views"], FEED) is is_open
    assert capabilities.is_open(["reach"], FEED) is False
    capabilities.trust(["views"], FEED)
    assert capabilities.is_open(["views"], FEED) is False


# -- Pages -------------------------------------------------------------------------------------------------------------


def test_a_limit_never_goes_up() -> None:
    sizes = PageSizes()
    assert sizes.limit("media") is None
    assert [sizes.lower("media", limit) for limit in (50, 80, 25, 100)] == [50, 50, 25, 25]
    assert (sizes.limit("media"), sizes.limit("tags")) == (25, None)


def test_a_page_that_came_once_it_was_smaller_is_believed_the_second_time() -> None:
    sizes = PageSizes()
    sizes.shrunk("media", 25, again=False)
    assert (sizes.was_shrunk("media"), sizes.was_shrunk("tags")) == (True, False)
    assert sizes.limit("media") is None
    sizes.shrunk("media", 6, again=True)
    assert sizes.limit("media") == 6


# -- Names in words and parameters -------------------------------------------------------------------------------------

OURS = ["likes", "comments", "follows", "total_views", "views"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("(#200) total_views not available", ["total_views"]),
        ("(#100) Incompatible metrics (follows) with single post media", ["follows"]),
        ("(#100) Incompatible breakdowns (follow_type) for metric (views)", ["views"]),
        ("(#100) (follows, likes) metrics only support the last 30 days", ["likes", "follows"]),
        ("Starting from version v22.0, the views metric is no longer supported", ["views"]),
        (NOT_THE_PRODUCT % "follows, views", ["follows", "views"]),
        ("The comments of this media are turned off", []),
        ("This person likes nobody", []),
        ("the reach metric is not available", []),
        ("total_views2 and grand_total_views are not available", []),
        ("", []),
    ],
)
def test_words_name_metrics_where_they_can_mean_nothing_else(words: str, named: list[str]) -> None:
    assert named_in(OURS, words) == named


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ("", set()),
        ("id", {"id"}),
        ("id,children{id,ig_id}", {"id", "children", ".id", ".ig_id"}),
        ("id,children{ig_id},owner{name}", {"id", "children", ".ig_id", "owner", ".name"}),
    ],
)
def test_names_in_lists_within_have_a_dot(fields: str, names: set[str]) -> None:
    assert names_in(fields) == names


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({".ig_id"}, "id,ig_id,children{id},alt_text"),
        ({"ig_id"}, "id,children{id},alt_text"),
        ({".ig_id", "alt_text"}, "id,ig_id,children{id}"),
        ({"children"}, "id,ig_id,alt_text"),
        ({".alt_text", "ig"}, "id,ig_id,children{id,ig_id},alt_text"),
    ],
)
def test_a_name_with_a_dot_goes_from_the_lists_within_alone(names: set[str], kept: str) -> None:
    assert without("id,ig_id,children{id,ig_id},alt_text", names) == kept


# -- Threads -----------------------------------------------------------------------------------------------------------


def test_threads_that_doubt_at_once_are_told_once_that_it_is_believed() -> None:
    capabilities, rounds = Capabilities(), 30

    def work(number: int) -> list[Any]:
        return [name for at in range(rounds) for name in capabilities.doubt([f"metric {at}"], FEED, str(number))]

    assert sorted(name for told in at_once(work) for name in told) == sorted(f"metric {at}" for at in range(rounds))


def test_of_all_threads_together_each_fifth_object_is_asked() -> None:
    capabilities, rounds = Capabilities(), 50
    doubted(capabilities, "views", FEED, *"123")

    def work(_: int) -> int:
        return sum(bool(capabilities.plan(["views"], FEED)[1]) for _ in range(rounds))

    assert sum(at_once(work)) == 8 * rounds // 5
