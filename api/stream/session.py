"""One subscription, whatever carries it: where it stands, what it wants, and what comes next.

A position is served from the shared log when it is there, else from Kafka; both count by the same offsets, so
the two join without a gap, a repeat or a change of order.

There are two kinds. A ``Session`` is read by whoever holds it, and waits for more. A ``LiveSession`` writes to a
connection by itself, and is in one of three states:

- *behind*: its position is its own. A task reads on from there, in the log or in Kafka, and writes.
- *parked*: it has everything, and is with ``api.feeds``; its position is that of all who are. No task runs.
- *closed*: nothing is written any more.

======================= ================= ===========================================================================
from                    to                when
======================= ================= ===========================================================================
(begin), behind, parked behind or parked  ``begin``, ``change``: at the end of the log and with room in the connection
                                          it parks, else the task starts
behind                  parked            what was read reaches the end of the log, and there is room
parked                  behind            the connection is full (behind the frame that filled it), or the log is
                                          about to forget everything
any                     closed            ``end``: it is told why; ``close`` or ``lost``: the client has gone
======================= ================= ===========================================================================

Nothing is awaited between a look at the log and its consequence: a frame is written and the position moved, or
the session parked, in the same step. So whatever comes between two steps finds a position that says exactly what
was handed over; a task that was cancelled has written nothing since.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from api.access.limits import UNLIMITED, Allowance
from api.stream.backlog import Backlog, TooOld, Unavailable
from api.stream.cursor import Cursors
from api.stream.fanout import Feed, Feeds
from api.stream.filters import Filter
from api.stream.log import Chunk, Log
from api.stream.protocols import WebSocketConnection, as_line, text_frame
from api.stream.subscription import Limits, StreamError

_RETRY_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Surroundings(Protocol):
    """What a session finds around it: ``api.stream.Stream``. ``live`` are the sessions that are to be looked after."""

    log: Log
    feeds: Feeds
    backlog: Backlog
    limits: Limits
    closing: bool
    live: "set[LiveSession]"

    @property
    def cursors(self) -> Cursors:
        """The cursors of this installation. Raises ``StreamError``."""

    def heartbeat(self, position: int) -> bytes:
        """The frame of a heartbeat at this position."""


class Session:
    """One subscriber. ``position`` is the next offset to look at.

    Whoever sends reads, and moves the position when the chunk has been taken: it tells what was handed over.
    """

    def __init__(self, stream: Surroundings, wanted: Filter, position: int) -> None:
        self._stream = stream
        self._generation = stream.log.generation
        self._feed: Feed | None = None
        self._position = position
        self._waiter: asyncio.Future[None] | None = None
        self.filter = wanted

    @property
    def position(self) -> int:
        """The next offset to look at: nothing before it is still to come."""
        return self._position if self._feed is None else self._stream.feeds.position

    @position.setter
    def position(self, position: int) -> None:
        self._position = position

    @property
    def cursor(self) -> str:
        """The cursor to resume with: everything up to it that matches was handed over."""
        return self._stream.cursors.encode(self.position - 1)

    def going_away(self) -> StreamError:
        """What is said when the gateway stops."""
        return StreamError("going_away", "this gateway is shutting down; connect again", cursor=self.cursor)

    async def read(self) -> Chunk:
        """What comes next, possibly nothing; moves no position. Raises ``StreamError`` when there is an end."""
        log = self._stream.log
        if self._stream.closing:
            raise self.going_away()
        if self._generation != log.generation:
            raise StreamError("bad_cursor", "the stream began anew; nothing can follow this place", field="cursor")
        if self._position >= log.start:
            return log.read(self._position, self.filter)
        try:
            return await self._stream.backlog.read(self._position, log.end, self.filter, self._stream.cursors)
        except TooOld:
            message = "events were deleted before you had read them"
            raise StreamError("too_slow", message, cursor=self.cursor) from None
        except Unavailable as error:
            _log.warning("a subscriber waits for older events", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
            return Chunk((), self._position)

    async def wait(self, seconds: float) -> None:
        """Return when there is more to read, and after ``seconds`` at the latest; what does not match is passed by."""
        stream = self._stream
        if self._position < stream.log.end or stream.closing or self._generation != stream.log.generation:
            await asyncio.sleep(0)  # others first
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._ahead():
                    await asyncio.shield(stream.feeds.growth())
                    return
                self._waiter = asyncio.get_running_loop().create_future()
                self._feed = stream.feeds.park(self, self.filter)
                try:
                    await self._waiter
                finally:
                    self._unpark()

    def wake(self) -> None:
        """There is something to read."""
        self._unpark()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _at_end(self) -> bool:
        log = self._stream.log
        return self._position == log.end and self._generation == log.generation

    def _ahead(self) -> bool:
        """Whether it comes from a gateway that was further: what this one gets first is known already."""
        log = self._stream.log
        return self._position > log.end and self._generation == log.generation

    def _unpark(self) -> None:
        if self._feed is not None:
            self._position = self._stream.feeds.position
            feed, self._feed = self._feed, None
            self._stream.feeds.leave(self, feed)


class LiveSession(Session):
    """A subscriber whose session writes to its connection. See the module for its states."""

    def __init__(  # noqa: PLR0913 - its surroundings
        self,
        stream: Surroundings,
        wanted: Filter,
        position: int,
        connection: WebSocketConnection,
        on_end: Callable[[StreamError], None],
        *,
        allowance: Allowance = UNLIMITED,
    ) -> None:
        super().__init__(stream, wanted, position)
        self._connection = connection
        self._on_end = on_end
        self._allowance = allowance
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        # What was written, and when: but for what its feed has written while parked.
        self._written = 0
        self._sent_at = 0.0
        # Bytes taken by the client when something began to wait, or when it took some last; and when that was.
        self._taken = 0
        self._taken_at: float | None = None

    @property
    def behind(self) -> bool:
        """Whether there is something to read, or was and it has not parked yet."""
        return self._feed is None and not self._closed

    def begin(self) -> None:
        """Tell the client where it stands, and deliver from there."""
        self._stream.live.add(self)
        self._connection.use(self)
        if not self._connection.is_open:
            self.lost()
            return
        self.change(self.filter, None)

    def change(self, wanted: Filter, position: int | None) -> None:
        """Go on with another filter: from another position, or where the session stands."""
        if self._closed:
            return
        self._stop()
        self.filter = wanted
        if position is not None:
            self._position = position
        self.say({"type": "subscribed", "cursor": self.cursor, "filter": wanted.as_json()})
        self._go_on()

    def say(self, message: object) -> None:
        """Send something that is no event."""
        self._write(text_frame(as_line(message).encode()))

    async def room(self) -> None:
        """Return when the client has taken enough of what it was sent, or is gone."""
        await self._connection.room()

    def end(self, error: StreamError) -> None:
        """Close, and let the client be told why."""
        if not self._closed:
            self.close()
            self._on_end(error)

    def close(self) -> None:
        """Write nothing more."""
        self._closed = True
        self._stop()
        self._connection.use(None)
        self._stream.live.discard(self)

    def full(self) -> None:
        """The connection is full."""
        if self._feed is not None:
            self.wake()

    def lost(self) -> None:
        """The connection is lost."""
        self.close()

    def wake(self) -> None:
        """Leave the feed, and go on by reading."""
        self._unpark()
        self._task = asyncio.create_task(self._catch_up())

    def look_after(self, now: float) -> None:
        """Send a heartbeat when nothing else was sent for so long; end it when its client takes nothing."""
        limits, feed = self._stream.limits, self._feed
        written, sent_at = self._written, self._sent_at
        if feed is not None:
            written += feed.written
            sent_at = max(sent_at, feed.sent_at)
        waiting = self._connection.waiting()
        if not waiting:
            self._taken_at = None
        elif self._taken_at is None or written - waiting > self._taken:
            self._taken, self._taken_at = written - waiting, now
        elif now - self._taken_at >= limits.send:
            self.end(StreamError("too_slow", f"nothing could be sent for {limits.send:g} s", cursor=self.cursor))
            return
        if now - sent_at >= limits.heartbeat and not self._connection.is_full:
            self._write(self._stream.heartbeat(self.position))

    def _go_on(self) -> None:
        if self._closed:
            return
        if self._at_end() and self._may_park():
            self._park()
        else:
            self._task = asyncio.create_task(self._catch_up())

    def _may_park(self) -> bool:
        # Where events are limited each is asked for: such a session always reads.
        return not self._connection.is_full and not self._allowance.paced

    def _park(self) -> None:
        self._feed = self._stream.feeds.park(self, self.filter, self._connection.write)
        self._written -= self._feed.written

    def _unpark(self) -> None:
        feed = self._feed
        super()._unpark()
        if feed is not None:
            self._written += feed.written
            self._sent_at = max(self._sent_at, feed.sent_at)

    def _stop(self) -> None:
        self._unpark()
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _write(self, frame: bytes) -> None:
        if self._connection.is_open:
            self._written += len(frame)
            self._sent_at = time.monotonic()
            self._connection.write(frame)

    async def _catch_up(self) -> None:
        try:
            while not self._closed and self._feed is None:
                await self._step()
        except StreamError as error:
            self.end(error)
        except Exception:
            _log.exception("a subscription failed")
            self.end(StreamError("unavailable", "the subscription failed; connect again", cursor=self.cursor))

    async def _step(self) -> None:
        """Write what comes next and go on behind it, or park."""
        await self._connection.room()
        await self._allowance.room()
        chunk = await self.read()
        chunk = chunk.head(self._allowance.share(len(chunk.events)))
        self._allowance.take_events(len(chunk.events))
        if chunk.events:
            self._write(chunk.frame)
            self._stream.feeds.count_delivered(len(chunk.events))
        self._position = chunk.position
        if self._at_end() and self._may_park() and not self._closed:
            self._task = None
            self._park()
        elif self._ahead() or (self._at_end() and self._allowance.paced):
            await asyncio.shield(self._stream.feeds.growth())
        else:
            await asyncio.sleep(0)  # others first
