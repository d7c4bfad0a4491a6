"""What the CDK knows of a command and tells no component.

Components are handed the configuration, and nothing else that tells a sync from a test read of the Connector Builder,
how many records that may show, or which streams a catalog names. All of it stands in the source, among whose calls they
are built; the CDK has no other way to it.
"""

import inspect
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

from source_instagram.answers import GraphError
from source_instagram.configuration import problem_of

log = logging.getLogger("airbyte.instagram")


def building() -> ConcurrentDeclarativeSource | None:
    """The source that is building components just now; None where none is, as in a test of one class."""
    frame = inspect.currentframe()
    while frame:
        if frame.f_globals.get("__name__") == ConcurrentDeclarativeSource.__module__:  # others' variables are theirs
            caller = frame.f_locals.get("self")
            if isinstance(caller, ConcurrentDeclarativeSource):
                return caller
        frame = frame.f_back
    return None


def entry_of(component: str) -> Mapping[str, Any] | None:
    """What the manifest says of a component of the configuration, by the name of its class."""
    source = building()
    entries = source.resolved_manifest["spec"]["config_normalization_rules"]["transformations"] if source else ()
    return next((entry for entry in entries if entry.get("class_name", "").endswith(f".{component}")), None)


def record_limit() -> int | None:
    """How many records a test read may show; None for a sync."""
    source = building()
    limits = source._limits if source else None  # noqa: SLF001
    return limits.max_records if limits else None


def refuse_unusable(config: Mapping[str, Any]) -> None:
    """Look at what a sync was given, once, before any of its streams is there to fail for it.

    A test read is of one stream, which tells it itself; `check` and `discover` have no catalog.

    Raises:
        GraphError: the configuration cannot work, or the catalog names no stream that there is.
    """
    source = building()
    if source is None or source._limits or not named_by(source):  # noqa: SLF001
        return
    problem = problem_of(config)
    unknown = None if problem else unknown_streams(source)
    if problem or (unknown and not named_by(source) & streams_of(source)):
        raise problem or unknown  # type: ignore[misc] # one of them is there
    if unknown:
        log.warning("%s", unknown.message)


def unknown_streams(source: ConcurrentDeclarativeSource) -> GraphError | None:
    """The error for streams that the catalog names and nobody has."""
    missing = named_by(source) - streams_of(source)
    message = " ".join(why_missing(missing, source.resolved_manifest["streams"]))
    return GraphError(message, FailureType.config_error) if missing else None


def why_missing(names: Collection[str], declared: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Why a catalog names streams that are not there, in sentences: the configuration lacks a key, or nobody has them.

    Before: {"hashtag_media", "tweets"}
    After:  "…streams that are there once `hashtags` is configured: hashtag_media. …", "…does not have: tweets. …"
    """
    rest = set(names)
    for each in declared:
        these = rest & {stream["name"] for stream in each.get("streams", ())}
        rest -= these
        key = re.search(r"'(\w+)'", each.get("condition", ""))
        if these and key:
            yield f"The catalog names streams that are there once `{key[1]}` is configured: {', '.join(sorted(these))}."
    if rest:
        yield f"The catalog names streams that this connector does not have: {', '.join(sorted(rest))}. Refresh it."


def named_by(source: ConcurrentDeclarativeSource) -> set[str]:
    """The streams in the catalog."""
    return set(source._constructor._stream_name_to_configured_stream)  # noqa: SLF001


def streams_of(source: ConcurrentDeclarativeSource) -> set[str]:
    """The streams in the manifest, as far as the configuration lets them be there."""
    return {stream["name"] for stream in source._stream_configs(source.resolved_manifest)}  # noqa: SLF001
