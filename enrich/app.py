"""The Faust app: the pipeline in order.

articles.raw ─► annotate ─► articles.annotated ─► group ─► updates ─► aggregate ─► store
                                                              ▲                      │
                                                              └─────── trends ◄──────┘

Explicit topics, no tables, no ``group_by``, no exactly-once mode: a record is done when what it produced is
acknowledged, and every stage answers the same when it sees a record again.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP, EventT, StreamT
from mode.supervisors import CrashingSupervisor
from redis import RedisError

from enrich.aggregate import counter as counting
from enrich.annotate import annotate as annotated
from enrich.entities import recognition
from enrich.fingerprint import embedding
from enrich.group.writer import Writer
from enrich.stage import (
    COUNTED,
    RECORDS,
    TRENDS,
    WAITING,
    RecordProducer,
    batches,
    dead_letter,
    original,
    retry_until_available,
)
from enrich.stall import LOOK_SECONDS, PATIENCE_SECONDS, PartitionLag, StallDetector, Stalled
from enrich.text import boilerplate_history
from enrich.text.boilerplate import Boilerplate
from enrich.trends.publisher import TrendPublisher
from services import kafka, kafka_topics
from services import settings as settings_module
from services.clock import utc_now
from services.events import RawArticle
from services.fencing import Fenced
from services.groups import GROUP
from services.kafka import Output
from services.store import Store

log = structlog.get_logger(__name__)

settings = settings_module.current()

# How often trends are looked for. A minute's articles are enough to see a sharp rise, a quarter of it to be in time.
TICK_SECONDS = 15.0
# Records on ``updates`` that are not counted yet.
MOST_BEHIND = 500

app = faust.App(
    GROUP,
    broker=f"kafka://{settings.kafka_servers.replace(',', ';')}",
    key_serializer="raw",
    value_serializer="raw",
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    broker_session_timeout=settings.session_timeout,
    broker_heartbeat_interval=settings.session_timeout / 10,
    # A worker that has just begun to read back a large window finishes that before it lets another one join.
    broker_rebalance_timeout=180.0,
    broker_commit_interval=0.5,
    # Faust stops fetching for a stage whose buffer is four fifths full, but one that overflows stops all stages. What
    # one fetch brings must fit into the last fifth: then a stage that waits, as aggregate for the store, is alone.
    broker_max_poll_records=100,
    stream_buffer_maxsize=512,
    # Nor does a rebalance, or the worker's end, wait for the store; _let_go waits for what is worth it.
    stream_wait_empty=False,
    datadir=settings.data_dir / "faust",
)


def _topic(topic: kafka_topics.Topic) -> Any:
    return app.topic(topic.name, key_type=bytes, value_type=bytes)


# A failure that no stage foresaw ends the worker; started again, it takes up what was not done. Faust's own way
# is to restart the agent alone, without the records it had in hand.
_agent = partial(app.agent, supervisor_strategy=CrashingSupervisor)

# What annotate lets pass, group can publish with its own headers beside it.
_LARGEST = kafka.MAX_RECORD_BYTES - 1_000_000

outlet = RecordProducer(settings.kafka_servers)
recognizer = recognition.load(settings.ner, settings.ner_model)
encoder = embedding.load(settings.vectors)
store = Store(settings.redis_url)


_annotating = asyncio.Lock()


@_agent(_topic(kafka_topics.RAW))
async def annotate(stream: StreamT[bytes]) -> None:
    """articles.raw → articles.annotated. Scales with partitions and workers.

    An article is understood by itself; all that is remembered is what its source repeats.
    """
    repeated: Boilerplate | None = None
    async for events in batches(stream, kafka_topics.RAW, limit=128):
        if repeated is None:
            repeated = await retry_until_available(
                "annotate", partial(boilerplate_history.read_back, settings.kafka_servers)
            )
        async with _annotating:
            # In a thread, so that the loop keeps its heartbeats while the processor is busy with text.
            outputs = await asyncio.to_thread(_annotate_all, events, repeated)
            await retry_until_available("annotate", partial(outlet.send, outputs))
        RECORDS.labels("annotate").inc(len(events))


def _annotate_all(events: Sequence[EventT], repeated: Boilerplate) -> list[Output]:
    # Partitions come one after the other; group shall see their articles in the order in which they arrived.
    return [_annotate_one(event, repeated) for event in sorted(events, key=lambda event: event.message.timestamp)]


def _annotate_one(event: EventT, repeated: Boilerplate) -> Output:
    try:
        raw = RawArticle.model_validate_json(event.value or b"")
        article = annotated(raw, event.message.offset, recognizer=recognizer, memory=repeated, encoder=encoder)
        value = article.encode()
        if len(value) > _LARGEST:
            raise ValueError(f"annotated it has {len(value)} bytes, more than the {_LARGEST} that a record may have")
        return Output(kafka_topics.ANNOTATED.name, article.id.encode(), value)
    except Exception as error:  # whatever an article does to us, the next one is not its fault
        return dead_letter(original(event), "annotate", error)


_writer = Writer(settings, outlet)


@_agent(_topic(kafka_topics.ANNOTATED))
async def group(stream: StreamT[bytes]) -> None:
    """articles.annotated → updates. One partition, one writer, state within the window.

    A worker that another one has replaced without its knowledge learns it as it writes, and ends.
    """
    async for events in batches(stream, kafka_topics.ANNOTATED, limit=200):
        async with _writer.busy:
            # Fetched before a rebalance that may have given the partition to another worker: not ours to write.
            # What is, comes again.
            mine = [event for event in events if event.message.generation_id == app.consumer_generation_id]
            if mine:
                await retry_until_available(
                    "group", partial(_writer.process, [*map(original, mine)]), forget=_writer.reset
                )
        RECORDS.labels("group").inc(len(mine))


@app.on_partitions_revoked.connect
async def _let_go(app: Any, revoked: Any, **_: Any) -> None:
    """A batch in flight is finished before the partition goes; aggregate's need not be, the store knows its offset."""
    async with _annotating, _writer.busy:
        _writer.invalidate()
    _aggregate.mine = False


