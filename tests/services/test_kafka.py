"""Kafka clients: closing, records of foreign producers, what Kafka refuses."""

import random

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from services import kafka as clients
from services import kafka_topics, topic_ids
from services.embedded.kafka import Kafka
from services.kafka import Output, Partitioner, RecordRefused, header, read_log_id, reader
from tests import foreign
from tests.enrich.logs import Log


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


def test_a_header_without_a_value_is_absent() -> None:
    """Foreign producers may write a name without a value, and values in any encoding."""
    assert header([("type", None)], "type") is None
    assert header([("type", b"\xff\x00")], "type") == "\ufffd\x00"
    assert header(None, "type") is None


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_header_names_may_be_any_bytes(log: Log, codec: str | None) -> None:
    """Records before and after it in the same batch are read unchanged; its name has ? for what is not ASCII."""
    batch = [
        (b"1", b"before", [("trace", b"1")]),
        (b"2", b"\xff\xfe", [(b"\xff\xfe-name", None), (b"x", b"\xff\xfe-name")]),
        (b"3", b"after", [("é", b"1")]),
    ]
    await foreign.send_batch(log.bootstrap, log.topic, batch, codec=codec)
    records = await log.read()
    assert [(record.value, list(record.headers)) for record in records] == [
        (b"before", [("trace", b"1")]),
        (b"\xff\xfe", [("??-name", None), ("x", b"\xff\xfe-name")]),
        # once a name cannot be read, the rest of its batch is read the same way
        (b"after", [("??", b"1")]),
    ]


async def test_only_committed_records_are_read_and_markers_end_a_log(log: Log) -> None:
    """Aborted records never appear, and reading to the end does not wait at the markers after the last record."""
    await log.write(b"plain")
    await foreign.transaction(log.bootstrap, log.topic, [b"committed"], commit=True)
    await foreign.transaction(log.bootstrap, log.topic, [b"aborted", b"aborted"], commit=False)
    assert [record.value for record in await log.read()] == [b"plain", b"committed"]


async def test_a_record_that_is_too_large_is_refused_and_the_others_are_written(log: Log) -> None:
    """The client's own limit: no other record of the batch is lost, and the error names the one that is refused."""
    large = Output(log.topic, None, b"x" * clients.MAX_RECORD_BYTES)
    async with clients.producer(log.bootstrap) as producer:
        with pytest.raises(RecordRefused, match=MessageSizeTooLargeError.__name__) as refused:
            await clients.produce_batch(
                producer, [Output(log.topic, None, b"1"), large, Output(log.topic, None, b"2")], within=20
            )
    assert refused.value.outputs == [large]
    assert [record.value for record in await log.read()] == [b"1", b"2"]


async def test_a_record_that_the_broker_finds_invalid_is_refused(kafka: Kafka) -> None:
    """Such as one without a key for a compacted topic: that is the record's own fault, so that nobody retries it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("compacted", 1, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()
    without = Output("compacted", None, b"1")
    async with clients.producer(kafka.bootstrap) as producer:
        with pytest.raises(RecordRefused, match="InvalidRecord") as refused:
            await clients.produce_batch(producer, [without], within=20)
    assert refused.value.outputs == [without]


async def test_a_foreign_record_time_is_read_as_it_is(log: Log) -> None:
    """Before year 1."""
    async with AIOKafkaProducer(bootstrap_servers=log.bootstrap) as producer:
        await producer.send_and_wait(log.topic, b"old", timestamp_ms=-100_000_000_000_000)
    assert [record.timestamp for record in await log.read()] == [-100_000_000_000_000]


def test_a_key_has_the_partition_that_other_clients_give_it() -> None:
    """Records of one key are on one partition, whichever client has written them."""
    chance = random.Random(1)
    every = [*range(7)]
    for size in range(60):
        key = chance.randbytes(size)
        assert Partitioner()(key, every, every) == DefaultPartitioner()(key, every, every)
