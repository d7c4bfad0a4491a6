"""One Graph call: from path and parameters to the JSON that Meta would answer. No sockets here.

https://developers.facebook.com/docs/graph-api/overview
https://developers.facebook.com/docs/graph-api/results (paging)
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from sandbox import errors, insights
from sandbox.auth import Token, Tokens
from sandbox.errors import FACEBOOK, INSTAGRAM
from sandbox.faults import Faults
from sandbox.fields import DEFAULTS, EDGES, EDGES_ELSEWHERE, FIELDS, IGNORED, PUBLIC_MEDIA, Field, parse, write
from sandbox.world import REQUEST_ID, Account, Comment, Media, Node, Page, World

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
MAX_IDS = 50
_VERSION = re.compile(r"^v\d+\.\d+$")
# Which permission an edge of an account or media needs, beyond instagram_basic.
_EDGE_SCOPES = {"insights": "instagram_manage_insights", "tags": "instagram_manage_comments"}
_OLDEST_VERSION, _NEWEST_VERSION = 21, 26


@dataclass
class Call:
    """A Graph call after its HTTP clothing has come off."""

    method: str
    host: str
    path: str
    params: dict[str, str]
    token_text: str | None
    trace: str
    wrap_me: bool = False
    token: Token | None = None

    def __post_init__(self) -> None:
        parts = [part for part in self.path.split("/") if part]
        self.version = parts.pop(0) if parts and _VERSION.match(parts[0]) else f"v{_OLDEST_VERSION}.0"
        self.parts = parts

    @property
    def target(self) -> str:
        """What faults match on: decoded path and query without secrets."""
        query = "&".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.path}?{query}" if query else self.path

    @property
    def served_version(self) -> str:
        """Dead versions are served by the oldest one alive; no error tells."""
        major = int(self.version[1:].split(".")[0])
        return f"v{min(max(major, _OLDEST_VERSION), _NEWEST_VERSION)}.0"

    def link(self, path: str, params: dict[str, Any]) -> str:
        """A `next` or `previous` address; Meta's carry the token."""
        query = urlencode({"access_token": self.token_text or "", **params})
        return f"https://{self.host}/{self.version}/{path}?{query}"


