"""A running push server, and what is on Kafka."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import pytest
import uvicorn

from ingest import service
from ingest.feeds.api import FeedsApi
from ingest.feeds.websub import WebSub
from ingest.producer import Intake
from services import kafka as kafka_clients
from services import kafka_topics
from services.embedded.process import free_port
from services.events import RawArticle
from services.settings import Settings
from services.store import Store
from tests.harness import eventually
from tests.ingest.polling import Polling, Site, polling_with, serving_site

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


@contextlib.asynccontextmanager
async def serving(
    settings: Settings,
    intake: Intake,
    feeds: FeedsApi | None = None,
    websub: WebSub | None = None,
    *,
    port: int | None = None,
) -> AsyncIterator[str]:
    """Run the HTTP server with ``intake`` on this port, or a free one; yields its URL."""
    config = service.config(settings, intake, feeds, websub)
    config.host, config.port = "127.0.0.1", port or free_port()
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    await eventually(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{config.port}"
    finally:
        server.should_exit = True
        await task


@dataclass(frozen=True)
class Answer:
    """A response of the server."""

    status: int
    headers: dict[str, str]
    body: dict


Post = Callable[..., Awaitable[Answer]]


@contextlib.asynccontextmanager
async def posting(url: str) -> AsyncIterator[Post]:
    """A function that posts a body to /v1/articles."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def post(data: object, kind: str | None = "application/json", **headers: str) -> Answer:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if kind is not None:
                sent["Content-Type"] = kind
            skip = () if kind is not None else ("Content-Type",)
            async with session.post(f"{url}/v1/articles", data=data, headers=sent, skip_auto_headers=skip) as response:
                return Answer(response.status, dict(response.headers), await response.json(content_type=None))

        yield post


@pytest.fixture(scope="session")
async def intake(kafka) -> AsyncIterator[Intake]:
    """An intake to the test Kafka with a fixed clock."""
    made = Intake(kafka.bootstrap, clock=lambda: NOW)
    yield made
    await made.close()


@pytest.fixture(scope="session")
async def url(kafka, intake: Intake, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """URL of a push server with small limits."""
    data = tmp_path_factory.mktemp("data")
    settings = Settings(kafka=kafka.bootstrap, data_dir=data, max_body_bytes=100_000, max_articles=150)
    async with serving(settings, intake) as address:
        yield address


@pytest.fixture(scope="session")
async def post(url: str) -> AsyncIterator[Post]:
    """Posts to that push server."""
    async with posting(url) as function:
        yield function


@pytest.fixture(scope="session")
async def site() -> AsyncIterator[Site]:
    """A running web site."""
    async with serving_site() as made:
        yield made


@pytest.fixture
async def polling(settings: Settings, store: Store, intake: Intake) -> AsyncIterator[Polling]:
    """A process that polls feeds, with an empty store."""
    async with polling_with(settings, store, intake) as made:
        yield made


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return uuid.uuid4().hex


async def on_kafka(bootstrap: str, topic: str, partitions: int) -> list:
    """All records of a topic."""
    records = []
    for number in range(partitions):
        async with kafka_clients.reader(bootstrap, topic, number) as reader:
            records += [one async for one in reader.between(await reader.oldest(), await reader.end())]
    return records


async def raw(bootstrap: str, *, partitions: int = 4) -> dict[str, list[RawArticle]]:
    """The records of articles.raw, by key, in order."""
    found: dict[str, list[RawArticle]] = {}
    for record in await on_kafka(bootstrap, kafka_topics.RAW.name, partitions):
        if record.key is None or not record.key.isascii():
            continue  # not the key of an article: a record of another test on the shared Kafka
        found.setdefault(record.key.decode(), []).append(RawArticle.model_validate_json(record.value))
    return found
