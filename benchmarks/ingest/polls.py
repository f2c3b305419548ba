"""Polls a CPU-second of feeds that have not changed: with an ETag (304), and without (the same document again).

``khabar ingest`` polls all feeds as often as it can. Counted are the requests at the feed server, and the CPU time of
ingest and its children, after every feed has been polled twice.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
import uvloop

from benchmarks.ingest.services import Ingest, Servers, ingest, servers
from benchmarks.ingest.site import Site, site
from services.store import Store
from services.store.feeds import FeedOptions, Feeds

KINDS = {"304": "etag", "same document": "same"}
# All feeds are always due.
_INTERVAL = 1.0
_STALLED_SECONDS = 120.0


@click.command(name="polls", help=__doc__)
@click.option("--feeds", "count", default=1_000, show_default=True, help="Number of feeds.")
@click.option("--items", default=100, show_default=True, help="Items of a feed.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=2, show_default=True, help="Turns, of which the median counts.")
def main(count: int, items: int, seconds: float, rounds: int) -> None:
    """Measure and print."""
    uvloop.run(_run(count, items, seconds, rounds))


async def _run(count: int, items: int, seconds: float, rounds: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with site(items) as server:
        async with servers() as running:
            print(f"{count} feeds of {items} items, {server.size / 1000:.0f} KB", flush=True)
            async with ingest(running, allow_private_addresses=True) as service:
                for number in range(rounds):
                    for kind, path in KINDS.items():
                        async with subscribed(running, server, path, count, first=number * count, interval=_INTERVAL):
                            await polled(server, 2 * count)
                            found[kind].append(await _measure(service, server, seconds))
    for kind, rates in found.items():
        by_cpu, by_time = (statistics.median(values) for values in zip(*rates, strict=True))
        print(f"{kind:14} {by_cpu:7,.0f} polls a CPU-second, {by_time:7,.0f} a second")


async def _measure(service: Ingest, server: Site, seconds: float) -> tuple[float, float]:
    """Polls a CPU-second, and polls a second."""
    used, began, requests = service.cpu_seconds(), time.monotonic(), server.requests()
    await asyncio.sleep(seconds)
    done = server.requests() - requests
    return done / (service.cpu_seconds() - used), done / (time.monotonic() - began)


@asynccontextmanager
async def subscribed(  # noqa: PLR0913
    running: Servers, server: Site, path: str, count: int, *, interval: float, first: int = 0
) -> AsyncIterator[None]:
    """Subscribe to so many feeds of this kind; they are removed at the end."""
    store = Store(running.redis)
    feeds = Feeds(store.redis)
    try:
        ids = [
            await feeds.add(FeedOptions(url=f"{server.url}/{path}/{number}", interval=interval), most=100_000)
            for number in range(first, first + count)
        ]
        yield
        for feed_id in ids:
            await feeds.remove(feed_id)
    finally:
        await store.close()


async def polled(server: Site, times: int) -> None:
    """Wait until the feed server has had so many more requests. Raises ``RuntimeError`` when none come for long."""
    wanted = server.requests() + times
    last, since = server.requests(), time.monotonic()
    while (now := server.requests()) < wanted:
        if now > last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > _STALLED_SECONDS:
            raise RuntimeError(f"{wanted - now} of {times} polls did not come")
        await asyncio.sleep(0.1)
