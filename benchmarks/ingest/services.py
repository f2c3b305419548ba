"""Kafka, Valkey and ``khabar ingest`` of a benchmark."""

import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.process import Process, free_port
from services.embedded.valkey import Valkey

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Servers:
    """A running Kafka with Khabar's topics, a running Valkey, and a directory for logs and files."""

    kafka: str
    redis: str
    folder: Path


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    """Start Kafka and Valkey; they and their data are gone at the end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        node, store = Kafka(folder / "kafka"), Valkey(folder / "valkey")
        try:
            await node.start()
            await store.start()
            await kafka_topics.ensure(node.bootstrap, raw_partitions=4, replication=1)
            yield Servers(node.bootstrap, store.url, folder)
        finally:
            await store.stop()
            await node.stop()


@dataclass(frozen=True)
class Ingest:
    """A running ``khabar ingest``."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """The CPU time that the process and its children have used."""
        return cpu_seconds(self.pid)


@asynccontextmanager
async def ingest(running: Servers, **settings: object) -> AsyncIterator[Ingest]:
    """Start ``khabar ingest`` with these settings; stopped at the end."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    used = {"kafka": running.kafka, "redis": running.redis, "ingest_port": port, "data_dir": running.folder} | settings
    environment |= {f"KHABAR_{name.upper()}": str(value) for name, value in used.items()}
    child = Process("ingest", running.folder / f"ingest-{port}.log")
    await child.start([sys.executable, "-m", "services", "ingest"], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(raise_for_status=True) as http:

            async def ready() -> None:
                async with http.get(f"{url}/readyz") as answer:
                    await answer.read()

            await child.until(ready, seconds=_START_SECONDS)
        yield Ingest(url, child.pid)
    finally:
        await child.stop()


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process and its children, also those that have ended, have used."""
    used = 0.0
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(one.cpu_times()[:4])
    return used
