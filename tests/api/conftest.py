"""Gateways under test: the real server on a free port, against the real Kafka and Valkey of the run."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from websockets.asyncio.client import ClientConnection, connect

from api.gateway import Gateway
from api.server import Server, listen
from api.stream.subscription import StreamTimeouts
from services import kafka as kafka_clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.embedded.valkey import Valkey
from services.events import Article, Entity, Mention, Story, Topic, Trend
from services.settings import Settings
from services.store import Batch, Store, layout
from tests.harness import eventually  # noqa: F401 - the tests of this folder take it from here

_numbers = itertools.count(1)


def an_article(**given: Any) -> Article:
    """An article with a unique id; fields that are not given have arbitrary values."""
    fields: dict[str, Any] = {
        "id": f"a{next(_numbers)}",
        "revision": 1,
        "source": "الجزيرة",
        "url": None,
        "title": "عنوان الخبر",
        "text": "نص الخبر هنا",
        "published_at": None,
        "received_at": datetime.now(UTC),
        "language": "ar",
        "language_score": 0.99,
        "entities": [],
        "topics": [],
        "duplicate_of": None,
        "similarity": None,
        "story": "s0",
    }
    return Article(**(fields | given))


def a_story(**given: Any) -> Story:
    """A story with a unique id; fields that are not given have arbitrary values."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "id": f"s{next(_numbers)}",
        "title": "قصة",
        "languages": ["ar"],
        "size": 1,
        "sources": ["الجزيرة"],
        "first_published": now,
        "last_published": now,
        "entities": [],
        "topics": [],
        "articles": [],
    }
    return Story(**(fields | given))


def an_entity(entity_id: str, name: str = "غزة") -> Entity:
    """An entity with one mention."""
    return Entity(id=entity_id, name=name, type="LOC", mentions=[Mention(start=0, end=len(name), text=name)])


def a_topic(topic_id: str) -> Topic:
    """A topic."""
    return Topic(id=topic_id, label=topic_id, score=0.5)


def a_trend(**given: Any) -> Trend:
    """A trend in its start phase; fields that are not given have arbitrary values."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "kind": "entity",
        "id": f"Q{next(_numbers)}",
        "name": "غزة",
        "window": "1h",
        "phase": "start",
        "count": 20,
        "expected": 2.5,
        "score": 9.0,
        "started": now,
        "at": now,
    }
    return Trend(**(fields | given))


_KINDS = {Article: b"article", Story: b"story", Trend: b"trend"}


class Updates:
    """Writes to ``updates`` as group does."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer

    async def send(self, *records: Article | Story | Trend) -> list[int]:
        """Publish in order; returns the offsets."""
        sent = [
            await self.producer.send(
                kafka_topics.UPDATES.name,
                record.encode(),
                key=record.id.encode(),
                headers=[("type", _KINDS[type(record)]), ("other", b"x")],
            )
            for record in records
        ]
        return [(await one).offset for one in sent]

    async def send_raw(self, value: bytes | None, *headers: tuple[str, bytes]) -> int:
        """Publish any value; returns its offset."""
        sent = await self.producer.send_and_wait(kafka_topics.UPDATES.name, value, key=b"k", headers=list(headers))
        return int(sent.offset)


async def publish(
    store: Store, updates: Updates, *records: Article | Story | Trend, log: str = "updates-0"
) -> list[int]:
    """Publish records and apply them to the store, as group and aggregate do; returns their offsets.

    Everything that was published before counts as applied.
    """
    offsets = await updates.send(*records)
    await count(store, offsets[0], *records, log=log)
    return offsets


async def count(store: Store, first: int, *records: Article | Story | Trend, log: str = "updates-0") -> None:
    """Apply records to the store as if they were on the log from the offset ``first`` on."""
    batch = Batch()
    now = datetime.now(UTC)
    for offset, record in enumerate(records, first):
        if isinstance(record, Article):
            batch.add_article(offset, record)
        elif isinstance(record, Story):
            batch.add_story(offset, record, int(now.timestamp() * 1000))
        else:
            batch.add_trend(offset, record)
    await store.redis.hset(layout.APPLIED, log, str(first - 1))
    await store.apply(log, batch, now=now)


@pytest.fixture(scope="session")
async def updates(kafka: Kafka) -> AsyncIterator[Updates]:
    """A writer of ``updates``."""
    async with kafka_clients.producer(kafka.bootstrap) as producer:
        yield Updates(producer)


