"""The table of trouble: every fault that Meta or a network is known for, on every stream that it can touch.

A case says what goes wrong, what of the data that makes unreachable, and how the sync has to end. `reliability.py` runs
them through the command line and writes `docs/reliability.md`; `unit_tests/test_reliability.py` runs them in CI.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from sandbox import World

Spec = dict[str, Any]
Record = dict[str, Any]
Lost = Callable[[Record], bool]

WORLD: Spec = {"accounts": 3, "portfolio_accounts": 0, "media": 12, "stories": 3, "comments": 2, "tags": 5, "days": 14}
DAYS = 15  # of daily insights
# The look-backs are off: what a sync leaves out has to come back by its state alone.
CONFIG: Spec = {"insights_lookback_days": 0, "media_lookback_days": 0, "media_refresh_days": 0}
FIRST, SMALL, LAST = (str(17841400000000001 + at) for at in range(3))

# What a stream asks for its records, as the sandbox sees it.
CALL = {
    "accounts": r"/me/accounts\?",
    "users": r"/1784\d+\?",
    "user_insights": r"/1784\d+/insights\?",
    "user_total_insights": r"/1784\d+/insights\?",
    "user_insights_breakdowns": r"/1784\d+/insights\?",
    "user_lifetime_insights": r"/1784\d+/insights\?",
    "audience_demographics": r"/1784\d+/insights\?",
    "media": r"/media\?",
    "stories": r"/stories\?",
    "tags": r"/tags\?",
    "media_insights": r"/179\d+/insights\?",
    "story_insights": r"/181\d+/insights\?",
    "comments": r"/179\d+/comments\?",
}
STREAMS = tuple(CALL)
# What is read whole each time, whatever the state.
SNAPSHOTS = ("users", "user_lifetime_insights", "audience_demographics", "stories", "story_insights")
INCREMENTAL = tuple(stream for stream in STREAMS if stream not in ("accounts", "tags"))
# Streams of others, whose troubles have a group of their own; all that a sync of one needs is configured.
OF_OTHERS = ("discovered_users", "discovered_media", "hashtags", "hashtag_media")
OTHERS: Spec = {"discover_usernames": ["bluebottle", "tea.time_24"], "hashtags": ["coffee", "tea"]}
RESUMED = (*INCREMENTAL, "discovered_media")  # that go on from their state
LISTS = ("users", "media", "stories", "tags")
OF_ACCOUNTS = (
    "user_insights",
    "user_total_insights",
    "user_insights_breakdowns",
    "user_lifetime_insights",
    "audience_demographics",
)
OF_OBJECTS = ("media_insights", "story_insights", "comments")
FLAT = {"from": ("from_id", "from_username")}  # columns that are parts of a field
BATCH = r"\?batch$"
MINUTE = 60.0
HOUR = 3600.0
RETRIES = 31.0  # seconds: six attempts, 1, 2, 4, 8 and 16 apart
READ_TIMEOUT = 90.0  # seconds, as in the manifest
STALLED = 1 / 30  # the tempo at which that is three seconds, as short as it gets

THROTTLES = {
    4: "(#4) Application request limit reached",
    17: "(#17) User request limit reached",
    32: "(#32) Page request limit reached",
    341: "(#341) Application limit reached",
    613: "(#613) Calls to this api have exceeded the rate limit.",
    80002: "(#80002) There have been too many calls to this Instagram account. Wait a bit and try again.",
}
UNKNOWN = {"code": 1, "message": "An unknown error has occurred."}
SERVICE = {
    "code": 2,
    "message": "An unexpected error has occurred. Please retry your request later.",
    "is_transient": True,
}
GONE = {
    "code": 100,
    "error_subcode": 33,
    "type": "GraphMethodException",
    "message": "Unsupported get request. Object with ID '0' does not exist, cannot be loaded due to missing "
    "permissions, or does not support this operation.",
}
FORBIDDEN = {"code": 10, "message": "(#10) Application does not have permission for this action"}
TOO_MUCH = "Please reduce the amount of data you're asking for, then retry your request"


def nothing(_: Record) -> bool:
    """No record is lost."""
    return False


PLAIN_PAGES: Spec = {"refuse_field": "comments"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of trouble for one stream, and how the sync has to end."""

    group: str
    fault: str
    stream: str
    faults: tuple[Spec, ...] = ()
    beside: tuple[Spec, ...] = ()  # those of them that are no trouble: what they cost is usual
    throttle: Spec | None = None
    usage: Spec | None = None
    config: Spec = field(default_factory=dict)
    login: str = "facebook"
    require_proof: bool = False
    lost: Lost = nothing  # what cannot be had while the trouble lasts
    empty: tuple[str, ...] = ()  # columns that cannot be had
    part: bool = False  # the sync is cut off: what came before may be any part
    complete: bool | None = True  # None: either, as long as all that is missing is named and INCOMPLETE
    says: tuple[str, ...] = ()  # words of the error, or of a warning where the stream is complete
    wait: float = RETRIES  # seconds, as documented
    tempo: float = 0.01  # by which waits are shortened
    at_least: float = 0.0  # seconds that it must have waited
    rate_limited: bool = False  # the platform must have been told
    untouched: bool = False  # the throttle must not have been met at all
    ahead: str = ""  # the account whose records must not have waited for the others
    extra: int | None = None  # requests more than without the trouble, at most
    kill: int | None = None  # percent of the records after which the process is killed; 0 is at the first state
    latency: float = 0.0
    debug: bool = False
    polls: bool = False  # their columns are selected, so that each media costs a call

    @property
    def name(self) -> str:
        """How a test is called."""
        return f"{self.stream}: {self.fault}"


