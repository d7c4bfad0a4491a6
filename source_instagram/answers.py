"""What Meta's answers mean.

Whether an answer is data or a refusal is said by the rules in the manifest, by Meta's code, subcode and words, never by
the HTTP status: https://developers.facebook.com/docs/graph-api/guides/error-handling
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.streams.http.error_handlers import ErrorHandler, ErrorResolution, ResponseAction
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram.rate_limiter import in_header, text_of, used_percent
from source_instagram.times import moment

THE_TOKEN = "the access token"  # noqa: S105 - the subject of what is about no account
# Reasons that stay: waiting for the next sync would not help.
LASTING = ("no_data", "before_conversion", "not_visible", "shorten_window", "last_page", "no_such_name")
DISCOVERY, POLL, SEARCH = "business_discovery", "poll_attachment", "ig_hashtag_search"
ERROR = 400  # the first status of an error
SHOWN = 500  # characters of Meta's words, in messages; they are parsed whole

Rules = Iterable[Mapping[str, Any]]


class GraphError(AirbyteTracedException):
    """Something that could be had was not. The message names the account or object, Meta's words, and what to do."""

    def __init__(self, message: str, failure_type: FailureType) -> None:
        """Say the same to the person and in the log."""
        super().__init__(message=message, internal_message=message, failure_type=failure_type)

    def again(self) -> "GraphError":
        """The same, to be raised in another place: an exception gathers the traceback of each place that raises it."""
        assert self.message and self.failure_type  # noqa: S101, PT018 - are always given
        return GraphError(self.message, self.failure_type)


@dataclass(frozen=True)
class Verdict:
    """What Meta said instead of giving data, and what the rules in the manifest say to do about it."""

    then: str
    because: str
    words: str = ""
    code: int | None = None
    number: str = ""  # by which Meta finds what it refused: code, subcode and trace
    blame: FailureType = FailureType.system_error
    is_transient: bool = False  # Meta says that it passes
    status: int = 0  # of HTTP
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)  # may name how long to wait
    metrics: tuple[str, ...] = ()  # of which it speaks without naming them; "*": of some, the rules do not know which
    closed_by: GraphError | None = None  # what let nobody through any more, where the call was not even sent

    @property
    def may_heal(self) -> bool:
        """Whether the next sync may get what this one did not: a fault, or a sync that came to its end."""
        return self.then in ("retry", "closed", "fail_sync", "unconfirmed")

    @property
    def saying(self) -> tuple[Any, ...]:
        """What it says, whatever it was asked."""
        return self.then, self.code, self.words, self.metrics

    @property
    def is_vague(self) -> bool:
        """Whether it is the unknown error with which Meta also refuses what it does not have."""
        return self.code == 1 and not self.is_transient

    @property
    def is_too_much(self) -> bool:
        """Whether a page with lists within may be too much: Meta says so, or answers with code 1 or HTTP 500."""
        is_fault = self.then == "retry" and (self.code == 1 or (self.status == 500 and not self.is_transient))  # noqa: PLR2004
        return is_fault or self.then == "reduce_page"

    @property
    def said(self) -> str:
        """Meta's words, as long as a message may be."""
        return self.words if len(self.words) <= SHOWN else f"{self.words[:SHOWN]}…"

    def __str__(self) -> str:
        """Our sentence first, then Meta's own words; its numbers where somebody has to find out more."""
        told = f"{self.because} Meta says: {self.said}" if self.words else self.because
        return f"{told} ({self.number})" if self.number and self.blame == FailureType.system_error else told


UNFINISHED = Verdict("retry", "Meta did not finish this part of a batch.", blame=FailureType.transient_error)


@dataclass(frozen=True)
class Reply:
    """What came back for one call: its HTTP status, headers and text."""

    status: int
    headers: Mapping[str, str]
    text: str
    is_whole: bool = False  # it was said of the batch in which the call travelled

    @functools.cached_property
    def body(self) -> Any:
        """The text as JSON; None where it is none. `null` is an answer with nothing in it."""
        try:
            return {} if self.text.strip() == "null" else parsed(self.text)
        except ValueError:
            return None

    def forget(self) -> None:
        """Keep the text only: parsed, it takes many times as much memory."""
        self.__dict__.pop("body", None)


def parsed(text: str | bytes) -> Any:
    r"""JSON, also where it is not quite: with NaN, or with half of a pair of surrogates, which no text can hold.

    Before: {"caption": "coffee \ud83d"}
    After:  {"caption": "coffee ?"}

    Raises:
        ValueError: it is none, or nothing of Meta's is so deep.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(json.dumps(json.loads(text), ensure_ascii=False).encode(errors="replace"))
        except RecursionError:
            raise ValueError("too deep") from None


def dumped(body: Any) -> bytes:
    """JSON of what was `parsed`, also with integers of any length."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body).encode()


def failure(verdict: Verdict, subject: str) -> GraphError:
    """The error for something that stays missing: `account 17841…: <our sentence> Meta says: <its words>`."""
    # A sentence about the token names it itself.
    message = str(verdict) if subject == THE_TOKEN else f"{subject[0].upper()}{subject[1:]}: {verdict}"
    return GraphError(message, verdict.blame)


