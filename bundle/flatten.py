"""A package's modules as one text, in the order in which they need each other.

The Connector Builder and the manifest-only image know one file of Python, `components.py`. What the package imports
from itself falls away; a name that several modules define differently gets its module's name. Whatever that could
change the meaning of is refused in a sentence.
"""

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

WIDTH = 120
BANNER = f"# {'=' * (WIDTH - 2)}"
KINDS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
OF_A_FILE = {"__file__", "__name__", "__package__", "__path__", "__spec__"}  # are others in another file

Edit = tuple[int, int, str]  # from where to where in a text, and what stands there then
Meaning = tuple[str, str]  # a module and a name in it; "" for the module itself


class CannotFlatten(Exception):  # noqa: N818 - says what happened
    """Why a package cannot be one text."""


@dataclass
class Module:
    """One file of a package."""

    package: str
    name: str
    text: str
    needs: list[str] = field(default_factory=list)  # modules that have to stand before it
    imported: dict[str, Meaning] = field(default_factory=dict)  # from outside, by the name that it has here
    own: dict[str, Meaning] = field(default_factory=dict)  # from the package, likewise; also what is defined here
    cut: list[ast.stmt] = field(default_factory=list)  # what does not stand in the one text

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed text."""
        return ast.parse(self.text)

    @property
    def doc(self) -> str:
        """The docstring."""
        return ast.get_docstring(self.tree) or ""

    @cached_property
    def defined(self) -> dict[str, str]:
        """The names that it defines, each with a text that is the same where it means the same."""
        found: dict[str, str] = {}
        for statement in self.tree.body:
            for name in bound_by(statement):
                # A class or function of the same text may use other globals.
                is_value = isinstance(statement, (ast.Assign, ast.AnnAssign))
                found[name] = ast.dump(statement) if is_value and is_plain(statement) else f"{self.name}.{name}"
        return found

    def fail(self, node: ast.AST, why: str) -> CannotFlatten:
        """The error for what stands in a line."""
        line = getattr(node, "lineno", 1)
        return CannotFlatten(f"{self.package}/{self.name}.py, line {line}: {why}")

    def read(self) -> "Module":
        """Find out what it imports and defines."""
        body = self.tree.body
        if self.doc:
            self.cut.append(body[0])
        for statement in body[len(self.cut) :]:
            if not isinstance(statement, KINDS) and not is_for_types(statement):
                raise self.fail(statement, "only imports, definitions and assignments can stand at the top.")
            if isinstance(statement, ast.If):
                self.cut.append(statement)
                for inner in statement.body:
                    self._import(inner, is_needed=False)
            elif isinstance(statement, (ast.Import, ast.ImportFrom)):
                self.cut.append(statement)
                self._import(statement, is_needed=True)
        self._look_inside()
        for name in self.defined:
            if self.own.setdefault(name, (self.name, name)) != (self.name, name) or name in self.imported:
                raise self.fail(self.tree, f"`{name}` is imported and then becomes something else.")
        return self

    def _look_inside(self) -> None:
        """See that nothing depends on the file in which it stands."""
        top = {id(each) for statement in self.cut for each in ast.walk(statement)}
        for node in ast.walk(self.tree):
            if id(node) not in top and isinstance(node, (ast.Import, ast.ImportFrom)):
                raise self.fail(node, "an import inside a function cannot be moved to the top. Move it there.")
            if isinstance(node, ast.Global):
                raise self.fail(node, "`global` names what may have another name in one text. Use an object instead.")
            if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Constant):
                raise self.fail(node, "dataclasses cannot read a whole annotation in quotes; quote the name within it.")
            if isinstance(node, ast.Name) and node.id in OF_A_FILE:
                raise self.fail(node, f"`{node.id}` is something else in another file. Do without it.")

    def _import(self, statement: ast.stmt, *, is_needed: bool) -> None:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            raise self.fail(statement, "beside imports, nothing may stand under TYPE_CHECKING.")
        source = statement.module or "" if isinstance(statement, ast.ImportFrom) else ""
        for alias in statement.names:
            called = alias.asname or alias.name
            is_own = (source or alias.name).partition(".")[0] == self.package
            if alias.name == "*" or (isinstance(statement, ast.ImportFrom) and statement.level):
                raise self.fail(statement, "an import must name its module and what it takes from it.")
            if not is_own:
                self.imported[called] = (source, alias.name) if source else (alias.name, "")
            elif not source:
                raise self.fail(statement, f"write `from {self.package} import …`.")
            else:
                module = alias.name if source == self.package else source.removeprefix(f"{self.package}.")
                self.own[called] = (module, "" if source == self.package else alias.name)
                self.needs += [module] if is_needed else []


def flatten(package: Path, start: str, header: str) -> str:
    """The text of a module of a package together with all that it needs from the package, and a docstring before it.

    Raises:
        CannotFlatten: it would mean something else.
    """
    modules = in_order(package, start)
    names = final_names(modules)
    check_outside(modules, names)
    say_once(modules)
    parts = [f'"""{header}"""', "\n".join(imports(modules)), *(section(module, names) for module in modules)]
    return "\n\n".join(part for part in parts if part) + "\n"


def in_order(package: Path, start: str) -> list[Module]:
    """A module and those that it needs, each after all that it needs itself."""
    done: dict[str, Module] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise CannotFlatten(f"These modules need each other: {', '.join(above[above.index(name) :])}.")
        if name not in done:
            module = Module(package.name, name, (package / f"{name}.py").read_text(encoding="utf-8")).read()
            for needed in module.needs:
                visit(needed, (*above, name))
            done[name] = module

    visit(start, ())
    return list(done.values())


# -- Names -------------------------------------------------------------------------------------------------------------


def final_names(modules: list[Module]) -> dict[Meaning, str]:
    """What each name that a module defines is called in the one text: as before, where it is the only one.

    Before: DAY of times, DAY of tokens, log of both
    After:  TIMES_DAY, TOKENS_DAY, log
    """
    definitions: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for module in modules:
        for name, text in module.defined.items():
            definitions[name][module.name] = text
    outside = {name for module in modules for name in module.imported}
    owners: dict[str, Meaning] = dict.fromkeys(outside, ("", ""))
    found: dict[Meaning, str] = {}
    for name, by_module in definitions.items():
        first = {text: module_name for module_name, text in reversed(by_module.items())}
        is_alone = len(first) == 1 and name not in outside
        for module_name, text in by_module.items():
            new = name if is_alone else prefixed(first[text], name)
            if owners.setdefault(new, (name, text)) != (name, text):
                raise CannotFlatten(
                    f"`{name}` of {module_name}.py would have to be called `{new}`, as something else is."
                )
            found[module_name, name] = new
    return found


def say_once(modules: list[Module]) -> None:
    """Leave out what an earlier module has assigned in the same words, as the log."""
    said: set[tuple[str, str]] = set()
    for module in modules:
        for statement in module.tree.body:
            new = {(name, module.defined[name]) for name in bound_by(statement)}
            if new and new <= said:
                module.cut.append(statement)
            said |= new


def prefixed(module: str, name: str) -> str:
    """A name with that of its module, in the same style."""
    if name.isupper():
        return f"{module.upper()}_{name}"
    first = "_" if name.startswith("_") else ""
    return f"{first}{module}_{name.lstrip('_')}" if name.lower() == name else f"{module.title().replace('_', '')}{name}"


def check_outside(modules: list[Module], names: dict[Meaning, str]) -> None:
    """Whether each name from outside means one thing, and nothing hides what Python itself has.

    Raises:
        CannotFlatten: it does not.
    """
    meanings: dict[str, Meaning] = {}
    hidden = {name for name in names.values() if hasattr(builtins, name)}
    for module in modules:
        for name, meaning in module.imported.items():
            if meanings.setdefault(name, meaning) != meaning:
                raise CannotFlatten(f"`{name}` is imported from {meanings[name][0]} and from {meaning[0]}. Rename one.")
        for module_name, name in module.own.values():
            if name and (module_name, name) not in names:
                raise module.fail(
                    module.tree, f"{module_name}.py does not define `{name}` itself. Import it from where it is."
                )
        hidden_here = hidden - module.own.keys() - locals_of(module)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name) and node.id in hidden_here:
                raise module.fail(node, f"`{node.id}` is Python's own here, and defined in another module.")


def locals_of(module: Module) -> set[str]:
    """All names that something within the module's functions and classes binds."""
    found: set[str] = set()
    for scope in ast.walk(module.tree):
        if isinstance(scope, ast.arg):
            found.add(scope.arg)
        elif isinstance(scope, (ast.FunctionDef, ast.ClassDef)):
            found |= {name for statement in scope.body for each in ast.walk(statement) for name in bound_by(each)}
        elif isinstance(scope, ast.comprehension):
            found |= set(targets(scope.target))
    return found


