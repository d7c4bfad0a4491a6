"""The cursor sees the newest records alone, which is as much as it learns from all of them."""

import contextlib
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airbyte_cdk.sources.streams.concurrent.cursor import CursorField
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.sources.utils.record_helper import stream_data_to_airbyte_message
from harness import SCHEMAS
from hypothesis import given
from hypothesis import strategies as st

from source_instagram.observed import TIMES, observed
from source_instagram.source import SourceInstagram
from source_instagram.times import rfc3339

SLICE = StreamSlice(partition={"business_account_id": "1"}, cursor_slice={})
TIME = st.integers(0, 9).map(lambda n: rfc3339(datetime(2026, 5, 1, tzinfo=timezone.utc) + timedelta(hours=n)))
ODD = st.sampled_from([None, "", "soon", 7, "2026-99-99T00:00:00+00:00", "zzz+00:00"])


def records(times: list[Any], column: str = "date") -> list[Record]:
    return [Record({"id": str(at), column: time}, "any", SLICE) for at, time in enumerate(times)]


def seen(given: list[Record], column: str = "date") -> list[Any]:
    """What a cursor of the CDK's finds in records."""
    found = []
    for record in given:
        with contextlib.suppress(ValueError):
            found.append(CursorField(column).extract_value(record))
    return found


@given(st.lists(st.one_of(TIME, ODD)), st.sampled_from(TIMES))
def test_the_newest_is_seen_and_each_record_comes_whole(times: list[Any], column: str) -> None:
    given = records(times, column)
    shown = list(observed(given))
    emitted = [stream_data_to_airbyte_message("any", record.data).record for record in shown]
    assert [each.data for each in emitted if each] == [record.data for record in given]
    assert all(type(each.data) is dict for each in emitted if each)
    assert all(record.associated_slice is SLICE and record.stream_name == "any" for record in shown)

    valid = [time for time in times if isinstance(time, str) and time.startswith("2026-05")]
    newest = [time for time in seen(shown, column) if time in valid]
    assert newest == sorted(set(newest))
    assert newest[-1:] == [max(valid)][-1:] if valid else not newest


@given(st.lists(st.one_of(TIME, ODD)))
def test_a_time_that_cannot_be_read_is_left_to_the_cursor(times: list[Any]) -> None:
    odd = [time for time in times if time is not None and not str(time).startswith("2026-05")]
    assert [time for time in seen(list(observed(records(times)))) if time in odd] == odd


def test_media_show_the_cursor_one_and_cells_one_a_day() -> None:
    newest_first = records(["2026-05-03T00:00:00+00:00", "2026-05-02T00:00:00+00:00"], "timestamp")
    assert seen(list(observed(newest_first)), "timestamp") == ["2026-05-03T00:00:00+00:00"]
    cells = records(["2026-05-02T07:00:00+00:00"] * 3 + ["2026-05-03T07:00:00+00:00"] * 3)
    assert seen(list(observed(cells))) == ["2026-05-02T07:00:00+00:00", "2026-05-03T07:00:00+00:00"]


def declared() -> list[tuple[str, str]]:
    source = SourceInstagram(config={"access_token": "t", "discover_usernames": ["a"], "hashtags": ["b"]})
    streams = source.resolved_manifest["streams"]
    each = [one for stream in streams for one in stream.get("streams", [stream])]
    return [
        (stream["$parameters"]["name"], stream["incremental_sync"]["cursor_field"])
        for stream in each
        if "incremental_sync" in stream
    ]


@pytest.mark.parametrize(("stream", "cursor_field"), declared())
def test_the_time_of_a_record_is_its_cursors(stream: str, cursor_field: str) -> None:
    assert cursor_field == next(name for name in TIMES if name in SCHEMAS[stream]["properties"])