def judge(reply: Reply, rules: Rules, clean: Callable[[Any], str]) -> Verdict | None:
    """What a reply means by Meta's code, subcode and words; None: it is data. `clean` makes words fit to be shown."""
    body = reply.body
    if not isinstance(body, (dict, list)):
        what = f"something that is not JSON: {clean(reply.text)[:80]}" if reply.text.strip() else "no body"
        because = f"Meta's server answered HTTP {reply.status} with {what}."
        return Verdict("retry", because, blame=FailureType.transient_error, status=reply.status)
    error = body.get("error") if isinstance(body, dict) else None
    if error is None and reply.status < ERROR:
        return None
    if not isinstance(error, dict):
        error = {"message": f"HTTP {reply.status} without an error envelope: {clean(reply.text)[:120]}"}
    code, subcode = (number(error.get(key)) for key in ("code", "error_subcode"))
    texts = [error.get(key) for key in ("message", "error_user_title", "error_user_msg")]
    words = clean(" - ".join(dict.fromkeys(str(text) for text in texts if text)))
    where = clean(f"code {error.get('code')}/{error.get('error_subcode')}, trace {error.get('fbtrace_id')}")
    is_transient = bool(error.get("is_transient"))
    for rule in rules:
        if (
            among(code, rule.get("code"))
            and among(subcode, rule.get("subcode"))
            and ("says" not in rule or re.search(rule["says"], words, re.IGNORECASE))
            and rule.get("transient", is_transient) == is_transient
            and reply.status >= rule.get("http", 0)
        ):
            blame = FailureType[rule.get("blame", "config_error")]
            told = (rule["then"], rule["because"], words, code, where, blame, is_transient, reply.status, reply.headers)
            return Verdict(*told, metrics=tuple(rule.get("metrics", ())))
    because = "Meta refused the request in a way that this connector does not know."
    return Verdict("unknown", because, words, code, where)


def number(code: Any) -> int | None:
    """A code as a number, also where it came as a text; None where it is none."""
    if isinstance(code, str) and re.fullmatch(r"-?\d{1,9}", code):
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def among(value: int | None, wanted: Any) -> bool:
    """Whether a code is what a rule asks for: nothing, one number, or a list of numbers and `[first, last]` ranges."""
    if wanted is None:
        return True
    options = wanted if isinstance(wanted, list) else [wanted]
    return value is not None and any(
        option[0] <= value <= option[1] if isinstance(option, list) else option == value for option in options
    )


def well_formed(path: str, body: Any, fields: str = "") -> bool:
    """Whether an answer has the shape of its path: an edge is a list of objects, a node is an object with an id."""
    if not isinstance(body, dict):
        return False
    if path.endswith(f"/{POLL}"):
        return is_poll(poll_in(body))
    if fields.startswith(f"{DISCOVERY}."):
        return is_discovered(body.get(DISCOVERY))
    if "/" not in path and "data" not in body:
        return is_key("id", body.get("id") or body.get("user_id"))
    key = {"insights": "name", "permissions": "permission"}.get(path.rpartition("/")[2], "id")
    items, paging = body.get("data"), body.get("paging") or {}
    if not is_paging(paging) or (paging.get("next") and key == "id" and not (paging.get("cursors") or {}).get("after")):
        return False  # there is more, and no way to ask for it
    is_node = "/" not in path and path not in ("me", SEARCH)  # wrapped, as Meta documents it for `me`
    return (
        isinstance(items, list)
        and (not is_node or len(items) == 1)
        and all(
            isinstance(item, dict) and (path == "me" or is_key(key, item.get(key))) and has_lists(item)
            for item in items
        )
    )


def has_lists(item: Mapping[str, Any]) -> bool:
    """Whether what records are made of has its shape: values, cells of breakdowns, nested lists; all may be absent.

    Before: {"name": "reach", "values": [null]}, or a day whose end_time is no time
    After:  False
    """
    if item.keys().isdisjoint(SHAPED):  # a page of comments has thousands of objects without any
        return True
    total, values = item.get("total_value") or {}, item.get("values")
    if not (isinstance(total, dict) and is_list(values)):
        return False
    if not all(is_time(value["end_time"]) for value in values or () if "end_time" in value):
        return False
    breakdowns = total.get("breakdowns")
    if not (is_list(breakdowns) and all(map(has_cells, breakdowns or ()))):
        return False
    nested = [name for name in NESTED if name in item]
    return all(is_nested(item[name], NESTED[name]) and all(map(has_lists, listed_in(item[name]))) for name in nested)


def listed_in(value: Any) -> list[Any]:
    """The objects of a list, or of nothing.

    Before: {"data": [{"id": "179…"}], "paging": …}, None
    After:  [{"id": "179…"}],                        []
    """
    return (value or {}).get("data") or []


def has_cells(breakdown: Mapping[str, Any]) -> bool:
    """Whether the cells of a breakdown can be told apart: by a list of dimensions, each with its value."""
    results = breakdown.get("results")
    if not is_list(results):
        return False
    lists = [breakdown.get("dimension_keys"), *(each.get("dimension_values") for each in results or ())]
    return all(isinstance(each or [], list) for each in lists)


