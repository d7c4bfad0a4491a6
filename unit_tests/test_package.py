"""What the package imports is there wherever it runs: declared, or brought by the CDK, for its images bring no more."""

import ast
import re
import sys
from importlib import metadata

import pytest
from harness import ROOT

CDK = "airbyte-cdk"
PACKAGES = ("source_instagram", "manifest_lint")
DISTRIBUTIONS = {"yaml": "pyyaml"}  # where the module has another name
BROUGHT = {"airbyte_cdk", *sys.stdlib_module_names}
IMPORTED = {
    (name.split(".")[0], path.name)
    for folder in PACKAGES
    for path in sorted((ROOT / folder).rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    for name in (
        [each.name for each in node.names]
        if isinstance(node, ast.Import)
        else [node.module or ""]
        if isinstance(node, ast.ImportFrom)
        else []
    )
}


def required(distribution: str) -> set[str]:
    """The names of what a distribution needs, without its extras."""
    lines = [line for line in metadata.requires(distribution) or [] if "extra ==" not in line]
    return {re.split(r"[^\w.-]", line)[0].lower() for line in lines}


def declared() -> set[str]:
    """What pyproject.toml says, which the shared environment may have installed before."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^dependencies = \[(.*?)^\]$", text, re.MULTILINE | re.DOTALL)
    return {re.split(r"[^\w.-]", name)[0].lower() for name in re.findall(r'"([^"]+)"', line)}


@pytest.mark.parametrize(("module", "file"), sorted(each for each in IMPORTED if each[0] not in PACKAGES))
def test_what_is_imported_is_declared_and_in_every_image(module: str, file: str) -> None:
    if module not in BROUGHT:
        distribution = DISTRIBUTIONS.get(module, module)
        assert distribution in declared(), file
        assert distribution in required(CDK), file


def test_time_zones_come_with_the_cdk() -> None:
    assert "pandas" in required(CDK)
    assert "tzdata" in required("pandas")
