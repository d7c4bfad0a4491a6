"""What a sync owes whatever Meta answers: every record of the world by value, or a loss that is told and made good.

For each stream and account:

* A record that arrives has the world's values. A column may be null only where an excuse covers it.
* A record that does not arrive is unobtainable by an excuse, and a log line names it; or the stream is INCOMPLETE and a
  message names the object or, as a whole, the account.
* A second sync, from the last state and without the trouble, brings what was missing.
* It ends, after few more requests than a sync without trouble.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from typing import Any

from harness import Connector, Outcome
from oracle import PRIMARY_KEYS, Oracle, Record, keyed

from sandbox import Sandbox
from sandbox.messages import Request

Key = tuple[Any, ...]
Spec = dict[str, Any]
# The look-backs are off, so that what is missing comes back by the state alone.
CONFIG: Spec = {"insights_lookback_days": 0, "media_lookback_days": 0, "media_refresh_days": 0}
WORLD: Spec = {
    "accounts": 3, "portfolio_accounts": 0, "media": 12, "albums": 3, "children": 2, "stories": 3, "comments": 2,
    "tags": 5, "days": 14,
}  # fmt: skip
DAYS = 15  # of daily insights: all that the world has lies in them
OBJECT = re.compile(r"\b1(?:79|80|81|82)\d{14}\b")
THE_TOKEN = ("The access token", "Meta has answered none")  # what ends it all
ALONE: Spec = {"refuse_field": "comments"}  # a page of media brings no comments: each media is a call of its own
OWN_OBJECTS = {
    "media_insights": "id",
    "story_insights": "id",
    "comments": "media_id",
    "discovered_users": "username",
    "discovered_media": "username",
    "hashtags": "name",
    "hashtag_media": "hashtag",
}  # of whose calls records are made
CALM: dict[str, int] = {}  # requests, by what was read of which world


@dataclass(frozen=True, kw_only=True)
class Excuse:
    """What trouble makes unobtainable by its own meaning: columns of some records, or without `columns` all of them."""

    streams: Collection[str]
    records: Callable[[Record], bool] = lambda _: True
    columns: Collection[str] = ()
    silent: bool = False  # nobody can know of them, so no line has to name them


@dataclass
class Trial:
    """Syncs of some streams in trouble, compared with the world."""

    box: Sandbox
    streams: tuple[str, ...]
    config: Spec = field(default_factory=dict)
    without: Collection[str] = ()  # columns that are not selected
    most: float = 4  # times the requests of a calm sync

    @property
    def start(self) -> datetime:
        """The first day of daily insights."""
        return datetime.combine(self.box.world.now().date(), time(), timezone.utc) - timedelta(days=DAYS)

    def read(self, state: Outcome | None = None) -> Outcome:
        """An incremental sync, from the state that an earlier one left."""
        config = {**CONFIG, "start_date": f"{self.start:%Y-%m-%dT%H:%M:%SZ}", **self.config}
        return Connector(self.box).read(*self.streams, incremental=True, state=state, without=self.without, **config)

    def world(self) -> dict[str, dict[Key, Record]]:
        """What the world has, by primary key."""
        is_instagram = self.config.get("login_type") == "instagram"
        oracle = Oracle(self.box.world, self.start, instagram=is_instagram)
        if "accounts" in self.config:
            oracle.chosen = [each for each in oracle.chosen if each.id in self.config["accounts"]]
        return {
            stream: keyed(
                stream,
                (
                    {name: value for name, value in record.items() if name not in self.without}
                    for record in oracle.records(stream)
                ),
            )
            for stream in self.streams
        }

    def calm(self) -> int:
        """The requests of a sync without trouble, which brings all that the world has."""
        about = repr((self.streams, self.config, sorted(self.without), self.box.options))
        if about not in CALM:
            CALM[about] = self._calm()
        return CALM[about]

    def _calm(self) -> int:
        self._forget()
        outcome, world = self.read(), self.world()
        assert unkept(world, outcome, ()) == []
        assert all(world[stream].keys() == keyed(stream, outcome.records[stream]).keys() for stream in world)
        return self.box.http_requests

    def run(self, *faults: Spec, excuses: Iterable[Excuse] = (), calm: int | None = None) -> "Tried":
        """A sync with the faults and one after them, and in what they break the law."""
        calm = calm or self.calm()
        self._forget()
        # Ends what would go on for ever: a token that expires.
        guard = self.box.add_fault(skip=100 * calm + 2_000, error={"code": 190, "message": "Enough"})
        hits = [self.box.add_fault(**spec) for spec in faults]
        outcome = self.read()
        world, excuses = self.world(), [*excuses]
        found = unkept(world, outcome, excuses)
        # Six attempts of what never heals, and smaller pages, cost some; what repeats itself costs more than that.
        if self.box.http_requests > self.most * calm + 500:
            found.append(f"{self.box.http_requests} requests, {calm} without trouble")
        if guard.fired:
            found.append("it does not end")
        fired = [fault.fired for fault in hits]
        if outcome.exit_code or any(keyed(name, outcome.records[name]) != each for name, each in world.items()):
            self._forget()
            found += [f"next sync: {each}" for each in unrepaired(world, outcome, self.read(outcome), excuses)]
        return Tried(outcome, found, fired)

    def _forget(self) -> None:
        moment = self.box.world.now()
        self.box.reset()
        self.box.set_now(moment)


@dataclass
class Tried:
    """A sync in trouble, what broke the law in it or in the one after it, and how often each fault struck."""

    outcome: Outcome
    broken: list[str]
    fired: list[int]


def unkept(world: Mapping[str, dict[Key, Record]], outcome: Outcome, excuses: Iterable[Excuse]) -> list[str]:
    """In what a sync breaks the law."""
    excuses, found = [*excuses], []
    if (outcome.exit_code == 0) != ("INCOMPLETE" not in outcome.statuses.values()):
        found.append(f"exit code {outcome.exit_code} with {outcome.statuses}")
    said = [str(error["message"]) for error in outcome.errors]
    found += [
        f"no sentence: {words[:300]}"
        for words in said
        if re.search(r"Traceback|(Key|Type|Value|Attribute|Index|Runtime)Error|object has no", words)
    ]
    for stream, expected in world.items():
        came, told = keyed(stream, outcome.records[stream]), outcome.log("INFO", "WARN", "ERROR", "FATAL")
        names = PRIMARY_KEYS[stream]
        twice = Counter(tuple(record[name] for name in names) for record in outcome.records[stream])
        found += [f"{stream}: {key} came {count} times" for key, count in twice.items() if count > 1]
        found += [f"{stream}: {key} is not in the world: {came[key]}" for key in came.keys() - expected.keys()]
        found += different(stream, came, expected, excuses)
        for key in expected.keys() - came.keys():
            record = expected[key]
            cover = covered(stream, record, excuses)
            is_excused = cover and (cover.silent or names_it(stream, record, told))
            is_told = outcome.statuses.get(stream) == "INCOMPLETE" and names_it(stream, record, [*said, *told])
            if not (is_excused or is_told):
                status = outcome.statuses.get(stream, "NONE")
                found.append(f"{stream}: {key} is missing, not named, {status} {said[:1]}")
    return sorted(found)


def unrepaired(
    world: Mapping[str, dict[Key, Record]], outcome: Outcome, after: Outcome, excuses: Iterable[Excuse]
) -> list[str]:
    """What is still missing or wrong after the next sync."""
    excuses, found = [*excuses], []
    if after.exit_code:
        found.append(f"{after.statuses} {[error['message'] for error in after.errors]}")
    for stream, expected in world.items():
        held = keyed(stream, outcome.records[stream]) | keyed(stream, after.records[stream])
        found += different(stream, held, expected, excuses)
        missing = [key for key in expected.keys() - held.keys() if not covered(stream, expected[key], excuses)]
        if missing:
            found.append(f"{stream}: {len(missing)} of {len(expected)} are missing for good, as {min(missing)}")
    return found


def covered(stream: str, record: Record, excuses: Iterable[Excuse]) -> Excuse | None:
    """What excuses the whole record."""
    return next(
        (each for each in excuses if not each.columns and stream in each.streams and each.records(record)), None
    )


def different(
    stream: str, came: Mapping[Key, Record], expected: Mapping[Key, Record], excuses: Iterable[Excuse]
) -> list[str]:
    """Values that are not the world's; empty ones where no excuse covers their column."""
    found: Counter[str] = Counter()
    example: dict[str, str] = {}
    for key in sorted(came.keys() & expected.keys(), key=str):
        mine, true = came[key], expected[key]
        for name in {**mine, **true}:
            if mine.get(name) == true.get(name):
                continue
            is_empty = name not in mine or isinstance(true.get(name), list)  # or so are parts of it
            if is_empty and any(
                name in each.columns and stream in each.streams and each.records(true) for each in excuses
            ):
                continue
            found[name] += 1
            example.setdefault(name, f"{key} has {mine.get(name)!r} for {true.get(name)!r}")
    return [f"{stream}.{name} is wrong in {count} of {len(came)}: {example[name]}" for name, count in found.items()]


def names_it(stream: str, record: Record, lines: Iterable[str]) -> bool:
    """Whether a line names the record's object, or its account and no object, or speaks of the token as a whole."""
    account, own = str(record.get("business_account_id")), record.get(OWN_OBJECTS.get(stream, ""))
    return any(
        (own and own in line)
        or (account in line and (stream not in OWN_OBJECTS or not OBJECT.search(line)))
        or line.startswith(THE_TOKEN)
        for line in lines
    )


def answer(box: Sandbox, path: str, **params: Any) -> Any:
    """What the sandbox answers to the user's token, to be changed and sent by a fault of the kind `shape`."""
    asked = {name: str(value) for name, value in params.items()}
    return box.service.handle(Request("GET", "graph.facebook.com", f"/v25.0/{path}", asked, box.token)).payload
