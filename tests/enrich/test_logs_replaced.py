"""Topics that are deleted and created again, older copies that are put back, records deleted before they were read.

What was accepted comes out and is counted as often as it is on ``updates``; what cannot is reported.
"""

import contextlib
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from services import groups, kafka_topics
from services import kafka as clients
from services.clock import utc_now
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

    def logged(self, event: str) -> list[dict[str, str]]:
        """The fields of the log lines of all workers with this event."""
        lines = [line for path in self.base.glob("worker*.log") for line in path.read_text().splitlines()]
        return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines if f" {event} " in line]


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


async def test_topics_created_again_while_the_worker_runs(world: World) -> None:
    """The worker creates a missing topic, notices that its log is another one, and continues with all that is kept."""
    async with world.worker():
        ids = await world.push(20)
        await world.come_out(ids)
        # What was published is on earlier topics too, so ``updates`` goes first.
        for topic in reversed(_ALL):
            known = await clients.read_log_id(world.kafka.bootstrap, topic.name)
            await world.delete(topic)

            async def again(name: str = topic.name, old: str = known) -> bool:
                with contextlib.suppress(KafkaError):
                    return await clients.read_log_id(world.kafka.bootstrap, name) != old
                return False

            await eventually(again)
            ids += await world.push(4)
            await world.come_out(ids)


async def test_annotated_articles_that_were_not_grouped_are_annotated_again(world: World) -> None:
    """They were only on the deleted topic, and their articles are still on ``articles.raw``."""
    async with world.worker():
        before = await world.push(5)
        await world.come_out(before)
        await world.all_committed()
    async with world.worker("annotate"):
        lost = await world.push(9)

        async def annotated() -> bool:
            return await world.committed(kafka_topics.RAW) == 14

        await eventually(annotated)
    await world.delete(kafka_topics.ANNOTATED)
    async with world.worker():
        await world.come_out([*before, *lost])


async def test_records_deleted_before_they_were_read_are_reported(world: World) -> None:
    """The worker continues with the oldest kept record; a log line, and the group's commits, have the number."""
    async with world.worker():
        first = await world.push(5)
        await world.come_out(first)
        await world.all_committed()
    second = await world.push(10)
    await world.delete_before(kafka_topics.RAW, 8)
    async with world.worker("annotate"):

        async def annotated() -> bool:
            return await world.committed(kafka_topics.RAW) == 15

        await eventually(annotated)
    await world.delete_before(kafka_topics.ANNOTATED, 7)
    async with world.worker("group"):

        async def grouped() -> bool:
            return second[-1] in await world.published()

        await eventually(grouped)
    async with clients.reader(world.kafka.bootstrap, kafka_topics.UPDATES.name) as reader:
        newest = await reader.end() - 1
    await world.delete_before(kafka_topics.UPDATES, newest - 3)
    store = Store(world.valkey.url)
    async with world.worker():

        async def counted() -> bool:
            state = await store.state(await clients.read_log_id(world.kafka.bootstrap))
            return state.applied >= newest and not state.complete.rebuilding and state.complete.since is not None

        await eventually(counted)
        assert (await store.top("source", "all", limit=1)).total == 5 + len(
            [name for name in await world.published() if name in second]
        )
    await store.close()
    reported = {
        (line["topic"], line["cause"]): line["records_deleted_unread"] for line in world.logged("position_moved")
    }
    assert reported["articles.raw", "records_deleted"] == "3"
    assert reported["articles.annotated", "records_deleted"] == "2"
    lost = await groups.deleted_unread(world.kafka.bootstrap, groups.GROUP)
    assert (lost["articles.raw"], lost["articles.annotated"]) == (3, 2)
    assert world.logged("updates_deleted_uncounted")


@pytest.mark.timeout(300)
async def test_older_copies_that_are_put_back(own_valkey: Valkey, tmp_path: Path) -> None:
    """Of one partition, of all of Kafka, and of the store: what any of them has comes out, and counts are exact."""
    kafka = Kafka(tmp_path / "kafka")
    await kafka.start()
    await kafka_topics.ensure(kafka.bootstrap, raw_partitions=1, replication=1)
    world = World(kafka, own_valkey, tmp_path)
    store = Store(own_valkey.url)
    log, kept = kafka.directory / "log", tmp_path / "copy"

    async def run(count: int, expected: Collection[str]) -> list[str]:
        async with world.worker():
            ids = await world.push(count)
            await world.come_out([*expected, *ids])
            await world.all_committed()
        return ids

    async def put_back(*names: str) -> None:
        await kafka.stop()
        for name in names:
            shutil.rmtree(log / name)
            shutil.copytree(kept / name, log / name)
        await kafka.start()

    try:
        ids = await run(6, [])
        await kafka.stop()
        shutil.copytree(log, kept)
        await kafka.start()
        ids += await run(9, ids)
        for partition in ("updates-0", "articles.annotated-0", "articles.raw-0"):
            await put_back(partition)
            ids += await run(3, ids)
        await own_valkey.stop()
        shutil.copytree(own_valkey.directory, tmp_path / "valkey-copy")
        await own_valkey.start()
        ids += await run(3, ids)
        await own_valkey.stop()
        shutil.rmtree(own_valkey.directory)
        shutil.copytree(tmp_path / "valkey-copy", own_valkey.directory)
        await own_valkey.start()
        ids += await run(3, ids)
        # All of Kafka: what was accepted since the copy is gone with it, and the counts no longer include it.
        await kafka.stop()
        shutil.rmtree(log)
        shutil.copytree(kept, log)
        await kafka.start()
        restored = utc_now()
        await run(20, ids[:6])
        assert len(await world.published()) == 26
        state = await store.state(await clients.read_log_id(kafka.bootstrap))
        assert state.complete.since is not None and state.complete.since >= restored
        assert [await store.locate(name) for name in ids[6:]] == [None] * (len(ids) - 6)
    finally:
        await store.close()
        await kafka.stop()
