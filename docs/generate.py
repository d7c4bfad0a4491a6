"""Write the parts of pages that follow from the code: what `discover` and `spec` answer, and what `make demo` prints.

A generated part stands between `<!-- name: written by make docs -->` and `<!-- end of name -->`. The demo's output is
written with `--demo` only, because its seconds differ each time.
"""

from __future__ import annotations

import argparse
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from source_instagram.source import SourceInstagram

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md",)
LOGGER = logging.getLogger("airbyte.docs")
META = "https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference"
INSIGHTS = "https://developers.facebook.com/documentation/instagram-platform"
USER_INSIGHTS = ("/{account}/insights", f"{INSIGHTS}/api-reference/instagram-user/insights")
MEDIA_INSIGHTS = f"{INSIGHTS}/reference/instagram-media/insights"
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
}


def streams() -> str:
    """The streams at a glance."""
    config = {"access_token": "none is needed to list the streams".replace(" ", "-")}
    found = SourceInstagram(config=config).discover(LOGGER, config).streams
    rows = [[f"`{stream.name}`", _description(stream), _key(stream), _modes(stream), _edge(stream)] for stream in found]
    return _table(["stream", "one record is", "primary key", "sync modes", "from"], rows)


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


def configuration() -> str:
    """The configuration keys, as the specification has them."""
    specification = SourceInstagram().spec(LOGGER).connectionSpecification
    keys = sorted(specification["properties"].items(), key=lambda item: item[1].get("order", 99))
    rows = [
        [f"`{key}`", _kind(declared, required=key in specification["required"]), _default(declared), _meaning(declared)]
        for key, declared in keys
    ]
    return _table(["key", "value", "default", "meaning"], rows)


def _kind(declared: Mapping[str, Any], *, required: bool) -> str:
    if "enum" in declared:
        kind = " or ".join(f"`{value}`" for value in declared["enum"])
    elif "examples" in declared and "pattern" in declared:
        kind = f"like `{declared['examples'][0]}`"
    elif "minimum" in declared:
        kind = f"{declared['minimum']} to {declared['maximum']}"
    else:
        kind = {"array": "list"}.get(declared["type"], declared["type"])
    return ", ".join(
        [kind, *(["secret"] if declared.get("airbyte_secret") else []), *(["required"] if required else [])]
    )


def _default(declared: Mapping[str, Any]) -> str:
    return f"`{declared['default']}`" if "default" in declared else ""


def _meaning(declared: Mapping[str, Any]) -> str:
    return str(declared["description"])


def demo() -> str:
    """What `make demo` prints."""
    run = subprocess.run([sys.executable, "-m", "demo"], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    output = re.sub(r"^read\n(?:  .*\n)+", "read      …\n", run.stdout, flags=re.MULTILINE)
    return f"```console\n$ make demo\n{output.strip()}\n```"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


PARTS: dict[str, Callable[[], str]] = {"streams": streams, "configuration": configuration}
DEMO: dict[str, Callable[[], str]] = {"demo": demo}


def renewed(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """A page with its generated parts written anew."""
    for name, write in parts.items():
        begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if opened and closed:
            text = f"{before}{begin}\n{write()}\n{end}{after}"
    return text


def outdated() -> list[str]:
    """The pages whose generated parts differ from what the code says."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    return [str(page.relative_to(ROOT)) for page, text in texts.items() if renewed(text, PARTS) != text]


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
        page.write_text(renewed(text, {**PARTS, **(DEMO if given.demo else {})}), encoding="utf-8")
    return 0
