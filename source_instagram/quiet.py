"""Days on which nothing happened: before an account was there, or while it slept. A span of them costs one call.

Meta gives one number for each window, so that each day is a call. But all its numbers count something, and where they
are 0 for a window they are 0 for each of its days. Such a window is worth a call only where it is likely, so a few days
come first, which an account that is awake needs anyway and which tell a sleeping one: only between two days on which
nothing happened is a window asked. Between such a day and one on which something did, the day in the middle is next.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from source_instagram.calls import GraphCall, Scope
from source_instagram.records import cells, total
from source_instagram.times import days_of

SPAN = 30  # days that Meta counts at once, at most
ENOUGH = 15  # days of which some come first; fewer are asked at once
FEW = 8  # days between a quiet one and another that are not searched any more
WORTH = 3  # quiet days that are worth a call of their own


def first_days(calls: Iterable[GraphCall]) -> list[GraphCall]:
    """Those of an account's calls that come first: of each row that is a call a day, the ends and the middle.

    The others wait for them: see `GraphCall.gap`.

    Before: the calls for 2026-01-01, 2026-01-02, …, 2026-04-10
    After:  the calls for 2026-01-01, 2026-02-20 and 2026-04-10
    """
    rows: defaultdict[tuple[Scope, bool], list[GraphCall]] = defaultdict(list)
    for call in calls:
        rows[call.scope, call.about.get("days") == 1].append(call)
    chosen: list[GraphCall] = []
    for (_, is_daily), days in rows.items():
        if not is_daily or len(days) < ENOUGH:
            chosen += days
            continue
        marks = [0, len(days) // 2, len(days) - 1]
        for older, newer in pairwise(marks):
            days[older].gap = days[older + 1 : newer], days[newer]
        chosen += [days[mark] for mark in marks]
    return chosen


def next_days(calls: list[GraphCall]) -> list[GraphCall]:
    """What comes next, once all the calls have ended: days, days of which a span has told, or spans that may tell.

    A span is no object of its own, so that it is taken out of the calls as soon as it has told.
    """
    more: list[GraphCall] = []
    for call in list(calls):
        if call.spares:
            calls.remove(call)
            more += told(call)
        if call.gap:
            (days, newer), call.gap = call.gap, None
            more += between(call, days, newer)
    return more


def between(older: GraphCall, days: list[GraphCall], newer: GraphCall) -> list[GraphCall]:
    """The calls to make for days between two that were asked."""
    before, after = quiet(older), quiet(newer)
    if before is not None and before == after and len(days) >= WORTH:
        count = -(-len(days) // SPAN)
        size = -(-len(days) // count)
        return [span(older, days[at : at + size]) for at in range(0, len(days), size)]
    if before == after or len(days) < FEW:
        return days
    at = len(days) // 2
    older.gap = days[:at], days[at]
    days[at].gap = days[at + 1 :], newer
    return [days[at]]


def span(witness: GraphCall, days: list[GraphCall]) -> GraphCall:
    """A call for all the days at once, which follow a day on which nothing happened."""
    window = {"since": days[0].params["since"], "until": days[-1].params["until"]}
    subject = witness.subject.partition(", ")[0] + days_of(window)
    return days[0].again(params=days[0].params | window, subject=subject, control=witness, spares=days)


def told(call: GraphCall) -> list[GraphCall]:
    """The days of a span, with the answer of the quiet day before it where the span says the same."""
    witness, days = call.control, call.spares
    assert witness is not None  # noqa: S101 - see `span`
    is_whole = call.params["since"] == days[0].params["since"]  # Meta may not keep its oldest days any more
    if is_whole and quiet(call) is not None and quiet(call) == quiet(witness):
        for day in days:
            day.answer, day.left_out = {"data": witness.items}, list(call.left_out)
    return list(days)


def quiet(call: GraphCall) -> dict[str, Any] | None:
    """What an answer says of a time in which nothing happened; None where something did, or where it does not tell.

    Before: [{"name": "views", "total_value": {"value": 0}}, {"name": "likes", "total_value": {"value": 0}}]
    After:  {"views": 0, "likes": 0}

    Of a breakdown only its rows count, as in records. A metric that is not there, or has no number, proves nothing,
    unless none is: then Meta knows no such days, as before the account was there.
    """
    if call.outcome or call.refused or not call.is_answered:
        return None
    numbers: dict[str, Any] = {}
    for item in call.items:
        has_rows = bool((item.get("total_value") or {}).get("breakdowns"))
        numbers[item["name"]] = cells(item) if has_rows else total(item)
    asked = {name for leaf in call.leaves() for name in leaf.metrics}
    told = [n for each in numbers.values() for n in (each.values() if isinstance(each, dict) else [each])]
    return None if any(n != 0 for n in told) or (numbers and numbers.keys() != asked) else numbers
