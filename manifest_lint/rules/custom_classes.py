"""Classes exist, and take the fields that they are given: the CDK drops all others without a word."""

from __future__ import annotations

from collections.abc import Iterator

from manifest_lint.classes import Classes, NotFound, fields_of, reason
from manifest_lint.manifest import Finding, Manifest, meant
from manifest_lint.places import place_of

EVERYWHERE = {"type", "class_name", "$parameters"}


def check(manifest: Manifest) -> Iterator[Finding]:
    """Every component with a `class_name`."""
    classes = Classes(manifest.file.parent)
    for part in manifest.parts:
        if part.is_custom:
            name = part.value["class_name"]
            where = place_of(name, part.place)
            try:
                known = fields_of(classes.find(str(name)))
            except NotFound as error:
                yield Finding(where, str(error))
            except Exception as error:  # noqa: BLE001 - a type that it says is not there
                yield Finding(where, f"the types of `{name}` cannot be read, as the CDK does: {reason(error)}")
            else:
                for key in part.value.keys() - known - EVERYWHERE:
                    what = f"`{name.rpartition('.')[2]}` takes no `{key}`{meant(str(key), known)}"
                    yield Finding(place_of(next(own for own in part.value if own == key), part.place), what)
