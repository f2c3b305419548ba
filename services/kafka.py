"""Kafka clients as Khabar uses them: a producer that loses nothing, and readers without a consumer group."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import ConsumerRecord, RecordMetadata

from services import kafka_topics

MAX_RECORD_BYTES = 8_388_608

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Output:
    """A record to produce. Without a ``partition`` the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)
    partition: int | None = None


class NotAcknowledged(KafkaError):  # type: ignore[misc]
    """Kafka did not acknowledge a batch. ``sent``: some of it may be written, or may still be."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


# Seconds for each step of taking leave of a producer.
_FAREWELL = 2.0
_leaving: set[asyncio.Task[None]] = set()


def producer(bootstrap: str, *, linger_ms: int = 5) -> AIOKafkaProducer:
    """An idempotent producer that takes a record for written only when all in-sync replicas have it."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=linger_ms,
        compression_type="lz4",
        max_batch_size=262_144,  # articles are some KB each; in 16 KB batches half the time went to requests
        max_request_size=MAX_RECORD_BYTES,
        request_timeout_ms=15_000,
    )


async def produce_batch(
    producer: AIOKafkaProducer, outputs: Iterable[Output], *, within: float
) -> list[RecordMetadata]:
    """Produce in order; return what Kafka says of each record when all are acknowledged.

    Raises ``NotAcknowledged`` after ``within`` seconds, and the first ``KafkaError`` of any record; a
    ``ProducerFenced`` comes before all others. The producer must then be discarded: an idempotent one tries for ever,
    and Kafka refuses what it sends after a refused record.
    """
    pending: list[asyncio.Future[RecordMetadata]] = []
    try:
        async with asyncio.timeout(within):
            for output in outputs:
                pending.append(
                    await producer.send(
                        output.topic,
                        output.value,
                        key=output.key,
                        headers=output.headers,
                        partition=output.partition,
                    )
                )
            results = await asyncio.gather(*pending, return_exceptions=True)
    except TimeoutError:
        raise NotAcknowledged(f"Kafka did not acknowledge within {within:g} s", sent=bool(pending)) from None
    finally:
        for future in pending:
            future.add_done_callback(_retrieve)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise next((failure for failure in failures if isinstance(failure, ProducerFenced)), failures[0])
    return results


def _retrieve(future: asyncio.Future[RecordMetadata]) -> None:
    # The first failure was raised; asyncio shall not warn of the others.
    if not future.cancelled():
        future.exception()


def discard(producer: AIOKafkaProducer) -> asyncio.Task[None]:
    """Stop a producer and drop what it still holds, in the background and within about 4 seconds.

    For one that has failed. An idempotent producer tries for ever: kept, it would write much later what was answered
    with an error, and hold ever more in memory until then. And of a record that Kafka refused it keeps the sequence
    number, so that Kafka refuses all that follow.
    """
    task = asyncio.create_task(_abandon(producer))
    _leaving.add(task)
    task.add_done_callback(_leaving.discard)
    return task


async def _abandon(producer: AIOKafkaProducer) -> None:
    # ``stop`` alone waits until everything is written; so its sender is ended first, and who waits for what that leaves
    # is told. There is no public way.
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        done, _ = await asyncio.wait({sender}, timeout=_FAREWELL)
        if not done:
            sender.cancel()  # the first time it only waits for the requests under way
            await asyncio.wait({sender})
    left = producer._message_accumulator
    batches = [*left._pending_batches, *(batch for waiting in left._batches.values() for batch in waiting)]
    left.fail_all(KafkaError("the producer was given up"))
    for batch in batches:
        batch._drain_waiter.exception()  # nobody waits for room any more
    left._batches.clear()
    left._pending_batches.clear()
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.stop(), _FAREWELL)


def header(headers: object, name: str) -> str | None:
    """The last value of a header as text, or None."""
    found = None
    for key, value in headers or ():  # type: ignore[attr-defined]
        if key == name:
            found = value.decode("utf-8", "replace")
    return found


async def cluster_id(bootstrap: str) -> str:
    """The id of this Kafka cluster: another one, or the same begun anew, has another. Raises ``KafkaError``."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        described = await admin.describe_cluster()
    finally:
        with contextlib.suppress(Exception):
            await admin.close()
    return str(described["cluster_id"])


def log_id(cluster: str, topic: str = kafka_topics.UPDATES.name) -> str:
    """What the store knows the first partition of a topic of a Kafka cluster by."""
    return f"{cluster}/{topic}-0"


async def read_log_id(bootstrap: str, topic: str = kafka_topics.UPDATES.name) -> str:
    """What the store knows this log by. Offsets of another Kafka, or of one begun anew, say nothing about it.

    Raises ``KafkaError``.
    """
    return log_id(await cluster_id(bootstrap), topic)


class Reader:
    """Reads one partition at a position of its own, without a consumer group."""

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition

    async def oldest(self) -> int:
        """Offset of the oldest record still kept (that of the next record when there is none)."""
        return int((await self._consumer.beginning_offsets([self._partition]))[self._partition])

    async def end(self) -> int:
        """Offset that the next record will get."""
        return int((await self._consumer.end_offsets([self._partition]))[self._partition])

    async def at(self, timestamp_ms: int) -> int:
        """Offset of the first record with this or a later timestamp; the end when there is none."""
        found = (await self._consumer.offsets_for_times({self._partition: timestamp_ms}))[self._partition]
        return int(found.offset) if found else await self.end()

    async def between(self, start: int, stop: int) -> AsyncIterator[ConsumerRecord]:
        """Records from offset ``start`` up to but not including ``stop``, in order."""
        if start >= stop:
            return
        self._consumer.seek(self._partition, start)
        while await self._consumer.position(self._partition) < stop:
            batches = await self._consumer.getmany(self._partition, timeout_ms=500)
            for record in batches.get(self._partition, ()):
                if record.offset >= stop:
                    return
                yield record

    async def follow(self, start: int) -> AsyncIterator[list[ConsumerRecord]]:
        """Batches of records from offset ``start`` on, without end, as they arrive."""
        self._consumer.seek(self._partition, start)
        while True:
            batches = await self._consumer.getmany(self._partition, timeout_ms=60_000)
            records = batches.get(self._partition)
            if records:
                yield records


@asynccontextmanager
async def reader(bootstrap: str, topic: str, partition: int = 0) -> AsyncIterator[Reader]:
    """Open a ``Reader`` on one partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        # A position that is no longer kept is an error to handle, never a silent jump.
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
    )
    assigned = TopicPartition(topic, partition)
    consumer.assign([assigned])
    try:
        await consumer.start()
        # A consumer that is stopped before its tasks took their first step raises CancelledError.
        await asyncio.sleep(0)
        yield Reader(consumer, assigned)
    finally:
        await consumer.stop()
