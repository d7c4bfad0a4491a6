"""The registry's view of the connector agrees with the code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def _project_value(key: str) -> str:
    """A value of pyproject.toml; tomllib is not there before Python 3.11."""
    found = re.search(rf'^{key} = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def metadata() -> dict[str, Any]:
    """The content of metadata.yaml below data."""
    data: dict[str, Any] = yaml.safe_load((ROOT / "metadata.yaml").read_text(encoding="utf-8"))["data"]
    return data


def test_only_metas_two_hosts_are_allowed(metadata: dict[str, Any]) -> None:
    assert metadata["allowedHosts"] == {"hosts": ["graph.facebook.com", "graph.instagram.com"]}


def test_both_registries_offer_the_connector(metadata: dict[str, Any]) -> None:
    assert {name: registry["enabled"] for name, registry in metadata["registryOverrides"].items()} == {
        "cloud": True,
        "oss": True,
    }


def test_version_and_license_are_those_of_the_package(metadata: dict[str, Any]) -> None:
    assert metadata["dockerImageTag"] == _project_value("version")
    assert metadata["license"] == _project_value("license")


def test_connections_can_move_over(metadata: dict[str, Any]) -> None:
    assert metadata["definitionId"] == "6acf6b55-4f1e-4fca-944e-1a3caef8aba8"


def test_image_is_built_on_the_declared_base(metadata: dict[str, Any]) -> None:
    base_image = metadata["connectorBuildOptions"]["baseImage"]
    assert f"ARG BASE_IMAGE={base_image}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_suggested_streams_exist(metadata: dict[str, Any]) -> None:
    for stream in metadata["suggestedStreams"]["streams"]:
        schema = json.loads((ROOT / "source_instagram" / "schemas" / f"{stream}.json").read_text(encoding="utf-8"))
        assert schema["properties"]


def test_icon_is_in_the_repository(metadata: dict[str, Any]) -> None:
    assert (ROOT / metadata["icon"]).read_text(encoding="utf-8").startswith("<svg ")
