"""Every kind of trouble on every stream that it can touch, by the real command line: `python -m bench.reliability`.

Writes `docs/reliability.md` and fails when a record is missing that could be had, a sync ends otherwise than it must, a
message does not say whom it is about, a token shows, or a wait is longer than documented.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.cases import CONFIG, DAYS, OTHERS, RESUMED, WORLD, Case, Record, Spec, cases, nothing
from bench.connector import POLLS
from sandbox import Fault, Options, Sandbox, Throttle, World

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
OVERHEAD = 4.0  # seconds beside the waits and thrice the time of a sync without trouble: a busy machine
PATIENCE = 150.0  # seconds after which a sync counts as stuck
# The day of a snapshot, which midnight changes; and who asks, which the usage headers decide.
VOLATILE = {
    "audience_demographics": ("date",),
    "discovered_users": ("date", "business_account_id"),
    "hashtags": ("business_account_id",),
    "hashtag_media": ("date",),
}
REQUEST_ID = re.compile(r"&?_nc_rid=[^&]*")  # in addresses of files, new in each answer
# Columns that every record of a stream of days has; one without any other says nothing.
KEYS = {"business_account_id", "page_id", "date"}


@dataclass
class Output:
    """What a run of the command line gave."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @classmethod
    def of(cls, run: Callable[[], Any]) -> Output:
        """Take the time of a run that gives an exit code, stdout and stderr."""
        started = time.monotonic()
        ran = run()
        return cls(ran.exit_code, ran.stdout, ran.stderr, time.monotonic() - started)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.split("\n") if line.startswith("{") and line.endswith("}")]


# Arguments, environment and the percentage of records after which to kill: what a run gives.
Runner = Callable[[Sequence[str], Mapping[str, str], "Callable[[str], bool] | None"], Output]


