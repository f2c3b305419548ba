"""The one writer of ``updates``: takes what annotate produced, keeps group's journal, gives it up and takes it up.

How far group has come is told by the journal, whose state and offset were written by one append. The offset that is
committed for the consumer group is only where Kafka begins to deliver: when it lies further on, what is between the
two was never told, and is read back.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import structlog

from enrich.group.grouper import ARTICLE_BYTES, Grouper
from enrich.group.journal import Journal, JournalConfig, JournalEntry
from enrich.stage import LEFT_EARLY, REACH, WINDOW, RecordProducer, dead_letter
from services import kafka, kafka_topics
from services.deadletters import SourceRecord
from services.events import AnnotatedArticle
from services.kafka import Output
from services.settings import Settings

log = structlog.get_logger(__name__)

# Inputs read back and told at once.
_READ_BACK = 200


class Writer:
    """Group's state and pen, there while the partition of ``articles.annotated`` is this worker's."""

    def __init__(self, settings: Settings, outlet: RecordProducer) -> None:
        self.busy = asyncio.Lock()
        self._settings = settings
        self._outlet = outlet
        self._window = timedelta(hours=settings.story_window_hours)
        self._journal: Journal | None = None
        self._sure = True
        # The last offset that was looked at; the journal knows only of those that came to something.
        self._done = -1

    def forget(self) -> None:
        """Drop the state: it is another worker's now, or may not agree with what was written."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def doubt(self) -> None:
        """From here on another worker may have written; the next batch finds out."""
        self._sure = False

    async def process(self, inputs: Sequence[SourceRecord]) -> None:
        """Publish what these records come to, and before them whatever was left out. Safe to repeat.

        Raises ``KafkaError``, or ``fencing.Fenced`` when another worker has taken over.
        """
        journal = await self._open()
        await self._heal(journal, inputs[0].offset)
        await self._tell(journal, inputs)
        WINDOW.set(len(journal.grouper))
        REACH.set(journal.grouper.reach.total_seconds())
        LEFT_EARLY.set(journal.grouper.left_early)

    async def _open(self) -> Journal:
        if self._journal is not None and (self._journal.stale or not self._sure) and not await self._journal.renew():
            self.forget()
        if self._journal is None:
            await kafka_topics.ensure_from_settings(self._settings)
            grouper = Grouper(self._window, self._settings.story_memory_bytes // ARTICLE_BYTES)
            place = JournalConfig(self._settings.kafka_servers)
            self._journal = await Journal.open(place, grouper, self._window, self._outlet)
            self._done = self._journal.last_input
        self._sure = True
        return self._journal

    async def _heal(self, journal: Journal, first: int) -> None:
        """Tell what lies between the last record looked at and offset ``first``, when anything was told before.

        Mostly that is nothing, or what came to nothing (repeated articles, dead letters) before a restart.
        """
        if self._done < 0 or first <= self._done + 1:
            return
        place, told = {"first": self._done + 1, "last": first - 1}, 0
        async for left_out in self._between(self._done + 1, first):
            told += await self._tell(journal, left_out)
        if told:
            log.warning("articles had been left out, and were read back", articles=told, **place)

    async def _between(self, start: int, stop: int) -> AsyncIterator[list[SourceRecord]]:
        """The inputs from offset ``start`` up to but not including ``stop``, as far as they are kept."""
        async with kafka.reader(self._settings.kafka_servers, kafka_topics.ANNOTATED.name) as reader:
            some: list[SourceRecord] = []
            async for record in reader.between(max(start, await reader.oldest()), stop):
                some.append(
                    SourceRecord(
                        record.topic, record.partition, record.offset, record.key, record.value, list(record.headers)
                    )
                )
                if len(some) >= _READ_BACK:
                    yield some
                    some = []
            if some:
                yield some

    async def _tell(self, journal: Journal, inputs: Sequence[SourceRecord]) -> int:
        """Publish what these come to; how many of them came to something."""
        # In a thread, as in annotate.
        steps, letters = await asyncio.to_thread(_told, journal, inputs)
        await self._outlet.send(letters)  # before the records that say their inputs are done
        await journal.append(steps)
        self._done = max(self._done, inputs[-1].offset)
        return len(steps)


def _told(journal: Journal, inputs: Sequence[SourceRecord]) -> tuple[list[JournalEntry], list[Output]]:
    """What is to be told of these records, and the dead letters among them."""
    steps: list[JournalEntry] = []
    letters: list[Output] = []
    for given in inputs:
        if given.offset <= journal.last_input:
            continue
        try:
            told = journal.grouper.process(AnnotatedArticle.model_validate_json(given.value or b""))
        except Exception as error:  # whatever an article does to us, the next one is not its fault
            letters.append(dead_letter(given, "group", error))
            continue
        if told is not None:
            steps.append(JournalEntry(given.offset, told))
    return steps, letters
