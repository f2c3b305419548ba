"""Group's memory: written with its output, read back from it.

Every record that group publishes on ``updates`` carries in its headers the offset on ``articles.annotated`` it was
made from, which of that input's records it is (``part``, such as ``2/3``), and on the article's record what group must
remember of the step (``entry``). So a record, the state behind it and the offset it reflects are written by one append,
and a worker that takes over continues what subscribers saw. ``group.entries`` holds copies of the entries for speed
alone: what it lacks is read from ``updates``, and where both tell the same, it is taken once.
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
from enrich.group.snapshots import Due, Stretch
from enrich.stage import RecordProducer
from services import fencing, kafka, kafka_topics
from services.events import Article, Story
from services.kafka import Output

log = structlog.get_logger(__name__)

_TYPE: Final = "type"
_INPUT: Final = "input"
_PART: Final = "part"
_ENTRY: Final = "entry"
_KINDS: Final = (b"article", b"story")
# Others write these.
_NOT_GROUPS: Final = (fencing.FENCE, "trend")
_PART_FORM: Final = re.compile(rb"([1-9]\d{0,8})/([1-9]\d{0,8})")
# Arrival is stamped by another machine than the log's append; clocks differ a little.
_CLOCKS: Final = timedelta(minutes=10)

_COUNTED: Final = ("from_copies", "from_updates", "foreign", "refused")
_PATIENCE: Final = 5.0
_RESTORED_AT_ONCE: Final = 4_096


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """Where a journal lies: Kafka's bootstrap servers and two topics of one partition."""

    bootstrap: str
    updates: str = kafka_topics.UPDATES.name
    entries: str = kafka_topics.ENTRIES.name


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What group told of the record at offset ``input`` of ``articles.annotated``."""

    input: int
    told: GroupOutput


@dataclass(frozen=True, slots=True)
class _Note:
    """What group noted beside a record of ``updates``."""

    input: int
    part: int
    parts: int
    entry: bytes | None


class Journal:
    """Group's state and the pen that continues it.

    ``grouper`` agrees with ``updates`` between two calls; whoever processes an article with it must ``append`` what
    it told, or close the journal. ``last_input`` is the last offset of ``articles.annotated`` that is told in full, -1
    when none is. ``recovered`` counts the entries that came from copies and from ``updates`` itself, the records
    there that are foreign, and the entries that the grouper refused. After any exception the journal is to be closed
    and another one opened.
    """

    def __init__(
        self, place: JournalConfig, grouper: Grouper, pen: fencing.FencedProducer, outlet: RecordProducer
    ) -> None:
        self.grouper = grouper
        self.last_input = -1
        self.recovered = dict.fromkeys(_COUNTED, 0)
        self._place = place
        self._pen = pen
        self._end = pen.fence + 1
        self._due = Due(self._end)
        self._outlet = outlet
        self._copying: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, place: JournalConfig, grouper: Grouper, window: timedelta, outlet: RecordProducer) -> "Journal":
        """Take over as the one writer of ``updates``: nobody else's records will follow, and what is there is known.

        ``grouper`` must be new; ``outlet`` takes the copies. Raises ``fencing.Fenced`` or ``KafkaError``.
        """
        began = time.monotonic()
        pen = await fencing.FencedProducer.acquire(place.bootstrap, place.updates)
        journal = cls(place, grouper, pen, outlet)
        try:
            async with (
                kafka.reader(place.bootstrap, place.updates) as updates,
                kafka.reader(place.bootstrap, place.entries) as copies,
            ):
                recovery = _Recovery(grouper, updates, copies, window, pen.fence, journal._write_copy)
                await recovery.run()
            journal.last_input, journal.recovered, journal._due = recovery.last_input, recovery.counts, recovery.due
            await journal._pay(recovery)
        except BaseException:
            journal.close()
            raise
        log.info("group has its memory back", **journal.recovered, seconds=round(time.monotonic() - began, 2))
        return journal

    @staticmethod
    async def look(place: JournalConfig, grouper: Grouper, window: timedelta) -> None:
        """Restore a new grouper as of now, to look at: nothing is taken over or written. Raises ``KafkaError``."""
        async with (
            kafka.reader(place.bootstrap, place.updates) as updates,
            kafka.reader(place.bootstrap, place.entries) as copies,
        ):
            await _Recovery(grouper, updates, copies, window, await updates.end()).run()

    async def append(self, steps: Sequence[JournalEntry]) -> None:
        """Publish what was told, in order. Raises ``fencing.Fenced`` or ``KafkaError``."""
        if not steps:
            return
        records = [record for step in steps for record in _records(step)]
        offsets = await self._pen.append(records)
        self._end = offsets[-1] + 1
        self.last_input = steps[-1].input
        at = 0
        for step in steps:
            self._due.add(offsets[at], step.told.entry)
            at += 1 + len(step.told.stories)
        if self._due.full:
            await self._write_copy(self._due.cut(offsets[-1], self.last_input))

    @property
    def stale(self) -> bool:
        """Whether it is time to ``renew``."""
        return self._pen.needs_renewal

    async def renew(self) -> bool:
        """Take the pen anew. False when somebody else has had it meanwhile: then this journal's state is out of date.

        Raises ``fencing.Fenced`` or ``KafkaError``.
        """
        pen = await fencing.FencedProducer.acquire(self._place.bootstrap, self._place.updates)
        self._pen.close()
        self._pen = pen
        unchanged = await self._unchanged(self._end, pen.fence)
        self._end = pen.fence + 1
        return unchanged

    async def _unchanged(self, first: int, stop: int) -> bool:
        """Whether no group has written from offset ``first`` up to ``stop``; trends and fences are others'."""
        if first == stop:
            return True
        async with kafka.reader(self._place.bootstrap, self._place.updates) as updates:
            if first < await updates.oldest():
                return False
            async for record in updates.between(first, stop):
                if kafka.header(record.headers, _TYPE) not in _NOT_GROUPS:
                    return False
        return True

    def close(self) -> None:
        """Lay the pen down. A copy under way is still written."""
        self._pen.close()

    async def _pay(self, recovery: "_Recovery") -> None:
        """Write what the last input still owes, when its worker ended among its records."""
        owed = recovery.owed()
        if owed:
            offsets = await self._pen.append(owed)
            self._end = offsets[-1] + 1

    async def _write_copy(self, stretch: Stretch) -> None:
        """One at a time, beside the work. It may fail or take too long: its stretch is then read from ``updates``."""
        if self._copying is not None and not self._copying.done():
            _, late = await asyncio.wait({self._copying}, timeout=_PATIENCE)
            if late:
                log.warning("entries are not copied: the last copy still waits", first=stretch.first, last=stretch.last)
                return
        self._copying = asyncio.create_task(self._try_copy(stretch))

    async def _try_copy(self, stretch: Stretch) -> None:
        try:
            await self._outlet.send([Output(self._place.entries, None, stretch.encode())])
        except (KafkaError, OSError) as error:
            log.warning("entries are not copied", first=stretch.first, last=stretch.last, cause=repr(error)[:300])


