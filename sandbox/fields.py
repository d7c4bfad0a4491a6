"""What may be asked: the `fields` parser and the tables of fields and edges per node type and login.

https://developers.facebook.com/docs/graph-api/guides/field-expansion
https://developers.facebook.com/documentation/instagram-platform/reference/instagram-media
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from sandbox import errors
from sandbox.errors import FACEBOOK, INSTAGRAM


@dataclass(frozen=True)
class Field:
    """One entry of a `fields` parameter: `comments.limit(5){id,text}` has arguments and sub-fields."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    fields: tuple[Field, ...] | None = None
    alias: str = field(default="")

    @property
    def key(self) -> str:
        return self.alias or self.name

    def __str__(self) -> str:
        modifiers = "".join(f".{name}({value})" for name, value in self.arguments)
        return f"{self.name}{modifiers}" + (f"{{{write(self.fields)}}}" if self.fields else "")


def write(fields: tuple[Field, ...]) -> str:
    """Spell fields as the API takes them; `next` links of nested edges need it."""
    return ",".join(map(str, fields))


_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*")
_MODIFIER = re.compile(r"\s*\.([a-z_]+)\(([^()]*)\)")


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Field, ...]:
    """Parse a `fields` parameter, or refuse it as Meta does: code 2500 with the place of the mistake."""
    fields, end = _parse_list(text, 0)
    if end != len(text):
        raise errors.syntax(f'Expected end of string instead of "{text[end]}".', end, text)
    return fields


def _parse_list(text: str, at: int) -> tuple[tuple[Field, ...], int]:
    found: dict[str, Field] = {}
    while True:
        if not (name := _NAME.match(text, at)):
            seen = text[at] if at < len(text) else "end of string"
            raise errors.syntax(f'Expected name instead of "{seen}".', at, text)
        start, at = name.start(1), name.end()
        arguments: list[tuple[str, str]] = []
        alias = ""
        while modifier := _MODIFIER.match(text, at):
            if modifier[1] == "as":
                alias = modifier[2].strip()
            else:
                arguments.append((modifier[1], modifier[2].replace(" ", "")))
            at = modifier.end()
        nested = None
        if text[at : at + 1] == "{":
            nested, at = _parse_list(text, at + 1)
            if text[at : at + 1] != "}":
                raise errors.syntax('Expected "}".', at, text)
            at += 1
            while text[at : at + 1] == " ":
                at += 1
        entry = Field(name[1], tuple(arguments), nested, alias)
        if entry.key in found:
            raise errors.duplicate_field(entry.key, start, text)
        found[entry.key] = entry
        if text[at : at + 1] != ",":
            return tuple(found.values()), at
        at += 1


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MEDIA_BOTH = _names(
    "id caption media_type media_product_type media_url thumbnail_url permalink shortcode timestamp username owner "
    "like_count comments_count is_comment_enabled is_shared_to_feed alt_text is_ai_generated media_audio_type "
    "current_live_viewer_count"
)
_MEDIA_FACEBOOK = _names(
    "ig_id legacy_instagram_media_id boost_eligibility_info copyright_check_information view_count reposts_count "
    "total_like_count total_comments_count total_views_count saved_count shares_count has_poll has_slider"
)
_PUBLIC_BOTH = _names("id caption comments_count like_count media_type media_url permalink timestamp")
_POLL = _names("id expiration_timestamp") | {
    f"option_{letter}{share}" for letter in "abcd" for share in ("", "_votes_percentage")
}
_COMMENT = _names("id text timestamp username from user hidden like_count media parent_id")
_USER_BOTH = _names("id username name biography website followers_count follows_count media_count profile_picture_url")

FIELDS: dict[str, dict[str, frozenset[str]]] = {
    FACEBOOK: {
        "media": _MEDIA_BOTH | _MEDIA_FACEBOOK,
        "comment": _COMMENT | {"legacy_instagram_comment_id"},
        "account": _USER_BOTH
        | _names(
            "ig_id has_profile_pic is_published legacy_instagram_user_id shopping_product_tag_eligibility "
            "owner_business shopping_review_status"
        ),
        "page": _names(
            "id name access_token category category_list tasks instagram_business_account connected_instagram_account"
        ),
        "user": _names("id name"),
        "business": _names("id name"),
        "rival": _USER_BOTH,
        "discovered": _PUBLIC_BOTH
        | _names(
            "media_product_type username thumbnail_url view_count reposts_count total_like_count total_comments_count"
        ),
        "hashtag": _names("id name"),
        "tagged": _PUBLIC_BOTH,
    },
    INSTAGRAM: {
        "media": _MEDIA_BOTH,
        "comment": _COMMENT,
        "account": _USER_BOTH | {"user_id", "account_type"},
    },
}

# Asked for, yet neither answered nor refused. The counters were measured on graph.instagram.com, the others recorded.
IGNORED = {
    FACEBOOK: _names("from_id from_full_name"),
    INSTAGRAM: _names("from_id from_full_name view_count total_views_count"),
}

EDGES: dict[str, dict[str, frozenset[str]]] = {
    FACEBOOK: {
        "media": _names("children comments insights collaborators boost_ads_list poll_attachment"),
        "comment": _names("replies"),
        "account": _names("media stories tags insights live_media content_publishing_limit recently_searched_hashtags"),
        "rival": _names("media"),
        "discovered": _names("children"),
        "hashtag": _names("top_media recent_media"),
        "tagged": _names("children"),
        "page": frozenset(),
        "user": _names("accounts permissions businesses"),
        "business": _names("owned_pages"),
    },
    INSTAGRAM: {
        "media": _names("children comments insights"),
        "comment": _names("replies"),
        "account": _names("media stories tags insights live_media content_publishing_limit"),
    },
}

# Edges that exist somewhere in the Graph: asked of the wrong node they are a "nonexisting field", not an unknown path.
EDGES_ELSEWHERE = _names(
    "feed posts photos videos likes accounts media stories tags comments replies children insights"
)

DEFAULTS: dict[str, tuple[Field, ...]] = {
    "media": parse("id"),
    "rival": parse("id"),
    "hashtag": parse("id"),
    "poll_attachment": parse(",".join(sorted(_POLL - {"id"}))),
    "comment": parse("timestamp,text,id"),
    "account": parse("id"),
    "page": parse("name,id"),
    "accounts": parse("access_token,category,category_list,name,id,tasks"),
    "user": parse("name,id"),
    "business": parse("id,name"),
}

POLL = _POLL

# Readable on others' media (the tags edge); the rest is left out there.
PUBLIC_MEDIA = _names(
    "id caption media_type media_product_type media_url thumbnail_url permalink shortcode timestamp username "
    "like_count comments_count is_shared_to_feed alt_text reposts_count total_like_count total_comments_count"
)
