"""``python -m benchmarks.aggregate``: the cost of keeping the aggregates, and their memory in the store.

Articles of a generated stream, annotated by their labels, each followed by the state of its story as group publishes
it, are read from JSON and applied in batches to an embedded Valkey, as fast as possible. The clock is that of the
stream: every 15 seconds of it the windows roll and trend candidates are requested, as in a worker. Batches and ticks
are measured separately, in CPU seconds of this process and of the store; making the articles is not measured.

After each fifth of the articles a line shows the cost of that fifth and the memory of the store.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import click

from enrich.aggregate import counter
from enrich.trends.detector import Rules, TrendDetector
from ingest.generator import Stream, Truth
from services.embedded.valkey import Valkey
from services.events import Article, ArticleIn, Entity, Mention, Story, Topic
from services.identity import article_id, digest
from services.store import Batch, Store

_LOG = "benchmark/updates-0"
_MAX_LISTED = 50
_TICK = timedelta(seconds=15)


def records(articles: int, *, seed: int = 1, start: datetime, days: float) -> Iterator[counter.UpdateRecord]:
    """Generated articles, each followed by the state of its story, as records of ``updates`` from offset 0 on."""
    stories: dict[str, Story] = {}
    offset = 0
    for fields, truth in Stream(articles, seed, start=start, days=days):
        article = published(ArticleIn.model_validate(fields), truth)
        arrived = int(truth.arrives_at.timestamp() * 1_000)
        yield counter.UpdateRecord(offset, arrived, [("type", b"article")], article.encode())
        story = stories[truth.story] = _story_after(stories.get(truth.story), article)
        yield counter.UpdateRecord(offset + 1, arrived, [("type", b"story")], story.encode())
        offset += 2


def published(article: ArticleIn, truth: Truth) -> Article:
    """An article as group would publish it, by its labels. Ids are as long as real ones."""
    text = article.text or ""
    return Article(
        id=article_id(article),
        revision=1,
        source=article.source,
        url=article.url,
        title=article.title,
        text=text,
        published_at=article.published_at,
        received_at=truth.arrives_at,
        language=truth.language,
        language_score=1.0,
        entities=[
            Entity(
                id=name if name.startswith("Q") else f"x{digest(name)}",
                name=word,
                type=kind,
                mentions=[Mention(start=text.find(word), end=text.find(word) + len(word), text=word)]
                if word in text
                else [],
            )
            for name, word, kind in truth.entities
        ],
        topics=[Topic(id=topic, label=topic, score=0.5) for topic in truth.topics],
        duplicate_of="another" if truth.duplicate_of else None,
        similarity=0.9 if truth.duplicate_of else None,
        story=f"s{digest(truth.story)[:20]}",
    )


def _story_after(story: Story | None, article: Article) -> Story:
    source = article.source or "unknown"
    if story is None:
        return Story(
            id=article.story,
            title=article.title or article.text[:60],
            languages=[article.language],
            size=1,
            sources=[source],
            first_published=article.received_at,
            last_published=article.received_at,
            entities=[entity.model_copy(update={"mentions": []}) for entity in article.entities],
            topics=article.topics,
            articles=[article.id],
        )
    return story.model_copy(
        update={
            "size": story.size + 1,
            "sources": sorted({*story.sources, source}),
            "languages": sorted({*story.languages, article.language}),
            "last_published": article.received_at,
            "articles": [article.id, *story.articles][:_MAX_LISTED],
        }
    )


class Meter:
    """CPU seconds of this process and of the store within ``async with``, and the longest wall-clock time."""

    def __init__(self, store: Store) -> None:
        self.own = self.store = self.longest = 0.0
        self.times = 0
        self._measured = store
        self._began = (0.0, 0.0, 0.0)

    async def __aenter__(self) -> None:
        self._began = (await self._used(), time.process_time(), time.perf_counter())

    async def __aexit__(self, *_: object) -> None:
        store, own, wall = self._began
        self.longest = max(self.longest, time.perf_counter() - wall)
        self.own += time.process_time() - own
        self.store += await self._used() - store
        self.times += 1

    async def _used(self) -> float:
        found = await self._measured.redis.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


async def run(articles: int, *, days: float, batch: int, seed: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        server = Valkey(Path(directory))
        await server.start()
        store = Store(server.url)
        try:
            await _fill(store, articles, days=days, size=batch, seed=seed)
        finally:
            await store.close()
            await server.stop()


async def _fill(store: Store, articles: int, *, days: float, size: int, seed: int) -> None:
    # Keys expire by the wall clock, so the stream must not be in the past.
    start = moment = datetime.now(UTC)
    stream = iter(records(articles, seed=seed, start=start, days=days))
    trends = TrendDetector()
    click.echo("articles  us per article: worker store | ms per tick: worker store |  used MB  resident MB     keys")
    for fifth in range(1, 6):
        batches, ticks = Meter(store), Meter(store)
        left = articles * fifth // 5 - articles * (fifth - 1) // 5
        count = left
        while left:
            chunk = list(islice(stream, 2 * min(left, size)))
            left -= len(chunk) // 2
            now = datetime.fromtimestamp(chunk[-1].timestamp / 1_000, UTC)
            async with batches:
                batch = Batch()
                for record in chunk:
                    counter.add(batch, record)
                await store.apply(_LOG, batch, now=now)
            if now - moment >= _TICK:
                moment = now
                async with ticks:
                    await _tick(store, trends, now)
        memory, keys = await store.redis.info("memory"), await store.redis.dbsize()
        own, stores = batches.own / count * 1e6, batches.store / count * 1e6
        own_tick, store_tick = (one / max(1, ticks.times) * 1e3 for one in (ticks.own, ticks.store))
        click.echo(
            f"{articles * fifth // 5:8}               {own:7.1f}  {stores:5.1f} |"
            f"           {own_tick:7.2f}  {store_tick:5.1f} |"
            f"  {memory['used_memory'] / 1e6:7.1f}  {memory['used_memory_rss'] / 1e6:11.1f}  {keys:7}"
        )
    click.echo(
        f"{len(trends.active())} trends at the end; the longest batch of the last fifth {batches.longest * 1e3:.0f} ms"
    )
    for by in ("entity", "source", "story", "pair"):
        click.echo(f"{by}: {(await store.top(by, '24h', limit=1)).size} in the window of 24 h")


async def _tick(store: Store, trends: TrendDetector, now: datetime) -> None:
    await store.roll(now)
    active = [(kind, name) for kind, name, _ in trends.active()]
    for trend in trends.evaluate(now, await store.trend_candidates(now, floors=Rules().floors, active=active)):
        trends.apply(trend)


@click.command()
@click.option("--articles", type=click.IntRange(5), default=100_000, show_default=True)
@click.option("--days", type=click.FloatRange(0.01), default=1.0, show_default=True, help="days over which they arrive")
@click.option("--batch", type=click.IntRange(1), default=100, show_default=True, help="articles per batch")
@click.option("--seed", type=int, default=1, show_default=True)
def main(articles: int, days: float, batch: int, seed: int) -> None:
    """Fill a store and print the cost."""
    asyncio.run(run(articles, days=days, batch=batch, seed=seed))


if __name__ == "__main__":
    main()
