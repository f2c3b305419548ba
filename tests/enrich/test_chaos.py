"""Workers are killed under load, again and again; the output is that of an uninterrupted run."""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services import kafka as clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.events import AnnotatedArticle, Article
from services.store import Store
from tests.enrich.reference import expected_events, first_difference
from tests.enrich.workers import empty_topics
from tests.harness import Child, eventually, kept_running, log_of, raw, seed_articles, service, updates

ARTICLES = 1_500
KILLS = 6
SEED = 20261106


@pytest.mark.timeout(300)
async def test_killed_workers_lose_nothing_and_repeat_nothing(
    tmp_path: Path, workers_kafka: Kafka, own_valkey: Valkey
) -> None:
    """Every article comes out exactly once, in the group and story an uninterrupted run gives it, counted once."""
    chance = random.Random(SEED)
    kafka, valkey = workers_kafka, own_valkey
    await empty_topics(kafka.bootstrap, raw_partitions=4)
    store = Store(valkey.url)
    async with AsyncExitStack() as stack:
        settings = {"kafka": kafka.bootstrap, "redis": valkey.url, "data_dir": tmp_path, "session_timeout": 2}
        workers = [
            await stack.enter_async_context(service("enrich", log=tmp_path / f"{number}.log", **settings))
            for number in range(2)
        ]
        for worker in workers:
            await stack.enter_async_context(kept_running(worker))
        ids = {f"{number:05}" for number in range(ARTICLES)}
        feeding = asyncio.create_task(_feed(kafka.bootstrap, sorted(ids), chance))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(2.0, 4.0))
            chance.choice(workers).process.kill()
        await feeding

        async def counted() -> bool:
            return (await store.top("language", "all", limit=1)).total >= ARTICLES

        try:
            await eventually(counted, seconds=120)
        except AssertionError:
            pytest.fail(await _state(kafka, workers))
        events = await updates(kafka.bootstrap)
        published = [event for event in events if isinstance(event, Article)]
        assert {article.id for article in published} == ids, "nothing is lost"
        assert len(published) == len(ids), "nothing is published twice"
        expected = expected_events(
            AnnotatedArticle.model_validate_json(record.value)
            for record in await log_of(kafka.bootstrap, kafka_topics.ANNOTATED)
        )
        assert first_difference(events, expected) is None, "articles and stories are those of an uninterrupted run"
        top = await store.top("language", "all", limit=100)
        assert top.total == len(ids), "each is counted once"
        assert sum(count.count for count in top.items) == len(ids)
        assert top.duplicates == sum(article.duplicate_of is not None for article in published)
        assert not await log_of(kafka.bootstrap, kafka_topics.REJECTED)
    await store.close()


async def _state(kafka: Kafka, workers: list[Child]) -> str:
    """Where the records are, and the ends of the workers' logs."""
    ends = {}
    for topic in (kafka_topics.ANNOTATED, kafka_topics.UPDATES):
        async with clients.reader(kafka.bootstrap, topic.name) as reader:
            ends[topic.name] = await reader.end()
    articles = {event.id for event in await updates(kafka.bootstrap) if isinstance(event, Article)}
    logs = "\n".join(f"--- {one.log.name}\n{one.log.read_text()[-3_000:]}" for one in workers)
    return f"{len(articles)} of {ARTICLES} articles were published; ends of topics: {ends}\n{logs}"


async def _feed(bootstrap: str, ids: list[str], chance: random.Random) -> None:
    """Variations of the seeds, spread over the time of the kills."""
    seeds = seed_articles()
    async with clients.producer(bootstrap) as producer:
        for number, article_id in enumerate(ids):
            seed = seeds[number % len(seeds)]
            words = (seed.text or seed.html or "").split()
            text = " ".join(chance.sample(words, k=max(1, len(words) // 2)))
            record = raw(seed, article_id, text=text, html=None)
            await producer.send(kafka_topics.RAW.name, record.encode(), key=article_id.encode())
            if number % 25 == 0:
                await asyncio.sleep(0.3)
