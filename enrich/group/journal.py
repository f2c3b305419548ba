"""Group's state on Kafka: written with its output, restored from it.

Every record that group publishes on ``updates`` has headers: the offset on ``articles.annotated`` of the input it was
made from, which of that input's records it is (``part``, such as ``2/3``), and, on the article's record, the state that
group keeps of the step (``entry``). So one append writes a record, the state that made it and the input offset it
reflects, and a worker that takes over continues from what subscribers saw. ``group.entries`` holds snapshots of the
entries for speed only: entries without a snapshot are read from ``updates``, and entries found in both are restored
once.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import length_hint
from typing import Final

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from enrich.group.grouper import Grouper, GroupOutput
from enrich.group.snapshots import EntrySegment, PendingSegment
from enrich.stage import RecordProducer
from services import fencing, kafka, kafka_topics
from services.clock import utc_now
from services.events import Article, Story
from services.kafka import Output

log = structlog.get_logger(__name__)

_TYPE: Final = "type"
_INPUT: Final = "input"
_PART: Final = "part"
_ENTRY: Final = "entry"
_LOGS: Final = "logs"
_KINDS: Final = (b"article", b"story")
# Types of records that others write to ``updates``.
_OTHER_TYPES: Final = (fencing.FENCE, "trend")
_PART_FORM: Final = re.compile(rb"([1-9]\d{0,8})/([1-9]\d{0,8})")
_INPUT_FORM: Final = re.compile(rb"\d{1,18}")
# Arrival times and the log's timestamps are from different machines, whose clocks may differ.
_CLOCK_SKEW: Final = timedelta(minutes=10)

_COUNTS: Final = ("from_snapshots", "from_updates", "foreign", "rejected")
# Seconds to wait for the previous snapshot before one is skipped.
_SNAPSHOT_TIMEOUT: Final = 5.0
_RESTORE_BATCH: Final = 4_096
_LOOKUP_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """Where a journal is stored: Kafka's bootstrap servers and two topics of one partition each.

    ``logs`` identifies the logs of ``articles.annotated`` and ``updates``; it is written with each article, as the
    input offset beside it is valid only for these logs. Empty: unknown.
    """

    bootstrap: kafka.Bootstrap
    updates: str = kafka_topics.UPDATES.name
    entries: str = kafka_topics.ENTRIES.name
    logs: bytes = b""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """Group's output for the record at offset ``input_offset`` of ``articles.annotated``."""

    input_offset: int
    output: GroupOutput


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where one of group's records comes from: it is part ``part`` of ``parts`` of the output for an input."""

    input_offset: int
    part: int
    parts: int
    entry: bytes | None


