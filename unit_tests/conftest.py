"""A sandbox for all tests, clean at the beginning of each, and the connector connected to it."""

import os
from collections.abc import Iterator
from unittest import mock

import pytest

with mock.patch.dict(os.environ, {"SOURCE_INSTAGRAM_TEMPO": "0.001"}):  # is read once, when the module is loaded
    import source_instagram.session  # noqa: F401

from harness import WORLD, Connector, clean, serving, spare_the_cdk_repetitions

from sandbox import Sandbox


def pytest_configure(config: pytest.Config) -> None:
    spare_the_cdk_repetitions()
    # The CDK names its request cache in a way that requests-cache 1.3 warns of.
    config.addinivalue_line("filterwarnings", "ignore:`cache_name` cannot be set:DeprecationWarning")


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: tests of waits sleep about as long as they work."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Many examples of losses are slow, too. What takes longest begins first."""
    for item in items:
        if item.path.stem == "test_losses" and "LOSSES_EXAMPLES" in os.environ:
            item.add_marker("slow")
    items.sort(key=lambda item: item.path.stem not in ("test_losses", "test_soak"))


@pytest.fixture(scope="session")
def server() -> Iterator[Sandbox]:
    with serving(**WORLD) as box:
        yield box


@pytest.fixture
def box(server: Sandbox) -> Sandbox:
    """The sandbox: its first world, no faults, and a clock that stands still at the present."""
    clean(server)
    return server


@pytest.fixture
def connector(box: Sandbox) -> Connector:
    return Connector(box)
