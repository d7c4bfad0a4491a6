"""How records are read: lists page by page, and what is put together from many small calls."""

import copy
import functools
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import InitVar, dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import requests
from airbyte_cdk.sources.declarative.extractors.record_selector import RecordSelector
from airbyte_cdk.sources.declarative.retrievers import Retriever, SimpleRetriever
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.sources.utils.transform import TransformConfig, TypeTransformer

from source_instagram.accounts import account_of, explain_nothing, subject_of
from source_instagram.answers import GraphError, PageResponse, failure, listed_in
from source_instagram.calls import GraphCall, Page, Scope
from source_instagram.client import Client
from source_instagram.conversion import Conversion
from source_instagram.expansion import ExpandedPages
from source_instagram.losses import Losses
from source_instagram.observed import observed
from source_instagram.planning import KEYED, Plan, narrowed
from source_instagram.quiet import first_days, next_days
from source_instagram.records import MAKERS, total
from source_instagram.requester import GraphRequester
from source_instagram.retry_policy import BATCH_SIZE
from source_instagram.riders import by_itself
from source_instagram.session import SyncSession
from source_instagram.times import DAY, moment, now
from source_instagram.vanished import REPEATED, Vanished, confirm

log = logging.getLogger("airbyte.instagram")

Parse = Callable[[requests.Response | None], Iterable[Record]]
ListPage = tuple[Iterator[Record], PageResponse]  # its records, and what it came as

SOME_MORE = 1.5  # times as many as should be are taken together, where none is left over then
TOGETHER = 4 * BATCH_SIZE  # objects of an account whose calls are under way together; less where many are read
BROUGHT = "_brought"  # beside the fields of an object: the field that brought something along


@runtime_checkable
class ObjectRouter(Protocol):
    """A partition router whose slices are accounts, and whose parent is a list of each."""

    def objects(self, requester: GraphRequester) -> "ListRetriever":
        """The list, as a child stream with this requester needs it."""


