"""The API as one object: world, tokens, faults, limits and the log, answering requests. Still no sockets.

Every Graph call comes through `Service.call`, whether it is a request of its own or an item of a batch, so that limits,
faults and counts treat both alike.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TextIO
from urllib.parse import unquote

from sandbox import batch, errors
from sandbox.auth import Tokens
from sandbox.errors import INSTAGRAM, GraphError
from sandbox.faults import Fault, Faults, Limits
from sandbox.graph import Call, Graph
from sandbox.world import World, number

SECRETS = ("access_token", "appsecret_proof", "client_secret", "fb_exchange_token", "input_token")
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
    batch: Any = None


@dataclass
class Reply:
    """What to send back: a payload for JSON, or `fault` for something that is not JSON at all."""

    status: int
    payload: Any
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    account: str | None = None

    @property
    def body(self) -> bytes:
        return dumps(self.payload)


def dumps(payload: Any) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


HTML = (
    b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Sorry, something went wrong.</h1></body></html>"
)


class Service:
    """Answers requests and remembers what they were."""

    def __init__(
        self, world: World, *, log: TextIO | None = None, wrap_me: bool = False, require_proof: bool = False
    ) -> None:
        self.log = log
        self.wrap_me = wrap_me
        self.require_proof = require_proof
        self._lock = threading.Lock()
        self.restart(world)

    def restart(self, world: World) -> None:
        """Begin again: new tokens of the same text for the same seed, no faults, no throttles, empty log."""
        self.world = world
        self.tokens = Tokens(world, require_proof=self.require_proof)
        self.faults = Faults(world.seed)
        self.limits = Limits()
        self.graph = Graph(world, self.tokens, self.faults)
        self.requests: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self._serial = 0

    def handle(self, request: Request) -> Reply:
        """Answer one HTTP request to either host."""
        self.counts["http_requests"] += 1
        calls = self.counts["graph_calls"]
        items: list[dict[str, Any]] = []
        if request.method == "POST" and request.batch is not None:
            reply = batch.run(self, request, items)
        else:
            reply = self.call(request.method, request.host, request.path, request.params, request.token)
        self._record(request, reply, items, self.counts["graph_calls"] - calls)
        return reply

    def call(
        self, method: str, host: str, path: str, params: dict[str, str], token: str | None, *, in_batch: bool = False
    ) -> Reply:
        """Answer one Graph call: token first, then limits, then accidents, then the API itself."""
        self._serial += 1
        trace = f"A{number(self.world.seed, 'trace', self._serial):022d}"
        shown = {name: value for name, value in params.items() if name not in SECRETS}
        call = Call(method, host, path, shown, token, trace, wrap_me=self.wrap_me)
        ids = [part for part in shown.get("ids", "").split(",") if part]
        account = self._about(call, ids)
        version = "instagram-api-version" if host == INSTAGRAM else "facebook-api-version"
        headers = {version: call.served_version, "x-fb-trace-id": trace}
        target = scrub(unquote(call.target))
        call.params = params
        minutes = 0.0
        fault: Fault | None = None
        try:
            self.counts["graph_calls"] += max(len(ids), 1)
            for _ in range(max(len(ids), 1)):
                if refused := self.limits.charge(account):
                    minutes = refused[1]
                    self.counts["throttled"] += 1
                    raise refused[0]
            fault = self.faults.pick(target, account, in_batch=in_batch)
            if fault:
                headers |= fault.headers
                self.counts["faults"] += 1
                if fault.kind == "error":
                    raise fault.graph_error()
                if fault.kind == "envelope200":
                    payload, status = fault.graph_error().envelope(host, trace), 200
                elif fault.kind == "shape":
                    payload, status = ({"data": None} if fault.body is None else fault.body), fault.status or 200
                else:  # the transport spoils a good answer
                    payload, status = self.graph.answer(call), 200
            else:
                payload, status = self.graph.answer(call), 200
        except GraphError as error:
            payload, status = error.envelope(host, trace), error.status
            reason = "invalid_token" if error.code == 190 else "invalid_request"
            shown_message = payload["error"]["message"].encode("ascii", "replace").decode().replace('"', "'")
            headers["WWW-Authenticate"] = f'OAuth "Facebook Platform" "{reason}" "{shown_message}"'
        headers = self.limits.headers(host, account, minutes) | headers
        return Reply(status, payload, headers, fault, account)

    def outer(self, request: Request) -> tuple[Reply | None, Fault | None]:
        """What happens to the request that carries a batch: a bad token or a fault on `/v25.0/?batch`."""
        self._serial += 1
        trace = f"A{number(self.world.seed, 'trace', self._serial):022d}"
        fault = self.faults.pick(f"{request.path}?batch", None, in_batch=False)
        try:
            if request.host == INSTAGRAM:
                raise errors.GraphError("Unsupported request - method type: post")
            self.tokens.check(request.host, request.params, request.token)
            if fault:
                self.counts["faults"] += 1
            if fault and fault.kind == "error":
                raise fault.graph_error()
            if fault and fault.kind in ("envelope200", "shape"):
                payload = (
                    fault.graph_error().envelope(request.host, trace) if fault.kind == "envelope200" else fault.body
                )
                return Reply(fault.status or 200, {"data": None} if payload is None else payload, fault.headers), None
        except GraphError as error:
            return Reply(error.status, error.envelope(request.host, trace), fault.headers if fault else {}), None
        return None, fault

    def _about(self, call: Call, ids: list[str]) -> str | None:
        if not ids:
            return self.graph.account_id(call)
        account = self.world.account_of(self.world.find(ids[0]))
        return account.id if account else None

    def _record(self, request: Request, reply: Reply, items: list[dict[str, Any]], calls: int) -> None:
        record: dict[str, Any] = {
            "method": request.method,
            "host": request.host,
            "path": scrub(request.path),
            "params": {name: scrub(value) for name, value in request.params.items() if name not in (*SECRETS, "batch")},
            "status": reply.status,
            "account": reply.account,
            "calls": calls,
            "proof": "appsecret_proof" in request.params,
        }
        if items:
            record["items"] = items
        if reply.fault:
            record["fault"] = reply.fault.kind
        code = (
            reply.payload.get("error", {}).get("code")
            if isinstance(reply.payload, dict) and reply.status >= 400
            else None
        )
        if code is not None:
            record["code"] = code
        line = json.dumps(record, ensure_ascii=False)
        assert not request.token or request.token not in line, "a token reached the log"
        self.requests.append(record)
        if self.log:
            with self._lock:
                print(line, file=self.log, flush=True)
