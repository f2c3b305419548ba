"""Kafka clients as Khabar uses them: an idempotent producer, and readers without a consumer group."""

import asyncio
import contextlib
import random
import struct
import time
import traceback
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    BrokerResponseError,
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
    RecordTooLargeError,
    UnsupportedCodecError,
    UnsupportedForMessageFormatError,
    kafka_errors,
)
from aiokafka.structs import ConsumerRecord, RecordMetadata

from services import connections, header_names, kafka_topics, topic_ids
from services.connections import client_options

MAX_RECORD_BYTES = 8_388_608
# Between two log lines about skipped records of a topic.
_SKIP_LOG_SECONDS = 10.0
# The longest wait for records in one fetch.
_FETCH_MS = 500

log = structlog.get_logger(__name__)

Bootstrap = connections.Bootstrap

header_names.install()

Headers = list[tuple[str, bytes | None]]
"""Names and values of a record's headers; a foreign producer may write a name without a value."""


class InvalidRecord(BrokerResponseError):  # type: ignore[misc]
    """Kafka has checked a record and refuses it, such as one without a key for a compacted topic."""

    errno = 87
    message = "INVALID_RECORD"
    description = "This record has failed the validation on the broker and hence will be rejected."


# aiokafka does not know this error, and would not tell it from one of the server.
kafka_errors.setdefault(InvalidRecord.errno, InvalidRecord)

# What Kafka or its client answers when the record itself is the reason: it would do so again at each attempt.
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
_REFUSALS = (
    *TOO_LARGE,
    InvalidTimestampError,
    InvalidRecord,
    CorruptRecordException,
    UnsupportedForMessageFormatError,
)


@dataclass(slots=True)
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


