"""Requests and replies as the API sees them, and the rule that no secret is ever written down."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.faults import Fault

SECRETS = ("access_token", "appsecret_proof", "client_secret", "fb_exchange_token", "input_token")
HTML = (
    b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Sorry, something went wrong.</h1></body></html>"
)
_SECRET = re.compile(rf"((?:{'|'.join(SECRETS)})(?:=|%3D))[^&\s\"]*|\b(?:EAA|IGAA)\w+")


def scrub(text: str) -> str:
    """Take every secret out of a text that will be logged or matched."""
    return _SECRET.sub(lambda found: f"{found[1] or ''}***", text)


@dataclass
class Request:
    """An HTTP request, as far as the API looks at it."""

    method: str
    host: str
    path: str
    params: dict[str, str]
    token: str | None
    conditional: bool = False  # it has the header If-None-Match


@dataclass
class Reply:
    """What to send back. A fault that the transport commits (`drop`, `html`, …) travels along with a good answer."""

    status: int
    payload: Any
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    account: str | None = None
    delay: float = 0.0

    @property
    def kind(self) -> str | None:
        return self.fault.kind if self.fault else None

    def spoiled(self) -> tuple[int, bytes]:
        """Status and body, with the fault's mark on them."""
        body = json.dumps(self.payload, separators=(",", ":")).encode()
        status = (self.fault.status if self.fault else None) or self.status
        if self.kind == "html":
            return (self.fault.status if self.fault else None) or 502, HTML
        if self.kind == "empty":
            return status, b""
        if self.kind == "not_json":
            return status, b"Service temporarily unavailable"
        return self.status, body
