"""How a probe asks Meta: with the connector's own requests, counting calls, and stopping before they are too many."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from airbyte_cdk.models import FailureType

from source_instagram.accounts import SIZED, accounts_on, wanted
from source_instagram.answers import THE_TOKEN, UNFINISHED, GraphError, Reply, Verdict, failure, judge
from source_instagram.calls import GraphCall
from source_instagram.rate_limiter import entries_about, in_header, used_percent
from source_instagram.requester import GraphRequester
from source_instagram.session import SyncSession
from source_instagram.source import SourceInstagram
from source_instagram.transport import broken

MOST = 60  # Graph calls of a probe
LISTED = 50  # media that it looks at
THROTTLED = "Meta throttles just now. Try again later."


class Untried(Exception):  # noqa: N818 - a sentence for whoever asked
    """Why a rule cannot be tried: with this account, or just now."""


@dataclass(frozen=True)
class Answer:
    """What came back for one call."""

    reply: Reply | None
    verdict: Verdict | None  # None: it is data

    @property
    def body(self) -> Any:
        """The body, an object; an empty one where it is none."""
        return self.reply.body if self.reply and isinstance(self.reply.body, dict) else {}

    @property
    def items(self) -> list[Any]:
        """The items of a list."""
        return self.body.get("data") or []

    @property
    def code(self) -> str:
        """Meta's code and subcode, or the status of HTTP, which hold nothing of anybody's."""
        error = self.body.get("error")
        if not isinstance(error, dict):
            return f"HTTP {self.reply.status}" if self.reply else "no answer"
        subcode = error.get("error_subcode")
        return f"code {error.get('code')!s:.12}" + (f"/{subcode!s:.12}" if subcode else "")

    @property
    def words(self) -> str:
        """Meta's words."""
        return self.verdict.words if self.verdict else ""


