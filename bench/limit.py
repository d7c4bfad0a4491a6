"""The least that the API allows for the records of a sync: the fewest Graph calls, HTTP requests and waits.

Counted from the sandbox's world, never from what the connector does. The rules:

* **Accounts** are listed once, 100 Pages a call. Each profile is one call.
* **Lists** have 100 objects a page, and a page is known only once the one before it is. Each list is read once for all
  streams, and in an incremental sync once more for the older media whose turn it is to be read again, with all that
  they need. `tags` has no `next`: only an empty page ends it.
* **Batches** carry 50 calls of any kind and of any accounts, pages of lists too, but none that follows from another's
  answer.
* **Media and stories** cost one call each for all their metrics, none if they are ads. Nobody can know beforehand which
  are cross-posted: one that is not costs a refused call more. After three such in a row only every fifth is asked until
  one is. Nor whether stories have `total_views`, until three have refused it. A breakdown (`profile_activity`,
  `navigation`) cannot stand beside other metrics, so it is one call more where its number is not 0. A story with few
  viewers and a medium from before the conversion cost the one call that says so,
  and after three such media in a row older ones cost nothing.
* **Comments** ride in the page of media, which has 50 then, because Meta finds more too much: of each medium the first
  50 with the first 50 replies of each. What does not fit costs a call for each further 50 comments and 100 replies.
* **Days**: a series is one call for 30 days and period; `follower_count` rides with `reach`. A total is one call a day
  for each breakdown and one without, and all metrics with the same breakdown share it, also those of different streams.
  30 days in which nothing happened cost one call for each of these.
* **Accounts of others** cost a call for each 50 of their media, the first of which brings the profile. Their list never
  says that it ends: one call more comes back empty, unless the media go back behind the start of a sync.
* **Hashtags**: one call tells what was searched lately, and each other one is searched; its lists have 50 media a page.
* **Demographics** are one call for each metric, timeframe and breakdown; two streams share those of the followers.
* **Waits**: a call waits for the one that it follows from, and otherwise for nothing but a free worker.

Not counted is what nobody has shown to work: several insights in one call by field expansion with aliases, or profiles
and first pages inside the list of accounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import reduce
from itertools import accumulate, zip_longest
from math import ceil

from sandbox import World
from sandbox.figures import DAY, label_time
from sandbox.nodes import Account, Media, Rival
from source_instagram.refreshing import window
from source_instagram.times import INSTAGRAM_BEGAN

PAGE, EXPANDED, BATCH = 100, 50, 50  # objects on a page, on one with comments, and calls
OTHERS = 50  # media of others on a page
WORKERS = 10  # `num_workers` as it is without a configuration
COMMENTS, REPLIES = 50, 50  # of a medium and of a comment, inside another answer
SEVERAL, EVERY = 3, 5  # refusals in a row that are believed; which objects are asked in spite of them
SPAN = 30  # days
HISTORY = 729  # days
FEED_AND_REELS = ("FEED", "REELS")
LISTED = {"media": ("media", "media_insights", "comments"), "stories": ("stories", "story_insights")}

# Totals by what breaks them down: the metrics of one call, and the streams that need it.
TOTALS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "": (
        (
            "views", "accounts_engaged", "total_interactions", "likes", "comments", "shares", "saves", "replies",
            "reposts", "profile_views", "website_clicks", "profile_links_taps",
        ),
        ("user_total_insights",),
    ),
    "follow_type": (("views", "reach", "follows_and_unfollows"), ("user_total_insights", "user_insights_breakdowns")),
    "media_product_type": (
        ("views", "reach", "total_interactions", "likes", "comments", "saves", "shares"),
        ("user_insights_breakdowns",),
    ),
    "contact_button_type": (("profile_links_taps",), ("user_insights_breakdowns",)),
}  # fmt: skip
SERIES = 3  # `reach` by day, week and 28 days; and `online_followers`, which exists for 30 days


@dataclass(frozen=True)
class Cost:
    """Graph calls by edge, and how many of them can be made at once, then after those, and so on."""

    edges: Counter[str] = field(default_factory=Counter)
    levels: tuple[int, ...] = ()

    @property
    def calls(self) -> int:
        return sum(self.levels)

    @property
    def chain(self) -> int:
        """How many follow from one another at most."""
        return len(self.levels)

    @property
    def batches(self) -> int:
        """The fewest: what follows from an answer cannot be in a batch with it, nor in an earlier one."""
        return max((at + ceil(sum(self.levels[at:]) / BATCH) for at in range(self.chain)), default=0)

    def __or__(self, other: Cost) -> Cost:
        """Both, at the same time."""
        levels = zip_longest(self.levels, other.levels, fillvalue=0)
        return Cost(self.edges + other.edges, tuple(map(sum, levels)))

    def __rshift__(self, other: Cost) -> Cost:
        """The other after this, as it follows from the answer."""
        return Cost(self.edges + other.edges, self.levels + other.levels)


NOTHING = Cost()


def beside(costs: Iterable[Cost]) -> Cost:
    """All at the same time."""
    return reduce(Cost.__or__, costs, NOTHING)


def after(costs: Iterable[Cost]) -> Cost:
    """One after the other."""
    return reduce(Cost.__rshift__, costs, NOTHING)


def calls(edge: str, count: int = 1) -> Cost:
    """So many calls at the same time."""
    return Cost(Counter({edge: count}), (count,)) if count else NOTHING


@dataclass(frozen=True)
class Reach:
    """How far back a sync reads: everything, or what an incremental one does."""

    media_since: Mapping[str, datetime] = field(default_factory=dict)  # by account
    turns: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)  # likewise, of older media
    days: tuple[date, date] | None = None  # the first and the last


@dataclass(frozen=True)
class Limit:
    """What a sync costs at least."""

    calls: int
    requests: int
    waits: int  # answers that are waited for one after the other
    edges: dict[str, int] = field(default_factory=dict, compare=False)  # the calls, by edge


def limit(
    world: World,
    streams: Iterable[str],
    reach: Reach | None = None,
    workers: int = WORKERS,
    hashtags: Iterable[str] = (),
) -> Limit:
    """The least that these streams cost in this world, with all its accounts of others, and these hashtags."""
    wanted = frozenset(streams)
    listing = after([calls("me/accounts")] * pages(sum(not page.portfolio for page in world.pages)))
    accounts = [account for account in world.accounts if not account.portfolio]
    stories = accumulate((len(shown(world, account)) for account in accounts), initial=0)
    each = beside(
        [
            *(
                Needs(world, account, wanted, reach or Reach(), before).cost
                for account, before in zip(accounts, stories, strict=False)
            ),
            *(others(world, rival, wanted, reach or Reach()) for rival in world.rivals),
            tagged(world, wanted, reach or Reach(), list(hashtags)),
        ]
    )
    requests = each.batches
    return Limit(
        calls=listing.calls + each.calls,
        requests=listing.calls + requests,
        waits=listing.chain + max(each.chain, ceil(requests / workers)),
        edges=dict(listing.edges + each.edges),
    )


def shown(world: World, account: Account) -> list[Media]:
    """An account's stories that have insights."""
    return [story for story in world.stories(account) if not story.few_viewers]


