"""A worker that reads nothing although records wait exits; the next one goes on."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from faust.types import TP

from enrich.annotate import annotate
from enrich.app import Intervals
from enrich.consumer.stall import PartitionLag, StallDetector
from services import groups, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from services.embedded.process import Process
from services.events import Article, ArticleIn
from services.settings import Settings
from tests import foreign
from tests.enrich.workers import empty_topics, running
from tests.harness import eventually, raw, updates

RAW = TP("articles.raw", 0)
IDLE = {"articles.raw"}

# A worker that checks often, and stops reading once a certain file exists.
_WORKER = """
import sys
from functools import partial
from pathlib import Path
from enrich import worker
from enrich.app import Intervals, create_app
from services.settings import load

settings, stages = load(), {"group"}
worker.prepare(settings, stages)
app = create_app(settings, stages=stages, intervals=Intervals(stall_check=0.5, stall_timeout=3.0))

@app.timer(interval=0.2)
async def stop_reading(app):
    if Path(sys.argv[1]).exists():
        app.consumer.pause_partitions(app.consumer.assignment())

worker.serve(app, settings)
"""


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_partition_that_does_not_advance_for_too_long_has_stalled() -> None:
    """Behind at the same offset, with its stage idle, at every check for that long."""
    clock = _Clock()
    detector = StallDetector(60, clock)
    behind, done = PartitionLag(5, 0, 9), PartitionLag(9, 0, 9)
    checks = [
        (0, behind, IDLE, []),
        (59, behind, IDLE, []),
        (60, behind, IDLE, [RAW]),
        (61, PartitionLag(6, 0, 9), IDLE, []),  # it advanced
        (100, PartitionLag(6, 0, 9), set(), []),  # the stage is busy
        (110, PartitionLag(6, 0, 9), IDLE, []),
        (165, done, IDLE, []),
        (500, behind, IDLE, []),  # a record that has just arrived
        (559, PartitionLag(5, 0, 20), IDLE, []),
        (560, PartitionLag(5, 0, 20), IDLE, [RAW]),
    ]
    for at, lag, idle_topics, expected in checks:
        clock.now = 100.0 + at
        assert detector.check({RAW: lag}, idle_topics) == expected, at


def test_records_that_kafka_no_longer_keeps_do_not_count() -> None:
    """When all records are deleted, an offset before the oldest record, or none, does not mean that records wait."""
    assert not PartitionLag(5, 20, 20).behind
    assert not PartitionLag(None, 0, 0).behind
    assert not PartitionLag(None, 7, 7).behind
    assert PartitionLag(None, 0, 1).behind
    assert PartitionLag(5, 20, 21).behind


def test_a_partition_that_went_to_another_worker_starts_again() -> None:
    """When it comes back, its time starts from zero."""
    clock = _Clock()
    detector = StallDetector(60, clock)
    detector.check({RAW: PartitionLag(5, 0, 9)}, IDLE)
    clock.now += 50
    detector.check({}, IDLE)
    clock.now += 50
    assert detector.check({RAW: PartitionLag(5, 0, 9)}, IDLE) == []


async def test_a_worker_that_reads_nothing_exits_and_the_next_one_goes_on(tmp_path: Path, workers_kafka: Kafka) -> None:
    """With its partitions paused for good while an article waits it exits by itself, and the article comes out."""
    bootstrap = workers_kafka.bootstrap
    await empty_topics(bootstrap, raw_partitions=1)
    stop = tmp_path / "stop"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")} | {
        "KHABAR_KAFKA": bootstrap,
        "KHABAR_DATA_DIR": str(tmp_path),
        "KHABAR_SESSION_TIMEOUT": "2",
    }
    worker = Process("enrich", tmp_path / "enrich.log")
    command = [sys.executable, "-c", _WORKER, str(stop)]

    async def published(article_id: str) -> bool:
        return any(isinstance(event, Article) and event.id == article_id for event in await updates(bootstrap))

    async with clients.producer(bootstrap) as producer:

        async def send(article_id: str, text: str) -> None:
            article = annotate(raw(ArticleIn(text=text), article_id))
            await producer.send_and_wait(kafka_topics.ANNOTATED.name, article.encode())

        await worker.start(command, env=environment)
        try:
            await send("before", "وصلت القافلة إلى المدينة قبل الفجر")
            await eventually(lambda: published("before"))
            stop.touch()
            await asyncio.sleep(1)
            await send("after", "أعلنت الجامعة نتائج القبول هذا الصباح")
            async with asyncio.timeout(60):
                assert await worker.wait() != 0
            assert not await published("after")
            assert "Stalled: articles.annotated/0" in worker.log.read_text()
            stop.unlink()
            await worker.start(command, env=environment)
            await eventually(lambda: published("after"))
        finally:
            await worker.stop()


async def test_markers_at_the_end_of_a_partition_are_neither_lag_nor_a_stall(
    tmp_path: Path, workers_kafka: Kafka
) -> None:
    """Aborted records are never published; the worker commits the offset after their marker, and goes on."""
    bootstrap = workers_kafka.bootstrap
    await empty_topics(bootstrap, raw_partitions=1)
    settings = Settings(kafka=bootstrap, redis="redis://127.0.0.1:9", data_dir=tmp_path, session_timeout=2)
    topic = kafka_topics.ANNOTATED.name
    articles = [annotate(raw(ArticleIn(text=f"The ferry to island {n} was late."), f"{n}")) for n in range(3)]

    async def published(count: int) -> list[str]:
        found = [event.id for event in await updates(bootstrap) if isinstance(event, Article)]
        return found if len(found) >= count else []

    async def no_lag() -> bool:
        return (await groups.lags(bootstrap, groups.GROUP, [topic]))[topic][1] == 0

    async with (
        clients.producer(bootstrap) as producer,
        running(settings, stages=["group"], intervals=Intervals(stall_check=0.3, stall_timeout=2.0)),
    ):
        await producer.send_and_wait(topic, articles[0].encode())
        await foreign.transaction(bootstrap, topic, [articles[1].encode()] * 3, commit=False)
        assert await eventually(partial(published, 1)) == ["0"]
        await eventually(no_lag, seconds=10)
        await foreign.transaction(bootstrap, topic, [articles[1].encode()], commit=False)
        await producer.send_and_wait(topic, articles[2].encode())
        assert await eventually(partial(published, 2)) == ["0", "2"]
        await eventually(no_lag, seconds=10)
        await asyncio.sleep(3)  # longer than a stall may take; a worker that failed does not stop cleanly
