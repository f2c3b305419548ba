"""Follows ``updates`` into the shared log, through every absence of Kafka."""

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
from services.settings import Settings

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0
# Records parsed and handed out before others get their turn: a start or a burst must not hold them up. The same in
# bytes: parsing takes time by them, and so do the words that a ``q`` asks for.
_AT_ONCE = 100
_BYTES_AT_ONCE = 256_000

_log = structlog.get_logger(__name__)


class Follower:
    """The one consumer that feeds the log of this gateway.

    ``cursors`` is None until Kafka has been reached for the first time. ``caught_up`` is set once the log has
    reached what was the end of ``updates`` at that time.
    """

    def __init__(self, settings: Settings, log: Log, metrics: Metrics, *, tail: int) -> None:
        self._settings = settings
        self._log = log
        self._metrics = metrics
        self._tail = tail
        self._reader: kafka.Reader | None = None
        self._pause = _FIRST_PAUSE
        self._goal = 0
        self.cursors: Cursors | None = None
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError, TimeoutError) as error:
                _log.warning("Kafka cannot be read, trying again", error=repr(error), seconds=self._pause)
            except Exception:
                _log.exception("following updates failed, trying again", seconds=self._pause)
            finally:
                self._reader = None
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def end(self) -> int:
        """The end of ``updates`` as Kafka tells it now. Raises ``KafkaError`` when it is not connected."""
        if self._reader is None:
            raise KafkaError("not connected")
        return await self._reader.end()

    async def _follow(self) -> None:
        bootstrap = self._settings.kafka_servers
        cluster = await kafka.cluster_id(bootstrap)
        await kafka_topics.ensure_from_settings(self._settings)
        async with kafka.reader(bootstrap, kafka_topics.UPDATES.name) as reader:
            self._place(cluster, await reader.oldest(), await reader.end())
            self._reader = reader
            self._pause = _FIRST_PAUSE
            self._check_goal()
            async for records in reader.follow(self._log.end):
                await self._take(records)

    def _place(self, cluster: str, oldest: int, end: int) -> None:
        """Decide where the log goes on: where it stopped, unless that place is gone or it is another Kafka."""
        known = self.cursors is not None
        anew = known and (self.cursors != Cursors(cluster) or self._log.end > end)
        if anew:
            _log.error("updates is not the stream followed so far, starting again", cluster=cluster)
        elif known and self._log.end < oldest:
            _log.error("events were deleted before they were read", missed=oldest - self._log.end)
        if not known or anew or self._log.end < oldest:
            self.cursors = Cursors(cluster)
            self._log.reset(max(oldest, end - self._tail), anew=anew)
        self._goal = end

    async def _take(self, records: "Sequence[ConsumerRecord[bytes, bytes]]") -> None:
        for some in _turns(records):
            self._log.append([event for event in map(self._parsed, some) if event], some[-1].offset + 1)
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
            _log.error("skipped a record of updates", offset=record.offset, error=str(error))
            return None

    def _check_goal(self) -> None:
        if self._log.end >= self._goal:
            self.caught_up.set()


def _turns(records: "Sequence[ConsumerRecord[bytes, bytes]]") -> "Iterator[Sequence[ConsumerRecord[bytes, bytes]]]":
    """Consecutive records in parts that are bounded, but for a single large record."""
    first = size = 0
    for at, record in enumerate(records):
        size += len(record.value or b"")
        if at - first + 1 >= _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield records[first : at + 1]
            first, size = at + 1, 0
    if first < len(records):
        yield records[first:]
