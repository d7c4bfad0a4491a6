"""Random objects answer random refusals at random calls: what arrives is compared with the world, by value.

A sync owes what `law.py` says, whatever the example. A failing one prints its faults as they are given to
`python -m sandbox serve --fault`. `LOSSES_EXAMPLES=2000` asks for more examples, and for others in each run.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

import pytest
from harness import SCHEMAS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from law import ALONE, DAYS, Excuse, Spec, Trial
from oracle import Record

from bench.cases import BESIDE
from sandbox import Options, Sandbox, World
from sandbox.errors import unknown_object
from sandbox.graph import _cursor
from sandbox.insights import MEDIA_METRICS, USER_METRICS
from sandbox.nodes import Media

MANY = int(os.environ.get("LOSSES_EXAMPLES", "0"))
settings.register_profile(
    "losses",
    max_examples=MANY or 16,
    phases=[Phase.generate, Phase.shrink]
    if MANY
    else [Phase.generate],  # what is drawn is small, and shrinking takes long
    derandomize=not MANY,
    deadline=None,
    database=None,
    suppress_health_check=[*HealthCheck],
    print_blob=False,
)
NOW = datetime.now(timezone.utc).replace(microsecond=0)
SIZE: Spec = {
    "accounts": 3, "portfolio_accounts": 0, "media": 8, "albums": 2, "children": 2, "stories": 3, "comments": 2,
    "tags": 6, "days": 14, "now": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
}  # fmt: skip
WORLD = World(Options(**SIZE))
ACCOUNTS = [account.id for account in WORLD.accounts]
OPTIONAL = ("facebook_views", "crossposted_views", "total_likes", "total_comments", "total_views", "link_clicks")

# -- What Meta may answer ----------------------------------------------------------------------------------------------

GONE = {"code": 100, "error_subcode": 33, "type": "GraphMethodException", "message": unknown_object("0").message}
OLD = {
    "code": 100,
    "error_subcode": 2108006,
    "message": "Invalid parameter",
    "error_user_title": "Media posted before business account conversion",
}
FEW = {"code": 10, "message": "(#10) Not enough viewers for the media to show insights"}
NOT_ON_FACEBOOK = {"code": -1, "error_subcode": 2207086, "message": "Fatal"}
UNSUPPORTED = {"code": -1, "error_subcode": 2207073, "message": "Fatal"}
NO_VIDEO = {"code": 9005, "error_subcode": 1452042, "message": "Video content was not found."}
CHILD = {"code": 100, "message": "(#100) Field is not available for Carousel children media."}
# Why an object has no numbers, and never will: the words are about it alone.
LASTING: tuple[Spec, ...] = (OLD, FEW, NOT_ON_FACEBOOK, UNSUPPORTED, NO_VIDEO, CHILD)
INVALID = {"code": 100, "message": "Invalid parameter"}
COMMENTS_OFF = {"code": 100, "message": "The comments of this media are turned off"}
GLITCH = {"code": 1, "message": "An unknown error occurred"}
SERVICE = {"code": 2, "message": "An unexpected error has occurred. Please retry your request later."}
PASSING = {**SERVICE, "is_transient": True}
NO_PERMISSION = {"code": 10, "message": "(#10) Application does not have permission for this action"}
NOT_REVIEWED = {
    "code": 10,
    "message": "(#10) To use 'Instagram Public Content Access', your use of this endpoint must be reviewed and "
    "approved by Facebook.",
}
# What says nothing lasting of the object: whatever is refused is missing, and the next sync brings it.
OTHER = (
    INVALID,
    COMMENTS_OFF,
    GLITCH,
    SERVICE,
    PASSING,
    NO_PERMISSION,
    NOT_REVIEWED,
    {"code": 200, "message": "(#200) Permissions error"},
    {"code": 3, "message": "(#3) Application does not have the capability to make this API call."},
    {"code": 368, "message": "The action attempted has been deemed abusive or is otherwise disallowed"},
    {"code": 2500, "message": "Unknown path components: /insights"},
    {"code": 7777, "message": "Something new"},
    {"code": "100", "message": "Invalid parameter"},
    {"message": "Without a code"},
)
THROTTLES = (
    {"code": 4, "message": "(#4) Application request limit reached", "is_transient": True},
    {"code": 17, "message": "(#17) User request limit reached"},
    {"code": 80002, "message": "(#80002) There have been too many calls to this Instagram account."},
)
EXPIRED = {
    "code": 190,
    "error_subcode": 463,
    "message": "Error validating access token: Session has expired on Monday, 23-Nov-26 10:00:00 PST.",
}
BROKEN: tuple[Spec, ...] = (
    {"kind": "html"},
    {"kind": "drop"},
    {"kind": "truncate"},
    {"kind": "empty"},
    {"kind": "not_json"},
    {"kind": "null_item"},
    {"kind": "shape"},
    {"kind": "envelope200"},
    {"kind": "shape", "body": {"data": [None, 3]}},
    {"kind": "shape", "body": [1]},
    {"kind": "edit", "set": {"data.0.insights": {"data": [{"name": 5}]}}},
    {"kind": "edit", "set": {"paging.cursors": [1]}},
)


# The streams that read the same pages, or need the same calls.
BESIDES = {
    "media": "media_insights",
    "media_insights": "media",
    "stories": "story_insights",
    "story_insights": "stories",
    "user_total_insights": "user_insights_breakdowns",
    "user_insights_breakdowns": "user_total_insights",
    "audience_demographics": "user_lifetime_insights",
}
SHARED = {"views", "reach", "likes", "comments", "saved", "shares", "total_interactions", "reposts"}
COMMON = SHARED | {"id", "timestamp", "media_product_type", "business_account_id", "page_id"}


# -- Scenarios ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Struck:
    """Who meets a fault: conditions of the fault, and which records they are about."""

    words: str
    where: Spec
    has: Callable[[Record], bool]
    one: str = ""  # the id of the one object


@dataclass(frozen=True)
class Trouble:
    """Faults, the streams that meet them, and what they make unobtainable."""

    streams: tuple[str, ...]
    faults: tuple[Spec, ...]
    excuses: tuple[Excuse, ...] = ()


@dataclass(frozen=True, repr=False)
class Scenario:
    """What goes wrong in one sync."""

    troubles: tuple[Trouble, ...] = field(default=())
    alone: bool = False  # comments come by calls of their own
    shared: bool = False  # the streams that share calls with those in trouble are synced beside them
    common: bool = False  # no more than the columns that come with pages of media are selected

    @property
    def streams(self) -> tuple[str, ...]:
        struck = [stream for each in self.troubles for stream in each.streams]
        return tuple(dict.fromkeys([*struck, *(BESIDES[each] for each in struck if self.shared and each in BESIDES)]))

    @property
    def without(self) -> set[str]:
        is_alone = {"user_total_insights", "story_insights"}.isdisjoint(
            self.streams
        )  # which have some of the columns, too
        return {*SCHEMAS["media_insights"]["properties"]} - COMMON if self.common and is_alone else set()

    @property
    def faults(self) -> list[Spec]:
        found = [fault for each in self.troubles for fault in each.faults]
        return [*found, ALONE] if self.alone and "comments" in self.streams else found

    @property
    def excuses(self) -> list[Excuse]:
        return [excuse for each in self.troubles for excuse in each.excuses]

    def __repr__(self) -> str:
        world = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in SIZE.items())
        lines = [f"a sync of {', '.join(self.streams)} without {self.without} against: python -m sandbox serve {world}"]
        return " \\\n  ".join([*lines, *(f"--fault '{json.dumps(fault)}'" for fault in self.faults)])


def posts(at: int, stream: str) -> list[Media]:
    """The objects of an account that a stream makes calls for, and has something of, in the order of their list."""
    account = WORLD.accounts[at]
    if stream == "story_insights":
        return [story for story in WORLD.stories(account) if not story.few_viewers]
    found = WORLD.media(account)
    if stream == "comments":
        return [post for post in found if WORLD.comments(post)]
    return [post for post in found if not post.before_conversion]


def struck(stream: str) -> st.SearchStrategy[Struck]:
    """One object, the first object, one account, all from some call on, or all."""
    name = "media_id" if stream == "comments" else "id"

    def one(words: str, at: int, number: int) -> Struck:
        found = posts(at, stream)
        post = found[number % len(found)].id
        return Struck(words, {"path": f"/{post}/"}, lambda record: record.get(name) == post, post)

    def of_account(at: int) -> Struck:
        account = ACCOUNTS[at]
        return Struck("account", {"account": account}, lambda record: record["business_account_id"] == account)

    everyone = Struck("all", {}, lambda _: True)
    return st.one_of(
        st.builds(one, st.just("object"), st.integers(0, 2), st.integers(0, 7)),
        st.just(one("first", 0, 0)),
        st.builds(of_account, st.integers(0, 2)),
        st.builds(lambda skip: replace(everyone, words="from", where={"skip": skip}), st.integers(1, 30)),
        st.just(everyone),
    )


LISTS = (
    ("media", "media"),
    ("stories", "stories"),
    ("tags", "tags"),
    ("media_insights", "media"),
    ("comments", "media"),
    ("comments", "comments"),
    ("comments", "replies"),
)
EDGES = {"media_insights": "insights", "story_insights": "insights", "comments": "comments"}
OBJECTS = {"media_insights": "179", "story_insights": "181", "comments": "179"}


def path_of(stream: str, who: Struck, also: str = "") -> str:
    """The calls for objects of a stream, as far as `who` names none."""
    return f"/{who.one or OBJECTS[stream] + '[0-9]+'}/{EDGES[stream]}{also}"


@st.composite
def refused_objects(draw: st.DrawFn) -> Trouble:
    """Calls for an object are refused, whatever they ask."""
    stream = draw(st.sampled_from([*EDGES]))
    who = draw(struck(stream))
    envelope = draw(st.sampled_from((GONE, *LASTING, *OTHER)))
    fault = {**who.where, "path": path_of(stream, who), "error": envelope}
    is_excuse = envelope in LASTING or (envelope == GONE and who.one)
    excuses = [Excuse(streams={stream}, records=who.has)] if is_excuse else []
    if "skip" in fault:  # those of its calls that come later cost their own columns
        excuses.append(Excuse(streams={stream}, columns={*BESIDE.get(stream, ())} or {"none"}))
    return Trouble((stream,), (fault,), tuple(excuses))


def columns_of(stream: str, metric: str) -> set[str]:
    """The columns that a metric fills."""
    if metric == "follows_and_unfollows":
        return {"follows", "unfollows"}
    nested = metric in ("navigation", "profile_activity")
    declared = SCHEMAS[stream]["properties"]
    return {name for name in declared if name == metric or (nested and name.startswith(f"{metric}_"))}


def words_about(metric: str) -> st.SearchStrategy[tuple[Spec, str]]:
    """A refusal of one metric, and for whom it speaks."""
    legal = [name for name in (*USER_METRICS, *MEDIA_METRICS) if name != metric]
    lists = (legal, [*(f"threads_{name}" for name in legal), *legal])  # the second: longer than any recorded
    support, product = "The Media Insights API does not support the", "metric for this media product type"
    messages = [
        (f"(#100) {support} {{{metric}}} {product}", "kind"),
        (f"{support} {metric} {product}.", "kind"),
        *((f"(#100) metric[0] must be one of the following values: {', '.join(names)}", "all") for names in lists),
        (f"(#100) The {metric} metric is no longer supported since v26.0", "object"),
    ]
    own = (INVALID, UNSUPPORTED, NOT_ON_FACEBOOK, {"code": 200, "message": f"(#200) {metric} not available"})
    return st.sampled_from(
        [
            *(({"code": 100, "message": message}, speaks_for) for message, speaks_for in messages),
            *((envelope, "object") for envelope in own),
        ]
    )


@st.composite
def refused_metrics(draw: st.DrawFn) -> Trouble:
    """Calls that ask for a metric are refused, for some objects."""
    stream = draw(st.sampled_from(["media_insights", "story_insights"]))
    names = [name for name in SCHEMAS[stream]["properties"] if name in MEDIA_METRICS]
    who = draw(struck(stream))
    metric = draw(st.sampled_from(names))
    envelope, speaks_for = draw(words_about(metric))
    fault = {**who.where, "path": path_of(stream, who, rf".*metric=([^&]*,)?{metric}\b"), "error": envelope}
    products = {post.id: post.product for at in range(3) for post in posts(at, stream)}
    about = {
        "object": who.has,
        "kind": lambda record: not who.one or products[record["id"]] == products[who.one],
        "all": lambda _: True,
    }[speaks_for]
    columns = columns_of(stream, metric)
    excuses = [Excuse(streams={stream}, records=about, columns=columns)]
    if metric in OPTIONAL and envelope in (UNSUPPORTED, NOT_ON_FACEBOOK):  # of all that was asked with it
        mates = {"total_likes", "total_comments", "total_views"} if metric.startswith("total_") else {metric}
        excuses.append(Excuse(streams={stream}, records=about, columns=mates))
    if metric not in OPTIONAL and envelope in (UNSUPPORTED, NOT_ON_FACEBOOK):  # says so of the object
        excuses.append(Excuse(streams={stream}, records=who.has))
    return Trouble((stream,), (fault,), tuple(excuses))


@st.composite
def refused_days(draw: st.DrawFn) -> Trouble:
    """An account's days: one, one account's, or from some call on."""
    stream = draw(st.sampled_from(["user_insights", "user_total_insights", "user_insights_breakdowns"]))
    envelope = draw(st.sampled_from([each for each in OTHER if each != COMMENTS_OFF] + [GONE]))
    account = draw(st.sampled_from(ACCOUNTS))
    day = (NOW - timedelta(days=draw(st.integers(2, DAYS - 2)))).date().isoformat()
    where = draw(
        st.sampled_from(
            [{"account": account, "day": day}, {"account": account}, {"skip": 3}, {"skip": 40}, {"day": day}]
        )
    )
    return Trouble((stream,), ({**where, "path": r"/1784\d+/insights", "error": envelope},))


@st.composite
def refused_lists(draw: st.DrawFn) -> Trouble:
    """A list, from some page on."""
    lists = [each for each in LISTS if each[1] in ("media", "stories", "tags")]
    stream, edge = draw(st.sampled_from([*lists, ("story_insights", "stories")]))
    account = draw(st.sampled_from([None, *ACCOUNTS]))
    fault = {"account": account, "path": rf"/{edge}\?", "error": draw(st.sampled_from([GONE, *OTHER]))}
    faults: list[Spec] = [fault | {"skip": draw(st.integers(0, 4))}]
    if draw(st.booleans()):
        faults.append({"max_limit": 3, "path": rf"/{edge}\?"})
    return Trouble((stream,), tuple(faults))


@st.composite
def passing(draw: st.DrawFn) -> Trouble:
    """Faults, throttles and glitches that end, and a token that expires in the middle."""
    stream = draw(st.sampled_from([*EDGES, "user_total_insights", "media", "tags", "users", "audience_demographics"]))
    kind = draw(st.sampled_from([*BROKEN, *({"error": each} for each in (*THROTTLES, GLITCH, SERVICE, EXPIRED))]))
    account = draw(st.sampled_from([None, *ACCOUNTS]))
    path = draw(st.sampled_from(["/v25", r"/17[89]\d+", r"\?batch$", "/insights", r"/media\?"]))
    when = draw(
        st.one_of(
            st.builds(lambda skip, times: {"skip": skip, "times": times}, st.integers(0, 40), st.integers(1, 12)),
            st.builds(lambda every, times: {"every": every, "times": times}, st.integers(2, 5), st.integers(5, 30)),
        )
    )
    if kind.get("error") == EXPIRED:
        when = {"skip": when.get("skip", 3)}
    return Trouble((stream,), ({**kind, **when, "account": account, "path": path},))


@st.composite
def nested_lists(draw: st.DrawFn) -> Spec:
    """Comments that come along with their media are cut without a word, left out, twice or in another order."""
    comments, replies = "data.*.comments.data", "data.*.comments.data.*.replies.data"
    cut = draw(st.sampled_from([comments, replies]))
    return draw(
        st.sampled_from(
            [
                {"keep": {cut: draw(st.integers(1, 24))}, "remove": f"{cut.removesuffix('data')}paging"},
                {"remove": "data.*.comments"},
                {"remove": "data.*.comments.paging"},
                {"remove": "data.*.comments.data.*.replies"},
                {"duplicate": f"{comments}.0"},
                {"reverse": comments},
                {"set": {f"{replies}.*.parent_id": None}},
            ]
        )
    )


@st.composite
def odd_lists(draw: st.DrawFn) -> Trouble:
    """Lists that repeat themselves, have rows twice or in another order, or are cut without a word."""
    stream, edge = draw(st.sampled_from(LISTS))
    account = draw(st.sampled_from([None, *ACCOUNTS]))
    is_long = edge in ("media", "tags", "stories")  # longer than two: a short list without rows just ends
    most = draw(st.sampled_from([2, 3, 5]))
    endless: Spec = {"loop": True, "times": 900}
    change = draw(
        st.sampled_from(
            [
                endless,
                {**endless, **({"remove": "data.*"} if is_long else {})},
                {"duplicate": f"data.{draw(st.integers(0, 3))}"},
                {"reverse": "data"},
                {"keep": {"data.*.replies.data": draw(st.integers(1, 24))}, "remove": "data.*.replies.paging"},
                {"set": {"data.*.replies.data.*.parent_id": None}},
            ]
        )
    )
    if (stream, edge) == ("comments", "media") and draw(st.booleans()):
        change = draw(nested_lists())
    fault: Spec = {"kind": "edit", "account": account, "path": rf"/{edge}\?", **change}
    shorter: Spec = {"max_limit": 2 if "remove" in change else most, "path": rf"/{edge}\?"}
    return Trouble((stream,), (fault, shorter) if change.get("loop") else (fault,))


def listing(edge: str) -> set[str]:
    """The streams that read a list: what strikes it for one strikes it for those that are synced beside it, too."""
    return {stream for stream, each in LISTS if each == edge}


@st.composite
def empty_pages(draw: st.DrawFn) -> Trouble:
    """A page in the middle of a list is empty: nobody can know of its objects, but those behind it come."""
    stream, edge = draw(st.sampled_from([each for each in LISTS if each[1] in ("media", "tags")]))
    account = draw(st.sampled_from(WORLD.accounts))
    listed = (WORLD.tags if edge == "tags" else WORLD.media)(account)
    hidden = {post.id for post in listed[2:4]}
    fault: Spec = {"kind": "edit", "path": rf"/{edge}\?.*after={_cursor(listed[1])}", "remove": "data.*"}
    excuse = Excuse(
        streams=listing(edge), records=lambda record: {record.get("id"), record.get("media_id")} & hidden, silent=True
    )
    return Trouble((stream,), (fault, {"max_limit": 2, "path": rf"/{edge}\?"}), (excuse,))


@st.composite
def missing_keys(draw: st.DrawFn) -> Trouble:
    """Rows of a list lack a key: all of them, the first, or those of one account."""
    stream, edge = draw(st.sampled_from(LISTS))
    account = draw(st.sampled_from([None, *ACCOUNTS]))
    keys = {
        "media": ("caption", "media_type", "comments_count", "children"),
        "tags": ("caption", "like_count"),
        "stories": ("media_product_type", "like_count", "username"),
        "media_insights": ("media_product_type",),
        "comments": ("comments_count",) if edge == "media" else ("like_count", "username", "hidden"),
    }
    name = draw(st.sampled_from(keys[stream]))
    columns = {name}
    if name == "media_product_type":  # of which kind it is, is not known for sure
        columns |= {column for column in MEDIA_METRICS if column not in SHARED} | columns_of(stream, "profile_activity")
    excuse = Excuse(
        streams=listing(edge), records=lambda record: account in (None, record["business_account_id"]), columns=columns
    )
    remove = [f"data.{draw(st.sampled_from(['*', '0']))}.{name}"]
    remove += [f"data.*.replies.data.*.{name}"] if edge == "comments" else []
    return Trouble(
        (stream,), ({"kind": "edit", "account": account, "path": rf"/{edge}\?", "remove": remove},), (excuse,)
    )


@st.composite
def refused_fields(draw: st.DrawFn) -> Trouble:
    """A field that Meta does not know, for one account or for all."""
    stream, edge = draw(
        st.sampled_from([("media", "media"), ("tags", "tags"), ("comments", "comments"), ("users", "")])
    )
    columns = ["caption", "alt_text", "like_count", "children", "permalink"] if edge in ("media", "tags") else []
    name = draw(st.sampled_from(columns or (["hidden", "from", "like_count"] if edge else ["biography", "website"])))
    account = draw(st.sampled_from([None, *ACCOUNTS]))
    path = rf"/{edge}\?.*fields=([^&]*,)?{name}\b" if edge else rf"/1784\d+\?.*fields=([^&]*,)?{name}\b"
    envelope = {"code": 100, "message": f"(#100) Tried accessing nonexisting field ({name})"}
    excuse = Excuse(
        streams={stream},
        records=lambda record: account in (None, record["business_account_id"]),
        columns={name, f"{name}_id", f"{name}_username", "children"},
    )  # a refusal does not say at which depth
    return Trouble((stream,), ({"account": account, "path": path, "error": envelope},), (excuse,))


@st.composite
def empty_answers(draw: st.DrawFn) -> Trouble:
    """An object's numbers come as an empty list: it has none, and is named."""
    stream = draw(st.sampled_from(["media_insights", "story_insights"]))
    who = draw(struck(stream).filter(lambda who: who.one))
    fault = {"kind": "edit", "path": path_of(stream, who), "remove": "data.*"}
    return Trouble((stream,), (fault,), (Excuse(streams={stream}, records=who.has),))


TROUBLES = st.one_of(
    refused_objects(),
    refused_metrics(),
    refused_days(),
    refused_lists(),
    passing(),
    odd_lists(),
    empty_pages(),
    missing_keys(),
    refused_fields(),
    empty_answers(),
)
SCENARIOS = st.builds(Scenario, st.lists(TROUBLES, min_size=1, max_size=2).map(tuple), *[st.booleans()] * 3)


@pytest.fixture(scope="module")
def losses(server: Sandbox) -> Iterator[Sandbox]:
    server.reset(**SIZE)
    yield server
    server.options = type(server.options)(**{**SIZE, "now": None})  # so that the next test has its own world again


@settings(settings.get_profile("losses"))
@given(scenario=SCENARIOS)
def test_nothing_is_lost_without_a_word(losses: Sandbox, scenario: Scenario) -> None:
    tried = Trial(losses, scenario.streams, without=scenario.without).run(*scenario.faults, excuses=scenario.excuses)
    assert tried.broken == [], "\n".join([repr(scenario), *tried.broken])
