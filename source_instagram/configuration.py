"""What a configuration must be, and what becomes of one that cannot work, wherever the manifest runs."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import InitVar, dataclass
from difflib import get_close_matches
from typing import Any

import jsonschema
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.transformations.config_transformations.config_transformation import (
    ConfigTransformation,
)

from source_instagram import tokens
from source_instagram.answers import GraphError
from source_instagram.times import moment, now

# The CDK keeps keys of this form to itself.
PROBLEM = "__problem"
TABLES = "__tables"
OTHERS = ("discover_usernames", "hashtags")  # what Meta gives with Facebook Login only
KEYS = (*tokens.SECRETS, "login_type", "start_date", "accounts", *OTHERS)
RULES = {
    "type": "be of type {}",
    "minimum": "be at least {}",
    "maximum": "be at most {}",
    "enum": "be one of {}",
    "oneOf": "be one of its options",
    "maxLength": "have at most {} characters",
    "maxItems": "name at most {}",
}
PATTERNS = {
    "start_date": "like 2026-01-01T00:00:00Z",
    "accounts": "as the id (digits only) or the username of an account",
    "discover_usernames": "as the username of an account",
    "hashtags": "as one word, with or without #",
}


@dataclass
class Configuration(ConfigTransformation):
    """What the CDK hands a configuration to before anything else: see `disarm`. `specification` is that of the spec."""

    parameters: InitVar[Mapping[str, Any]]

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        """Keep the rules."""
        self._specification = parameters["specification"]

    def transform(self, config: MutableMapping[str, Any]) -> None:
        """Hide the secrets, then look at all of it."""
        tokens.hide(config)
        disarm(config, self._specification)


def disarm(config: MutableMapping[str, Any], specification: Mapping[str, Any]) -> None:
    """Leave nothing of a configuration that cannot work but what is wrong with it.

    Whatever the manifest is built from then is harmless, so that `spec` and `discover` do without a good one; whoever
    would ask Meta for something is told by `problem_of`.

    Before: {"access_token": "EAA…", "num_workers": 0}
    After:  {"access_token": "", "__problem": "`num_workers` must be at least 1, but is 0."}
    """
    problem = config.get(PROBLEM) or next(problems(config, specification), None)
    if problem:
        for key in specification["properties"]:
            config.pop(key, None)
        config.update({"access_token": "", PROBLEM: problem})


def problem_of(config: Mapping[str, Any]) -> GraphError | None:
    """The error for a configuration that cannot work."""
    return GraphError(config[PROBLEM], FailureType.config_error) if PROBLEM in config else None


def problems(config: Mapping[str, Any], specification: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a configuration, a sentence each, with the key and never with a secret's value.

    Before: {"access_token": "EAA…", "num_workers": 0}
    After:  `num_workers` must be at least 1, but is 0.
    """
    yield from unprintable(config)
    yield from misspelt(config, specification["properties"])
    for error in jsonschema.Draft7Validator(specification).iter_errors(config):
        yield broken(error, specification)
    for key in tokens.SECRETS:
        secret = config.get(key)
        if isinstance(secret, str) and not tokens.can_travel(secret) and (secret or key == "access_token"):
            yield f"`{key}` is malformed: empty, or with blanks or other characters that none has. Copy it again."
    for key in OTHERS:
        if config.get(key) and config.get("login_type") == "instagram":
            yield f"`{key}` needs Facebook Login: Meta gives nothing of others with Instagram Login. Remove `{key}`."
    start = config.get("start_date")
    if isinstance(start, str):
        try:
            if moment(start) > now():
                yield f"`start_date` lies in the future ({start!r}). Enter a day in the past, at most two years ago."
        except ValueError:
            yield f"`start_date` is not a day that exists ({start[:60]!r})."


def broken(error: jsonschema.ValidationError, specification: Mapping[str, Any]) -> str:
    """A sentence for what breaks a rule of the specification."""
    key = ".".join(map(str, error.absolute_path))
    declared = specification["properties"].get(str(error.absolute_path[0])) if error.absolute_path else {}
    given: Any = error.instance
    found = f"names {len(given)}" if error.validator == "maxItems" else f"is {str(given)[:60]!r}"
    shown = "" if declared.get("airbyte_secret") else f", but {found}"
    if error.validator == "required":
        return f"`{error.message.split(chr(39))[1]}` is missing from the configuration."
    if error.validator == "pattern":
        return f"`{key}` must be written {PATTERNS.get(key.split('.')[0], 'as its description says')}{shown}."
    words = RULES.get(str(error.validator), "be what its description says ({})").format(error.validator_value)
    return f"`{key or 'the configuration'}` must {words}{shown}."


def unprintable(config: Mapping[str, Any]) -> Iterator[str]:
    """Keys whose text cannot be what was meant, because it holds line breaks and the like."""
    for key in KEYS:
        value = config.get(key)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.isprintable():
                yield f"`{key}` holds a line break or another character that cannot be printed. Enter it again."


def misspelt(config: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    """Keys that are nearly ours, and would be left aside without a word. Others may belong to whoever runs the sync.

    Before: {"acounts": ["blue.cup"]}
    After:  `acounts` is no key of the configuration. Do you mean `accounts`?
    """
    for key in sorted(set(config) - set(known)):
        close = get_close_matches(key, known, 1, cutoff=0.8)
        if close:
            yield f"`{key}` is no key of the configuration. Do you mean `{close[0]}`?"
