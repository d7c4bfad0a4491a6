"""What others publish: accounts found by their user name, hashtags, and polls under posts. Facebook Login only.

https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/business_discovery
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-hashtag-search
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from sandbox import errors
from sandbox.figures import DAY
from sandbox.nodes import Account, Hashtag

if TYPE_CHECKING:
    from sandbox.world import World

WEEK = 7 * DAY
DIFFERENT = 30  # hashtags that an account may search within a week
FIRST = ("id", "name")  # fields of a hashtag


class Searches:
    """Which hashtags each account has searched, and when: what a limit of its own counts."""

    def __init__(self, world: World) -> None:
        """Some were searched by other tools, as the world's options have it."""
        self._world = world
        self._last: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
        for account in world.accounts:
            self.note(account, [f"elsewhere{n}" for n in range(world.options.searched)])

    def note(self, account: Account, names: Iterable[str]) -> None:
        """Let an account have searched these just now."""
        self._last[account.id] |= dict.fromkeys(names, self._world.now())

    def recent(self, account: Account) -> list[Hashtag]:
        """Those of the last seven days, the newest first; of each account no more than thirty are told."""
        since = self._world.now() - WEEK
        names = [name for name, when in reversed(self._last[account.id].items()) if when > since]
        return [tag for name in names[:DIFFERENT] if (tag := self._world.hashtag(name))]

    def use(self, account: Account, tag: Hashtag) -> None:
        """Count a hashtag that is searched, or read by its id; a new one beyond the limit is refused."""
        name, since = tag.values["name"], self._world.now() - WEEK
        recent = {each for each, when in self._last[account.id].items() if when > since}
        if name not in recent and len(recent) >= DIFFERENT:
            raise errors.too_many_hashtags()
        self._last[account.id].pop(name, None)
        self.note(account, [name])
