"""Through which of the token's accounts strangers are asked for."""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from source_instagram.answers import Verdict
from source_instagram.capabilities import SEVERAL
from source_instagram.evidence import REFUSALS

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

ACCOUNT = "business_account_id"
# What may be refused of one account, and not of the next.
OF_ACCOUNT = (*REFUSALS, "not_visible", "refused_field", "unconfirmed")


def who_may_ask(session: "SyncSession", accounts: Any) -> list[str]:
    """The accounts of the token, from the router whose slices they are.

    Raises:
        GraphError: there is none, or none of those that the configuration names.
    """
    for _ in accounts.stream_slices():  # finds them, if no other stream has yet
        pass
    if not session.accounts:
        raise next(iter(session.missing.values())).again()
    return [account[ACCOUNT] for account in session.accounts]


class Askers:
    """Who asks: the account with the most room left, by Meta's headers, that is not refused.

    A refusal may be the account's or of what it asks for. So others try the same, and an account to which several
    things were refused, and none given since, is asked for nothing more.
    """

    def __init__(self, session: "SyncSession") -> None:
        """Everybody may ask."""
        self._session = session
        self._lock = threading.Lock()
        self._refused: defaultdict[str, dict[str, Verdict]] = defaultdict(dict)  # by account, since it was last given
        self._is_any_proven = False
        self._last: Verdict | None = None  # refusal

    def best(self, but: Collection[str] = ()) -> str | None:
        """The account to ask through, other than some; None where nobody is worth it."""
        with self._lock:
            closed = [account for account, things in self._refused.items() if len(things) >= SEVERAL]
            is_hopeless = len(closed) >= SEVERAL and not self._is_any_proven
        accounts = [each[ACCOUNT] for each in self._session.accounts or ()]
        left = [account for account in accounts if account not in but and account not in closed]
        return self._session.rate_limiter.roomiest(left) if left and not is_hopeless else None

    def note(self, account: str, said: Mapping[str, Verdict | None]) -> None:
        """What became of all that was asked for together through an account: what was given speaks for it."""
        refused = {thing: verdict for thing, verdict in said.items() if verdict and verdict.then in OF_ACCOUNT}
        with self._lock:
            self._last = next(iter(refused.values()), self._last)
            if any(map(is_given, said.values())):
                self._refused.pop(account, None)
                self._is_any_proven = True
            else:
                self._refused[account] |= refused

    def why(self) -> Verdict | None:
        """What was refused last."""
        return self._last


def is_given(verdict: Verdict | None) -> bool:
    """Whether an account was told what it asked for, be it that there is no such thing."""
    return verdict is None or verdict.then == "no_such_name"


def is_worth_another(verdict: Verdict | None, said: Iterable[Verdict | None]) -> bool:
    """Whether another account may be given it: after a refusal, or a fault where nothing that was asked for came."""
    return verdict is not None and (
        verdict.then in OF_ACCOUNT or (verdict.then == "retry" and not any(map(is_given, said)))
    )
