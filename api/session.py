"""One subscription, whatever carries it: where it stands, what it wants, and what comes next.

A position is served from the shared log when it is there, else from Kafka; both count by the same offsets, so
the two join without a gap, a repeat or a change of order.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from api import filters
from api.backlog import Backlog, TooOld, Unavailable
from api.cursor import BadCursor, Cursors
from api.filters import Filter, FilterError
from api.follower import Follower
from api.log import Chunk, Log

_RETRY_SECONDS = 1.0
_LOST_PLUS = re.compile(r"(T\S+) (\d\d:\d\d)$")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """Times and sizes of subscriptions, in seconds where not said otherwise."""

    heartbeat: float = 10.0
    send: float = 10.0
    authenticate: float = 10.0
    connect: float = 10.0
    farewell: float = 2.0
    tail_records: int = 2_000


class StreamError(Exception):
    """A subscription cannot begin or go on; ``code`` is what clients tell cases apart by."""

    def __init__(self, code: str, message: str, **extra: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.extra = extra

    def as_json(self) -> dict[str, str]:
        """The error as subscribers receive it."""
        return {"type": "error", "code": self.code, "message": self.message, **self.extra}


@dataclass(frozen=True)
class Subscription:
    """What a client asks for: a filter, and where to begin. Neither cursor nor time: with what comes next."""

    filter: Filter = field(default_factory=Filter)
    cursor: str | None = None
    since: datetime | None = None

    @classmethod
    def of_query(cls, parameters: Iterable[tuple[str, str]]) -> "Subscription":
        """The subscription in query parameters. Raises ``StreamError``."""
        places: dict[str, str] = {}
        rest: list[tuple[str, str]] = []
        for name, value in parameters:
            if name in {"cursor", "since"}:
                if name in places:
                    raise StreamError("bad_request", f"{name} is given twice", field=name)
                places[name] = value
            else:
                rest.append((name, value))
        try:
            wanted = filters.parse(rest)
        except FilterError as error:
            raise StreamError("bad_filter", str(error), field=error.name) from None
        return cls._of(wanted, places.get("cursor"), places.get("since"))

    @classmethod
    def of_json(cls, given: dict[str, object]) -> "Subscription":
        """The subscription in an object with ``filter``, ``cursor`` and ``since``. Raises ``StreamError``."""
        for name in given:
            if name not in {"filter", "cursor", "since"}:
                raise StreamError("bad_request", f"unknown member {name[:60]!r} in subscribe", field=name[:60])
        try:
            wanted = filters.parse_json({} if given.get("filter") is None else given["filter"])
        except FilterError as error:
            raise StreamError("bad_filter", str(error), field=error.name) from None
        return cls._of(wanted, given.get("cursor"), given.get("since"))

    @classmethod
    def _of(cls, wanted: Filter, cursor: object, since: object) -> "Subscription":
        if cursor is not None and since is not None:
            raise StreamError("bad_request", "give cursor or since, not both", field="since")
        if cursor is not None and not isinstance(cursor, str):
            raise StreamError("bad_cursor", "a cursor is a string", field="cursor")
        return cls(wanted, cursor, None if since is None else _moment(since))


def _moment(text: object) -> datetime:
    try:
        # A plus sign that was not escaped in a query arrives as a space.
        moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", str(text)))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise StreamError("bad_request", "since must be a time as in 2025-01-31T09:30:00Z", field="since")
    return moment


class Stream:
    """The stream of this gateway: opens sessions and, in the end, closes them."""

    def __init__(self, log: Log, backlog: Backlog, follower: Follower, limits: Limits) -> None:
        self.log = log
        self.backlog = backlog
        self.follower = follower
        self.limits = limits
        self.closing = False
        self._open = 0
        self._all_left = asyncio.Event()

    async def open(self, subscription: Subscription) -> "Session":
        """A session that begins where the subscription says. Raises ``StreamError`` when it cannot begin."""
        if self.closing:
            raise StreamError("going_away", "this gateway is shutting down; connect again")
        try:
            async with asyncio.timeout(self.limits.connect):
                await self.follower.caught_up.wait()
        except TimeoutError:
            raise StreamError("unavailable", "the stream cannot be read at the moment; try again") from None
        return Session(self, subscription.filter, await self.place(subscription))

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
        # The first record that is kept answers for the time before it only when there was none before.
        if position <= oldest and oldest > 0 and position < await self.backlog.end():
            raise TooOld(oldest)
        return position

    async def close(self) -> None:
        """Ask all sessions to say goodbye; returns when they have, or after a bounded time."""
        self.closing = True
        self.log.wake()
        if self._open:
            self._all_left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.limits.farewell):
                    await self._all_left.wait()


class Session:
    """One subscriber. ``position`` is the next offset to look at; ``turn`` is held by whoever sends.

    Whoever sends reads under ``turn`` and moves the position when the chunk has been taken: a change of filter
    falls between two chunks, and the position tells what was handed over.
    """

    def __init__(self, stream: Stream, wanted: Filter, position: int) -> None:
        self._stream = stream
        self._waiter: asyncio.Future[None] | None = None
        self._generation = stream.log.generation
        self.filter = wanted
        self.position = position
        self.turn = asyncio.Lock()

    @property
    def cursor(self) -> str:
        """The cursor to resume with: everything up to it that matches was handed over."""
        return self._stream.cursors.encode(self.position - 1)

    async def read(self) -> Chunk:
        """What comes next, possibly nothing; moves no position. Raises ``StreamError`` when there is an end."""
        log = self._stream.log
        if self._stream.closing:
            raise StreamError("going_away", "this gateway is shutting down; connect again", cursor=self.cursor)
        if self._generation != log.generation:
            raise StreamError("bad_cursor", "the stream began anew; nothing can follow this place", field="cursor")
        if self.position >= log.start:
            return log.read(self.position, self.filter)
        try:
            return await self._stream.backlog.read(self.position, log.end, self.filter, self._stream.cursors)
        except TooOld:
            message = "events were deleted before you had read them"
            raise StreamError("too_slow", message, cursor=self.cursor) from None
        except Unavailable as error:
            _log.warning("a subscriber waits for older events", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
            return Chunk((), self.position)

    async def wait(self, seconds: float) -> None:
        """Return when there may be more to read, and after ``seconds`` at the latest."""
        if self.position < self._stream.log.end or self._stream.closing:
            await asyncio.sleep(0)  # others first
            return
        self._waiter = self._stream.log.waiter()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._waiter

    def change(self, wanted: Filter, position: int) -> None:
        """Go on with another filter from another position; to be called under ``turn``."""
        self.filter = wanted
        self.position = position
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