def error(path: str, envelope: Spec, **more: Any) -> Spec:
    """A fault that answers with an error envelope."""
    return {"path": path, "error": envelope, **more}


def throttled(code: int) -> Spec:
    return {"code": code, "message": THROTTLES[code], **({"is_transient": True} if code == 4 else {})}


def of_account(account: str) -> Lost:
    return lambda record: record["business_account_id"] == account


def of_media(media: str) -> Lost:
    return lambda record: media in (record.get("id"), record.get("media_id"))


def cases(world: World) -> list[Case]:
    """The table. The world gives the ids of single objects."""
    return [alone(case) for group in GROUPS for case in group(world)]


def alone(case: Case) -> Case:
    """Where calls for the comments of a media are struck, these do not come with the pages of media."""
    is_struck = case.stream == "comments" and any("/media" not in fault.get("path", "/media") for fault in case.faults)
    if not is_struck:
        return case
    return replace(case, faults=(*case.faults, PLAIN_PAGES), beside=(PLAIN_PAGES,))


def one_of(world: World, stream: str) -> str:
    """An object of the first account that calls are made for: a feed post with comments, or a story with viewers."""
    account = world.accounts[0]
    if stream == "story_insights":
        return next(story.id for story in world.stories(account) if not story.few_viewers)
    return next(
        media.id
        for media in world.media(account)
        if media.product == "FEED" and world.comments(media) and not media.before_conversion
    )


# -- Groups ------------------------------------------------------------------------------------------------------------


def faultless(_: World) -> Iterator[Case]:
    for stream in STREAMS:
        yield Case(group="Nothing goes wrong", fault="none", stream=stream, wait=0, debug=stream in LISTS)


def throttles(_: World) -> Iterator[Case]:
    group = "Throttles that name no wait"
    places = (
        ("a list", ("users", "media", "stories", "tags", "accounts", "media")),
        (
            "items of a batch",
            (
                "media_insights",
                "story_insights",
                "comments",
                "user_total_insights",
                "user_insights",
                "user_insights_breakdowns",
            ),
        ),
        (
            "whole batches",
            (
                "user_total_insights",
                "media_insights",
                "comments",
                "user_insights_breakdowns",
                "audience_demographics",
                "media_insights",
            ),
        ),
    )
    for shift, (place, streams) in enumerate(places):
        for at, code in enumerate(THROTTLES):
            status = (400, 403, 429)[(at + shift) % 3]
            path, times = (BATCH, 2) if place == "whole batches" else (CALL[streams[at]], 2 if place == "a list" else 5)
            yield Case(
                group=group,
                fault=f"code {code}, HTTP {status}, on {place}",
                stream=streams[at],
                faults=(error(path, throttled(code), status=status, times=times),),
                wait=90,
            )
    for stream in ("media", "media_insights", "user_total_insights"):
        yield Case(
            group=group,
            fault="code 4, HTTP 403, Instagram Login",
            stream=stream,
            faults=(error(CALL[stream] if stream != "media" else "/media", throttled(4), status=403, times=3),),
            login="instagram",
            wait=90,
        )
    yield Case(
        group=group,
        fault="code 80002 for one account only; the others go on",
        stream="media_insights",
        faults=(error(CALL["media_insights"], throttled(80002), account=FIRST, times=20),),
        wait=210,
        tempo=0.02,
        at_least=60,
        rate_limited=True,
        ahead=LAST,
    )
    for stream in ("users", "media", "user_total_insights", "media_insights"):
        yield Case(
            group=group,
            fault="code 80002 for one account, without end",
            stream=stream,
            faults=(error(CALL[stream], throttled(80002), account=SMALL),),
            lost=of_account(SMALL),
            complete=False,
            says=(SMALL, "too many calls"),
            wait=HOUR,
            tempo=0.001,
        )
    yield Case(
        group=group,
        fault="code 4 without end",
        stream="media",
        faults=(error(CALL["media"], throttled(4), status=403),),
        lost=lambda _: True,
        complete=False,
        says=("request limit",),
        wait=HOUR,
        tempo=0.001,
    )


