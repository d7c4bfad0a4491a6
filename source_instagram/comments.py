"""Comments: the pages of media bring the first ones along, and single calls what did not fit.

An expansion is part of its call, so that one call brings what 50 media have; as calls of their own they would be 50.
https://developers.facebook.com/docs/graph-api/guides/field-expansion
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-media/comments
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airbyte_cdk.sources.types import StreamSlice

from source_instagram.accounts import account_of, subject_of
from source_instagram.answers import listed_in, number
from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import SEVERAL
from source_instagram.records import next_cursor
from source_instagram.retrievers import BROUGHT, InsightsRetriever
from source_instagram.vanished import REPEATED

log = logging.getLogger("airbyte.instagram")

COMMENTS, REPLIES = 25, 10  # that come with each media, and with each of its comments: most have less
FULL = 25  # items of a list that Meta gives unasked, and at which it may cut one
ALONE = 50  # comments, and replies to each, that come with a call for a media's comments: more is not given


# -- What did not come along -------------------------------------------------------------------------------------------


Tried = tuple[Mapping[str, Any], list[GraphCall]]


class Shortfall:
    """Whether it is worth asking for the comments that Meta counts in an account beyond those that its lists show.

    They may be hidden or for others only, or the list was cut without a word, or left out. So the first media are asked
    by themselves; where none of them gives more, neither do others. A list as long as the longest is the likeliest to
    be cut, so that these are asked by the same rule for themselves. Whether Meta cuts lists is no matter of the
    account: when in several accounts none gave more, and in none one did, one media of each further account is enough.
    """

    def __init__(self, others: "Shortfalls | None" = None) -> None:
        """Nothing was asked, and no list has come; `others` knows of the other accounts."""
        self._others = Shortfalls() if others is None else others
        self._longest = self._longest_replies = 0
        self._tried: defaultdict[tuple[int, int] | None, list[Tried]] = defaultdict(list)  # by what is the longest
        self._asked: set[str] = set()

    def see(self, comments: list[Mapping[str, Any]]) -> None:
        """Take note of a list that came along."""
        self._longest = max(self._longest, len(comments))
        self._longest_replies = max([self._longest_replies, *map(count_replies, comments)])

    def is_worth(self, one: Mapping[str, Any], calls: list[GraphCall]) -> bool:
        """Whether to ask for more of a media; while the first are under way, no others are."""
        is_longest = self._is_longest(nested(one))
        tried = self._tried[(self._longest, self._longest_replies) if is_longest else None]
        if len(tried) < self._others.enough(is_longest=is_longest) and one["id"] not in self._asked:
            tried.append((one, calls))
            self._asked.add(one["id"])
        was_useful = any(has_brought(*each) for each in tried)
        # A refusal shows nothing.
        is_open = was_useful or any(is_unanswered(call) for _, made in tried for call in made)
        if was_useful or (len(tried) >= SEVERAL and not is_open and all(has_ended(*each) for each in tried)):
            self._others.learn(self, is_longest=is_longest, was_useful=was_useful)
        return is_open or one["id"] in self._asked

    def _is_longest(self, comments: list[Mapping[str, Any]]) -> bool:
        replies = max(map(count_replies, comments), default=0)
        return bool(comments) and (len(comments) >= self._longest or 0 < self._longest_replies <= replies)


class Shortfalls(defaultdict[str | None, Shortfall]):
    """The shortfall of each account, and what they show together."""

    def __init__(self) -> None:
        """No account has shown anything."""
        super().__init__()
        self._useful: set[bool] = set()
        self._vain: defaultdict[bool, set[int]] = defaultdict(set)

    def __missing__(self, account: str | None) -> Shortfall:
        self[account] = found = Shortfall(self)
        return found

    def enough(self, *, is_longest: bool) -> int:
        """How many media of an account are asked before others are not."""
        is_known = is_longest not in self._useful and len(self._vain[is_longest]) >= SEVERAL
        return 1 if is_known else SEVERAL

    def learn(self, shortfall: Shortfall, *, is_longest: bool, was_useful: bool) -> None:
        """An account has shown whether single calls give more."""
        if was_useful:
            self._useful.add(is_longest)
        else:
            self._vain[is_longest].add(id(shortfall))


def has_ended(_: Mapping[str, Any], calls: list[GraphCall]) -> bool:
    """Whether a media was asked by itself, and answered."""
    return len(calls) > 1 and all(call.is_done for call in calls)


def is_unanswered(call: GraphCall) -> bool:
    """Whether a call has ended without an answer, which shows nothing."""
    return call.is_done and not call.is_answered


def nested(media: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The comments that came with a media's page."""
    return listed_in(media.get("comments"))


