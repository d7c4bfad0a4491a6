"""The network side: proxy, TLS, keep-alive, log, control plane, command line."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from sandbox_client import Client

from sandbox import Options, Sandbox, World
from sandbox.nodes import Account

ROOT = Path(__file__).parents[2]


def test_any_client_is_led_here_by_its_environment(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in box.env.items():
        monkeypatch.setenv(name, value)
    answer = requests.get("https://graph.facebook.com/v25.0/me", params={"access_token": box.token}, timeout=10)
    assert answer.json()["id"] == box.world.user.id


def test_other_hosts_are_refused_and_noted(api: Client, box: Sandbox) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        api.session.get("https://example.com/", timeout=10)
    assert box.refused_hosts[-1] == "example.com:443"


def test_the_certificate_is_ours_alone(api: Client) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        api.session.get("https://graph.facebook.com/", verify=True, timeout=10)
    assert api.get("me")


def test_connections_are_kept_and_used_at_once(api: Client, box: Sandbox, account: Account) -> None:
    def ask(n: int) -> str:
        return api.get(account.id, fields="username")["username"] + str(n)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(200)))
    assert answers == [account.values["username"] + str(n) for n in range(200)]
    assert box.http_requests == 200
    pool_manager = api.session.get_adapter("https://").proxy_manager[box.url]
    pool = pool_manager.connection_from_host("graph.facebook.com", 443, "https")
    assert pool.num_connections <= 8


def test_the_first_request_of_a_connection_is_never_lost(box: Sandbox) -> None:
    """It can arrive in one piece with the end of the TLS handshake."""
    for _ in range(20):
        with requests.Session() as session:
            session.trust_env = False
            session.proxies, session.verify = {"https": box.url}, box.ca_file
            assert session.get("https://graph.facebook.com/me", timeout=10).json()["error"]["code"] == 104


def test_a_client_that_does_not_speak_tls_harms_nobody(api: Client, box: Sandbox) -> None:
    host, port = box.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(b"CONNECT graph.facebook.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 200 ")
        raw.sendall(b"this is not TLS\r\n")
    assert api.get("me")


def test_the_log_never_has_a_secret(api: Client, box: Sandbox, account: Account) -> None:
    log = io.StringIO()
    box.service.log = log
    try:
        api.get(f"{account.id}/media", access_token=box.token, fields="id", appsecret_proof=box.tokens.proof(box.token))
        api.batch([f"{account.id}?access_token={box.token}", f"{account.id}?fields=username&appsecret_proof=ab"])
        api.get("debug_token", input_token=box.instagram_token)
        api.error(f"{box.token}/media")
        api.error("oauth/access_token", client_secret=box.app_secret, fb_exchange_token=box.token)
    finally:
        box.service.log = None
    written = log.getvalue() + json.dumps(box.requests)
    for secret in (box.token, box.instagram_token, box.app_secret, box.tokens.proof(box.token)):
        assert secret not in written
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["calls"] for line in lines] == [1, 2, 1, 1, 1]
    assert [line["proof"] for line in lines] == [True, False, False, False, False]
    assert lines[0] | {"path": "/v25.0/" + account.id + "/media", "account": account.id, "status": 200} == lines[0]
    ends = [line["at"] + line["took"] for line in lines]
    assert all(end <= line["at"] + 0.001 for end, line in zip(ends, lines[1:], strict=False))  # one after the other


def test_the_control_plane(api: Client, box: Sandbox, account: Account) -> None:
    def control(method: str, name: str, **body: object) -> Any:
        answer = requests.request(method, f"{box.url}/_sandbox/{name}", json=body or None, timeout=10)
        return answer.json() if answer.status_code == 200 else (answer.status_code, answer.text)

    api.get(account.id)
    assert control("GET", "counts") == {**box.counts, "refused_hosts": box.refused_hosts}
    assert control("GET", "requests") == box.requests
    idle, _, loaded = control("GET", "load"), api.get(account.id), control("GET", "load")
    assert all(loaded[name] > idle[name] > 0 for name in ("cpu_seconds", "busy_seconds"))
    assert control("POST", "faults", kind="empty", times=1) == {"ok": True}
    assert api.request(account.id).content == b""
    assert control("POST", "faults", kind="nonsense")[0] == 400
    assert control("POST", "throttles", after=0, seconds=60)
    assert control("POST", "usage", mode="missing")
    assert api.request(account.id).status_code == 403
    assert control("POST", "now", now="2026-07-01")
    assert box.world.now().month == 7
    assert control("POST", "reset")
    assert (box.counts["http_requests"], box.world.now().month) == (0, 6)
    world = control("GET", f"world?account={account.id}")
    assert [item["id"] for item in world["accounts"]] == [account.id]
    minted = control("POST", "tokens", account=account.id, scopes=["instagram_basic"], lifetime=60, age=120)
    assert api.error(account.id, token=minted["access_token"])["error_subcode"] == 463
    assert control("GET", "env")["token"] == box.token
    assert control("GET", "nothing")[0] == 404


def test_a_reset_can_bring_another_world(box: Sandbox) -> None:
    options = box.options
    try:
        box.reset(media=2, seed=99)
        assert len(box.world.media(box.world.accounts[0])) == 2
    finally:
        box.options = options
        box.reset(seed=options.seed)
    assert len(box.world.media(box.world.accounts[0])) == 80


def test_the_command_line(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    options = ["--media", "3", "--now", "2026-06-15", "--log", str(log), "--throttle-after", "2"]
    faults = ["--throttle-code", "613", "--fault", '{"path": "fields=name", "kind": "empty"}']
    command = [sys.executable, "-m", "sandbox", "serve", *options, *faults]
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    with subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = [process.stdout.readline() for _ in range(5)]
        exports = dict(re.match(r"export (\w+)=(\S+)", line).groups() for line in lines[:2])
        token = lines[2].split()[-1]
        assert set(exports) == {"HTTPS_PROXY", "REQUESTS_CA_BUNDLE"}
        with requests.Session() as session:
            session.trust_env = False
            session.proxies, session.verify = {"https": exports["HTTPS_PROXY"]}, exports["REQUESTS_CA_BUNDLE"]
            session.headers["Authorization"] = f"Bearer {token}"
            url = "https://graph.facebook.com/v25.0/17841400000000001"
            assert len(session.get(f"{url}/media", timeout=10).json()["data"]) == 3
            assert session.get(url, params={"fields": "name"}, timeout=10).content == b""
            assert session.get(url, timeout=10).json()["error"]["code"] == 613
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert len(log.read_text().splitlines()) == 3
    assert not Path(exports["REQUESTS_CA_BUNDLE"]).exists()


def test_a_port_in_use_is_an_error(box: Sandbox) -> None:
    with pytest.raises(OSError, match="address already in use"):
        Sandbox(port=int(box.url.rpartition(":")[2]), accounts=1, media=1).start()


def test_a_world_is_the_same_wherever_it_is_built(box: Sandbox) -> None:
    assert World(Options(**vars(box.options))).dump() == box.world.dump()
