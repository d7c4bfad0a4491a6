"""Media from before an account became a professional one: Meta has no insights of them.

https://developers.facebook.com/documentation/instagram-platform/reference/instagram-media/insights
"""

import logging
from collections.abc import Mapping
from typing import Any

from source_instagram.calls import Page

log = logging.getLogger("airbyte.instagram")

SEVERAL_OLD = 3  # media in a row that are from before the conversion: then older ones are, too


class Conversion:
    """When one account was converted, as its media tell. A list is newest first, so that what follows is older."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._converted = ""  # when the account's newest media without insights is of
        self._too_old: list[Mapping[str, Any]] = []

    def keeps(self, one: Mapping[str, Any]) -> bool:
        """Whether a media is from before the conversion, so that it is kept to be told, and not asked for."""
        is_older = str(one.get("timestamp") or "~") < self._converted
        if is_older:
            self._too_old.append(one)
        return is_older

    def learn(self, page: Page) -> None:
        """Believe that media are from before the conversion for older ones, once several in a row say so."""
        row = 0
        for one, calls in page:
            is_older = any(call.outcome and call.outcome.then == "before_conversion" for call in calls)
            row = row + 1 if is_older else 0
            if row >= SEVERAL_OLD and one.get("timestamp"):
                self._converted = max(self._converted, one["timestamp"])
            elif any(call.is_answered for call in calls):
                self._converted = ""

    def not_so_old(self) -> list[Mapping[str, Any]]:
        """Those that were kept wrongly, as pages that were under way have shown meanwhile."""
        wrong = [one for one in self._too_old if str(one["timestamp"]) >= self._converted]
        self._too_old = [one for one in self._too_old if str(one["timestamp"]) < self._converted]
        return wrong

    def tell(self, subject: str, stream: str) -> None:
        """Say of which media nothing comes."""
        if self._too_old:
            log.warning(
                "%s: nothing for %s of %d media that were posted before the account became a professional account: %s",
                subject, stream, len(self._too_old), ", ".join(str(one["id"]) for one in self._too_old),
            )  # fmt: skip
