"""Faust's consumer: it checks its positions (``services/log_positions.py``) and reads committed records only.

Offsets of transaction markers and of aborted records have nothing to read, so a partition can end with offsets that
no worker ever commits by itself: ``skip_to`` does.

Faust continues at the committed offset, and its client moves silently to another one where that is out of range. Here
each assignment verifies the offset first, and a position that goes out of range later ends the worker: started again,
it verifies its positions.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import aiokafka
import structlog
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, UnknownTopicOrPartitionError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust import App
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import TransportT
from prometheus_client import Counter

from services import kafka, kafka_topics, log_positions
from services.backoff import Backoff
from services.log_positions import Cause, Commit, LogIds, Published
from services.settings import Settings

log = structlog.get_logger(__name__)

POSITIONS_MOVED = Counter(
    "khabar_positions_moved_total", "Partitions that are not read from the committed offset on", ["topic", "cause"]
)
RECORDS_DELETED = Counter(
    "khabar_records_deleted_unread_total", "Records that Kafka deleted before a worker read them", ["topic"]
)
# Samples of records that are fetched but not committed yet; one per fetch.
_MAX_SAMPLES: Final = 1_000
# How much longer than the window a repeated article may have been published before the newest one.
_MARGIN: Final = timedelta(minutes=5)


class LogReplaced(Exception):
    """A topic that this worker reads or writes was deleted and created again."""


class WorkerApp(App):  # type: ignore[misc]
    """A Faust app whose consumer checks its positions."""

    settings: Settings

    def _new_transport(self) -> TransportT:
        return _Transport(self.conf.broker_consumer, self)


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The consumer's thread. All methods but ``seek_to_committed`` run in it."""

    logs: LogIds | None = None
    """The logs at the first assignment; a worker does not continue with others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._commits: dict[TP, Commit] = {}
        self._samples: dict[TP, deque[tuple[int, int]]] = defaultdict(lambda: deque(maxlen=_MAX_SAMPLES))

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # It is passed on when the consumer starts. Faust sets it only in its exactly-once mode.
        consumer._isolation_level = "read_committed"
        commit = consumer.commit

        async def commit_with_metadata(offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
            await commit(
                {at: OffsetAndMetadata(one.offset, self._metadata(at, one.offset)) for at, one in offsets.items()}
            )

        # Faust commits without metadata, and has no setting for it.
        consumer.commit = commit_with_metadata
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek all partitions to where they continue; return these offsets."""
        found: Mapping[TP, int] = await self.call_thread(self._seek_to_verified)
        return found

    async def _seek_to_verified(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        assigned = {TP(one.topic, one.partition) for one in consumer.assignment()}
        backoff = Backoff(0.1, 2.0)
        while True:
            try:
                await self._verify(consumer, assigned)
                break
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("positions_wait_for_kafka", cause=repr(error)[:300])
                await backoff.wait()
        for partition in assigned:
            consumer.seek(TopicPartition(*partition), self._commits[partition].offset)
        return {partition: self._commits[partition].offset for partition in assigned}

    async def _verify(self, consumer: aiokafka.AIOKafkaConsumer, assigned: set[TP]) -> None:
        settings: Settings = self.app.settings
        try:
            logs = await log_positions.read_log_ids(settings.kafka_servers)
        except UnknownTopicOrPartitionError:
            # Kafka does not assign a topic that was missing; ``check_logs`` then ends the worker.
            self.logs = self.logs or dict.fromkeys(log_positions.PIPELINE, "")
            await kafka_topics.ensure_from_settings(settings)
            raise
        if self.logs is None:
            self.logs = logs
        elif self.logs != logs:
            # What the stages have in memory is of other logs: to commit it for these would skip records.
            error = LogReplaced(", ".join(sorted(topic for topic in logs if self.logs[topic] != logs[topic])))
            await self.crash(error)
            raise error
        partitions = [TopicPartition(*partition) for partition in assigned]
        committed = await consumer._coordinator.fetch_committed_offsets(partitions)
        published = await _published(settings, logs, assigned)
        window = timedelta(hours=settings.story_window_hours) - _MARGIN
        repeat_ms = max(0, int(window.total_seconds() * 1000))
        state = log_positions.PipelineState(settings.kafka_servers, logs, published, repeat_ms)

        async def verify(partition: TopicPartition) -> None:
            found = committed.get(partition)
            known = None if found is None or found.offset < 0 else Commit.decode(found.offset, found.metadata or "")
            place, cause = await state.resume(partition.topic, partition.partition, known)
            self._commits[TP(*partition)] = place
            self._samples.pop(TP(*partition), None)
            if known is not None and cause is not None and (place.offset, place.lost) != (known.offset, known.lost):
                _report(partition, known, place, cause)
            if known is None or cause is not None:
                # So that the lag, and what is lost, are right at once.
                await consumer.commit({partition: OffsetAndMetadata(place.offset, "")})

        await asyncio.gather(*map(verify, partitions))

    def _metadata(self, partition: TopicPartition, offset: int) -> str:
        known = self._commits.get(TP(*partition)) or Commit(offset)
        samples = self._samples[TP(*partition)]
        sample = known.sample
        while samples and samples[0][0] < offset:
            sample = samples.popleft()
        place = Commit(offset, known.logs, sample, known.lost)
        self._commits[TP(*partition)] = place
        return place.metadata

    async def _fetch_records(self, *arguments: Any, **options: Any) -> Any:
        try:
            found = await super()._fetch_records(*arguments, **options)
        except NoOffsetForPartitionError:  # assigned just now; the next seek sets its position
            return {}
        for partition, records in found.items():
            if records:
                self._samples[TP(*partition)].append((records[-1].offset, records[-1].timestamp))
        return found


class WorkerConsumer(driver.Consumer):  # type: ignore[misc]
    """Verifies its positions, reads committed records only, and commits across any gap in the offsets."""

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    def _new_offset(self, tp: TP) -> int | None:
        # Each stage acknowledges the events of a partition in the order of their offsets, so all before the last one
        # are done. Faust looks for consecutive offsets instead, and waits forever at some gaps.
        acked = self._acked[tp]
        if not acked:
            return None
        last: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        self._gap[tp].clear()
        return last + 1

    async def skip_to(self, offsets: dict[TP, int]) -> None:
        """Commit offsets before which nothing is left to read."""
        await self._commit_offsets(offsets)


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = WorkerConsumer


async def check_logs(app: WorkerApp) -> None:
    """Verify that the logs are those at the first assignment; create topics that were deleted.

    Raises ``LogReplaced``. An unavailable Kafka is no error.
    """
    expected = app.consumer._thread.logs
    if expected is None:
        return
    try:
        found = await log_positions.read_log_ids(app.settings.kafka_servers)
    except UnknownTopicOrPartitionError as error:
        log.error("topic_missing", topic=str(error))
        try:
            await kafka_topics.ensure_from_settings(app.settings)
        except (KafkaError, OSError, TimeoutError) as failed:
            log.warning("topic_not_created", cause=repr(failed)[:300])
        return
    except (KafkaError, OSError, TimeoutError) as error:
        log.debug("log_ids_unavailable", cause=repr(error)[:300])
        return
    replaced = sorted(topic for topic, log_id in found.items() if expected[topic] != log_id)
    if replaced:
        raise LogReplaced(", ".join(replaced))


async def _published(settings: Settings, logs: LogIds, assigned: set[TP]) -> Published:
    if not {kafka_topics.RAW.name, kafka_topics.ANNOTATED.name}.intersection(one.topic for one in assigned):
        return Published()
    from enrich.group.journal import newest_article  # noqa: PLC0415 - workers without group need not load it

    async with kafka.reader(settings.kafka_servers, kafka_topics.UPDATES.name) as updates:
        oldest, end = await updates.oldest(), await updates.end()
        newest = await newest_article(updates, end)
    if newest is None:
        return Published(empty=oldest == 0)
    valid = newest.logs in (b"", log_positions.group_logs(logs))
    return Published(False, newest.input_offset if valid else None, newest.arrived)


def _report(partition: TopicPartition, known: Commit, place: Commit, cause: Cause) -> None:
    lost = place.lost - known.lost
    POSITIONS_MOVED.labels(partition.topic, cause).inc()
    RECORDS_DELETED.labels(partition.topic).inc(lost)
    level = log.info if cause == "output_shorter" else log.error
    level(
        "position_moved",
        topic=partition.topic,
        partition=partition.partition,
        cause=cause,
        committed=known.offset,
        offset=place.offset,
        records_deleted_unread=lost,
    )
