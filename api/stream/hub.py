"""The stream of one gateway: opens sessions, sends heartbeats, closes all sessions at the end."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog

from api.access.limits import UNLIMITED, Allowance
from api.stream.backlog import Backlog, TooOld, Unavailable
from api.stream.cursor import BadCursor, Cursors
from api.stream.fanout import Fanout
from api.stream.follower import Follower
from api.stream.log import Log
from api.stream.protocols import WebSocketConnection, as_line, text_frame
from api.stream.session import LiveSession, Session
from api.stream.subscription import StreamError, StreamTimeouts, Subscription
from api.stream.turns import Turns
from services.clock import utc_now

# The longest time between two checks for due heartbeats and for clients that do not read.
_CHECK_SECONDS = 1.0

log = structlog.get_logger(__name__)


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
        self._heartbeat = (-1, b"")
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
        position = await self._start(subscription)
        return LiveSession(self, subscription.filter, position, connection, on_end, allowance=allowance)

    async def _start(self, subscription: Subscription) -> int:
        self._check_open()
        try:
            async with asyncio.timeout(self.timeouts.connect):
                await self.follower.caught_up.wait()
        except TimeoutError:
            raise StreamError("unavailable", "the stream cannot be read at the moment; try again") from None
        position = await self.locate(subscription)
        self._check_open()
        return position

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

    async def locate(self, subscription: Subscription) -> int:
        """The position at which the subscription starts. Raises ``StreamError``."""
        try:
            if subscription.cursor is not None:
                return await self._after(subscription.cursor)
            if subscription.since is not None:
                return await self._at(subscription.since)
        except TooOld as error:
            raise StreamError(
                "cursor_too_old",
                "the events after it are no longer kept; resume from oldest for all that are",
                oldest=self.cursors.encode(error.oldest - 1),
            ) from None
        except Unavailable:
            raise StreamError("unavailable", "older events cannot be read at the moment; try again") from None
        return self.log.end

    @property
    def cursors(self) -> Cursors:
        """The cursors of this installation. Raises ``StreamError`` until the follower has caught up."""
        if self.follower.cursors is None:
            raise StreamError("unavailable", "the stream cannot be read at the moment; try again")
        return self.follower.cursors

    async def _after(self, cursor: str) -> int:
        try:
            position = self.cursors.decode(cursor) + 1
        except BadCursor as error:
            raise StreamError("bad_cursor", str(error), field="cursor") from None
        if position < self.log.start:
            oldest = await self.backlog.oldest()
            if position < oldest:
                raise TooOld(oldest)
        # A cursor from another gateway may be ahead of this gateway's log, but never ahead of Kafka.
        elif position > self.log.end and position > await self.backlog.end():
            raise StreamError("bad_cursor", "the cursor is ahead of the stream", field="cursor")
        return position

    async def _at(self, since: datetime) -> int:
        position = await self.backlog.at(max(0, int(since.timestamp() * 1000)))
        oldest = await self.backlog.oldest()
        # When Kafka has deleted records and the first one it keeps is the first after ``since``, events after ``since``
        # may be among the deleted. The same holds when it keeps none.
        if position <= oldest and oldest > 0 and (position < await self.backlog.end() or since < self._now()):
            raise TooOld(oldest)
        return position

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

    def heartbeat(self, position: int) -> bytes:
        """The frame of a heartbeat at this position, encoded once for all sessions that are there."""
        if self._heartbeat[0] != position:
            message = {"type": "heartbeat", "cursor": self.cursors.encode(position - 1)}
            self._heartbeat = (position, text_frame(as_line(message).encode()))
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
