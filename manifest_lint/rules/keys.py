"""Keys are those that the CDK knows: it drops all others without a word."""

from __future__ import annotations

from collections.abc import Iterator

from manifest_lint.manifest import Finding, Manifest, meant
from manifest_lint.places import place_of

EVERYWHERE = {"type", "$parameters", "$comment"}


def check(manifest: Manifest) -> Iterator[Finding]:
    """Keys of components, and of the mappings in them whose keys the CDK's schema knows."""
    for part in manifest.parts:
        if part.fields and not part.is_custom:
            for key in part.value:
                if key not in part.fields and key not in EVERYWHERE:
                    what = f"{part.kind} has" if part.kind else "there is"
                    yield Finding(place_of(key, part.place), f"{what} no key `{key}`{meant(str(key), part.fields)}")
