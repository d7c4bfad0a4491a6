"""What unit tests of the engine's parts share: calls, verdicts, a Meta that answers by a function, threads at once."""

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import yaml
from harness import ROOT

from source_instagram.answers import Reply, Verdict
from source_instagram.calls import GraphCall, Scope
from source_instagram.client import Client
from source_instagram.session import SyncSession

MANIFEST = yaml.safe_load((ROOT / "source_instagram" / "manifest.yaml").read_text(encoding="utf-8"))
RULES = MANIFEST["spec"]["config_normalization_rules"]["transformations"][-1]["errors"]
FEED, REELS = Scope("media_insights", "a", "FEED"), Scope("media_insights", "a", "REELS", 1)
DAYS = Scope("user_insights", "a")
NOT_THE_PRODUCT = "(#100) The Media Insights API does not support the {%s} metric for this media product type"
NOT_LISTED = "(#100) metric[0] must be one of the following values: %s"
UNKNOWN = "An unknown error occurred"
REDUCE = "Please reduce the amount of data you're asking for, then retry your request"
NO_FIELD = "(#100) Tried accessing nonexisting field (%s)"
GONE = "Unsupported get request. Object with ID '179' does not exist"


def session(**config: Any) -> SyncSession:
    return SyncSession({"access_token": "EAAmadeup|with%bar", **config})


def insights(media: str, *metrics: str, scope: Scope = FEED, **more: Any) -> GraphCall:
    """A main call for some metrics of a media."""
    more.setdefault("about", {})
    return GraphCall(f"{media}/insights", metrics=list(metrics), scope=scope, subject=f"media {media}", **more)


def window(number: int, *metrics: str, scope: Scope = DAYS, **more: Any) -> GraphCall:
    """A main call for some metrics of one of an account's days."""
    params = {"since": str(number * 86_400), "until": str((number + 1) * 86_400)}
    more.setdefault("about", {})
    return GraphCall(f"{scope.account}/insights", params, list(metrics), scope, **more)


def verdict(then: str, words: str = "", **more: Any) -> Verdict:
    return Verdict(then, f"It is {then}.", words, **more)


def data(*names: str, **more: Any) -> dict[str, Any]:
    return {"data": [{"name": name, "values": [{"value": 1}]} for name in names], **more}


def error(code: int, words: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": words, **more}}


class Meta:
    """Answers each call by a function: with a body, with None for a part not finished, or by raising."""

    def __init__(self, answer: Callable[[GraphCall], Any]) -> None:
        self.answer = answer
        self.requests: list[list[str]] = []  # the URLs of each request or batch

    @property
    def asked(self) -> list[str]:
        return [url for urls in self.requests for url in urls]

    def client(self, account: str | None = "a", stream: str = "media_insights") -> Client:
        return Client(self._send, RULES, {"insights": "instagram_manage_insights"}, account, stream)

    def _send(self, batch: list[GraphCall]) -> list[Reply | None]:
        self.requests.append([call.url for call in batch])
        bodies = [self.answer(call) for call in batch]
        return [
            None if body is None else Reply(400 if "error" in body else 200, {}, json.dumps(body)) for body in bodies
        ]


def at_once(work: Callable[[int], Any], threads: int = 8) -> list[Any]:
    """What the work gives in each of the threads, which begin together and let others run before each of our lines.

    So what two threads must not do at the same time they do, unless a lock keeps them from it.
    """
    barrier, interval = threading.Barrier(threads), sys.getswitchinterval()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            time.sleep(0)
        return trace if "source_instagram" in frame.f_code.co_filename else None

    def run(number: int) -> Any:
        barrier.wait(timeout=30)
        sys.settrace(trace)
        try:
            return work(number)
        finally:
            sys.settrace(None)

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, range(threads), timeout=60))
    finally:
        sys.setswitchinterval(interval)
