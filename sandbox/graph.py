"""One Graph call: from path and parameters to the JSON that Meta would answer. No sockets here.

https://developers.facebook.com/docs/graph-api/overview
https://developers.facebook.com/docs/graph-api/results (paging)
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sandbox import errors, insights
from sandbox.auth import Token, Tokens
from sandbox.errors import FACEBOOK, INSTAGRAM
from sandbox.faults import Asked, Faults
from sandbox.fields import DEFAULTS, EDGES, EDGES_ELSEWHERE, FIELDS, IGNORED, POLL, PUBLIC_MEDIA, Field, parse, write
from sandbox.nodes import Account, Comment, Discovered, Hashtag, Media, Node, Page
from sandbox.public import Searches
from sandbox.world import REQUEST_ID, World

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
_VERSION = re.compile(r"^v\d+\.\d+$")
# Which permission an edge of an account or media needs, beyond instagram_basic.
_EDGE_SCOPES = {"insights": "instagram_manage_insights", "tags": "instagram_manage_comments"}
# Whose default fields an edge has, where its items are not media.
_EDGE_KINDS = {
    "comments": "comment",
    "replies": "comment",
    "businesses": "business",
    "owned_pages": "page",
    "recently_searched_hashtags": "hashtag",
}
_MOST = {"comments": 50, "top_media": 50, "recent_media": 50, "recently_searched_hashtags": 30}
_OF_HASHTAGS = ("top_media", "recent_media")
_DISCOVERY = ("instagram_basic", "instagram_manage_insights", "pages_read_engagement")
_ID = Field("id")
# How many rows a nested list costs that nobody sized.
_NESTED_ROWS = {"children": 10, "comments": 50, "replies": 25, "insights": 1, "business_discovery": 1, "media": 25}
_OLDEST_VERSION, _NEWEST_VERSION = 21, 27
# Ended on every version on 27 October 2026, with the header If-None-Match.
_ENDED = ("ids", "pretty", "debug", "date_format")


@dataclass
class Call:
    """A Graph call after its HTTP clothing has come off."""

    method: str
    host: str
    path: str
    params: dict[str, str]
    token_text: str | None
    trace: str
    conditional: bool = False
    token: Token = field(init=False)

    def __post_init__(self) -> None:
        parts = [part for part in self.path.split("/") if part]
        self.version = parts.pop(0) if parts and _VERSION.match(parts[0]) else f"v{_OLDEST_VERSION}.0"
        self.parts = parts

    @property
    def target(self) -> str:
        """What faults match on: path and query."""
        query = "&".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.path}?{query}" if query else self.path

    @property
    def is_me(self) -> bool:
        return self.parts[:1] == ["me"]

    @property
    def served_version(self) -> str:
        """Dead versions are served by the oldest one alive; no error tells."""
        major = int(self.version[1:].split(".")[0])
        return f"v{min(max(major, _OLDEST_VERSION), _NEWEST_VERSION)}.0"

    def check_version(self) -> None:
        """Refuse a version that does not exist yet; this needs no token."""
        if int(self.version[1:].split(".")[0]) > _NEWEST_VERSION:
            raise errors.unknown_path("/" + "/".join(self.parts))

    def check_features(self) -> None:
        """Refuse what has ended."""
        for name in (*_ENDED, *(["If-None-Match"] if self.conditional else [])):
            if name in self.params or name == "If-None-Match":
                raise errors.feature_ended(name)

    def link(self, path: str, params: dict[str, Any]) -> str:
        """A `next` or `previous` address; Meta's carry the token."""
        kept = {name: value for name, value in params.items() if name not in ("access_token", "appsecret_proof")}
        query = urlencode({"access_token": self.token_text or "", **kept})
        return f"https://{self.host}/{self.version}/{path}?{query}"


@dataclass
class Listing:
    """One page of an edge."""

    node: Node
    edge: str
    params: dict[str, str]
    wanted: tuple[Field, ...]
    items: list[Node]
    start: int
    end: int
    nested: bool

    @property
    def page(self) -> list[Node]:
        return self.items[self.start : self.end]

    @property
    def shown(self) -> list[Node]:
        """The page without what private accounts have on it: it may be short, or empty, and goes on all the same."""
        return [item for item in self.page if not (isinstance(item, Media) and item.hidden)]

    @property
    def is_last(self) -> bool:
        return self.end >= len(self.items)


