"""Every record that a sync of the sandbox's world should give, worked out from the world itself, not through its API.

It knows the contract and the API's rules, nothing of the connector: a column of a record is there when the world has a
value for it. `null` and an absent column are the same here (see `plain`).
"""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from harness import CONDITIONAL, OTHERS, SCHEMAS

from sandbox import World
from sandbox.errors import FACEBOOK, INSTAGRAM
from sandbox.fields import FIELDS, PUBLIC_MEDIA
from sandbox.figures import label_time, labels
from sandbox.insights import FACEBOOK_LOGIN_ONLY, LIVING_TIMEFRAMES, MEDIA_METRICS, USER_METRICS
from sandbox.nodes import Account, Comment, Media
from sandbox.world import REQUEST_ID

Record = dict[str, Any]
PRIMARY_KEYS = {
    "accounts": ["business_account_id"],
    "users": ["id"],
    "user_insights": ["business_account_id", "date"],
    "user_total_insights": ["business_account_id", "date"],
    "user_insights_breakdowns": ["business_account_id", "date", "metric", "breakdown", "dimension"],
    "user_lifetime_insights": ["business_account_id", "breakdown"],
    "audience_demographics": ["business_account_id", "date", "metric", "timeframe", "breakdown", "dimension"],
    "media": ["id"],
    "stories": ["id"],
    "tags": ["id", "business_account_id"],
    "media_insights": ["id"],
    "story_insights": ["id"],
    "comments": ["id"],
    "discovered_users": ["username", "date"],
    "discovered_media": ["id"],
    "hashtags": ["id"],
    "hashtag_media": ["hashtag_id", "edge", "id"],
}
EDGES_OF_HASHTAGS = ("top_media", "recent_media")
BREAKDOWNS = ("follow_type", "media_product_type", "contact_button_type")
DEMOGRAPHICS = ("age", "gender", "city", "country", "age,gender")
RECENT_DAYS = 30  # for which follower_count and online_followers exist


def plain(record: Record) -> Record:
    """A record without its empty columns, and its thumbnail's address without the id of the request."""
    kept = {name: value for name, value in record.items() if value is not None}
    if "thumbnail_url" in kept:
        kept["thumbnail_url"] = re.sub(r"_nc_rid=[^&]*&?", "", kept["thumbnail_url"]).rstrip("?&")
    if "children" in kept:
        kept["children"] = [plain(child) for child in kept["children"]]
    return kept


def keyed(stream: str, records: list[Record]) -> dict[tuple[Any, ...], Record]:
    """Records by primary key."""
    return {tuple(record[name] for name in PRIMARY_KEYS[stream]): plain(record) for record in records}


def rfc3339(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S}+00:00"


