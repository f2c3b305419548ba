"""A resumed stream equals the uninterrupted stream, wherever it is resumed."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from api.stream.cursor import BadCursor, Cursors, OtherLog
from api.stream.stream_event import parse
from services import kafka as kafka_clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from tests.api.conftest import Running, Start, Updates, an_article, eventually, ids

_OWN = TopicPartition(kafka_topics.UPDATES.name, 0)


async def _cursor_now(gateway: Running) -> str:
    async with gateway.stream() as subscriber:
        return str((await subscriber.next())["cursor"])


async def _all_after(gateway: Running, cursor: str, count: int, **filters: Any) -> list[dict[str, Any]]:
    async with gateway.stream(cursor=cursor, **filters) as subscriber:
        return await subscriber.events(count)


@pytest.mark.parametrize("log_bytes", [64_000_000, 100_000])
async def test_resuming_anywhere_gives_the_uninterrupted_stream(start: Start, updates: Updates, log_bytes: int) -> None:
    """Interrupted after any event, within the shared log or before it, the parts together are the whole stream."""
    async with start(log_bytes=log_bytes) as gateway:
        begin = await _cursor_now(gateway)
        articles = [an_article(text="كلمة " * 200) for _ in range(400)]
        async with gateway.stream() as uninterrupted:
            await uninterrupted.next()
            await updates.send(*articles)
            whole = await uninterrupted.events(len(articles))
        assert ids(whole) == [one.id for one in articles]
        assert [one["cursor"] for one in whole] == sorted({one["cursor"] for one in whole})
        assert await _all_after(gateway, begin, len(whole)) == whole
        for broken_at in (0, 1, 137, 390, 398):
            rest = await _all_after(gateway, whole[broken_at]["cursor"], len(whole) - broken_at - 1)
            assert whole[: broken_at + 1] + rest == whole


async def test_the_backlog_joins_the_live_stream_while_events_arrive(start: Start, updates: Updates) -> None:
    """A subscriber that catches up from Kafka while new events arrive gets all of them once, in order."""
    async with start(log_bytes=100_000) as gateway:
        begin = await _cursor_now(gateway)
        old = [an_article(text="كلمة " * 200) for _ in range(1_000)]
        await updates.send(*old)
        new = [an_article(text="كلمة " * 200) for _ in range(300)]

        async def keep_coming() -> None:
            for one in new:
                await updates.send(one)

        writer = asyncio.create_task(keep_coming())
        got = await _all_after(gateway, begin, len(old) + len(new))
        await writer
        assert ids(got) == [one.id for one in [*old, *new]]


async def test_a_filter_applies_to_the_backlog_too(start: Start, updates: Updates) -> None:
    """Events read from Kafka are filtered too."""
    async with start(log_bytes=100_000) as gateway:
        begin = await _cursor_now(gateway)
        articles = [an_article(text="كلمة " * 200, language="ar" if n % 10 else "tr") for n in range(400)]
        await updates.send(*articles)
        got = await _all_after(gateway, begin, 40, language="tr")
        assert ids(got) == [one.id for one in articles if one.language == "tr"]


async def test_restarted_and_parallel_gateways_continue_each_others_streams(start: Start, updates: Updates) -> None:
    """Cursors are the same on every gateway: a stream can be resumed at another one, or after a restart."""
    async with start() as first, start(timeouts={"tail_records": 0}) as second:
        begin = await _cursor_now(first)
        articles = [an_article() for _ in range(30)]
        await updates.send(*articles)
        here, there = await _all_after(first, begin, 30), await _all_after(second, begin, 30)
        assert here == there
    async with start(timeouts={"tail_records": 5}) as restarted:
        rest = await _all_after(restarted, here[9]["cursor"], 20)
    assert here[:10] + rest == here


async def test_since_starts_at_a_time(gateway: Running, updates: Updates) -> None:
    """``since`` delivers events from that time on, then live ones."""
    await updates.send(an_article())
    await asyncio.sleep(0.05)
    moment = datetime.now(UTC)
    articles = [an_article(), an_article()]
    await updates.send(*articles)
    async with gateway.stream(since=moment.isoformat()) as subscriber:
        assert ids(await subscriber.events(2)) == [one.id for one in articles]
        live = an_article()
        await updates.send(live)
        assert ids(await subscriber.events(1)) == [live.id]
    async with gateway.stream(since=(moment + timedelta(hours=1)).isoformat()) as subscriber:
        later = an_article()
        await subscriber.next()
        await updates.send(later)
        assert ids(await subscriber.events(1)) == [later.id]


async def test_an_unparsable_record_is_skipped(start: Start, updates: Updates) -> None:
    """Whatever record is on ``updates``, the stream continues after it, live, from the log and from Kafka."""
    async with start() as gateway:
        begin = await _cursor_now(gateway)
        first, last = an_article(), an_article()
        await updates.send(first)
        await updates.send_raw(b"{", ("type", b"article"))
        await updates.send_raw(b'{"id":"x"}', ("type", b"story"))
        await updates.send_raw(first.encode(), ("type", b"rumour"))
        await updates.send_raw(first.encode())
        await updates.send_raw(None, ("type", b"article"))
        await updates.send(last)
        assert ids(await _all_after(gateway, begin, 2)) == [first.id, last.id]
        assert gateway.counted("unparsable_records_total 5.0")
    async with start(timeouts={"tail_records": 0}) as later:
        assert ids(await _all_after(later, begin, 2)) == [first.id, last.id]


async def test_a_write_fence_is_neither_an_event_nor_an_error(start: Start, updates: Updates) -> None:
    """A fence record between two events is visible neither to subscribers nor in metrics."""
    async with start() as gateway:
        begin = await _cursor_now(gateway)
        before = next(count for count in range(1_000) if gateway.counted(f"unparsable_records_total {count}.0"))
        first, last = an_article(), an_article()
        await updates.send(first)
        await updates.send_raw(b"", ("type", b"fence"))
        await updates.send(last)
        assert ids(await _all_after(gateway, begin, 2)) == [first.id, last.id]
        assert gateway.counted(f"unparsable_records_total {before}.0")
    async with start(timeouts={"tail_records": 0}) as later:
        assert ids(await _all_after(later, begin, 2)) == [first.id, last.id]


@pytest.fixture(scope="module")
async def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A Kafka for one test, which may delete records of ``updates`` and stop it."""
    node = Kafka(Path(tmp_path_factory.mktemp("own-kafka")))
    await node.start()
    await kafka_topics.ensure(node.bootstrap, raw_partitions=1, replication=1)
    yield node
    await node.stop()