class Meta:
    """The API as far as a token shows it: the account that the probe looks at, its media, and the calls so far."""

    def __init__(self, config: dict[str, Any], code: str = "", redirect_uri: str = "") -> None:
        """Build the connector for a configuration, whose own requests are used; nothing is sent.

        `code` is one of Instagram Login's dialog that nobody has used, and `redirect_uri` the address it was sent to.

        Raises:
            GraphError: the configuration cannot work.
        """
        self.source, self.config = SourceInstagram.ready(config)
        self.session = SyncSession.of(self.config)
        self.client = self.requester("accounts").client()
        self.tables: Mapping[str, Any] = self.source.resolved_manifest["definitions"]
        self.login = self.session.login
        self.has_batches = self.login == "facebook"
        self.code, self.redirect_uri = code, redirect_uri
        self.calls, self.is_throttled = 0, False
        self.first: Answer | None = None  # the first answer of all
        self.account = ""
        self.path = ""  # of the account: its id, or `me` where Meta answers under that name only

    def requester(self, stream: str) -> GraphRequester:
        """What sends the calls of a stream that is a list."""
        requester = self.session.lists[stream].requester
        assert isinstance(requester, GraphRequester)  # noqa: S101 - the manifest gives no other
        return requester

    # -- Asking -------------------------------------------------------------------------------------------------------

    def spend(self, calls: int) -> None:
        """Count calls that are about to be sent.

        Raises:
            Untried: they would be too many.
        """
        if self.is_throttled:
            raise Untried(THROTTLED)
        if self.calls + calls > MOST:
            raise Untried(f"The {MOST} calls that a probe may cost are used.")
        self.calls += calls

    def get(self, path: str, **params: str) -> Answer:
        """One answer of Meta's; a fault that may pass is tried once more."""
        (answer,) = self._sent([GraphCall(path, params)])
        if answer.verdict and answer.verdict.then == "unsign":
            self.session.unsign(answer.verdict)
        if answer.verdict and (answer.verdict.then in ("retry", "unsign")):
            (answer,) = self._sent([GraphCall(path, params)])
        return answer

    def each(self, *calls: tuple[str, dict[str, str]]) -> list[Answer]:
        """Answers to several calls, of one batch where there are batches."""
        asked = [GraphCall(path, params) for path, params in calls]
        if self.has_batches:
            return self._sent(asked)
        return [answer for call in asked for answer in self._sent([call])]

    def _sent(self, calls: list[GraphCall]) -> list[Answer]:
        self.spend(len(calls))
        try:
            replies: list[Reply | None] = self.client.send(calls)
        except ConnectionError as error:
            return [Answer(None, broken(error)) for _ in calls]
        answers = [
            Answer(reply, judge(reply, self.client.rules, self.session.clean) if reply else UNFINISHED)
            for reply in replies
        ]
        self.first = self.first or answers[0]
        if any(answer.verdict and answer.verdict.then == "rate_limited" for answer in answers):
            self.is_throttled = True  # and to go on asking would make it longer
            raise Untried(THROTTLED)
        return answers

    # -- What is there ------------------------------------------------------------------------------------------------

    def find(self) -> Answer:
        """Ask for the accounts, and take the one that has most media, of those that the configuration names."""
        named = wanted(self.config)
        if self.login == "facebook" and named and all(map(str.isdigit, named)):
            answer = self.get(named[0], fields="id")
            self.account = self.path = named[0]
            return answer
        is_instagram = self.login == "instagram"
        answer = (
            self.get("me", fields="user_id,username")
            if is_instagram
            else self.get("me/accounts", fields=f"id,{SIZED}", limit="100")
        )
        accounts = [] if answer.verdict else [*accounts_on(answer.body)]
        sizes = {
            str(each.get("id")): each.get("media_count") or 0
            for page in answer.items
            if isinstance(page, dict) and (each := page.get("instagram_business_account"))
        }
        ids = [each["business_account_id"] for each in accounts if not named or {*each.values()} & {*named}]
        self.account = self.path = max(ids, key=lambda name: sizes.get(name, 0), default="")
        return answer

    @functools.cached_property
    def media(self) -> list[dict[str, Any]]:
        """The newest media, as far as a page reaches."""
        answer = self.get(
            f"{self.path}/media",
            fields="id,timestamp,media_type,media_product_type,comments_count",
            limit=str(LISTED),
        )
        need(answer, "list its media")
        return [each for each in answer.items if isinstance(each, dict) and each.get("id") and each.get("timestamp")]

    @functools.cached_property
    def commented(self) -> Answer:
        """The newest media with their comments, as the connector asks for them."""
        fields = "id,comments_count,comments.limit(25){id,timestamp,replies.limit(10){id,timestamp,parent_id}}"
        return self.get(f"{self.path}/media", fields=f"timestamp,{fields}", limit="25")

    def post(self, *products: str) -> dict[str, Any]:
        """The newest medium of one of these product types.

        Raises:
            Untried: there is none.
        """
        for each in self.media:
            if each.get("media_product_type") in products:
                return each
        raise Untried(f"None of the newest {LISTED} media is {' or '.join(products)}.")

    def used(self, answer: Answer) -> float | None:
        """The percentage of a limit that an answer's headers tell."""
        headers = answer.reply.headers if answer.reply else {}
        business = entries_about(self.account, in_header(headers, "X-Business-Use-Case-Usage"))
        return used_percent([in_header(headers, "X-App-Usage"), *business])


def need(answer: Answer, what: str) -> None:
    """Go on only with data.

    Raises:
        Untried: there is none.
    """
    if answer.verdict:
        raise Untried(f"Meta does not let this token {what} ({answer.code}).")


def unusable(answer: Answer) -> NoReturn:
    """End the probe.

    Raises:
        GraphError: why it cannot be run, as `check` would say it.
    """
    if answer.verdict:
        raise failure(answer.verdict, THE_TOKEN)
    raise GraphError(
        "There is no account to probe: the access token reaches none, or none that the configuration names.",
        FailureType.config_error,
    )
