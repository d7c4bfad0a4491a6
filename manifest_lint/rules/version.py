"""The manifest is for the CDK that is installed, or an older one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from packaging.version import InvalidVersion, Version

from manifest_lint.manifest import Finding, Manifest
from manifest_lint.places import place_of

CDK = "airbyte-cdk"


def check(manifest: Manifest) -> Iterator[Finding]:
    """The manifest's `version`."""
    said, installed = manifest.written.get("version"), metadata.version(CDK)
    where = place_of(said, manifest.start)
    try:
        if said is not None and Version(str(said)) > Version(installed):
            yield Finding(where, f"is for version {said} of the CDK, but {installed} is installed")
    except InvalidVersion:
        yield Finding(where, f"`{said}` is no version")
