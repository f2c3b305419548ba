"""Moving records through a stage so that none is lost.

A record counts as done (its offset may be committed) only when everything it produced is acknowledged by all
in-sync replicas. What fails for its own sake becomes a dead letter; what fails for the world's sake (Kafka or the
store away) is tried again until it works.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

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

RECORDS = Counter("khabar_stage_records_total", "Records a stage has finished", ["stage"])
REJECTED = Counter("khabar_stage_rejected_total", "Records a stage made dead letters of", ["stage"])
WINDOW = Gauge("khabar_group_window_articles", "Articles that group remembers")
REACH = Gauge("khabar_group_window_seconds", "From the arrival of the oldest of them to that of the newest")
LEFT_EARLY = Gauge("khabar_group_left_early_articles", "Articles that group forgot before their time, for lack of room")
COUNTED = Gauge("khabar_aggregate_offset", "Offset on updates up to which the store has counted")
TRENDS = Counter("khabar_trends_total", "Trend events told", ["kind", "phase"])

# Topics whose stage has nothing to do.
WAITING: set[str] = set()

_T = TypeVar("_T")
# An idempotent producer tries for ever, and one whose record was refused refuses all that follow.
_PATIENCE = 30.0


async def batches(stream: StreamT[Any], topic: kafka_topics.Topic, limit: int) -> AsyncIterator[Sequence[EventT]]:
    """What is ready on the stream of a topic, at most ``limit`` events at a time, without waiting for more.

    The events are acknowledged when the loop body has finished; when it raises or is cancelled they are not, and
    come again. (Faust's own ``take`` acknowledges in either case.) Nor are those from before a rebalance: they come
    again in any case, here or at another worker, and to acknowledge them now would count for what comes again.
    """
    manual = stream.noack()
    batch: list[EventT] = []
    WAITING.add(topic.name)
    async for event in manual.events():
        batch.append(event)
        if len(batch) < limit and not manual.channel.empty():
            continue
        WAITING.discard(topic.name)
        yield batch
        WAITING.add(topic.name)
        for done in batch:
            if done.message.generation_id == manual.app.consumer_generation_id:
                await manual.ack(done)
        batch = []


class RecordProducer:
    """The idempotent producer of a worker; Faust's own cannot be idempotent outside its exactly-once mode."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, outputs: Iterable[Output]) -> None:
        """Produce in order; return when all are acknowledged. Raises ``KafkaError``, after 30 seconds at most.

        After an error some may be written, or come to be; the next call has a new producer.
        """
        async with self._starting:
            if self._producer is None:
                producer = kafka.producer(self._bootstrap)
                await producer.start()
                self._producer = producer
        producer = self._producer
        try:
            await kafka.produce_batch(producer, outputs, within=_PATIENCE)
        except KafkaError:
            self._lose(producer)
            raise

    async def close(self) -> None:
        """Stop the producer."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    def _lose(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            kafka.discard(producer)


def dead_letter(given: deadletters.SourceRecord, stage: str, error: Exception) -> Output:
    """The dead letter of a record that failed for its own sake."""
    REJECTED.labels(stage).inc()
    cause = f"{type(error).__name__}: {error}"
    log.warning("record rejected", stage=stage, offset=given.offset, cause=cause[:300])
    return Output(
        kafka_topics.REJECTED.name, given.key, given.value, deadletters.headers_for(given, stage=stage, cause=cause)
    )


async def retry_until_available(
    stage: str, attempt: Callable[[], Awaitable[_T]], *, forget: Callable[[], None] = lambda: None
) -> _T:
    """Run ``attempt`` until neither Kafka nor the store fails it, with growing pauses.

    ``forget`` is called after each failure, to drop state that may no longer agree with what was written.
    """
    backoff = Backoff(0.1, 5.0)
    while True:
        try:
            return await attempt()
        except (KafkaError, RedisError, OSError) as error:
            seconds = backoff.next()
            log.warning("stage_waits", stage=stage, cause=repr(error), seconds=seconds)
            forget()
            await asyncio.sleep(seconds)


def original(event: EventT) -> deadletters.SourceRecord:
    """The record behind an event."""
    message = event.message
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return deadletters.SourceRecord(
        message.topic, message.partition, message.offset, message.key, message.value, list(pairs)
    )
