"""What Meta does not know or have: metrics and fields. And of whom that is true.

What one answer says is true of one object. Two of Meta's wordings speak of more, because they name the metrics and give
the reason; all others have to be said of several objects in a row, without one that is answered.
https://developers.facebook.com/documentation/instagram-platform/reference/instagram-media/insights
"""

import functools
import re
import threading
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from source_instagram.calls import Scope

SEVERAL = 3  # distinct objects or accounts in a row that say the same of themselves
MANY = 10  # likewise of objects that lack what others of the same account may well have
EVERYWHERE = "reach"  # stands in each of Meta's lists of metrics
EVERY = 5  # of the objects after them, one is asked all the same: it may be different

NOT_LISTED = re.compile(r"metric\[\d+\] must be one of the following values:(.*)", re.DOTALL)
NOT_OF_PRODUCT = re.compile(r"does not support the (\{[^}]*\}|\w+) metrics? for this media product type")
NAMED = re.compile(r"\bmetrics? \(([\w, ]+)\)|\(([\w, ]+)\) metrics?\b|\bthe \{?([\w, ]+)\}? metrics?\b")
ARGUMENT = re.compile(r"\.(?:username|after)\([^()]*\)")  # which is no name of a field
BRACES = re.compile(r"\{[^{}]*\}")
FIELD = re.compile(r"field \((\w+)\)")


@dataclass
class Doubt:
    """Who said of a name, in a row, that they do not have it; and how many were not asked because of that."""

    objects: set[str] = field(default_factory=set)  # Meta refuses it of them
    without: set[str] = field(default_factory=set)  # Meta knows it, and they have none
    is_vague: bool = False  # some refusal named no metric
    passed: int = 0

    @property
    def is_strong(self) -> bool:
        """Whether several said so."""
        return len(self.objects) >= SEVERAL or len(self.without) >= MANY


class Capabilities:
    """What is known of names (metrics or fields) in this sync, by whom it was said.

    Each call asks for some dozens of names, and nearly all of them nobody has ever doubted. So who only looks takes no
    lock: what is looked at is replaced, never changed in parts.
    """

    def __init__(self) -> None:
        """Everything is believed to be there."""
        self._lock = threading.Lock()
        self._refused: defaultdict[Hashable, frozenset[str]] = defaultdict(frozenset)
        self._doubts: dict[str, dict[Hashable, Doubt]] = {}  # by name and scope
        self._trusted: defaultdict[Hashable, frozenset[str]] = defaultdict(frozenset)  # by scope

    # -- Metrics ------------------------------------------------------------------------------------------------------

    def learn(self, metrics: list[str], scope: Scope, words: str) -> tuple[list[str], str]:
        """Which of the metrics a refusal speaks of for all of a kind, and that kind; none where it names none so.

        Before: (#100) The Media Insights API does not support the {follows} metric for this media product type
        After:  ["follows"], "REELS"
        """
        listed, product = NOT_LISTED.search(words), NOT_OF_PRODUCT.search(words)
        if listed:
            known, answered = set(re.findall(r"\w+", listed[1])), self._answered(scope.family)
            # A list without what Meta has answered was cut, or is for something else: of what else it leaves out it
            # tells nothing. Nor does one that has none of ours.
            is_whole = answered <= known and not known.isdisjoint({*answered, *metrics, EVERYWHERE})
            named, kind = [name for name in metrics if is_whole and name not in known], scope.family
        elif product and scope.product != UNKNOWN_PRODUCT:
            named, kind = among(metrics, product[1]), str(scope)
        else:
            return [], ""
        key: Hashable = (scope.family,) if listed else (scope.family, scope.product or scope.account)
        with self._lock:
            self._refused[key] |= frozenset(named)
        return named, kind

    def known(self, metrics: list[str], scope: Scope) -> list[str]:
        """Those of the metrics that nobody has refused for all of their kind."""
        if not self._refused:
            return list(metrics)
        refused = frozenset[str]().union(*(self._refused.get(key, ()) for key in self._kinds(scope)))
        return [name for name in metrics if name not in refused]

    def plan(self, metrics: list[str], scope: Scope) -> tuple[list[str], list[str], list[str]]:
        """The metrics to ask together, those to ask alone, and those to leave out.

        One that an object has just refused travels alone, so that it cannot cost the others their answer. One that
        several refused is left out, but for each fifth object.
        """
        together, alone, left_out = list[str](), list[str](), list[str]()
        for name in self.known(metrics, scope):
            if self._strongest(name, scope) is None:
                together.append(name)
                continue
            with self._lock:
                doubt = self._strongest(name, scope)
                if doubt is None:  # meanwhile an object had it
                    together.append(name)
                    continue
                is_asked = not doubt.is_strong or doubt.passed % EVERY == EVERY - 1
                (alone if is_asked else left_out).append(name)
                doubt.passed += doubt.is_strong
        return together, alone, left_out

    def _answered(self, family: str) -> set[str]:
        with self._lock:
            scopes = [scope for scope in self._trusted if isinstance(scope, Scope) and scope.family == family]
            return set[str]().union(*(self._trusted[scope] for scope in scopes))

    @staticmethod
    def _kinds(scope: Scope) -> tuple[Hashable, ...]:
        return (scope.family,), (scope.family, scope.product or scope.account)

    # -- Names of objects, accounts, all ------------------------------------------------------------------------------

    def doubt(self, names: Iterable[str], scope: Scope, who: str, *, is_vague: bool = False) -> list[str]:
        """An object does not have these; those of which that is now believed of its account, or of all."""
        believed = []
        with self._lock:
            for name in names:
                before = self._strongest(name, scope)
                was_strong = before is not None and before.is_strong
                everyone, own = scope._replace(account=None), self._doubt_of(name, scope)
                own.objects.add(who)
                own.is_vague |= is_vague
                # Calls about the token have no account; what one of them says counts once, as its own.
                if scope.account is not None and name not in self._trusted.get(everyone, ()):
                    shared = self._doubt_of(name, everyone)
                    shared.objects.add(str(scope.account))
                    shared.is_vague |= is_vague
                after = self._strongest(name, scope)
                if after is not None and after.is_strong and not was_strong:
                    believed.append(name)
        return believed

    def lack(self, names: Iterable[str], scope: Scope, who: str) -> list[str]:
        """An object has no number of these; those of which many had none and nobody one: few are asked from now on."""
        believed = []
        with self._lock:
            for name in names:
                if name in self._trusted.get(scope, ()):
                    continue
                doubt = self._doubt_of(name, scope)
                was_strong = doubt.is_strong
                doubt.without.add(who)
                if doubt.is_strong and not was_strong:
                    believed.append(name)
        return believed

    def trust(self, names: Iterable[str], scope: Scope) -> None:
        """An object has these, so what others said speaks for them alone."""
        found, kinds, doubts = frozenset(names), (scope, scope._replace(account=None)), self._doubts
        doubted = [name for name in found.intersection(doubts) if not doubts[name].keys().isdisjoint(kinds)]
        if not doubted and found <= self._trusted.get(scope, frozenset()):
            return
        with self._lock:
            for each in kinds:
                self._trusted[each] |= found
            for name in doubted:
                left = {of: doubt for of, doubt in self._doubts.get(name, {}).items() if of not in kinds}
                self._doubts = {**self._doubts, name: left}
            self._doubts = {name: doubts for name, doubts in self._doubts.items() if doubts}

    def is_trusted(self, name: str, scope: Scope) -> bool:
        """Whether an object of this scope has it."""
        return name in self._trusted.get(scope, ())

    def is_doubted(self, name: str, scope: Scope) -> bool:
        """Whether several said that they do not have it, and nobody since that they do."""
        doubt = self._strongest(name, scope)
        return doubt is not None and len(doubt.objects) >= SEVERAL

    def is_dangerous(self, name: str, scope: Scope) -> bool:
        """Whether it was refused of somebody in words that do not tell what is refused, and given to nobody since."""
        doubt = self._strongest(name, scope)
        return doubt is not None and bool(doubt.objects) and doubt.is_vague

    def is_open(self, names: Iterable[str], scope: Scope) -> bool:
        """Whether of any of the names some said that they do not have it, too few to believe it of others."""
        doubts = (self._strongest(name, scope) for name in names) if self._doubts else ()
        return any(doubt is not None and 0 < len(doubt.objects) < SEVERAL for doubt in doubts)

    def _strongest(self, name: str, scope: Scope) -> Doubt | None:
        """The doubt that counts for a scope: its account's own, or that of several accounts and none against."""
        doubts = self._doubts.get(name)
        if not doubts:
            return None
        own, everyone = doubts.get(scope), doubts.get(scope._replace(account=None))
        return everyone if everyone and everyone.is_strong and not (own and own.is_strong) else own

    def _doubt_of(self, name: str, scope: Scope) -> Doubt:
        """The doubt of a scope, to be added to; under the lock."""
        doubts = self._doubts.get(name, {})
        if scope not in doubts:
            self._doubts = {**self._doubts, name: {**doubts, scope: Doubt()}}
        return self._doubts[name][scope]

    def known_of(self, fields: str, scope: Scope) -> str:
        """A `fields` parameter without the names of which several said that they do not have them."""
        names = {name for name in names_in(fields) if self.is_doubted(name, scope)}
        return without(fields, names) if names else fields


