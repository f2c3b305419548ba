"""Follows ``updates`` into the shared log and reconnects after every outage of Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from api.stream.cursor import Cursors, check_of
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
# How often it is checked that Kafka still has the log that was read: Kafka may be stopped, put back from an older copy
# and written to before the consumer notices.
_VERIFY_SECONDS = 10.0
# Kafka's clients try for 40 s to learn an offset from a broker that has just stopped.
_READ_SECONDS = 5.0

log = structlog.get_logger(__name__)


class _Replaced(Exception):
    """Kafka no longer has the log that was followed."""


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
        self._skipped = kafka.SkippedRecords(kafka_topics.UPDATES.name)
        self.cursors: Cursors | None = None
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
                seconds = self._backoff.next()
            except _Replaced:
                seconds = 0.0
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # aiokafka let one of its own tasks' out while Kafka was stopping.
                seconds = self._backoff.next()
                log.warning("kafka_unavailable", error="the Kafka client was interrupted", retry_seconds=seconds)
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
        await kafka_topics.ensure_from_settings(self._settings)
        async with asyncio.timeout(_READ_SECONDS) as limit, self._open() as (log_id, reader):
            oldest, end = await reader.oldest(), await reader.end()
            self._position_log(log_id, oldest, end, same=await self._is_same(log_id, reader, oldest, end))
            limit.reschedule(None)
            self._reader = reader
            self._backoff.reset()
            self._check_goal()
            verified = time.monotonic()
            async for fetched in reader.follow(self._log.end):
                await self._append(fetched)
                if time.monotonic() - verified >= _VERIFY_SECONDS:
                    await self._verify()
                    verified = time.monotonic()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[str, kafka.Reader]]:
        """The id of the log that Kafka has now, and a reader of it."""
        bootstrap = self._settings.kafka_servers
        log_id = await kafka.read_log_id(bootstrap)
        async with kafka.reader(bootstrap, kafka_topics.UPDATES.name) as reader:
            yield log_id, reader

    async def _verify(self) -> None:
        """Raises ``_Replaced`` when Kafka does not have what was read before."""
        async with asyncio.timeout(_READ_SECONDS), self._open() as (log_id, reader):
            if not await self._is_same(log_id, reader, await reader.oldest(), await reader.end()):
                raise _Replaced

    async def _is_same(self, log_id: str, reader: kafka.Reader, oldest: int, end: int) -> bool:
        """Whether Kafka still has the log that was read: its id, its length and the last event are the same."""
        if self.cursors is None or self.cursors.log != log_id or self._log.end > end:
            return False
        last = self._log.last_before(self._log.end)
        if last is None or last.offset < oldest:
            return True
        async for record in reader.between(last.offset, last.offset + 1):
            return self.cursors.encode(record.offset, check_of(record)) == last.cursor
        return False

    def _position_log(self, log_id: str, oldest: int, end: int, *, same: bool) -> None:
        """Continue the log where it ended, unless that offset was deleted or the log is not the ``same`` any more."""
        known = self.cursors is not None
        restart = known and not same
        if restart:
            log.error("updates_replaced", log=log_id, log_end=self._log.end, kafka_end=end)
        elif known and self._log.end < oldest:
            log.error("events_deleted_before_read", missed=oldest - self._log.end)
        if not known or restart or self._log.end < oldest:
            if not known or restart:
                self.cursors = Cursors(log_id)
            self._log.reset(max(oldest, end - self._tail), restart=restart)
        self._goal = end

    async def _append(self, fetched: kafka.Fetched) -> None:
        for batch in _batches(fetched.records):
            self._log.append([event for event in map(self._parsed, batch) if event], batch[-1].offset + 1)
            self._check_goal()
            await asyncio.sleep(0)
        if fetched.skipped:
            self._metrics.unparsable.inc(fetched.skipped)
        if fetched.end > self._log.end:  # the last offsets have no record that can be read
            self._log.append([], fetched.end)
            self._check_goal()

    def _parsed(self, record: "ConsumerRecord[bytes, bytes]") -> Event | None:
        assert self.cursors is not None  # noqa: S101 - set before anything is read
        if kafka.header(record.headers, "type") == fencing.FENCE:  # a new writer, not an event
            return None
        try:
            return parse(record, self.cursors)
        except Unparsable as error:
            self._metrics.unparsable.inc()
            self._skipped.add(record.offset, error)
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
