"""Whatever a foreign producer writes on ``updates``: the gateway skips it, counts it, and goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import ConsumerRecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.stream.cursor import Cursors
from api.stream.stream_event import Event, Unparsable, parse
from khabar.messages import read as read_event
from services import kafka as kafka_clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from tests.api.conftest import Start, Updates, a_story, a_trend, an_article, eventually, ids

_TYPE = ("type", b"article")
_TOPIC = kafka_topics.UPDATES.name


@pytest.fixture(scope="module")
async def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A Kafka for the records of these tests alone."""
    node = Kafka(Path(tmp_path_factory.mktemp("foreign-kafka")))
    await node.start()
    await kafka_topics.ensure(node.bootstrap, raw_partitions=1, replication=1)
    yield node
    await node.stop()


class _Raw(str):
    """The name of a header with bytes that are not UTF-8."""

    def encode(self, *_: object) -> bytes:
        """The bytes."""
        return b"\xff\xfe"


class _Foreign:
    """A producer that writes anything."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=20_000_000)
        self.updates = Updates(self.producer)

    async def send(self, value: Any, *headers: Any, milliseconds: int | None = None, key: Any = b"k") -> None:
        """Publish one record."""
        sent = self.producer.send_and_wait(
            _TOPIC, value, key=key, headers=list(headers), timestamp_ms=milliseconds, partition=0
        )
        await sent

    async def transaction(self, *values: bytes, commit: bool) -> None:
        """Publish these as articles in a transaction."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id="foreign") as producer:
            await producer.begin_transaction()
            for value in values:
                await producer.send_and_wait(_TOPIC, value, key=b"k", headers=[_TYPE])
            await (producer.commit_transaction() if commit else producer.abort_transaction())


@pytest.fixture
async def foreign(own_kafka: Kafka) -> AsyncIterator[_Foreign]:
    """A foreign producer."""
    made = _Foreign(own_kafka.bootstrap)
    await made.producer.start()
    yield made
    await made.producer.stop()


def _changed(**fields: object) -> bytes:
    return json.dumps(json.loads(an_article().encode()) | fields).encode()


def _bad_records() -> list[tuple[Any, list[Any], int | None]]:
    """Value, headers and time of records that are no events."""
    whole = an_article().encode()
    deep = b"[" * 5_000 + b"]" * 5_000
    trend = json.loads(a_trend().encode())
    return [
        (whole, [("type", None)], None),
        (whole, [("type", b"\xff\xfe")], None),
        (whole, [("type", b"x" * 10_000)], None),
        (whole, [], None),
        (whole, [("Type", b"article")], None),
        (None, [_TYPE], None),
        (b"", [_TYPE], None),
        (b"not JSON", [_TYPE], None),
        (b"\xff\xfe", [_TYPE], None),
        (b"[]", [_TYPE], None),
        (b"null", [_TYPE], None),
        (deep, [_TYPE], None),
        (b'{"x":' + deep + b"," + whole[1:], [_TYPE], None),
        (_changed(language_score=float("nan")), [_TYPE], None),
        (_changed(language_score=float("inf")), [_TYPE], None),
        (_changed(similarity=float("-inf")), [_TYPE], None),
        (_changed(language_score=0.5).replace(b"0.5", b"1e999"), [_TYPE], None),
        (_changed(title="X").replace(b'"X"', b'"\\ud800"'), [_TYPE], None),
        (json.dumps(trend | {"score": float("nan")}).encode(), [("type", b"trend")], None),
        (b'{"kind":"entity","id":"Q1"}', [("type", b"trend")], None),
        (whole, [_TYPE], -100_000_000_000_000),
        (whole, [_TYPE], -62_135_596_800_001),
    ]


async def test_no_foreign_record_stops_the_stream(start: Start, foreign: _Foreign) -> None:
    """Records that are no events are skipped and counted, live, from the log and from Kafka; the next one comes."""
    bad = _bad_records()
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as gateway, gateway.stream() as live:
        begin = (await live.next())["cursor"]
        sent = []
        for value, headers, milliseconds in bad:
            await foreign.send(value, *headers, milliseconds=milliseconds)
            sent.append(an_article())
            await foreign.updates.send(sent[-1])
        wanted = [one.id for one in sent]
        assert ids(await live.events(len(sent))) == wanted
        await eventually(lambda: gateway.counted(f"unparsable_records_total {len(bad)}.0"))
        async with gateway.stream(cursor=begin) as again:
            assert ids(await again.events(len(sent))) == wanted
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as later, later.stream(cursor=begin) as old:
        assert ids(await old.events(len(sent))) == wanted


