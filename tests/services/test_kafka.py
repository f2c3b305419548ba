"""Kafka clients."""

from services import kafka_topics
from services.embedded.kafka import Kafka
from services.kafka import reader


async def test_a_reader_can_be_closed_at_once(kafka: Kafka) -> None:
    """Closing a reader raises no error, even immediately after it was opened."""
    for _ in range(3):
        async with reader(kafka.bootstrap, kafka_topics.UPDATES.name):
            pass
