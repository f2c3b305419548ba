"""The stream as users see it: two gateway processes on one Kafka, and everything that can happen to a subscriber.

Hypothesis draws histories: events are published, subscribers connect to either gateway, disconnect, resume, change
their filter and stop reading, gateways are killed and stopped, the oldest records are deleted. What each subscriber
received is then compared with the list of all events that were ever appended.
"""

import asyncio
import contextlib
import ipaddress
import itertools
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from api.server import Server, listen
from api.stream.cursor import Cursors
from api.stream.subscription import StreamTimeouts
from services import kafka as kafka_clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.process import Process, free_port
from services.embedded.valkey import Valkey
from services.events import Article, Story, Trend
from services.settings import Settings
from tests.api.conftest import a_story, a_topic, a_trend, an_article, an_entity, eventually
from tests.harness import Child, service

_UPDATES = TopicPartition(kafka_topics.UPDATES.name, 0)
# The log of a gateway then holds some dozens of small events, or one large one; all others are read from Kafka.
_LOG_BYTES = 100_000
# With a small receive buffer, few large events fill the buffers between client and gateway.
_RECEIVE_BUFFER = 32_768
# The most that one step publishes.
_BURST_BYTES = 1_200_000
_TIMEOUT_SECONDS = 30.0
# As ``khabar api``, but with frequent heartbeats and a short timeout for clients that do not read.
_WITH_SHORT_TIMEOUTS = """
import functools
from api import server
from api.stream.subscription import StreamTimeouts
from services.settings import load
server.Server = functools.partial(server.Server, timeouts=StreamTimeouts(heartbeat=0.2, send=1.0))
server.run(load())
"""

Filter = dict[str, list[str]]
"""A filter as a client writes it."""

_FILTERS: list[Filter] = [
    {},
    {"duplicates": ["show"]},
    {"duplicates": ["only"]},
    {"language": ["ar"]},
    {"language": ["fr", "tr"], "type": ["article"]},
    {"entity": ["Q1"]},
    {"entity": ["Q1", "Q2"], "topic": ["medtop:01000000"], "duplicates": ["show"]},
    {"source": ["الجزيرة", "unknown"]},
    {"story": ["s1"]},
    {"type": ["story", "trend"]},
    {"q": ["غزه"]},
    {"q": ["امن", "زلزال غزة"], "duplicates": ["show"]},
]
# How a word is written, and its normalized form.
_WORDS = {"غَزَّة": "غزه", "غزة": "غزه", "غزه": "غزه", "أمن": "امن", "امن": "امن", "زِلزال": "زلزال", "زلزال": "زلزال"}