async def test_a_header_name_that_is_not_utf_8_is_skipped(
    start: Start, foreign: _Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that the Kafka client cannot decode costs nothing but itself: those before and after it come."""
    first, last = an_article(), an_article()
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as gateway, gateway.stream() as live:
        begin = (await live.next())["cursor"]
        # The one that is written in C takes no such name.
        monkeypatch.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        batch = foreign.producer.create_batch()
        for value, more in ((first.encode(), []), (b"{}", [(_Raw("x"), b"")]), (b"{}", [(_Raw("x"), b"")])):
            assert batch.append(key=b"k", value=value, timestamp=None, headers=[_TYPE, *more])
        batch.close()
        await (await foreign.producer.send_batch(batch, _TOPIC, partition=0))
        await foreign.updates.send(last)
        assert ids(await live.events(2)) == [first.id, last.id]
        await eventually(lambda: gateway.counted("unparsable_records_total 2.0"))
        async with gateway.stream(cursor=begin) as again:
            assert ids(await again.events(2)) == [first.id, last.id]
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as later, later.stream(cursor=begin) as old:
        assert ids(await old.events(2)) == [first.id, last.id]


async def test_a_flood_of_foreign_records_is_no_flood_of_log_lines(
    start: Start, foreign: _Foreign, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thousand bad records are one line."""
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as gateway:
        capsys.readouterr()
        for one in [await foreign.producer.send(_TOPIC, b"{", headers=[_TYPE]) for _ in range(1_000)]:
            await one
        await eventually(lambda: gateway.counted("unparsable_records_total 1000.0"))
    written = capsys.readouterr()
    assert (written.out + written.err).count("records_skipped") == 1


async def test_only_committed_records_are_delivered(start: Start, foreign: _Foreign) -> None:
    """An aborted transaction is never seen. The stream is at its end, also when that is a transaction marker."""
    committed, after = an_article(), an_article()
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as gateway, gateway.stream() as live:
        begin = (await live.next())["cursor"]
        await foreign.transaction(an_article().encode(), an_article().encode(), commit=False)
        await foreign.transaction(committed.encode(), commit=True)
        await foreign.transaction(an_article().encode(), commit=False)
        assert ids(await live.events(1)) == [committed.id]
        end = await gateway.gateway.follower.end()
        await eventually(lambda: gateway.gateway.log.end == end)
        async with kafka_clients.reader(foreign.bootstrap, _TOPIC) as reader:
            async with asyncio.timeout(5):
                found = [one async for one in reader.between(end - 6, await reader.end())]
            assert [one.value for one in found] == [committed.encode()]
        # A gateway that starts now is ready, and continues from Kafka.
        async with (
            start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as later,
            later.stream(cursor=begin) as old,
        ):
            assert ids(await old.events(1)) == [committed.id]
            await foreign.updates.send(after)
            assert ids(await old.events(1)) == [after.id]
        assert ids(await live.events(1)) == [after.id]


async def test_every_codec_is_read(start: Start, foreign: _Foreign) -> None:
    """Foreign producers compress as they like."""
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as gateway, gateway.stream() as live:
        await live.next()
        for codec in (None, "gzip", "snappy", "lz4", "zstd"):
            async with AIOKafkaProducer(bootstrap_servers=foreign.bootstrap, compression_type=codec) as producer:
                article = an_article(text="كلمة " * 1_000)
                await Updates(producer).send(article)
                assert ids(await live.events(1)) == [article.id]


async def test_a_record_larger_than_any_event_is_skipped(start: Start, foreign: _Foreign) -> None:
    """Compression gets records through Kafka's limit; the largest event that the pipeline can write still comes."""
    most = kafka_clients.MAX_RECORD_BYTES
    base = len(an_article(text="").encode())
    async with (
        AIOKafkaProducer(
            bootstrap_servers=foreign.bootstrap, compression_type="lz4", max_request_size=20_000_000
        ) as producer,
        start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as gateway,
        gateway.stream() as live,
    ):
        await live.next()
        updates = Updates(producer)
        largest = an_article(text="x" * (most - base - 20))
        await updates.send(an_article(text="x" * (most + 1)), largest)
        assert ids(await live.events(1)) == [largest.id]
        await eventually(lambda: gateway.counted("unparsable_records_total 1.0"))


async def test_line_breaks_of_unicode_are_escaped(start: Start, foreign: _Foreign) -> None:
    """No frame, event or answer has a character at which a client's lines could end, and the text is the same."""
    breaks = "\u0085\u2028\u2029\v\f\x1c\x1d\x1e\r\n"
    article = an_article(text=f"a{breaks}b", source=f"s{breaks}", authors=[breaks])
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as gateway, gateway.stream() as live:
        begin = (await live.next())["cursor"]
        await foreign.updates.send(article)
        (envelope,) = [json.loads(line) for line in str(await live.socket.recv()).splitlines()]
        event: Any = read_event(envelope)
        assert (event.data.text, event.data.source, event.data.authors) == (
            article.text,
            article.source,
            article.authors,
        )
        await live.op(op="subscribe", filter={"source": ["x\u2028y"]})
        (answer,) = [json.loads(line) for line in str(await live.socket.recv()).splitlines()]
        assert answer["filter"]["source"] == ["x\u2028y"]
        async with gateway.http.get(f"{gateway.url}/v1/events", params={"cursor": begin}) as response:
            received = ""
            while '"authors"' not in received:
                received += (await response.content.readline()).decode()
            data = [line for line in received.splitlines() if '"authors"' in line]
            assert json.loads(data[0].removeprefix("data: ")) == envelope


async def test_what_leaves_is_written_by_the_models(start: Start, foreign: _Foreign) -> None:
    """Members that are given twice or that the models do not have are not passed on."""
    whole = json.loads(an_article().encode())
    odd = b'{"id":"first","id":"odd","more":NaN,' + json.dumps(whole, indent=1).encode()[1:].replace(
        b'"id": "%b",' % whole["id"].encode(), b""
    )
    async with start(kafka=foreign.bootstrap, timeouts={"tail_records": 0}) as gateway, gateway.stream() as live:
        await live.next()
        await foreign.send(odd, _TYPE)
        last = an_article()
        await foreign.updates.send(last)
        frames = str(await live.socket.recv())
        while last.id not in frames:
            frames += "\n" + str(await live.socket.recv())
    first = frames.split("\n")[0]
    pairs = json.loads(first, object_pairs_hook=lambda found: found, parse_constant=lambda _: pytest.fail("NaN"))
    data = dict(pairs)["data"]
    assert [name for name, _ in data] == list(whole)
    assert dict(data)["id"] == "odd"


_VALUES = st.one_of(
    st.none(),
    st.binary(max_size=200),
    st.builds(
        lambda fields: _changed(**fields),
        st.dictionaries(
            st.sampled_from(list(json.loads(an_article().encode()))),
            st.none() | st.floats() | st.text() | st.lists(st.integers(), max_size=2),
        ),
    ),
    st.sampled_from([an_article(), a_story(), a_trend()]).map(lambda one: one.encode()),
)
_HEADERS = st.lists(
    st.tuples(
        st.just("type") | st.text(max_size=5),
        st.none() | st.sampled_from([b"article", b"story", b"trend"]) | st.binary(max_size=10),
    ),
    max_size=3,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_VALUES, _HEADERS, st.integers(-(2**63), 2**63 - 1), st.none() | st.binary(max_size=9))
def test_any_record_is_an_event_or_unparsable(
    value: bytes | None, headers: list[tuple[str, bytes | None]], milliseconds: int, key: bytes | None
) -> None:
    """Parsing raises nothing else, and an event is one line of strict JSON that the client can read."""
    record: Any = ConsumerRecord(
        _TOPIC, 0, 7, milliseconds, 0, key, value, None, len(key or b""), len(value or b""), tuple(headers)
    )
    try:
        event: Event = parse(record, Cursors("one"))
    except Unparsable:
        return
    line = event.line.decode()
    assert len(line.splitlines()) == 1
    envelope = json.loads(line, parse_constant=lambda _: pytest.fail("no JSON"))
    read_event(envelope)
