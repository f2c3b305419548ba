"""One real Kafka and one real Valkey for the whole run; every port is a free one, so runs do not meet."""

import signal
from collections.abc import AsyncIterator

import pytest

from services import topics
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.settings import Settings
from services.store import Store

# A shell starts what runs in its background with SIGINT ignored, and children inherit that: Ctrl-C, which some
# tests send to theirs, would then do nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A running Kafka with Khabar's topics, shared by all tests: look for your own ids, not for emptiness."""
    node = Kafka(tmp_path_factory.mktemp("kafka"))
    await node.start()
    await topics.ensure(node.bootstrap, raw_partitions=4, replication=1)
    yield node
    await node.stop()


@pytest.fixture(scope="session")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """A running Valkey."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    await server.start()
    yield server
    await server.stop()


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
