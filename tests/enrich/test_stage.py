"""What moves records through the stages, on the real broker."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from enrich.stage import RecordProducer
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.kafka import Output
from tests.harness import log_of


async def test_a_refused_record_does_not_refuse_those_after_it(kafka: Kafka) -> None:
    """When Kafka refuses one record, the next ones are written all the same, each once."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("narrow", 1, 1, topic_configs={"max.message.bytes": "1000"})])
    await admin.close()
    outlet = RecordProducer(kafka.bootstrap)
    try:
        await outlet.send([Output("narrow", None, b"first")])
        with pytest.raises(KafkaError):
            await outlet.send([Output("narrow", None, bytes(range(256)) * 2_000)])
        await outlet.send([Output("narrow", None, b"second")])
        await outlet.send([Output("narrow", None, b"third")])
    finally:
        await outlet.close()
    narrow = kafka_topics.Topic("narrow")
    assert [record.value for record in await log_of(kafka.bootstrap, narrow)] == [b"first", b"second", b"third"]
