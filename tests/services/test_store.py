"""The live aggregates: exact when records are applied again, bounded in time.

Tests of each script, and of what servers and clusters may do differently, take ``each_store``; the others take one.
"""

import copy
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.events import Article, Entity, Story, Topic, Trend
from services.store import Batch, Completeness, Counts, Gap, RecordLocation, Store, layout
from services.store.layout import WINDOWS, Facet, bucket

# Half a minute after a full one; locations and sources are kept by day, today included.
NOW = datetime.now(UTC).replace(second=30, microsecond=0)
MS = int(NOW.timestamp() * 1000)
PUTIN = Entity(id="Q7747", name="بوتين", type="PER")
MOSCOW = Entity(id="Q649", name="موسكو", type="LOC")


def article(number: int, *, arrived: datetime = NOW, language: str = "ar", duplicate: bool = False) -> Article:
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
        duplicate_of="a0" if duplicate else None,
        similarity=0.9 if duplicate else None,
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


async def apply_records(store: Store, first: int, *records: Article | Story) -> int:
    """Apply records at consecutive offsets in one batch; how many were new."""
    batch = Batch()
    for offset, record in enumerate(records, first):
        if isinstance(record, Article):
            batch.add_article(offset, record)
        else:
            batch.add_story(offset, record, MS)
    return await store.apply("updates-0", batch, now=NOW)


async def listed(store: Store) -> list[str]:
    """The sorted ids of all listed stories."""
    return sorted([found.id async for found in store.stories(NOW - timedelta(days=1))])


def batch_of(first: int, *articles: Article) -> Batch:
    """Articles at consecutive offsets."""
    batch = Batch()
    for offset, published in enumerate(articles, first):
        batch.add_article(offset, published)
    return batch


def a_trend(**given: Any) -> Trend:
    """A trend event."""
    fields = {"kind": "entity", "id": "Q7747", "name": "بوتين", "window": "15m", "phase": "start", "count": 10}
    return Trend(**(fields | {"expected": 1.5, "score": 7.5, "started": NOW, "at": NOW} | given))


async def totals(store: Store) -> list[int]:
    """The number of articles in each window."""
    return [(await store.top("language", window, limit=1)).total for window in WINDOWS]


async def test_counts_by_dimension(each_store: Store) -> None:
    """Totals, duplicates and each dimension are counted, largest first."""
    await each_store.apply(
        "updates-0", batch_of(0, article(0), article(1, duplicate=True), article(2, language="en")), now=NOW
    )
    top = await each_store.top("language", "15m", limit=10)
    assert (top.total, top.duplicates) == (3, 1)
    assert [(item.id, item.count) for item in top.items] == [("ar", 2), ("en", 1)]
    (entity,) = (await each_store.top("entity", "all", limit=10)).items
    assert (entity.id, entity.name, entity.count) == ("Q7747", "بوتين", 3)


async def test_a_batch_applied_again_changes_nothing(store: Store) -> None:
    """Also when its bounds differ the second time: records up to the stored offset are skipped."""
    articles = [article(number) for number in range(5)]
    assert await store.apply("updates-0", batch_of(0, *articles[:3]), now=NOW) == 3
    assert await store.apply("updates-0", batch_of(0, *articles[:3]), now=NOW) == 0
    assert await store.apply("updates-0", batch_of(1, *articles[1:]), now=NOW) == 2
    assert (await store.top("language", "all", limit=1)).total == 5
    assert await store.applied("updates-0") == 4


async def test_a_gap_is_refused(each_store: Store) -> None:
    """The store asks for records that would be left out; if the log no longer has them, the counts say so."""
    await each_store.apply("updates-0", batch_of(0, article(0)), now=NOW)
    with pytest.raises(Gap) as refused:
        await each_store.apply("updates-0", batch_of(3, article(3)), now=NOW)
    assert refused.value.applied == 0
    assert (await each_store.state("updates-0")).complete.since is None
    assert (await each_store.top("language", "all", limit=1)).total == 1
    with pytest.raises(Gap):  # the store has lost more since the gap was found
        await each_store.apply("updates-0", batch_of(3, article(3)), now=NOW, gone_after=1)
    assert await each_store.apply("updates-0", batch_of(3, article(3)), now=NOW, gone_after=0) == 1
    assert (await each_store.state("updates-0")).complete.since == NOW


