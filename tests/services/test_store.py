"""The live aggregates: exact whatever is applied again, bounded in time."""

from datetime import UTC, datetime, timedelta

from services.events import Article, Entity, Story
from services.store import Batch, Place, Store

NOW = datetime(2026, 11, 6, 12, 30, 30, tzinfo=UTC)
PUTIN = Entity(id="Q7747", name="بوتين", type="PER")


def article(number: int, *, arrived: datetime = NOW, language: str = "ar", copy: bool = False) -> Article:
    """A published article."""
    return Article(
        id=f"a{number}",
        revision=1,
        source="one.example",
        url=None,
        title=None,
        text="نص",
        published_at=None,
        received_at=arrived,
        language=language,
        language_score=1,
        entities=[PUTIN],
        topics=[],
        duplicate_of="a0" if copy else None,
        similarity=0.9 if copy else None,
        story="s",
    )


def story(story_id: str, *articles: str, **given: str) -> Story:
    """A published story."""
    return Story(
        id=story_id,
        title="عنوان",
        languages=["ar"],
        size=len(articles),
        sources=[],
        first_published=NOW,
        last_published=NOW,
        entities=[],
        topics=[],
        articles=list(articles),
        **given,
    )


async def tell(store: Store, first: int, *records: Article | Story) -> int:
    """Apply records at consecutive offsets in one batch; how many were new."""
    batch = Batch()
    for offset, record in enumerate(records, first):
        if isinstance(record, Article):
            batch.add_article(offset, record)
        else:
            batch.add_story(offset, record, int(NOW.timestamp() * 1000))
    return await store.apply("updates-0", batch)


async def listed(store: Store) -> list[str]:
    """The ids of all listed stories, sorted."""
    return sorted([found.id async for found in store.stories(NOW - timedelta(days=1))])


def batch_of(first: int, *articles: Article) -> Batch:
    """Articles at consecutive offsets."""
    batch = Batch()
    for offset, published in enumerate(articles, first):
        batch.add_article(offset, published)
    return batch


async def test_counts_by_dimension(store: Store) -> None:
    """Totals, duplicates and each dimension are counted, largest first."""
    await store.apply("updates-0", batch_of(0, article(0), article(1, copy=True), article(2, language="en")))
    top = await store.top("language", "15m", limit=10, now=NOW)
    assert (top.total, top.duplicates) == (3, 1)
    assert [(item.id, item.count) for item in top.items] == [("ar", 2), ("en", 1)]
    (entity,) = (await store.top("entity", "all", limit=10, now=NOW)).items
    assert (entity.id, entity.name, entity.count) == ("Q7747", "بوتين", 3)


async def test_a_batch_applied_again_changes_nothing(store: Store) -> None:
    """Also when it is cut otherwise the second time: what lies at or below the stored offset is skipped."""
    articles = [article(number) for number in range(5)]
    assert await store.apply("updates-0", batch_of(0, *articles[:3])) == 3
    assert await store.apply("updates-0", batch_of(0, *articles[:3])) == 0
    assert await store.apply("updates-0", batch_of(1, *articles[1:])) == 2
    assert (await store.top("language", "all", limit=1, now=NOW)).total == 5
    assert await store.applied("updates-0") == 4


async def test_windows_end_now(store: Store) -> None:
    """15 minutes, an hour, a day and all reach back as far as they say, to the minute."""
    ages = [0, 14, 15, 59, 60, 24 * 60 - 1, 24 * 60]
    arrived = [article(number, arrived=NOW - timedelta(minutes=age)) for number, age in enumerate(ages)]
    await store.apply("updates-0", batch_of(0, *arrived))
    totals = [(await store.top("language", window, limit=1, now=NOW)).total for window in ("15m", "1h", "24h", "all")]
    assert totals == [2, 4, 6, 7]


async def test_minutes_and_hours_have_an_end_of_life(store: Store) -> None:
    """Every bucket expires; only the totals of all time stay."""
    await store.apply("updates-0", batch_of(0, article(0)))
    keys = [key async for key in store.redis.scan_iter("*:count:[mh]:*")]
    assert keys
    assert all([await store.redis.ttl(key) > 0 for key in keys])


