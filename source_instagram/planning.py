"""Which calls an object, or an account's days, need: the tables of metrics of the manifest, as Graph calls."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import SEVERAL, UNKNOWN_PRODUCT
from source_instagram.records import columns_of, parameters_of, parts_in, windows
from source_instagram.riders import board
from source_instagram.times import days_of

Row = Mapping[str, Any]
Chosen = tuple[list[tuple[int, Row]], list[int], dict[int, list[str]]]  # see `Plan._of_products`
DAY = 86_400  # seconds
KEYED = "value"  # the column of rows whose records have their metric in the key: each is there, whatever is selected


@dataclass(frozen=True)
class Plan:
    """A table of metrics, for a stream and a login, with the columns that the catalog selected."""

    stream: str
    rows: list[Row]
    login: str
    selected: Callable[[Iterable[str]], list[str]]
    product: str = ""  # of all objects of the stream, where it is not theirs to tell
    _known: dict[tuple[str, ...], Chosen] = field(default_factory=dict, init=False, repr=False)  # by product types

    def products(self, one: Mapping[str, Any]) -> list[str]:
        """The product types that an object may be of: its own, or where the list does not tell, by its media type.

        Before: {"id": "179…", "media_type": "VIDEO"}
        After:  ["FEED", "REELS"]
        """
        told = one.get("media_product_type") or self.product
        if told or not one:
            return [told]
        return ["FEED", "REELS"] if one.get("media_type") not in ("IMAGE", "CAROUSEL_ALBUM") else ["FEED"]

    def has_numbers(self, one: Mapping[str, Any]) -> bool:
        """Whether there is a row for a product type that the object may be of."""
        return any(self._fits(row, self.products(one)) for row in self.rows)

    @property
    def all_products(self) -> set[str]:
        """The product types that the table has rows for."""
        return {product for row in self.rows for product in row.get("of", [])}

    def common(self) -> list[str]:
        """The metrics that are asked of every object, where no object is asked for any other; else none."""
        asked = [
            (row, tuple(names))
            for row in self.rows
            if self._fits(row, row.get("of", [""])) and (names := self._metrics(row))
        ]
        alike = {names for _, names in asked}
        is_of_all = {product for row, _ in asked for product in row.get("of", [])} == self.all_products
        if len(alike) != 1 or not is_of_all or len(mains(enumerate(row for row, _ in asked))) < len(asked):
            return []
        return list(alike.pop())

    def calls(
        self, one: Mapping[str, Any], account: str, subject: str, bounds: Mapping[str, str]
    ) -> Iterator[GraphCall]:
        """The calls for an object, or for the windows of an account's days, the main ones first."""
        products = self.products(one)
        product = products[0] if len(products) == 1 else UNKNOWN_PRODUCT
        rows, main, chosen = self._of_products(*products)
        controls, asked = dict[str, GraphCall](), set[str]()  # rows overlap where the product is not known
        for at, row in rows:
            metrics = [name for name in chosen[at] if len(products) == 1 or name not in asked]
            asked.update(metrics if at in main else ())
            for window, params in itertools.product(windows(row, bounds), parameters_of(row)) if metrics else ():
                call = GraphCall(
                    path=f"{one.get('id') or account}/insights",
                    params=params | window,
                    metrics=list(metrics),
                    scope=Scope(self.stream, account, product, at),
                    subject=f"{subject}{days_of(window)}",
                    about=row,
                    is_secondary=is_part(row) or (len(products) > 1 and at != main[0]),
                    is_optional=bool(row.get("optional")),
                    control=controls.get(window.get("since", "")),
                )
                controls.setdefault(window.get("since", ""), call)
                if one and len(products) == 1:
                    board(call, is_divided=bool(self.selected(parts_in(row))))
                yield call

    def kinds(self) -> Iterator[tuple[int, Row, list[str], dict[str, str]]]:
        """Rows with their places, metrics and parameters of the calls for an account, but for their windows."""
        rows, _, chosen = self._of_products(*self.products({}))
        return ((at, row, chosen[at], params) for at, row in rows if chosen[at] for params in parameters_of(row))

    def _of_products(self, *products: str) -> Chosen:
        """The rows for these product types with their places, the places of the main ones, and the metrics of each.

        Kept by the plan itself: what outlived it would keep its stream, and all that a sync knows.
        """
        if products not in self._known:
            rows = [(at, row) for at, row in enumerate(self.rows) if self._fits(row, products)]
            main = mains(rows)
            # Of two products, the other's row is secondary, so that it does not tell that there is a record.
            self._known[products] = rows, main, self._chosen(rows, main if len(products) == 1 else main[:1])
        return self._known[products]

    def _chosen(self, rows: list[tuple[int, Row]], main: list[int]) -> dict[int, list[str]]:
        """The metrics of each row; of the main one its first at least, because it tells that there is a record."""
        chosen = {at: self._metrics(row) for at, row in rows}
        if any(chosen[at] for at in main):
            return chosen
        return chosen | {at: self.rows[at]["metrics"][:1] for at in main[:1]}

    def _fits(self, row: Row, products: Sequence[str]) -> bool:
        return any(each in row.get("of", [each]) for each in products) and row.get("login", self.login) == self.login

    def _metrics(self, row: Row) -> list[str]:
        if row.get("as") == KEYED:
            return list(row["metrics"])
        return [name for name in row["metrics"] if self.selected(columns_of(name, row))]


def is_part(row: Row) -> bool:
    """Whether a refusal of a row costs its columns alone."""
    return bool(row.get("secondary") or row.get("total_first"))


def mains(rows: Iterable[tuple[int, Row]]) -> list[int]:
    """The places of the rows that tell that there is a record."""
    return [at for at, row in rows if not (row.get("optional") or is_part(row))]


def narrowed(calls: list[GraphCall], new: list[GraphCall]) -> list[GraphCall]:
    """Calls for thirds of the days of those among the new calls that were refused, in place of which they stand.

    One refusal is no proof that the account has no such numbers: several are, and else it is seen of which days.

    Before: 2026-09-25 to 2026-10-25, refused
    After:  2026-09-25 to 2026-10-05, 2026-10-05 to 2026-10-15 and 2026-10-15 to 2026-10-25
    """
    thirds = []
    for call in new:
        days = (int(call.params.get("until", 0)) - int(call.params.get("since", 0))) // DAY
        is_refused = call.outcome is not None and call.outcome.then == "refused_metric"
        if is_refused and days >= SEVERAL and not (call.is_optional or call.is_secondary):
            calls.remove(call)
            since, until, step = int(call.params["since"]), int(call.params["until"]), -(-days // SEVERAL) * DAY
            for start in range(since, until, step):
                window = {"since": str(start), "until": str(min(start + step, until))}
                subject = call.subject.partition(", ")[0] + days_of(window)
                thirds.append(call.again(params=call.params | window, subject=subject, control=None))
    return thirds
