"""Requests of a stream: which fields, to which host, signed how, and judged by which rules."""

import copy
import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airbyte_cdk.models import SyncMode
from airbyte_cdk.sources.declarative.interpolation import InterpolatedMapping, InterpolatedString
from airbyte_cdk.sources.declarative.requesters.http_requester import HttpRequester
from airbyte_cdk.sources.declarative.requesters.query_properties.property_selector import JsonSchemaPropertySelector
from airbyte_cdk.sources.types import StreamSlice

from source_instagram.accounts import account_of, subject_of, under_me
from source_instagram.answers import NoJudgement, PageResponse, Reply, batch_replies, reply_of
from source_instagram.calls import GraphCall, Scope
from source_instagram.client import Client
from source_instagram.rate_limiter import TEMPO
from source_instagram.refreshing import window
from source_instagram.session import SyncSession
from source_instagram.shared_pages import Reader
from source_instagram.times import moment, now, rfc3339, unix


def columns_selected(selection: JsonSchemaPropertySelector | None) -> set[str] | None:
    """The columns that the catalog selected; None where it does not say, and so all of them.

    Not by the selector's own `select`, which breaks on a schema that is none.
    """
    entry = selection.configured_stream if selection else None
    properties = entry.stream.json_schema.get("properties") if entry else None
    return set(properties) if isinstance(properties, dict) else None


