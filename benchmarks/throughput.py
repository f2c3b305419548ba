"""Throughput of the whole system: ``python -m benchmarks.throughput [--articles N] [--data-dir DIR]``.

Sends N articles to a running ``khabar up`` as fast as it accepts them, and waits until each was received on a
WebSocket. The articles are made of seeds/ with their words shuffled, so that they are not near-duplicates of each
other. Prints articles per second, and for each process its CPU milliseconds per article and its memory.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path

import aiohttp
import click
import psutil
from websockets.asyncio.client import connect

SEEDS = Path(__file__).parent.parent / "seeds" / "articles.jsonl"
BATCH = 100


@click.command()
@click.option("--articles", default=5_000, show_default=True)
@click.option("--data-dir", default=".khabar", show_default=True, type=click.Path(path_type=Path))
def main(articles: int, data_dir: Path) -> None:
    """Measure and print."""
    endpoints = json.loads((data_dir / "endpoints.json").read_text(encoding="utf-8"))
    processes = {name: psutil.Process(pid) for name, pid in endpoints["processes"].items()}
    before = {name: _cpu(process) for name, process in processes.items()}
    seconds = asyncio.run(_run(endpoints["gateway"], articles))
    sys.stdout.write(f"{articles} articles in {seconds:.1f} s: {articles / seconds:.0f} per second\n")
    for name, process in processes.items():
        used = (_cpu(process) - before[name]) * 1000 / articles
        sys.stdout.write(f"{name:<10} {used:6.2f} CPU ms per article   {process.memory_info().rss / 1e6:6.0f} MB\n")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _run(url: str, articles: int) -> float:
    rng = random.Random(articles)  # noqa: S311 - not for security
    seeds = [json.loads(line) for line in SEEDS.read_text(encoding="utf-8").splitlines()]
    run = f"{random.getrandbits(48):x}"
    lines = []
    for number in range(articles):
        seed = seeds[number % len(seeds)]
        words = (seed.get("text") or seed["html"]).split()
        text = " ".join(rng.sample(words, k=len(words)))
        lines.append(json.dumps({"title": seed.get("title"), "guid": f"{run}-{number}", "source": run, "text": text}))
    address = url.replace("http", "ws", 1) + f"/v1/stream?type=article&duplicates=show&source={run}"
    async with connect(address, max_size=None) as socket, aiohttp.ClientSession() as session:
        start = time.perf_counter()
        sending = asyncio.create_task(_send(session, url, lines))
        received = 0
        while received < articles:
            received += sum(json.loads(line)["type"] == "article" for line in str(await socket.recv()).splitlines())
        await sending
        return time.perf_counter() - start


async def _send(session: aiohttp.ClientSession, url: str, lines: list[str]) -> None:
    for first in range(0, len(lines), BATCH):
        body = "\n".join(lines[first : first + BATCH]).encode()
        headers = {"Content-Type": "application/x-ndjson"}
        async with session.post(f"{url}/v1/articles", data=body, headers=headers) as response:
            response.raise_for_status()


if __name__ == "__main__":
    main()
