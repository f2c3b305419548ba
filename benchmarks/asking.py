"""``python -m benchmarks.asking``: what an answer about numbers takes, beside the store's own round trip.

An embedded Valkey is filled with the counts of many articles that arrived over 24 hours. Then three processes beside
it: a gateway; a writer that applies articles at a steady rate, as they come, and every 15 seconds rolls the windows and
asks what may be rising; and this one, in which clients ask the gateway, each again after a pause, while one connection
to the store measures ``PING`` and the round trip of a script that does nothing, at the same time in the same loop.

What is printed are milliseconds, p50 and p99, and in how many of the store's own round trips (the script's, p50 by p50
and p99 by p99) the gateway answered.
"""

import asyncio
import contextlib
import itertools
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import click
import uvloop

from services.embedded.process import Process, free_port
from services.embedded.valkey import Valkey
from services.events import Article, Entity, Mention, Story, Topic, Trend, TrendWindow
from services.store import Batch, Store
from services.store.layout import DIMENSIONS, windows

_LOG = "benchmark/updates-0"
_BATCH = 500
_TICK_SECONDS = 15.0
_APPLIED_EVERY = 0.2
_FLOORS: Mapping[TrendWindow, int] = {"15m": 10, "1h": 15, "24h": 40}
_KNOWN = 0.8
_TOPICS = 17
_SOURCES = 600
_LANGUAGES = ("ar", "ar", "ar", "ar", "en", "fr", "es", "ru")
_TRENDS = 60
_PROBE_PAUSE = 0.02
_PING = "store, PING"
_ROUND_TRIP = "store, script"


@dataclass(frozen=True, slots=True)
class Load:
    """How much of what."""

    articles: int
    entities: int
    rate: float
    clients: int
    pause: float
    seconds: float


def articles(seed: int, entities: int) -> Iterator[Callable[[datetime], Article]]:
    """Articles without end, each for the moment it arrives at: few entities are named often, most hardly ever."""
    chance = random.Random(seed)  # noqa: S311 - a choice, not a secret
    mention = [Mention(start=0, end=1, text="x")]
    for number in itertools.count():
        ranks = {
            int(chance.paretovariate(0.5)) % entities if chance.random() < _KNOWN else chance.randrange(entities)
            for _ in range(chance.randint(2, 9))
        }
        story = number // 5 if chance.random() < 0.6 else number
        fields: dict[str, Any] = {
            "id": f"{seed:04d}{number:022d}",
            "source": f"source-{int(chance.paretovariate(0.5)) % _SOURCES}.example",
            "language": chance.choice(_LANGUAGES),
            "entities": [Entity(id=f"Q{rank}", name=f"اسم {rank}", type="PER", mentions=mention) for rank in ranks],
            "topics": [
                Topic(id=f"medtop:{topic:02d}000000", label=f"موضوع {topic}", score=0.5)
                for topic in {chance.randrange(_TOPICS), chance.randrange(_TOPICS)}
            ],
            "duplicate_of": "another" if chance.random() < 0.15 else None,
            "story": f"s{seed:04d}{story:019d}",
        }

        def at(moment: datetime, fields: dict[str, Any] = fields) -> Article:
            return Article.model_construct(**fields, revision=1, received_at=moment)

        yield at


def _told(article: Article) -> Story:
    return Story(
        id=article.story,
        title=f"عنوان القصة {article.story}",
        languages=[article.language],
        size=3,
        sources=[article.source or "unknown"],
        first_published=article.received_at,
        last_published=article.received_at,
        entities=[entity.model_copy(update={"mentions": []}) for entity in article.entities],
        topics=article.topics,
        articles=[article.id],
    )


def _add(batch: Batch, offset: int, article: Article) -> int:
    """Add an article and the state of its story behind it; the next offset."""
    batch.add_article(offset, article)
    batch.add_story(offset + 1, _told(article), int(article.received_at.timestamp() * 1000))
    return offset + 2


