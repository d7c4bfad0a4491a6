"""One page of the models in a DuckDB file, which needs no network, and a picture of it.

Runs in the environment that `warehouse.dbt.duckdb_environment` makes, with Altair and vl-convert: neither draws with a
browser.
"""

from __future__ import annotations

import html
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import duckdb
import vl_convert
from PIL import Image

PAGE = Path(__file__).with_name("report.html")
INK, MUTED, RULE = "#1f2430", "#6b7280", "#e5e7eb"
PINK, BLUE, ORANGE, VIOLET, GREY = "#d6336c", "#3b5bdb", "#f08c00", "#7048e8", "#b8bec9"
FONT = "Inter, Roboto, 'Helvetica Neue', Arial, sans-serif"
COLUMN, GAP, SIDE = 540, 60, 44  # pixels: half of the page, what is between, and what the labels beside a chart take
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
    "axisY": {"orient": "right", "minExtent": SIDE, "maxExtent": SIDE, "tickCount": 4},
    "legend": {
        "orient": "bottom", "direction": "horizontal", "title": None, "labelColor": MUTED, "labelFontSize": 11,
        "symbolType": "circle", "symbolSize": 70, "offset": 10, "padding": 0,
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
# What the fonts of a picture do not have is left out of a caption.
POSTS = """
SELECT username, strftime(published_at, '%-d %b') || ', ' || kind || ' · '
       || trim(regexp_replace(coalesce(caption, shortcode), '[^ -~À-ɏ…]+', ' ', 'g')) AS label, permalink,
       reach, views, total_interactions AS interactions, saved, coalesce(follows, 0) AS follows,
       format('{:,} people · {} interactions · {} saves', reach, total_interactions, saved) AS told,
       row_number() OVER (PARTITION BY username ORDER BY reach DESC, id) AS place
FROM posts WHERE reach IS NOT NULL QUALIFY place <= 8 ORDER BY username, place"""
AGES = """
SELECT username, split_part(dimension, ',', 1) AS age,
       CASE split_part(dimension, ',', 2) WHEN 'F' THEN 'women' WHEN 'M' THEN 'men' ELSE 'not said' END AS what,
       people, share
FROM audience WHERE metric = 'follower_demographics' AND breakdown = 'age,gender'"""
COUNTRIES = """
SELECT username, dimension AS label, share, people, format('{:.1f} %', 100 * share) AS told,
       row_number() OVER (PARTITION BY username ORDER BY people DESC, dimension) AS place
FROM audience WHERE metric = 'follower_demographics' AND breakdown = 'country' QUALIFY place <= 8"""
STORIES = """
SELECT username, strftime(published_at, '%-d %b, %H:%M') || if(media_type = 'VIDEO', ', video', ', photo') AS label,
       reach, replies, exits, taps_forward + taps_back AS taps,
       format('{:,} people · {} replies · {} left', reach, replies, exits) AS told,
       row_number() OVER (PARTITION BY username ORDER BY published_at DESC, id) AS place
FROM last_stories WHERE reach IS NOT NULL QUALIFY place <= 8"""
PERIOD = """
SELECT strftime(max(day) - 89, '%-d %B') || ' to ' || strftime(max(day), '%-d %B %Y') AS period FROM account_days"""


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
        days = self.of_account(DAYS).encode(x=_day())
        came = days.mark_bar(size=8, color=PINK).encode(
            y=alt.Y("follows:Q"), tooltip=[_on_day(), alt.Tooltip("follows:Q", title="new followers")]
        )
        left = days.mark_bar(size=8, color=GREY).encode(
            y=alt.Y("unfollows:Q"), tooltip=[_on_day(), alt.Tooltip("unfollows:Q", title="lost followers")]
        )
        return alt.layer(came, left).properties(
            title=_title("Followers", "people who began to follow (up) and who left (down), each day"),
            width=2 * COLUMN + GAP - SIDE, height=140,
        )  # fmt: skip

    def reach(self) -> alt.LayerChart:
        """How many people saw anything."""
        days = self.of_account(DAYS).encode(x=_day())
        each = days.mark_bar(size=4, color=BLUE, opacity=0.25).encode(
            y=alt.Y("reach:Q"), tooltip=[_on_day(), alt.Tooltip("reach:Q", format=",", title="people")]
        )
        usual = days.mark_line(color=BLUE, strokeWidth=2.2, interpolate="monotone").encode(y=alt.Y("usual_reach:Q"))
        return alt.layer(each, usual).properties(
            title=_title("Reach", "people who saw anything of the account, each day; the line is the mean of 7 days"),
            width=COLUMN - SIDE, height=170,
        )  # fmt: skip

    def interactions(self) -> alt.Chart:
        """What they did with it."""
        kinds = {"likes": PINK, "comments": BLUE, "shares": ORANGE, "saves": VIOLET}
        return (
            self.of_account(DAYS)
            .transform_fold(list(kinds), as_=["what", "times"])
            .mark_bar(size=4)
            .encode(
                x=_day(),
                y=alt.Y("times:Q", stack=True),
                color=_colours(kinds),
                order=alt.Order("place:Q"),
                tooltip=[_on_day(), alt.Tooltip("what:N", title=" "), alt.Tooltip("times:Q", format=",")],
            )
            .transform_calculate(place=f"indexof({list(kinds)}, datum.what)")
            .properties(title=_title("Interactions", "how many, each day"), width=COLUMN - SIDE, height=146)
        )

    def posts(self) -> alt.LayerChart:
        """What the best posts brought."""
        title = _title("Best posts", "by the people they have reached, and what they brought")
        return self.ranking(POSTS, "reach", PINK, 215, ["reach", "views", "interactions", "saved", "follows"], title)

    def stories(self) -> alt.LayerChart:
        """How the last stories ended."""
        title = _title("Stories", "the last, by hour of publication (UTC), with their last numbers")
        return self.ranking(STORIES, "reach", VIOLET, 130, ["reach", "replies", "exits", "taps"], title)

    def countries(self) -> alt.LayerChart:
        """Where they live."""
        title = _title("Countries", "share of followers, the eight largest (from 100 followers on)")
        return self.ranking(COUNTRIES, "share", BLUE, 40, ["people"], title)

    def ranking(  # noqa: PLR0913, PLR0917 - all that differs
        self, query: str, length: str, color: str, side: int, told: list[str], title: alt.TitleParams
    ) -> alt.LayerChart:
        """A bar for each row, what it is to the left, and to the right what is told of it."""
        base = self.of_account(query).encode(y=alt.Y("place:O", axis=None))
        scale = alt.Scale(range=[side, side + (COLUMN - side) * 0.33], domainMin=0, nice=False)
        at = alt.X(f"{length}:Q", axis=None, scale=scale)
        label = base.mark_text(align="left", x=0, color=INK, limit=side - 12).encode(text="label:N")
        bar = base.mark_bar(size=14, cornerRadiusEnd=3, color=color).encode(
            x=at, tooltip=["label:N", *(alt.Tooltip(f"{name}:Q", format=",") for name in told)]
        )
        text = base.mark_text(align="left", dx=8).encode(x=at, text="told:N")
        return alt.layer(label, bar, text).properties(title=title, width=COLUMN, height=184)

    def ages(self) -> alt.Chart:
        """Who follows."""
        return (
            self.of_account(AGES)
            .mark_bar(size=26)
            .encode(
                x=alt.X("age:N", axis=alt.Axis(labelAngle=0)),
                y=alt.Y("share:Q", axis=alt.Axis(format="%")),
                color=_colours({"women": PINK, "men": BLUE, "not said": GREY}),
                tooltip=["age:N", "what:N", alt.Tooltip("people:Q", format=","), alt.Tooltip("share:Q", format=".1%")],
            )
            .properties(
                title=_title("Audience", "followers by age and gender (from 100 followers on)"),
                width=COLUMN - SIDE, height=136,
            )
        )  # fmt: skip

    def period(self) -> str:
        """From which day to which it tells of."""
        return str(self.rows(PERIOD)[0]["period"])

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


def _colours(kinds: dict[str, str]) -> alt.Color:
    return alt.Color("what:N", scale=alt.Scale(domain=list(kinds), range=list(kinds.values())))


def _title(title: str, subtitle: str) -> alt.TitleParams:
    return alt.TitleParams(title, subtitle=subtitle)


def _shown(chart: Any, account: str) -> dict[str, Any]:
    """A chart by itself, in our colours, with the account that it shows at first."""
    whole: dict[str, Any] = chart.add_params(alt.param(name="account", value=account)).configure(**THEME).to_dict()
    return whole


def _number(value: Any) -> str:
    return "?" if value is None else f"{value:,}"


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
    nothing = alt.Chart(alt.Data(values=[{}]))
    width = (2 * COLUMN + GAP) // len(figures)
    tiles = [
        alt.layer(
            nothing.mark_text(align="left", x=0, y=18, fontSize=27, fontWeight=700, color=INK, text=figure),
            nothing.mark_text(align="left", x=0, y=42, fontSize=12, text=what),
        ).properties(width=width, height=50)
        for what, figure in figures
    ]  # fmt: skip
    whole = alt.vconcat(
        alt.hconcat(*tiles, spacing=0),
        report.followers(),
        *(
            alt.hconcat(left, right, spacing=GAP).resolve_scale(color="independent")
            for left, right in (
                (report.reach(), report.interactions()),
                (report.posts(), report.stories()),
                (report.ages(), report.countries()),
            )
        ),
        spacing=30,
        title=alt.TitleParams(f"{account['username']}  ·  {report.period()}", fontSize=20, offset=18),
        padding=28,
    )
    return _compressed(
        vl_convert.vegalite_to_png(_shown(whole.resolve_scale(color="independent"), account["username"]), scale=1.5)
    )


def _compressed(picture: bytes) -> bytes:
    """A PNG with as many colours as such a picture needs."""
    few_colours = Image.open(io.BytesIO(picture)).convert("RGB").quantize(96, dither=Image.Dither.NONE)
    small = io.BytesIO()
    few_colours.save(small, "PNG", optimize=True)
    return small.getvalue()


def main(database: str, where: str, picture_where: str) -> None:
    """Write both."""
    with duckdb.connect(database, read_only=True) as connection:
        report = Report(connection)
        Path(where).write_text(page(report), encoding="utf-8")
        Path(picture_where).write_bytes(picture(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