def pages(count: int, size: int = PAGE) -> int:
    """The pages of a list; an empty one has to be asked for, too."""
    return max(1, ceil(count / size))


def others(world: World, rival: Rival, wanted: frozenset[str], reach: Reach) -> Cost:
    """An account of others: its profile and its media."""
    edge = "account/business_discovery"
    if "discovered_media" not in wanted:
        return calls(edge, "discovered_users" in wanted)
    media = world.media(rival)
    since = reach.media_since.get(rival.id)
    read = [item for item in media if since is None or item.published >= since]
    is_whole = len(read) == len(media)
    # The first older one ends it; where there is none, an empty page does.
    count = pages(len(read), OTHERS) + bool(read) if is_whole else pages(len(read) + 1, OTHERS)
    return after([calls(edge)] * count)


def tagged(world: World, wanted: frozenset[str], reach: Reach, names: list[str]) -> Cost:
    """Hashtags, which were searched lately if this is not the first sync; and their lists."""
    if not names or wanted.isdisjoint({"hashtags", "hashtag_media"}):
        return NOTHING
    found = [tag for name in names if (tag := world.hashtag(name))]
    lists = [
        after([calls(f"hashtag/{edge}")] * pages(count, OTHERS))
        for tag in found
        if "hashtag_media" in wanted
        for edge, count in (("top_media", len(tag.top)), ("recent_media", len(world.recent(tag))))
    ]
    searches = calls("ig_hashtag_search", 0 if reach.days else len(names))
    return calls("account/recently_searched_hashtags") >> searches >> beside(lists)


