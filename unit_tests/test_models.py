"""The SQL models tell what the sandbox's world was on three days, in DuckDB and in Postgres, value by value.

Snowflake and BigQuery are not here: what their adapters of dbt render is read as their SQL, written as DuckDB's, and
must answer the same.
"""

import fcntl
import json
import os
import pickle
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import yaml
from harness import STREAMS
from oracle import Oracle, Record, plain

import environments
from bench.clock import NOW, PROGRAM
from bench.connector import Connector, Message, StreamProgress, Sync, chosen, discovered
from sandbox import Sandbox
from warehouse import dbt, postgres, raw

MODELS = dbt.HOME / "models"
FIVETRAN = "instagram_business"
DESCRIBED: dict[str, dict[str, Any]] = {
    model["name"]: model for page in MODELS.glob("*/*.yml") for model in yaml.safe_load(page.read_text())["models"]
}
SOURCES = {table["name"] for table in yaml.safe_load((MODELS / "sources.yml").read_text())["sources"][0]["tables"]}
OURS = [name for name in DESCRIBED if not (MODELS / FIVETRAN / f"{name}.sql").exists()]
FIRST = datetime.fromisoformat("2026-11-18T18:00:00+00:00")  # winter in California, and its sixty days begin in summer
DAYS = [FIRST, FIRST + timedelta(days=1), FIRST + timedelta(days=2)]
WORLD: dict[str, Any] = {
    "accounts": 3, "media": 24, "albums": 6, "stories": 4, "comments": 0, "tags": 0, "days": 60, "ads": 1,
    "growing": 500, "now": FIRST.isoformat(),
}  # fmt: skip
VARIABLES = {"media_refresh_days": 1}  # as in the connector's configuration: each sync reads all
COUNTERS = ["views", "reach", "total_interactions", "likes", "comments", "saved", "shares"]
NEW = [
    {},
    {"caption": "Now we know | what it was", "like_count": 4321},
    {"caption": "Now we know | what it was", "like_count": 4321, "media_url": "https://cdn.example/newly-signed.jpg"},
]  # of one medium, by day


# -- Without a warehouse -----------------------------------------------------------------------------------------------


def test_every_model_is_described() -> None:
    assert sorted(DESCRIBED) == sorted(path.stem for path in MODELS.glob("*/*.sql"))
    for path in MODELS.glob("*/*.sql"):
        model = DESCRIBED[path.stem]
        meta, sql = model["config"]["meta"], path.read_text()
        assert model["description"]
        assert meta["question"].endswith("?")
        assert set(meta["streams"]) == {name for name in SOURCES if f'"{name}"' in sql}
        assert set(meta.get("appended", [])) <= set(meta["streams"])
        assert all(column["description"].endswith(".") for column in model["columns"])


def test_no_model_would_overwrite_a_stream_beside_it() -> None:
    later = ["discovered_users", "discovered_media", "hashtags", "hashtag_media"]
    assert not set(OURS) & {*STREAMS, *later}


# -- Three days of a world ---------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What the world had on each of the days, by stream and id or whatever else a row is of."""

    days: list[dict[str, list[Record]]] = field(default_factory=list)
    young: str = ""  # the media that vanish on the second day: one within the look-back, and one behind it
    old: str = ""
    back: str = ""  # is away on the second day alone
    renamed: str = ""

    def by_id(self, stream: str) -> Iterator[tuple[str, list[tuple[int, Record]]]]:
        """Each id of a stream with its record on the days that have one."""
        every = [(record["id"], day, record) for day, told in enumerate(self.days) for record in told[stream]]
        every.sort(key=lambda each: each[:2])
        for one, found in groupby(every, key=lambda each: each[0]):
            yield one, [(day, record) for _, day, record in found]

    def last(self, stream: str) -> dict[str, Record]:
        """The last record of each id."""
        return {one: records[-1][1] for one, records in self.by_id(stream)}


