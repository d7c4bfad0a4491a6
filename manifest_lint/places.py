"""YAML (and JSON, which is YAML) whose values know where they stand in their file.

The CDK resolves references by copying: what a definition says turns up in each place that uses it. Texts, numbers and
the keys of mappings are copied as they are, so that each of them still tells the line that somebody wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Value = Any


@dataclass(frozen=True, order=True)
class Place:
    """A line and column of a file, both from 1, and the path of keys that leads there."""

    file: str
    line: int
    column: int
    path: str

    def __str__(self) -> str:
        """As editors and CI take it: `file:line:column: path`."""
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.path}" if self.path else where


class Located:
    """What knows its place. It never changes, so that a copy may be itself."""

    place: Place

    def __deepcopy__(self, memo: Any) -> Any:
        """Itself."""
        return self


class Text(Located, str):  # noqa: SLOT000 - it has a place
    """A text with its place."""


class Whole(Located, int):
    """A whole number with its place."""


class Real(Located, float):
    """A number with its place."""


LOCATED = {str: Text, int: Whole, float: Real}


class Mapping(dict[Any, Any]):
    """A mapping with its place, until somebody copies it."""

    place: Place


class Sequence(list[Any]):
    """A list with its place, likewise."""

    place: Place


class Unreadable(Exception):  # noqa: N818 - a sentence for whoever wanted it read
    """A file that is not there or is no YAML; the message says where."""


def read(file: Path) -> Value:
    """The content of a file, each value with its place.

    Raises:
        Unreadable: it is not there, or is no YAML.
    """
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return Reader(str(file)).value(node, "") if node else None
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{file}: {getattr(error, 'strerror', None) or 'is no text in UTF-8'}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise Unreadable(f"{where}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise Unreadable(f"{file}: {' '.join(str(error).split())}") from error


class Reader:
    """Makes values of YAML's nodes."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._plain = yaml.constructor.SafeConstructor()
        self._aliased: dict[int, Value] = {}

    def value(self, node: yaml.Node, path: str) -> Value:
        """One node with all that is in it. What an alias stands for has the place of its anchor."""
        known = self._aliased.get(id(node))
        if known is not None:
            return known
        place = Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1, path)
        if isinstance(node, yaml.MappingNode):
            self._plain.flatten_mapping(node)
            value: Value = Mapping()
            for key_node, child in node.value:
                if not isinstance(key_node, yaml.ScalarNode):
                    raise yaml.MarkedYAMLError(problem='a key has to be a word; templates stand in quotes: "{{ … }}"',
                                               problem_mark=key_node.start_mark)  # fmt: skip
                key = self.value(key_node, f"{path}.{key_node.value}".lstrip("."))
                value[key] = self.value(child, f"{path}.{key}".lstrip("."))
        elif isinstance(node, yaml.SequenceNode):
            value = Sequence(self.value(child, f"{path}[{at}]") for at, child in enumerate(node.value))
        else:
            plain = self._plain.construct_object(node)
            value = LOCATED[type(plain)](plain) if type(plain) in LOCATED else plain
        if isinstance(value, (Located, Mapping, Sequence)):
            value.place = place
            self._aliased[id(node)] = value
        return value


def place_of(value: Value, otherwise: Place) -> Place:
    """Where a value stands; a copy stands where what is first in it does, and `true` and nothing have no place."""
    found: Place | None = getattr(value, "place", None)
    if found:
        return found
    if isinstance(value, dict) and value:
        key = next(iter(value))
        inner = place_of(key, otherwise)
        return Place(inner.file, inner.line, inner.column, inner.path.removesuffix(f".{key}")) if inner.path else inner
    if isinstance(value, list) and value:
        inner = place_of(value[0], otherwise)
        return Place(inner.file, inner.line, inner.column, inner.path.removesuffix("[0]"))
    return otherwise
