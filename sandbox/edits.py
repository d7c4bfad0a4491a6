"""Changes to a good answer: what an `edit` fault removes, sets, wraps, cuts, doubles or turns around in it.

A path is dotted: `data.*.comments_count`. `*` is every element of a list or value of an object, a number is a place in
a list, `id=179…` those whose `id` is that, and the empty path is the whole answer. A path that leads nowhere changes
nothing, except that the last name of a `set` may be new.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.figures import unit


def edited(answer: Any, changes: dict[str, Any]) -> Any:
    """The answer with the changes made, in the order of `_CHANGES`; the answer itself stays as it is."""
    box = {"": copy.deepcopy(answer)}  # so that the whole answer has a place, too
    for name, change in _CHANGES.items():
        given = changes.get(name)
        paths = [given] if isinstance(given, str) else given or []
        for path in paths:
            value = given[path] if isinstance(given, dict) else None
            # From behind, so that what is removed or doubled moves no place that is still to come.
            for container, key in reversed(list(_places(box, ["", *(path.split(".") if path else [])]))):
                change(container, key, value)
    return box[""]


def _places(node: Any, path: list[str]) -> Iterator[tuple[Any, Any]]:
    """Where a path leads: containers with a key or an index. The last key of an object may be missing."""
    here, rest = path[0], path[1:]
    for key in _keys(node, here, may_be_new=not rest):
        if not rest:
            yield node, key
        else:
            yield from _places(node[key], rest)


def _keys(node: Any, name: str, *, may_be_new: bool) -> list[Any]:
    everything = list(range(len(node))) if isinstance(node, list) else list(node) if isinstance(node, dict) else []
    if name == "*":
        return everything
    wanted, is_match, value = name.partition("=")
    if is_match:
        return [key for key in everything if isinstance(node[key], dict) and str(node[key].get(wanted)) == value]
    if isinstance(node, list):
        return [int(name)] if name.isdigit() and int(name) < len(node) else []
    return [name] if isinstance(node, dict) and (may_be_new or name in node) else []


def _has(container: Any, key: Any) -> bool:
    return isinstance(container, list) or key in container


def _set(container: Any, key: Any, value: Any) -> None:
    container[key] = copy.deepcopy(value)


def _remove(container: Any, key: Any, _: Any) -> None:
    if _has(container, key):
        del container[key]


def _keep(container: Any, key: Any, most: Any) -> None:
    if _has(container, key):
        container[key] = container[key][:most]


def _thin(container: Any, key: Any, share: Any) -> None:
    """Leave out a share of a list's objects, always the same ones, as Meta leaves out what a reader may not see."""
    if _has(container, key):
        container[key] = [item for item in container[key] if unit("thin", item.get("id")) >= share]


def _duplicate(container: Any, key: Any, _: Any) -> None:
    if isinstance(container, list):
        container.insert(key + 1, copy.deepcopy(container[key]))


def _reverse(container: Any, key: Any, _: Any) -> None:
    if _has(container, key):
        container[key] = container[key][::-1]


def _wrap(container: Any, key: Any, _: Any) -> None:
    if _has(container, key):
        container[key] = {"data": [container[key]]}


_CHANGES: dict[str, Callable[[Any, Any, Any], None]] = {
    "set": _set,
    "remove": _remove,
    "keep": _keep,
    "thin": _thin,
    "duplicate": _duplicate,
    "reverse": _reverse,
    "wrap": _wrap,
}
EDITS = (*_CHANGES, "loop")  # the last needs to know what was asked, see `Service`
