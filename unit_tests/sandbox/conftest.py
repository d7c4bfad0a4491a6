"""One sandbox for all tests, over the real proxy and TLS; each test begins with a clean one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbox_client import Client

from sandbox import Sandbox
from sandbox.nodes import Account, Media

NOW = "2026-06-15T12:00:00+00:00"


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
