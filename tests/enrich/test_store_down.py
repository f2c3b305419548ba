"""A store that is away for longer than Faust's buffers last: articles go on, and no number is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services import groups, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.events import Article, ArticleIn
from services.store import Store
from tests.harness import Child, eventually, log_of, raw, service, updates

SEED = 20261122
TOLD = 1_200
"""Articles that are on ``updates`` before: more than a worker holds of one topic in memory."""
SENT = 200


class _House:
    """Servers and one worker of this module's own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.kafka = Kafka(base / "kafka")
        self.valkey = Valkey(base / "valkey")
        self.worker: Child
        self.chance = random.Random(SEED)
        self.sent: list[str] = []
        self.out: list[str] = []
        self.read = 0

    @property
    def settings(self) -> dict[str, object]:
        """Settings of a worker."""
        where = {"kafka": self.kafka.bootstrap, "redis": self.valkey.url, "data_dir": self.base}
        return {**where, "session_timeout": 2}

    async def send(self, count: int) -> None:
        """New articles to ``articles.raw``, each of words that no other has."""
        named = [f"raw-{len(self.sent) + number:05}" for number in range(count)]
        articles = [raw(ArticleIn(text=self._words(), source="raw.example"), article_id) for article_id in named]
        await self._produce(kafka_topics.RAW, [(article.id, article.encode(), []) for article in articles])
        self.sent += named

    async def tell(self, count: int, first: int = 0) -> None:
        """Articles to ``updates`` as if group had told them."""
        told = [_told(f"told-{number:05}") for number in range(first, first + count)]
        await self._produce(
            kafka_topics.UPDATES, [(article.id, article.encode(), [("type", b"article")]) for article in told]
        )

    async def all_out(self) -> bool:
        """Whether all articles that were sent are on ``updates``, each once."""
        async with clients.reader(self.kafka.bootstrap, kafka_topics.UPDATES.name) as reader:
            end = await reader.end()
            async for record in reader.between(self.read, end):
                # Their stories have keys of their own.
                if (record.key or b"").startswith(b"raw-"):
                    self.out.append(record.key.decode())
        self.read = end
        assert len(set(self.out)) == len(self.out), "nothing comes twice"
        return set(self.out) == set(self.sent)

    async def waits(self, stage: str) -> None:
        """Wait until the worker's log says that this stage waits."""
        begun = len(self.worker.log.read_bytes())

        async def said() -> bool:
            return f"stage={stage}".encode() in self.worker.log.read_bytes()[begun:]

        await eventually(said)

    async def members(self, count: int) -> None:
        """Wait until so many workers share the work."""

        async def shared() -> bool:
            return await groups.stable_members(self.kafka.bootstrap, groups.GROUP) == count

        await eventually(shared)

    async def right(self, store: Store) -> None:
        """Wait until the store reflects the whole log, and compare its numbers with it."""
        name = f"{await clients.cluster_id(self.kafka.bootstrap)}/{kafka_topics.UPDATES.name}-0"
        last = (await log_of(self.kafka.bootstrap, kafka_topics.UPDATES))[-1].offset

        async def caught_up() -> bool:
            return await store.applied(name) >= last

        await eventually(caught_up, seconds=60)
        articles = [event for event in await updates(self.kafka.bootstrap) if isinstance(event, Article)]
        top = await store.top("source", "all", limit=10)
        assert top.total == len(articles)
        assert {item.id: item.count for item in top.items} == _count(article.source for article in articles)
        assert top.duplicates == sum(article.duplicate_of is not None for article in articles)

    def _words(self) -> str:
        return " ".join("".join(self.chance.choices("ابتجحدرزسصطعفقكلمنهوي", k=6)) for _ in range(12))

    async def _produce(self, topic: kafka_topics.Topic, records: list[tuple[str, bytes, clients.Headers]]) -> None:
        async with clients.producer(self.kafka.bootstrap) as producer:
            sent = [
                await producer.send(topic.name, value, key=key.encode(), headers=headers)
                for key, value, headers in records
            ]
            await asyncio.gather(*sent)


def _told(article_id: str) -> Article:
    return Article(
        id=article_id,
        revision=1,
        source="told.example",
        url=None,
        title=None,
        text="نص",
        published_at=None,
        received_at=datetime.now(UTC),
        language="ar",
        language_score=1,
        entities=[],
        topics=[],
        duplicate_of=None,
        similarity=None,
        story=article_id,
    )


def _count(names: Iterable[str | None]) -> dict[str | None, int]:
    counts: dict[str | None, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[_House]:
    """Kafka, Valkey and one worker, which has counted its first article."""
    own = _House(tmp_path_factory.mktemp("down"))
    await asyncio.gather(own.kafka.start(), own.valkey.start())
    await kafka_topics.ensure(own.kafka.bootstrap, raw_partitions=2, replication=1)
    async with service("enrich", log=own.base / "enrich.log", **own.settings) as own.worker:
        yield own
    await asyncio.gather(own.kafka.stop(), own.valkey.stop())


async def test_articles_go_on_however_much_is_not_counted_yet(house: _House) -> None:
    """More lies on ``updates`` than a worker takes into memory, in pieces that overfill its buffer; nothing stalls."""
    store = Store(house.valkey.url)
    await house.send(1)
    await eventually(house.all_out)
    await house.right(store)
    await house.valkey.stop()
    await house.tell(1)
    await house.waits("aggregate")
    # What it has in hand waits. Of what comes behind, some is buffered; the rest then comes in one large fetch.
    await house.tell(350, first=1)
    await asyncio.sleep(1)
    await house.tell(TOLD - 351, first=351)
    await house.waits("aggregate")
    await house.send(SENT)
    await eventually(house.all_out, seconds=30)
    await house.valkey.start()
    await house.right(store)
    await store.close()


async def test_workers_come_and_go_meanwhile(house: _House) -> None:
    """Neither one that joins, nor one that is told to stop, nor one that dies waits for the store, or stalls others."""
    store = Store(house.valkey.url)
    await house.valkey.stop()
    await house.tell(TOLD, first=TOLD)
    await house.waits("aggregate")
    async with service("enrich", log=house.base / "second.log", **house.settings) as second:
        await house.members(2)
        await house.send(20)
        await eventually(house.all_out)
        await house.worker.process.stop(seconds=10)
        assert house.worker.process.returncode == 0
        await house.members(1)
        await house.send(20)
        await eventually(house.all_out)
        second.process.kill()
        await second.process.wait()
    await house.worker.start()
    await house.send(20)
    await eventually(house.all_out)
    await house.valkey.start()
    await house.right(store)
    await store.close()
