"""What was measured, kept in a file because some of it takes long."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.connector import ROOT
from bench.measure import Row
from bench.worlds import BY_NAME, DAILY, FIRST

RESULTS = ROOT / ".bench" / "results.json"


class Results:
    """All that was measured on this machine, the newest of each."""

    def __init__(
        self, rows: Iterable[Row] = (), about: dict[str, Any] | None = None, tables: dict[str, Any] | None = None
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.about = about or {}
        self.tables: dict[str, list[list[Any]]] = tables or {}  # of the other measurements, by the name of each
        self.add(rows)

    @classmethod
    def kept(cls, path: Path | None = None) -> Results:
        """What the file has."""
        path = path or RESULTS
        if not path.exists():
            return cls()
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls([Row(**row) for row in content["rows"]], content["about"], content.get("tables"))

    def keep(self, path: Path | None = None) -> None:
        path = path or RESULTS
        path.parent.mkdir(exist_ok=True)
        content = {"about": self.about, "tables": self.tables, "rows": [asdict(row) for row in self.rows.values()]}
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")

    @classmethod
    def keep_table(cls, name: str, rows: list[list[Any]]) -> None:
        """Add what one of the other measurements has shown to the file."""
        results = cls.kept()
        results.tables[name] = rows
        results.keep()

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows[self._key(row.world, row.latency, row.sync, row.who)] = row

    @staticmethod
    def _key(world: str, latency: int, sync: str, who: str) -> str:
        return f"{world} {latency} {sync} {who}"

    def row(self, world: str, latency: int, sync: str, who: str) -> Row | None:
        return self.rows.get(self._key(world, latency, sync, who))

    def figures(self, world: str, latency: int, sync: str, who: str) -> dict[str, float]:
        """What a sync cost somebody; of the least also the time and the memory that the process needs by itself."""
        row = self.row(world, latency, sync, who)
        figures = dict(row.figures) if row else {}
        if row and who == "least" and (idle := self.idle):
            figures["peak"] = idle["peak"]
            if latency:  # without it nothing but the work itself takes time, of which nobody knows the least
                figures["seconds"] = idle["seconds"] + figures["waits"] * latency / 1000
        return figures

    @property
    def idle(self) -> dict[str, float]:
        """What the process costs by itself."""
        row = self.row("idle", 0, FIRST, "this")
        return row.figures if row else {}

    @property
    def syncs(self) -> list[tuple[str, int, str]]:
        """World, latency and kind of each sync that was measured."""
        found = [(row.world, row.latency, row.sync) for row in self.rows.values()]
        order = {name: at for at, name in enumerate(BY_NAME)}
        kinds = (FIRST, DAILY)
        known = {each for each in found if each[0] in order}
        return sorted(known, key=lambda each: (order[each[0]], kinds.index(each[2]), each[1]))

    @property
    def worlds(self) -> list[str]:
        return list(dict.fromkeys(world for world, _, _ in self.syncs))
