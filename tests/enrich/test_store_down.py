"""The store is away until Faust's buffers are full: articles still come out, and no count is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services import groups, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.events import Article, ArticleIn
from services.store import Store
from tests.enrich.workers import empty_topics
from tests.harness import Child, eventually, log_of, raw, service, updates

SEED = 20261122
PUBLISHED = 1_200
"""Articles that are on ``updates`` already: more than a worker buffers of one topic."""
SENT = 200


class _System:
    """Servers and one worker of this module alone."""

    def __init__(self, base: Path, kafka: Kafka) -> None:
        self.base = base
        self.kafka = kafka
        self.valkey = Valkey(base / "valkey")
        self.worker: Child
        self.chance = random.Random(SEED)
        self.sent: list[str] = []
        self.out: list[str] = []
        self.read = 0

    @property
    def settings(self) -> dict[str, object]:
        """Settings of a worker."""
        servers = {"kafka": self.kafka.bootstrap, "redis": self.valkey.url}
        return {**servers, "data_dir": self.base, "session_timeout": 2}

    async def send(self, count: int) -> None:
        """New articles to ``articles.raw``, each of words that no other has."""
        named = [f"raw-{len(self.sent) + number:05}" for number in range(count)]
        articles = [raw(ArticleIn(text=self._words(), source="raw.example"), article_id) for article_id in named]
        await self._produce(kafka_topics.RAW, [(article.id, article.encode(), []) for article in articles])
        self.sent += named

    async def publish(self, count: int, first: int = 0) -> None:
        """Articles to ``updates`` as group publishes them."""
        articles = [_published(f"published-{number:05}") for number in range(first, first + count)]
        await self._produce(
            kafka_topics.UPDATES, [(article.id, article.encode(), [("type", b"article")]) for article in articles]
        )

    async def all_out(self) -> bool:
        """Whether all articles that were sent are on ``updates``, each once."""
        async with clients.reader(self.kafka.bootstrap, kafka_topics.UPDATES.name) as reader:
            end = await reader.end()
            async for record in reader.between(self.read, end):
                # Stories have other keys.
                if (record.key or b"").startswith(b"raw-"):
                    self.out.append(record.key.decode())
        self.read = end
        assert len(set(self.out)) == len(self.out), "nothing is published twice"
        return set(self.out) == set(self.sent)

    async def waits(self, stage: str) -> None:
        """Wait until the worker logs that this stage waits."""
        start = len(self.worker.log.read_bytes())
        await eventually(lambda: f"stage={stage}".encode() in self.worker.log.read_bytes()[start:])

    async def members(self, count: int) -> None:
        """Wait until this number of workers share the work."""

        async def shared() -> bool:
            return await groups.stable_members(self.kafka.bootstrap, groups.GROUP) == count

        await eventually(shared)

    async def right(self, store: Store) -> None:
        """Wait until the store reflects the whole log, and compare its numbers with it."""
        name = await clients.read_log_id(self.kafka.bootstrap)
        last = (await log_of(self.kafka.bootstrap, kafka_topics.UPDATES))[-1].offset

        async def caught_up() -> bool:
            return await store.applied(name) >= last

        await eventually(caught_up, seconds=60)
        articles = [event for event in await updates(self.kafka.bootstrap) if isinstance(event, Article)]
        top = await store.top("source", "all", limit=10)
        assert top.total == len(articles)
        assert {item.id: item.count for item in top.items} == _count(article.source for article in articles)
        assert top.duplicates == sum(article.duplicate_of is not None for article in articles)

    def _words(self) -> str:
        return " ".join("".join(self.chance.choices("ابتجحدرزسصطعفقكلمنهوي", k=6)) for _ in range(12))

    async def _produce(self, topic: kafka_topics.KafkaTopic, records: list[tuple[str, bytes, clients.Headers]]) -> None:
        async with clients.producer(self.kafka.bootstrap) as producer:
            sent = [
                await producer.send(topic.name, value, key=key.encode(), headers=headers)
                for key, value, headers in records
            ]
            await asyncio.gather(*sent)


def _published(article_id: str) -> Article:
    return Article(
        id=article_id,
        revision=1,
        source="published.example",
        url=None,
        title=None,
        text="نص",
        published_at=None,
        received_at=datetime.now(UTC),
        language="ar",
        language_score=1,
        entities=[],
        topics=[],
        duplicate_of=None,
        similarity=None,
        story=article_id,
    )


def _count(names: Iterable[str | None]) -> dict[str | None, int]:
    counts: dict[str | None, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


@pytest.fixture(scope="module")
async def system(workers_kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[_System]:
    """Kafka with empty topics, an empty Valkey and one worker."""
    own = _System(tmp_path_factory.mktemp("down"), workers_kafka)
    await own.valkey.start()
    await empty_topics(workers_kafka.bootstrap, raw_partitions=2)
    async with service("enrich", log=own.base / "enrich.log", **own.settings) as own.worker:
        yield own
    await own.valkey.stop()


async def test_articles_go_on_however_much_is_not_counted_yet(system: _System) -> None:
    """More is on ``updates`` than a worker buffers, in fetches that overfill the buffer; no stage stalls."""
    store = Store(system.valkey.url)
    await system.send(1)
    await eventually(system.all_out)
    await system.right(store)
    await system.valkey.stop()
    await system.publish(1)
    await system.waits("aggregate")
    # The batch in flight waits. Of the next records some are buffered; the rest then comes in one large fetch.
    await system.publish(350, first=1)
    await asyncio.sleep(1)
    await system.publish(PUBLISHED - 351, first=351)
    await system.waits("aggregate")
    await system.send(SENT)
    await eventually(system.all_out, seconds=30)
    await system.valkey.start()
    await system.right(store)
    await store.close()


async def test_workers_join_and_leave_while_the_store_is_away(system: _System) -> None:
    """A worker that joins, is stopped or is killed does not wait for the store, nor hold up the others."""
    store = Store(system.valkey.url)
    await system.valkey.stop()
    await system.publish(PUBLISHED, first=PUBLISHED)
    await system.waits("aggregate")
    async with service("enrich", log=system.base / "second.log", **system.settings) as second:
        await system.members(2)
        await system.send(20)
        await eventually(system.all_out)
        await system.worker.process.stop(seconds=10)
        assert system.worker.process.returncode == 0
        await system.members(1)
        await system.send(20)
        await eventually(system.all_out)
        second.process.kill()
        await second.process.wait()
    await system.worker.start()
    await system.send(20)
    await eventually(system.all_out)
    await system.valkey.start()
    await system.right(store)
    await store.close()
