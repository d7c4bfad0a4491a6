"""Comments come with the pages of media: how large these are, what is asked for singly, and what trouble costs."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from harness import Connector, Outcome, asked
from law import Spec, Trial
from oracle import Oracle, keyed
from test_attack_second import edit

from sandbox import Sandbox
from sandbox.nodes import Media
from source_instagram.answers import Verdict
from source_instagram.calls import GraphCall
from source_instagram.comments import Shortfall, Shortfalls, comments_of, cut_replies, is_cut

CODE_1 = {"code": 1, "message": "An unknown error has occurred."}
HTTP_500 = {"code": 7, "message": "Oops"}
TOO_MUCH = {"code": 1, "message": "Please reduce the amount of data you're asking for, then retry your request"}
ODD = {"code": 7777, "message": "Something new"}
FORBIDDEN = {"code": 10, "message": "(#10) Application does not have permission for this action"}
REFUSED = Verdict("retry", "refused")
IDS = itertools.count()
TRIED = 3  # media of an account that are asked singly for what Meta counts beyond their list


def of(box: Sandbox, *, media: int, accounts: int = 1, **options: Any) -> list[Media]:
    """A world of its own, and the media of its first account."""
    box.reset(accounts=accounts, portfolio_accounts=0, media=media, albums=0, **options)
    box.set_now(box.world.now())
    return box.world.media(box.world.accounts[0])


def pages(box: Sandbox, account: int = 0) -> list[int]:
    """How many media each page was to bring with their comments; those without comments are negative."""
    path = f"{box.world.accounts[account].id}/media"
    found = [params for asked_path, params in asked(box.requests) if asked_path == path]
    return [int(each["limit"]) * (1 if "comments.limit" in each["fields"] else -1) for each in found]


def singly(box: Sandbox) -> list[str]:
    """The media whose comments were asked for by themselves, each once."""
    paths = (path.partition("/") for path, _ in asked(box.requests))
    return list(dict.fromkeys(media for media, _, edge in paths if edge == "comments"))


def is_all_there(box: Sandbox, outcome: Outcome, **login: bool) -> bool:
    assert outcome.statuses == {"comments": "COMPLETE"}
    expected = Oracle(box.world, **login).records("comments")
    return keyed("comments", outcome.records["comments"]) == keyed("comments", expected)


def fits(media: Media, box: Sandbox) -> bool:
    comments = box.world.comments(media)
    return len(comments) < 25 and all(len(comment.replies) < 10 for comment in comments)


# -- What it costs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_media_bring_their_comments_along(box: Sandbox, connector: Connector, login: str) -> None:
    posts = of(box, media=200)
    outcome = connector.read("comments", login_type=login)
    assert is_all_there(box, outcome, instagram=login == "instagram")
    assert len({record["media_id"] for record in outcome.records["comments"]}) > 100
    assert pages(box) == [10, 25, 50, 50, 50, 50]
    popular = [post.id for post in posts if not fits(post, box)]
    assert len(popular) == 1
    assert len(singly(box)) <= TRIED + len(popular) + 1  # one of them again, to see whether comments are still shown


def test_130_comments_and_60_replies_come_whole(box: Sandbox, connector: Connector) -> None:
    posts = of(box, media=8)
    outcome = connector.read("comments")
    assert is_all_there(box, outcome)
    popular = posts[3]
    came = [record for record in outcome.records["comments"] if record["media_id"] == popular.id]
    assert len(came) == 130 + 60 + 1 + 30 + 2
    calls = [path for path, _ in asked(box.requests)]
    assert calls.count(f"{popular.id}/comments") == 3, "pages of 50"


def test_a_list_that_goes_on_is_continued_not_begun_again(box: Sandbox, connector: Connector) -> None:
    posts = of(box, media=8)
    for comment in box.world.comments(posts[3]):
        del comment.replies[9:]
    popular = posts[3]
    popular.values["comments_count"] = 130 + sum(len(comment.replies) for comment in box.world.comments(popular))
    assert is_all_there(box, connector.read("comments"))
    calls = [params for path, params in asked(box.requests) if path == f"{popular.id}/comments"]
    assert ["after" in params for params in calls] == [True, True, True], "25 came along, then 50, 50 and 5"
    assert {params["limit"] for params in calls} == {"50"}


def test_an_incremental_sync_lists_no_more_than_what_is_young(box: Sandbox, connector: Connector) -> None:
    of(box, media=60)
    first = connector.read("comments", incremental=True)
    box.reset()
    second = connector.read("comments", incremental=True, state=first, media_lookback_days=30)
    listed = [params for path, params in asked(box.requests) if path.endswith("/media")]
    assert listed
    assert all("since" in params and "comments.limit" in params["fields"] for params in listed)
    young = {record["media_id"] for record in second.records["comments"]}
    assert 0 < len(young) < len({record["media_id"] for record in first.records["comments"]})


# -- Pages that are too much -------------------------------------------------------------------------------------------


def test_a_page_that_meta_calls_too_much_goes_again_with_less_for_good(box: Sandbox, connector: Connector) -> None:
    of(box, media=60)
    box.add_fault(path=r"/media\?.*limit=(25|50)&", error=TOO_MUCH)
    assert is_all_there(box, connector.read("comments"))
    assert pages(box) == [10, 25, 10, 10, 10, 10, 10]


@pytest.mark.parametrize("envelope", [CODE_1, HTTP_500, {"code": 1, "message": "", "is_transient": True}])
def test_a_page_refused_like_an_outage_is_believed_after_several(
    box: Sandbox, connector: Connector, envelope: Spec
) -> None:
    of(box, media=60)
    box.add_fault(path=r"/media\?.*limit=(25|50)&", error=envelope, status=500)
    assert is_all_there(box, connector.read("comments"))
    assert pages(box) == [10, 25, 10, 25, 10, 25, 10, 10, 10]


def test_a_passing_fault_leaves_no_trace(box: Sandbox, connector: Connector) -> None:
    of(box, media=200)
    box.add_fault(path=r"/media\?.*limit=50&", error=CODE_1, times=1)
    assert is_all_there(box, connector.read("comments"))
    assert pages(box) == [10, 25, 50, 25, 50, 50, 50]


def test_what_is_too_much_for_one_account_is_tried_with_others(box: Sandbox, connector: Connector) -> None:
    of(box, media=60, accounts=2)
    box.add_fault(path=r"/media\?.*limit=(10|25)&", error=TOO_MUCH, account=box.world.accounts[0].id)
    assert is_all_there(box, connector.read("comments"))
    assert pages(box) == [10, *[5] * 12]
    assert pages(box, 1) == [10, 25, 50]


def test_an_account_whose_smallest_page_is_too_much_is_read_media_by_media(box: Sandbox, connector: Connector) -> None:
    posts = of(box, media=60)
    box.add_fault(path=r"/media\?.*comments\.limit", error=CODE_1)
    assert is_all_there(box, connector.read("comments"))
    smaller = [10, 5, 2, 1]
    assert pages(box) == [*smaller, -1, *smaller, -1, *smaller, -100]
    assert {post.id for post in posts if box.world.comments(post)} <= {*singly(box)}


@pytest.mark.parametrize("envelope", [None, FORBIDDEN, ODD])
def test_where_nothing_may_be_nested_media_are_asked_one_by_one(
    box: Sandbox, connector: Connector, envelope: Spec | None
) -> None:
    posts = of(box, media=200, accounts=2)
    box.add_fault(refuse_field="comments", account=box.world.accounts[0].id, error=envelope)
    assert is_all_there(box, connector.read("comments"))
    assert pages(box) == [10, -10, 10, -10, 10, -100, -100]
    assert {post.id for post in posts if box.world.comments(post)} <= {*singly(box)}
    assert pages(box, 1) == [10, 25, 50, 50, 50, 50], "the other account is another matter"


# -- One odd media -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("envelope", "most"),
    [(CODE_1, 1), (HTTP_500, 1), (None, 10), (ODD, 10), ({"code": 2, "message": "", "is_transient": True}, 10)],
)
def test_an_odd_media_costs_others_nothing(
    box: Sandbox, connector: Connector, envelope: Spec | None, most: int
) -> None:
    posts = of(box, media=400)
    usual = len(singly(read(box, connector)))
    box.reset()
    status = 500 if envelope in (CODE_1, HTTP_500) else None
    box.add_fault(refuse_field="comments", node=posts[7].id, error=envelope, status=status)
    assert is_all_there(box, connector.read("comments"))
    assert posts[7].id in singly(box)
    assert len(singly(box)) <= usual + most
    assert pages(box)[-4:] == [50] * 4, "afterwards pages are as large as before"


def read(box: Sandbox, connector: Connector) -> Sandbox:
    assert is_all_there(box, connector.read("comments"))
    return box


def test_an_odd_media_that_is_refused_singly_too_is_missing_alone(box: Sandbox) -> None:
    posts = of(box, media=60, days=14)
    odd = posts[6]
    tried = Trial(box, ("comments",)).run(
        {"refuse_field": "comments", "node": odd.id, "error": CODE_1},
        {"path": f"/{odd.id}/comments", "error": CODE_1},
        calm=60,
    )
    assert tried.broken == []
    assert tried.outcome.statuses == {"comments": "INCOMPLETE"}
    media = {record["media_id"] for record in tried.outcome.records["comments"]}
    assert media == {post.id for post in posts if box.world.comments(post)} - {odd.id}


@pytest.mark.parametrize("name", ["hidden", "like_count"])
def test_a_field_that_meta_no_longer_has_is_left_out_of_pages_too(
    box: Sandbox, connector: Connector, name: str
) -> None:
    of(box, media=200)
    path = rf"/(media|comments|replies)\?.*[{{,=]{name}\b"
    box.add_fault(path=path, error={"code": 100, "message": f"(#100) Tried accessing nonexisting field ({name})"})
    outcome = connector.read("comments")
    assert outcome.statuses == {"comments": "COMPLETE"}
    assert all(record.get(name) is None for record in outcome.records["comments"])
    assert len(outcome.records["comments"]) == len(Oracle(box.world).records("comments"))
    # The calls for the first 50 media meet it while further pages are listed.
    assert pages(box)[:6] == [10, -10] * 3, pages(box)
    assert pages(box).count(-10) < 10, pages(box)
    assert pages(box)[-1] == 50, "what single calls have met, pages need not meet"


@pytest.mark.parametrize(
    "change", [{"data.0.comments": "x"}, {"data.0.comments": {"data": [None]}}, {"data.0.comments.data.0.id": None}]
)
def test_nested_comments_of_an_unknown_shape_are_asked_for_singly(box: Sandbox, change: Spec) -> None:
    of(box, media=30, days=14)
    tried = Trial(box, ("comments",), most=20).run(edit(r"/media\?.*comments\.limit", set=change))
    assert tried.fired[0]
    assert tried.broken == []


# -- What Meta counts, and what it shows -------------------------------------------------------------------------------


def test_hidden_comments_are_asked_for_a_few_times(box: Sandbox, connector: Connector) -> None:
    posts = of(box, media=200)
    short = [post.id for post in posts if counts_more(post, box) and fits(post, box)]
    assert len(short) > 10 * TRIED
    outcome = connector.read("comments")
    assert is_all_there(box, outcome)
    assert {*short[:TRIED]} <= {*singly(box)}
    assert len({*short[TRIED:]} & {*singly(box)}) <= 1  # to see whether comments are still shown
    told = [line for line in outcome.log("INFO") if "It was not asked for more" in line]
    assert all(any(media in line for line in told) for media in {*short} - {*singly(box)}), "each is named"


def counts_more(media: Media, box: Sandbox) -> bool:
    comments = box.world.comments(media)
    return media.values["comments_count"] > len(comments) + sum(len(comment.replies) for comment in comments)


def test_a_missing_permission_is_met_by_a_few_calls(box: Sandbox, connector: Connector) -> None:
    posts = of(box, media=200, accounts=2)
    first = box.world.accounts[0]
    box.add_fault(forbid_account=first.id, permission="instagram_manage_comments")
    outcome = connector.read("comments")
    assert len({*singly(box)} & {post.id for post in posts}) == TRIED
    assert {record["business_account_id"] for record in outcome.records["comments"]} == {box.world.accounts[1].id}
    warnings = [line for line in outcome.log("WARN") if "instagram_manage_comments" in line and first.id in line]
    assert len(warnings) == 1


@pytest.mark.parametrize("most", [1, 2, 3, 5, 24])
def test_lists_that_are_cut_without_a_word_are_found(box: Sandbox, most: int) -> None:
    of(box, media=60, comments=4, nested_max=most)
    assert is_all_there(box, Connector(box).read("comments"))


def test_a_list_that_is_left_out_is_found_by_its_count(box: Sandbox, connector: Connector) -> None:
    posts = of(box, media=60)
    box.add_fault(kind="edit", path=r"/media\?", remove="data.*.comments", times=2)
    assert is_all_there(box, connector.read("comments"))
    assert {post.id for post in posts[:35] if box.world.comments(post)} <= {*singly(box)}


@pytest.mark.parametrize("count", [0, 1])
def test_comments_come_whatever_their_count_is(box: Sandbox, connector: Connector, count: int) -> None:
    posts = of(box, media=60)
    for post in posts:
        post.values["comments_count"] = count
    assert is_all_there(box, connector.read("comments"))
    assert len(singly(box)) <= TRIED + 2


def test_comments_that_are_no_longer_shown_are_missing(box: Sandbox) -> None:
    of(box, media=400, days=14)
    gone = (
        edit(r"/media\?.*after=", remove="data.*.comments", skip=2),
        {"path": r"/179\d+/comments", "kind": "shape", "body": {"data": []}},
    )
    tried = Trial(box, ("comments",)).run(*gone, calm=60)
    assert min(tried.fired) > 0
    assert tried.broken == []
    assert tried.outcome.statuses == {"comments": "INCOMPLETE"}


# -- The parts ---------------------------------------------------------------------------------------------------------


def media(*replies: int, count: int | None = None) -> Spec:
    """A media of a page, with comments that have so many replies."""
    comments = [
        {"id": f"c{at}", "replies": {"data": [{"id": f"c{at}r{n}"} for n in range(each)]}}
        for at, each in enumerate(replies)
    ]
    return {"id": f"m{next(IDS)}", "comments_count": count, "comments": {"data": comments}}


def answered(one: Spec, more: Sequence[str] = ()) -> list[GraphCall]:
    return [GraphCall("m/comments", answer={"data": [*one["comments"]["data"], *({"id": each} for each in more)]})]


def asked_first(*given: list[GraphCall]) -> Shortfall:
    """Of media that were asked first, one by one."""
    shortfall = Shortfall()
    shortfall.see(media(3, 1, 0)["comments"]["data"])
    for calls in given:
        assert shortfall.is_worth(media(1, 0), calls)
    return shortfall


def test_a_shortfall_is_worth_calls_until_several_gave_nothing() -> None:
    one = media(1, 0)
    vain = asked_first(*[answered(one)] * 3)
    assert not vain.is_worth(media(1, 0), [])
    worth = asked_first(answered(one), answered(one, ["new"]), answered(one))
    assert worth.is_worth(media(1, 0), [])
    refused = asked_first(answered(one), [GraphCall("m/comments", verdict=REFUSED)], answered(one))
    assert refused.is_worth(media(1, 0), []), "a refusal shows nothing"


def test_lists_as_long_as_the_longest_are_asked_as_well() -> None:
    vain = asked_first(*[answered(media(1, 0))] * 3)
    assert [vain.is_worth(each, answered(each)) for each in (media(2, 2), media(0, 0, 0), media(3), media())] == [
        False, True, True, False,
    ]  # fmt: skip
    assert vain.is_worth(media(3), answered(media(3)))
    assert not vain.is_worth(media(3), []), "three of these gave no more, either"
    vain.see(media(4)["comments"]["data"])
    assert vain.is_worth(media(4), []), "now another is the longest"


def test_what_several_accounts_show_is_tried_once_in_each_further_one() -> None:
    shortfalls = Shortfalls()

    def tried(account: str, *more: str) -> int:
        """How many media of an account are asked, of which one gives more."""
        asked = 0
        for number in range(6):
            one, calls = media(1, 0), []
            asked += shortfalls[account].is_worth(one, calls)
            calls += [*answered(one), *answered(one, more if not number else ())]
        shortfalls[account].is_worth(media(1, 0), [])
        return asked

    assert [tried(account) for account in "abcde"] == [3, 3, 3, 1, 1]
    assert tried("f", "new") == 6, "one gave more"
    assert tried("g") == 3, "which may be so in others, too"


def test_others_wait_while_the_first_are_under_way() -> None:
    first = [(media(1), [GraphCall("m/comments")]) for _ in range(3)]
    shortfall = asked_first()
    assert all(shortfall.is_worth(*each) for each in first)
    assert not shortfall.is_worth(media(1), [])
    assert all(shortfall.is_worth(*each) for each in first), "what is asked goes on"
    first[0][1][0].answer = {"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}
    assert shortfall.is_worth(media(1), [])


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, False),
        ({"data": [{"id": "1"}]}, False),
        ({"data": [{"id": "1"}, {"id": "2"}]}, True),
        ({"data": [], "paging": {"next": "https://…"}}, True),
        ({"data": [], "paging": {"cursors": {"after": "x"}}}, False),
    ],
)
def test_a_list_may_go_on_where_it_is_full_or_says_so(listed: Spec | None, expected: bool) -> None:  # noqa: FBT001
    assert is_cut(listed, 2) is expected


def test_replies_are_asked_for_once() -> None:
    one = media(1, 0)
    del one["comments"]["data"][1]["replies"]
    first, again = answered(one)[0], answered(one)[0]
    first.params = again.params = {"fields": "id,replies.limit(50){id}"}
    assert [call.path for call in cut_replies([first, again])] == ["c0/replies"]
    assert cut_replies([first, GraphCall("c0/replies")]) == []


def test_replies_name_their_comment() -> None:
    comments = [{"id": "1", "text": "nice", "replies": {"data": [{"id": "2", "text": "thanks"}]}}, {"id": "3"}]
    calls = [
        GraphCall("179/comments", answer={"data": comments}),
        GraphCall("1/replies", answer={"data": [{"id": "4", "parent_id": "1"}, {"id": "5"}]}),
        GraphCall("180/comments"),
    ]
    assert [(comment["id"], comment["parent_id"]) for comment in comments_of(calls)] == [
        ("1", None), ("2", "1"), ("3", None), ("4", "1"), ("5", "1"),
    ]  # fmt: skip
