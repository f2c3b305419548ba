"""Aggregate: records of ``updates`` → live numbers in the store, with the offset they reflect.

The store follows the log: one atomic script applies a batch and stores the offset it reaches, and refuses a batch that
would skip a record. So any loss (of a worker, of the last second of the store, of all of it) shows as a gap between the
offset in the store and the next records, which are then read again from Kafka.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from services import kafka, kafka_topics, log_positions
from services.clock import utc_now
from services.events import Article, Story, Trend
from services.store import Batch, Gap, Store

log = structlog.get_logger(__name__)

# Records that are replayed and applied at once.
_REPLAY_BATCH = 1_000
# Years that remain valid in every time zone.
_EARLIEST_YEAR, _LATEST_YEAR = 1000, 9000
_LATEST_MS = int(datetime(_LATEST_YEAR, 1, 1, tzinfo=UTC).timestamp() * 1000)
# Gaps longer than this are reported as a rebuild; shorter ones are filled within moments.
_REBUILD_RECORDS = 5_000


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """A record of ``updates``; ``timestamp`` is when it was written, in ms since 1970."""

    offset: int
    timestamp: int
    headers: object
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Uncountable:
    """A record that cannot be counted, and the error."""

    offset: int
    error: Exception


Progress = Callable[[int, int], None]
"""Called with the offset reached and the last one to reach."""


def _ignore_progress(reached: int, goal: int) -> None:
    pass


def add(batch: Batch, record: UpdateRecord) -> None:
    """Add one record of ``updates`` to a batch; types that change no number only advance the offset.

    Raises ``ValueError``, with the batch unchanged, when the value does not match its ``type`` header, or has a time
    that not every time zone can express.
    """
    value = record.value or b""
    match kafka.header(record.headers, "type"):
        case "article":
            article = Article.model_validate_json(value)
            _check_times(article.received_at)
            batch.add_article(record.offset, article)
        case "story":
            story = Story.model_validate_json(value)
            _check_times(story.first_published, story.last_published)
            batch.add_story(record.offset, story, max(0, min(record.timestamp, _LATEST_MS)), value)
        case "trend":
            trend = Trend.model_validate_json(value)
            _check_times(trend.started, trend.at)
            batch.add_trend(record.offset, trend)
        case _:
            batch.add_nothing(record.offset)


def _check_times(*times: datetime) -> None:
    for time in times:
        if not _EARLIEST_YEAR <= time.year <= _LATEST_YEAR:
            raise ValueError(f"{time.isoformat()}: the year must be from {_EARLIEST_YEAR} to {_LATEST_YEAR}")


def batches(records: Iterable[UpdateRecord], uncountable: list[Uncountable]) -> Iterator[Batch]:
    """Add up records in one batch for each run of consecutive offsets; records repeated within a run are skipped.

    Records that cannot be counted are added to ``uncountable`` and only advance the offset.
    """
    batch = Batch()
    for record in records:
        if len(batch):
            if batch.first <= record.offset <= batch.last:
                continue
            if record.offset != batch.last + 1:
                yield batch
                batch = Batch()
        _add(batch, record, uncountable)
    if len(batch):
        yield batch


def _add(batch: Batch, record: UpdateRecord, uncountable: list[Uncountable]) -> None:
    try:
        add(batch, record)
    except Exception as error:  # an error in one record must not affect the next
        uncountable.append(Uncountable(record.offset, error))
        batch.add_nothing(record.offset)
    batch.sample = (record.offset, record.timestamp)


class Aggregate:
    """Keeps the store up to date with one log.

    A store that reflects another log (its topic was created again), or other records than the log has (an older copy of
    it was put back), is emptied, and everything is counted again.

    Methods raise ``KafkaError`` or ``redis.RedisError``, and are safe to repeat.
    """

    def __init__(
        self,
        store: Store,
        bootstrap: kafka.Bootstrap,
        *,
        topic: str = kafka_topics.UPDATES.name,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._bootstrap = bootstrap
        self._topic = topic
        self._clock = clock
        self._log_id: str | None = None
        self.reached = -1
        """Offset of the last record known to be in the store."""

    async def apply(self, records: Sequence[UpdateRecord]) -> list[Uncountable]:
        """Apply records to the store, and before them the ones it lacks; return those that cannot be counted."""
        uncountable: list[Uncountable] = []
        for batch in batches(records, uncountable):
            await self._apply(batch)
        return uncountable

    async def tick(self) -> None:
        """Move the windows on to the present, and restore what the store may have lost while no records arrived."""
        log_id = await self._verify()
        applied = await self._store.applied(log_id)
        if applied < self.reached:
            await self._fill_gap(applied, self.reached + 1)
        else:
            state = await self._store.state(log_id)
            if state.complete.rebuilding and state.applied >= (state.goal or -1):
                await self._store.end_rebuild()
        await self._store.roll(self._clock())

    async def rebuild(self, progress: Progress = _ignore_progress) -> int:
        """Clear all numbers and count everything that Kafka keeps; return the offset reached."""
        await self._store.clear()
        self._log_id = await kafka.read_log_id(self._bootstrap, self._topic)
        async with kafka.reader(self._bootstrap, self._topic) as reader:
            end = await reader.end()
        await self._fill_gap(-1, end, progress)
        return end - 1

    async def _apply(self, batch: Batch) -> None:
        while True:
            try:
                await self._store.apply(await self._read_log_id(), batch, now=self._clock())
            except Gap as gap:
                await self._fill_gap(gap.applied, batch.first)
            else:
                self.reached = max(self.reached, batch.last)
                return

    async def _fill_gap(self, applied: int, stop: int, progress: Progress = _ignore_progress) -> None:
        """Read and apply the records after offset ``applied``, up to but not including ``stop``."""
        async with kafka.reader(self._bootstrap, self._topic) as reader:
            while applied < stop - 1:
                log.warning("store_gap", first=applied + 1, last=stop - 1)
                if stop - applied > _REBUILD_RECORDS:
                    await self._store.begin_rebuild(stop - 1)
                try:
                    await self._replay(reader, applied, stop, progress)
                    break
                except Gap as gap:  # the store lost records again meanwhile
                    applied = gap.applied
        await self._store.end_rebuild()
        self.reached = max(self.reached, stop - 1)

    async def _replay(self, reader: kafka.Reader, applied: int, stop: int, progress: Progress) -> None:
        log_id = await self._read_log_id()
        oldest = await reader.oldest()
        # The log no longer has some of the missing records: the store then reports its numbers as incomplete.
        gone_after = applied if oldest > applied + 1 else None
        if gone_after is not None:
            log.error("updates_deleted_uncounted", first=applied + 1, last=oldest - 1)
        uncountable: list[Uncountable] = []
        batch = Batch()
        first = max(applied + 1, oldest)
        expected = min(first, stop - 1)
        async for record in reader.between(first, stop):
            if record.offset > expected:  # compaction and transactions leave gaps in the offsets
                batch.skip(expected, record.offset - 1)
            _add(batch, UpdateRecord(record.offset, record.timestamp, record.headers, record.value), uncountable)
            expected = record.offset + 1
            if len(batch) >= _REPLAY_BATCH:
                await self._store.apply(log_id, batch, now=self._clock(), gone_after=gone_after)
                progress(batch.last, stop - 1)
                gone_after, batch = None, Batch()
        if expected < stop:
            batch.skip(expected, stop - 1)
        await self._store.apply(log_id, batch, now=self._clock(), gone_after=gone_after)
        progress(stop - 1, stop - 1)
        if uncountable:  # they became dead letters when they were first read
            log.warning("uncountable_records_skipped", records=len(uncountable))

    async def _read_log_id(self) -> str:
        return await self._verify() if self._log_id is None else self._log_id

    async def _verify(self) -> str:
        """Verify that the store reflects the log as it is now, and return its id; otherwise empty the store."""
        log_id = await kafka.read_log_id(self._bootstrap, self._topic)
        applied, sample = await self._store.sample(log_id)  # before the log's end, as both may grow
        async with kafka.reader(self._bootstrap, self._topic) as reader:
            oldest, end = await reader.oldest(), await reader.end()
            replaced = applied >= end or not await log_positions.same_history(reader, oldest, end, sample)
        cause = await self._store.adopt(log_id, now=self._clock(), replaced=replaced)
        if cause is not None:
            log.error("store_emptied", cause=cause, log=log_id, applied=applied, end=end)
        if self._log_id != log_id or self.reached < 0 or self.reached >= end:
            self.reached = end - 1
        self._log_id = log_id
        return log_id
