"""Who selects only columns that all media have gets them with the list: a call for 50 media in place of 50."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from engine import Meta, error, session
from harness import SCHEMAS, Connector, Outcome, asked, serving
from oracle import Oracle, Record, keyed

from sandbox import Sandbox
from source_instagram.calls import GraphCall, Scope
from source_instagram.expansion import ExpandedPages

COMMON = ["views", "reach", "likes", "comments", "saved", "shares", "total_interactions", "reposts"]
ALWAYS = ["id", "business_account_id", "page_id", "timestamp", "media_type", "media_product_type"]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with serving(accounts=2, portfolio_accounts=0, media=120, albums=20, children=2, days=300) as box:
        yield box


def read(box: Sandbox, *columns: str, **options: Any) -> Outcome:
    unselected = [name for name in SCHEMAS["media_insights"]["properties"] if name not in (*columns, *ALWAYS)]
    return Connector(box).read("media_insights", without=unselected, **options)


def expected(box: Sandbox, *columns: str, **options: Any) -> dict[Any, Record]:
    records = Oracle(box.world, **options).records("media_insights")
    return keyed("media_insights", [{k: v for k, v in each.items() if k in (*columns, *ALWAYS)} for each in records])


def came(outcome: Outcome) -> dict[Any, Record]:
    assert outcome.statuses == {"media_insights": "COMPLETE"}
    return keyed("media_insights", outcome.records["media_insights"])


def singly(box: Sandbox) -> int:
    """The calls for single media."""
    return sum("/insights" in path for path, _ in asked(box.requests))


def old(box: Sandbox) -> int:
    return sum(media.before_conversion for account in box.world.accounts for media in box.world.media(account))


@pytest.mark.parametrize("login", ["facebook", "instagram"])
@pytest.mark.parametrize("columns", [COMMON, ["reach"], ["views", "shares"]])
def test_columns_that_all_media_have_come_with_the_list(box: Sandbox, login: str, columns: list[str]) -> None:
    box.reset()
    outcome = read(box, *columns, login_type=login)
    assert came(outcome) == expected(box, *columns, instagram=login == "instagram")
    lists = [params for path, params in asked(box.requests) if path.endswith("/media")]
    assert all("limit" in params for params in lists)
    # The last page of each account has media from before the conversion, which refuse it as a whole.
    assert 0 < old(box) <= singly(box) <= 2 * 20 + 2


def test_a_column_of_one_product_type_is_asked_as_ever(box: Sandbox) -> None:
    box.reset()
    columns = [*COMMON, "follows"]
    assert came(read(box, *columns)) == expected(box, *columns)
    assert singly(box) >= 240


@pytest.mark.parametrize(
    "fault",
    [
        {"error": {"code": 100, "message": "(#100) Invalid parameter"}},
        {
            "error": {
                "code": 1,
                "message": "Please reduce the amount of data you're asking for, then retry your request",
            }
        },
        {"error": {"code": 1, "message": "An unknown error occurred"}},
        {"error": {"code": 10, "message": "(#10) Application does not have permission for this action"}},
        {"kind": "html", "status": 500},
        {"kind": "edit", "remove": "data.*.insights"},
        {"kind": "edit", "set": {"data.*.insights": {"data": []}}},
        {"kind": "edit", "remove": "data.3.insights"},
        {"kind": "edit", "remove": "data.*.insights.data.0"},
    ],
)
@pytest.mark.parametrize("times", [1, None])
def test_a_page_that_does_not_bring_them_falls_apart(box: Sandbox, fault: dict[str, Any], times: int | None) -> None:
    box.reset()
    hit = box.add_fault(path=r"/media\?.*insights\.metric", times=times, **fault)
    assert came(read(box, *COMMON)) == expected(box, *COMMON)
    assert hit.fired


def test_a_retired_metric_costs_its_column_only(box: Sandbox) -> None:
    box.reset()
    box.add_fault(retire_metric="reposts", level="media", message="named")
    others = [name for name in COMMON if name != "reposts"]
    assert came(read(box, *COMMON)) == expected(box, *others)
    fields = [params["fields"] for path, params in asked(box.requests) if path.endswith("/media")]
    assert "reposts" in fields[0]
    assert [each for each in fields if "insights.metric(" in each and "reposts" not in each], "later ones do without"


# -- The first page ----------------------------------------------------------------------------------------------------


def first_sizes(meta: Meta, accounts: str) -> list[int]:
    """How many media the first page of each account is asked for, when two are."""
    shared = session()
    pages = ExpandedPages(shared, [10, 25, 50], 10, lambda _: "comments.limit(25){id}")
    found = []
    for account in accounts:
        client = meta.client(account, "comments")
        meta.requests.clear()
        for after in ("", "x"):
            params = {"fields": "id", "limit": "100"} | ({"after": after} if after else {})
            pages.ask(GraphCall(f"{account}/media", params, scope=Scope("comments", account)), client)
        found.append(limit_of(meta.asked[0]))
    return found


def limit_of(url: str) -> int:
    return int(parse_qs(urlsplit(url).query)["limit"][0])


def page_of(url: str, most: int = 100) -> dict[str, Any]:
    return {"data": [{"id": str(number)} for number in range(min(limit_of(url), most))]}


def test_pages_that_several_accounts_were_given_are_where_others_begin() -> None:
    assert first_sizes(Meta(lambda call: page_of(call.url)), "abcde") == [10, 10, 10, 50, 50]


@pytest.mark.parametrize(("most", "sizes"), [(12, [10, 10, 10, 25, 25]), (10, [10, 10, 10, 25, 25]), (9, [10] * 5)])
def test_a_size_has_to_have_been_full_or_to_have_brought_more_than_the_one_below(most: int, sizes: list[int]) -> None:
    assert first_sizes(Meta(lambda call: page_of(call.url, most=most)), "abcde") == sizes


def test_after_a_page_that_was_too_much_others_begin_small() -> None:
    refused = error(1, "Please reduce the amount of data you're asking for, then retry your request")
    meta = Meta(lambda call: refused if call.path == "d/media" and limit_of(call.url) > 10 else page_of(call.url))
    assert first_sizes(meta, "abcdef") == [10, 10, 10, 50, 10, 10]
