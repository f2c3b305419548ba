"""Who writes a topic: the last one to have asked, on the real broker."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services import kafka_topics
from services.embedded.kafka import Kafka
from services.fencing import FENCE, Fenced, FencedProducer, Record
from tests.harness import log_of


def record(value: str) -> Record:
    """A record of no particular kind."""
    return None, value.encode(), []


async def topic(kafka: Kafka, name: str) -> kafka_topics.Topic:
    """A new topic of the test's own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()
    return kafka_topics.Topic(name)


async def values(kafka: Kafka, on: kafka_topics.Topic) -> list[str]:
    """What is on the topic; a fence as its type."""
    return [
        record.value.decode() or dict(record.headers)["type"].decode() for record in await log_of(kafka.bootstrap, on)
    ]


async def test_a_pen_that_was_taken_away_writes_no_more(kafka: Kafka) -> None:
    """Each pen writes until the next one is taken, never after, and each begins with its fence."""
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
    for pen in (first, second, third):
        pen.close()


async def test_a_pen_that_has_written_nothing_yet_is_fenced_too(kafka: Kafka) -> None:
    """It does not matter where in its life the former holder was stopped, nor that topics share a cluster."""
    log, other = await topic(kafka, "fencing.idle"), await topic(kafka, "fencing.other")
    first, elsewhere = (
        await FencedProducer.acquire(kafka.bootstrap, log.name),
        await FencedProducer.acquire(kafka.bootstrap, other.name),
    )
    second = await FencedProducer.acquire(kafka.bootstrap, log.name)
    with pytest.raises(Fenced):
        await first.append([record("late")])
    assert await elsewhere.append([record("mine")]) == [1], "another topic has another pen"
    for pen in (first, second, elsewhere):
        pen.close()


async def test_nothing_of_a_burst_in_flight_comes_behind_the_fence(kafka: Kafka) -> None:
    """Batches that were on their way lie before the fence in their order, or nowhere."""
    log = await topic(kafka, "fencing.burst")
    former = await FencedProducer.acquire(kafka.bootstrap, log.name)

    async def write() -> None:
        for number in range(10_000):
            await former.append([record(f"{number}.{part}") for part in range(20)])

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.3)
    pens = [await FencedProducer.acquire(kafka.bootstrap, log.name) for _ in range(3)]
    with pytest.raises(Fenced):
        await writing
    lying = await values(kafka, log)
    assert len(lying) > pens[0].fence > 1, "it was in the middle of writing"
    assert lying[1 : pens[0].fence] == [f"{at // 20}.{at % 20}" for at in range(pens[0].fence - 1)]
    assert lying[pens[0].fence :] == [FENCE] * 3
    for pen in (former, *pens):
        pen.close()


async def test_a_broker_that_was_killed_still_knows_who_may_write(tmp_path: Path) -> None:
    """The fence is kept with the log, not in the broker's memory."""
    kafka = Kafka(tmp_path / "kafka")
    await kafka.start()
    log = await topic(kafka, "fencing.killed")
    former, pen = (
        await FencedProducer.acquire(kafka.bootstrap, log.name),
        await FencedProducer.acquire(kafka.bootstrap, log.name),
    )
    kafka.process.kill()
    await kafka.process.wait()
    await kafka.start()
    with pytest.raises(Fenced):
        await former.append([record("late")])
    await pen.append([record("mine")])
    assert await values(kafka, log) == [FENCE, FENCE, "mine"]
    former.close()
    pen.close()
    await kafka.stop()
