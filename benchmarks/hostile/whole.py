"""Measures hostile clients of a whole Khabar: answers of gateway and ingest, time from push to subscriber, memory."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import aiohttp
import numpy as np
import psutil

import khabar
from benchmarks.hostile.client import Address
from benchmarks.receivers import Child

_SERVICES = ("api", "ingest", "enrich")
_PUSH_SECONDS = 0.25
_PING_SECONDS = 0.01
_START_SECONDS = 120.0
_ANSWER_SECONDS = 60.0
# What hostile clients may cost: milliseconds of the others' p99, and memory beyond that before.
_MAX_DELAY_MS = 10.0
_MAX_MEMORY = 150e6


@dataclass
class _Figures:
    """Milliseconds of each answer, and of each article from push to subscriber; pushes that failed."""

    gateway: list[float]
    ingest: list[float]
    articles: list[float]
    failed: int = 0


class _Khabar:
    """A running ``khabar up``."""

    def __init__(self, process: psutil.Process, url: str) -> None:
        self.url = url
        self._services: dict[str, list[psutil.Process]] = {name: [] for name in _SERVICES}
        for child in process.children(recursive=True):
            for name in set(child.cmdline()) & set(_SERVICES):
                self._services[name].append(child)

    @property
    def ingest_url(self) -> str:
        """The address that ingest listens on."""
        (ingest,) = self._services["ingest"]
        port = next(one.laddr.port for one in ingest.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
        return f"http://127.0.0.1:{port}"

    def memory(self) -> dict[str, int]:
        """Resident bytes of each service."""
        return {
            name: sum(process.memory_info().rss for process in found if process.is_running())
            for name, found in self._services.items()
        }


@asynccontextmanager
async def _running() -> AsyncIterator[_Khabar]:
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "up.log").open("wb") as log:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services", "up", "--port", "0", "--data-dir", folder),
                stdout=PIPE,
                stderr=log,
                env=os.environ | {"KHABAR_MAX_WEBHOOKS": "1000"},
            )
        if child.stdout is None:
            raise RuntimeError("no pipe")
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not (line := (await child.stdout.readline()).decode()).startswith("ready "):
                    if not line:
                        raise RuntimeError("khabar up has ended")
            yield _Khabar(psutil.Process(child.pid), line.split()[1])
        finally:
            child.terminate()
            await child.communicate()


async def _every(seconds: float, once: Callable[[float], Awaitable[None]]) -> None:
    """Call ``once`` with the time at which it was due (monotonic), without waiting for the calls before."""
    due = time.monotonic()
    async with asyncio.TaskGroup() as running:
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            running.create_task(_ignoring(once, due))
            due += seconds


async def _ignoring(once: Callable[[float], Awaitable[None]], due: float) -> None:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        await once(due)


async def _measure(running: _Khabar, seconds: float) -> tuple[_Figures, dict[str, int]]:
    """What the others get for some seconds, and the most memory of each service meanwhile."""
    figures = _Figures([], [], [])
    peak = running.memory()
    sent: dict[str, float] = {}
    source, numbers = f"others {time.time()}", count()
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)

    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:

        async def ask(url: str, found: list[float], due: float) -> None:
            async with http.get(f"{url}/healthz") as answer:
                await answer.read()
            found.append((time.monotonic() - due) * 1_000)

        async def push(due: float) -> None:
            number = next(numbers)
            article = {"source": source, "guid": str(number), "title": str(number), "text": f"خبر قصير {number}"}
            sent[str(number)] = due
            async with http.post(f"{running.url}/v1/articles", json=article) as answer:
                figures.failed += answer.status != 202

        async def subscribe() -> None:
            async with khabar.connect(running.url, source=source, type="article", duplicates="show") as events:
                async for event in events:
                    due = sent.pop(getattr(event.data, "title", None) or "", None)
                    if due is not None:
                        figures.articles.append((time.monotonic() - due) * 1_000)

        async def watch(_: float) -> None:
            for name, size in running.memory().items():
                peak[name] = max(peak[name], size)

        ingest_url = running.ingest_url
        tasks = [
            asyncio.create_task(one)
            for one in (
                subscribe(),
                _every(_PING_SECONDS, lambda due: ask(running.url, figures.gateway, due)),
                _every(_PING_SECONDS, lambda due: ask(ingest_url, figures.ingest, due)),
                _every(_PUSH_SECONDS, push),
                _every(0.2, watch),
            )
        ]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    # An article that did not come has waited until now.
    figures.articles += [(time.monotonic() - due) * 1_000 for due in sent.values()]
    return figures, peak


def _p99(found: list[float]) -> float:
    return float(np.percentile(found, 99)) if found else float("inf")


@contextmanager
def _attacking(kinds: list[str], address: Address) -> Iterator[dict[str, Child]]:
    with ExitStack() as held:
        children = {kind: held.enter_context(Child.of("hostile", "--attack", kind, "--at", *address)) for kind in kinds}
        for child in children.values():
            child.read()
        yield children


async def run(kinds: list[str], *, seconds: float, settle: float) -> list[str]:
    """Measure all kinds, one after the other; returns those that failed."""
    failed: list[str] = []
    control = {"gateway": 0.0, "ingest": 0.0}
    async with _running() as running:
        host, _, port = running.url.removeprefix("http://").partition(":")
        for name in ["alone", "spins", *kinds, "alone again"]:
            attacks = [name] if not name.startswith("alone") else []
            before = running.memory()
            with _attacking(attacks, (host, int(port))) as children:
                await asyncio.sleep(settle if attacks else 0)
                figures, peak = await _measure(running, seconds)
                answers = {kind: child.ask("stop") for kind, child in children.items()}
            p99 = {"gateway": _p99(figures.gateway), "ingest": _p99(figures.ingest)}
            if name == "spins":
                control = p99
            delays = any(p99[which] > control[which] + _MAX_DELAY_MS for which in p99)
            grown = any(peak[which] - before[which] > _MAX_MEMORY for which in ("api", "ingest"))
            if name in kinds and (delays or grown or figures.failed):
                failed.append(name)
            memory = ", ".join(f"{which} {before[which] / 1e6:.0f} → {peak[which] / 1e6:.0f}" for which in _SERVICES)
            print(
                f"{name:12} p99 gateway {p99['gateway']:.1f} ms, ingest {p99['ingest']:.1f} ms, push to subscriber "
                f"{_p99(figures.articles):.0f} ms  refused pushes {figures.failed}  memory (MB) {memory}"
            )
            for kind, answer in answers.items():
                outcomes = ", ".join(f"{times:,} {what}" for what, times in sorted(answer["outcomes"].items()))
                print(f"{'':12}   {kind}: {outcomes}{answer['failed']}")
            await asyncio.sleep(settle if attacks else 0)
    return failed
