"""The classes that a manifest names, found as the runner finds them that its folder is made for."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from airbyte_cdk.sources.declarative.parsers.custom_code_compiler import register_components_module_from_string

RUNNER = "source_declarative_manifest.components"


class NotFound(Exception):  # noqa: N818 - a sentence for whoever named it
    """A class that cannot be had; the message says why."""


class Classes:
    """Classes by the names that a manifest gives them. The code that has them is run, as it is in a sync."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def find(self, name: str) -> Any:
        """The class of this name.

        Raises:
            NotFound: it cannot be had.
        """
        module, _, plain = name.rpartition(".")
        found = self._beside if module == RUNNER else self._imported(module)
        if isinstance(getattr(found, plain, None), type):
            return getattr(found, plain)
        raise NotFound(f"there is no class `{plain}` in {module}")

    @cached_property
    def _beside(self) -> ModuleType:
        """The components.py beside the manifest: a module of its package, or text that the CDK executes."""
        file = self._folder / "components.py"
        if not file.exists():
            raise NotFound(f"there is no {file.name} beside the manifest, in which the class would be")
        if (self._folder / "__init__.py").exists():
            return self._imported(f"{self._folder.name}.components")
        try:
            text = file.read_text(encoding="utf-8")
            checksum = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
            for module in (RUNNER, RUNNER.rpartition(".")[2]):  # of a manifest before this one
                sys.modules.pop(module, None)
            return register_components_module_from_string(text, {"md5": checksum})
        except Exception as error:
            raise NotFound(f"{file.name} cannot be executed as the CDK does it: {reason(error)}") from error

    def _imported(self, module: str) -> ModuleType:
        with first_in_path(self._folder.parent, self._folder):
            try:
                return importlib.import_module(module)
            except Exception as error:
                raise NotFound(f"the module {module or 'of the class'} cannot be imported: {reason(error)}") from error


def fields_of(found: Any) -> set[str]:
    """The fields that the CDK gives a class: those whose types it says, its own and what it inherits."""
    return set(get_type_hints(found))


@contextmanager
def first_in_path(*folders: Path) -> Iterator[None]:
    """Let imports look into these folders first."""
    before, sys.path = sys.path, [*map(str, folders), *sys.path]
    try:
        yield
    finally:
        sys.path = before


def reason(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
