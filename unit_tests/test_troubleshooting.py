"""docs/troubleshooting.md explains everything that the connector can say, and nothing else."""

import ast
import re
from collections.abc import Iterator

import pytest
from engine import RULES as ERRORS
from harness import ROOT

from source_instagram.configuration import RULES

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SENTENCE = re.compile(r"\b\w+ \w+.*[.:]( |$)|^…: .*[.:]", re.DOTALL)  # what people are meant to read
NOT_SAID = (
    "^Stream \\w+ is not available: ",
    "not a time: ",
    "The sync has ended.",
    "… Meta says: …",
    "Meta says: …",
)  # to nobody outside the code
A_TABLE = ("probe", "truth")  # modules whose sentences stand in a table of their own, which docs/truth.md explains
Said = tuple[str, str]  # where, and the words with `…` for what varies


def words_of(node: ast.AST) -> str | None:
    """The words of a text with `…` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%(\.\d+)?[sdrf]|\{\w*\}", "…", node.value).replace("%%", "%")
    if isinstance(node, ast.JoinedStr):
        return "".join(words_of(part) or "…" for part in node.values)
    return None


def texts(tree: ast.Module) -> Iterator[ast.AST]:
    """All texts of a module but its docstrings and the parts of other texts."""
    skipped = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    skipped |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    yield from (node for node in ast.walk(tree) if id(node) not in skipped)


def said() -> Iterator[Said]:
    """Everything that the connector can say."""
    for rule in ERRORS:
        yield "manifest.yaml", re.sub(r"\{\w+\}", "…", rule["because"])
    for rule in RULES.values():
        yield "configuration.py", f"must {rule.format('…')}."
    for path in sorted((ROOT / "source_instagram").glob("*.py")):
        for node in texts(ast.parse(path.read_text(encoding="utf-8"))) if path.stem not in A_TABLE else ():
            words = words_of(node)
            if words and SENTENCE.search(words) and not words.startswith(NOT_SAID):
                yield path.name, words


SAID = sorted(set(said()))
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
TOLD = [told for row in ROWS for told in re.findall(r"`([^`]+)`", row[0])]


def test_every_row_says_what_to_do() -> None:
    assert [row[0] for row in ROWS if len(row) != 3 or not all(cell.strip(" |") for cell in row)] == []


@pytest.mark.parametrize("rule", ERRORS, ids=lambda rule: rule["because"][:40])
def test_each_error_rule_has_its_line(rule: dict[str, str]) -> None:
    assert [told for told in TOLD if told in rule["because"]], rule["because"]


def test_everything_that_is_said_has_its_line() -> None:
    assert [(where, words) for where, words in SAID if not any(told in words for told in TOLD)] == []


def test_every_line_is_of_something_that_is_said() -> None:
    assert [told for told in TOLD if not any(told in words for _, words in SAID)] == []