def named_waits(_: World) -> Iterator[Case]:
    group = "Throttles that name their wait"
    for stream in (
        "users",
        "media",
        "tags",
        "comments",
        "media_insights",
        "user_insights",
        "user_total_insights",
        "user_insights_breakdowns",
    ):
        yield Case(
            group=group,
            fault="code 80002 for each account, `estimated_time_to_regain_access` is 1.5 s",
            stream=stream,
            throttle={
                "after": 0 if stream in LISTS else 2,
                "seconds": 1.5,
                "code": 80002,
                "scope": "account",
                "regain": "fraction",
            },
            wait=6,
            tempo=1,
            at_least=1.4,
            rate_limited=True,
        )
    for stream in ("media", "media_insights"):
        yield Case(
            group=group,
            fault="code 4, HTTP 403, for the app, 1.5 s",
            stream=stream,
            throttle={"after": 2, "seconds": 1.5, "code": 4, "regain": "fraction"},
            wait=6,
            tempo=1,
            at_least=1.4,
            rate_limited=True,
        )
    for stream in ("media", "media_insights"):
        row = {"type": "instagram", "call_count": 100, "estimated_time_to_regain_access": 1500}
        yield Case(
            group=group,
            fault="code 80002 for one account, for more than a day",
            stream=stream,
            faults=(
                error(
                    CALL[stream],
                    throttled(80002),
                    account=SMALL,
                    headers={"X-Business-Use-Case-Usage": json.dumps({SMALL: [row]})},
                ),
            ),
            lost=of_account(SMALL),
            complete=False,
            says=(SMALL, "too many calls"),
            wait=0,
        )


def usage(_: World) -> Iterator[Case]:
    group = "Usage headers"
    for stream, quota, scope in (
        ("user_insights_breakdowns", 160, "app"),
        ("user_total_insights", 100, "app"),
        ("user_insights_breakdowns", 75, "account"),
        ("comments", 45, "app"),
    ):
        yield Case(
            group=group,
            fault=f"a limit of {quota} calls an hour for {'the app' if scope == 'app' else 'each account'}, nearly used",  # noqa: E501
            stream=stream,
            throttle={"quota": quota, "seconds": HOUR * 0.002, "code": 4 if scope == "app" else 80002, "scope": scope},
            config={"num_workers": 2},
            wait=2 * HOUR,
            tempo=0.002,
            untouched=True,
        )
    for mode in ("missing", "empty", "malformed"):
        for stream in ("media", "media_insights", "user_total_insights"):
            yield Case(
                group=group, fault=f"headers are {mode}", stream=stream, usage={"mode": mode, "start": 90}, wait=0
            )
    for header in ("app", "business"):
        yield Case(
            group=group,
            fault=f"90 % in the {header} header",
            stream="tags",
            usage={"mode": "normal", "start": 90, "header": header},
            wait=HOUR,
            tempo=0.005,
            at_least=60,
        )


def retired(_: World) -> Iterator[Case]:
    group = "Metrics that Meta has retired"
    tables: tuple[tuple[str, str, tuple[str, ...], Lost], ...] = (
        ("user_insights", "reach", ("reach", "reach_week", "reach_days_28"), nothing),
        ("user_insights", "follower_count", ("follower_count",), nothing),
        ("user_total_insights", "views", ("views",), nothing),
        ("user_total_insights", "follows_and_unfollows", ("follows", "unfollows"), nothing),
        ("user_insights_breakdowns", "views", (), lambda record: record["metric"] == "views"),
        ("user_lifetime_insights", "follower_demographics", (), lambda _: True),
        (
            "audience_demographics",
            "engaged_audience_demographics",
            (),
            lambda record: record["metric"] == "engaged_audience_demographics",
        ),
        ("media_insights", "saved", ("saved",), nothing),
        (
            "media_insights",
            "profile_activity",
            tuple(
                f"profile_activity{part}"
                for part in ("", "_bio_link_clicked", "_call", "_direction", "_email", "_text", "_other")
            ),
            nothing,
        ),
        ("story_insights", "replies", ("replies",), nothing),
        (
            "story_insights",
            "navigation",
            (
                "navigation",
                "navigation_tap_forward",
                "navigation_tap_back",
                "navigation_tap_exit",
                "navigation_swipe_forward",
            ),
            nothing,
        ),
    )
    for stream, metric, columns, lost in tables:
        for words in ("named", "unnamed"):
            yield Case(
                group=group,
                fault=f"`{metric}`, {'named in the refusal' if words == 'named' else '“Invalid parameter” only'}",
                stream=stream,
                faults=({"retire_metric": metric, "message": words},),
                empty=columns,
                lost=lost,
                # Where nothing else of an account is asked, nothing shows that it is the metric which has gone.
                complete=stream != "user_lifetime_insights" or words == "named",
                says=(metric,) if stream != "user_lifetime_insights" or words == "named" else ("does not accept",),
                wait=0,
                # It is true of each object, until several have said so; a window that is refused is asked in parts.
                extra=8 if words == "named" else 30,
            )
    for words in ("named", "unnamed"):
        yield Case(
            group=group,
            fault=f"`shares` for reels only, {words}",
            stream="media_insights",
            faults=({"retire_metric": "shares", "product_types": ["REELS"], "level": "media", "message": words},),
            lost=nothing,
            empty=("REELS:shares",),
            says=("shares", "REELS"),
            wait=0,
            extra=6 if words == "named" else 30,
        )


