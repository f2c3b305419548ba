"""The one writer of ``updates``: feeds annotated articles to the grouper and keeps its journal.

The journal says how far group has come: its state and input offset were written by one append. The offset committed for
the consumer group only decides where Kafka starts to deliver; inputs between the last one published and the first one
delivered are read again from Kafka.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import ValidationError

from enrich.group.grouper import ARTICLE_BYTES, Grouper, InvalidArticle
from enrich.group.journal import Journal, JournalConfig, JournalEntry
from enrich.stage import LEFT_EARLY, REACH, WINDOW, Letter, RecordProducer, dead_letter
from services import kafka, kafka_topics, log_positions
from services.clock import CLOCK_SKEW
from services.deadletters import SourceRecord
from services.events import AnnotatedArticle
from services.kafka import RecordRefused
from services.settings import Settings

log = structlog.get_logger(__name__)

# Inputs that are replayed and published at once.
_REPLAY_BATCH = 200


class Writer:
    """Group's state and write fence while the partition of ``articles.annotated`` is assigned to this worker."""

    def __init__(self, settings: Settings, producer: RecordProducer) -> None:
        self.busy = asyncio.Lock()
        self._settings = settings
        self._producer = producer
        self._window = timedelta(hours=settings.story_window_hours)
        self._journal: Journal | None = None
        self._verified = True
        # The last input offset processed. The journal knows only inputs that had an output.
        self._done = -1
        # Offsets of inputs that raised what nobody foresaw, or whose output Kafka refused: they are dead letters.
        self._refused: set[int] = set()

    def reset(self) -> None:
        """Drop the state: another worker has the partition now, or the state may differ from what was written."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def invalidate(self) -> None:
        """Note that another worker may write from now on; the next batch verifies that the state is still current."""
        self._verified = False

    async def process(self, inputs: Sequence[SourceRecord]) -> None:
        """Publish the output for these records, and before it that of any input that was skipped. Safe to repeat.

        Raises ``KafkaError``, or ``fencing.Fenced`` when another worker has taken over.
        """
        journal = await self._open()
        await self._replay_gap(inputs[0].offset)
        await self._emit(inputs)
        journal = await self._open()
        self._refused = {offset for offset in self._refused if offset > journal.last_input}
        WINDOW.set(len(journal.grouper))
        REACH.set(journal.grouper.span.total_seconds())
        LEFT_EARLY.set(journal.grouper.evicted_early)

    async def _open(self) -> Journal:
        """The journal, renewed or opened again where necessary."""
        journal = self._journal
        if journal is not None and (journal.needs_renewal or not self._verified) and not await journal.renew():
            self.reset()
        if self._journal is None:
            await kafka_topics.ensure_from_settings(self._settings)
            grouper = Grouper(self._window, self._settings.story_memory_bytes // ARTICLE_BYTES)
            logs = log_positions.group_logs(await log_positions.read_log_ids(self._settings.kafka_servers))
            config = JournalConfig(self._settings.kafka_servers, logs=logs)
            self._journal = await Journal.open(
                config, grouper, self._window, self._producer, inputs_end=await self._inputs_end()
            )
            if not await self._continues(self._journal, logs):
                log.error("group_reads_input_again", cause="its journal is of another articles.annotated or updates")
                self._journal.last_input = -1
            self._done = self._journal.last_input
        self._verified = True
        return self._journal

    async def _inputs_end(self) -> int:
        async with kafka.reader(self._settings.kafka_servers, kafka_topics.ANNOTATED.name) as reader:
            return await reader.end()

    async def _continues(self, journal: Journal, logs: bytes) -> bool:
        """Whether the journal's input offset is one of this ``articles.annotated``, and its output all on ``updates``.

        Otherwise what is delivered must not be skipped up to that offset; the grouper knows what it has published.
        """
        newest = journal.newest
        if newest is None:
            return True
        if newest.logs not in (b"", logs):
            return False
        async with kafka.reader(self._settings.kafka_servers, kafka_topics.ANNOTATED.name) as reader:
            if newest.input_offset < await reader.oldest():
                return True
            if newest.input_offset >= await reader.end():
                return False
            async for record in reader.between(newest.input_offset, newest.input_offset + 1):
                return bool(record.key == newest.id)
        return False

    async def _replay_gap(self, first: int) -> None:
        """Process the inputs between the last one processed and offset ``first``, if any was processed before.

        Usually there are none, or only inputs without output (repeated articles, dead letters) from before a restart.
        """
        if self._done < 0 or first <= self._done + 1:
            return
        gap, published = {"first": self._done + 1, "last": first - 1}, 0
        async for inputs in self._read(self._done + 1, first):
            published += await self._emit(inputs)
        if published:
            log.warning("skipped_inputs_replayed", articles=published, **gap)

    async def _read(self, start: int, stop: int) -> AsyncIterator[list[SourceRecord]]:
        """Batches of the inputs from offset ``start`` up to but not including ``stop`` that Kafka still keeps."""
        async with kafka.reader(self._settings.kafka_servers, kafka_topics.ANNOTATED.name) as reader:
            batch: list[SourceRecord] = []
            async for record in reader.between(max(start, await reader.oldest()), stop):
                batch.append(
                    SourceRecord(
                        record.topic,
                        record.partition,
                        record.offset,
                        record.key,
                        record.value,
                        list(record.headers),
                        record.timestamp,
                    )
                )
                if len(batch) >= _REPLAY_BATCH:
                    yield batch
                    batch = []
            if batch:
                yield batch

    async def _emit(self, inputs: Sequence[SourceRecord]) -> int:
        """Process and publish these inputs; return how many of them had an output."""
        published, rest, singly = 0, inputs, False
        while rest:
            journal = await self._open()
            # In a thread, so that the event loop keeps sending heartbeats.
            step = await asyncio.to_thread(_process, journal, rest[:1] if singly else rest, self._refused)
            await self._producer.send_letters(step.letters)  # before the records that mark their inputs as done
            try:
                await journal.append(step.entries, singly=singly)
            except RecordRefused as error:
                # Some of the records may be on the log: restore from there, and find the one that is refused.
                self.reset()
                if singly and (await self._open()).last_input < rest[0].offset:
                    await self._refuse(rest[0], error)
                singly = True
                continue
            published += len(step.entries)
            self._done = max(self._done, step.last)
            rest = [record for record in rest if record.offset > step.last]
            if step.broken:
                # The exception left the window between two states. The log has the one before.
                done = self._done
                self.reset()
                await self._open()
                self._done = max(self._done, done)
        return published

    async def _refuse(self, record: SourceRecord, error: RecordRefused) -> None:
        """Make a dead letter of an input whose output Kafka refuses."""
        await self._producer.send_letters([dead_letter(record, "group", error)])
        self._refused.add(record.offset)


@dataclass
class _Step:
    """What ``_process`` made of some inputs up to offset ``last``: outputs and dead letters.

    ``broken``: the last of them raised an exception that leaves the grouper in an undefined state.
    """

    last: int
    entries: list[JournalEntry] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    broken: bool = False


def _process(journal: Journal, inputs: Sequence[SourceRecord], refused: set[int]) -> _Step:
    """Process the records that are not in the journal yet, up to one that breaks the grouper; skip ``refused`` ones."""
    step = _Step(inputs[-1].offset)
    for record in inputs:
        if record.offset <= journal.last_input or record.offset in refused:
            continue
        try:
            output = journal.grouper.process(_parse(record))
        except (ValidationError, InvalidArticle) as error:  # before anything was changed
            step.letters.append(dead_letter(record, "group", error))
        except Exception as error:  # an error in one article must not affect the next
            step.letters.append(dead_letter(record, "group", error))
            refused.add(record.offset)
            step.last, step.broken = record.offset, True
            break
        else:
            if output is not None:
                step.entries.append(JournalEntry(record.offset, output))
    return step


def _parse(record: SourceRecord) -> AnnotatedArticle:
    """The article of a record, which arrived when Kafka took the record, if it says that it arrived much later.

    One article from the future would move the window on, and evict all others. The limit is the record's own time and
    not that of a clock, so that the same log is grouped the same again. Raises ``ValidationError``, or
    ``InvalidArticle`` for a record without a time.
    """
    article = AnnotatedArticle.model_validate_json(record.value or b"")
    if record.timestamp is None:
        return article
    try:
        written = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidArticle(f"the record has no valid time: {record.timestamp} ms") from None
    if article.received_at <= written + CLOCK_SKEW:
        return article
    return article.model_copy(update={"received_at": written})
