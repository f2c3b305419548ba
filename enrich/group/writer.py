"""The one writer of ``updates``: feeds annotated articles to the grouper and keeps its journal.

The journal says how far group has come: its state and input offset were written by one append. The offset committed for
the consumer group only decides where Kafka starts to deliver; inputs between the last one published and the first one
delivered are read again from Kafka.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import structlog

from enrich.group.grouper import ARTICLE_BYTES, Grouper
from enrich.group.journal import Journal, JournalConfig, JournalEntry
from enrich.stage import LEFT_EARLY, REACH, WINDOW, RecordProducer, dead_letter
from services import kafka, kafka_topics, log_positions
from services.deadletters import SourceRecord
from services.events import AnnotatedArticle
from services.kafka import Output
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
        await self._replay_gap(journal, inputs[0].offset)
        await self._emit(journal, inputs)
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
            self._journal = await Journal.open(config, grouper, self._window, self._producer)
            if not await self._continues(self._journal, logs):
                log.error("group_reads_input_again", cause="its journal is of another articles.annotated or updates")
                self._journal.last_input = -1
            self._done = self._journal.last_input
        self._verified = True
        return self._journal

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

    async def _replay_gap(self, journal: Journal, first: int) -> None:
        """Process the inputs between the last one processed and offset ``first``, if any was processed before.

        Usually there are none, or only inputs without output (repeated articles, dead letters) from before a restart.
        """
        if self._done < 0 or first <= self._done + 1:
            return
        gap, published = {"first": self._done + 1, "last": first - 1}, 0
        async for inputs in self._read(self._done + 1, first):
            published += await self._emit(journal, inputs)
        if published:
            log.warning("skipped_inputs_replayed", articles=published, **gap)

    async def _read(self, start: int, stop: int) -> AsyncIterator[list[SourceRecord]]:
        """Batches of the inputs from offset ``start`` up to but not including ``stop`` that Kafka still keeps."""
        async with kafka.reader(self._settings.kafka_servers, kafka_topics.ANNOTATED.name) as reader:
            batch: list[SourceRecord] = []
            async for record in reader.between(max(start, await reader.oldest()), stop):
                batch.append(
                    SourceRecord(
                        record.topic, record.partition, record.offset, record.key, record.value, list(record.headers)
                    )
                )
                if len(batch) >= _REPLAY_BATCH:
                    yield batch
                    batch = []
            if batch:
                yield batch

    async def _emit(self, journal: Journal, inputs: Sequence[SourceRecord]) -> int:
        """Process and publish these inputs; return how many of them had an output."""
        # In a thread, so that the event loop keeps sending heartbeats.
        entries, letters = await asyncio.to_thread(_process, journal, inputs)
        await self._producer.send(letters)  # before the records that mark their inputs as done
        await journal.append(entries)
        self._done = max(self._done, inputs[-1].offset)
        return len(entries)


def _process(journal: Journal, inputs: Sequence[SourceRecord]) -> tuple[list[JournalEntry], list[Output]]:
    """The outputs for these records that are not in the journal yet, and the dead letters among them."""
    entries: list[JournalEntry] = []
    letters: list[Output] = []
    for record in inputs:
        if record.offset <= journal.last_input:
            continue
        try:
            output = journal.grouper.process(AnnotatedArticle.model_validate_json(record.value or b""))
        except Exception as error:  # an error in one article must not affect the next
            letters.append(dead_letter(record, "group", error))
            continue
        if output is not None:
            entries.append(JournalEntry(record.offset, output))
    return entries, letters
