"""What a test read may show: counted record by record, and turned into days."""

import itertools
from collections.abc import Iterator

import pytest

from source_instagram.building import building, entry_of, record_limit
from source_instagram.record_limit import RecordLimit

BOUNDS = {"start_time": "2026-01-01T00:00:00+00:00", "end_time": "2026-05-03T23:59:59+00:00"}


def test_no_more_is_asked_for_than_is_shown() -> None:
    asked = []

    def numbers() -> Iterator[int]:
        for number in itertools.count():
            asked.append(number)
            yield number

    limit = RecordLimit(3)
    assert list(limit.of(numbers())) == [0, 1, 2]
    assert asked == [0, 1, 2]
    assert list(limit.of(numbers())) == [], "another slice"
    assert list(limit.while_open(numbers())) == []
    assert asked == [0, 1, 2]


def test_fewer_leave_room_for_the_next_slice() -> None:
    limit = RecordLimit(3)
    assert [*limit.of([1, 2]), *limit.of([3, 4])] == [1, 2, 3]


def test_a_sync_has_no_limit() -> None:
    limit, records = RecordLimit(None), [1, 2]
    assert limit.of(records) is records
    assert limit.days(BOUNDS) is BOUNDS
    assert list(limit.while_open(iter(records))) == records


@pytest.mark.parametrize(
    ("most", "end"), [(1, "2026-01-01T23:59:59+00:00"), (3, "2026-01-03T23:59:59+00:00"), (500, BOUNDS["end_time"])]
)
def test_each_record_is_a_day_at_most(most: int, end: str) -> None:
    assert RecordLimit(most).days(BOUNDS) == BOUNDS | {"end_time": end}
    assert RecordLimit(most).days({}) == {}


def test_where_nothing_is_built_nothing_is_known() -> None:
    assert (building(), record_limit(), entry_of("ErrorRules")) == (None, None, None)
