"""What the manifest names and YAML cannot say, one class for each idea.

    GraphRequester     every stream            a request that asks for the selected fields, and waits where it must
    AccountsRetriever  accounts                the accounts of the token, found once for all streams
    EachAccount        all but accounts        one slice for each of them
    CallsRetriever     *_insights, comments    many small calls, in batches
    AccountState       incremental streams     every shape of state that an older connection may bring
    DeclaredFields     every stream            records with the declared fields, types and formats, and no others

The functions below them turn Meta's insight values into records. How requests are sent, waited for and healed is in
`graph.py`.
"""

import json
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import InitVar, dataclass, field, replace
from typing import Any

import pendulum
import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration
from airbyte_cdk.sources.declarative.partition_routers import SubstreamPartitionRouter
from airbyte_cdk.sources.declarative.requesters.http_requester import HttpRequester
from airbyte_cdk.sources.declarative.requesters.query_properties.property_selector import JsonSchemaPropertySelector
from airbyte_cdk.sources.declarative.requesters.request_options import InterpolatedRequestOptionsProvider
from airbyte_cdk.sources.declarative.retrievers import Retriever, SimpleRetriever
from airbyte_cdk.sources.declarative.extractors.record_selector import RecordSelector
from airbyte_cdk.sources.declarative.transformations import RecordTransformation
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.streams.http.error_handlers import ErrorHandler, ErrorResolution, ResponseAction
from airbyte_cdk.sources.streams.http.page_size_reduction_exception import PageSizeReductionRequiredException
from airbyte_cdk.sources.types import StreamSlice
from airbyte_cdk.sources.utils.transform import TransformConfig, TypeTransformer

from source_instagram.graph import Call, Graph, GraphError, Reply, refused

log = logging.getLogger("airbyte.instagram")

PAGES_AHEAD = 4  # pages of objects whose calls are under way at once, for each account
LASTING = ("absent", "older", "gone")  # reasons that do not go away: waiting for the next sync would not help
RFC_3339 = "YYYY-MM-DDTHH:mm:ss[+00:00]"
Page = list[tuple[Mapping[str, Any], list[Call]]]  # objects, each with its calls