def bound_by(statement: ast.AST) -> Iterator[str]:
    """The names that a statement defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
        yield statement.id
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from targets(target)
    elif isinstance(statement, ast.AnnAssign):
        yield from targets(statement.target)
    elif isinstance(statement, ast.ExceptHandler) and statement.name:
        yield statement.name


def targets(node: ast.AST) -> Iterator[str]:
    """The names in what is assigned to."""
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def is_plain(statement: ast.stmt) -> bool:
    """Whether what is assigned is the same wherever it is assigned: a constant, or a logger."""
    value = getattr(statement, "value", None)
    return isinstance(value, ast.Constant) or (
        isinstance(value, ast.Call) and ast.unparse(value.func) == "logging.getLogger"
    )


def is_for_types(statement: ast.stmt) -> bool:
    """Whether it is `if TYPE_CHECKING:`."""
    test = statement.test if isinstance(statement, ast.If) else None
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


# -- Text --------------------------------------------------------------------------------------------------------------


def imports(modules: Iterable[Module]) -> Iterator[str]:
    """All that is imported from outside, once, and only if it is used."""
    used = {node.id for module in modules for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
    used |= {word for module in modules for word in in_strings(module.tree)}
    used -= {"TYPE_CHECKING"}
    wanted = {
        (source, name, called)
        for module in modules
        for called, (source, name) in module.imported.items()
        if called.partition(".")[0] in used
    }
    for source, name, called in sorted(wanted):
        if not name:
            yield f"import {source}" + (f" as {called}" if called != source else "")
    by_source: defaultdict[str, list[str]] = defaultdict(list)
    for source, name, called in sorted(wanted, key=lambda each: (each[1].lower(), each)):
        if name:
            by_source[source].append(name if name == called else f"{name} as {called}")
    for source, taken in sorted(by_source.items()):
        line = f"from {source} import {', '.join(taken)}"
        lines = [f"from {source} import (", *(f"    {each}," for each in taken), ")"]
        yield line if len(line) <= WIDTH else "\n".join(lines)


def section(module: Module, names: dict[Meaning, str]) -> str:
    """A module's text under a heading, with what its names are called now."""
    edits = sorted([*cuts(module), *renamed(module, names)])
    text, at = "", 0
    source = module.text.encode()
    for begin, end, new in edits:
        text += source[at:begin].decode() + new
        at = end
    text = re.sub(r"\n{4,}", "\n\n\n", text + source[at:].decode()).strip("\n")
    about = "\n".join(f"# {line}".rstrip() for line in module.doc.strip().splitlines())
    return f"\n{BANNER}\n# {module.name}.py\n#\n{about}\n{BANNER}\n\n\n{text}" if text.strip() else ""


