"""The things that have an id: pages, accounts, media, comments."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar


@dataclass(eq=False, repr=False)
class Node:
    """Anything with an id. `values` has exactly the fields that carry data; an absent key is an absent field."""

    kind: ClassVar[str] = ""
    id: str
    values: dict[str, Any]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id}>"


@dataclass(eq=False, repr=False)
class Account(Node):
    """A professional Instagram account."""

    kind: ClassVar[str] = "account"
    index: int
    followers: int
    converted: datetime
    insights_from: datetime | None
    page: Page | None = None
    portfolio: bool = False
    media: list[Media] = field(default_factory=list)
    by_number: dict[int, Media] = field(default_factory=dict)

    @property
    def is_small(self) -> bool:
        return self.followers < 100


@dataclass(eq=False, repr=False)
class Rival(Account):
    """A professional account of somebody else, which is found by its user name only."""

    kind: ClassVar[str] = "rival"


@dataclass(eq=False, repr=False)
class Page(Node):
    """A Facebook Page, through which Facebook Login finds an account."""

    kind: ClassVar[str] = "page"
    account: Account | None = None
    portfolio: bool = False


@dataclass(eq=False, repr=False)
class Media(Node):
    """A post, a reel, an album, one of its items, a story."""

    kind: ClassVar[str] = "media"
    account: Account
    number: int
    product: str
    published: datetime
    parent: Media | None = None
    children: list[Media] = field(default_factory=list)
    on_facebook: bool = False
    few_viewers: bool = False
    foreign: bool = False  # someone else's post, seen through the tags edge only
    hidden: bool = False  # counted when the pages are cut, and then left out: its owner's account is private
    poll: dict[str, Any] | None = None  # what poll_attachment tells

    @property
    def is_video(self) -> bool:
        return bool(self.values["media_type"] == "VIDEO")

    @property
    def before_conversion(self) -> bool:
        return self.published < self.account.converted


@dataclass(eq=False, repr=False)
class Discovered(Media):
    """A post of such an account."""

    kind: ClassVar[str] = "discovered"


@dataclass(eq=False, repr=False)
class Tagged(Media):
    """A post as hashtags show it, without its author."""

    kind: ClassVar[str] = "tagged"


@dataclass(eq=False, repr=False)
class Hashtag(Node):
    """A hashtag, whose id is the same for everybody."""

    kind: ClassVar[str] = "hashtag"
    top: list[Media] = field(default_factory=list)
    grid: list[Media] = field(default_factory=list)  # of which those of the last 24 hours are shown


@dataclass(eq=False, repr=False)
class Comment(Node):
    """A comment, or a reply to one."""

    kind: ClassVar[str] = "comment"
    media: Media
    published: datetime
    parent: Comment | None = None
    replies: list[Comment] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Person(Node):
    """Whose token it is."""

    kind: ClassVar[str] = "user"


@dataclass(eq=False, repr=False)
class Business(Node):
    """A portfolio that owns Pages."""

    kind: ClassVar[str] = "business"
