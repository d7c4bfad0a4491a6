"""Write the parts of pages that follow from the code.

They are what `discover` and `spec` answer, a record of each stream, what the SQL models say of themselves, and what
`make demo` prints.

A generated part stands between `<!-- name: written by make docs -->` and `<!-- end of name -->`. The demo's output is
written with `--demo` only, because its seconds differ each time.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from docs import costs
from docs.examples import OTHERS, examples
from source_instagram.source import SourceInstagram
from source_instagram.truth import RULES

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models" / "models"
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("streams", "costs", "models", "truth")))
LOGGER = logging.getLogger("airbyte.docs")
META = "https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference"
INSIGHTS = "https://developers.facebook.com/documentation/instagram-platform"
USER_INSIGHTS = ("/{account}/insights", f"{INSIGHTS}/api-reference/instagram-user/insights")
MEDIA_INSIGHTS = f"{INSIGHTS}/reference/instagram-media/insights"
DISCOVERY = ("/{account}?fields=business_discovery", f"{META}/ig-user/business_discovery")
EDGES = {
    "accounts": ("/me/accounts", "https://developers.facebook.com/docs/graph-api/reference/user/accounts"),
    "users": ("/{account}", f"{META}/ig-user"),
    "user_insights": USER_INSIGHTS,
    "user_total_insights": USER_INSIGHTS,
    "user_insights_breakdowns": USER_INSIGHTS,
    "user_lifetime_insights": USER_INSIGHTS,
    "audience_demographics": USER_INSIGHTS,
    "media": ("/{account}/media", f"{META}/ig-user/media"),
    "media_insights": ("/{media}/insights", MEDIA_INSIGHTS),
    "stories": ("/{account}/stories", f"{META}/ig-user/stories"),
    "story_insights": ("/{story}/insights", MEDIA_INSIGHTS),
    "comments": ("/{media}/comments", f"{META}/ig-media/comments"),
    "tags": ("/{account}/tags", f"{META}/ig-user/tags"),
    "discovered_users": DISCOVERY,
    "discovered_media": DISCOVERY,
    "hashtags": ("/ig_hashtag_search", f"{META}/ig-hashtag-search"),
    "hashtag_media": ("/{hashtag}/top_media", f"{META}/ig-hashtag/top-media"),
}


@dataclass(frozen=True)
class Cost:
    """What a first sync of a stream costs for each account, as counts of what it is paid for; `""` is the account.

    It is read without other streams, and something happens every day: what streams share, and what days on which
    nothing happened spare, comes off. unit_tests/test_docs.py counts the calls and requests of a sync of the sandbox.
    """

    calls: Mapping[str, int]  # Graph calls, of which each item of a batch is one
    requests: Mapping[str, int]  # HTTP requests with Facebook Login, at most; with Instagram Login each call is one
    instagram_calls: Mapping[str, int] = field(default_factory=dict)  # where Instagram Login differs
    is_most: bool = False  # calls are so many at most, and half of that at least


OFF_FACEBOOK = "media that is not on Facebook"
LACKING = "number that Meta refuses of a story (`facebook_views`, `total_views`)"
PAGE = "page of 10, 25 and then 50 media"
FURTHER = "50 comments of a media that has over 25, or 10 replies to one of them"
OF_OTHERS = ("discovered_users", "discovered_media", "hashtags", "hashtag_media")
POLL = "media while a column of polls is selected"
SEARCHED = "hashtag that was not searched in the last seven days"
COSTS = {
    "accounts": Cost({"100 Pages of the token": 1}, {"100 Pages of the token": 1}),
    "users": Cost({"": 1}, {"": 1}),
    "user_insights": Cost({"": 2, "30 days": 3}, {"": 1, "500 days": 1}),
    "user_total_insights": Cost({"day": 2}, {"": 1, "25 days": 1}),
    "user_insights_breakdowns": Cost({"day": 3}, {"": 1, "25 days": 2}),
    "user_lifetime_insights": Cost({"": 3}, {"": 2}),
    "audience_demographics": Cost({"": 25}, {"": 3}),  # 24 after the first, which may end one batch and begin another
    # One call for each media while a column of polls is selected.
    "media": Cost({"100 media": 1, POLL: 1}, {"": 1, "100 media": 1, "50 polls": 1}, instagram_calls={POLL: 0}),
    "stories": Cost({"100 stories": 1}, {"100 stories": 1}),
    "tags": Cost({"": 1, "100 tags": 1}, {"": 1, "100 tags": 1}),
    "media_insights": Cost(
        {"media": 1, OFF_FACEBOOK: 1, "media with profile activity": 1},
        {"": 3, "100 media": 2, "20 media": 1},
    ),
    "story_insights": Cost({"story": 1, LACKING: 1, "breakdown of a story that is not 0": 1}, {"": 6, "20 stories": 1}),
    # Which of the media of which Meta counts more than it shows are asked singly depends on their order.
    "comments": Cost(
        {PAGE: 1, FURTHER: 1, "comment with 25 replies or more": 1, "": 10},
        {PAGE: 1, FURTHER: 1, "comment with 25 replies or more": 1, "": 5},
        is_most=True,
    ),
    # Neither goes by account.
    "discovered_users": Cost({"username": 1}, {"username": 1}),
    "discovered_media": Cost(
        {"username": 1, "50 media of a username": 1}, {"username": 1, "50 media of a username": 1}
    ),
    "hashtags": Cost({"sync": 1, SEARCHED: 1}, {"sync": 2}),
    "hashtag_media": Cost(
        {"50 top media of a hashtag": 1, "50 recent media of a hashtag": 1},
        {"50 top media of a hashtag": 1, "50 recent media of a hashtag": 1},
    ),
}


@functools.cache
def discovered() -> tuple[Any, ...]:
    """The streams, as `discover` gives them."""
    config = {"access_token": "none-is-needed-to-list-the-streams", **OTHERS}
    return tuple(SourceInstagram(config=config).discover(LOGGER, config).streams)


def streams() -> str:
    """The streams at a glance."""
    rows = [
        [_link(stream), _description(stream), _key(stream), _modes(stream), _edge(stream)] for stream in discovered()
    ]
    return table(["stream", "one record is", "primary key", "sync modes", "from"], rows)


def _link(stream: Any) -> str:
    return f"[`{stream.name}`](docs/streams.md#{stream.name})"


def _description(stream: Any) -> str:
    return str(stream.json_schema["description"]).rstrip(".")


def _key(stream: Any) -> str:
    return ", ".join(f"`{part}`" for (part,) in stream.source_defined_primary_key or [])


def _modes(stream: Any) -> str:
    cursor = f", incremental by `{stream.default_cursor_field[0]}`" if stream.default_cursor_field else ""
    return "full" + (cursor if "incremental" in [mode.value for mode in stream.supported_sync_modes] else "")


def _edge(stream: Any) -> str:
    if stream.name not in EDGES:
        raise SystemExit(f"docs/generate.py: say in EDGES which edge the stream {stream.name} comes from.")
    edge, address = EDGES[stream.name]
    return f"[`{edge}`]({address})"


def facts(stream: Any) -> str:
    """What a stream is, and what it costs."""
    cost = COSTS.get(stream.name)
    if not cost:
        raise SystemExit(f"docs/generate.py: say in COSTS what the stream {stream.name} costs.")
    rows = [
        ["one record is", _description(stream)],
        ["primary key", _key(stream)],
        ["sync modes", _modes(stream)],
        ["from", _edge(stream)],
        ["Graph calls", _costs(cost.calls, cost.instagram_calls, is_most=cost.is_most)],
        ["HTTP requests", _costs(cost.requests, is_most=cost.is_most)],
    ]
    return table(["", ""], rows)


def _costs(counts: Mapping[str, int], instagram: Mapping[str, int] | None = None, *, is_most: bool = False) -> str:
    terms = []
    for unit, count in counts.items():
        aside = f" ({instagram[unit]} with Instagram Login)" if instagram and unit in instagram else ""
        terms.append(f"{count} for each {unit}{aside}" if unit else f"{'up to ' * is_most}{count}")
    return " + ".join(terms)


def columns(stream: Any) -> str:
    """The columns of a stream, and a record."""
    rows = [
        [f"`{name}`", _type(declared), declared.get("unit", ""), _sentence(declared), _source(declared)]
        for name, declared in _fields(stream.json_schema)
    ]
    shown = table(["column", "type", "unit", "description", "Meta's source"], rows)
    return f"{shown}\n\n```json\n{_examples()[stream.name]}\n```"


@functools.cache
def _examples() -> dict[str, str]:
    return examples(discovered())


def _fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every field that a schema declares, nested ones too: `children[].owner.id`."""
    for name, declared in schema.get("properties", {}).items():
        yield prefix + name, declared
        yield from _fields(declared, f"{prefix}{name}.")
        yield from _fields(declared.get("items", {}), f"{prefix}{name}[].")