async def test_windows_end_now(store: Store) -> None:
    """Windows of 15 minutes, an hour and a day are exact to the minute; the window of thirty days, to the day."""
    ages = [0, 14, 15, 59, 60, 24 * 60 - 1, 24 * 60, 29 * 24 * 60, 30 * 24 * 60]
    arrived = [article(number, arrived=NOW - timedelta(minutes=age)) for number, age in enumerate(ages)]
    await store.apply("updates-0", batch_of(0, *arrived), now=NOW)
    assert await totals(store) == [2, 4, 6, 8]
    top = await store.top("source", "15m", limit=1)
    assert (top.since, top.until) == (NOW - timedelta(minutes=14, seconds=30), NOW + timedelta(seconds=30))


async def test_windows_move_on(each_store: Store) -> None:
    """What leaves a window is subtracted, whether a minute, an hour or days have passed since the last update."""
    arrived = [article(number, arrived=NOW - timedelta(minutes=age)) for number, age in enumerate([0, 0, 14, 59])]
    await each_store.apply("updates-0", batch_of(0, *arrived), now=NOW)
    assert await totals(each_store) == [3, 4, 4, 4]
    await each_store.roll(NOW + timedelta(minutes=1))
    assert await totals(each_store) == [2, 3, 4, 4]
    await each_store.roll(NOW + timedelta(minutes=14))
    assert await totals(each_store) == [2, 3, 4, 4]
    await each_store.roll(NOW + timedelta(minutes=50))
    assert await totals(each_store) == [0, 2, 4, 4]
    await each_store.roll(NOW + timedelta(hours=23, minutes=59))
    assert await totals(each_store) == [0, 0, 2, 4]
    await each_store.roll(NOW + timedelta(days=3))
    assert await totals(each_store) == [0, 0, 0, 4]
    await each_store.roll(NOW + timedelta(days=31))
    assert await totals(each_store) == [0, 0, 0, 0]
    assert (await each_store.top("entity", "all", limit=5)).items == []


