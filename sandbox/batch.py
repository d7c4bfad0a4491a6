"""Batches: up to 50 calls in one POST, each answered and limited on its own.

https://developers.facebook.com/docs/graph-api/batch-requests
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox import errors

if TYPE_CHECKING:
    from sandbox.service import Reply, Request, Service

MAX_ITEMS = 50


def run(service: Service, request: Request, log: list[dict[str, Any]]) -> Reply:
    """Answer the POST that carries a batch. Trouble with the POST itself is a plain error envelope."""
    from sandbox.service import Reply  # noqa: PLC0415 - the service needs this module first

    early, fault = service.outer(request)
    if early:
        return early
    try:
        items = _items(request.batch)
    except errors.GraphError as error:
        return Reply(error.status, error.envelope(request.host, "A0"))
    with_headers = request.params.get("include_headers", "true") not in ("false", "0")
    answers: list[dict[str, Any] | None] = []
    seconds = 0.0
    usage: dict[str, str] = {}
    for item in items:
        reply, answer = _item(service, request, item, with_headers=with_headers)
        answers.append(answer)
        usage |= {name: value for name, value in reply.headers.items() if name.startswith("X-")}
        if reply.fault and reply.fault.kind == "stall":
            seconds = max(seconds, reply.fault.seconds)
        entry = {"method": item.get("method", "GET"), "relative_url": _shown(item), "account": reply.account}
        log.append(entry | {"status": answer["code"] if answer else None})
    outer = Reply(200, answers, usage, fault)
    if seconds and not fault:
        outer.headers["X-Sandbox-Stall"] = str(seconds)
    return outer


def _items(raw: Any) -> list[dict[str, Any]]:
    try:
        items = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise errors.GraphError("(#100) Param batch must be an array.")
    if not items:
        raise errors.GraphError("(#100) Param batch must be a non-empty array.")
    if len(items) > MAX_ITEMS:
        raise errors.batch_too_big()
    return items


def _item(
    service: Service, request: Request, item: dict[str, Any], *, with_headers: bool
) -> tuple[Reply, dict[str, Any] | None]:
    url = urlsplit(str(item.get("relative_url", "")).lstrip("/"))
    params = dict(parse_qsl(url.query, keep_blank_values=True)) | dict(parse_qsl(str(item.get("body", ""))))
    if "appsecret_proof" in request.params:
        params.setdefault("appsecret_proof", request.params["appsecret_proof"])
    token = str(item.get("access_token") or params.pop("access_token", "") or request.token)
    version = request.path.strip("/").split("/")[0]
    path = url.path if url.path.startswith("v") and "." in url.path.split("/")[0] else f"{version}/{unquote(url.path)}"
    reply = service.call(
        str(item.get("method", "GET")).upper(), request.host, f"/{path.lstrip('/')}", params, token, in_batch=True
    )
    kind = reply.fault.kind if reply.fault else None
    if kind in ("null_item", "drop"):  # Meta's way of saying that it did not get to this one
        return reply, None
    code, body = _spoiled(reply, kind)
    answer: dict[str, Any] = {"code": code}
    if with_headers:
        headers = {"Content-Type": "application/json; charset=UTF-8", **reply.headers}
        answer["headers"] = [{"name": name, "value": value} for name, value in headers.items()]
    return reply, answer | {"body": body}


def _spoiled(reply: Reply, kind: str | None) -> tuple[int, str]:
    """What a fault of the transport looks like when it hits a single item."""
    from sandbox.service import HTML  # noqa: PLC0415

    body = reply.body.decode()
    if kind == "html":
        return (reply.fault.status if reply.fault else None) or 502, HTML.decode()
    spoiled = {"empty": "", "not_json": "Service temporarily unavailable", "truncate": body[: len(body) // 2]}
    return reply.status, spoiled.get(kind or "", body)


def _shown(item: dict[str, Any]) -> str:
    from sandbox.service import scrub  # noqa: PLC0415

    return scrub(str(item.get("relative_url", "")))
