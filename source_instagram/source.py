"""The source: its manifest and its commands, with what only the protocol's entry point can do."""

import ast
import contextlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from airbyte_cdk.models import (
    AirbyteCatalog,
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalog,
    FailureType,
    Status,
)
from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource
from airbyte_cdk.sources.types import ConnectionDefinition
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram import tokens
from source_instagram.answers import GraphError
from source_instagram.building import unknown_streams
from source_instagram.configuration import PROBLEM, problem_of
from source_instagram.session import SyncSession

WAITING = 500  # records that wait to be written
MANIFEST = "manifest.yaml"


class SourceInstagram(YamlDeclarativeSource):
    """Profiles, media, comments, stories and insights of the Instagram accounts that a token reaches."""

    # The manifest does so itself, in words for people; `discover` gives the same catalog to everyone.
    check_config_against_spec = False

    def __init__(
        self,
        catalog: ConfiguredAirbyteCatalog | None = None,
        config: Mapping[str, Any] | None = None,
        state: Any = None,
        config_path: str | None = None,
    ) -> None:
        """Build from the manifest beside this file."""
        if config is not None and not config:  # at which the CDK would not even look
            config = {PROBLEM: ""}
        super().__init__(MANIFEST, catalog=catalog, config=config, state=state, config_path=config_path)
        self._built_for: Any = (catalog, state or [])
        # Many accounts are read faster than their records are written. The CDK would keep 10,000, of 20 KiB each.
        self._concurrent_source._queue.maxsize = WAITING  # noqa: SLF001 - nothing else sets it

    def _read_and_parse_yaml_file(self, path_to_yaml_file: str) -> ConnectionDefinition:
        """The package's own manifest, whatever lies in the current directory, with the package's own classes.

        It names them as the Builder and the manifest-only image do, where every connector's components have that name.
        """
        text = resources.files(__package__).joinpath(path_to_yaml_file).read_text(encoding="utf-8")
        return self._parse(text.replace("source_declarative_manifest.components.", f"{__package__}.components."))

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """One sentence when something is wrong."""
        # The CDK would look at the constructor's configuration only, here and below.
        result = YamlDeclarativeSource.check(SourceInstagram(config=config), logger, config)
        if result.status == Status.FAILED:
            result.message = own_words(result.message or "")
        return result

    def discover(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteCatalog:
        """The streams, also without a good configuration; those of others and of hashtags once they are configured."""
        return YamlDeclarativeSource.discover(SourceInstagram(config=config), logger, config)

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        """Read what the catalog asks for; streams that this connector does not have fail after all others are read.

        Raises:
            AirbyteTracedException: something is missing; after all that could be had.
        """
        # To build one takes as long as to emit 5,000 records; but what a sync has learned has to end with it.
        is_built = config is self._config and (catalog, state or []) == self._built_for
        source = self if is_built else SourceInstagram(catalog, config, state)
        self._built_for = None
        whole = source._config  # noqa: SLF001 - of the same class
        tokens.hide(whole)
        try:
            yield from once(YamlDeclarativeSource.read(source, logger, config, catalog, state))
        finally:
            source.end()
        unknown = unknown_streams(source)
        if unknown:
            raise unknown

    @classmethod
    def ready(cls, config: Mapping[str, Any]) -> "tuple[SourceInstagram, dict[str, Any]]":
        """A source for commands beside the protocol's, its streams built, and the configuration that these share.

        Raises:
            GraphError: the configuration cannot work.
        """
        source = cls(config=config)
        whole: Any = source._config
        tokens.hide(whole)
        problem = problem_of(whole)
        if problem:
            raise problem
        source.streams(whole)
        return source, whole

    def end(self) -> None:
        """Let no thread wait any more, for a throttle or for its records to be written: the process waits for them."""
        ended = GraphError("The sync has ended.", FailureType.transient_error)
        SyncSession.of(self._config or {}).rate_limiter.stop(ended)
        queue = self._concurrent_source._queue  # noqa: SLF001 - see above
        with queue.mutex:
            queue.maxsize = sys.maxsize
            queue.not_full.notify_all()


def once(messages: Iterator[AirbyteMessage]) -> Iterator[AirbyteMessage]:
    """A sync's messages, with each error once for each stream, not once for each slice that met it."""
    said = set()
    try:
        for message in messages:
            error = message.trace.error if message.trace else None
            what = error and (error.stream_descriptor and error.stream_descriptor.name, error.message)
            if what is None or what not in said:
                said.add(what)
                yield message
    except AirbyteTracedException as error:  # its message has a line for each slice
        error.message = "\n".join(dict.fromkeys((error.message or "").split("\n")))
        raise


def own_words(message: str) -> str:
    """A check's sentence without what the CDK puts around it.

    Before: "'Stream accounts is not available: The access token has expired.'"
    After:  The access token has expired.
    """
    with contextlib.suppress(SyntaxError, ValueError):
        message = str(ast.literal_eval(message))
    return re.sub(r"^Stream \w+ is not available: ", "", message)