def sometimes(_: World) -> Iterator[Case]:
    group = "Metrics that are only sometimes there"
    trouble = {
        "fails without end (code 1)": UNKNOWN,
        "is not permitted (code 10)": FORBIDDEN,
        "is unknown": {"code": 100, "message": "Invalid parameter"},
    }
    for words, envelope in trouble.items():
        for stream, metric in (
            ("media_insights", "facebook_views"),
            ("media_insights", "crossposted_views"),
            ("media_insights", "total_likes"),
            ("story_insights", "link_clicks"),
            ("story_insights", "total_views"),
        ):
            columns = ("total_likes", "total_comments", "total_views") if metric == "total_likes" else (metric,)
            yield Case(
                group=group,
                fault=f"`{metric}` {words}",
                stream=stream,
                faults=(error(rf"{CALL[stream]}.*metric=[^&]*{metric}", envelope),),
                empty=columns,
            )
    yield Case(
        group=group,
        fault="`follows_and_unfollows` fails without end (code 1)",
        stream="user_total_insights",
        faults=(error(r"follows_and_unfollows", UNKNOWN),),
        empty=("follows", "unfollows"),
    )


def fields(_: World) -> Iterator[Case]:
    tables = (
        ("accounts", "username"),
        ("users", "biography"),
        ("media", "alt_text"),
        ("media", "children"),
        ("media", "ig_id"),
        ("stories", "caption"),
        ("tags", "like_count"),
        ("comments", "hidden"),
        ("comments", "from"),
    )
    for stream, name in tables:
        yield Case(
            group="Fields that Meta refuses",
            fault=f"`{name}`",
            stream=stream,
            faults=({"refuse_field": name},),
            empty=(name, *FLAT.get(name, ())),
            says=(name,),
            wait=0,
            # Three media, or accounts, have to say so; of an album's children first, as Meta does not say whose it is.
            extra=18 if stream == "comments" else 8,
        )


def permissions(world: World) -> Iterator[Case]:
    group = "One account, or one of its permissions, is missing"
    for stream in STREAMS[1:]:
        yield Case(
            group=group,
            fault="one account is forbidden",
            stream=stream,
            faults=({"forbid_account": FIRST},),
            lost=of_account(FIRST),
            complete=False,
            says=(FIRST, "permission"),
        )
    for stream in ("user_insights", "user_total_insights", "audience_demographics", "media_insights", "story_insights"):
        yield Case(
            group=group,
            fault="no instagram_manage_insights for one account",
            stream=stream,
            faults=({"forbid_account": FIRST, "permission": "instagram_manage_insights"},),
            lost=of_account(FIRST),
            complete=False,
            says=(FIRST, "instagram_manage_insights"),
        )
    yield Case(
        group=group,
        fault="no instagram_manage_comments for one account",
        stream="tags",
        faults=({"forbid_account": FIRST, "permission": "instagram_manage_comments"},),
        lost=of_account(FIRST),
        complete=False,
        says=(FIRST, "instagram_manage_comments"),
    )
    yield Case(
        group=group,
        fault="no instagram_manage_comments for one account: Meta just shows no comments",
        stream="comments",
        faults=({"forbid_account": FIRST, "permission": "instagram_manage_comments"},),
        lost=of_account(FIRST),
        says=(FIRST, "instagram_manage_comments"),
    )
    for stream in OF_OBJECTS:
        one = one_of(world, stream)
        yield Case(
            group=group,
            fault="one object is forbidden (code 10)",
            stream=stream,
            faults=(error(f"/{one}/", FORBIDDEN),),
            lost=of_media(one),
            complete=False,
            says=(one, "permission"),
            wait=0,
        )
    yield Case(
        group=group,
        fault="one account's `engaged_audience_demographics` are forbidden (code 10)",
        stream="audience_demographics",
        faults=(error("engaged_audience", FORBIDDEN, account=FIRST),),
        lost=lambda record: (
            record["business_account_id"] == FIRST and record["metric"] == "engaged_audience_demographics"
        ),
        complete=False,
        says=(FIRST, "permission"),
        wait=0,
    )
    for stream in ("media", "user_insights"):
        yield Case(
            group=group,
            fault="one account in words that nobody knows (code 7777)",
            stream=stream,
            faults=(error(CALL[stream], {"code": 7777, "message": "Something new"}, account=FIRST),),
            lost=of_account(FIRST),
            complete=False,
            says=(FIRST, "Something new"),
        )
    yield Case(
        group=group,
        fault="one media in words that nobody knows (code 7777)",
        stream="media_insights",
        faults=(error(f"/{one_of(world, 'media_insights')}/insights", {"code": 7777, "message": "Something new"}),),
        lost=of_media(one_of(world, "media_insights")),
        complete=False,
        says=(one_of(world, "media_insights"), "Something new"),
    )


def gone(world: World) -> Iterator[Case]:
    group = "Objects that are gone (100/33)"
    for stream in STREAMS[1:]:
        yield Case(
            group=group, fault="once", stream=stream, faults=(error(CALL[stream], GONE, times=1),), wait=0, extra=2
        )
    for stream in OF_OBJECTS:
        one = one_of(world, stream)
        yield Case(
            group=group,
            fault="twice: it is skipped",
            stream=stream,
            faults=(error(f"/{one}/", GONE),),
            lost=of_media(one),
            says=(one,),
            wait=0,
            extra=3,
        )
    for stream in (*LISTS, *OF_ACCOUNTS):
        yield Case(
            group=group,
            fault="one account, for good",
            stream=stream,
            faults=(error(CALL[stream], GONE, account=LAST),),
            lost=of_account(LAST),
            complete=False,
            says=(LAST, "does not exist"),
            wait=0,
        )


