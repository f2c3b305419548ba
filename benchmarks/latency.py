"""From POST to the subscriber's frame: ``python -m benchmarks.latency [URL] [--rate R] [--seconds S]``.

Sends single articles to a running Khabar (``khabar up``), through all of it: gateway, ingest, Kafka, annotate, group,
gateway. Two phases:

1. What it sustains: articles are sent as fast as they are taken, until so many are on their way (``--ahead``) that no
   stage waits for work; then one is sent for each that comes out. Counted are those that come out in the second half.
2. How long one takes at half of that (or at ``--rate``), on its way from its POST to its article event on a WebSocket:
   p50, p99, p99.9 and maximum in milliseconds.

The clock of an article starts when it was *due* to be sent, whenever it was sent, and all that were sent count (no
coordinated omission). Due times are spread evenly, or with ``--random`` as independent publishers send (Poisson).
Articles are those of seeds/ with their words drawn anew, so that they are no copies of each other. Both ends are in
this one process; its share of a core is printed.
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

_MARK = '"title":"'
_POSTS = 64
_PATIENCE_SECONDS = 30.0


@click.command()
@click.argument("url", default="http://127.0.0.1:8000")
@click.option("--rate", type=float, help="Articles a second; otherwise half of what is sustained.")
@click.option("--seconds", default=60.0, show_default=True, help="Of each phase.")
@click.option("--ahead", default=200, show_default=True, help="Articles on their way in the first phase.")
@click.option("--random", "poisson", is_flag=True, help="At random times instead of evenly.")
def main(url: str, rate: float | None, seconds: float, ahead: int, poisson: bool) -> None:
    """Measure and print."""
    asyncio.run(_run(url, rate, seconds, ahead, poisson=poisson))


async def _run(url: str, rate: float | None, seconds: float, ahead: int, *, poisson: bool) -> None:
    async with _line(url) as line:
        # The first ones are dearer.
        await line.paced(5, 3, poisson=False)
        if rate is None:
            sustained = await line.sustained(seconds, ahead)
            sys.stdout.write(f"sustained: {sustained:.1f} articles/s with {ahead} on their way\n")
            sys.stdout.flush()
            rate = sustained / 2
        cpu, began = time.process_time(), time.monotonic()
        took, missing = await line.paced(rate, seconds, poisson=poisson)
        share = (time.process_time() - cpu) / (time.monotonic() - began)
    p50, p99, most = np.percentile(took, (50, 99, 99.9))
    sys.stdout.write(
        f"{len(took)} articles at {rate:.1f}/s{' (Poisson)' if poisson else ''}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, "
        f"p99.9 {most:.0f} ms, max {max(took):.0f} ms; missing {missing}; this process {share:.0%} of a core\n"
    )


class _Line:
    """Both ends of a running Khabar: articles go in, and it is noted when each comes out."""

    def __init__(self, session: aiohttp.ClientSession, socket: ClientConnection, url: str, run: str) -> None:
        self._session = session
        self._socket = socket
        self._url = url
        self._run = run
        self._articles = _articles(run)
        self._on_their_way: dict[str, float] = {}
        self._took: list[float] = []
        self._room = asyncio.Event()

    async def receive(self) -> None:
        """Note what comes out, until cancelled."""
        async for frame in self._socket:
            now = time.perf_counter()
            for line in str(frame).split("\n"):
                # The title alone is looked for: this end must not be what takes time.
                at = line.find(_MARK + self._run)
                title = line[at + len(_MARK) : line.find('"', at + len(_MARK))] if at >= 0 else ""
                due = self._on_their_way.pop(title, None)
                if due is not None:
                    self._took.append((now - due) * 1000)
                    self._room.set()

    async def paced(self, rate: float, seconds: float, *, poisson: bool) -> tuple[list[float], int]:
        """Milliseconds of each article that was due in this time, and how many did not come out."""
        self._took = []
        chance = random.Random(1)  # noqa: S311 - times, not secrets
        async with asyncio.TaskGroup() as sending:
            due = time.perf_counter() + 0.2
            end = due + seconds
            while due < end:
                title, body = next(self._articles)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                self._on_their_way[title] = due
                sending.create_task(self._post(body))
                due += chance.expovariate(rate) if poisson else 1 / rate
        missing = await self._all_out()
        return self._took, missing

    async def sustained(self, seconds: float, ahead: int) -> float:
        """Articles a second that come out while there is always work for every stage."""
        self._took = []
        ended = False

        async def send() -> None:
            while not ended:
                if len(self._on_their_way) >= ahead:
                    self._room.clear()
                    await self._room.wait()
                    continue
                title, body = next(self._articles)
                self._on_their_way[title] = time.perf_counter()
                await self._post(body)

        async with asyncio.TaskGroup() as sending:
            for _ in range(_POSTS):
                sending.create_task(send())
            await asyncio.sleep(seconds / 2)
            before, began = len(self._took), time.perf_counter()
            await asyncio.sleep(seconds / 2)
            rate = (len(self._took) - before) / (time.perf_counter() - began)
            ended = True
            self._room.set()
        await self._all_out()
        return rate

    async def _all_out(self) -> int:
        """Wait until nothing is on its way; how many are given up, when none comes out for long."""
        out, since = len(self._took), time.perf_counter()
        while self._on_their_way and time.perf_counter() - since < _PATIENCE_SECONDS:
            await asyncio.sleep(0.05)
            if len(self._took) > out:
                out, since = len(self._took), time.perf_counter()
        missing = len(self._on_their_way)
        self._on_their_way.clear()
        return missing

    async def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        async with self._session.post(f"{self._url}/v1/articles", data=body, headers=headers) as response:
            response.raise_for_status()


@asynccontextmanager
async def _line(url: str) -> AsyncIterator[_Line]:
    run = f"{random.getrandbits(48):x}"
    address = url.replace("http", "ws", 1) + f"/v1/stream?type=article&duplicates=show&source={run}"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        connect(address, max_size=None) as socket,
    ):
        await socket.recv()  # subscribed
        line = _Line(session, socket, url, run)
        receiving = asyncio.create_task(line.receive())
        try:
            yield line
        finally:
            receiving.cancel()


def _articles(run: str) -> Iterator[tuple[str, bytes]]:
    """Articles without end: the title and the body of the POST."""
    chance = random.Random(1)  # noqa: S311 - an order, not a secret
    seeds = [json.loads(line) for line in SEEDS.read_text(encoding="utf-8").splitlines()]
    number = 0
    while True:
        seed = seeds[number % len(seeds)]
        words = (seed.get("text") or seed["html"]).split()
        title = f"{run} {number}"
        text = " ".join(chance.sample(words, k=len(words)))
        yield title, json.dumps({"title": title, "guid": title, "source": run, "text": text}).encode()
        number += 1


if __name__ == "__main__":
    main()
