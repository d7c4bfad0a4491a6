"""Each rule finds what is wrong where it stands, and nothing in a manifest in which nothing is."""

import re
from collections.abc import Iterator
from functools import reduce
from importlib import metadata
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import ROOT

from manifest_lint import RULES, lint
from manifest_lint.__main__ import main

MANIFEST = """\
version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [posts]}
definitions:
  requester:
    type: HttpRequester
    url_base: https://api.example.com
    path: "{{ parameters['path'] }}"
    authenticator: {type: BearerAuthenticator, api_token: "{{ config['token'] | string }}"}
    request_parameters: {since: "{{ stream_interval['start_time'] }}", until: "{{ day_delta(1) }}"}
  grouped:
    selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: [data]}}
  posts:
    $comment: What people write.
    $parameters: {path: posts}
    name: posts
    primary_key: [id]
    retriever:
      requester:
        $ref: "#/definitions/requester"
        error_handler:
          type: DefaultErrorHandler
          max_retries: 5
          response_filters: [{action: RETRY, predicate: "{{ response['code'] is odd }}"}]
      record_selector: "#/definitions/grouped/selector"
    transformations:
      - type: CustomTransformation
        class_name: source_declarative_manifest.components.Shout
        field: title
      - type: AddFields
        fields: [{path: [kind], value: "{{ record['type'] }}"}]
    schema_loader: {type: InlineSchemaLoader, schema: {$ref: "#/schemas/posts"}}
streams:
  - "#/definitions/posts"
schemas:
  posts:
    type: object
    description: A post.
    properties:
      title: {type: string, description: Its title.}
      tags: {type: array, description: All., items: {type: object, properties: {id: {type: string, description: One.}}}}
spec:
  type: Spec
  connection_specification: {type: object, properties: {token: {type: string, description: "Like {{ so }}."}}}
  advanced_auth:
    auth_flow_type: oauth2.0
    oauth_config_specification:
      oauth_connector_input_specification:
        {consent_url: "https://a.com?{{ state_param }}", access_token_url: "https://a.com", extract_output: [token]}
"""
COMPONENTS = """\
from dataclasses import dataclass
from airbyte_cdk.sources.declarative.transformations import RecordTransformation

@dataclass
class Shout(RecordTransformation):
    field: str
    def transform(self, record, config=None, stream_state=None, stream_slice=None):
        record[self.field] = record[self.field].upper()
"""


def found(folder: Path, old: str, new: str, components: str = COMPONENTS) -> list[str]:
    """What is found in the manifest with something in it changed; the file's name is left out."""
    assert MANIFEST.count(old) == 1, old
    file = folder / "manifest.yaml"
    file.write_text(MANIFEST.replace(old, new), encoding="utf-8")
    (folder / "components.py").write_text(components, encoding="utf-8")
    return [str(finding).removeprefix(f"{file}:") for finding in lint(file)]


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    assert found(tmp_path, "Its title.", "Its headline.") == []


