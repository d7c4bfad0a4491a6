"""What the manifest names and YAML cannot say, one class for each idea.

    GraphRequester     every stream          a request for the selected fields, which waits and explains where it must
    ListRetriever      every list            all pages of a list, each object once
    MediaRetriever     media                 the same, with the poll of each where its columns are selected
    AccountsRetriever  accounts              the accounts of the token, found once for all streams
    EachAccount        all but accounts      one slice for each of them
    EachObject         *_insights, comments  the same, with the list of its media or stories
    InsightsRetriever  *_insights            records that are put together from many small calls, in batches
    CommentsRetriever  comments              the same for comments, of which the first come with the media
    DiscoveryRetriever discovered_*          accounts of others, by their user names
    HashtagsRetriever  hashtags              hashtags, and who of the accounts asks for which
    EachHashtag        hashtag_media         slices: each hashtag with each of its lists
    AccountState       incremental streams   every shape of state that an older connection may bring
    ListedItems        every list            the objects on a page
    AccountColumns     most streams          whose record it is
    FlatColumns        media, stories,       columns that are parts of an object beside them
                       comments
    DeclaredFields     every stream          records with the declared fields, types and formats, and no others
    Configuration      spec                  a configuration that cannot work becomes what is wrong with it
    ErrorRules         spec                  what Meta's errors mean, and the permission that an edge needs

Here stand the accounts and their state; each of the others is in the module that is named for what it does.
"""

import logging
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import InitVar, dataclass, field
from typing import Any

from airbyte_cdk.sources.declarative.interpolation import InterpolatedString
from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration
from airbyte_cdk.sources.declarative.partition_routers import SubstreamPartitionRouter
from airbyte_cdk.sources.declarative.retrievers import Retriever, SimpleRetriever
from airbyte_cdk.sources.declarative.transformations.config_transformations.config_transformation import (
    ConfigTransformation,
)
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import StreamSlice

from source_instagram import tokens
from source_instagram.accounts import found, wanted
from source_instagram.answers import GraphError
from source_instagram.askers import ACCOUNT
from source_instagram.building import entry_of, refuse_unusable
from source_instagram.checking import PATIENCE, too_late, tried
from source_instagram.columns import AccountColumns, DeclaredFields, FlatColumns, ListedItems
from source_instagram.comments import CommentsRetriever
from source_instagram.configuration import TABLES, Configuration, problem_of
from source_instagram.discovery import DiscoveryRetriever
from source_instagram.hashtags import EachHashtag, HashtagsRetriever
from source_instagram.polls import MediaRetriever
from source_instagram.records import by_partition
from source_instagram.requester import GraphRequester
from source_instagram.retrievers import InsightsRetriever, ListRetriever
from source_instagram.session import SyncSession

__all__ = [
    "AccountColumns",
    "AccountState",
    "AccountsRetriever",
    "CommentsRetriever",
    "Configuration",
    "DeclaredFields",
    "DiscoveryRetriever",
    "EachAccount",
    "EachHashtag",
    "EachObject",
    "ErrorRules",
    "FlatColumns",
    "GraphRequester",
    "HashtagsRetriever",
    "InsightsRetriever",
    "ListRetriever",
    "ListedItems",
    "MediaRetriever",
]

log = logging.getLogger("airbyte.instagram")


@dataclass
class ErrorRules(ConfigTransformation):
    """The tables of the manifest that all requests share, so that it says them once.

    They travel with the configuration, because that is all that components have in common. `errors` says what an answer
    means (see `answers.judge`), `permissions` which one an edge needs, by login.
    """

    errors: list[Mapping[str, Any]] = field(default_factory=list)
    permissions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def transform(self, config: MutableMapping[str, Any]) -> None:
        """Lay the tables beside the keys of the configuration; see `SyncSession`.

        The CDK hands a component of this kind no fields, and says parameters twice; so they are looked up.
        """
        config[TABLES] = entry_of("ErrorRules") or {"errors": self.errors, "permissions": self.permissions}


# -- Accounts ----------------------------------------------------------------------------------------------------------