@dataclass(frozen=True)
class Needs:
    """What one account needs."""

    world: World
    account: Account
    streams: frozenset[str]
    reach: Reach
    stories: int = 0  # of the accounts before it, that have insights

    @property
    def cost(self) -> Cost:
        """Everything; one stream waits for no other."""
        return beside(
            [
                calls("account", self._wants("users")),
                self._tags(),
                self._stories(),
                self._media(),
                self._series(),
                *self._totals(),
                self._demographics(),
            ]
        )

    def _wants(self, *streams: str) -> bool:
        return not self.streams.isdisjoint(streams)

    # -- Lists and their objects --------------------------------------------------------------------------------------

    def _tags(self) -> Cost:
        if not self._wants("tags"):
            return NOTHING
        count = len(self.world.tagged(self.account))
        return after([calls("account/tags")] * (pages(count) + bool(count)))

    def _stories(self) -> Cost:
        if not self._wants(*LISTED["stories"]):
            return NOTHING
        stories = self.world.stories(self.account) if self._wants("story_insights") else []
        return calls("account/stories") >> beside(self._story(story) for story in stories)

    def _story(self, story: Media) -> Cost:
        main = calls("story/insights")
        if story.few_viewers:
            return main
        at = self.stories + [each.id for each in shown(self.world, self.account)].index(story.id)
        main = calls("story/insights", at < SEVERAL) >> main  # no story of the sandbox has `total_views`
        parts = sum(self.world.media_metric(story, name) > 0 for name in ("navigation", "profile_activity"))
        return calls("story/insights", not story.on_facebook) >> main >> calls("story/insights", parts)

    def _media(self) -> Cost:
        """Each page goes on to the next and to what its media need."""
        if not self._wants(*LISTED["media"]):
            return NOTHING
        media, account = self.world.media(self.account), self.account.id
        since, turn = self.reach.media_since.get(account), self.reach.turns.get(account)
        cost = self._listed([item for item in media if since is None or item.published >= since])
        older = [item for item in media if turn and turn[0] <= item.published <= turn[1]]
        return cost | self._listed(older) if turn else cost

    def _listed(self, media: list[Media]) -> Cost:
        needs = list(self._details(media))
        size = EXPANDED if self._wants("comments") else PAGE
        cost = NOTHING
        for page in reversed(range(pages(len(needs), size))):
            cost = calls("account/media") >> (cost | beside(needs[page * size : (page + 1) * size]))
        return cost

    def _details(self, listed: list[Media]) -> Iterator[Cost]:
        insights = self._insights(listed) if self._wants("media_insights") else iter([NOTHING] * len(listed))
        for media, cost in zip(listed, insights, strict=True):
            yield cost | (self._comments(media) if self._wants("comments") else NOTHING)

    def _insights(self, listed: list[Media]) -> Iterator[Cost]:
        """The calls for each medium, newest first."""
        refused = old = 0  # in a row
        for media in listed:
            if media.product not in FEED_AND_REELS:
                yield NOTHING
                continue
            old = old + 1 if media.before_conversion else 0
            if old:
                yield calls("media/insights", old <= SEVERAL)
                continue
            is_asked = refused < SEVERAL or (refused - SEVERAL) % EVERY == 0
            refused = 0 if media.on_facebook and is_asked else refused + 1
            parts = media.product == "FEED" and self.world.media_metric(media, "profile_activity") > 0
            needed = (is_asked and not media.on_facebook, 1, parts)
            yield after(calls("media/insights", count) for count in needed)

    def _comments(self, media: Media) -> Cost:
        """What did not fit into the page of media."""
        comments = self.world.comments(media)
        at_once = [comments[start : start + COMMENTS] for start in range(0, len(comments), COMMENTS)]
        cost = NOTHING
        for some in reversed(at_once):
            replies = beside(
                after([calls("comment/replies")] * ceil(max(0, len(comment.replies) - REPLIES) / PAGE))
                for comment in some
            )
            cost = calls("media/comments", some is not at_once[0]) >> (cost | replies)
        return cost

    # -- Days ---------------------------------------------------------------------------------------------------------

    def _days(self) -> list[date]:
        """The labels of the days that a sync asks for."""
        now = self.world.now()
        first, last = self.reach.days or ((now - HISTORY * DAY).date(), now.date())
        days = [first + n * DAY for n in range((last - first).days + 1)]
        return [day for day in days if label_time(day) <= now]

    def _series(self) -> Cost:
        if not self._wants("user_insights"):
            return NOTHING
        return calls("account/insights", ceil(len(self._days()) / SPAN) * SERIES + 1)

    def _totals(self) -> Iterator[Cost]:
        days = self._days() if self._wants("user_total_insights", "user_insights_breakdowns") else []
        spans = [days[start : start + SPAN] for start in range(0, len(days), SPAN)]
        for breakdown, (metrics, streams) in TOTALS.items():
            for span in spans if self._wants(*streams) else ():
                happened = any(self._happened(metric, breakdown, day) for day in span for metric in metrics)
                yield calls("account/insights", len(span) if happened else 1)

    def _happened(self, metric: str, breakdown: str, day: date) -> bool:
        if not self.world.has_insights(self.account, day):
            return False
        if breakdown:
            return bool(self.world.cells(self.account, metric, (breakdown,), [day]))
        return self.world.total(self.account, metric, [day]) > 0

    def _demographics(self) -> Cost:
        if self._wants("audience_demographics"):
            # Followers; two other audiences in two timeframes; by five breakdowns.
            return calls("account/insights", 5 + 2 * 2 * 5)
        return calls("account/insights", 3 * self._wants("user_lifetime_insights"))


def reach_of_daily(world: World, *, lookback: int = 30, days: int = 3, refresh: int = 90) -> Reach:
    """How far back an incremental sync reads that comes after a first one at the world's present moment.

    Of each account media published up to 30 days before its newest, and of older ones those whose turn it is that day;
    and days from three before the newest one on. Its clock is that of the first sync: it knows of no newer day.
    """
    listed = {account.id: world.media(account) for account in [*world.accounts, *world.rivals]}
    newest = {account: media[0].published for account, media in listed.items() if media}
    today = world.now().date()
    day = today if label_time(today) <= world.now() else today - DAY
    since = {account: published - lookback * DAY for account, published in newest.items()}
    turns = {account: window(INSTAGRAM_BEGAN, start, refresh, world.now()) for account, start in since.items()}
    return Reach(since, {account: turn for account, turn in turns.items() if turn}, (day - days * DAY, day))