class Journal:
    """Group's state, with the write fence on ``updates``.

    ``grouper`` agrees with ``updates`` between two calls: the caller must ``append`` what it processes with the
    grouper, or close the journal. ``last_input`` is the last offset of ``articles.annotated`` whose output is complete,
    -1 when there is none. ``newest`` is the newest article that was on ``updates`` at the start. ``recovered`` counts
    the entries restored from snapshots and from ``updates`` itself, the records there that group did not write, and the
    entries that the grouper rejected. After any exception close the journal and open another one.
    """

    def __init__(
        self, config: JournalConfig, grouper: Grouper, writer: fencing.FencedProducer, producer: RecordProducer
    ) -> None:
        self.grouper = grouper
        self.last_input = -1
        self.newest: NewestArticle | None = None
        self.recovered = dict.fromkeys(_COUNTS, 0)
        self._config = config
        self._writer = writer
        self._end = writer.fence + 1
        self._pending = PendingSegment(self._end)
        self._producer = producer
        self._snapshot: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        config: JournalConfig,
        grouper: Grouper,
        window: timedelta,
        producer: RecordProducer,
        *,
        inputs_end: int | None = None,
    ) -> "Journal":
        """Become the one writer of ``updates`` and restore its state: no other group can append after that.

        ``grouper`` must be new; ``producer`` writes the snapshots. ``inputs_end`` is the end offset of the inputs: a
        record that names a later one as its input does not count as its output. Raises ``fencing.Fenced`` or
        ``KafkaError``.
        """
        began = time.monotonic()
        writer = await fencing.FencedProducer.acquire(config.bootstrap, config.updates)
        journal = cls(config, grouper, writer, producer)
        try:
            async with (
                kafka.reader(config.bootstrap, config.updates) as updates,
                kafka.reader(config.bootstrap, config.updates, fetch_bytes=_LOOKUP_BYTES) as lookups,
                kafka.reader(config.bootstrap, config.entries) as snapshots,
            ):
                recovery = _Recovery(
                    grouper, updates, lookups, snapshots, window, writer.fence, journal._write_snapshot, inputs_end
                )
                await recovery.run()
            journal.last_input, journal.recovered = recovery.last_input, recovery.counts
            journal.newest = recovery.newest
            journal._pending = recovery.pending
            await journal._complete_partial_output(recovery)
        except BaseException:
            journal.close()
            raise
        log.info("journal_restored", **journal.recovered, seconds=round(time.monotonic() - began, 2))
        return journal

    @staticmethod
    async def restore_read_only(config: JournalConfig, grouper: Grouper, window: timedelta) -> None:
        """Restore a new grouper to the present state without fencing or writing anything. Raises ``KafkaError``."""
        async with (
            kafka.reader(config.bootstrap, config.updates) as updates,
            kafka.reader(config.bootstrap, config.updates, fetch_bytes=_LOOKUP_BYTES) as lookups,
            kafka.reader(config.bootstrap, config.entries) as snapshots,
        ):
            await _Recovery(grouper, updates, lookups, snapshots, window, await updates.end()).run()

    async def append(self, entries: Sequence[JournalEntry], *, singly: bool = False) -> None:
        """Publish outputs in order. Raises ``fencing.Fenced`` or ``KafkaError``.

        ``singly``: each record is acknowledged before the next one is sent, so that none is refused for another one.
        """
        if not entries:
            return
        records = [record for entry in entries for record in _records(entry, self._config.logs)]
        batches = [[record] for record in records] if singly else [records]
        offsets = [offset for batch in batches for offset in await self._writer.append(batch)]
        self._end = offsets[-1] + 1
        self.last_input = entries[-1].input_offset
        at = 0
        for entry in entries:
            self._pending.add(offsets[at], entry.output.entry)
            at += 1 + len(entry.output.stories)
        if self._pending.full:
            await self._write_snapshot(self._pending.cut(offsets[-1], self.last_input))

    @property
    def needs_renewal(self) -> bool:
        """Whether it is time to ``renew``."""
        return self._writer.needs_renewal

    async def renew(self) -> bool:
        """Acquire the write fence again. False when another group has written meanwhile: the state is out of date.

        Raises ``fencing.Fenced`` or ``KafkaError``.
        """
        writer = await fencing.FencedProducer.acquire(self._config.bootstrap, self._config.updates)
        self._writer.close()
        self._writer = writer
        unchanged = await self._unchanged(self._end, writer.fence)
        self._end = writer.fence + 1
        return unchanged

    async def _unchanged(self, first: int, stop: int) -> bool:
        """Whether no group has written from offset ``first`` up to ``stop``; trends and fences do not count."""
        if first == stop:
            return True
        async with kafka.reader(self._config.bootstrap, self._config.updates) as updates:
            if first < await updates.oldest():
                return False
            async for record in updates.between(first, stop):
                if kafka.header(record.headers, _TYPE) not in _OTHER_TYPES:
                    return False
        return True

    def close(self) -> None:
        """Close the fenced producer. A snapshot in progress is still written."""
        self._writer.close()

    async def _complete_partial_output(self, recovery: "_Recovery") -> None:
        """Write the records that the last input lacks because its worker ended between two of them.

        The event of a story that Kafka refuses is left out: the next event of that story has its state.
        """
        for record in recovery.missing_records():
            try:
                offsets = await self._writer.append([record])
            except kafka.RecordRefused as error:
                log.error("story_not_published", input=self.last_input, cause=str(error)[:300])
                self._writer.close()
                self._writer = await fencing.FencedProducer.acquire(self._config.bootstrap, self._config.updates)
                self._end = self._writer.fence + 1
            else:
                self._end = offsets[-1] + 1

    async def _write_snapshot(self, segment: EntrySegment) -> None:
        """Write a segment in the background, one at a time.

        It may fail or take too long: recovery then reads the segment from ``updates``.
        """
        if self._snapshot is not None and not self._snapshot.done():
            _, late = await asyncio.wait({self._snapshot}, timeout=_SNAPSHOT_TIMEOUT)
            if late:
                log.warning(
                    "snapshot_skipped", first=segment.first, last=segment.last, cause="the previous one is not written"
                )
                return
        self._snapshot = asyncio.create_task(self._try_snapshot(segment))

    async def _try_snapshot(self, segment: EntrySegment) -> None:
        try:
            refused = await self._producer.send([Output(self._config.entries, None, segment.encode())])
            if refused:
                raise refused[0]
        except (KafkaError, OSError) as error:
            log.warning("snapshot_failed", first=segment.first, last=segment.last, cause=repr(error)[:300])