@dataclass
class AccountsRetriever(Retriever):
    """The accounts that the token reaches, or those that the configuration names; found once for all streams."""

    listing: SimpleRetriever
    requester: GraphRequester
    config: MutableMapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        self._session = SyncSession.of(self.config)
        self._session.once("given", lambda: refuse_unusable(self.config))
        # A test read is handed a token to try, and belongs to no connection that could store another one.
        self._keeps_token = self._session.limit.is_set

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
        session = self._session
        if self._is_check():
            with session.rate_limiter.hurried(PATIENCE, too_late):
                problem = self._find() or tried(session, session.accounts or [], self.requester.client)
            if problem:
                raise problem
            if not self._keeps_token:
                tokens.renew(self.config, is_check=True)
        problem = self._find()
        accounts = session.accounts or []
        # Without a catalog's entry they are not shown, but read for another stream.
        yield from session.limit.of(accounts) if self.requester.catalog_entry else accounts
        if problem:
            raise problem

    def _is_check(self) -> bool:
        return self.requester.catalog_entry is None and not self._session.in_sync

    def _begin(self) -> None:
        """What comes before the first request, which every stream makes here."""
        problem = problem_of(self.config)
        if problem:
            raise problem
        if not (self._is_check() or self._keeps_token):
            tokens.renew(self.config)

    def _find(self) -> GraphError | None:
        """Find the accounts, once for all streams; why one of those that the configuration names is missing."""
        session = self._session
        session.once("begin", self._begin)
        names, client = wanted(self.config), self.requester.client()
        session.accounts, session.missing = session.once(
            "accounts", lambda: found(session, self.listing.read_records({}, None), names, client)
        )
        return next(iter(session.missing.values()), None)


@dataclass
class EachAccount(SubstreamPartitionRouter):
    """One slice for each account, with the account's id alone as its partition, so that state is kept by it."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        super().__post_init__(parameters)
        self._session = SyncSession.of(self.config)

    def stream_slices(self) -> Iterable[StreamSlice]:
        """Slices whose `extra_fields` carry page_id and username, the last ones for accounts that cannot be found.

        Reading one of those fails, so that its stream ends INCOMPLETE and names it. An error from here would cost the
        last account that was found, because the CDK looks one slice ahead.
        """
        session = self._session
        session.in_sync = True
        try:
            list(super().stream_slices())  # finds the accounts, if no other stream has yet
        except GraphError:
            if not session.missing:
                raise
        assert session.accounts is not None  # noqa: S101 - none found is not the same as not looked for
        lost = [{"business_account_id": name, "page_id": None, "username": None} for name in session.missing]
        for account in [*session.accounts, *lost]:
            partition = {"business_account_id": account["business_account_id"]}
            extra = {name: account[name] for name in ("page_id", "username")}
            yield StreamSlice(partition=partition, cursor_slice={}, extra_fields=extra)


@dataclass
class EachObject(SubstreamPartitionRouter):
    """One slice for each account of a parent's list, whose objects are read page by page.

    The CDK's own router makes a slice of each object. Then calls could not travel in batches, and state would be kept
    by object: see docs/architecture.md.
    """

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Find the parent's list."""
        super().__post_init__(parameters)
        (self._parent,) = self.parent_stream_configs
        self._list: ListRetriever = SyncSession.of(self.config).lists[self._parent.stream.name]

    def stream_slices(self) -> Iterable[StreamSlice]:
        """The slices of the parent: its accounts."""
        yield from self._list.partition_router.stream_slices()

    def objects(self, requester: GraphRequester) -> ListRetriever:
        """The parent's list with its key and `extra_fields`, requested as a child stream does."""
        paths = [[self._parent.parent_key], *(self._parent.extra_fields or [])]
        fields = [
            "/".join(InterpolatedString.create(part, parameters={}).eval(self.config) for part in path)
            for path in paths
        ]
        return self._list.for_child(requester, fields)


# -- State -------------------------------------------------------------------------------------------------------------


@dataclass
class AccountState(StateMigration):
    """State of every shape that a connection may bring, as one cursor for each account: see `by_partition`.

    `partition` names what else the state is kept by.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    cursor_field: str = "date"
    partition: list[str] = field(default_factory=lambda: [ACCOUNT])

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """No more to prepare."""

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Always: what is already right comes out as it was."""
        return bool(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """One entry for each account with a cursor that is a time; others are dropped with a warning."""
        return by_partition(stream_state, self.cursor_field, self.partition)
