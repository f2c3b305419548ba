"""Topics that are deleted and created again, older copies that are put back, records deleted before they were read.

What was accepted comes out and is counted as often as it is on ``updates``; what cannot is reported.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from services import kafka as clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.events import Article, ArticleIn
from services.store import Store
from tests.enrich.workers import empty_topics
from tests.harness import Child, eventually, kept_running, raw, service, updates

_ALL = (kafka_topics.RAW, kafka_topics.ANNOTATED, kafka_topics.UPDATES)


@dataclass
class World:
    """One Kafka, one store, and workers that are restarted when they end, as ``khabar up`` does."""

    kafka: Kafka
    valkey: Valkey
    base: Path
    sent: list[str] = field(default_factory=list)
    _number: int = 0

    @asynccontextmanager
    async def worker(self, *stages: str) -> AsyncIterator[Child]:
        """A worker until the end of the block."""
        options = ("--stages", ",".join(stages)) if stages else ()
        self._number += 1
        settings = {
            "kafka": self.kafka.bootstrap,
            "redis": self.valkey.url,
            "data_dir": self.base,
            "session_timeout": 2,
            "story_window_hours": 72,
        }
        path = self.base / f"worker{self._number}.log"
        async with service("enrich", *options, log=path, **settings) as child, kept_running(child):
            yield child

    async def push(self, count: int) -> list[str]:
        """Accept articles; return their ids."""
        first = len(self.sent)
        ids = [f"a{number:04}" for number in range(first, first + count)]
        async with clients.producer(self.kafka.bootstrap) as producer:
            for number, name in enumerate(ids, first):
                text = f"Report {number} on ferry line {number * 7919} in district {number * 31} of town {number * 97}."
                article = ArticleIn(text=text, title=f"Ferry {number * 7919}", source=f"s{number % 3}.example")
                await producer.send_and_wait(
                    "articles.raw", raw(article, name, datetime.now(UTC)).encode(), partition=0
                )
        self.sent += ids
        return ids

    async def published(self) -> list[str]:
        """The ids of the articles on ``updates``, in order."""
        return [event.id for event in await updates(self.kafka.bootstrap) if isinstance(event, Article)]

    async def come_out(self, ids: Collection[str], seconds: float = 40) -> None:
        """Wait until these articles, and nothing twice, are on ``updates`` and are counted exactly."""
        store = Store(self.valkey.url)

        async def out() -> bool:
            return set(ids) <= set(await self.published())

        async def counted() -> bool:
            log_id = await clients.read_log_id(self.kafka.bootstrap)
            top = await store.top("source", "all", limit=9)
            state = await store.state(log_id)
            located = [await store.locate(name) for name in ids]
            return (
                {item.id: item.count for item in top.items} == _by_source(await self.published())
                and not state.complete.rebuilding
                and None not in located
            )

        await eventually(out, seconds)
        assert max(Counter(await self.published()).values()) == 1
        await eventually(counted, seconds)
        await store.close()

    async def delete(self, *topics: kafka_topics.KafkaTopic) -> None:
        """Delete topics."""
        async with _admin(self.kafka) as admin:
            await admin.delete_topics([topic.name for topic in topics])

    async def delete_before(self, topic: kafka_topics.KafkaTopic, offset: int) -> None:
        """Delete records, as retention does."""
        async with _admin(self.kafka) as admin:
            await admin.delete_records({TopicPartition(topic.name, 0): RecordsToDelete(before_offset=offset)})

    async def committed(self, topic: kafka_topics.KafkaTopic) -> int:
        """The offset that the workers have committed."""
        async with _admin(self.kafka) as admin:
            found = await admin.list_consumer_group_offsets("khabar")
        place = found.get(TopicPartition(topic.name, 0))
        return -1 if place is None else int(place.offset)

    async def all_committed(self) -> None:
        """Wait until the offsets of everything published are committed."""

        async def done() -> bool:
            async with clients.reader(self.kafka.bootstrap, "updates") as reader:
                end = await reader.end()
            return await self.committed(kafka_topics.UPDATES) == end

        await eventually(done)

    def logged(self, event: str) -> list[dict[str, object]]:
        """The log lines of all workers with this event."""
        lines = [line for path in self.base.glob("worker*.log") for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines if f'"{event}"' in line]


def _by_source(ids: Collection[str]) -> dict[str, int]:
    return dict(Counter(f"s{int(name[1:]) % 3}.example" for name in ids))


@asynccontextmanager
async def _admin(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
async def world(workers_kafka: Kafka, own_valkey: Valkey, tmp_path: Path) -> World:
    """Empty topics and an empty store."""
    await empty_topics(workers_kafka.bootstrap, raw_partitions=1)
    return World(workers_kafka, own_valkey, tmp_path)


@pytest.mark.parametrize("topic", [*_ALL, kafka_topics.ENTRIES, kafka_topics.REJECTED], ids=lambda topic: topic.name)
async def test_a_topic_created_again_while_the_worker_is_stopped(world: World, topic: kafka_topics.KafkaTopic) -> None:
    """Articles accepted before and afterwards come out, although the committed offset is beyond the new log."""
    async with world.worker():
        before = await world.push(20)
        await world.come_out(before)
        await world.all_committed()
    await world.delete(topic)
    await kafka_topics.ensure(world.kafka.bootstrap, raw_partitions=1, replication=1)
    after = await world.push(8)
    async with world.worker():
        await world.come_out([*before, *after])
