"""Media with their polls. Each poll is a call of its own, so that none is asked for unless its columns are selected.

https://developers.facebook.com/documentation/instagram-platform/changelog (28 September 2026)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import requests
from airbyte_cdk.sources.types import Record, StreamSlice

from source_instagram.accounts import account_of, subject_of
from source_instagram.answers import POLL, GraphError, poll_in
from source_instagram.askers import OF_ACCOUNT
from source_instagram.calls import GraphCall, Scope
from source_instagram.losses import Losses
from source_instagram.requester import GraphRequester
from source_instagram.retrievers import TOGETHER, ListRetriever
from source_instagram.times import at, rfc3339, stamp

COLUMNS = ("poll_options", "poll_expires_at")
LETTERS = "abcd"
SHARE = "option_{}_votes_percentage"
FIELDS = ",".join([*(f"option_{letter},{SHARE.format(letter)}" for letter in LETTERS), "expiration_timestamp"])


@dataclass
class MediaRetriever(ListRetriever):
    """A list of media; each with its poll, where the columns of polls are selected."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """See whether there is anything to ask."""
        super().__post_init__(parameters)
        assert isinstance(self.requester, GraphRequester)  # noqa: S101 - the manifest gives no other
        self._columns = [] if self.session.instagram_login else self.requester.selected(COLUMNS)

    def for_child(self, requester: GraphRequester, fields: list[str]) -> ListRetriever:
        """The same list as a child stream needs it, which needs no polls."""
        listing = super().for_child(requester, fields)
        listing._columns = []  # type: ignore[attr-defined] # noqa: SLF001 - it is a copy of this
        return listing

    def _read_pages(
        self, records_generator_fn: Callable[[requests.Response | None], Iterable[Record]], stream_slice: StreamSlice
    ) -> Iterable[Record]:
        """All pages of the list; the polls of some hundred media at once."""
        records = super()._read_pages(records_generator_fn, stream_slice)
        if not self._columns:
            yield from records
            return
        assert isinstance(self.requester, GraphRequester)  # noqa: S101 - the manifest gives no other
        client = self.requester.client(account_of(stream_slice))
        pool = ThreadPoolExecutor(self.session.workers)
        polls = Polls(Losses(self.name, client, self.session, of_objects=True), stream_slice, pool, self._columns)
        try:
            for page, problem in pages_of(records, min(TOGETHER, max(self.session.limit.left, 1))):
                yield from polls.added(page)
                if problem:
                    raise problem
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        polls.losses.fail()


@dataclass
class Polls:
    """The polls of one account's media, in one read of them."""

    losses: Losses
    stream_slice: StreamSlice
    pool: Executor
    columns: list[str]
    answered: GraphCall | None = None  # the last call that was

    def added(self, page: list[Record]) -> Iterator[Record]:
        """Media with their polls; without those whose poll is missing, because they would look complete."""
        executor, client = self.losses.session.executor, self.losses.client
        calls = [poll_call(record["id"], self.losses.name, self.stream_slice) for record in page]
        executor.finish(self.pool, executor.start(self.pool, calls, client), client)
        self._confirm(calls)
        for record, call in zip(page, calls, strict=True):
            missing, _ = self.losses.judge(record, [call])
            if not missing:
                poll = poll_columns(call.answer or {})
                own = {name: poll[name] for name in self.columns}
                yield Record({**record.data, **own}, record.stream_name, record.associated_slice)

    def _confirm(self, calls: list[GraphCall]) -> None:
        """Find out whether polls are refused for themselves, or because access was lost after others were answered."""
        self.answered = next((call for call in reversed(calls) if call.is_answered), self.answered)
        refused = [call for call in calls if call.verdict and call.verdict.then in OF_ACCOUNT]
        if not (refused and self.answered):
            return
        control = self.answered.again()
        self.losses.session.executor.run([control], self.losses.client)
        for call in refused if control.verdict else ():
            call.verdict = replace(call.verdict, then="unconfirmed")  # type: ignore[type-var] # there is one


def pages_of(records: Iterable[Record], most: int) -> Iterator[tuple[list[Record], GraphError | None]]:
    """Records, so many at once; with the last ones why they are the last, where that is an error."""
    page: list[Record] = []
    try:
        for record in records:
            page.append(record)
            if len(page) == most:
                yield page, None
                page = []
    except GraphError as error:
        yield page, error
    else:
        yield page, None


def poll_call(media: str, stream: str, stream_slice: StreamSlice) -> GraphCall:
    """The call for the poll of a media. A refusal costs its columns alone."""
    return GraphCall(
        f"{media}/{POLL}",
        {"fields": FIELDS},
        scope=Scope(stream, account_of(stream_slice), row=1),  # what its list shows is not true of it
        subject=f"media {media} of {subject_of(stream_slice)}",
        needs=("option_a",),
        is_secondary=True,
    )


def poll_columns(answer: Mapping[str, Any]) -> dict[str, Any]:
    """A poll as columns of its media; empty where it has none.

    Before: {"option_a": "yes", "option_a_votes_percentage": 0.75, "option_b": "no", "option_b_votes_percentage": 0.25,
             "expiration_timestamp": "2026-10-02T09:00:00+0000"}
    After:  {"poll_options": [{"option": "yes", "votes_percentage": 0.75}, {"option": "no", "votes_percentage": 0.25}],
             "poll_expires_at": "2026-10-02T09:00:00+00:00"}
    """
    poll = poll_in(answer)
    options = [
        {"option": poll[f"option_{letter}"], "votes_percentage": poll.get(SHARE.format(letter))}
        for letter in LETTERS
        if poll.get(f"option_{letter}") is not None
    ]
    return {"poll_options": options or None, "poll_expires_at": expiry(poll.get("expiration_timestamp"))}


def expiry(value: Any) -> str | None:
    """The end of a poll, which is a time as elsewhere, or in unix seconds: Meta does not say."""
    if isinstance(value, bool) or not value:
        return None
    try:
        return rfc3339(at(value)) if str(value).isdigit() else stamp(str(value))
    except (OverflowError, OSError, ValueError):
        return None
