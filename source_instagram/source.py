"""The source: its manifest, the name by which the manifest finds its components, and what a configuration must be."""

import ast
import contextlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pendulum
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalog,
    FailureType,
    Status,
)
from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram import components, tokens
from source_instagram.records import moment

# The manifest names its classes as the Builder and the manifest-only image do, so that one manifest serves all.
sys.modules.setdefault("source_declarative_manifest.components", components)


class SourceInstagram(YamlDeclarativeSource):
    """Profiles, media, comments, stories and insights of the Instagram accounts that a token reaches."""

    def __init__(
        self,
        catalog: ConfiguredAirbyteCatalog | None = None,
        config: Mapping[str, Any] | None = None,
        state: Any = None,
        config_path: str | None = None,
    ) -> None:
        """Build from the manifest beside this file.

        Raises:
            AirbyteTracedException: the configuration is not one to work with; the message is one sentence.
        """
        for each in catalog.streams if catalog else ():
            if not isinstance(each.stream.json_schema.get("properties"), dict):
                each.stream.json_schema = {}  # which selects every column
        super().__init__("manifest.yaml", catalog=catalog, config=config, state=state, config_path=config_path)
        if config is not None:
            problem = next(problems(config, self._source_config["spec"]["connection_specification"]), None)
            if problem:
                raise AirbyteTracedException(message=problem, failure_type=FailureType.config_error)

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """One sentence when something is wrong; a warning when the token will end soon."""
        result = super().check(logger, config)
        if result.status == Status.FAILED:
            return AirbyteConnectionStatus(status=Status.FAILED, message=own_words(result.message or ""))
        for warning in tokens.warnings(config):
            logger.warning(warning)
        return result

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        """Read what the catalog asks for; streams that this connector does not have fail after all others are read."""
        known = {stream["name"] for stream in self._source_config["streams"]}
        unknown = [each.stream.name for each in catalog.streams if each.stream.name not in known]
        yield from super().read(logger, config, catalog, state)
        if unknown:
            message = f"The catalog names streams that this connector does not have: {', '.join(unknown)}. Refresh it."
            raise AirbyteTracedException(message=message, failure_type=FailureType.config_error)


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
        if (
            isinstance(secret, str)
            and not re.fullmatch(r"[A-Za-z0-9|._-]{8,}", secret)
            and (secret or key == "access_token")
        ):
            yield f"`{key}` is malformed: too short, or with characters that none has. Copy it again, as a whole."
    start = config.get("start_date")
    if isinstance(start, str):
        try:
            if moment(start) > pendulum.now("UTC"):
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
