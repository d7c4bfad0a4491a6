"""What Airbyte's platform knows of the connector agrees with the code, and is ours."""

import json
import re
import uuid
from typing import Any

import jsonschema
import pytest
import yaml
from harness import ROOT, SCHEMAS

from environments import environment
from source_instagram.rate_limiter import EXPLAINED_LIMIT

PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
TEXT = (ROOT / "metadata.yaml").read_text(encoding="utf-8")
METADATA: dict[str, Any] = yaml.safe_load(TEXT)["data"]
SPEC = yaml.safe_load((ROOT / "source_instagram" / "manifest.yaml").read_text(encoding="utf-8"))["spec"]
AIRBYTES = "6acf6b55-4f1e-4fca-944e-1a3caef8aba8"  # its own Instagram source's


def project_value(key: str) -> str:
    """A value of pyproject.toml; tomllib is not there before Python 3.11."""
    found = re.search(rf'^{key} = "(.+)"$', PROJECT, re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.slow
def test_airbytes_own_schema_accepts_it() -> None:
    """Without its dependencies: of the package only the schema is wanted."""
    home = environment("connector-models", "--no-deps", "--ignore-requires-python", "airbyte-connector-models==0.1.12")
    (schema,) = home.glob("lib/python3*/site-packages/airbyte_connector_models/metadata/v0/ConnectorMetadataDef*.json")
    # Its parts kept their addresses, but refer to one another by where they stand in the whole.
    whole = json.loads(
        schema.read_text(encoding="utf-8"),
        object_hook=lambda part: {key: value for key, value in part.items() if key != "$id"},
    )
    validator = jsonschema.Draft7Validator(whole)
    assert [error.message for error in validator.iter_errors(yaml.safe_load(TEXT))] == []
    misspelt = {**yaml.safe_load(TEXT), "data": {**METADATA, "dockerImagTag": "0"}}
    assert list(validator.iter_errors(misspelt)), "it is strict"


def test_only_metas_two_hosts_are_allowed() -> None:
    assert METADATA["allowedHosts"] == {"hosts": ["graph.facebook.com", "graph.instagram.com"]}


def test_it_claims_nothing_that_is_airbytes() -> None:
    assert str(uuid.UUID(METADATA["definitionId"])) == METADATA["definitionId"] != AIRBYTES
    assert not METADATA.keys() & {"registryOverrides", "ab_internal", "remoteRegistries", "generated"}
    assert re.fullmatch(r"[\w-]+/source-instagram", METADATA["dockerRepository"])
    assert not METADATA["dockerRepository"].startswith("airbyte/")
    assert "airbyte.com" not in TEXT


def test_version_and_license_are_those_of_the_package() -> None:
    assert METADATA["dockerImageTag"] == project_value("version")
    assert METADATA["license"] == project_value("license")


def test_its_addresses_are_one_repositorys() -> None:
    repository = project_value("Repository")
    assert repository.removeprefix("https://github.com/") == METADATA["dockerRepository"]
    documentation = METADATA["documentationUrl"]
    assert documentation == project_value("Documentation") == SPEC["documentation_url"]
    for page in (documentation, project_value("Changelog")):
        assert (ROOT / page.removeprefix(f"{repository}/blob/main/")).is_file()


def test_the_base_image_is_pinned_and_said_once() -> None:
    base_image = METADATA["connectorBuildOptions"]["baseImage"]
    assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", base_image)
    digest = base_image.partition("@")[2]
    files = [ROOT / name for name in ("Dockerfile", "Makefile", "image.py", "README.md")]
    assert [file.name for file in files if digest in file.read_text(encoding="utf-8")] == []


def test_the_longest_wait_ends_no_sync() -> None:
    assert METADATA["maxSecondsBetweenMessages"] > EXPLAINED_LIMIT


def test_a_sync_gets_the_memory_that_it_takes() -> None:
    (sync,) = METADATA["resourceRequirements"]["jobSpecific"]
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    peaks = [float(number) for number in re.findall(r"peak memory, MiB \| ([\d.]+)", page)]
    assert peaks
    assert max(peaks) * 2 < int(sync["resourceRequirements"]["memory_request"].removesuffix("Mi")) + 1
    assert sync["resourceRequirements"]["memory_limit"] == "1Gi"


def test_suggested_streams_exist() -> None:
    assert set(METADATA["suggestedStreams"]["streams"]) <= SCHEMAS.keys()


def test_icon_is_in_the_repository() -> None:
    assert (ROOT / METADATA["icon"]).read_text(encoding="utf-8").startswith("<svg ")
