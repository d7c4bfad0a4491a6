"""What of the world belongs to others: accounts that are found by their names, and posts that hashtags show."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.figures import DAY, UTC, number, unit
from sandbox.nodes import Account, Discovered, Hashtag, Media, Node, Rival, Tagged
from sandbox.vocabulary import CAPTIONS, NO_HASHTAG, RIVALS

if TYPE_CHECKING:
    from sandbox.world import Options

EVERY = timedelta(hours=2)  # a hashtag gets a post
ORIGIN = datetime(2020, 1, 1, tzinfo=UTC)  # where the grid of these begins


def rival_name(n: int) -> str:
    """The user name of an account of others."""
    return RIVALS[n] if n < len(RIVALS) else f"rival.{n}"


class Strangers:
    """The part of a world that is nobody's whose token it is. It is made when it is first asked for."""

    options: Options
    seed: int
    anchor: datetime
    nodes: dict[str, Node]
    _rivals: dict[str, Rival]
    _hashtags: dict[str, Hashtag]

    @abstractmethod
    def now(self) -> datetime:
        """The world's present."""

    @abstractmethod
    def _post(  # noqa: PLR0913, PLR0917 - as the world has it
        self,
        account: Account,
        prefix: str,
        n: int,
        kind: str,
        product: str,
        published: datetime,
        *extra: object,
        made: type[Media] = Media,
    ) -> Media:
        """A post."""

    @abstractmethod
    def _cdn(self, path: str, suffix: str, *about: object) -> str:
        """An address."""

    # -- accounts -----------------------------------------------------------------------------------------------------

    @property
    def rivals(self) -> list[Rival]:
        """Accounts of others, in the order in which they were thought of."""
        if not self._rivals:
            self._rivals.update(
                {(rival := self._rival(n)).values["username"]: rival for n in range(self.options.rivals)}
            )
        return list(self._rivals.values())

    def rival(self, username: str) -> Rival | None:
        """The account that goes by a name; whoever else does is private, no professional, or nobody."""
        return next((each for each in self.rivals if each.values["username"] == username.lower()), None)

    def _rival(self, n: int) -> Rival:
        username = rival_name(n)
        values: dict[str, Any] = {
            "id": str(17841500000000001 + n),
            "username": username,
            "name": f"Rival {n + 1} ☕",
            "biography": CAPTIONS[n % len(CAPTIONS)],
            "website": f"https://rival{n + 1}.example/?a=1&b=2",
            "followers_count": 100 + number(self.seed, "rival", n) % 900_000,
            "follows_count": number(self.seed, "rival follows", n) % 900,
            "media_count": self.options.rival_media,
            "profile_picture_url": self._cdn("t51.2885-19", "jpg", "profile", "rival", n),
        }
        if n % 3 == 1:  # a profile with nothing written in it
            del values["name"], values["biography"], values["website"]
        rival = Rival(
            values["id"], values, index=700 + n, followers=values["followers_count"], converted=ORIGIN,
            insights_from=None,
        )  # fmt: skip
        step = timedelta(days=self.options.days) / max(self.options.rival_media, 1)
        for k in range(self.options.rival_media + self.options.upcoming):
            published = self.anchor - step * (k + unit(self.seed, "rival minute", n, k))
            if k >= self.options.rival_media:
                published = self.anchor + timedelta(hours=6 * (k - self.options.rival_media + 1))
            rival.media.append(
                self._public(rival, f"185{n:03d}{k:06d}", k, published.replace(microsecond=0), Discovered)
            )
        rival.media.sort(key=lambda media: media.published, reverse=True)
        return rival

    # -- hashtags -----------------------------------------------------------------------------------------------------

    def hashtag(self, name: str) -> Hashtag | None:
        """A hashtag by its name; None where there is none, or where Meta withholds it."""
        name = name.lower()
        if name.startswith(NO_HASHTAG):
            return None
        if name not in self._hashtags:
            tag_id = f"17843{number(self.seed, 'hashtag', name) % 10**12:012d}"
            tag = self._hashtags[name] = Hashtag(tag_id, {"id": tag_id, "name": name})
            tag.top = [self._of_tag(tag, n, self.anchor - timedelta(hours=30 + 7 * n)) for n in range(self._top_count)]
            self.nodes[tag_id] = tag
        return self._hashtags[name]

    @property
    def _top_count(self) -> int:
        return self.options.hashtag_media

    def recent(self, tag: Hashtag) -> list[Media]:
        """What was posted with a hashtag in the last 24 hours, newest first."""
        newest = int((self.now() - ORIGIN) / EVERY)
        shown = []
        for ordinal in range(newest, newest - int(DAY / EVERY), -1):
            known = next((media for media in tag.grid if media.number == ordinal), None)
            if known is None:
                known = self._of_tag(tag, ordinal, ORIGIN + EVERY * ordinal)
                tag.grid.append(known)
            shown.append(known)
        return shown

    def _of_tag(self, tag: Hashtag, n: int, published: datetime) -> Media:
        author = Rival(
            "0", {"username": "somebody"}, index=800 + int(tag.id) % 100, followers=9_000, converted=ORIGIN,
            insights_from=None,
        )  # fmt: skip
        return self._public(author, f"186{int(tag.id) % 1000:03d}{n % 10**6:06d}", n, published, Tagged)

    def _public(self, account: Account, prefix: str, n: int, published: datetime, made: type[Media]) -> Media:
        """A post of somebody else, with what everybody may read of it."""
        kind = ("IMAGE", "REELS", "CAROUSEL_ALBUM", "VIDEO")[n % 4]
        media_type, product = ("VIDEO", "REELS") if kind == "REELS" else (kind, "FEED")
        media = self._post(account, prefix, n, media_type, product, published, "public", made=made)
        values = media.values
        values["comments_count"] = number(self.seed, "public", prefix) % 90
        if n % 5 != 2:
            values["caption"] = f"{CAPTIONS[n % len(CAPTIONS)]} {n}"
        if n % 6 == 5:  # its owner hides the likes
            del values["like_count"]
        if product == "REELS":
            values["view_count"] = 100 + number(self.seed, "public views", prefix) % 90_000
        if kind == "CAROUSEL_ALBUM":
            values.pop("media_url")
            media.children = [self._public_child(media, f"{prefix}{c:02d}", c, made) for c in range(2 + n % 3)]
        return media

    def _public_child(self, album: Media, prefix: str, c: int, made: type[Media]) -> Media:
        kind = "VIDEO" if c % 2 else "IMAGE"
        child = self._post(album.account, prefix, album.number, kind, "FEED", album.published, f"public{c}", made=made)
        child.parent = album
        del child.values["like_count"]
        return child
