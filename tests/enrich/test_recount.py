"""Workers and the store are killed at random while a hundred thousand articles are counted; then all is recounted."""

import asyncio
import os
import random
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services import kafka as clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.events import Article, Entity, Topic
from services.store import Store
from tests.enrich.recount import recounted, stored
from tests.harness import eventually, kept_running, service, updates

ARTICLES = 100_000
KILLS = 10
SEED = 7


@pytest.mark.timeout(400)
async def test_every_number_is_that_of_a_recount(tmp_path: Path) -> None:
    """Minutes, hours, days, windows, pairs, distinct sources: whatever died meanwhile, they are what the log says."""
    chance = random.Random(SEED)
    kafka, valkey = Kafka(tmp_path / "kafka"), Valkey(tmp_path / "valkey")
    await asyncio.gather(kafka.start(), valkey.start())
    await kafka_topics.ensure(kafka.bootstrap, raw_partitions=1, replication=1)
    store = Store(valkey.url)
    async with AsyncExitStack() as stack:
        settings = {"kafka": kafka.bootstrap, "redis": valkey.url, "data_dir": tmp_path, "session_timeout": 2}
        workers = [
            await stack.enter_async_context(service("enrich", log=tmp_path / f"{number}.log", **settings))
            for number in range(2)
        ]
        for worker in workers:
            await stack.enter_async_context(kept_running(worker))
        last = await _write(kafka.bootstrap, chance)
        for kill in range(KILLS):
            await asyncio.sleep(chance.uniform(1.0, 3.0))
            if kill % 2:
                await _kill_store(valkey, chance)
            else:
                chance.choice(workers).process.kill()
        name = await clients.read_log_id(kafka.bootstrap)

        async def counted() -> bool:
            return await store.applied(name) >= last

        await eventually(counted, seconds=200)
    # The workers have ended: nothing rolls between the two readings.
    numbers, edges = await stored(store)
    articles = [event for event in await updates(kafka.bootstrap) if isinstance(event, Article)]
    assert len(articles) == ARTICLES
    wanted = recounted(articles, edges)
    assert numbers.keys() == wanted.keys()
    for key, counts in wanted.items():
        assert numbers[key] == counts, key
    await _sources_are_right(store, articles)
    await store.close()
    await asyncio.gather(kafka.stop(), valkey.stop())


async def _sources_are_right(store: Store, articles: list[Article]) -> None:
    today = datetime.now(UTC).date()
    recent = [one for one in articles if (today - one.received_at.date()).days <= 1]
    for item in (await store.top("entity", "24h", limit=50, sources=True)).items:
        sources = {one.source for one in recent if item.id in {entity.id for entity in one.entities}}
        assert item.sources == pytest.approx(len(sources), rel=0.03, abs=1)


async def _kill_store(valkey: Valkey, chance: random.Random) -> None:
    os.kill(valkey.process.pid, signal.SIGKILL)
    await valkey.process.wait()
    await asyncio.sleep(chance.uniform(0.0, 2.0))
    await valkey.start()


async def _write(bootstrap: str, chance: random.Random) -> int:
    """Articles of the last 30 hours, most of the last minutes, as group writes them; the offset of the last one."""
    now = datetime.now(UTC)
    async with clients.producer(bootstrap) as producer:
        for number in range(ARTICLES):
            age = timedelta(minutes=chance.paretovariate(0.5) - 1) % timedelta(hours=30)
            article = _article(number, now - age, chance)
            sent = await producer.send(kafka_topics.UPDATES.name, article.encode(), headers=[("type", b"article")])
        return int((await sent).offset)


def _article(number: int, arrived: datetime, chance: random.Random) -> Article:
    entities = {min(2_000, int(chance.paretovariate(0.7))) for _ in range(chance.randrange(6))}
    return Article(
        id=f"a{number}",
        revision=1,
        source=f"source {chance.randrange(300)}" if chance.random() < 0.95 else None,
        url=None,
        title=None,
        text="نص",
        published_at=None,
        received_at=arrived,
        language=chance.choice(["ar", "ar", "ar", "en", "fr"]),
        language_score=1.0,
        entities=[Entity(id=f"Q{entity}", name=f"name {entity}", type="PER") for entity in sorted(entities)],
        topics=[Topic(id=f"medtop:{chance.randrange(17):02}000000", label="topic", score=0.5)],
        duplicate_of="another" if chance.random() < 0.15 else None,
        similarity=None,
        story=f"s{chance.randrange(number + 1) // 3}",
    )
