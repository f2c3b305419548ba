"""Aggregate: what group published → live numbers in the store, with the offset they reflect.

The store follows the log: each batch, and the offset it reaches, is one atomic script, which refuses what would leave
a record out. So whatever is lost on the way (a worker, the last second of the store, all of it) shows as a gap between
the offset in the store and the records at hand, and is read back from Kafka.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from services import kafka, kafka_topics
from services.clock import utc_now
from services.events import Article, Story, Trend
from services.store import Batch, Gap, Store

log = structlog.get_logger(__name__)

# Records read back and applied at once.
_READ_BACK = 1_000
# Of a gap that is filled in moments nobody is told.
_WORTH_TELLING = 5_000


@dataclass(frozen=True, slots=True)
class Record:
    """A record of ``updates``; ``timestamp`` is when it was written, in ms since 1970."""

    offset: int
    timestamp: int
    headers: object
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that cannot be counted, and why."""

    offset: int
    error: Exception


Progress = Callable[[int, int], None]
"""Called with the offset reached and the one that is the goal."""


def _unseen(reached: int, goal: int) -> None:
    pass


def add(batch: Batch, record: Record) -> None:
    """Add one record of ``updates`` to a batch; kinds that change no number only move the offset on.

    Raises ``ValueError`` (pydantic's), with the batch as it was, when the value is not what its ``type`` header says.
    """
    value = record.value or b""
    match kafka.header(record.headers, "type"):
        case "article":
            batch.add_article(record.offset, Article.model_validate_json(value))
        case "story":
            batch.add_story(record.offset, Story.model_validate_json(value), record.timestamp, value)
        case "trend":
            batch.add_trend(record.offset, Trend.model_validate_json(value))
        case _:
            batch.add_nothing(record.offset)


def batches(records: Iterable[Record], refused: list[Refused]) -> Iterator[Batch]:
    """Records added up, in a batch for each run of consecutive offsets; what comes again within a run is left out.

    What cannot be counted is noted in ``refused`` and counts as done.
    """
    batch = Batch()
    for record in records:
        if len(batch):
            if batch.first <= record.offset <= batch.last:
                continue
            if record.offset != batch.last + 1:
                yield batch
                batch = Batch()
        _add(batch, record, refused)
    if len(batch):
        yield batch


def _add(batch: Batch, record: Record, refused: list[Refused]) -> None:
    try:
        add(batch, record)
    except Exception as error:  # whatever a record does to us, the next one is not its fault
        refused.append(Refused(record.offset, error))
        batch.add_nothing(record.offset)


class Aggregate:
    """Keeps the store up with one log. Raises ``KafkaError`` or ``redis.RedisError``; all of it may be tried again."""

    def __init__(
        self,
        store: Store,
        bootstrap: str,
        *,
        topic: str = kafka_topics.UPDATES.name,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._bootstrap = bootstrap
        self._topic = topic
        self._clock = clock
        self._log: str | None = None
        self.reached = -1
        """Offset of the last record that is known to be in the store."""

    async def apply(self, records: Sequence[Record]) -> list[Refused]:
        """Bring records into the store, and before them whatever it lacks; which of them cannot be counted."""
        refused: list[Refused] = []
        for batch in batches(records, refused):
            await self._apply(batch)
        return refused

    async def tick(self) -> None:
        """Let the windows end now, and see that the store has lost nothing while no records came."""
        name = await self._name()
        if self.reached < 0:
            async with kafka.reader(self._bootstrap, self._topic) as reader:
                self.reached = await reader.end() - 1
        applied = await self._store.applied(name)
        if applied < self.reached:
            await self._fill(applied, self.reached + 1)
        await self._store.roll(self._clock())

    async def rebuild(self, progress: Progress = _unseen) -> int:
        """Forget all numbers and count everything that Kafka keeps; the offset that is reached."""
        await self._store.clear()
        async with kafka.reader(self._bootstrap, self._topic) as reader:
            end = await reader.end()
        await self._fill(-1, end, progress)
        return end - 1

    async def _apply(self, batch: Batch) -> None:
        while True:
            try:
                await self._store.apply(await self._name(), batch, now=self._clock())
            except Gap as gap:
                await self._fill(gap.applied, batch.first)
            else:
                self.reached = max(self.reached, batch.last)
                return

    async def _fill(self, applied: int, stop: int, progress: Progress = _unseen) -> None:
        """Read back and apply what lies behind ``applied``, up to but not including offset ``stop``."""
        async with kafka.reader(self._bootstrap, self._topic) as reader:
            while applied < stop - 1:
                log.warning("the store lacks records; reading them back", first=applied + 1, last=stop - 1)
                if stop - applied > _WORTH_TELLING:
                    await self._store.begin_rebuild(stop - 1)
                try:
                    await self._read_back(reader, applied, stop, progress)
                    break
                except Gap as gap:  # it was lost once more meanwhile
                    applied = gap.applied
        await self._store.end_rebuild()
        self.reached = max(self.reached, stop - 1)

    async def _read_back(self, reader: kafka.Reader, applied: int, stop: int, progress: Progress) -> None:
        name = await self._name()
        oldest = await reader.oldest()
        # Of what the log no longer keeps the store can only say that it lacks it.
        gone_after = applied if oldest > applied + 1 else None
        refused: list[Refused] = []
        batch = Batch()
        first = max(applied + 1, oldest)
        expected = min(first, stop - 1)
        async for record in reader.between(first, stop):
            if record.offset > expected:  # compaction and transactions leave offsets out
                batch.skip(expected, record.offset - 1)
            _add(batch, Record(record.offset, record.timestamp, record.headers, record.value), refused)
            expected = record.offset + 1
            if len(batch) >= _READ_BACK:
                await self._store.apply(name, batch, now=self._clock(), gone_after=gone_after)
                progress(batch.last, stop - 1)
                gone_after, batch = None, Batch()
        if expected < stop:
            batch.skip(expected, stop - 1)
        await self._store.apply(name, batch, now=self._clock(), gone_after=gone_after)
        progress(stop - 1, stop - 1)
        if refused:  # they became dead letters when they were read first
            log.warning("records that cannot be counted were left out", records=len(refused))

    async def _name(self) -> str:
        if self._log is None:
            self._log = await kafka.read_log_id(self._bootstrap, self._topic)
        return self._log
