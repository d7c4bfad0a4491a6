"""The rules of insights: which metric goes with which product, period, metric type, breakdown, timeframe and window.

https://developers.facebook.com/documentation/instagram-platform/reference/instagram-media/insights
https://developers.facebook.com/documentation/instagram-platform/api-reference/instagram-user/insights

The window rule was measured, not documented: a daily bucket is answered exactly when its label (Pacific midnight, in
UTC) lies in [since, until], both ends inclusive, for series and totals alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from sandbox import errors
from sandbox.errors import FACEBOOK
from sandbox.figures import DAY, UTC, label_time, labels, parse_moment, stamp
from sandbox.nodes import Account, Media
from sandbox.world import World


class Policies(Protocol):
    """What the faults of the hour change about metrics."""

    def retired(self, metric: str, product: str | None, account: str | None = None) -> str | None:
        """How Meta says that the metric has gone: "named", "unnamed", or None when it has not."""

    @property
    def is_lenient(self) -> bool:
        """Whether metrics that are refused are left out, where there are others."""

    @property
    def has_whole_days(self) -> bool:
        """Whether a window of days goes on to the end of its last."""


# -- media ----------------------------------------------------------------------------------------------------------

_ALL, _POSTS = ("FEED", "REELS", "STORY"), ("FEED", "REELS")
MEDIA_METRICS: dict[str, tuple[str, ...]] = {
    "impressions": _POSTS,
    "reach": _ALL,
    "replies": ("STORY",),
    "saved": _POSTS,
    "likes": _POSTS,
    "comments": _POSTS,
    "shares": _ALL,
    "total_interactions": _ALL,
    "follows": ("FEED", "STORY"),
    "profile_visits": ("FEED", "STORY"),
    "profile_activity": ("FEED", "STORY"),
    "navigation": ("STORY",),
    "ig_reels_video_view_total_time": ("REELS",),
    "ig_reels_avg_watch_time": ("REELS",),
    "views": _ALL,
    "reels_skip_rate": ("REELS",),
    "reposts": _ALL,
    "facebook_views": _ALL,
    "crossposted_views": ("REELS",),
    "content_views": (),
    "total_views": _ALL,
    "total_likes": _POSTS,
    "total_comments": _POSTS,
    "link_clicks": ("STORY",),
}
FACEBOOK_LOGIN_ONLY = {"total_views", "total_likes", "total_comments", "link_clicks"}
MEDIA_BREAKDOWNS = {"profile_activity": "action_type", "navigation": "story_navigation_action_type"}
BREAKDOWN_NAMES = ("follow_type", "surface_type", "action_type", "story_navigation_action_type")
# Impressions ended for media made from this day on.
VIEWS_REPLACED_IMPRESSIONS = datetime(2024, 7, 2, tzinfo=UTC)


def media_insights(world: World, policies: Policies, host: str, media: Media, params: dict[str, str]) -> dict[str, Any]:
    """Answer `/{media}/insights`: all metrics or none."""
    if media.parent:
        raise errors.carousel_child()
    if media.foreign:
        raise errors.no_permission()
    if media.product == "STORY" and not world.is_alive(media):
        raise errors.unknown_object(media.id)
    allowed = [name for name in MEDIA_METRICS if host == FACEBOOK or name not in FACEBOOK_LOGIN_ONLY]
    metrics = _listed(params, "metric", allowed)
    breakdowns = _optional(params, "breakdown", BREAKDOWN_NAMES)
    if params.get("period", "lifetime") not in ("lifetime", "day"):
        raise errors.wrong_period(params["period"], metrics[0])
    wrong = _refused(metrics, policies, media)
    if policies.is_lenient and len(wrong) < len(metrics):
        metrics, wrong = [name for name in metrics if name not in wrong], []
    if wrong:
        raise errors.metric_not_for_product(wrong, host)
    for metric in metrics if breakdowns else ():
        if [MEDIA_BREAKDOWNS.get(metric)] != breakdowns:
            raise errors.incompatible_breakdowns(",".join(breakdowns), metric)
    _check_media(media, metrics)
    # Only videos have total_views; for others the row is absent rather than zero.
    present = [name for name in metrics if name != "total_views" or media.is_video]
    return {"data": [_media_row(world, media, name, by_action=bool(breakdowns)) for name in present]}


def _check_media(media: Media, metrics: list[str]) -> None:
    """Refuse what this very media has no numbers for, though its kind would."""
    if "impressions" in metrics and media.published >= VIEWS_REPLACED_IMPRESSIONS:
        raise errors.impressions_retired()
    if media.before_conversion:
        raise errors.before_conversion()
    if media.few_viewers:
        raise errors.not_enough_viewers()
    if "total_views" in metrics and media.product == "STORY":
        raise errors.story_without_total_views()
    if not media.on_facebook and {"facebook_views", "crossposted_views"} & set(metrics):
        raise errors.not_on_facebook()


def _refused(metrics: list[str], policies: Policies, media: Media) -> list[str]:
    wrong = [name for name in metrics if media.product not in MEDIA_METRICS[name]]
    for name in metrics:
        how = policies.retired(name, media.product, media.account.id)
        if how == "unnamed":
            raise errors.invalid_parameter()
        if how and name not in wrong:
            wrong.append(name)
    return wrong


def _media_row(world: World, media: Media, metric: str, *, by_action: bool) -> dict[str, Any]:
    value = world.media_metric(media, metric)
    row = _head(media.id, metric, "lifetime")
    if not by_action:
        return row | {"values": [{"value": value}]}
    results = [{"dimension_values": [name], "value": n} for name, n in world.media_cells(media, metric).items()]
    breakdown: dict[str, Any] = {"dimension_keys": [MEDIA_BREAKDOWNS[metric]]}
    if results:
        breakdown["results"] = results
    if metric == "profile_activity":  # recorded: this one has both
        row["values"] = [{"value": value}]
    return row | {"total_value": {"value": value, "breakdowns": [breakdown]}}


# -- accounts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """What an account metric can be asked for."""

    periods: tuple[str, ...] = ("day",)
    series: bool = False
    total: bool = True
    breakdowns: tuple[frozenset[str], ...] = ()


def _sets(*names: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(name.split(",")) for name in names)


_PRODUCT = _sets("media_product_type")
_PRODUCT_AND_FOLLOW = _sets("media_product_type", "follow_type", "follow_type,media_product_type")
_AUDIENCE = Metric(("lifetime",), breakdowns=_sets("age", "gender", "city", "country", "age,gender"))
USER_METRICS: dict[str, Metric] = {
    "reach": Metric(("day", "week", "days_28"), series=True, breakdowns=_PRODUCT_AND_FOLLOW),
    "follower_count": Metric(series=True, total=False),
    "website_clicks": Metric(),
    "profile_views": Metric(),
    "online_followers": Metric(("lifetime",), series=True, total=False),
    "accounts_engaged": Metric(),
    "total_interactions": Metric(breakdowns=_PRODUCT),
    "likes": Metric(breakdowns=_PRODUCT),
    "comments": Metric(breakdowns=_PRODUCT),
    "shares": Metric(breakdowns=_PRODUCT),
    "saves": Metric(breakdowns=_PRODUCT),
    "replies": Metric(),
    "engaged_audience_demographics": _AUDIENCE,
    "reached_audience_demographics": _AUDIENCE,
    "follower_demographics": _AUDIENCE,
    "follows_and_unfollows": Metric(breakdowns=_sets("follow_type")),
    "profile_links_taps": Metric(breakdowns=_sets("contact_button_type")),
    "views": Metric(breakdowns=_PRODUCT_AND_FOLLOW),
    "reposts": Metric(),
}
# Meta lists these as legal names too; nobody knows what they answer, so nothing comes back for them.
UNEXPLAINED = (
    "threads_likes", "threads_replies", "quotes", "threads_followers", "threads_follower_demographics",
    "content_views", "threads_views", "threads_clicks", "threads_reposts",
)  # fmt: skip
PERIODS = ("day", "week", "days_28", "month", "lifetime", "total_over_range")
METRIC_TYPES = ("default", "time_series", "total_value")
USER_BREAKDOWNS = ("age", "city", "contact_button_type", "country", "follow_type", "gender", "media_product_type")
TIMEFRAMES = ("last_14_days", "last_30_days", "last_90_days", "prev_month", "this_month", "this_week")
LIVING_TIMEFRAMES = ("this_month", "this_week")

MAX_SPAN = timedelta(seconds=2_592_000)
HISTORY = timedelta(days=730)
RECENT = timedelta(days=30)


@dataclass(frozen=True)
class Window:
    """The time that a call asks about, and the links to the windows beside it."""

    since: datetime
    until: datetime
    step: timedelta

    @property
    def beside(self) -> dict[str, tuple[int, int]]:
        """Ready-made neighbours, which Meta offers without end."""
        since, until, step = int(self.since.timestamp()), int(self.until.timestamp()), int(self.step.total_seconds())
        return {"previous": (since - 1 - step, since - 1), "next": (until + 1, until + 1 + step)}


def window(params: dict[str, str], now: datetime, host: str) -> Window:
    """Read since and until as Meta does: unix seconds or dates, the last 48 hours by default, 30 days at most."""
    given_since, given_until = (read_time(params.get(name), name) for name in ("since", "until"))
    until = given_until or now
    since = given_since or until - 2 * DAY
    if since > now or now - since >= HISTORY:
        raise errors.since_out_of_range()
    if since > until:
        raise errors.since_after_until()
    if until - since > MAX_SPAN and host == FACEBOOK:
        raise errors.span_too_long()
    return Window(since, until, max(until - since, DAY))


def read_time(text: str | None, name: str) -> datetime | None:
    """A moment as a parameter spells it; a bare date is midnight UTC."""
    if not text:
        return None
    try:
        if text.lstrip("-").isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        return parse_moment(text)
    except (ValueError, OverflowError, OSError):
        raise errors.bad_parameter(name, "a valid timestamp or date") from None


def user_insights(
    world: World, policies: Policies, host: str, account: Account, params: dict[str, str]
) -> tuple[dict[str, Any], Window | None]:
    """Answer `/{account}/insights`; the window comes along so that the caller can write the paging links."""
    metrics = _listed(params, "metric", [*USER_METRICS, *UNEXPLAINED])
    if "period" not in params:
        raise errors.required("period")
    period = _one(params, "period", PERIODS)
    metric_type = _one(params, "metric_type", METRIC_TYPES, "default")
    breakdowns = _optional(params, "breakdown", USER_BREAKDOWNS)
    _check_retired(metrics, policies, account)
    metrics = [name for name in metrics if name not in UNEXPLAINED]
    metrics = _check_types(metrics, metric_type, period, host)
    is_total = metric_type == "total_value"
    if is_total and any(breakdowns and frozenset(breakdowns) not in USER_METRICS[name].breakdowns for name in metrics):
        raise errors.unknown_error()
    if any(USER_METRICS[name] is _AUDIENCE for name in metrics):
        timeframe = _one(params, "timeframe", TIMEFRAMES, "")
        audience = [_audience_row(world, account, name, breakdowns, timeframe) for name in metrics]
        return {"data": [row for row in audience if row]}, None
    span = window(params, world.now(), host)
    if "follower_count" in metrics and world.now() - span.since > RECENT:
        raise errors.follower_count_too_old()
    until = parse_moment(f"{span.until:%Y-%m-%d}") + DAY if policies.has_whole_days else span.until
    days = [day for day in labels(span.since, min(until, world.now())) if world.has_insights(account, day)]
    rows = [
        (
            _total_row(world, account, name, breakdowns, days)
            if is_total
            else _series_row(world, account, name, period, days)
        )
        for name in (metrics if days else ())
    ]
    return {"data": [row for row in rows if row]}, span


def _check_retired(metrics: list[str], policies: Policies, account: Account) -> None:
    for at, name in enumerate(metrics):
        how = policies.retired(name, None, account.id)
        if how == "unnamed":
            raise errors.invalid_parameter()
        if how:
            raise errors.bad_value(f"metric[{at}]", (metric for metric in USER_METRICS if metric != name))


def _check_types(metrics: list[str], metric_type: str, period: str, host: str) -> list[str]:
    """Which metrics answer with this period and metric type; most exist as one total per window only."""
    for name in metrics:
        if period not in USER_METRICS[name].periods:
            raise errors.wrong_period(period, name)
    if metric_type == "total_value":
        for name in metrics:
            if not USER_METRICS[name].total or period in ("week", "days_28"):
                raise errors.wrong_metric_type(name, metric_type)
        return metrics
    totals = [name for name in metrics if not USER_METRICS[name].series]
    if totals and metric_type == "time_series":
        raise errors.wrong_metric_type(totals[0], metric_type)
    if totals and host == FACEBOOK:
        raise errors.needs_total_value(totals)
    return [name for name in metrics if name not in totals]  # measured: graph.instagram.com just leaves them out


def _series_row(world: World, account: Account, metric: str, period: str, days: list[date]) -> dict[str, Any] | None:
    if metric != "reach" and account.is_small:
        return None  # follower_count and online_followers do not exist under 100 followers
    if metric == "online_followers":
        days = [day for day in days if world.now() - label_time(day) <= RECENT]
    if not days:
        return None

    def value(day: date) -> Any:
        if metric == "online_followers":
            return world.online_followers(account, day)
        return world.daily(account, metric if period == "day" else f"{metric}_{period}", day)

    values = [{"value": value(day), "end_time": stamp(label_time(day))} for day in days]
    head = _head(account.id, metric, period)
    return {"name": head["name"], "period": period, "values": values, **head}


def _total_row(world: World, account: Account, metric: str, breakdowns: list[str], days: list[date]) -> dict[str, Any]:
    row = _head(account.id, metric, "day")
    total: dict[str, Any] = {}
    if metric != "follows_and_unfollows":  # which has a value per follow_type only
        total["value"] = world.total(account, metric, days)
    elif not breakdowns:
        return row
    if breakdowns:
        no_results = metric == "follows_and_unfollows" and account.is_small
        cells = {} if no_results else world.cells(account, metric, tuple(breakdowns), days)
        total["breakdowns"] = [_breakdown(breakdowns, cells)]
    return row | {"total_value": total}


def _audience_row(
    world: World, account: Account, metric: str, breakdowns: list[str], timeframe: str
) -> dict[str, Any] | None:
    if metric != "follower_demographics" and timeframe not in LIVING_TIMEFRAMES:
        if not timeframe:
            raise errors.required("timeframe")
        raise errors.bad_value("timeframe", LIVING_TIMEFRAMES)
    if account.is_small:
        if metric == "engaged_audience_demographics":
            raise errors.not_enough_users()
        return None
    row = _head(account.id, metric, "lifetime")
    if not breakdowns:
        return row | {"total_value": {}}
    # Followers are as they are now: a timeframe changes how their rows are keyed, not what they count.
    frame = "" if metric == "follower_demographics" else timeframe
    cells = world.demographics(account, metric, tuple(breakdowns), frame)
    if timeframe:
        cells = {(timeframe.upper(), *key): value for key, value in cells.items()}
    keys = ["timeframe", *breakdowns] if timeframe else breakdowns
    return row | {"total_value": {"breakdowns": [_breakdown(keys, cells)]}}


def _breakdown(keys: list[str], cells: dict[tuple[str, ...], int]) -> dict[str, Any]:
    results = [{"dimension_values": list(key), "value": value} for key, value in cells.items()]
    # With nothing to tell, Meta leaves `results` out.
    return {"dimension_keys": keys, "results": results} if results else {"dimension_keys": keys}


# -- shared ---------------------------------------------------------------------------------------------------------


def _head(node_id: str, metric: str, period: str) -> dict[str, Any]:
    title = metric.replace("_", " ").capitalize()
    return {
        "name": metric,
        "period": period,
        "title": title,
        "description": f"{title}, as the sandbox counts it.",
        "id": f"{node_id}/insights/{metric}/{period}",
    }


def _listed(params: dict[str, str], name: str, allowed: list[str]) -> list[str]:
    values = [value.strip() for value in params.get(name, "").split(",") if value.strip()]
    if not values:
        raise errors.required(name)
    for at, value in enumerate(values):
        if value not in allowed:
            raise errors.bad_value(f"{name}[{at}]", allowed)
    return list(dict.fromkeys(values))


def _optional(params: dict[str, str], name: str, allowed: tuple[str, ...]) -> list[str]:
    return _listed(params, name, list(allowed)) if params.get(name) else []


def _one(params: dict[str, str], name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    value = params.get(name) or default
    if value is None or (value != default and value not in allowed):
        raise errors.bad_value(name, allowed)
    return value