@dataclass
class ListRetriever(SimpleRetriever):
    """A list of Meta's, page by page: each object once, and no page twice.

    Meta says that there is more by a `next`, and on edges without one by an `after`; pages may be short or empty before
    the last, because what may not be seen is left out after the pages were cut.
    https://developers.facebook.com/docs/graph-api/results
    """

    partition_router: Any = None
    is_child: bool = False  # it is read for the objects, and another stream shows what it makes of them

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Let other streams find it, which are read for the objects of this list."""
        super().__post_init__(parameters)
        self.session = SyncSession.of(self.config)
        self.session.lists[self.name] = self
        self.share()

    def share(self) -> None:
        """Read the list together with the other streams that do."""
        assert isinstance(self.requester, GraphRequester)  # noqa: S101 - the manifest gives no other
        self.requester.share()

    def for_child(self, requester: GraphRequester, fields: list[str]) -> "ListRetriever":
        """The same list as a child stream needs it: with no more than some fields of each object, as they are."""
        listing = copy.copy(self)
        listing.is_child = True
        assert isinstance(self.requester, GraphRequester)  # noqa: S101 - the manifest gives no other
        assert isinstance(self.record_selector, RecordSelector)  # noqa: S101
        listing.requester = requester.of_parent(self.requester, fields)
        listing.record_selector = copy.copy(self.record_selector)
        listing.record_selector.transformations = []
        listing.record_selector.schema_normalization = TypeTransformer(TransformConfig.NoTransform)
        return listing

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """The objects; in a test read no more of them than it may show."""
        records = super().read_records(records_schema, stream_slice)
        if self.is_child or not self.partition_router:
            return records
        return self.session.limit.of(observed(records))  # type: ignore[arg-type] # a selector gives nothing else

    def pages(self, stream_slice: StreamSlice) -> Iterator[tuple[list[Record], str | None]]:
        """The objects page by page, for a child stream: it goes on with a page before the next one is asked for.

        With each page the field that brought something along of its objects, if one did.
        """
        parse = functools.partial(self._parse_records, stream_slice=stream_slice, records_schema={})
        for records, response in self._pages(parse, stream_slice):
            yield list(records), response.brought

    def _read_pages(self, records_generator_fn: Parse, stream_slice: StreamSlice) -> Iterable[Record]:
        for records, _ in self._pages(records_generator_fn, stream_slice):
            yield from records

    def _pages(self, parse: Parse, stream_slice: StreamSlice) -> Iterator[ListPage]:
        """All pages of a list, and those of what of it is read again today: each object once.

        Of both the first page is asked for at the same time. Each page is read to its end before the next one is taken.
        """
        assert isinstance(self.requester, GraphRequester)  # noqa: S101 - the manifest gives no other
        self._paginator.get_initial_token()  # from which a test read counts its pages
        listed, again = set[Any](), self.requester.again(stream_slice)
        pool = ThreadPoolExecutor(1)
        try:
            later = pool.submit(self._fetch_next_page, again, None) if again else None
            yield from self._list(parse, stream_slice, self._fetch_next_page(stream_slice, None), listed)
            if again and later:
                yield from self._list(parse, again, later.result(), listed)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if not listed:
            self._explain_nothing(stream_slice)

    def _list(
        self, parse: Parse, stream_slice: StreamSlice, response: requests.Response | None, listed: set[Any]
    ) -> Iterator[ListPage]:
        """The pages of a list from its first one on, without objects that are listed already.

        Raises:
            GraphError: a page leads back to one that was read already; after all records of it.
        """
        cursors = set[str]()
        while response:
            assert isinstance(response, PageResponse)  # noqa: S101 - our requester gives no other
            yield unlisted(parse(response), listed), response
            token = self._next_page_token(response, 0, None, None)  # none of ours looks at how many there were
            after = str(token["next_page_token"]) if token else ""
            if after in cursors:
                page = response.json()
                if listed and not page.get("data") and "next" not in (page.get("paging") or {}):
                    return  # an edge without a `next` ends like this
                raise failure(REPEATED, f"{self.name} of {subject_of(stream_slice)}")
            cursors.add(after)
            response = self._fetch_next_page(stream_slice, token) if token else None

    def _explain_nothing(self, stream_slice: StreamSlice) -> None:
        """Meta also gives an empty list where an edge has a permission of its own, and the token lacks it."""
        account = account_of(stream_slice)
        assert isinstance(self.requester, GraphRequester)  # noqa: S101 - the manifest gives no other
        client, edge = (
            self.requester.client(account),
            self.requester.get_path(stream_slice=stream_slice).rpartition("/")[2],
        )
        if account and edge in client.permissions:
            explain_nothing(self.session, client, edge, subject_of(stream_slice), suspicious=False)


def unlisted(records: Iterable[Record], listed: set[Any]) -> Iterator[Record]:
    """Those of the records whose object is not listed yet, which it is then."""
    for record in records:
        if "id" not in record or record["id"] not in listed:
            listed.add(record.get("id"))
            yield record


# -- Many calls for one record -----------------------------------------------------------------------------------------


@dataclass
class InsightsRetriever(Retriever):
    """Records that are put together from many small calls: insights of each media, of each story, of each day.

    `calls` are rows of the manifest's tables of metrics; each is one call for an object, or for each window of an
    account's days. `records` names the function of `records.py` that makes records of the answers. Where the partition
    router has a list as its parent, the calls are made for each of its objects, else for the account itself. `product`
    is the type of all objects, where they need not tell. `pages` are the numbers of objects that are tried on a page of
    the list that brings along what it can (`first_page` is tried first); without them it is a plain list.
    """

    requester: GraphRequester
    record_selector: RecordSelector
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    records: str = "one_record"
    partition_router: Any = None
    product: str = ""
    name: str = ""
    pages: list[int] = field(default_factory=list)
    first_page: int = 1

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        self.session = SyncSession.of(self.config)
        self.plan = Plan(self.name, self.calls, self.session.login, self.requester.selected, self.product)
        # Rows whose metric is in the key are there whatever is selected; their number is not shown then.
        self._unselected = {KEYED} - set(self.requester.selected([KEYED]))
        router = self.partition_router
        self.objects: ListRetriever | None = (
            router.objects(self.requester) if isinstance(router, ObjectRouter) else None
        )
        self._pages: ExpandedPages | None = None
        if self.objects and self.pages and self.expansion(None):
            self._pages = ExpandedPages(self.session, self.pages, self.first_page, self.expansion)
            self.objects.requester.ask = self._pages.ask  # type: ignore[attr-defined] # the router gives one of ours
        elif self.objects:
            self.objects.share()
        if self.requester.catalog_entry and self.objects is None:
            self.session.answers.need(self.name, self.plan.kinds())

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """The records of one account, page by page of its objects, in their order.

        Raises:
            GraphError: some could not be had; after all that could.
        """
        assert stream_slice is not None  # noqa: S101 - every stream of calls is one of accounts
        self.session.must_have(account_of(stream_slice))
        # Threads of its own, so that an account which waits for a throttle does not keep others from theirs.
        pool = ThreadPoolExecutor(self.session.workers)
        reading = Reading(self, stream_slice, self.requester.client(account_of(stream_slice)), pool)
        asked, gave = None, False
        try:
            with self.session.reading(of_objects=self.objects is not None):
                for page in self.session.limit.while_open(reading.pages()):
                    asked = asked or next((call for _, calls in page for call in calls), None)
                    for record in self._shown(reading.records(page), records_schema, stream_slice):
                        gave = True
                        yield record
                    del page  # before the next one comes: what many accounts have under way is most of the memory
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        reading.losses.fail()
        if asked and not gave:
            self._explain_nothing(asked.path.rpartition("/")[2], stream_slice)

    def _shown(
        self, records: Iterable[Mapping[str, Any]], schema: Mapping[str, Any], stream_slice: StreamSlice
    ) -> Iterable[StreamData]:
        made = self.record_selector.filter_and_transform(
            records, stream_state={}, records_schema=schema, stream_slice=stream_slice
        )
        return self.session.limit.of(observed(made))

    def _explain_nothing(self, edge: str, stream_slice: StreamSlice) -> None:
        end = stream_slice.cursor_slice.get("end_time")
        is_recent = end is not None and moment(end) > now() - 2 * DAY
        is_suspicious = is_recent and self.records in ("each_day", "each_total")
        client = self.requester.client(account_of(stream_slice))
        explain_nothing(self.session, client, edge, subject_of(stream_slice), suspicious=is_suspicious)

    # -- What kinds of calls do their own way -------------------------------------------------------------------------

    @property
    def is_expanded(self) -> bool:
        """Whether the pages of objects bring something along."""
        return self._pages is not None

    def expansion(self, account: str | None) -> str:
        """The field with which a page of an account's objects brings along what calls would: empty where none can."""
        names, scopes = self.plan.common(), [Scope(self.name, account, product) for product in self.plan.all_products]
        for scope in scopes:
            names = self.session.metrics.known(names, scope)
        return f"insights.metric({','.join(names)})" if names else ""

    def listed(self, stream_slice: StreamSlice) -> Iterator[list[Mapping[str, Any]]]:
        """Pages of an account's objects; each object with the field that brought something along, if one did."""
        assert self.objects is not None  # noqa: S101 - is asked of streams that have some
        for page, brought in self.objects.pages(stream_slice):
            yield [{**each, BROUGHT: brought} for each in page] if self._pages else list(page)

    def calls_of(self, one: Mapping[str, Any], stream_slice: StreamSlice) -> list[GraphCall]:
        """The calls for an object, or for the account's days."""
        account, subject = account_of(stream_slice) or "", subject_of(stream_slice)
        if one:
            word = "story" if self.product == "STORY" else "media"
            subject = f"{word} {one['id']} of {subject}"
        planned = self.plan.calls(one, account, subject, self.session.limit.days(stream_slice.cursor_slice))
        calls = list(planned if one else first_days(planned))
        for call in calls if one.get(BROUGHT) else ():
            self._take_along(call, one)
        return sorted(calls, key=lambda call: int(call.params.get("since", 0)))  # those of a day travel together

    def _take_along(self, call: GraphCall, one: Mapping[str, Any]) -> None:
        """Answer a call by what came along, if all that it asks for did, each with its number."""
        items = listed_in(one.get("insights"))
        if set(call.metrics) <= {item["name"] for item in items if total(item) is not None}:
            call.answer = {"data": items}
            self.session.breaker.answered(call)
            self.session.metrics.trust(call.metrics, call.scope)

    def further(self, one: Mapping[str, Any], calls: list[GraphCall], new: list[GraphCall], /) -> list[GraphCall]:
        """The calls that the answers to the new ones among an object's calls ask for."""
        return [] if one else [*narrowed(calls, [call for call in new if not call.spares]), *next_days(calls)]

    def made(
        self, one: Mapping[str, Any], calls: list[GraphCall], missing: list[GraphCall], *, is_lost: bool
    ) -> Iterator[Mapping[str, Any]]:
        """The records of an object, or of the account's days. What is missing or lost was told already."""
        if not self.plan.has_numbers(one):
            product = one.get("media_product_type") or "unknown"
            log.warning("Media %s: no numbers in %s for its product type, %s.", one["id"], self.name, product)
        elif one and (missing or is_lost):
            return  # an object's record with only some of its columns would look complete
        elif one and not any(call.items for call in calls):
            log.warning("%s: nothing for %s. Meta has no numbers, or none any more.", calls[0].subject, self.name)
        else:
            for record in MAKERS[self.records](
                one, [call for call in calls if call.is_answered or call.before], missing
            ):
                yield {name: value for name, value in record.items() if name not in self._unselected}


