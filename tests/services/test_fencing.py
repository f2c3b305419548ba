"""Only the last producer to acquire a topic's write fence can append, on a real broker."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services import kafka_topics
from services.embedded.kafka import Kafka
from services.fencing import FENCE, Fenced, FencedProducer, Record
from tests.harness import log_of


def record(value: str) -> Record:
    """Any record."""
    return None, value.encode(), []


async def topic(kafka: Kafka, name: str) -> kafka_topics.KafkaTopic:
    """A new topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()
    return kafka_topics.KafkaTopic(name)


async def values(kafka: Kafka, on: kafka_topics.KafkaTopic) -> list[str]:
    """The values of the topic's records; for a fence, its type."""
    return [
        record.value.decode() or dict(record.headers)["type"].decode() for record in await log_of(kafka.bootstrap, on)
    ]


async def test_a_fenced_producer_cannot_append(kafka: Kafka) -> None:
    """Each producer can append until another one acquires the fence, and its first record is its fence."""
    log = await topic(kafka, "fencing.taken")
    first = await FencedProducer.acquire(kafka.bootstrap, log.name)
    assert first.fence == 0
    assert await first.append([record("a"), record("b")]) == [1, 2]
    second = await FencedProducer.acquire(kafka.bootstrap, log.name)
    assert second.fence == 3
    for _ in range(2):
        with pytest.raises(Fenced):
            await first.append([record("late")])
    assert await second.append([record("c")]) == [4]
    third = await FencedProducer.acquire(kafka.bootstrap, log.name)
    for former in (first, second):
        with pytest.raises(Fenced):
            await former.append([record("late")])
    assert await third.append([record("d")]) == [6]
    assert await values(kafka, log) == [FENCE, "a", "b", FENCE, "c", FENCE, "d"]
    for producer in (first, second, third):
        producer.close()


async def test_a_producer_that_has_not_appended_is_fenced_too(kafka: Kafka) -> None:
    """The former holder is fenced even if it has appended nothing; another topic has another fence."""
    log, other = await topic(kafka, "fencing.idle"), await topic(kafka, "fencing.other")
    first, elsewhere = (
        await FencedProducer.acquire(kafka.bootstrap, log.name),
        await FencedProducer.acquire(kafka.bootstrap, other.name),
    )
    second = await FencedProducer.acquire(kafka.bootstrap, log.name)
    with pytest.raises(Fenced):
        await first.append([record("late")])
    assert await elsewhere.append([record("mine")]) == [1], "another topic has another fence"
    for producer in (first, second, elsewhere):
        producer.close()


async def test_batches_in_flight_are_not_written_after_the_fence(kafka: Kafka) -> None:
    """Batches in flight are before the fence, in their order, or not on the log."""
    log = await topic(kafka, "fencing.burst")
    former = await FencedProducer.acquire(kafka.bootstrap, log.name)

    async def write() -> None:
        for number in range(10_000):
            await former.append([record(f"{number}.{part}") for part in range(20)])

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.3)
    producers = [await FencedProducer.acquire(kafka.bootstrap, log.name) for _ in range(3)]
    with pytest.raises(Fenced):
        await writing
    written = await values(kafka, log)
    fence = producers[0].fence
    assert len(written) > fence > 1, "it was in the middle of writing"
    assert written[1:fence] == [f"{at // 20}.{at % 20}" for at in range(fence - 1)]
    assert written[fence:] == [FENCE] * 3
    for producer in (former, *producers):
        producer.close()


async def test_a_fence_survives_a_kill_of_the_broker(tmp_path: Path) -> None:
    """The fence is kept with the log, not in the broker's memory."""
    kafka = Kafka(tmp_path / "kafka")
    await kafka.start()
    log = await topic(kafka, "fencing.killed")
    former, current = (
        await FencedProducer.acquire(kafka.bootstrap, log.name),
        await FencedProducer.acquire(kafka.bootstrap, log.name),
    )
    kafka.process.kill()
    await kafka.process.wait()
    await kafka.start()
    with pytest.raises(Fenced):
        await former.append([record("late")])
    await current.append([record("mine")])
    assert await values(kafka, log) == [FENCE, FENCE, "mine"]
    former.close()
    current.close()
    await kafka.stop()
