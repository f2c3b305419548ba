"""Follows ``updates`` into the shared log and reconnects after every outage of Kafka."""

import asyncio
from collections.abc import Iterator, Sequence

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from api.stream.cursor import Cursors
from api.stream.log import Log
from api.stream.metrics import Metrics
from api.stream.stream_event import Event, Unparsable, parse
from services import fencing, kafka, kafka_topics
from services.backoff import Backoff
from services.settings import Settings

_FIRST_DELAY = 0.2
_MAX_DELAY = 2.0
# Bounds on what is parsed and delivered before other tasks run, so that a start or a burst does not block them. Bytes
# too: they determine the time for parsing and for the words that a ``q`` needs.
_BATCH_RECORDS = 100
_BATCH_BYTES = 256_000

log = structlog.get_logger(__name__)


class Follower:
    """The consumer that feeds this gateway's log.

    ``cursors`` is None until Kafka has been reached for the first time. ``caught_up`` is set once the log has
    reached what was the end of ``updates`` at that time.
    """

    def __init__(self, settings: Settings, shared_log: Log, metrics: Metrics, *, tail: int) -> None:
        self._settings = settings
        self._log = shared_log
        self._metrics = metrics
        self._tail = tail
        self._reader: kafka.Reader | None = None
        self._backoff = Backoff(_FIRST_DELAY, _MAX_DELAY)
        self._goal = 0
        self.cursors: Cursors | None = None
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
                seconds = self._backoff.next()
            except (KafkaError, OSError, TimeoutError) as error:
                seconds = self._backoff.next()
                log.warning("kafka_unavailable", error=repr(error), retry_seconds=seconds)
            except Exception:
                seconds = self._backoff.next()
                log.exception("follow_updates_failed", retry_seconds=seconds)
            finally:
                self._reader = None
            await asyncio.sleep(seconds)

    async def end(self) -> int:
        """The present end of ``updates`` on Kafka. Raises ``KafkaError`` when not connected."""
        if self._reader is None:
            raise KafkaError("not connected")
        return await self._reader.end()

    async def _follow(self) -> None:
        bootstrap = self._settings.kafka_servers
        await kafka_topics.ensure_from_settings(self._settings)
        cluster = await kafka.read_log_id(bootstrap)
        async with kafka.reader(bootstrap, kafka_topics.UPDATES.name) as reader:
            self._position_log(cluster, await reader.oldest(), await reader.end())
            self._reader = reader
            self._backoff.reset()
            self._check_goal()
            async for records in reader.follow(self._log.end):
                await self._append(records)

    def _position_log(self, cluster: str, oldest: int, end: int) -> None:
        """Continue the log where it ended, unless that offset was deleted or this is another Kafka cluster."""
        known = self.cursors is not None
        restart = known and (self.cursors != Cursors(cluster) or self._log.end > end)
        if restart:
            log.error("updates_replaced", cluster=cluster, log_end=self._log.end, kafka_end=end)
        elif known and self._log.end < oldest:
            log.error("events_deleted_before_read", missed=oldest - self._log.end)
        if not known or restart or self._log.end < oldest:
            self.cursors = Cursors(cluster)
            self._log.reset(max(oldest, end - self._tail), restart=restart)
        self._goal = end

    async def _append(self, records: "Sequence[ConsumerRecord[bytes, bytes]]") -> None:
        for batch in _batches(records):
            self._log.append([event for event in map(self._parsed, batch) if event], batch[-1].offset + 1)
            self._check_goal()
            await asyncio.sleep(0)

    def _parsed(self, record: "ConsumerRecord[bytes, bytes]") -> Event | None:
        assert self.cursors is not None  # noqa: S101 - set before anything is read
        if kafka.header(record.headers, "type") == fencing.FENCE:  # a new writer, not an event
            return None
        try:
            return parse(record, self.cursors)
        except Unparsable as error:
            self._metrics.unparsable.inc()
            log.error("record_skipped", topic=kafka_topics.UPDATES.name, offset=record.offset, error=str(error))
            return None

    def _check_goal(self) -> None:
        if self._log.end >= self._goal:
            self.caught_up.set()


def _batches(records: "Sequence[ConsumerRecord[bytes, bytes]]") -> "Iterator[Sequence[ConsumerRecord[bytes, bytes]]]":
    """Consecutive records in batches of bounded size, unless a single record is larger."""
    first = size = 0
    for at, record in enumerate(records):
        size += len(record.value or b"")
        if at - first + 1 >= _BATCH_RECORDS or size >= _BATCH_BYTES:
            yield records[first : at + 1]
            first, size = at + 1, 0
    if first < len(records):
        yield records[first:]
