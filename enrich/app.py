"""The Faust app: the pipeline in order.

articles.raw ─► annotate ─► articles.annotated ─► group ─► updates ─► aggregate ─► store
                                                              ▲                      │
                                                              └─────── trends ◄──────┘

Explicit topics, no tables, no ``group_by``, no exactly-once mode: a record is done when what it produced is
acknowledged, and each stage gives the same result when it sees a record again.

A worker runs all stages or some of them. All workers are members of one consumer group, and Kafka assigns the
partitions of a topic only to members that subscribe to it.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP, AppT, EventT, StreamT
from mode.supervisors import CrashingSupervisor
from redis import RedisError

from enrich.consumer import stall
from enrich.consumer.positions import WorkerApp, WorkerConsumer, check_logs
from enrich.consumer.stall import PartitionLag, StallDetector, Stalled
from enrich.stage import (
    COUNTED,
    RECORDS,
    STAGES,
    TRENDS,
    Letter,
    RecordProducer,
    batches,
    dead_letter,
    retry_until_available,
    source_record,
)
from services import kafka, kafka_topics
from services.clock import CLOCK_SKEW, utc_now
from services.connections import KafkaServers
from services.events import RawArticle
from services.fencing import Fenced
from services.groups import GROUP
from services.kafka import Output
from services.settings import Settings
from services.store import Store

if TYPE_CHECKING:
    from enrich.text.boilerplate import BoilerplateDetector

log = structlog.get_logger(__name__)

# No trends are evaluated while more records than this on ``updates`` are not counted yet.
_MAX_LAG_FOR_TRENDS = 500
# For the offsets of the partitions, which a stall check asks Kafka for.
_OFFSETS_TIMEOUT = 10.0
# An annotated article may be this large: group adds headers to it.
_MAX_ANNOTATED_BYTES = kafka.MAX_RECORD_BYTES - 1_000_000


@dataclass(frozen=True)
class Intervals:
    """What a worker does periodically, in seconds. Tests shorten them."""

    # A minute's articles are enough to detect a sharp rise; a quarter of a minute keeps the delay short.
    trends: float = 15.0
    log_check: float = 5.0
    stall_check: float = stall.CHECK_SECONDS
    stall_timeout: float = stall.TIMEOUT_SECONDS


def create_app(
    settings: Settings, *, stages: Collection[str] = STAGES, intervals: Intervals | None = None
) -> faust.App:
    """A worker's app with these stages. It opens connections when it is started and closes them when it is stopped.

    Raises ``ValueError`` for a name that is not in ``STAGES``, and ``OperatorError`` when a model that the settings
    ask for is missing.
    """
    unknown = set(stages) - _STAGE_TYPES.keys()
    if unknown or not stages:
        raise ValueError(f"stages are {', '.join(STAGES)}, not {', '.join(sorted(unknown)) or 'none'}")
    intervals = intervals or Intervals()
    app = _faust_app(settings)
    worker = _Worker(app, settings, RecordProducer(settings.kafka_servers))
    running = [_STAGE_TYPES[name](worker) for name in STAGES if name in stages]
    for stage in running:
        _add_agent(app, stage)
        if isinstance(stage, AggregateStage):
            app.timer(interval=intervals.trends, name="trends")(stage.publish_trends)
    _follow_rebalances(app, running)
    detector = StallDetector(intervals.stall_timeout)

    async def check() -> None:
        await check_for_stall(app.consumer, detector, worker.idle_topics, settings.kafka_servers)

    async def check_log_ids() -> None:
        await check_logs(app)

    async def close() -> None:
        for stage in running:
            await stage.close()
        await worker.producer.close()

    app.timer(interval=intervals.stall_check, name="stall_check")(check)
    app.timer(interval=intervals.log_check, name="log_check")(check_log_ids)
    app.async_exit_stack.push_async_callback(close)
    return app


@dataclass(frozen=True)
class _Worker:
    """What the stages of a worker share."""

    app: faust.App
    settings: Settings
    producer: RecordProducer
    idle_topics: set[str] = field(default_factory=set)


def _faust_app(settings: Settings) -> WorkerApp:
    app = WorkerApp(
        GROUP,
        broker=f"kafka://{str(settings.kafka_servers).replace(',', ';')}",
        broker_credentials=_credentials(settings.kafka_servers),
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        # enrich/consumer/positions.py sets each position; the client must never choose another one.
        consumer_auto_offset_reset="none",
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=settings.session_timeout / 10,
        # A worker that has just begun to restore a large window finishes that before it lets another one join.
        broker_rebalance_timeout=180.0,
        broker_commit_interval=0.5,
        # Faust stops fetching for a stage whose buffer is four fifths full, but one buffer that overflows stops all
        # stages. One fetch must fit into the last fifth: then a stage that waits, as aggregate for the store, does
        # not hold up the others.
        broker_max_poll_records=100,
        stream_buffer_maxsize=512,
        # Neither a rebalance nor the worker's end waits for the store; on_revoked waits for what must be finished.
        stream_wait_empty=False,
        datadir=settings.data_dir / "faust",
    )
    app.settings = settings
    return app


def _credentials(servers: KafkaServers) -> faust.SASLCredentials | faust.SSLCredentials | None:
    if servers.mechanism is not None:
        return faust.SASLCredentials(
            username=servers.user,
            password=servers.password,
            mechanism=servers.mechanism,
            ssl_context=servers.tls_context,
        )
    return faust.SSLCredentials(servers.tls_context) if servers.tls else None


def _add_agent(app: faust.App, stage: "Stage") -> None:
    # An unexpected failure ends the worker; started again, it processes what was not done. Faust's own way is to
    # restart the agent alone, without the records it had taken.
    topic = app.topic(stage.topic.name, key_type=bytes, value_type=bytes)
    app.agent(topic, name=stage.name, supervisor_strategy=CrashingSupervisor)(stage.run)


def _follow_rebalances(app: faust.App, stages: Sequence["Stage"]) -> None:
    async def on_revoked(app: AppT, revoked: Iterable[TP], **_: Any) -> None:
        """Finish the batches in flight before the partitions go to another worker."""
        async with AsyncExitStack() as stack:
            for stage in stages:
                await stack.enter_async_context(stage.batch_in_flight)
            for stage in stages:
                stage.on_revoked()

    async def on_assigned(app: AppT, assigned: Iterable[TP], **_: Any) -> None:
        topics = {partition.topic for partition in assigned}
        for stage in stages:
            await stage.on_assigned(stage.topic.name in topics)

    app.on_partitions_revoked.connect(on_revoked)
    app.on_partitions_assigned.connect(on_assigned)


class Stage:
    """One agent: reads its topic in batches. Each stage imports and loads only what it needs itself."""

    name: ClassVar[str]
    topic: ClassVar[kafka_topics.KafkaTopic]

    def __init__(self, worker: _Worker) -> None:
        self.batch_in_flight = asyncio.Lock()
        """Held while a batch must be finished before its partition may go to another worker."""
        self._worker = worker
        self._settings = worker.settings
        self._producer = worker.producer

    async def run(self, stream: StreamT[bytes]) -> None:
        """The body of the agent."""
        raise NotImplementedError

    def on_revoked(self) -> None:
        """Partitions are revoked, before a rebalance; ``batch_in_flight`` is held."""

    async def on_assigned(self, owned: bool) -> None:
        """A rebalance is over; ``owned``: this worker has partitions of the topic."""

    async def close(self) -> None:
        """Close connections; the agent has ended."""

    def _batches(self, stream: StreamT[bytes], limit: int) -> AsyncIterator[Sequence[EventT]]:
        return batches(stream, self.topic, limit, self._worker.idle_topics)


class AnnotateStage(Stage):
    """articles.raw → articles.annotated. Scales with partitions and workers.

    Each article is processed alone; the only state is the lines that sources repeat.
    """

    name = "annotate"
    topic = kafka_topics.RAW

    def __init__(self, worker: _Worker) -> None:
        from enrich.annotate import annotate
        from enrich.entities import recognition
        from enrich.fingerprint import embedding

        super().__init__(worker)
        self._annotate = partial(
            annotate,
            recognizer=recognition.load(self._settings.ner, self._settings.ner_model),
            encoder=embedding.load(self._settings.vectors),
        )

    async def run(self, stream: StreamT[bytes]) -> None:
        """Annotate, and produce what group reads."""
        from enrich.text import boilerplate_history

        history: BoilerplateDetector | None = None
        async for events in self._batches(stream, limit=128):
            if history is None:
                load = partial(boilerplate_history.load_history, self._settings.kafka_servers)
                history = await retry_until_available(self.name, load)
            async with self.batch_in_flight:
                # In a thread, so that the loop sends heartbeats while the processor is busy with text.
                annotated, letters = await asyncio.to_thread(self._annotate_all, events, history)
                await retry_until_available(self.name, partial(self._write, annotated, letters))
            RECORDS.labels(self.name).inc(len(events))

    def _annotate_all(
        self, events: Sequence[EventT], history: "BoilerplateDetector"
    ) -> tuple[list[tuple[EventT, Output]], list[Letter]]:
        """The annotated articles of these events, and the dead letters of those that cannot be annotated."""
        annotated: list[tuple[EventT, Output]] = []
        letters: list[Letter] = []
        # A batch has one partition after the other; group needs their articles in the order in which they arrived.
        for event in sorted(events, key=lambda event: event.message.timestamp):
            try:
                annotated.append((event, self._output(event, history)))
            except Exception as error:  # any failure is this article's alone: the next one must go on
                letters.append(dead_letter(source_record(event), self.name, error))
        return annotated, letters

    def _output(self, event: EventT, history: "BoilerplateDetector") -> Output:
        raw = RawArticle.model_validate_json(event.value or b"")
        now = utc_now()
        if raw.received_at > now + CLOCK_SKEW:
            log.warning("arrival_in_the_future", offset=event.message.offset, received_at=raw.received_at.isoformat())
            raw = raw.model_copy(update={"received_at": now})
        article = self._annotate(raw, event.message.offset, boilerplate=history)
        value = article.encode()
        if len(value) > _MAX_ANNOTATED_BYTES:
            raise ValueError(f"the annotated article has {len(value)} bytes; the limit is {_MAX_ANNOTATED_BYTES}")
        return Output(kafka_topics.ANNOTATED.name, article.id.encode(), value)

    async def _write(self, annotated: Sequence[tuple[EventT, Output]], letters: Sequence[Letter]) -> None:
        """Produce the articles, and the dead letters with those that Kafka refuses. Safe to repeat."""
        events = {id(output): event for event, output in annotated}
        refused = await self._producer.send([output for _, output in annotated])
        more = [dead_letter(source_record(events[id(one.outputs[0])]), self.name, one) for one in refused]
        await self._producer.send_letters([*letters, *more])


class GroupStage(Stage):
    """articles.annotated → updates. One partition, one writer, state within the window.

    A worker that was replaced without its knowledge is fenced when it writes, and ends.
    """

    name = "group"
    topic = kafka_topics.ANNOTATED

    def __init__(self, worker: _Worker) -> None:
        from enrich.group.writer import Writer

        super().__init__(worker)
        self._writer = Writer(self._settings, self._producer)
        self.batch_in_flight = self._writer.busy

    async def run(self, stream: StreamT[bytes]) -> None:
        """Publish articles and stories."""
        async for events in self._batches(stream, limit=200):
            async with self.batch_in_flight:
                # Records fetched before a rebalance may belong to another worker now, and are not ours to write. If
                # they are still ours, they are delivered again.
                current = [e for e in events if e.message.generation_id == self._worker.app.consumer_generation_id]
                if current:
                    attempt = partial(self._writer.process, [*map(source_record, current)])
                    await retry_until_available(self.name, attempt, on_failure=self._writer.reset)
            RECORDS.labels(self.name).inc(len(current))

    def on_revoked(self) -> None:
        """Another worker may write from now on."""
        self._writer.invalidate()

    async def on_assigned(self, owned: bool) -> None:
        """Keep the state with the partition; without the partition it is outdated."""
        if not owned:
            async with self.batch_in_flight:
                self._writer.reset()

    async def close(self) -> None:
        """Close the writer's connections."""
        self._writer.reset()


