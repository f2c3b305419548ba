"""Kafka clients as Khabar uses them: an idempotent producer, and readers without a consumer group."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
    RecordTooLargeError,
    UnsupportedForMessageFormatError,
)
from aiokafka.structs import ConsumerRecord, RecordMetadata

from services import header_names, kafka_topics

MAX_RECORD_BYTES = 8_388_608

header_names.install()

Headers = list[tuple[str, bytes | None]]
"""Names and values of a record's headers; a foreign producer may write a name without a value."""

# What Kafka or its client answers when the record itself is the reason: it would do so again at each attempt.
_REFUSALS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
    InvalidTimestampError,
    CorruptRecordException,
    UnsupportedForMessageFormatError,
)


@dataclass(frozen=True)
class Output:
    """A record to produce. Without a ``partition``, its key decides the partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)
    partition: int | None = None


class NotAcknowledged(KafkaError):  # type: ignore[misc]
    """Kafka did not acknowledge a batch. ``sent``: some of its records may have been, or may still be, written."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class RecordRefused(KafkaError):  # type: ignore[misc]
    """Kafka refuses a record for what it is, such as its size; another attempt would not help.

    ``outputs``: the records of the batch that were not written. One of them at least is refused; the others may have
    been in its way only, and each can be sent by itself.
    """

    def __init__(self, cause: KafkaError, outputs: "list[Output]") -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.outputs = outputs


# Seconds for each step of closing a producer.
CLOSE_TIMEOUT = 2.0
_closing: set[asyncio.Task[None]] = set()


def producer(bootstrap: str, *, linger_ms: int = 5, max_record_bytes: int = MAX_RECORD_BYTES) -> AIOKafkaProducer:
    """An idempotent producer; a record counts as written once all in-sync replicas have it."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=linger_ms,
        compression_type="lz4",
        max_batch_size=262_144,  # articles are some KB each; with 16 KB batches, half the time was spent on requests
        max_request_size=max_record_bytes,
        request_timeout_ms=15_000,
    )


async def produce_batch(
    producer: AIOKafkaProducer, outputs: Iterable[Output], *, within: float
) -> list[RecordMetadata]:
    """Produce in order and await all acknowledgements; return the metadata of each record.

    Raises ``NotAcknowledged`` after ``within`` seconds, ``RecordRefused``, or the first ``KafkaError`` of any record;
    ``ProducerFenced`` takes precedence. After an error the caller must discard the producer: an idempotent one retries
    forever, and Kafka rejects all that it sends after a rejected record.
    """
    sent: list[Output] = []
    pending: list[asyncio.Future[RecordMetadata]] = []
    try:
        async with asyncio.timeout(within):
            for output in outputs:
                pending.append(await _send(producer, output))
                sent.append(output)
            results = await asyncio.gather(*pending, return_exceptions=True)
    except TimeoutError:
        raise NotAcknowledged(f"Kafka did not acknowledge within {within:g} s", sent=bool(pending)) from None
    finally:
        for future in pending:
            future.add_done_callback(_retrieve)
    failures = [result for result in results if isinstance(result, BaseException)]
    fenced = next((failure for failure in failures if isinstance(failure, ProducerFenced)), None)
    refusal = next((failure for failure in failures if isinstance(failure, _REFUSALS)), None)
    if refusal is not None and fenced is None:
        unwritten = [one for one, result in zip(sent, results, strict=True) if isinstance(result, BaseException)]
        raise RecordRefused(refusal, unwritten)
    if failures:
        raise fenced or failures[0]
    return results


async def _send(producer: AIOKafkaProducer, output: Output) -> "asyncio.Future[RecordMetadata]":
    """The future of a record's metadata; a record that the client itself refuses has one that failed."""
    # aiokafka writes no record without key and value, as foreign producers do.
    value = b"" if output.value is None and output.key is None else output.value
    try:
        return await producer.send(  # type: ignore[no-any-return]
            output.topic, value, key=output.key, headers=output.headers, partition=output.partition
        )
    except _REFUSALS as error:
        failed: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        failed.set_exception(error)
        return failed


