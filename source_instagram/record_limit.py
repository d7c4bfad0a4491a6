"""How many records a test read of the Connector Builder shows, so that it asks for no more than these need.

The CDK counts slices and pages for a test read, but ends no stream at its number of records.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TypeVar

from source_instagram.times import DAY, midnight, moment, rfc3339

Item = TypeVar("Item")


class RecordLimit:
    """Counts the records that are shown, in one thread, as test reads have it; a sync has no limit."""

    def __init__(self, most: int | None) -> None:
        """None is shown yet."""
        self.is_set = most is not None
        self.left = sys.maxsize if most is None else most

    def of(self, records: Iterable[Item]) -> Iterable[Item]:
        """As many of the records as may still be shown; no more is asked for."""
        return self._counted(iter(records)) if self.is_set else records

    def _counted(self, records: Iterator[Item]) -> Iterator[Item]:
        for record in self.while_open(records):
            self.left -= 1
            yield record

    def while_open(self, items: Iterator[Item]) -> Iterator[Item]:
        """Pages of records, or records, one by one as long as any may be shown."""
        while self.left > 0:
            try:
                item = next(items)
            except StopIteration:
                return
            yield item
            del item  # it may be large, and the next one is long in coming

    def days(self, bounds: Mapping[str, str]) -> Mapping[str, str]:
        """The first days of a slice, one for each record that may still be shown.

        Before: {"start_time": "2026-01-01T00:00:00+00:00", "end_time": "2026-05-03T23:59:59+00:00"}, 3 records left
        After:  {"start_time": "2026-01-01T00:00:00+00:00", "end_time": "2026-01-03T23:59:59+00:00"}
        """
        if not (self.is_set and bounds):
            return bounds
        end = midnight(moment(bounds["start_time"])) + self.left * DAY - timedelta(seconds=1)
        return {**bounds, "end_time": rfc3339(min(end, moment(bounds["end_time"])))}