@dataclass
class _Recovery:
    """Restores a journal's state up to ``end`` of ``updates``, from snapshots where there are any.

    ``lookups`` reads single records of ``updates``. ``write_snapshot`` takes the segments that have no snapshot yet;
    without it nothing is written. Inputs from ``inputs_end`` on do not exist: a record that names one was not written
    by group, or was made from another log.
    """

    grouper: Grouper
    updates: kafka.Reader
    lookups: kafka.Reader
    snapshots: kafka.Reader
    window: timedelta
    end: int
    write_snapshot: Callable[[EntrySegment], Awaitable[None]] | None = None
    inputs_end: int | None = None

    def __post_init__(self) -> None:
        self.last_input = -1
        self.pending = PendingSegment(self.end)
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.newest: NewestArticle | None = None
        self._oldest = 0
        # The last record read from ``updates``; None when a snapshot reaches further.
        self._last: _Origin | None = None
        self._waiting: list[bytes] = []
        self._last_restored = True

    async def run(self) -> None:
        """Restore the grouper, up to but not including offset ``end`` of ``updates``."""
        self._oldest = await self.updates.oldest()
        since = await self._start_time()
        begin = await self.updates.at(since)
        # Where ``updates`` begins within the window, snapshots may reach further back than it does.
        position = begin if begin > self._oldest else 0
        position = await self._restore_from_snapshots(since, position)
        self.pending = PendingSegment(max(position, self._oldest))
        await self._restore_from_updates(position, self.end, self.pending if self.write_snapshot else None)
        await self._flush()
        if self.counts["foreign"] or self.counts["rejected"]:
            log.warning("journal_records_skipped", **self.counts)

    def missing_records(self) -> list[fencing.Record]:
        """The records that the output of the last input lacks."""
        last = self._last
        if last is None or last.part == last.parts:
            return []
        stories = self.grouper.last_stories() if self._last_restored else ()
        if len(stories) + 1 != last.parts:
            log.error("partial_output_not_completed", input=last.input_offset, part=last.part, parts=last.parts)
            return []
        return [
            _story_record(story, last.input_offset, part, last.parts)
            for part, story in enumerate(stories, start=2)
            if part > last.part
        ]

    async def _start_time(self) -> int:
        """The time (ms since 1970) of the oldest append that may matter.

        A window before the last article's arrival: group may lag, so the next articles may have arrived as early. But
        never later than a window before now, as arrival times may be in the future.
        """
        length = int((self.window + _CLOCK_SKEW).total_seconds() * 1000)
        now = int(utc_now().timestamp() * 1000)
        arrived = await self._last_arrival()
        return max(0, min(now, now if arrived is None else arrived) - length)

    async def _last_arrival(self) -> int | None:
        self.newest = await newest_article(self.updates, self.end)
        return None if self.newest is None else self.newest.arrived

    async def _restore_from_snapshots(self, since: int, position: int) -> int:
        """Restore what snapshots hold from ``position`` on; return the offset after it."""
        start = max(await self.snapshots.oldest(), await self.snapshots.at(since))
        async for record in self.snapshots.between(start, await self.snapshots.end()):
            try:
                segment = EntrySegment.decode(record.value)
            except ValueError:
                self.counts["foreign"] += 1
                continue
            if segment.last < position:  # restored already: written again by a successor, or late by a paused worker
                continue
            if segment.last >= self.end or not await self._matches_log(segment):
                self.counts["foreign"] += 1
                continue
            if segment.first > position:
                await self._restore_from_updates(position, segment.first)
            entries = [entry for offset, entry in segment.entries if offset >= position]
            await self._restore(entries)
            self.counts["from_snapshots"] += len(entries)
            self.last_input, self._last = segment.input_offset, None
            position = segment.last + 1
        return position

    async def _matches_log(self, segment: EntrySegment) -> bool:
        """Whether a segment is from this log: not from a deleted one, nor from what an older copy of it has lost.

        True where the log begins after the segment.
        """
        offset, entry = segment.entries[-1]
        if offset < self._oldest:
            return True
        async for record in self.lookups.between(offset, offset + 1):
            origin = _origin(record)
            return origin is not None and origin.entry == entry
        return False

    async def _restore_from_updates(self, start: int, stop: int, pending: PendingSegment | None = None) -> None:
        """Restore the entries on ``updates`` from ``start`` up to, not including, ``stop``; add them to ``pending``."""
        async for record in self.updates.between(max(start, self._oldest), stop):
            origin = _origin(record)
            if origin is None:
                self.counts["foreign"] += kafka.header(record.headers, _TYPE) not in _OTHER_TYPES
                continue
            if origin.entry is not None:
                # Cut before an article: the outputs before it are complete.
                if pending is not None and pending.full and self.write_snapshot is not None:
                    await self.write_snapshot(pending.cut(record.offset - 1, self.last_input))
                if pending is not None:
                    pending.add(record.offset, origin.entry)
                self.counts["from_updates"] += 1
                await self._restore([origin.entry])
            if self.inputs_end is None or origin.input_offset < self.inputs_end:
                self.last_input, self._last = origin.input_offset, origin

    async def _restore(self, entries: Sequence[bytes]) -> None:
        self._waiting += entries
        if len(self._waiting) >= _RESTORE_BATCH:
            await self._flush()

    async def _flush(self) -> None:
        # In a thread, so that the event loop is not blocked.
        waiting, self._waiting = self._waiting, []
        if waiting:
            rejected, self._last_restored = await asyncio.to_thread(_restore, self.grouper, waiting)
            self.counts["rejected"] += rejected


