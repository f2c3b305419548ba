"""The embedded servers keep their data."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services import kafka as clients
from services import kafka_topics
from services.embedded import jars
from services.embedded.kafka import Kafka
from services.embedded.process import Process, free_port, port_taken
from services.embedded.valkey import Valkey
from services.errors import StartError
from tests.harness import log_of


async def test_kafka_and_valkey_keep_their_data_after_a_kill(tmp_path: Path) -> None:
    """Acknowledged data survive kill -9 and a start on the same directory with another port."""
    kafka, valkey = Kafka(tmp_path / "kafka"), Valkey(tmp_path / "valkey")
    await asyncio.gather(kafka.start(), valkey.start())
    await kafka_topics.ensure(kafka.bootstrap, raw_partitions=2, replication=1)
    async with clients.producer(kafka.bootstrap) as producer:
        await producer.send_and_wait(kafka_topics.UPDATES.name, b"kept")
    async with Redis.from_url(valkey.url) as client:
        await client.set("kept", "yes")
    await asyncio.sleep(1.1)  # Valkey's append-only file is synced every second
    for server in (kafka, valkey):
        server.process.kill()
        await server.process.wait()
    kafka, valkey = Kafka(tmp_path / "kafka"), Valkey(tmp_path / "valkey")
    await asyncio.gather(kafka.start(), valkey.start())
    try:
        assert [record.value for record in await log_of(kafka.bootstrap, kafka_topics.UPDATES)] == [b"kept"]
        async with Redis.from_url(valkey.url) as client:
            assert await client.get("kept") == b"yes"
    finally:
        await asyncio.gather(kafka.stop(), valkey.stop())


async def test_topics_can_be_ensured_at_the_same_time(kafka: Kafka) -> None:
    """Services that start at the same time do not fail."""
    await asyncio.gather(*(kafka_topics.ensure(kafka.bootstrap, raw_partitions=4, replication=1) for _ in range(3)))


async def test_a_child_that_exits_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    """Waiting for it ends before the timeout."""
    child = Process("false", tmp_path / "log")
    await child.start(["false"])

    async def never() -> None:
        raise ConnectionError

    with pytest.raises(StartError, match="false exited with status 1; its log: "):
        await child.until(never, seconds=30)


def test_a_changed_jar_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A jar with another checksum than the locked one is an error."""
    lock = tmp_path / "kafka.lock.toml"
    text = jars.LOCK.read_text(encoding="utf-8")
    first = text.split('sha256 = "', 1)[1][:64]
    lock.write_text(text.replace(first, "0" * 64), encoding="utf-8")
    monkeypatch.setattr(jars, "LOCK", lock)
    with pytest.raises(jars.JarsError, match="is not the locked one"):
        jars.install()


def test_ports() -> None:
    """A free port is reported as free until something listens on it."""
    import socket

    port = free_port()
    assert not port_taken("127.0.0.1", port)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        assert port_taken("127.0.0.1", port)