class AggregateStage(Stage):
    """updates → store, and trends back to ``updates``; both by the worker that has the partition.

    Each batch and its offset are applied by one atomic script; what was already applied is skipped. So a rebalance
    does not wait for a batch: ``batch_in_flight`` is never held here.
    """

    name = "aggregate"
    topic = kafka_topics.UPDATES

    def __init__(self, worker: _Worker) -> None:
        from enrich.aggregate import counter
        from enrich.trends.publisher import TrendPublisher

        super().__init__(worker)
        self._owned = False
        self._busy = asyncio.Lock()
        self._store = Store(self._settings.redis_url)
        self._record = counter.UpdateRecord
        self._counter = counter.Aggregate(self._store, self._settings.kafka_servers)
        self._publisher = TrendPublisher(self._store, self._settings.kafka_servers)

    async def run(self, stream: StreamT[bytes]) -> None:
        """Count events in the store."""
        # A script blocks all clients of the store: small batches, so that none of them waits long.
        async for events in self._batches(stream, limit=100):
            await retry_until_available(self.name, partial(self._count, events))
            RECORDS.labels(self.name).inc(len(events))

    async def _count(self, events: Sequence[EventT]) -> None:
        """Apply these events to the store. Safe to repeat."""
        by_offset = {event.message.offset: event for event in events}
        records = [
            self._record(one.offset, round(one.timestamp * 1000), one.headers, one.value)
            for one in (event.message for event in events)
        ]
        async with self._busy:
            uncountable = await self._counter.apply(records)
            COUNTED.set(self._counter.reached)
        letters = [dead_letter(source_record(by_offset[one.offset]), self.name, one.error) for one in uncountable]
        await self._producer.send_letters(letters)

    async def publish_trends(self) -> None:
        """Move the windows on and publish trends; a failure is retried at the next interval."""
        async with self._busy:
            if not self._owned:
                self._publisher.reset()
                return
            try:
                await self._counter.tick()
                end = self._worker.app.consumer.highwater(TP(self.topic.name, 0)) or 0
                # Counts that lag behind the log say nothing about what rises now.
                if end - self._counter.reached <= _MAX_LAG_FOR_TRENDS:
                    for trend in await self._publisher.publish(utc_now(), self._counter.reached):
                        TRENDS.labels(trend.kind, trend.phase).inc()
            except (KafkaError, RedisError, OSError, Fenced) as error:
                log.warning("trends_wait", cause=repr(error)[:300])

    def on_revoked(self) -> None:
        """Publish no trends during a rebalance."""
        self._owned = False

    async def on_assigned(self, owned: bool) -> None:
        """Publish trends while the partition is this worker's."""
        self._owned = owned

    async def close(self) -> None:
        """Close the store's and the publisher's connections."""
        self._publisher.reset()
        await self._store.close()


