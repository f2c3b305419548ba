"""Kafka clients."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from services import kafka_topics, topic_ids
from services.embedded.kafka import Kafka
from services.kafka import read_log_id, reader


async def test_a_reader_can_be_closed_at_once(kafka: Kafka) -> None:
    """Closing a reader raises no error, even immediately after it was opened."""
    for _ in range(3):
        async with reader(kafka.bootstrap, kafka_topics.UPDATES.name):
            pass


async def test_a_topic_that_is_created_again_has_another_log_id(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of a log changes when its topic is deleted and created again; no other log's id does."""
    topic = "log-identity"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
        updates, first = await read_log_id(kafka.bootstrap), await read_log_id(kafka.bootstrap, topic)
        assert first == await read_log_id(kafka.bootstrap, topic)
        assert first.endswith(f"/{topic}-0")
        await admin.delete_topics([topic])
        with pytest.raises(UnknownTopicOrPartitionError):
            await read_log_id(kafka.bootstrap, topic)
        await admin.create_topics([NewTopic(topic, 1, 1)])
        assert await read_log_id(kafka.bootstrap, topic) != first
        assert await read_log_id(kafka.bootstrap) == updates
        # Brokers before Kafka 2.8, and others that speak Kafka's protocol, have no topic ids.
        monkeypatch.setattr(topic_ids._MetadataRequestStruct, "API_VERSION", 99)
        cluster = updates.split("/", maxsplit=1)[0]
        assert await read_log_id(kafka.bootstrap, topic) == f"{cluster}/{topic}-0"
    finally:
        await admin.close()
