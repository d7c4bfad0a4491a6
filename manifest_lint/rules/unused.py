"""Every definition is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from manifest_lint.manifest import SECTIONS, Finding, Manifest, section, text_places
from manifest_lint.places import place_of


def check(manifest: Manifest) -> Iterator[Finding]:
    """Definitions and schemas to which no reference leads, from the streams and the rest of what is built."""
    used = set(references(manifest))
    for name in SECTIONS:
        yield from unused(f"#/{name}", section(manifest, name), used, manifest)


def references(manifest: Manifest) -> set[str]:
    """Every reference that what is built follows, one after the other."""
    found: set[str] = set()
    ahead: list[Any] = [value for key, value in manifest.written.items() if key not in SECTIONS]
    while ahead:
        for text, _ in text_places(ahead.pop(), manifest.start):
            if text.startswith("#/") and text not in found:
                found.add(str(text))
                ahead.append(target(text, manifest.written))
    return found


def target(reference: str, written: Any) -> Any:
    """What stands where a reference leads; nothing where it leads nowhere, which another rule says."""
    for step in reference.split("/")[1:]:
        if isinstance(written, list) and step.isdigit() and int(step) < len(written):
            written = written[int(step)]
        else:
            written = written.get(step) if isinstance(written, dict) else None
    return written


def unused(path: str, content: dict[Any, Any], used: set[str], manifest: Manifest) -> Iterator[Finding]:
    """What in a section nothing uses. A mapping that is no component may be a group, of which some may be used."""
    for name, value in content.items():
        here = f"{path}/{name}"
        if here not in used:
            is_group = isinstance(value, dict) and not value.keys() & {"type", "$ref", "class_name"}
            if is_group and any(each.startswith(f"{here}/") for each in used):
                yield from unused(here, value, used, manifest)
            elif not any(each.startswith(f"{here}/") for each in used):
                yield Finding(place_of(name, manifest.start), "nothing uses it")