class Started(NamedTuple):
    """Calls that are under way: those of a stream itself, and those that others make for it."""

    own: list[GraphCall]
    others: list[GraphCall]
    futures: list["Future[list[GraphCall]]"]


def joined(under_way: Iterable[tuple[Page, Started]]) -> tuple[Page, Started]:
    """Several pages as one, so that what their answers ask for travels together."""
    pairs = list(under_way)
    own = [call for _, started in pairs for call in started.own]
    others = [call for _, started in pairs for call in started.others]
    futures = [future for _, started in pairs for future in started.futures]
    return [one for page, _ in pairs for one in page], Started(own, others, futures)


class Reading:
    """One read of an account's slice: its pages of objects, their calls, and what became of them."""

    def __init__(self, retriever: InsightsRetriever, stream_slice: StreamSlice, client: Client, pool: Executor) -> None:
        """Prepare; nothing is sent."""
        self._retriever, self._slice, self._client, self._pool = retriever, stream_slice, client, pool
        self._session = retriever.session
        self.losses = Losses(retriever.name, client, self._session, of_objects=retriever.objects is not None)
        self._vanished = self._watch() if retriever.objects else None
        self._conversion = Conversion()
        self._left_out: Counter[str] = Counter()  # by metric: of how many it was not asked

    def _watch(self) -> Vanished:
        requester = self._retriever.objects.requester  # type: ignore[union-attr] # there are objects, so there is a list
        path = requester.get_path(stream_state=None, stream_slice=self._slice, next_page_token=None)
        # Stories cannot be chosen by their time.
        has_times = self._retriever.product != "STORY"
        return Vanished(self._session, self._client, path, subject_of(self._slice), has_times=has_times)

    def pages(self) -> Iterator[Page]:
        """Pages of objects whose calls have all ended, while those of the next page are under way."""
        under_way: deque[tuple[Page, Started]] = deque()
        problem = None
        try:
            for objects in self._objects():
                under_way.append(self._begun(objects))
                while sum(len(page) for page, _ in under_way) > self._ahead:
                    yield self._ended(under_way.popleft())
        except GraphError as error:
            problem = error  # it must not cost the pages before it
        if under_way:
            yield self._ended(*under_way)
        wrong = self._conversion.not_so_old()
        for start in range(0, len(wrong), TOGETHER):
            yield self._ended(self._begun(wrong[start : start + TOGETHER]))
        self._conversion.tell(subject_of(self._slice), self.losses.name)
        for name, count in self._left_out.items():
            log.info(
                "%s of %s: %s was not asked of %d, as several had refused it or had none.",
                self.losses.name, subject_of(self._slice), name, count,
            )  # fmt: skip
        if problem:
            raise problem

    @property
    def _most(self) -> int:
        """What calls show is of use to the pages that bring something along, so that these come in small steps."""
        return self._session.share(BATCH_SIZE if self._retriever.is_expanded else TOGETHER)

    @property
    def _ahead(self) -> int:
        """How many objects' calls may be under way while more are listed; none where others keep the requests busy."""
        return 0 if self._session.is_crowded(of_objects=True) or self._session.limit.is_set else self._most

    def _begun(self, objects: list[Mapping[str, Any]]) -> tuple[Page, "Started"]:
        page = [(one, self._retriever.calls_of(one, self._slice)) for one in objects]
        return page, self._start([call for _, calls in page for call in calls])

    def _objects(self) -> Iterator[list[Mapping[str, Any]]]:
        if self._retriever.objects is None:
            yield [{}]
            return
        for listed in self._retriever.listed(self._slice):
            left = listed
            while left:
                most = self._most if len(left) > SOME_MORE * self._most else len(left)
                count = min(most, max(self._session.limit.left, 1))
                some, left = left[:count], left[count:]
                kept = [record for record in some if not self._conversion.keeps(record)]
                if kept:
                    yield kept

    def _start(self, calls: list[GraphCall]) -> "Started":
        own, others = self._session.answers.divide(calls)
        try:
            return Started(own, others, self._session.executor.start(self._pool, own, self._client))
        except BaseException:
            self._session.answers.publish(own)  # so that no other stream waits for them
            raise

    def _finish(self, started: "Started") -> None:
        try:
            self._session.executor.finish(self._pool, started.futures, self._client)
        finally:
            self._session.answers.publish(started.own)
        self._session.executor.take(started.others, self._client)

    def _ended(self, *under_way: tuple[Page, "Started"]) -> Page:
        """Pages as one, once all their calls, and those that their answers ask for, have ended."""
        page, started = joined(under_way)
        new = [list(calls) for _, calls in page]
        while any(new):
            self._finish(started)
            new = [self._retriever.further(one, calls, those) for (one, calls), those in zip(page, new, strict=True)]
            for (_, calls), those in zip(page, new, strict=True):
                calls.extend(those)
            started = self._start([call for those in new for call in those])
        self._catch_up(page)
        confirm(self._session, self._client, [call for _, calls in page for call in calls])
        if self._vanished:
            self._vanished.verify([each for each, _ in under_way])
        self._conversion.learn(page)
        return page

    def _catch_up(self, page: Page) -> None:
        """Ask for metrics that were left out because several objects had refused them, if one has them after all."""
        metrics, late = self._session.metrics, list[GraphCall]()
        left_out: defaultdict[str, list[str]] = defaultdict(list)  # by metric: whom it was not asked of
        for _, calls in page:
            asked = [
                by_itself(call.again(metrics=names, left_out=(), is_secondary=True, control=call))
                for call in calls
                if (names := [name for name in call.left_out if metrics.is_trusted(name, call.scope)])
            ]
            for call in calls:
                for name in call.left_out:
                    if not metrics.is_trusted(name, call.scope):
                        left_out[name].append(call.subject.partition(" of ")[0])
            calls.extend(asked)
            late += asked
        self._session.executor.run_all(late, self._client)
        for name, subjects in left_out.items():
            self._left_out[name] += len(subjects)
            log.info("%s: %s was not asked of: %s", self.losses.name, name, ", ".join(subjects))

    def records(self, page: Page) -> Iterator[Mapping[str, Any]]:
        """The records of a page; what of it is missing is told, and kept for the end."""
        for one, calls in page:
            missing, is_lost = self.losses.judge(one, calls)
            yield from self._retriever.made(one, calls, missing, is_lost=is_lost)
