"""`python -m sandbox replay`: answers as Meta did when the folder was recorded.

A sync does not ask in the same order twice, nor for pages of the same size: each call of a batch is answered by itself,
metrics may come in other groups, and pages may be cut elsewhere.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from sandbox import errors
from sandbox.fields import Field, parse, write
from sandbox.messages import HTML, Reply, Request
from sandbox.recording import FORMAT, Raw, calls_of, dropped
from sandbox.scrubbing import LEFT_OUT
from sandbox.server import Proxy

Key = tuple[Any, ...]
Line = dict[str, Any]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?=\+0000)")


class Replay(Proxy):
    """Plays a folder. `missing` are the calls that it has no answer for."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        super().__init__(port)
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        if about.get("format") != FORMAT:
            raise ValueError(f"{folder} has the format {about.get('format')}; this reads {FORMAT}.")
        lines = [json.loads(line) for line in (folder / "calls.jsonl").read_text(encoding="utf-8").split("\n") if line]
        self.later = datetime.now(timezone.utc).date() - date.fromisoformat(about["began"][:10])
        self.missing: list[str] = []
        self._batches = [line for line in lines if "batch" in line]
        self._answers: dict[Key, list[Line]] = defaultdict(list)
        for line in lines:
            if "batch" not in line:
                self._answers[key_of(line["path"], line["params"])].append(line)

    async def answer(self, asked: Request) -> Reply:
        calls = calls_of(asked)
        if calls is None:
            return self._reply(self._line(asked.path, asked.params))
        keys = [key_of(path, self._then(params)) for path, params in calls]
        for whole in self._batches:
            if any(key_of(each["path"], each["params"]) in keys for each in whole["batch"][:1]):
                self._batches.remove(whole)
                return self._reply(whole)
        return Raw(200, json.dumps([self._item(self._line(path, params)) for path, params in calls]), {})

    # -- Finding an answer --------------------------------------------------------------------------------------------

    def _then(self, params: Mapping[str, str]) -> dict[str, str]:
        """Parameters as they were on the day of the recording: windows of days lie as far from today as then."""
        back = int(self.later.total_seconds())
        return {
            name: str(int(value) - back) if name in ("since", "until") and value.isdigit() else value
            for name, value in params.items()
        }

    def _line(self, path: str, given: Mapping[str, str]) -> Line:
        params = self._then(given)
        known = self._answers.get(key_of(path, params))
        if known:
            return known.pop(0) if len(known) > 1 else known[0]
        found = self._by_metric(path, params) if "metric" in params else self._page(path, params)
        found = found or self._through_another(path, params)
        if found is None:
            self.missing.append(f"{path} {params}")
            print(f"Nothing was recorded for {path} {params}", file=sys.stderr)
            error = errors.GraphError("Nothing was recorded for this call.", 2500)
            return {"status": 400, "headers": {}, "body": error.envelope(errors.FACEBOOK, "replay")}
        return found

    def _like(self, path: str, params: Mapping[str, str], *but: str) -> Iterator[tuple[dict[str, str], Line]]:
        """What was recorded for the same call but for some parameters."""
        wanted = {name: value for name, value in params.items() if name not in (*but, *LEFT_OUT)}
        for lines in list(self._answers.values()):
            for line in lines:
                own = {name: value for name, value in line["params"].items() if name not in but}
                if line["path"] == path and own == wanted:
                    yield line["params"], line

    def _by_metric(self, path: str, params: Mapping[str, str]) -> Line | None:
        """Metrics in another group: their rows from wherever they came, else a refusal that was about some of them."""
        names, rows, refusal = params["metric"].split(","), dict[str, Any](), None
        good = {"status": 200, "headers": {}}
        for own, line in self._like(path, params, "metric"):
            body = line.get("body")
            asked = set(own["metric"].split(","))
            if isinstance(body, dict) and "data" in body:
                rows |= dict.fromkeys(asked - rows.keys()) | {row["name"]: row for row in body["data"]}
            elif asked <= set(names):
                refusal = line
        if refusal is None and rows.keys() >= set(names):
            return {**good, "body": {"data": [rows[name] for name in names if rows[name]]}}
        return refusal

    def _through_another(self, path: str, params: Mapping[str, str]) -> Line | None:
        """What is nobody's own, accounts of others and hashtags, is asked through the account that has most room."""
        is_discovery = params.get("fields", "").startswith("business_discovery")
        for line in (line for lines in self._answers.values() for line in lines):
            same = key_of("", {**line["params"], "user_id": ""}) == key_of("", {**params, "user_id": ""})
            if same and (is_discovery or ("user_id" in params and line["path"] == path)):
                return line
        return None

    def _page(self, path: str, params: Mapping[str, str]) -> Line | None:
        """A page of a list that was cut elsewhere: from the pages that were recorded, one after the other."""
        wanted = fields_of(params)
        for own, first in self._like(path, params, "limit", "after", "fields"):
            if "after" not in own and "data" in (first.get("body") or {}) and wanted <= fields_of(own):
                items, starts = self._chain(path, own, first)
                start = starts.get(params.get("after", ""), 0)
                end = min(start + int(params.get("limit", 25)), len(items))
                paging = {
                    "cursors": {"after": f"cursor at {end}"},
                    **({"next": "https://"} if end < len(items) else {}),
                }
                body = {"data": items[start:end], **({"paging": paging} if items else {})}
                return {"status": 200, "headers": {}, "body": body}
        return None

    def _chain(self, path: str, params: Mapping[str, str], first: Line) -> tuple[list[Any], dict[str, int]]:
        """All items of a list, and where each cursor leads."""
        items = list(first["body"]["data"])
        starts, body = {"": 0}, first["body"]
        while after := ((body.get("paging") or {}).get("cursors") or {}).get("after"):
            starts[after] = len(items)
            following = next((line for own, line in self._like(path, params, "limit", "after")
                              if own.get("after") == after and "data" in (line.get("body") or {})), None)  # fmt: skip
            if following is None:
                break
            body = following["body"]
            items += body["data"]
        return items, {**starts, **{f"cursor at {at}": at for at in range(len(items) + 1)}}

    # -- Answering ----------------------------------------------------------------------------------------------------

    def _reply(self, line: Line) -> Reply:
        if line.get("dropped"):
            return dropped()
        return Raw(int(line["status"]), self._body(line), dict(line["headers"]))

    def _item(self, line: Line) -> Any:
        if line.get("unfinished") or line.get("dropped"):
            return None
        headers = [{"name": name, "value": value} for name, value in line["headers"].items()]
        return {"code": line["status"], "headers": headers, "body": self._body(line)}

    def _body(self, line: Line) -> str:
        """The body, its times as far from today as they were from the day of the recording."""
        if "text" in line:
            return HTML.decode() if line["text"].startswith("<") else str(line["text"])
        return TIME.sub(lambda found: moved(found[0], self.later), json.dumps(line["body"]))


def moved(time: str, later: timedelta) -> str:
    return f"{datetime.fromisoformat(time) + later:%Y-%m-%dT%H:%M:%S}"


def key_of(path: str, params: Mapping[str, str]) -> Key:
    """What a call is found by: the order of metrics and fields tells nothing, and secrets were not written down."""
    told = {name: value for name, value in params.items() if name not in LEFT_OUT}
    told |= {name: ",".join(sorted(told[name].split(","))) for name in ("metric",) if name in told}
    told |= {name: ordered(told[name]) for name in ("fields",) if told.get(name)}
    return (path, *sorted(told.items()))


@lru_cache(maxsize=4096)
def ordered(fields: str) -> str:
    """A `fields` parameter in the order of the alphabet, lists within too."""
    try:
        return write(in_order(parse(fields)))
    except errors.GraphError:
        return fields


def in_order(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Fields in the order of the alphabet."""
    whole = [replace(each, fields=in_order(each.fields)) if each.fields else each for each in fields]
    return tuple(sorted(whole, key=str))


def fields_of(params: Mapping[str, str]) -> set[str]:
    """The names that a call asks for, and what it asks of lists within."""
    return set(map(str, in_order(parse(params["fields"])))) if params.get("fields") else set()