class Graph:
    """The API over a world."""

    def __init__(self, world: World, tokens: Tokens, faults: Faults, *, wrap_me: bool = False) -> None:
        self.world = world
        self.tokens = tokens
        self.faults = faults
        self.wrap_me = wrap_me
        self.searches = Searches(world)

    def account_id(self, node_id: str, token_text: str | None) -> str | None:
        """The account that a call is about, as far as its path tells."""
        if node_id == "me":
            token = self.tokens.known.get(token_text or "")
            return token.account.id if token and token.account else None
        account = self.world.account_of(self.world.find(node_id))
        return account.id if account else None

    def _asked(self, call: Call) -> Asked:
        """A call as lasting changes look at it."""
        return Asked(call.target, self.account_id(call.parts[0], call.token_text))

    def product(self, node_id: str) -> str | None:
        """The product type of the media that a call is about, as far as its path tells."""
        node = self.world.find(node_id)
        return node.product if isinstance(node, Media) else None

    def answer(self, call: Call) -> Any:
        """Answer a call or raise the GraphError that Meta would send."""
        call.check_version()
        special = self.tokens.answer(call.host, "/".join(call.parts), call.params, call.token_text)
        if special is not None:
            return special
        call.token = self.tokens.check(call.host, call.params, call.token_text)
        call.check_features()
        if call.method != "GET":
            raise errors.unknown_object(call.parts[0] if call.parts else "", call.method.lower())
        if not call.parts:
            raise errors.unsupported("get")
        found = self._one(call, call.parts[0], call.parts[1:])
        is_wrapped = self.wrap_me and call.host == INSTAGRAM and call.parts == ["me"]
        return {"data": [found]} if is_wrapped else found

    def _one(self, call: Call, node_id: str, edge: list[str]) -> Any:
        """A node, or one of its edges."""
        if call.token.only_me and isinstance(self.world.find(node_id), Account):
            raise errors.unknown_path("/" + "/".join(edge)) if edge else errors.unknown_object(node_id)
        wanted = parse(call.params["fields"]) if call.params.get("fields") else None
        if node_id == "ig_hashtag_search" and not edge and call.host == FACEBOOK:
            return self._search(call, wanted or DEFAULTS["hashtag"])
        node = self._node(call, node_id)
        if not edge:
            self.faults.check_cost(self._asked(call), page_cost(wanted or ()))
            return self._render(call, node, wanted or DEFAULTS[node.kind])
        if len(edge) > 1:
            raise errors.unknown_path("/" + "/".join(edge))
        if edge[0] not in EDGES[call.host][node.kind]:
            if edge[0] in EDGES_ELSEWHERE and call.host == FACEBOOK:
                raise errors.nonexisting_field(edge[0])
            raise errors.unknown_path(f"/{edge[0]}")
        if edge[0] == "poll_attachment" and isinstance(node, Media):
            return self._poll(node, wanted or DEFAULTS[edge[0]])
        return self._edge(call, node, edge[0], call.params, wanted)

    # -- what others publish ------------------------------------------------------------------------------------------

    def _search(self, call: Call, wanted: tuple[Field, ...]) -> dict[str, Any]:
        """The one hashtag that goes by a name."""
        account = self._searcher(call)
        if not call.params.get("q"):
            raise errors.required("q")
        tag = self.world.hashtag(call.params["q"])
        if tag is None:
            raise errors.no_hashtag()
        self.searches.use(account, tag)
        return {"data": [self._render(call, tag, wanted)]}

    def _searcher(self, call: Call) -> Account:
        """The account that asks for hashtags."""
        if "user_id" not in call.params:
            raise errors.required("user_id")
        account = self._node(call, call.params["user_id"])
        if not isinstance(account, Account):
            raise errors.unknown_object(call.params["user_id"])
        if self.world.options.no_public_content:
            raise errors.no_public_content()
        return account

    def _discovered(self, call: Call, asking: Account, item: Field) -> dict[str, Any]:
        """The profile of somebody else, by name."""
        for permission in _DISCOVERY:
            self._need(call, asking, permission)
        rival = self.world.rival(dict(item.arguments).get("username", ""))
        if rival is None:
            raise errors.not_discovered()
        return self._render(call, rival, item.fields or DEFAULTS["rival"])

    def _poll(self, media: Media, wanted: tuple[Field, ...]) -> dict[str, Any] | None:
        """The poll under a post; null where there is none. Stories have none, and are refused."""
        if media.product == "STORY":
            raise errors.no_poll_of_story()
        about = Asked("", media.account.id, media.product, node=media.id)
        for item in wanted:
            self.faults.check_field(item.name, about)
            if item.name not in POLL:
                raise errors.nonexisting_field(item.name)
        poll = media.poll and {"id": media.id, **media.poll}
        return poll and {item.name: poll[item.name] for item in (*wanted, _ID) if item.name in poll}

    def _hashtag_items(self, call: Call, node: Hashtag | Account, name: str) -> list[Node]:
        """Posts of a hashtag, or the hashtags that an account has searched lately."""
        if isinstance(node, Hashtag):
            self.searches.use(self._searcher(call), node)
            return [*(node.top if name == "top_media" else self.world.recent(node))]
        if self.world.options.no_public_content:
            raise errors.no_public_content()
        return [*self.searches.recent(node)]

    # -- nodes and permissions ------------------------------------------------------------------------------------

    def _node(self, call: Call, node_id: str) -> Node:
        """The node that this token may see by that id."""
        token = call.token
        if node_id == "me":
            return (token.account if call.host == INSTAGRAM else token.page) or self.world.user
        node = self.world.find(node_id)
        if node is None or node.kind not in FIELDS[call.host] or self._is_out_of_sight(node):
            raise errors.unknown_object(node_id)
        if isinstance(node, Page) and not self.tokens.may(token, "pages_read_engagement"):
            raise errors.page_permission()
        account = self.world.account_of(node)
        if account and not isinstance(node, Page):
            if token.account not in (None, account) or (token.page and token.page.account is not account):
                raise errors.unknown_object(node_id)
            self._need(call, account, "instagram_basic")
        return node

    def _is_out_of_sight(self, node: Node) -> bool:
        """Others' posts, stories that have ended, posts that are still to come."""
        media = node.media if isinstance(node, Comment) else node
        if not isinstance(media, Media):
            return False
        has_ended = media.product == "STORY" and not self.world.is_alive(media)
        return media.foreign or has_ended or media.published > self.world.now()

    def _may(self, call: Call, account: Account | None, permission: str) -> bool:
        return self.tokens.may(call.token, permission) and not self._is_forbidden(account, permission)

    def _need(self, call: Call, account: Account | None, permission: str) -> None:
        if not self._may(call, account, permission):
            raise errors.no_permission(403 if self._is_forbidden(account, permission) else 400)

    def _is_forbidden(self, account: Account | None, permission: str) -> bool:
        return account is not None and self.faults.forbids(account.id, permission)

    # -- fields ---------------------------------------------------------------------------------------------------

    def _render(self, call: Call, node: Node, wanted: tuple[Field, ...]) -> dict[str, Any]:
        """The fields of a node. Unknown names are refused only here: an empty list never notices them."""
        legal, edges = FIELDS[call.host][node.kind], EDGES[call.host][node.kind]
        account = self.world.account_of(node)
        product = node.product if isinstance(node, Media) else None
        about = Asked("", account.id if account else None, product, node=node.id)
        found: dict[str, Any] = {}
        for item in wanted:
            self.faults.check_field(item.name, about)
            if item.name in legal:
                value = self._value(call, node, item)
                if value is not None:
                    found[item.key] = value
            elif item.name == "business_discovery" and isinstance(node, Account) and call.host == FACEBOOK:
                found[item.key] = self._discovered(call, node, item)
            elif item.name in edges and item.name != "poll_attachment":
                nested = self._edge(call, node, item.name, dict(item.arguments), item.fields, nested=True)
                if nested["data"]:
                    found[item.key] = nested
            elif item.name not in IGNORED[call.host]:
                raise errors.nonexisting_field(item.name)
        if "id" not in found:
            found["id"] = self._value(call, node, _ID)
        return found

    def _value(self, call: Call, node: Node, item: Field) -> Any:
        if isinstance(node, Media):
            return self._media_value(call, node, item)
        if isinstance(node, Page):
            return self._page_value(call, node, item)
        if item.name == "shopping_product_tag_eligibility":
            raise errors.no_permission()
        value = node.values.get(item.name)
        if item.fields and isinstance(value, dict):
            return {sub.name: value[sub.name] for sub in item.fields if sub.name in value}
        if item.name == "id" and isinstance(node, Account) and call.host == INSTAGRAM and call.parts == ["me"]:
            return str(24_500_000_000_000_001 + node.index)  # an id scoped to the app; user_id is the account's
        return value

    def _media_value(self, call: Call, media: Media, item: Field) -> Any:
        name = item.name
        if name == "view_count" and not isinstance(media, Discovered):
            raise errors.view_count_of_own_media()
        if name == "copyright_check_information" and not media.is_video:
            raise errors.no_video_content()
        if media.parent and name == "like_count":
            raise errors.carousel_child()
        if media.foreign and name not in PUBLIC_MEDIA:
            return None
        if name == "owner":
            return self._render(call, media.account, item.fields or DEFAULTS["account"])
        value = media.values.get(name)
        # `_nc_rid` is new in every answer, which is why a client should not keep it.
        return value.replace(REQUEST_ID, call.trace) if name in ("media_url", "thumbnail_url") and value else value

    def _page_value(self, call: Call, page: Page, item: Field) -> Any:
        if item.name == "access_token":
            return self.tokens.of_page(page)
        if item.name in ("instagram_business_account", "connected_instagram_account"):
            if page.account is None or not self.tokens.may(call.token, "pages_read_engagement"):
                return None
            return self._render(call, page.account, item.fields or DEFAULTS["account"])
        return page.values.get(item.name)

    # -- edges ----------------------------------------------------------------------------------------------------

    def _edge(  # noqa: PLR0913 - a path or a nested field: both come as these five
        self,
        call: Call,
        node: Node,
        name: str,
        params: dict[str, str],
        wanted: tuple[Field, ...] | None,
        *,
        nested: bool = False,
    ) -> dict[str, Any]:
        if name in _EDGE_SCOPES:
            account, permission = self.world.account_of(node), _EDGE_SCOPES[name]
            if (
                name == "insights"
                and self.world.options.silent_permissions
                and not self._may(call, account, permission)
            ):
                return {"data": []}  # measured: no error tells
            self._need(call, account, permission)
        if name == "insights":
            return self._insights(call, node, params, nested=nested)
        if name == "permissions":
            return {"data": self.tokens.permissions(call.token)}
        if name == "content_publishing_limit":
            return {"data": [{"quota_usage": 0, "config": {"quota_total": 50, "quota_duration": 86_400}}]}
        items = self._items(call, node, name, params)
        limit = self._limit(call, name, params)
        if nested and name != "children" and node.kind != "rival":
            limit = min(limit, self.world.options.nested_max or limit)
        wanted = wanted or DEFAULTS.get(name) or DEFAULTS[_EDGE_KINDS.get(name, "media")]
        if not nested:
            self.faults.check_cost(self._asked(call), limit * page_cost(wanted))
        start, end = _slice(items, params, limit)
        listing = Listing(node, name, params, wanted, items, start, end, nested)
        answer: dict[str, Any] = {"data": [self._render(call, item, wanted) for item in listing.shown]}
        if paging := self._paging(call, listing) if listing.page else None:
            answer["paging"] = paging
        return answer

    def _items(self, call: Call, node: Node, name: str, params: dict[str, str]) -> list[Node]:
        """The nodes on an edge. A missing permission looks like no Pages or no comments; nothing else tells."""
        if isinstance(node, Media):
            may_comment = name == "comments" and self._may(call, node.account, "instagram_manage_comments")
            return [*self.world.comments(node)] if may_comment else [*node.children] if name == "children" else []
        if isinstance(node, Comment):
            may_comment = self._may(call, node.media.account, "instagram_manage_comments")
            return [*node.replies] if may_comment else []
        if isinstance(node, (Account, Hashtag)):
            return self._account_items(call, node, name, params)
        if name == "accounts" and self.tokens.may(call.token, "pages_show_list"):
            # Pages owned by a business portfolio are silently missing without business_management.
            everything = self.tokens.may(call.token, "business_management")
            return [page for page in self.world.pages if everything or not page.portfolio]
        if name == "owned_pages":
            return [page for page in self.world.pages if page.portfolio]
        return (
            [self.world.business] if name == "businesses" and self.tokens.may(call.token, "business_management") else []
        )

    def _account_items(self, call: Call, account: Account | Hashtag, name: str, params: dict[str, str]) -> list[Node]:
        """What is on an edge of an account, or of a hashtag."""
        if isinstance(account, Hashtag) or name == "recently_searched_hashtags":
            return self._hashtag_items(call, account, name)
        if name == "stories":
            return [*self.world.stories(account)]
        if name == "tags":
            return [*self.world.tagged(account)]
        if name != "media":
            return []  # live_media: nobody is live
        since, until = (insights.read_time(params.get(key), key) for key in ("since", "until"))
        return [
            media
            for media in self.world.media(account)
            if (since is None or media.published >= since) and (until is None or media.published <= until)
        ]

    def _limit(self, call: Call, name: str, params: dict[str, str]) -> int:
        most = {"comments": 50, "top_media": 50, "recent_media": 50, "recently_searched_hashtags": 30}.get(
            name, MAX_LIMIT
        )
        text = params.get("limit") or str(min(most, 50 if name == "comments" else DEFAULT_LIMIT))
        if not (text.isascii() and text.isdigit() and int(text)):
            raise errors.bad_parameter("limit", "an integer greater than zero")
        if "limit" in params:  # a nested list that nobody sized is not what makes a page too big
            self.faults.check_limit(self._asked(call), int(text))
        return min(int(text), most)

    def _paging(self, call: Call, listing: Listing) -> dict[str, Any] | None:
        is_cut = listing.nested and self.world.options.nested_max and listing.node.kind != "rival"
        if listing.edge == "children" or is_cut:
            return None
        cursors = {"before": _cursor(listing.page[0]), "after": _cursor(listing.page[-1])}
        if listing.node.kind == "rival":  # recorded: never a next
            return {"cursors": cursors if listing.start else {"after": cursors["after"]}}
        if listing.edge == "recently_searched_hashtags":  # recorded
            return {"cursors": cursors}
        if listing.edge == "tags":  # documented: cursors, but neither next nor previous
            return {"cursors": cursors}
        params: dict[str, Any] = {k: v for k, v in listing.params.items() if k not in ("after", "before")}
        if listing.nested:
            params["fields"] = write(listing.wanted)
        path = f"{'me' if call.is_me and not listing.nested else listing.node.id}/{listing.edge}"
        following = call.link(path, {**params, "after": cursors["after"]})
        if listing.edge in ("comments", "replies", *_OF_HASHTAGS):  # recorded: the last page has no paging key at all
            return None if listing.is_last else {"cursors": {"after": cursors["after"]}, "next": following}
        paging: dict[str, Any] = {"cursors": cursors}
        if not listing.is_last:
            paging["next"] = following
        if listing.start:
            paging["previous"] = call.link(path, {**params, "before": cursors["before"]})
        return paging

    def _insights(self, call: Call, node: Node, params: dict[str, str], *, nested: bool) -> dict[str, Any]:
        if isinstance(node, Media):
            return insights.media_insights(self.world, self.faults, call.host, node, params)
        if not isinstance(node, Account):
            raise errors.unknown_path("/insights")
        answer, span = insights.user_insights(self.world, self.faults, call.host, node, params)
        if span and not nested:
            answer["paging"] = {
                name: call.link(f"{node.id}/insights", {**params, "since": since, "until": until})
                for name, (since, until) in span.beside.items()
            }
        return answer


