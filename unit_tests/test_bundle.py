"""One text of the package: what it keeps, and what it refuses."""

import ast
import hashlib
import json
import re
import textwrap
from pathlib import Path

import pytest
import yaml
from airbyte_cdk.sources.declarative.parsers.custom_code_compiler import register_components_module_from_string
from airbyte_cdk.sources.declarative.parsers.manifest_component_transformer import ManifestComponentTransformer
from airbyte_cdk.sources.declarative.parsers.manifest_reference_resolver import ManifestReferenceResolver
from engine import RULES
from harness import CONDITIONAL, SCHEMAS, STREAMS
from runners import manifest, texts

from bundle.__main__ import main
from bundle.flatten import CannotFlatten, flatten
from bundle.manifest import CannotInline, inlined

MANIFEST = Path(__file__).parents[1] / "source_instagram" / "manifest.yaml"
CDK_BRINGS = {"airbyte_cdk", "jsonschema", "orjson", "requests", "yaml"}  # and so do the image and the Builder
PYTHON_BRINGS = {
    "collections", "concurrent", "contextlib", "copy", "dataclasses", "datetime", "difflib", "enum", "functools",
    "hashlib", "hmac", "inspect", "itertools", "json", "logging", "os", "re", "sys", "threading", "time", "typing",
    "unicodedata", "urllib", "weakref", "zoneinfo",
}  # fmt: skip


def package(folder: Path, **modules: str) -> Path:
    """A package of these modules."""
    home = folder / "pack"
    home.mkdir()
    for name, text in modules.items():
        (home / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    return home


def run(text: str) -> dict[str, object]:
    """What a text defines."""
    found: dict[str, object] = {}
    exec(text, found)  # noqa: S102 - as the CDK does
    return found


# -- One text ----------------------------------------------------------------------------------------------------------


def test_names_that_mean_two_things_get_their_modules_names(tmp_path: Path) -> None:
    home = package(
        tmp_path,
        days='"""Days."""\nfrom datetime import timedelta\nDAY = timedelta(days=1)\n',
        seconds='"""Seconds."""\nDAY = 86_400\ndef span(days: int) -> int:\n    return days * DAY\n',
        start="""
            from typing import TYPE_CHECKING, Optional

            from pack import seconds
            from pack.days import DAY as LENGTH
            from pack.seconds import span as count

            if TYPE_CHECKING:
                from pack.days import DAY

            class Pair:
                DAYS: Optional["int"] = seconds.span(2)
                other = LENGTH * count(1)
                third = seconds.DAY
        """,
    )
    text = flatten(home, "start", "All of it.")
    found = run(text)["Pair"]
    assert (found.DAYS, found.other.total_seconds(), found.third) == (172_800, 86_400 * 86_400, 86_400)  # type: ignore[attr-defined]
    assert ast.get_docstring(ast.parse(text)) == "All of it."
    assert "DAYS_DAY = timedelta(days=1)" in text
    assert "SECONDS_DAY = 86_400" in text
    assert "# Seconds." in text
    assert "pack" not in re.sub("#.*", "", text)


def test_what_is_said_alike_is_said_once(tmp_path: Path) -> None:
    log = 'import logging\nlog = logging.getLogger("x")\n'
    home = package(
        tmp_path, other=log + "here = log\n", start=log + "from pack.other import here\nsame = here is log\n"
    )
    text = flatten(home, "start", "It.")
    assert run(text)["same"] is True
    assert text.count("getLogger") == 1


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ("from pack import other\ndef f():\n    return other", "start.py, line 3: the module `other` itself is used"),
        ("from pack.other import DAY\nDAY = 3\n", "`DAY` is imported and then becomes something else"),
        ("from .other import DAY\n", "start.py, line 1: an import must name its module"),
        ("from pack.other import *\n", "an import must name"),
        ("import pack.other\n", "write `from pack import"),
        ("def f():\n    from pack.other import DAY\n", "line 2: an import inside a function"),
        ("def f():\n    global x\n    x = 1\n", "`global`"),
        ("class A:\n    x: 'A'\n", "line 2: dataclasses cannot read a whole annotation in quotes"),
        ("print(__file__)\n", "only imports, definitions and assignments"),
        ("HOME = __file__\n", "`__file__` is something else"),
        (
            "from pack.other import DAY\nfrom pack.third import DAY as second\ndef f(second): return second\n",
            "`second`",
        ),
        ("from pack.other import nothing\n", "other.py does not define `nothing`"),
        (
            "from pack.other import DAY\nfrom json import loads\nfrom pack.fourth import cut\n",
            "`loads` is imported from",
        ),
        (
            "from pack.fifth import len\ndef f(x):\n    return len(x)\nfrom pack.other import count\n",
            "`len` is Python's own",
        ),
        ("from pack.start import x\nx = 1\n", "These modules need each other: start"),
        ("from pack.sixth import x\n", "would have to be called `OTHER_DAY`, as something else is"),
    ],
)
def test_what_would_mean_something_else_is_refused(tmp_path: Path, start: str, why: str) -> None:
    home = package(
        tmp_path,
        other="DAY = 1\ndef count(x):\n    return len(x)\n",
        third="DAY = 2\n",
        fourth="from pickle import loads\ncut = loads\n",
        fifth="def len(x):\n    return 0\n",
        sixth="from pack.other import DAY\nfrom pack.third import DAY as other_day\nOTHER_DAY = 3\nx = 1\n",
        start=start,
    )
    with pytest.raises(CannotFlatten, match=re.escape(why)):
        flatten(home, "start", "It.")