def lasting(world: World) -> Iterator[Case]:
    group = "Objects without numbers"
    media, story = one_of(world, "media_insights"), one_of(world, "story_insights")
    old = {
        "code": 100,
        "error_subcode": 2108006,
        "message": "Invalid parameter",
        "error_user_title": "Media Posted Before Business Account Conversion",
    }
    few = {"code": 10, "message": "(#10) Not enough viewers for the media to show insights"}
    kind = {"code": -1, "error_subcode": 2207073, "message": "Fatal"}
    tables = (
        ("media_insights", media, "older than the conversion", old),
        ("media_insights", media, "too few viewers", few),
        ("story_insights", story, "too few viewers", few),
        ("media_insights", media, "of an unsupported type (-1/2207073)", kind),
        ("story_insights", story, "expired between list and call", GONE),
    )
    for stream, one, words, envelope in tables:
        yield Case(
            group=group,
            fault=words,
            stream=stream,
            faults=(error(f"/{one}/insights", envelope),),
            lost=of_media(one),
            says=(one,),
            wait=0,
        )
    yield Case(
        group=group,
        fault="expired between list and call: an answer without numbers",
        stream="story_insights",
        faults=({"path": f"/{story}/insights", "kind": "shape", "body": {"data": []}},),
        lost=of_media(story),
        wait=0,
    )
    yield Case(
        group=group,
        fault="too few people in an audience (2874010)",
        stream="audience_demographics",
        faults=(error("engaged_audience", {"error_subcode": 2874010, "code": 100, "message": "Not enough users"}),),
        lost=lambda record: record["metric"] == "engaged_audience_demographics",
        says=(FIRST,),
        wait=0,
    )


def too_much(world: World) -> Iterator[Case]:
    group = "Too much data at once"
    for stream, path, most in (
        ("accounts", "/me/accounts", 30),
        ("media", "/media", 5),
        ("stories", "/stories", 2),
        ("tags", "/tags", 2),
        ("comments", "/comments", 20),
        ("comments", "/replies", 20),
        ("media_insights", "/media", 5),
        ("story_insights", "/stories", 2),
        ("comments", "/media", 5),
    ):
        for where in ("message", "error_user_msg") if path == "/media" else ("message",):
            yield Case(
                group=group,
                fault=f"pages of {path} over {most}, said in `{where}`",
                stream=stream,
                faults=({"max_limit": most, "path": path, "message": where},),
                wait=0,
            )
    envelope = {"code": 1, "message": TOO_MUCH}
    for stream in (*OF_ACCOUNTS, "media_insights", "story_insights", "users"):
        yield Case(
            group=group,
            fault="a call that has no pages, once",
            stream=stream,
            faults=(error(CALL[stream], envelope, status=500, times=1),),
        )
    for stream in ("media_insights", "story_insights"):
        one = one_of(world, stream)
        yield Case(
            group=group,
            fault="a call that has no pages, without end",
            stream=stream,
            faults=(error(f"/{one}/insights", envelope, status=500),),
            lost=of_media(one),
            complete=False,
            says=(one,),
        )


BROKEN: dict[str, Spec] = {
    "HTML at HTTP 502": {"kind": "html"},
    "truncated JSON": {"kind": "truncate"},
    "an empty body": {"kind": "empty"},
    "prose in place of JSON": {"kind": "not_json"},
    "a reset connection": {"kind": "drop"},
    "an error envelope at HTTP 200": {"kind": "envelope200", "error": SERVICE},
    "`data` is null": {"kind": "shape"},
    "a bare list": {"kind": "shape", "body": [1, None]},
    "a bare string": {"kind": "shape", "body": "ok"},
    "rows that are no objects": {"kind": "shape", "body": {"data": [None, 3]}},
    "code 1": {"error": UNKNOWN, "status": 400},
    "code 2": {"error": SERVICE},
}


def broken(world: World) -> Iterator[Case]:
    group = "Broken answers, once"
    for at, (words, spec) in enumerate(BROKEN.items()):
        for stream in STREAMS:
            if at < 6 or STREAMS.index(stream) % 6 == at % 6:
                yield Case(
                    group=group, fault=words, stream=stream, faults=({"path": CALL[stream], "times": 1, **spec},)
                )
    group = "Broken answers, without end"
    for words, spec in BROKEN.items():
        yield Case(
            group=group,
            fault=f"{words}, for one account",
            stream="media" if len(words) % 2 else "tags",
            faults=({"path": CALL["media" if len(words) % 2 else "tags"], "account": SMALL, **spec},),
            lost=of_account(SMALL),
            complete=False,
            says=(SMALL,),
        )
    for words, spec in BROKEN.items():
        one = one_of(world, "media_insights")
        stream = "comments" if len(words) % 2 else "media_insights"
        yield Case(
            group=group,
            fault=f"{words}, for one media",
            stream=stream,
            faults=({"path": f"/{one}/(insights|comments)", **spec},),
            lost=of_media(one),
            complete=False,
            says=(one,),
        )
    for stream in (
        "users",
        "user_insights",
        "user_total_insights",
        "user_insights_breakdowns",
        "user_lifetime_insights",
        "audience_demographics",
    ):
        yield Case(
            group=group,
            fault="code 2, for one account",
            stream=stream,
            faults=({"path": CALL[stream], "account": LAST, "error": SERVICE},),
            lost=of_account(LAST),
            complete=False,
            says=(LAST,),
        )