@dataclass(frozen=True)
class _Made:
    """An event to publish: its facets, and its size in characters."""

    type: str = "article"
    language: str = "ar"
    source: str | None = "الجزيرة"
    entity: str | None = None
    topic: str | None = None
    story: str = "s1"
    words: tuple[str, ...] = ()
    duplicate: bool = False
    size: int = 0

    def record(self) -> Article | Story | Trend:
        """Its record, with a unique id."""
        text = "كلمة " * (self.size // 5) + " ".join(self.words)
        entities = [an_entity(self.entity)] if self.entity else []
        found = [a_topic(self.topic)] if self.topic else []
        if self.type == "article":
            return an_article(
                language=self.language,
                source=self.source,
                entities=entities,
                topics=found,
                story=self.story,
                text=text,
                duplicate_of="a0" if self.duplicate else None,
            )
        if self.type == "story":
            return a_story(
                languages=[self.language],
                sources=[self.source or "unknown"],
                entities=entities,
                topics=found,
                split_from=self.story,
                title=text,
            )
        name, value = self.rising()
        return a_trend(kind=name, id=value, name=text)

    def rising(self) -> tuple[str, str]:
        """The id of a trend of this kind."""
        if self.entity:
            return "entity", self.entity
        return ("topic", self.topic) if self.topic else ("story", self.story)

    def passes(self, wanted: Filter) -> bool:
        """Whether a subscriber with this filter has to get it."""
        duplicates = wanted.get("duplicates", ["hide"])[0]
        if self.type == "article" and duplicates != "show" and self.duplicate != (duplicates == "only"):
            return False
        values: dict[str, str | None] = {"type": self.type}
        if self.type == "trend":
            values |= [self.rising()]
        else:
            values |= {"language": self.language, "source": self.source or "unknown", "story": self.story}
            values |= {"entity": self.entity, "topic": self.topic}
        words = {_WORDS[word] for word in self.words}
        return all(
            any(words.issuperset(_WORDS[word] for word in value.split()) for value in some)
            if name == "q"
            else values.get(name) in some
            for name, some in wanted.items()
            if name != "duplicates"
        )


# One of these passes every filter, so a subscriber that has got those has got everything.
_LAST = [
    _Made(entity="Q1", topic="medtop:01000000", words=("غزة", "أمن")),
    _Made(duplicate=True),
    _Made(language="fr"),
    _Made(type="story"),
]
# Records on the log between events.
_NO_EVENTS: dict[str, tuple[str | None, bytes | None]] = {
    "broken": ("article", b"{"),
    "empty": ("story", None),
    "unknown": ("rumour", b"{}"),
    "untyped": (None, b"{}"),
    "fence": ("fence", b""),
}
# A transaction marker: it takes an offset and is not a record.
_GAP = "gap"
# How many histories are kept: a gateway may still have to read a little of earlier ones.
_REMEMBERED = 10
# The most subscribers of one history.
_MOST = 6


@dataclass(frozen=True)
class _Event:
    offset: int
    made: _Made
    time: str
    data: dict[str, Any]


def _offset(event: _Event) -> int:
    return event.offset


class _Log:
    """The recently appended events, and the oldest that is kept."""

    def __init__(self, cursors: Cursors) -> None:
        self._cursors = cursors
        self._begins: deque[int] = deque([0], maxlen=_REMEMBERED)
        self.end = 0
        # Everything from ``oldest_at_most`` on is certainly kept; everything before ``oldest`` is certainly deleted.
        self.oldest = self.oldest_at_most = 0
        self.was_cut = False
        self.events: list[_Event] = []
        self.times: dict[int, int] = {}

    @property
    def begin(self) -> int:
        """No subscriber requests anything before it, and no gateway has yet to read it."""
        return self._begins[0]

    def begin_history(self) -> None:
        """Drop the events that no subscriber can get any more."""
        self._begins.append(self.end)
        self.was_cut = False
        del self.events[: bisect_left(self.events, self.begin, key=_offset)]
        self.times = {offset: at for offset, at in self.times.items() if offset >= self.begin}

    def add(self, offset: int, milliseconds: int) -> None:
        """Add a record of any kind."""
        assert offset >= self.end
        self.times[offset] = milliseconds
        self.end = offset + 1

    def cursor(self, position: int) -> str:
        """The cursor of a subscriber that has everything before this position."""
        return self._cursors.encode(position - 1)

    def position(self, cursor: str) -> int:
        """The position after this cursor."""
        position = self._cursors.decode(cursor).offset + 1
        assert 0 <= position <= self.end
        return position

    def matching(self, wanted: Filter, start: int, stop: int) -> list[int]:
        """The offsets of the events between these positions that pass a filter."""
        first, last = (bisect_left(self.events, at, key=_offset) for at in (start, stop))
        return [one.offset for one in self.events[first:last] if one.made.passes(wanted)]

    def event(self, offset: int) -> _Event:
        """The event at this offset, which must exist."""
        found = self.events[bisect_left(self.events, offset, key=_offset)]
        assert found.offset == offset
        return found

    def since(self, milliseconds: int) -> tuple[int, int]:
        """The first and the last position at which a subscription since this time may start."""
        later = [offset for offset, time in self.times.items() if time >= milliseconds]
        earlier = [offset for offset, time in self.times.items() if time < milliseconds]
        return (max(earlier) + 1 if earlier else 0), (min(later) if later else self.end)


@dataclass
class _Ask:
    """A request of a subscriber: a start (none: now or, in an op, its present position) or a ping."""

    wanted: Filter
    oldest: int
    cursor: str | None = None
    since: int | None = None
    goes_on: bool = False
    is_ping: bool = False

    def place(self) -> dict[str, str]:
        """The start as it is sent."""
        if self.cursor is not None:
            return {"cursor": self.cursor}
        return {} if self.since is None else {"since": _rfc3339(self.since)}


def _rfc3339(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _HurriedChild(Child):
    async def start(self) -> None:
        self.process = Process("api", self.log)
        await self.process.start([sys.executable, "-c", _WITH_SHORT_TIMEOUTS], env=self.environment)


class _Gateway:
    """A gateway process on its own port, which is started again after its end."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        self.port = port
        self.is_hurried = isinstance(child, _HurriedChild)
        self.deaths = 0
        self.up = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Return when it accepts connections."""
        await self.child.process.until(self._answers, seconds=_TIMEOUT_SECONDS)
        self.up.set()

    async def _answers(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()

    def end(self, number: signal.Signals) -> None:
        """Send this signal, and start it again after its end."""
        self.up.clear()
        self.deaths += 1
        self._life = asyncio.create_task(self._end(number))

    async def _end(self, number: signal.Signals) -> None:
        if number == signal.SIGKILL:
            self.child.process.kill()
            await self.child.process.wait()
        else:
            await self.child.process.stop()
            assert self.child.process.returncode == 0
        await self.child.start()
        await self.wait()

    async def rest(self) -> None:
        """Return when it is up again. Raises the error of the restart."""
        if self._life is not None:
            await self._life


class _World:
    """The servers, shared by all histories; each history has its own part of the log."""

    reader: kafka_clients.Reader
    http: aiohttp.ClientSession

    def __init__(self, producer: AIOKafkaProducer, marking: AIOKafkaProducer, admin: AIOKafkaAdminClient) -> None:
        self.producer = producer
        self.marking = marking
        self.admin = admin
        self.gateways: list[_Gateway] = []
        self.log = _Log(Cursors(""))


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey) -> AsyncIterator[_World]:
    """A Kafka with ``updates`` for these tests alone, and two gateways."""
    base = Path(tmp_path_factory.mktemp("gateways"))
    node = Kafka(base / "kafka")
    await node.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(node.stop)
        await kafka_topics.ensure(node.bootstrap, raw_partitions=1, replication=1)
        producer = await stack.enter_async_context(kafka_clients.producer(node.bootstrap, linger_ms=0))
        marking = AIOKafkaProducer(bootstrap_servers=node.bootstrap, transactional_id="gaps")
        await stack.enter_async_context(marking)
        admin = AIOKafkaAdminClient(bootstrap_servers=node.bootstrap)
        await admin.start()
        stack.push_async_callback(admin.close)
        made = _World(producer, marking, admin)
        made.log = _Log(Cursors(await kafka_clients.read_log_id(node.bootstrap)))
        reader = kafka_clients.reader(node.bootstrap, kafka_topics.UPDATES.name)
        made.reader = await stack.enter_async_context(reader)
        connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_small_socket)
        http = aiohttp.ClientSession(connector=connector, read_bufsize=_RECEIVE_BUFFER)
        made.http = await stack.enter_async_context(http)
        for number in range(2):
            port = free_port()
            options = {"kafka": node.bootstrap, "redis": valkey.url, "port": port, "log_bytes": _LOG_BYTES}
            child = await stack.enter_async_context(service("api", log=base / f"api{number}.log", **options))
            if number:
                await child.process.stop()
                child = _HurriedChild(child.command, child.environment, child.log, child.process)
                await child.start()
                stack.push_async_callback(_stop, child)
            made.gateways.append(_Gateway(child, port))
        for gateway in made.gateways:
            await gateway.wait()
        yield made
        for gateway in made.gateways:
            await gateway.rest()


async def _stop(child: Child) -> None:
    await child.process.stop()


def _small_socket(address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    made.setblocking(False)
    return made


class _Leg:
    """One connection of a subscriber, from start to end: its requests and what it received, in order."""

    def __init__(self, subscriber: "_Subscriber", gateway: _Gateway, ask: _Ask, *, is_sse: bool) -> None:
        self.subscriber = subscriber
        self.log = subscriber.log
        self.gateway = gateway
        self.is_sse = is_sse
        self.first = ask
        self.asks = deque([ask])
        # Each message, the request that it answers, and the newest offset that the oldest kept record had then.
        self.received: list[tuple[dict[str, Any], _Ask | None, int]] = []
        self.deaths = gateway.deaths
        self.was_up = gateway.up.is_set()
        self.was_dropped = False
        self.was_stalled = not subscriber.reads.is_set()
        self.goodbye_due = False
        self.code: int | None = None
        self.socket: ClientConnection | None = None
        self.failure: Exception | None = None
        self.task = asyncio.create_task(self._run())

    def __str__(self) -> str:
        received = [
            {name: value for name, value in message.items() if name != "data"} | ({"answers": ask} if ask else {})
            for message, ask, _ in self.received
        ]
        kind = "SSE" if self.is_sse else "WebSocket"
        flags = {name: getattr(self, name) for name in ("was_up", "was_dropped", "was_stalled", "code", "failure")}
        return f"{kind} at port {self.gateway.port}, requested {self.first}, {flags}\n" + "\n".join(map(str, received))

    @property
    def may_be_slow(self) -> bool:
        """Whether it may have been too slow, or its next events may have been deleted before it had them."""
        return self.was_stalled or self.log.was_cut or self.gateway.is_hurried

    @property
    def begun(self) -> bool:
        """Whether it has got its position."""
        return any(message["type"] == "subscribed" for message, _, _ in self.received)

    async def has_begun(self) -> bool:
        """Wait for its position; False when there will be no subscription."""
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            while not self.begun and not self.task.done() and self.subscriber.reads.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        return self.begun

    @property
    def refused(self) -> dict[str, Any] | None:
        """The error that it got instead of a subscription."""
        if self.received and not self.begun and self.received[-1][0]["type"] == "error":
            return self.received[-1][0]
        return None

    async def _run(self) -> None:
        try:
            await (self._run_sse() if self.is_sse else self._run_websocket())
        except (OSError, WebSocketException, aiohttp.ClientError) as error:
            self.failure = error

    async def _run_websocket(self) -> None:
        address = ("127.0.0.1", self.gateway.port)
        made = _small_socket((socket.AF_INET, socket.SOCK_STREAM, 0))
        with made:
            await asyncio.get_running_loop().sock_connect(made, address)
            query = urlencode(self.first.wanted | self.first.place(), doseq=True)
            url = f"ws://127.0.0.1:{self.gateway.port}/v1/stream?{query}"
            line = await connect(url, sock=made, compression=None, max_size=None, max_queue=1, ping_interval=None)
            try:
                self.socket = line
                while True:
                    await self.subscriber.reads.wait()
                    for text in str(await line.recv()).split("\n"):
                        self._hear(json.loads(text))
            except ConnectionClosed as closed:
                self.code = closed.rcvd.code if closed.rcvd else None
            finally:
                self.socket = None
                line.transport.abort()

    async def _run_sse(self) -> None:
        headers, parameters = {}, {name: ",".join(values) for name, values in self.first.wanted.items()}
        if self.first.cursor is not None:
            headers["Last-Event-ID"] = self.first.cursor
        parameters |= self.first.place()
        url = f"http://127.0.0.1:{self.gateway.port}/v1/events"
        timeout = aiohttp.ClientTimeout(total=None)
        async with self.subscriber.world.http.get(url, params=parameters, headers=headers, timeout=timeout) as response:
            try:
                if response.status != 200:
                    problem = await response.json(content_type=None)
                    assert response.status == {"cursor_too_old": 410, "going_away": 503}[problem["code"]]
                    self._hear(problem | {"type": "error"})
                    return
                rest = b""
                while True:
                    await self.subscriber.reads.wait()
                    data = await response.content.readany()
                    if not data:
                        return
                    *whole, rest = (rest + data).split(b"\n\n")
                    for block in whole:
                        self._hear_block(block.decode())
            finally:
                response.close()

    def _hear_block(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if "data" not in fields:
            return
        message = json.loads(fields["data"])
        assert fields["event"] == message["type"]
        if message["type"] != "error":
            assert fields["id"] == message["cursor"]
        if not self.received:
            assert message["type"] == "heartbeat"
            message["type"] = "subscribed"
        self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        kind, ask = message["type"], None
        if kind in {"subscribed", "pong"} or (kind == "error" and message["code"] not in {"going_away", "too_slow"}):
            ask = self.asks.popleft()
        if kind == "subscribed" and ask is not None:
            self.subscriber.wanted = ask.wanted
        if "cursor" in message:
            self.subscriber.cursor = message["cursor"]
        self.received.append((message, ask, self.log.oldest_at_most))

    async def say(self, ask: _Ask, **message: Any) -> None:
        """Send an op."""
        if self.socket is not None:
            self.asks.append(ask)
            with contextlib.suppress(ConnectionClosed):
                await self.socket.send(json.dumps(message))

    def drop(self) -> None:
        """Disconnect without a close, whatever is in progress."""
        self.was_dropped = True
        self.goodbye_due = False
        self.task.cancel()

    def check(self, *, is_last: bool) -> None:
        """Check that it received exactly what the gateway had to send."""
        wanted, at, got = self.first.wanted, -1, list[int]()

        def has_all_up_to(position: int) -> bool:
            return at >= 0 and got == self.log.matching(wanted, at, position)

        for message, ask, oldest_at_most in self.received:
            kind = message["type"]
            if "cursor" in message:
                position = self.log.position(message["cursor"])
            if kind == "subscribed":
                assert ask is not None
                if at >= 0:
                    assert has_all_up_to(position if ask.goes_on else got[-1] + 1 if got else at)
                self._check_begin(ask, position, message)
                wanted, at, got = ask.wanted, position, []
            elif kind == "heartbeat":
                assert has_all_up_to(position)
            elif kind == "pong":
                assert ask is not None
                assert ask.is_ping
            elif kind == "error" and ask is not None:
                self._check_too_old(ask, message, oldest_at_most)
            elif kind == "error":
                assert message is self.received[-1][0]
                assert at < 0 or has_all_up_to(position)
                assert message["code"] == "going_away" or self.may_be_slow
                assert self.is_sse or self.code in {1012, 4408, None}
            else:
                event = self.log.event(position - 1)
                expected = {
                    "cursor": message["cursor"],
                    "type": event.made.type,
                    "time": event.time,
                    "data": event.data,
                }
                assert message == expected
                got.append(event.offset)
        assert at < 0 or has_all_up_to(self.log.end if is_last else got[-1] + 1 if got else at)
        self._check_end()

    def _check_begin(self, ask: _Ask, position: int, message: dict[str, Any]) -> None:
        assert not ask.is_ping
        if ask.cursor is not None:
            self._check_same_start(position, self.log.position(ask.cursor))
        elif ask.since is not None:
            first, last = self.log.since(ask.since)
            assert position <= last
            self._check_same_start(min(position, first), first)
        if not self.is_sse:
            shown = {name: sorted(values) for name, values in ask.wanted.items() if name not in {"duplicates", "q"}}
            shown |= {"q": sorted(ask.wanted["q"])} if "q" in ask.wanted else {}
            assert message["filter"] == shown | {"duplicates": ask.wanted.get("duplicates", ["hide"])[0]}

    def _check_same_start(self, position: int, asked: int) -> None:
        """The cursor of a position is that of the last event before it: between the two there is none."""
        assert position <= asked
        assert self.log.matching({"duplicates": ["show"]}, position, asked) == []

    def _check_too_old(self, ask: _Ask, message: dict[str, Any], oldest_at_most: int) -> None:
        assert message["code"] == "cursor_too_old"
        if ask.cursor is not None:
            assert self.log.position(ask.cursor) < oldest_at_most
        else:
            assert ask.since is not None
            assert self.log.since(ask.since)[0] <= oldest_at_most
        assert ask.oldest <= self.log.position(message["oldest"]) <= oldest_at_most

    def _check_end(self) -> None:
        said: dict[str, Any] = self.received[-1][0] if self.received else {"type": None}
        if self.task.done() and not self.was_dropped:
            self.task.result()
        # An SSE client whose next events were deleted is disconnected without an error.
        if self.goodbye_due and self.task.done() and not (self.is_sse and self.log.was_cut):
            assert said["type"] == "error"
            assert said["cursor"]
            assert self.is_sse or self.code == {"going_away": 1012, "too_slow": 4408}[said["code"]]
        if self.task.done() and not self.was_dropped and said["type"] != "error":
            # Every close has a reason.
            assert not self.was_up or self.deaths != self.gateway.deaths or self.may_be_slow


class _Subscriber:
    """A client that reads the stream from some position on, over several connections."""

    def __init__(self, world: _World, log: _Log, ask: _Ask) -> None:
        self.world = world
        self.log = log
        self.first = ask
        self.wanted = ask.wanted
        self.cursor: str | None = None
        self.legs: list[_Leg] = []
        self.reads = asyncio.Event()
        self.reads.set()

    @property
    def leg(self) -> _Leg | None:
        """The present connection, if there is one."""
        return self.legs[-1] if self.legs and not self.legs[-1].task.done() else None

    def connect(self, gateway: _Gateway, *, is_sse: bool) -> None:
        """Connect, and resume after what it received last."""
        ask, last = self.first, self.legs[-1] if self.legs else None
        refused = last.refused if last else None
        if refused and "oldest" in refused:
            ask = _Ask(self.wanted, self.log.oldest, refused["oldest"])
        elif self.cursor is not None:
            ask = _Ask(self.wanted, self.log.oldest, self.cursor)
        self.legs.append(_Leg(self, gateway, ask, is_sse=is_sse))

    def stall(self) -> None:
        """Stop reading."""
        self.reads.clear()
        if self.leg is not None:
            self.leg.was_stalled = True
            self.leg.goodbye_due = False

    def has_all(self) -> bool:
        """Whether it has got the last event that it has to get, and all answers."""
        if self.leg is None or self.leg.asks or self.cursor is None:
            return False
        return self.log.position(self.cursor) > max(self.log.matching(self.wanted, self.log.begin, self.log.end))


class _History:
    """One history: the appended events, and the subscribers."""

    def __init__(self, world: _World) -> None:
        self.world = world
        self.log = world.log
        self.log.begin_history()
        self.subscribers: list[_Subscriber] = []
        self._batches: asyncio.Queue[Sequence[_Made | str]] = asyncio.Queue()

    async def play(self, actions: Sequence[tuple[Any, ...]]) -> None:
        """Do the steps, let all subscribers get everything, and check what they got."""
        self._writer = asyncio.create_task(self._write())
        try:
            for name, *given in actions:
                await getattr(self, name)(*given)
            await self.publish(_LAST, 1, wait=True)
            await self._settle()
            self._check()
        finally:
            await self._written()
            tasks = [self._writer, *(leg.task for one in self.subscribers for leg in one.legs)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def publish(self, batch: Sequence[_Made | str], times: int, wait: bool) -> None:
        """Append these events, repeatedly."""
        size = sum(2_000 + 2 * one.size if isinstance(one, _Made) else 0 for one in batch)
        for _ in range(min(times, max(1, _BURST_BYTES // max(size, 1)))):
            self._batches.put_nowait(batch)
        if wait:
            await self._written()

    async def open(self, is_sse: bool, where: int, wanted: Filter, place: tuple[Any, ...]) -> None:
        """A subscriber connects."""
        if len(self.subscribers) < _MOST:
            self.subscribers.append(_Subscriber(self.world, self.log, self._ask(wanted, place)))
            self.subscribers[-1].connect(await self._gateway(where), is_sse=is_sse)

    async def resume(self, which: int, is_sse: bool, where: int) -> None:
        """A subscriber disconnects, if it has not yet, and reconnects."""
        await self.drop(which)
        for one in self._one(which):
            one.connect(await self._gateway(where), is_sse=is_sse)

    async def drop(self, which: int) -> None:
        """A subscriber disconnects."""
        for one in self._one(which):
            if one.leg is not None:
                one.leg.drop()
                await asyncio.wait({one.legs[-1].task})

    async def change(self, which: int, wanted: Filter, place: tuple[Any, ...]) -> None:
        """A subscriber changes its filter or position."""
        for leg in await self._line(which):
            ask = self._ask(wanted, place)
            ask.goes_on = not ask.place()
            await leg.say(ask, op="subscribe", filter=wanted, **ask.place())

    async def ping(self, which: int) -> None:
        """A subscriber sends a ping."""
        for leg in await self._line(which):
            await leg.say(_Ask({}, self.log.oldest, is_ping=True), op="ping")

    async def stall(self, which: int) -> None:
        """A subscriber stops reading."""
        for one in self._one(which):
            one.stall()

    async def flood(self, which: int) -> None:
        """A caught-up subscriber stops reading, and more arrives than fits into the buffers."""
        for leg in await self._line(which):
            await self._written()
            await asyncio.sleep(0.05)
            leg.subscriber.stall()
            await self.publish([replace(_LAST[0], size=100_000)], 6, wait=True)

    async def read(self, which: int) -> None:
        """A subscriber reads again."""
        for one in self._one(which):
            one.reads.set()

    async def pause(self, milliseconds: int) -> None:
        """Time passes."""
        await asyncio.sleep(milliseconds / 1000)

    async def end(self, where: int, number: signal.Signals, wait: bool) -> None:
        """A gateway is killed, or asked to stop: then it sends every subscriber that reads a close."""
        gateway = self.world.gateways[where]
        if not gateway.up.is_set():
            return  # it has just ended
        if number == signal.SIGTERM:
            legs = [one.leg for one in self.subscribers if one.leg is not None and one.leg.gateway is gateway]
            begun = [leg for leg in legs if await leg.has_begun()]
            for leg in begun:
                leg.goodbye_due = not leg.was_stalled and not leg.task.done()
        gateway.end(number)
        if wait:
            await gateway.rest()

    async def forget(self, back: int) -> None:
        """The oldest records are deleted, all but this many."""
        before = self.log.end - back
        if before > self.log.oldest:
            self.log.was_cut = True
            self.log.oldest_at_most = before
            await self.world.admin.delete_records({_UPDATES: RecordsToDelete(before_offset=before)})
            self.log.oldest = before

    async def _written(self) -> None:
        """Return when everything is appended. Raises the error of the writer."""
        written = asyncio.create_task(self._batches.join())
        await asyncio.wait({self._writer, written}, return_when="FIRST_COMPLETED")
        if self._writer.done():
            written.cancel()
            self._writer.result()

    def _one(self, which: int) -> list[_Subscriber]:
        return [self.subscribers[which % len(self.subscribers)]] if self.subscribers else []

    async def _line(self, which: int) -> list[_Leg]:
        """The connection of a subscriber that can send ops; it may have stopped reading."""
        legs = [one.leg for one in self.subscribers if one.leg is not None and not one.leg.is_sse]
        return [leg for leg in legs[which % len(legs) :][:1] if await leg.has_begun()] if legs else []

    async def _gateway(self, where: int) -> _Gateway:
        """This gateway, or the other one while it is down."""
        wanted = self.world.gateways[where]
        found = next((one for one in (wanted, *self.world.gateways) if one.up.is_set()), wanted)
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await found.up.wait()
        return found

    def _ask(self, wanted: Filter, place: tuple[Any, ...]) -> _Ask:
        ask = _Ask(wanted, self.log.oldest)
        match place:
            case ("cursor", back):
                ask.cursor = self.log.cursor(max(self.log.begin, self.log.end - back))
            case ("since", back, more) if self.log.times:
                times = list(self.log.times.values())
                ask.since = times[-min(back + 1, len(times))] + more
            case ("of", which):
                ask.cursor = next((one.cursor for one in self._one(which)), None)
        return ask

    async def _write(self) -> None:
        while True:
            batch = await self._batches.get()
            if batch == [_GAP]:
                async with self.world.marking.transaction():
                    await self._append([_Made()], self.world.marking)
                while await self.world.reader.end() == self.log.end:  # noqa: ASYNC110 - the mark comes when it comes
                    await asyncio.sleep(0.002)
                # A gateway that starts when a marker is the last offset would wait for the next record.
                batch = [_Made()]
            await self._append(batch, self.world.producer)
            self._batches.task_done()

    async def _append(self, batch: Sequence[_Made | str], producer: AIOKafkaProducer) -> None:
        for waiting, at, made, value in [await self._send(producer, one) for one in batch]:
            offset = (await waiting).offset
            self.log.add(offset, at)
            if made is not None:
                self.log.events.append(_Event(offset, made, _rfc3339(at), json.loads(value)))

    async def _send(self, producer: AIOKafkaProducer, one: _Made | str) -> tuple[Any, int, _Made | None, bytes]:
        made = one if isinstance(one, _Made) else None
        kind, value = (made.type, made.record().encode()) if made else _NO_EVENTS[str(one)]
        headers = [("type", kind.encode())] if kind else []
        now = int(time.time() * 1000)
        waiting = await producer.send(kafka_topics.UPDATES.name, value, key=b"k", headers=headers, timestamp_ms=now)
        return waiting, now, made, value or b""

    async def _settle(self) -> None:
        for one in self.subscribers:
            one.reads.set()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                for where in itertools.count():
                    missing = [one for one in self.subscribers if not one.has_all()]
                    if not missing:
                        return
                    for one in missing:
                        if one.leg is None:
                            one.connect(await self._gateway(where % 2), is_sse=one.legs[-1].is_sse)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            self._check()
            stuck = next(one for one in self.subscribers if not one.has_all())
            raise AssertionError(f"it waits for ever: {stuck.legs[-1]}") from None

    def _check(self) -> None:
        for number, one in enumerate(self.subscribers):
            for leg in one.legs:
                try:
                    leg.check(is_last=leg is one.leg and one.has_all())
                except Exception as error:
                    error.add_note(f"subscriber {number}, {leg}")
                    raise


_WHICH, _WHERE = st.integers(0, 5), st.integers(0, 1)
_WANTED = st.sampled_from(_FILTERS)
_BACK = st.integers(0, 40) | st.just(300)
_PLACE = st.one_of(
    st.just(("now",)),
    st.tuples(st.just("cursor"), _BACK),
    st.tuples(st.just("since"), _BACK, st.integers(0, 1)),
    st.tuples(st.just("of"), _WHICH),
)
_MADE = st.builds(
    _Made,
    type=st.sampled_from(["article", "article", "story", "trend"]),
    language=st.sampled_from(["ar", "ar", "fr", "en"]),
    source=st.sampled_from(["الجزيرة", "RFI", None]),
    entity=st.sampled_from([None, "Q1", "Q2"]),
    topic=st.sampled_from([None, "medtop:01000000", "medtop:20000002"]),
    story=st.sampled_from(["s1", "s2"]),
    words=st.lists(st.sampled_from(list(_WORDS)), max_size=3).map(tuple),
    duplicate=st.sampled_from([False, False, True]),
    size=st.sampled_from([0, 0, 0, 200, 200, 3_000, 60_000, 150_000]),
)
_BATCH = st.lists(_MADE | st.sampled_from(list(_NO_EVENTS)), min_size=1, max_size=6)
_OPEN = st.tuples(st.just("open"), st.sampled_from([False, False, True]), _WHERE, _WANTED, _PLACE)
_PUBLISH = st.tuples(st.just("publish"), _BATCH, st.sampled_from([1, 1, 2, 5, 20]), st.booleans())
_STEPS: list[tuple[int, st.SearchStrategy[tuple[Any, ...]]]] = [
    (4, _PUBLISH),
    (2, _OPEN),
    (4, st.tuples(st.just("change"), _WHICH, _WANTED, _PLACE)),
    (2, st.tuples(st.just("resume"), _WHICH, st.sampled_from([False, False, True]), _WHERE)),
    (1, st.tuples(st.just("drop"), _WHICH)),
    (1, st.tuples(st.just("ping"), _WHICH)),
    (1, st.tuples(st.just("stall"), _WHICH)),
    (1, st.tuples(st.just("flood"), _WHICH)),
    (1, st.tuples(st.just("read"), _WHICH)),
    # At least one record is kept: without any, it is unknown whether a time is before what is kept.
    (2, st.tuples(st.just("forget"), st.integers(0, 40))),
    (1, st.tuples(st.just("publish"), st.just([_GAP]), st.just(1), st.booleans())),
    (1, st.tuples(st.just("pause"), st.sampled_from([0, 5, 20, 50, 1_500]))),
]
_ACTIONS = st.sampled_from([step for often, step in _STEPS for _ in range(often)]).flatmap(lambda step: step)
_END = st.tuples(
    st.just("end"), _WHERE, st.sampled_from([signal.SIGTERM, signal.SIGKILL]), st.sampled_from([False, False, True])
)


# To shrink a history that fails takes Hypothesis up to five minutes.
@pytest.mark.timeout(900)
@settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    first=st.lists(_PUBLISH | _OPEN, min_size=2, max_size=5),
    actions=st.lists(_ACTIONS, min_size=10, max_size=20),
    ends=st.lists(st.tuples(st.integers(0, 20), _END), max_size=2),
)
async def test_a_resumed_stream_is_the_uninterrupted_stream(
    world: _World,
    first: list[tuple[Any, ...]],
    actions: list[tuple[Any, ...]],
    ends: list[tuple[int, tuple[Any, ...]]],
) -> None:
    """No event is missing, repeated or out of order, whatever happens to gateways, clients and the log."""
    for at, end in ends:
        actions = [*actions[:at], end, *actions[at:]]
    await _History(world).play([*first, *actions])


# A client that does nothing but read, and answer pings.
_READER = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], compression=None, ping_interval=None) as line:
    for text in line:
        print(text, flush=True)
"""


# The same over SSE.
_SSE_READER = """
import sys, urllib.request
for line in urllib.request.urlopen(sys.argv[1]):
    print(line.decode(), end="", flush=True)
"""


class _Apart:
    """A network namespace with a link to this one; ``address`` is our end of the link."""

    def __init__(self) -> None:
        unique = secrets.token_hex(4)
        # One of the small networks in the range for benchmarks (RFC 2544).
        ours = int(ipaddress.IPv4Address("198.18.0.1")) + 4 * secrets.randbelow(16_384)
        self.address, self._other = str(ipaddress.IPv4Address(ours)), str(ipaddress.IPv4Address(ours + 1))
        self.name = f"khabar{unique}"
        self._ours, self._theirs = f"kh{unique}a", f"kh{unique}b"

    def make(self) -> None:
        """Create it. Raises ``OSError`` or ``CalledProcessError``."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self._ours, "type", "veth", "peer", "name", self._theirs, "netns", self.name)
        _ip("address", "add", f"{self.address}/30", "dev", self._ours)
        _ip("link", "set", self._ours, "up")
        _ip("-n", self.name, "address", "add", f"{self._other}/30", "dev", self._theirs)
        _ip("-n", self.name, "link", "set", self._theirs, "up")

    def cut(self) -> None:
        """Cut the link: from now on nothing passes in either direction, and neither end is notified."""
        _ip("-n", self.name, "link", "set", self._theirs, "down")

    def remove(self) -> None:
        """Remove it."""
        for what, name in (("link", self._ours), ("netns", self.name)):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip(what, "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def apart() -> Iterator[_Apart]:
    """Another network namespace."""
    made = _Apart()
    try:
        made.make()
    except (OSError, subprocess.CalledProcessError) as error:
        made.remove()
        reason = getattr(error, "stderr", None) or error
        pytest.skip(f"a client on another network needs network namespaces (root): {reason}")
    yield made
    made.remove()


def _connections(server: Server, kind: str) -> str:
    """The metric of open connections of a transport."""
    return next(
        str(line.split()[1])
        for line in server.app.state.gateway.metrics.render().decode().split("\n")
        if line.startswith(f'khabar_api_connections{{transport="{kind}"}}')
    )


@asynccontextmanager
async def _read_from_apart(
    server: Server, apart: _Apart, script: str, place: str
) -> AsyncIterator[asyncio.StreamReader]:
    """The output of a client on the other network that reads from a server on this one."""
    scheme, path = place.split("://")
    with listen(apart.address, 0) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"{scheme}://{apart.address}:{listener.getsockname()[1]}{path}"
        client = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net=/run/netns/{apart.name}", sys.executable, "-c", script, url), stdout=subprocess.PIPE
        )
        try:
            assert client.stdout is not None
            yield client.stdout
            assert client.returncode is None
        finally:
            client.kill()
            await client.wait()
            server.stop()
            await serving


async def test_pings_find_dead_peers(settings: Settings, apart: _Apart) -> None:
    """A client that answers pings stays; one whose network is gone, so that no close ever arrives, is disconnected."""
    server = Server(settings, StreamTimeouts())
    config = server.config
    assert config.ws_ping_interval
    assert config.ws_ping_timeout
    assert config.ws_ping_interval + config.ws_ping_timeout <= 60
    config.ws_ping_interval = config.ws_ping_timeout = 0.5
    gateway = server.app.state.gateway
    async with _read_from_apart(server, apart, _READER, "ws:///v1/stream") as printed:
        async with asyncio.timeout(20):
            assert json.loads(await printed.readline())["type"] == "subscribed"
        await asyncio.sleep(2.5)
        assert _connections(server, "websocket") == "1.0"
        apart.cut()
        began = time.monotonic()
        await eventually(lambda: _connections(server, "websocket") == "0.0", seconds=20)
        assert time.monotonic() - began < 10
        await eventually(lambda: not server.server_state.connections, seconds=10)
        assert not gateway.hub.live


async def test_dead_peers_are_found_over_sse_too(
    settings: Settings, apart: _Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It no longer acknowledges anything, at least heartbeats: the kernel ends the connection."""
    monkeypatch.setattr("api.server._TCP_USER_TIMEOUT_SECONDS", 2.0)
    server = Server(settings, StreamTimeouts(heartbeat=0.3))
    async with _read_from_apart(server, apart, _SSE_READER, "http:///v1/events") as printed:
        async with asyncio.timeout(20):
            assert await printed.readline() == b"retry: 2000\n"
        await asyncio.sleep(4)
        assert _connections(server, "sse") == "1.0"
        apart.cut()
        await eventually(lambda: _connections(server, "sse") == "0.0", seconds=20)