class Oracle:
    """What each stream should give for some accounts of a world, with one of the logins."""

    def __init__(
        self, world: World, start: datetime | None = None, *, instagram: bool = False, polls: bool = False
    ) -> None:
        self.world = world
        self.polls = polls  # whether their columns are selected
        self.instagram = instagram
        self.host = INSTAGRAM if instagram else FACEBOOK
        self.chosen = [each for each in world.accounts if not each.portfolio][: 1 if instagram else None]
        midnight = datetime.combine(world.now().date(), time(), timezone.utc)
        self.today = rfc3339(midnight)
        self.start = start or midnight - timedelta(days=729)
        # Only finished days, and only those in whose window Meta's label lies for sure.
        self.end = datetime.combine((world.now() + timedelta(hours=16)).date(), time(), timezone.utc)
        self.recent = midnight - timedelta(days=RECENT_DAYS - 1)

    def records(self, stream: str) -> list[Record]:
        if stream in CONDITIONAL:
            of_others: Callable[[str], Iterator[Record]] = getattr(self, stream)
            return [plain(record) for name in OTHERS[CONDITIONAL[stream]] for record in of_others(name)]
        make: Callable[[Account], Iterator[Record]] = getattr(self, stream)
        return [
            plain({"business_account_id": account.id, "page_id": self._page_id(account), **record})
            for account in self.chosen
            for record in make(account)
        ]

    def _page_id(self, account: Account) -> str | None:
        return account.page.id if account.page and not (self.instagram or account.portfolio) else None

    # -- account ------------------------------------------------------------------------------------------------------

    def accounts(self, account: Account) -> Iterator[Record]:
        has_page = account.page and self._page_id(account)
        yield {"page_name": account.page.values["name"] if has_page else None, "username": account.values["username"]}  # type: ignore[union-attr]

    def users(self, account: Account) -> Iterator[Record]:
        values = self._declared("users", "account", account.values)
        values["profile_picture_url"] = values["profile_picture_url"].replace("&ccb=7-5", "")
        yield values | {"date": self.today}

    def _declared(self, stream: str, kind: str, values: Record) -> Record:
        """Those of the values that the stream declares and the login tells, ids as strings."""
        declared, told = SCHEMAS[stream]["properties"], FIELDS[self.host][kind]
        return {
            name: str(value) if name.endswith("id") else value
            for name, value in values.items()
            if name in declared and name in told
        }

    # -- daily insights -----------------------------------------------------------------------------------------------

    def days(self, account: Account) -> Iterator[date]:
        for label in labels(self.start, self.end):
            if self.world.has_insights(account, label):
                yield label

    def user_insights(self, account: Account) -> Iterator[Record]:
        for label in self.days(account):
            record: Record = {"date": rfc3339(label_time(label))}
            for metric in ("reach", "reach_week", "reach_days_28"):
                record[metric] = self.world.daily(account, metric, label)
            if label_time(label) >= self.recent and not account.is_small:
                record["follower_count"] = self.world.daily(account, "follower_count", label)
                record["online_followers"] = self.world.online_followers(account, label) or None
            yield record

    def user_total_insights(self, account: Account) -> Iterator[Record]:
        names = [name for name in SCHEMAS["user_total_insights"]["properties"] if name in USER_METRICS]
        for label in self.days(account):
            record = {name: self.world.total(account, name, [label]) for name in names}
            moves = {} if account.is_small else self._cells(account, "follows_and_unfollows", "follow_type", label)
            record |= {"follows": moves.get("FOLLOWER", 0), "unfollows": moves.get("NON_FOLLOWER", 0)}
            yield {"date": rfc3339(label_time(label)), **record}

    def user_insights_breakdowns(self, account: Account) -> Iterator[Record]:
        for label in self.days(account):
            for metric, known in USER_METRICS.items():
                for breakdown in BREAKDOWNS:
                    if frozenset({breakdown}) not in known.breakdowns:
                        continue
                    if metric == "follows_and_unfollows" and account.is_small:
                        continue
                    about = {"date": rfc3339(label_time(label)), "metric": metric, "breakdown": breakdown}
                    for dimension, value in self._cells(account, metric, breakdown, label).items():
                        yield {**about, "dimension": dimension, "value": value}

    def _cells(self, account: Account, metric: str, breakdown: str, label: date) -> dict[str, int]:
        return {",".join(key): value for key, value in self.world.cells(account, metric, (breakdown,), [label]).items()}

    # -- audience -----------------------------------------------------------------------------------------------------

    def user_lifetime_insights(self, account: Account) -> Iterator[Record]:
        for breakdown in ("city", "country", "age,gender"):
            cells = self._audience(account, "follower_demographics", breakdown)
            if cells:
                yield {
                    "metric": "follower_demographics", "breakdown": breakdown, "value": cells, "date": self.today,
                }  # fmt: skip

    def audience_demographics(self, account: Account) -> Iterator[Record]:
        asked = [("follower_demographics", "lifetime")]
        asked += [
            (f"{who}_audience_demographics", when) for who in ("engaged", "reached") for when in LIVING_TIMEFRAMES
        ]
        for metric, timeframe in asked:
            for breakdown in DEMOGRAPHICS:
                about = {"date": self.today, "metric": metric, "timeframe": timeframe, "breakdown": breakdown}
                for dimension, value in self._audience(account, metric, breakdown, timeframe).items():
                    yield {**about, "dimension": dimension, "value": value}

    def _audience(self, account: Account, metric: str, breakdown: str, timeframe: str = "lifetime") -> dict[str, int]:
        frame = "" if timeframe == "lifetime" else timeframe
        cells = self.world.demographics(account, metric, tuple(breakdown.split(",")), frame)
        return {",".join(key): value for key, value in cells.items()}

    # -- media --------------------------------------------------------------------------------------------------------

    def media(self, account: Account) -> Iterator[Record]:
        for post in self.world.media(account):
            yield self._object("media", post) | self._children("media", post) | self._poll(post)

    def _poll(self, post: Media) -> Record:
        if self.instagram or not self.polls or not post.poll:
            return {}
        options = [
            {
                "option": post.poll[f"option_{letter}"],
                "votes_percentage": post.poll[f"option_{letter}_votes_percentage"],
            }
            for letter in "abcd"
            if f"option_{letter}" in post.poll
        ]
        expires = datetime.strptime(post.poll["expiration_timestamp"], "%Y-%m-%dT%H:%M:%S%z")
        return {"poll_options": options, "poll_expires_at": rfc3339(expires)}

    def _children(self, stream: str, post: Media) -> Record:
        """An album's items; others' tell what is public."""
        declared = set(SCHEMAS[stream]["properties"]["children"]["items"]["properties"])
        told = declared & PUBLIC_MEDIA if post.foreign else declared
        items = [
            plain({name: value for name, value in self._object(stream, child).items() if name in told})
            for child in post.children
        ]
        return {"children": items} if items else {}

    def stories(self, account: Account) -> Iterator[Record]:
        for story in self.world.stories(account):
            yield self._object("stories", story)

    def tags(self, account: Account) -> Iterator[Record]:
        for tag in self.world.tags(account):
            record = self._object("tags", tag)
            record = {name: value for name, value in record.items() if name in PUBLIC_MEDIA}
            yield record | self._children("tags", tag)

    def _object(self, stream: str, post: Media) -> Record:
        record = self._declared(stream, "media", post.values)
        if "media_url" in record:
            record["media_url"] = record["media_url"].replace(f"&_nc_rid={REQUEST_ID}", "")
        if "owner" in SCHEMAS[stream]["properties"]:
            record |= {"owner": {"id": post.account.id}, "owner_id": post.account.id}
        return record | {"timestamp": rfc3339(post.published)}

    def media_insights(self, account: Account) -> Iterator[Record]:
        for post in self.world.media(account):
            if not post.before_conversion and post.product != "AD":  # which has no metrics at all
                yield self._insights("media_insights", post) | {"media_product_type": post.product}

    def story_insights(self, account: Account) -> Iterator[Record]:
        for story in self.world.stories(account):
            if not story.few_viewers:
                yield self._insights("story_insights", story)

    def _insights(self, stream: str, post: Media) -> Record:
        record: Record = {"id": post.id, "timestamp": rfc3339(post.published)}
        for column in SCHEMAS[stream]["properties"]:
            if column in MEDIA_METRICS and self._has(post, column):
                record[column] = self.world.media_metric(post, column)
                for part in SCHEMAS[stream]["properties"]:
                    if part.startswith(f"{column}_") and column in ("navigation", "profile_activity"):
                        record[part] = self.world.media_cells(post, column).get(part.removeprefix(f"{column}_"), 0)
        return record

    def _has(self, post: Media, metric: str) -> bool:
        if post.product not in MEDIA_METRICS[metric] or (self.instagram and metric in FACEBOOK_LOGIN_ONLY):
            return False
        if metric in ("facebook_views", "crossposted_views"):
            return post.on_facebook
        return metric != "total_views" or (post.is_video and post.product != "STORY")

    # -- comments -----------------------------------------------------------------------------------------------------

    def comments(self, account: Account) -> Iterator[Record]:
        for post in self.world.media(account):
            for comment in self.world.comments(post):
                yield self._comment(comment)
                for reply in comment.replies:
                    yield self._comment(reply) | {"parent_id": comment.id}

    def _comment(self, comment: Comment) -> Record:
        author = comment.values.get("from") or {}
        return self._declared("comments", "comment", comment.values) | {
            "from_id": author.get("id"),
            "from_username": author.get("username"),
            "media_id": comment.media.id,
            "media_timestamp": rfc3339(comment.media.published),
            "timestamp": rfc3339(comment.published),
        }

    # -- others -------------------------------------------------------------------------------------------------------

    def discovered_users(self, name: str) -> Iterator[Record]:
        """Of the first account, which asks where no other is known to have more room."""
        rival = self.world.rival(name)
        if rival:
            today = datetime.combine(self.world.now().date(), time(), timezone.utc)
            values = {
                name: value for name, value in rival.values.items() if name in SCHEMAS["discovered_users"]["properties"]
            }
            values["profile_picture_url"] = values["profile_picture_url"].replace("&ccb=7-5", "")
            yield {**values, "date": rfc3339(today), "business_account_id": self.chosen[0].id}

    def discovered_media(self, name: str) -> Iterator[Record]:
        rival = self.world.rival(name)
        for post in self.world.media(rival) if rival else ():
            yield self._public("discovered_media", post) | {"username": name}

    def hashtags(self, name: str) -> Iterator[Record]:
        tag = self.world.hashtag(name)
        if tag:
            yield {**tag.values, "business_account_id": self.chosen[0].id}

    def hashtag_media(self, name: str) -> Iterator[Record]:
        tag = self.world.hashtag(name)
        today = datetime.combine(self.world.now().date(), time(), timezone.utc)
        for edge in EDGES_OF_HASHTAGS if tag else ():
            about = {"hashtag": name, "hashtag_id": tag.id, "edge": edge, "date": rfc3339(today)}  # type: ignore[union-attr]
            for post in tag.top if edge == "top_media" else self.world.recent(tag):  # type: ignore[union-attr, arg-type]
                yield self._public("hashtag_media", post) | about

    def _public(self, stream: str, post: Media) -> Record:
        """A post of somebody else, with its items."""
        declared, inner = (
            SCHEMAS[stream]["properties"],
            SCHEMAS[stream]["properties"]["children"]["items"]["properties"],
        )
        told = FIELDS[FACEBOOK][post.kind]
        items = [
            {name: value for name, value in child.values.items() if name in inner and name in told}
            for child in post.children
        ]
        record = {name: value for name, value in post.values.items() if name in declared and name in told}
        record = {**record, "timestamp": rfc3339(post.published)} | ({"children": items} if items else {})
        for each in (record, *items):
            if "media_url" in each:
                each["media_url"] = each["media_url"].replace(f"&_nc_rid={REQUEST_ID}", "")
        return record
