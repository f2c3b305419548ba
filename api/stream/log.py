"""The shared log: the newest events of ``updates`` in memory, once for all connections.

Every subscriber reads from it at its own position, so a slow subscriber costs nothing but that position. A *position*
is the offset of the next record to read; offsets whose record could not be parsed belong to the log but have no event.
"""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from api.stream.filters import Filter
from api.stream.protocols import text_frame
from api.stream.stream_event import Event
from api.stream.turns import Turns

# Bytes of events combined into one write. A chunk may be larger by its last event.
CHUNK_BYTES = 256_000
# The default size of a WebSocket frame, header included: what common clients read of one message by default.
FRAME_BYTES = 32_768
_FRAME_HEADER = 4
# Events scanned before other tasks run, when hardly any matches.
SCAN = 2_000
# The same in time: a ``q`` normalises each text once, and a long text takes milliseconds.
SCAN_SECONDS = 0.005
_CACHED_CHUNKS = 32


@dataclass
class Chunk:
    """Consecutive matching events, encoded once for all readers, and the position after them.

    ``cursor`` is that of the last event before the position, matching or not; None when there is none in the range
    that was read.
    """

    events: tuple[Event, ...]
    position: int
    cursor: str | None = None
    _frames: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def head(self, count: int) -> "Chunk":
        """The first ``count`` events, and the position after them."""
        if count >= len(self.events):
            return self
        last = self.events[count - 1]
        return Chunk(self.events[:count], last.offset + 1, last.cursor)

    def frames(self, max_bytes: int) -> bytes:
        """The envelopes, one a line, as WebSocket frames that can be written to every connection.

        No frame is larger than ``max_bytes``, unless a single envelope is. They are encoded once: ``max_bytes`` must
        be the same in all calls.
        """
        if self._frames is None:
            self._frames = b"".join(_frames([event.line for event in self.events], max_bytes - _FRAME_HEADER))
        return self._frames

    @cached_property
    def sse(self) -> bytes:
        """The same events as server-sent events."""
        return b"".join(
            b"id: %b\nevent: %b\ndata: %b\n\n" % (event.cursor.encode(), event.facets.type.encode(), event.line)
            for event in self.events
        )


def _frames(lines: list[bytes], max_payload: int) -> Iterator[bytes]:
    first = size = 0
    for at, line in enumerate(lines):
        if at > first and size + len(line) > max_payload:
            yield text_frame(b"\n".join(lines[first:at]))
            first, size = at, 0
        size += len(line) + 1
    if lines:
        yield text_frame(b"\n".join(lines[first:]))


def chunks(events: Sequence[Event], position: int) -> Iterator[Chunk]:
    """These events in chunks of bounded size; the last chunk ends at ``position``."""
    part: list[Event] = []
    size = 0
    for event in events:
        if size >= CHUNK_BYTES:
            yield Chunk(tuple(part), part[-1].offset + 1)
            part, size = [], 0
        part.append(event)
        size += len(event.line)
    yield Chunk(tuple(part), position)


class Listener(Protocol):
    """Is called synchronously when the log changes."""

    def on_append(self, events: Sequence[Event], begin: int) -> None:
        """These events were appended, from ``begin`` up to the log's new end."""

    def on_reset(self) -> None:
        """The log is about to be reset."""


class Log:
    """Events from position ``start`` up to position ``end``, bounded in bytes; the oldest are evicted first.

    ``generation`` is incremented when positions from before are no longer valid. ``frame_bytes`` is the most that a
    frame of its events has.
    """

    def __init__(
        self, max_bytes: int, clock: Callable[[], float] = time.monotonic, *, frame_bytes: int = FRAME_BYTES
    ) -> None:
        self.max_bytes = max_bytes
        self.frame_bytes = frame_bytes
        self._clock = clock
        self.start = 0
        self.end = 0
        self.bytes = 0
        self.generation = 0
        self._events: deque[Event] = deque()
        self._chunks: dict[tuple[Filter, int], Chunk] = {}
        self.listener: Listener | None = None

    def reset(self, position: int, *, restart: bool = False) -> None:
        """Drop all events and continue at ``position``; ``restart``: positions from before are no longer valid."""
        if self.listener is not None:
            self.listener.on_reset()
        self.generation += restart
        self._events.clear()
        self._chunks.clear()
        self.bytes = 0
        self.start = self.end = position

    def append(self, events: Iterable[Event], end: int) -> None:
        """Append the events between the present end and ``end``, and call the listener with them."""
        new, begin = tuple(events), self.end
        for event in new:
            self._events.append(event)
            self.bytes += event.size
        # The newest event is kept whatever its size, so that subscribers who are caught up need not read it from Kafka.
        while self.bytes > self.max_bytes and len(self._events) > 1:
            oldest = self._events.popleft()
            self.bytes -= oldest.size
            self.start = oldest.offset + 1
        self.end = end
        if self.listener is not None:
            self.listener.on_append(new, begin)

    def get(self, offset: int) -> Event | None:
        """The event at an offset, or None when it is not in memory."""
        at = bisect_left(self._events, offset, key=_offset)
        found = self._events[at] if at < len(self._events) else None
        return found if found is not None and found.offset == offset else None

    def last_before(self, position: int) -> Event | None:
        """The newest event before the position; None when it is not in memory."""
        if position > self.end:
            return None  # between the end and the position there may be newer ones
        at = bisect_left(self._events, position, key=_offset)
        return self._events[at - 1] if at else None

    def read(self, position: int, wanted: Filter) -> Chunk:
        """The next matching events from ``position`` (not before ``start``), possibly none; returns within a few ms.

        When the log has anything after ``position``, the chunk's position is greater, so repeated reads reach the end;
        unless the filter depends on the words of the next event: then ``prepare`` has to extract them first. The last
        chunks are cached for other subscribers with the same filter at the same position.
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

    async def prepare(self, position: int, turns: Turns) -> None:
        """Extract the words of the next event from ``position``, if there is one."""
        at = bisect_left(self._events, position, key=_offset)
        if at < len(self._events):
            await self._events[at].prepare(turns)

    def _scan(self, position: int, wanted: Filter) -> Chunk:
        first = bisect_left(self._events, position, key=_offset)
        found: list[Event] = []
        cursor: str | None = None
        size = 0
        began = self._clock()
        for at in range(first, min(first + SCAN, len(self._events))):
            event = self._events[at]
            if wanted.is_pending(event):
                return Chunk(tuple(found), event.offset, cursor)
            position, cursor = event.offset + 1, event.cursor
            if wanted.matches(event):
                found.append(event)
                size += len(event.line)
            if size >= CHUNK_BYTES or self._clock() - began >= SCAN_SECONDS:
                return Chunk(tuple(found), position, cursor)
        if first + SCAN >= len(self._events):
            # There may be offsets without an event after the last one; a reader may be ahead of this log.
            position = max(position, self.end)
        return Chunk(tuple(found), position, cursor)


def _offset(event: Event) -> int:
    return event.offset