def stalled(world: World) -> Iterator[Case]:
    group = "Connections that stall"
    for stream in STREAMS:
        for words, kind in (("no answer", "stall"), ("half an answer, then nothing", "halt")):
            if kind == "stall" or stream in ("accounts", *LISTS, "media_insights"):
                yield Case(
                    group=group,
                    fault=f"{words}, once",
                    stream=stream,
                    faults=({"path": CALL[stream], "times": 1, "kind": kind, "seconds": 60},),
                    wait=READ_TIMEOUT + RETRIES,
                    tempo=STALLED,
                )
    yield Case(
        group=group,
        fault="an answer that comes two seconds late",
        stream="media",
        faults=({"path": CALL["media"], "times": 1, "kind": "stall", "seconds": 2},),
        tempo=STALLED,
        wait=READ_TIMEOUT,
        extra=0,
    )
    for stream in ("user_total_insights", "comments"):
        yield Case(
            group=group,
            fault="no answer to a whole batch, once",
            stream=stream,
            faults=({"path": BATCH, "times": 1, "kind": "halt", "seconds": 60},),
            wait=READ_TIMEOUT + RETRIES,
            tempo=STALLED,
        )
    for stream in ("users", "media"):
        yield Case(
            group=group,
            fault="no answer for one account, ever",
            stream=stream,
            faults=({"path": CALL[stream], "account": SMALL, "kind": "stall", "seconds": 60},),
            lost=of_account(SMALL),
            complete=False,
            says=(SMALL,),
            wait=6 * READ_TIMEOUT + RETRIES,
            tempo=STALLED,
        )
    one = one_of(world, "media_insights")
    yield Case(
        group=group,
        fault="no answer for one media, ever",
        stream="media_insights",
        faults=({"path": f"/{one}/insights", "kind": "stall", "seconds": 60},),
        lost=of_media(one),
        complete=False,
        says=(one,),
        wait=6 * READ_TIMEOUT + RETRIES,
        tempo=STALLED,
    )


def outages(_: World) -> Iterator[Case]:
    group = "Meta answers nothing any more"
    kinds: tuple[tuple[str, Spec], ...] = (
        ("HTML at HTTP 502", {"kind": "html"}),
        ("reset connections", {"kind": "drop"}),
        ("code 2", {"error": SERVICE}),
    )
    for words, spec in kinds:
        for stream, skip in (("user_insights_breakdowns", 70), ("media_insights", 40), ("comments", 12)):
            yield Case(
                group=group,
                fault=f"{words}, from the middle of the sync on",
                stream=stream,
                faults=({"path": "/v25", "skip": skip, **spec},),
                part=True,
                complete=False,
                says=("next sync",),
                wait=4 * RETRIES,
                extra=60,
            )
    yield Case(
        group=group,
        fault="connections stall from the middle of the sync on",
        stream="user_insights_breakdowns",
        faults=({"path": "/v25", "skip": 70, "kind": "stall", "seconds": 60},),
        part=True,
        complete=False,
        says=("next sync",),
        wait=6 * READ_TIMEOUT + 4 * RETRIES,
        tempo=STALLED,
        extra=60,
    )


def batches(world: World) -> Iterator[Case]:
    group = "Batches"
    for stream in (*OF_OBJECTS, *OF_ACCOUNTS):
        yield Case(
            group=group,
            fault="every third item is `null`",
            stream=stream,
            faults=({"path": CALL[stream], "kind": "null_item", "every": 3, "times": 12},),
        )
    one = one_of(world, "media_insights")
    yield Case(
        group=group,
        fault="one item is always `null`; it arrives when it travels alone",
        stream="media_insights",
        faults=({"path": f"/{one}/", "kind": "null_item"},),
    )
    whole: dict[str, Spec] = {
        "refused with code 1": {"error": UNKNOWN, "status": 500},
        "refused with code 2": {"error": SERVICE},
        "HTML at HTTP 502": {"kind": "html"},
        "a reset connection": {"kind": "drop"},
        "truncated JSON": {"kind": "truncate"},
        "an empty body": {"kind": "empty"},
        "an answer with too few items": {"kind": "shape", "body": [None]},
        "an answer with items that are no objects": {"kind": "shape", "body": [1, "x"]},
    }
    for at, (words, spec) in enumerate(whole.items()):
        for stream in (
            ("media_insights", "user_total_insights")[at % 2 : at % 2 + 1] if at else (*OF_OBJECTS, *OF_ACCOUNTS)
        ):
            yield Case(
                group=group, fault=f"whole: {words}", stream=stream, faults=({"path": BATCH, "times": 1, **spec},)
            )
    yield Case(
        group=group,
        fault="refused without end: its calls arrive singly",
        stream="user_total_insights",
        faults=({"path": BATCH, "error": SERVICE},),
        wait=4 * RETRIES,
    )


