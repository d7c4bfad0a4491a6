"""The command line: `source-instagram spec | check | discover | read`, as the Airbyte protocol has it."""

import sys

from airbyte_cdk.entrypoint import AirbyteEntrypoint, launch

from source_instagram.source import SourceInstagram


def run() -> None:
    """Read the command from the arguments and print the protocol's messages to stdout, and nothing else."""
    args = sys.argv[1:]
    catalog = AirbyteEntrypoint.extract_catalog(args)
    config = AirbyteEntrypoint.extract_config(args)
    state = AirbyteEntrypoint.extract_state(args)
    source = SourceInstagram(
        catalog=SourceInstagram.read_catalog(catalog) if catalog else None,
        config=SourceInstagram.read_config(config) if config else None,
        state=SourceInstagram.read_state(state) if state else None,
        config_path=config,
    )
    launch(source, args)
