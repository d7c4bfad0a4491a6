"""The API as one object: world, tokens, faults, limits and the log, answering requests. Still no sockets.

Every Graph call comes through `Service.call`, whether it is a request of its own or an item of a batch, so that limits,
faults and counts treat both alike.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any, TextIO
from urllib.parse import unquote

from sandbox import batch, errors
from sandbox.auth import Tokens
from sandbox.edits import edited
from sandbox.errors import INSTAGRAM, GraphError
from sandbox.faults import Asked, Fault, Faults
from sandbox.figures import number
from sandbox.graph import Call, Graph
from sandbox.limits import Limits
from sandbox.messages import SECRETS, Reply, Request, scrub
from sandbox.world import World


class Service:
    """Answers requests and remembers what they were."""

    def __init__(
        self, world: World, *, log: TextIO | None = None, wrap_me: bool = False, require_proof: bool = False
    ) -> None:
        self.log = log
        self.wrap_me = wrap_me
        self.require_proof = require_proof
        self.restart(world)

    def restart(self, world: World) -> None:
        """Begin again: the first tokens of the seed, no faults, no throttles, an empty log."""
        self.world = world
        self.tokens = Tokens(world, require_proof=self.require_proof)
        self.faults = Faults(world.seed)
        self.limits = Limits(world.business.id)
        self.graph = Graph(world, self.tokens, self.faults, wrap_me=self.wrap_me)
        self.requests: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.busy = 0.0  # seconds that it worked on answers, latency and TLS left out
        self._began = time.monotonic()
        self._serial = 0

    def handle(self, request: Request) -> Reply:
        """Answer one HTTP request to either host."""
        began = time.monotonic()
        self.counts["http_requests"] += 1
        before = self.counts["graph_calls"]
        items: list[dict[str, Any]] = []
        is_batch = request.method == "POST" and "batch" in request.params
        reply = self._batch(request, items) if is_batch else self.call(request)
        took = time.monotonic() - began
        self.busy += took
        timing = {"at": round(began - self._began, 4), "took": round(took, 4)}
        self._record(request, reply, items, {"calls": self.counts["graph_calls"] - before, **timing})
        return reply

    def call(self, request: Request, *, in_batch: bool = False) -> Reply:
        """Answer one Graph call: limits first, then accidents, then the API itself."""
        call = self._new_call(request)
        node_id = call.parts[0] if call.parts else ""
        account = self.graph.account_id(node_id, call.token_text)
        version = "instagram-api-version" if call.host == INSTAGRAM else "facebook-api-version"
        reply = Reply(200, None, {version: call.served_version, "x-fb-trace-id": call.trace}, account=account)
        minutes = 0.0
        try:
            self.counts["graph_calls"] += 1
            if refused := self.limits.charge(account):
                self.counts["throttled"] += 1
                minutes = refused.minutes
                raise refused.error
            asked = Asked(scrub(unquote(call.target)), account, self.graph.product(node_id), call.params, in_batch)
            ignored = self.faults.ignored(asked)
            call.params = {name: value for name, value in call.params.items() if name not in ignored}
            fault = self.faults.pick(asked)
            if not (fault and self._apply(fault, reply, call)):
                reply.payload = self._edited(self.graph.answer(call), reply, call, asked)
                if ".limit(" in call.params.get("fields", ""):
                    self.limits.expand()
        except GraphError as error:
            self._refuse(reply, error, call)
        reply.headers = self.limits.headers(call.host, account, minutes) | reply.headers
        return reply

    def _batch(self, request: Request, items: list[dict[str, Any]]) -> Reply:
        """Answer the POST that carries a batch. Trouble with the POST itself is a plain error envelope."""
        call = self._new_call(request)
        reply = Reply(200, None)
        try:
            if request.host == INSTAGRAM:  # found refused; nothing shows it to work
                raise errors.unsupported("post")
            call.check_version()
            self.tokens.check(request.host, request.params, request.token)
            call.check_features()
            asked = Asked(f"{request.path}?batch")
            fault = self.faults.pick(asked)
            if not (fault and self._apply(fault, reply, call)):
                answers = batch.run(lambda item: self.call(item, in_batch=True), request, items)
                reply.payload = self._edited(answers, reply, call, asked)
                reply.delay = max([reply.delay, *(item.pop("delay") for item in items)])
        except GraphError as error:
            self._refuse(reply, error, call)
        accounts = [item["account"] for item in items if item["account"]]
        reply.headers = self.limits.headers(request.host, accounts[-1] if accounts else None) | reply.headers
        return reply

    def _apply(self, fault: Fault, reply: Reply, call: Call) -> bool:
        """Let a fault loose on a reply; whether that settles what the reply says."""
        self.counts["faults"] += 1
        reply.headers |= fault.headers
        reply.fault = fault
        if fault.kind == "error":
            raise fault.graph_error()
        if fault.kind == "envelope200":
            reply.payload = fault.graph_error().envelope(call.host, call.trace)
            return True
        if fault.kind == "shape":
            reply.status = fault.status or 200
            reply.payload = {"data": None} if fault.body is None else fault.body
            return True
        reply.delay = fault.seconds  # for `stall` and `halt`; the others spoil a good answer on its way out
        return False

    def _edited(self, answer: Any, reply: Reply, call: Call, asked: Asked) -> Any:
        """A good answer, after the edits that hit it."""
        for fault in self.faults.edits(asked):
            self.counts["faults"] += 1
            reply.headers |= fault.headers
            reply.fault = reply.fault or fault
            answer = edited(answer, fault.changes)
            if fault.loop:
                answer = _looped(answer, call)
        return answer

    def _refuse(self, reply: Reply, error: GraphError, call: Call) -> None:
        reply.status = error.status
        reply.payload = error.envelope(call.host, call.trace)
        reason = "invalid_token" if error.code == 190 else "invalid_request"
        message = reply.payload["error"]["message"].encode("ascii", "replace").decode().replace('"', "'")
        message = " ".join(message.split())  # no line breaks in a header
        reply.headers["WWW-Authenticate"] = f'OAuth "Facebook Platform" "{reason}" "{message}"'

    def _new_call(self, asked: Request) -> Call:
        return Call(asked.method, asked.host, asked.path, asked.params, asked.token, self._trace(), asked.conditional)

    def _trace(self) -> str:
        self._serial += 1
        return f"A{number(self.world.seed, 'trace', self._serial):022d}"

    def _record(self, request: Request, reply: Reply, items: list[dict[str, Any]], counted: dict[str, float]) -> None:
        params = {name: scrub(value) for name, value in request.params.items() if name not in (*SECRETS, "batch")}
        record: dict[str, Any] = {
            "method": request.method,
            "host": request.host,
            "path": scrub(request.path),
            "params": params,
            "status": reply.status,
            "account": reply.account,
            **counted,
            "proof": "appsecret_proof" in request.params,
        }
        if items:
            record["items"] = items
        if reply.fault:
            record["fault"] = reply.fault.kind
        if reply.status >= 400 and isinstance(reply.payload, dict):
            record["code"] = reply.payload.get("error", {}).get("code")
        line = json.dumps(record, ensure_ascii=False)
        if request.token and len(request.token) >= 8 and request.token in line:
            line = line.replace(request.token, "***")  # a token in a place where none belongs
            record = json.loads(line)
        self.requests.append(record)
        if self.log:
            print(line, file=self.log, flush=True)


def _looped(answer: Any, call: Call) -> Any:
    """A page whose cursor is the one that it was asked with, so that its list never ends."""
    after = call.params.get("after")
    if not after or not isinstance(answer, dict) or "data" not in answer:
        return answer
    paging: dict[str, Any] = {"cursors": {"after": after}}
    if call.parts[-1] != "tags":  # which has cursors and no links
        paging["next"] = call.link("/".join(call.parts), call.params)
    return {**answer, "paging": paging}
