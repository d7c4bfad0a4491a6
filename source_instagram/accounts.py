"""Which accounts a sync reads.

https://developers.facebook.com/docs/instagram-platform/instagram-api-with-facebook-login/get-started
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.types import StreamSlice

from source_instagram.answers import THE_TOKEN, GraphError, Reply, listed_in
from source_instagram.calls import GraphCall
from source_instagram.client import Client
from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

SIZED = "instagram_business_account{id,username,media_count}"  # of a Page: its account, with its size
Account = dict[str, Any]

NO_ACCOUNT = (
    "The access token reaches no Instagram professional account. Convert the account to a business or creator account "
    "and connect it to a Facebook Page that the token's user manages. If the Page belongs to a business portfolio, "
    "grant business_management as well, or name the account's id in the configuration."
)
NO_USER_ID = (
    "Meta does not say whose the access token is: its answer has no user_id. Make sure that the account "
    "is a business or creator account, grant instagram_business_basic, and authorize again."
)
OF_A_PAGE = (
    "The access token is that of a Facebook Page, which lists no accounts. Enter the token of the Page's user or of a "
    "system user, or name the account's id in the configuration."
)
UNKNOWN_ACCOUNT = (
    "Account {}, which the configuration names, is not among those that the access token reaches. Correct its name, "
    "give its id, or grant the token access to it."
)
NOT_LISTED = "Account {}, which the configuration names, was not found, because the list of Pages could not be read. {}"
NO_ACCOUNT_ID = (
    "{}, which the configuration names, is the id neither of an Instagram professional account nor of a Page that has "
    "one. Enter the account's id or username."
)
NEEDED = ("instagram_basic", "pages_show_list", "pages_read_engagement")  # to list accounts, with Facebook Login


# -- Permissions -------------------------------------------------------------------------------------------------------


def granted_in(call: GraphCall) -> set[str]:
    """The permissions in the answer of `/me/permissions`; none where the token cannot be asked for them."""
    rows = listed_in(call.answer)
    return {row.get("permission") for row in rows if row.get("status") == "granted"}


def granted(session: SyncSession, client: Client) -> set[str]:
    """The permissions that the token has, asked once a sync; none where it cannot be asked (Instagram Login, Pages)."""

    def asked() -> set[str]:
        call = GraphCall("me/permissions", subject=THE_TOKEN)
        if not session.instagram_login:
            session.executor.run([call], replace(client, account=None))
        if call.outcome and call.outcome.closed_by:
            raise call.outcome.closed_by
        return granted_in(call)

    return set(session.once("permissions", asked))


def explain_nothing(session: SyncSession, client: Client, edge: str, subject: str, *, suspicious: bool) -> None:
    """What it means that an account was asked and gave nothing at all: Meta also answers so without a permission.

    A new or quiet account gives nothing either, so that a warning is all, where it is suspicious.

    Raises:
        GraphError: the token lacks the permission, so there may be data that it does not get.
    """
    permission, has = client.permission(edge), granted(session, client)
    if has and permission not in has:
        message = f"The access token lacks {permission}, so {client.stream} came empty. Grant it and authorize again."
        raise GraphError(message, FailureType.config_error)
    if suspicious and session.first("nothing", client.stream, subject):
        log.warning(
            "%s: Meta gave nothing for %s. Unless the account is new, the access token lacks %s for it.",
            subject, client.stream, permission,
        )  # fmt: skip


def nobody(session: SyncSession, permissions: set[str]) -> GraphError:
    """The error for a token that reaches no account: the permissions it lacks by `/me/permissions`, if that is why."""
    if session.instagram_login:
        return GraphError(NO_USER_ID, FailureType.config_error)
    lacking = [name for name in NEEDED if name not in permissions] if permissions else []
    if not lacking:
        return GraphError(NO_ACCOUNT, FailureType.config_error)
    message = f"The access token lacks {', '.join(lacking)}, so it reaches no account. Grant it and authorize again."
    return GraphError(message, FailureType.config_error)


# -- Finding -----------------------------------------------------------------------------------------------------------


def accounts_on(page: Any) -> Iterator[Account]:
    """The accounts on a page of `/me/accounts`, or in the answer of `/me`, flat or wrapped.

    Before: {"data": [{"id": "1002", "name": "Cup", "instagram_business_account": {"id": "1784", "username": "cup"}}]}
    After:  {"business_account_id": "1784", "page_id": "1002", "page_name": "Cup", "username": "cup"}
    """
    for row in page.get("data", [page]) if isinstance(page, Mapping) else ():
        account = row.get("instagram_business_account")
        if account and not (isinstance(account, Mapping) and account.get("id")):
            log.warning(
                "Meta does not give the id of the account of Page %s (%s), so it is left out.",
                row["id"],
                row.get("name"),
            )
        elif account:
            own = {"business_account_id": str(account["id"]), "page_id": str(row["id"]), "page_name": row.get("name")}
            yield {**own, "username": account.get("username")}
        elif row.get("user_id"):
            own = {"business_account_id": str(row["user_id"]), "page_id": None, "page_name": None}
            yield {**own, "username": row.get("username")}


def one_of_each(listed: list[Account]) -> list[Account]:
    """Each account once, with the lowest of its Pages' ids, so that `page_id` is the same at every sync."""
    accounts: dict[str, Account] = {}
    for account in sorted(listed, key=lambda account: (len(account["page_id"] or ""), account["page_id"] or "")):
        first = accounts.setdefault(account["business_account_id"], account)
        if first["page_id"] != account["page_id"]:
            log.info(
                "Account %s belongs to Page %s as well; its page_id is the lowest, %s.",
                account["business_account_id"], account["page_id"], first["page_id"],
            )  # fmt: skip
    return [accounts[name] for name in dict.fromkeys(account["business_account_id"] for account in listed)]


