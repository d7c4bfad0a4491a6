"""One Graph call, and what became of it. A verdict is what Meta said; an outcome is what that means for its caller."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Optional
from urllib.parse import urlencode

from source_instagram.answers import LASTING, PageResponse, Verdict, dumped, parsed, response_of

SAFE = ",{}()."  # beside letters, digits, `-`, `_` and `~`
NESTED_LIMIT = re.compile(r"\.limit\((\d+)\)")
PLAIN = re.compile(r"[\w,{}().~-]*", re.ASCII)


class Scope(NamedTuple):
    """Whom a call is for: a stream of an account, the product type of a media, a row of the table of metrics."""

    stream: str
    account: str | None = None  # None for what is about the token
    product: str = ""  # "" for the account itself
    row: int = 0

    @property
    def place(self) -> tuple[str, str | None]:
        """What fails together when a part of Meta's service is down."""
        return self.stream, self.account

    @property
    def family(self) -> str:
        """What Meta's lists of metrics are for: accounts have one, and media of all product types another."""
        return "media" if self.product else "accounts"

    def __str__(self) -> str:
        """In words for people: `REELS`, or `account 17841…`."""
        return self.product or f"account {self.account}"


NOBODY = Scope("")  # what is about the token alone


@dataclass(eq=False, slots=True)
class GraphCall:
    """One Graph call. It ends with an answer (the parsed body) or a verdict, or is split into parts that do."""

    path: str
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    scope: Scope = NOBODY
    subject: str = ""  # the account or object, in words for people
    who: str = ""  # whom it is about, where its path does not tell
    about: Any = None  # whatever its caller wants to find it by
    needs: tuple[str, ...] = ("id",)  # fields without which the answer is of no use
    is_secondary: bool = False  # a lasting refusal costs its columns, not the record
    is_optional: bool = False  # likewise, and any refusal is a null: its metrics are only sometimes there
    control: Optional["GraphCall"] = None  # the main call of the same object, which Meta answers unless it is down
    trial: Optional["GraphCall"] = None  # its repetition, beside the last attempt of an optional call
    breakdown: str = ""  # by which to ask for its metric, once its total is seen not to be 0
    before: Sequence[Mapping[str, Any]] = ()  # what Meta has said of its metric already
    carrier: Optional["GraphCall"] = None  # the main call in which it travels
    is_for_others: bool = False  # it only travels along, for streams that else ask for themselves
    riders: list["GraphCall"] = field(default_factory=list)  # the calls that travel in it
    waiting: list["Waiting"] = field(default_factory=list)  # those that did, until it has ended
    answer: Any = None  # parsed, or `packed`
    verdict: Verdict | None = None
    response: PageResponse | None = None
    parts: Sequence["GraphCall"] = ()
    whole: Optional["GraphCall"] = None  # the call that it is a part of
    is_planned: bool = False  # its metrics are chosen
    left_out: Sequence[str] = ()  # metrics that it does not ask for, as others refused them
    is_unsigned: bool = False  # it was sent again without a signature
    unshrunk: dict[str, str] | None = None  # its parameters before it came to ask for less of a list than it was to
    came_along: bool = False  # its answer came with the list of its objects; no call was made
    has_other_way: bool = False  # its caller asks for less, or otherwise, where it is too much or a field is refused
    was_told: bool = False  # when it was sent first, a page of its list had been answered only after it asked for less
    attempts: int = 0  # in which it came to nothing, for a reason that may heal
    last_fault: Verdict | None = None  # that reason
    was_invisible: bool = False  # Meta said once that its object does not exist
    gap: tuple[list["GraphCall"], "GraphCall"] | None = None  # days that wait for its answer and for the other's
    spares: Sequence["GraphCall"] = ()  # the calls of days that it may spare, all together
    not_before: float = 0.0  # when it may go again, on the monotonic clock

    @property
    def url(self) -> str:
        """Path and query, as they stand in a batch."""
        metrics = [*self.metrics, *(name for rider in self.riders for name in rider.metrics)]
        metric = {"metric": ",".join(metrics)} if metrics else {}
        query = encoded({**metric, **self.params})
        return f"{self.path}?{query}" if query else self.path

    @property
    def page(self) -> PageResponse | None:
        """Its answer as the CDK reads it; None where there is none."""
        if self.response is None and self.answer is not None:
            self.response = response_of(dumped(self.answer))
        return self.response

    @property
    def object(self) -> str:
        """What the call is about: one media, or one window of an account's days."""
        return f"{self.path} {self.who or self.params.get('since', '')}"

    @property
    def is_extra(self) -> bool:
        """Whether its object has a record without it, too."""
        return self.is_optional or self.is_secondary

    @property
    def is_first(self) -> bool:
        """Whether it is the main call of an object, and not one that the answer of another asks for."""
        is_main = self.about is not None and self.control is None and not self.is_extra
        return is_main and "after" not in self.params and not self.path.endswith("/replies")

    @property
    def edge(self) -> Scope:
        """Whose fields and page sizes it speaks of: an edge of an account, in a stream."""
        return Scope(self.scope.stream, self.scope.account, self.path.partition("/")[2])

    @property
    def limit(self) -> int:
        """How many items of a list it asks for at once, its own or the first within; 0 where it asks for none."""
        within = NESTED_LIMIT.search(self.params.get("fields", ""))
        return int(self.params.get("limit") or (within[1] if within else 0))

    def again(self, **changes: Any) -> "GraphCall":
        """The same call as if it had not been sent yet, with changes."""
        fresh: dict[str, Any] = {"answer": None, "verdict": None, "response": None, "parts": (), "attempts": 0}
        fresh |= {"params": dict(self.params), "last_fault": None, "trial": None, "not_before": 0.0, "whole": None}
        fresh |= {"unshrunk": None, "came_along": False, "carrier": None, "riders": [], "waiting": [], "before": ()}
        fresh |= {"gap": None, "spares": ()}
        return replace(self, **{**fresh, **changes})

    def split(self, groups: list[list[str]]) -> list["GraphCall"]:
        """Ask for groups of its metrics apart; their answers together are its answer."""
        parts = [self.again(metrics=group, whole=self, is_planned=True) for group in groups]
        self.parts = parts
        return parts

    @property
    def top(self) -> "GraphCall":
        """The call that its caller knows."""
        return self.whole.top if self.whole else self

    # -- Outcome ------------------------------------------------------------------------------------------------------

    def leaves(self) -> "list[GraphCall]":
        """The calls that were really sent for it."""
        return [leaf for part in self.parts for leaf in part.leaves()] if self.parts else [self]

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return not [leaf for leaf in self.leaves() if leaf.answer is None and not leaf.verdict]

    @property
    def is_answered(self) -> bool:
        """Whether anything of it was answered."""
        return bool([leaf for leaf in self.leaves() if leaf.answer is not None])

    @property
    def items(self) -> list[Mapping[str, Any]]:
        """The items of a list, of all its parts."""
        return [item for leaf in self.leaves() if leaf.answer is not None for item in leaf.body.get("data") or []]

    @property
    def body(self) -> Any:
        """Its answer, parsed."""
        return parsed(self.answer) if isinstance(self.answer, bytes) else self.answer

    def pack(self) -> None:
        """Keep its answer as text, which takes a tenth of the memory: thousands of days wait for each other."""
        self.answer = dumped(self.answer)

    @property
    def outcome(self) -> Verdict | None:
        """Why the whole of it is without an answer; None where a part has one, and none was lost to a fault.

        What Meta refuses of an object that it otherwise answers is a null. What may heal is missing.
        """
        if self.answer is not None and not self.verdict and not self.parts:  # as with most
            return None
        verdicts = [leaf.verdict for leaf in self.leaves() if leaf.verdict]
        missing = [verdict for verdict in verdicts if verdict.may_heal]
        return next(iter(missing or (() if self.is_answered else verdicts)), None)

    @property
    def refused(self) -> list[tuple[list[str], Verdict]]:
        """The metrics that Meta refuses for this object while it answers others, with its words."""
        return [(leaf.metrics, leaf.verdict) for leaf in self.leaves() if leaf.verdict and leaf.metrics]

    @property
    def is_lasting(self) -> bool:
        """Whether it ended for a reason that stays, so that waiting for the next sync would not help."""
        return self.outcome is not None and self.outcome.then in LASTING


def encoded(params: Mapping[str, str]) -> str:
    """A query as Meta writes it. Most are plain, which is seen sooner than encoded.

    Before: {"metric": "views,reach", "breakdown": "age,gender"}
    After:  metric=views,reach&breakdown=age,gender
    """
    plain = "&".join([f"{name}={value}" for name, value in params.items()])
    return plain if PLAIN.fullmatch("".join(params.values())) else urlencode(params, safe=SAFE)


Waiting = tuple[GraphCall, Verdict | None]  # a call, and why it has no answer, where that is known
Page = list[tuple[Mapping[str, Any], list[GraphCall]]]  # objects of a list, each with its calls
