"""Workers and the store are killed at random while articles are counted; then all is recounted from the log."""

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
from services.store import Store, layout
from tests.enrich.recount import recounted, stored
from tests.enrich.workers import empty_topics
from tests.harness import eventually, kept_running, service, updates

KILLS = 10
# A minute of which more ids arrive than the budgets of new ids allow.
FLOOD = datetime.now(UTC) - timedelta(minutes=90)
SEED = 7


@pytest.mark.timeout(600)
@pytest.mark.parametrize("articles", [10_000, pytest.param(100_000, marks=pytest.mark.soak)])
async def test_every_number_is_that_of_a_recount(
    tmp_path: Path, workers_kafka: Kafka, own_valkey: Valkey, articles: int
) -> None:
    """Minutes, hours, days, windows, pairs, distinct sources: after all kills they agree with the log."""
    chance = random.Random(SEED)
    bootstrap = workers_kafka.bootstrap
    await empty_topics(bootstrap, raw_partitions=1)
    store = Store(own_valkey.url)
    async with AsyncExitStack() as stack:
        settings = {"kafka": bootstrap, "redis": own_valkey.url, "data_dir": tmp_path, "session_timeout": 2}
        workers = [
            await stack.enter_async_context(
                service("enrich", "--stages", "aggregate", log=tmp_path / f"{number}.log", **settings)
            )
            for number in range(2)
        ]
        for worker in workers:
            await stack.enter_async_context(kept_running(worker))
        for kill in range(KILLS):
            # A part before each kill, so that there is always something to count, and something was counted already.
            first = kill * articles // KILLS
            last = await _write(bootstrap, range(first, (kill + 1) * articles // KILLS), chance)
            await asyncio.sleep(chance.uniform(0.2, 2.0))
            if kill % 2:
                await _kill_store(own_valkey, chance)
            else:
                chance.choice(workers).process.kill()
        name = await clients.read_log_id(bootstrap)

        async def counted() -> bool:
            return await store.applied(name) >= last

        await eventually(counted, seconds=400)
    # The workers have ended: no window moves between the two readings.
    numbers, edges = await stored(store)
    published = [event for event in await updates(bootstrap) if isinstance(event, Article)]
    assert len(published) == articles
    wanted = recounted(published, edges)
    assert numbers.keys() == wanted.keys()
    for key, counts in wanted.items():
        assert numbers[key] == counts, key
    for dimension in ("entity", "source"):
        assert numbers[dimension, "all"][layout.OTHER] > 0
    await _sources_are_right(store, published)
    await store.close()


async def _sources_are_right(store: Store, articles: list[Article]) -> None:
    today = datetime.now(UTC).date()
    recent = [one for one in articles if (today - one.received_at.date()).days <= 1]
    # Of entities with few sources one hash collision is already more than the error that is allowed.
    for item in (await store.top("entity", "24h", limit=len(articles) // 2_000, sources=True)).items:
        if item.id == layout.OTHER:
            continue
        sources = {one.source for one in recent if item.id in {entity.id for entity in one.entities}}
        assert item.sources == pytest.approx(len(sources), rel=0.03, abs=1)


async def _kill_store(valkey: Valkey, chance: random.Random) -> None:
    os.kill(valkey.process.pid, signal.SIGKILL)
    await valkey.process.wait()
    await asyncio.sleep(chance.uniform(0.0, 2.0))
    await valkey.start()


async def _write(bootstrap: str, numbers: range, chance: random.Random) -> int:
    """Articles of the last 30 hours, most of the last minutes, as group writes them; the offset of the last one."""
    now = datetime.now(UTC)
    async with clients.producer(bootstrap) as producer:
        for number in numbers:
            age = timedelta(minutes=chance.paretovariate(0.5) - 1) % timedelta(hours=30)
            article = _flooded(_article(number, now - age, chance), number)
            sent = await producer.send(kafka_topics.UPDATES.name, article.encode(), headers=[("type", b"article")])
        return int((await sent).offset)


def _flooded(article: Article, number: int) -> Article:
    """One of eight articles has a made-up source, one of a hundred 150 made-up names, all in one minute."""
    if number % 8 == 0:
        return article.model_copy(update={"source": f"made up {number}", "received_at": FLOOD})
    if number % 100 == 1:
        names = [Entity(id=f"x{number}-{name}", name="made up", type="PER") for name in range(150)]
        return article.model_copy(update={"source": "flood", "received_at": FLOOD, "entities": names})
    return article


def _article(number: int, arrived: datetime, chance: random.Random) -> Article:
    numbers = {min(2_000, int(chance.paretovariate(0.7))) for _ in range(chance.randrange(6))}
    ids = [f"{'x' if entity % 3 else 'Q'}{entity}" for entity in sorted(numbers)]
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
        entities=[Entity(id=entity, name=f"name {entity}", type="PER") for entity in ids],
        topics=[Topic(id=f"medtop:{chance.randrange(17):02}000000", label="topic", score=0.5)],
        duplicate_of="another" if chance.random() < 0.15 else None,
        similarity=None,
        story=f"s{chance.randrange(number + 1) // 3}",
    )
