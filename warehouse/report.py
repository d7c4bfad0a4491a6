"""One page of the models in a DuckDB file, which needs no network, and a picture of it.

Runs in the environment that `warehouse.dbt.duckdb_environment` makes, with Altair and vl-convert: neither draws with a
browser.
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import duckdb
import vl_convert

PAGE = Path(__file__).with_name("report.html")
INK, MUTED, RULE = "#1f2430", "#6b7280", "#e5e7eb"
PINK, BLUE, ORANGE, VIOLET, GREY = "#d6336c", "#3b5bdb", "#f08c00", "#7048e8", "#b8bec9"
FONT = "Inter, Roboto, 'Helvetica Neue', Arial, sans-serif"
WIDE, HALF = 1120, 500
THEME = {
    "font": FONT,
    "background": "white",
    "view": {"stroke": None},
    "title": {
        "anchor": "start", "color": INK, "fontSize": 15, "fontWeight": 600, "offset": 14, "subtitleColor": MUTED,
        "subtitleFontSize": 12, "subtitlePadding": 5,
    },
    "axis": {
        "domain": False, "ticks": False, "gridColor": RULE, "labelColor": MUTED, "labelFontSize": 11, "labelPadding": 6,
        "title": None,
    },
    "axisX": {"grid": False},
    "legend": {
        "orient": "top-right", "direction": "horizontal", "title": None, "labelColor": MUTED, "labelFontSize": 11,
        "symbolType": "circle", "symbolSize": 70, "offset": -34,
    },
    "text": {"fontSize": 11, "color": MUTED, "font": FONT},
}  # fmt: skip

DAYS = """
SELECT username, day, follows, -unfollows AS unfollows, reach, likes, comments, shares, saves,
       avg(reach) OVER (PARTITION BY username ORDER BY day ROWS 6 PRECEDING) AS usual_reach
FROM account_days WHERE day > (SELECT max(day) FROM account_days) - 90 ORDER BY day"""
TOTALS = """
WITH months AS (
    SELECT username, arg_max(reach_days_28, day) AS reach, sum(total_interactions) AS interactions, sum(views) AS views
    FROM account_days WHERE day > (SELECT max(day) FROM account_days) - 28 GROUP BY username
), now AS (
    SELECT username, arg_max(followers_count, snapshot_day) AS followers,
           arg_max(followers_gained, snapshot_day) AS gained
    FROM account_counters GROUP BY username
)
SELECT username, followers, gained, reach, views, interactions
FROM now LEFT JOIN months USING (username) ORDER BY followers DESC"""
POSTS = """
SELECT username, kind, strftime(published_at, '%-d %b') || ' · ' || kind || ' ' || shortcode AS post, permalink,
       reach, views, total_interactions AS interactions, saved, coalesce(follows, 0) AS follows,
       row_number() OVER (PARTITION BY username ORDER BY reach DESC) AS place
FROM posts WHERE reach IS NOT NULL QUALIFY place <= 8 ORDER BY username, place"""
AGES = """
SELECT username, split_part(dimension, ',', 1) AS age,
       CASE split_part(dimension, ',', 2) WHEN 'F' THEN 'women' WHEN 'M' THEN 'men' ELSE 'not said' END AS gender,
       people, share
FROM audience WHERE metric = 'follower_demographics' AND breakdown = 'age,gender'"""
COUNTRIES = """
SELECT username, dimension AS country, people, share,
       row_number() OVER (PARTITION BY username ORDER BY people DESC, dimension) AS place
FROM audience WHERE metric = 'follower_demographics' AND breakdown = 'country' QUALIFY place <= 10"""
STORIES = """
SELECT username, strftime(published_at, '%-d %b, %H:%M') AS story, published_at, reach, replies, exits,
       taps_forward + taps_back AS taps,
       row_number() OVER (PARTITION BY username ORDER BY published_at DESC) AS place
