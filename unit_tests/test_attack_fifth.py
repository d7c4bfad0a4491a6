"""The fifth attack: what one odd answer, account or moment costs the streams of others, polls and what is new."""

from typing import Any

import pytest
from harness import Connector
from test_others import DISCOVERY, MEDIA, USERS, asked, unlike_the_world

from sandbox import Sandbox

pytestmark = pytest.mark.slow
BLUE = r"username\(bluebottle\)"
GONE = {"code": 110, "error_subcode": 2207013, "message": "Invalid user id"}


def unknown_field(name: str) -> dict[str, Any]:
    """Meta's words for a field that it does not know."""
    return {"code": 100, "message": f"(#100) Tried accessing nonexisting field ({name}) on node type (IGUser)"}


@pytest.fixture
def calm(box: Sandbox) -> Sandbox:
    """A sandbox whose headers tell of no usage, so that the first account asks for everything."""
    box.set_usage(mode="missing")
    return box


# -- Accounts of others ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [(USERS,), (MEDIA,), (USERS, MEDIA)], ids="-".join)
@pytest.mark.parametrize("name", [DISCOVERY, "media", "timestamp"])
def test_what_nothing_can_be_read_without_is_never_left_out(
    calm: Sandbox, connector: Connector, name: str, streams: tuple[str, ...]
) -> None:
    """Without it an answer tells of nobody, and looks as good as one that tells of somebody."""
    calm.add_fault(path=rf"{DISCOVERY}.*\b{name}\b|fields={name}", error=unknown_field(name))
    outcome = connector.read(*streams, incremental=True, without=["children"])
    is_hit = name == DISCOVERY or MEDIA in streams
    assert outcome.statuses == dict.fromkeys(streams, "INCOMPLETE" if is_hit else "COMPLETE")
    assert len(asked(calm, DISCOVERY)) <= 6
    assert [error for error in outcome.errors if f"without {name}." not in str(error["message"])][1:] == []
