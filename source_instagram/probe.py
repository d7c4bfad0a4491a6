"""`source-instagram probe`: tries with a real token what no recording proves of Meta's API, in at most 60 calls.

It prints a table: the rule, what is expected, what was seen, and what the connector does where that differs. The rules
are those of docs/truth.md, and are declared in `truth.py`.
"""

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from airbyte_cdk.utils.airbyte_secrets_utils import filter_secrets
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_instagram.probing import MOST, Meta, Untried
from source_instagram.times import now
from source_instagram.truth import RULES, VERSION, Rule

OTHERWISE, UNUSABLE = 1, 2  # exit codes
LOGINS = {"facebook": "Facebook Login", "instagram": "Instagram Login"}
HEAD = ("rule", "expected", "seen", "where it is otherwise")
WIDTHS = (16, 30, 34, 34)


@dataclass(frozen=True)
class Finding:
    """What came of a rule."""

    rule: Rule
    mark: str  # "as expected", "OTHERWISE" or "not tried"
    told: str
    words: str = ""  # Meta's own, which a report leaves out

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Its row of the table."""
        return self.rule.name, self.rule.expected, f"{self.mark}: {self.told}", self.rule.otherwise


def run(arguments: Sequence[str], read: Callable[[str], dict[str, Any]]) -> int:
    """Print the table, or say on stderr why there is none; `read` gives the configuration. Gives the exit code."""
    given = parser().parse_args(arguments)
    try:
        meta = Meta(read(given.config), given.code, given.redirect_uri)
        findings = [found(rule, meta) for rule in RULES]
        told = summary(findings, meta)
        if given.report:
            given.report.write_text(report(findings, told), encoding="utf-8")
    except AirbyteTracedException as error:
        print(filter_secrets(str(error.message)), file=sys.stderr)  # noqa: T201 - a command's answer, here and below
        return UNUSABLE
    except Untried as why:
        print(filter_secrets(str(why)), file=sys.stderr)  # noqa: T201
        return UNUSABLE
    except OSError as error:
        print(f"{error.filename} cannot be written: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return UNUSABLE
    print(filter_secrets("\n".join([*table(findings), told])))  # noqa: T201
    return OTHERWISE if any(finding.mark == "OTHERWISE" for finding in findings) else 0


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    root = argparse.ArgumentParser(
        prog="source-instagram probe",
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="Exit codes: 0 all as expected, 1 something is otherwise, 2 the probe cannot be run.",
    )
    root.add_argument("--config", required=True, metavar="FILE", help="the configuration with the token")
    root.add_argument("--code", default="", help="a fresh code of Instagram Login's dialog, which this uses up")
    root.add_argument("--redirect-uri", default="", metavar="URL", help="the address to which that code was sent")
    root.add_argument(
        "--report", type=Path, metavar="FILE",
        help="write the table as Markdown too, without token, ids, names and texts: fit to be attached to an issue",
    )  # fmt: skip
    return root


def found(rule: Rule, meta: Meta) -> Finding:
    """Try one rule."""
    if meta.login not in rule.logins:
        (login,) = rule.logins
        return Finding(rule, "not tried", f"It is about {LOGINS[login]}.")
    if not meta.account and rule is not RULES[0]:
        return Finding(rule, "not tried", "Nothing can be read with this token.")
    try:
        seen = rule.tried(meta)
    except Untried as why:
        if rule is RULES[0]:
            raise
        return Finding(rule, "not tried", str(why))
    return Finding(rule, "as expected" if seen.holds else "OTHERWISE", seen.told, "" if seen.holds else seen.words)


def summary(findings: Iterable[Finding], meta: Meta) -> str:
    """The last line."""
    marks = [finding.mark for finding in findings]
    counts = ", ".join(f"{marks.count(mark)} {mark}" for mark in ("as expected", "OTHERWISE", "not tried"))
    return (
        f"{len(marks)} rules: {counts.replace('OTHERWISE', 'otherwise')}. It took {meta.calls} of {MOST} Graph calls."
    )


def table(findings: Iterable[Finding]) -> Iterator[str]:
    """The lines of the table, for a terminal."""
    lines = [HEAD, tuple("-" * width for width in WIDTHS)]
    for finding in findings:
        name, expected, seen, otherwise = finding.row
        said = f"{seen} Meta says: {finding.words}" if finding.words else seen
        cells = [
            textwrap.wrap(text, width) for text, width in zip((name, expected, said, otherwise), WIDTHS, strict=True)
        ]
        lines += [*zip_longest(*cells, fillvalue=""), ("", "", "", "")]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, WIDTHS, strict=True)).rstrip()


def report(findings: Iterable[Finding], told: str) -> str:
    """The table as Markdown, of which nothing is anybody's."""
    rows = [HEAD, ("---",) * len(HEAD), *(finding.row for finding in findings)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"source-instagram probe of {VERSION}, {now():%Y-%m-%d}", "", *lines, "", told, ""])
