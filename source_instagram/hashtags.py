"""Hashtags, and through which accounts they are asked for: each account may search 30 different ones in seven days.

https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-hashtag-search
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/recently_searched_hashtags
"""

import contextlib
import logging
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.extractors.record_selector import RecordSelector
from airbyte_cdk.sources.declarative.partition_routers import SubstreamPartitionRouter
from airbyte_cdk.sources.declarative.retrievers import Retriever
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import StreamSlice

from source_instagram.accounts import name_of
from source_instagram.answers import SEARCH, GraphError
from source_instagram.askers import ACCOUNT, OF_ACCOUNT, who_may_ask
from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import SEVERAL
from source_instagram.client import Client
from source_instagram.requester import GraphRequester
from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

HASHTAGS = "hashtags"  # under which a session remembers them
DIFFERENT = 30  # hashtags that an account may search in seven days
TOO_MANY = (
    "`hashtags` names {} hashtags that were not searched in the last seven days, but there is room for {} only: Meta "
    "allows 30 different ones in seven days for each account, whatever tool searches them. Nothing was searched. "
    "Remove {}, connect more accounts, or wait."
)

Recent = dict[str, dict[str, str]]  # by account: the ids of the hashtags that it has searched lately, by their names


@dataclass
class HashtagsRetriever(Retriever):
    """The hashtags that the configuration names, found once for both streams."""

    requester: GraphRequester
    record_selector: RecordSelector
    accounts: Any  # the router whose slices are the accounts of the token
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any]]
    name: str = ""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        self.session = SyncSession.of(self.config)
        self._client_for: Callable[[str | None], Client] = self.requester.client

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """One record for each hashtag that there is.

        Raises:
            GraphError: they are more than Meta allows, or some could not be looked for; after those that could.
        """
        records = self.record_selector.filter_and_transform(
            self.session.once(HASHTAGS, self._found),
            stream_state={},
            records_schema=records_schema,
            stream_slice=stream_slice or StreamSlice(partition={}, cursor_slice={}),
        )
        # Without a catalog's entry they are not shown, but read for their media.
        yield from self.session.limit.of(records) if self.requester.catalog_entry else records
        for problem in self.session.lost.values():
            raise problem.again()

    def _found(self) -> list[dict[str, Any]]:
        """All that there are, of those whose searches were answered; why others are missing stands in the session."""
        names = list(dict.fromkeys(plain(name) for name in self.config.get(HASHTAGS) or ()))
        ids, askers = self._looked_for(names, who_may_ask(self.session, self.accounts))
        found = {ids[name]: name for name in reversed(names) if name in ids}
        for name in ids.keys() - found.values():
            log.warning("Hashtag %s is left out: Meta gives the same for %s.", name, found[ids[name]])
        return [{"id": ids[name], "name": name, ACCOUNT: askers[name]} for name in names if name in found.values()]

    def _looked_for(self, names: list[str], accounts: list[str]) -> tuple[dict[str, str], dict[str, str]]:
        """The ids of hashtags by their names, and through which account each is asked for.

        What an account is refused, though it seems to have room, a few of the others look for.
        """
        recent, problems, askers = Recent(), list[GraphError](), dict[str, str]()
        for some in (accounts[:1], accounts[1:]):  # mostly the first has room for all
            if some and len(askers) < len(names):
                recent |= self._recent(some, problems)
                askers = dealt(names, recent)
        if problems and not recent:
            raise problems[0]
        if len(askers) < len(names):
            raise too_many(names, recent)
        ids = {name: recent[account][name] for name, account in askers.items() if name in recent[account]}
        calls = self._searched({name: account for name, account in askers.items() if name not in ids})
        ids |= {call.who: str(call.items[0]["id"]) for call in calls if call.items}
        refused = {call.who: call.scope.account for call in calls if call.outcome and call.outcome.then in OF_ACCOUNT}
        others = [account for account in accounts if account not in refused.values()][: SEVERAL - 1]
        if refused and others:
            with contextlib.suppress(GraphError):  # they have no room, or may not ask: what the first was told stands
                more, whose = self._looked_for([*refused], others)
                ids, askers = ids | more, askers | whose
                calls = [call for call in calls if call.who not in refused]  # what became of the others is told
        for call in calls:
            if call.who not in ids:
                self._tell(call)
        return ids, askers

    def _recent(self, accounts: list[str], problems: list[GraphError]) -> Recent:
        """What accounts have searched lately; those that may not be asked are left out, and why joins the problems.

        Raises:
            GraphError: nobody may ask, or it is not known what was searched: then nothing can be dealt out.
        """
        client = self._client_for(accounts[0] if len(accounts) == 1 else None)
        told = {each[ACCOUNT]: name_of(each) for each in self.session.accounts or ()}
        calls = [
            GraphCall(
                f"{account}/recently_searched_hashtags",
                {"fields": "id,name", "limit": str(DIFFERENT)},
                scope=Scope(self.name, account),
                subject=f"account {told[account]}",
                needs=("id", "name"),
            )
            for account in accounts
        ]
        self.session.executor.run_all(calls, client)
        recent = Recent()
        for account, call in zip(accounts, calls, strict=True):
            if call.outcome is None:
                recent[account] = {plain(tag.get("name") or tag["id"]): str(tag["id"]) for tag in call.items}
            elif call.outcome.then in OF_ACCOUNT:
                problems.append(client.failure(call))
                log.warning("Hashtags are not asked for through this account. %s", problems[-1].message)
            else:
                raise client.failure(call)
        return recent

    def _searched(self, askers: Mapping[str, str]) -> list[GraphCall]:
        """The searches for hashtags, each through its account, once they have ended."""
        searches = list[GraphCall]()
        for account in dict.fromkeys(askers.values()):
            client = self._client_for(account)
            calls = [
                GraphCall(
                    SEARCH,
                    {"user_id": account, "q": name, "fields": "id,name"},
                    scope=Scope(self.name, account),
                    subject=f"hashtag {name}",
                    who=name,
                )
                for name, asker in askers.items()
                if asker == account
            ]
            self.session.executor.run_all(calls, client)
            searches += calls
        return searches

    def _tell(self, call: GraphCall) -> None:
        """Tell that there is no such hashtag; keep why it is missing, where that is not known."""
        try:
            self.session.see(call, self._client_for(call.scope.account))
        except GraphError as error:
            self.session.lost[f"#{call.who}"] = error
            log.error("Missing: %s. %s", self.name, error.message)  # noqa: TRY400 - its sentence says it all
        if call.is_answered:
            log.warning("%s: nothing for %s. Meta knows no such hashtag.", call.subject, self.name)


