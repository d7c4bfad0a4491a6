"""Calls that travel in the main call of their object, so that a media costs one call, until Meta refuses them.

Metrics that are only sometimes there may be asked together with those that always are. Meta answers such a call whole
or not at all: https://developers.facebook.com/documentation/instagram-platform/reference/instagram-media/insights
"""

from collections.abc import Iterator, Mapping
from typing import Any

from source_instagram.answers import Verdict
from source_instagram.calls import GraphCall
from source_instagram.capabilities import Capabilities, named_in
from source_instagram.records import total

# What Meta says of an object, and not of some of the metrics that it was asked for.
OF_OBJECT = ("before_conversion", "not_visible", "fail_sync", "unsign", "reduce_page")


def board(call: GraphCall, *, is_divided: bool) -> None:
    """Let a call travel in the main call of its object, if they ask for the same but for their metrics.

    Before: 179…/insights?metric=views,reach and 179…/insights?metric=facebook_views
    After:  179…/insights?metric=views,reach,facebook_views

    Of a breakdown the total travels; `is_divided` says whether its parts are wanted, too, where it is not 0.
    """
    main, is_total = call.control, bool(call.about.get("total_first"))
    params = {name: value for name, value in call.params.items() if not (is_total and name == "breakdown")}
    if main and (is_total or call.is_optional) and params == main.params:
        call.breakdown = call.params.get("breakdown", "") if is_divided else ""
        call.params, call.carrier = params, main
        main.riders.append(call)


def seat(call: GraphCall, metrics: Capabilities) -> None:
    """Choose the metrics of what travels in a call. What others refused in words that name none goes by itself."""
    for rider in list(call.riders):
        if any(metrics.is_dangerous(name, rider.scope) for name in rider.metrics):
            alight(call, rider)
            continue
        if not rider.is_planned:
            together, alone, rider.left_out = metrics.plan(rider.metrics, rider.scope)
            rider.metrics = [*together, *alone]
            rider.is_planned = True
        rider.metrics = metrics.known(rider.metrics, rider.scope)
        if not rider.metrics:
            call.riders.remove(rider)
            rider.answer = {"data": []}


def alight(call: GraphCall, rider: GraphCall, verdict: Verdict | None = None) -> None:
    """Take a call out; it waits for the end of the one that it travelled in, unless others make it for themselves.

    What is said of it beside another call must not count for those: of their own calls it may cost less than is told.
    """
    call.riders.remove(rider)
    if not rider.is_for_others:
        call.top.waiting.append((by_itself(rider), verdict))


def by_itself(rider: GraphCall) -> GraphCall:
    """What travelled in a call as it goes alone: a total with its parts."""
    if rider.breakdown:
        rider.params, rider.breakdown = rider.params | {"breakdown": rider.breakdown}, ""
    return rider


def shared_out(call: GraphCall, body: Any) -> Iterator[tuple[GraphCall, Any]]:
    """An answer, as the answers of the call itself and of all that travel in it.

    Before: {"data": [{"name": "views", …}, {"name": "facebook_views", …}]}
    After:  {"data": [{"name": "views", …}]} and {"data": [{"name": "facebook_views", …}]}

    A total that is not 0, or that Meta left out, is asked for its parts and has no answer yet.
    """
    if not (call.riders and isinstance(body, Mapping)):
        yield call, body
        return
    items = body.get("data") or []
    taken = {name: rider for rider in call.riders for name in rider.metrics}
    yield call, {**body, "data": [item for item in items if item.get("name") not in taken]}
    for rider in list(call.riders):
        own = [item for item in items if taken.get(str(item.get("name"))) is rider]
        if rider.breakdown and [total(item) for item in own] != [0]:
            rider.before = own
            alight(call, rider)
        else:
            yield rider, {"data": own}
    call.riders = []


def refused(call: GraphCall, verdict: Verdict) -> bool:
    """Take out those that a refusal may be about. Whether there were any, so that the call goes again without them.

    What the words or the rule name has its answer by that; where they name none, each asks for itself.

    Before: 179…/insights?metric=views,reach,facebook_views,total_views, and -1/2207086: not on Facebook
    After:  179…/insights?metric=views,reach,total_views
    """
    is_of_media = call.scope.family == "media" and verdict.then == "no_data" and not verdict.metrics
    if not call.riders or verdict.then in OF_OBJECT or is_of_media:
        return False
    if verdict.then == "retry":  # any call may break once
        for rider in list(call.riders) if call.attempts else ():
            alight(call, rider)
        return False
    named = {*verdict.metrics, *named_in([*call.metrics, *(n for r in call.riders for n in r.metrics)], verdict.words)}
    about = [rider for rider in call.riders if not named.isdisjoint(rider.metrics)]
    is_clear = bool(about) and named.isdisjoint(call.metrics)
    if not is_clear:  # the same was said before of some that are not in the call any more: it was not about them alone
        waiting = call.top.waiting
        waiting[:] = [(each, None if why and why.saying == verdict.saying else why) for each, why in waiting]
    for rider in about if is_clear else list(call.riders):
        alight(call, *(part_of(call, rider, named), verdict) if is_clear else (rider,))
    return True


def part_of(call: GraphCall, rider: GraphCall, named: set[str]) -> GraphCall:
    """The part of what travels in a call that is refused; the rest of it travels on."""
    rest = [name for name in rider.metrics if name not in named]
    if not rest:
        return rider
    part, other = rider.split([[name for name in rider.metrics if name in named], rest])
    call.riders[call.riders.index(rider)] = other
    call.riders.append(part)
    return part