class Graph:
    """The API over a world."""

    def __init__(self, world: World, tokens: Tokens, faults: Faults) -> None:
        self.world = world
        self.tokens = tokens
        self.faults = faults

    def account_id(self, call: Call) -> str | None:
        """The account that a call is about, as far as its path tells."""
        if not call.parts:
            return None
        if call.parts[0] == "me":
            token = self.tokens.known.get(call.token_text or "")
            return token.account.id if token and token.account else None
        account = self.world.account_of(self.world.find(call.parts[0]))
        return account.id if account else None

    def answer(self, call: Call) -> Any:
        """Answer a call or raise the GraphError that Meta would send."""
        special = self.tokens.answer(call.host, "/".join(call.parts), call.params, call.token_text)
        if special is not None:
            return special
        call.token = self.tokens.check(call.host, call.params, call.token_text)
        if call.method != "GET":
            raise errors.unknown_object(call.parts[0] if call.parts else "", call.method.lower())
        if "ids" in call.params:
            return self._many(call)
        if not call.parts:
            raise errors.unknown_object("")
        node = self._node(call, call.parts[0])
        if len(call.parts) == 1:
            found = self._render(call, node, self._fields(call, node.kind))
            is_me = call.parts[0] == "me" and call.host == INSTAGRAM and call.wrap_me
            return {"data": [found]} if is_me else found
        self._check_edge_path(call, node)
        return self._edge(call, node, call.parts[1], call.params, self._edge_fields(call))

    def _many(self, call: Call) -> dict[str, Any]:
        """`?ids=a,b`: an object keyed by id; one bad id fails them all."""
        ids = [part for part in call.params["ids"].split(",") if part]
        if len(ids) > MAX_IDS:
            raise errors.too_many_ids()
        if not ids:
            raise errors.required("ids")
        found = {}
        for node_id in dict.fromkeys(ids):
            node = self._node(call, node_id)
            if call.parts:
                part = Call(call.method, call.host, f"{call.version}/{node_id}/{call.parts[0]}", call.params, call.token_text,
                            call.trace, token=call.token)  # fmt: skip
                self._check_edge_path(part, node)
                found[node_id] = self._edge(part, node, call.parts[0], call.params, self._edge_fields(call))
            else:
                found[node_id] = self._render(call, node, self._fields(call, node.kind))
        return found

    # -- nodes and permissions ------------------------------------------------------------------------------------

    def _node(self, call: Call, node_id: str) -> Node:
        token = call.token
        if node_id == "me" and token:
            if call.host == INSTAGRAM and token.account:
                return token.account
            return token.page or self.world.user
        node = self.world.find(node_id)
        if node is None or node.kind not in FIELDS[call.host] or token is None:
            raise errors.unknown_object(node_id)
        account = self.world.account_of(node)
        if isinstance(node, Media) and (node.foreign or (node.product == "STORY" and not self.world.is_alive(node))):
            raise errors.unknown_object(node_id)
        if isinstance(node, (Media, Comment)) and node.values["timestamp"] and self._is_unpublished(node):
            raise errors.unknown_object(node_id)
        if isinstance(node, Page):
            if not token.may("pages_read_engagement"):
                raise errors.page_permission()
            return node
        if account:
            if token.account not in (None, account) or (token.page and token.page.account is not account):
                raise errors.unknown_object(node_id)
            self._need(call, account, "instagram_basic")
        return node

    def _is_unpublished(self, node: Media | Comment) -> bool:
        media = node.media if isinstance(node, Comment) else node
        return media.published > self.world.now()

    def _need(self, call: Call, account: Account | None, permission: str) -> None:
        if not self._may(call, account, permission):
            forbidden = self.faults.forbids(account.id if account else None, permission)
            raise errors.no_permission(403 if forbidden else 400)

    def _may(self, call: Call, account: Account | None, permission: str) -> bool:
        forbidden = account is not None and self.faults.forbids(account.id, permission)
        return bool(call.token and call.token.may(permission)) and not forbidden

    def _check_edge_path(self, call: Call, node: Node) -> None:
        edge = call.parts[1] if len(call.parts) > 1 else call.parts[0]
        if len(call.parts) > 2:
            raise errors.unknown_path("/" + "/".join(call.parts[1:]))
        if edge not in EDGES[call.host][node.kind]:
            if edge in EDGES_ELSEWHERE and call.host == FACEBOOK:
                raise errors.nonexisting_field(edge)
            raise errors.unknown_path(f"/{edge}")

    # -- fields ---------------------------------------------------------------------------------------------------

    def _fields(self, call: Call, kind: str) -> tuple[Field, ...]:
        return parse(call.params["fields"]) if call.params.get("fields") else DEFAULTS[kind]

    def _edge_fields(self, call: Call) -> tuple[Field, ...] | None:
        return parse(call.params["fields"]) if call.params.get("fields") else None

    def _render(self, call: Call, node: Node, wanted: tuple[Field, ...]) -> dict[str, Any]:
        """The fields of a node. Unknown names are refused only here: an empty list never notices them."""
        legal, edges = FIELDS[call.host][node.kind], EDGES[call.host][node.kind]
        found: dict[str, Any] = {}
        for item in wanted:
            name = item.name
            if self.faults.refuses_field(name):
                raise errors.nonexisting_field(name)
            if name in legal:
                value = self._value(call, node, item)
                if value is not None:
                    found[item.key] = value
            elif name in edges:
                nested = self._edge(call, node, name, dict(item.arguments), item.fields, nested=True)
                if nested["data"]:
                    found[item.key] = nested
            elif name not in IGNORED[call.host]:
                raise errors.nonexisting_field(name)
        found.setdefault("id", node.id)
        return found

    def _value(self, call: Call, node: Node, item: Field) -> Any:
        name = item.name
        if isinstance(node, Media):
            return self._media_value(call, node, item)
        if isinstance(node, Page):
            return self._page_value(call, node, item)
        if name == "shopping_product_tag_eligibility":
            raise errors.no_permission()
        value = node.values.get(name)
        if isinstance(node, Comment) and isinstance(value, dict) and item.fields:
            return {key: value[key] for key in (sub.name for sub in item.fields) if key in value}
        if name == "id" and call.host == INSTAGRAM and node.kind == "account" and call.parts[:1] == ["me"]:
            return str(24_500_000_000_000_001 + self.world.accounts.index(node))  # type: ignore[arg-type]
        return value

    def _media_value(self, call: Call, media: Media, item: Field) -> Any:
        name = item.name
        if name == "view_count":
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
            if page.account is None or not (call.token and call.token.may("pages_read_engagement")):
                return None
            return self._render(call, page.account, item.fields or DEFAULTS["account"])
        return page.values.get(item.name)

    # -- edges ----------------------------------------------------------------------------------------------------

    def _edge(
        self,
        call: Call,
        node: Node,
        name: str,
        params: dict[str, str],
        wanted: tuple[Field, ...] | None,
        *,
        nested: bool = False,
    ) -> dict[str, Any]:
        account = self.world.account_of(node)
        if name in _EDGE_SCOPES:
            self._need(call, account, _EDGE_SCOPES[name])
        if name == "insights":
            return self._insights(call, node, params, nested=nested)
        if name == "permissions":
            assert call.token
            return {"data": [{"permission": scope, "status": "granted"} for scope in call.token.scopes]}
        if name == "content_publishing_limit":
            return {"data": [{"quota_usage": 0, "config": {"quota_total": 50, "quota_duration": 86_400}}]}
        items, kind = self._items(call, node, name, params)
        wanted = wanted or DEFAULTS[kind]
        limit = self._limit(call, name, params)
        start, end = self._slice(items, params, limit)
        page = items[start:end]
        answer: dict[str, Any] = {"data": [self._render(call, item, wanted) for item in page]}
        if page and name != "children":
            paging = self._paging(call, node, name, params, wanted, page, (start, end, len(items)), nested=nested)
            if paging:
                answer["paging"] = paging
        return answer

    def _items(self, call: Call, node: Node, name: str, params: dict[str, str]) -> tuple[list[Any], str]:
        """The nodes on an edge, and the kind whose default fields they have."""
        world = self.world
        if name == "accounts":
            assert call.token
            if not call.token.may("pages_show_list"):
                return [], "accounts"
            # Pages owned by a business portfolio are silently missing without business_management.
            everything = call.token.may("business_management")
            return [page for page in world.pages if everything or not page.portfolio], "accounts"
        if name == "businesses":
            return ([world.business] if call.token and call.token.may("business_management") else []), "business"
        if name == "owned_pages":
            return [page for page in world.pages if page.portfolio], "page"
        if isinstance(node, Account) and name in ("media", "stories", "tags"):
            return self._account_items(node, name, params), "media"
        if isinstance(node, Media) and name == "children":
            return list(node.children), "media"
        if isinstance(node, Media) and name == "comments":
            # A missing permission looks like no comments; nothing else tells.
            return (
                world.comments(node) if self._may(call, node.account, "instagram_manage_comments") else []
            ), "comment"
        if isinstance(node, Comment) and name == "replies":
            may = self._may(call, node.media.account, "instagram_manage_comments")
            return (list(node.replies) if may else []), "comment"
        return [], "media"  # live_media, collaborators and ads: nobody is live, nothing is boosted here

    def _account_items(self, account: Account, name: str, params: dict[str, str]) -> list[Media]:
        if name == "stories":
            return self.world.stories(account)
        if name == "tags":
            return self.world.tags(account)
        since, until = (insights.read_time(params.get(key), key) for key in ("since", "until"))
        return [media for media in self.world.media(account) if _between(media.published, since, until)]

    def _limit(self, call: Call, name: str, params: dict[str, str]) -> int:
        text = params.get("limit") or str(50 if name == "comments" else DEFAULT_LIMIT)
        if not text.isdigit() or not int(text):
            raise errors.bad_parameter("limit", "an integer greater than zero")
        self.faults.check_limit(call.target, int(text))
        return min(int(text), 50 if name == "comments" else MAX_LIMIT)

    def _slice(self, items: list[Node], params: dict[str, str], limit: int) -> tuple[int, int]:
        if params.get("after"):
            start = _position(items, params["after"]) + 1
            return start, min(start + limit, len(items))
        if params.get("before"):
            end = _position(items, params["before"])
            return max(end - limit, 0), end
        return 0, min(limit, len(items))

    def _paging(
        self, call: Call, node: Node, name: str, params: dict[str, str], wanted: tuple[Field, ...], page: list[Node],
        bounds: tuple[int, int, int], *, nested: bool,
    ) -> dict[str, Any] | None:  # fmt: skip
        start, end, total = bounds
        cursors = {"before": _cursor(page[0]), "after": _cursor(page[-1])}
        if name == "tags":  # documented: cursors, but neither next nor previous
            return {"cursors": cursors}
        rest = {
            key: value
            for key, value in params.items()
            if key not in ("after", "before", "access_token", "appsecret_proof")
        }
        if nested:
            rest["fields"] = write(wanted)
        path = f"{'me' if call.parts[:1] == ['me'] and not nested else node.id}/{name}"
        if name in ("comments", "replies"):  # recorded: the last page has no paging key at all
            if end >= total:
                return None
            return {
                "cursors": {"after": cursors["after"]},
                "next": call.link(path, {**rest, "after": cursors["after"]}),
            }
        if nested and end >= total and not start:
            return {"cursors": cursors} if name != "media" else None
        paging: dict[str, Any] = {"cursors": cursors}
        if end < total:
            paging["next"] = call.link(path, {**rest, "after": cursors["after"]})
        if start:
            paging["previous"] = call.link(path, {**rest, "before": cursors["before"]})
        return paging

    def _insights(self, call: Call, node: Node, params: dict[str, str], *, nested: bool) -> dict[str, Any]:
        if isinstance(node, Media):
            return insights.media_insights(self.world, self.faults, call.host, node, params)
        assert isinstance(node, Account)
        answer, span = insights.user_insights(self.world, self.faults, call.host, node, params)
        if span and not nested:
            rest = {key: value for key, value in params.items() if key not in ("access_token", "appsecret_proof")}
            answer["paging"] = {
                name: call.link(f"{node.id}/insights", {**rest, "since": since, "until": until})
                for name, (since, until) in span.beside.items()
            }
        return answer


def _between(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or moment >= since) and (until is None or moment <= until)


def _cursor(node: Node) -> str:
    return "QVFI" + base64.urlsafe_b64encode(f"sandbox:{node.id}".encode()).decode().rstrip("=")


def _position(items: list[Node], cursor: str) -> int:
    try:
        padded = cursor[4:] + "=" * (-len(cursor[4:]) % 4)
        node_id = base64.urlsafe_b64decode(padded).decode().removeprefix("sandbox:")
    except (binascii.Error, UnicodeDecodeError):
        raise errors.bad_cursor() from None
    for at, item in enumerate(items):
        if item.id == node_id:
            return at
    raise errors.bad_cursor()
