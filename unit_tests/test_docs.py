"""What is written about the connector is true of it."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from unittest import mock

import jsonschema
import pytest
import yaml
from harness import CONDITIONAL, OTHERS, SCHEMAS, Connector, clean
from harness import STREAMS as OWN
from oracle import PRIMARY_KEYS

from bench.ledger import Ledger
from docs import generate
from docs.examples import example, written
from sandbox import Sandbox, World
from source_instagram import quiet, scout
from source_instagram.source import SourceInstagram

STREAMS = [*OWN, *CONDITIONAL]
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STREAMS_PAGE = (ROOT / "docs" / "streams.md").read_text(encoding="utf-8")
GETTING_STARTED = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
MANIFEST = yaml.safe_load((ROOT / "source_instagram" / "manifest.yaml").read_text(encoding="utf-8"))
TABLES = MANIFEST["definitions"]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "sandbox" / "README.md", *(ROOT / "docs").glob("*.md")]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(stream: str) -> str:
    """What the page of streams says of one of them."""
    (text,) = re.findall(rf"^## {stream}\n(.*?)(?=^## |\Z)", STREAMS_PAGE, re.DOTALL | re.MULTILINE)
    return str(text)


def notes(stream: str) -> str:
    """The part of that which is written by hand, on one line."""
    text = section(stream).partition(f"<!-- end of facts of {stream} -->")[2]
    return " ".join(text.partition("<!-- columns of")[0].split())


# -- Generated parts ---------------------------------------------------------------------------------------------------


def test_generated_parts_are_up_to_date() -> None:
    assert not generate.outdated(), "Run make docs."


@pytest.mark.parametrize("name", ["demo", "streams", "configuration"])
def test_generated_parts_have_their_place(name: str) -> None:
    assert re.search(f"<!-- {name}: written by make docs -->\n.*<!-- end of {name} -->", README, re.DOTALL)


def test_every_generated_part_stands_once_on_one_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in generate.PAGES)
    begun = Counter(re.findall(r"<!-- (.*): written by make docs -->", pages))
    ended = Counter(re.findall(r"<!-- end of (.*) -->", pages))
    assert begun == ended == Counter({**generate.parts(), **generate.DEMO}.keys())


def test_only_the_generated_parts_are_written() -> None:
    text = "before\n<!-- a: written by make docs -->\nold\n<!-- end of a -->\nafter \\1\n"
    assert generate.renewed(text, {"a": lambda: r"new \1", "b": str}) == text.replace("old", r"new \1")


# -- README ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_make_knows_the_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z-]+)(?=`|  )", README + STREAMS_PAGE):
        assert re.search(f"^{target}:", makefile, re.MULTILINE), target


def test_example_configuration_is_legal() -> None:
    (line,) = re.findall(r"^\{.*\}$", README, re.MULTILINE)
    specification = SourceInstagram().spec(generate.LOGGER).connectionSpecification
    jsonschema.validate(json.loads(line), specification)


def test_every_stream_is_in_the_picture() -> None:
    picture = README.split("```text")[1].split("```")[0]
    assert sorted(re.findall(r"── (\w+)", picture)) == sorted(STREAMS)


def test_the_permissions_are_those_of_the_authenticate_button() -> None:
    consent = MANIFEST["spec"]["advanced_auth"]["oauth_config_specification"]["oauth_connector_input_specification"]
    asked = {
        scope
        for scopes in re.findall(r"'([a-z_,]*basic[a-z_,]*)'", consent["consent_url"])
        for scope in scopes.split(",")
    }
    (table,) = re.findall(r"^## Permissions\n(.*?)^Without", GETTING_STARTED, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", table)) == asked
    assert set(re.findall(r"`((?:instagram|pages)_\w+)`", README)) == asked - {"business_management"}


# -- The page of streams -----------------------------------------------------------------------------------------------


def test_every_stream_has_its_section_and_its_cost() -> None:
    sections = re.findall(r"^## (\w+)$", STREAMS_PAGE, re.MULTILINE)
    assert sorted(sections) == sorted(STREAMS) == sorted(generate.COSTS)


@pytest.mark.parametrize("stream", STREAMS)
def test_notes_name_only_what_there_is(stream: str) -> None:
    assert notes(stream).startswith("* ")
    keys = {*MANIFEST["spec"]["connection_specification"]["properties"], *STREAMS}
    rows = [row for table in TABLES.values() if isinstance(table, list) for row in table if isinstance(row, dict)]
    tables = {name for row in rows for name in row.get("metrics", [])}
    columns = {name for schema in SCHEMAS.values() for name in schema["properties"]}
    values = {"top_media", "recent_media"}
    values |= {"breakdown", "this_week", "this_month", "instagram_manage_comments", "ccb", "_nc_rid", "age", "gender"}
    values |= {"city", "country", "age,gender", "follow_type", "media_product_type", "contact_button_type"}
    known = keys | tables | columns | values
    told = {name for name in re.findall(r"`([^`]+)`", notes(stream)) if "*" not in name}
    assert told - known == set()


@pytest.mark.parametrize(
    ("stream", "table"), [("media_insights", "media_metrics"), ("story_insights", "story_metrics")]
)
def test_metrics_that_are_only_sometimes_there_are_named(stream: str, table: str) -> None:
    (told,) = re.findall(r"\* Only sometimes there: (.*?)(?= \* |$)", notes(stream))
    optional = {name: row.get("login") for row in TABLES[table] if row.get("optional") for name in row["metrics"]}
    assert {name for name in re.findall(r"`(\w+)`", told) if not name.endswith("_")} == optional.keys()


def test_metrics_with_a_breakdown_are_named() -> None:
    (told,) = re.findall(r"\* Which metrics have which breakdown: (.*?)\.(?= \* |$)", notes("user_insights_breakdowns"))
    for part in told.split(";"):
        metrics, _, breakdown = part.rpartition(" by ")
        rows = [row for row in TABLES["breakdown_metrics"] if f"`{row['breakdown']}`" == breakdown]
        assert sorted(re.findall(r"`(\w+)`", metrics)) == sorted(name for row in rows for name in row["metrics"])
    assert len(told.split(";")) == len({row["breakdown"] for row in TABLES["breakdown_metrics"]})


@pytest.mark.parametrize("stream", STREAMS)
def test_examples_are_records(stream: str) -> None:
    (text,) = re.findall(r"^```json\n(.*?)^```", section(stream), re.DOTALL | re.MULTILINE)
    record = json.loads(text)
    jsonschema.Draft7Validator(SCHEMAS[stream], format_checker=jsonschema.FormatChecker()).validate(record)
    assert record.keys() <= SCHEMAS[stream]["properties"].keys()
    assert record.keys() >= {*PRIMARY_KEYS[stream]}


@pytest.mark.parametrize("stream", STREAMS)
def test_every_column_is_in_the_table(stream: str) -> None:
    table = section(stream).partition(f"<!-- columns of {stream}")[2]
    names = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert [name for name in names if not re.search(r"[.\[]", name)] == list(SCHEMAS[stream]["properties"])


def test_the_example_is_the_fullest_and_does_not_depend_on_the_order() -> None:
    records = [
        {"id": "3"},
        {"id": "2", "a": None},
        {"id": "9", "a": 1},
        {"id": "1", "a": 1},
        {"id": "4", "a": 1, "b": 2},
    ]
    assert example(records) == example(records[::-1]) == {"id": "4", "a": 1, "b": 2}
    assert example(records[:4]) == example(records[3::-1]) == {"id": "1", "a": 1}
    assert example([*records, {"id": "5", "c": 1}], "c") == {"id": "5", "c": 1}


def test_long_signatures_are_cut() -> None:
    record = {
        "media_url": f"https://a.example/b.jpg?oh={'0' * 90}",
        "website": "https://a.example/?b=1",
        "x": [{"y": 1}],
    }
    assert json.loads(written(record)) == record | {"media_url": "https://a.example/b.jpg?…"}


# -- What it costs -----------------------------------------------------------------------------------------------------

DAYS = 50
# A call alone may not tell which of two streams it is for, so that they are read one after the other.
ALIKE = {
    "user_insights_breakdowns": "user_total_insights",
    "user_lifetime_insights": "audience_demographics",
    "discovered_users": "discovered_media",
}
READ_LATER = {other: stream for stream, other in ALIKE.items()}


@dataclass
class Spent:
    """What a first sync asked of the sandbox, by stream, and the world that it read."""

    world: World
    login: str
    calls: Counter[str]
    requests: Counter[str]  # in which it had calls
    mostly: Counter[str]  # in which it had the most
    paths: list[str]


def spent(box: Sandbox, login: str) -> Spent:
    clean(box)
    box.reset(accounts=2, portfolio_accounts=0, media=105, albums=30, tags=30, before_conversion=0)
    start = datetime.combine(datetime.now(timezone.utc).date(), time(), timezone.utc) - timedelta(days=DAYS)
    there = Spent(box.world, login, Counter(), Counter(), Counter(), [])
    there_are = OWN if login == "instagram" else STREAMS
    for first in (True, False):
        streams = [stream for stream in there_are if (stream in ALIKE) != first]
        box.reset()
        box.set_usage(mode="missing")  # pacing may divide batches
        with (
            mock.patch.object(scout, "TEMPO", 1.0),  # and so may an impatient worker
            mock.patch.object(quiet, "ENOUGH", DAYS * 2),  # what is told is the most, and the second account sleeps
        ):
            own = {"login_type": login, "start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}"}
            outcome = Connector(box).read(*streams, polls=True, **own)
        assert outcome.statuses == dict.fromkeys(streams, "COMPLETE")
        ledger = Ledger(box.requests, box.world)
        mostly = Counter(Ledger([each], box.world).stream_calls.most_common(1)[0][0] for each in box.requests)
        kinds = (there.calls, ledger.stream_calls), (there.requests, ledger.stream_requests), (there.mostly, mostly)
        for found, counts in kinds:
            for stream, count in counts.items():
                found[(ALIKE if first else READ_LATER).get(stream, stream)] += count
        there.paths += [request["path"] for request in box.requests]
    return there


def counted(there: Spent) -> list[Counter[str]]:
    """What there is in each account, by the units that costs are told in."""
    end = datetime.now(timezone.utc) + timedelta(hours=16)  # of the day whose label has passed
    days = DAYS + (end.date() - datetime.now(timezone.utc).date()).days
    accounts = []
    for account in there.world.accounts[: 1 if there.login == "instagram" else None]:
        posts = there.world.media(account)
        comments = [there.world.comments(post) for post in posts]
        replies = [len(comment.replies) for each in comments for comment in each]
        stories, tags = there.world.stories(account), len(there.world.tags(account))
        counted = [post for post in posts if not (post.before_conversion or post.few_viewers)]
        seen = [story for story in stories if not story.few_viewers]
        total_views = len(seen) if there.login == "facebook" else 0
        found = {
            "": 1,
            "day": days,
            "25 days": math.ceil(days / 25),
            "500 days": math.ceil(days / 500),
            "30 days": math.ceil(days / 30),
            "media": len(posts),
            "20 media": math.ceil(len(posts) / 20),
            generate.OFF_FACEBOOK: sum(not post.on_facebook for post in counted),
            "media with profile activity": sum(
                bool(there.world.media_metric(post, "profile_activity")) for post in counted if post.product == "FEED"
            ),
            "100 media": math.ceil(len(posts) / 100),
            generate.POLL: len(posts),
            "50 polls": math.ceil(len(posts) / 50),
            generate.PAGE: 2 + math.ceil((len(posts) - 35) / 50),
            generate.FURTHER: sum(
                math.ceil(len(each) / 50)
                for each in comments
                if len(each) > 25 or any(len(comment.replies) >= 10 for comment in each)
            ),
            "comment with 25 replies or more": sum(1 for count in replies if count >= 25),
            "story": len(stories),
            generate.LACKING: sum(not story.on_facebook for story in seen) + total_views,
            "breakdown of a story that is not 0": sum(
                bool(there.world.media_metric(story, metric))
                for story in seen
                for metric in ("navigation", "profile_activity")
            ),
            "20 stories": math.ceil(len(stories) / 20),
            "100 stories": math.ceil(len(stories) / 100),
            "100 tags": math.ceil(tags / 100),
        }
        accounts.append(Counter(found))
    accounts[0]["100 Pages of the token"] = 1  # of three
    rivals = [there.world.media(rival) for name in OTHERS["discover_usernames"] if (rival := there.world.rival(name))]
    tags = [tag for name in OTHERS["hashtags"] if (tag := there.world.hashtag(name))]
    accounts[0] |= {
        "sync": 1,
        "username": len(rivals),
        "50 media of a username": sum(math.ceil(len(media) / 50) for media in rivals),
        generate.SEARCHED: len(tags),
        "50 top media of a hashtag": sum(math.ceil(len(tag.top) / 50) for tag in tags),
        "50 recent media of a hashtag": sum(math.ceil(len(there.world.recent(tag)) / 50) for tag in tags),
    }
    return accounts


def told(there: Spent, what: str) -> Counter[str]:
    """What the streams cost all accounts, by the documentation."""
    found: Counter[str] = Counter()
    for stream, cost in generate.COSTS.items():
        if stream in CONDITIONAL and there.login == "instagram":
            continue
        rates = getattr(cost, what) | (cost.instagram_calls if there.login == "instagram" else {})
        found[stream] = sum(rate * account[unit] for unit, rate in rates.items() for account in counted(there))
    found["accounts"] *= 2  # both syncs list them
    return found


def settled(calls: Counter[str], there: Spent) -> Counter[str]:
    """Calls, with the most that is told in place of what is neither more than that nor less than half of it."""
    most = told(there, "calls")
    within = (
        name for name, cost in generate.COSTS.items() if cost.is_most and most[name] / 2 <= calls[name] <= most[name]
    )
    return Counter({**calls, **{name: most[name] for name in within}})


def test_calls_and_requests_are_as_many_as_told(server: Sandbox) -> None:
    there = spent(server, "facebook")
    permissions = Counter({"(other)": 2})  # asked for in both syncs, because the second account has no demographics
    assert settled(there.calls, there) == told(there, "calls") + permissions
    most = told(there, "requests") + permissions
    # Less, where calls of several streams or accounts share a batch. A stream may have a few in many that others fill.
    assert {stream: n for stream, n in there.mostly.items() if n > most[stream]} == {}
    assert max(told(there, "requests").total() / 3, there.calls.total() / 50) <= there.requests.total()


def test_with_instagram_login_every_call_is_a_request(server: Sandbox) -> None:
    there = spent(server, "instagram")
    others = [path for path in there.paths if not re.fullmatch(r"/v25\.0/(me|\d+(/[a-z]+)?)", path)]
    assert others == ["/refresh_access_token", "/me"] * 2, "for each sync, which tries the new token"
    assert there.requests == there.calls
    assert settled(there.calls, there) == told(there, "calls") + Counter({"(other)": 2, "accounts": 2})


def test_looking_after_the_token_is_one_request_or_three(box: Sandbox, connector: Connector) -> None:
    app = {"client_id": box.app_id, "client_secret": box.app_secret}
    for age, asked in ((2, 1), (45, 3)):
        box.reset()
        token = box.tokens.mint(age=timedelta(days=age)).text
        assert connector.read("accounts", access_token=token, **app).exit_code == 0
        assert box.http_requests - generate.COSTS["accounts"].calls["100 Pages of the token"] == asked
