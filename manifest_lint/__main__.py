"""The command line: `manifest-lint PATH...`.

Ends with 0 when there is nothing to say, with 1 when there is, with 2 when something could not be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from manifest_lint import RULES, Unreadable, lint

MANIFEST = "manifest.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Lint what the command line names, and print a line for each finding."""
    parser = argparse.ArgumentParser("manifest-lint", description="Find what is wrong in Airbyte's low-code manifests.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=f"a manifest, or a folder with {MANIFEST}")
    parser.add_argument("--ignore", action="append", default=[], choices=RULES, help="leave a rule out; repeatable")
    options = parser.parse_args(arguments)
    return max(status(path, options.ignore) for path in options.paths)


def status(path: Path, ignore: Collection[str]) -> int:
    """Lint the manifests of one path; the exit status that it deserves."""
    try:
        findings = [finding for file in manifests(path) for finding in lint(file, ignore)]
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2
    for finding in findings:
        print(finding)
    return int(bool(findings))


def manifests(path: Path) -> Iterator[Path]:
    """The manifests of a path: itself, or those in a folder, but for hidden ones.

    Raises:
        Unreadable: there is none.
    """
    if not path.is_dir():
        yield path
        return
    found = [
        file
        for file in sorted(path.rglob(MANIFEST))
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        raise Unreadable(f"{path}: has no {MANIFEST}")
    yield from found


def run() -> None:
    """The program."""
    sys.exit(main())


if __name__ == "__main__":
    run()
