"""Fixtures that several tests of enrich share."""

from collections.abc import AsyncIterator
from itertools import count

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.embedded.kafka import Kafka
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
