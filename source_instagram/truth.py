"""Rules of Meta's API that the connector relies on and that nobody has recorded, and how each is tried.

docs/truth.md lists them, with those that are documented or recorded. What a function tells of what it saw is made of
our own words, of counts, of Meta's codes and of names of metrics and fields: nothing in it is anybody's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from source_instagram import tokens
from source_instagram.answers import DISCOVERY, NESTED, POLL, is_poll, listed_in, poll_in
from source_instagram.capabilities import FIELD, named_in, names_in
from source_instagram.comments import COMMENTS
from source_instagram.polls import FIELDS as POLL_FIELDS
from source_instagram.probing import Answer, Meta, Untried, need, unusable
from source_instagram.times import CALIFORNIA, DAY, at, label_in, moment, now, rfc3339, unix

VERSION = "v25.0"  # of the manifest
VIEWS = "view_count"
MADE_UP = "EAA" + "0" * 48  # in place of a token, so that none is exchanged
BATCHED, EXPANDED = 5, 2  # calls, to see how they are counted
MOST_DAYS = 3  # of which comments are counted, with those beside them
BOTH = ("facebook", "instagram")


@dataclass(frozen=True)
class Seen:
    """What was seen of a rule."""

    holds: bool
    told: str
    words: str = ""  # Meta's, which nobody has looked through


@dataclass(frozen=True)
class Rule:
    """What the connector takes for granted, what it does when it is otherwise, and how that is tried."""

    name: str
    question: str
    expected: str
    otherwise: str
    healed_by: str  # the module that does it; empty: nothing
    tried: Callable[[Meta], Seen]
    logins: tuple[str, ...] = BOTH


# -- Tokens and requests -----------------------------------------------------------------------------------------------


def header(meta: Meta) -> Seen:
    """Whether the first call, which has its token in a header alone, is answered."""
    answer = meta.find()
    error = answer.body.get("error") or {}
    if error.get("code") in (104, 2500) and "access token" in answer.words:
        return Seen(holds=False, told=f"the call was refused as if it had no token ({answer.code})", words=answer.words)
    if answer.verdict or not meta.account:
        unusable(answer)
    return Seen(holds=True, told="a call with nothing but the header was answered")


def version(meta: Meta) -> Seen:
    """Which version the first answer names."""
    headers = meta.first.reply.headers if meta.first and meta.first.reply else {}
    names = {name.lower(): value for name, value in headers.items()}
    found = names.get("facebook-api-version") or names.get("instagram-api-version")
    if not found:
        raise Untried("The answer names no version.")
    return Seen(holds=found == VERSION, told=f"{found[:8]} answered")


def by_id(meta: Meta) -> Seen:
    """Whether the account answers by its id."""
    answer = meta.get(f"{meta.account}/media", fields="id", limit="1")
    if not answer.verdict:
        return Seen(holds=True, told="its media were listed by its id")
    meta.path = "me"
    return Seen(holds=False, told=f"its id was refused ({answer.code})", words=answer.words)


def batch(meta: Meta) -> Seen:
    """Whether each item of a batch is answered for itself, insights too."""
    days = {"period": "day", "metric_type": "total_value", **ago(3, 2)}
    answers = meta.each(
        (f"{meta.path}/insights", {"metric": "reach", **days}),
        (f"{meta.path}/insights", {"metric": "no_such_metric", **days}),
        (meta.path, {"fields": "id"}),
    )
    if any(answer.reply and answer.reply.is_whole for answer in answers):
        meta.has_batches = False
        return Seen(holds=False, told=f"the batch was refused as a whole ({answers[0].code})", words=answers[0].words)
    first, refused, last = answers
    holds = not (first.verdict or last.verdict) and refused.verdict is not None
    told = ["answered" if answer.verdict is None else answer.code for answer in answers]
    return Seen(holds=holds, told=f"insights: {told[0]}, a wrong metric: {told[1]}, the account: {told[2]}")


def debug_token(meta: Meta) -> Seen:
    """Whether `debug_token` tells in a batch when the token ends."""
    meta.spend(1)
    try:
        life = tokens.inspection(meta.config)
    except tokens.Refused as refusal:
        return Seen(holds=False, told=f"it was refused ({code_of(refusal)})", words=str(refusal))
    end = life.get("expires_at")
    if not isinstance(end, int):
        return Seen(holds=False, told="the answer does not say when the token ends")
    return Seen(holds=True, told=f"the token ends in {(at(end) - now()).days} days" if end else "the token has no end")


def exchange(meta: Meta) -> Seen:
    """Whether Meta reads a form that asks for a token that lives longer: it has to find fault with the token."""
    if not meta.config.get("client_secret") or (meta.login == "facebook" and not meta.config.get("client_id")):
        raise Untried("It takes client_id and client_secret, which the configuration does not have.")
    return of_made_up(meta, tokens.exchanged)


def refresh(meta: Meta) -> Seen:
    """Whether a call that extends a token reads it in a header."""
    return of_made_up(meta, tokens.refreshed)


def code(meta: Meta) -> Seen:
    """Where the answer to the code of the dialog has its token, which is not kept."""
    if not (meta.code and meta.config.get("client_id") and meta.config.get("client_secret")):
        raise Untried("It takes client_id and client_secret, and a fresh code of the dialog: see --code.")
    meta.spend(1)
    try:
        answer = tokens.redeemed(meta.config, meta.code, meta.redirect_uri)
    except tokens.Refused as refusal:
        raise Untried(f"Meta did not take the code ({code_of(refusal)}).") from None
    if isinstance(answer, dict) and "access_token" in answer:
        return Seen(holds=True, told="the token stands at the top of the answer")
    rows = answer.get("data") if isinstance(answer, dict) else None
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and "access_token" in rows[0]:
        return Seen(holds=False, told="the token stands in data[]")
    raise Untried("Meta did not take the code.")


def of_made_up(meta: Meta, extend: Callable[[dict[str, Any]], Any]) -> Seen:
    """What Meta says of a token that is none. The one in use is not sent, so that it stays as it is."""
    meta.spend(1)
    try:
        extend({**meta.config, "access_token": MADE_UP})
    except tokens.Refused as refusal:
        is_read = refusal.code == 190  # noqa: PLR2004 - Meta's code
        told = "the made-up token was read, and refused" if is_read else f"it was not read ({code_of(refusal)})"
        return Seen(holds=is_read, told=told, words=str(refusal))
    return Seen(holds=False, told="a made-up token was accepted")


def code_of(refusal: tokens.Refused) -> str:
    """Meta's code of a refusal."""
    return f"code {refusal.code!s:.12}" if refusal.code is not None else "no answer in JSON"


