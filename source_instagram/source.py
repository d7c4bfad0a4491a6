"""The source: its manifest, its commands, and what a configuration must be."""

import ast
import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import jsonschema
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
from airbyte_cdk.sources.message import InMemoryMessageRepository
from airbyte_cdk.sources.types import ConnectionDefinition
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram import tokens
from source_instagram.answers import GraphError
from source_instagram.graph import Graph
from source_instagram.times import moment, now

MANIFEST = "manifest.yaml"


class SourceInstagram(YamlDeclarativeSource):
    """Profiles, media, comments, stories and insights of the Instagram accounts that a token reaches."""

    # `check` and `read` do so themselves, in words for people; `discover` gives the same catalog to everyone.
    check_config_against_spec = False

    def __init__(
        self,
        catalog: ConfiguredAirbyteCatalog | None = None,
        config: Mapping[str, Any] | None = None,
        state: Any = None,
        config_path: str | None = None,
    ) -> None:
        """Build from the manifest beside this file."""
        for each in catalog.streams if catalog else ():
            if not isinstance(each.stream.json_schema.get("properties"), dict):
                each.stream.json_schema = {}  # which selects every column
        super().__init__(MANIFEST, catalog=catalog, config=config, state=state, config_path=config_path)
        self.logger.addFilter(as_sentence)
        self.message_repository = InMemoryMessageRepository()  # what `check` has to say besides its status

    def _read_and_parse_yaml_file(self, path_to_yaml_file: str) -> ConnectionDefinition:
        """The package's own manifest, whatever lies in the current directory, with the package's own classes.

        It names them as the Builder and the manifest-only image do, where every connector's components have that name.
        """
        text = resources.files(__package__).joinpath(path_to_yaml_file).read_text(encoding="utf-8")
        return self._parse(text.replace("source_declarative_manifest.components.", f"{__package__}.components."))

    def validate(self, config: Mapping[str, Any]) -> None:
        """Refuse a configuration that cannot work.

        Raises:
            AirbyteTracedException: it is not one to work with; the message is one sentence.
        """
        problem = next(problems(config, self._source_config["spec"]["connection_specification"]), None)
        if problem:
            raise AirbyteTracedException(message=problem, failure_type=FailureType.config_error)

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """One sentence when something is wrong; a warning when the token will end soon and cannot be extended."""
        tokens.hide(config)
        try:
            self.validate(config)
        except AirbyteTracedException as error:
            return AirbyteConnectionStatus(status=Status.FAILED, message=error.message)
        # The CDK would look at the constructor's configuration only.
        result = YamlDeclarativeSource.check(SourceInstagram(config=config), logger, config)
        if result.status == Status.FAILED:
            return AirbyteConnectionStatus(status=Status.FAILED, message=own_words(result.message or ""))
        life = tokens.inspected(config)
        extended = tokens.extended(config, life)
        if extended:
            self.message_repository.emit_message(tokens.control_message(extended))
        for warning in tokens.warnings(life, extended=extended is not None):
            logger.warning(warning)
        return result

    def discover(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteCatalog:
        """The streams, which are the same with every configuration and without any."""
        tokens.hide(config)
        return YamlDeclarativeSource.discover(SourceInstagram(), logger, config)

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
        tokens.hide(config)
        self.validate(config)
        extended = tokens.extended(config)
        if extended:
            yield tokens.control_message(extended)
        # The CDK would look at the constructor's configuration, catalog and state only.
        source = SourceInstagram(catalog, extended or config, state)
        known = {stream["name"] for stream in self._source_config["streams"]}
        unknown = [each.stream.name for each in catalog.streams if each.stream.name not in known]
        try:
            yield from once(YamlDeclarativeSource.read(source, logger, config, catalog, state))
        finally:  # the process waits for its threads, which might wait for a throttle
            ended = GraphError("The sync has ended.", FailureType.transient_error)
            Graph.of(source._config).turnstile.stop(ended)
        if unknown:
            message = f"The catalog names streams that this connector does not have: {', '.join(unknown)}. Refresh it."
            raise AirbyteTracedException(message=message, failure_type=FailureType.config_error)


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


def as_sentence(record: logging.LogRecord) -> bool:
    """Log an error that is a sentence for people as this sentence: where it was raised tells nothing more."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, GraphError):
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {error.message}", None, None
    return True


def own_words(message: str) -> str:
    """A check's sentence without what the CDK puts around it.

    Before: "'Stream accounts is not available: The access token has expired.'"
    After:  The access token has expired.
    """
    with contextlib.suppress(SyntaxError, ValueError):
        message = str(ast.literal_eval(message))
    return re.sub(r"^Stream \w+ is not available: ", "", message)


def problems(config: Mapping[str, Any], specification: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a configuration, a sentence each, with the key and never with a secret's value.

    Before: {"access_token": "EAA…", "num_workers": 0}
    After:  `num_workers` must be at least 1, but is 0.
    """
    yield from unprintable(config)
    for error in jsonschema.Draft7Validator(specification).iter_errors(config):
        key = ".".join(map(str, error.absolute_path))
        declared = specification["properties"].get(str(error.absolute_path[0])) if error.absolute_path else {}
        shown = "" if declared.get("airbyte_secret") else f", but is {str(error.instance)[:60]!r}"
        if error.validator == "required":
            yield f"`{error.message.split(chr(39))[1]}` is missing from the configuration."
        elif error.validator == "pattern":
            yield f"`{key}` must be written {PATTERNS.get(key.split('.')[0], 'as its description says')}{shown}."
        else:
            words = RULES.get(str(error.validator), "be what its description says ({})").format(error.validator_value)
            yield f"`{key or 'the configuration'}` must {words}{shown}."
    for key in tokens.SECRETS:
        secret = config.get(key)
        if isinstance(secret, str) and not tokens.can_travel(secret) and (secret or key == "access_token"):
            yield f"`{key}` is malformed: empty, or with blanks or other characters that none has. Copy it again."
    start = config.get("start_date")
    if isinstance(start, str):
        try:
            if moment(start) > now():
                yield f"`start_date` lies in the future ({start!r}). Enter a day in the past, at most two years ago."
        except ValueError:
            yield f"`start_date` is not a day that exists ({start[:60]!r})."


def unprintable(config: Mapping[str, Any]) -> Iterator[str]:
    """Keys whose text cannot be what was meant, because it holds line breaks and the like."""
    for key in KEYS:
        value = config.get(key)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.isprintable():
                yield f"`{key}` holds a line break or another character that cannot be printed. Enter it again."


KEYS = (*tokens.SECRETS, "login_type", "start_date", "accounts")
RULES = {
    "type": "be of type {}",
    "minimum": "be at least {}",
    "maximum": "be at most {}",
    "enum": "be one of {}",
    "maxLength": "have at most {} characters",
}
PATTERNS = {
    "start_date": "like 2026-01-01T00:00:00Z",
    "accounts": "as the id (digits only) or the username of an account",
}