def count_replies(comment: Mapping[str, Any]) -> int:
    """How many replies came with a comment."""
    return len(listed_in(comment.get("replies")))


def has_brought(media: Mapping[str, Any], calls: list[GraphCall]) -> bool:
    """Whether the calls for a media gave comments or replies that had not come with its page."""
    return not ids_of(calls) <= ids_of([along(media)])


def along(media: Mapping[str, Any]) -> GraphCall:
    """What came with a media's page, as the answer to a call."""
    return GraphCall(f"{media['id']}/comments", answer={"data": nested(media)})


def ids_of(calls: Iterable[GraphCall]) -> set[str]:
    """The ids of all comments and replies that calls gave."""
    return {comment["id"] for comment in comments_of(calls)}


# -- Calls -------------------------------------------------------------------------------------------------------------


def further_calls(call: GraphCall) -> Iterator[GraphCall]:
    """The next page of a list of comments or replies, and the further replies of its comments."""
    after = next_cursor(call.answer) if call.answer else None
    if after:
        yield call.again(params=(call.unshrunk or call.params) | {"after": after})
    for comment in call.items:
        if is_cut(comment.get("replies"), FULL):
            yield replies_call(call, comment["id"], next_cursor(comment["replies"]))


def is_cut(listed: Mapping[str, Any] | None, limit: int) -> bool:
    """Whether a nested list may go on: it says so, or is full. Whether one that is cut says so is not documented."""
    found = listed or {}
    return bool((found.get("paging") or {}).get("next")) or len(found.get("data") or []) >= limit


def replies_call(call: GraphCall, comment: str, after: str | None = None) -> GraphCall:
    """A call for the replies of a comment, or those after a cursor."""
    params = {"fields": f"{call.about},parent_id", "limit": str(ALONE)} | ({"after": after} if after else {})
    return call.again(path=f"{comment}/replies", params=params)


def is_short(media: Mapping[str, Any], calls: list[GraphCall]) -> bool:
    """Whether less comments came than Meta counts, or it does not tell its count.

    Meta also counts comments that nobody may read, so that this is no error.
    """
    count = number(media.get("comments_count"))
    return count is None or len(ids_of(calls)) < count


def cut_replies(calls: list[GraphCall]) -> list[GraphCall]:
    """Calls for replies that may have been cut without a word, each once."""
    asked = {call.path for call in calls}
    # Where Meta refuses the nested field, the replies are asked for by their own edge.
    found = {
        comment["id"]: call
        for call in calls
        for comment in call.items
        if ("replies" in comment or "replies" not in call.params.get("fields", ""))
        and not call.path.endswith("/replies")
        and f"{comment['id']}/replies" not in asked
    }
    return [replies_call(call, comment) for comment, call in found.items()]


def comments_of(calls: Iterable[GraphCall]) -> Iterator[dict[str, Any]]:
    """Comments and replies of all pages, each reply with its comment as parent, whether Meta repeats it or not."""
    for call in calls:
        parent, _, edge = call.path.partition("/")
        for comment in call.items:
            replies = listed_in(comment.get("replies"))
            yield {**comment, "parent_id": comment.get("parent_id") or (parent if edge == "replies" else None)}
            yield from ({**reply, "parent_id": reply.get("parent_id") or comment["id"]} for reply in replies)


# -- The stream --------------------------------------------------------------------------------------------------------