def chosen(
    listed: list[Account], wanted: list[str], read: Callable[[str], Account]
) -> tuple[list[Account], dict[str, GraphError]]:
    """The accounts to sync, and those that cannot be found, so that one bad name does not cost the others.

    `wanted` holds ids and lower-case usernames; none means all. `read` gets an account that is not listed by its id. A
    Page's id, which people take for the account's, stands for its account.
    """
    found: dict[str, Account] = {}
    missing: dict[str, GraphError] = {}
    by_page = {account["page_id"]: account for account in listed}
    names = {str(account[key]).lower(): account for key in ("username", "business_account_id") for account in listed}
    for name in wanted or [account["business_account_id"] for account in listed]:
        try:
            account = names.get(name) or by_page.get(name) or read(name)
            found[account["business_account_id"]] = account
        except GraphError as error:
            missing[name] = error
            log.warning("%s", error.message)
            continue
        if name == account["page_id"] and name not in names:
            log.warning(
                "%s, which the configuration names, is the id of a Page: its account is %s.", name, name_of(account)
            )
    return list(found.values()), missing


def all_listed(pages: Iterable[Any]) -> tuple[list[Account], GraphError | None]:
    """The accounts on the pages of the list, and why it could not be read to its end."""
    listed: list[Account] = []
    try:
        for page in pages:
            listed += accounts_on(page)
    except GraphError as error:
        is_page = "nonexisting field (accounts)" in str(error.message)
        return listed, GraphError(OF_A_PAGE, FailureType.config_error) if is_page else error
    return listed, None


def found(
    session: SyncSession, pages: Iterable[Any], wanted: list[str], client: Client
) -> tuple[list[Account], dict[str, GraphError]]:
    """The accounts to sync, from the pages of the list and by the ids that are not on it; and those not to be found.

    Raises:
        GraphError: the token reaches no account, or the list cannot be read and no account is named.
    """
    listed, broken = all_listed(pages)
    if broken:
        if not wanted or session.rate_limiter.stopped:
            raise broken
        log.warning(
            "The Pages cannot be listed: accounts that the configuration names by their ids are read by these, and "
            "their page_id may be empty in this sync. %s", broken.message,
        )  # fmt: skip
    if not listed and not wanted:
        raise nobody(session, granted(session, client))
    listed = one_of_each(listed)

    def read(name: str) -> Account:
        if name.isdigit() and not session.instagram_login:
            return by_id(session, name, client)
        if broken:
            raise GraphError(NOT_LISTED.format(name, broken.message), broken.failure_type)
        raise GraphError(UNKNOWN_ACCOUNT.format(name), FailureType.config_error)

    accounts, missing = chosen(listed, wanted, read)
    session.rate_limiter.accounts = {account["business_account_id"] for account in (*listed, *accounts)}
    return accounts, missing


