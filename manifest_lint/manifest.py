"""A manifest as the rules look at it: as it was written, without references, and as the CDK builds from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from airbyte_cdk.sources.declarative.concurrent_declarative_source import get_declarative_component_schema
from airbyte_cdk.sources.declarative.parsers.manifest_component_transformer import ManifestComponentTransformer
from airbyte_cdk.sources.declarative.parsers.manifest_reference_resolver import ManifestReferenceResolver

from manifest_lint.parts import ROOT, Part, Parts
from manifest_lint.places import Place, Unreadable, place_of, read

SCHEMA = get_declarative_component_schema()
PARTS = Parts(SCHEMA)
STREAM = "DeclarativeStream"
SECTIONS = ("definitions", "schemas")  # what is there to be referred to


@dataclass(frozen=True, order=True)
class Finding:
    """Something that should be otherwise, and where."""

    place: Place
    what: str

    def __str__(self) -> str:
        """One line of a linter's output."""
        return f"{self.place}: {self.what}"


class Manifest:
    """A manifest's file and its content."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.start = Place(str(file), 1, 1, "")
        self.written: Any = read(file)
        if not isinstance(self.written, dict):
            raise Unreadable(f"{file}: is no manifest, which would be a mapping")

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """With each reference replaced by what it stands for."""
        return ManifestReferenceResolver().preprocess_manifest({"type": ROOT, **self.written})

    @cached_property
    def built(self) -> dict[str, Any]:
        """As the CDK builds from it: with the types that it adds, and parameters handed down."""
        return ManifestComponentTransformer().propagate_types_and_parameters("", self.resolved, {})

    @cached_property
    def parts(self) -> list[Part]:
        """The components as they are written."""
        return list(PARTS.of(self.resolved, self.start))

    @cached_property
    def built_parts(self) -> list[Part]:
        """The components as the CDK builds them."""
        return list(PARTS.of(self.built, self.start))

    def streams(self) -> Iterator[Part]:
        """The streams that a catalog shows, as the CDK builds them."""
        for part in self.built_parts:
            if part.kind == STREAM and len(part.owners) == sum(owner in SHOWN for owner in part.owners):
                yield part


# Where streams stand that are shown; elsewhere are parents of others.
SHOWN = {
    f"{ROOT}.streams",
    "ConditionalStreams.streams",
    "StateDelegatingStream.full_refresh_stream",
    "StateDelegatingStream.incremental_stream",
}


def section(manifest: Manifest, name: str) -> dict[Any, Any]:
    """What a section of a manifest holds by name."""
    content = manifest.written.get(name)
    return content if isinstance(content, dict) else {}


def text_places(value: Any, otherwise: Place) -> Iterator[tuple[str, Place]]:
    """Every text in a value, and where it stands."""
    if isinstance(value, str):
        yield value, place_of(value, otherwise)
    elif isinstance(value, (dict, list)):
        for child in value.values() if isinstance(value, dict) else value:
            yield from text_places(child, otherwise)


def meant(word: str, known: Any) -> str:
    """A question whether another word was meant, where one is like it."""
    like = get_close_matches(word, sorted(map(str, known)), n=1)
    return f"; did you mean `{like[0]}`?" if like else ""
