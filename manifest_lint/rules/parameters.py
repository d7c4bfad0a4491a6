"""What is handed down with `$parameters` has names: the CDK stops without a word of where, otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from manifest_lint.manifest import Finding, Manifest
from manifest_lint.places import Place, place_of

KEY = "$parameters"


def check(manifest: Manifest) -> Iterator[Finding]:
    """Every `$parameters`, wherever it stands."""
    yield from within(manifest.written, manifest.start)


def within(value: Any, place: Place) -> Iterator[Finding]:
    """Those in a value."""
    if isinstance(value, list):
        for element in value:
            yield from within(element, place)
    elif isinstance(value, dict):
        for key, child in value.items():
            if key == KEY and not (isinstance(child, dict) or str(child).startswith("#/")):
                yield Finding(place_of(key, place), "has to be a mapping of names to values")
            yield from within(child, place_of(key, place))