async def test_windows_never_move_back(store: Store) -> None:
    """A worker whose clock is late does not undo what another one has moved on."""
    await store.apply("updates-0", batch_of(0, article(0)), now=NOW + timedelta(minutes=15))
    assert await totals(store) == [0, 1, 1, 1]
    await store.roll(NOW)
    await store.apply("updates-0", batch_of(1, article(1)), now=NOW)
    assert await totals(store) == [0, 2, 2, 2]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ages=st.lists(st.integers(-3, 45 * 24 * 60), min_size=1, max_size=30),
    steps=st.lists(st.integers(0, 3 * 24 * 60), max_size=6),
)
async def test_windows_hold_what_a_recount_finds(store: Store, ages: list[int], steps: list[int]) -> None:
    """Articles early, late or in order, and any time between updates: a recount finds the same."""
    await store.redis.flushdb()
    now, applied = NOW, []
    for offset, age in enumerate(ages):
        applied.append(article(offset, arrived=now - timedelta(minutes=age)))
        await store.apply("updates-0", batch_of(offset, applied[-1]), now=now)
        if steps:
            now += timedelta(minutes=steps.pop())
            await store.roll(now)
    minute = int(now.timestamp()) // 60
    minutes = [int(one.received_at.timestamp()) // 60 for one in applied]
    wanted = [sum(one > minute - window for one in minutes) for window in (15, 60, 1_440)]
    wanted.append(sum(one // 1_440 > minute // 1_440 - 30 for one in minutes))
    assert await totals(store) == wanted


async def test_a_series_by_minute_hour_and_day(store: Store) -> None:
    """A series of any id has every bucket, zeros included."""
    arrived = [article(number, arrived=NOW - timedelta(minutes=age)) for number, age in enumerate([0, 0, 2])]
    await store.apply("updates-0", batch_of(0, *arrived), now=NOW)
    last = bucket("m", NOW)
    series = await store.series("entity", "Q7747", "m", first=last - 2, last=last)
    assert series.points == [
        (NOW.replace(second=0) - timedelta(minutes=2), 1),
        (NOW.replace(second=0) - timedelta(minutes=1), 0),
        (NOW.replace(second=0), 2),
    ]
    day = bucket("d", NOW)
    points = (await store.series("total", "articles", "d", first=day - 1, last=day)).points
    assert sum(count for _, count in points) == 3
    assert [count for _, count in (await store.series("entity", "Q0", "h", first=1, last=2)).points] == [0, 0]
    series = await store.series("entity", "Q7747", "m", first=last - 3, last=last, step=2)
    assert series.points == [
        (NOW.replace(second=0) - timedelta(minutes=3), 1),
        (NOW.replace(second=0) - timedelta(minutes=1), 2),
    ]


async def test_pairs_and_stories_that_recur(each_store: Store) -> None:
    """Pairs of entities, and stories of a day, enter the window with their full count at the second occurrence."""
    both = article(0).model_copy(update={"entities": [PUTIN, MOSCOW, PUTIN]})
    await each_store.apply("updates-0", batch_of(0, both), now=NOW)
    assert (await each_store.top("pair", "24h", limit=5)).items == []
    assert [item.count for item in (await each_store.top("story", "1h", limit=5)).items] == [1]
    await each_store.apply("updates-0", batch_of(1, *(both.model_copy(update={"id": f"a{n}"}) for n in "12")), now=NOW)
    pairs = await each_store.top("pair", "24h", limit=5)
    assert [(item.id, item.name, item.count) for item in pairs.items] == [("Q649+Q7747", "موسكو · بوتين", 3)]
    assert pairs.error == 24
    assert [item.count for item in (await each_store.top("story", "24h", limit=5)).items] == [3]
    await each_store.roll(NOW + timedelta(days=1))
    assert (await each_store.top("pair", "24h", limit=5)).size == 0
    assert (await each_store.top("story", "24h", limit=5)).size == 0


async def test_distinct_sources(each_store: Store) -> None:
    """Of an entity today and yesterday, and of a story: each source counts once."""
    sources = ["one", "one", "two", "three", "two"]
    articles = [article(number).model_copy(update={"source": name}) for number, name in enumerate(sources)]
    other = article(9).model_copy(update={"entities": [MOSCOW]})
    await each_store.apply("updates-0", batch_of(0, articles[0], other), now=NOW)
    await each_store.apply("updates-0", batch_of(2, *articles[1:]), now=NOW)
    items = (await each_store.top("entity", "24h", limit=5, sources=True)).items
    assert [(item.id, item.sources) for item in items] == [("Q7747", 3), ("Q649", 1)]
    await apply_records(each_store, 6, story("s", "a0").model_copy(update={"sources": ["one"]}))
    assert (await each_store.top("story", "1h", limit=1, sources=True)).items[0].sources == 1
    await apply_records(each_store, 7, story("s", "a0").model_copy(update={"sources": ["one", "two", "three"]}))
    assert (await each_store.top("story", "1h", limit=1, sources=True)).items[0].sources == 3
    assert (await each_store.top("entity", "1h", limit=1)).items[0].sources is None


async def test_many_distinct_sources_are_estimated(store: Store) -> None:
    """The estimate for a thousand sources is within three percent."""
    articles = [article(number).model_copy(update={"source": f"source {number}"}) for number in range(1_000)]
    await store.apply("updates-0", batch_of(0, *articles), now=NOW)
    (item,) = (await store.top("entity", "24h", limit=1, sources=True)).items
    assert 970 <= item.sources <= 1_030


async def test_every_key_expires(each_store: Store) -> None:
    """Every key that is written has an expiry."""
    others = [article(n).model_copy(update={"source": f"s{n}", "entities": [PUTIN, MOSCOW]}) for n in range(3)]
    split = story("s2", "a1", "a9", split_from="s").model_copy(update={"sources": ["one", "two"]})
    trend = a_trend()
    batch = batch_of(0, *others)
    batch.add_story(3, story("s", merged_into="s2"), MS)
    batch.add_story(4, split, MS)
    batch.add_trend(5, trend)
    await each_store.apply("updates-0", batch, now=NOW)
    keys = [key async for key in each_store.redis.scan_iter()]
    kinds = {key.split(":")[1] for key in keys}
    assert kinds == {
        *("applied", "state", "n", "new", "top", "names", "source", "sources", "place", "story", "stories"),
        *("facets", "trends"),
    }
    lives = {key: await each_store.redis.ttl(key) for key in keys}
    assert all(0 < life <= 70 * 24 * 3600 for life in lives.values()), lives


async def test_late_buckets_are_not_kept(store: Store) -> None:
    """An article older than the minute windows gets no minute bucket, which none would remove; hours and days count."""
    await store.apply("updates-0", batch_of(0, article(0, arrived=NOW - timedelta(hours=26))), now=NOW)
    assert [key async for key in store.redis.scan_iter("*:n:*:m:*")] == []
    assert await totals(store) == [0, 0, 0, 1]


async def test_articles_and_stories_are_found(store: Store) -> None:
    """The offset of an article and the newest state of a story are found; unknown ones are None."""
    batch = batch_of(0, article(1))
    published = story("s1", "a1")
    batch.add_story(1, published, MS)
    await store.apply("updates-0", batch, now=NOW)
    assert await store.locate("a1") == RecordLocation(offset=0)
    assert await store.locate("s1") == RecordLocation(offset=1)
    assert await store.locate("nobody") is None
    assert await store.story("s1") == published
    assert await store.story("nothing") is None
    assert [found async for found in store.stories(NOW)] == [published]
    assert [found async for found in store.stories(NOW + timedelta(seconds=1))] == []


async def test_stories_merge_and_return(store: Store) -> None:
    """The survivor is the last of a chain of merges; merged stories are known but not listed, and may return."""
    await apply_records(store, 0, article(1), story("s"), story("s2"), story("s3"))
    assert await store.survivor("s") == "s"
    await apply_records(store, 4, story("s2", "a1"), story("s", merged_into="s2"))
    assert await store.survivor("s") == "s2"
    assert await listed(store) == ["s2", "s3"]
    await apply_records(store, 6, story("s3", "a1"), story("s2", merged_into="s3"))
    assert await store.survivor("s") == "s3"
    assert await listed(store) == ["s3"]
    assert await store.story("s") == story("s", merged_into="s2")
    # Its first article was published again after it had expired from the window.
    await apply_records(store, 8, article(1), story("s", "a1"))
    assert await store.survivor("s") == "s"
    assert await listed(store) == ["s", "s3"]


async def test_a_split_moves_its_articles(each_store: Store) -> None:
    """Listed articles move to the new story, others stay; a later revision has its own; unknown ids are ignored."""
    await apply_records(each_store, 0, *map(article, range(4)), story("s", "a3", "a2", "a1", "a0"))
    split, rest = story("new", "a2", "a1", "unknown", split_from="s"), story("s", "a3", "a0")
    assert await apply_records(each_store, 5, split, rest) == 2
    assert [(await each_store.locate(f"a{number}")).moved for number in range(4)] == [None, "new", "new", None]
    assert await each_store.locate("unknown") is None
    assert await apply_records(each_store, 5, split, rest, article(1)) == 1
    assert await each_store.locate("a1") == RecordLocation(offset=7)
    # Only the first event of a story moves articles.
    await apply_records(each_store, 8, story("new", "a2", "a1"))
    assert await each_store.locate("a1") == RecordLocation(offset=7)
    # Within one batch the order decides, too.
    await apply_records(each_store, 9, article(2), story("newer", "a2", "a1", split_from="new"), article(1))
    assert await each_store.locate("a2") == RecordLocation(offset=9, moved="newer")
    assert await each_store.locate("a1") == RecordLocation(offset=11)


async def test_a_cycle_of_merges_ends(store: Store) -> None:
    """An inconsistent log gives one of the stories, without an endless loop."""
    await apply_records(store, 0, article(1), story("s", merged_into="s2"), story("s2", merged_into="s"))
    assert await store.survivor("s") in {"s", "s2"}
    assert await listed(store) == []


async def test_old_stories_leave_the_list_and_long_lists_are_paged(store: Store) -> None:
    """Stories eight days older than the newest are dropped; all others are found, newest first."""
    batch = Batch()
    for number in range(1_201):
        at = NOW - timedelta(days=9) if number == 0 else NOW + timedelta(seconds=number)
        batch.add_story(number, story(f"s{number}"), int(at.timestamp() * 1000))
    await store.apply("updates-0", batch, now=NOW)
    everything = [found.id async for found in store.stories(NOW - timedelta(days=30))]
    assert everything == [f"s{number}" for number in range(1_200, 0, -1)]


async def test_the_list_of_stories_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest leave it; the location of their newest record is kept."""
    monkeypatch.setitem(layout.LAYOUT, "stories", 3)
    few = Store(store.url)
    batch = Batch()
    for number in range(5):
        batch.add_story(number, story(f"s{number}"), MS + number)
    await few.apply("updates-0", batch, now=NOW)
    assert await listed(few) == ["s2", "s3", "s4"]
    assert await few.story("s1") is None
    assert await few.locate("s1") == RecordLocation(offset=1)
    await few.close()


async def test_equal_counts_have_one_order(store: Store) -> None:
    """The order is stable, in pages as in one reply."""
    sources = [article(number).model_copy(update={"source": name}) for number, name in enumerate("cab")]
    await store.apply("updates-0", batch_of(0, *sources), now=NOW)
    assert [item.id for item in (await store.top("source", "1h", limit=2)).items] == ["c", "b"]
    assert [item.id for item in (await store.top("source", "1h", limit=2, offset=2)).items] == ["a"]


async def test_trends_are_their_newest_events(store: Store) -> None:
    """The newest event of each; a trend that ended long ago is dropped when another one is added."""
    batch = Batch()
    batch.add_trend(0, a_trend())
    batch.add_trend(1, a_trend(phase="grow", count=20))
    batch.add_trend(2, a_trend(id="Q1", phase="end", at=NOW - timedelta(days=3)))
    batch.add_trend(3, a_trend(id="Q2", phase="end"))
    await store.apply("updates-0", batch, now=NOW)
    later = Batch()
    later.add_trend(4, a_trend(id="Q3"))
    await store.apply("updates-0", later, now=NOW)
    found = {trend.id: (trend.phase, trend.count) for trend in await store.trends()}
    assert found == {"Q7747": ("grow", 20), "Q2": ("end", 10), "Q3": ("start", 10)}


async def test_trend_candidates(each_store: Store) -> None:
    """Counts of the last minutes, windows and days; ids with no more than their usual share are left out."""
    hours = [*range(24, 24 * 8, 24), 2, 3, 4, 5]
    usual = [
        article(number, arrived=NOW - timedelta(hours=age)).model_copy(update={"story": f"s{number}"})
        for number, age in enumerate(hours * 3)
    ]
    burst = [
        article(100 + number, arrived=NOW - timedelta(minutes=number // 4)).model_copy(
            update={"entities": [MOSCOW], "story": "burst"}
        )
        for number in range(12)
    ]
    await each_store.apply("updates-0", batch_of(0, *usual, *burst), now=NOW)
    snapshot = await each_store.trend_candidates(NOW, floors={"15m": 5, "1h": 5, "24h": 5})
    assert snapshot.volume == Counts(
        recent=(4, 4, 4, 0, 0), quarter=12, hour=12, day=24, all=45, seasonal=(3,) * 7 + (0,) * 7
    )
    found = {(one.kind, one.id): one for one in snapshot.observations}
    assert set(found) == {("entity", "Q649"), ("story", "burst")}
    assert await each_store.names([("entity", "Q649"), ("story", "burst")]) == ["موسكو", "burst"]
    assert found["entity", "Q649"].counts == Counts((4, 4, 4, 0, 0), 12, 12, 12, 12, (0,) * 14)
    asked = await each_store.trend_candidates(
        NOW, floors={"15m": 500, "1h": 500, "24h": 500}, active=[("entity", "Q7747")]
    )
    # All that are asked for, and those with several occurrences within two minutes.
    assert [(one.id, one.counts.all) for one in asked.observations] == [("Q7747", 33), ("Q649", 12), ("burst", 12)]
    assert asked.observations[0].counts.seasonal == (3,) * 7 + (0,) * 7


async def test_a_store_of_another_layout_is_emptied(each_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade that divides the buckets otherwise: old and new shards are never mixed in one window."""
    await each_store.apply("updates-0", batch_of(0, article(0), article(1)), now=NOW)
    changed = copy.deepcopy(layout.LAYOUT)
    changed["spans"]["entity"]["m"]["shards"] = 5
    monkeypatch.setattr(layout, "LAYOUT", changed)
    upgraded = Store(each_store.url)
    try:
        assert (await upgraded.state("updates-0")).complete.rebuilding
        assert (await upgraded.top("language", "15m", limit=1)).complete.rebuilding
        await upgraded.roll(NOW + timedelta(minutes=1))
        assert (await upgraded.top("language", "15m", limit=1)).items == []
        with pytest.raises(Gap):
            await upgraded.apply("updates-0", batch_of(2, article(2)), now=NOW)
        await upgraded.apply("updates-0", batch_of(0, article(0), article(1), article(2)), now=NOW)
        assert (await upgraded.top("entity", "15m", limit=1)).complete.rebuilding
        await upgraded.end_rebuild()
        assert (await upgraded.state("updates-0")).complete == Completeness(None, rebuilding=False)
        await upgraded.roll(NOW + timedelta(minutes=30))
        assert (await upgraded.top("entity", "15m", limit=1)).items == []
    finally:
        await upgraded.close()


async def test_what_a_log_has_lost_is_never_called_complete(each_store: Store) -> None:
    """An older copy of the log was put back: counted again, the numbers are complete from then on only."""
    await each_store.apply("updates-0", batch_of(0, article(0), article(1)), now=NOW)
    later = NOW + timedelta(minutes=5)
    assert await each_store.adopt("updates-0", now=later, replaced=True) == "log"
    await each_store.apply("updates-0", batch_of(0, article(0)), now=later)
    await each_store.end_rebuild()
    assert (await each_store.state("updates-0")).complete == Completeness(later, rebuilding=False)
    await each_store.clear()
    await each_store.apply("updates-0", batch_of(0, article(0)), now=later)
    assert (await each_store.state("updates-0")).complete.since == later


async def test_the_position_of_the_store(store: Store) -> None:
    """No position at first; a rebuild in progress is reported with its goal until it ends."""
    state = await store.state("updates-0")
    assert (state.applied, state.goal, state.complete.rebuilding) == (-1, None, False)
    await store.begin_rebuild(7)
    await store.apply("updates-0", batch_of(0, article(0)), now=NOW)
    state = await store.state("updates-0")
    assert (state.applied, state.goal, state.complete.rebuilding) == (0, 7, True)
    assert (await store.top("entity", "all", limit=1)).complete.rebuilding
    await store.end_rebuild()
    assert not (await store.state("updates-0")).complete.rebuilding


async def test_clearing_leaves_other_keys(each_store: Store) -> None:
    """All of Khabar's keys are deleted; other keys in the same database stay."""
    await each_store.apply("updates-0", batch_of(0, article(0)), now=NOW)
    await each_store.redis.set("another {khabar}", 1)
    await each_store.clear()
    assert await each_store.redis.keys() == ["another {khabar}"]


async def test_scripts_and_python_agree_on_shards(each_store: Store) -> None:
    """A count is read from the shard that a script wrote it to, for ids of any characters."""
    names = ["x", "الجزيرة", "🙂", "a+b", "medtop:04000000", *(f"source {number}" for number in range(40))]
    articles = [article(number).model_copy(update={"source": name}) for number, name in enumerate(names)]
    await each_store.apply("updates-0", batch_of(0, *articles), now=NOW)
    day = bucket("d", NOW)
    for name in names:
        assert [count for _, count in (await each_store.series("source", name, "d", first=day, last=day)).points] == [1]


async def test_stories_are_found_by_their_present_facets(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After changes, merges, expiry and eviction, each combination of facets finds what a look at every story finds."""
    monkeypatch.setitem(layout.LAYOUT, "stories", 30)
    own = Store(store.url)
    rng = random.Random(3)
    offset = 0
    for step in range(12):
        batch = Batch()
        for _ in range(10):
            changed = story(f"s{rng.randrange(60)}", merged_into="s0" if rng.random() < 0.1 else None).model_copy(
                update={
                    "languages": rng.sample(["ar", "en", "fr"], rng.randrange(3)),
                    "entities": [
                        Entity(id=one, name=one, type="LOC", mentions=[]) for one in rng.sample(["Q1", "Q2", "Q3"], 2)
                    ],
                    "topics": [Topic(id=f"medtop:{rng.randrange(3)}", label="t", score=1.0)],
                }
            )
            batch.add_story(offset, changed, MS + step * 86_400_000)
            offset += 1
        await own.apply("updates-0", batch, now=NOW)
    everything = [found async for found in own.stories(NOW)]
    assert len(everything) > 10
    choices: list[dict[Facet, list[str]]] = [
        {"language": ["ar"]},
        {"entity": ["Q1"]},
        {"entity": ["Q1", "Q3"], "language": ["en", "fr"]},
        {"topic": ["medtop:1"], "entity": ["Q2"], "language": ["ar", "en"]},
        {"entity": ["nobody"], "language": ["ar"]},
    ]
    for wanted in choices:
        expected = [
            one.id
            for one in everything
            if ("language" not in wanted or set(wanted["language"]) & set(one.languages))
            and ("entity" not in wanted or set(wanted["entity"]) & {entity.id for entity in one.entities})
            and ("topic" not in wanted or set(wanted["topic"]) & {topic.id for topic in one.topics})
        ]
        assert [found.id async for found in own.stories(NOW, wanted)] == expected
    # Nothing is left of stories that are no longer listed.
    listed_ids = {one.id for one in everything}
    assert set(await own.redis.hkeys(layout.FACETS)) == listed_ids
    for key in await own.redis.keys(f"{layout.STORIES}:*"):
        assert set(await own.redis.zrange(key, 0, -1)) <= listed_ids
    await own.close()


async def test_a_rare_filter_needs_no_scan_of_all_stories(store: Store) -> None:
    """Among 6,000 stories one that nobody has is answered in milliseconds, and so is one that a single story has."""
    for at in range(0, 6_000, 500):
        batch = Batch()
        for number in range(at, at + 500):
            found = story(f"s{number}").model_copy(
                update={"entities": [Entity(id=f"Q{number}", name="n", type="LOC", mentions=[])]}
            )
            batch.add_story(number, found, MS + number)
        await store.apply("updates-0", batch, now=NOW)
    for entity, expected in (("Qnope", []), ("Q17", ["s17"])):
        began = time.process_time()
        wanted: dict[Facet, list[str]] = {"entity": [entity], "language": ["ar"]}
        assert [one.id async for one in store.stories(NOW, wanted)] == expected
        assert time.process_time() - began < 0.05
