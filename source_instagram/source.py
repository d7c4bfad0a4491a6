"""The source: its manifest, and the name under which the manifest finds its components."""

import sys
from collections.abc import Mapping
from typing import Any

from airbyte_cdk.models import ConfiguredAirbyteCatalog
from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource

from source_instagram import components

# The manifest names its classes as the Connector Builder and the manifest-only image do, so that one manifest serves all.
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
        """Build from the manifest beside this file."""
        super().__init__(
            path_to_yaml="manifest.yaml", catalog=catalog, config=config, state=state, config_path=config_path
        )
