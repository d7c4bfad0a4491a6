"""Real answers without what is anybody's: tokens, names, texts and addresses go, ids and cursors become others.

Numbers and times stay, and what Meta chooses from: types, metrics, dimensions, codes. Each id has one stand-in wherever
it stands, in bodies, headers and addresses, and each stand-in is one id's, so that what belonged together still does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from sandbox.messages import SECRETS

TOKEN = "EAARecorded00000000000000000000"  # noqa: S105 - in place of every token
LEFT_OUT = (*SECRETS, "client_id", "code", "redirect_uri")  # parameters
# Texts that Meta chooses from a list of its own.
KEPT = {
    "account_type", "ad_status", "boost_ineligible_reason", "dimension_keys", "dimension_values", "edge", "end_time",
    "invite_status", "media_audio_type", "media_product_type", "media_type", "period", "permission", "permissions",
    "scope", "scopes", "status", "tasks", "timestamp", "token_type", "type",
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+([+-][\d:]+|Z)?)?")
NUMBER = re.compile(r"\d{5,}")
LONG = re.compile(r"\d{14,}")
WITHIN = re.compile(r"\b(username|after)\(([^()]*)\)")  # `fields`, of business discovery
TELLING = 4  # characters of a name that would be looked for in messages


class Scrubber:
    """Stand-ins, one to one, for all that was met so far."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = {secret for secret in secrets if len(secret) >= TELLING}
        self.known: dict[str, dict[str, str]] = {}  # by kind: stand-ins by what they stand for

    def stand_in(self, kind: str, text: str) -> str:
        """What stands for a text from now on."""
        known = self.known.setdefault(kind, {})
        if text and text not in known:
            number = len(known) + 1
            known[text] = {
                "id": f"{text[:3]}{number:0{max(len(text) - 3, 1)}d}",
                "address": f"https://recorded.example/{number}",
            }.get(kind, f"{kind}{number}")
        return known.get(text, "")

    def body(self, value: Any, key: str = "", beside: Mapping[str, Any] | None = None) -> Any:
        """JSON of an answer; `key` is where a value stands, and `beside` what it stands in."""
        if isinstance(value, dict):
            return {self.path(name): self.body(each, name, value) for name, each in value.items()}
        if isinstance(value, list):
            return [self.body(each, key) for each in value]
        if isinstance(value, int) and not isinstance(value, bool) and key.endswith("id"):
            return int(self.stand_in("id", str(value)))
        return self._text(value, key, beside or {}) if isinstance(value, str) else value

    def _text(self, text: str, key: str, beside: Mapping[str, Any]) -> str:
        is_metric = key == "name" and "period" in beside
        if key in WAYS:
            found = WAYS[key](self, text)
        elif key.endswith("token"):
            found = TOKEN
        elif NUMBER.fullmatch(text) or (key == "id" and "/" in text):  # that of a row of insights
            found = self.path(text)
        elif key in KEPT or TIME.fullmatch(text) or is_metric:
            found = text
        else:
            kind = "address" if text.startswith("http") else "name" if key in ("name", "application") else "text"
            found = self.stand_in(kind, text)
        return found

    def words(self, text: str) -> str:
        """Meta's own words, or a key, without the ids, names and secrets in them."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = re.sub(r"\b(EAA|IG)\w{12,}", "***", text)
        ids = self.known.get("id", {})
        text = re.sub(NUMBER, lambda n: self.stand_in("id", n[0]) if n[0] in ids or LONG.match(n[0]) else n[0], text)
        for kind in ("user", "name"):
            for told, instead in self.known.get(kind, {}).items():
                if len(told) >= TELLING:
                    text = text.replace(told, instead)
        return text

    def link(self, url: str) -> str:
        """An address of the API, as those of a next page."""
        parts = urlsplit(url)
        query = urlencode(self.params(dict(parse_qsl(parts.query))))
        return f"{parts.scheme}://{parts.netloc}{self.path(parts.path)}?{query}"

    def path(self, path: str) -> str:
        return re.sub(NUMBER, lambda found: self.stand_in("id", found[0]), unquote(path))

    def params(self, params: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a call."""
        found = {}
        for name, value in params.items():
            if name in ("after", "before"):
                found[name] = self.stand_in("cursor", value)
            elif name == "q":  # a hashtag
                found[name] = self.stand_in("name", value)
            elif name not in LEFT_OUT:
                found[name] = self.words(WITHIN.sub(self._within, value))
        return found

    def _within(self, found: re.Match[str]) -> str:
        return f"{found[1]}({self.stand_in('user' if found[1] == 'username' else 'cursor', found[2])})"

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What a client may look at."""
        kept = ("usage", "version", "retry-after", "content-type", "www-authenticate")
        return {name: self.words(text) for name, text in headers.items() if any(part in name.lower() for part in kept)}


WAYS: dict[str, Callable[[Scrubber, str], str]] = {
    "username": lambda scrubber, text: scrubber.stand_in("user", text),
    **dict.fromkeys(("after", "before"), lambda scrubber, text: scrubber.stand_in("cursor", text)),
    **dict.fromkeys(("next", "previous"), Scrubber.link),
    **dict.fromkeys(("message", "error_user_title", "error_user_msg", "error_message"), Scrubber.words),
}
