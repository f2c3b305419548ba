"""Sessions that move between catching up, caught up and backpressure: every event once, in order.

The log and the sessions are real; the connection's client reads exactly what the test says, and Kafka is a list, so
that every order of steps can be tried.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.stream.backlog import TooOld
from api.stream.cursor import Cursors
from api.stream.filters import Filter
from api.stream.hub import StreamHub
from api.stream.log import Chunk, Log
from api.stream.protocols import ConnectionListener
from api.stream.session import LiveSession, Session
from api.stream.stream_event import Event, Facets
from api.stream.subscription import StreamError, StreamTimeouts, Subscription
from tests.api.streams import CURSORS, EVENTS, WIDE, event

# A few events each.
_CHUNK, _HIGH_WATER, _LOW_WATER = 300, 600, 200
# How many offsets Kafka, and with it another gateway, is ahead.
_AHEAD = 3


class _Connection:
    """A connection whose client reads as many bytes as ``take`` says."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.size = 0
        self.max_size = 0
        self.is_open = True
        self.is_full = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._listener: ConnectionListener | None = None

    @property
    def write(self) -> Callable[[bytes], None]:
        return self._write

    def set_listener(self, listener: ConnectionListener | None) -> None:
        self._listener = listener

    def pending_bytes(self) -> int:
        return self.size

    async def drain(self) -> None:
        await self._writable.wait()

    def close_with(self, text: str, code: int, *, grace: float) -> None:
        raise AssertionError

    def _write(self, frame: bytes) -> None:
        assert self.is_open
        assert self._listener is not None
        self.max_size = max(self.max_size, self.size)
        self.frames.append(frame)
        self.size += len(frame)
        if self.size > _HIGH_WATER and not self.is_full:
            self.is_full = True
            self._writable.clear()
            self._listener.on_backpressure()

    def take(self, size: int) -> None:
        """The client reads ``size`` bytes."""
        self.size = max(0, self.size - size)
        if self.is_full and self.size <= _LOW_WATER:
            self.is_full = False
            self._writable.set()

    def cut(self) -> None:
        """The client has gone."""
        self.is_open = False
        self._writable.set()
        if self._listener is not None:
            self._listener.on_disconnect()

    def messages(self) -> list[dict[str, Any]]:
        """The written messages, line by line."""
        return [json.loads(line) for frame in self.frames for one in _payloads(frame) for line in one.split(b"\n")]


def _payloads(frames: bytes) -> Iterator[bytes]:
    """The payloads of complete, unmasked text frames (RFC 6455)."""
    while frames:
        assert frames[0] == 0x81
        length, at = frames[1], 2
        if length >= 126:
            at = 4 if length == 126 else 10
            length = int.from_bytes(frames[2:at], "big")
        assert len(frames) >= at + length
        yield frames[at : at + length]
        frames = frames[at + length :]


