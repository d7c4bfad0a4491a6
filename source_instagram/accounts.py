"""Which accounts a sync reads.

https://developers.facebook.com/docs/instagram-platform/instagram-api-with-facebook-login/get-started
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.types import StreamSlice

from source_instagram.answers import THE_TOKEN, GraphError
from source_instagram.calls import GraphCall
from source_instagram.executor import Client
from source_instagram.graph import Graph

log = logging.getLogger("airbyte.instagram")

Account = dict[str, Any]

NO_ACCOUNT = (
    "The access token reaches no Instagram professional account. Convert the account to a business or creator account "
    "and connect it to a Facebook Page that the token's user manages. If the Page belongs to a business portfolio, "
    "grant business_management as well, or name the account's id in the configuration."
)
UNKNOWN_ACCOUNT = (
    "Account {}, which the configuration names, is not among those that the access token reaches. Correct its name, "
    "give its id, or grant the token access to it."
)


NEEDED = ("instagram_basic", "pages_show_list", "pages_read_engagement")  # to list accounts, with Facebook Login


def nobody(permissions: Any) -> GraphError:
    """The error for a token that reaches no account: the permissions it lacks by `/me/permissions`, if that is why."""
    granted = {row.get("permission") for row in permissions if row.get("status") == "granted"}
    lacking = [name for name in NEEDED if name not in granted] if granted else []
    if not lacking:
        return GraphError(NO_ACCOUNT, FailureType.config_error)
    message = f"The access token lacks {', '.join(lacking)}, so it reaches no account. Grant it and authorize again."
    return GraphError(message, FailureType.config_error)


def unknown(name: str) -> GraphError:
    """The error for an account that cannot be found."""
    return GraphError(UNKNOWN_ACCOUNT.format(name), FailureType.config_error)


def accounts_on(page: Any) -> Iterator[Account]:
    """The accounts on a page of `/me/accounts`, or in the answer of `/me`, flat or wrapped.

    Before: {"data": [{"id": "1002", "name": "Cup", "instagram_business_account": {"id": "1784", "username": "cup"}}]}
    After:  {"business_account_id": "1784", "page_id": "1002", "page_name": "Cup", "username": "cup"}
    """
    for row in page.get("data", [page]) if isinstance(page, Mapping) else ():
        account = row.get("instagram_business_account")
        if account:
            own = {"business_account_id": str(account["id"]), "page_id": str(row["id"]), "page_name": row.get("name")}
            yield {**own, "username": account.get("username")}
        elif row.get("user_id"):
            own = {"business_account_id": str(row["user_id"]), "page_id": None, "page_name": None}
            yield {**own, "username": row.get("username")}


def chosen(
    listed: list[Account], wanted: list[str], read: Callable[[str], Account]
) -> tuple[list[Account], dict[str, GraphError]]:
    """The accounts to sync, and those that cannot be found, so that one bad name does not cost the others.

    `wanted` holds ids and lower-case usernames; none means all. `read` gets an account that is not listed by its id.
    """
    found: dict[str, Account] = {}
    missing: dict[str, GraphError] = {}
    names = {str(account[key]).lower(): account for key in ("username", "business_account_id") for account in listed}
    for name in wanted or [account["business_account_id"] for account in listed]:
        try:
            account = names.get(name) or read(name)
            found[account["business_account_id"]] = account
        except GraphError as error:  # noqa: PERF203 - each name is tried for itself
            missing[name] = error
            log.warning("%s", error.message)
    return list(found.values()), missing


def found(
    graph: Graph, pages: Iterable[Any], wanted: list[str], client: Client
) -> tuple[list[Account], dict[str, GraphError]]:
    """The accounts to sync, from the pages of the list and by the ids that are not on it; and those not to be found.

    Raises:
        GraphError: the token reaches no account, or the list cannot be read and no account is named.
    """
    listed: list[Account] = []
    try:
        for page in pages:
            listed += accounts_on(page)
    except GraphError as error:
        if not wanted or graph.turnstile.stopped:
            raise
        log.warning("The Pages cannot be listed, so the configured accounts are read by their ids. %s", error.message)
    if not listed and not wanted:
        call = GraphCall("me/permissions", subject=THE_TOKEN)
        if not graph.instagram_login:
            graph.executor.run([call], client)
        if call.verdict and call.verdict.closed_by:
            raise call.verdict.closed_by
        raise nobody((call.answer or {}).get("data") or [])

    def read(name: str) -> Account:
        # An account that no Page of the token's shows: those of business portfolios and system users.
        if not name.isdigit() or graph.instagram_login:
            raise unknown(name)
        call = GraphCall(name, {"fields": "id,username"}, subject=f"account {name}, which the configuration names")
        graph.ask(call, client)
        username = (call.answer or {}).get("username")
        return {"business_account_id": name, "page_id": None, "page_name": None, "username": username}

    return chosen(listed, wanted, read)


def tried(graph: Graph, accounts: list[Account], client_for: Callable[[str], Client]) -> GraphError | None:
    """Why none of the accounts can be read, profile and insights; None when one can. The log names the others."""
    problems = []
    for account in accounts[:25]:
        name, subject = account["business_account_id"], f"account {account['business_account_id']}"
        calls = [
            GraphCall(name, {"fields": "id"}, subject=subject),
            GraphCall(f"{name}/insights", {"period": "day", "metric_type": "time_series"}, ["reach"], subject=subject),
        ]
        client = client_for(name)
        graph.executor.run(calls, client)
        refusals = [
            call for call in calls if call.verdict and call.verdict.then not in ("no_data", "before_conversion")
        ]
        if not refusals:
            return None
        problems.append(client.failure(refusals[0]))
        log.warning("%s", problems[-1].message)
    return problems[0] if problems else None


def account_of(stream_slice: StreamSlice | None) -> str | None:
    """The account that a slice is about."""
    return (stream_slice.partition.get("business_account_id") if stream_slice else None) or None


def subject_of(stream_slice: StreamSlice | None) -> str:
    """The same in words for people: `account 17841400000000001 (bluecup)`."""
    account = account_of(stream_slice)
    username = stream_slice.extra_fields.get("username") if stream_slice else None
    return f"account {account}" + (f" ({username})" if username else "") if account else THE_TOKEN
