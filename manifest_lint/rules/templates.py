"""Templates compile, and name only what there is where they stand: the CDK finds out when it first renders one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airbyte_cdk.sources.declarative.interpolation import jinja as cdk
from jinja2 import TemplateError, meta, nodes

from manifest_lint.manifest import SCHEMA, Finding, Manifest, meant
from manifest_lint.parts import OPAQUE, Part
from manifest_lint.places import Place, place_of

ENVIRONMENT = cdk._ENVIRONMENT  # noqa: SLF001 - the one that will render them
NAMED = ((nodes.Filter, "filter", ENVIRONMENT.filters), (nodes.Test, "test", ENVIRONMENT.tests))
ALWAYS = {"config", "parameters"}
# What the CDK gives beyond what its schema says.
BEYOND = {
    "AddFields": {"record", "stream_slice", "value", "path"},
    "ConfigAddFields": {"value", "path"},
    "JwtAuthenticator": {"json_loads"},
}
KNOWN = ALWAYS.union(
    (variable["title"] for variable in SCHEMA["interpolation"]["variables"]),
    *(
        field.get("interpolation_context", ())
        for kind in SCHEMA["definitions"].values()
        for field in kind.get("properties", {}).values()
    ),
    *BEYOND.values(),
)
# Airbyte's platform renders these, with variables of its own.
NOT_THE_CDKS = {"Spec.advanced_auth"}
BEGINNINGS = ("{{", "{%", "{#")


def check(manifest: Manifest) -> Iterator[Finding]:
    """Texts with a template in fields that a component takes; nobody renders others."""
    for part in manifest.built_parts:
        if NOT_THE_CDKS.isdisjoint(part.owners):
            for key, value in part.value.items():
                if key not in OPAQUE and is_taken(part, key):
                    allowed = variables([*part.owners, f"{part.kind}.{key}"])
                    for text, place in texts(value, place_of(key, part.place)):
                        if any(mark in text for mark in BEGINNINGS):
                            yield from (Finding(place, what) for what in problems(text, allowed))


def is_taken(part: Part, key: str) -> bool:
    """Whether a component takes a field; parameters are handed down to all of them."""
    return part.kind is None or key in part.fields or (part.is_custom and key not in part.value.get("$parameters", {}))


def texts(value: Any, place: Place) -> Iterator[tuple[str, Place]]:
    """The texts of one field. Mappings in it are parts, which have fields of their own."""
    if isinstance(value, str):
        yield value, place_of(value, place)
    elif isinstance(value, list):
        for element in value:
            yield from texts(element, place)


def variables(owners: list[str]) -> set[str]:
    """The variables of a field by the innermost component that it belongs to; all that there are where nothing says."""
    kind, _, key = next(owner for owner in reversed(owners) if not owner.startswith("None.")).partition(".")
    said = (SCHEMA["definitions"].get(kind) or SCHEMA)["properties"].get(key, {}).get("interpolation_context")
    return ALWAYS.union(said, BEYOND.get(kind, ())) if said else KNOWN


def problems(text: str, allowed: set[str]) -> Iterator[str]:
    """What is wrong with a template."""
    try:
        tree = ENVIRONMENT.parse(text)
        unknown = [
            f"the template uses an unknown {what} `{node.name}`{meant(node.name, there)}"
            for kind, what, there in NAMED
            for node in tree.find_all(kind)
            if node.name not in there
        ]
        if not unknown:
            ENVIRONMENT.from_string(text)
    except TemplateError as error:
        unknown = [f"the template does not compile: {error.message}"]
    yield from unknown
    known = allowed.union(ENVIRONMENT.globals)
    for name in () if unknown else sorted(meta.find_undeclared_variables(tree) - known):
        there = f"; there are {', '.join(sorted(allowed))}" if allowed != KNOWN else ""
        hint = meant(name, known) or there
        yield f"the template names `{name}`, which is not there{hint}"