def is_discovered(found: Any) -> bool:
    """Whether it is somebody's profile, with or without a page of media, each of which has its time."""
    if not (isinstance(found, dict) and is_key("id", found.get("id")) and is_nested(found.get("media"), "id")):
        return False
    return all(is_time(item.get("timestamp")) for item in listed_in(found.get("media")))


def poll_in(body: Mapping[str, Any]) -> Any:
    """The poll in an answer, which may be wrapped, in a list or not; whether it is, is not documented.

    Before: {"data": [{"option_a": "yes"}]}, {"option_a": "yes"}, {"data": null}
    After:  {"option_a": "yes"},             {"option_a": "yes"}, {}
    """
    poll = body.get("data", body.get(POLL, body))
    if isinstance(poll, list) and len(poll) <= 1:
        poll = poll[0] if poll else None
    return {} if poll is None else poll


def is_poll(poll: Any) -> bool:
    """Whether it is a poll, by its first option, or says that there is none."""
    if not isinstance(poll, dict):
        return False
    return isinstance(poll.get("option_a"), str) or not any(value for name, value in poll.items() if name != "id")


def is_time(value: Any) -> bool:
    """Whether it is the text of a time."""
    try:
        return isinstance(value, str) and moment(value) is not None
    except ValueError:
        return False


NESTED = {"comments": "id", "replies": "id", "insights": "name"}  # lists within an object, and what their items go by
SHAPED = frozenset({"total_value", "values", *NESTED})


def is_nested(value: Any, key: str) -> bool:
    """Whether it is a nested list of objects that go by a key, or nothing."""
    if not value:
        return True
    if not (isinstance(value, dict) and is_paging(value.get("paging"))):
        return False
    return is_list(value.get("data")) and all(is_key(key, each.get(key)) for each in value.get("data") or ())


def is_paging(value: Any) -> bool:
    """Whether it may tell where a list goes on. Nothing tells that it does not."""
    cursors = (value.get("cursors") if isinstance(value, dict) else value) or {}
    return isinstance(cursors, dict) and is_key("id", cursors.get("after") or "end")


def is_key(name: str, value: Any) -> bool:
    """Whether something can go by a value under this name: a text; an id may be a number."""
    kinds = (str, int) if name == "id" else str
    return bool(value) and isinstance(value, kinds) and value is not True


def is_list(value: Any) -> bool:
    """Whether it is a list of objects. Nothing is an empty one, however it is written."""
    return not value or (isinstance(value, list) and all(isinstance(each, dict) for each in value))


def reply_of(response: requests.Response, *, is_whole: bool = False) -> Reply:
    """What came back, read as JSON is written, whatever its headers say of an encoding, and broken letters replaced."""
    text = response.content.decode("utf-8-sig", errors="replace")
    return Reply(response.status_code, response.headers, text, is_whole=is_whole)


def batch_replies(response: requests.Response, count: int) -> list[Reply | None]:
    """What a batch says of each of its calls: None for one not finished, the same for all if the whole is refused."""
    whole = reply_of(response, is_whole=True)
    if isinstance(whole.body, list) and len(whole.body) == count:
        return [item_reply(item, response.headers) for item in whole.body]
    # An object that is no refusal may be the answer to anything else: to none of these calls.
    is_refusal = whole.status >= ERROR or not isinstance(whole.body, (dict, list)) or "error" in whole.body
    return [whole if is_refusal else None] * count


def item_reply(item: Any, outer: Mapping[str, str]) -> Reply | None:
    """One item of a batch's answer, with the batch's own usage where that is higher; None for what is not one."""
    try:
        rows = item["headers"] if isinstance(item.get("headers"), list) else []
        texts = [row for row in rows if isinstance(row, dict) and isinstance(row.get("value"), str)]
        headers = {row["name"].lower(): row["value"] for row in texts if isinstance(row.get("name"), str)}
        own, whole = (used_percent([in_header(each, "X-App-Usage")]) or 0 for each in (headers, outer))
        if whole > own:
            headers["x-app-usage"] = str(text_of(outer, "X-App-Usage"))
        return Reply(int(item["code"]), headers, str(item["body"]))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None


class PageResponse(requests.Response):
    """A page of a list, for the CDK's extractors."""

    brought: str | None = None  # the field that brought something along of each object


def response_of(body: bytes) -> PageResponse:
    """A response with this body."""
    response = PageResponse()
    response.status_code, response._content = 200, body  # noqa: SLF001 - there is no other way to make one
    return response


class NoJudgement(ErrorHandler):
    """Lets every answer through: what it means is said by the rules in the manifest, not by its HTTP status."""

    max_retries = 0
    max_time = 0

    def interpret_response(self, response: requests.Response | Exception | None) -> ErrorResolution:
        """Turn only broken connections into errors."""
        if isinstance(response, Exception):
            # By its kind only: its words would repeat the address, and the CDK would retry the exception itself.
            raise ConnectionError(type(response).__name__) from None
        return ErrorResolution(ResponseAction.SUCCESS, None, None)
