"""Through which of the token's accounts strangers are asked for."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from source_instagram.answers import Verdict
from source_instagram.capabilities import MANY, SEVERAL
from source_instagram.evidence import REFUSALS
from source_instagram.retry_policy import BATCH_SIZE

if TYPE_CHECKING:
    from source_instagram.calls import GraphCall
    from source_instagram.session import SyncSession

ACCOUNT = "business_account_id"
# What may be refused of one account, and not of the next.
OF_ACCOUNT = (*REFUSALS, "not_visible", "refused_field", "unconfirmed")
PATIENCE = 30  # seconds that somebody waits for who asks alone, who may be throttled for an hour or meet a fault


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
    things were refused, or many where nobody is given any, and none given since, is asked for nothing more.
    """

    def __init__(self, session: "SyncSession") -> None:
        """Everybody may ask."""
        self._session = session
        self._lock, self._first = threading.Lock(), threading.Lock()
        self._refused: defaultdict[str, set[str]] = defaultdict(set)  # by account: things, since it was last given one
        self._given: set[str] = set()  # accounts that were given something
        self._is_faulty = False  # whether something came to nothing otherwise than by a refusal
        self._last: Verdict | None = None  # refusal

    @contextmanager
    def one_by_one(self, is_open: Callable[[], bool]) -> Iterator[None]:
        """Ask alone while little is known, so that what is refused to everybody, whatever it is, costs few calls.

        That is until something is given, or comes to nothing by a fault, which tells nothing of the next; and while
        something of what is asked is open.
        """
        with ExitStack() as alone:
            if self._is_new or is_open():
                if self._first.acquire(timeout=PATIENCE):
                    alone.callback(self._first.release)
                if not (self._is_new or is_open()):  # others have learned it meanwhile
                    alone.close()
            yield

    @property
    def _is_new(self) -> bool:
        return not (self._given or self._is_faulty)

    def is_in_doubt(self, account: str) -> bool:
        """Whether an account was refused what it asked for, and never given anything."""
        with self._lock:
            return account in self._refused and account not in self._given

    def best(self, but: Collection[str] = ()) -> str | None:
        """The account to ask through, other than some; None where nobody is worth it."""
        with self._lock:
            closed = [account for account in self._refused if self._is_closed(account)]
            is_hopeless = len(closed) >= SEVERAL and not self._given
        accounts = [each[ACCOUNT] for each in self._session.accounts or ()]
        left = [account for account in accounts if account not in but and account not in closed]
        return self._session.rate_limiter.roomiest(left) if left and not is_hopeless else None

    def _is_closed(self, account: str) -> bool:
        # Some things may be refused in a row, whoever asks: it takes more where nobody else is known to be given any.
        enough = BATCH_SIZE if account in self._given else SEVERAL if self._given else MANY
        return len(self._refused[account]) >= enough

    def note(self, account: str, call: "GraphCall") -> bool:
        """What became of something that an account asked for; whether another may be given it.

        After a refusal, a throttle that did not end, or a fault where it is not known whether the account meets it with
        all that it asks for. To be told that there is no such thing is to be given what was asked for.
        """
        verdict = call.outcome
        with self._lock:
            if verdict is None or verdict.then == "no_such_name":
                self._refused.pop(account, None)
                self._given.add(account)
                return False
            if verdict.then in OF_ACCOUNT:
                self._last = verdict
                self._refused[account].add(call.who)
                return True
            self._is_faulty = True
            return verdict.then == "closed" or (verdict.then == "retry" and account not in self._given)

    def why(self) -> Verdict | None:
        """What was refused last."""
        return self._last