@dataclass(frozen=True, slots=True)
class NewestArticle:
    """The newest article that group has published, the offset of its input, and its arrival in ms since 1970."""

    id: bytes
    input_offset: int
    arrived: int
    logs: bytes = b""
    """``JournalConfig.logs`` of the group that published it; empty when unknown."""


async def newest_article(updates: kafka.Reader, end: int) -> NewestArticle | None:
    """The newest article on ``updates`` before offset ``end``; None when there is none. Raises ``KafkaError``."""
    oldest, start, stride = await updates.oldest(), end, 64
    while start > oldest:
        stop, start = start, max(oldest, start - stride)
        stride *= 4
        found = None
        async for record in updates.between(start, stop):
            origin = _origin(record)
            if origin is not None and origin.entry is not None:
                arrived = _arrival(record.value)
                if arrived is not None:
                    found = NewestArticle(
                        record.key or b"", origin.input_offset, arrived, dict(record.headers).get(_LOGS) or b""
                    )
        if found is not None:
            return found
    return None


def _restore(grouper: Grouper, entries: Sequence[bytes]) -> tuple[int, bool]:
    """Restore all entries that the grouper can read: how many it rejected, and whether it restored the last one."""
    rest = iter(entries)
    rejected, restored_last = 0, True
    while length_hint(rest):
        try:
            grouper.restore(rest)
            restored_last = True
        except Exception as error:  # the iterator is after the rejected entry
            log.debug("entry_rejected", cause=repr(error)[:300])
            rejected += 1
            restored_last = False
    return rejected, restored_last


def _records(entry: JournalEntry, logs: bytes) -> list[fencing.Record]:
    article, stories = entry.output.article, entry.output.stories
    parts = 1 + len(stories)
    headers = [*_headers("article", entry.input_offset, 1, parts), (_ENTRY, entry.output.entry)]
    if logs:
        headers.append((_LOGS, logs))
    return [
        (article.id.encode(), article.encode(), headers),
        *(_story_record(story, entry.input_offset, part, parts) for part, story in enumerate(stories, start=2)),
    ]


def _story_record(story: Story, input_offset: int, part: int, parts: int) -> fencing.Record:
    return story.id.encode(), story.encode(), _headers("story", input_offset, part, parts)


def _headers(kind: str, input_offset: int, part: int, parts: int) -> kafka.Headers:
    return [(_TYPE, kind.encode()), (_INPUT, str(input_offset).encode()), (_PART, f"{part}/{parts}".encode())]


def _origin(record: ConsumerRecord) -> _Origin | None:
    """Where a record comes from, by its headers; None when group did not write it."""
    headers = dict(record.headers)  # a header of somebody else may have no value
    match = _PART_FORM.fullmatch(headers.get(_PART) or b"")
    input_offset = headers.get(_INPUT) or b""
    kind = headers.get(_TYPE)
    if match is None or not _INPUT_FORM.fullmatch(input_offset) or kind not in _KINDS:
        return None
    part, parts = int(match[1]), int(match[2])
    entry = headers.get(_ENTRY) if kind == b"article" else None
    if part > parts or (part == 1) != (kind == b"article") or (part == 1) != (entry is not None):
        return None
    return _Origin(int(input_offset), part, parts, entry)


def _arrival(value: bytes | None) -> int | None:
    """When an article arrived, in ms since 1970; None when this is not an article."""
    try:
        return int(Article.model_validate_json(value or b"").received_at.timestamp() * 1000)
    except ValueError:
        return None