UNKNOWN_PRODUCT = "?"  # of a media whose list does not tell it


def among(metrics: list[str], text: str) -> list[str]:
    """Those of the metrics that a text lists."""
    words = set(re.findall(r"\w+", text))
    return [name for name in metrics if name in words]


def named_in(metrics: list[str], words: str) -> list[str]:
    """Those of the metrics that Meta's words call metrics, or that no other word could be.

    Before: "(#200) total_views not available"
    After:  ["total_views"]

    "The comments of this media are turned off" names no metric, though `comments` is one.
    """
    called = {
        name for found in NAMED.finditer(words) for part in found.groups() if part for name in among(metrics, part)
    }
    called |= {name for name in among(metrics, words) if "_" in name}
    return [name for name in metrics if name in called]


@functools.lru_cache(maxsize=256)
def names_in(fields: str) -> frozenset[str]:
    """The names in a `fields` parameter, with a dot those in lists within.

    Before: id,children{id,ig_id}
    After:  id, children, .id, .ig_id
    """
    fields = ARGUMENT.sub("", fields)
    nested = {f".{name}" for part in BRACES.findall(fields) for name in re.findall(r"\w+", part)}
    return frozenset(re.findall(r"\w+", BRACES.sub("", fields))) | nested


def without(fields: str, names: set[str]) -> str:
    """A `fields` parameter without the names, at any depth; those with a dot stay outside the lists within.

    Before: id,ig_id,children{id,ig_id}, without ig_id or without .ig_id
    After:  id,children{id}              or id,ig_id,children{id}
    """
    nested = {name[1:] for name in names if name.startswith(".")}
    names = {name for name in names if not name.startswith(".")}
    if nested:
        fields = BRACES.sub(lambda found: without(found[0], nested), fields)
    if not names:
        return fields
    pattern = "|".join(map(re.escape, names))
    kept = re.sub(rf"(?<![\w.])(?:{pattern})(?:\.\w+\([^)]*\))*(?:\{{[^{{}}]*\}})?(?=[,}}]|$),?", "", fields)
    return kept.replace(",}", "}").rstrip(",")