class _Kafka:
    """All appended events that are still kept, read in small steps."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.first = 0
        self.last = 0

    async def read(self, position: int, stop: int, wanted: Filter, _: Cursors) -> Chunk:
        """As ``Backlog.read``."""
        await asyncio.sleep(0)
        if position < self.first:
            raise TooOld(self.first)
        stop = min(stop, position + 3)
        read = [one for one in self.kept if position <= one.offset < stop]
        await asyncio.sleep(0)
        return Chunk(tuple(filter(wanted.matches, read)), stop, read[-1].cursor if read else None)

    async def oldest(self) -> int:
        """As ``Backlog.oldest``."""
        return self.first

    async def end(self) -> int:
        """As ``Backlog.end``; the gateway has not read the last events yet."""
        return self.last + _AHEAD


@dataclass
class _Live:
    session: LiveSession
    connection: _Connection
    ends: list[StreamError]
    # For each "subscribed": whether the session was to continue at its position.
    continues: list[bool] = field(default_factory=list)


@dataclass
class _Read:
    session: Session
    task: asyncio.Task[None]
    start: int
    # Offsets of events, and (in tuples) positions that it has reached.
    seen: list[int | tuple[int]]
    ends: list[StreamError]


class _World:
    """A stream, its subscribers, and all events that were ever appended."""

    def __init__(self) -> None:
        self.log = Log(12_000)
        self.kafka = _Kafka()
        self.follower = SimpleNamespace(cursors=CURSORS, caught_up=asyncio.Event())
        self.follower.caught_up.set()
        # Every check sends a heartbeat, and no client is ever too slow.
        timeouts = StreamTimeouts(heartbeat=0.0, send=1e9)
        self.hub = StreamHub(self.log, cast(Any, self.kafka), cast(Any, self.follower), timeouts)
        self.live: list[_Live] = []
        self.reads: list[_Read] = []

    async def open_live(self, wanted: Filter, back: int | None) -> None:
        connection, ends = _Connection(), cast(list[StreamError], [])
        session = await self.hub.open_live(self._asked(wanted, back), connection, ends.append)
        self.live.append(_Live(session, connection, ends, [False]))
        session.begin()

    async def open_read(self, wanted: Filter, back: int | None) -> None:
        session = await self.hub.open(self._asked(wanted, back))
        seen: list[int | tuple[int]] = []
        ends: list[StreamError] = []

        async def read() -> None:
            try:
                while True:
                    chunk = await session.read()
                    seen.extend(one.offset for one in chunk.events)
                    session.position = chunk.position
                    await session.wait(0.002)
                    seen.append((session.position,))
            except StreamError as error:
                ends.append(error)

        self.reads.append(_Read(session, asyncio.create_task(read()), session.position, seen, ends))

    async def change(self, which: int, wanted: Filter, back: int | None) -> None:
        if self.live:
            one = self.live[which % len(self.live)]
            if not one.ends and one.connection.is_open:
                position = None if back is None else await self.hub.locate(self._asked(wanted, back))
                one.continues.append(position is None)
                one.session.change(wanted, position)

    def append(self, events: list[tuple[Facets, str]], gap: int) -> None:
        """Append as the follower does; ``gap`` offsets in the middle and at the end have no event."""
        first = self.log.end
        at = [first + n + (gap if n else 0) for n in range(len(events))]
        new = [event(offset, facets, text) for offset, (facets, text) in zip(at, events, strict=True)]
        self.kafka.kept += new
        self.kafka.last = (at[-1] + 1 if at else first) + gap
        self.log.append(new, self.kafka.last)

    def client_reads(self, which: int, size: int) -> None:
        if self.live:
            self.live[which % len(self.live)].connection.take(size)

    def cut(self, which: int) -> None:
        if self.live:
            self.live[which % len(self.live)].connection.cut()

    def check_sessions(self) -> None:
        for session in tuple(self.hub.live):
            session.check(1e12)

    def reset(self, gap: int, *, restart: bool) -> None:
        """As when events were deleted before the follower read them; with ``restart`` the stream is another one."""
        self.kafka.first = self.kafka.last = max(0, self.log.end - gap) if restart else self.log.end + gap
        self.kafka.kept = self.kafka.kept if restart else [one for one in self.kafka.kept if one.offset < self.log.end]
        self.log.reset(self.kafka.first, restart=restart)

    async def settle(self) -> None:
        """All clients read everything until nothing moves."""
        for _ in range(2_000):
            for one in self.live:
                one.connection.take(10**9)
            await asyncio.sleep(0)
            if not any(self._moves(session) for session in self.hub.live):
                break
        else:
            raise AssertionError("a session never caught up")
        async with asyncio.timeout(5):
            while any(self._reads_on(one) for one in self.reads):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    def _moves(self, session: LiveSession) -> bool:
        """Whether it is about to join a group, or, after a restart, to end."""
        return (
            bool(self.log.generation)
            or session.position < self.log.end
            or (session.catching_up and session.position == self.log.end)
        )

    def _reads_on(self, one: _Read) -> bool:
        return not one.ends and (one.session.position < self.log.end or self.log.generation > 0)

    def _asked(self, wanted: Filter, back: int | None) -> Subscription:
        position = None if back is None else max(self.kafka.first, self.log.end - back)
        return Subscription(wanted, None if position is None else CURSORS.encode(position - 1))

    def check(self, events: list[Event]) -> None:
        """Each got exactly the matching events, in order, and every cursor that it got is correct."""
        for live in self.live:
            self._check_live(live, events)
        for read in self.reads:
            at = read.start
            got: list[int] = []
            for seen in [*read.seen, *([] if read.ends else [(self.log.end,)])]:
                if isinstance(seen, int):
                    got.append(seen)
                else:
                    assert got == _matching(events, read.session.filter, at, seen[0])
                    at, got = seen[0], []

    def _check_live(self, live: _Live, events: list[Event]) -> None:
        continues = iter(live.continues)
        wanted, at, got = Filter(), 0, cast(list[int], [])
        by_json = {json.dumps(one.as_json()): one for one in _ALL}
        for message in live.connection.messages():
            place = CURSORS.decode(message["cursor"]).offset + 1
            if message["type"] == "subscribed":
                if next(continues):
                    assert got == _matching(events, wanted, at, place)
                else:
                    assert got == _matching(events, wanted, at, got[-1] + 1 if got else at)
                wanted, at, got = by_json[json.dumps(message["filter"])], place, []
            elif message["type"] == "heartbeat":
                assert got == _matching(events, wanted, at, place)
            else:
                got.append(place - 1)
        if live.ends:
            assert live.ends[0].code in {"too_slow", "cursor_too_old"}
            end = live.ends[0].extra.get("cursor")
            upto = CURSORS.decode(end).offset + 1 if end else (got[-1] + 1 if got else at)
        elif live.connection.is_open:
            upto = self.log.end
        else:
            upto = got[-1] + 1 if got else at
        assert got == _matching(events, wanted, at, upto)
        # Nothing but the answer to a change is written to a full connection.
        assert live.connection.max_size <= _HIGH_WATER + 300 * len(live.continues)


_ALL: list[Filter] = list(cast(Any, WIDE).elements)


def _matching(events: list[Event], wanted: Filter, start: int, stop: int) -> list[int]:
    return [one.offset for one in events if start <= one.offset < stop and wanted.matches(one)]


_WHICH = st.integers(0, 5)
_BACK = st.none() | st.integers(-_AHEAD, 60)
_ACTIONS = st.one_of(
    st.tuples(st.just("open_live"), WIDE, _BACK),
    st.tuples(st.just("open_read"), WIDE, _BACK),
    st.tuples(st.just("change"), _WHICH, WIDE, _BACK),
    *[st.tuples(st.just("append"), st.lists(EVENTS, max_size=8), st.integers(0, 2)) for _ in range(3)],
    st.tuples(st.just("client_reads"), _WHICH, st.integers(1, 1_500)),
    st.tuples(st.just("cut"), _WHICH),
    st.tuples(st.just("check_sessions")),
    st.tuples(st.just("run"), st.integers(1, 6)),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.lists(WIDE, min_size=1, max_size=4),
    st.lists(_ACTIONS, min_size=5, max_size=40),
    st.none() | st.tuples(st.integers(1, 12), st.booleans()),
)
async def test_every_subscriber_gets_everything_once_in_order(
    first: list[Filter], actions: list[tuple[Any, ...]], reset: tuple[int, bool] | None
) -> None:
    """However slowly clients read, while filters change and the log is reset: each event comes once, in order."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("api.stream.log.CHUNK_BYTES", _CHUNK)
        await _play(first, actions, reset)


