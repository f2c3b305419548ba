"""The stream of one gateway: opens sessions, sends heartbeats, closes all sessions at the end."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import structlog

from api.access.limits import UNLIMITED, Allowance
from api.stream.backlog import Backlog, TooOld, Unavailable
from api.stream.cursor import BadCursor, Cursors, OtherLog
from api.stream.fanout import Fanout
from api.stream.follower import Follower
from api.stream.log import Log
from api.stream.protocols import WebSocketConnection, as_line, text_frame
from api.stream.session import LiveSession, Session, Start
from api.stream.subscription import EARLIEST, StreamError, StreamTimeouts, Subscription
from api.stream.turns import Turns
from services.clock import utc_now

# The longest time between two checks for due heartbeats and for clients that do not read.
_CHECK_SECONDS = 1.0

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class StreamHub:
    """The stream of this gateway. ``live`` are the sessions that write to connections.

    ``count_delivered`` is called with the number of events written to WebSocket connections.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        shared_log: Log,
        backlog: Backlog,
        follower: Follower,
        timeouts: StreamTimeouts,
        *,
        count_delivered: Callable[[int], object] = lambda _: None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.log = shared_log
        self.fanout = Fanout(shared_log, count_delivered=count_delivered)
        self.backlog = backlog
        self.follower = follower
        self.turns = Turns()
        self.timeouts = timeouts
        self.closing = False
        self.live: set[LiveSession] = set()
        self._now = now
        self._cursor: tuple[Cursors | None, int, str] = (None, -1, "")
        self._heartbeat = ("", b"")
        self._connections = 0
        self._all_closed = asyncio.Event()

    async def open(self, subscription: Subscription) -> "Session":
        """A session that starts where the subscription says. Raises ``StreamError`` when it cannot start."""
        return Session(self, subscription.filter, await self._start(subscription))

    async def open_live(
        self,
        subscription: Subscription,
        connection: WebSocketConnection,
        on_end: Callable[[StreamError], None],
        allowance: Allowance = UNLIMITED,
    ) -> "LiveSession":
        """A session that writes to a connection. ``on_end`` has to send the client the error that ends the session.

        Raises ``StreamError`` when it cannot start.
        """
        start = await until(self._start(subscription), _Leaving(connection).left)
        return LiveSession(self, subscription.filter, start, connection, on_end, allowance=allowance)

    async def ready(self) -> None:
        """Return when sessions can start. Raises ``StreamError`` when that takes longer than ``timeouts.connect``."""
        self._check_open()
        try:
            async with asyncio.timeout(self.timeouts.connect):
                await self.follower.caught_up.wait()
        except TimeoutError:
            raise StreamError("unavailable", "the stream cannot be read at the moment; try again") from None

    async def _start(self, subscription: Subscription) -> Start:
        await self.ready()
        start = await self.locate(subscription)
        self._check_open()
        return start

    def _check_open(self) -> None:
        if self.closing:
            raise StreamError("going_away", "this gateway is shutting down; connect again")

    @contextmanager
    def track_connection(self) -> Iterator[None]:
        """Hold this while a connection is open: ``close`` waits until every connection has sent its last message."""
        self._connections += 1
        try:
            yield
        finally:
            self._connections -= 1
            if not self._connections:
                self._all_closed.set()

    async def locate(self, subscription: Subscription) -> Start:
        """Where the subscription starts. Raises ``StreamError``."""
        try:
            if subscription.cursor == EARLIEST:
                return Start(min(self.log.start, await self.backlog.oldest()))
            if subscription.cursor is not None:
                return await self._after(subscription.cursor)
            if subscription.since is not None:
                return await self._at(subscription.since)
        except TooOld as error:
            raise self._too_old(error.oldest) from None
        except Unavailable:
            raise StreamError("unavailable", "older events cannot be read at the moment; try again") from None
        return Start(self.log.end)

    def _too_old(self, oldest: int) -> StreamError:
        message = "the events after it are no longer kept; resume from oldest for all that are"
        return StreamError("cursor_too_old", message, oldest=self.cursors.encode(oldest - 1))

    async def gone(self) -> StreamError:
        """The error that ends a session of a log that was replaced."""
        try:
            return self._too_old(await self.backlog.oldest())
        except Unavailable:
            return StreamError("unavailable", "older events cannot be read at the moment; try again")

    def newest_of(self, cursors: Sequence[str]) -> str:
        """That of several cursors which is furthest in the stream; the first one when none of them is of this log.

        Raises ``StreamError`` until the follower has caught up.
        """
        places: dict[str, int] = {}
        for cursor in cursors:
            with contextlib.suppress(BadCursor, OtherLog):
                places[cursor] = self.cursors.decode(cursor).offset
        return max(places, key=places.__getitem__) if places else cursors[0]

    @property
    def cursors(self) -> Cursors:
        """The cursors of this installation. Raises ``StreamError`` until the follower has caught up."""
        if self.follower.cursors is None:
            raise StreamError("unavailable", "the stream cannot be read at the moment; try again")
        return self.follower.cursors

    async def _after(self, cursor: str) -> Start:
        try:
            place = self.cursors.decode(cursor)
        except BadCursor as error:
            raise StreamError("bad_cursor", str(error), field="cursor") from None
        except OtherLog:
            raise TooOld(await self.backlog.oldest()) from None
        position = place.offset + 1
        if position < self.log.start:
            oldest = await self.backlog.oldest()
            if position < oldest:
                raise TooOld(oldest)
        # A cursor from another gateway may be ahead of this gateway's log. One ahead of Kafka is of a log that was
        # replaced by an older copy of itself; so is one whose event is not there. The first answer may have been on
        # its way before the cursor was made; the second one was not.
        elif position > self.log.end and position > await self.backlog.end() and position > await self.backlog.end():
            raise TooOld(await self.backlog.oldest())
        if not place.check:
            return Start(position)
        if not await self._has(place.offset, cursor):
            raise TooOld(await self.backlog.oldest())
        return Start(position, cursor)

    async def _has(self, offset: int, cursor: str) -> bool:
        """Whether the event at the offset has this cursor, or was deleted, so that nobody can know."""
        if self.log.start <= offset < self.log.end:
            event = self.log.get(offset)
        else:
            event = await self.backlog.event(offset, self.cursors)
            if event is None and offset < await self.backlog.oldest():
                return True
        return event is not None and event.cursor == cursor

    async def _at(self, since: datetime) -> Start:
        position = await self.backlog.at(max(0, int(since.timestamp() * 1000)))
        oldest = await self.backlog.oldest()
        # When Kafka has deleted records and the first one it keeps is the first after ``since``, events after ``since``
        # may be among the deleted. The same holds when it keeps none.
        if position <= oldest and oldest > 0 and (position < await self.backlog.end() or since < self._now()):
            raise TooOld(oldest)
        if position <= oldest or self.log.start < position <= self.log.end:
            return Start(position)  # there is none before, or it is in memory
        before = await self.backlog.event(position - 1, self.cursors)
        return Start(position, None if before is None else before.cursor)

    async def run_heartbeats(self) -> None:
        """Send heartbeats and end the sessions of clients that do not read, until cancelled."""
        seconds = min(_CHECK_SECONDS, self.timeouts.heartbeat / 4, self.timeouts.send / 4)
        while True:
            await asyncio.sleep(seconds)
            now = time.monotonic()
            for session in tuple(self.live):
                try:
                    session.check(now)
                except Exception:
                    log.exception("session_check_failed")

    def cursor_at(self, position: int) -> str:
        """The cursor of a position: that of the last event before it, else one without the check of an event."""
        if self._cursor[:2] == (self.cursors, position):
            return self._cursor[2]
        event = self.log.last_before(position)
        if event is None:
            return self.cursors.encode(position - 1)
        self._cursor = (self.cursors, position, event.cursor)
        return event.cursor

    def heartbeat(self, cursor: str) -> bytes:
        """The frame of a heartbeat with this cursor, encoded once for all sessions that are there."""
        if self._heartbeat[0] != cursor:
            self._heartbeat = (cursor, text_frame(as_line({"type": "heartbeat", "cursor": cursor}).encode()))
        return self._heartbeat[1]

    async def close(self) -> None:
        """End all sessions; returns when their clients have been sent the cursor, or after ``timeouts.close``."""
        self.closing = True
        for session in tuple(self.live):
            session.end(session.going_away())
        self.fanout.on_reset()
        if self._connections:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timeouts.close):
                    await self._all_closed.wait()


class _Leaving:
    """Watches a connection until a session listens to it. ``left`` is done when the client has gone."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.left = asyncio.get_running_loop().create_future()
        connection.set_listener(self)
        if not connection.is_open:
            self.on_disconnect()

    def on_backpressure(self) -> None:
        """The connection's buffer is full."""

    def on_disconnect(self) -> None:
        """The client has gone."""
        if not self.left.done():
            self.left.set_result(None)


async def until(work: Coroutine[Any, Any, _T], left: "asyncio.Future[Any]") -> _T:
    """The result of ``work``. When ``left`` is done first, the work is cancelled: nobody waits for it any more.

    Raises ``StreamError`` then.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise StreamError("unavailable", "the client has disconnected")
    finally:
        task.cancel()
