"""A worker that is paused for longer than its session, and resumes when another one has taken over."""

import asyncio
import random
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from enrich.annotate import annotate
from services import kafka as clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.events import AnnotatedArticle, Article
from tests.enrich.reference import expected_events, first_difference
from tests.enrich.workers import empty_topics
from tests.harness import arrivals, eventually, log_of, raw, seed_articles, service, updates

ARTICLES = 900
SEED = 20261122


@pytest.mark.timeout(180)
async def test_a_paused_worker_that_resumes_corrupts_nothing(tmp_path: Path, workers_kafka: Kafka) -> None:
    """Paused in the middle of a batch and replaced, it cannot write that batch: it exits, and starts again.

    Nothing is published twice, nothing is lost, and all is grouped as by one worker that was never paused.
    """
    kafka = workers_kafka
    await empty_topics(kafka.bootstrap, raw_partitions=1)
    articles = _articles()
    options = ("enrich", "--stages", "group")
    some = {"kafka": kafka.bootstrap, "data_dir": tmp_path, "session_timeout": 2}

    async def published(count: int) -> bool:
        return len(await updates(kafka.bootstrap)) >= count

    async with AsyncExitStack() as stack:
        paused = await stack.enter_async_context(service(*options, log=tmp_path / "paused.log", **some))
        await _send(kafka, articles[:600])
        await eventually(lambda: published(1))
        paused.process._child.send_signal(signal.SIGSTOP)
        assert not await published(2 * 600), "it is in the middle of its work"
        other = await stack.enter_async_context(service(*options, log=tmp_path / "other.log", **some))
        await eventually(lambda: published(2 * 600))
        paused.process._child.send_signal(signal.SIGCONT)
        await _send(kafka, articles[600:750])
        async with asyncio.timeout(30):
            assert await paused.process.wait() > 0
        await paused.start()
        await eventually(lambda: published(2 * 750))
        other.process.kill()
        await _send(kafka, articles[750:])
        await eventually(lambda: published(2 * ARTICLES))
    events = await updates(kafka.bootstrap)
    assert [event.id for event in events if isinstance(event, Article)] == [article.id for article in articles]
    assert first_difference(events, expected_events(articles)) is None
    assert not await log_of(kafka.bootstrap, kafka_topics.REJECTED)


def _articles() -> list[AnnotatedArticle]:
    """Variations of the seeds, annotated."""
    chance = random.Random(SEED)
    seeds = seed_articles()
    found = []
    for number, arrived in zip(range(ARTICLES), arrivals(), strict=False):
        seed = seeds[number % len(seeds)]
        words = (seed.text or seed.html or "").split()[:60]
        text = " ".join(chance.sample(words, k=max(1, len(words) // 2)))
        found.append(annotate(raw(seed, f"{number:05}", arrived, text=text, html=None)))
    return found


async def _send(kafka: Kafka, articles: Sequence[AnnotatedArticle]) -> None:
    async with clients.producer(kafka.bootstrap) as producer:
        for article in articles:
            await producer.send(kafka_topics.ANNOTATED.name, article.encode(), key=article.id.encode())