def producer(bootstrap: Bootstrap, *, linger_ms: int = 5, max_record_bytes: int = MAX_RECORD_BYTES) -> AIOKafkaProducer:
    """An idempotent producer; a record counts as written once all in-sync replicas have it."""
    return AIOKafkaProducer(
        **client_options(bootstrap),
        acks="all",
        enable_idempotence=True,
        linger_ms=linger_ms,
        compression_type="zstd",  # smaller than lz4 as aiokafka has it (level 9), in a fifth of the time
        max_batch_size=262_144,  # articles are some KB each; with 16 KB batches, half the time was spent on requests
        max_request_size=max_record_bytes,
        request_timeout_ms=15_000,
        partitioner=Partitioner(),
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
            # Most of them are done together. ``gather`` would take a callback for each, as long as sending it.
            for future in pending:
                if not future.done():
                    await asyncio.wait((future,))
    except TimeoutError:
        raise NotAcknowledged(f"Kafka did not acknowledge within {within:g} s", sent=bool(pending)) from None
    finally:
        for future in pending:
            if future.done():
                _retrieve(future)
            else:
                future.add_done_callback(_retrieve)
    failures = [failure for future in pending if (failure := _failure(future)) is not None]
    fenced = next((failure for failure in failures if isinstance(failure, ProducerFenced)), None)
    refusal = next((failure for failure in failures if isinstance(failure, _REFUSALS)), None)
    if refusal is not None and fenced is None:
        unwritten = [one for one, future in zip(sent, pending, strict=True) if _failure(future) is not None]
        raise RecordRefused(refusal, unwritten) from refusal
    if failures:
        raise fenced or failures[0]
    return [future.result() for future in pending]


class Partitioner:
    """The partition of a key, the same as of Kafka's own clients, in half the time that aiokafka takes."""

    def __call__(self, key: bytes | None, every: list[int], available: list[int]) -> int:
        """As a partitioner of aiokafka."""
        if key is None:
            return random.choice(available or every)  # noqa: S311 - not for security
        return every[(_murmur2(key) & 0x7FFFFFFF) % len(every)]


def _murmur2(data: bytes) -> int:
    size, mask, factor = len(data), 0xFFFFFFFF, 0x5BD1E995
    mixed = 0x9747B28C ^ size
    for word in struct.unpack_from(f"<{size >> 2}I", data):
        scaled = word * factor & mask
        mixed = (mixed * factor & mask) ^ ((scaled ^ scaled >> 24) * factor & mask)
    if rest := data[size & ~3 :]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * factor & mask
    mixed = (mixed ^ mixed >> 13) * factor & mask
    return mixed ^ mixed >> 15


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


def _failure(future: "asyncio.Future[RecordMetadata]") -> BaseException | None:
    return asyncio.CancelledError() if future.cancelled() else future.exception()


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
    """The last value of a header as text, or None. A header with a null value counts as one that is not there."""
    found = None
    for key, value in headers or ():  # type: ignore[attr-defined]
        if key == name and value is not None:
            found = value.decode("utf-8", "replace")
    return found


class SkippedRecords:
    """Logs that records of a topic were skipped: the first at once, then a line with their number from time to time.

    Anyone may write to a topic; a flood of bad records must not become a flood of log lines.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._count = 0
        self._logged_at = float("-inf")

    def add(self, offset: int, error: Exception) -> None:
        """Count a record, and log if a line is due."""
        self._count += 1
        if time.monotonic() - self._logged_at >= _SKIP_LOG_SECONDS:
            log.error(
                "records_skipped", topic=self._topic, count=self._count, last_offset=offset, last_error=str(error)[:300]
            )
            self._count, self._logged_at = 0, time.monotonic()


@dataclass(frozen=True, slots=True)
class Fetched:
    """Consecutive records, and the offset after them.

    ``end`` is beyond the last record when aborted records or transaction markers follow it. ``skipped`` is the number
    of records that could not be decoded.
    """

    records: list[ConsumerRecord]
    end: int
    skipped: int = 0


async def read_log_ids(bootstrap: Bootstrap, topics: Collection[str]) -> dict[str, str]:
    """For each topic the id of the log of its first partition: ``cluster/topic id/topic-0``.

    Offsets are comparable only under the same id. A cluster that is formatted again and a topic that is deleted and
    created again have another id; an older copy of the same log that was put back has the same one. Brokers without
    topic ids: ``cluster/topic-0``.
    Raises ``KafkaError``: ``UnknownTopicOrPartitionError`` while there is no such topic.
    """
    cluster, ids = await topic_ids.identify(bootstrap, topics)
    return {topic: "/".join(filter(None, (cluster, ids[topic], f"{topic}-0"))) for topic in topics}


async def read_log_id(bootstrap: Bootstrap, topic: str = kafka_topics.UPDATES.name) -> str:
    """``read_log_ids`` of one topic."""
    return (await read_log_ids(bootstrap, (topic,)))[topic]


class Reader:
    """Reads one partition from any position, without a consumer group. Only committed records are visible.

    A record that cannot be decoded (such as one with a header name that is not UTF-8) is skipped and logged, with the
    rest of its batch: what one producer has sent at once.
    """

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition
        self._skipped = SkippedRecords(partition.topic)

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
        position = start
        while position < stop:
            fetched = await self._fetch()
            for record in fetched.records:
                if record.offset >= stop:
                    return
                yield record
            position = fetched.end

    async def follow(self, start: int) -> AsyncIterator[Fetched]:
        """What arrives from offset ``start`` on; never ends. Yields at least every half second, possibly no records."""
        self._consumer.seek(self._partition, start)
        while True:
            yield await self._fetch()

    async def _fetch(self) -> Fetched:
        begin = await self._consumer.position(self._partition)
        try:
            batches = await self._consumer.getmany(self._partition, timeout_ms=_FETCH_MS)
        except Exception as error:
            if not _is_undecodable(error):
                raise
            return await self._fetch_singly(begin)
        return Fetched(batches.get(self._partition, []), await self._consumer.position(self._partition))

    async def _fetch_singly(self, position: int) -> Fetched:
        """Records from ``position`` up to one that cannot be decoded. The rest of its batch is skipped."""
        # The failed call has dropped the records before it.
        self._consumer.seek(self._partition, position)
        records: list[ConsumerRecord] = []
        while True:
            try:
                batches = await self._consumer.getmany(self._partition, timeout_ms=_FETCH_MS, max_records=1)
            except Exception as error:
                if not _is_undecodable(error):
                    raise
                end = max(position + 1, _batch_end(error))
                self._skipped.add(position, error)
                self._consumer.seek(self._partition, end)
                return Fetched(records, end, skipped=end - position)
            position = await self._consumer.position(self._partition)
            if self._partition not in batches:
                return Fetched(records, position)
            records += batches[self._partition]


def _batch_end(error: Exception) -> int:
    """The offset after the batch in which decoding failed; -1 when it is unknown.

    aiokafka has no public way to learn it. One by one, each offset would cost a fetch of the whole batch.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "next_batch" in frame.f_locals:
            return int(frame.f_locals["next_batch"].next_offset)
    return -1


def _is_undecodable(error: Exception) -> bool:
    """Whether a fetch failed because of a record, so that it would always fail again."""
    # What aiokafka and the decompressors raise for a record is no error of Kafka.
    return isinstance(error, UnsupportedCodecError) or not isinstance(error, (KafkaError, OSError, TimeoutError))


@asynccontextmanager
async def reader(
    bootstrap: Bootstrap, topic: str, partition: int = 0, *, fetch_bytes: int = MAX_RECORD_BYTES
) -> AsyncIterator[Reader]:
    """Open a ``Reader`` on one partition; ``fetch_bytes``: how much it fetches at once, always at least one record."""
    consumer = AIOKafkaConsumer(
        **client_options(bootstrap),
        group_id=None,
        enable_auto_commit=False,
        # A position that Kafka no longer keeps is an error to handle, never a silent jump.
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=fetch_bytes,
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
        # Without Kafka it may wait for long. It may also raise the CancelledError of one of its tasks.
        stopping = asyncio.create_task(consumer.stop())
        await asyncio.wait({stopping}, timeout=CLOSE_TIMEOUT)
        if stopping.done() and not stopping.cancelled():
            stopping.exception()
        stopping.cancel()
