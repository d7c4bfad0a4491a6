"""What records are made of, beside their numbers: the objects on a page, and the columns of each as they are declared.

How a value becomes what its schema declares is said in `records.py`.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import InitVar, dataclass, field
from typing import Any

import requests
from airbyte_cdk.sources.declarative.decoders import Decoder, JsonDecoder
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.sources.declarative.requesters.query_properties.property_selector import JsonSchemaPropertySelector
from airbyte_cdk.sources.declarative.transformations import RecordTransformation
from airbyte_cdk.sources.types import StreamSlice
from airbyte_cdk.sources.utils.transform import TransformConfig, TypeTransformer

from source_instagram.accounts import account_of
from source_instagram.records import Convert, converter
from source_instagram.requester import columns_selected


@dataclass
class ListedItems(RecordExtractor):
    """The objects on a page of a list.

    Before: {"data": [{"id": "179…"}, {"id": "180…"}], "paging": {"cursors": {"after": "QVFI…"}}}
    After:  {"id": "179…"} and {"id": "180…"}

    `DpathExtractor` finds the same, and walks through all that is within them to do so.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    decoder: Decoder | None = None

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Read JSON where the manifest does not say what else."""
        self._decode = (self.decoder or JsonDecoder(parameters={})).decode

    def extract_records(self, response: requests.Response) -> Iterable[MutableMapping[str, Any]]:
        """The objects, in their order."""
        for page in self._decode(response):
            yield from page.get("data") or []


@dataclass
class AccountColumns(RecordTransformation):
    """Whose record it is.

    Before: {"id": "179…"}
    After:  {"id": "179…", "business_account_id": "1784…", "page_id": "1002…"}

    `AddFields` does the same with a template, which takes longer than all the rest of what the CDK does with a record.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """No more to prepare."""

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,  # noqa: ARG002 - all that is needed is in the slice
        stream_state: Mapping[str, Any] | None = None,  # noqa: ARG002
        stream_slice: StreamSlice | None = None,
    ) -> None:
        """Add the columns."""
        assert stream_slice is not None  # noqa: S101 - every record is read for an account
        record["business_account_id"] = account_of(stream_slice)
        record["page_id"] = stream_slice.extra_fields.get("page_id")


@dataclass
class FlatColumns(RecordTransformation):
    """Parts of an object as columns beside it, for destinations that do not look into objects.

    Before: {"from": {"id": "9001", "username": "ann"}}
    After:  {"from": {"id": "9001", "username": "ann"}, "from_id": "9001", "from_username": "ann"}

    Each is there when it is selected: of `from_id` alone the object is asked for, and left out here.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    columns: Mapping[str, str] = field(default_factory=dict)
    selection: JsonSchemaPropertySelector | None = None

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """See once what is selected, not for each record."""
        chosen = columns_selected(self.selection)
        paths = {column: path.split(".") for column, path in self.columns.items()}
        self._parts = [(column, *path) for column, path in paths.items() if not chosen or column in chosen]
        self._unselected = {name for name, _ in paths.values() if chosen and name not in chosen}

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,  # noqa: ARG002 - nothing else is needed
        stream_state: Mapping[str, Any] | None = None,  # noqa: ARG002
        stream_slice: StreamSlice | None = None,  # noqa: ARG002
    ) -> None:
        """Add the parts, and leave out what was asked only for them."""
        for column, name, part in self._parts:
            whole = record.get(name)
            if isinstance(whole, dict):
                record[column] = whole.get(part)
        for name in self._unselected.intersection(record):
            del record[name]


@dataclass
class DeclaredFields(TypeTransformer):
    """Records with just the fields that the schema declares, in the types and formats that it declares.

    Before: {"id": 17900000000000001, "timestamp": "2026-05-07T13:00:34+0000", "children": {"data": [{"id": "179…"}]}}
    After:  {"id": "17900000000000001", "timestamp": "2026-05-07T13:00:34+00:00", "children": [{"id": "179…"}]}

    An id is a string even where it looks like a number, a time is RFC 3339 in UTC, and a list of Meta's is a list. An
    address loses the parameter that its schema calls volatile, because it changes with every request; see `converter`.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Leave the CDK's own conversions out."""
        super().__init__(TransformConfig.NoTransform)
        self._convert: Convert | None = None

    def transform(self, record: dict[str, Any], schema: Mapping[str, Any]) -> None:
        """Replace a record's content by what is declared. The schema is that of one stream, and is read once."""
        self._convert = self._convert or converter(schema)
        declared = self._convert(record) if self._convert else dict(record)
        record.clear()
        record.update(declared)