def tokens(_: World) -> Iterator[Case]:
    expired = {
        "code": 190,
        "error_subcode": 463,
        "message": "Error validating access token: Session has expired on Monday, 23-Nov-26 10:00:00 PST.",
    }
    for stream, skip in (
        ("users", 1),
        ("media", 1),
        ("tags", 2),
        ("user_insights", 2),
        ("user_total_insights", 20),
        ("user_insights_breakdowns", 60),
        ("media_insights", 20),
        ("story_insights", 5),
        ("comments", 8),
        ("audience_demographics", 9),
    ):
        yield Case(
            group="Tokens",
            fault="expires in the middle of the sync",
            stream=stream,
            faults=(error(CALL[stream], expired, skip=skip),),
            part=True,
            complete=False,
            says=("expired", "Authorize"),
            wait=0,
            debug=True,
        )
    for stream in ("media", "media_insights", "user_insights"):
        yield Case(
            group="Tokens",
            fault="the app secret is another app's",
            stream=stream,
            config={"client_id": "1122334455", "client_secret": "wrong-0123456789"},
            says=("client_secret",),
            wait=0,
            debug=True,
        )
        yield Case(
            group="Tokens",
            fault="the app wants signed requests, and the secret is right",
            stream=stream,
            config={"client_id": "$app_id", "client_secret": "$app_secret"},
            require_proof=True,
            wait=0,
            debug=True,
        )
    yield Case(
        group="Tokens",
        fault="the app wants signed requests, and there is no secret",
        stream="media",
        require_proof=True,
        lost=lambda _: True,
        complete=False,
        says=("client_secret",),
        wait=0,
    )


def kills(_: World) -> Iterator[Case]:
    for stream in (each for each in INCREMENTAL if each not in SNAPSHOTS):
        for percent in (0, 1, 50):
            yield Case(
                group="kill -9, then a sync from the last state",
                fault=f"after {percent} % of the records" if percent else "at the first state",
                stream=stream,
                kill=percent,
                latency=0.05,
                config={"num_workers": 2},
            )


INVALID = {"code": 100, "message": "Invalid parameter"}
TURNED_OFF = {"code": 100, "message": "The comments of this media are turned off"}
NEW = {"code": 7777, "message": "Something new"}
OLD = {
    "code": 100,
    "error_subcode": 2108006,
    "message": "Invalid parameter",
    "error_user_title": "Media posted before business account conversion",
}
FEW = {"code": 10, "message": "(#10) Not enough viewers for the media to show insights"}
ELSEWHERE = {"code": -1, "error_subcode": 2207086, "message": "Fatal"}
UNSUPPORTED = {"code": -1, "error_subcode": 2207073, "message": "Fatal"}
LACKING = {"code": 200, "message": "(#200) Permissions error"}
# What is refused, and who has nothing for good by its words: whoever is struck, one object, or nobody.
REFUSALS: dict[str, tuple[Spec, str]] = {
    "100/33": (GONE, "one object"),
    "100/2108006": (OLD, "whoever"),
    "code 10, too few viewers": (FEW, "whoever"),
    "-1/2207086": (ELSEWHERE, "whoever"),
    "-1/2207073": (UNSUPPORTED, "whoever"),
    "code 10, no permission": (FORBIDDEN, "nobody"),
    "code 200": (LACKING, "nobody"),
    "code 100, “Invalid parameter”": (INVALID, "nobody"),
    "code 100, a metric's name in other words": (TURNED_OFF, "nobody"),
    "code 1": (UNKNOWN, "nobody"),
    "code 2": (SERVICE, "nobody"),
    "code 7777": (NEW, "nobody"),
}


# Columns that are asked in calls of their own, whose refusal costs them alone.
ACTIVITY = ("", "_bio_link_clicked", "_call", "_direction", "_email", "_text", "_other")
BESIDE = {
    "user_total_insights": ("follows", "unfollows"),
    "media_insights": (
        *(f"profile_activity{part}" for part in ACTIVITY),
        *("facebook_views", "crossposted_views", "total_likes", "total_comments", "total_views"),
    ),
    "story_insights": (
        *(f"profile_activity{part}" for part in ACTIVITY),
        *(f"navigation{part}" for part in ("", "_tap_forward", "_tap_back", "_tap_exit", "_swipe_forward")),
        *("link_clicks", "facebook_views", "total_views"),
    ),
}
WHO = ("one object", "the first object", "one account", "one page", "from some call on", "all")