async def fill(store: Store, load: Load) -> None:
    """Count articles that arrived over the last 24 hours."""
    now = datetime.now(UTC)
    made = articles(1, load.entities)
    offset = 0
    rolled = now - timedelta(days=1)
    for first in range(0, load.articles, _BATCH):
        batch = Batch()
        for number in range(first, min(first + _BATCH, load.articles)):
            moment = now - timedelta(days=1) * (1 - number / load.articles)
            offset = _add(batch, offset, next(made)(moment))
        if moment - rolled > timedelta(minutes=1):
            await store.roll(moment)
            rolled = moment
        await store.apply(_LOG, batch, now=moment)
    await store.roll(now)
    trends = Batch()
    for number in range(_TRENDS):
        rises = Trend(
            kind="entity",
            id=f"Q{number}",
            name=f"اسم {number}",
            window="1h",
            phase="start",
            count=40,
            expected=4.2,
            score=20 - number / 10,
            started=now,
            at=now,
        )
        trends.add_trend(offset + number, rises)
    await store.apply(_LOG, trends, now=now)


async def write(url: str, load: Load) -> None:
    """Apply articles as they come, until this process is ended."""
    store = Store(url)
    made = articles(2, load.entities)
    offset = await store.applied(_LOG) + 1
    due = ticked = time.monotonic()
    while True:
        now = datetime.now(UTC)
        batch = Batch()
        for _ in range(int(load.rate * _APPLIED_EVERY)):
            offset = _add(batch, offset, next(made)(now))
        await store.apply(_LOG, batch, now=now)
        if time.monotonic() - ticked > _TICK_SECONDS:
            ticked = time.monotonic()
            await store.roll(now)
            await store.trend_candidates(now, floors=_FLOORS)
        due += _APPLIED_EVERY
        if due < time.monotonic():
            sys.stderr.write(f"the writer is {time.monotonic() - due:.2f} s late\n")
            due = time.monotonic()
        await asyncio.sleep(due - time.monotonic())


def questions(entities: int) -> list[tuple[str, str]]:
    """What is asked, each with the name that its time is noted under."""
    found = [("aggregates", f"/v1/aggregates?by={by}&window={window}") for by in DIMENSIONS for window in windows(by)]
    found += [
        ("aggregates", "/v1/aggregates?by=entity&window=24h&limit=10&sources=true"),
        ("aggregates", "/v1/aggregates?by=entity&window=24h&limit=100&offset=1000"),
    ]
    ids = {"source": "source-1.example", "language": "ar", "topic": "medtop:01000000", "entity": f"Q{entities // 100}"}
    found += [
        ("timeseries", f"/v1/timeseries?by={by}&id={name}&window={window}")
        for by, name in ids.items()
        for window in ("15m", "1h", "24h", "7d", "all")
    ]
    found += [("timeseries", f"/v1/timeseries?by=total&window={window}") for window in ("1h", "24h", "7d")]
    found += [("trends", f"/v1/trends{query}") for query in ("", "?window=1h", "?kind=entity&limit=10")]
    return found


