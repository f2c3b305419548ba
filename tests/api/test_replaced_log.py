"""Cursors of a log that is gone are refused at once and for good; gateways notice that their log was replaced."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services import kafka as kafka_clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.events import Article
from tests.api.conftest import Running, Start, Updates, an_article, ids


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[Kafka]:
    """A Kafka whose log the test replaces."""
    node = Kafka(tmp_path / "kafka")
    await node.start()
    await kafka_topics.ensure(node.bootstrap, raw_partitions=1, replication=1)
    yield node
    await node.stop()


async def _send(node: Kafka, count: int) -> list[Article]:
    articles = [an_article() for _ in range(count)]
    async with kafka_clients.producer(node.bootstrap) as producer:
        await Updates(producer).send(*articles)
    return articles


@asynccontextmanager
async def _read(gateway: Running, cursor: str, count: int) -> AsyncIterator[list[str]]:
    async with gateway.stream(cursor=cursor) as subscriber:
        yield ids(await subscriber.events(count))


async def _refused(gateway: Running, cursor: str) -> str:
    """The cursor to resume with instead, over WebSocket and SSE."""
    async with gateway.stream(cursor=cursor) as subscriber:
        error = await subscriber.next()
        assert error["code"] == "cursor_too_old", error
        assert await subscriber.close_code() == 4400
    status, problem, _ = await gateway.get("/v1/events", headers={"Last-Event-ID": cursor})
    assert (status, problem["code"], problem["oldest"]) == (410, "cursor_too_old", error["oldest"])
    return str(error["oldest"])


async def test_cursors_of_the_future_of_an_older_copy_are_refused(
    start: Start, own_kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka is put back from an older copy: what was written since then is gone, although the log has the same id."""
    monkeypatch.setattr("api.stream.follower._VERIFY_SECONDS", 0.5)
    kept = await _send(own_kafka, 5)
    await own_kafka.stop()
    copy = own_kafka.directory.with_name("copy")
    shutil.copytree(own_kafka.directory, copy)
    await own_kafka.start()
    lost = await _send(own_kafka, 5)
    async with (
        start(kafka=own_kafka.bootstrap, timeouts={"heartbeat": 0.2}) as gateway,
        gateway.stream(cursor="earliest") as subscriber,
    ):
        whole = await subscriber.events(10)
        assert ids(whole) == [one.id for one in kept + lost]
        beat = (await subscriber.until("heartbeat"))["cursor"]
        gone = [whole[5]["cursor"], whole[9]["cursor"], beat]
        await own_kafka.stop()
        shutil.rmtree(own_kafka.directory)
        shutil.copytree(copy, own_kafka.directory)
        await own_kafka.start()
        error = await subscriber.until("error", seconds=30)
        assert error["code"] == "cursor_too_old"
        async with start(kafka=own_kafka.bootstrap, timeouts={"tail_records": 0}) as fresh:
            for cursor in gone:
                assert await _refused(fresh, cursor) == error["oldest"]
            # The new log grows past the old cursors: they do not become valid.
            new = await _send(own_kafka, 20)
            every = [one.id for one in kept + new]
            for one in (gateway, fresh):
                for cursor in gone:
                    await _refused(one, cursor)
                async with _read(one, error["oldest"], 25) as got:
                    assert got == every
                # What the copy has is continued.
                async with _read(one, whole[3]["cursor"], 21) as got:
                    assert got == every[4:]
        async with start(kafka=own_kafka.bootstrap) as later:
            for cursor in gone:
                await _refused(later, cursor)


async def test_cursors_of_a_deleted_topic_are_refused(start: Start, own_kafka: Kafka) -> None:
    """``updates`` is deleted and created again: no old cursor names an event of the new log, however long it gets."""
    await _send(own_kafka, 5)
    async with (
        start(kafka=own_kafka.bootstrap) as gateway,
        gateway.stream(cursor="earliest") as subscriber,
        start(kafka=own_kafka.bootstrap, timeouts={"heartbeat": 0.1}) as idle,
        idle.stream() as live,
    ):
        gone = [one["cursor"] for one in await subscriber.events(5)]
        first_beat = await live.until("heartbeat")
        admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka.bootstrap)
        await admin.start()
        await admin.delete_topics([kafka_topics.UPDATES.name])
        while kafka_topics.UPDATES.name in await admin.list_topics():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await admin.close()
        await kafka_topics.ensure(own_kafka.bootstrap, raw_partitions=1, replication=1)
        assert (await subscriber.until("error", seconds=20))["code"] == "cursor_too_old"
        assert (await live.until("error", seconds=20))["code"] == "cursor_too_old"
        for cursor in (*gone, first_beat["cursor"]):
            await _refused(gateway, cursor)
        new = await _send(own_kafka, 12)
        for cursor in gone:
            oldest = await _refused(gateway, cursor)
        async with _read(gateway, oldest, 12) as got:
            assert got == [one.id for one in new]
        # A heartbeat at a position where there was one in the old log has the new log's cursor.
        async with idle.stream() as again:
            beat = (await again.until("heartbeat"))["cursor"]
        async with idle.stream(cursor=beat) as again:
            assert (await again.next())["type"] == "subscribed"
