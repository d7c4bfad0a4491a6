"""The seeded world behind the sandbox: pages, accounts, media, stories and comments. No HTTP here.

A test or a benchmark builds `World(Options(...))` with the server's options and compares record by record.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sandbox.figures import DAY, PACIFIC, UTC, Figures, number, parse_moment, stamp, unit
from sandbox.nodes import Account, Business, Comment, Hashtag, Media, Node, Page, Person, Rival
from sandbox.strangers import Strangers
from sandbox.vocabulary import CAPTIONS, FOLLOWERS, TASKS, TEXTS, USERNAMES

REQUEST_ID = "__request_id__"  # the API fills it in per request: CDN addresses carry `_nc_rid`


@dataclass(frozen=True)
class Options:
    """The size of a world. The same options, seed and day of `now` make the same world."""

    seed: int = 7
    accounts: int = 3
    pages_without_instagram: int = 1
    portfolio_accounts: int = 1
    media: int = 60
    albums: int | None = None
    children: int = 0
    stories: int = 5
    comments: int = 3
    tags: int = 30
    tags_hidden: float = 0.0
    days: int = 365
    upcoming: int = 0
    before_conversion: float = 0.05
    ads: int = 0
    cross_posted: int = 3
    second_pages: int = 0
    settling: int = 0
    growing: int = 0
    asleep: str = ""
    nested_max: int = 0
    silent_permissions: bool = False
    only_me: bool = False
    polls: int = 10
    rivals: int = 2
    rival_media: int = 60
    hashtag_media: int = 60
    searched: int = 0
    no_public_content: bool = False
    counted_comments: str = ""
    now: str | None = None


class World(Strangers, Figures):
    """All that the API could ever tell, and pure functions for every number."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options = options or Options()
        self.seed = options.seed
        self.settling = options.settling
        self.growing = options.growing
        self.asleep = tuple(int(days) for days in options.asleep.split("-")) if options.asleep else ()
        self._now = parse_moment(options.now) if options.now else None
        self.anchor = datetime.combine(self.now().date(), time(), UTC)  # everything is dated from today's midnight
        self.user = Person("10222000111000001", {"id": "10222000111000001", "name": "Robin Sandbox"})
        self.business = Business("20222000111000001", {"id": "20222000111000001", "name": "Sandbox Holding"})
        self.nodes: dict[str, Node] = {self.user.id: self.user, self.business.id: self.business}
        self._comments: dict[str, list[Comment]] = {}
        self._stories: dict[str, Media] = {}
        self._tags: dict[str, list[Media]] = {}
        self._rivals: dict[str, Rival] = {}
        self._hashtags: dict[str, Hashtag] = {}
        self._counted: dict[str, Counter[date]] = {}
        total = options.accounts + options.portfolio_accounts
        self.accounts = [self._account(index, portfolio=index >= options.accounts) for index in range(total)]
        self.pages = self._pages()
        for account in self.accounts:
            self._fill(account)

    # -- time -----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The world's present: fixed when `now` was given, else the clock's."""
        return self._now or datetime.now(UTC).replace(microsecond=0)

    def set_now(self, moment: str | datetime | None) -> None:
        """Move the world's present. What exists stays; stories expire, later days and upcoming media appear."""
        self._now = parse_moment(moment) if isinstance(moment, str) else moment

    # -- what an account counts ---------------------------------------------------------------------------------------

    def daily(self, account: Account, metric: str, label: date) -> int:
        """Comments may be counted for what they are: those of the day that ends, or begins, at the label."""
        if metric != "comments" or not self.options.counted_comments:
            return super().daily(account, metric, label)
        if account.id not in self._counted:
            self._counted[account.id] = Counter(self._comment_days(account))
        return self._counted[account.id][label]

    def _comment_days(self, account: Account) -> Iterator[date]:
        """The label of the day of each comment."""
        later = DAY if self.options.counted_comments == "ends" else DAY * 0
        for media in account.media:
            for comment in self.comments(media):
                for each in (comment, *comment.replies):
                    yield each.published.astimezone(PACIFIC).date() + later

    # -- what there is --------------------------------------------------------------------------------------------

    def find(self, node_id: str) -> Node | None:
        """Any node by its id; story, comment and tag ids tell where they belong."""
        if node := self.nodes.get(node_id):
            return node
        if len(node_id) != 17 or not (node_id.isascii() and node_id.isdigit()):
            return None
        kind, index = node_id[:3], int(node_id[3:6])
        if index >= len(self.accounts):
            return None
        account = self.accounts[index]
        candidates: Iterable[Node] = ()
        if kind == "180" and (media := account.by_number.get(int(node_id[6:11]))):
            comments = self.comments(media)
            at, reply = int(node_id[11:15]), int(node_id[15:])
            if at < len(comments):
                candidates = [comments[at], *comments[at].replies][reply : reply + 1]
        elif kind == "181" and self.options.stories:
            candidates = [self._story(account, int(node_id[6:13]))]
        elif kind == "182":
            candidates = self.tagged(account)
        return next((node for node in candidates if node.id == node_id), None)

    def account_of(self, node: Node | None) -> Account | None:
        """The account that a node belongs to: limits and permissions are per account."""
        if isinstance(node, Account):
            return node
        if isinstance(node, (Media, Page)):
            return node.account
        return node.media.account if isinstance(node, Comment) else None

    def media(self, account: Account) -> list[Media]:
        """Published media, newest first; the API lists no more than 10,000."""
        now = self.now()
        return [item for item in account.media if item.published <= now][:10_000]

    def stories(self, account: Account) -> list[Media]:
        """The stories of the last 24 hours, newest first: always as many as the options say."""
        count = self.options.stories
        if not count:
            return []
        newest = int((self.now() - self._story_origin(account)).total_seconds() * count // 86_400)
        found = [self._story(account, ordinal) for ordinal in range(newest, newest - count - 1, -1)]
        return [story for story in found if self.is_alive(story)][:count]

    def is_alive(self, story: Media) -> bool:
        return self.now() - DAY < story.published <= self.now()

    def tags(self, account: Account) -> list[Media]:
        """Other people's media in which the account is tagged, as far as anybody may see them."""
        return [tag for tag in self.tagged(account) if not tag.hidden]

    def tagged(self, account: Account) -> list[Media]:
        """All of them, private accounts' media too: Meta cuts its pages before it leaves those out."""
        if account.id not in self._tags:
            self._tags[account.id] = [self._tag(account, n) for n in range(self.options.tags)]
        return self._tags[account.id]

    def comments(self, media: Media) -> list[Comment]:
        """Top-level comments of a media, newest first, each with its replies."""
        if media.id not in self._comments:
            self._comments[media.id] = list(self._make_comments(media))
        return self._comments[media.id]

    # -- making it ------------------------------------------------------------------------------------------------

    def _hash(self, *about: object) -> int:
        return number(self.seed, *about)

    def _pick(self, choices: tuple[Any, ...], *about: object) -> Any:
        return choices[self._hash(*about) % len(choices)]

    def _account(self, index: int, *, portfolio: bool) -> Account:
        followers = FOLLOWERS[index] if index < len(FOLLOWERS) else 100 + self._hash("followers", index) % 90_000
        username = USERNAMES[index] if index < len(USERNAMES) else f"shop.{index}_{self._hash('name', index) % 1000}"
        account_id = str(17841400000000001 + index)
        days = self.options.days
        values: dict[str, Any] = {
            "id": account_id,
            "ig_id": 1_000_000_000 + self._hash("ig_id", index) % 9_000_000_000,
            "user_id": account_id,
            "username": username,
            "name": f"Sandbox Shop {index + 1}",
            "biography": self._pick(CAPTIONS, "biography", index),
            "website": f"https://shop{index + 1}.example/?a=1&b=2",
            "account_type": ("BUSINESS", "MEDIA_CREATOR")[index % 2],
            "followers_count": followers,
            "follows_count": self._hash("follows", index) % 900,
            "media_count": self.options.media,
            "profile_picture_url": self._cdn("t51.2885-19", "jpg", "profile", index),
            "has_profile_pic": True,
            "is_published": True,
            "legacy_instagram_user_id": str(3_900_000_000_000_001 + index),
        }
        if index % 3 == 1:  # a profile with nothing written in it: the keys are absent, not empty
            del values["biography"], values["website"], values["name"]
        account = Account(
            account_id,
            values,
            index=index,
            followers=followers,
            converted=self.anchor - timedelta(days=days * (1 - self.options.before_conversion)),
            insights_from=self.anchor - timedelta(days=400) if index % 3 == 2 else None,
            portfolio=portfolio,
        )
        self.nodes[account.id] = account
        return account

    def _pages(self) -> list[Page]:
        pages: list[Page] = []
        for n in range(len(self.accounts) + self.options.pages_without_instagram):
            page_id = str(100_200_300_000_001 + n)
            values = {
                "id": page_id,
                "name": f"Page {n + 1} „Café“",
                "category": "Coffee shop",
                "category_list": [{"id": "197871390225897", "name": "Cafe"}],
                "tasks": TASKS,
            }
            account = self.accounts[n] if n < len(self.accounts) else None
            page = Page(page_id, values, account, account.portfolio if account else False)
            if account:
                account.page = page
            self.nodes[page_id] = page
            pages.append(page)
        # A page without Instagram comes first when there is one: clients must not stop or trip on it.
        pages = pages[-1:] + pages[:-1] if self.options.pages_without_instagram else pages
        return pages + [self._second_page(account) for account in self.accounts[: self.options.second_pages]]

    def _second_page(self, account: Account) -> Page:
        """Another Page with the same account; `account.page` stays the first, which has the smaller id."""
        page_id = str(100_200_400_000_001 + account.index)
        values = {**account.page.values, "id": page_id, "name": f"Second page {account.index + 1}"}  # type: ignore[union-attr]
        page = Page(page_id, values, account, account.portfolio)
        self.nodes[page_id] = page
        return page

    def _fill(self, account: Account) -> None:
        total, albums = self.options.media, self.options.albums
        albums = total // 3 if albums is None else min(albums, total)
        step = timedelta(days=self.options.days) / max(total, 1)
        plain = 0
        for n in range(total + self.options.upcoming):
            if n < total:
                jitter = unit(self.seed, "minute", account.index, n)
                published = self.anchor - step * (n + jitter)
                is_album = (n * albums) // max(total, 1) != ((n + 1) * albums) // max(total, 1)
            else:
                published, is_album = self.anchor + timedelta(hours=6 * (n - total + 1)), n % 3 == 0
            kind = "ALBUM" if is_album else ("IMAGE", "REELS", "IMAGE", "VIDEO", "REELS")[plain % 5]
            plain += not is_album
            if n % 4 == 2 and n // 4 < self.options.ads:  # beside the popular post, and never it
                kind = "AD"
            account.media.append(self._media(account, n, kind, published.replace(microsecond=0)))
        account.by_number = {item.number: item for item in account.media}
        account.media.sort(key=lambda item: item.published, reverse=True)

    def _media(self, account: Account, n: int, kind: str, published: datetime) -> Media:
        a = account.index
        media_type = {"ALBUM": "CAROUSEL_ALBUM", "REELS": "VIDEO", "AD": "IMAGE"}.get(kind, kind)
        product = kind if kind in ("REELS", "AD") else "FEED"
        media = self._post(account, f"179{a:03d}{n:05d}00", n, media_type, product, published)
        values, about = media.values, ("media", a, n)
        tops, replies = self._comment_plan(media)
        values["comments_count"] = tops + sum(replies.values()) + (n % 5 == 0)  # a hidden one counts, yet is not listed
        values["is_comment_enabled"] = n % 19 != 7
        values["is_ai_generated"] = n % 13 == 4
        if n % 7 != 3:
            values["caption"] = f"{self._pick(CAPTIONS, 'caption', *about)} {n}"
        if n % 17 == 8:
            del values["like_count"]
        if n % 23 == 11:
            values.pop("media_url", None)  # copyright-flagged
        every = self.options.cross_posted
        media.on_facebook = bool(every) and n % every == 1 % every
        if kind == "REELS":
            values["is_shared_to_feed"] = n % 2 == 0
        if kind == "IMAGE" and n % 2 == 0:
            values["alt_text"] = f"A cup, seen from above ({n})"
        if media_type == "VIDEO":
            values["media_audio_type"] = ("MUSIC", "ORIGINAL_SOUND")[n % 2]
            values["copyright_check_information"] = {"status": {"status": "completed", "matches_found": n % 23 == 11}}
            values["total_views_count"] = 10 + self._hash("total_views_count", *about) % 50_000
        if n % 29 != 5:  # the owner hides the counts of some
            likes = values.get("like_count", 0)
            values["reposts_count"] = self._hash("reposts_count", *about) % 9
            values["shares_count"] = self._hash("shares_count", *about) % 40
            values["total_like_count"] = likes + self._hash("total_like", *about) % 20
            values["total_comments_count"] = values["comments_count"] + self._hash("total_comments", *about) % 3
        values["boost_eligibility_info"] = {"eligible_to_boost": n % 4 != 0}
        if self.options.polls and n % self.options.polls == 6 % self.options.polls and kind != "AD":
            media.poll = self._poll(published, *about)
        if kind == "ALBUM":
            media.children = [self._child(media, c) for c in range(self._children_count(a, n))]
        return media

    def _poll(self, published: datetime, *about: object) -> dict[str, Any]:
        """Two to four answers with their shares of the votes, which are fractions; of some nobody has voted yet."""
        votes = [self._hash("poll", *about, n) % 100 for n in range(2 + self._hash("poll", *about) % 3)]
        total = sum(votes) if self._hash("votes", *about) % 4 else 0
        poll: dict[str, Any] = {}
        for letter, count in zip("abcd", votes, strict=False):
            poll[f"option_{letter}"] = self._pick(TEXTS, "option", *about, letter)
            poll[f"option_{letter}_votes_percentage"] = round(count / total, 4) if total else 0
        return poll | {"expiration_timestamp": stamp(published + DAY)}

    def _children_count(self, a: int, n: int) -> int:
        return self.options.children or 2 + self._hash("children", a, n) % 19

    def _child(self, album: Media, c: int) -> Media:
        account, n = album.account, album.number
        kind = "VIDEO" if (n + c) % 4 == 3 else "IMAGE"
        prefix = f"179{account.index:03d}{n:05d}{c + 1:02d}"
        child = self._post(account, prefix, n, kind, "FEED", album.published, f"child{c}")
        child.parent = album
        del child.values["like_count"]
        if kind == "IMAGE" and c % 3 == 0:
            child.values["alt_text"] = f"Slide {c + 1}"
        return child

    def _post(  # noqa: PLR0913, PLR0917 - what stories, tags, posts and their items share
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
        about = (product, account.index, n, *extra)
        shortcode = "D" + hashlib.blake2b(f"{self.seed}{about}".encode(), digest_size=5).hexdigest()
        media_id = prefix + str(self._hash("id", *about) % 10 ** (17 - len(prefix))).zfill(17 - len(prefix))
        ig_id = str(3_600_000_000_000_000_000 + self._hash("ig_id", *about) % 10**17)
        path = {"REELS": f"reel/{shortcode}/", "STORY": f"stories/{account.values['username']}/{ig_id}"}
        values: dict[str, Any] = {
            "id": media_id,
            "ig_id": ig_id,
            "legacy_instagram_media_id": str(6_000_000_000_000_000 + self._hash("legacy", *about) % 10**15),
            "media_type": kind,
            "media_product_type": product,
            "media_url": self._cdn("t51.82787-15", "mp4" if kind == "VIDEO" else "jpg", *about),
            "permalink": f"https://www.instagram.com/{path.get(product, f'p/{shortcode}/')}",
            "shortcode": shortcode,
            "timestamp": stamp(published),
            "username": account.values["username"],
            "like_count": self._hash("like_count", *about) % max(account.followers // 10, 5),
        }
        if kind == "VIDEO":
            values["thumbnail_url"] = self._cdn("t51.71878-15", "jpg", "thumbnail", *about)
        media = made(media_id, values, account=account, number=n, product=product, published=published)
        if product != "STORY" and made is Media:
            self.nodes[media_id] = media
        return media

    def _cdn(self, path: str, suffix: str, *about: object) -> str:
        """An address as Instagram's CDN signs it. `_nc_rid` stands in the middle or at the end, as it does there."""
        h = self._hash("cdn", *about)
        request_id = "" if about[0] == "profile" else f"&_nc_rid={REQUEST_ID}"
        middle, end = (request_id, "") if h % 2 else ("", request_id)
        return (
            f"https://scontent-iad{h % 6 + 1}-1.cdninstagram.com/v/{path}/{h}_n.{suffix}?stp=dst-jpg_e35_tt6&_nc_cat="
            f"{h % 100}&ccb=7-5{middle}&_nc_sid=18de74&efg=eyJlZmdfdGFnIjoiRkVFRCJ9%3D%3D&_nc_ohc={h:x}"
            f"&edm=AM6HXa8EAAAA&_nc_ht=scontent-iad3-1.cdninstagram.com&oh=00_Af-{h:x}&oe={h % 2**31:08X}{end}"
        )

    def _story_origin(self, account: Account) -> datetime:
        # Stories stand on a grid that begins here, so that at any moment exactly as many are younger than a day.
        return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=account.index * 7 % 240)

    def _story(self, account: Account, ordinal: int) -> Media:
        prefix, count = f"181{account.index:03d}{ordinal:07d}", self.options.stories
        if prefix not in self._stories:
            published = self._story_origin(account) + timedelta(seconds=ordinal * 86_400 / count)
            kind = ("IMAGE", "VIDEO")[ordinal % 2]
            story = self._post(account, prefix, ordinal, kind, "STORY", published.replace(microsecond=0))
            story.few_viewers = count > 1 and ordinal % count == 0
            story.on_facebook = ordinal % 3 == 1
            story.values.update(like_count=0, comments_count=0)
            if kind == "VIDEO" and ordinal % 4 == 3:
                del story.values["media_url"]
            if ordinal % 3 == 0:
                story.values["caption"] = self._pick(CAPTIONS, "story", ordinal)
            self._stories[prefix] = story
        return self._stories[prefix]

    def _tag(self, account: Account, n: int) -> Media:
        published = self.anchor - timedelta(hours=5 + 11 * n)
        kind = ("IMAGE", "VIDEO", "CAROUSEL_ALBUM")[n % 3]
        tag = self._post(account, f"182{account.index:03d}{n:05d}", n, kind, "FEED", published, "tag")
        tag.foreign = True
        share = self.options.tags_hidden
        # A whole hundred in a row, so that a page of any size can be empty, and a share of the others.
        tag.hidden = share > 0 and (n // 100 == 1 or unit(self.seed, "hidden", account.index, n) < share)
        tag.values["username"] = f"fan.{self._hash('fan', account.index, n) % 10**6}"
        tag.values["comments_count"] = n % 4
        if n % 3:
            tag.values["caption"] = f"with @{account.values['username']} {self._pick(CAPTIONS, 'tag', n)}"
        if n % 5 == 4:
            del tag.values["like_count"]
        if kind == "CAROUSEL_ALBUM":
            tag.values.pop("media_url")
            tag.children = [self._tag_child(tag, c) for c in range(self.options.children or 2 + n % 4)]
        return tag

    def _tag_child(self, tag: Media, c: int) -> Media:
        prefix = f"183{tag.account.index:03d}{tag.number:05d}{c:02d}"
        kind = "VIDEO" if c % 2 else "IMAGE"
        child = self._post(tag.account, prefix, tag.number, kind, "FEED", tag.published, "tag", f"child{c}")
        child.parent, child.foreign = tag, True
        child.values["username"] = tag.values["username"]
        del child.values["like_count"]
        return child

    def _comment_plan(self, media: Media) -> tuple[int, dict[int, int]]:
        """How many comments a media has, and how many replies each: a quarter has none, one per account is popular."""
        usual, n = self.options.comments, media.number
        if not usual or media.parent or media.product == "STORY" or n % 4 == 0:
            return 0, {}
        if n == min(3, self.options.media - 1):
            return 130, {0: 60, 1: 1, 51: 30, 129: 2}
        count = 1 + self._hash("comments", media.account.index, n) % (2 * usual - 1)
        return count, {c: 1 + (n + c) % 2 for c in range(count) if (n + c) % 3 == 0}

    def _make_comments(self, media: Media) -> Iterator[Comment]:
        count, replies = self._comment_plan(media)
        for c in range(count):
            published = media.published + timedelta(minutes=7 * (count - c))
            comment = self._comment(media, c, 0, published)
            for r in range(replies.get(c, 0)):
                reply = self._comment(media, c, r + 1, published + timedelta(minutes=r + 1))
                reply.parent = comment
                reply.values["parent_id"] = comment.id
                comment.replies.append(reply)
            yield comment

    def _comment(self, media: Media, c: int, r: int, published: datetime) -> Comment:
        account, about = media.account, (media.account.index, media.number, c, r)
        comment_id = f"180{account.index:03d}{media.number:05d}{c:04d}{r:02d}"
        h = self._hash("comment", *about)
        by_owner = r > 0 and h % 3 == 0
        author = account.values["username"] if by_owner else f"guest_{h % 10_000}"
        values: dict[str, Any] = {
            "id": comment_id,
            "legacy_instagram_comment_id": str(h)[:17],
            "text": f"{TEXTS[h % len(TEXTS)]} {c}.{r}",
            "timestamp": stamp(published),
            "hidden": h % 11 == 0,
            "like_count": h % 6,
            "media": {"id": media.id, "media_product_type": media.product},
        }
        if h % 17:  # the rest has been deleted, and with it the name
            values["username"] = author
            values["from"] = {"id": str(9_000_000_000_000_000 + h % 10**15), "username": author}
        if by_owner:
            values["user"] = {"id": account.id}
        return Comment(comment_id, values, media, published)

    # -- telling everything ---------------------------------------------------------------------------------------

    def dump(self, account_id: str | None = None) -> dict[str, Any]:
        """The objects of the world as JSON-able data, for a comparison record by record from another process."""
        chosen = [account for account in self.accounts if account_id in (None, account.id)]
        return {
            "options": asdict(self.options),
            "now": self.now().isoformat(),
            "pages": [{**page.values, "account": page.account and page.account.id} for page in self.pages],
            "accounts": [
                {
                    **account.values,
                    "page_id": account.page and account.page.id,
                    "portfolio": account.portfolio,
                    "converted": account.converted.isoformat(),
                    "media": [self._dump_media(media) for media in self.media(account)],
                    "stories": [self._dump_media(story) for story in self.stories(account)],
                    "tags": [
                        {**tag.values, "children": [child.values for child in tag.children]}
                        for tag in self.tags(account)
                    ],
                }
                for account in chosen
            ],
            "rivals": [
                {**rival.values, "media": [self._dump_public(media) for media in self.media(rival)]}
                for rival in self.rivals
            ],
        }

    def _dump_public(self, media: Media) -> dict[str, Any]:
        return {**media.values, "children": [child.values for child in media.children]}

    def _dump_media(self, media: Media) -> dict[str, Any]:
        return {
            **media.values,
            "before_conversion": media.before_conversion,
            "few_viewers": media.few_viewers,
            "on_facebook": media.on_facebook,
            "poll": media.poll,
            "children": [child.values for child in media.children],
            "comments": [
                {**comment.values, "replies": [reply.values for reply in comment.replies]}
                for comment in self.comments(media)
            ],
        }
