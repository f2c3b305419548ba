"""Time from a push to its answer, while many feeds are polled, beside the time while none are.

Single articles are pushed at a steady rate, and each is timed from when it was due. All feeds are of one host, and are
polled far more often than by default (``--interval``). Three phases in turns: no feeds; feeds that do not change; and
feeds that have a new item in each poll.
"""

import asyncio
import itertools
import json
import time
from contextlib import nullcontext

import aiohttp
import click
import numpy as np
import uvloop

from benchmarks.ingest.polls import polled, subscribed
from benchmarks.ingest.push import articles
from benchmarks.ingest.services import Ingest, ingest, servers
from benchmarks.ingest.site import site

_PHASES = {"no feeds": None, "unchanged": "etag", "changing": "changing"}
_DIFFERENT = 5_000


@click.command(name="latency", help=__doc__)
@click.option("--feeds", "count", default=500, show_default=True, help="Number of feeds.")
@click.option("--items", default=30, show_default=True, help="Items of a feed.")
@click.option("--interval", default=20.0, show_default=True, help="Seconds between two polls of a feed.")
@click.option("--rate", default=50.0, show_default=True, help="Pushes a second.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each phase.")
@click.option("--rounds", default=3, show_default=True, help="Turns; all pushes of a phase count together.")
def main(  # noqa: PLR0913, PLR0917 - one parameter an option
    count: int, items: int, interval: float, rate: float, seconds: float, rounds: int
) -> None:
    """Measure and print."""
    uvloop.run(_run(count, items, interval, rate, seconds, rounds))


async def _run(  # noqa: PLR0913, PLR0917
    count: int, items: int, interval: float, rate: float, seconds: float, rounds: int
) -> None:
    took: dict[str, list[float]] = {phase: [] for phase in _PHASES}
    polls: dict[str, float] = dict.fromkeys(_PHASES, 0.0)
    with site(items) as server:
        async with servers() as running, ingest(running, allow_private_addresses=True) as service:
            await _push(service, rate, min(seconds, 3.0))  # the first ones are slower
            for number in range(rounds):
                for phase, path in _PHASES.items():
                    feeds = (
                        subscribed(running, server, path, count, interval=interval, first=number * count)
                        if path
                        else nullcontext()
                    )
                    async with feeds:
                        if path:
                            # All feeds are new at first.
                            await polled(server, count)
                            await asyncio.sleep(min(interval, seconds))
                        before = server.requests()
                        took[phase] += await _push(service, rate, seconds)
                        polls[phase] += (server.requests() - before) / seconds / rounds
    print(f"{rate:g} pushes a second, {count} feeds of {items} items")
    alone = float(np.percentile(took["no feeds"], 99))
    for phase, times in took.items():
        p50, p99 = (float(one) for one in np.percentile(times, (50, 99)))
        print(
            f"{phase:10} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms ({p99 - alone:+.1f})  "
            f"max {max(times):6.1f} ms  {polls[phase]:5.1f} polls a second"
        )


async def _push(service: Ingest, rate: float, seconds: float) -> list[float]:
    """Milliseconds of each push, from when it was due to its answer."""
    bodies = itertools.cycle([json.dumps(one).encode() for one in articles(_DIFFERENT)])
    took: list[float] = []
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as http:

        async def post(due: float) -> None:
            async with http.post(f"{service.url}/v1/articles", data=next(bodies)) as answer:
                if answer.status != 202:
                    raise RuntimeError(f"{answer.status}: {await answer.text()}")
                await answer.read()
            took.append((time.perf_counter() - due) * 1_000)

        async with asyncio.TaskGroup() as sending:
            due = time.perf_counter() + 0.1
            end = due + seconds
            while due < end:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                sending.create_task(post(due))
                due += 1 / rate
    return took
