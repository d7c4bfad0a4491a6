"""The sandbox beside recorded answers of the live API: the same questions have the same shape of answer.

The recordings are other people's test data, so they lie beside the repository and not in it. A clone without them
skips these tests; where the project is worked on they are there, and then nothing is skipped.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from sandbox_client import Client

from sandbox import Sandbox
from sandbox.nodes import Account

SHARED = Path(__file__).parents[3] / "shared"
RECORDED = SHARED / "recorded"
PYTHON_FACEBOOK = "python-facebook/testdata/instagram/apidata"

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="the recordings are not part of a public clone")


def cassette(name: str) -> list[Any]:
    return json.loads((RECORDED / "keboola-component-meta" / f"{name}.json").read_text())["interactions"]


def asked(name: str) -> list[Any]:
    """Each different question of a cassette, with its status and answer."""
    found = {}
    for interaction in cassette(name):
        url = urlsplit(interaction["request"]["uri"])
        params = {key: value for key, value in parse_qsl(url.query) if key not in ("access_token", "after", "before")}
        response = interaction["response"]
        answer = json.loads(response["body"]["string"])
        path = url.path.split("/", 2)[2]
        found.setdefault((path, str(params)), (path, params, response["status"]["code"], answer))
    return list(found.values())


def keys(value: Any) -> set[str]:
    """The paths of keys in an answer, lists looked through: `data[].values[].end_time`."""
    if isinstance(value, dict):
        return {f"{key}{'.' if rest else ''}{rest}" for key, inner in value.items() for rest in (keys(inner) | {""})}
    return {f"[].{rest}" for item in value for rest in keys(item)} if isinstance(value, list) else set()


@pytest.fixture
def then(box: Sandbox) -> Sandbox:
    """The world at the moment of the recordings, where its windows are still young enough."""
    box.set_now("2026-06-02T09:26:48Z")
    return box


@pytest.mark.parametrize("name", ["account_v23", "account_v24", "account_v25"])
def test_the_same_questions_are_refused_in_the_same_words(
    api: Client, then: Sandbox, account: Account, name: str
) -> None:
    if name == "account_v23":
        then.set_now("2026-03-06T12:00:00Z")
    compared = 0
    for path, params, status, recorded in asked(name):
        # What depends on that account's own size and rights cannot be compared, and is tested elsewhere.
        if status == 200 or "Not enough users" in str(recorded) or path.endswith("/tags"):
            continue
        error = api.error(re.sub(r"^\d{10,}", account.id, path), **params)
        expected = recorded["error"]
        assert error["status"] == status
        assert shortened(error["message"]) == shortened(expected["message"]), (path, params)
        assert error["type"] == expected["type"]
        compared += 1
    assert compared >= 8


def shortened(message: str) -> str:
    """Lists of legal values differ by a few names that nobody can explain; what stands before them does not."""
    return message.partition(" must be one of the following values: ")[0]


@pytest.mark.parametrize("name", ["insights_v23", "account_v24", "account_v25"])
def test_good_answers_have_the_recorded_keys(api: Client, then: Sandbox, account: Account, name: str) -> None:
    if name == "insights_v23":
        then.set_now("2026-04-21T09:13:18Z")
    compared = 0
    for path, params, status, recorded in asked(name):
        if status != 200 or not recorded.get("data") or "insights" not in path:
            continue
        answer = api.get(re.sub(r"^\d{10,}", account.id, path), **params)
        assert keys(answer) == keys(recorded), (path, params)
        ours, theirs = ([row["name"] for row in side["data"]] for side in (answer, recorded))
        assert ours == theirs
        ours, theirs = (
            [[v.get("end_time") for v in row.get("values", [])] for row in side["data"]] for side in (answer, recorded)
        )
        assert ours == theirs
        windows = [
            re.findall(r"(since|until)=(\d+)", str(sorted(side.get("paging", {}).items())))
            for side in (answer, recorded)
        ]
        if "until" in params:  # an open window ends at the second of the question
            assert sorted(windows[0]) == sorted(windows[1])
        compared += 1
    assert compared


def test_media_lists(api: Client, account: Account) -> None:
    """Every key that a live list has; ours may have more, as its world has more kinds of media."""
    for name in ("account_v24", "account_v25"):
        lists = [entry for entry in asked(name) if entry[0].endswith("/media") and entry[2] == 200 and entry[3]["data"]]
        assert lists
        for _, params, _, recorded in lists:
            wanted = {**params, "since": "2009-01-01", "until": "2026-12-01", "limit": "100"}
            answer = api.get(f"{account.id}/media", **wanted)
            assert keys(answer["data"]) >= keys(recorded["data"]) - {"[].owner"}


def test_single_pages_as_python_facebook_recorded_them(api: Client, box: Sandbox, account: Account) -> None:
    folder = RECORDED / PYTHON_FACEBOOK
    first, last = (json.loads((folder / f"medias/comments_p{n}.json").read_text()) for n in (1, 2))
    popular = max(box.world.media(account), key=lambda media: len(box.world.comments(media)))
    ours = api.get(f"{popular.id}/comments", limit=2)
    assert keys(ours) == keys(first)
    few = next(media for media in box.world.media(account) if 0 < len(box.world.comments(media)) < 50)
    assert keys(api.get(f"{few.id}/comments")) == keys(last)
    recorded = json.loads((folder / "medias/insights_new.json").read_text())
    image = next(media for media in box.world.media(account) if media.values["media_type"] == "IMAGE")
    activity = api.get(f"{image.id}/insights", metric="profile_activity", breakdown="action_type")
    assert keys(activity) == keys(recorded)
    recorded = json.loads((folder / "users/user_insights_new.json").read_text())
    window = {"metric": "reach", "period": "day", "metric_type": "total_value"}
    both = api.get(f"{account.id}/insights", **window, breakdown="media_product_type,follow_type")
    assert keys(both) == keys(recorded)
    stories = json.loads((folder / "stories/stories_default.json").read_text())
    fields = "id,caption,media_type,media_url,owner,permalink,shortcode,timestamp,username,ig_id"
    assert keys(api.get(f"{account.id}/stories", fields=fields)["data"]) == keys(stories["data"])


def test_the_instagram_hosts_error(api: Client, account: Account) -> None:
    recorded = json.loads((RECORDED / "restfb" / "ig_login_exception.json").read_text())["error"]
    error = api.error(f"{account.id}/impressions/day", host="graph.instagram.com")
    assert {key: error[key] for key in recorded if key != "fbtrace_id"} == {
        key: value for key, value in recorded.items() if key != "fbtrace_id"
    }