def struck(world: World) -> Iterator[Case]:
    """Who is struck, by each refusal, on the streams that ask many objects or days; two of them for each."""
    streams = ("media_insights", "comments", "story_insights", "user_total_insights")
    for at, (words, (envelope, never)) in enumerate(REFUSALS.items()):
        for place, who in enumerate(
            ("one object", "the first object", "one account", "one page", "from some call on", "all")
        ):
            for stream in dict.fromkeys((streams[(at + place) % 4], streams[(at + place + 1 + at // 4) % 4])):
                faults, lost = _strike(world, stream, who, envelope)
                is_list = who == "one page" and stream != "user_total_insights"  # a list is no object without numbers
                is_lasting = never == "whoever" or (never == "one object" and who.endswith("object"))
                yield Case(
                    group="Who is struck",
                    fault=f"{who}: {words}",
                    stream=stream,
                    faults=faults,
                    lost=lost if is_lasting and not is_list else nothing,
                    empty=BESIDE.get(stream, ()),
                    complete=None,
                    wait=HOUR,
                    tempo=0.001,
                )


def _strike(world: World, stream: str, who: str, envelope: Spec) -> tuple[tuple[Spec, ...], Lost]:
    """The faults of a cell, and the records that they are about."""
    if who == "from some call on":
        return (error(CALL[stream], envelope, skip=7),), lambda _: True
    if who == "all":
        return (error(CALL[stream], envelope),), lambda _: True
    if who == "one account":
        return (error(CALL[stream], envelope, account=FIRST),), of_account(FIRST)
    if stream == "user_total_insights":  # its objects are days, its pages the days of one account
        day = (world.now() - timedelta(days={"one object": 5, "one page": 9}.get(who, DAYS))).date().isoformat()
        whose = {} if who == "one page" else {"account": FIRST}
        return (error(CALL[stream], envelope, day=day, **whose),), lambda record: record["date"].startswith(day)
    if who == "one page":
        edge = "/stories" if stream == "story_insights" else "/media"
        path = rf"{edge}\?.*after="
        return ({"max_limit": 2, "path": edge}, error(path, envelope, account=FIRST)), of_account(FIRST)
    account = world.accounts[0]
    if stream == "story_insights":
        found = [story.id for story in world.stories(account) if not story.few_viewers]
    else:
        posts = [post for post in world.media(account) if not post.before_conversion]
        found = [post.id for post in posts if stream != "comments" or world.comments(post)]
    one = found[0 if who == "the first object" else len(found) // 2]
    return (error(f"/{one}/(insights|comments)", envelope),), of_media(one)


def others(world: World) -> Iterator[Case]:
    """Accounts of others, hashtags, and the polls of media."""
    for number, case in enumerate(_of_others(world)):
        yield replace(case, group="Accounts of others, hashtags and polls", tempo=0.001 if number else case.tempo)


def _of_others(world: World) -> Iterator[Case]:
    asked = {stream: "business_discovery" if stream in OF_OTHERS[:2] else "ig_hashtag_search" for stream in OF_OTHERS}
    asked["hashtag_media"] = "(top|recent)_media"
    bad = {"discover_usernames": ["nobody", "bluebottle", "tea.time_24"], "hashtags": ["nosuch", "coffee", "tea"]}
    for stream in OF_OTHERS:
        about: Spec = {"group": "", "stream": stream}
        is_name = stream in OF_OTHERS[:2]
        one = r"username\(bluebottle\)" if is_name else "q=coffee"
        whose = partial(_is_of, "bluebottle" if is_name else "coffee")
        yield Case(fault="nobody, or nothing, goes by one of the names", config=bad, says=("nothing for",), **about)
        yield Case(fault="code 4, HTTP 403, three times", wait=90, **about,
                   faults=(error(asked[stream], throttled(4), status=403, times=3),))  # fmt: skip
        yield Case(fault="a passing fault", faults=(error(asked[stream], SERVICE, times=4),), **about)
        yield Case(fault="a passing fault of one name, without end", faults=(error(one, SERVICE),), lost=whose,
                   complete=False, says=("bluebottle" if is_name else "coffee",), **about)  # fmt: skip
        yield Case(fault="the first account may ask for nothing", faults=({"forbid_account": FIRST},), **about)
    for stream in OF_OTHERS[2:]:
        feature = {"code": 10, "message": "(#10) To use 'Instagram Public Content Access', your use must be reviewed"}
        everybody = [{"id": f"17840{n:012d}", "name": f"other{n}"} for n in range(30)]
        full = {"kind": "edit", "path": "recently_searched", "set": {"data": everybody}}
        about = {"group": "", "stream": stream, "lost": lambda _: True, "complete": False}
        yield Case(fault="the app lacks the feature", faults=(error("hashtag", feature),), says=("Apply",), **about)
        yield Case(fault="all accounts have searched 30 others", faults=(full,), says=("room for 0",), **about)
    yield Case(group="", fault="Meta does not know `view_count`", stream="discovered_media",
               faults=({"refuse_field": "view_count"},), empty=("view_count",))  # fmt: skip
    yield Case(group="", fault="a page of more than 20 is too much", stream="discovered_media",
               faults=({"max_limit": 20, "path": "business_discovery"},))  # fmt: skip
    unknown = {"code": 2500, "message": "Unknown path components: /poll_attachment"}
    yield Case(group="", fault="Meta knows no polls", stream="media", polls=True, says=("no poll_attachment",),
               faults=(error("poll_attachment", unknown),), empty=("poll_options", "poll_expires_at"))  # fmt: skip
    one = next(post.id for post in world.media(world.accounts[0]) if post.poll)
    yield Case(group="", fault="a passing fault of one poll, without end", stream="media", polls=True,
               faults=(error(f"{one}/poll_attachment", SERVICE),), lost=lambda record: record["id"] == one,
               complete=False, says=(one,))  # fmt: skip


def _is_of(name: str, record: Record) -> bool:
    """Whether a record is of a user name, or of a hashtag."""
    return name in (record.get("username"), record.get("hashtag"), record.get("name"))


GROUPS = (
    faultless,
    throttles,
    named_waits,
    usage,
    retired,
    sometimes,
    fields,
    permissions,
    gone,
    lasting,
    too_much,
    broken,
    stalled,
    batches,
    outages,
    tokens,
    struck,
    others,
    kills,
)
