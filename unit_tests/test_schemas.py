"""The schemas say of every field what it is, in which unit and where Meta has it."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[1] / "source_instagram" / "schemas").glob("*.json"))
}

PRIMARY_KEYS = {
    "accounts": ["business_account_id"],
    "audience_demographics": ["business_account_id", "date", "metric", "timeframe", "breakdown", "dimension"],
    "comments": ["id"],
    "discovered_media": ["id"],
    "discovered_users": ["username", "date"],
    "hashtag_media": ["hashtag_id", "edge", "id"],
    "hashtags": ["id"],
    "media": ["id"],
    "media_insights": ["id"],
    "stories": ["id"],
    "story_insights": ["id"],
    "tags": ["id", "business_account_id"],
    "user_insights": ["business_account_id", "date"],
    "user_insights_breakdowns": ["business_account_id", "date", "metric", "breakdown", "dimension"],
    "user_lifetime_insights": ["business_account_id", "breakdown"],
    "user_total_insights": ["business_account_id", "date"],
    "users": ["id"],
}
CURSORS = {
    "audience_demographics": "date",
    "comments": "media_timestamp",
    "discovered_media": "timestamp",
    "discovered_users": "date",
    "hashtag_media": "date",
    "media": "timestamp",
    "media_insights": "timestamp",
    "stories": "timestamp",
    "story_insights": "timestamp",
    "user_insights": "date",
    "user_insights_breakdowns": "date",
    "user_lifetime_insights": "date",
    "user_total_insights": "date",
    "users": "date",
}

OF_OTHERS = ("discovered_users", "discovered_media", "hashtags", "hashtag_media")  # whose records are nobody's of ours
UNITS = {
    "count", "fraction", "interactions", "media", "milliseconds", "people", "percent", "views", "UTC timestamp",
}  # fmt: skip
FIELD_KEYS = {
    "type",
    "format",
    "airbyte_type",
    "description",
    "unit",
    "source",
    "properties",
    "items",
    "additionalProperties",
    "volatile_parameter",
}

# Streams whose fields of the same name are the same thing. The id is what the record is about, so it differs.
FAMILIES = [
    ["media", "media_insights", "stories", "story_insights", "tags"],
    ["user_insights", "user_insights_breakdowns", "user_total_insights"],
]


def _fields(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that a schema declares, nested ones too, by its dotted name."""
    for name, field in schema.get("properties", {}).items():
        yield prefix + name, field
        yield from _fields(field, f"{prefix}{name}.")
        yield from _fields(field.get("items", {}), f"{prefix}{name}.")


def _types(field: dict[str, Any]) -> set[str]:
    return {field["type"]} if isinstance(field["type"], str) else set(field["type"])


FIELDS = [
    pytest.param(name, field, id=f"{stream}.{name}")
    for stream, schema in SCHEMAS.items()
    for name, field in _fields(schema)
]


def test_every_stream_has_a_schema() -> None:
    assert SCHEMAS.keys() == PRIMARY_KEYS.keys()


@pytest.mark.parametrize("stream", SCHEMAS)
def test_schema_is_valid_and_open(stream: str) -> None:
    schema = SCHEMAS[stream]
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is True
    assert schema["description"].endswith(".")


@pytest.mark.parametrize("stream", SCHEMAS)
def test_keys_and_cursors_are_never_null(stream: str) -> None:
    schema = SCHEMAS[stream]
    assert schema["required"] == PRIMARY_KEYS[stream]
    account = ["business_account_id"] if "business_account_id" in schema["properties"] else []
    never_null = [*PRIMARY_KEYS[stream], *account, *filter(None, [CURSORS.get(stream)])]
    may_be_null = schema["properties"].keys() - set(never_null)
    assert [name for name in never_null if "null" in _types(schema["properties"][name])] == []
    # A tag's time is always there too, though no cursor.
    told = {"id", "username", "hashtag"} if stream in OF_OTHERS else {"timestamp"}
    assert {name for name in may_be_null if "null" not in _types(schema["properties"][name])} <= told


@pytest.mark.parametrize("stream", [stream for stream in SCHEMAS if stream not in OF_OTHERS])
def test_every_record_names_its_account_and_page(stream: str) -> None:
    properties = SCHEMAS[stream]["properties"]
    assert properties["business_account_id"]["type"] == "string"
    assert properties["page_id"]["type"] == ["string", "null"]


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_field_is_explained(name: str, field: dict[str, Any]) -> None:
    assert field["description"].endswith(".")
    assert field["source"]
    assert field.keys() <= FIELD_KEYS, "a misspelt key would go unnoticed"
    if name.endswith("id"):
        assert _types(field) <= {"string", "null"}, "ids are strings, even where they look like numbers"


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_numbers_and_times_have_a_unit(name: str, field: dict[str, Any]) -> None:
    inner = field.get("additionalProperties")
    counted = _types(inner) if isinstance(inner, dict) else _types(field)
    is_number, is_time = bool(counted & {"integer", "number"}), field.get("format") in {"date", "date-time"}
    assert ("unit" in field) == (is_number or is_time), name
    assert field.get("unit", "count") in UNITS
    if field.get("format") == "date-time":
        assert (field["airbyte_type"], field["unit"]) == ("timestamp_with_timezone", "UTC timestamp")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family[0])
def test_shared_fields_are_worded_the_same(family: list[str]) -> None:
    meanings: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for stream in family:
        for name, field in SCHEMAS[stream]["properties"].items():
            meanings[name].add((field["description"], field.get("unit")))
    meanings.pop("id", None)
    assert {name: texts for name, texts in meanings.items() if len(texts) > 1} == {}


def test_account_and_page_are_worded_the_same_everywhere() -> None:
    for name in ("business_account_id", "page_id"):
        own = [schema for stream, schema in SCHEMAS.items() if stream not in OF_OTHERS]
        assert len({schema["properties"][name]["description"] for schema in own}) == 1


def test_children_are_worded_like_media() -> None:
    properties = SCHEMAS["media"]["properties"]
    children = properties["children"]["items"]["properties"]
    assert {name for name in children if children[name]["description"] != properties[name]["description"]} == {"id"}
