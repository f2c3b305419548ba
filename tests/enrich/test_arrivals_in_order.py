"""With several workers, a copy never names an original that arrived later."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from faust.types import EventT

from enrich import app
from services import groups, kafka_topics
from services import kafka as clients
from services.clock import utc_now
from services.embedded.kafka import Kafka
from services.events import Article, ArticleIn
from services.settings import Settings
from tests.enrich.workers import Worker, empty_topics
from tests.harness import eventually, raw, updates

PAIRS = 150
# While workers start, and until group has learned how late the slower one is, a copy may be missed.
WARM_UP = 50
WORDS = "نهر جسر مدينة قطار سوق مطر مدرسة طبيب كتاب حقل ميناء سفينة عيد مسرح لاعب ملعب قمر بحر جبل ثلج".split()


async def _send(kafka: Kafka) -> None:
    """Articles, each of which is copied a hundredth of a second later to another partition, by turns."""
    rng = random.Random(1)
    async with clients.producer(kafka.bootstrap, linger_ms=0) as producer:
        for number in range(PAIRS):
            text = " ".join(rng.choices(WORDS, k=60))
            for name, partition in (("one", number % 2), ("two", (number + 1) % 2)):
                article = raw(ArticleIn(text=text, source=f"{name}.example"), f"{number}-{name}", utc_now())
                await producer.send_and_wait(
                    kafka_topics.RAW.name, article.encode(), key=article.id.encode(), partition=partition
                )
                await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
async def test_a_copy_names_what_arrived_before_it(
    tmp_path: Path, workers_kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two workers is slower, so that many copies are annotated before their originals."""
    write = app.AnnotateStage._write

    async def slower(self: Any, annotated: Sequence[tuple[EventT, Any]], letters: Sequence[Any]) -> None:
        if any(event.message.partition for event, _ in annotated):
            await asyncio.sleep(0.03)
        await write(self, annotated, letters)

    monkeypatch.setattr(app.AnnotateStage, "_write", slower)
    await empty_topics(workers_kafka.bootstrap, raw_partitions=2)
    settings = Settings(kafka=workers_kafka.bootstrap, data_dir=tmp_path, session_timeout=2)

    async def all_joined() -> bool:
        return await groups.stable_members(workers_kafka.bootstrap, groups.GROUP) == 3

    async def published() -> list[Article]:
        return [event for event in await updates(workers_kafka.bootstrap) if isinstance(event, Article)]

    async def all_published() -> list[Article] | None:
        found = await published()
        return found if len(found) >= 2 * PAIRS else None

    async with AsyncExitStack() as stack:
        workers = [Worker(settings, stages=stages) for stages in ({"annotate"}, {"annotate"}, {"group"})]
        await asyncio.gather(*(worker.start() for worker in workers))
        await eventually(all_joined)
        for worker in workers:
            stack.push_async_callback(worker.stop)
        await _send(workers_kafka)
        articles = await eventually(all_published, seconds=60)
    arrivals = {article.id: article.received_at for article in articles}
    copies = [article for article in articles if article.duplicate_of]
    assert all(arrivals[copy.duplicate_of] <= copy.received_at for copy in copies if copy.duplicate_of)
    late = [copy for copy in copies if int(copy.id.split("-")[0]) >= WARM_UP]
    # Without the order it would be half of them. On a busy machine a worker may be late for longer than group waits.
    assert len(late) >= 0.6 * (PAIRS - WARM_UP)
