"""What `check` finds out: whether an account can be read, and which permissions are missing."""

import logging
from collections.abc import Callable
from dataclasses import replace

from airbyte_cdk.models import FailureType

from source_instagram.accounts import Account, granted_in, name_of
from source_instagram.answers import THE_TOKEN, GraphError
from source_instagram.calls import GraphCall, Scope
from source_instagram.client import Client
from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")

USEFUL = {  # and what comes empty without the others
    "instagram_manage_insights": "the streams of insights and demographics",
    "instagram_manage_comments": "comments and tags",
}
PATIENCE = 35  # seconds that a check gives Meta: six attempts fit, and it has answered within a minute
Trial = tuple[GraphCall, GraphCall]  # for the profile of an account, and for a number
NOTHING = ("no_data", "before_conversion")  # an account that has no numbers can be read
SAMPLE = 25  # accounts that a check tries at most; with two calls for each they fit in one batch


def too_late(why: str) -> GraphError:
    """The error for a check that would have to wait."""
    why = why or "Meta does not answer in time."
    return GraphError(f"{why} A check does not wait for that; try again later.", FailureType.transient_error)


def tried(
    session: SyncSession, accounts: list[Account], client_for: Callable[[str | None], Client]
) -> GraphError | None:
    """Why none of the accounts can be read, profile and insights; None when one can, or may. The log names the others.

    The first is tried alone; only where it is refused, others from all over the list are tried, together.
    """
    count = min(SAMPLE, len(accounts))
    sample = [accounts[at * (len(accounts) - 1) // max(count - 1, 1)] for at in range(count)]
    problems: list[GraphError] = []
    for group in (sample[:1], sample[1:]):
        client = client_for(group[0]["business_account_id"] if len(group) == 1 else None)
        trials = [trial(account) for account in group]
        lacking = run(session, client, trials, about_token=group == sample[:1])
        if any(is_readable(profile, reach, client, lacking) for profile, reach in trials):
            return None
        problems += [problem for pair in trials if (problem := problem_in(pair, client))]
        if session.rate_limiter.stopped:  # the token is what is wrong, not the account
            return problems[0]
        if any(call.outcome and call.outcome.closed_by for pair in trials for call in pair):
            log.warning(
                "The accounts were listed, but whether they can be read could not be tried: Meta lets nobody in now."
            )
            return None
    if len(problems) > 1:
        message = f"None of the {len(problems)} accounts that were tried can be read. {problems[0].message}"
        return GraphError(message, problems[0].failure_type or FailureType.config_error)
    return problems[0] if problems else None


def run(session: SyncSession, client: Client, trials: list[Trial], *, about_token: bool) -> set[str]:
    """Make the calls of some accounts, in one batch where that is known; the permissions that the token lacks."""
    is_asked = about_token and not session.instagram_login
    permissions = [GraphCall("me/permissions", subject=THE_TOKEN)] if is_asked else []
    session.executor.run([*(call for pair in trials for call in pair), *permissions], client)
    return tell_lacking(granted_in(permissions[0])) if permissions else set()


def problem_in(pair: Trial, client: Client) -> GraphError | None:
    """Why an account cannot be read; it is told in the log."""
    lost = next((call for call in pair if call.outcome and call.outcome.then not in NOTHING), None)
    problem = client.failure(lost) if lost else None
    if problem:
        log.warning("%s", problem.message)
    return problem


def is_readable(profile: GraphCall, reach: GraphCall, client: Client, lacking: set[str]) -> bool:
    """Whether an account can be read, with its insights, or without where that permission alone is missing."""
    if any(call.outcome and call.outcome.then not in NOTHING for call in (profile, reach)):
        is_lacking = is_unpermitted(reach) and not profile.outcome
        if is_lacking:
            log.warning("%s", client.failure(reach).message)
        return is_lacking
    if reach.body == {"data": []} and client.permission("insights") not in lacking:
        log.warning(
            "%s: Meta gives no insights. Unless the account is new, the access token lacks %s for it.",
            reach.subject, client.permission("insights"),
        )  # fmt: skip
    return True


def trial(account: Account) -> Trial:
    """The calls that show whether an account can be read: its profile and a number."""
    name = account["business_account_id"]
    about = GraphCall(name, subject=f"account {name_of(account)}", scope=Scope("accounts", name))
    params = {"period": "day", "metric_type": "time_series"}
    return (
        replace(about, params={"fields": "id"}),
        replace(about, path=f"{name}/insights", params=params, metrics=["reach"]),
    )


def is_unpermitted(call: GraphCall) -> bool:
    """Whether a call was refused for a permission, without which everything else can still be read."""
    verdict = call.outcome
    return verdict is not None and verdict.then == "fail_account" and verdict.blame == FailureType.config_error


def tell_lacking(permissions: set[str]) -> set[str]:
    """Log which permissions are missing and what that costs; all of them are there where nothing is known."""
    lacking = {name for name in USEFUL if permissions and name not in permissions}
    for name in sorted(lacking):
        log.warning(
            "The access token lacks %s, so %s come empty or fail. Grant it and authorize again.", name, USEFUL[name]
        )
    return lacking
