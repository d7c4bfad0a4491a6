"""One sandbox for all tests, over the real proxy and TLS; each test begins with a clean one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from sandbox import Sandbox
from sandbox.nodes import Account, Media

NOW = "2026-06-15T12:00:00+00:00"
FACEBOOK, INSTAGRAM = "graph.facebook.com", "graph.instagram.com"


class Client:
    """A client that knows nothing of the sandbox but its environment."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.proxies = {"https": box.env["HTTPS_PROXY"]}
        self.session.verify = box.env["REQUESTS_CA_BUNDLE"]

    def request(self, path: str, host: str = FACEBOOK, token: str | None = None, **params: Any) -> requests.Response:
        own = self.box.token if host == FACEBOOK else self.box.instagram_token
        headers = {"Authorization": f"Bearer {token or own}"}
        return self.session.get(f"https://{host}/v25.0/{path}", params=params, headers=headers, timeout=10)

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of an answer that must be good."""
        answer = self.request(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def error(self, path: str, **params: Any) -> dict[str, Any]:
        """The error of an answer that must be one, with its HTTP status."""
        answer = self.request(path, **params)
        assert "error" in answer.json(), answer.text
        return answer.json()["error"] | {"status": answer.status_code}

    def pages(self, path: str, **params: Any) -> list[list[dict[str, Any]]]:
        """Walk an edge by its `next` links."""
        answer = self.get(path, **params)
        pages = [answer["data"]]
        while following := answer.get("paging", {}).get("next"):
            answer = self.session.get(following, timeout=10).json()
            pages.append(answer["data"])
        return pages

    def batch(self, urls: list[str], **params: Any) -> requests.Response:
        items = [{"method": "GET", "relative_url": url} for url in urls]
        body = {"access_token": self.box.token, "include_headers": "false", "batch": items, **params}
        return self.session.post(f"https://{FACEBOOK}/v25.0/", json=body, timeout=10)


@pytest.fixture(scope="session")
def started() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, accounts=3, media=80, days=800, stories=4, comments=3, tags=30) as box:
        yield box


@pytest.fixture
def box(started: Sandbox) -> Sandbox:
    started.reset()
    return started


@pytest.fixture
def api(box: Sandbox) -> Iterator[Client]:
    client = Client(box)
    yield client
    client.session.close()


@pytest.fixture
def account(box: Sandbox) -> Account:
    return box.world.accounts[0]


@pytest.fixture
def small(box: Sandbox) -> Account:
    """The account with fewer than 100 followers."""
    return next(account for account in box.world.accounts if account.is_small)


@pytest.fixture
def posts(box: Sandbox, account: Account) -> dict[str, Media]:
    """A post of each kind that has insights."""
    found: dict[str, Media] = {}
    for media in box.world.media(account):
        name = media.product if media.product == "REELS" else media.values["media_type"]
        found.setdefault(name, media)
    found["OLD"] = box.world.media(account)[-1]
    return found
