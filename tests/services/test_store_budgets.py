"""Ids that writers make up cannot fill the store: budgets of new ids a minute and a day."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.events import Article, Entity
from services.store import Batch, Store, layout
from tests.api.conftest import an_article, an_entity
from tests.enrich.recount import recounted, stored

LOG = "updates-0"
# Noon, so that all of a test is in one day. The day before: what lies ahead is in no window.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
END = NOON + timedelta(hours=11)


def named(source: str, *ids: str, at: datetime = NOON, **given: Any) -> Article:
    """An article of a source that names these entities."""
    return an_article(source=source, received_at=at, entities=[an_entity(one, f"name {one}") for one in ids], **given)


def local(prefix: str, count: int, first: int = 0) -> list[str]:
    """Ids as made from names in texts."""
    return [f"x{prefix}{number}" for number in range(first, first + count)]


async def apply(store: Store, *articles: Article, first: int = 0) -> int:
    """Apply articles in one batch; how many were new."""
    batch = Batch()
    for offset, article in enumerate(articles, first):
        batch.add_article(offset, article)
    return await store.apply(LOG, batch, now=END)


async def counts(store: Store, dimension: str) -> dict[str, int]:
    """The counts of all ids of a dimension."""
    return {
        item.id: item.count
        for item in (await store.top(dimension, "all", limit=10_000)).items  # type: ignore[arg-type]
    }


async def test_one_source_cannot_fill_the_store(each_store: Store) -> None:
    """3,000 made-up names in a minute: 1,000 are counted, the rest as other; nobody else notices."""
    spam = [
        named("spam", "Q7747", *local("spam", 150, 150 * number), at=NOON + timedelta(seconds=number))
        for number in range(20)
    ]
    others = [named("news", "Q649", *local("news", 10, 10 * number)) for number in range(10)]
    articles = [article for pair in zip(spam, others, strict=False) for article in pair] + spam[len(others) :]
    assert await apply(each_store, *articles) == 30
    assert await each_store.applied(LOG) == 29
    entities = await counts(each_store, "entity")
    assert sum(name.startswith("xspam") for name in entities) == 1_000
    assert entities[layout.OTHER] == 14  # of the seventh article, the first 100 are within the budget
    assert [entities["Q7747"], entities["Q649"]] == [20, 10]
    assert all(entities[name] == 1 for name in local("news", 100))
    assert (await each_store.top("entity", "15m", limit=1)).total == 0  # nothing else: it is the day before
    assert (await each_store.top("language", "all", limit=1)).total == 30
    assert await counts(each_store, "source") == {"spam": 20, "news": 10}
    keys = [key async for key in each_store.redis.scan_iter(f"{layout.TAG}:names:*")]
    names = [name for key in keys for name in await each_store.redis.hkeys(key)]
    assert len(names) == 1_000 + 100 + 2
    assert await each_store.names([("entity", layout.OTHER)]) == [layout.OTHER]


async def test_made_up_sources_cannot_fill_the_store(store: Store) -> None:
    """Of 1,200 new sources in a minute, 200 are counted as other, and the names in their articles have one budget."""
    articles = [named(f"source {number}", *local(f"s{number}-", 10)) for number in range(1_200)]
    before = REGISTRY.get_sample_value("khabar_store_ids_over_budget_total", {"dimension": "source"}) or 0
    for first in range(0, 1_200, 300):
        assert await apply(store, *articles[first : first + 300], first=first) == 300
    sources = await counts(store, "source")
    assert len(sources) == 1_001
    assert sources[layout.OTHER] == 200
    assert (await store.top("entity", "all", limit=1)).size == 1_000 * 10 + 1_000 + 1
    assert (await store.top("source", "all", limit=1)).total == 1_200
    over = REGISTRY.get_sample_value("khabar_store_ids_over_budget_total", {"dimension": "source"})
    assert over == before + 200


async def test_what_the_day_knows_needs_no_budget(store: Store) -> None:
    """Names counted earlier that day are counted on when the budget is used up; the next minute has a new one."""
    await apply(store, named("one", "xknown"))
    later = NOON + timedelta(hours=1)
    await apply(store, named("one", *local("a", 1_000), at=later), first=1)
    await apply(store, named("one", "xknown", "xnew", at=later), first=2)
    await apply(store, named("one", "xnext", at=later + timedelta(minutes=1)), first=3)
    found = await counts(store, "entity")
    assert (found["xknown"], found.get("xnew"), found["xnext"], found[layout.OTHER]) == (2, None, 1, 1)


async def test_a_source_has_a_budget_a_day(store: Store) -> None:
    """A source that uses up each minute's budget reaches the day's; the next day has a new one."""
    for number in range(25):
        at = NOON + timedelta(minutes=number)
        await apply(store, *(named("one", *local("a", 100, number * 1_000 + n * 100), at=at) for n in range(10)),
                    first=number * 10)  # fmt: skip
    assert (await store.top("entity", "all", limit=1)).size == 20_001
    await apply(store, named("one", "xb", at=NOON + timedelta(hours=12)), first=250)
    assert (await store.series("entity", "xb", "d", first=bucket_of(NOON) + 1, last=bucket_of(NOON) + 1)).points[0][1]


def bucket_of(at: datetime) -> int:
    """The number of a day."""
    return layout.bucket("d", at)


async def test_pairs_with_what_is_not_counted(store: Store) -> None:
    """Pairs of an uncounted entity are not counted; those of the others are."""
    await apply(store, named("one", *local("a", 1_000)))
    for offset in (1, 2):
        await apply(store, named("one", "Q1", "Q2", "xa", story=f"s{offset}"), first=offset)
    assert await store.redis.zrange(layout.top("pair", "24h"), 0, -1) == ["Q1+Q2"]


async def test_other_is_no_trend(store: Store) -> None:
    """A flood of made-up names is no trend of the entity other."""
    now = datetime.now(UTC)
    past = [an_article(received_at=now - timedelta(hours=hours)) for hours in range(2, 20)]
    flood = [named("one", *local("a", 100, 100 * number), at=now) for number in range(40)]
    batch = Batch()
    for offset, article in enumerate([*past, *flood]):
        batch.add_article(offset, article)
    await store.apply(LOG, batch, now=now)
    assert (await store.top("entity", "15m", limit=1)).items[0].id == layout.OTHER
    snapshot = await store.trend_candidates(now, floors={"15m": 5, "1h": 5, "24h": 5})
    assert layout.OTHER not in {one.id for one in snapshot.observations}


@pytest.mark.parametrize("seed", range(6))
async def test_budgets_are_exact(store: Store, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever the batches, repeats and losses, what is counted depends on the order of the log alone."""
    for spans, budgets in ((layout.NEW_IDS["source"], (4, 7)), (layout.NEW_IDS["entity"], (3, 12))):
        monkeypatch.setitem(spans, "m", budgets[0])
        monkeypatch.setitem(spans, "d", budgets[1])
    chance = random.Random(seed)
    own = Store(store.url)
    articles = [_any_article(chance) for _ in range(400)]
    offset = 0
    while offset < len(articles):
        first = chance.randrange(max(0, offset - 20), offset + 1)
        last = min(len(articles), offset + chance.choice([1, 2, 7, 60]))
        await apply(own, *articles[first:last], first=first)
        offset = last
        if chance.random() < 0.05:
            await own.redis.flushdb()
            offset = 0
    numbers, edges = await stored(own)
    wanted = recounted(articles, edges)
    assert numbers == wanted
    assert any(dimension == "entity" and layout.OTHER in found for (dimension, *_), found in wanted.items())
    assert any(dimension == "source" and layout.OTHER in found for (dimension, *_), found in wanted.items())
    await own.close()


def _any_article(chance: random.Random) -> Article:
    ids = [f"{chance.choice('xxxQ')}{chance.randrange(60)}" for _ in range(chance.randrange(6))]
    at = NOON + timedelta(minutes=chance.randrange(3), hours=chance.choice([0, 0, 9]), days=-chance.randrange(2))
    source = chance.choice(["a", "a", "b", "other", f"s{chance.randrange(30)}"])
    unique: list[Entity] = [an_entity(one) for one in dict.fromkeys(ids)]
    return an_article(source=source, received_at=at, entities=unique, duplicate_of=chance.choice([None, None, "a"]))