def page_cost(wanted: tuple[Field, ...]) -> int:
    """What one row of a page costs: itself, and the rows of its nested lists, which is what makes a page too much."""
    return 1 + sum(
        int(dict(item.arguments).get("limit") or _NESTED_ROWS[item.name]) * page_cost(item.fields or ())
        for item in wanted
        if item.name in _NESTED_ROWS
    )


def _slice(items: list[Node], params: dict[str, str], limit: int) -> tuple[int, int]:
    if params.get("after"):
        start = _position(items, params["after"]) + 1
        return start, min(start + limit, len(items))
    if params.get("before"):
        end = _position(items, params["before"])
        return max(end - limit, 0), end
    return 0, min(limit, len(items))


def _cursor(node: Node) -> str:
    return "QVFI" + base64.urlsafe_b64encode(f"sandbox:{node.id}".encode()).decode().rstrip("=")


def _position(items: list[Node], cursor: str) -> int:
    try:
        padded = cursor[4:] + "=" * (-len(cursor[4:]) % 4)
        node_id = base64.urlsafe_b64decode(padded).decode().removeprefix("sandbox:")
    except (binascii.Error, UnicodeError):
        raise errors.bad_cursor() from None
    for at, item in enumerate(items):
        if item.id == node_id:
            return at
    raise errors.bad_cursor()
