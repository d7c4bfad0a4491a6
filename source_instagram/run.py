"""The command line: `source-instagram spec | check | discover | read`, as the Airbyte protocol has it.

`groups` and `probe` are no commands of the protocol: they answer people.
"""

import sys
from typing import Any

import orjson
from airbyte_cdk.entrypoint import AirbyteEntrypoint, launch
from airbyte_cdk.exception_handler import init_uncaught_exception_handler
from airbyte_cdk.logger import init_logger
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteMessageSerializer,
    FailureType,
    Status,
    Type,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram import groups, probe
from source_instagram.sentences import log_sentences
from source_instagram.source import SourceInstagram
from source_instagram.tuning import keep_little, look_seldom

BESIDE = {"groups": groups.run, "probe": probe.run}  # commands for people
USAGE = """\
usage: source-instagram {spec,check,discover,read,groups,probe} ...

of the Airbyte protocol, each with its own --help:
  spec      what a configuration is
  check     whether a configuration works
  discover  the streams
  read      their records

for people:
  groups    deal the accounts of a token out to groups of about the same cost
  probe     try what the connector relies on against the real API
"""


def run() -> None:
    """Read the command from the arguments and print the protocol's messages to stdout, and nothing else."""
    args = sys.argv[1:]
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stdout if args else sys.stderr)
        sys.exit(0 if args else 2)
    if args[0] in BESIDE:
        sys.exit(BESIDE[args[0]](args[1:], lambda path: opened(SourceInstagram.read_config, path, "configuration")))
    command = AirbyteEntrypoint.parse_args(args).command
    logger = init_logger("airbyte")
    log_sentences()
    init_uncaught_exception_handler(logger)
    keep_little()
    try:
        source = build(args)
    except AirbyteTracedException as error:
        if command == "check":
            status = AirbyteConnectionStatus(status=Status.FAILED, message=error.message)
            emit(AirbyteMessage(type=Type.CONNECTION_STATUS, connectionStatus=status))
            return
        emit(error.as_airbyte_message())
        sys.exit(1)
    look_seldom()
    try:
        launch(source, args)
    finally:  # also where nobody reads what is printed any more
        source.end()


def build(args: list[str]) -> SourceInstagram:
    """The source for a command line, after a look at all that the command will use.

    Raises:
        AirbyteTracedException: a file cannot be used; the message says which and why.
    """
    config: Any = opened(SourceInstagram.read_config, AirbyteEntrypoint.extract_config(args), "configuration")
    catalog = opened(SourceInstagram.read_catalog, AirbyteEntrypoint.extract_catalog(args), "catalog")
    state = opened(SourceInstagram.read_state, AirbyteEntrypoint.extract_state(args), "state")
    return SourceInstagram(catalog, config, state)


def opened(read: Any, path: str | None, what: str) -> Any:
    """What a file holds; None where no path is given."""
    if path is None:
        return None
    try:
        return read(path)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, the sentence is the same
        raise AirbyteTracedException(
            message=f"The {what} file {path} is missing, or not the JSON that the Airbyte protocol asks for.",
            internal_message=type(error).__name__,
            failure_type=FailureType.config_error,
        ) from None


def emit(message: AirbyteMessage) -> None:
    """Print one message of the protocol."""
    print(orjson.dumps(AirbyteMessageSerializer.dump(message)).decode(), flush=True)  # noqa: T201