async def test_articles_and_stories_are_found_again(store: Store) -> None:
    """The offset of an article and the newest state of a story; unknown ones are None."""
    batch = batch_of(7, article(1))
    told = story("s1", "a1")
    batch.add_story(8, told, int(NOW.timestamp() * 1000))
    await store.apply("updates-0", batch)
    assert await store.place("a1") == Place(offset=7, story="s")
    assert await store.place("nobody") is None
    assert await store.story("s1") == told
    assert await store.story("nothing") is None
    assert [found async for found in store.stories(NOW)] == [told]
    assert [found async for found in store.stories(NOW + timedelta(seconds=1))] == []


async def test_an_article_follows_its_story_through_merges(store: Store) -> None:
    """The place names the last in a row of merges; merged stories are known but not listed, and may come back."""
    await tell(store, 0, article(1), story("s"), story("s2"), story("s3"))
    await tell(store, 4, story("s2", "a1"), story("s", merged_into="s2"))
    assert await store.place("a1") == Place(offset=0, story="s2")
    assert await listed(store) == ["s2", "s3"]
    await tell(store, 6, story("s3", "a1"), story("s2", merged_into="s3"))
    assert await store.place("a1") == Place(offset=0, story="s3")
    assert await listed(store) == ["s3"]
    assert await store.story("s") == story("s", merged_into="s2")
    # Its first article came again when the window had forgotten it.
    await tell(store, 8, article(1), story("s", "a1"))
    assert await store.place("a1") == Place(offset=8, story="s")
    assert await listed(store) == ["s", "s3"]


async def test_a_split_takes_its_articles_along(store: Store) -> None:
    """Those it lists are in the new story, others stay; a later revision tells its own story; unknown ids harm not."""
    await tell(store, 0, *map(article, range(4)), story("s", "a3", "a2", "a1", "a0"))
    split, rest = story("new", "a2", "a1", "unknown", split_from="s"), story("s", "a3", "a0")
    assert await tell(store, 5, split, rest) == 2
    assert [(await store.place(f"a{number}")).story for number in range(4)] == ["s", "new", "new", "s"]
    assert await store.place("unknown") is None
    assert await tell(store, 5, split, rest, article(1)) == 1
    assert await store.place("a1") == Place(offset=7, story="s")
    # What is not its first event moves nothing.
    await tell(store, 8, story("new", "a2", "a1"))
    assert await store.place("a1") == Place(offset=7, story="s")


async def test_merges_in_a_circle_end(store: Store) -> None:
    """A log that makes no sense is answered with some story, and in time."""
    await tell(store, 0, article(1), story("s", merged_into="s2"), story("s2", merged_into="s"))
    assert (await store.place("a1")).story in {"s", "s2"}
    assert await listed(store) == []


async def test_places_and_stories_have_an_end_of_life(store: Store) -> None:
    """What merges and splits leave behind goes when ``updates`` no longer keeps what it is about."""
    await tell(store, 0, article(1), story("s", merged_into="s2"), story("s2", "a1", "a9", split_from="s"))
    keys = [key async for key in store.redis.scan_iter() if {"place", "story", "stories"} & {*key.split(":")}]
    assert len(keys) == 5
    assert all([0 < await store.redis.ttl(key) <= 7 * 24 * 3600 for key in keys])


async def test_old_stories_leave_the_list_and_long_lists_come_in_pages(store: Store) -> None:
    """What is a week older than the newest is forgotten; all others are found, newest first."""
    batch = Batch()
    for number in range(1_201):
        at = NOW - timedelta(days=8) if number == 0 else NOW + timedelta(seconds=number)
        batch.add_story(number, story(f"s{number}"), int(at.timestamp() * 1000))
    await store.apply("updates-0", batch)
    everything = [found.id async for found in store.stories(NOW - timedelta(days=30))]
    assert everything == [f"s{number}" for number in range(1_200, 0, -1)]


async def test_equal_counts_have_one_order(store: Store) -> None:
    """The answer is the same every time, and limited."""
    sources = [article(number).model_copy(update={"source": name}) for number, name in enumerate("cab")]
    await store.apply("updates-0", batch_of(0, *sources))
    assert [item.id for item in (await store.top("source", "1h", limit=2, now=NOW)).items] == ["a", "b"]
