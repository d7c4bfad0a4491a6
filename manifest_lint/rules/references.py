"""References lead somewhere, and not in a circle."""

from __future__ import annotations

from collections.abc import Iterator

from airbyte_cdk.sources.declarative.parsers.custom_exceptions import (
    CircularReferenceException,
    UndefinedReferenceException,
)
from airbyte_cdk.sources.declarative.parsers.manifest_reference_resolver import ManifestReferenceResolver

from manifest_lint.manifest import SECTIONS, Finding, Manifest, meant, section, text_places

NOWHERE = "leads nowhere"


def check(manifest: Manifest) -> Iterator[Finding]:
    """Every text that begins as a reference, for the CDK takes each for one."""
    try:
        manifest.resolved  # noqa: B018 - which is all that there is to do in most cases
    except Exception:  # noqa: BLE001 - the CDK's own words name no place
        yield from wrong(manifest)


def wrong(manifest: Manifest) -> Iterator[Finding]:
    """The references that cannot be resolved, each where it stands."""
    known = [f"#/{top}/{name}" for top in SECTIONS for name in section(manifest, top)]
    for text, place in text_places(manifest.written, manifest.start):
        what = problem(text, manifest) if text.startswith("#/") else None
        if what:
            yield Finding(place, f"`{text}` {what}{meant(text, known) if what == NOWHERE else ''}")


def problem(text: str, manifest: Manifest) -> str | None:
    """What is wrong with a reference itself, not with one that stands where it leads."""
    resolver, broken = ManifestReferenceResolver(), (UndefinedReferenceException, TypeError, ValueError)
    try:
        resolver._lookup_ref_value(text, manifest.written)  # noqa: SLF001 - as it reads a reference itself
    except broken:
        return NOWHERE
    try:
        resolver._evaluate_node(text, manifest.written, set())  # noqa: SLF001 - likewise
    except CircularReferenceException as error:
        return "leads in a circle" if str(error).endswith(f" {text}") else None
    except broken:
        return None
    return None