def _retrieve(future: asyncio.Future[RecordMetadata]) -> None:
    # Only the first failure is raised; asyncio must not warn that the others were never retrieved.
    if not future.cancelled():
        future.exception()


def discard(producer: AIOKafkaProducer) -> asyncio.Task[None]:
    """Close a failed producer and drop its unsent records, in the background and within about 4 seconds.

    An idempotent producer retries forever: if it were kept, it would write records much later that were already
    reported as failed, and use more and more memory until then. After a record that Kafka rejected, its sequence
    numbers no longer match, so that Kafka rejects all that follow.
    """
    task = asyncio.create_task(_discard(producer))
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    return task


async def _discard(producer: AIOKafkaProducer) -> None:
    # ``stop`` alone waits until everything is written. So cancel its sender first, then fail the pending batches, so
    # that nothing waits for them. aiokafka has no public way to do this.
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        done, _ = await asyncio.wait({sender}, timeout=CLOSE_TIMEOUT)
        if not done:
            sender.cancel()  # the first cancellation only makes it wait for the requests in flight
            await asyncio.wait({sender})
    accumulator = producer._message_accumulator
    batches = [*accumulator._pending_batches, *(one for queue in accumulator._batches.values() for one in queue)]
    accumulator.fail_all(KafkaError("the producer was discarded"))
    for batch in batches:
        batch._drain_waiter.exception()  # mark it as retrieved: nothing waits for capacity any more
    accumulator._batches.clear()
    accumulator._pending_batches.clear()
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT)


def header(headers: object, name: str) -> str | None:
    """The last value of a header as text; None when there is none, or a name without a value."""
    found = None
    for key, value in headers or ():  # type: ignore[attr-defined]
        if key == name:
            found = None if value is None else value.decode("utf-8", "replace")
    return found


async def cluster_id(bootstrap: str) -> str:
    """The id of this Kafka cluster; a cluster that is formatted again gets a new id. Raises ``KafkaError``."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        described = await admin.describe_cluster()
    finally:
        with contextlib.suppress(Exception):
            await admin.close()
    return str(described["cluster_id"])


def log_id(cluster: str, topic: str = kafka_topics.UPDATES.name) -> str:
    """The id, in the store, of the first partition of a topic in a Kafka cluster."""
    return f"{cluster}/{topic}-0"


async def read_log_id(bootstrap: str, topic: str = kafka_topics.UPDATES.name) -> str:
    """``log_id`` for the cluster at these servers. Offsets are comparable only under the same id.

    Raises ``KafkaError``.
    """
    return log_id(await cluster_id(bootstrap), topic)


class Reader:
    """Reads one partition from any position, without a consumer group."""

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition

    async def oldest(self) -> int:
        """Offset of the oldest record that Kafka still keeps; the end offset when there is none."""
        return int((await self._consumer.beginning_offsets([self._partition]))[self._partition])

    async def end(self) -> int:
        """The end offset: that of the next record to be written, or of the first one of an open transaction."""
        return int((await self._consumer.end_offsets([self._partition]))[self._partition])

    async def at(self, timestamp_ms: int) -> int:
        """Offset of the first record with this or a later timestamp; the end offset when there is none."""
        found = (await self._consumer.offsets_for_times({self._partition: timestamp_ms}))[self._partition]
        return int(found.offset) if found else await self.end()

    async def between(self, start: int, stop: int) -> AsyncIterator[ConsumerRecord]:
        """Records from offset ``start`` up to but not including ``stop``, in order; ``stop`` is not after ``end()``."""
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
        """Batches of records from offset ``start`` on, as they arrive; never ends."""
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
        # A position that Kafka no longer keeps is an error to handle, never a silent jump.
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        # Records of a transaction that was aborted, or is not committed yet, were never published.
        isolation_level="read_committed",
    )
    assigned = TopicPartition(topic, partition)
    consumer.assign([assigned])
    try:
        await consumer.start()
        # A consumer that is stopped before its tasks have run once raises CancelledError.
        await asyncio.sleep(0)
        yield Reader(consumer, assigned)
    finally:
        await consumer.stop()
