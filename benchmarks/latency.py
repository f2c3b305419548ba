"""Time from POST to the subscriber's frame: ``python -m benchmarks.latency [URL] [--rate R] [--seconds S]``.

Sends single articles through a running Khabar (``khabar up``): gateway, ingest, Kafka, annotate, group, gateway. Two
phases:

1. The sustained rate: articles are sent as fast as they are accepted until ``--ahead`` are in flight, so that no stage
   waits for work; then one is sent for each that is received. Articles received in the second half are counted.
2. The latency at half of that rate (or at ``--rate``), from POST to the article event on a WebSocket: p50, p99, p99.9
   and maximum in milliseconds.

The time of an article starts when it was *due* to be sent, even if it was sent later, and each article that was sent
counts (no coordinated omission). Due times are evenly spaced, or with ``--random`` as from independent publishers
(Poisson). Articles are those of seeds/ with their words shuffled, so that they are not near-duplicates of each other.
This process is both publisher and subscriber; its share of a core is printed.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import click
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

SEEDS = Path(__file__).parent.parent / "seeds" / "articles.jsonl"

_TITLE_FIELD = '"title":"'
_POSTS = 64
_WARM_UP_SECONDS = 3.0
_STALLED_SECONDS = 30.0


@click.command()
@click.argument("url", default="http://127.0.0.1:8000")
@click.option("--rate", type=float, help="Articles per second; by default half of the sustained rate.")
@click.option("--seconds", default=60.0, show_default=True, help="Duration of each phase.")
@click.option("--ahead", default=200, show_default=True, help="Articles in flight in the first phase.")
@click.option("--random", "poisson", is_flag=True, help="Send at random times instead of evenly spaced ones.")
def main(url: str, rate: float | None, seconds: float, ahead: int, poisson: bool) -> None:
    """Measure and print."""
    asyncio.run(_run(url, rate, seconds, ahead, poisson=poisson))


async def _run(url: str, rate: float | None, seconds: float, ahead: int, *, poisson: bool) -> None:
    async with _connected(url) as probe:
        # The first articles are slower.
        await probe.paced(5, min(_WARM_UP_SECONDS, seconds), poisson=False)
        if rate is None:
            sustained = await probe.sustained(seconds, ahead)
            sys.stdout.write(f"sustained: {sustained:.1f} articles/s with {ahead} in flight\n")
            sys.stdout.flush()
            rate = sustained / 2
        cpu, began = time.process_time(), time.monotonic()
        took, missing = await probe.paced(rate, seconds, poisson=poisson)
        share = (time.process_time() - cpu) / (time.monotonic() - began)
    p50, p99, most = np.percentile(took, (50, 99, 99.9))
    sys.stdout.write(
        f"{len(took)} articles at {rate:.1f}/s{' (Poisson)' if poisson else ''}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, "
        f"p99.9 {most:.0f} ms, max {max(took):.0f} ms; missing {missing}; this process {share:.0%} of a core\n"
    )


class _Probe:
    """Publisher and subscriber of a running Khabar; records when each article is received."""

    def __init__(self, session: aiohttp.ClientSession, socket: ClientConnection, url: str, run: str) -> None:
        self._session = session
        self._socket = socket
        self._url = url
        self._run = run
        self._articles = _articles(run)
        self._in_flight: dict[str, float] = {}
        self._took: list[float] = []
        self._capacity = asyncio.Event()

    async def receive(self) -> None:
        """Record received articles until cancelled."""
        async for frame in self._socket:
            now = time.perf_counter()
            for line in str(frame).split("\n"):
                # Only the title is searched for, as this process must not be the bottleneck.
                at = line.find(_TITLE_FIELD + self._run)
                title = line[at + len(_TITLE_FIELD) : line.find('"', at + len(_TITLE_FIELD))] if at >= 0 else ""
                due = self._in_flight.pop(title, None)
                if due is not None:
                    self._took.append((now - due) * 1000)
                    self._capacity.set()

    async def paced(self, rate: float, seconds: float, *, poisson: bool) -> tuple[list[float], int]:
        """Milliseconds of each article that was due in this time, and the number that was not received."""
        self._took = []
        rng = random.Random(1)  # noqa: S311 - not for security
        async with asyncio.TaskGroup() as sending:
            due = time.perf_counter() + 0.2
            end = due + seconds
            while due < end:
                title, body = next(self._articles)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                self._in_flight[title] = due
                sending.create_task(self._post(body))
                due += rng.expovariate(rate) if poisson else 1 / rate
        missing = await self._drain()
        return self._took, missing

    async def sustained(self, seconds: float, ahead: int) -> float:
        """Articles received per second while each stage always has work."""
        self._took = []
        ended = False

        async def send() -> None:
            while not ended:
                if len(self._in_flight) >= ahead:
                    self._capacity.clear()
                    await self._capacity.wait()
                    continue
                title, body = next(self._articles)
                self._in_flight[title] = time.perf_counter()
                await self._post(body)

        async with asyncio.TaskGroup() as sending:
            for _ in range(_POSTS):
                sending.create_task(send())
            await asyncio.sleep(seconds / 2)
            before, began = len(self._took), time.perf_counter()
            await asyncio.sleep(seconds / 2)
            rate = (len(self._took) - before) / (time.perf_counter() - began)
            ended = True
            self._capacity.set()
        await self._drain()
        return rate

    async def _drain(self) -> int:
        """Wait until no article is in flight; returns the number given up because none was received for 30 seconds."""
        received, since = len(self._took), time.perf_counter()
        while self._in_flight and time.perf_counter() - since < _STALLED_SECONDS:
            await asyncio.sleep(0.05)
            if len(self._took) > received:
                received, since = len(self._took), time.perf_counter()
        missing = len(self._in_flight)
        self._in_flight.clear()
        return missing

    async def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        async with self._session.post(f"{self._url}/v1/articles", data=body, headers=headers) as response:
            response.raise_for_status()


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[_Probe]:
    run = f"{random.getrandbits(48):x}"
    address = url.replace("http", "ws", 1) + f"/v1/stream?type=article&duplicates=show&source={run}"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        connect(address, max_size=None) as socket,
    ):
        await socket.recv()  # subscribed
        probe = _Probe(session, socket, url, run)
        receiving = asyncio.create_task(probe.receive())
        try:
            yield probe
        finally:
            receiving.cancel()


def _articles(run: str) -> Iterator[tuple[str, bytes]]:
    """Endless articles: the title and the body of the POST."""
    rng = random.Random(1)  # noqa: S311 - not for security
    seeds = [json.loads(line) for line in SEEDS.read_text(encoding="utf-8").splitlines()]
    number = 0
    while True:
        seed = seeds[number % len(seeds)]
        words = (seed.get("text") or seed["html"]).split()
        title = f"{run} {number}"
        text = " ".join(rng.sample(words, k=len(words)))
        yield title, json.dumps({"title": title, "guid": title, "source": run, "text": text}).encode()
        number += 1


if __name__ == "__main__":
    main()