def run_process(
    arguments: Sequence[str], env: Mapping[str, str], enough: Callable[[str], bool] | None = None
) -> Output:
    """Run `python main.py …`. Once `enough` of its lines have come it is killed, as a node of a cluster dies."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(ROOT / "main.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **env},
            text=True,
        )
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if enough and enough(line):
                process.kill()  # SIGKILL
                break
        if process.stdout:
            process.stdout.close()
        code = process.wait()
        guard.cancel()
        stderr.seek(0)
        return Output(code, "".join(lines), stderr.read().decode(errors="replace"), time.monotonic() - started)


@dataclass
class Sync:
    """A run of one stream, as its messages tell it."""

    records: list[Record]
    statuses: list[str]
    errors: list[str]
    logs: list[tuple[str, str]]
    states: list[dict[str, Any]]
    rate_limited: bool

    @classmethod
    def of(cls, output: Output, stream: str) -> Sync:
        sync = cls([], [], [], [], [], rate_limited=False)
        for message in output.messages:
            kind = message["type"]
            if kind == "RECORD":
                sync.records.append(message["record"]["data"])
            elif kind == "STATE":
                sync.states.append(message["state"])
            elif kind == "LOG":
                sync.logs.append((message["log"]["level"], message["log"]["message"]))
            elif kind == "TRACE" and message["trace"]["type"] == "ERROR":
                sync.errors.append(message["trace"]["error"]["message"])
            elif kind == "TRACE" and message["trace"]["type"] == "STREAM_STATUS":
                told = message["trace"]["stream_status"]
                if told["stream_descriptor"]["name"] == stream:
                    sync.statuses.append(told["status"])
                    sync.rate_limited |= any(reason["type"] == "RATE_LIMITED" for reason in told.get("reasons") or [])
        return sync

    @property
    def status(self) -> str:
        return self.statuses[-1] if self.statuses else "NONE"


@dataclass
class Calm:
    """A sync without trouble."""

    records: list[Record]
    requests: int
    calls: int
    remarks: set[str]
    seconds: float


@dataclass
class Row:
    """A line of the table."""

    at: int
    expected: int
    received: int
    requests: int
    status: str
    message: str
    seconds: float
    problems: list[str] = field(default_factory=list)


class Bench:
    """A sandbox, and syncs against it. Its clock stands still, so that no story ends between two syncs."""

    def __init__(self, now: str, run: Runner = run_process, *, timed: bool = True) -> None:
        self.run = run
        self.timed = timed
        world: dict[str, Any] = WORLD
        self.sandbox = Sandbox(now=now, **world).start()
        self.cases = cases(self.sandbox.world)
        self.folder = tempfile.TemporaryDirectory(prefix="instagram-reliability-")
        day = datetime.fromisoformat(now.replace("Z", "+00:00")) - timedelta(days=DAYS)
        self.start_date = f"{day:%Y-%m-%d}T00:00:00Z"
        self._baselines: dict[tuple[str, str], Calm] = {}
        self._catalogs: dict[str, list[dict[str, Any]]] = {}

    def close(self) -> None:
        self.sandbox.stop()
        self.folder.cleanup()

    # -- one sync -----------------------------------------------------------------------------------------------------

    def config(self, case: Case) -> Spec:
        token = self.sandbox.instagram_token if case.login == "instagram" else self.sandbox.token
        known = {"$app_id": self.sandbox.app_id, "$app_secret": self.sandbox.app_secret}
        own = {key: known.get(str(value), value) for key, value in case.config.items()}
        more = OTHERS if case.login == "facebook" else {}
        return {"access_token": token, "login_type": case.login, "start_date": self.start_date, **CONFIG, **more, **own}

    def read(self, case: Case, state: Any = None, enough: Callable[[str], bool] | None = None) -> Output:
        files = {"config": self.config(case), "catalog": self.catalog(case)}
        if state is not None:
            files["state"] = state
        arguments = ["read"]
        for name, content in files.items():
            path = Path(self.folder.name) / f"{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            arguments += [f"--{name}", str(path)]
        arguments += ["--debug"] if case.debug else []
        return self.run(arguments, {**self.sandbox.env, "SOURCE_INSTAGRAM_TEMPO": str(case.tempo)}, enough)

    def catalog(self, case: Case) -> Spec:
        if case.login not in self._catalogs:
            path = Path(self.folder.name) / "config.json"
            path.write_text(json.dumps(self.config(case)), encoding="utf-8")
            output = self.run(["discover", "--config", str(path)], self.sandbox.env, None)
            found = [message["catalog"]["streams"] for message in output.messages if message["type"] == "CATALOG"]
            self._catalogs[case.login] = found[0]
        stream = json.loads(
            json.dumps(next(each for each in self._catalogs[case.login] if each["name"] == case.stream))
        )
        for column in () if case.polls else POLLS:
            stream["json_schema"]["properties"].pop(column, None)
        mode = "incremental" if case.stream in RESUMED else "full_refresh"
        return {"streams": [{"stream": stream, "sync_mode": mode, "destination_sync_mode": "append"}]}

    def baseline(self, case: Case, beside: tuple[Spec, ...] = ()) -> Calm:
        """What comes without the trouble, or what it costs with what is beside it."""
        key = (case.stream, f"{case.login} {case.polls} {beside}")
        if key not in self._baselines:
            self._reset()
            for spec in beside:
                self.sandbox.add_fault(**spec)
            calm = Case(group="", fault="none", stream=case.stream, login=case.login, polls=case.polls)
            output = self.read(calm)
            sync = Sync.of(output, case.stream)
            remarks = {words for _, words in sync.logs}
            requests, calls = self.sandbox.http_requests, self.sandbox.graph_calls
            self._baselines[key] = Calm(sync.records, requests, calls, remarks, output.seconds)
        return self._baselines[key]

    def _reset(self) -> None:
        self.sandbox.reset()
        self.sandbox.latency = 0.0
        self.sandbox.service.require_proof = self.sandbox.tokens.require_proof = False

    # -- one case -----------------------------------------------------------------------------------------------------

    def row(self, at: int) -> Row:
        """Run a case and judge it."""
        case = self.cases[at]
        calm, usual = self.baseline(case), self.baseline(case, case.beside)
        expected = [shown(record, case) for record in calm.records if not case.lost(record)]
        expected = [record for record in expected if says_something(record, case)]
        self._reset()
        self.sandbox.latency = case.latency
        self.sandbox.service.require_proof = self.sandbox.tokens.require_proof = case.require_proof
        faults = [self.sandbox.add_fault(**spec) for spec in case.faults]
        leak = self.sandbox.add_fault(path=r"access_token=", times=0)
        throttle = self.sandbox.add_throttle(**case.throttle) if case.throttle else None
        if case.usage:
            self.sandbox.set_usage(**case.usage)
        if case.kill is not None:
            return self._killed(at, case, calm.records)
        output = self.read(case)
        sync = Sync.of(output, case.stream)
        received = [shown(record, case) for record in sync.records]
        sent = self.sandbox.http_requests
        row = Row(at, len(expected), len({text(each) for each in received}), sent, sync.status, "", output.seconds)
        row.message = first_sentence(sync, calm.remarks)
        row.problems += self._judged(case, output, sync, calm.seconds)
        row.problems += told(case, calm.records, sync) if case.complete is None else compared(case, expected, received)
        row.problems += fired(case, faults, throttle)
        if leak.seen:
            row.problems.append("The token stood in an address.")
        # Which calls share a batch is chance, so that requests alone show nothing.
        more = min(sent - usual.requests, self.sandbox.graph_calls - usual.calls)
        if case.extra is not None and more > case.extra:
            row.problems.append(f"{sent} requests, {usual.requests} without the trouble.")
        if case.ahead:
            row.problems += waited_for_others(case, sync.records)
        if sync.status == "INCOMPLETE" and case.stream in RESUMED and not row.problems:
            row.problems += self._resumed(case, sync.records, sync.states, calm.records)
        return row

    def _judged(self, case: Case, output: Output, sync: Sync, usual: float) -> list[str]:
        """What is wrong with how a sync ended and with what it said."""
        found = []
        wanted = "COMPLETE" if case.complete else "INCOMPLETE"
        if case.complete is not None and sync.status != wanted:
            found.append(f"Status {sync.status} in place of {wanted}: {' | '.join(sync.errors)[:600]}")
        if (output.exit_code == 0) != (sync.status == "COMPLETE"):
            found.append(f"Exit code {output.exit_code}.")
        said = sync.errors if case.complete is False else [words for level, words in sync.logs if level != "DEBUG"]
        if case.says and not any(all(word in words for word in case.says) for words in said):
            found.append(f"No message says {' and '.join(case.says)}: {' | '.join(said)[:600]}")
        if any(sign in words for words in sync.errors for sign in ("Traceback", "KeyError", "object has no")):
            found.append(f"A message that is no sentence: {sync.errors}")
        if output.stderr.strip():
            found.append(f"On stderr: {output.stderr[-500:]}")
        found += self._leaks(case, output)
        if self.timed and output.seconds > case.wait * case.tempo + OVERHEAD + 3 * usual:
            waits = case.wait * case.tempo
            found.append(f"Took {output.seconds:.1f} s, usually {usual:.1f}; documented are {waits:.1f} s of waiting.")
        if self.timed and output.seconds < 0.6 * case.at_least * case.tempo:  # a fraction of a minute is rounded
            found.append(f"Took only {output.seconds:.1f} s, at least {case.at_least * case.tempo:.1f} s were to wait.")
        if case.rate_limited and not sync.rate_limited:
            found.append("No RATE_LIMITED status.")
        return found

    def _leaks(self, case: Case, output: Output) -> list[str]:
        config = self.config(case)
        secrets = [str(config[key]) for key in ("access_token", "client_secret") if key in config]
        return [
            f"A secret is in {where}: …{content[max(at - 80, 0) : at + 12]}…"
            for secret in secrets
            for form in {secret, quote(secret, safe="")}
            for where, content in (("stdout", output.stdout), ("stderr", output.stderr))
            if (at := content.find(form)) >= 0
        ]

    def _resumed(
        self, case: Case, before: list[Record], states: list[dict[str, Any]], everything: list[Record]
    ) -> list[str]:
        """What is missing after a further sync without the trouble, which goes on from the last state."""
        self._reset()
        last = [states[-1]] if states else []
        calm = Case(group="", fault="none", stream=case.stream, login=case.login, config=case.config, polls=case.polls)
        sync = Sync.of(self.read(calm, state=last), case.stream)
        found = [] if sync.status == "COMPLETE" else [f"The next sync ended {sync.status}: {sync.errors}"]
        held = {text(shown(record, case)) for record in [*before, *sync.records]}
        lasting = case.lost if case.complete is None else nothing
        missing = [record for record in everything if text(shown(record, case)) not in held and not lasting(record)]
        if missing:
            found.append(
                f"After the next sync {len(missing)} records are still missing: {text(missing[0])[:300]} {last}"
            )
        return found

    def _killed(self, at: int, case: Case, everything: list[Record]) -> Row:
        share, seen = (case.kill or 0) * len(everything) / 100, 0

        def enough(line: str) -> bool:
            nonlocal seen
            seen += '"type":"RECORD"' in line
            return '"type":"STATE"' in line if not case.kill else seen >= max(share, 1)

        output = run_process_killed(partial(self.read, case), enough)
        sync = Sync.of(output, case.stream)
        row = Row(at, len(everything), 0, self.sandbox.http_requests, "KILLED", "", output.seconds)
        row.problems += self._leaks(case, output)
        row.problems += self._resumed(case, sync.records, sync.states, everything)
        row.requests += self.sandbox.http_requests
        row.received = row.expected if not row.problems else len(sync.records)
        row.status = "killed, then COMPLETE"
        row.message = f"{len(sync.records)} records and {len(sync.states)} states before the kill."
        return row


def run_process_killed(read: Callable[..., Output], enough: Callable[[str], bool]) -> Output:
    return read(enough=enough)


# -- Comparing ---------------------------------------------------------------------------------------------------------


def text(record: Record) -> str:
    """A record in one form, whatever the order of its columns."""
    return json.dumps(record, sort_keys=True, ensure_ascii=False)


def shown(record: Record, case: Case) -> Record:
    """A record without what the trouble empties, what may change, and what is null."""
    emptied = {
        name.rpartition(":")[2]
        for name in case.empty
        if name.rpartition(":")[0] in ("", record.get("media_product_type"))
    } | {*VOLATILE.get(case.stream, ())}

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: kept(each) for name, each in value.items() if name not in emptied and each is not None}
        if isinstance(value, str) and "_nc_rid=" in value:
            return REQUEST_ID.sub("", value)
        return [kept(each) for each in value] if isinstance(value, list) else value

    return dict(kept(record))


def says_something(record: Record, case: Case) -> bool:
    """Whether a record of a stream of days has any number left."""
    return case.stream not in ("user_insights", "user_total_insights") or bool(set(record) - KEYS)


def compared(case: Case, expected: list[Record], received: list[Record]) -> list[str]:
    """What is missing, too much or doubled."""
    wanted, came = {text(each) for each in expected}, {text(each) for each in received}
    found = []
    if wanted - came and not case.part:
        found.append(f"{len(wanted - came)} records are missing, as {min(wanted - came)[:300]}")
    if came - wanted:
        found.append(f"{len(came - wanted)} records are others than expected, as {min(came - wanted)[:300]}")
    if len(came) < len(received):
        found.append(f"{len(received) - len(came)} records came twice.")
    return found


def told(case: Case, everything: list[Record], sync: Sync) -> list[str]:
    """Whether all that is missing is named, and the stream INCOMPLETE unless nobody can ever get it."""
    came = {text(shown(record, case)) for record in sync.records}
    wanted = {text(shown(record, case)): record for record in everything}
    found = [f"{len(came - wanted.keys())} records are others than the world's"] if came - wanted.keys() else []
    found += [f"{len(sync.records) - len(came)} records came twice."] if len(came) < len(sync.records) else []
    lines = [*sync.errors, *(words for _, words in sync.logs)]
    for line in wanted.keys() - came:
        record = wanted[line]
        if sync.status != "INCOMPLETE" and not case.lost(record):
            found.append(f"Missing, and {sync.status}: {line[:300]}")
        elif not any(names(record, words) for words in lines):
            found.append(f"Missing, and not named: {line[:300]}")
    return found[:3]


def names(record: Record, words: str) -> bool:
    """Whether words name a record's object, or its account and no object."""
    own = record.get("media_id") or (None if "date" in record else record.get("id"))
    about_another = own and re.search(r"\b1(?:79|81)\d{14}\b", words)
    return bool((own and own in words) or (record["business_account_id"] in words and not about_another))


