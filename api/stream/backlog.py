"""What is older than the shared log, read back from Kafka.

A few consumers serve all who need it. They read pages: some consecutive records, parsed once and kept for a while, so
that thousands who lost their connection at one moment cost as much as one. Whoever needs a page waits for its turn, and
a slow client holds no consumer while its events go out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from api.stream.cursor import Cursors
from api.stream.filters import Filter
from api.stream.log import CHUNK_BYTES, SCAN_SECONDS, Chunk
from api.stream.stream_event import Event, Unparsable, parse
from services import kafka, kafka_topics

_READERS = 4
# A page ends where the offset is a multiple of this, or when it has the bytes of a chunk: whoever reads on, wherever it
# began, comes to the pages that others have read.
_PAGE = 256
# Memory for pages, as ``Event.size`` reckons.
_PAGES_BYTES = 16_000_000
# A read that finds little ends after this time, well before ``_PATIENCE``: it is slow, and Kafka is well.
_LONGEST_READ = 1.0
_PATIENCE = 10.0
_IDLE = 5.0

_T = TypeVar("_T")


class Unavailable(Exception):
    """Kafka does not answer now; the same may work later."""


class TooOld(Exception):
    """The position is no longer kept; ``oldest`` is the first that is."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest offset that is kept is {oldest}")
        self.oldest = oldest


@dataclass(frozen=True, slots=True)
class _Page:
    """The events of some consecutive offsets, and the position behind them."""

    events: tuple[Event, ...]
    end: int

    @property
    def size(self) -> int:
        return sum(event.size for event in self.events)


