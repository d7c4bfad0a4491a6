"""The manifest with its schemas inside, and everything else as it was written."""

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

# The Builder and the manifest-only image have no files beside the two.
FROM_FILES = re.compile(r"^ *schema_loader: \{type: JsonFileSchemaLoader, .*\n", re.MULTILINE)
STREAM = re.compile(r"^( +)\$parameters: \{name: (\w+), stream_name: \2\}\n", re.MULTILINE)


class CannotInline(Exception):  # noqa: N818 - says what happened
    """Why a manifest cannot hold its schemas."""


def inlined(manifest: str, schemas: Path, header: str) -> str:
    """The text of a manifest that holds the schemas of its streams, each once.

    Before: $parameters: {name: users, stream_name: users}
    After:  $parameters: {name: users, stream_name: users}
            schema_loader: {type: InlineSchemaLoader, schema: {$ref: "#/schemas/users"}}

    Raises:
        CannotInline: a stream would be without its schema.
    """
    text, count = FROM_FILES.subn("", manifest)
    if count != 1:
        raise CannotInline(f"One line of the manifest must say where all schemas lie; {count} do.")
    text = STREAM.sub(r'\g<0>\1schema_loader: {type: InlineSchemaLoader, schema: {$ref: "#/schemas/\2"}}' + "\n", text)
    whole = f"# {header}\n{text.rstrip()}\n\nschemas:\n" + "".join(map(entry, used(text, schemas)))
    check(yaml.safe_load(whole))
    return whole


def used(text: str, schemas: Path) -> list[Path]:
    """The files of the schemas that the streams refer to, in their order."""
    return [schemas / f"{name}.json" for _, name in STREAM.findall(text)]


def entry(schema: Path) -> str:
    """A schema as one of the manifest's, a line for each of its properties."""
    try:
        content: dict[str, Any] = json.loads(schema.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotInline(f"The stream {schema.stem} has no schema: {schema} cannot be read.") from error
    head = {name: value for name, value in content.items() if name != "properties"}
    lines = [f"    {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()]
    rows = [f"      {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in content["properties"].items()]
    return "\n".join([f"  {schema.stem}:", *lines, "    properties:", *rows]) + "\n"


def check(manifest: dict[str, Any]) -> None:
    """Whether each stream has its own schema.

    Raises:
        CannotInline: one has none, or another's.
    """
    entries = ([each] if isinstance(each, str) else each["streams"] for each in manifest["streams"])
    for reference in chain.from_iterable(entries):
        name = reference.rpartition("/")[2]
        stream = manifest["definitions"][name]
        if (stream.get("schema_loader") or {}).get("schema") != {"$ref": f"#/schemas/{name}"}:
            raise CannotInline(
                f"The stream {name} has no line `$parameters: {{name: {name}, stream_name: {name}}}` of its own."
            )