FROM last_stories WHERE reach IS NOT NULL QUALIFY place <= 8 ORDER BY published_at"""


@dataclass
class Report:
    """The rows that are shown, and what is drawn of them; each chart shows the account that `account` names."""

    database: duckdb.DuckDBPyConnection

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query as JSON has them."""
        found = self.database.execute(query)
        names = [column[0] for column in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        return list(json.loads(json.dumps(rows, default=str)))

    def of_account(self, query: str) -> alt.Chart:
        """A chart of the rows of the chosen account."""
        return alt.Chart(alt.Data(values=self.rows(query))).transform_filter("datum.username === account")

    def followers(self) -> alt.LayerChart:
        """Who came and who left."""
        days = self.of_account(DAYS).mark_bar(size=8).encode(x=_day())
        came = days.mark_bar(size=8, color=PINK).encode(
            y=alt.Y("follows:Q"), tooltip=[_on_day(), alt.Tooltip("follows:Q", title="new followers")]
        )
        left = days.mark_bar(size=8, color=GREY).encode(
            y=alt.Y("unfollows:Q"), tooltip=[_on_day(), alt.Tooltip("unfollows:Q", title="lost followers")]
        )
        return alt.layer(came, left).properties(
            title=_title("Followers", "people who began to follow (up) and who left (down), each day"),
            width=WIDE, height=150,
        )  # fmt: skip

    def reach(self) -> alt.LayerChart:
        """How many people saw anything."""
        days = self.of_account(DAYS).encode(x=_day())
        each = days.mark_area(color=BLUE, opacity=0.14, line=False).encode(
            y=alt.Y("reach:Q"), tooltip=[_on_day(), alt.Tooltip("reach:Q", format=",", title="people")]
        )
        usual = days.mark_line(color=BLUE, strokeWidth=2.2).encode(y=alt.Y("usual_reach:Q"))
        return alt.layer(each, usual).properties(
            title=_title("Reach", "people who saw anything of the account, each day; the line is the mean of 7 days"),
            width=HALF, height=190,
        )  # fmt: skip

    def interactions(self) -> alt.Chart:
        """What they did with it."""
        kinds = ["likes", "comments", "shares", "saves"]
        return (
            self.of_account(DAYS)
            .transform_fold(kinds, as_=["what", "times"])
            .mark_bar(size=4.4)
            .encode(
                x=_day(),
                y=alt.Y("sum(times):Q"),
                color=alt.Color("what:N", scale=alt.Scale(domain=kinds, range=[PINK, BLUE, ORANGE, VIOLET])),
                order=alt.Order("what:N"),
                tooltip=[_on_day(), alt.Tooltip("what:N", title=" "), alt.Tooltip("times:Q", format=",")],
            )
            .properties(title=_title("Interactions", "how often, each day"), width=HALF, height=190)
        )

    def posts(self) -> alt.LayerChart:
        """What the best posts brought."""
        base = self.of_account(POSTS).encode(
            y=alt.Y("post:N", sort=alt.EncodingSortField("place", order="ascending"), axis=alt.Axis(labelLimit=230)),
        )
        bars = base.mark_bar(size=15, cornerRadiusEnd=3, color=PINK).encode(
            x=alt.X("reach:Q", axis=None, scale=alt.Scale(domainMin=0, padding=0)),
            href="permalink:N",
            tooltip=[
                alt.Tooltip(f"{name}:Q", format=",")
                for name in ("reach", "views", "interactions", "saved", "follows")
            ],
        )
        told = base.transform_calculate(
            told="format(datum.reach, ',') + ' people  ·  ' + datum.interactions + ' interactions  ·  ' + datum.saved "
            "+ ' saves' + (datum.follows ? '  ·  ' + datum.follows + ' new followers' : '')"
        )
        text = told.mark_text(align="left", dx=8).encode(x="reach:Q", text="told:N")
        return alt.layer(bars, text).properties(
            title=_title("Best posts", "by the people they have reached, and what they brought"),
            width=HALF - 100, height=210,
        )  # fmt: skip

    def stories(self) -> alt.LayerChart:
        """How the last stories ended."""
        base = self.of_account(STORIES).encode(
            y=alt.Y("story:N", sort=alt.EncodingSortField("place", order="ascending")),
        )
        bars = base.mark_bar(size=15, cornerRadiusEnd=3, color=VIOLET).encode(
            x=alt.X("reach:Q", axis=None),
            tooltip=[alt.Tooltip(f"{name}:Q", format=",") for name in ("reach", "replies", "exits", "taps")],
        )
        told = base.transform_calculate(
            told="format(datum.reach, ',') + ' people  ·  ' + datum.replies + ' replies  ·  ' + datum.exits + ' exits'"
        )
        text = told.mark_text(align="left", dx=8).encode(x="reach:Q", text="told:N")
        return alt.layer(bars, text).properties(
            title=_title("Stories", "the last ones, by hour of publication (UTC), with the last that Meta told of them"),
            width=HALF - 100, height=210,
        )  # fmt: skip

    def ages(self) -> alt.Chart:
        """Who follows."""
        genders = ["women", "men", "not said"]
        return (
            self.of_account(AGES)
            .mark_bar(size=20)
            .encode(
                x=alt.X("age:N", axis=alt.Axis(labelAngle=0)),
                y=alt.Y("share:Q", axis=alt.Axis(format="%", tickCount=4)),
                color=alt.Color("gender:N", scale=alt.Scale(domain=genders, range=[PINK, BLUE, GREY])),
                order=alt.Order("gender:N", sort="descending"),
                tooltip=["age:N", "gender:N", alt.Tooltip("people:Q", format=","), alt.Tooltip("share:Q", format=".1%")],
            )
            .properties(title=_title("Audience", "followers by age and gender"), width=HALF, height=190)
        )

    def countries(self) -> alt.LayerChart:
        """Where they live."""
        base = self.of_account(COUNTRIES).encode(
            y=alt.Y("country:N", sort=alt.EncodingSortField("place", order="ascending")),
            x=alt.X("share:Q", axis=None),
        )
        bars = base.mark_bar(size=13, cornerRadiusEnd=3, color=BLUE).encode(
            tooltip=["country:N", alt.Tooltip("people:Q", format=",")]
        )
        text = base.mark_text(align="left", dx=6).encode(text=alt.Text("share:Q", format=".1%"))
        return alt.layer(bars, text).properties(
            title=_title("Countries", "share of followers, the ten largest"), width=HALF - 60, height=190
        )

    def period(self) -> str:
        """From which day to which it tells of."""
        (days,) = self.rows(
            "SELECT strftime(max(day) - 89, '%-d %B %Y') AS begun, strftime(max(day), '%-d %B %Y') AS ended FROM account_days"
        )
        return f"{days['begun']} to {days['ended']}"

    def charts(self) -> dict[str, Callable[[], Any]]:
        """All of them, in their order."""
        return {
            "followers": self.followers,
            "reach": self.reach,
            "interactions": self.interactions,
            "posts": self.posts,
            "stories": self.stories,
            "ages": self.ages,
            "countries": self.countries,
        }


def _day() -> alt.X:
    return alt.X("day:T", axis=alt.Axis(format="%-d %b", tickCount=6))


def _on_day() -> alt.Tooltip:
    return alt.Tooltip("day:T", format="%-d %B %Y")


def _title(title: str, subtitle: str) -> alt.TitleParams:
    return alt.TitleParams(title, subtitle=subtitle)


def _shown(chart: Any, account: str) -> dict[str, Any]:
    """A chart by itself, in our colours, with the account that it shows at first."""
    whole: dict[str, Any] = chart.add_params(alt.param(name="account", value=account)).configure(**THEME).to_dict()
    return whole


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:,}"


