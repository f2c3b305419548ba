"""Events older than the shared log, read from Kafka.

A small pool of consumers serves all subscribers. They read pages: consecutive records, parsed once and cached, so that
thousands of clients that reconnect at the same time cost as much as one. A read occupies a consumer only until its page
is there, so a slow client does not hold one while its events are sent.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from api.stream.cursor import Cursors
from api.stream.filters import Filter
from api.stream.log import CHUNK_BYTES, SCAN_SECONDS, Chunk
from api.stream.stream_event import Event, Unparsable, parse
from api.stream.turns import Turns
from services import kafka, kafka_topics

_MAX_READERS = 4
# A page ends where the offset is a multiple of this, or when it has the bytes of a chunk. Subscribers that started at
# different offsets thus reach the same pages.
_PAGE_OFFSETS = 256
# Memory for cached pages, by ``Event.size``.
_CACHE_BYTES = 16_000_000
# A read that finds few matches ends after this many seconds, well before ``_TIMEOUT``, which means that Kafka fails.
_MAX_READ_SECONDS = 1.0
_TIMEOUT = 10.0
_IDLE_SECONDS = 5.0
_CLOSE_SECONDS = 2.0

_T = TypeVar("_T")
_K = TypeVar("_K")

log = structlog.get_logger(__name__)


class Unavailable(Exception):
    """Kafka does not answer; a later try may succeed."""


class TooOld(Exception):
    """Kafka has deleted the position; ``oldest`` is the first that it still keeps."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest offset that is kept is {oldest}")
        self.oldest = oldest


@dataclass(frozen=True, slots=True)
class _Page:
    """The events of consecutive offsets, and the position after them."""

    events: tuple[Event, ...]
    end: int

    @property
    def size(self) -> int:
        return sum(event.size for event in self.events)