class _Pages:
    """The pages that were used last, by where they begin, within a bound of bytes. All are of one stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pages: dict[int, _Page] = {}
        self._bytes = 0
        self._cursors: Cursors | None = None

    def get(self, position: int, cursors: Cursors) -> _Page | None:
        """The page that begins there."""
        if cursors is not self._cursors:  # the stream began anew; what was read before is not of it
            self._pages.clear()
            self._bytes, self._cursors = 0, cursors
            return None
        page = self._pages.pop(position, None)
        if page is not None:
            self._pages[position] = page
        return page

    def put(self, position: int, page: _Page, cursors: Cursors) -> None:
        """Keep a page; those that were not used for longest make room."""
        if cursors is not self._cursors or position in self._pages:
            return
        self._pages[position] = page
        self._bytes += page.size
        while self._bytes > self._most and len(self._pages) > 1:
            self._bytes -= self._pages.pop(next(iter(self._pages))).size


class _Lane:
    """An open consumer and where it stands, so that whoever goes on there finds what it has fetched already."""

    def __init__(self, reader: kafka.Reader, resources: AsyncExitStack, clock: Callable[[], float]) -> None:
        self.reader = reader
        self.resources = resources
        self._clock = clock
        self.position = -1
        self.stop = -1
        self.used = time.monotonic()
        self._records: AsyncIterator[ConsumerRecord[bytes, bytes]] | None = None

    async def read(self, position: int, stop: int, cursors: Cursors) -> _Page:
        """The page from ``position``, which ends at ``stop`` at the latest."""
        # Where the last reading was to stop there is nothing more in it.
        if self._records is None or self.position != position or not position < self.stop <= stop:
            self._records = self.reader.between(position, stop)
            self.stop = stop
        end = (position // _PAGE + 1) * _PAGE
        found: list[Event] = []
        size = 0
        turn_began = self._clock()
        async for record in self._records:
            position = record.offset + 1
            event = _parsed(record, cursors)
            if event is not None:
                found.append(event)
                size += len(event.line)
            if position >= end or size >= CHUNK_BYTES:
                break
            now = self._clock()
            if now - turn_began >= SCAN_SECONDS:
                await asyncio.sleep(0)  # parsing is work: let the live subscribers have their turn
                turn_began = self._clock()
        else:
            position = self.stop
            self._records = None
        self.position = position
        return _Page(tuple(found), position)

    async def close(self) -> None:
        """Close the consumer."""
        await self.resources.aclose()


def _parsed(record: "ConsumerRecord[bytes, bytes]", cursors: Cursors) -> Event | None:
    # The follower has reported this record when it came by.
    try:
        return parse(record, cursors)
    except Unparsable:
        return None


class Backlog:
    """Reads of ``updates`` at any position. Raises ``Unavailable`` when Kafka does not answer in time."""

    def __init__(self, bootstrap: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._bootstrap = bootstrap
        self._clock = clock
        self._turns = asyncio.Semaphore(_READERS)
        self._free: list[_Lane] = []
        self._pages = _Pages(_PAGES_BYTES)
        self._reading: dict[tuple[int, int], asyncio.Task[_Page]] = {}

    async def read(self, position: int, stop: int, wanted: Filter, cursors: Cursors) -> Chunk:
        """Matching events from ``position`` on, at most one chunk and not beyond ``stop``. Raises ``TooOld``.

        ``cursors`` are those of the stream that the position is of; of one that began anew they are another object.
        """
        found: list[Event] = []
        size = 0
        began = turn_began = self._clock()
        while True:
            page = self._pages.get(position, cursors) or await self._page(position, stop, cursors)
            for event in page.events:
                if event.offset < stop and wanted.matches(event):
                    found.append(event)
                    size += len(event.line)
                if self._clock() - turn_began >= SCAN_SECONDS:
                    await asyncio.sleep(0)  # matching is work, too
                    turn_began = self._clock()
            position = min(page.end, stop)
            if position >= stop or size >= CHUNK_BYTES or self._clock() - began >= _LONGEST_READ:
                return Chunk(tuple(found), position)

    async def _page(self, position: int, stop: int, cursors: Cursors) -> _Page:
        """Read a page, once for all who ask for it meanwhile. Raises ``TooOld``."""
        asked = (position, id(cursors))
        reading = self._reading.get(asked)
        if reading is None:
            reading = self._reading[asked] = asyncio.create_task(self._keep_page(position, stop, cursors))
            reading.add_done_callback(lambda done: self._read_was(asked, done))
        return await asyncio.shield(reading)

    def _read_was(self, asked: tuple[int, int], reading: "asyncio.Task[_Page]") -> None:
        del self._reading[asked]
        if not reading.cancelled():
            reading.exception()  # all who asked may have left

    async def _keep_page(self, position: int, stop: int, cursors: Cursors) -> _Page:
        page = await self._read_page(position, stop, cursors)
        self._pages.put(position, page, cursors)
        return page

    async def _read_page(self, position: int, stop: int, cursors: Cursors) -> _Page:
        async def read(lane: _Lane) -> _Page:
            try:
                return await lane.read(position, stop, cursors)
            except OffsetOutOfRangeError:
                raise TooOld(await lane.reader.oldest()) from None

        return await self._with_lane(read, position)

    async def event(self, offset: int, cursors: Cursors) -> Event | None:
        """The event at one offset; None when it is no longer there."""
        try:
            page = await self._read_page(offset, offset + 1, cursors)
        except TooOld:
            return None
        return page.events[0] if page.events else None

    async def oldest(self) -> int:
        """The oldest position that is kept."""
        return await self._with_lane(lambda lane: lane.reader.oldest())

    async def end(self) -> int:
        """The position behind the newest record."""
        return await self._with_lane(lambda lane: lane.reader.end())

    async def at(self, milliseconds: int) -> int:
        """The position of the first record with this or a later timestamp; the end when there is none."""
        return await self._with_lane(lambda lane: lane.reader.at(milliseconds))

    async def keep_tidy(self) -> None:
        """Close consumers that nobody used for a while; runs until it is cancelled, then closes all."""
        try:
            while True:
                await asyncio.sleep(_IDLE)
                for lane in [lane for lane in self._free if time.monotonic() - lane.used > _IDLE]:
                    self._free.remove(lane)
                    await lane.close()
        finally:
            for reading in tuple(self._reading.values()):
                reading.cancel()
            while self._free:
                await self._free.pop().close()

    async def _with_lane(self, work: Callable[[_Lane], Awaitable[_T]], position: int = -1) -> _T:
        async with self._turns, self._lane(position) as lane:
            return await work(lane)

    @asynccontextmanager
    async def _lane(self, position: int) -> AsyncIterator[_Lane]:
        """A consumer for one read: one that stands at the position, else any, else a new one.

        After an error it is closed: where it stands is then anybody's guess.
        """
        lane = next((one for one in self._free if one.position == position), None)
        lane = lane or (self._free[0] if self._free else None)
        if lane is not None:
            self._free.remove(lane)
        try:
            async with asyncio.timeout(_PATIENCE):
                if lane is None:
                    lane = await self._open()
                yield lane
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard(lane)
            raise Unavailable(f"Kafka does not answer: {error!r}") from error
        except BaseException:
            await self._discard(lane)
            raise
        lane.used = time.monotonic()
        self._free.append(lane)

    async def _open(self) -> _Lane:
        resources = AsyncExitStack()
        reader = await resources.enter_async_context(kafka.reader(self._bootstrap, kafka_topics.UPDATES.name))
        return _Lane(reader, resources, self._clock)

    async def _discard(self, lane: _Lane | None) -> None:
        if lane is not None:
            await lane.close()