async def test_an_error_for_a_too_old_cursor_has_the_oldest(start: Start, own_kafka: Kafka) -> None:
    """No silent gap: the error has a cursor that resumes with everything that is still kept."""
    async with kafka_clients.producer(own_kafka.bootstrap) as producer, start(kafka=own_kafka.bootstrap) as writer:
        updates = Updates(producer)
        begin = await _cursor_now(writer)
        articles = [an_article() for _ in range(20)]
        await updates.send(*articles)
        whole = await _all_after(writer, begin, 20)
        admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka.bootstrap)
        await admin.start()
        await admin.delete_records({_OWN: RecordsToDelete(before_offset=12)})
        await admin.close()
        # This gateway still has all events in memory; one that starts now does not.
        assert await _all_after(writer, begin, 20) == whole
        async with start(kafka=own_kafka.bootstrap, timeouts={"tail_records": 2}) as gateway:
            long_ago = "2020-01-01T00:00:00Z"
            for place in ({"cursor": begin}, {"cursor": whole[10]["cursor"]}, {"since": long_ago}):
                async with gateway.stream(**place) as subscriber:
                    error = await subscriber.next()
                    assert error["code"] == "cursor_too_old"
                    assert await subscriber.close_code() == 4400
                status, problem, _ = await gateway.get("/v1/events", params=place)
                assert (status, problem["code"]) == (410, "cursor_too_old")
                assert problem["oldest"] == error["oldest"]
            assert await _all_after(gateway, error["oldest"], 8) == whole[12:]


async def test_the_gateway_survives_kafka(start: Start, own_kafka: Kafka) -> None:
    """Without Kafka, subscribers stay connected and only ``/readyz`` changes; later the stream continues."""
    async with start(kafka=own_kafka.bootstrap, timeouts={"heartbeat": 0.3}) as gateway, gateway.stream() as reader:
        await reader.next()
        await own_kafka.stop()
        assert (await reader.until("heartbeat"))["cursor"]
        status, body, _ = await gateway.get("/readyz")
        assert status == 503
        assert body["checks"]["kafka"] != "ok"
        assert (await gateway.get("/healthz"))[0] == 200
        await own_kafka.start()
        article = an_article()
        async with kafka_clients.producer(own_kafka.bootstrap) as producer:
            await Updates(producer).send(article)
        assert ids(await reader.events(1, seconds=30)) == [article.id]


