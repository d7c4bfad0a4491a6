"""A sandbox for all tests, clean at the beginning of each, and the connector connected to it."""

import gc
import os
import warnings
from collections.abc import Iterator
from datetime import datetime, timezone
from unittest import mock

import pytest

with mock.patch.dict(os.environ, {"SOURCE_INSTAGRAM_TEMPO": "0.001"}):  # is read once, when the module is loaded
    import source_instagram.graph  # noqa: F401

from harness import Connector

from sandbox import Sandbox

WORLD = {"accounts": 3, "media": 24, "albums": 6, "stories": 4, "comments": 2, "tags": 12}


def pytest_configure(config: pytest.Config) -> None:
    # The CDK names its request cache in a way that requests-cache 1.3 warns of.
    config.addinivalue_line("filterwarnings", "ignore:`cache_name` cannot be set:DeprecationWarning")


@pytest.fixture(scope="session")
def server() -> Iterator[Sandbox]:
    with Sandbox(**WORLD) as box:
        yield box
    with warnings.catch_warnings():  # the connector's idle connections, which end with the sandbox
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def box(server: Sandbox) -> Sandbox:
    """The sandbox: its first world, no faults, and a clock that stands still at the present."""
    clean(server)
    return server


@pytest.fixture
def connector(box: Sandbox) -> Connector:
    return Connector(box)


def clean(server: Sandbox) -> None:
    """Forget what an earlier test did."""
    asked = {name: getattr(server.options, name) for name in WORLD}
    if asked != WORLD or server.options != type(server.options)(**WORLD):
        server.options = type(server.options)(**WORLD)
        server.reset(**WORLD)
    else:
        server.reset()
    server.latency = 0.0
    server.set_now(datetime.now(timezone.utc).replace(microsecond=0))
