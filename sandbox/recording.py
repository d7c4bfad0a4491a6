"""`python -m sandbox record`: a proxy that keeps what Meta answers to a sync in a folder, without what is anybody's."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import requests

from sandbox.faults import Fault
from sandbox.messages import Reply, Request
from sandbox.scrubbing import LONG, TOKEN, Scrubber
from sandbox.server import Proxy

FORMAT = 1
TIMEOUT = (10, 120)  # seconds, to connect and to read
HOP = ("connection", "content-encoding", "content-length", "content-type", "keep-alive", "transfer-encoding")
NAMING = {"accounts": "user", "discover_usernames": "user", "hashtags": "name"}  # likewise, which name somebody
SECRET = ("access_token", "client_id", "client_secret")  # keys of the configuration


class Raw(Reply):
    """An answer that is passed on as it came."""

    def __init__(self, status: int, text: str, headers: dict[str, str]) -> None:
        super().__init__(status, None, headers)
        self.text = text

    def spoiled(self) -> tuple[int, bytes]:
        return self.status, self.text.encode()


def dropped() -> Reply:
    """A broken connection."""
    return Reply(200, None, fault=Fault(kind="drop"))


class Recorder(Proxy):
    """Passes requests on to Meta, and writes down what comes back.

    `env` leads to Meta's hosts, where they are not to be reached directly; a test leads them to another sandbox.
    """

    def __init__(
        self, folder: Path, config: Mapping[str, Any], state: Any = None, *, port: int = 0, env: Mapping[str, str]
    ) -> None:
        super().__init__(port)
        self.scrubber = Scrubber(str(config[key]) for key in SECRET if config.get(key))
        self._proxies = {"https": env["HTTPS_PROXY"]} if env.get("HTTPS_PROXY") else {}
        self._verify = env.get("REQUESTS_CA_BUNDLE") or True
        self._lock, self._began = threading.Lock(), time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self._calls = folder / "calls.jsonl"
        self._calls.write_text("", encoding="utf-8")
        about = {"format": FORMAT, "began": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"}
        files = {
            "about": about,
            "config": self._config(config),
            **({} if state is None else {"state": self._state(state)}),
        }
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration with which a replay is read."""
        own: dict[str, Any] = {key: value for key, value in config.items() if key not in SECRET}
        for key, kind in NAMING.items():
            names = [str(name).lstrip("@#").lower() for name in config.get(key) or []]
            if names:
                own[key] = [
                    self.scrubber.stand_in("id" if kind == "user" and LONG.match(n) else kind, n) for n in names
                ]
        return {"access_token": TOKEN, **own}

    def _state(self, state: Any) -> Any:
        if isinstance(state, dict):
            return {self.scrubber.path(key): self._state(each) for key, each in state.items()}
        if isinstance(state, list):
            return [self._state(each) for each in state]
        return self.scrubber.path(state) if isinstance(state, str) else state

    # -- Passing on ---------------------------------------------------------------------------------------------------

    async def answer(self, asked: Request) -> Reply:
        return await asyncio.to_thread(self._passed, asked)

    def _passed(self, asked: Request) -> Reply:
        query = "" if asked.method == "POST" else f"?{urlencode(asked.params)}"
        headers = (
            {} if "access_token" in asked.params or not asked.token else {"Authorization": f"Bearer {asked.token}"}
        )
        try:
            with requests.Session() as session:
                session.trust_env = False
                came = session.request(
                    asked.method, f"https://{asked.host}{asked.path}{query}", headers=headers, timeout=TIMEOUT,
                    data=asked.params if asked.method == "POST" else None, proxies=self._proxies, verify=self._verify,
                )  # fmt: skip
        except requests.RequestException:
            self._keep(asked, None)
            return dropped()
        self._keep(asked, came)
        kept = {name: value for name, value in came.headers.items() if name.lower() not in HOP}
        return Raw(came.status_code, came.text, kept)

    # -- Writing down -------------------------------------------------------------------------------------------------

    def _keep(self, asked: Request, came: requests.Response | None) -> None:
        at = round(time.monotonic() - self._began, 3)
        with self._lock, self._calls.open("a", encoding="utf-8") as file:
            for line in self._lines(asked, came):
                file.write(json.dumps({"at": at, **line}, ensure_ascii=False) + "\n")

    def _lines(self, asked: Request, came: requests.Response | None) -> list[dict[str, Any]]:
        """A line for each call: those of a batch apart, and the whole where it says nothing of them."""
        if asked.token:
            self.scrubber.secrets.add(asked.token)
        items = calls_of(asked)
        if items is None:
            return [{**self._call(asked.method, asked.host, asked.path, asked.params), **self._answer(came)}]
        calls = [self._call("GET", asked.host, path, params) for path, params in items]
        rows = parsed(came.text) if came is not None else None
        if not isinstance(rows, list) or len(rows) != len(calls):
            whole = {"method": "POST", "host": asked.host, "path": asked.path, "batch": calls}
            return [{**whole, **self._answer(came)}]
        return [{**call, **self._item(row)} for call, row in zip(calls, rows, strict=True)]

    def _call(self, method: str, host: str, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        scrubber = self.scrubber
        return {"method": method, "host": host, "path": scrubber.path(path), "params": scrubber.params(params)}

    def _answer(self, came: requests.Response | None) -> dict[str, Any]:
        if came is None:
            return {"dropped": True}
        return {"status": came.status_code, "headers": self.scrubber.headers(came.headers), **self._body(came.text)}

    def _item(self, row: Any) -> dict[str, Any]:
        """An item of a batch; `null` where Meta did not finish it."""
        if not isinstance(row, dict):
            return {"unfinished": True}
        headers = {each["name"]: str(each["value"]) for each in row.get("headers") or []}
        return {
            "status": row.get("code"),
            "headers": self.scrubber.headers(headers),
            **self._body(str(row.get("body"))),
        }

    def _body(self, text: str) -> dict[str, Any]:
        """A body as JSON; of what is none only what kind of thing it was."""
        body = parsed(text)
        if isinstance(body, (dict, list)) or text.strip() == "null":  # which is the poll of a post without one
            return {"body": self.scrubber.body(body)}
        return {"text": text and ("<html></html>" if text.lstrip().startswith("<") else '{"cut')}


def parsed(text: str) -> Any:
    """A text as JSON; None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def calls_of(asked: Request) -> list[tuple[str, dict[str, str]]] | None:
    """Path and parameters of each call of a batch; None where a request is none."""
    rows = parsed(asked.params.get("batch", "")) if asked.method == "POST" else None
    if not isinstance(rows, list):
        return None
    urls = [urlsplit("/" + str(row.get("relative_url", "")).lstrip("/")) for row in rows]
    return [(asked.path.rstrip("/") + unquote(url.path), dict(parse_qsl(url.query))) for url in urls]
