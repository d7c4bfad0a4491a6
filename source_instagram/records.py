"""How Meta's answers become records. Plain functions; the tables of metrics that drive them stand in the manifest.

Shapes: https://developers.facebook.com/documentation/instagram-platform/insights
"""

import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from source_instagram.askers import ACCOUNT
from source_instagram.calls import GraphCall
from source_instagram.times import DAY, INSTAGRAM_BEGAN, label_in, midnight, moment, now, rfc3339, stamp, today, unix

log = logging.getLogger("airbyte.instagram")

UNKNOWN = "UNKNOWN"  # Meta's own word, where it gives no dimension value

Convert = Callable[[Any], Any]
Maker = Callable[[Mapping[str, Any], list[GraphCall], list[GraphCall]], Iterator[dict[str, Any]]]


def columns_of(metric: str, row: Mapping[str, Any]) -> list[str]:
    """The columns that a metric of a row of the table fills: its own name's, or those that `as` gives."""
    if isinstance(row.get("as"), dict):
        return [*([metric] if row.get("total", True) else []), *parts_in(row)]
    return [row.get("as") or metric]


def parts_in(row: Mapping[str, Any]) -> list[str]:
    """The columns of the parts of a row's breakdown."""
    return list(row["as"].values()) if isinstance(row.get("as"), dict) else []


