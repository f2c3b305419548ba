"""A worker that takes nothing, although something waits for it, ends; the next one goes on."""

import asyncio
import os
import sys
from pathlib import Path

from faust.types import TP

from enrich.stall import PartitionLag, StallDetector
from services import kafka as clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.process import Process
from services.embedded.valkey import Valkey
from services.events import Article, ArticleIn
from tests.harness import eventually, raw, updates

RAW = TP("articles.raw", 0)
WAITS = {"articles.raw"}

# A worker that looks often, and stops taking records once there is a certain file.
_WORKER = """
import sys
from pathlib import Path
from enrich import stall, worker
from services.settings import current
stall.LOOK_SECONDS, stall.PATIENCE_SECONDS = 0.5, 3.0
from enrich.app import app

@app.timer(interval=0.2)
async def stop_taking(app):
    if Path(sys.argv[1]).exists():
        app.consumer.pause_partitions(app.consumer.assignment())

worker.run(current())
"""


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_not_taken_for_too_long_stands_still() -> None:
    """Behind at the same offset, with its stage waiting, at every look for that long."""
    clock = _Clock()
    standstill = StallDetector(60, clock)
    behind, done = PartitionLag(5, 0, 9), PartitionLag(9, 0, 9)
    looks = [
        (0, behind, WAITS, []),
        (59, behind, WAITS, []),
        (60, behind, WAITS, [RAW]),
        (61, PartitionLag(6, 0, 9), WAITS, []),  # it moved
        (100, PartitionLag(6, 0, 9), set(), []),  # at work
        (110, PartitionLag(6, 0, 9), WAITS, []),
        (165, done, WAITS, []),
        (500, behind, WAITS, []),  # what came a moment ago
        (559, PartitionLag(5, 0, 20), WAITS, []),
        (560, PartitionLag(5, 0, 20), WAITS, [RAW]),
    ]
    for at, place, waiting, expected in looks:
        clock.now = 100.0 + at
        assert standstill.look({RAW: place}, waiting) == expected, at


def test_what_kafka_no_longer_keeps_is_not_waited_for() -> None:
    """An offset that lies before the oldest record, or none at all, says nothing is left to do when all is gone."""
    assert not PartitionLag(5, 20, 20).behind
    assert not PartitionLag(None, 0, 0).behind
    assert not PartitionLag(None, 7, 7).behind
    assert PartitionLag(None, 0, 1).behind
    assert PartitionLag(5, 20, 21).behind


def test_a_partition_that_went_to_another_worker_is_forgotten() -> None:
    """When it comes back, its time begins anew."""
    clock = _Clock()
    standstill = StallDetector(60, clock)
    standstill.look({RAW: PartitionLag(5, 0, 9)}, WAITS)
    clock.now += 50
    standstill.look({}, WAITS)
    clock.now += 50
    assert standstill.look({RAW: PartitionLag(5, 0, 9)}, WAITS) == []


async def test_a_worker_that_takes_nothing_ends_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """Its partitions paused for good while an article waits: it ends by itself, and the article comes out."""
    kafka, valkey = Kafka(tmp_path / "kafka"), Valkey(tmp_path / "valkey")
    await asyncio.gather(kafka.start(), valkey.start())
    await kafka_topics.ensure(kafka.bootstrap, raw_partitions=1, replication=1)
    stop = tmp_path / "stop"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")} | {
        "KHABAR_KAFKA": kafka.bootstrap,
        "KHABAR_REDIS": valkey.url,
        "KHABAR_DATA_DIR": str(tmp_path),
        "KHABAR_SESSION_TIMEOUT": "2",
    }
    worker = Process("enrich", tmp_path / "enrich.log")
    command = [sys.executable, "-c", _WORKER, str(stop)]

    async def told(article_id: str) -> bool:
        return any(isinstance(event, Article) and event.id == article_id for event in await updates(kafka.bootstrap))

    async with clients.producer(kafka.bootstrap) as producer:

        async def send(article_id: str, text: str) -> None:
            await producer.send_and_wait(kafka_topics.RAW.name, raw(ArticleIn(text=text), article_id).encode())

        await worker.start(command, env=environment)
        await send("before", "وصلت القافلة إلى المدينة قبل الفجر")
        await eventually(lambda: told("before"))
        stop.touch()
        await asyncio.sleep(1)
        await send("after", "أعلنت الجامعة نتائج القبول هذا الصباح")
        async with asyncio.timeout(30):
            assert await worker.wait() != 0
        assert not await told("after")
        stop.unlink()
        await worker.start(command, env=environment)
        await eventually(lambda: told("after"))
    await worker.stop()
    await asyncio.gather(kafka.stop(), valkey.stop())