class Running:
    """A running gateway."""

    def __init__(self, server: Server, port: int, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.port = port
        self.http = http

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def gateway(self) -> Gateway:
        """Its parts."""
        found: Gateway = self.server.app.state.gateway
        return found

    def counted(self, name_and_value: str) -> bool:
        """Whether a metric has this value now."""
        return f"khabar_api_{name_and_value}\n" in self.gateway.metrics.render().decode()

    @asynccontextmanager
    async def stream(self, *, headers: dict[str, str] | None = None, **parameters: Any) -> AsyncIterator["Subscriber"]:
        """A WebSocket subscription."""
        url = f"ws://127.0.0.1:{self.port}/v1/stream?{urlencode(parameters, doseq=True)}"
        async with connect(url, additional_headers=headers, compression=None, max_size=None) as socket:
            yield Subscriber(socket)

    async def get(self, path: str, **options: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Status, JSON body and response of a GET."""
        async with self.http.get(self.url + path, **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if "json" in response.content_type else text, response


class Subscriber:
    """The client's end of a WebSocket subscription."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._lines: list[dict[str, Any]] = []

    async def next(self, *, seconds: float = 10) -> dict[str, Any]:
        """The next JSON object."""
        if not self._lines:
            async with asyncio.timeout(seconds):
                frame = await self.socket.recv()
            assert isinstance(frame, str)
            self._lines = [json.loads(line) for line in frame.split("\n")]
        return self._lines.pop(0)

    async def until(self, kind: str, *, seconds: float = 10) -> dict[str, Any]:
        """The next object of this type; others before it are dropped."""
        async with asyncio.timeout(seconds):
            while True:
                message = await self.next(seconds=seconds)
                if message["type"] == kind:
                    return message

    async def events(self, count: int, *, seconds: float = 20) -> list[dict[str, Any]]:
        """The next envelopes."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                message = await self.next(seconds=seconds)
                if "data" in message:
                    found.append(message)
        return found

    async def op(self, **message: Any) -> None:
        """Send an op."""
        await self.socket.send(json.dumps(message))

    async def close_code(self, *, seconds: float = 10) -> int | None:
        """The code with which the gateway closes."""
        async with asyncio.timeout(seconds):
            await self.socket.wait_closed()
        return self.socket.close_code


def ids(envelopes: Iterable[dict[str, Any]]) -> list[str]:
    """The ids in envelopes."""
    return [one["data"]["id"] for one in envelopes]


Start = Callable[..., AbstractAsyncContextManager[Running]]


@asynccontextmanager
async def serving(server: Server, *, at: int = 0, wait: bool = True) -> AsyncIterator[Running]:
    """Run a server on a free port or on port ``at``; with ``wait``, yield once it has caught up with the stream."""
    listener = listen("127.0.0.1", at)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with aiohttp.ClientSession() as http:
            gateway = Running(server, listener.getsockname()[1], http)
            if wait:
                async with asyncio.timeout(20):
                    await gateway.gateway.follower.caught_up.wait()
            yield gateway
    finally:
        server.stop()
        async with asyncio.timeout(15):
            await task


def _starter(settings: Settings) -> Start:
    @asynccontextmanager
    async def running(
        *, timeouts: dict[str, Any] | None = None, wait: bool = True, at: int = 0, **changed: Any
    ) -> AsyncIterator[Running]:
        chosen = StreamTimeouts(**({"heartbeat": 5.0} | (timeouts or {})))
        server = Server(settings.model_copy(update=changed), chosen)
        async with serving(server, at=at, wait=wait) as gateway:
            yield gateway

    return running


@pytest.fixture
def start(settings: Settings) -> Start:
    """Starts gateways: ``async with start(log_bytes=..., timeouts=...) as gateway``."""
    return _starter(settings)


@pytest.fixture
async def start_ready(settings: Settings) -> AsyncIterator[Start]:
    """Starts gateways like ``start``; beside them is an ingest that says it is ready, so that they are ready too."""

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", free_port())
    await site.start()
    yield _starter(settings.model_copy(update={"ingest_url": site.name}))
    await runner.cleanup()


@pytest.fixture(scope="session")
async def gateway(kafka: Kafka, valkey: Valkey) -> AsyncIterator[Running]:
    """A gateway with default settings, shared by the tests that do not change it."""
    async with _starter(Settings(kafka=kafka.bootstrap, redis=valkey.url))() as running:
        yield running
