"""Objects that Meta says do not exist: gone, or only not shown any more?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airbyte_cdk.models import FailureType

from source_instagram.answers import Verdict, number
from source_instagram.calls import GraphCall, Page, Scope
from source_instagram.capabilities import named_in
from source_instagram.client import Client
from source_instagram.evidence import REFUSALS
from source_instagram.records import next_cursor, total
from source_instagram.session import SyncSession
from source_instagram.times import moment

PAGE = 100  # objects, as many as a list has on one page
MANY = 3  # objects that are gone at once: no chance any more

REPEATED = Verdict(
    "retry",
    "Meta's list came back to a page that it had given before, so its end cannot be read. The next sync tries again.",
    blame=FailureType.transient_error,
)
NOT_SHOWN = Verdict(
    "retry",
    "Meta gives nothing, and nothing any more of what it has just given. Grant {permission}, or sync again.",
    blame=FailureType.config_error,
)
NOT_GONE = Verdict(
    "retry",
    "Meta says that it does not exist, but lists it, or shows nothing else either. Grant {permission}, or sync again.",
    blame=FailureType.config_error,
)


class Vanished:
    """Finds out, for the objects of one account's list, what Meta's words for a missing object mean.

    Meta says the same of what was deleted and of what a token may no longer see, or answers both with nothing. So a
    call that was answered before is made again; where many are gone, or nothing was answered, they are listed again.
    What is still listed is not gone.
    """

    def __init__(self, session: SyncSession, client: Client, path: str, subject: str, *, has_times: bool) -> None:
        """Watch over the list at this path."""
        self._session, self._client, self._path, self._subject = session, client, path, subject
        self._has_times = has_times  # whether the list can be asked for what was published between two times
        self._answered: GraphCall | None = None  # some call that was, to see whether it still is

    def verify(self, pages: list[Page]) -> None:
        """Change the verdict of those calls of some pages whose objects are not gone.

        The first page of what is read again was listed before the last ones of what is new, and lies years before them.
        """
        every = [each for page in pages for each in page]
        gone = [(one, call) for one, calls in every for call in calls if is_gone(call)]
        unseen = [each for page in pages for each in not_shown_after(page)]
        empty = [call for one, calls in unseen for call in calls if is_empty(one, call)]
        answered = next((c for _, calls in every for c in calls if c.is_first and c.items), self._answered)
        self._answered = answered
        sample = answered or self._session.breaker.sample(self._client.stream)
        if sample is not None and (gone or empty):
            control = sample.again(metrics=[i["name"] for i in sample.items[:1]] if sample.metrics else [])
            self._session.executor.run([control], replace(self._client, account=sample.scope.account))
            if not control.items:
                not_gone([call for _, call in gone], control.outcome)
                # That the object of the control is gone is true of no other.
                why = NOT_SHOWN if control.is_lasting else control.outcome or NOT_SHOWN
                for call in empty:
                    call.answer, call.verdict = None, why
                return
        if gone and (answered is None or len({one["id"] for one, _ in gone}) >= MANY):
            for page in pages:
                self._see_again([(one, call) for one, calls in page for call in calls if is_gone(call)])

    def _see_again(self, gone: list[tuple[Mapping[str, Any], GraphCall]]) -> None:
        """Change the verdict of those calls of a page whose objects are still listed."""
        if gone:
            listed, problem = self._listed_again([one for one, _ in gone])
            not_gone([call for one, call in gone if problem or one["id"] in listed], problem)

    def _listed_again(self, objects: list[Mapping[str, Any]]) -> tuple[set[str], Verdict | None]:
        """The ids in the list between the oldest and the newest of some objects; or why it cannot be read."""
        params = {"fields": "id", "limit": str(PAGE)}
        times = [int(moment(one["timestamp"]).timestamp()) for one in objects if one.get("timestamp")]
        if times and self._has_times:
            params |= {"since": str(min(times)), "until": str(max(times) + 1)}
        listed, cursors = set[str](), set[str]()
        while True:
            call = GraphCall(self._path, dict(params), scope=Scope(*self._client.place), subject=self._subject)
            self._session.executor.run([call], self._client)
            if call.outcome:
                return listed, call.outcome
            listed |= {str(item["id"]) for item in call.items}
            after = next_cursor(call.answer)
            if not after or after in cursors:
                return listed, REPEATED if after else None
            cursors.add(after)
            params["after"] = after


def confirm(session: SyncSession, client: Client, calls: list[GraphCall]) -> None:
    """Find out whether what was refused beside others is refused for itself, or because access was lost meanwhile.

    The others may have been answered long before, also for another stream; so the last of them is made again, once for
    all. Words that name the metric need no proof.
    """
    refused = [call for call in calls if call.outcome and is_beside(call) and call.outcome.then in REFUSALS]
    refused = [call for call in refused if call.outcome and not named_in(call.metrics, call.outcome.words)]
    given = next((call for call in reversed(calls) if call.items), None) if refused else None
    beside = [(call.control if call.is_extra else given) for call in refused if not call.trial]
    controls = [control for control in beside if control and control.items]
    if not controls:
        return
    control = controls[-1].again(metrics=[controls[-1].items[0]["name"]], is_planned=True)
    session.executor.run([control], client)
    if not control.is_answered:
        for leaf in [leaf for call in refused for leaf in call.leaves() if leaf.verdict]:
            leaf.verdict = replace(leaf.verdict, then="unconfirmed")  # type: ignore[type-var] # there is one


def is_beside(call: GraphCall) -> bool:
    """Whether a refusal may cost columns alone, as others are answered: beside a main call, or of an account's rows."""
    is_row = call.scope.family == "accounts" and bool(call.metrics)
    return call.is_extra or (is_row and call.outcome is not None and call.outcome.then == "refused_metric")


def not_gone(calls: list[GraphCall], problem: Verdict | None) -> None:
    """What Meta calls missing is only not shown: for a reason that may heal, or for no reason that it gives."""
    for leaf in [
        leaf for call in calls for leaf in call.leaves() if leaf.verdict and leaf.verdict.then == "not_visible"
    ]:
        leaf.verdict = problem if problem and problem.may_heal else NOT_GONE


def is_empty(one: Mapping[str, Any], call: GraphCall) -> bool:
    """Whether Meta answers with nothing where it has something: numbers, parts of a total, counted comments, a page."""
    is_counted = bool(call.metrics) or bool(number(one.get("comments_count")))
    is_expected = (call.is_first and is_counted) or any(map(total, call.before)) or "after" in call.params
    return is_expected and call.is_answered and not call.items and not call.parts


def not_shown_after(page: Page) -> Page:
    """A page without the calls that came along with the list before others that gave something.

    The list gives its objects in order, so that what it showed last shows that nothing was kept back before.
    """
    shown = max((at for at, (_, calls) in enumerate(page) if any(c.came_along and c.items for c in calls)), default=0)
    return [(one, [c for c in calls if at >= shown or not c.came_along]) for at, (one, calls) in enumerate(page)]


def is_gone(call: GraphCall) -> bool:
    """Whether Meta says that a call's object does not exist."""
    return call.outcome is not None and call.outcome.then == "not_visible"
