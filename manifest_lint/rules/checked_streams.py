"""What `check` reads are streams that there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from manifest_lint.manifest import Finding, Manifest, meant
from manifest_lint.places import Place, place_of


def check(manifest: Manifest) -> Iterator[Finding]:
    """The names that the check gives, of streams and of those that are made at run time."""
    streams = {str(stream.value.get("name")) for stream in manifest.streams()}
    dynamic = {str(part.value.get("name")) for part in manifest.built_parts if part.kind == "DynamicDeclarativeStream"}
    for part in manifest.built_parts:
        if part.kind == "CheckStream":
            names = part.value.get("stream_names")
            for name in names if isinstance(names, list) else ():
                yield from known(name, streams, part.place)
        elif part.kind == "DynamicStreamCheckConfig":
            yield from known(part.value.get("dynamic_stream_name"), dynamic, part.place)


def known(name: Any, there: set[str], place: Place) -> Iterator[Finding]:
    """What is wrong with a name."""
    if str(name) not in there:
        yield Finding(place_of(name, place), f"there is no stream `{name}` to check{meant(str(name), there)}")