RETRIEVER, HANDLER = "definitions.posts.retriever", "definitions.posts.retriever.requester.error_handler"
CASES = {
    # The CDK's schema, with the reason that it hides.
    "schema, a type": (
        "max_retries: 5",
        "max_retries: [5]",
        f"23:25: {HANDLER}.max_retries: [5] cannot stand here, but integer or string",
    ),
    "schema, a key that lacks": (
        ", extractor: {type: DpathExtractor, field_path: [data]}",
        "",
        "12:16: definitions.grouped.selector: lacks 'extractor'",
    ),
    "schema, a word": (
        "auth_flow_type: oauth2.0",
        "auth_flow_type: oauth",
        "46:21: spec.advanced_auth.auth_flow_type: 'oauth' is not one of ['oauth2.0', 'oauth1.0']",
    ),
    "schema, a component in a wrong place": (
        "{type: DpathExtractor,",
        "{type: DpathExtracter,",
        (
            "12:50: definitions.grouped.selector.extractor: a `DpathExtracter` cannot stand here, but one of "
            "CombinedExtractor, CustomRecordExtractor, DpathExtractor; did you mean `DpathExtractor`?"
        ),
    ),
    "keys, at the top": (
        "streams:\n",
        "streems: []\nstreams:\n",
        "33:1: streems: DeclarativeSource has no key `streems`; did you mean `streams`?",
    ),
    "keys, of a component": (
        "primary_key:",
        "primary_keys:",
        (
            "17:5: definitions.posts.primary_keys: DeclarativeStream has no key `primary_keys`; "
            "did you mean `primary_key`?"
        ),
    ),
    "keys, of one that somebody else uses": (
        "authenticator:",
        "authentication:",
        (
            "9:5: definitions.requester.authentication: HttpRequester has no key `authentication`; "
            "did you mean `authenticator`?"
        ),
    ),
    "keys, of one that the CDK gives its type": (
        "{action: RETRY, predicate:",
        "{action: RETRY, predicat:",
        (
            f"24:46: {HANDLER}.response_filters[0].predicat: HttpResponseFilter has no key `predicat`; "
            "did you mean `predicate`?"
        ),
    ),
    "keys, of a mapping that has no type": (
        "oauth_connector_input_specification:",
        "oauth_connector_inputs:",
        (
            "48:7: spec.advanced_auth.oauth_config_specification.oauth_connector_inputs: there is no key "
            "`oauth_connector_inputs`; did you mean `oauth_connector_input_specification`?"
        ),
    ),
    "templates, one that does not compile": (
        "{{ day_delta(1) }}",
        "{{ day_delta(1 }}",
        (
            "10:79: definitions.requester.request_parameters.until: the template does not compile: "
            "unexpected '}', expected ')'"
        ),
    ),
    "templates, a variable": (
        "{{ record['type'] }}",
        "{{ recrod['type'] }}",
        (
            "31:40: definitions.posts.transformations[1].fields[0].value: the template names `recrod`, "
            "which is not there; did you mean `record`?"
        ),
    ),
    "templates, a variable of another place": (
        "{{ response['code'] is odd }}",
        "{{ record['code'] is odd }}",
        (
            f"24:57: {HANDLER}.response_filters[0].predicate: the template names `record`, which is not there; "
            "there are config, headers, parameters, request_url, response"
        ),
    ),
    "templates, a macro": (
        "day_delta(1)",
        "days_delta(1)",
        (
            "10:79: definitions.requester.request_parameters.until: the template names `days_delta`, "
            "which is not there; did you mean `day_delta`?"
        ),
    ),
    "templates, a filter": (
        "| string",
        "| strin",
        (
            "9:59: definitions.requester.authenticator.api_token: the template uses an unknown filter `strin`; "
            "did you mean `string`?"
        ),
    ),
    "templates, a test": (
        "is odd",
        "is ood",
        f"24:57: {HANDLER}.response_filters[0].predicate: the template uses an unknown test `ood`; did you mean `odd`?",
    ),
    "templates, in a parameter that a component takes": (
        "$parameters: {path: posts}",
        "$parameters: {path: posts, url: 'https://{{ nobody }}', unknown: '{{ not_rendered }}'}",
        (
            "15:37: definitions.posts.$parameters.url: the template names `nobody`, which is not there; "
            "there are config, creation_response, download_target, next_page_token, parameters, polling_response, "
            "stream_interval, stream_partition, stream_slice"
        ),
    ),
    "classes, one that is not there": (
        "components.Shout",
        "components.Shoot",
        (
            "28:21: definitions.posts.transformations[0].class_name: there is no class `Shoot` in "
            "source_declarative_manifest.components"
        ),
    ),
    "classes, a module": (
        "source_declarative_manifest.components.Shout",
        "nowhere.Shout",
        (
            "28:21: definitions.posts.transformations[0].class_name: the module nowhere cannot be imported: "
            "ModuleNotFoundError: No module named 'nowhere'"
        ),
    ),
    "classes, a field": (
        "        field: title",
        "        feild: title",
        "29:9: definitions.posts.transformations[0].feild: `Shout` takes no `feild`; did you mean `field`?",
    ),
    "references, nowhere": (
        '- "#/definitions/posts"',
        '- "#/definitions/post"',
        "34:5: streams[0]: `#/definitions/post` leads nowhere; did you mean `#/definitions/posts`?",
    ),
    "references, a circle": (
        '{$ref: "#/schemas/posts"}',
        '"#/definitions/posts/schema_loader/schema"',
        "32:55: definitions.posts.schema_loader.schema: `#/definitions/posts/schema_loader/schema` leads in a circle",
    ),
    "parameters, without names": (
        "$parameters: {path: posts}",
        "$parameters: [posts]",
        "15:5: definitions.posts.$parameters: has to be a mapping of names to values",
    ),
    "unused, a definition": (
        "  posts:\n    $comment",
        "  paginator: {type: NoPagination}\n  posts:\n    $comment",
        "13:3: definitions.paginator: nothing uses it",
    ),
    "unused, one of a group": (
        "    selector:",
        "    other: {type: NoPagination}\n    selector:",
        "12:5: definitions.grouped.other: nothing uses it",
    ),
    "unused, a schema": (
        "spec:\n",
        "  users: {type: object}\nspec:\n",
        "42:3: schemas.users: nothing uses it",
    ),
    "descriptions, of a stream": (
        "    description: A post.\n",
        "",
        "37:5: schemas.posts: the stream `posts` has no description",
    ),
    "descriptions, of a property": (
        ", description: Its title.",
        "",
        "40:7: schemas.posts.properties.title: the property `title` has no description",
    ),
    "descriptions, of a property within": (
        ", description: One.",
        "",
        "41:81: schemas.posts.properties.tags.items.properties.id: the property `id` has no description",
    ),
    "check, a stream": (
        "stream_names: [posts]",
        "stream_names: [post]",
        "3:43: check.stream_names[0]: there is no stream `post` to check; did you mean `posts`?",
    ),
    "version, a newer one": (
        "version: 6.0.0",
        "version: 99.0.0",
        f"1:10: version: is for version 99.0.0 of the CDK, but {metadata.version('airbyte-cdk')} is installed",
    ),
}


