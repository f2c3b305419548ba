"""Fixtures that several tests of enrich share."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from tests.enrich.logs import Log

_numbers = count()


@pytest.fixture
async def log(kafka: Kafka) -> AsyncIterator[Log]:
    """A separate log for each test."""
    topic = f"log-{next(_numbers)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    yield Log(kafka.bootstrap, topic)
    await admin.delete_topics([topic])
    await admin.close()


@pytest.fixture(scope="session")
async def workers_kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A second Kafka, for tests that run workers alone on its topics: each begins with ``empty_topics``."""
    node = Kafka(tmp_path_factory.mktemp("workers-kafka"))
    await node.start()
    yield node
    await node.stop()


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    """A Valkey that this test may stop, kill and empty."""
    server = Valkey(tmp_path / "valkey")
    await server.start()
    yield server
    await server.stop()
