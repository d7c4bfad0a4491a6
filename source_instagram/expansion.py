"""Pages of a list that bring along what would else be a call for each of its objects.

An expansion is part of its call, so that one call brings what 50 media have; as calls of their own they would be 50.
https://developers.facebook.com/docs/graph-api/guides/field-expansion
"""

import logging
from collections import defaultdict
from collections.abc import Callable
from itertools import takewhile

from source_instagram.answers import Verdict
from source_instagram.calls import GraphCall, Scope
from source_instagram.capabilities import FIELD, SEVERAL, names_in
from source_instagram.client import Client
from source_instagram.session import SyncSession

log = logging.getLogger("airbyte.instagram")


class ExpandedPages:
    """Pages of an account's media with something of each: as many media at once as Meta gives.

    It finds such a page too much early, and says so, or answers with code 1 or HTTP 500 as in an outage. So pages begin
    small and grow while they are answered, and one that is refused goes again with fewer media. Words that say so are
    believed at once; what may be an outage or one odd media, once several pages in a row of that size met it. A page
    that no size helps comes plain; after several of them in a row, so do all others of the account. Where several
    accounts were given full pages of a size, and none was refused one, the first page of the others has that size.
    """

    def __init__(self, session: SyncSession, sizes: list[int], first: int, expand: Callable[[str | None], str]) -> None:
        """Ask for pages of these sizes, beginning with one of them; `expand` tells the field that brings it along.

        Before: id,timestamp
        After:  id,timestamp,comments.limit(25){id,text}
        """
        self._session, self._sizes, self._first, self._expand = session, sizes, first, expand
        self._wanted: dict[Scope, int] = {}
        self._given: defaultdict[int, set[Scope]] = defaultdict(set)  # by size: whom it brought more than a smaller one
        self._full: defaultdict[int, set[Scope]] = defaultdict(set)  # by size: who was given as many as that
        self._too_much = sizes[-1] + 1  # the smallest size that was refused

    def ask(self, call: GraphCall, client: Client) -> None:
        """Bring the call for a page of media to its end. Raises a GraphError where it cannot be had in any way."""
        place, expansion = call.edge._replace(product="expanded"), self._expand(client.account)
        asked = size = self._fitting(place, self._wanted.get(place) or self._begin())
        while size:
            fields = f"{call.params['fields']},{expansion}"
            page = call.again(params=call.params | {"limit": str(size), "fields": fields}, has_other_way=True)
            self._session.executor.run([page], client)
            if page.verdict is None:
                call.response = page.page
                assert call.response is not None  # noqa: S101 - it was answered
                call.response.brought = expansion
                self._session.fields.trust(map(str, self._up_to(size)), place)
                if len(page.items) > max(self._up_to(size - 1), default=0):
                    self._given[size].add(place)
                if len(page.items) >= size:
                    self._full[size].add(place)
                self._wanted[place] = min((each for each in self._sizes if each > size), default=size)
                return
            asked, size = size, self._refused(page, page.verdict, place)
        if self._fitting(place, asked):
            call.params["limit"] = str(asked)  # the next page may bring it along again
        self._session.ask(call, client)

    def _begin(self) -> int:
        """The size of an account's first page."""
        sizes = self._up_to(self._too_much - 1)
        usual = max([self._first, *(size for size in sizes if len(self._given[size]) >= SEVERAL)])
        is_full = len(self._full[usual]) >= SEVERAL
        return min((size for size in sizes if size > usual), default=usual) if is_full else usual

    def _refused(self, page: GraphCall, verdict: Verdict, place: Scope) -> int:
        """How many media to ask for instead; 0 for a plain page."""
        fields, size = self._session.fields, page.limit
        smaller = max(self._up_to(size - 1), default=0) if verdict.is_too_much else 0
        self._too_much = min(self._too_much, size)
        if smaller and verdict.then == "reduce_page":
            self._session.page_sizes.lower(place, smaller)
        elif not self._is_within(page, verdict):
            too_much = size if verdict.is_too_much else self._sizes[0]
            fields.doubt([str(too_much)], place, f"{page.path} {page.params.get('after', '')}")
        instead = f"asking for {smaller} at once" if smaller else "asking for that of each by itself"
        log.info("%s: no page of %d media for %s; %s. %s", page.subject, size, page.scope.stream, instead, verdict)
        return smaller

    def _is_within(self, page: GraphCall, verdict: Verdict) -> bool:
        """Whether a field within is refused: then single calls find out of whom, and pages do without it."""
        refused = set(FIELD.findall(verdict.words)) if verdict.then == "refused_field" else set[str]()
        return bool(refused) and refused <= names_in(page.params["fields"].partition("{")[2])

    def _fitting(self, place: Scope, most: int) -> int:
        """The largest size up to `most` that may be answered; 0 where not even the smallest is."""
        fields = self._session.fields
        sizes = self._up_to(min(most, self._session.page_sizes.limit(place) or most))
        return max(takewhile(lambda size: not fields.is_doubted(str(size), place), sizes), default=0)

    def _up_to(self, most: int) -> list[int]:
        return [size for size in self._sizes if size <= most]
