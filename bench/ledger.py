"""What the sandbox was asked: requests and calls, by edge and by stream.

A request is one over HTTP; a batch is one request with up to 50 Graph calls, of any streams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox import World
from sandbox.nodes import Media

Entry = dict[str, Any]  # a line of the sandbox's log
LISTS = {"account/media": ("media", "media_insights"), "account/stories": ("stories", "story_insights")}
LIFETIME = ("city", "country", "age,gender")
EDGES = {
    "me": "accounts",
    "me/accounts": "accounts",
    "account": "users",
    "account/tags": "tags",
    "media/insights": "media_insights",
    "story/insights": "story_insights",
    "media/comments": "comments",
    "comment/replies": "comments",
    "comment": "comments",
    "media/poll_attachment": "media",
    "account/recently_searched_hashtags": "hashtags",
    "ig_hashtag_search": "hashtags",
    "hashtag/top_media": "hashtag_media",
    "hashtag/recent_media": "hashtag_media",
}
DISCOVERY = "account/business_discovery"


class Ledger:
    """Counts of requests and Graph calls."""

    def __init__(self, log: list[Entry], world: World) -> None:
        self.world = world
        self.requests: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.stream_requests: Counter[str] = Counter()  # in which a stream had calls: several streams share some
        self.stream_calls: Counter[str] = Counter()
        self.singly: list[str] = []  # requests for an album's children, which come in the list of media
        for entry in log:
            self._count(entry)

    def _count(self, entry: Entry) -> None:
        calls = list(_calls(entry))
        edges = [self.edge(path, params) for path, params in calls] or ["(refused batch)"]
        # A batch is one request: it counts where most of its calls go.
        self.requests[Counter(edges).most_common(1)[0][0]] += 1
        self.calls.update(edges)
        self.singly += [
            path
            for (path, _), edge in zip(calls, edges, strict=False)
            if edge.startswith("child") or "children" in edge
        ]
        streams = _of_streams(list(zip(edges, [params for _, params in calls], strict=False)))
        self.stream_requests.update(streams.keys())
        self.stream_calls.update(streams)

    def edge(self, path: str, params: dict[str, str]) -> str:
        """What a call is about: `/v25.0/17900…/insights` gives `media/insights`."""
        parts = [part for part in path.split("/") if part]
        if parts and parts[0][:1] == "v" and parts[0][1:2].isdigit():
            del parts[0]
        subject = parts[0] if parts else params.get("ids", "").split(",")[0]
        if params.get("fields", "").startswith("business_discovery."):
            return DISCOVERY
        return "/".join([self._kind(subject), *parts[1:]])

    def _kind(self, subject: str) -> str:
        node = self.world.find(subject)
        if isinstance(node, Media):
            return "child" if node.parent else "story" if node.product == "STORY" else "media"
        return node.kind if node else subject or "/"


def _calls(entry: Entry) -> Iterator[tuple[str, dict[str, str]]]:
    """The Graph calls of a request, as paths and parameters."""
    if "items" not in entry:
        yield entry["path"], entry["params"]
    for item in entry.get("items", ()):
        url = urlsplit("/" + item["relative_url"].lstrip("/"))
        yield unquote(url.path), dict(parse_qsl(url.query))


def _of_streams(calls: list[tuple[str, dict[str, str]]]) -> Counter[str]:
    """How many of the calls of a request are for which stream: for one, if all can be."""
    each = [_streams(edge, params) or ["(other)"] for edge, params in calls] or [["(other)"]]
    common = [stream for stream in each[0] if all(stream in streams for streams in each)]
    return Counter(common[0] if common else streams[0] for streams in each)


def _streams(edge: str, params: dict[str, str]) -> list[str]:
    """The streams that a call can be for, the likeliest first."""
    if edge in LISTS:
        fields = params.get("fields", "").split(",")
        own, insights = LISTS[edge]
        if "caption" in fields or "permalink" in fields:
            return [own]
        return ["comments" if "comments_count" in fields else insights]
    if edge == DISCOVERY:  # one call of a name may serve both
        return ["discovered_media" if "media." in params["fields"] else "discovered_users"]
    if edge == "account/insights":
        return _insight_streams(params)
    return [EDGES[edge]] if edge in EDGES else []


def _insight_streams(params: dict[str, str]) -> list[str]:
    """The same for an account's insights."""
    if "_demographics" in params.get("metric", ""):
        is_lifetime = params["metric"] == "follower_demographics" and params.get("breakdown") in LIFETIME
        return [*(["user_lifetime_insights"] if is_lifetime else []), "audience_demographics"]
    if params.get("metric_type") != "total_value":
        return ["user_insights"]
    return [*(["user_insights_breakdowns"] if "breakdown" in params else []), "user_total_insights"]