def changed(box: Sandbox, told: Told, day: int) -> None:
    """Make the day's changes: none on the first."""
    box.set_now(DAYS[day])
    box.service.faults.all.clear()
    first = box.world.accounts[0]
    if day:
        gone = [told.young, told.old, *([told.back] if day == 1 else [])]
        for one in gone:
            box.add_fault(kind="edit", path=f"/{first.id}/media", remove=f"data.id={one}")
        news = {f"data.id={told.renamed}.{name}": value for name, value in NEW[day].items()}
        box.add_fault(kind="edit", path="/media", set=news)
    if day == 1:
        box.add_fault(kind="edit", path=f"/{first.id}\\?", set={"followers_count": first.followers + 5})


def expected(box: Sandbox, told: Told, day: int) -> dict[str, list[Record]]:
    """The records of the day, worked out from the world and the changes."""
    oracle = Oracle(box.world, FIRST - timedelta(days=60, hours=18))
    records = {stream: oracle.records(stream) for stream in SOURCES}
    if day:
        gone = {told.young, told.old, *([told.back] if day == 1 else [])}
        for stream in ("media", "media_insights"):
            records[stream] = [record for record in records[stream] if record["id"] not in gone]
        for record in records["media"]:
            if record["id"] == told.renamed:
                record.update(NEW[day])
    if day == 1:
        records["users"][0]["followers_count"] += 5
    return records


def synced(folder: Path, database: Path) -> Told:
    """Sync on each of the days into a database of raw tables."""
    told, state, streams = Told(), list[Message](), list[Message]()
    with Sandbox(**WORLD) as box:
        media = box.world.media(box.world.accounts[0])
        told.young, told.back, told.old, told.renamed = (media[at].id for at in (2, 4, -3, 6))
        config = {"access_token": box.token, "start_date": f"{FIRST - timedelta(days=60):%Y-%m-%d}T00:00:00Z"}
        for day, moment in enumerate(DAYS):
            changed(box, told, day)
            env = {**box.env, NOW: moment.isoformat(), "SOURCE_INSTAGRAM_TEMPO": "0.001"}
            connector = Connector({**config, **VARIABLES}, env, folder, PROGRAM)
            streams = streams or [
                each for each in discovered(connector.messages("discover")) if each["name"] in SOURCES
            ]
            catalog = chosen(streams)
            given = {"catalog": catalog, "state": state} if state else {"catalog": catalog}
            state = appended(connector, given, folder, database, day)
            told.days.append(expected(box, told, day))
    with duckdb.connect(str(database)) as connection:  # read a month later, a day has lost what Meta tells no longer
        connection.execute(
            "INSERT INTO raw.user_insights SELECT * REPLACE (NULL AS follower_count, "
            "_airbyte_extracted_at + INTERVAL 31 DAY AS _airbyte_extracted_at) FROM raw.user_insights "
            "WHERE _airbyte_extracted_at < '2026-11-19'"
        )
    return told


