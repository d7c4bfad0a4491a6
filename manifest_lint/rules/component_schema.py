"""The CDK's schema of components accepts the manifest. Where it does not, the CDK hides why; this rule says it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft7Validator, ValidationError

from manifest_lint.manifest import SCHEMA, Finding, Manifest, meant
from manifest_lint.places import Place, place_of

LONGEST = 200  # characters that jsonschema may say of a value


def check(manifest: Manifest) -> Iterator[Finding]:
    """Everything that the schema does not accept but unknown keys, which `keys` finds."""
    for error in Draft7Validator(SCHEMA).iter_errors(manifest.built):
        for reason in reasons(error):
            if reason.validator != "additionalProperties":
                yield Finding(place(reason, manifest), words(reason))


def reasons(error: ValidationError) -> Iterator[ValidationError]:
    """What is wrong within the alternative that was meant, which the type tells; the error itself where none does."""
    branches = defaultdict(list)
    for inner in error.context or ():
        branches[str(inner.schema_path[0])].append(inner)
    meant_ones = [errors for errors in branches.values() if not any(is_other(inner) for inner in errors)]
    if len(meant_ones) == 1:
        for inner in meant_ones[0]:
            yield from reasons(inner)
    else:
        yield error


def is_other(error: ValidationError) -> bool:
    """Whether an alternative is not what was meant: it is of another type, or of none of the kind."""
    return list(error.relative_path) == ["type"] or (not error.relative_path and error.validator == "type")


def place(error: ValidationError, manifest: Manifest) -> Place:
    """Where the value stands that is not accepted."""
    value: Any = manifest.built
    found = manifest.start
    for step in error.absolute_path:
        if isinstance(value, dict):
            found = place_of(next(key for key in value if key == step), found)
        value = value[step]
        found = place_of(value, found)
    return found


def words(error: ValidationError) -> str:
    """An error in words for people."""
    lacking, is_required, _ = error.message.partition(" is a required property")
    if is_required:
        return f"lacks {lacking}"
    if not error.context:
        return short(error.message)
    enums: list[Any] = [inner.validator_value for inner in error.context if inner.validator == "enum"]
    kinds = sorted({str(kind) for enum in enums for kind in enum})
    if kinds and isinstance(error.instance, dict):
        said = error.instance.get("type")
        given = f"a `{said}`" if said else "a mapping without a type"
        return f"{given} cannot stand here, but one of {', '.join(kinds)}{meant(str(said), kinds)}"
    types = sorted({str(inner.validator_value) for inner in error.context if inner.validator == "type"})
    return f"{short(repr(error.instance))} cannot stand here, but {' or '.join(types) or 'something else'}"


def short(text: str) -> str:
    """As much as a line can take."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