class _Pages:
    """The most recently used pages by their first position, at most ``max_bytes`` of them. All are of one stream."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pages: dict[int, _Page] = {}
        self._bytes = 0
        self._cursors: Cursors | None = None

    def get(self, position: int, cursors: Cursors) -> _Page | None:
        """The page that starts at the position, if it is cached."""
        if cursors is not self._cursors:  # the stream was restarted: the cached pages are of the old one
            self._pages.clear()
            self._bytes, self._cursors = 0, cursors
            return None
        page = self._pages.pop(position, None)
        if page is not None:
            self._pages[position] = page
        return page

    def put(self, position: int, page: _Page, cursors: Cursors) -> None:
        """Add a page; the least recently used ones are evicted."""
        if cursors is not self._cursors or position in self._pages:
            return
        self._pages[position] = page
        self._bytes += page.size
        while self._bytes > self._max_bytes and len(self._pages) > 1:
            self._bytes -= self._pages.pop(next(iter(self._pages))).size


class _PooledReader:
    """An open consumer and its position: a read that continues there uses what it has already fetched."""

    def __init__(self, consumer: kafka.Reader, resources: AsyncExitStack, clock: Callable[[], float]) -> None:
        self.consumer = consumer
        self.resources = resources
        self._clock = clock
        self._cursors: Cursors | None = None
        self.position = -1
        self.stop = -1
        self.used = time.monotonic()
        self._records: AsyncIterator[ConsumerRecord[bytes, bytes]] | None = None

    async def read(self, position: int, stop: int, cursors: Cursors) -> _Page:
        """The page from ``position``, which ends at ``stop`` at the latest."""
        # The fetched records end at ``self.stop``.
        continues = self.position == position and position < self.stop <= stop and self._cursors is cursors
        if self._records is None or not continues:
            self._cursors = cursors
            self._records = self.consumer.between(position, stop)
            self.stop = stop
        end = (position // _PAGE_OFFSETS + 1) * _PAGE_OFFSETS
        found: list[Event] = []
        size = 0
        slice_began = self._clock()
        async for record in self._records:
            position = record.offset + 1
            event = _parsed(record, cursors)
            if event is not None:
                found.append(event)
                size += len(event.line)
            if position >= end or size >= CHUNK_BYTES:
                break
            now = self._clock()
            if now - slice_began >= SCAN_SECONDS:
                await asyncio.sleep(0)  # parsing takes CPU time: let other tasks run
                slice_began = self._clock()
        else:
            position = self.stop
            self._records = None
        self.position = position
        return _Page(tuple(found), position)

    async def close(self) -> None:
        """Close the consumer."""
        await self.resources.aclose()


def _parsed(record: "ConsumerRecord[bytes, bytes]", cursors: Cursors) -> Event | None:
    # The follower has already logged this record.
    try:
        return parse(record, cursors)
    except Unparsable:
        return None


class Backlog:
    """Reads of ``updates`` at any position. All methods raise ``Unavailable`` when Kafka does not answer in time."""

    def __init__(self, bootstrap: kafka.Bootstrap, clock: Callable[[], float] = time.monotonic) -> None:
        self._bootstrap = bootstrap
        self._turns = Turns()
        self._clock = clock
        self._slots = asyncio.Semaphore(_MAX_READERS)
        self._idle: list[_PooledReader] = []
        self._pages = _Pages(_CACHE_BYTES)
        self._reading: dict[tuple[int, int], asyncio.Task[_Page]] = {}
        self._looking_up: dict[str, asyncio.Task[int]] = {}

    async def read(self, position: int, stop: int, wanted: Filter, cursors: Cursors) -> Chunk:
        """Matching events from ``position`` on, at most one chunk and not beyond ``stop``. Raises ``TooOld``.

        ``cursors`` are those of the stream that the position belongs to. A restarted stream has another object.
        """
        found: list[Event] = []
        cursor: str | None = None
        size = 0
        began = slice_began = self._clock()
        while True:
            page = self._pages.get(position, cursors) or await self._page(position, stop, cursors)
            for event in page.events:
                if wanted.is_pending(event):
                    await event.prepare(self._turns)
                if event.offset < stop:
                    cursor = event.cursor
                    if wanted.matches(event):
                        found.append(event)
                        size += len(event.line)
                if self._clock() - slice_began >= SCAN_SECONDS:
                    await asyncio.sleep(0)  # matching takes CPU time, too
                    slice_began = self._clock()
            position = min(page.end, stop)
            if position >= stop or size >= CHUNK_BYTES or self._clock() - began >= _MAX_READ_SECONDS:
                return Chunk(tuple(found), position, cursor)

    async def _page(self, position: int, stop: int, cursors: Cursors) -> _Page:
        """Read a page; concurrent calls for the same page share one read. Raises ``TooOld``."""
        key = (position, id(cursors))
        return await _shared(self._reading, key, lambda: self._read_and_cache(position, stop, cursors))

    async def _read_and_cache(self, position: int, stop: int, cursors: Cursors) -> _Page:
        page = await self._read_page(position, stop, cursors)
        self._pages.put(position, page, cursors)
        return page

    async def _read_page(self, position: int, stop: int, cursors: Cursors) -> _Page:
        async def read(reader: _PooledReader) -> _Page:
            try:
                return await reader.read(position, stop, cursors)
            except OffsetOutOfRangeError:
                raise TooOld(await reader.consumer.oldest()) from None

        return await self._with_reader(read, position)

    async def event(self, offset: int, cursors: Cursors) -> Event | None:
        """The event at one offset; None when Kafka has deleted it, or it is not an event."""
        try:
            page = self._pages.get(offset, cursors) or await self._page(offset, offset + 1, cursors)
        except TooOld:
            return None
        return page.events[0] if page.events and page.events[0].offset == offset else None

    async def oldest(self) -> int:
        """The oldest position that Kafka keeps."""
        return await self._look_up("oldest", lambda reader: reader.consumer.oldest())

    async def end(self) -> int:
        """The position after the newest record."""
        return await self._look_up("end", lambda reader: reader.consumer.end())

    async def at(self, milliseconds: int) -> int:
        """The position of the first record with this or a later timestamp; the end when there is none."""
        return await self._with_reader(lambda reader: reader.consumer.at(milliseconds))

    async def reap_idle(self) -> None:
        """Close idle consumers until cancelled, then close all."""
        try:
            while True:
                await asyncio.sleep(_IDLE_SECONDS)
                for reader in [reader for reader in self._idle if time.monotonic() - reader.used > _IDLE_SECONDS]:
                    self._idle.remove(reader)
                    await self._discard(reader)
        finally:
            for task in (*self._reading.values(), *self._looking_up.values()):
                task.cancel()
            while self._idle:
                await self._discard(self._idle.pop())

    async def _look_up(self, name: str, work: Callable[[_PooledReader], Coroutine[Any, Any, int]]) -> int:
        """One look-up of Kafka for all who ask for it at the same time."""
        return await _shared(self._looking_up, name, lambda: self._with_reader(work))

    async def _with_reader(self, work: Callable[[_PooledReader], Awaitable[_T]], position: int = -1) -> _T:
        """The result of ``work``. The time until it fails includes the wait for a free consumer."""
        try:
            async with asyncio.timeout(_TIMEOUT), self._slots, self._reader(position) as reader:
                return await work(reader)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(f"Kafka does not answer: {error!r}") from error

    @asynccontextmanager
    async def _reader(self, position: int) -> AsyncIterator[_PooledReader]:
        """A consumer for one read: one that is at the position, else any idle one, else a new one.

        After an error it is closed, because its position is unknown.
        """
        reader = next((one for one in self._idle if one.position == position), None)
        reader = reader or (self._idle[0] if self._idle else None)
        if reader is not None:
            self._idle.remove(reader)
        try:
            if reader is None:
                reader = await self._open()
            yield reader
        except BaseException:
            await self._discard(reader)
            raise
        reader.used = time.monotonic()
        self._idle.append(reader)

    async def _open(self) -> _PooledReader:
        resources = AsyncExitStack()
        consumer = await resources.enter_async_context(kafka.reader(self._bootstrap, kafka_topics.UPDATES.name))
        return _PooledReader(consumer, resources, self._clock)

    async def _discard(self, reader: _PooledReader | None) -> None:
        if reader is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await reader.close()
            except Exception as error:  # nothing else depends on it
                log.warning("close_consumer_failed", error=repr(error))


async def _shared(running: dict[_K, "asyncio.Task[_T]"], key: _K, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """The result of the work with this key, which runs once for all callers, and on when one of them is cancelled."""
    task = running.get(key)
    if task is None:
        task = running[key] = asyncio.create_task(work())

        def done(task: "asyncio.Task[_T]") -> None:
            del running[key]
            if not task.cancelled():
                task.exception()  # retrieve it: all callers may have been cancelled

        task.add_done_callback(done)
    return await asyncio.shield(task)