@pytest.mark.parametrize(("old", "new", "expected"), CASES.values(), ids=CASES)
def test_a_rule_finds_what_is_wrong_where_it_stands(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert found(tmp_path, old, new) == [expected]


def test_every_rule_has_a_case() -> None:
    assert {name.partition(",")[0] for name in CASES} == {"references", "parameters", *RULES}


def test_a_schema_may_be_a_file_beside_the_package(tmp_path: Path) -> None:
    loader = '{type: InlineSchemaLoader, schema: {$ref: "#/schemas/posts"}}'
    file = "{type: JsonFileSchemaLoader, file_path: \"./schemas/{{ parameters['path'] }}.json\"}"
    unused = "36:3: schemas.posts: nothing uses it"
    assert found(tmp_path, loader, file) == [
        "16:11: definitions.posts.name: the stream `posts` has no schema: ./schemas/posts.json is not there",
        unused,
    ]
    assert any("posts` has no schema" in line for line in found(tmp_path, loader, file.replace("parameters", "nobody")))
    (tmp_path / "schemas").mkdir()
    schema = tmp_path / "schemas" / "posts.json"
    schema.write_text('{"description": "A post.",\n "properties": {"id": {"type": "string"}}}', encoding="utf-8")
    lines = found(tmp_path, loader, file)
    assert lines == [unused, f"{schema}:2:17: properties.id: the property `id` has no description"]


@pytest.mark.parametrize(
    ("components", "why"),
    [
        (COMPONENTS.replace("field: str", "field: 'str'"), "AttributeError"),
        (COMPONENTS + "import there_is_no_such_module", "No module named 'there_is_no_such_module'"),
    ],
)
def test_components_are_executed_as_the_cdk_does_it(tmp_path: Path, components: str, why: str) -> None:
    """A module that only an import can load does not work in the Builder."""
    (line,) = found(tmp_path, "Its title.", "Its headline.", components)
    assert line.startswith("28:21: definitions.posts.transformations[0].class_name: components.py cannot be executed")
    assert why in line


def test_what_is_used_twice_is_said_once(tmp_path: Path) -> None:
    again = '  - $ref: "#/definitions/posts"\n    name: others\nschemas:\n'
    assert found(tmp_path, "schemas:\n", again) == []
    (tmp_path / "manifest.yaml").write_text(
        MANIFEST.replace("schemas:\n", again).replace("url_base", "url_bas"), encoding="utf-8"
    )
    assert [finding.place.line for finding in lint(tmp_path / "manifest.yaml")] == [7]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a manifest."""
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(child, (*path, key))


@pytest.mark.slow
@pytest.mark.parametrize("odd", [None, [], "word", 7], ids=repr)
def test_whatever_stands_somewhere_it_finds_words(tmp_path: Path, odd: Any) -> None:
    (tmp_path / "components.py").write_text(COMPONENTS, encoding="utf-8")
    file = tmp_path / "manifest.yaml"
    for *path, last in places(yaml.safe_load(MANIFEST)):
        manifest = yaml.safe_load(MANIFEST)
        reduce(getitem, path, manifest)[last] = odd
        file.write_text(yaml.safe_dump(manifest), encoding="utf-8")
        assert all(finding.place.line for finding in lint(file)), (path, last)


# -- The command -------------------------------------------------------------------------------------------------------


def test_it_ends_as_linters_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found(tmp_path, "Its title.", "Its headline.")
    assert (main([str(tmp_path)]), *capsys.readouterr()) == (0, "", "")
    found(tmp_path, "components.Shout", "components.Shoot")
    assert main([str(tmp_path / "manifest.yaml")]) == 1
    assert capsys.readouterr().out.startswith(f"{tmp_path}/manifest.yaml:28:21: definitions.posts.transformations[0].")
    assert main([str(tmp_path), "--ignore", "classes"]) == 0
    assert main([str(tmp_path), str(tmp_path / "nowhere")]) == 2, "the worst counts"
    assert capsys.readouterr().err == f"{tmp_path}/nowhere: No such file or directory\n"
    with pytest.raises(SystemExit, match="2"):
        main([])


def test_the_hook_runs_the_command_on_manifests() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert f'\n{hook["entry"]} = "manifest_lint' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    paths = ["manifest.yaml", "source_x/manifest.yaml", "my-manifest.yaml", "manifest.yaml.md"]
    assert [path for path in paths if re.search(hook["files"], path)] == paths[:2]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("streams: [", ":1:11: expected the node content, but found '<stream end>'"),
        ("version: 1\npath: {{ path }}", ':2:8: a key has to be a word; templates stand in quotes: "{{ … }}"'),
        ("- version", ": is no manifest, which would be a mapping"),
        ("", ": is no manifest, which would be a mapping"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str) -> None:
    (tmp_path / "manifest.yaml").write_text(text, encoding="utf-8")
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr() == ("", f"{tmp_path}/manifest.yaml{why}\n")