def fired(case: Case, faults: Sequence[Fault], throttle: Throttle | None) -> list[str]:
    """Whether the trouble came up at all; of a limit, that it was never met."""
    if throttle and case.untouched:
        return [f"The limit was met {throttle.refused} times."] if throttle.refused else []
    if throttle and not throttle.refused:
        return ["The throttle was never met."]
    idle = [fault for fault in faults if not (fault.is_policy or fault.fired)]
    return [f"The fault on {fault.path} never came up." for fault in idle]


def waited_for_others(case: Case, records: list[Record]) -> list[str]:
    """Whether the records of the account that has no trouble came first."""
    order = [record["business_account_id"] for record in records]
    troubled = str(case.faults[0]["account"])
    return (
        [] if order.index(case.ahead) < order.index(troubled) else ["The other accounts waited for the throttled one."]
    )


def first_sentence(sync: Sync, remarks: set[str]) -> str:
    """What the user reads of it: the error, else the first warning, else the first remark on it."""
    words = sync.errors[:1]
    for levels in (("ERROR", "WARN"), ("INFO",)):
        words += [
            said
            for level, said in sync.logs
            if level in levels
            and said not in remarks
            and (level != "INFO" or "ttempt" in said or "waiting" in said or "nothing for" in said)
        ]
    full = words[0] if words else ""
    return full if len(full) < 170 else full[:167].rsplit(" ", 1)[0] + " …"


