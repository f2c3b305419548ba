"""``python -m benchmarks.queries``: the time of aggregate queries, compared with a round trip to the store.

An embedded Valkey is filled with the counts of articles that arrived over 24 hours. Then three processes run: a
gateway; a writer that applies articles at a steady rate and, every 15 seconds, rolls the windows and requests trend
candidates; and this one. Here, clients query the gateway, each again after a pause, while two probes on one connection
to the store measure ``PING`` and a script that does nothing, at the same time in the same event loop.

Prints milliseconds (p50 and p99), and the ratio to the script's round trip (p50 to p50, p99 to p99).
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
_START_SECONDS = 30.0
_PING = "store, PING"
_ROUND_TRIP = "store, script"


@dataclass(frozen=True, slots=True)
class Load:
    """What to measure: articles counted before, entities, articles per second, clients, seconds between queries of a
    client, seconds in total."""

    articles: int
    entities: int
    rate: float
    clients: int
    pause: float
    seconds: float


def articles(seed: int, entities: int) -> Iterator[Callable[[datetime], Article]]:
    """Endless articles, each made for a given arrival: few entities are frequent, most are rare."""
    rng = random.Random(seed)  # noqa: S311 - not for security
    mention = [Mention(start=0, end=1, text="x")]
    for number in itertools.count():
        ranks = {
            int(rng.paretovariate(0.5)) % entities if rng.random() < _KNOWN else rng.randrange(entities)
            for _ in range(rng.randint(2, 9))
        }
        story = number // 5 if rng.random() < 0.6 else number
        fields: dict[str, Any] = {
            "id": f"{seed:04d}{number:022d}",
            "source": f"source-{int(rng.paretovariate(0.5)) % _SOURCES}.example",
            "language": rng.choice(_LANGUAGES),
            "entities": [Entity(id=f"Q{rank}", name=f"اسم {rank}", type="PER", mentions=mention) for rank in ranks],
            "topics": [
                Topic(id=f"medtop:{topic:02d}000000", label=f"موضوع {topic}", score=0.5)
                for topic in {rng.randrange(_TOPICS), rng.randrange(_TOPICS)}
            ],
            "duplicate_of": "another" if rng.random() < 0.15 else None,
            "story": f"s{seed:04d}{story:019d}",
        }

        def at(moment: datetime, fields: dict[str, Any] = fields) -> Article:
            return Article.model_construct(**fields, revision=1, received_at=moment)

        yield at


def _story(article: Article) -> Story:
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
    """Add an article, then the state of its story; returns the next offset."""
    batch.add_article(offset, article)
    batch.add_story(offset + 1, _story(article), int(article.received_at.timestamp() * 1000))
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
    """Apply articles at a steady rate until the process is stopped."""
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


def queries(entities: int) -> list[tuple[str, str]]:
    """The queries: group and path of each."""
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
    """Seconds of each request, by name."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)

    def at(self, name: str, share: float) -> float:
        """A quantile in milliseconds."""
        ordered = sorted(self.taken[name])
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    def lines(self, names: list[str]) -> Iterator[str]:
        """One line per name that has requests."""
        for name in filter(self.taken.__contains__, names):
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
    """Send queries and probes for ``load.seconds``."""
    times = Times()
    paths = queries(load.entities)
    store = Store(redis)
    nothing = await store.redis.script_load("return 1")
    end = time.monotonic() + load.seconds

    async def probe(name: str, *command: str | int) -> None:
        # Independent of other requests: immediately after another answer the store is rarely busy.
        rng = random.Random(name)  # noqa: S311 - not for security
        while time.monotonic() < end:
            await _timed(times, (name,), store.redis.execute_command(*command))  # type: ignore[no-untyped-call]
            await asyncio.sleep(_PROBE_PAUSE * rng.uniform(0.5, 1.5))

    async def client(number: int, http: aiohttp.ClientSession) -> None:
        rng = random.Random(number)  # noqa: S311 - not for security
        await asyncio.sleep(rng.random() * load.pause)
        while time.monotonic() < end:
            group, path = rng.choice(paths)
            await _timed(times, (group, path), _get(http, gateway + path))
            await asyncio.sleep(load.pause * rng.uniform(0.5, 1.5))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for _, path in paths:
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


async def _until_up(gateway: str) -> None:
    """Return when the gateway answers queries. Raises ``TimeoutError`` after 30 seconds."""
    async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                return await _get(http, f"{gateway}/v1/aggregates?by=entity&window=24h")
            await asyncio.sleep(0.1)


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
                f"{time.monotonic() - began:.0f} s; then {load.rate:g} more articles per second, and {load.clients} "
                f"clients, each with a query every {load.pause:g} s"
            )
            times = await _measured(server, load, Path(directory))
            answers = sum(len(times.taken[name]) for name in ("aggregates", "timeseries", "trends"))
            click.echo(f"{answers / load.seconds:.0f} answers/s; p50, p99, and their ratios to the script's round trip")
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
    # There is no Kafka: these queries do not need it.
    settings = {"KHABAR_REDIS": server.url, "KHABAR_KAFKA": f"127.0.0.1:{free_port()}", "KHABAR_LOG_LEVEL": "error"}
    writing = ["benchmarks.queries", "--write", server.url, "--rate", str(load.rate), "--entities", str(load.entities)]
    log = directory / "children.log"
    async with (
        _child("api", ["services", "api", "--port", str(port)], log, **settings),
        _child("writer", writing, log),
    ):
        gateway = f"http://127.0.0.1:{port}"
        await _until_up(gateway)
        times = await measure(gateway, server.url, load)
    late = [line for line in log.read_text(encoding="utf-8").splitlines() if "late" in line]
    if late:
        click.echo(f"the writer was late {len(late)} times; last: {late[-1]}")
    return times


@click.command()
@click.option("--articles", "count", default=200_000, show_default=True, help="Articles counted before, over 24 hours.")
@click.option("--entities", default=60_000, show_default=True)
@click.option("--rate", default=500.0, show_default=True, help="Articles per second during the queries.")
@click.option("--clients", default=20, show_default=True)
@click.option("--pause", default=0.2, show_default=True, help="Seconds between an answer and the client's next query.")
@click.option("--seconds", default=40.0, show_default=True)
@click.option("--each", is_flag=True, help="Also print each query.")
@click.option("--write", "url", hidden=True, help="address of the store: run as the writer")
def main(  # noqa: PLR0913 - one parameter an option
    *, count: int, entities: int, rate: float, clients: int, pause: float, seconds: float, each: bool, url: str | None
) -> None:
    """Measure and print."""
    load = Load(count, entities, rate, clients, pause, seconds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(load, each=each) if url is None else write(url, load))


if __name__ == "__main__":
    main()
