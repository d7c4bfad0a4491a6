"""The client of these tests."""

from __future__ import annotations

from typing import Any

import requests

from sandbox import Sandbox

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