def parameters_of(row: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The parameters of a row's calls: one call for each combination of what it gives as lists.

    Before: {"period": "lifetime", "breakdown": ["city", "country"]}
    After:  {"period": "lifetime", "breakdown": "city"} and {"period": "lifetime", "breakdown": "country"}
    """
    given = {name: row[name] for name in ("period", "metric_type", "breakdown", "timeframe") if name in row}
    options = [value if isinstance(value, list) else [value] for value in given.values()]
    for values in itertools.product(*options):
        yield dict(zip(given, values, strict=True))


def windows(row: Mapping[str, Any], bounds: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The windows of a row's calls, in unix seconds; one without bounds where time does not matter.

    They begin and end at 00:00 UTC. Meta's daily values carry 07:00 or 08:00 UTC, so that each lies in just one window.
    `recent` metrics exist for the last 30 days only, and a call that begins earlier fails.

    Before: {"metrics": ["reach"], "days": 30}, from 2026-09-25 to 2026-11-24
    After:  2026-09-25 to 2026-10-25 and 2026-10-25 to 2026-11-24
    """
    if "days" not in row:
        yield {}
        return
    since = midnight(moment(bounds["start_time"]))
    end = midnight(moment(bounds["end_time"]) + timedelta(seconds=1))  # the CDK ends a slice a second before the next
    if row.get("recent"):
        since = max(since, midnight(now()) - 29 * DAY)
    while since < end:
        until = min(since + row["days"] * DAY, end)
        yield {"since": unix(since), "until": unix(until)}
        since = until


def total(item: Mapping[str, Any]) -> Any:
    """The one number of a metric, whether it stands in `values`, in `total_value`, or in both.

    Before: {"name": "reach", "period": "lifetime", "values": [{"value": 318}]}
    After:  318
    """
    value = (item.get("total_value") or {}).get("value")
    values = item.get("values") or []
    return values[0].get("value") if value is None and values else value


def cells(item: Mapping[str, Any]) -> dict[str, Any]:
    """A metric's breakdown, by its dimension; several dimensions are joined by a comma.

    Before: {"total_value": {"breakdowns": [{"dimension_keys": ["age", "gender"],
             "results": [{"dimension_values": ["18-24", "F"], "value": 7}]}]}}
    After:  {"18-24,F": 7}

    The timeframe, which Meta repeats as the first dimension where it was asked for, is left out.
    """
    found = {}
    for breakdown in (item.get("total_value") or {}).get("breakdowns") or []:
        keys = breakdown.get("dimension_keys") or []
        for result in breakdown.get("results") or []:
            pairs = zip(keys, result.get("dimension_values") or [], strict=False)
            dimension = ",".join(str(value or UNKNOWN) for key, value in pairs if key != "timeframe")
            found[dimension] = result.get("value")
    return found


def columns(item: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """What one metric of an answer gives to a record.

    Before: {"name": "navigation", "total_value": {"value": 25, "breakdowns": [{"dimension_keys":
             ["story_navigation_action_type"], "results": [{"dimension_values": ["tap_forward"], "value": 25}]}]}}
    After:  {"navigation": 25, "navigation_tap_forward": 25, "navigation_tap_back": 0, ...}

    Meta leaves out the parts that are zero: https://developers.facebook.com/documentation/instagram-platform/reference/
    instagram-media/insights
    """
    name, renamed = item["name"], row.get("as")
    if not isinstance(renamed, dict):
        return {renamed or name: total(item)}
    record = {name: total(item)} if row.get("total", True) else {}
    if (item.get("total_value") or {}).get("breakdowns") or (row.get("total_first") and total(item) == 0):
        parts = {dimension.upper(): value for dimension, value in cells(item).items()}
        record |= {column: parts.get(dimension, 0) for dimension, column in renamed.items()}
    return record


def one_record(one: Mapping[str, Any], calls: list[GraphCall], _: list[GraphCall]) -> Iterator[dict[str, Any]]:
    """One record for an object: what the list said of it, and a column for each metric."""
    record = dict(one)
    for call in calls:
        for item in (*call.before, *call.items):
            record |= columns(item, call.about)
    yield record


def each_day(_: Mapping[str, Any], calls: list[GraphCall], lost: list[GraphCall]) -> Iterator[dict[str, Any]]:
    """One record for each day that has a value, oldest first.

    Before: [{"name": "reach", "values": [{"value": 120, "end_time": "2026-05-07T07:00:00+0000"}]},
             {"name": "follower_count", "values": [{"value": 2, "end_time": "2026-05-07T07:00:00+0000"}]}]
    After:  {"date": "2026-05-07T07:00:00+0000", "reach": 120, "follower_count": 2}

    Days in a window of which a part is lost wait for the next sync, which reads them again.
    """
    days: dict[str, dict[str, Any]] = {}
    for call in calls:
        for item in call.items:
            for value in item.get("values") or []:
                if value.get("value") not in (None, {}, []) and value.get("end_time"):
                    day = days.setdefault(value["end_time"], {"date": value["end_time"]})
                    day |= columns({"name": item["name"], "values": [value]}, call.about)
    gaps = [(int(call.params["since"]), int(call.params["until"])) for call in lost]
    for end_time, day in sorted(days.items()):
        if not any(since <= moment(end_time).timestamp() <= until for since, until in gaps):
            yield day


def each_breakdown(_: Mapping[str, Any], calls: list[GraphCall], __: list[GraphCall]) -> Iterator[dict[str, Any]]:
    """One record for each breakdown of a metric, its cells as one object.

    Before: the sample of `cells`, asked with breakdown=age,gender
    After:  {"metric": "follower_demographics", "breakdown": "age,gender", "value": {"18-24,F": 7}, "date": …}
    """
    about = {"date": today()}
    for call in calls:
        for item in call.items:
            found = cells(item)
            if found:
                yield {**about, "metric": item["name"], "breakdown": call.params["breakdown"], "value": found}


def each_total(_: Mapping[str, Any], calls: list[GraphCall], lost: list[GraphCall]) -> Iterator[dict[str, Any]]:
    """One record for each day that was asked for its totals and has any, oldest first.

    Before: [{"name": "views", "total_value": {"value": 850}}], asked from 2026-05-07T00:00Z to 2026-05-08T00:00Z
    After:  {"date": "2026-05-07T07:00:00+00:00", "views": 850}
    """
    days: dict[str, dict[str, Any]] = {}
    for call in calls:
        for item in call.items:
            days.setdefault(call.params["since"], {}).update(columns(item, call.about))
    incomplete = {call.params["since"] for call in lost}
    for since, day in sorted(days.items(), key=lambda pair: int(pair[0])):
        if since not in incomplete and any(value is not None for value in day.values()):
            yield {"date": label_in(since), **day}


def each_cell(_: Mapping[str, Any], calls: list[GraphCall], lost: list[GraphCall]) -> Iterator[dict[str, Any]]:
    """One record for each cell of a breakdown; of a day's where there is a window, else of the snapshot of today.

    Before: {"name": "views", "total_value": {"breakdowns": [{"dimension_keys": ["follow_type"],
             "results": [{"dimension_values": ["FOLLOWER"], "value": 300}]}]}}
    After:  {"metric": "views", "breakdown": "follow_type", "dimension": "FOLLOWER", "value": 300, "date": …}
    """
    incomplete = {call.params.get("since") for call in lost if "since" in call.params}
    snapshot = today()
    for call in sorted(calls, key=lambda call: int(call.params.get("since", 0))):
        since = call.params.get("since")
        if since in incomplete:
            continue
        about = {
            "date": label_in(since) if since else snapshot,
            "timeframe": call.params.get("timeframe", "lifetime"),
            "breakdown": call.params["breakdown"],
        }
        for item in call.items:
            for dimension, value in cells(item).items():
                yield {**about, "metric": item["name"], "dimension": dimension, "value": value}


MAKERS: dict[str, Maker] = {
    make.__name__: make for make in (one_record, each_day, each_total, each_breakdown, each_cell)
}


# -- Other records -----------------------------------------------------------------------------------------------------


def next_cursor(page: Mapping[str, Any]) -> str | None:
    """Where the next page of a list begins; None on the last one, which has an `after` too, but no `next`."""
    paging = page.get("paging") or {}
    return (paging.get("cursors") or {}).get("after") if paging.get("next") else None


def converter(schema: Mapping[str, Any]) -> Convert | None:
    """What makes a value as its schema declares it; None where every value is so already.

    Beside JSON Schema's own words it knows `volatile_parameter` (see `stable_url`). A schema is looked at once, not for
    each value.
    """
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    parameter = schema.get("volatile_parameter")
    if "object" in kinds and "properties" in schema:
        return declared({name: converter(each) for name, each in schema["properties"].items()})
    if "array" in kinds:
        return listed(converter(schema.get("items", {})))
    if schema.get("format") == "date-time":
        return in_utc
    if parameter:
        return lambda value: stable_url(value, parameter) if isinstance(value, str) else as_text(value)
    return as_text if "string" in kinds else None


def declared(columns: Mapping[str, Convert | None]) -> Convert:
    """What leaves of an object the columns that are declared, in their order, each as it is declared."""

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: value[name] if each is None or value[name] is None else each(value[name])
            for name, each in columns.items()
            if name in value
        }

    return convert


def listed(each: Convert | None) -> Convert:
    """What makes a plain list of one that Meta wraps in `data`, with its items as they are declared."""

    def convert(value: Any) -> Any:
        items = value.get("data") or [] if isinstance(value, dict) else value
        return [each(item) for item in items] if each and isinstance(items, list) else items

    return convert


def in_utc(value: Any) -> Any:
    """A time as all records have it; what is none stays as it is."""
    try:
        return stamp(value) if isinstance(value, str) else as_text(value)
    except ValueError:
        return value


def as_text(value: Any) -> Any:
    """A number as its text: Meta writes some ids so."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def stable_url(address: str, parameter: str) -> str:
    """An address without the parameter that changes with every request; nothing else is touched, because it is signed.

    Before: https://scontent.example/v/a.jpg?_nc_cat=1&_nc_rid=9f2c&oh=00_AfD, without _nc_rid
    After:  https://scontent.example/v/a.jpg?_nc_cat=1&oh=00_AfD
    """
    shorter = re.sub(rf"(?<=[?&]){re.escape(parameter)}=[^&#]*(?:&|(?=#|$))", "", address)
    return re.sub(r"[?&](?=#|$)", "", shorter) if shorter != address else address


# -- State -------------------------------------------------------------------------------------------------------------


def by_partition(state: Mapping[str, Any], cursor_field: str, keys: Sequence[str] = (ACCOUNT,)) -> dict[str, Any]:
    """State of any shape that a connection may bring, as one cursor for each partition, which mostly is an account.

    Before: {"17841400000000001": {"date": "2026-05-07T07:00:00+0000"}}
    After:  {"use_global_cursor": false, "states": [{"partition": {"business_account_id": "17841400000000001"},
             "cursor": {"date": "2026-05-07T07:00:00+00:00"}}]}

    What has no partition or no time is left out with a warning: its days are read again. A time in the future becomes
    now, and of two entries for one partition the earlier one counts, so that nothing is skipped.
    """
    entries = state.get("states")
    if not isinstance(entries, list):
        legacy = ((account, cursor) for account, cursor in state.items() if account.isdigit())
        entries = [{"partition": {ACCOUNT: account}, "cursor": cursor} for account, cursor in legacy]
    cursors: dict[tuple[str, ...], datetime] = {}
    for entry in entries:
        try:
            partition = tuple(str(entry["partition"][key]) for key in keys)
            cursor = max(min(moment(entry["cursor"][cursor_field]), now()), INSTAGRAM_BEGAN)
        except (AttributeError, KeyError, TypeError, ValueError):
            what = "account" if ACCOUNT in keys else " or ".join(keys)
            log.warning("An entry of the state has no %s or no time, so it is left out: %.200s", what, entry)
            continue
        cursors[partition] = min(cursor, cursors.get(partition, cursor))
    states = [
        {"partition": dict(zip(keys, partition, strict=True)), "cursor": {cursor_field: rfc3339(cursor)}}
        for partition, cursor in cursors.items()
    ]
    return {"use_global_cursor": False, "states": states}
