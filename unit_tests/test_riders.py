"""Calls that travel in the main call of their object: what a media costs, and that a refusal costs what it is about."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
from engine import UNKNOWN, Meta, data, error, session
from harness import Connector, serving
from oracle import Oracle, keyed

from sandbox import Sandbox
from source_instagram.calls import GraphCall
from source_instagram.planning import Plan

PARTS = {"CALL": "calls", "TEXT": "texts"}
ROWS: list[dict[str, Any]] = [
    {"metrics": ["views", "reach"]},
    {"metrics": ["activity"], "breakdown": "action_type", "as": PARTS, "total_first": True},
    {"metrics": ["facebook_views"], "optional": True},
    {"metrics": ["total_likes", "total_views"], "optional": True},
]
NOT_ON_FACEBOOK = error(-1, "Fatal", error_subcode=2207086)
OF_A_TYPE = error(-1, "Fatal", error_subcode=2207073)


def metrics_of(call: GraphCall) -> list[str]:
    return parse_qs(call.url.partition("?")[2])["metric"][0].split(",")


def asked_of(meta: Meta, media: str = "m0") -> list[str]:
    """What was asked of a media, in short: the metrics, with a slash and the breakdown."""
    urls = (url.partition("?") for url in meta.asked if url.startswith(f"{media}/"))
    queries = [parse_qs(query) for _, _, query in urls]
    return ["/".join(query["metric"] + query.get("breakdown", [])) for query in queries]


def read(answer: Callable[[GraphCall], Any], count: int = 1, **options: Any) -> tuple[Meta, list[list[GraphCall]]]:
    """Ask for some media by a plan; `answer` may leave a call to `told`."""
    meta, here = Meta(lambda call: answer(call) or told(call)), session()
    plan = Plan("media_insights", ROWS, "facebook", options.get("selected", list))
    each = [list(plan.calls({"id": f"m{at}", "media_product_type": "FEED"}, "a", f"m{at}", {})) for at in range(count)]
    with ThreadPoolExecutor(1) as pool:
        for calls in each:
            here.executor.finish(pool, here.executor.start(pool, calls, meta.client()), meta.client())
    return meta, each


def told(call: GraphCall, total: int = 0) -> dict[str, Any]:
    """A good answer."""
    items = data(*metrics_of(call))["data"]
    for item in items:
        if item["name"] == "activity":
            item |= {"values": [{"value": total}]}
    return {"data": items}


def names(calls: list[GraphCall]) -> list[str]:
    return [item["name"] for call in calls for item in call.items]


def refusing(metric: str, refusal: dict[str, Any]) -> Callable[[GraphCall], Any]:
    return lambda call: refusal if metric in metrics_of(call) else None


ALL = "views,reach,activity,facebook_views,total_likes,total_views"


def test_an_object_is_one_call_and_each_row_has_its_own_answer() -> None:
    meta, (calls,) = read(lambda _: None)
    assert asked_of(meta) == [ALL]
    assert [names([call]) for call in calls] == [
        ["views", "reach"], ["activity"], ["facebook_views"], ["total_likes", "total_views"],
    ]  # fmt: skip


# Where nothing tells what is refused, each is asked for itself: what Meta has is not lost.
APART = [ALL, "views,reach", "activity/action_type", "facebook_views", "total_likes,total_views"]


@pytest.mark.parametrize(
    ("metric", "refusal", "asked"),
    [
        ("facebook_views", NOT_ON_FACEBOOK, [ALL, ALL.replace(",facebook_views", "")]),
        ("total_views", error(200, "(#200) total_views not available"), [ALL, ALL.replace(",total_views", "")]),
        ("total_views", OF_A_TYPE, [*APART, "total_likes", "total_views"]),
        ("facebook_views", error(100, "Invalid parameter"), APART),
    ],
)
def test_a_refusal_costs_what_it_is_about(metric: str, refusal: dict[str, Any], asked: list[str]) -> None:
    meta, (calls,) = read(refusing(metric, refusal))
    assert asked_of(meta) == asked
    assert set(names(calls)) == set(ALL.split(",")) - {metric}
    assert calls[0].outcome is None


def test_what_is_true_of_the_object_is_asked_once() -> None:
    meta, (calls,) = read(lambda _: error(100, "old", error_subcode=2108006))
    assert asked_of(meta) == [ALL]
    assert {call.outcome and call.outcome.then for call in calls} == {"before_conversion"}


def test_a_main_call_that_is_refused_itself_ends_all() -> None:
    meta, (calls,) = read(refusing("views", error(10, "no permission")))
    assert asked_of(meta)[:2] == [ALL, "views,reach"]
    assert len(asked_of(meta)) == 2
    assert {call.outcome and call.outcome.then for call in calls} == {"fail_account"}


def test_what_breaks_its_carrier_goes_alone() -> None:
    meta, (calls,) = read(refusing("facebook_views", error(1, UNKNOWN)))
    assert asked_of(meta)[:3] == [ALL, ALL, "views,reach"]
    assert set(names(calls)) == set(ALL.split(",")) - {"facebook_views"}


@pytest.mark.parametrize(("total", "asked"), [(0, [ALL]), (7, [ALL, "activity/action_type"])])
def test_a_breakdown_is_asked_where_its_total_is_not_0(total: int, asked: list[str]) -> None:
    meta, (calls,) = read(lambda call: told(call, total))
    assert asked_of(meta) == asked
    assert names(calls[1:2]) == ["activity"]


def test_a_breakdown_that_meta_refuses_leaves_its_total() -> None:
    meta, (calls,) = read(lambda call: error(100, "no") if "breakdown" in call.params else told(call, 7))
    assert asked_of(meta)[:2] == [ALL, "activity/action_type"]
    assert [item["values"] for item in calls[1].before] == [[{"value": 7}]]
    assert calls[1].outcome


def test_a_total_that_meta_leaves_out_is_asked_by_its_parts() -> None:
    def without_total(call: GraphCall) -> Any:
        items = [item for item in told(call)["data"] if item["name"] != "activity"]
        return None if "breakdown" in call.params else {"data": items}

    meta, (calls,) = read(without_total)
    assert asked_of(meta) == [ALL, "activity/action_type"]
    assert names(calls[1:2]) == ["activity"]


def test_a_breakdown_of_which_no_part_is_selected_is_not_asked() -> None:
    unselected = set(PARTS.values())
    meta, _ = read(lambda call: told(call, 7), selected=lambda columns: [c for c in columns if c not in unselected])
    assert asked_of(meta) == [ALL]


def test_what_many_in_a_row_lack_is_asked_of_each_fifth_until_one_has_it() -> None:
    def lacks(call: GraphCall) -> Any:
        has = int(call.path.partition("/")[0][1:]) >= 60
        return NOT_ON_FACEBOOK if "facebook_views" in metrics_of(call) and not has else None

    meta, each = read(lacks, 80)
    asked = [at for at in range(80) if "facebook_views" in asked_of(meta, f"m{at}")[0]]
    assert asked[:10] == list(range(10))
    assert set(asked[10:]) >= {*range(65, 80)}, "one has it: all are asked again"
    assert len([at for at in asked if 10 <= at < 60]) == 10
    assert [calls[2].left_out for calls in each[10:14]] == [["facebook_views"]] * 4
    assert max(len(asked_of(meta, f"m{at}")) for at in range(80)) == 2


# -- Whole syncs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with serving(accounts=1, portfolio_accounts=0, media=120, albums=30, children=2, stories=12, days=300) as box:
        yield box


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_a_media_costs_a_call_and_one_that_is_not_on_facebook_two(box: Sandbox, login: str) -> None:
    box.reset()
    outcome = Connector(box).read("media_insights", login_type=login)
    world = keyed("media_insights", Oracle(box.world, instagram=login == "instagram").records("media_insights"))
    assert keyed("media_insights", outcome.records["media_insights"]) == world
    calls = Counter[str]()
    for request in box.requests:
        urls = [item["relative_url"] for item in request.get("items", [])] or [f"{request['path']}?{request['params']}"]
        calls.update(url.partition("/insights")[0].rpartition("/")[2] for url in urls if "/insights" in url)
    (account,) = box.world.accounts
    for media in box.world.media(account):
        if media.before_conversion:
            assert calls[media.id] <= 1
            continue
        activity = world[(media.id,)].get("profile_activity")
        assert calls[media.id] <= 1 + (not media.on_facebook) + bool(activity), media.id


def test_an_account_that_never_cross_posts_is_asked_now_and_then(box: Sandbox) -> None:
    box.reset()
    for media in box.world.media(box.world.accounts[0]):
        media.on_facebook = False
    outcome = Connector(box).read("media_insights", num_workers=1)
    expected = Oracle(box.world).records("media_insights")
    for record in expected:
        record |= {"facebook_views": None, "crossposted_views": None}
    assert keyed("media_insights", outcome.records["media_insights"]) == keyed("media_insights", expected)
    lines = outcome.log("INFO")
    assert [line for line in lines if "asked of each fifth" in line]
    assert [line for line in lines if "facebook_views was not asked of" in line]
