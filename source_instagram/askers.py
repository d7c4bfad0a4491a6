"""Through which of the token's accounts strangers are asked for."""

import threading
from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from source_instagram.answers import Verdict
from source_instagram.capabilities import SEVERAL

if TYPE_CHECKING:
    from source_instagram.session import SyncSession

ACCOUNT = "business_account_id"
OF_ACCOUNT = ("fail_account", "not_visible")  # what may be refused of one account, and not of the next


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

    def best(self, but: Collection[str] = ()) -> str | None:
        """The account to ask through, other than some; None where nobody is worth it."""
        with self._lock:
            closed = [account for account, things in self._refused.items() if len(things) >= SEVERAL]
            is_hopeless = len(closed) >= SEVERAL and not self._is_any_proven
        accounts = [each[ACCOUNT] for each in self._session.accounts or ()]
        left = [account for account in accounts if account not in but and account not in closed]
        return self._session.rate_limiter.roomiest(left) if left and not is_hopeless else None

    def note(self, account: str, thing: str, verdict: Verdict | None) -> None:
        """What became of something that was asked for through an account."""
        with self._lock:
            if verdict is None or verdict.then == "no_such_name":
                self._refused.pop(account, None)
                self._is_any_proven = True
            elif verdict.then in OF_ACCOUNT:
                self._refused[account][thing] = verdict

    def why(self) -> Verdict | None:
        """What was refused last."""
        with self._lock:
            said = [verdict for things in self._refused.values() for verdict in things.values()]
        return said[-1] if said else None
