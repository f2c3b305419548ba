"""Moves records through a stage so that none is lost.

A record is done (its offset may be committed) only when everything it produced is acknowledged by all in-sync
replicas. A record that cannot be processed becomes a dead letter; while Kafka or the store is unavailable, the stage
retries until it is back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.types import EventT, StreamT
from prometheus_client import Counter, Gauge
from redis import RedisError

from services import deadletters, kafka, kafka_topics
from services.backoff import Backoff
from services.kafka import Output, RecordRefused

log = structlog.get_logger(__name__)

STAGES: Final = ("annotate", "group", "aggregate")
"""The stages of the pipeline, in order."""

RECORDS = Counter("khabar_stage_records_total", "Records processed", ["stage"])
REJECTED = Counter("khabar_stage_rejected_total", "Records dead-lettered", ["stage"])
WINDOW = Gauge("khabar_group_window_articles", "Articles in the window")
REACH = Gauge("khabar_group_window_seconds", "From the arrival of the oldest article in the window to the newest")
LEFT_EARLY = Gauge("khabar_group_left_early_articles", "Articles evicted before expiry (window full)")
COUNTED = Gauge("khabar_aggregate_offset", "Offset on updates up to which the store has counted")
TRENDS = Counter("khabar_trends_total", "Trend events published", ["kind", "phase"])

Letter = tuple[deadletters.SourceRecord, str, str]
"""A dead letter to write: the record, the stage and the cause."""

_T = TypeVar("_T")
_PRODUCE_TIMEOUT = 30.0


async def batches(
    stream: StreamT[Any], topic: kafka_topics.KafkaTopic, limit: int, idle_topics: set[str]
) -> AsyncIterator[Sequence[EventT]]:
    """What is ready on the stream of a topic, at most ``limit`` events at a time, without waiting for more.

    The events are acknowledged when the loop body has finished; when it raises or is cancelled they are not, and are
    delivered again. (Faust's own ``take`` acknowledges in either case.) Nor are events from before a rebalance: they
    are delivered again in any case, here or to another worker, and an acknowledgement now would count for the second
    delivery. ``idle_topics`` holds the topic while its stage waits for records.
    """
    manual = stream.noack()
    batch: list[EventT] = []
    idle_topics.add(topic.name)
    async for event in manual.events():
        batch.append(event)
        if len(batch) < limit and not manual.channel.empty():
            continue
        idle_topics.discard(topic.name)
        yield batch
        idle_topics.add(topic.name)
        for done in batch:
            if done.message.generation_id == manual.app.consumer_generation_id:
                await manual.ack(done)
        batch = []


class RecordProducer:
    """The idempotent producer of a worker; Faust's own cannot be idempotent outside its exactly-once mode."""

    def __init__(self, bootstrap: kafka.Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, outputs: Iterable[Output]) -> list[RecordRefused]:
        """Produce in order; return when each is acknowledged or refused by Kafka for what it is.

        The result has one error, with one output, for each record that was refused. Raises ``KafkaError``, after 30
        seconds at most (for each record, if one was refused): then some records may be written, or may still be; the
        next call uses a new producer.
        """
        try:
            await self._produce(outputs)
            return []
        except RecordRefused as error:
            unwritten = error.outputs
        refused = []
        for output in unwritten:  # one by one: Kafka refuses a batch as a whole
            try:
                await self._produce([output])
            except RecordRefused as error:
                refused.append(error)
        return refused

    async def send_letters(self, letters: Sequence[Letter]) -> None:
        """Write dead letters. Raises ``KafkaError`` as ``send`` does.

        Of a record that Kafka refuses as a dead letter, a shorter one is written.
        """
        outputs = [deadletters.output(record, stage=stage, cause=cause) for record, stage, cause in letters]
        by_output = {id(output): letter for output, letter in zip(outputs, letters, strict=True)}
        for refused in await self.send(outputs):
            record, stage, cause = by_output[id(refused.outputs[0])]
            for kept in (deadletters.KEPT_BYTES, 0):
                shorter = deadletters.shortened(record, stage=stage, cause=cause, kept=kept)
                if not await self.send([shorter]):
                    break
            else:
                log.error("dead_letter_refused", topic=record.topic, partition=record.partition, offset=record.offset)

    async def close(self) -> None:
        """Stop the producer. What Kafka has not acknowledged is dropped; no ``send`` may be waiting for it."""
        if self._producer is not None:
            await kafka.discard(self._producer)
            self._producer = None

    async def _produce(self, outputs: Iterable[Output]) -> None:
        producer = await self._started()
        try:
            await kafka.produce_batch(producer, outputs, within=_PRODUCE_TIMEOUT)
        except KafkaError:
            self._discard(producer)
            raise

    async def _started(self) -> AIOKafkaProducer:
        """The running producer. Raises ``KafkaError`` when it does not start in time."""
        try:
            async with asyncio.timeout(_PRODUCE_TIMEOUT), self._starting:
                if self._producer is None:
                    producer = kafka.producer(self._bootstrap)
                    try:
                        await producer.start()
                    except BaseException:
                        kafka.discard(producer)
                        raise
                    self._producer = producer
                return self._producer
        except TimeoutError:
            # A broker that cannot store producer ids gives none, and the client waits for ever.
            raise KafkaError(f"Kafka gave no producer id within {_PRODUCE_TIMEOUT:g} s") from None

    def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            kafka.discard(producer)


def dead_letter(record: deadletters.SourceRecord, stage: str, error: Exception) -> Letter:
    """The dead letter of a record that cannot be processed, for ``RecordProducer.send_letters``."""
    REJECTED.labels(stage).inc()
    cause = f"{type(error).__name__}: {error}"
    log.warning("record_rejected", stage=stage, offset=record.offset, cause=cause[:300])
    return record, stage, cause


async def retry_until_available(
    stage: str, attempt: Callable[[], Awaitable[_T]], *, on_failure: Callable[[], None] = lambda: None
) -> _T:
    """Run ``attempt`` until neither Kafka nor the store makes it fail, with exponential backoff.

    A ``RecordRefused`` is raised: it is not Kafka that is at fault.

    ``on_failure`` is called after each failure, to drop state that may no longer agree with what was written.
    """
    backoff = Backoff(0.1, 5.0)
    while True:
        try:
            return await attempt()
        except RecordRefused:
            raise
        except (KafkaError, RedisError, OSError) as error:
            seconds = backoff.next()
            log.warning("stage_waits", stage=stage, cause=repr(error), seconds=seconds)
            on_failure()
            await asyncio.sleep(seconds)


def source_record(event: EventT) -> deadletters.SourceRecord:
    """The Kafka record of an event."""
    message = event.message
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return deadletters.SourceRecord(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        list(pairs),
        None if message.timestamp is None else round(message.timestamp * 1000),
    )
