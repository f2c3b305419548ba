"""What several tests need: services as child processes, a corpus, reading topics."""

import asyncio
import hashlib
import inspect
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services import kafka, kafka_topics
from services.embedded.process import Process
from services.events import Article, ArticleIn, RawArticle, Story

SEEDS = Path(__file__).parent.parent / "seeds"
ARRIVAL = datetime(2026, 11, 6, 12, tzinfo=UTC)


def seed_articles() -> list[ArticleIn]:
    """The articles of seeds/, in order."""
    lines = (SEEDS / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    return [ArticleIn.model_validate_json(line) for line in lines]


def seed_labels() -> list[dict[str, Any]]:
    """The gold labels of seeds/, line by line with the articles."""
    lines = (SEEDS / "articles.gold.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def hashed(*entries: str) -> tuple[str, ...]:
    """Entries ``KEY[:SCOPE]`` of ``KHABAR_API_KEYS`` with digests: keys in plain text must be longer than in tests."""
    parts = [one.partition(":") for one in entries]
    return tuple(f"sha256:{hashlib.sha256(key.encode()).hexdigest()}{colon}{scope}" for key, colon, scope in parts)


def raw(article: ArticleIn, article_id: str, arrived: datetime | None = None, **changes: object) -> RawArticle:
    """An accepted article with an id of the test's choice."""
    return RawArticle(**(article.model_dump() | changes), id=article_id, received_at=arrived or datetime.now(UTC))


def arrivals() -> Iterator[datetime]:
    """Arrival times a second apart."""
    at = ARRIVAL
    while True:
        yield at
        at += timedelta(seconds=1)


@dataclass
class Child:
    """A service as a child process of the test."""

    command: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: Process

    async def start(self) -> None:
        """Start it (again)."""
        self.process = Process(self.command[0], self.log)
        await self.process.start([sys.executable, "-m", "services", *self.command], env=self.environment)


@asynccontextmanager
async def service(*command: str, log: Path, **settings: object) -> AsyncIterator[Child]:
    """Run ``khabar COMMAND`` with settings as its environment; stopped at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    environment |= {f"KHABAR_{name.upper()}": str(value) for name, value in settings.items()}
    child = Child(command, environment, log, Process(command[0], log))
    await child.start()
    try:
        yield child
    finally:
        await child.process.stop()


@asynccontextmanager
async def kept_running(child: Child) -> AsyncIterator[None]:
    """Restart a service whenever it exits, as ``khabar up`` and containers do."""

    async def keep() -> None:
        while True:
            await child.process.wait()
            await child.start()

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def eventually(check: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true value that ``check`` returns (or that what it returns is awaited to).

    Fails with the last value when there is none in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        # Who waits for a reply of a server asks less often than who looks at this process.
        asks = inspect.isawaitable(value)
        if asks:
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        await asyncio.sleep(0.1 if asks else 0.02)


async def log_of(bootstrap: kafka.Bootstrap, topic: kafka_topics.KafkaTopic, partition: int = 0) -> list[Any]:
    """All records of a partition."""
    async with kafka.reader(bootstrap, topic.name, partition) as reader:
        return [record async for record in reader.between(await reader.oldest(), await reader.end())]


async def updates(bootstrap: kafka.Bootstrap) -> list[Article | Story]:
    """Everything on ``updates`` that is an article or a story, in order."""
    kinds: dict[str | None, type[Article] | type[Story]] = {"article": Article, "story": Story}
    found: list[Article | Story] = []
    for record in await log_of(bootstrap, kafka_topics.UPDATES):
        kind = kinds.get(kafka.header(record.headers, "type"))
        if kind is not None:
            found.append(kind.model_validate_json(record.value))
    return found