_STAGE_TYPES: Final[dict[str, type[Stage]]] = {
    stage.name: stage for stage in (AnnotateStage, GroupStage, AggregateStage)
}


async def check_for_stall(
    member: WorkerConsumer, detector: StallDetector, idle_topics: set[str], bootstrap: kafka.Bootstrap
) -> None:
    """End a worker that does not read records that wait for it; its supervisor starts it again.

    Where nothing but transaction markers and aborted records is left, commit the offset after them.
    Raises ``Stalled``.
    """
    try:
        async with asyncio.timeout(_OFFSETS_TIMEOUT):
            lags = await _lags(member)
            stalled = detector.check(lags, idle_topics)
            for partition in detector.unmoved:
                lag = lags[partition]
                if not await _has_records(bootstrap, partition, lag.next, lag.end):
                    stalled = [one for one in stalled if one != partition]
                    await member.skip_to({partition: lag.end})
    except (KafkaError, OSError, TimeoutError, ConsumerNotStarted) as error:
        log.debug("offsets_unavailable", cause=repr(error)[:300])
        return
    if stalled:
        raise Stalled(", ".join(f"{one.topic}/{one.partition}" for one in stalled))


async def _has_records(bootstrap: kafka.Bootstrap, partition: TP, start: int, stop: int) -> bool:
    """Whether a partition has a committed record at these offsets."""
    async with kafka.reader(bootstrap, partition.topic, partition.partition) as reader:
        async for _ in reader.between(start, stop):
            return True
    return False


async def _lags(member: WorkerConsumer) -> dict[TP, PartitionLag]:
    """The lags of this worker's partitions."""
    owned = member.assignment()
    if not owned:
        return {}
    oldest, ends = await member.earliest_offsets(*owned), await member.highwaters(*owned)
    # The offsets that Faust has committed, or found committed; it has no public way to read them.
    return {one: PartitionLag(member._committed_offset.get(one), oldest[one], ends[one]) for one in owned & ends.keys()}