# -- The page ----------------------------------------------------------------------------------------------------------

INTRODUCTION = """\
# When something goes wrong

What this connector does when Meta, the network or the machine does not play along. `python -m bench.reliability` writes
this page: it runs each case through the real command line against the [sandbox](../sandbox/README.md), in which
{accounts} accounts with {media} media each are synced, and compares every record with those of a sync without trouble.

| trouble | what happens | how long it may take |
|---|---|---|
| Meta throttles and says for how long | all requests to that account (or of the app) wait as long | at most a day in all |
| Meta throttles and does not say | they wait 10, 20, 60, 120, 300, 600, 1200 and 1290 seconds | an hour in all |
| 80 % of a limit are used | requests are spaced so that the rest lasts for an hour, and what is left then for the next one | an hour for what is left |
| a broken answer, a lost connection, a passing fault | the request is sent again, six times in all | 31 seconds between them |
| no answer | the connection is given up after 90 seconds and made again, six times in all | ten minutes |
| no answer to any request for a minute, and none to the question who the token is | the sync ends INCOMPLETE with one sentence | a minute; with connections that stall, some ten |
| ten objects or days in a row of one stream and account come to nothing | until one is answered, others are asked once, not six times | at once |
| Meta refuses a metric for all of a kind, in one of its two wordings that say so | it is left out for the rest of the sync, its column stays null, a warning says so | at once |
| one object refuses a metric or field, in any other words | the others of its columns are asked for apart, and it alone has a null; once three in a row of an account said the same, every fifth is asked | at once |
| an object that is gone, too old or has too few viewers | it is skipped, the log says which and why | at once, asked twice |
| many objects seem gone, or one and nothing else is shown | what was answered before is asked again, and the list read again: what is still listed is missing, not gone | at once |
| what is refused beside an answered main call: profile activity, navigation, Facebook's numbers | the record comes without these columns | at once |
| an object that refuses | all others go on; the stream ends INCOMPLETE and names the object | at once |
| three objects of an account refuse, none is answered | of the others the first, the middle and the last are asked, on each page; one answer, and all are | at once |
| a list that comes back to a page it gave before | what came is kept; the stream ends INCOMPLETE and names the account | at once |
| too much data at once, said so or not | the page shrinks until it is accepted | at once; 3 seconds where Meta does not say |
| an expired or revoked token, and `/me` says the same | the sync ends INCOMPLETE with one sentence about what to do | at once |
| the process is killed | the next sync goes on from the last state and reads again what came after it | – |

While it waits, a stream says so in the log and by the protocol's RATE_LIMITED status. INCOMPLETE means that something is
missing that the next sync, or you, can get: the next sync reads it again. What nobody can get any more is left out with a
line in the log and does not make a stream INCOMPLETE.

In the table, waits are shortened ({shortest:g} to {longest:g} of their length). *Expected* are the records that could be
had, *requests* those over HTTP, a batch of up to 50 calls being one.
"""  # noqa: E501, RUF001 - lines of tables


