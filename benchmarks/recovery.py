"""The time that group takes to restore its state: ``python -m benchmarks.recovery [--articles N] [--data-dir DIR]``.

Groups N articles on a separate Kafka, then new processes restore the state: once with the snapshots, once without them.
Prints for each the time, the part of it that reading alone takes, the longest stall of the event loop, and the memory.
A data directory that has N articles already is used again.

The articles are the seeds, annotated once; each has different hashes and the words of one of N/8 plots.
"""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from enrich.annotate import annotate
from enrich.fingerprint import features, signature
from enrich.group.grouper import Grouper
from enrich.group.journal import Journal, JournalConfig, JournalEntry
from enrich.stage import RecordProducer
from services import kafka, kafka_topics
from services.embedded.kafka import Kafka
from services.events import AnnotatedArticle, ArticleIn, RawArticle
from services.kafka import Output, RecordRefused

SEEDS = Path(__file__).parent.parent / "seeds" / "articles.jsonl"
WINDOW = timedelta(hours=72)
BATCH = 200
_PLOT = 8
_VOCABULARY = 50_000


@click.command()
@click.option("--articles", default=10_000, show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path), help="data directory of Kafka; by default a temporary one")
@click.option("--measure", hidden=True, help="bootstrap servers and topic of snapshots: restore, and print JSON")
def main(articles: int, data_dir: Path | None, measure: str | None) -> None:
    """Measure and print."""
    if measure is not None:
        bootstrap, snapshots = measure.split(" ")
        sys.stdout.write(json.dumps(asyncio.run(_measure(bootstrap, snapshots, articles))) + "\n")
        return
    with contextlib.ExitStack() as stack:
        folder = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asyncio.run(_run(articles, folder))


async def _run(articles: int, data_dir: Path) -> None:
    node = Kafka(data_dir / "kafka")
    await node.start()
    try:
        await kafka_topics.ensure(node.bootstrap, raw_partitions=1, replication=1)
        async with kafka.reader(node.bootstrap, kafka_topics.UPDATES.name) as reader:
            written = await reader.end()
        if written < articles:
            began = time.perf_counter()
            await _group(node.bootstrap, articles)
            sys.stdout.write(f"grouped {articles} articles in {time.perf_counter() - began:.0f} s\n")
        async with _empty_topic(node.bootstrap) as empty:
            for name, snapshots in (("from snapshots", kafka_topics.ENTRIES.name), ("from updates", empty)):
                # In a new process, as memory that this one has already allocated would not be measured.
                command = [sys.executable, "-m", "benchmarks.recovery", "--articles", str(articles)]
                command += ["--measure", f"{node.bootstrap} {snapshots}"]
                result = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True)
                _print(name, json.loads(result.stdout.splitlines()[-1]))
    finally:
        await node.stop()


@contextlib.asynccontextmanager
async def _empty_topic(bootstrap: str) -> AsyncIterator[str]:
    name = "benchmark.no-snapshots"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=kafka_topics.ENTRIES.config)])
        yield name
    finally:
        await admin.delete_topics([name])
        await admin.close()


async def _group(bootstrap: str, articles: int) -> None:
    producer = RecordProducer(bootstrap)
    journal = await Journal.open(JournalConfig(bootstrap), Grouper(WINDOW, articles), WINDOW, producer)
    entries: list[JournalEntry] = []
    for number, article in enumerate(_articles(articles)):
        output = journal.grouper.process(article)
        if output is not None:
            entries.append(JournalEntry(number, output))
        if len(entries) >= BATCH:
            await journal.append(entries)
            entries = []
    await journal.append(entries)
    journal.close()
    await producer.close()


def _articles(count: int) -> Iterator[AnnotatedArticle]:
    """Articles with evenly spaced arrivals within the window."""
    rng = random.Random(count)  # noqa: S311 - not for security
    numbers = np.random.default_rng(count)
    lines = SEEDS.read_text(encoding="utf-8").splitlines()
    now = datetime.now(UTC)
    seeds = [
        annotate(RawArticle(**ArticleIn.model_validate_json(line).model_dump(), id="", received_at=now))
        for line in lines
    ]
    for number in range(count):
        arrived = now - (WINDOW - timedelta(hours=1)) * (1 - number / count)
        plot = random.Random(number // _PLOT - rng.randrange(3))  # noqa: S311
        words = [f"word{int(plot.paretovariate(0.3)) % _VOCABULARY}" for _ in range(30)]
        words += [f"word{rng.randrange(_VOCABULARY)}" for _ in range(15)]
        seed = plot.choice(seeds)
        yield seed.model_copy(
            update={
                "id": f"{number:026}",
                "received_at": arrived,
                "published_at": arrived,
                "sequence": number,
                "fingerprint": f"{number:032x}",
                "signature": signature.pack(numbers.integers(0, 256, signature.PERMUTATIONS, np.uint8)),
                "sketch": signature.pack(np.sort(numbers.integers(0, 2**31, signature.SKETCH).astype(np.uint32))),
                "shingles": 200,
                "terms": features.pack(features.terms(words, seed.language)),
            }
        )


async def _measure(bootstrap: str, snapshots: str, articles: int) -> dict[str, float]:
    """Restore with a grouper that only counts bytes, then with a real one."""
    config = JournalConfig(bootstrap, entries=snapshots)
    producer = RecordProducer(bootstrap)
    counting = _CountingGrouper()
    began = time.perf_counter()
    (await Journal.open(config, counting, WINDOW, _DiscardingProducer(bootstrap))).close()
    reading = time.perf_counter() - began
    before = psutil.Process().memory_info().rss
    stalls = _Stalls()
    watching = asyncio.create_task(stalls.watch())
    began = time.perf_counter()
    journal = await Journal.open(config, Grouper(WINDOW, articles), WINDOW, producer)
    seconds = time.perf_counter() - began
    watching.cancel()
    after = psutil.Process().memory_info().rss
    journal.close()
    await producer.close()
    return {
        "articles": len(journal.grouper),
        "seconds": seconds,
        "reading": reading,
        "read_bytes": counting.bytes,
        "stall": stalls.longest,
        "memory": after - before,
    }


def _print(name: str, found: dict[str, float]) -> None:
    articles = found["articles"]
    sys.stdout.write(
        f"{name:<14} {articles} articles in {found['seconds']:.1f} s; reading alone {found['reading']:.1f} s for "
        f"{found['read_bytes'] / articles:.0f} bytes per article; longest stall of the loop {found['stall']:.2f} "
        f"s; {found['memory'] / 1e6:.0f} MB more, {found['memory'] / articles:.0f} bytes per article\n"
    )


class _CountingGrouper(Grouper):
    """Counts the bytes of entries and restores nothing."""

    def __init__(self) -> None:
        self.bytes = 0

    def restore(self, entries: Iterable[bytes]) -> None:
        self.bytes += sum(map(len, entries))


class _DiscardingProducer(RecordProducer):
    """Discards snapshots."""

    async def send(self, outputs: Iterable[Output]) -> list[RecordRefused]:
        return []


class _Stalls:
    """The longest time that the event loop was blocked."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            self.longest = max(self.longest, time.perf_counter() - began - 0.01)


if __name__ == "__main__":
    main()
