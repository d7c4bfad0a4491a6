"""A linter for low-code manifests of Airbyte connectors, stricter than the CDK: see docs/manifest-lint.md."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from manifest_lint.manifest import Finding, Manifest
from manifest_lint.places import Place, Unreadable
from manifest_lint.rules import FIRST, RULES

__all__ = ["RULES", "Finding", "Place", "Unreadable", "lint"]


def lint(file: Path, ignore: Collection[str] = ()) -> list[Finding]:
    """What should be otherwise in a manifest, in the order of its lines.

    Raises:
        Unreadable: it is not there, or is no YAML.
    """
    manifest = Manifest(file)
    found = {finding for check in FIRST for finding in check(manifest)}
    if not found:  # otherwise nobody knows what the CDK would build
        # A definition that is used twice is one place.
        found = {finding for name, check in RULES.items() if name not in ignore for finding in check(manifest)}
    return sorted(found)
