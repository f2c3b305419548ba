"""What is older than the shared log, read back from Kafka.

A few consumers serve all who need it, and each read is one bounded chunk: somebody far behind takes turns with
the others, and a slow one holds no consumer while the chunk goes out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from api.cursor import Cursors
from api.events import Event, Unparsable, parse
from api.filters import Filter
from api.log import CHUNK_BYTES, SCAN, SCAN_SECONDS, Chunk
from services import kafka, topics

_READERS = 4
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

    async def read(self, position: int, stop: int, wanted: Filter, cursors: Cursors) -> Chunk:
        """The next chunk from ``position``, which ends at ``stop`` at the latest."""
        if self._records is None or self.position != position or self.stop > stop:
            self._records = self.reader.between(position, stop)
            self.stop = stop
        found: list[Event] = []
        looked_at = size = 0
        began = turn_began = self._clock()
        async for record in self._records:
            position = record.offset + 1
            looked_at += 1
            event = _parsed(record, cursors)
            if event is not None and wanted.matches(event):
                found.append(event)
                size += len(event.line)
            now = self._clock()
            if size >= CHUNK_BYTES or looked_at >= SCAN or now - began >= _LONGEST_READ:
                break
            if now - turn_began >= SCAN_SECONDS:
                await asyncio.sleep(0)  # parsing and matching are work: let the live subscribers have their turn
                turn_began = self._clock()
        else:
            position = self.stop
            self._records = None
        self.position = position
        return Chunk(tuple(found), position)

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

    async def read(self, position: int, stop: int, wanted: Filter, cursors: Cursors) -> Chunk:
        """Matching events from ``position`` on, at most one chunk and not beyond ``stop``. Raises ``TooOld``."""

        async def chunk(lane: _Lane) -> Chunk:
            try:
                return await lane.read(position, stop, wanted, cursors)
            except OffsetOutOfRangeError:
                raise TooOld(await lane.reader.oldest()) from None

        return await self._with_lane(chunk, position)

    async def event(self, offset: int, cursors: Cursors) -> Event | None:
        """The event at one offset; None when it is no longer there."""
        try:
            chunk = await self.read(offset, offset + 1, Filter(duplicates="show"), cursors)
        except TooOld:
            return None
        return chunk.events[0] if chunk.events else None

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
        reader = await resources.enter_async_context(kafka.reader(self._bootstrap, topics.UPDATES.name))
        return _Lane(reader, resources, self._clock)

    async def _discard(self, lane: _Lane | None) -> None:
        if lane is not None:
            await lane.close()
