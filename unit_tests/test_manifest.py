"""The manifest agrees with itself, with the schemas and with the contract; `make lint` holds it to the CDK."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airbyte_cdk.sources.declarative.parsers.manifest_reference_resolver import ManifestReferenceResolver
from engine import RULES
from harness import CONDITIONAL, CURSORS_OF_OTHERS, INCREMENTAL, OTHERS, SCHEMAS, STREAMS, Connector, command
from oracle import PRIMARY_KEYS

from sandbox.fields import EDGES, FIELDS
from sandbox.insights import FACEBOOK_LOGIN_ONLY, MEDIA_BREAKDOWNS, MEDIA_METRICS, USER_METRICS
from source_instagram.polls import COLUMNS as POLLS
from source_instagram.records import columns_of

TEXT = (Path(__file__).parents[1] / "source_instagram" / "manifest.yaml").read_text(encoding="utf-8")
RAW = yaml.safe_load(TEXT)
DEFINITIONS = RAW["definitions"]
SPEC = RAW["spec"]
PROPERTIES = SPEC["connection_specification"]["properties"]
RESOLVED = ManifestReferenceResolver().preprocess_manifest(yaml.safe_load(TEXT))
ALL_STREAMS = [each for entry in RESOLVED["streams"] for each in entry.get("streams", [entry])]
STREAM_PARAMETERS = {stream["$parameters"]["name"]: stream["$parameters"] for stream in ALL_STREAMS}
LOGINS = ("facebook_fields", "instagram_fields")
REQUESTERS = {
    stream["$parameters"]["name"]: {name: [] for name in ("fields", *LOGINS)} | stream["retriever"]["requester"]
    for stream in ALL_STREAMS
}
TABLES = {
    "media_insights": "media_metrics",
    "story_insights": "story_metrics",
    "user_insights": "daily_metrics",
    "user_total_insights": "total_metrics",
    "user_insights_breakdowns": "breakdown_metrics",
    "user_lifetime_insights": "lifetime_metrics",
    "audience_demographics": "audience_metrics",
}
ROWS = [
    pytest.param(table, row, id=f"{table}-{at}")
    for table in TABLES.values()
    for at, row in enumerate(RESOLVED["definitions"][table])
]
FLAT = DEFINITIONS["flat_columns"]
# Streams of others, with the columns that are no fields of theirs.
PUBLIC = {
    "discovered_users": {"date"},
    "discovered_media": {"username"},
    "hashtag_media": {"hashtag", "hashtag_id", "edge", "date"},
}
KINDS = {"users": "account", "discovered_users": "rival", "discovered_media": "discovered", "hashtag_media": "tagged"}
FIXED = {"id", "business_account_id", "page_id", "date", "timestamp", "media_product_type"}
CELLS = {"metric", "timeframe", "breakdown", "dimension", "value"}


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in the manifest."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(part)


def names(fields: list[str]) -> list[str]:
    return [re.split(r"[.{]", field)[0] for field in fields]


def test_components_need_no_future_annotations() -> None:
    source = (Path(__file__).parents[1] / "source_instagram" / "components.py").read_text(encoding="utf-8")
    assert "from __future__" not in source, "the Builder executes the module as text"


# -- With itself -------------------------------------------------------------------------------------------------------


def test_streams_stand_in_the_order_account_media_insights() -> None:
    assert list(STREAM_PARAMETERS) == [*STREAMS, *CONDITIONAL]
    order = [name for name in DEFINITIONS if name in STREAM_PARAMETERS]
    assert order == [*STREAMS, *CONDITIONAL], "and are defined in that order"


def test_streams_of_others_are_there_once_they_are_configured() -> None:
    conditions = [entry for entry in RESOLVED["streams"] if "streams" in entry]
    assert {
        stream["$parameters"]["name"]: entry["condition"] for entry in conditions for stream in entry["streams"]
    } == {name: f"{{{{ config.get('{key}') }}}}" for name, key in CONDITIONAL.items()}


def test_a_stream_sets_its_name_alone_so_that_nothing_leaks_into_its_parent() -> None:
    for name, parameters in STREAM_PARAMETERS.items():
        assert parameters == {"name": name, "stream_name": name}


def test_the_chain_is_said_in_the_words_of_the_cdk() -> None:
    parents = {
        name: [each["stream"]["$parameters"]["name"] for each in router.get("parent_stream_configs", ())]
        for stream in ALL_STREAMS
        for name, router in [(stream["$parameters"]["name"], stream["retriever"].get("partition_router"))]
        if router
    }
    of_account = {stream: ["accounts"] for stream in STREAMS[1:]}
    assert parents == of_account | {
        "media_insights": ["media"], "comments": ["media"], "story_insights": ["stories"],
        "discovered_users": [], "discovered_media": [], "hashtag_media": ["hashtags"],
    }  # fmt: skip


def test_no_line_is_too_long_to_read() -> None:
    assert [line for line in TEXT.splitlines() if len(line) > 160] == []


def test_host_and_version_are_said_once() -> None:
    assert set(re.findall(r"\bv\d+\.\d+\b", TEXT)) == {"v25.0"}
    assert [part for part in walk(RAW) if "v25.0" in str(part.get("url_base"))] == [DEFINITIONS["requester"]]
    assert str(DEFINITIONS).count("v25.0") == 1


def test_the_token_travels_in_a_header() -> None:
    authenticators = [part["authenticator"]["type"] for part in walk(RAW) if "authenticator" in part]
    assert authenticators == ["BearerAuthenticator"]
    assert "access_token=" not in TEXT


def test_every_request_has_timeouts() -> None:
    assert DEFINITIONS["requester"]["connect_timeout_in_seconds"] > 0
    assert DEFINITIONS["requester"]["read_timeout_in_seconds"] > 0


def test_every_rule_of_the_errors_says_what_to_do() -> None:
    for rule in RULES:
        assert rule.keys() <= {"code", "subcode", "says", "transient", "http", "then", "blame", "because", "metrics"}
        assert re.search(rf"^ +#  .*\b{rule['then']}  ", TEXT, re.MULTILINE), "the table above the rules explains it"
        assert rule["because"].endswith(".")


# -- With the schemas --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["facebook_fields", "instagram_fields"])
@pytest.mark.parametrize("stream", ["users", "media", "stories", "tags", *PUBLIC])
def test_every_requested_field_is_a_column(stream: str, login: str) -> None:
    asked = names(REQUESTERS[stream]["fields"] + REQUESTERS[stream][login])
    assert len(asked) == len(set(asked)), "the same field twice is a syntax error to Meta"
    assert set(asked) - set(SCHEMAS[stream]["properties"]) == set()


@pytest.mark.parametrize("stream", ["users", "media", "stories", "tags", *PUBLIC])
def test_every_column_is_requested(stream: str) -> None:
    requester = REQUESTERS[stream]
    asked = set(names(requester["fields"] + requester["facebook_fields"] + requester["instagram_fields"]))
    given = {"business_account_id", "page_id", "date", *FLAT, *PUBLIC.get(stream, ()), *POLLS}
    assert set(SCHEMAS[stream]["properties"]) - asked == given & SCHEMAS[stream]["properties"].keys()


@pytest.mark.parametrize(
    ("stream", "login", "key"),
    [
        ("media", "facebook_fields", "children"),
        ("media", "instagram_fields", "children"),
        ("tags", "fields", "children"),
    ],
)
def test_fields_of_children_are_declared(stream: str, login: str, key: str) -> None:
    (nested,) = [field for field in REQUESTERS[stream][login] if field.startswith(f"{key}{{")]
    asked = set(nested.partition("{")[2].rstrip("}").split(","))
    declared = set(SCHEMAS[stream]["properties"][key]["items"]["properties"])
    assert asked - declared == set()
    if login != "instagram_fields":
        assert declared - asked == set()


def test_comments_ask_for_what_they_declare() -> None:
    requester = DEFINITIONS["comments"]["retriever"]["requester"]
    asked = set(names(requester["fields"] + requester["facebook_fields"]))
    given = {"business_account_id", "page_id", "media_id", "media_timestamp", "parent_id", "from_id", "from_username"}
    assert asked == set(SCHEMAS["comments"]["properties"]) - given


@pytest.mark.parametrize("stream", TABLES)
def test_every_metric_has_its_column_and_every_column_a_metric(stream: str) -> None:
    declared = set(SCHEMAS[stream]["properties"]) - FIXED
    fed = {
        column
        for row in RESOLVED["definitions"][TABLES[stream]]
        for metric in row["metrics"]
        for column in columns_of(metric, row)
    }
    assert fed <= declared | CELLS
    assert declared - fed - CELLS == set()


# -- With the API ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_a_row_is_a_call_that_meta_answers(table: str, row: dict[str, Any]) -> None:
    selection = {"of", "login", "metrics", "recent", "as", "total", "optional", "secondary", "total_first"}
    assert row.keys() <= selection | {"period", "metric_type", "breakdown", "timeframe", "days"}
    metrics = row["metrics"]
    assert metrics
    assert len(metrics) == len(set(metrics))
    if table in ("media_metrics", "story_metrics"):
        products = ["STORY"] if table == "story_metrics" else row["of"]
        for metric in metrics:
            assert set(products) <= set(MEDIA_METRICS[metric])
            assert MEDIA_BREAKDOWNS.get(metric) == row.get("breakdown")
            assert (row.get("login") == "facebook") == (metric in FACEBOOK_LOGIN_ONLY)
    else:
        breakdowns = row.get("breakdown", [])
        for metric in metrics:
            assert row["period"] in USER_METRICS[metric].periods
            for breakdown in breakdowns if isinstance(breakdowns, list) else [breakdowns]:
                assert frozenset(breakdown.split(",")) in USER_METRICS[metric].breakdowns


def test_what_is_only_sometimes_there_endangers_nothing_else() -> None:
    sometimes = {"facebook_views", "crossposted_views", "total_likes", "total_comments", "total_views", "link_clicks"}
    for row in DEFINITIONS["media_metrics"] + DEFINITIONS["story_metrics"]:
        if sometimes & set(row["metrics"]):
            assert row.get("optional")
            assert set(row["metrics"]) <= sometimes


@pytest.mark.parametrize("product", ["FEED", "REELS", "STORY"])
def test_every_metric_of_a_product_type_is_asked(product: str) -> None:
    table = "story_metrics" if product == "STORY" else "media_metrics"
    asked = {metric for row in DEFINITIONS[table] if product in row.get("of", [product]) for metric in row["metrics"]}
    dead = {"impressions"}
    assert asked == {metric for metric, products in MEDIA_METRICS.items() if product in products} - dead


@pytest.mark.parametrize(
    ("stream", "login", "host"),
    [
        (stream, login, host)
        for stream in ("users", "media", "stories", "tags")
        for login, host in (("facebook_fields", "graph.facebook.com"), ("instagram_fields", "graph.instagram.com"))
    ]
    + [(stream, "facebook_fields", "graph.facebook.com") for stream in PUBLIC],
)
def test_every_requested_field_exists_with_that_login(stream: str, login: str, host: str) -> None:
    kind = KINDS.get(stream, "media")
    asked = set(names(REQUESTERS[stream]["fields"] + REQUESTERS[stream][login]))
    assert asked - FIELDS[host][kind] - EDGES[host][kind] == set()


# -- With the contract -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["facebook", "instagram"])
def test_discover_gives_the_streams_of_the_contract(connector: Connector, login: str) -> None:
    others = OTHERS if login == "facebook" else {}
    found = {stream["name"]: stream for stream in connector.discover(login_type=login, **others)}
    assert list(found) == [*STREAMS, *(CONDITIONAL if others else ())]
    cursors = {**INCREMENTAL, **CURSORS_OF_OTHERS}
    for name, stream in found.items():
        assert stream["source_defined_primary_key"] == [[key] for key in PRIMARY_KEYS[name]], name
        modes = ["full_refresh", "incremental"] if name in cursors else ["full_refresh"]
        assert stream["supported_sync_modes"] == modes, name
        if name in cursors:
            assert stream["default_cursor_field"] == [cursors[name]]
            assert stream["source_defined_cursor"] is True
        assert stream["json_schema"] == SCHEMAS[name], name


@pytest.mark.parametrize("key", OTHERS)
def test_what_is_not_configured_is_not_discovered(connector: Connector, key: str) -> None:
    found = [stream["name"] for stream in connector.discover(**{key: OTHERS[key]})]
    assert found == [*STREAMS, *(stream for stream, of in CONDITIONAL.items() if of == key)]
    assert [stream["name"] for stream in connector.discover(**{key: []})] == STREAMS
    with_instagram = connector.discover(login_type="instagram", **{key: OTHERS[key]})
    assert [stream["name"] for stream in with_instagram] == STREAMS


def test_discover_sends_no_request(connector: Connector) -> None:
    connector.discover()
    assert connector.box.requests == []


KEYS: dict[str, dict[str, Any]] = {
    "access_token": {"type": "string", "airbyte_secret": True},
    "login_type": {"type": "string", "enum": ["facebook", "instagram"], "default": "facebook"},
    "authorization": {"type": "object"},
    "start_date": {"type": "string", "format": "date-time"},
    "client_id": {"type": "string", "airbyte_secret": True},
    "client_secret": {"type": "string", "airbyte_secret": True},
    "accounts": {"type": "array"},
    "insights_lookback_days": {"type": "integer", "minimum": 0, "maximum": 30, "default": 3},
    "media_lookback_days": {"type": "integer", "minimum": 0, "maximum": 730, "default": 30},
    "media_refresh_days": {"type": "integer", "minimum": 0, "maximum": 365, "default": 90},
    "num_workers": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
    "discover_usernames": {"type": "array", "maxItems": 1000},
    "hashtags": {"type": "array"},
}


def test_the_configuration_is_that_of_the_contract() -> None:
    specification = command("spec", {}).spec["connectionSpecification"]
    assert specification["required"] == ["access_token"]
    properties = specification["properties"]
    assert properties.keys() == KEYS.keys()
    for key, expected in KEYS.items():
        assert expected.items() <= properties[key].items(), key
        assert properties[key]["title"]
        assert properties[key]["description"].endswith(".")
    orders = [properties[key]["order"] for key in properties]
    assert len({*orders}) == len(orders)


def test_the_form_begins_with_the_login_and_explains_itself() -> None:
    shown = sorted(PROPERTIES, key=lambda key: int(PROPERTIES[key]["order"]))
    assert shown[:3] == ["login_type", "authorization", "access_token"]
    for key in shown[:3]:
        assert PROPERTIES[key].get("always_show") or key in SPEC["connection_specification"]["required"], key
    assert [f"<b>{value}</b>" for value in PROPERTIES["login_type"]["enum"]] == re.findall(
        "<b>.*?</b>", PROPERTIES["login_type"]["description"]
    )
    for part in walk(PROPERTIES):
        if isinstance(part.get("pattern"), str):
            assert part["pattern_descriptor"]
        for option in part.get("oneOf", []):
            assert (option["type"], option["required"]) == ("object", ["method"])
            assert option["title"]
            assert [each for each in option["properties"].values() if "const" in each]


def test_the_form_says_where_a_token_comes_from_and_what_it_needs() -> None:
    told = PROPERTIES["access_token"]["description"]
    button = SPEC["advanced_auth"]["oauth_config_specification"]["oauth_connector_input_specification"]
    scopes = set(re.findall(r"\b(?:instagram|pages|business)_[a-z_]+\b", button["consent_url"]))
    assert set(re.findall(r"\b(?:instagram|pages|business)_[a-z_]+\b", told)) == scopes
    page = (Path(__file__).parents[1] / "docs" / "getting-started.md").read_text(encoding="utf-8")
    own, guides = SPEC["documentation_url"], re.findall(r'href="([^"]*)"', told)
    assert len(guides) == 3
    assert [link for link in guides if link not in page and link != own] == []


def test_a_token_can_be_typed_where_there_is_a_button() -> None:
    button = SPEC["advanced_auth"]
    group, method = button["predicate_key"]
    options = [option["properties"][method]["const"] for option in PROPERTIES[group]["oneOf"]]
    assert button["predicate_value"] in options[1:], "a form begins with the first, which shows the token's field"
    assert group not in SPEC["connection_specification"]["required"]


@pytest.mark.parametrize("method", ["token", "button"])
def test_how_somebody_authorized_changes_nothing(connector: Connector, method: str) -> None:
    assert connector.check(authorization={"method": method})[0] == "SUCCEEDED"


def test_another_way_to_authorize_is_refused_in_a_sentence(connector: Connector) -> None:
    status, words = connector.check(authorization={"method": "magic"})
    assert (status, words) == (
        "FAILED",
        "`authorization` must be one of its options, but is \"{'method': 'magic'}\".",
    )


@pytest.mark.parametrize(
    ("start", "fits"),
    [
        ("2026-01-01T00:00:00Z", True),
        ("2026-01-01", False),
        ("2026-01-01T00:00:00", False),
        ("2026-01-01T00:00:00+00:00", False),
    ],
)
def test_start_date_has_one_form(start: str, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    pattern = RAW["spec"]["connection_specification"]["properties"]["start_date"]["pattern"]
    assert bool(re.search(pattern, start)) is fits


def test_the_button_authenticates_with_both_logins() -> None:
    spec = command("spec", {}).spec
    oauth = spec["advanced_auth"]
    assert oauth["auth_flow_type"] == "oauth2.0"
    declared = str(oauth)
    facebook = (
        "instagram_basic instagram_manage_insights instagram_manage_comments pages_show_list pages_read_engagement"
    )
    instagram = "basic manage_insights manage_comments"
    for scope in [*facebook.split(), *(f"instagram_business_{name}" for name in instagram.split())]:
        assert scope in declared
