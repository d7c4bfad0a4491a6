"""The components that a manifest is made of, each with what the CDK's schema says of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airbyte_cdk.sources.declarative.parsers.manifest_component_transformer import (
    CUSTOM_COMPONENTS_MAPPING,
    DEFAULT_MODEL_TYPES,
)

from manifest_lint.places import Place, place_of

ROOT = "DeclarativeSource"
# What holds no components: schemas of data, values of configurations, remarks of the Builder's.
OPAQUE = {"$parameters", "config_overrides", "connection_specification", "definitions", "metadata", "schema", "schemas"}


@dataclass(frozen=True)
class Part:
    """A component, or a mapping inside one.

    `kind` is its type in the CDK's schema, None where it has none; `shape` what the schema says of it, None where it
    may hold anything; `owners` the fields that lead to it, from the outermost.
    """

    kind: str | None
    shape: Mapping[str, Any] | None
    value: dict[Any, Any]
    place: Place
    owners: tuple[str, ...]

    @property
    def is_custom(self) -> bool:
        """Whether a class of the connector's own takes its fields."""
        return "class_name" in self.value

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the schema says of each field."""
        fields: Mapping[str, Any] = (self.shape or {}).get("properties", {})
        return fields


class Parts:
    """Finds the components of a manifest by the CDK's schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._kinds: Mapping[str, Mapping[str, Any]] = schema["definitions"]

    def of(self, manifest: dict[Any, Any], place: Place) -> Iterator[Part]:
        """Every component from the source itself down, each before what is in it."""
        whole = Part(ROOT, self._schema, manifest, place, ())
        yield whole
        yield from self._fields(whole)

    def _fields(self, part: Part) -> Iterator[Part]:
        rest = (part.shape or {}).get("additionalProperties")
        for key, child in part.value.items():
            if key not in OPAQUE:
                said = part.fields.get(key) or (rest if isinstance(rest, dict) else {})
                owners = (*part.owners, f"{part.kind}.{key}")
                yield from self._inside(child, self._alternatives(said), place_of(key, part.place), owners)

    def _inside(
        self, value: Any, alternatives: list[Mapping[str, Any]], place: Place, owners: tuple[str, ...]
    ) -> Iterator[Part]:
        if isinstance(value, list):
            items = [item for each in alternatives for item in self._alternatives(each.get("items", {}))]
            for element in value:
                yield from self._inside(element, items, place_of(element, place), owners)
        elif isinstance(value, dict):
            kind = self._kind(value, owners[-1])
            part = Part(
                kind, self._kinds[kind] if kind else self._only(alternatives), value, place_of(value, place), owners
            )
            yield part
            yield from self._fields(part)

    def _kind(self, value: dict[Any, Any], owner: str) -> str | None:
        """The type that a mapping says, or that the CDK gives it for where it stands."""
        said = value.get("type")
        if said is None:
            said = (CUSTOM_COMPONENTS_MAPPING if "class_name" in value else DEFAULT_MODEL_TYPES).get(owner)
        return said if isinstance(said, str) and said in self._kinds else None

    def _alternatives(self, said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What a schema allows, without references: a type of the CDK's, or a shape without a name."""
        if "$ref" in said:
            return self._alternatives(self._kinds[said["$ref"].rpartition("/")[2]])
        choices = [*said.get("anyOf", ()), *said.get("oneOf", ()), *said.get("allOf", ())]
        return [each for choice in choices for each in self._alternatives(choice)] if choices else [said]

    @staticmethod
    def _only(shapes: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The one shape that a mapping without a type can have here; of several, nobody knows which."""
        untyped = [each for each in shapes if each.get("type") == "object" and "type" not in each.get("properties", {})]
        return untyped[0] if len(untyped) == 1 else None
