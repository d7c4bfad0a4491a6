"""Batches: up to 50 calls in one POST, each answered and limited on its own.

https://developers.facebook.com/docs/graph-api/batch-requests
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox import errors
from sandbox.messages import Reply, Request, scrub

MAX_ITEMS = 50


def run(call: Callable[[Request], Reply], request: Request, log: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """Answer the items of a batch in their order, each with a call; what each was goes to the log."""
    with_headers = request.params.get("include_headers", "true") not in ("false", "0")
    answers = []
    for item in _items(request.params["batch"]):
        reply = call(_request(request, item))
        answer = _answer(reply, with_headers=with_headers)
        answers.append(answer)
        entry = {"method": item.get("method", "GET"), "relative_url": scrub(str(item.get("relative_url", "")))}
        log.append({**entry, "account": reply.account, "status": answer and answer["code"], "delay": reply.delay})
    return answers


def _items(text: str) -> list[dict[str, Any]]:
    try:
        items = json.loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise errors.bad_parameter("batch", "a non-empty array.")
    if len(items) > MAX_ITEMS:
        raise errors.batch_too_big()
    return items


def _request(request: Request, item: dict[str, Any]) -> Request:
    """The call that an item stands for; what it does not say is as in the request around it."""
    url = urlsplit("/" + str(item.get("relative_url", "")).lstrip("/"))
    params = dict(parse_qsl(url.query, keep_blank_values=True)) | dict(parse_qsl(str(item.get("body", ""))))
    if "appsecret_proof" in request.params:
        params.setdefault("appsecret_proof", request.params["appsecret_proof"])
    token = item.get("access_token") or params.pop("access_token", None) or request.token
    # A relative address may carry a version of its own; otherwise the outer one counts.
    has_version = url.path[1:2] == "v" and "." in url.path.split("/")[1]
    path = unquote(url.path) if has_version else request.path.rstrip("/") + unquote(url.path)
    conditional = any(str(header).lower().startswith("if-none-match:") for header in item.get("headers") or ())
    return Request(str(item.get("method", "GET")).upper(), request.host, path, params, token, conditional)


def _answer(reply: Reply, *, with_headers: bool) -> dict[str, Any] | None:
    if reply.kind in ("null_item", "drop"):  # Meta's way of saying that it did not get to this one
        return None
    code, body = reply.spoiled()
    if reply.kind == "truncate":
        body = body[: len(body) // 2]
    answer: dict[str, Any] = {"code": code}
    if with_headers:
        headers = {"Content-Type": "application/json; charset=UTF-8", **reply.headers}
        answer["headers"] = [{"name": name, "value": value} for name, value in headers.items()]
    return answer | {"body": body.decode()}