@dataclass
class GraphRequester(HttpRequester):
    """A request for the fields that the catalog selected, which waits, repeats and explains as `session.py` does.

    `fields` are asked with both logins, `facebook_fields` and `instagram_fields` with one; a field with sub-fields is
    written as Meta writes it, `children{id,media_type}`. `needs` are asked even when their column is not selected,
    because the stream cannot do without them; so are `hints`, without which it needs more calls. `flat` names columns
    that are parts of a field (`{owner_id: owner.id}`), which is asked when one of them is selected. With `since` an
    incremental sync lists only what was published after the start of its slice, and with `refresh` also that part of
    what was published before whose turn it is: of all since `first`, once in so many `days` (see `refreshing.py`).
    `query` are further parameters.
    https://developers.facebook.com/docs/graph-api/guides/field-expansion
    """

    fields: list[str] = field(default_factory=list)
    facebook_fields: list[str] = field(default_factory=list)
    instagram_fields: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=lambda: ["id"])
    hints: list[str] = field(default_factory=list)
    since: bool = False
    refresh: Mapping[str, str] = field(default_factory=dict)
    flat: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    selection: JsonSchemaPropertySelector | None = None

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        self.error_handler = NoJudgement()
        self.read_timeout_in_seconds = max((self.read_timeout_in_seconds or 0) * TEMPO, 3)
        super().__post_init__(parameters)
        self._query = InterpolatedMapping(self.query, parameters)
        self.session = SyncSession.of(self.config)
        self.ask = self.session.ask  # a list may have a way of its own
        self._selected = columns_selected(self.selection)

    @property
    def catalog_entry(self) -> Any:
        """What the catalog says of this stream; None where there is no catalog, as in `check` and the Builder."""
        return self.selection.configured_stream if self.selection else None

    def selected(self, columns: Iterable[str]) -> list[str]:
        """Those of the columns that the catalog selected; all of them where there is no catalog."""
        return [column for column in columns if not self._selected or column in self._selected]

    def fields_parameter(self) -> str:
        """The `fields` parameter: what this login has, the catalog selected, or the stream needs."""
        available = self.fields + (self.instagram_fields if self.session.instagram_login else self.facebook_fields)
        columns = {name: re.split(r"[.{]", name)[0] for name in available}
        parts = {self.flat[column].partition(".")[0] for column in self.selected(self.flat)}
        chosen = {*self.selected(columns.values()), *parts, *self.needs, *self.hints}
        return ",".join(name for name, column in columns.items() if column in chosen)

    def of_parent(self, parent: "GraphRequester", fields: list[str]) -> "GraphRequester":
        """Requests of a parent's list, for the fields of it that this stream needs, and on this stream's account."""
        listing = copy.copy(parent)
        listing.ask = self.session.ask
        listing.name, listing.selection, listing._selected = self.name, self.selection, self._selected  # noqa: SLF001
        listing.fields = listing.hints = fields
        listing.facebook_fields = listing.instagram_fields = []
        return listing

    @property
    def is_incremental(self) -> bool:
        """Whether the catalog wants only what is new."""
        return bool(self.catalog_entry) and self.catalog_entry.sync_mode == SyncMode.incremental

    def share(self) -> None:
        """Ask for each page of a list together with the other streams that read it, in the same way."""
        if self.catalog_entry:
            reader = Reader(self.name, (self.path, self.since and self.is_incremental), self.fields_parameter)
            self.session.pages.join(reader)
            self.ask = functools.partial(self.session.pages.ask, reader)

    def call(self, path: str, subject: str, account: str | None, **params: str) -> GraphCall:
        """A call for the fields of this stream."""
        fields = self.fields_parameter()
        return GraphCall(
            path,
            params | ({"fields": fields} if fields else {}),
            scope=Scope(self.name, account),
            subject=subject,
            needs=tuple(self.needs),
        )

    def send_request(  # type: ignore[override] # the manifest gives headers and bodies to no request
        self,
        stream_slice: StreamSlice | None = None,
        path: str | None = None,
        request_params: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> PageResponse | None:
        """One answer of Meta's, after as much patience as it takes; None where Meta says that there is nothing.

        Raises:
            GraphError: what was asked for cannot be had; the message says why and what to do.
        """
        given = {**(request_params or {}), **self._query.eval(self.config, stream_slice=stream_slice)}
        params = {name: str(value) for name, value in given.items()}
        account = account_of(stream_slice)
        call = self.call(path or self.get_path(stream_slice=stream_slice), subject_of(stream_slice), account, **params)
        start = self.start(stream_slice)
        if stream_slice and start:
            until = stream_slice.extra_fields.get("until")
            call.params |= {"since": unix(start)} | ({"until": until} if until else {})
        self.session.must_have(account)
        self.ask(call, self.client(account))
        return call.page

    def start(self, stream_slice: StreamSlice | None) -> datetime | None:
        """From where an incremental sync lists; None where the whole list is read."""
        start = stream_slice.cursor_slice.get("start_time") if stream_slice else None  # streams with a cursor have one
        return moment(start) if self.since and start and self.is_incremental else None

    def again(self, stream_slice: StreamSlice) -> StreamSlice | None:
        """The slice of the older objects whose turn it is to be read again today; None where there are none."""
        start = self.start(stream_slice)
        if start is None or not self.refresh:
            return None
        first, days = (InterpolatedString(self.refresh[key], {}).eval(self.config) for key in ("first", "days"))
        turn = window(moment(first), start, int(days), now())
        if turn is None:
            return None
        bounds, extra = {"start_time": rfc3339(turn[0])}, {**stream_slice.extra_fields, "until": unix(turn[1])}
        return StreamSlice(partition=stream_slice.partition, cursor_slice=bounds, extra_fields=extra)

    def client(self, account: str | None = None) -> Client:
        """How calls of this stream are sent and judged."""
        return Client(self.send_calls, self.session.rules, self.session.permissions, account, self.name)

    def send_calls(self, calls: list[GraphCall]) -> list[Reply | None]:
        """Send calls together: one batch on graph.facebook.com, a plain GET where there is only one.

        https://developers.facebook.com/docs/graph-api/batch-requests
        """
        base, headers = self.get_url_base(), self.get_authenticator().get_auth_header()

        def get(url: str) -> Reply:
            _, response = self._http_client.send_request(
                "GET", f"{base}/{url}", {}, headers=headers, params=self.session.proof()
            )
            return reply_of(response)

        if len(calls) == 1:
            return [under_me(self.session, calls[0].url, get) if self.session.instagram_login else get(calls[0].url)]
        batch = json.dumps([{"method": "GET", "relative_url": call.url} for call in calls])
        body = {"batch": batch, **self.session.proof()}
        _, response = self._http_client.send_request("POST", f"{base}/", {}, headers=headers, data=body)
        return batch_replies(response, len(calls))