def _type(declared: Mapping[str, Any]) -> str:
    kinds = declared["type"] if isinstance(declared["type"], list) else [declared["type"]]
    (kind,) = [kind for kind in kinds if kind != "null"]
    shown = {"date-time": "timestamp", "date": "date", "uri": "address"}.get(declared.get("format", ""), str(kind))
    of = declared.get("additionalProperties")
    return shown + (" of integers" if isinstance(of, dict) else "") + ("" if "null" in kinds else ", never null")


def _sentence(declared: Mapping[str, Any]) -> str:
    return str(declared["description"]).rstrip(".")


def _source(declared: Mapping[str, Any]) -> str:
    return "" if declared["source"] == "connector" else str(declared["source"])


def configuration() -> str:
    """The configuration keys, as the specification has them."""
    specification = SourceInstagram().spec(LOGGER).connectionSpecification
    keys = sorted(specification["properties"].items(), key=lambda item: item[1].get("order", 99))
    rows = [
        [f"`{key}`", _kind(declared, required=key in specification["required"]), _default(declared), _meaning(declared)]
        for key, declared in keys
    ]
    return table(["key", "value", "default", "meaning"], rows)


def _kind(declared: Mapping[str, Any], *, required: bool) -> str:
    if "enum" in declared:
        kind = " or ".join(f"`{value}`" for value in declared["enum"])
    elif "oneOf" in declared:
        kind = " or ".join(f"`{_option(each)}`" for each in declared["oneOf"])
    elif "examples" in declared and "pattern" in declared:
        kind = f"like `{declared['examples'][0]}`"
    elif "minimum" in declared:
        kind = f"{declared['minimum']} to {declared['maximum']}"
    else:
        kind = {"array": "list"}.get(declared["type"], declared["type"])
    return ", ".join(
        [kind, *(["secret"] if declared.get("airbyte_secret") else []), *(["required"] if required else [])]
    )


