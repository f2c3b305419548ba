"""One subscription, independent of its transport: its position, its filter, and how it gets the next events.

A position is served from the shared log when it is there, else from Kafka. Both use the same offsets, so they join
without a gap, a repetition or a change of order.

There are two kinds. A ``Session`` is read by its owner, which waits for more. A ``LiveSession`` writes to a connection
by itself, and is in one of three states:

- *catching up*: it has its own position. A task reads on from there, in the log or in Kafka, and writes.
- *caught up*: it is in a group of ``api.stream.fanout`` and shares the position of all group members. No task runs.
- *closed*: nothing is written any more.

============================ ====================== ===================================================================
from                         to                     when
============================ ====================== ===================================================================
(start), catching up,        catching up or         ``begin``, ``change``: at the end of the log and with capacity in
caught up                    caught up              the connection's buffer it joins a group, else the task starts
catching up                  caught up              the task reaches the end of the log, and the buffer has capacity
caught up                    catching up            the buffer is full (after the frame that filled it), or the log is
                                                    about to be reset
any                          closed                 ``end``: the client is sent the reason; ``close`` or
                                                    ``on_disconnect``: the client has gone
============================ ====================== ===================================================================

There is no await between reading the state of the log and acting on it: writing a frame and moving the position, or
joining a group, is one step. Code that runs between two steps finds a position that says exactly what was delivered,
and a cancelled task has written nothing after its last step.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import structlog

from api.access.limits import UNLIMITED, Allowance
from api.stream.backlog import TooOld, Unavailable
from api.stream.fanout import FanoutGroup
from api.stream.filters import Filter
from api.stream.log import Chunk
from api.stream.protocols import WebSocketConnection, as_line, text_frame
from api.stream.subscription import StreamError

if TYPE_CHECKING:
    from api.stream.hub import StreamHub

_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Start(NamedTuple):
    """Where a session starts: a position, and the cursor of the last event before it where that is known."""

    position: int
    cursor: str | None = None


class Session:
    """One subscriber. ``position`` is the next offset to read.

    The caller that delivers calls ``read``, and ``advance`` once the chunk was delivered.
    """

    def __init__(self, hub: "StreamHub", wanted: Filter, start: Start) -> None:
        self._hub = hub
        self._generation = hub.log.generation
        self._group: FanoutGroup | None = None
        self._position, self._last_cursor = start
        self._waiter: asyncio.Future[None] | None = None
        self.filter = wanted

    @property
    def position(self) -> int:
        """The next offset to read: all matching events before it were delivered."""
        return self._position if self._group is None else self._hub.fanout.position

    @position.setter
    def position(self, position: int) -> None:
        self._position, self._last_cursor = position, None

    def advance(self, chunk: Chunk) -> None:
        """Move to the position after a chunk."""
        # Without an event in between, the last event before the position is still the same.
        self._position, self._last_cursor = chunk.position, chunk.cursor or self._last_cursor

    @property
    def cursor(self) -> str:
        """The cursor to resume with: every matching event up to it was delivered.

        Where possible that of an event: it is detected when the log is replaced by an older copy.
        """
        if self._group is None and self._last_cursor is not None:
            return self._last_cursor
        return self._hub.cursor_at(self.position)

    def going_away(self) -> StreamError:
        """The error that ends the session when the gateway stops."""
        return StreamError("going_away", "this gateway is shutting down; connect again", cursor=self.cursor)

    async def read(self) -> Chunk:
        """The next events, possibly none; does not move the position. Raises ``StreamError`` when the session ends."""
        shared = self._hub.log
        if self._hub.closing:
            raise self.going_away()
        if self._generation != shared.generation:
            raise await self._hub.gone()
        if self._position >= shared.start:
            async with self._hub.turns.turn():
                # The log may have changed while this waited for its turn.
                if self._position >= shared.start and self._generation == shared.generation:
                    chunk = shared.read(self._position, self.filter)
                else:
                    return Chunk((), self._position)
            if chunk.position == self._position < shared.end:
                await shared.prepare(self._position, self._hub.turns)
            return chunk
        try:
            return await self._hub.backlog.read(self._position, shared.end, self.filter, self._hub.cursors)
        except TooOld:
            message = "events were deleted before you had read them"
            raise StreamError("too_slow", message, cursor=self.cursor) from None
        except Unavailable as error:
            log.warning("backlog_unavailable", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
            return Chunk((), self._position)

    async def wait(self, seconds: float) -> None:
        """Return when there is more to read, or after ``seconds``. The position advances past what does not match."""
        hub = self._hub
        if self._position < hub.log.end or hub.closing or self._generation != hub.log.generation:
            await asyncio.sleep(0)  # let other tasks run
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._ahead():
                    await asyncio.shield(hub.fanout.growth())
                    return
                self._waiter = asyncio.get_running_loop().create_future()
                self._group = hub.fanout.join(self, self.filter)
                try:
                    await self._waiter
                finally:
                    self._leave_group()

    def wake(self) -> None:
        """Leave the group: there is something to read."""
        self._leave_group()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _at_end(self) -> bool:
        shared = self._hub.log
        return self._position == shared.end and self._generation == shared.generation

    def _ahead(self) -> bool:
        """Whether the position is beyond the log: the client resumes from a gateway that was further ahead."""
        shared = self._hub.log
        return self._position > shared.end and self._generation == shared.generation

    def _leave_group(self) -> None:
        if self._group is not None:
            self._last_cursor = self.cursor
            self._position = self._hub.fanout.position
            group, self._group = self._group, None
            self._hub.fanout.leave(self, group)


class LiveSession(Session):
    """A subscriber whose session writes to its connection. The module's docstring describes its states."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        hub: "StreamHub",
        wanted: Filter,
        start: Start,
        connection: WebSocketConnection,
        on_end: Callable[[StreamError], None],
        *,
        allowance: Allowance = UNLIMITED,
    ) -> None:
        super().__init__(hub, wanted, start)
        self._connection = connection
        self._on_end = on_end
        self._allowance = allowance
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        # Bytes written, and when the last were; without what the group has written while this session was in it.
        self._written = 0
        self._sent_at = 0.0
        # Bytes the client had read when its buffer began to fill or when it last read some, and when that was.
        self._taken = 0
        self._taken_at: float | None = None

    @property
    def catching_up(self) -> bool:
        """Whether it is catching up."""
        return self._group is None and not self._closed

    def begin(self) -> None:
        """Send the client its position, and deliver from there."""
        self._hub.live.add(self)
        self._connection.set_listener(self)
        if not self._connection.is_open:
            self.on_disconnect()
            return
        self.change(self.filter, None)

    def change(self, wanted: Filter, start: Start | None) -> None:
        """Continue with another filter, from another start or from the present position."""
        if self._closed:
            return
        self._stop()
        self.filter = wanted
        if start is not None:
            self._position, self._last_cursor = start
        self.send({"type": "subscribed", "cursor": self.cursor, "filter": wanted.as_json()})
        self._resume()

    def send(self, message: object) -> None:
        """Send a message that is not an event."""
        self._write(text_frame(as_line(message).encode()))

    async def drain(self) -> None:
        """Return when the connection's buffer has capacity, or the client is gone."""
        await self._connection.drain()

    def end(self, error: StreamError) -> None:
        """Close, and have ``on_end`` send the client the reason."""
        if not self._closed:
            self.close()
            self._on_end(error)

    def close(self) -> None:
        """Write nothing more."""
        self._closed = True
        self._stop()
        self._connection.set_listener(None)
        self._hub.live.discard(self)

    def on_backpressure(self) -> None:
        """The connection's buffer is full."""
        if self._group is not None:
            self.wake()

    def on_disconnect(self) -> None:
        """The connection is lost."""
        self.close()

    def wake(self) -> None:
        """Leave the group and continue by reading."""
        self._leave_group()
        self._task = asyncio.create_task(self._catch_up())

    def check(self, now: float) -> None:
        """Send a heartbeat when one is due; end the session when its client has not read for ``timeouts.send``."""
        timeouts, group = self._hub.timeouts, self._group
        written, sent_at = self._written, self._sent_at
        if group is not None:
            written += group.written
            sent_at = max(sent_at, group.sent_at)
        pending = self._connection.pending_bytes()
        if not pending:
            self._taken_at = None
        elif self._taken_at is None or written - pending > self._taken:
            self._taken, self._taken_at = written - pending, now
        elif now - self._taken_at >= timeouts.send:
            self.end(StreamError("too_slow", f"nothing could be sent for {timeouts.send:g} s", cursor=self.cursor))
            return
        if now - sent_at >= timeouts.heartbeat and not self._connection.is_full:
            self._write(self._hub.heartbeat(self.cursor))

    def _resume(self) -> None:
        if self._closed:
            return
        if self._at_end() and self._can_join_group():
            self._join_group()
        else:
            self._task = asyncio.create_task(self._catch_up())

    def _can_join_group(self) -> bool:
        # A session with a limit on events has to ask before each one, so it always reads.
        return not self._connection.is_full and not self._allowance.rate_limited

    def _join_group(self) -> None:
        self._group = self._hub.fanout.join(self, self.filter, self._connection.write)
        self._written -= self._group.written

    def _leave_group(self) -> None:
        group = self._group
        super()._leave_group()
        if group is not None:
            self._written += group.written
            self._sent_at = max(self._sent_at, group.sent_at)

    def _stop(self) -> None:
        self._leave_group()
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
            while not self._closed and self._group is None:
                await self._step()
        except StreamError as error:
            self.end(error)
        except Exception:
            log.exception("session_failed")
            self.end(StreamError("unavailable", "the subscription failed; connect again", cursor=self.cursor))

    async def _step(self) -> None:
        """Write the next events and move the position; join a group at the end of the log."""
        await self._connection.drain()
        await self._allowance.wait_for_budget()
        chunk = await self.read()
        chunk = chunk.head(self._allowance.budget(len(chunk.events)))
        self._allowance.take_events(len(chunk.events))
        if chunk.events:
            self._write(chunk.frames(self._hub.log.frame_bytes))
            self._hub.fanout.count_delivered(len(chunk.events))
        self.advance(chunk)
        if self._at_end() and self._can_join_group() and not self._closed:
            self._task = None
            self._join_group()
        elif self._ahead() or (self._at_end() and self._allowance.rate_limited):
            await asyncio.shield(self._hub.fanout.growth())
        else:
            await asyncio.sleep(0)  # let other tasks run
