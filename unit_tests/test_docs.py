"""What is written about the connector is true of it."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from docs import generate
from source_instagram.source import SourceInstagram

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_generated_parts_are_up_to_date() -> None:
    assert not generate.outdated(), "Run make docs."


@pytest.mark.parametrize("name", generate.PARTS | generate.DEMO)
def test_generated_parts_have_their_place(name: str) -> None:
    assert re.search(f"<!-- {name}: written by make docs -->\n.*<!-- end of {name} -->", README, re.DOTALL)


def test_only_the_generated_parts_are_written() -> None:
    text = "before\n<!-- a: written by make docs -->\nold\n<!-- end of a -->\nafter \\1\n"
    assert generate.renewed(text, {"a": lambda: r"new \1", "b": str}) == text.replace("old", r"new \1")


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_make_knows_the_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z]+)(?=`|  )", README):
        assert re.search(f"^{target}:", makefile, re.MULTILINE), target


def test_example_configuration_is_legal() -> None:
    (example,) = re.findall(r"^\{.*\}$", README, re.MULTILINE)
    specification = SourceInstagram().spec(generate.LOGGER).connectionSpecification
    jsonschema.validate(json.loads(example), specification)


def test_every_stream_is_in_the_picture() -> None:
    picture = README.split("```text")[1].split("```")[0]
    config = {"access_token": "none"}
    for stream in SourceInstagram(config=config).discover(generate.LOGGER, config).streams:
        assert re.search(rf"── {stream.name}\b", picture), stream.name