def _option(declared: Mapping[str, Any]) -> str:
    """One of several objects, by what tells it from the others."""
    return json.dumps({name: each["const"] for name, each in declared["properties"].items() if "const" in each})


def _default(declared: Mapping[str, Any]) -> str:
    return f"`{declared['default']}`" if "default" in declared else ""


def _meaning(declared: Mapping[str, Any]) -> str:
    return str(declared["description"])


def questions() -> str:
    """What each SQL model answers."""
    rows = [
        [f"[`{name}`](#{name})", model["config"]["meta"]["question"], _streams(model, "streams")]
        for name, model in _models().items()
    ]
    return table(["table", "question", "made of"], rows)


def models() -> str:
    """What the SQL models are, what they are made of, and the question that each answers."""
    return "\n\n".join(map(_model, _models().values()))


def _models() -> dict[str, dict[str, Any]]:
    pages = [yaml.safe_load(page.read_text(encoding="utf-8")) for page in sorted(MODELS.glob("*/*.yml"))]
    return {model["name"]: model for page in pages for model in page["models"]}


def _streams(model: Mapping[str, Any], which: str) -> str:
    names = model["config"]["meta"].get(which, [])
    return ", ".join(f"[`{name}`](streams.md#{name})" for name in names)


def _model(model: Mapping[str, Any]) -> str:
    meta = model["config"]["meta"]
    appended = f", of which appended: {_streams(model, 'appended')}" if meta.get("appended") else ""
    columns = table(["column", "description"], [[f"`{c['name']}`", _sentence(c)] for c in model["columns"]])
    answer = re.sub(r" (from|where|order|limit|select max)\b", r"\n\1", meta["answer"])
    return (
        f"### {model['name']}\n\n{model['description']} Made of {_streams(model, 'streams')}{appended}.\n\n"
        f"{meta['question']}\n\n```sql\n{answer}\n```\n\n{columns}"
    )


def rules() -> str:
    """The rules that a probe tries."""
    rows = [
        [
            f"`{rule.name}`",
            rule.question,
            rule.expected,
            rule.otherwise,
            f"`{rule.healed_by}`" if rule.healed_by else "",
        ]
        for rule in RULES
    ]
    return table(["rule", "question", "expected", "otherwise", "in"], rows)


def demo() -> str:
    """What `make demo` prints; its picture is kept, too."""
    run = subprocess.run([sys.executable, "-m", "demo"], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    shutil.copy(ROOT / "demo" / "report.png", ROOT / "docs" / "report.png")
    output = re.sub(r"^Making \.environments.*\n", "", run.stdout, flags=re.MULTILINE)
    output = re.sub(r"^read\n(?:  .*\n)+", "read      …\n", output, flags=re.MULTILINE)
    return f"```console\n$ make demo\n{output.strip()}\n```"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def parts() -> dict[str, Callable[[], str]]:
    """What writes each part, by its name."""
    of_streams = {
        f"{part.__name__} of {stream.name}": functools.partial(part, stream)
        for stream in discovered()
        for part in (facts, columns)
    }
    of_costs = {"costs": costs.costs, "where it goes": costs.where_it_goes}
    of_models = {"questions": questions, "models": models}
    whole = {"streams": streams, "configuration": configuration, "rules": rules}
    return {**whole, **of_streams, **of_costs, **of_models}


DEMO: dict[str, Callable[[], str]] = {"demo": demo}


def renewed(text: str, writers: Mapping[str, Callable[[], str]]) -> str:
    """A page with its generated parts written anew."""
    for name, write in writers.items():
        begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if opened and closed:
            text = f"{before}{begin}\n{write()}\n{end}{after}"
    return text


def outdated() -> list[str]:
    """The pages whose generated parts differ from what the code says."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    return [str(page.relative_to(ROOT)) for page, text in texts.items() if renewed(text, parts()) != text]


def main() -> int:
    """Write the pages, or tell which should be written."""
    arguments = argparse.ArgumentParser(prog="python -m docs", description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing; fail when a page is not up to date")
    arguments.add_argument("--demo", action="store_true", help="run the demo too and write what it prints")
    given = arguments.parse_args()
    if given.check:
        stale = outdated()
        for name in stale:
            print(f"{name} is not up to date: run make docs.", file=sys.stderr)
        return 1 if stale else 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(renewed(text, {**parts(), **(DEMO if given.demo else {})}), encoding="utf-8")
    return 0