@dataclass
class _Recovery:
    """One reading back of a journal's state up to ``end`` of ``updates``, from copies as far as they go.

    ``write_copy`` takes what they lack; without it nothing is written.
    """

    grouper: Grouper
    updates: kafka.Reader
    copies: kafka.Reader
    window: timedelta
    end: int
    write_copy: Callable[[Stretch], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self.last_input = -1
        self.due = Due(self.end)
        self.counts = dict.fromkeys(_COUNTED, 0)
        self._oldest = 0
        self._last: _Note | None = None  # the last record read from ``updates``, unless a copy reaches further
        self._waiting: list[bytes] = []
        self._last_restored = True

    async def run(self) -> None:
        """Restore the grouper, up to but not including offset ``end`` of ``updates``."""
        self._oldest = await self.updates.oldest()
        since = await self._since()
        begin = await self.updates.at(since)
        # Where ``updates`` begins within the window, copies may reach further back than it does.
        position = begin if begin > self._oldest else 0
        position = await self._from_copies(since, position)
        self.due = Due(max(position, self._oldest))
        await self._from_updates(position, self.end, self.due if self.write_copy else None)
        await self._finish()
        if self.counts["foreign"] or self.counts["refused"]:
            log.warning("records that this version of group did not write are left out", **self.counts)

    def owed(self) -> list[fencing.Record]:
        """The records that the last input lacks."""
        last = self._last
        if last is None or last.part == last.parts:
            return []
        stories = self.grouper.told_last() if self._last_restored else ()
        if len(stories) + 1 != last.parts:
            log.error("what the last input still owes is not known", input=last.input, part=last.part, parts=last.parts)
            return []
        return [
            _story(story, last.input, part, last.parts)
            for part, story in enumerate(stories, start=2)
            if part > last.part
        ]

    async def _since(self) -> int:
        """The time (ms) of the oldest append that may matter.

        A window before the last article's arrival, for group may be behind: what comes next then is as old. But not
        later than a window before now, as arrivals may bear any date.
        """
        reach = int((self.window + _CLOCKS).total_seconds() * 1000)
        now = int(time.time() * 1000)
        arrived = await self._last_arrival()
        return max(0, min(now, now if arrived is None else arrived) - reach)

    async def _last_arrival(self) -> int | None:
        start, stride = self.end, 64
        while start > self._oldest:
            stop, start = start, max(self._oldest, start - stride)
            stride *= 4
            found = None
            async for record in self.updates.between(start, stop):
                note = _note(record)
                if note is not None and note.entry is not None:
                    found = _arrival(record.value) or found
            if found is not None:
                return found
        return None

    async def _from_copies(self, since: int, position: int) -> int:
        """Restore what copies hold from ``position`` on; return the position behind it."""
        checked = False
        start = max(await self.copies.oldest(), await self.copies.at(since))
        async for record in self.copies.between(start, await self.copies.end()):
            try:
                stretch = Stretch.decode(record.value)
            except ValueError:
                self.counts["foreign"] += 1
                continue
            if stretch.last < position:  # told before: by a worker that died, or by one that was paused
                continue
            agrees = stretch.last < self.end and (checked or await self._agrees(stretch))
            if agrees is False:
                self.counts["foreign"] += 1
                continue
            checked = agrees is True
            if stretch.first > position:
                await self._from_updates(position, stretch.first)
            entries = [entry for offset, entry in stretch.entries if offset >= position]
            await self._restore(entries)
            self.counts["from_copies"] += len(entries)
            self.last_input, self._last = stretch.input, None
            position = stretch.last + 1
        return position

    async def _agrees(self, stretch: Stretch) -> bool | None:
        """Whether a stretch is of this log and not of one that was deleted; None when the log begins later.

        Where one is, all that were written after it are.
        """
        offset, entry = stretch.entries[-1]
        if offset < self._oldest:
            return None
        async for record in self.updates.between(offset, offset + 1):
            note = _note(record)
            return note is not None and note.entry == entry
        return False

    async def _from_updates(self, start: int, stop: int, due: Due | None = None) -> None:
        """Restore what lies on ``updates`` from ``start`` up to but not including ``stop``; it becomes due."""
        async for record in self.updates.between(max(start, self._oldest), stop):
            note = _note(record)
            if note is None:
                self.counts["foreign"] += kafka.header(record.headers, _TYPE) not in _NOT_GROUPS
                continue
            if note.entry is not None:
                # Cut in front of an article: what is told before it, is told in full.
                if due is not None and due.full and self.write_copy is not None:
                    await self.write_copy(due.cut(record.offset - 1, self.last_input))
                if due is not None:
                    due.add(record.offset, note.entry)
                self.counts["from_updates"] += 1
                await self._restore([note.entry])
            self.last_input, self._last = note.input, note

    async def _restore(self, entries: Sequence[bytes]) -> None:
        self._waiting += entries
        if len(self._waiting) >= _RESTORED_AT_ONCE:
            await self._finish()

    async def _finish(self) -> None:
        # In a thread, so that the loop keeps turning.
        waiting, self._waiting = self._waiting, []
        if waiting:
            refused, self._last_restored = await asyncio.to_thread(_restore, self.grouper, waiting)
            self.counts["refused"] += refused


def _restore(grouper: Grouper, entries: Sequence[bytes]) -> tuple[int, bool]:
    """Restore all that the grouper understands: how many it refused, and whether it took the last one."""
    rest = iter(entries)
    refused, took_last = 0, True
    while length_hint(rest):
        try:
            grouper.restore(rest)
            took_last = True
        except ValueError:  # the iterator stands behind the one that was refused
            refused += 1
            took_last = False
    return refused, took_last


def _records(step: JournalEntry) -> list[fencing.Record]:
    article, stories = step.told.article, step.told.stories
    parts = 1 + len(stories)
    headers = [*_headers("article", step.input, 1, parts), (_ENTRY, step.told.entry)]
    return [
        (article.id.encode(), article.encode(), headers),
        *(_story(story, step.input, part, parts) for part, story in enumerate(stories, start=2)),
    ]


def _story(story: Story, given: int, part: int, parts: int) -> fencing.Record:
    return story.id.encode(), story.encode(), _headers("story", given, part, parts)


def _headers(kind: str, given: int, part: int, parts: int) -> kafka.Headers:
    return [(_TYPE, kind.encode()), (_INPUT, str(given).encode()), (_PART, f"{part}/{parts}".encode())]


def _note(record: ConsumerRecord) -> _Note | None:
    """What group noted beside a record; None when it is not of group's writing."""
    headers = dict(record.headers)
    place = _PART_FORM.fullmatch(headers.get(_PART, b""))
    given = headers.get(_INPUT, b"")
    kind = headers.get(_TYPE)
    if place is None or not given.isdigit() or kind not in _KINDS:
        return None
    part, parts = int(place[1]), int(place[2])
    entry = headers.get(_ENTRY) if kind == b"article" else None
    if part > parts or (part == 1) != (kind == b"article") or (part == 1) != (entry is not None):
        return None
    return _Note(int(given), part, parts, entry)


def _arrival(value: bytes | None) -> int | None:
    """When an article arrived, in ms; None when this is no article."""
    try:
        return int(Article.model_validate_json(value or b"").received_at.timestamp() * 1000)
    except ValueError:
        return None