@dataclass
class EachHashtag(SubstreamPartitionRouter):
    """One slice for each hashtag and each of its lists (`edges`), with the account that asks for it beside."""

    edges: list[str] = field(default_factory=list)

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Join the other streams of this sync."""
        super().__post_init__(parameters)
        self._session = SyncSession.of(self.config)

    def stream_slices(self) -> Iterable[StreamSlice]:
        """Slices of the hashtags that were found, then of those that could not be: reading one of these fails."""
        with contextlib.suppress(GraphError):
            list(super().stream_slices())  # finds the hashtags, if the other stream has not yet
        for tag in [*self._session.once(HASHTAGS, dict), *({"name": name} for name in self._session.lost)]:
            extra = {"hashtag_id": tag.get("id"), ACCOUNT: tag.get(ACCOUNT, tag["name"])}
            for edge in self.edges:
                yield StreamSlice(
                    partition={"hashtag": tag["name"].lstrip("#"), "edge": edge}, cursor_slice={}, extra_fields=extra
                )


def plain(name: Any) -> str:
    """A hashtag as Meta has it, whoever writes it.

    Before: "#Café", "cafe" and an accent of its own behind it
    After:  "café"
    """
    return unicodedata.normalize("NFC", str(name).lstrip("#").lower())


def dealt(names: Iterable[str], recent: Recent) -> dict[str, str]:
    """Which account asks for which hashtag: who has searched it lately, for whom it is free, else the first with room.

    Before: ["tea", "cup"], {"1784…1": 30 others, "1784…2": {"tea": "178…"}}
    After:  {"tea": "1784…2", "cup": "1784…2"}

    Those for which there is no room are left out.
    """
    room = {account: DIFFERENT - len(known) for account, known in recent.items()}
    askers: dict[str, str] = {}
    for name in names:
        knows = next((account for account, known in recent.items() if name in known), None)
        if knows:
            askers[name] = knows
    for name in names:
        account = None if name in askers else next((each for each, left in room.items() if left > 0), None)
        if account:
            askers[name] = account
            room[account] -= 1
    return askers


def too_many(names: list[str], recent: Recent) -> GraphError:
    """The error for more hashtags than there is room for."""
    new = [name for name in names if not any(name in known for known in recent.values())]
    room = sum(max(DIFFERENT - len(known), 0) for known in recent.values())
    return GraphError(TOO_MANY.format(len(new), room, len(new) - room), FailureType.config_error)
