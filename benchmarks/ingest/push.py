"""Articles a CPU-second that are acknowledged through ``POST``, beside a plain aiokafka producer.

The articles are those of seeds/, each with its own guid. The producer writes the records that ingest makes of
them: in requests of the same size, of which as many are under way at a time, each acknowledged by all replicas. It is
measured with aiokafka's own settings and with those of ingest (``services.kafka.producer``); the ratio is that to the
faster one.
"""

import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import click
import uvloop
from aiokafka import AIOKafkaProducer

from benchmarks.ingest.services import Ingest, ingest, servers
from benchmarks.receivers import Child, prepare, report
from services import kafka, kafka_topics
from services.events import ArticleIn, RawArticle
from services.identity import article_id

SEEDS = Path(__file__).parent.parent.parent / "seeds" / "articles.jsonl"
KINDS = {"JSON": "application/json", "NDJSON": "application/x-ndjson"}
_PREPARED = 2_000
_PRODUCERS = ("defaults", "ingest's")
_DEADLINE = 30.0


def articles(count: int) -> Iterator[dict[str, object]]:
    """So many different articles."""
    seeds = [json.loads(line) for line in SEEDS.read_text(encoding="utf-8").splitlines()]
    for number, seed in zip(range(count), itertools.cycle(seeds), strict=False):
        yield seed | {"guid": f"benchmark:{number}"}


@click.command(name="push", help=__doc__)
@click.option("--sizes", default="1,10,100", show_default=True, help="Articles in a request.")
@click.option("--at-once", default=16, show_default=True, help="Requests under way at a time.")
@click.option("--seconds", default=3.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=3, show_default=True, help="Turns, of which the median counts.")
def main(sizes: str, at_once: int, seconds: float, rounds: int) -> None:
    """Measure and print."""
    uvloop.run(_run([int(size) for size in sizes.split(",")], at_once, seconds, rounds))


async def _run(sizes: list[int], at_once: int, seconds: float, rounds: int) -> None:
    async with servers() as running, ingest(running) as service:
        with Child.of("ingest", "produce", running.kafka) as producer:
            print(f"articles a CPU-second, {at_once} requests at a time")
            for size in sizes:
                found: dict[str, list[float]] = {}
                for _ in range(rounds):
                    for name, kind in KINDS.items():
                        rate = await _push(service, _bodies(size, kind), kind, at_once, seconds)
                        found.setdefault(name, []).append(rate)
                    for name in _PRODUCERS:
                        producer.send("measure", settings=name, size=size, at_once=at_once, seconds=seconds)
                        answer = await asyncio.to_thread(producer.read)
                        found.setdefault(name, []).append(answer["rate"])
                rates = {name: statistics.median(values) for name, values in found.items()}
                plain = max(rates[name] for name in _PRODUCERS)
                pushed = ", ".join(f"{name} {rates[name]:,.0f} (ratio {rates[name] / plain:.2f})" for name in KINDS)
                plainly = ", ".join(f"{name} {rates[name]:,.0f}" for name in _PRODUCERS)
                print(f"{size:4} a request: {pushed}; producer: {plainly}", flush=True)


def _bodies(size: int, kind: str) -> list[bytes]:
    made = list(articles(max(size, _PREPARED)))
    groups = [made[start : start + size] for start in range(0, len(made) - size + 1, size)]
    if kind == KINDS["JSON"]:
        return [json.dumps(group if size > 1 else group[0], ensure_ascii=False).encode() for group in groups]
    return ["\n".join(json.dumps(one, ensure_ascii=False) for one in group).encode() for group in groups]


async def _push(service: Ingest, bodies: list[bytes], kind: str, at_once: int, seconds: float) -> float:
    """Acknowledged articles a CPU-second of ingest."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": kind}) as http:
        turns = itertools.cycle(bodies)

        async def post() -> int:
            async with http.post(f"{service.url}/v1/articles", data=next(turns)) as answer:
                if answer.status != 202:
                    raise RuntimeError(f"{answer.status}: {await answer.text()}")
                return (await answer.read()).count(b'"index"')

        async def send(until: float) -> int:
            accepted = 0
            while time.monotonic() < until:
                accepted += await post()
            return accepted

        # The first requests of a connection are slower.
        await asyncio.gather(*(send(time.monotonic() + seconds / 5) for _ in range(at_once)))
        used = service.cpu_seconds()
        until = time.monotonic() + seconds
        accepted = sum(await asyncio.gather(*(send(until) for _ in range(at_once))))
        return accepted / (service.cpu_seconds() - used)


@click.command(hidden=True)
@click.argument("bootstrap")
def produce(bootstrap: str) -> None:
    """Measure a producer when asked to, until stdin ends."""
    prepare()
    values = []
    for one in articles(_PREPARED):
        article = ArticleIn.model_validate(one)
        raw = RawArticle(**dict(article), id=article_id(article), received_at=datetime.now(UTC))
        values.append((raw.id.encode(), raw.encode()))
    for line in sys.stdin:
        asked = json.loads(line)
        rate = uvloop.run(_produce(bootstrap, values, asked))
        report(rate=rate)


async def _produce(bootstrap: str, values: list[tuple[bytes, bytes]], asked: dict[str, object]) -> float:
    """Acknowledged records a CPU-second of this process."""
    producer = (
        kafka.producer(bootstrap)
        if asked["settings"] == _PRODUCERS[1]
        else AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    )
    size, at_once, seconds = int(str(asked["size"])), int(str(asked["at_once"])), float(str(asked["seconds"]))
    turns = itertools.cycle(values)

    async def send(until: float) -> int:
        accepted = 0
        while time.monotonic() < until:
            sent = [
                await producer.send(kafka_topics.RAW.name, value, key=key)
                for key, value in itertools.islice(turns, size)
            ]
            await asyncio.wait_for(asyncio.gather(*sent), _DEADLINE)
            accepted += size
        return accepted

    await producer.start()
    try:
        await asyncio.gather(*(send(time.monotonic() + seconds / 5) for _ in range(at_once)))
        used = time.process_time()
        until = time.monotonic() + seconds
        accepted = sum(await asyncio.gather(*(send(until) for _ in range(at_once))))
        return accepted / (time.process_time() - used)
    finally:
        await producer.stop()
