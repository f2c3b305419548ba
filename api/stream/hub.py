"""The stream of one gateway: where subscriptions begin, who is looked after, and how all of them end."""

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
from api.stream.fanout import Feeds
from api.stream.follower import Follower
from api.stream.log import Log
from api.stream.protocols import WebSocketConnection, as_line, text_frame
from api.stream.session import LiveSession, Session
from api.stream.subscription import Limits, StreamError, Subscription
from services.clock import utc_now

# How often it is looked at who is due a heartbeat or takes nothing: at least.
_LOOK_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Stream:
    """The stream of this gateway: opens sessions, looks after the live ones and, in the end, closes all."""

    def __init__(self, log: Log, backlog: Backlog, follower: Follower, limits: Limits) -> None:
        self.log = log
        self.feeds = Feeds(log)
        self.backlog = backlog
        self.follower = follower
        self.limits = limits
        self.closing = False
        self.live: set[LiveSession] = set()
        self._beat = (-1, b"")
        self._open = 0
        self._all_left = asyncio.Event()

    async def open(self, subscription: Subscription) -> "Session":
        """A session that begins where the subscription says. Raises ``StreamError`` when it cannot begin."""
        return Session(self, subscription.filter, await self._begin(subscription))

    async def open_live(
        self,
        subscription: Subscription,
        connection: WebSocketConnection,
        on_end: Callable[[StreamError], None],
        allowance: Allowance = UNLIMITED,
    ) -> "LiveSession":
        """The same, for a session that writes to a connection; ``on_end`` is to tell its client of an end."""
        begin = await self._begin(subscription)
        return LiveSession(self, subscription.filter, begin, connection, on_end, allowance=allowance)

    async def _begin(self, subscription: Subscription) -> int:
        self._check_open()
        try:
            async with asyncio.timeout(self.limits.connect):
                await self.follower.caught_up.wait()
        except TimeoutError:
            raise StreamError("unavailable", "the stream cannot be read at the moment; try again") from None
        position = await self.place(subscription)
        self._check_open()
        return position

    def _check_open(self) -> None:
        if self.closing:
            raise StreamError("going_away", "this gateway is shutting down; connect again")

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Held by a connection that will say goodbye when the stream closes."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._all_left.set()

    async def place(self, subscription: Subscription) -> int:
        """The position at which the subscription begins. Raises ``StreamError``."""
        try:
            if subscription.cursor is not None:
                return await self._after(subscription.cursor)
            if subscription.since is not None:
                return await self._at(subscription.since)
        except TooOld as error:
            raise StreamError(
                "cursor_too_old",
                "what followed is no longer kept; resume from oldest for all that is",
                oldest=self.cursors.encode(error.oldest - 1),
            ) from None
        except Unavailable:
            raise StreamError("unavailable", "older events cannot be read at the moment; try again") from None
        return self.log.end

    @property
    def cursors(self) -> Cursors:
        """The cursors of this installation; there once the follower has caught up."""
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
        # Another gateway may be a little ahead of this one; ahead of Kafka is nobody.
        elif position > self.log.end and position > await self.backlog.end():
            raise StreamError("bad_cursor", "the cursor is ahead of the stream", field="cursor")
        return position

    async def _at(self, since: datetime) -> int:
        position = await self.backlog.at(max(0, int(since.timestamp() * 1000)))
        oldest = await self.backlog.oldest()
        # The first record that is kept answers for the time before it only when there was none before; and where
        # none is kept, nobody knows what was there since.
        if position <= oldest and oldest > 0 and (position < await self.backlog.end() or since < utc_now()):
            raise TooOld(oldest)
        return position

    async def look_after(self) -> None:
        """Send heartbeats, and end the sessions of clients that take nothing; runs until it is cancelled."""
        seconds = min(_LOOK_SECONDS, self.limits.heartbeat / 4, self.limits.send / 4)
        while True:
            await asyncio.sleep(seconds)
            now = time.monotonic()
            for session in tuple(self.live):
                try:
                    session.look_after(now)
                except Exception:
                    _log.exception("a subscriber could not be looked after")

    def heartbeat(self, position: int) -> bytes:
        """The frame of a heartbeat at this position, made once for all who are there."""
        if self._beat[0] != position:
            message = {"type": "heartbeat", "cursor": self.cursors.encode(position - 1)}
            self._beat = (position, text_frame(as_line(message).encode()))
        return self._beat[1]

    async def close(self) -> None:
        """Ask all sessions to say goodbye; returns when they have, or after a bounded time."""
        self.closing = True
        for session in tuple(self.live):
            session.end(session.going_away())
        self.feeds.forgetting()
        if self._open:
            self._all_left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.limits.farewell):
                    await self._all_left.wait()