def appended(connector: Connector, given: Message, folder: Path, database: Path, number: int) -> list[Message]:
    """One sync; its state is what comes back."""
    streams = [each["stream"] for each in given["catalog"]["streams"]]
    lines: dict[str, list[str]] = {stream["name"]: [] for stream in streams}
    sync = Sync({name: StreamProgress() for name in lines})
    for message in connector.messages("read", **given):
        sync.take(message)
        if message["type"] == "RECORD":
            lines[message["record"]["stream"]].append(raw.row(message, number))
    assert not sync.unfinished, sync.errors
    for name, rows in lines.items():
        (folder / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    raw.append(database, streams, folder)
    return list(sync.states.values())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A DuckDB file with the raw tables of the three days and the models; made once for all workers."""
    shared = "PYTEST_XDIST_WORKER" in os.environ
    home = tmp_path_factory.getbasetemp().parent if shared else tmp_path_factory.mktemp("models")
    database, memory = home / "models.duckdb", home / "models.told"
    with (home / "models.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not memory.exists():
            folder = home / "models-files"
            folder.mkdir(exist_ok=True)
            told = synced(folder, database)
            dbt.build_in_duckdb(database, **VARIABLES)
            memory.write_bytes(pickle.dumps(told))
    return database, pickle.loads(memory.read_bytes())  # noqa: S301 - our own


# -- What the tables hold ----------------------------------------------------------------------------------------------


@dataclass
class Tables:
    """The models in one of the warehouses."""

    ask: Callable[[str], list[Record]]
    told: Told

    def rows(self, table: str) -> list[Record]:
        where = f"{FIVETRAN}.{table}" if table not in OURS else table
        return [plain(row) for row in self.ask(f"SELECT * FROM {where}")]  # noqa: S608 - our own names

    def types(self, table: str) -> dict[str, str]:
        found = self.ask(
            f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{table}' "  # noqa: S608
            f"AND table_schema = '{FIVETRAN}' ORDER BY ordinal_position"
        )
        return {row["column_name"]: row["data_type"].lower() for row in found}

    def answers(self) -> None:
        """Each question has its answer, and each column its description."""
        for name, model in DESCRIBED.items():
            assert self.ask(model["config"]["meta"]["answer"]), name
            where = f"{FIVETRAN}.{name}" if name not in OURS else name
            (row,) = self.ask(f"SELECT * FROM {where} LIMIT 1")  # noqa: S608
            assert list(row) == [column["name"] for column in model["columns"]], name


class FivetransTables(Tables):
    """The tables that its package reads."""

    def check(self) -> None:
        for check in (self.types_fit, self.user_history, self.media_history, self.media_insights):
            check()

    def types_fit(self) -> None:
        text = {"varchar", "text", "character varying"}
        words = {
            "_fivetran_id", "username", "name", "website", "caption", "media_type", "media_url", "permalink",
            "shortcode", "thumbnail_url",
        }  # fmt: skip
        for table in ("user_history", "media_history", "media_insights"):
            for column, kind in self.types(table).items():
                if column in ("_fivetran_synced", "created_time"):
                    assert kind.startswith("timestamp"), column
                elif column.startswith("is_"):
                    assert kind == "boolean", column
                else:
                    assert kind in (text if column in words else {"bigint"}), (table, column, kind)

    def user_history(self) -> None:
        columns = ["id", "ig_id", "username", "name", "website", "followers_count", "follows_count", "media_count"]
        wanted = list(self.versions(((one, days) for one, days in self.told.by_id("users")), columns))
        assert len(wanted) == 3 + 2
        assert ordered(fivetran(self.rows("user_history"))) == ordered(wanted)

    def media_history(self) -> None:
        columns = [
            "id", "ig_id", "user_id", "username", "caption", "created_time", "media_type", "is_story",
            "is_comment_enabled", "carousel_album_id", "permalink", "shortcode",
        ]  # fmt: skip
        found = [*self.told.by_id("media"), *self.told.by_id("stories")]
        objects = [(one, [(day, fivetran_media(record)) for day, record in days]) for one, days in found]
        for album, days in self.told.by_id("media"):
            for at, child in enumerate(days[0][1].get("children", [])):
                seen = [(day, record["children"][at]) for day, record in days]
                parent = {"carousel_album_id": album, "business_account_id": days[0][1]["business_account_id"]}
                objects.append((child["id"], [(day, fivetran_media({**each, **parent})) for day, each in seen]))
        wanted = list(self.versions(objects, columns, ["media_url", "thumbnail_url"]))
        assert len(wanted) == len(objects) + 1, "one caption was changed"
        assert ordered(fivetran(self.rows("media_history"))) == ordered(wanted)
        albums = {row["carousel_album_id"] for row in wanted if "carousel_album_id" in row}
        assert len(albums) == 3 * 6
        assert sum(row["is_story"] for row in wanted) == len(self.told.last("stories"))

    def versions(
        self, objects: Iterable[tuple[str, list[tuple[int, Record]]]], columns: list[str], newest: Iterable[str] = ()
    ) -> Iterator[Record]:
        """The first of each run of equal records, with some columns of the last."""
        for _, days in objects:
            told = [(day, {name: each.get(name) for name in columns}, each) for day, each in days]
            for content, run in groupby(told, key=lambda each: each[1]):
                sightings = list(run)
                row = content | {name: sightings[-1][2].get(name) for name in newest}
                yield integers(plain({"day": str(DAYS[sightings[0][0]].date()), **row}))

    def media_insights(self) -> None:
        wanted: list[Record] = []
        for stream, others, kinds in (("media_insights", "media", POSTS), ("story_insights", "stories", STORY)):
            with_numbers = set(self.told.last(stream))
            last = self.told.last(others)
            for day, told in enumerate(self.told.days):
                objects = {record["id"]: record for record in told[others]}
                wanted += [
                    counters(DAYS[day], record, objects[record["id"]], kinds(record, last[record["id"]]))
                    for record in told[stream]
                ]
                wanted += [
                    counters(DAYS[day], {"id": one}, record, {})
                    for one, record in objects.items()
                    if one not in with_numbers
                ]
        assert ordered(fivetran(self.rows("media_insights"))) == ordered(wanted)
        whole = sum(row.get("video_photo_views", 0) for row in wanted)
        assert whole == sum(record["views"] for told in self.told.days for record in told["media_insights"]), (
            "the views of every post stand there, and once"
        )


class OurTables(Tables):
    """Those that answer a question each."""

    def check(self) -> None:
        for check in (
            self.account_days, self.account_counters, self.media_counters, self.posts, self.last_stories,
            self.vanished_media, self.audience,
        ):  # fmt: skip
            check()

    def account_days(self) -> None:
        last = self.told.days[-1]
        series, totals = ({(r["business_account_id"], r["date"]): r for r in last[s]} for s in INSIGHTS)
        rows = {(row["business_account_id"], seconds(row["label"])): row for row in self.rows("account_days")}
        assert rows.keys() == {(one, seconds(label)) for one, label in {**series, **totals}}
        hours, told = set(), 0
        for (account, label), record in totals.items():
            row, moment = rows[account, seconds(label)], datetime.fromisoformat(label)
            hours.add(moment.hour)
            assert row["day"][:10] == str(moment.astimezone(ZoneInfo("America/Los_Angeles")).date() - timedelta(days=1))
            both = {"reach": 0, **series[account, label], **record}
            for name in ("reach", "reach_week", "views", "accounts_engaged", "likes", "saves", "follows", "unfollows"):
                assert row[name] == both[name], name
            assert row["followers_net"] == record["follows"] - record["unfollows"]
            if "follower_count" in both:
                assert row["followers_gained"] == both["follower_count"]
                told += 1
        assert hours == {7, 8}, "summer and winter"
        assert told

    def account_counters(self) -> None:
        rows = {(row["business_account_id"], row["snapshot_day"][:10]): row for row in self.rows("account_counters")}
        assert len(rows) == 3 * len(DAYS)
        first = self.told.days[0]["users"][0]
        gained = [rows[first["id"], str(day.date())].get("followers_gained") for day in DAYS]
        assert gained == [None, 5, -5]
        for day, told in zip(DAYS, self.told.days, strict=True):
            for record in told["users"]:
                row = rows[record["id"], str(day.date())]
                assert row["followers_count"] == record["followers_count"]
                assert row.get("days_since_the_one_before") == (None if day == FIRST else 1)

    def media_counters(self) -> None:
        rows = {(row["id"], row["snapshot_day"][:10]): row for row in self.rows("media_counters")}
        assert len(rows) == sum(len(told["media_insights"]) for told in self.told.days)
        grown = 0
        for one, days in self.told.by_id("media_insights"):
            before, last_day = dict.fromkeys(COUNTERS, 0), datetime.fromisoformat(days[0][1]["timestamp"]).date()
            for day, record in days:
                row = rows[one, str(DAYS[day].date())]
                assert row["days_since_the_one_before"] == (DAYS[day].date() - last_day).days
                for name in COUNTERS:
                    assert (row[name], row[f"{name}_gained"]) == (record[name], record[name] - before[name])
                grown += day > 0 and row["views_gained"] > 0
                before, last_day = record, DAYS[day].date()
        assert grown, "counters grow in this world"

    def posts(self) -> None:
        rows, insights = {row["id"]: row for row in self.rows("posts")}, self.told.last("media_insights")
        media = self.told.last("media")
        assert rows.keys() == media.keys()
        for one, record in media.items():
            numbers, row = insights.get(one, {}), rows[one]
            for name in ("reach", "views", "total_interactions", "saved", "shares", "follows"):
                assert row.get(name) == numbers.get(name), name
            assert row.get("likes") == record.get("like_count", numbers.get("likes"))
            assert (row.get("caption"), row["permalink"]) == (record.get("caption"), record["permalink"])
            if numbers and numbers["reach"]:
                assert float(row["interactions_per_reach"]) == pytest.approx(
                    numbers["total_interactions"] / numbers["reach"], rel=1e-4
                )
        assert {row["kind"] for row in rows.values()} == {"photo", "video", "reel", "album"}

    def last_stories(self) -> None:
        rows, insights = {row["id"]: row for row in self.rows("last_stories")}, self.told.last("story_insights")
        assert rows.keys() == self.told.last("stories").keys()
        read = {one: DAYS[days[-1][0]] for one, days in self.told.by_id("story_insights")}
        for one, record in self.told.last("stories").items():
            numbers, row = insights.get(one, {}), rows[one]
            assert (row.get("reach"), row.get("replies")) == (numbers.get("reach"), numbers.get("replies"))
            assert (row.get("exits"), row.get("taps_back")) == (
                numbers.get("navigation_tap_exit"),
                numbers.get("navigation_tap_back"),
            )
            if numbers:
                age = (read[one] - datetime.fromisoformat(record["timestamp"])).total_seconds() / 3600
                assert float(row["age_in_hours"]) == pytest.approx(age, abs=0.1)
        assert len(rows) > len(self.told.days[-1]["stories"]), "most of them have ended"

    def vanished_media(self) -> None:
        rows = {row["id"]: row for row in self.rows("vanished_media")}
        assert rows.keys() == {self.told.young, self.told.old}
        for row in rows.values():
            seen, missed = (row[name][:10] for name in ("last_seen_on", "missed_on"))
            assert (seen, missed) == (str(DAYS[0].date()), str(DAYS[-1].date()))

    def audience(self) -> None:
        key = ["business_account_id", "metric", "timeframe", "breakdown", "dimension"]
        wanted = {tuple(r[name] for name in key): r["value"] for r in self.told.days[-1]["audience_demographics"]}
        rows = self.rows("audience")
        assert {tuple(row[name] for name in key): row["people"] for row in rows} == wanted
        ages = [row for row in rows if (row["metric"], row["breakdown"]) == ("follower_demographics", "age")]
        assert sum(float(row["share"]) for row in ages) == pytest.approx(len({row["username"] for row in ages}))


INSIGHTS = ("user_insights", "user_total_insights")


def seconds(text: str) -> str:
    """A moment, however a database writes it."""
    return text[:19].replace("T", " ")


def integers(row: Record) -> Record:
    """A row with its ids as Fivetran has them."""
    return {name: int(value) if name.endswith("id") else value for name, value in row.items()}


def fivetran(rows: list[Record]) -> list[Record]:
    """Rows with the day on which they were synced, and a key that was there."""
    found = []
    for row in rows:
        assert re.fullmatch("[0-9a-f]{32}", row.pop("_fivetran_id"))
        row["day"] = row.pop("_fivetran_synced")[:10]
        if "created_time" in row:
            row["created_time"] = seconds(row["created_time"])
        found.append(row)
    return found


def ordered(rows: list[Record]) -> list[tuple[Any, ...]]:
    return sorted((row["id"], row["day"], sorted(row.items())) for row in rows)


def fivetran_media(record: Record) -> Record:
    """A medium, a story or a child as a row of Fivetran's."""
    return plain(record) | {
        "user_id": record["business_account_id"],
        "created_time": seconds(record["timestamp"]),
        "is_story": record.get("media_product_type") == "STORY",
    }


def POSTS(record: Record, media: Record) -> Record:  # noqa: N802
    """The columns of a post's kind."""
    engagement = record["likes"] + record["comments"] + record["saved"]
    if record["media_product_type"] == "REELS":
        names = ["comments", "likes", "reach", "shares", "total_interactions", "views"]
        return {f"reel_{name}": record[name] for name in names} | {"video_photo_views": record["views"]}
    kind = "carousel_album" if media["media_type"] == "CAROUSEL_ALBUM" else "video_photo"
    found = {f"{kind}_{name}": record[name] for name in ("reach", "saved", "shares", "views")}
    return found | {f"{kind}_engagement": engagement, "video_photo_views": record["views"]}


def STORY(record: Record, _: Record) -> Record:  # noqa: N802
    """The columns of a story."""
    found = {f"story_{name}": record[name] for name in ("reach", "replies", "shares", "views")}
    moves = {"exits": "tap_exit", "taps_back": "tap_back", "taps_forward": "tap_forward"}
    return found | {f"story_{name}": record[f"navigation_{move}"] for name, move in moves.items()}


def counters(day: datetime, record: Record, media: Record, columns: Record) -> Record:
    """A row of `media_insights` of Fivetran's."""
    likes = media.get("like_count", record.get("likes"))
    comments = media.get("comments_count", record.get("comments"))
    return integers(
        plain({"day": str(day.date()), "id": record["id"], "like_count": likes, "comment_count": comments, **columns})
    )


def in_duckdb(database: Path) -> Callable[[str], list[Record]]:
    """Asks a DuckDB file."""

    def ask(sql: str) -> list[Record]:
        with duckdb.connect(str(database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'America/New_York'")  # in which nothing should depend on it
            found = connection.execute(f"SELECT to_json(asked) FROM ({sql}) AS asked")  # noqa: S608 - our own SQL
            return [in_utc(json.loads(row)) for (row,) in found.fetchall()]

    return ask


def in_postgres(server: postgres.Postgres) -> Callable[[str], list[Record]]:
    """Asks Postgres."""

    def ask(sql: str) -> list[Record]:
        settings = "SET search_path TO instagram; SET TimeZone TO 'UTC';"
        as_json = f"SELECT coalesce(json_agg(asked), '[]') FROM ({sql}) AS asked"  # noqa: S608 - our own SQL
        return list(json.loads(server.run(f"{settings} {as_json}")))

    return ask


def in_utc(row: Record) -> Record:
    """A row of DuckDB's, its moments with a zone in UTC."""

    def shifted(value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d", value):
            moment = datetime.strptime(f"{value[:19]}{value[-3:]}00", "%Y-%m-%d %H:%M:%S%z")
            return str(moment.astimezone(ZoneInfo("UTC")))
        return value

    return {name: shifted(value) for name, value in row.items()}


def everything(ask: Callable[[str], list[Record]], told: Told) -> None:
    """Check all tables."""
    Tables(ask, told).answers()
    FivetransTables(ask, told).check()
    OurTables(ask, told).check()


@pytest.mark.slow
def test_duckdb(made: tuple[Path, Told]) -> None:
    everything(in_duckdb(made[0]), made[1])


@pytest.mark.slow
def test_postgres(made: tuple[Path, Told], tmp_path: Path) -> None:
    with postgres.serving() as server:
        postgres.copy(made[0], server, tmp_path)
        postgres.build(server, **VARIABLES)
        everything(in_postgres(server), made[1])


@pytest.mark.slow
def test_the_report_shows_what_the_models_say_and_needs_no_network(made: tuple[Path, Told], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    picture = dbt.report(made[0], page).read_bytes()
    text = page.read_text(encoding="utf-8")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert 30_000 < len(picture) < 300_000
    markup = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "</html>" in markup
    assert not re.findall(r"<script|<link|src=|url\(|@import", markup)
    (specs,) = re.findall(r"^  const specs = (.*);$", text, re.MULTILINE)
    drawn = json.loads(specs)
    assert drawn.keys() == set(re.findall(r'<div id="(\w+)">', text))
    ask = in_duckdb(made[0])
    days = {(row["username"], row["day"][:10]): row["reach"] for row in ask("FROM account_days")}
    (shown,) = drawn["reach"]["datasets"].values() if "datasets" in drawn["reach"] else [values(drawn["reach"])]
    assert {(row["username"], row["day"]): row["reach"] for row in shown} == days
    for account in made[1].days[-1]["users"]:
        assert f"<option>{account['username']}</option>" in text
        assert f"<b>{account['followers_count']:,}</b>" in text


def values(spec: Any) -> list[Record]:
    """The rows that a chart or its first layer carries."""
    return list(spec["data"]["values"] if "data" in spec else values(spec["layer"][0]))


# -- Warehouses that are not here --------------------------------------------------------------------------------------

TRANSLATE = """
import json, sys, sqlglot
told = json.load(sys.stdin)
strict = {"read": sys.argv[1], "write": "duckdb", "error_level": sqlglot.ErrorLevel.RAISE}
json.dump({name: sqlglot.transpile(sql, **strict) for name, sql in told.items()}, sys.stdout)
"""


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["snowflake", "bigquery"])
def test_other_warehouses_would_answer_the_same(made: tuple[Path, Told], tmp_path: Path, dialect: str) -> None:
    named = {"raw_database": "lake", "raw_schema": "landing", "raw_prefix": "ig_", "extracted_at": "read_at"}
    compiled = dbt.compiled(dialect, tmp_path, **VARIABLES, **named)
    assert compiled.keys() == DESCRIBED.keys()
    python = environments.HOME / "dialects" / "bin" / "python"
    ran = subprocess.run(  # noqa: S603 - our own
        [python, "-c", TRANSLATE, dialect], input=json.dumps(compiled), capture_output=True, text=True, check=True
    )
    shutil.copy(made[0], tmp_path / "made.duckdb")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"ATTACH '{tmp_path}/made.duckdb' AS made (READ_ONLY)")
        connection.execute("ATTACH ':memory:' AS lake; CREATE SCHEMA lake.landing")
        for table in SOURCES:
            connection.execute(
                f"CREATE VIEW lake.landing.ig_{table} AS SELECT * RENAME (_airbyte_extracted_at AS read_at) "  # noqa: S608
                f"FROM made.raw.{table}"
            )
        for name, (sql,) in json.loads(ran.stdout).items():
            here = f"made.{'main' if name in OURS else FIVETRAN}.{name}"
            connection.execute(f"CREATE TEMP TABLE {name} AS {flattened(sql)}")
            ((differences,),) = connection.execute(
                f"SELECT count(*) FROM ((FROM {name} EXCEPT ALL FROM {here}) UNION ALL "  # noqa: S608
                f"(FROM {here} EXCEPT ALL FROM {name}))"
            ).fetchall()
            assert not differences, name


def flattened(sql: str) -> str:
    """SQL with what the translation leaves of Snowflake's FLATTEN as DuckDB has it."""
    sql = re.sub(r"CROSS JOIN\s+CROSS JOIN UNNEST\(input => (\S+)\) AS child\([^)]*\)",
                 r"CROSS JOIN UNNEST(CAST(\1 AS JSON[])) AS child(value)", sql)  # fmt: skip
    return re.sub(r"CAST\(child\.value -> '(\$\.\w+)' AS TEXT\)", r"child.value ->> '\1'", sql)