def _figures(account: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers at the top: what it is, and how it is written."""
    gained = "" if account["gained"] is None else f", {account['gained']:+,} since the sync before"
    return [
        (f"followers{gained}", _number(account["followers"])),
        ("people reached in 28 days", _number(account["reach"])),
        ("views in 28 days", _number(account["views"])),
        ("interactions in 28 days", _number(account["interactions"])),
    ]


def page(report: Report) -> str:
    """The whole page, with the libraries that draw it."""
    accounts = report.rows(TOTALS)
    names = [html.escape(account["username"]) for account in accounts]
    tiles = "".join(
        f'<section class="tiles" data-account="{name}">'
        + "".join(f'<div class="tile"><b>{figure}</b><span>{what}</span></div>' for what, figure in _figures(account))
        + "</section>"
        for name, account in zip(names, accounts, strict=True)
    )
    drawn = {name: _shown(chart(), accounts[0]["username"]) for name, chart in report.charts().items()}
    parts = {
        "PERIOD": report.period(),
        "ACCOUNTS": "".join(f"<option>{name}</option>" for name in names),
        "TILES": tiles,
        "PLACES": "".join(f'<div class="chart"><div id="{name}"></div></div>' for name in drawn),
        "NOTE": "Days are those of California, as Meta counts them. Made with make report from the SQL models.",
        "LIBRARIES": vl_convert.javascript_bundle().replace("</script", "<\\/script"),
        "SPECS": json.dumps(drawn).replace("</", "<\\/"),
    }
    text = PAGE.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"__{name}__", part)
    return text


def picture(report: Report) -> bytes:
    """The same as one picture of the account with most followers."""
    account = report.rows(TOTALS)[0]
    figures = _figures(account)
    width = WIDE // len(figures)
    tiles = [
        alt.layer(
            alt.Chart(alt.Data(values=[{}])).mark_text(align="left", x=0, y=18, fontSize=27, fontWeight=700, color=INK)
            .encode(text=alt.value(figure)),
            alt.Chart(alt.Data(values=[{}])).mark_text(align="left", x=0, y=42, fontSize=12).encode(text=alt.value(what)),
        ).properties(width=width, height=50)
        for what, figure in figures
    ]  # fmt: skip
    whole = alt.vconcat(
        alt.hconcat(*tiles, spacing=0),
        report.followers(),
        alt.hconcat(report.reach(), report.interactions(), spacing=60),
        alt.hconcat(report.posts(), report.stories(), spacing=60),
        alt.hconcat(report.ages(), report.countries(), spacing=60),
        spacing=34,
        title=alt.TitleParams(f"{account['username']}  ·  {report.period()}", fontSize=20, offset=18),
        padding=28,
    )
    return bytes(vl_convert.vegalite_to_png(_shown(whole, account["username"]), scale=1.25))


def main(database: str, where: str, picture_where: str) -> None:
    """Write both."""
    with duckdb.connect(database, read_only=True) as connection:
        report = Report(connection)
        Path(where).write_text(page(report), encoding="utf-8")
        Path(picture_where).write_bytes(picture(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