def test_the_command_writes_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bundle", "--out", str(tmp_path / "new")])
    main()
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new").iterdir()} == texts()
    assert re.fullmatch(r"(.*/new/(manifest\.yaml|components\.py): \d+ KiB, \d+ lines\n){2}", capsys.readouterr().out)


# -- The package -------------------------------------------------------------------------------------------------------


def test_the_cdk_takes_the_components_as_text() -> None:
    text = texts()["components.py"]
    module = register_components_module_from_string(text, {"sha256": hashlib.sha256(text.encode()).hexdigest()})
    for name in re.findall(r"source_declarative_manifest\.components\.(\w+)", texts()["manifest.yaml"]):
        assert isinstance(getattr(module, name), type)


def test_the_components_need_no_more_than_the_cdk_brings() -> None:
    tree = ast.parse(texts()["components.py"])
    found = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert found <= CDK_BRINGS | PYTHON_BRINGS


def test_nothing_of_the_package_is_lost() -> None:
    """Every class and function of the modules stands in the text, with its body."""
    text = texts()["components.py"]
    flat = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for path in sorted(MANIFEST.parent.glob("*.py")):
        if path.stem in {
            "__init__",
            "groups",
            "probe",
            "probing",
            "run",
            "source",
            "truth",
            "tuning",
        }:  # of the package alone
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                assert {node.name, f"{path.stem}_{node.name}"} & flat, (path.stem, node.name)


# -- The manifest ------------------------------------------------------------------------------------------------------


def test_the_manifest_holds_each_schema_once() -> None:
    assert manifest()["schemas"] == SCHEMAS
    assert list(manifest()["schemas"]) == [*STREAMS, *CONDITIONAL]


def test_all_else_in_the_manifest_is_as_it_was_written() -> None:
    own, made = yaml.safe_load(MANIFEST.read_text(encoding="utf-8")), manifest()
    for name in (*STREAMS, *CONDITIONAL):
        assert made["definitions"][name].pop("schema_loader") == {
            "type": "InlineSchemaLoader", "schema": {"$ref": f"#/schemas/{name}"},
        }  # fmt: skip
    assert own["definitions"]["base_stream"].pop("schema_loader")
    assert made.pop("schemas")
    assert made == own


def test_a_stream_without_a_schema_is_refused(tmp_path: Path) -> None:
    text = MANIFEST.read_text(encoding="utf-8")
    with pytest.raises(CannotInline, match="The stream accounts has no schema"):
        inlined(text, tmp_path, "")
    with pytest.raises(CannotInline, match=r"The stream tags has no line `\$parameters"):
        inlined(text.replace("{name: tags, stream_name: tags}", "{name: tags}"), MANIFEST.parent / "schemas", "")


def test_the_resolved_manifest_says_the_tables_once() -> None:
    resolved = ManifestComponentTransformer().propagate_types_and_parameters(
        "", ManifestReferenceResolver().preprocess_manifest(manifest()), {}
    )
    text = json.dumps(resolved)
    for rule in RULES:
        assert text.count(json.dumps(rule["because"])) == sum(each["because"] == rule["because"] for each in RULES)
    assert text.count('"tags": "instagram_manage_comments"') == 1
    assert len(text) < 720_000, "1.3 MB with the tables in each requester"