def cuts(module: Module) -> Iterator[Edit]:
    """Whole lines that fall away."""
    starts = line_starts(module.text)
    for statement in module.cut:
        yield starts[statement.lineno - 1], starts[statement.end_lineno or statement.lineno], ""


def renamed(module: Module, names: dict[Meaning, str]) -> Iterator[Edit]:
    """Names that are called otherwise in the one text, where they stand in this one."""
    starts, hidden = line_starts(module.text), locals_of(module)
    gone = {id(each) for statement in module.cut for each in ast.walk(statement)}
    modules = {called: source for called, (source, name) in module.own.items() if not name}
    new = {called: names.get(meaning, meaning[1]) for called, meaning in module.own.items() if meaning[1]}
    changed = {called: name for called, name in new.items() if called != name}
    for called in (*changed, *modules):
        if called in hidden or called in in_strings(module.tree):
            raise module.fail(module.tree, f"`{called}` has another name in one text, but also means something else.")
    inside = set()
    for node in ast.walk(module.tree):
        if id(node) in gone:
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            inside.add(id(node.value))
            meaning = (modules[node.value.id], node.attr)
            if meaning not in names:
                raise module.fail(node, f"{meaning[0]}.py defines no `{node.attr}`.")
            yield *place(node, starts), names[meaning]
        elif isinstance(node, ast.Name) and node.id in modules and id(node) not in inside:
            raise module.fail(node, f"the module `{node.id}` itself is used. Use what is in it.")
        elif isinstance(node, ast.Name) and node.id in changed:
            yield *place(node, starts), changed[node.id]
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in changed and node in module.tree.body:
            word = "class " if isinstance(node, ast.ClassDef) else "def "
            begin = starts[node.lineno - 1] + node.col_offset + len(word)
            yield begin, begin + len(node.name.encode()), changed[node.name]


def in_strings(tree: ast.Module) -> set[str]:
    """The words in annotations that are written as texts."""
    written = [getattr(node, key, None) for node in ast.walk(tree) for key in ("annotation", "returns")]
    texts = (each.value for note in written if note for each in ast.walk(note) if isinstance(each, ast.Constant))
    return {word for text in texts if isinstance(text, str) for word in re.findall(r"\w+", text)}


def place(node: ast.expr, starts: list[int]) -> tuple[int, int]:
    """From where to where an expression stands, in bytes."""
    return starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)


def line_starts(text: str) -> list[int]:
    """Where each line begins, in bytes, and where the last one ends."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    return starts