def page(rows: list[Row], table: list[Case]) -> str:
    """The page as Markdown."""
    tempos = [case.tempo for case in table]
    parts = [INTRODUCTION.format(**WORLD, shortest=min(tempos), longest=max(tempos))]
    if len(rows) < len(table):
        parts.append(f"The table shows {len(rows)} of the {len(table)} cases; CI runs them all.\n")
    bad = sum(bool(row.problems) for row in rows)
    parts.append(
        f"{len(rows)} cases, {len(rows) - bad} as they must be.\n"
        if bad
        else f"All {len(rows)} cases end as they must.\n"
    )
    for group in dict.fromkeys(case.group for case in table):
        parts.append(f"## {group}\n")
        parts.append("| fault | stream | expected | received | requests | status | message |")
        parts.append("|---|---|--:|--:|--:|---|---|")
        for row in rows:
            case = table[row.at]
            if case.group == group:
                status = row.status + (" **not as it must be**" if row.problems else "")
                expected = f"up to {row.expected}" if case.part else str(row.expected)
                cells = (
                    case.fault,
                    f"`{case.stream}`",
                    expected,
                    row.received,
                    row.requests,
                    status,
                    escaped(row.message),
                )
                parts.append(f"| {' | '.join(map(str, cells))} |")
        parts.append("")
    return "\n".join(parts)