@app.on_partitions_assigned.connect
async def _take_up(app: Any, assigned: Any, **_: Any) -> None:
    """Whoever keeps the partition keeps the state; another worker's is no use in memory here."""
    mine = {partition.topic for partition in assigned}
    if kafka_topics.ANNOTATED.name not in mine:
        async with _writer.busy:
            _writer.reset()
    _aggregate.mine = kafka_topics.UPDATES.name in mine


class _Aggregate:
    """Counting and telling of trends, one after the other, by the worker that has the partition."""

    def __init__(self) -> None:
        self.mine = False
        self._busy = asyncio.Lock()
        self._numbers = counting.Aggregate(store, settings.kafka_servers)
        self._herald = TrendPublisher(store, settings.kafka_servers)

    async def count(self, events: Sequence[EventT]) -> None:
        """Bring these events' numbers into the store. Safe to repeat."""
        async with self._busy:
            refused = await self._numbers.apply([_record(event) for event in events])
            COUNTED.set(self._numbers.reached)
        by_offset = {event.message.offset: event for event in events}
        await outlet.send([dead_letter(original(by_offset[one.offset]), "aggregate", one.error) for one in refused])

    async def tick(self) -> None:
        """Let the windows end now, and tell what rises; when that fails, the next time."""
        async with self._busy:
            if not self.mine:
                self._herald.reset()
                return
            try:
                await self._numbers.tick()
                end = app.consumer.highwater(TP(kafka_topics.UPDATES.name, 0)) or 0
                # Numbers that are not those of the last minutes yet say nothing of what rises now.
                if end - self._numbers.reached <= MOST_BEHIND:
                    for trend in await self._herald.publish(utc_now(), self._numbers.reached):
                        TRENDS.labels(trend.kind, trend.phase).inc()
            except (KafkaError, RedisError, OSError, Fenced) as error:
                log.warning("trends wait", cause=repr(error)[:300])


_aggregate = _Aggregate()


def _record(event: EventT) -> counting.UpdateRecord:
    message = event.message
    return counting.UpdateRecord(message.offset, int(message.timestamp * 1000), message.headers, event.value)


@_agent(_topic(kafka_topics.UPDATES))
async def aggregate(stream: StreamT[bytes]) -> None:
    """updates → store. Each batch and its offset in one atomic script; what was applied is skipped."""
    # A script holds up all who ask the store: small batches, so that none of them waits long.
    async for events in batches(stream, kafka_topics.UPDATES, limit=100):
        await retry_until_available("aggregate", partial(_aggregate.count, events))
        RECORDS.labels("aggregate").inc(len(events))


@app.timer(interval=TICK_SECONDS)
async def tick(app: Any) -> None:
    """store → updates: windows move on, trends start, grow and end."""
    await _aggregate.tick()


_standstill = StallDetector(PATIENCE_SECONDS)


@app.timer(interval=LOOK_SECONDS)
async def look(app: Any) -> None:
    """End a worker that does not take what waits for it; whoever runs it starts it again."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            places = await _places(app.consumer)
    except (KafkaError, OSError, TimeoutError, ConsumerNotStarted) as error:
        log.debug("Kafka does not say where the partitions are", cause=repr(error)[:300])
        return
    stood_still = _standstill.look(places, WAITING)
    if stood_still:
        raise Stalled(", ".join(f"{one.topic}/{one.partition}" for one in stood_still))


async def _places(consumer: Any) -> dict[TP, PartitionLag]:
    """Where this worker's partitions are."""
    mine = consumer.assignment()
    if not mine:
        return {}
    oldest, ends = await consumer.earliest_offsets(*mine), await consumer.highwaters(*mine)
    # What Faust has committed, or found to be committed; it tells nobody else.
    return {
        one: PartitionLag(consumer._committed_offset.get(one), oldest[one], ends[one]) for one in mine & ends.keys()
    }
