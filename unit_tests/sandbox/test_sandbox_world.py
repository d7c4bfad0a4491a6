"""The world: the same for the same seed, and with everything in it that a connector must survive."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox import Options, World


@pytest.fixture(scope="module")
def world() -> World:
    return World(Options(now="2026-06-15T12:00:00Z", accounts=2, media=60, comments=3, stories=5))


def test_the_same_seed_and_day_give_the_same_world(world: World) -> None:
    again = World(Options(**{**vars(world.options), "now": "2026-06-15T15:30:00Z"}))
    for account, twin in zip(world.accounts, again.accounts, strict=True):
        assert [media.values for media in world.media(account)] == [media.values for media in again.media(twin)]
        # Stories come and go within a day, but those that are still there are the same.
        stories = {story.id: story.values for story in world.stories(account)}
        common = [story for story in again.stories(twin) if story.id in stories]
        assert common
        assert all(story.values == stories[story.id] for story in common)
    other = World(Options(**{**vars(world.options), "seed": 8}))
    assert other.dump()["accounts"] != world.dump()["accounts"]


def test_every_id_is_one_thing_and_can_be_found(world: World) -> None:
    found: list[str] = []
    for account in world.accounts:
        media = [*world.media(account), *world.stories(account), *world.tags(account)]
        comments = [comment for item in world.media(account) for comment in world.comments(item)]
        nodes = [
            account,
            *media,
            *(child for item in media for child in item.children),
            *comments,
            *(reply for comment in comments for reply in comment.replies),
        ]
        assert all(world.find(node.id) is node for node in nodes)
        found += [node.id for node in nodes]
    assert len(found) == len(set(found))
    assert all(node_id.isdigit() and len(node_id) == 17 for node_id in found)
    for wrong in ("", "x", "17900000000000000", "18000000000999999", "18199900000000000", "18100000000000000"):
        assert world.find(wrong) is None


def test_every_kind_of_media_is_there(world: World) -> None:
    media = world.media(world.accounts[0])
    kinds = {(item.values["media_type"], item.product) for item in media}
    assert kinds == {("IMAGE", "FEED"), ("VIDEO", "FEED"), ("VIDEO", "REELS"), ("CAROUSEL_ALBUM", "FEED")}
    for key in ("caption", "like_count", "media_url", "alt_text", "thumbnail_url", "reposts_count"):
        assert any(key not in item.values for item in media), key
        assert any(key in item.values for item in media), key
    assert any(item.before_conversion for item in media)
    sizes = {len(item.children) for item in media if item.values["media_type"] == "CAROUSEL_ALBUM"}
    assert len(sizes) > 3
    assert all(2 <= size <= 20 for size in sizes)
    assert any(child.is_video for item in media for child in item.children)


def test_options_set_the_size() -> None:
    small = World(Options(now="2026-06-15", accounts=1, media=30, albums=10, children=6, comments=0, stories=0, tags=0))
    account = small.accounts[0]
    albums = [item for item in small.media(account) if item.children]
    assert (len(albums), {len(album.children) for album in albums}) == (10, {6})
    assert not any(small.comments(item) for item in small.media(account))
    assert (small.stories(account), small.tags(account)) == ([], [])
    assert small.media(account)[-1].published >= small.anchor - timedelta(days=365)
    empty = World(Options(now="2026-06-15", accounts=1, media=0))
    assert empty.media(empty.accounts[0]) == []


def test_stories_are_always_as_many_and_never_older_than_a_day(world: World) -> None:
    account = world.accounts[0]
    start = world.now()
    try:
        for hours in range(0, 50, 3):
            world.set_now(start + timedelta(hours=hours))
            stories = world.stories(account)
            assert len(stories) == 5
            assert sum(story.few_viewers for story in stories) == 1
            assert all(timedelta(0) <= world.now() - story.published < timedelta(days=1) for story in stories)
    finally:
        world.set_now(start)


def test_upcoming_media_appear_with_time() -> None:
    world = World(Options(now="2026-06-15T00:00:00Z", accounts=1, media=5, upcoming=4, days=30))
    account = world.accounts[0]
    before = [media.id for media in world.media(account)]
    world.set_now("2026-06-16T01:00:00Z")
    after = [media.id for media in world.media(account)]
    assert len(before) == 5
    assert len(after) == 9
    assert after[4:] == before
