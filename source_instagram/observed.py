"""What the CDK's cursor sees of the records of a slice: those that are newer than all before them.

It wants to know how far a slice has come, and finds out by reading the time of each record with `strptime` and hashing
the slice that it is of. That takes half of what the CDK does with a record, and one that is no newer tells it nothing:
media come newest first, and a day has some dozens of cells.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from airbyte_cdk.sources.types import Record

from source_instagram.times import moment

TIMES = (
    "media_timestamp",
    "date",
    "timestamp",
)  # the column that a stream's cursor is about is the first of these that it has


class Unobserved(dict[str, Any]):
    """The data of a record that the cursor passes over, as it passes over one without a time."""

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002
        """Raise what the CDK raises where a record has no time; only its cursors ask so."""
        raise ValueError(f"{name} is no newer than that of the records before")


def observed(records: Iterable[Record]) -> Iterator[Record]:
    """The records of a slice as they are, of which the cursor sees those alone that are newer than all before.

    A time that cannot be read is left to the cursor, which says so.
    """
    newest: datetime | None = None
    for record in records:
        try:
            time = moment(next(record[name] for name in TIMES if name in record))
        except (StopIteration, TypeError, ValueError):
            yield record
            continue
        if newest is None or time > newest:
            newest = time
            yield record
        else:
            yield Record(Unobserved(record.data), record.stream_name, record.associated_slice)