def by_id(session: SyncSession, name: str, client: Client) -> Account:
    """An account that no Page of the token's shows, as those of business portfolios; or that of the Page with this id.

    Raises:
        GraphError: it cannot be read, or is neither.
    """
    # Only an account has a media_count, only a Page an account; who lacks a field is told by its refusal.
    rules = [{**rule, "then": "fail_account"} if rule["then"] == "refused_field" else rule for rule in client.rules]
    for fields in ("id,username,media_count", "id,name,instagram_business_account{id,username}"):
        call = GraphCall(name, {"fields": fields}, subject=f"account {name}, which the configuration names")
        session.executor.run([call], replace(client, rules=rules))
        if call.outcome and not (call.outcome.then == "fail_account" and call.outcome.code == 100):  # noqa: PLR2004 - Meta's code
            raise client.failure(call)
        if call.answer and "media_count" in fields:
            return {
                "business_account_id": name,
                "page_id": None,
                "page_name": None,
                "username": call.answer.get("username"),
            }
        for account in accounts_on({"data": [call.answer]}) if call.answer else ():
            return account
    raise GraphError(NO_ACCOUNT_ID.format(name), FailureType.config_error)


# -- Instagram Login's other name --------------------------------------------------------------------------------------


def under_me(session: SyncSession, url: str, get: Callable[[str], Reply]) -> Reply:
    """What Meta answers to a call with Instagram Login, where some tokens read their account under `me` only.

    Before: Unknown path components: /media, for 17841400000000001/media
    After:  the answer for me/media, and the same for all later calls of this sync

    A token of that login has just one account, so `me` and its id are the same.
    """
    account, rest = re.fullmatch(r"(\w+)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr] # every path has one
    if account not in (each["business_account_id"] for each in session.accounts or ()):
        return get(url)
    if session.answers_to_me:
        return get(f"me{rest}")
    reply = get(url)
    if session.answers_to_me is False or not refuses_id(reply):
        return reply
    other = get(f"me{rest}")  # also where another thread has just found out that this is the way
    if refuses_id(other):
        session.answers_to_me = bool(session.answers_to_me)
        return reply
    if isinstance(other.body, dict) and "error" not in other.body:
        session.answers_to_me = True
        if session.first("me", account):
            log.info("Meta refuses account %s by its id and answers under `me`, so that is asked from now on.", account)
    return other  # a throttle or a fault tells neither, and passes


def refuses_id(reply: Reply) -> bool:
    """Whether Meta answers as if nothing had this id: code 2500, 100/33, or `Unknown path components: /media`."""
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    return isinstance(error, dict) and (
        error.get("code") == 2500  # noqa: PLR2004 - Meta's code
        or error.get("error_subcode") == 33  # noqa: PLR2004
        or "unknown path components" in str(error.get("message")).lower()
    )


# -- Words -------------------------------------------------------------------------------------------------------------


def wanted(config: Mapping[str, Any]) -> list[str]:
    """The accounts that a configuration names.

    Before: {"accounts": ["@Blue.Cup", "17841400000000001"]}
    After:  ["blue.cup", "17841400000000001"]
    """
    return [str(name).lstrip("@").lower() for name in config.get("accounts") or []]


def name_of(account: Account) -> str:
    """An account in words for people: `17841400000000001 (bluecup)`."""
    username = account.get("username")
    return str(account["business_account_id"]) + (f" ({username})" if username else "")


def account_of(stream_slice: StreamSlice | None) -> str | None:
    """The account that a slice is about, or through which it is asked for."""
    if not stream_slice:
        return None
    return stream_slice.partition.get("business_account_id") or stream_slice.extra_fields.get("business_account_id")


def subject_of(stream_slice: StreamSlice | None) -> str:
    """What it is about in words for people: `account 17841400000000001 (bluecup)`, `hashtag coffee`."""
    account = account_of(stream_slice)
    if stream_slice and "hashtag" in stream_slice.partition:
        return f"hashtag {stream_slice.partition['hashtag']}"
    username = stream_slice.extra_fields.get("username") if stream_slice else None
    return f"account {name_of({'business_account_id': account, 'username': username})}" if account else THE_TOKEN