def escaped(words: str) -> str:
    """Text for a cell."""
    return words.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") or "-"


# -- Running all of them -----------------------------------------------------------------------------------------------

_bench: Bench | None = None


def _begin(now: str) -> None:
    global _bench  # noqa: PLW0603 - one sandbox for each process of the pool
    _bench = Bench(now)


def _row(at: int) -> Row:
    if _bench is None:
        raise RuntimeError("The pool was not begun.")
    try:
        return _bench.row(at)
    except Exception as error:  # noqa: BLE001 - a case that cannot be judged is not as it must be
        return Row(at, 0, 0, 0, "NONE", "", 0.0, [f"{type(error).__name__}: {error}"])


def the_present() -> str:
    """Now, as the sandbox's clock will say all the time."""
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def main() -> int:
    root = argparse.ArgumentParser(prog="python -m bench.reliability", description=__doc__)
    root.add_argument(
        "--only", default="", metavar="TEXT", help="cases in whose group, fault or stream this stands; writes no page"
    )
    root.add_argument("--every", type=int, default=1, metavar="N", help="every N-th case only, for a page in less time")
    root.add_argument("--processes", type=int, default=2)
    given = root.parse_args()
    now = the_present()
    table = cases(World(Options(**WORLD, now=now)))
    chosen = [at for at, case in enumerate(table) if given.only in f"{case.group} / {case.name}"][:: given.every]
    # The streams of a process share its calm syncs, so cases come stream by stream.
    order = sorted(chosen, key=lambda at: table[at].stream)
    started = time.monotonic()
    rows: dict[int, Row] = {}
    with ProcessPoolExecutor(given.processes, initializer=_begin, initargs=(now,)) as pool:
        for row in pool.map(_row, order):
            rows[row.at] = row
            case = table[row.at]
            mark = "ok " if not row.problems else "BAD"
            count = f"{row.received:5}/{row.expected:<5}"
            print(f"{mark} {row.seconds:5.1f} s  {count} {row.status:10} {case.group} / {case.name}", flush=True)
            for problem in row.problems:
                print(f"      {problem}", flush=True)
    bad = [row for row in rows.values() if row.problems]
    print(f"{len(rows)} cases in {time.monotonic() - started:.0f} s, {len(bad)} not as they must be.")
    if not given.only:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page([rows[at] for at in chosen], table), encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
