"""What the manifest names and YAML cannot say, one class for each idea.

    GraphRequester     every stream          a request for the selected fields, which waits and explains where it must
    AccountsRetriever  accounts              the accounts of the token, found once for all streams
    EachAccount        all but accounts      one slice for each of them
    CallsRetriever     *_insights            records that are put together from many small calls, in batches
    CommentsRetriever  comments              the same for comments, their replies, and all pages of both
    AccountState       incremental streams   every shape of state that an older connection may bring
    DeclaredFields     every stream          records with the declared fields, types and formats, and no others

How requests are sent, waited for and healed is in `graph.py`; how values become records, in `records.py`.
"""

import json
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import InitVar, dataclass, field, replace
from typing import Any

import pendulum
import requests
from airbyte_cdk.models import SyncMode
from airbyte_cdk.sources.declarative.extractors.record_selector import RecordSelector
from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration
from airbyte_cdk.sources.declarative.partition_routers import SubstreamPartitionRouter
from airbyte_cdk.sources.declarative.requesters.http_requester import HttpRequester
from airbyte_cdk.sources.declarative.requesters.query_properties.property_selector import JsonSchemaPropertySelector
from airbyte_cdk.sources.declarative.retrievers import Retriever, SimpleRetriever
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import StreamSlice
from airbyte_cdk.sources.utils.transform import TransformConfig, TypeTransformer

from source_instagram.accounts import (
    PATIENCE,
    account_of,
    explain_nothing,
    found,
    subject_of,
    too_late,
    tried,
    under_me,
)
from source_instagram.answers import LASTING, GraphError, NoJudgement, Reply, batch_replies
from source_instagram.graph import Call, Errand, Graph
from source_instagram.records import (
    MAKERS,
    by_account,
    columns_of,
    comments_of,
    conform,
    further_calls,
    moment,
    parameters_of,
    windows,
)
from source_instagram.turnstile import TEMPO

log = logging.getLogger("airbyte.instagram")

PAGES_AHEAD = 1  # pages of objects, of each account, whose calls are under way while the next page is listed
Page = list[tuple[Mapping[str, Any], list[Call]]]  # objects, each with its calls
Settle = Callable[[list[Call]], list[Future[None]]]


# -- Requests ----------------------------------------------------------------------------------------------------------