async def test_a_restarted_stream_ends_old_subscriptions(start: Start, own_kafka: Kafka) -> None:
    """When ``updates`` was deleted and created again, no subscription waits for a position that will never come."""
    async with start(kafka=own_kafka.bootstrap) as gateway, gateway.stream() as subscriber:
        await subscriber.next()
        admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka.bootstrap)
        await admin.start()
        await admin.delete_topics([kafka_topics.UPDATES.name])
        while kafka_topics.UPDATES.name in await admin.list_topics():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await admin.close()
        await kafka_topics.ensure(own_kafka.bootstrap, raw_partitions=1, replication=1)
        assert (await subscriber.until("error", seconds=20))["code"] == "cursor_too_old"
        assert await subscriber.close_code() == 4400
        article = an_article()
        async with gateway.stream() as fresh, kafka_clients.producer(own_kafka.bootstrap) as producer:
            await fresh.next()
            await Updates(producer).send(article)
            assert ids(await fresh.events(1)) == [article.id]


async def test_a_gateway_that_never_reached_kafka_is_not_ready(start: Start) -> None:
    """Without Kafka at its start it runs, is not ready, and answers subscriptions with ``unavailable``."""
    async with start(kafka="127.0.0.1:9", wait=False, timeouts={"connect": 0.2}) as gateway:
        assert (await gateway.get("/healthz"))[0] == 200
        assert (await gateway.get("/readyz"))[0] == 503
        status, problem, response = await gateway.get("/v1/events")
        assert (status, problem["status"]) == (503, 503)
        assert response.headers["Retry-After"]
        async with gateway.stream() as subscriber:
            assert (await subscriber.next())["code"] == "unavailable"
            assert await subscriber.close_code() == 1013


def test_cursors_of_another_installation_are_detected() -> None:
    """A cursor is valid only for its own log, and increases as a string with its offset."""
    ours, theirs = Cursors("one"), Cursors("two")
    offsets = [-1, 0, 1, 9, 10, 255, 256, 10**6, 10**12]
    for check in (0, 1, 2**32 - 1):
        encoded = [ours.encode(offset, check) for offset in offsets]
        assert encoded == sorted(set(encoded))
        assert [ours.decode(text) for text in encoded] == [(offset, check) for offset in offsets]
        assert len({len(text) for text in encoded}) == 1
    for wrong in (theirs.encode(5), theirs.encode(5, 7), secrets.token_hex(16), secrets.token_hex(12)):
        with pytest.raises(OtherLog):
            ours.decode(wrong)
    for wrong in (encoded[3].upper() + "x", "", "0" * 23, ours.encode(10)[:-1] + "g", "earliest"):
        with pytest.raises(BadCursor):
            ours.decode(wrong)


def test_cursors_of_older_versions_are_understood() -> None:
    """A client that saved a cursor before an upgrade continues where it was."""
    cluster = "kR0Qf3XlR8mX1yTnqZQJ2g"
    old = "0000000000000010" + blake2b(cluster.encode() + b"0000000000000010", digest_size=4).hexdigest()
    assert Cursors(f"{cluster}/some-topic-id/updates-0").decode(old) == (15, 0)
    with pytest.raises(OtherLog):
        Cursors("another/some-topic-id/updates-0").decode(old)


async def test_subscribers_that_catch_up_share_reads(
    start: Start, updates: Updates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few consumers serve many subscribers far behind; a page is read once for all, and all catch up."""
    parsed = Counter[int]()

    def counting(record: Any, cursors: Any) -> Any:
        parsed[record.offset] += 1
        return parse(record, cursors)

    monkeypatch.setattr("api.stream.backlog.parse", counting)
    async with start(log_bytes=100_000) as gateway:
        begin = await _cursor_now(gateway)
        articles = [an_article(text="كلمة " * 1_000) for _ in range(250)]
        await updates.send(*articles)
        await eventually(lambda: gateway.gateway.log.start > 0)
        opened, open_reader = [], gateway.gateway.backlog._open
        counts = [0] * 8
        when_first_had_all: list[int] = []

        async def counted_open() -> Any:
            opened.append(1)
            return await open_reader()

        async def catch_up(number: int) -> list[str]:
            got: list[str] = []
            async with gateway.stream(cursor=begin) as subscriber:
                while len(got) < len(articles):
                    got += ids(await subscriber.events(1))
                    counts[number] = len(got)
            if not when_first_had_all:
                when_first_had_all.extend(counts)
            return got

        gateway.gateway.backlog._open = counted_open  # type: ignore[method-assign]
        every = await asyncio.gather(*(catch_up(number) for number in range(len(counts))))
        assert every == [[one.id for one in articles]] * len(counts)
        assert len(opened) <= 4
        assert sum(parsed.values()) < 2 * len(parsed)
        assert min(when_first_had_all) > len(articles) / 2