@dataclass
class CommentsRetriever(InsightsRetriever):
    """Comments and replies of each media: the first ones with the page of media, the others by calls of their own.

    Before: {"id": "1787…1", "text": "nice", "replies": {"data": [{"id": "1787…2", "text": "thanks"}]}}
    After:  {"id": "1787…1", "text": "nice", "media_id": "179…", "media_timestamp": "2026-05-07T13:00:34+0000"},
            {"id": "1787…2", "text": "thanks", "parent_id": "1787…1", "media_id": "179…", "media_timestamp": …}

    """

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Nothing is known of the accounts yet."""
        super().__post_init__(parameters)
        self._shortfalls = Shortfalls()

    def expansion(self, account: str | None) -> str:
        """The first comments, with their first replies."""
        return f"comments.limit({COMMENTS}){{{self._fields(account, REPLIES)}}}"

    def _fields(self, account: str | None, replies: int) -> str:
        """The fields of comments and of so many of their replies, without those that single calls were refused."""
        fields = self.requester.fields_parameter()
        asked = f"{fields},replies.limit({replies}){{{fields},parent_id}}"
        return self.session.fields.known_of(asked, Scope(self.name, account, "comments"))

    def calls_of(self, one: Mapping[str, Any], stream_slice: StreamSlice) -> list[GraphCall]:
        """What came with the page, as a call that was answered; a call to be sent where it was cut, or did not come.

        No call where the list shows none and Meta counts none: nothing else says that there are none.
        """
        account, found = account_of(stream_slice), one.get("comments") or {}
        if not found and number(one.get("comments_count")) == 0:
            return []
        subject = f"media {one['id']} of {subject_of(stream_slice)}"
        call = self.requester.call(f"{one['id']}/comments", subject, account, limit=str(ALONE))
        call.about, call.params["fields"] = call.params["fields"], self._fields(account, ALONE)
        self._shortfalls[account].see(nested(one))
        goes_on = next_cursor(found) or not is_cut(found, COMMENTS)
        is_whole = not any(is_cut(each.get("replies"), REPLIES) for each in nested(one))
        if one[BROUGHT] is None or not (goes_on and is_whole):
            return [call]
        return [self._came(found, call, one[BROUGHT].partition("{")[2][:-1])]

    def _came(self, found: Mapping[str, Any], call: GraphCall, fields: str) -> GraphCall:
        """A call that is answered already; what follows it asks for more at once."""
        params = {"fields": fields, "limit": str(COMMENTS)}
        came = call.again(params=params, unshrunk=call.params, answer={"data": [], **found}, came_along=True)
        if came.items:
            self.session.breaker.answered(came)
        return came

    def further(self, one: Mapping[str, Any], calls: list[GraphCall], new: list[GraphCall], /) -> list[GraphCall]:
        """Further pages of comments and replies; then what Meta counts and has not shown."""
        if self.session.limit.left <= len(ids_of(calls)):
            return []
        asked = {(call.path, call.params.get("after")) for call in calls}
        more: list[GraphCall] = []
        for call in new:
            for following in further_calls(call):
                key = following.path, following.params.get("after")
                if key not in asked:
                    asked.add(key)
                    more.append(following)
                elif following.path == call.path:
                    call.verdict = REPEATED  # what came of it is kept
        return more or self._missing(one, calls)

    def _missing(self, one: Mapping[str, Any], calls: list[GraphCall]) -> list[GraphCall]:
        """The first page once more, by itself; then the replies of which some seem to be missing."""
        if not (calls and is_short(one, calls)):
            return []
        first, shortfall = calls[0], self._shortfalls[calls[0].scope.account]
        if not first.came_along or next_cursor(first.answer or {}):
            return cut_replies(calls)
        if not shortfall.is_worth(one, calls):
            return []
        return [first.again(params=first.unshrunk)] if len(calls) == 1 else cut_replies(calls)

    def made(
        self, one: Mapping[str, Any], calls: list[GraphCall], missing: list[GraphCall], *, is_lost: bool
    ) -> Iterator[Mapping[str, Any]]:
        """The comments of a media, each once: all that came, also where others are missing."""
        seen = set()
        for comment in comments_of([*calls, along(one)]):
            if comment["id"] not in seen:
                seen.add(comment["id"])
                yield comment | {"media_id": one["id"], "media_timestamp": one.get("timestamp")}
        if len(calls) == 1 and calls[0].came_along and is_short(one, calls):
            log.info(
                "%s: %d comments and replies came, Meta counts %s. It was not asked for more; others like it had none.",
                calls[0].subject, len(seen), one.get("comments_count"),
            )  # fmt: skip
        nothing = calls and not (seen or missing or is_lost) and one.get("comments_count")
        client = self.requester.client(calls[0].scope.account) if nothing else None
        if client and self.session.first("unreadable", *map(str, client.place)):
            log.warning(
                "%s counts comments but none may be read. Unless all are hidden or by restricted people, grant %s.",
                calls[0].subject, client.permission("comments"),
            )  # fmt: skip