@dataclass
class GraphRequester(HttpRequester):
    """A request for the fields that the catalog selected, which waits, repeats and explains as `graph.py` does.

    `fields` names what each record needs; a field with sub-fields is written as Meta writes it,
    `children{id,media_type}`. `facebook_fields` and `instagram_fields` are those of one login only. `always` are asked
    even when their column is not selected, because the stream cannot do without them.
    https://developers.facebook.com/docs/graph-api/guides/field-expansion
    """

    request_parameters: Mapping[str, Any] | None = None
    fields: list[str] = field(default_factory=list)
    facebook_fields: list[str] = field(default_factory=list)
    instagram_fields: list[str] = field(default_factory=list)
    always: list[str] = field(default_factory=lambda: ["id"])
    selection: JsonSchemaPropertySelector | None = None
    errors: list[Mapping[str, Any]] = field(default_factory=list)
    permissions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Declare again what the CDK's factory forgets for a custom requester."""
        self.error_handler = _NoJudgement()
        super().__post_init__(parameters)
        self._request_options_provider = InterpolatedRequestOptionsProvider(
            request_parameters=self.request_parameters, config=self.config, parameters=parameters
        )
        self.graph = Graph.of(self.config)

    def selected(self, columns: Iterable[str]) -> list[str]:
        """Those of the columns that the catalog selected; all of them where there is no catalog."""
        selection = self.selection.select() if self.selection else None
        return [column for column in columns if selection is None or column in selection]

    def fields_parameter(self) -> str:
        """The `fields` parameter: selected, known to this login, and not refused in this sync."""
        available = self.fields + (self.instagram_fields if self.graph.instagram_login else self.facebook_fields)
        names = {name: re.split(r"[.{]", name)[0] for name in available}
        chosen = set(self.selected(names.values())) | set(self.always)
        return ",".join(
            without(each, self.graph.refused[self.fields_kind])
            for each, name in names.items()
            if name in chosen and name not in self.graph.refused[self.fields_kind]
        )  # fmt: skip

    @property
    def fields_kind(self) -> str:
        """What a refused field is remembered for."""
        return f"fields of {self.name}"

    def send_request(
        self,
        stream_slice: StreamSlice | None = None,
        path: str | None = None,
        request_params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> requests.Response | None:
        """One answer of Meta's, after as much patience as it takes. A response that is false means: nothing there.

        Raises:
            GraphError: what was asked for cannot be had; the message says why and what to do.
            PageSizeReductionRequiredException: Meta wants a smaller page.
        """
        call = Call(
            path=path or self.get_path(stream_slice=stream_slice, next_page_token=options.get("next_page_token")),
            subject=subject_of(stream_slice),
            kind=self.fields_kind,
        )

        def send(_: list[Call]) -> list[Reply | None]:
            params = {**(request_params or {}), **self.graph.proof()}
            fields = self.fields_parameter()
            if fields:
                params["fields"] = fields
            response = HttpRequester.send_request(
                self, stream_slice=stream_slice, path=call.path, request_params=params, **options
            )
            return [None if response is None else Reply(response.status_code, response.headers, response.text, response)]

        self.graph.settle_chunk([call], send, self.errors, account_of(stream_slice), self.name)
        if call.refusal is None:
            return call.response
        if call.refusal.then == "smaller":
            raise PageSizeReductionRequiredException(self.name, call.refusal.words)
        if call.refusal.then == "absent":
            log.info("%s: nothing for %s. %s", call.subject, self.name, call.refusal)
            return None
        raise self.failure(call)

    def failure(self, call: Call) -> GraphError:
        """The error for a call that ended in a refusal, with the missing permission by its name."""
        assert call.refusal is not None  # noqa: S101 - the caller has just seen it
        named = self.permissions.get("instagram" if self.graph.instagram_login else "facebook", {})
        edge = call.path.rstrip("/").rpartition("/")[2]
        because = call.refusal.because.replace("{permission}", named.get(edge, named.get("*", "the right permission")))
        return refused(replace(call.refusal, because=because), call.subject)

    def send_calls(self, calls: list[Call]) -> list[Reply | None]:
        """Send calls together: one batch on graph.facebook.com, a plain GET where there is only one.

        https://developers.facebook.com/docs/graph-api/batch-requests
        """
        base = self.get_url_base()
        headers = self.get_authenticator().get_auth_header()
        if len(calls) == 1:
            url = f"{base}/{calls[0].url}"
            _, response = self._http_client.send_request("GET", url, {}, headers=headers, params=self.graph.proof())
            return [Reply(response.status_code, response.headers, response.text, response)]
        batch = json.dumps([{"method": "GET", "relative_url": call.url} for call in calls])
        _, response = self._http_client.send_request(
            "POST", f"{base}/", {}, headers=headers, data={"batch": batch, **self.graph.proof()}
        )
        try:
            items = response.json()
        except requests.JSONDecodeError:
            items = None
        if not isinstance(items, list) or len(items) != len(calls):
            return [Reply(response.status_code, response.headers, response.text)] * len(calls)
        return [
            Reply(
                int(item.get("code") or 200),
                {header["name"]: header["value"] for header in item.get("headers") or []},
                item.get("body") or "",
            )
            if isinstance(item, dict)
            else None
            for item in items
        ]


class _NoJudgement(ErrorHandler):
    """Lets every answer through: what it means is said by the rules in the manifest, not by its HTTP status."""

    max_retries = 0
    max_time = 0

    def interpret_response(self, response: requests.Response | Exception | None) -> ErrorResolution:
        if isinstance(response, Exception):
            raise response
        return ErrorResolution(ResponseAction.SUCCESS, None, None)


@dataclass
class AccountsRetriever(Retriever):
    """The accounts that the token reaches, found once for all streams.

    Before: {"id": "100200300", "name": "Blue Cup", "instagram_business_account": {"id": "1784…1", "username": "bluecup"}}
    After:  {"business_account_id": "1784…1", "page_id": "100200300", "page_name": "Blue Cup", "username": "bluecup"}

    https://developers.facebook.com/docs/instagram-platform/instagram-api-with-facebook-login/get-started

    Raises:
        GraphError: there is no professional account, or one of the configured ones cannot be found.
    """

    listing: SimpleRetriever
    requester: GraphRequester
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        self._graph = Graph.of(self.config)

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """One record for each account."""
        yield from self._graph.once("accounts", lambda: list(self._find(records_schema, stream_slice)))

    def _find(self, schema: Mapping[str, Any], stream_slice: StreamSlice | None) -> Iterator[Mapping[str, Any]]:
        found = {}
        for page in self.listing.read_records({}, stream_slice):
            for row in page.get("data", [page]):
                account = account_record(row)
                if account:
                    found[account["business_account_id"]] = account
        if not found:
            raise GraphError(
                message="The access token reaches no Instagram professional account. Convert the account to a business or "
                "creator account and connect it to a Facebook Page that the token's user manages; where the Page "
                "belongs to a business portfolio, grant business_management as well.",
                failure_type=FailureType.config_error,
            )
        yield from found.values()


def account_record(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A Page, or the profile behind an Instagram Login, as an account; None for a Page without one."""
    account = row.get("instagram_business_account")
    if account:
        page = {"page_id": str(row["id"]), "page_name": row.get("name")}
        return {"business_account_id": str(account["id"]), **page, "username": account.get("username")}
    if row.get("user_id"):
        page = {"page_id": None, "page_name": None}
        return {"business_account_id": str(row["user_id"]), **page, "username": row.get("username")}
    return None


@dataclass
class EachAccount(SubstreamPartitionRouter):
    """One slice for each account, with the account's id alone as its partition, so that state is kept by it."""

    def stream_slices(self) -> Iterable[StreamSlice]:
        """Slices whose `extra_fields` carry page_id and username."""
        for each in super().stream_slices():
            partition = {name: value for name, value in each.partition.items() if name != "parent_slice"}
            yield StreamSlice(partition=partition, cursor_slice={}, extra_fields=each.extra_fields)


def account_of(stream_slice: StreamSlice | None) -> str | None:
    """The account that a slice is about."""
    return (stream_slice.partition.get("business_account_id") if stream_slice else None) or None


def subject_of(stream_slice: StreamSlice | None) -> str:
    """The same in words for people: `account 17841400000000001 (bluecup)`."""
    account = account_of(stream_slice)
    username = stream_slice.extra_fields.get("username") if stream_slice else None
    return f"account {account}" + (f" ({username})" if username else "") if account else "the access token"


@dataclass
class CallsRetriever(Retriever):
    """Records that are put together from many small calls: insights of each media, of each story, of each day.

    `calls` are rows of the manifest's tables of metrics. Each row is one call for an object, or for each window of an
    account's days; `rows` names the function below that makes records of the answers. With `objects` the calls are
    made for each of the objects listed, without it for the account itself.
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
        self._graph = Graph.of(self.config)
        self._make: Callable[..., Iterator[dict[str, Any]]] = MAKERS[self.records]

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """The records of one account, page by page of its objects, in their order.

        Raises:
            GraphError: at the end, after all records that could be had, when some could not.
        """
        assert stream_slice is not None  # noqa: S101 - every stream of calls is one of accounts
        missing: list[Call] = []
        for page in self._pages(records_schema, stream_slice):
            rows = self._rows(page, missing)
            yield from self.record_selector.filter_and_transform(
                rows, stream_state={}, records_schema=records_schema, stream_slice=stream_slice
            )
        if missing:
            for call in missing:
                log.error("%s: missing in %s. %s", call.subject, self.name, call.refusal)
            raise self.requester.failure(missing[0])

    def _pages(self, schema: Mapping[str, Any], stream_slice: StreamSlice) -> Iterator[Page]:
        """Pages of objects, each object as its calls, all of them settled; the next pages are already under way."""
        under_way: deque[tuple[Page, list[Future[None]]]] = deque()
        for objects in self._objects(schema, stream_slice):
            page = [(one, self._calls_of(one, stream_slice)) for one in objects]
            futures = self._graph.settle(
                [call for _, calls in page for call in calls],
                self.requester.send_calls,
                self.requester.errors,
                account_of(stream_slice),
                self.name,
            )
            under_way.append((page, futures))
            if len(under_way) > PAGES_AHEAD:
                yield _settled(*under_way.popleft())
        while under_way:
            yield _settled(*under_way.popleft())

    def _objects(self, schema: Mapping[str, Any], stream_slice: StreamSlice) -> Iterator[list[Mapping[str, Any]]]:
        if self.objects is None:
            yield [{}]
            return
        page: list[Mapping[str, Any]] = []
        for record in self.objects.read_records(schema, stream_slice):
            page.append(record)
            if len(page) == 100:  # noqa: PLR2004 - a page of the list
                yield page
                page = []
        if page:
            yield page

    def _calls_of(self, one: Mapping[str, Any], stream_slice: StreamSlice) -> list[Call]:
        account, kind = account_of(stream_slice), one.get("media_product_type") or ""
        calls = []
        for number, row in enumerate(self.calls):
            if kind not in row.get("of", [kind]) or row.get("login", self._login) != self._login:
                continue
            for window, names in windows(row, stream_slice):
                metrics = [name for name in names if self.requester.selected(columns_of(name, row))]
                if not metrics:
                    continue
                params = {name: row[name] for name in ("period", "metric_type", "breakdown", "timeframe") if name in row}
                calls.append(
                    Call(
                        path=f"{one.get('id') or account}/insights",
                        params=params | {name: str(second) for name, second in window.items()},
                        metrics=metrics,
                        about=row,
                        subject=f"media {one['id']} of {subject_of(stream_slice)}" if one else subject_of(stream_slice),
                        kind=kind or f"account {account}",
                        row=f"{self.name} {number} {kind}",
                        optional=bool(row.get("optional")),
                    )
                )
        return calls

    @property
    def _login(self) -> str:
        return "instagram" if self._graph.instagram_login else "facebook"

    def _rows(
        self, page: Page, missing: list[Call]
    ) -> Iterator[Mapping[str, Any]]:
        for one, calls in page:
            refused_calls = [call for call in calls if call.refusal and not call.optional]
            for call in refused_calls:
                if call.refusal and call.refusal.then in ("fail", "stop", "metric", "field"):
                    raise self.requester.failure(call)
            lasting = [call for call in refused_calls if call.refusal and call.refusal.then in LASTING]
            lost = [call for call in refused_calls if call not in lasting]
            missing += lost
            if lasting:
                log.warning("%s: nothing for %s. %s", lasting[0].subject, self.name, lasting[0].refusal)
            if one and refused_calls:
                continue  # a record with only some of its columns would look complete
            yield from self._make(one, [call for call in calls if not call.refusal], lost)


def _settled(page: Any, futures: Iterable[Future[None]]) -> Any:
    for future in futures:
        future.result()
    return page


def without(each: str, names: set[str]) -> str:
    """A field without the sub-fields named: `children{id,ig_id}` without `ig_id` is `children{id}`."""
    outer, brace, inner = each.partition("{")
    kept = [name for name in inner.rstrip("}").split(",") if name not in names]
    return f"{outer}{{{','.join(kept)}}}" if brace else outer


# -- Insight values ----------------------------------------------------------------------------------------------------


def columns_of(metric: str, row: Mapping[str, Any]) -> list[str]:
    """The columns that a metric of a row of the table fills: its own name's, or those that `as` gives."""
    renamed = row.get("as")
    if isinstance(renamed, Mapping):
        return [*([metric] if row.get("total", True) else []), *renamed.values()]
    return [renamed or metric]


def windows(row: Mapping[str, Any], stream_slice: StreamSlice) -> Iterator[tuple[dict[str, int], list[str]]]:
    """The windows that a row of the table is asked for, each with its metrics; one without bounds, where time is no matter.

    They begin and end at 00:00 UTC. Meta's daily values carry 07:00 or 08:00 UTC, so that each lies in just one window.
    Metrics under `recent` exist for the last 30 days only and fail a call that begins earlier: they join the others
    after that border, and a window that would straddle it ends there.
    """
    cursor = stream_slice.cursor_slice
    if "days" not in row:
        yield {}, row["metrics"]
        return
    start, end = (pendulum.parse(cursor[name]).start_of("day") for name in ("start_time", "end_time"))
    border = max(start, pendulum.now("UTC").start_of("day").subtract(days=29))
    for since, until, metrics in (
        (start, border, row.get("metrics", [])),
        (border, end, row.get("metrics", []) + row.get("recent", [])),
    ):
        while since < until and metrics:
            stop = min(since.add(days=row["days"]), until)
            yield {"since": int(since.timestamp()), "until": int(stop.timestamp())}, metrics
            since = stop


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
            found[",".join(value for key, value in pairs if key != "timeframe")] = result.get("value")
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
    if not isinstance(renamed, Mapping):
        return {renamed or name: total(item)}
    parts = {dimension.upper(): value for dimension, value in cells(item).items()}
    record = {column: parts.get(dimension, 0) for dimension, column in renamed.items()}
    return {name: total(item), **record} if row.get("total", True) else record


def one_record(one: Mapping[str, Any], calls: list[Call], _: list[Call]) -> Iterator[dict[str, Any]]:
    """One record for an object: what the list said of it, and a column for each metric."""
    record = dict(one)
    for call in calls:
        for item in call.answer["data"]:
            record |= columns(item, call.about)
    yield record


def each_day(_: Mapping[str, Any], calls: list[Call], lost: list[Call]) -> Iterator[dict[str, Any]]:
    """One record for each day that has a value, oldest first.

    Before: [{"name": "reach", "period": "day", "values": [{"value": 120, "end_time": "2026-05-07T07:00:00+0000"}]},
             {"name": "follower_count", "period": "day", "values": [{"value": 2, "end_time": "2026-05-07T07:00:00+0000"}]}]
    After:  {"date": "2026-05-07T07:00:00+0000", "reach": 120, "follower_count": 2}

    Days in a window of which a part is lost wait for the next sync, which reads them again.
    """
    days: dict[str, dict[str, Any]] = {}
    for call in calls:
        for item in call.answer["data"]:
            for value in item.get("values") or []:
                if value.get("value") not in (None, {}) and value.get("end_time"):
                    day = days.setdefault(value["end_time"], {"date": value["end_time"]})
                    day |= columns({"name": item["name"], "values": [value]}, call.about)
    gaps = [(int(call.params["since"]), int(call.params["until"])) for call in lost]
    for end_time, day in sorted(days.items()):
        if not any(since <= pendulum.parse(end_time).timestamp() <= until for since, until in gaps):
            yield day


def each_breakdown(_: Mapping[str, Any], calls: list[Call], __: list[Call]) -> Iterator[dict[str, Any]]:
    """One record for each breakdown of a metric, its cells as one object.

    Before: the sample of `cells`, asked with breakdown=age,gender
    After:  {"metric": "follower_demographics", "breakdown": "age,gender", "value": {"18-24,F": 7}}
    """
    for call in calls:
        for item in call.answer["data"]:
            found = cells(item)
            if found:
                yield {"metric": item["name"], "breakdown": call.params["breakdown"], "value": found}


MAKERS = {"one_record": one_record, "each_day": each_day, "each_breakdown": each_breakdown}


# -- State and records -------------------------------------------------------------------------------------------------


@dataclass
class AccountState(StateMigration):
    """State of every shape that a connection may bring, as one cursor for each account.

    Before: {"17841400000000001": {"date": "2026-05-07T07:00:00+00:00"}}, or states whose partitions hold more than the id
    After:  {"states": [{"partition": {"business_account_id": "17841400000000001"},
             "cursor": {"date": "2026-05-07T07:00:00+00:00"}}], "use_global_cursor": false}
    """

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
        entries = stream_state.get("states")
        if not isinstance(entries, list):
            entries = [
                {"partition": {"business_account_id": account}, "cursor": cursor}
                for account, cursor in stream_state.items()
                if str(account).isdigit()
            ]
        states = {}
        for entry in entries:
            try:
                account = str(entry["partition"]["business_account_id"])
                moment = pendulum.parse(entry["cursor"][self.cursor_field]).in_timezone("UTC")
            except (KeyError, TypeError, ValueError):
                log.warning("State without an account or a time is left out, its days are read again: %s", entry)
                continue
            moment = min(moment, pendulum.now("UTC"))
            if account not in states or states[account] < moment:
                states[account] = moment
        return {
            "use_global_cursor": False,
            "states": [
                {
                    "partition": {"business_account_id": account},
                    "cursor": {self.cursor_field: moment.format(RFC_3339)},
                }
                for account, moment in states.items()
            ],
        }


@dataclass
class DeclaredFields(TypeTransformer):
    """Records with just the fields that the schema declares, in the types and formats that it declares.

    Before: {"id": 17900000000000001, "timestamp": "2026-05-07T13:00:34+0000", "children": {"data": [{"id": "179…"}]}}
    After:  {"id": "17900000000000001", "timestamp": "2026-05-07T13:00:34+00:00", "children": [{"id": "179…"}]}

    An id is a string even where it looks like a number, a time is RFC 3339 in UTC, a list of Meta's is a list, and
    media addresses lose the parameters that change with every request (see `stable_url`).
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(TransformConfig.NoTransform)

    def transform(self, record: dict[str, Any], schema: Mapping[str, Any]) -> None:
        declared = conform(record, schema)
        record.clear()
        record.update(declared)


def conform(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value as its schema declares it; see DeclaredFields."""
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if value is None:
        return None
    if "object" in kinds and isinstance(value, Mapping):
        properties = schema.get("properties")
        if properties is None:
            return value
        return {name: conform(value[name], each) for name, each in properties.items() if name in value}
    if "array" in kinds:
        items = value.get("data", []) if isinstance(value, Mapping) else value
        return [conform(item, schema.get("items", {})) for item in items]
    if schema.get("format") == "date-time":
        return pendulum.parse(str(value)).in_timezone("UTC").format(RFC_3339)
    if "string" in kinds and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value


@dataclass
class StableUrl(RecordTransformation):
    """Addresses without the parameter that changes with every request, so that an unchanged record stays unchanged.

    Before: https://scontent.example/v/a.jpg?_nc_cat=1&_nc_rid=9f2c&oh=00_AfD
    After:  https://scontent.example/v/a.jpg?_nc_cat=1&oh=00_AfD

    Nothing else of the address is touched: it is signed.
    """

    column: str
    query_parameter: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        self._pattern = re.compile(rf"(?<=[?&]){re.escape(self.query_parameter)}=[^&#]*(?:&|(?=#|$))")

    def transform(self, record, config=None, stream_state=None, stream_slice=None) -> None:
        for one in [record, *((record.get("children") or {}).get("data") or [])]:
            if isinstance(one.get(self.column), str):
                one[self.column] = re.sub(r"[?&](?=#|$)", "", self._pattern.sub("", one[self.column]))
