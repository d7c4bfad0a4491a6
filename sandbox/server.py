"""The network side: a CONNECT proxy on loopback that ends in TLS for Meta's two hosts, and a plain control plane.

A client is pointed here by `HTTPS_PROXY` and told to trust our throw-away authority by `REQUESTS_CA_BUNDLE`; it then
speaks to https://graph.facebook.com as ever. CONNECT to anything else is refused, so nothing reaches the internet.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import trustme
from aiohttp import web
from typing_extensions import Self

from sandbox.auth import Tokens
from sandbox.errors import FACEBOOK, INSTAGRAM, OAUTH
from sandbox.faults import Fault
from sandbox.figures import parse_moment
from sandbox.limits import Throttle, Usage
from sandbox.messages import Reply, Request
from sandbox.nodes import Node
from sandbox.scenario import Scenario
from sandbox.service import Service
from sandbox.world import Options, World

HOSTS = (FACEBOOK, INSTAGRAM, OAUTH)
JSON = "application/json; charset=UTF-8"
N = TypeVar("N", bound=Node)
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Proxy(ABC):
    """Meta's hosts on loopback: whoever is led here by `env` and speaks to them is answered by `answer`."""

    latency = 0.0

    def __init__(self, port: int = 0) -> None:
        self.refused_hosts: list[str] = []
        self._address = ("127.0.0.1", port)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="instagram-sandbox-")
        authority = trustme.CA()
        self.ca_file = str(Path(self._directory.name) / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.set_alpn_protocols(["http/1.1"])
        authority.issue_cert(*HOSTS).configure_cert(self._tls)

    @abstractmethod
    async def answer(self, asked: Request) -> Reply:
        """What comes back for a request."""

    def command(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:  # noqa: ARG002 - by others
        """What the control plane answers; None where it knows no such path."""
        return None

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen, in a thread of its own; returns once connections are accepted."""
        ready = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._serve(ready))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                failure.append(error)
            finally:
                ready.set()

        self._thread = threading.Thread(target=run, name="instagram-sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        if failure:
            self._directory.cleanup()
            raise failure[0]
        return self

    def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._loop and self._stop and self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        servers = {host: web.Server(self._on_host(host), access_log=None) for host in HOSTS}
        control = web.Server(self._control, access_log=None)
        listener = await self._loop.create_server(lambda: Front(self, servers, control), *self._address, backlog=512)
        self._address = listener.sockets[0].getsockname()[:2]
        ready.set()
        await self._stop.wait()
        listener.close()
        for server in (*servers.values(), control):
            await server.shutdown(0.1)

    @property
    def url(self) -> str:
        """The address of the proxy and of the control plane."""
        return f"http://{self._address[0]}:{self._address[1]}"

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads any client here."""
        proxies = {"HTTPS_PROXY": self.url, "https_proxy": self.url, "NO_PROXY": "", "no_proxy": ""}
        return {
            **proxies,
            "REQUESTS_CA_BUNDLE": self.ca_file,
            "CURL_CA_BUNDLE": self.ca_file,
            "SSL_CERT_FILE": self.ca_file,
        }

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def _on_host(self, host: str) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                asked = await _read(request, host)
            except ConnectionResetError:
                return web.Response()  # to a client that was killed
            reply = await self.answer(asked)
            if self.latency:
                await asyncio.sleep(self.latency)
            return await _send(request, reply)

        return handle

    async def _control(self, request: web.BaseRequest) -> web.StreamResponse:
        """The control plane: what the properties above tell and do, for another process."""
        url = urlsplit(request.raw_path)
        query = dict(parse_qsl(url.query))
        try:
            body = json.loads(await request.read() or b"{}")
            answer = self.command(request.method, url.path, query, body)
        except (TypeError, ValueError) as error:
            return web.Response(status=400, text=str(error) + "\n")
        if answer is None:
            return web.Response(status=404, text="See sandbox/README.md for what /_sandbox/ offers.\n")
        return web.json_response(answer)


class Sandbox(Proxy):
    """A local Instagram Graph API.

    >>> with Sandbox(accounts=3, media=300) as sandbox:  # doctest: +SKIP
    ...     subprocess.run([...], env={**os.environ, **sandbox.env})
    """

    def __init__(
        self,
        *,
        port: int = 0,
        latency: float = 0.0,
        log: TextIO | None = None,
        wrap_me: bool = False,
        require_proof: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(port)
        self.options = Options(**options)
        self.latency = latency
        self.service = Service(World(self.options), log=log, wrap_me=wrap_me, require_proof=require_proof)

    # -- what a client needs --------------------------------------------------------------------------------------

    @property
    def world(self) -> World:
        return self.service.world

    @property
    def tokens(self) -> Tokens:
        """Mint further tokens with `tokens.mint(host, scopes, …)`."""
        return self.service.tokens

    @property
    def token(self) -> str:
        return self.tokens.user

    @property
    def instagram_token(self) -> str:
        return self.tokens.instagram

    @property
    def app_id(self) -> str:
        return self.tokens.app_id

    @property
    def app_secret(self) -> str:
        return self.tokens.app_secret

    @property
    def code(self) -> str:
        """A code of Instagram Login, as its dialog gives; it can be exchanged once."""
        return self.tokens.code

    # -- what a test needs ----------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every HTTP request so far: method, host, path, params, items, status, account, calls, fault; and when.

        `at` is in seconds since the last reset, and `took` how long the answer was made, without the latency.
        """
        return self.service.requests

    @property
    def counts(self) -> dict[str, int]:
        return {name: self.service.counts[name] for name in ("http_requests", "graph_calls", "throttled", "faults")}

    @property
    def http_requests(self) -> int:
        return self.service.counts["http_requests"]

    @property
    def graph_calls(self) -> int:
        return self.service.counts["graph_calls"]

    def reset(self, **options: Any) -> None:
        """Forget requests, faults, throttles and tokens; with options, in a new world (those not named keep theirs)."""
        if options:
            self.options = Options(**{**asdict(self.options), **options})
        if not options:
            self.world.set_now(self.options.now and parse_moment(self.options.now))
        self.service.restart(World(self.options) if options else self.world)

    def play(self, scenario: Scenario) -> list[str]:
        """Begin again as a scenario has it: its world, its troubles; the further tokens are what comes back."""
        self.options, self.latency = Options(**scenario.world), scenario.latency
        self.service.wrap_me, self.service.require_proof = scenario.wrap_me, scenario.require_proof
        self.service.restart(World(self.options))
        for fault in scenario.faults:
            self.add_fault(**fault)
        for throttle in scenario.throttles:
            self.add_throttle(**throttle)
        self.set_usage(**scenario.usage)
        return [self.mint(**token) for token in scenario.tokens]

    def add_fault(self, **spec: Any) -> Fault:
        """Break something; see `faults.Fault` for the keys. The returned fault counts `seen` and `fired`."""
        return self.service.faults.add(spec)

    def add_throttle(self, **spec: Any) -> Throttle:
        """Limit the calls; see `faults.Throttle` for the keys. The returned throttle counts what it `refused`."""
        throttle = Throttle(**spec)
        self.service.limits.throttles.append(throttle)
        return throttle

    def set_usage(self, **spec: Any) -> None:
        """Change the usage headers; see `faults.Usage`."""
        self.service.limits.usage = Usage(**spec)

    def set_now(self, moment: Any) -> None:
        """Move the world's present (ISO text, datetime, or None for the clock's)."""
        self.world.set_now(moment)

    def mint(self, account: str | None = None, page: str | None = None, **spec: Any) -> str:
        """Mint a token as JSON can say it: account or Page by id; `age`, `lifetime` and `data_access` in seconds."""
        if page:
            return self.tokens.of_page(_with_id(self.world.pages, page))
        for name in ("age", "lifetime", "data_access"):
            if spec.get(name) is not None:
                spec[name] = timedelta(seconds=spec[name])
        owner = _with_id(self.world.accounts, account) if account else None
        return self.tokens.mint(account=owner, **spec).text

    # -- HTTP -----------------------------------------------------------------------------------------------------

    async def answer(self, asked: Request) -> Reply:
        return self.service.handle(asked)

    def command(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        done = {"ok": True}
        if method == "GET":
            return {
                "/_sandbox/requests": lambda: self.requests,
                "/_sandbox/counts": lambda: {**self.counts, "refused_hosts": self.refused_hosts},
                # Of the thread that serves, which is the one that asks here: TLS and HTTP included.
                "/_sandbox/load": lambda: {"cpu_seconds": time.thread_time(), "busy_seconds": self.service.busy},
                "/_sandbox/world": lambda: self.world.dump(query.get("account")),
                "/_sandbox/faults": lambda: [asdict(fault) for fault in self.service.faults.all],
                "/_sandbox/env": lambda: {**self.env, "token": self.token, "instagram_token": self.instagram_token},
            }.get(path, lambda: None)()
        if path == "/_sandbox/reset":
            self.reset(**body)
        elif path == "/_sandbox/faults":
            for spec in body if isinstance(body, list) else [body]:
                self.add_fault(**spec)
        elif path == "/_sandbox/throttles":
            self.add_throttle(**body)
        elif path == "/_sandbox/usage":
            self.set_usage(**body)
        elif path == "/_sandbox/now":
            self.set_now(body.get("now"))
        elif path == "/_sandbox/tokens":
            return {"access_token": self.mint(**body)}
        elif path == "/_sandbox/scenario":
            return {"tokens": self.play(Scenario.of(body))}
        else:
            return None
        return done


class Front(asyncio.Protocol):
    """The first bytes of a connection decide: CONNECT becomes TLS to one of our hosts, the rest is for control."""

    def __init__(self, proxy: Proxy, servers: dict[str, web.Server], control: web.Server) -> None:
        self._proxy = proxy
        self._servers = servers
        self._control = control
        self._received = b""
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._upgrade or b"\r\n\r\n" not in self._received:
            return  # while TLS begins, its first data waits here
        method, _, target = self._received.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        if method != "CONNECT":
            self._hand_over(self._transport, self._control())
            return
        target = target.partition(" ")[0]
        host, _, port = target.partition(":")
        if host not in self._servers or port != "443":
            self._proxy.refused_hosts.append(target)
            self._transport.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()
            return
        self._received = b""
        self._upgrade = asyncio.get_running_loop().create_task(self._start_tls(self._servers[host]()))

    async def _start_tls(self, handler: asyncio.Protocol) -> None:
        self._transport.pause_reading()
        self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        loop, context = asyncio.get_running_loop(), self._proxy._tls  # noqa: SLF001
        try:
            transport = await loop.start_tls(self._transport, self, context, server_side=True)
        except (OSError, ssl.SSLError):
            self._transport.abort()  # a client that does not trust us, or has gone
            return
        if transport is not None:
            self._hand_over(transport, handler)

    def _hand_over(self, transport: asyncio.Transport, handler: asyncio.Protocol) -> None:
        transport.set_protocol(handler)
        handler.connection_made(transport)
        if self._received:
            handler.data_received(self._received)


def _with_id(nodes: list[N], node_id: str) -> N:
    for node in nodes:
        if node.id == node_id:
            return node
    raise ValueError(f"Nothing has the id {node_id}. Known: {', '.join(node.id for node in nodes)}.")


async def _read(request: web.BaseRequest, host: str) -> Request:
    """Take a request apart. Parameters may stand in the address, in a form or in JSON."""
    url = urlsplit(request.raw_path)
    params = dict(parse_qsl(url.query, keep_blank_values=True))
    if request.method != "GET":
        params |= await _read_body(request)
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else params.get("access_token")
    return Request(request.method, host, url.path, params, token, "If-None-Match" in request.headers)


async def _read_body(request: web.BaseRequest) -> dict[str, str]:
    _acknowledge(request)
    if request.content_type == "multipart/form-data":
        return {name: str(value) for name, value in (await request.post()).items()}
    text = (await request.read()).decode(errors="replace")
    if request.content_type != "application/json":
        return dict(parse_qsl(text, keep_blank_values=True))
    try:
        given = json.loads(text)
    except ValueError:
        given = {}
    pairs = given.items() if isinstance(given, dict) else ()
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in pairs}


async def _send(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """Send the reply, or spoil it as its fault says."""
    status, body = reply.spoiled()
    if reply.kind in ("truncate", "halt"):
        _send_half(request, body)
    if reply.delay:
        await asyncio.sleep(reply.delay)
    if reply.kind in ("drop", "truncate", "halt"):
        _break_off(request, reset=reply.kind == "drop")
    kind = "text/html; charset=utf-8" if reply.kind == "html" else JSON
    return web.Response(status=status, body=body, headers={**reply.headers, "Content-Type": kind})


def _acknowledge(request: web.BaseRequest) -> None:
    """Confirm the head of a request at once.

    Towards a proxy, urllib3 sends the body only then (Nagle's algorithm), and the kernel would take its 40 ms.
    """
    if request.transport and hasattr(socket, "TCP_QUICKACK"):
        raw: socket.socket = request.transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _send_half(request: web.BaseRequest, body: bytes) -> None:
    """Promise a body and send half of it."""
    if request.transport:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
        request.transport.write(head.encode() + body[: len(body) // 2])


def _break_off(request: web.BaseRequest, *, reset: bool) -> None:
    """End the connection before the answer is complete."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        return
    transport.close()
