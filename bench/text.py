"""Tables for a terminal."""

from __future__ import annotations

from typing import Any


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Columns as wide as they must be: text to the left, numbers to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, (int, float)) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    is_text = [isinstance(cell, str) for cell in rows[0]]
    aligned = [
        [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, is_text, strict=True)
        ]
        for line in [head, *cells]
    ]
    return "\n".join(f"  {'  '.join(line)}".rstrip() for line in aligned)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """The same for a page: what looks like a number stands to the right."""
    looks = [all(row[at][:1].isdigit() or row[at] in ("-", "") for row in rows) for at in range(len(head))]
    rule = ["---:" if is_number else "---" for is_number in looks]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows])