async def test_no_session_continues_in_a_restarted_stream() -> None:
    """Whatever a session is doing, and wherever the new stream ends: a restart of the stream ends the session."""
    some: list[tuple[Facets, str]] = [(Facets(type="story"), "خبر")] * 12
    for steps in range(1, 12):
        for shorter in range(12):
            actions = [("append", some, 0), ("open_live", Filter(), 12), ("run", steps)]
            await _play([], actions, (shorter, True))


async def _play(first: list[Filter], actions: list[tuple[Any, ...]], reset: tuple[int, bool] | None) -> None:
    world = _World()
    events: list[Event] = []
    for wanted in first:
        await world.open_live(wanted, None)
    try:
        for name, *given in actions:
            if name == "run":
                for _ in range(given[0]):
                    await asyncio.sleep(0)
            elif name in {"open_live", "open_read", "change"}:
                await getattr(world, name)(*given)
            else:
                getattr(world, name)(*given)
        events = list(world.kafka.kept)
        if reset:
            world.reset(reset[0], restart=reset[1])
        await world.settle()
        if reset and reset[1]:
            assert not world.hub.live
        world.check(events)
    finally:
        for live in world.live:
            live.session.close()
        for read in world.reads:
            read.task.cancel()
        await asyncio.gather(*(read.task for read in world.reads), return_exceptions=True)
        await asyncio.sleep(0)