@dataclass
class GraphRequester(HttpRequester):
    """A request for the fields that the catalog selected, which waits, repeats and explains as `graph.py` does.

    `fields` are asked with both logins, `facebook_fields` and `instagram_fields` with one; a field with sub-fields is
    written as Meta writes it, `children{id,media_type}`. `always` are asked even when their column is not selected,
    because the stream cannot do without them. With `since` an incremental sync lists only what was published after the
    start of its slice. https://developers.facebook.com/docs/graph-api/guides/field-expansion
    """

    fields: list[str] = field(default_factory=list)
    facebook_fields: list[str] = field(default_factory=list)
    instagram_fields: list[str] = field(default_factory=list)
    always: list[str] = field(default_factory=list)
    since: bool = False
    selection: JsonSchemaPropertySelector | None = None
    errors: list[Mapping[str, Any]] = field(default_factory=list)
    permissions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        self.error_handler = NoJudgement()
        self.read_timeout_in_seconds = max((self.read_timeout_in_seconds or 0) * TEMPO, 3)
        super().__post_init__(parameters)
        self.graph = Graph.of(self.config)
        self._selected = self.selection.select() if self.selection else None  # the same for the whole sync

    @property
    def catalog_entry(self) -> Any:
        """What the catalog says of this stream; None where there is no catalog, as in `check` and the Builder."""
        return self.selection.configured_stream if self.selection else None

    def selected(self, columns: Iterable[str]) -> list[str]:
        """Those of the columns that the catalog selected; all of them where there is no catalog."""
        return [column for column in columns if not self._selected or column in self._selected]

    def fields_parameter(self) -> str:
        """The `fields` parameter: what this login has, the catalog selected, or the stream needs."""
        available = self.fields + (self.instagram_fields if self.graph.instagram_login else self.facebook_fields)
        columns = {name: re.split(r"[.{]", name)[0] for name in available}
        chosen = {*self.selected(columns.values()), *self.always}
        return ",".join(name for name, column in columns.items() if column in chosen)

    def call(self, path: str, subject: str, **params: str) -> Call:
        """A call for the fields of this stream."""
        fields = self.fields_parameter()
        return Call(
            path, params | ({"fields": fields} if fields else {}), subject=subject, kind=f"fields of {self.name}"
        )

    def send_request(  # type: ignore[override] # the manifest gives headers and bodies to no request
        self,
        stream_slice: StreamSlice | None = None,
        path: str | None = None,
        request_params: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> requests.Response | None:
        """One answer of Meta's, after as much patience as it takes; None where Meta says that there is nothing.

        Raises:
            GraphError: what was asked for cannot be had; the message says why and what to do.
        """
        params = {name: str(value) for name, value in (request_params or {}).items()}
        call = self.call(path or self.get_path(stream_slice=stream_slice), subject_of(stream_slice), **params)
        start = stream_slice.cursor_slice.get("start_time") if stream_slice else None  # streams with a cursor have one
        if self.since and start and self.catalog_entry and self.catalog_entry.sync_mode == SyncMode.incremental:
            call.params["since"] = str(moment(start).int_timestamp)
        account = account_of(stream_slice)
        if account in self.graph.missing:
            raise self.graph.missing[account]
        self.graph.ask(call, self.errand(account))
        return call.response

    def errand(self, account: str | None = None) -> Errand:
        """How calls of this stream are sent and judged."""
        login = "instagram" if self.graph.instagram_login else "facebook"
        return Errand(self.send_calls, self.errors, self.permissions.get(login, {}), account, self.name)

    def send_calls(self, calls: list[Call]) -> list[Reply | None]:
        """Send calls together: one batch on graph.facebook.com, a plain GET where there is only one.

        https://developers.facebook.com/docs/graph-api/batch-requests
        """
        base, headers = self.get_url_base(), self.get_authenticator().get_auth_header()

        def get(url: str) -> Reply:
            _, response = self._http_client.send_request(
                "GET", f"{base}/{url}", {}, headers=headers, params=self.graph.proof()
            )
            return Reply(response.status_code, response.headers, response.text, response)

        if len(calls) == 1:
            return [under_me(self.graph, calls[0].url, get) if self.graph.instagram_login else get(calls[0].url)]
        batch = json.dumps([{"method": "GET", "relative_url": call.url} for call in calls])
        body = {"batch": batch, **self.graph.proof()}
        _, response = self._http_client.send_request("POST", f"{base}/", {}, headers=headers, data=body)
        return batch_replies(response, len(calls))


# -- Accounts ----------------------------------------------------------------------------------------------------------


@dataclass
class AccountsRetriever(Retriever):
    """The accounts that the token reaches, or those that the configuration names; found once for all streams."""

    listing: SimpleRetriever
    requester: GraphRequester
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        self._graph = Graph.of(self.config)

    def read_records(
        self,
        records_schema: Mapping[str, Any],  # noqa: ARG002 - accounts are built in the shape of their schema
        stream_slice: StreamSlice | None = None,  # noqa: ARG002 - there is just one
    ) -> Iterable[StreamData]:
        """One record for each account.

        Raises:
            GraphError: there is no professional account, or one of the configured ones cannot be found. In a sync that
                comes after the accounts that were found, so that they do not wait for the others.
        """
        graph = self._graph
        if self.requester.catalog_entry is None and not graph.in_sync:  # a check
            with graph.turnstile.hurried(PATIENCE, too_late):
                problem = self._find() or tried(graph, graph.accounts, self.requester.errand)
            if problem:
                raise problem
        problem = self._find()
        yield from graph.accounts
        if problem:
            raise problem

    def _find(self) -> GraphError | None:
        """Find the accounts, once for all streams; why one of those that the configuration names is missing."""
        graph = self._graph
        wanted = [str(name).lstrip("@").lower() for name in self.config.get("accounts") or []]
        graph.accounts, graph.missing = graph.once(
            "accounts", lambda: found(graph, self.listing.read_records({}, None), wanted, self.requester.errand())
        )
        return next(iter(graph.missing.values()), None)


@dataclass
class EachAccount(SubstreamPartitionRouter):
    """One slice for each account, with the account's id alone as its partition, so that state is kept by it."""

    def stream_slices(self) -> Iterable[StreamSlice]:
        """Slices whose `extra_fields` carry page_id and username, the last ones for accounts that cannot be found.

        Reading one of those fails, so that its stream ends INCOMPLETE and names it. An error from here would cost the
        last account that was found, because the CDK looks one slice ahead.
        """
        graph = Graph.of(self.config)
        graph.in_sync = True
        try:
            list(super().stream_slices())  # finds the accounts, if no other stream has yet
        except GraphError:
            if not graph.missing:
                raise
        lost = [{"business_account_id": name, "page_id": None, "username": None} for name in graph.missing]
        for account in [*graph.accounts, *lost]:
            partition = {"business_account_id": account["business_account_id"]}
            extra = {name: account[name] for name in ("page_id", "username")}
            yield StreamSlice(partition=partition, cursor_slice={}, extra_fields=extra)


# -- Many calls for one record -----------------------------------------------------------------------------------------


@dataclass
class CallsRetriever(Retriever):
    """Records that are put together from many small calls: insights of each media, of each story, of each day.

    `calls` are rows of the manifest's tables of metrics; each is one call for an object, or for each window of an
    account's days. `records` names the function of `records.py` that makes records of the answers. With `objects` the
    calls are made for each of the objects listed, without it for the account itself.
    """

    requester: GraphRequester
    record_selector: RecordSelector
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    records: str = "one_record"
    objects: SimpleRetriever | None = None
    name: str = ""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        self._graph = Graph.of(self.config)

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """The records of one account, page by page of its objects, in their order.

        Raises:
            GraphError: some could not be had; after all that could.
        """
        assert stream_slice is not None  # noqa: S101 - every stream of calls is one of accounts
        errand, missing = self.requester.errand(account_of(stream_slice)), list[Call]()
        problem = self._graph.missing.get(str(errand.account)) or self._graph.closed.get(errand.place)
        if problem:  # seen by an earlier slice of the account
            raise problem
        # Threads of its own, so that an account which waits for a throttle does not keep others from theirs.
        pool = ThreadPoolExecutor(self._graph.workers)
        asked: Call | None = None
        gave = False
        try:
            for page in self._pages(stream_slice, pool, errand):
                asked = asked or next((call for _, calls in page for call in calls), None)
                for record in self.record_selector.filter_and_transform(
                    self._rows(page, missing, errand),
                    stream_state={},
                    records_schema=records_schema,
                    stream_slice=stream_slice,
                ):
                    gave = True
                    yield record
            if asked and not gave and not missing:
                end = stream_slice.cursor_slice.get("end_time")
                is_recent = end is not None and moment(end) > pendulum.now("UTC").subtract(days=2)
                explain_nothing(
                    self._graph,
                    errand,
                    asked.path.rpartition("/")[2],
                    subject_of(stream_slice),
                    suspicious=is_recent and self.records in ("each_day", "each_total"),
                )
        except GraphError as error:
            self._graph.closed[errand.place] = error
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if missing:
            raise errand.failure(
                next((call for call in missing if call.refusal and call.refusal.closed_by), missing[0])
            )

    def _pages(self, stream_slice: StreamSlice, pool: Executor, errand: Errand) -> Iterator[Page]:
        """Pages of objects whose calls are all settled, while those of the next pages are under way."""

        def settle(calls: list[Call]) -> list[Future[None]]:
            return self._graph.settle(pool, calls, errand)

        under_way: deque[tuple[Page, list[Future[None]]]] = deque()
        problem = None
        try:
            for objects in self._objects(stream_slice):
                page = [(one, list(self._calls_of(one, stream_slice))) for one in objects]
                under_way.append((page, settle([call for _, calls in page for call in calls])))
                if len(under_way) > PAGES_AHEAD:
                    yield self._settled(*under_way.popleft(), settle)
        except GraphError as error:
            problem = error  # it must not cost the pages before it
        while under_way:
            yield self._settled(*under_way.popleft(), settle)
        if problem:
            raise problem

    def _settled(self, page: Page, futures: list[Future[None]], settle: Settle) -> Page:  # noqa: ARG002 - comments do
        for future in futures:
            future.result()
        return page

    def _objects(self, stream_slice: StreamSlice) -> Iterator[list[Mapping[str, Any]]]:
        if self.objects is None:
            yield [{}]
            return
        page: list[Mapping[str, Any]] = []
        too_old: list[Mapping[str, Any]] = []
        for record in self.objects.read_records({}, stream_slice):
            if not isinstance(record, Mapping):
                continue
            # The list is newest first: what follows a media from before the conversion is from before it, too.
            converted = self._graph.converted.get((self.name, account_of(stream_slice)), "")
            (too_old if (record.get("timestamp") or "") < converted else page).append(record)
            if len(page) == 100:  # noqa: PLR2004 - as many as a list has on one page
                yield page
                page = []
        if too_old:
            log.warning(
                "%s: nothing for %s of %d media that were posted before the account became a professional account: %s",
                subject_of(stream_slice), self.name, len(too_old), ", ".join(record["id"] for record in too_old),
            )  # fmt: skip
        if page:
            yield page

    def _calls_of(self, one: Mapping[str, Any], stream_slice: StreamSlice) -> Iterator[Call]:
        account, kind = account_of(stream_slice), one.get("media_product_type") or ""
        login = "instagram" if self._graph.instagram_login else "facebook"
        word = "story" if kind == "STORY" else "media"
        for number, row in enumerate(self.calls):
            if kind not in row.get("of", [kind]) or row.get("login", login) != login:
                continue
            metrics = [name for name in row["metrics"] if self.requester.selected(columns_of(name, row))]
            for window in windows(row, stream_slice.cursor_slice) if metrics else ():
                for params in parameters_of(row):
                    yield Call(
                        path=f"{one.get('id') or account}/insights",
                        params=params | window,
                        metrics=list(metrics),
                        about=row,
                        subject=f"{word} {one['id']} of {subject_of(stream_slice)}"
                        if one
                        else subject_of(stream_slice),
                        kind=kind or f"account {account}",
                        row=f"{self.name} {number} {kind}",
                        optional=bool(row.get("optional")),
                    )

    def _rows(self, page: Page, missing: list[Call], errand: Errand) -> Iterator[Mapping[str, Any]]:
        """The records of a page, without the objects of which a call is missing.

        Raises:
            GraphError: all of it is refused, so that the account's other pages need not be tried.
        """
        matter = [call for _, calls in page for call in calls if call.matters]
        # Lasting reasons are no loss; but an account that is gone is no object that vanished from its list.
        lasting = LASTING if self.objects else [reason for reason in LASTING if reason != "gone"]
        whole = bool(matter) and all(
            call.refusal and call.refusal.then not in ("retry", "unknown", *lasting) for call in matter
        )
        for one, calls in page:
            lost: list[Call] = []
            gone: list[Call] = []
            for call in calls:
                if call.matters and call.refusal:
                    (gone if call.refusal.then in lasting else lost).append(call)
            missing += lost
            self._tell(lost if not whole else [], gone, errand)
            yield from self._made(one, calls, lost, gone, errand)
        if whole:
            raise errand.failure(matter[0])

    def _tell(self, lost: list[Call], gone: list[Call], errand: Errand) -> None:
        for call in lost:
            if call.refusal and call.refusal.then not in ("stop", "closed"):  # these are told once for all
                log.error("Missing in %s: %s", self.name, errand.failure(call).message)
        for call in gone[:1] if self.objects else gone:
            what = self.name if self.objects else f"{', '.join(call.metrics)} in {self.name}"
            if self._graph.first(call.subject, what):
                log.warning("%s: nothing for %s. %s", call.subject, what, call.refusal)

    def _made(
        self, one: Mapping[str, Any], calls: list[Call], lost: list[Call], gone: list[Call], errand: Errand
    ) -> Iterator[Mapping[str, Any]]:
        kind = one.get("media_product_type") or ""
        if not any(kind in row.get("of", [kind]) for row in self.calls):
            log.warning("Media %s: no numbers in %s for its product type, %s.", one["id"], self.name, kind or "unknown")
            return
        if any(call.refusal and call.refusal.then == "older" for call in gone):
            self._graph.converted[errand.place] = max(one["timestamp"], self._graph.converted.get(errand.place, ""))
        asked = [call for call in calls if call.metrics]
        if one and not (lost or gone) and asked and not any(call.answer and call.answer["data"] for call in asked):
            log.warning("%s: nothing for %s. Meta has no numbers, or none any more.", asked[0].subject, self.name)
        elif not one or not (lost or gone):  # an object's record with only some of its columns would look complete
            yield from MAKERS[self.records](one, [call for call in calls if not call.refusal], lost)


@dataclass
class CommentsRetriever(CallsRetriever):
    """Comments and replies of each media that has any: one call carries 50 comments with their first replies.

    Before: {"id": "1787…1", "text": "nice", "replies": {"data": [{"id": "1787…2", "text": "thanks"}]}}
    After:  {"id": "1787…1", "text": "nice", "media_id": "179…", "media_timestamp": "2026-05-07T13:00:34+0000"},
            {"id": "1787…2", "text": "thanks", "parent_id": "1787…1", "media_id": "179…", "media_timestamp": …}

    https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-media/comments
    """

    replies: str = "replies"

    def _calls_of(self, one: Mapping[str, Any], stream_slice: StreamSlice) -> Iterator[Call]:
        if one.get("comments_count"):
            call = self.requester.call(
                f"{one['id']}/comments", f"media {one['id']} of {subject_of(stream_slice)}", limit="50"
            )
            fields = call.params["fields"]
            yield replace(
                call, params=call.params | {"fields": f"{fields},{self.replies}{{{fields},parent_id}}"}, about=fields
            )

    def _settled(self, page: Page, futures: list[Future[None]], settle: Settle) -> Page:
        super()._settled(page, futures, settle)
        new = [calls for _, calls in page]
        while any(new):
            new = [[more for call in calls for more in further_calls(call)] for calls in new]
            super()._settled(page, settle([call for calls in new for call in calls]), settle)
            for (_, calls), further in zip(page, new, strict=True):
                calls.extend(further)
        return page

    def _made(
        self, one: Mapping[str, Any], calls: list[Call], lost: list[Call], _: list[Call], errand: Errand
    ) -> Iterator[Mapping[str, Any]]:
        if lost:
            return
        seen = set()
        for comment in comments_of(calls):
            if comment["id"] not in seen:
                seen.add(comment["id"])
                yield comment | {"media_id": one["id"], "media_timestamp": one.get("timestamp")}
        if calls and not seen and not calls[0].refusal and self._graph.first("unreadable", *map(str, errand.place)):
            log.warning(
                "%s counts comments but none may be read. Unless all are hidden or by restricted people, grant %s.",
                calls[0].subject, errand.permission("comments"),
            )  # fmt: skip


# -- State and records -------------------------------------------------------------------------------------------------


@dataclass
class AccountState(StateMigration):
    """State of every shape that a connection may bring, as one cursor for each account: see `by_account`."""

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    cursor_field: str = "date"

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """No more to prepare."""

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Always: what is already right comes out as it was."""
        return bool(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """One entry for each account with a cursor that is a time; others are dropped with a warning."""
        return by_account(stream_state, self.cursor_field)


@dataclass
class DeclaredFields(TypeTransformer):
    """Records with just the fields that the schema declares, in the types and formats that it declares.

    Before: {"id": 17900000000000001, "timestamp": "2026-05-07T13:00:34+0000", "children": {"data": [{"id": "179…"}]}}
    After:  {"id": "17900000000000001", "timestamp": "2026-05-07T13:00:34+00:00", "children": [{"id": "179…"}]}

    An id is a string even where it looks like a number, a time is RFC 3339 in UTC, and a list of Meta's is a list. An
    address loses the parameter that its schema calls volatile, because it changes with every request; see `conform`.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Leave the CDK's own conversions out."""
        super().__init__(TransformConfig.NoTransform)

    def transform(self, record: dict[str, Any], schema: Mapping[str, Any]) -> None:
        """Replace a record's content by what is declared."""
        declared = conform(record, schema)
        record.clear()
        record.update(declared)
