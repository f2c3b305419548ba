"""The consumer group: the limits that Kafka sets, and stages that stand still."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services import groups, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from services.errors import SettingsError


async def test_a_session_timeout_that_kafka_does_not_allow_is_an_error(kafka: Kafka) -> None:
    """The error names the setting and the allowed range; otherwise the worker would try to join forever."""
    await groups.check_session(kafka.bootstrap, 1.0)
    await groups.check_session(kafka.bootstrap, 300.0)
    with pytest.raises(SettingsError, match=r"KHABAR_SESSION_TIMEOUT: Kafka allows 1 to 1800 s, not 0.5"):
        await groups.check_session(kafka.bootstrap, 0.5)
    with pytest.raises(SettingsError, match="not 4000"):
        await groups.check_session(kafka.bootstrap, 4_000.0)


async def test_a_stage_that_stands_still_is_found(tmp_path: Path) -> None:
    """Records wait and none is finished for a minute; a stage that works off its records, or has none, is fine."""
    node = Kafka(tmp_path)
    await node.start()
    try:
        await kafka_topics.ensure(node.bootstrap, raw_partitions=1, replication=1)
        now = 0.0
        stages = {kafka_topics.RAW.name: "annotate", kafka_topics.UPDATES.name: "aggregate"}
        watch = groups.StallWatch(node.bootstrap, stages, lambda: now)
        assert await watch.check() == []
        now = 1_000.0
        async with clients.producer(node.bootstrap) as producer:
            for _ in range(3):
                await producer.send_and_wait(kafka_topics.RAW.name, b"x", partition=0)
        assert await watch.check() == []
        now += groups.STALL_SECONDS
        assert await watch.check() == ["annotate stands still: 3 records wait for 60 s"]
        committing = AIOKafkaConsumer(bootstrap_servers=node.bootstrap, group_id=groups.GROUP, enable_auto_commit=False)
        committing.assign([TopicPartition(kafka_topics.RAW.name, 0)])
        await committing.start()
        await committing.commit({TopicPartition(kafka_topics.RAW.name, 0): 1})
        await committing.stop()
        assert await watch.check() == []
        now += groups.STALL_SECONDS
        assert await watch.check() == ["annotate stands still: 2 records wait for 60 s"]
    finally:
        await node.stop()
