"""Every stream has a schema, which says what its records are, and of each property what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airbyte_cdk.sources.declarative.interpolation import InterpolatedString

from manifest_lint.manifest import Finding, Manifest
from manifest_lint.parts import Part
from manifest_lint.places import Place, Unreadable, place_of, read

FILE = {"type": "JsonFileSchemaLoader"}  # where nothing else is said


def check(manifest: Manifest) -> Iterator[Finding]:
    """The streams that a catalog shows, with the schemas that can be read without asking an API."""
    for stream in manifest.streams():
        where, loaders = place_of(stream.value.get("name"), stream.place), stream.value.get("schema_loader")
        for loader in loaders if isinstance(loaders, list) else [loaders or FILE]:
            if isinstance(loader, dict):
                yield from by_loader(loader, stream, manifest, where)


def by_loader(loader: dict[str, Any], stream: Part, manifest: Manifest, where: Place) -> Iterator[Finding]:
    """What is wrong with the schema that one loader gives."""
    name = f"the stream `{stream.value.get('name')}`"
    try:
        schema = load(loader, stream, manifest)
    except Unreadable as error:
        yield Finding(where, f"{name} has no schema: {error}")
    else:
        if isinstance(schema, dict):
            yield from undescribed(schema, name, where)


def load(loader: dict[str, Any], stream: Part, manifest: Manifest) -> Any:
    """The schema that a loader gives; nothing where only the API or a class knows it.

    Raises:
        Unreadable: there is no such file.
    """
    if loader.get("type") == "InlineSchemaLoader":
        return loader.get("schema") or {}
    if loader.get("type") != "JsonFileSchemaLoader":
        return None
    template = str(loader.get("file_path") or f"./{manifest.file.parent.name}/schemas/{stream.value.get('name')}.json")
    try:
        path = str(InterpolatedString.create(template, parameters=loader.get("$parameters") or {}).eval({}))
    except Exception as error:  # of a template, of which there is a rule
        raise Unreadable(f"{template} cannot be rendered") from error
    folder = manifest.file.resolve().parent
    for base in (folder.parent, folder, Path.cwd()):
        if (base / path).is_file():
            file = base / path
            return read(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
    raise Unreadable(f"{path} is not there")


def undescribed(schema: dict[str, Any], what: str, where: Place) -> Iterator[Finding]:
    """What has no description: a schema, a property, or a property in one."""
    here = place_of(schema, where)
    if not schema.get("description"):
        yield Finding(here, f"{what} has no description")
    yield from properties(schema, here)


def properties(schema: Any, where: Place) -> Iterator[Finding]:
    """The properties of a schema, its items' and those of its alternatives."""
    if not isinstance(schema, dict):
        return
    named = schema.get("properties")
    for name, inner in named.items() if isinstance(named, dict) else ():
        if isinstance(inner, dict):
            if not inner.get("description"):
                yield Finding(place_of(name, where), f"the property `{name}` has no description")
            yield from properties(inner, place_of(name, where))
    for key in ("items", "additionalProperties", "anyOf", "oneOf", "allOf"):
        for inner in schema[key] if isinstance(schema.get(key), list) else [schema.get(key)]:
            yield from properties(inner, where)
