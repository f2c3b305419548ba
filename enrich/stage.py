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
from services.kafka import Output

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

    async def send(self, outputs: Iterable[Output]) -> None:
        """Produce in order; return when all are acknowledged. Raises ``KafkaError``, after 30 seconds at most.

        After an error some records may be written, or may still be; the next call uses a new producer.
        """
        async with self._starting:
            if self._producer is None:
                producer = kafka.producer(self._bootstrap)
                await producer.start()
                self._producer = producer
        producer = self._producer
        try:
            await kafka.produce_batch(producer, outputs, within=_PRODUCE_TIMEOUT)
        except KafkaError:
            self._discard(producer)
            raise

    async def close(self) -> None:
        """Stop the producer. What Kafka has not acknowledged is dropped; no ``send`` may be waiting for it."""
        if self._producer is not None:
            await kafka.discard(self._producer)
            self._producer = None

    def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            kafka.discard(producer)


def dead_letter(record: deadletters.SourceRecord, stage: str, error: Exception) -> Output:
    """The dead letter of a record that cannot be processed."""
    REJECTED.labels(stage).inc()
    cause = f"{type(error).__name__}: {error}"
    log.warning("record_rejected", stage=stage, offset=record.offset, cause=cause[:300])
    return Output(
        kafka_topics.REJECTED.name, record.key, record.value, deadletters.headers_for(record, stage=stage, cause=cause)
    )


async def retry_until_available(
    stage: str, attempt: Callable[[], Awaitable[_T]], *, on_failure: Callable[[], None] = lambda: None
) -> _T:
    """Run ``attempt`` until neither Kafka nor the store makes it fail, with exponential backoff.

    ``on_failure`` is called after each failure, to drop state that may no longer agree with what was written.
    """
    backoff = Backoff(0.1, 5.0)
    while True:
        try:
            return await attempt()
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
        message.topic, message.partition, message.offset, message.key, message.value, list(pairs)
    )
