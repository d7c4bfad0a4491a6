"""The bundle brings what the package brings, and refuses what it refuses, in all that runs manifests.

`make test` has one sync of it; the others are slow, and run in an environment that has the CDK and nothing of ours.
"""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import runners
from harness import STREAMS, WORLD, Connector, Outcome, asked, clean, command, serving
from oracle import Oracle, keyed
from runners import as_image, by_paths, in_builder, manifest, posted, python, serving_manifests, texts
from test_syncs import START, iso

from sandbox import Sandbox

SECRET = "EAAMadeUpTokenThatNobodyMaySee0123456789"
BAD: list[tuple[str, Any]] = [("start_date", "2099-01-01T00:00:00Z"), ("access_token", f"{SECRET}\n{SECRET}")]
bad = pytest.mark.parametrize(("key", "value"), BAD, ids=["future", "line break"])
# Each way to run it once is enough for most: both read the same two files.
by_login = pytest.mark.parametrize(("run", "login"), [(as_image, "facebook"), (by_paths, "instagram")])
FROM_THE_START = "2010-10-06T00:00:00Z"  # test reads are incremental
WHOLE = {"record_limit": 5_000, "page_limit": 20, "slice_limit": 20}

Run = Callable[..., Outcome]


def shown(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a test read."""
    return [record for each in answer["slices"] for page in each["pages"] for record in page["records"]]


def errors(answer: dict[str, Any]) -> list[str]:
    return [log["message"] for log in answer["logs"] if log["level"] == "ERROR"]


# -- Records -----------------------------------------------------------------------------------------------------------


def test_the_bundle_brings_what_the_package_brings(box: Sandbox, connector: Connector) -> None:
    """The quick one: a list, and calls for the objects of one."""
    streams = ["users", "media_insights"]
    config = connector.config(start_date=iso(START))
    outcome = as_image("read", box.env, config=config, catalog=connector.catalog(streams))
    oracle = Oracle(box.world, START)
    assert (outcome.exit_code, outcome.stderr, outcome.statuses) == (0, "", dict.fromkeys(streams, "COMPLETE"))
    for stream in streams:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream)), stream


@pytest.mark.slow
@by_login
def test_the_runner_brings_every_record(box: Sandbox, connector: Connector, run: Run, login: str) -> None:
    config = connector.config(start_date=iso(START), login_type=login)
    outcome = run("read", box.env, python(), config=config, catalog=connector.catalog(STREAMS, login_type=login))
    oracle = Oracle(box.world, START, instagram=login == "instagram")
    assert (outcome.exit_code, outcome.stderr, outcome.errors) == (0, "", [])
    assert outcome.statuses == dict.fromkeys(STREAMS, "COMPLETE")
    for stream in STREAMS:
        assert keyed(stream, outcome.records[stream]) == keyed(stream, oracle.records(stream)), stream


@pytest.mark.slow
def test_the_builder_brings_every_record(box: Sandbox, connector: Connector) -> None:
    limits = {"max_records": 5_000, "max_pages_per_slice": 20, "max_slices": 20}
    answers = in_builder(STREAMS, box.env, connector.config(start_date=iso(START)), python(), **limits)
    oracle = Oracle(box.world, START)
    for stream in STREAMS:
        expected = [each for each in oracle.records(stream) if of_the_sync(stream, each)]
        assert errors(answers[stream]) == []
        assert keyed(stream, shown(answers[stream])) == keyed(stream, expected), stream


def of_the_sync(stream: str, record: dict[str, Any]) -> bool:
    """Whether an incremental sync that begins with START has a record: of younger media only."""
    cursor = {"media": "timestamp", "media_insights": "timestamp", "comments": "media_timestamp"}.get(stream)
    return cursor is None or str(record[cursor]) >= iso(START)


@pytest.fixture(scope="module")
def manifests(server: Sandbox) -> Iterator[str]:
    clean(server)
    with serving_manifests(server.env) as url:
        yield url


def read_over_http(url: str, stream: str, config: dict[str, Any], **limits: int) -> tuple[int, Any]:
    """A test read over HTTP."""
    body = {"manifest": manifest(), "custom_components_code": texts()["components.py"]}
    return posted(f"{url}/test_read", **body, config=config, stream_name=stream, **limits)


@pytest.mark.slow
def test_a_test_read_over_http_brings_every_record(manifests: str, box: Sandbox, connector: Connector) -> None:
    oracle = Oracle(box.world, START)
    for stream in STREAMS:
        status, answer = read_over_http(manifests, stream, connector.config(start_date=iso(START)), **WHOLE)
        assert (status, errors(answer)) == (200, []), answer
        expected = [each for each in oracle.records(stream) if of_the_sync(stream, each)]
        assert keyed(stream, shown(answer)) == keyed(stream, expected), stream


@pytest.mark.slow
def test_the_server_checks_discovers_and_resolves(manifests: str, connector: Connector) -> None:
    config = connector.config() | runners.injected()
    assert posted(f"{manifests}/check", manifest=manifest(), config=config) == (200, {"success": True, "message": None})
    status, answer = posted(f"{manifests}/discover", manifest=manifest(), config=config)
    assert (status, [stream["name"] for stream in answer["catalog"]["streams"]]) == (200, STREAMS)
    for path in ("resolve", "full_resolve"):
        status, answer = posted(f"{manifests}/{path}", manifest=manifest(), config=config)
        own = [stream["name"] for stream in answer["manifest"]["streams"] if "streams" not in stream]
        assert (status, own) == (200, STREAMS)
        assert json.dumps(answer).count("Meta throttles. Sync less often") == 1


@pytest.mark.slow
def test_a_manifest_that_the_builder_has_rewritten_runs_too(manifests: str, box: Sandbox, connector: Connector) -> None:
    """On import it asks for all references to be replaced, which leaves nothing of the definitions."""
    flags = {"__should_normalize": True, "__should_migrate": True}
    config = connector.config() | runners.injected()
    status, answer = posted(f"{manifests}/full_resolve", manifest=manifest() | flags, config=config)
    body = {"manifest": answer["manifest"], "custom_components_code": texts()["components.py"]}
    status, answer = posted(f"{manifests}/test_read", **body, config=connector.config(), stream_name="users")
    assert (status, errors(answer)) == (200, [])
    assert keyed("users", shown(answer)) == keyed("users", Oracle(box.world).records("users"))


# -- Limits of a test read ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stream", "calls"),
    [
        ("accounts", 1),  # the list of Pages
        ("tags", 2),  # and a page of tags
        ("user_total_insights", 5),  # two calls for each of two days
        ("media_insights", 14),  # a page of media, and what two of them need
        ("comments", 10),
    ],
)
def test_a_test_read_asks_for_what_it_may_show(
    manifests: str, box: Sandbox, connector: Connector, stream: str, calls: int
) -> None:
    config = connector.config(start_date=iso(START - timedelta(days=300)))
    status, answer = read_over_http(manifests, stream, config, record_limit=2)
    assert (status, errors(answer), answer["test_read_limit_reached"]) == (200, [], True)
    expected = Oracle(box.world, START - timedelta(days=300)).records(stream)
    shown_here = keyed(stream, shown(answer))
    assert len(shown(answer)) == len(shown_here) == 2
    assert shown_here.items() <= keyed(stream, expected).items()
    assert box.graph_calls <= calls


@pytest.mark.slow
def test_the_program_of_the_builder_shows_no_more_either(box: Sandbox, connector: Connector) -> None:
    answers = in_builder(["media", "comments"], box.env, connector.config(), python(), max_records=3)
    assert {stream: len(shown(answer)) for stream, answer in answers.items()} == {"media": 3, "comments": 3}


@pytest.mark.slow
def test_pages_and_slices_of_a_test_read_are_counted() -> None:
    with serving(**WORLD | {"accounts": 3, "media": 230}) as box, serving_manifests(box.env) as url:
        config = Connector(box).config(start_date=FROM_THE_START)
        status, answer = read_over_http(url, "media", config, record_limit=5_000, page_limit=2, slice_limit=2)
        assert (status, len(shown(answer))) == (200, 400)
        assert len([path for path, _ in asked(box.requests) if path.endswith("/media")]) == 4


# -- What cannot work --------------------------------------------------------------------------------------------------


def told(outcome: Outcome) -> list[str]:
    return [each["message"] for each in outcome.errors]


@pytest.mark.slow
@bad
def test_the_runner_refuses_what_the_package_refuses(box: Sandbox, connector: Connector, key: str, value: Any) -> None:
    config, catalog = connector.config(**{key: value}), connector.catalog(STREAMS)
    own = command("read", box.env, config=config, catalog=catalog)
    outcomes = [run("read", box.env, config=config, catalog=catalog) for run in (as_image, by_paths)]
    checked = as_image("check", box.env, config=config)
    (sentence,) = told(own)
    assert [told(each) for each in outcomes] == [[sentence]] * 2, "once, not for each stream"
    assert [each.exit_code for each in (own, *outcomes)] == [1, 1, 1]
    assert {each["failure_type"] for outcome in outcomes for each in outcome.errors} == {"config_error"}
    status, words = checked.check
    assert (status, sentence in words.replace("\\'", "'")) == ("FAILED", True), "with words of the CDK's around it"
    for outcome in (*outcomes, checked):
        assert SECRET not in outcome.stdout + outcome.stderr
        assert "Traceback" not in "".join(outcome.log())
    assert box.requests == []


@pytest.mark.slow
@bad
def test_test_reads_refuse_it_too(manifests: str, box: Sandbox, connector: Connector, key: str, value: Any) -> None:
    config = connector.config(**{key: value})
    status, over_http = read_over_http(manifests, "media", config)
    assert status == 200
    for answer in (over_http, in_builder(["media"], box.env, config)["media"]):
        (said,) = errors(answer)
        assert said.startswith(f"`{key}`")
        assert shown(answer) == []
        assert SECRET not in json.dumps(answer)
    assert box.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("names", [["nonsense"], ["users", "nonsense"]])
def test_catalogs_that_nobody_can_serve(box: Sandbox, connector: Connector, names: list[str]) -> None:
    users = connector.catalog(["users"])["streams"][0]
    catalog = {"streams": [{**users, "stream": users["stream"] | {"name": name}} for name in names]}
    outcome = as_image("read", box.env, config=connector.config(), catalog=catalog)
    sentence = "The catalog names streams that this connector does not have: nonsense. Refresh it."
    assert told(outcome) == ([sentence] if names == ["nonsense"] else [])
    assert outcome.exit_code == (names == ["nonsense"])
    if "users" in names:  # they are read; the CDK knows no way to fail at the end
        assert outcome.statuses == {"users": "COMPLETE", "nonsense": "INCOMPLETE"}
        assert sentence in outcome.log("WARN")


@pytest.mark.slow
@by_login
def test_the_runner_extends_a_token(box: Sandbox, connector: Connector, run: Run, login: str) -> None:
    token = box.tokens.mint(host=f"graph.{login}.com", age=timedelta(days=45)).text
    app = {"client_id": box.app_id, "client_secret": box.app_secret} if login == "facebook" else {}
    config = {"access_token": token, "login_type": login, **app}
    outcome = run("read", box.env, config=config, catalog=connector.catalog(["users"], login_type=login))
    (new,) = [m["control"]["connectorConfig"]["config"] for m in outcome.messages if m["type"] == "CONTROL"]
    assert new == {**config, "access_token": new["access_token"]}
    assert box.tokens.known[new["access_token"]].long_lived
    assert outcome.statuses == {"users": "COMPLETE"}
    assert token not in outcome.stdout


@pytest.mark.slow
def test_errors_are_sentences_in_the_log(box: Sandbox, connector: Connector) -> None:
    outcome = as_image("read", box.env, config={"access_token": SECRET}, catalog=connector.catalog(["users", "media"]))
    assert outcome.exit_code == 1
    # The last line is the CDK's own summary, with the package too.
    assert not [line for line in outcome.log() if "Traceback" in line and not line.startswith("During the sync")]
    assert "Exception while syncing stream users: The access token is malformed" in "".join(outcome.log("ERROR"))