class Times:
    """Seconds by what took them."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)

    def at(self, name: str, share: float) -> float:
        """The quantile in milliseconds."""
        ordered = sorted(self.taken[name])
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    def lines(self, names: list[str]) -> Iterator[str]:
        """A line for each."""
        for name in names:
            p50, p99 = self.at(name, 0.5), self.at(name, 0.99)
            of50, of99 = self.at(_ROUND_TRIP, 0.5), self.at(_ROUND_TRIP, 0.99)
            yield (
                f"{name:<72} {len(self.taken[name]):>6}  p50 {p50:7.2f} ms  p99 {p99:7.2f} ms"
                f"  {p50 / of50:5.1f} x  {p99 / of99:5.1f} x"
            )


async def _timed(times: Times, names: tuple[str, ...], work: Coroutine[Any, Any, object]) -> None:
    began = time.perf_counter()
    await work
    for name in names:
        times.taken[name].append(time.perf_counter() - began)


async def measure(gateway: str, redis: str, load: Load) -> Times:
    """Ask for so many seconds."""
    times = Times()
    asked = questions(load.entities)
    store = Store(redis)
    nothing = await store.redis.script_load("return 1")
    end = time.monotonic() + load.seconds

    async def probe(name: str, *command: str | int) -> None:
        # Each by itself, at times of its own: right behind another answer the store is rarely busy.
        chance = random.Random(name)  # noqa: S311 - a choice, not a secret
        while time.monotonic() < end:
            await _timed(times, (name,), store.redis.execute_command(*command))  # type: ignore[no-untyped-call]
            await asyncio.sleep(_PROBE_PAUSE * chance.uniform(0.5, 1.5))

    async def client(number: int, http: aiohttp.ClientSession) -> None:
        chance = random.Random(number)  # noqa: S311 - a choice, not a secret
        await asyncio.sleep(chance.random() * load.pause)
        while time.monotonic() < end:
            group, path = chance.choice(asked)
            await _timed(times, (group, path), _get(http, gateway + path))
            await asyncio.sleep(load.pause * chance.uniform(0.5, 1.5))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for _, path in asked:
            await _get(http, gateway + path)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(probe(_PING, "PING"))
            tasks.create_task(probe(_ROUND_TRIP, "EVALSHA", nothing, 1, "{khabar}:state"))
            for number in range(load.clients):
                tasks.create_task(client(number, http))
    await store.close()
    return times


async def _get(http: aiohttp.ClientSession, url: str) -> None:
    async with http.get(url) as response:
        await response.read()
        response.raise_for_status()


@contextlib.asynccontextmanager
async def _child(name: str, arguments: list[str], log: Path, **settings: str) -> AsyncIterator[None]:
    child = Process(name, log)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KHABAR_")}
    await child.start([sys.executable, "-m", *arguments], env=environment | settings)
    try:
        yield
    finally:
        await child.stop()


async def run(load: Load, *, each: bool) -> None:
    """Fill, measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        server = Valkey(Path(directory))
        await server.start()
        store = Store(server.url)
        try:
            began = time.monotonic()
            await fill(store, load)
            top = await store.top("entity", "24h", limit=1)
            click.echo(
                f"{top.total} articles of 24 hours with {top.size} entities, counted in "
                f"{time.monotonic() - began:.0f} s; then {load.rate:g} articles/s more, and {load.clients} clients "
                f"that ask, each again after {load.pause:g} s"
            )
            times = await _measured(server, load, Path(directory))
            asked = sum(len(times.taken[name]) for name in ("aggregates", "timeseries", "trends"))
            click.echo(f"{asked / load.seconds:.0f} answers/s; p50 and p99, and how many round trips of the script")
            for line in times.lines([_PING, _ROUND_TRIP, "aggregates", "timeseries", "trends"]):
                click.echo(line)
            if each:
                for line in times.lines(sorted(name for name in times.taken if name.startswith("/"))):
                    click.echo(line)
        finally:
            await store.close()
            await server.stop()


async def _measured(server: Valkey, load: Load, directory: Path) -> Times:
    port = free_port()
    # There is no Kafka: what is asked here does without.
    settings = {"KHABAR_REDIS": server.url, "KHABAR_KAFKA": f"127.0.0.1:{free_port()}", "KHABAR_LOG_LEVEL": "error"}
    writing = ["benchmarks.asking", "--write", server.url, "--rate", str(load.rate), "--entities", str(load.entities)]
    log = directory / "children.log"
    async with (
        _child("api", ["services", "api", "--port", str(port)], log, **settings),
        _child("writer", writing, log),
    ):
        await asyncio.sleep(3)
        times = await measure(f"http://127.0.0.1:{port}", server.url, load)
    late = [line for line in log.read_text(encoding="utf-8").splitlines() if "late" in line]
    if late:
        click.echo(f"{len(late)} times the writer could not keep up; last: {late[-1]}")
    return times


@click.command()
@click.option("--articles", "count", default=200_000, show_default=True, help="Counted before, over 24 hours.")
@click.option("--entities", default=60_000, show_default=True)
@click.option("--rate", default=500.0, show_default=True, help="Articles a second while it is asked.")
@click.option("--clients", default=20, show_default=True)
@click.option("--pause", default=0.2, show_default=True, help="Seconds between an answer and the next question.")
@click.option("--seconds", default=40.0, show_default=True)
@click.option("--each", is_flag=True, help="Also tell of each question.")
@click.option("--write", "url", hidden=True, help="address of the store: be the writer")
def main(  # noqa: PLR0913 - one parameter an option
    *, count: int, entities: int, rate: float, clients: int, pause: float, seconds: float, each: bool, url: str | None
) -> None:
    """Measure and print."""
    load = Load(count, entities, rate, clients, pause, seconds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(load, each=each) if url is None else write(url, load))


if __name__ == "__main__":
    main()
