"""The shared log: the newest events of ``updates`` in memory, once for all connections.

Every subscriber reads from it at a position of its own, so a slow one holds nothing but its position. A
*position* is the offset of the next record to look at; offsets whose record could not be parsed belong to the
log but have no event.
"""

import asyncio
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from api.events import Event
from api.filters import Filter

# Coalesced events of one write. A chunk may be larger by its last event.
CHUNK_BYTES = 256_000
# Events looked at before others get their turn, when hardly any matches.
SCAN = 2_000
# The same in time: a ``q`` normalises each text once, and a long one takes milliseconds.
SCAN_SECONDS = 0.005
_CACHED_CHUNKS = 32


@dataclass
class Chunk:
    """Consecutive matching events, encoded once for all who read them, and the position behind them."""

    events: tuple[Event, ...]
    position: int

    @cached_property
    def text(self) -> str:
        """One envelope a line: a WebSocket frame."""
        return b"\n".join(event.line for event in self.events).decode()

    @cached_property
    def sse(self) -> bytes:
        """The same events as server-sent events."""
        return b"".join(
            b"id: %b\nevent: %b\ndata: %b\n\n" % (event.cursor.encode(), event.facets.type.encode(), event.line)
            for event in self.events
        )


class Log:
    """Events from position ``start`` up to position ``end``, bounded in bytes; the oldest go first."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_bytes = max_bytes
        self._clock = clock
        self.start = 0
        self.end = 0
        self.bytes = 0
        self.generation = 0
        self._events: deque[Event] = deque()
        self._chunks: dict[tuple[Filter, int], Chunk] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    def reset(self, position: int, *, anew: bool = False) -> None:
        """Forget everything and go on at ``position``; ``anew`` when older positions mean nothing any more."""
        self.generation += anew
        self._events.clear()
        self._chunks.clear()
        self.bytes = 0
        self.start = self.end = position
        self.wake()

    def append(self, events: Iterable[Event], end: int) -> None:
        """Take in what lies between the present end and ``end``, and wake all who wait for more."""
        for event in events:
            self._events.append(event)
            self.bytes += event.size
        # The newest event stays whatever its size: those who are up to date must not go to Kafka for it.
        while self.bytes > self.max_bytes and len(self._events) > 1:
            oldest = self._events.popleft()
            self.bytes -= oldest.size
            self.start = oldest.offset + 1
        self.end = end
        self.wake()

    def get(self, offset: int) -> Event | None:
        """The event at an offset, when it is in memory."""
        at = bisect_left(self._events, offset, key=_offset)
        found = self._events[at] if at < len(self._events) else None
        return found if found is not None and found.offset == offset else None

    def read(self, position: int, wanted: Filter) -> Chunk:
        """The next matching events from ``position`` (not before ``start``), possibly none; returns within a few ms.

        When there is anything to look at, the chunk's position lies behind ``position``: whoever reads on arrives.
        What one subscriber has read is kept for a while for others with the same filter at the same position.
        """
        key = (wanted, position)
        known = self._chunks.get(key)
        if known is not None:
            return known
        chunk = self._scan(position, wanted)
        if chunk.position > position:
            if len(self._chunks) >= _CACHED_CHUNKS:
                del self._chunks[next(iter(self._chunks))]
            self._chunks[key] = chunk
        return chunk

    def _scan(self, position: int, wanted: Filter) -> Chunk:
        first = bisect_left(self._events, position, key=_offset)
        found: list[Event] = []
        size = 0
        began = self._clock()
        for at in range(first, min(first + SCAN, len(self._events))):
            event = self._events[at]
            position = event.offset + 1
            if wanted.matches(event):
                found.append(event)
                size += len(event.line)
            if size >= CHUNK_BYTES or self._clock() - began >= SCAN_SECONDS:
                return Chunk(tuple(found), position)
        if first + SCAN >= len(self._events):
            # Behind the last event there may be offsets without one; a reader may be ahead of this log.
            position = max(position, self.end)
        return Chunk(tuple(found), position)

    def waiter(self) -> asyncio.Future[None]:
        """A future that is done when the log has grown; whoever holds it may complete it sooner."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        waiter.add_done_callback(self._waiting.discard)
        return waiter

    def wake(self) -> None:
        """Let all who wait have a look."""
        for waiter in tuple(self._waiting):
            if not waiter.done():
                waiter.set_result(None)


def _offset(event: Event) -> int:
    return event.offset