# -- Days --------------------------------------------------------------------------------------------------------------


def since(meta: Meta) -> Seen:
    """Whether `since` and `until` cut the list of media by publish time, both seconds inclusive."""
    times = sorted({moment(each["timestamp"]) for each in meta.media})
    if len(times) < 4:  # noqa: PLR2004 - so that there is something on both sides
        raise Untried("The account has too few media.")
    first, last = times[len(times) // 3], times[2 * len(times) // 3]
    bounds = {"since": unix(first), "until": unix(last)}
    answer = meta.get(f"{meta.path}/media", fields="id,timestamp", limit="50", **bounds)
    need(answer, "list its media between two days")
    wanted = {each["id"] for each in meta.media if first <= moment(each["timestamp"]) <= last}
    came = {each["id"] for each in answer.items}
    told = f"of {len(wanted)} media in a window {len(wanted & came)} came, and {len(came - wanted)} from outside"
    return Seen(holds=wanted == came, told=told)


def window(first: date, end: date) -> dict[str, str]:
    """A window of days, from one midnight to another in UTC."""
    since, until = (datetime(day.year, day.month, day.day, tzinfo=timezone.utc) for day in (first, end))
    return {"since": unix(since), "until": unix(until)}


def ago(first: int, last: int) -> dict[str, str]:
    """The same, by days before today."""
    return window(now().date() - first * DAY, now().date() - last * DAY)


def edges(meta: Meta) -> Seen:
    """Whether windows between midnights in UTC hold one label a day, series and totals alike."""
    params = {"metric": "reach", "period": "day"}
    series = meta.get(f"{meta.path}/insights", metric_type="time_series", **params, **ago(5, 2))
    need(series, "read its insights")
    found = {
        rfc3339(moment(value["end_time"])): value.get("value") for item in series.items for value in item["values"]
    }
    if not found:
        raise Untried("The account has no insights of the last days.")
    expected = [label_in(ago(day, 0)["since"]) for day in (5, 4, 3)]
    total = meta.get(f"{meta.path}/insights", metric_type="total_value", **params, **ago(4, 3))
    sums = [(item.get("total_value") or {}).get("value") for item in total.items]
    same = sums == [found.get(expected[1])]
    told = f"three days brought {len(found)} labels, {len(found.keys() & set(expected))} of them as expected; "
    return Seen(
        holds=[*found] == expected and same, told=told + f"a day's total {'equals' if same else 'is not'} its series"
    )


def label(meta: Meta) -> Seen:
    """Which day a label names, by comments: each has its time, and Meta counts them by days."""
    if meta.commented.verdict:
        raise Untried(f"Comments do not come with the media ({meta.commented.code}), so they cannot be counted.")
    days = settled(meta.commented.items)
    labels = sorted({each for day, _ in days.most_common(MOST_DAYS) for each in (day, day + DAY)})
    asked = {"metric": "comments", "period": "day", "metric_type": "total_value"}
    totals = meta.each(*((f"{meta.path}/insights", {**asked, **window(day, day + DAY)}) for day in labels))
    ended = begun = counted = 0
    for day, total in zip(labels, totals, strict=True):
        number = sum((item.get("total_value") or {}).get("value") or 0 for item in total.items)
        counted += number
        ended += min(number, days[day - DAY])
        begun += min(number, days[day])
    told = (
        f"of {counted} comments of {len(labels)} days, {ended} fit days that end there, {begun} days that begin there"
    )
    if abs(ended - begun) * 5 <= counted:
        raise Untried(f"The account's comments do not tell: {told}.")
    return Seen(holds=ended > begun, told=told)


def settled(posts: Iterable[Mapping[str, Any]]) -> Counter[date]:
    """The comments of days by California's calendar, which are settled and of which no list was cut."""
    days: Counter[date] = Counter()
    cut: set[date] = set()
    for post in posts:
        own = [day_of(each["timestamp"]) for each in within(post)]
        days.update(own)
        if len(listed_in(post.get("comments"))) >= COMMENTS:
            first, last = day_of(post["timestamp"]), max(own)
            cut |= {first + at * DAY for at in range((last - first).days + 1)}
    newest, oldest = now().date() - 4 * DAY, now().date() - 60 * DAY
    beside = {each + near for each in cut for near in (-DAY, 0 * DAY, DAY)}
    return Counter({day: count for day, count in days.items() if oldest < day < newest and day not in beside})


def day_of(text: str) -> date:
    """The day of a time in California."""
    return moment(text).astimezone(CALIFORNIA).date()


def within(post: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The comments that came with a medium, and their replies."""
    for name in NESTED:
        for each in listed_in(post.get(name)):
            yield each
            yield from within(each)


# -- Metrics, fields and lists within ----------------------------------------------------------------------------------


def all_or_nothing(meta: Meta) -> Seen:
    """Whether a metric that a medium does not have costs the whole call, and is named."""
    answer = meta.get(f"{meta.post('FEED', 'REELS')['id']}/insights", metric="reach,navigation")
    if answer.verdict is None:
        names = [str(item.get("name")) for item in answer.items]
        return Seen(holds=False, told=f"{'reach' if names == ['reach'] else len(names)} came, without a refusal")
    named = named_in(["reach", "navigation"], answer.words)
    told = f"refused as a whole ({answer.code}), naming {' and '.join(named) or 'neither'}"
    return Seen(holds=named == ["navigation"], told=told, words=answer.words)


def optional(meta: Meta) -> Seen:
    """Whether metrics that are only sometimes there may stand beside the others."""
    post = meta.post("FEED", "REELS")
    rows = [row for row in meta.tables["media_metrics"] if post["media_product_type"] in row["of"] and fits(meta, row)]
    main, rest = rows[0]["metrics"], [name for row in rows if row.get("optional") for name in row["metrics"]]
    answer = meta.get(f"{post['id']}/insights", metric=",".join([*main, *rest]))
    if answer.verdict is None:
        return Seen(holds=True, told=f"{len(main)} metrics and {len(rest)} optional ones were answered together")
    guilty = [name for name in answer.verdict.metrics if name in rest] or named_in(rest, answer.words)
    told = f"refused ({answer.code}), which is about {', '.join(guilty) or 'nothing that the connector can tell'}"
    return Seen(holds=bool(guilty), told=told, words=answer.words)


def nested_comments(meta: Meta) -> Seen:
    """Whether media come with their comments, and these with their replies."""
    answer = meta.commented
    if answer.verdict:
        return Seen(holds=False, told=f"the page was refused ({answer.code})", words=answer.words)
    counted = [post for post in answer.items if post.get("comments_count")]
    if not counted:
        raise Untried("None of the newest 25 media has comments.")
    came = [post for post in counted if (post.get("comments") or {}).get("data")]
    return Seen(holds=bool(came), told=f"{len(came)} of {len(counted)} media that have comments came with some")


def nested_insights(meta: Meta) -> Seen:
    """Whether media come with those of their numbers that all product types have."""
    mains = [
        row["metrics"] for row in meta.tables["media_metrics"] if not row.get("optional") and "breakdown" not in row
    ]
    common = [name for name in mains[0] if all(name in row for row in mains)]
    answer = meta.get(f"{meta.path}/media", fields=f"id,insights.metric({','.join(common)})", limit="10")
    if answer.verdict and answer.verdict.then == "before_conversion":
        return Seen(holds=True, told="the page was refused for a medium from before the conversion, as documented")
    if answer.verdict:
        return Seen(holds=False, told=f"the page was refused ({answer.code})", words=answer.words)
    if not answer.items:
        raise Untried("The account has no media.")
    whole = [post for post in answer.items if len(listed_in(post.get("insights"))) == len(common)]
    told = f"{len(whole)} of {len(answer.items)} media came with all {len(common)} numbers"
    return Seen(holds=bool(whole), told=told)


def fields(meta: Meta) -> Seen:
    """Whether Meta knows each field of media, profiles and stories."""
    unknown: list[str] = []
    for path, stream in ((f"{meta.path}/media", "media"), (meta.path, "users"), (f"{meta.path}/stories", "stories")):
        asked = meta.requester(stream).fields_parameter()
        answer = meta.get(path, fields=asked, limit="5")
        if answer.verdict:
            own = {name.lstrip(".") for name in names_in(asked)} & {*FIELD.findall(answer.words)}
            unknown += [f"{name} of {stream}" for name in own or {f"something ({answer.code})"}]
    told = f"not known: {', '.join(unknown)}" if unknown else "all fields of media, users and stories are known"
    return Seen(holds=not unknown, told=told)


def media_metrics(meta: Meta) -> Seen:
    """Whether media of each product type have the metrics that the tables name."""
    asked = [
        (product, f"{post['id']}/insights", row)
        for product in ("FEED", "REELS")
        for post in [each for each in meta.media if each.get("media_product_type") == product][:1]
        for row in meta.tables["media_metrics"]
        if product in row["of"] and not row.get("optional")
    ]
    stories = meta.get(f"{meta.path}/stories", fields="id", limit="1").items
    for each in stories[:1]:
        asked += [("STORY", f"{each['id']}/insights", row) for row in meta.tables["story_metrics"][:3]]
    if not asked:
        raise Untried("The account has neither media nor stories.")
    kinds = ", ".join(dict.fromkeys(product for product, *_ in asked))
    refused = refusals(meta, [(path, row, {}) for _, path, row in asked])
    return Seen(holds=not refused, told=f"refused: {', '.join(refused)}" if refused else f"all of {kinds} are known")


def account_metrics(meta: Meta) -> Seen:
    """Whether accounts have the metrics that the tables name, each in its period and by its breakdown."""
    names = ("daily_metrics", "total_metrics", "breakdown_metrics", "audience_metrics")
    rows = [row for name in names for row in meta.tables[name]]
    refused = refusals(meta, [(f"{meta.path}/insights", row, ago(3, 2) if "days" in row else {}) for row in rows])
    return Seen(holds=not refused, told=f"refused: {', '.join(refused)}" if refused else "all are known")


def polls(meta: Meta) -> Seen:
    """Whether a post tells its poll, or that it has none."""
    answer = meta.get(f"{meta.post('FEED', 'REELS')['id']}/{POLL}", fields=POLL_FIELDS)
    text = answer.reply.text.strip() if answer.reply else ""
    if text == "null" or (answer.verdict is None and is_poll(poll_in(answer.body))):
        return Seen(holds=True, told="there is a poll" if "option_a" in text else "there is no poll, which is no error")
    return Seen(holds=False, told=f"it was not answered ({answer.code})", words=answer.words)


def discovery(meta: Meta) -> Seen:
    """Whether somebody else's media come with their views."""
    names = meta.config.get("discover_usernames") or []
    if not names:
        raise Untried("It takes discover_usernames, which the configuration does not have.")
    asked = f"id,media.limit(5){{id,{VIEWS}}}"
    answer = meta.get(meta.account, fields=f"{DISCOVERY}.username({str(names[0]).lstrip('@')}){{{asked}}}")
    if answer.verdict and VIEWS not in answer.words:
        raise Untried(f"Meta does not show the first of discover_usernames ({answer.code}).")
    if answer.verdict:
        return Seen(holds=False, told=f"{VIEWS} was refused ({answer.code})", words=answer.words)
    media = listed_in((answer.body.get(DISCOVERY) or {}).get("media"))
    return Seen(holds=True, told=f"{len(media)} media came, {sum(VIEWS in each for each in media)} with {VIEWS}")


def refusals(meta: Meta, asked: list[tuple[str, Mapping[str, Any], dict[str, str]]]) -> list[str]:
    """The metrics of some rows that Meta does not know. What an object does not have is no refusal."""
    calls = []
    for path, row, bounds in asked:
        own = {name: row[name] for name in ("period", "metric_type", "breakdown", "timeframe") if name in row}
        own = {name: value if isinstance(value, str) else value[-1] for name, value in own.items()}
        calls.append((path, {"metric": ",".join(row["metrics"]), **own, **bounds}))
    refused = []
    for (_, row, _), answer in zip(asked, meta.each(*calls), strict=True):
        if answer.verdict and answer.verdict.then not in ("no_data", "before_conversion"):
            refused += named_in(row["metrics"], answer.words) or [f"a row with {row['metrics'][0]} ({answer.code})"]
    return list(dict.fromkeys(refused))


def fits(meta: Meta, row: Mapping[str, Any]) -> bool:
    """Whether this login has the metrics of a row."""
    return bool(row.get("login", meta.login) == meta.login)


# -- Limits ------------------------------------------------------------------------------------------------------------


def usage(meta: Meta) -> Seen:
    """By how much a batch and an expansion raise the percentages in the headers."""
    readings = [meta.used(meta.get(meta.path, fields="id"))]
    readings.append(highest(meta, meta.each(*[(meta.path, {"fields": "id"})] * BATCHED)))
    nested = "id,comments.limit(25){id,replies.limit(10){id}}"
    readings.append(highest(meta, [meta.get(f"{meta.path}/media", fields=nested, limit="10") for _ in range(EXPANDED)]))
    if any(reading is None for reading in readings):
        return Seen(holds=False, told="no header tells a percentage")
    first, second, third = (reading or 0.0 for reading in readings)
    by_call = max(second - first, 1) / BATCHED
    told = f"{first:g} %, {second:g} % after {BATCHED} calls at once, {third:g} % after {EXPANDED} pages with comments"
    return Seen(holds=third - second <= EXPANDED * by_call + 1, told=told)


def highest(meta: Meta, answers: Iterable[Answer]) -> float | None:
    """The highest percentage that some answers tell."""
    return max((used for answer in answers if (used := meta.used(answer)) is not None), default=None)


# -- All of them -------------------------------------------------------------------------------------------------------

RULES = (
    Rule(
        "header", "Is a token in the Authorization header enough?", "calls without any other token are answered",
        "Nothing can be read: `check` and each sync end with a sentence that repeats Meta's.", "answers", header,
    ),
    Rule(
        "version", f"Is {VERSION} still served?", f"answers name {VERSION} as their version",
        "Meta answers by the oldest version that lives, and the connector goes on with that.", "", version,
    ),
    Rule(
        "by id", "Does an account answer by its id?", "its media are listed by its id",
        "The connector asks for `me` instead, which is the same account.", "accounts", by_id, ("instagram",),
    ),
    Rule(
        "batch", "Does a batch take insights, each item for itself?", "a wrong item is refused, others are answered",
        "Each call goes by itself, which takes longer.", "transport", batch, ("facebook",),
    ),
    Rule(
        "debug_token", "Does debug_token answer in a batch?", "it tells when the token ends",
        "A warning says that the end of the token is not known. It is not extended, and works until then.",
        "tokens", debug_token, ("facebook",),
    ),
    Rule(
        "exchange", "Is a token exchanged by POST?", "a made-up token in the form is read, and refused (code 190)",
        "A warning says so, and the old token works until it ends.", "tokens", exchange,
    ),
    Rule(
        "refresh", "Is a token in a header refreshed?", "a made-up token in the header is read, and refused (code 190)",
        "A warning says so, and the old token works until it ends.", "tokens", refresh, ("instagram",),
    ),
    Rule(
        "code", "Where does Instagram Login put the token of a code?", "at the top of the answer",
        "The Authenticate button finds no token: enter one that the App Dashboard made.", "manifest.yaml", code,
        ("instagram",),
    ),
    Rule(
        "since", "Do since and until cut the list of media?", "what was published in the window comes alone",
        "Media from outside the window are read again, as in a full sync: more calls, the same records.",
        "retrievers", since,
    ),
    Rule(
        "edges", "Does a window between midnights in UTC hold one label a day?",
        "three days bring three labels, and the total of one day equals its series",
        "Series go by their labels, whatever the window. Totals have none: they would be of other days than they say.",
        "records", edges,
    ),
    Rule(
        "label", "Which day does a label name?", "the day that ends at it",
        "The label is kept as Meta gives it, in `date`: who names days by it shifts them by one.", "records", label,
    ),
    Rule(
        "all or nothing", "Does one wrong metric cost its call?", "the call is refused, naming that metric",
        "What comes is taken, what is missing is null; of a refusal without names, the halves are asked.",
        "refusals", all_or_nothing,
    ),
    Rule(
        "optional metrics", "May metrics that are only sometimes there stand beside the others?",
        "all are answered, or the refusal tells which are meant", "They are asked in calls of their own.", "riders",
        optional,
    ),
    Rule(
        "nested comments", "Do media come with their comments and replies?", "those that have comments come with some",
        "The comments of each medium are asked by themselves.", "expansion", nested_comments,
    ),
    Rule(
        "nested insights", "Do media come with their numbers?", "a page of media has all that were asked for",
        "The numbers of each medium are asked by themselves.", "expansion", nested_insights,
    ),
    Rule(
        "fields", "Does Meta know all fields?", "those of media, users and stories are accepted",
        "One that is refused is left out, and is null.", "capabilities", fields,
    ),
    Rule(
        "media metrics", "Do media have all metrics?", "those of each product type are accepted",
        "One that is refused is left out, and is null.", "capabilities", media_metrics,
    ),
    Rule(
        "account metrics", "Do accounts have all metrics?", "those of each period and breakdown are accepted",
        "One that is refused is left out, and is null.", "capabilities", account_metrics,
    ),
    Rule(
        "polls", "Does a post tell its poll?", "there is one, or null", "The columns of polls are null.",
        "losses", polls, ("facebook",),
    ),
    Rule(
        "discovery", f"Do media of others come with {VIEWS}?", "the field is accepted", "It is left out, and is null.",
        "capabilities", discovery, ("facebook",),
    ),
    Rule(
        "usage", "What do a batch and an expansion cost?", "headers tell, and an expansion costs no more than a call",
        "Without a header the connector goes on until Meta throttles, and waits then; dearer calls are spaced sooner.",
        "rate_limiter", usage,
    ),
)  # fmt: skip
