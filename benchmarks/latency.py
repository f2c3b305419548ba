"""From POST to the subscriber's frame: ``python -m benchmarks.latency [URL] [--count N] [--rate R]``.

Sends single articles at a steady rate to a running Khabar (``khabar up``) and prints how long each took from the
beginning of its POST to its article event on a WebSocket, in milliseconds: p50, p99 and maximum. The clock of an
article starts when it was due, not when it was sent, so that a stall is counted in all articles that wait for it.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path

import aiohttp
import click
from websockets.asyncio.client import connect

SEEDS = Path(__file__).parent.parent / "seeds" / "articles.jsonl"


@click.command()
@click.argument("url", default="http://127.0.0.1:8000")
@click.option("--count", default=500, show_default=True)
@click.option("--rate", default=20.0, show_default=True, help="Articles a second.")
def main(url: str, count: int, rate: float) -> None:
    """Measure and print one line."""
    milliseconds = sorted(asyncio.run(_measure(url, count, rate)))
    cut = [milliseconds[min(len(milliseconds) - 1, int(len(milliseconds) * share))] for share in (0.5, 0.99)]
    sys.stdout.write(
        f"{len(milliseconds)} articles at {rate:g}/s: p50 {cut[0]:.0f} ms, p99 {cut[1]:.0f} ms, "
        f"max {milliseconds[-1]:.0f} ms\n"
    )


async def _measure(url: str, count: int, rate: float) -> list[float]:
    seeds = [json.loads(line) for line in SEEDS.read_text(encoding="utf-8").splitlines()]
    run = f"{random.getrandbits(48):x}"
    due: dict[str, float] = {}
    took: list[float] = []

    async def receive() -> None:
        address = url.replace("http", "ws", 1) + "/v1/stream?type=article&duplicates=show&source=" + run
        async with connect(address, max_size=None) as socket:
            ready.set()
            while len(took) < count:
                for line in str(await socket.recv()).splitlines():
                    event = json.loads(line)
                    if event["type"] == "article":
                        took.append((time.perf_counter() - due[event["data"]["title"]]) * 1000)

    ready = asyncio.Event()
    receiving = asyncio.create_task(receive())
    await ready.wait()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as sending:
        start = time.perf_counter() + 0.5
        for number in range(count):
            at = start + number / rate
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            seed = seeds[number % len(seeds)]
            title = f"{run} {number}"
            due[title] = at
            article = {"title": title, "guid": title, "source": run, "text": f"{seed.get('text') or 'نص'} {title}"}
            sending.create_task(_post(session, url, article))
    await asyncio.wait_for(receiving, 60)
    return took


async def _post(session: aiohttp.ClientSession, url: str, article: dict[str, str]) -> None:
    async with session.post(f"{url}/v1/articles", json=article) as response:
        response.raise_for_status()


if __name__ == "__main__":
    main()
