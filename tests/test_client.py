"""The Python client against the real gateway; a line that breaks, and a newer gateway, are made here."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from websockets.asyncio.server import ServerConnection, serve

import khabar
from khabar import stream
from services import kafka as kafka_clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from tests.api import conftest as gateways
from tests.api.conftest import Running, Start, Updates, a_story, a_trend, an_article, an_entity, eventually
from tests.harness import hashed

gateway = gateways.gateway
start = gateways.start
updates = gateways.updates


async def _some(events: khabar.Events, count: int, *, seconds: float = 30) -> list[khabar.Event]:
    async with asyncio.timeout(seconds):
        return [await anext(events) for _ in range(count)]


def _ids(events: list[khabar.Event]) -> list[str]:
    return [event.data.id for event in events]


async def test_events_are_typed_and_filtered(gateway: Running, updates: Updates) -> None:
    """Each kind with its own model; one value or several; what is published once it is entered comes."""
    article = an_article(language="ar", entities=[an_entity("Q7747", "بوتين")])
    story, trend = a_story(languages=["ar"], entities=[an_entity("Q7747")]), a_trend(id="Q7747")
    async with khabar.connect(gateway.url, entity="Q7747", type=["article", "story", "trend"]) as events:
        assert events.cursor
        await updates.send(an_article(), article, a_story(), story, trend)
        first, second, third = await _some(events, 3)
    assert isinstance(first, khabar.ArticleEvent) and first.data == article
    assert isinstance(second, khabar.StoryEvent) and second.data == story
    assert isinstance(third, khabar.TrendEvent) and third.data == trend
    assert [first.type, second.type, third.type] == ["article", "story", "trend"]
    assert first.cursor < second.cursor < third.cursor
    assert abs(datetime.now(UTC) - first.time) < timedelta(minutes=1)
    copies = an_article(language="fr", duplicate_of="x"), an_article(language="en", duplicate_of="x")
    async with khabar.connect(gateway.url, language=("fr", "en"), duplicates="only", q="الخبر") as events:
        await updates.send(an_article(language="fr"), *copies, an_article(language="ar", duplicate_of="x"))
        assert _ids(await _some(events, 2)) == [one.id for one in copies]


async def test_the_cursor_stands_after_what_the_loop_is_done_with(gateway: Running, updates: Updates) -> None:
    """Broken off within a turn, that event comes again; with the cursor of the event itself it does not."""
    articles = [an_article() for _ in range(4)]
    async with khabar.connect(gateway.url) as events:
        begin = events.cursor
        await updates.send(*articles)
        async for event in events:
            if event.data.id == articles[0].id:
                assert events.cursor == begin
                after_first = event.cursor
            elif event.data.id == articles[1].id:
                assert events.cursor == after_first
                break
        during_second, after_second = events.cursor, event.cursor
    async with khabar.connect(gateway.url, cursor=during_second, since="2020-01-01T00:00:00Z") as events:
        assert events.cursor == during_second
        assert _ids(await _some(events, 3)) == [one.id for one in articles[1:]]
    async with khabar.connect(gateway.url, cursor=after_second) as events:
        assert _ids(await _some(events, 2)) == [one.id for one in articles[2:]]


async def test_the_cursor_moves_on_where_nothing_passes_the_filter(start: Start, updates: Updates) -> None:
    """Heartbeats carry it, so that a quiet subscription does not fall out of what is kept."""
    async with start(timeouts={"heartbeat": 0.2}) as gateway, khabar.connect(gateway.url, entity="none") as events:
        begin = events.cursor
        waiting = asyncio.create_task(anext(events))
        await updates.send(an_article())
        await eventually(lambda: events.cursor != begin)
        waiting.cancel()


async def test_since_begins_at_a_time(gateway: Running, updates: Updates) -> None:
    """As a datetime or as text; a time needs a zone, a filter a value."""
    article = an_article(language="is")
    await asyncio.sleep(0.01)
    begin = datetime.now(UTC)
    await updates.send(article)
    for since in (begin, begin.isoformat(), begin.astimezone(), begin.isoformat().replace("+00:00", "Z")):
        async with khabar.connect(gateway.url, language="is", since=since) as events:
            assert _ids(await _some(events, 1)) == [article.id]
    with pytest.raises(ValueError, match="zone"):
        khabar.connect(gateway.url, since=datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="entity"):
        khabar.connect(gateway.url, entity=[])


@pytest.mark.parametrize("form", ["http://{}", "ws://{}", "{}", "http://{}/", "ws://{}/v1/stream"])
async def test_addresses(gateway: Running, form: str) -> None:
    """With either scheme or none, of the gateway or of its stream."""
    async with asyncio.timeout(10), khabar.connect(form.format(f"localhost:{gateway.port}")) as events:
        assert events.cursor


async def test_a_gateway_that_restarts_is_no_interruption(start: Start, updates: Updates) -> None:
    """It says goodbye, is away while events come, and is back: each event once, in order."""
    articles = [an_article() for _ in range(30)]
    async with start() as first:
        events = await khabar.connect(first.url).__aenter__()
        await updates.send(*articles[:10])
        got = await _some(events, 5)
        port = first.port
    await updates.send(*articles[10:20])
    reading = asyncio.create_task(_some(events, 25))
    await asyncio.sleep(0.3)
    async with start(at=port):
        await updates.send(*articles[20:])
        got += await reading
        await events.close()
    assert _ids(got) == [one.id for one in articles]


class _Line:
    """A line to a gateway that can be cut, and held.

    With ``brittle`` it breaks by itself: the n-th connection after n times as many bytes from the gateway.
    """

    def __init__(self, port: int, brittle: int) -> None:
        self._to = port
        self._brittle = brittle
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.open = asyncio.Event()
        self.open.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, both ways."""
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, back}
        most = self._brittle * self.connections or None
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer, most), return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None = None) -> None:
        carried = 0
        try:
            while data := await reader.read(1_000):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
                carried += len(data)
                if most is not None and carried >= most:
                    self.cut()
        finally:
            writer.close()

    def cut(self) -> None:
        """Break every connection there is, in the middle of whatever it carries."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def _line(port: int, brittle: int = 0) -> AsyncIterator[tuple[_Line, str]]:
    line = _Line(port, brittle)
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    try:
        yield line, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        line.cut()


async def test_a_line_that_is_cut_again_and_again_loses_nothing(gateway: Running, updates: Updates) -> None:
    """Wherever in a frame it breaks: each event once, in order."""
    articles = [an_article() for _ in range(400)]
    async with _line(gateway.port, brittle=10_000) as (line, url), khabar.connect(url) as events:
        sending = asyncio.create_task(_slowly(updates, articles))
        got = await _some(events, len(articles))
        await sending
        assert line.connections > 3
    assert _ids(got) == [one.id for one in articles]


async def test_silence_is_an_interruption(gateway: Running, updates: Updates, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line on which nothing comes any more, not even heartbeats, is given up for a new one."""
    async with _line(gateway.port) as (line, url), khabar.connect(url) as events:
        monkeypatch.setattr(stream, "SILENCE", 0.5)
        line.open.clear()
        article = an_article()
        await updates.send(article)
        reading = asyncio.create_task(_some(events, 1))
        await eventually(lambda: line.connections > 1)
        line.open.set()
        assert _ids(await reading) == [article.id]


async def test_a_loop_that_is_too_slow_gets_everything_all_the_same(start: Start, updates: Updates) -> None:
    """The gateway cuts off who does not read; the client comes back for the rest."""
    articles = [an_article(text="كلمة " * 100_000) for _ in range(60)]
    async with start(timeouts={"send": 0.2, "close": 0.2}) as gateway, khabar.connect(gateway.url) as events:
        await updates.send(*articles)
        got = await _some(events, 1)
        await eventually(lambda: gateway.counted("too_slow_total 1.0"))
        got += await _some(events, len(articles) - 1)
    assert _ids(got) == [one.id for one in articles]


async def test_giving_up_waiting_loses_nothing(gateway: Running, updates: Updates) -> None:
    """Cancelled between, before and while events come, and while it connects again: each once, in order."""
    articles = [an_article() for _ in range(200)]
    async with _line(gateway.port) as (line, url), khabar.connect(url) as events:
        got: list[khabar.Event] = []
        sending = asyncio.create_task(_slowly(updates, articles))
        given_up = 0
        async with asyncio.timeout(60):
            while len(got) < len(articles):
                try:
                    async with asyncio.timeout(0.001):
                        got.append(await anext(events))
                except TimeoutError:
                    given_up += 1
                if len(got) == 100 and line.connections == 1:
                    line.cut()
        await sending
        assert given_up > 5
        assert line.connections > 1
    assert _ids(got) == [one.id for one in articles]


async def _slowly(updates: Updates, articles: list[khabar.Article]) -> None:
    for article in articles:
        await updates.send(article)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("bad_filter", {"language": "klingon"}),
        ("bad_cursor", {"cursor": "elsewhere"}),
        ("bad_request", {"since": "yesterday"}),
        ("unauthorized", {}),
        ("unauthorized", {"api_key": "wrong"}),
        ("forbidden", {"api_key": "writer"}),
    ],
)
async def test_what_cannot_work_is_refused(start: Start, code: str, options: dict[str, Any]) -> None:
    """With the gateway's code and sentence, when it is entered, at once."""
    keys = {} if code.startswith("bad") else {"api_keys": hashed("reader:read", "writer:write")}
    async with start(**keys, limits={"authenticate": 60.0}) as gateway, asyncio.timeout(10):
        with pytest.raises(khabar.Refused) as refused:
            async with khabar.connect(gateway.url, **options):
                pass
        assert refused.value.code == code
        assert refused.value.message == str(refused.value)


async def test_a_key_opens_the_stream(start: Start, updates: Updates) -> None:
    """Also again after an interruption."""
    async with (
        start(api_keys=hashed("reader:read")) as gateway,
        _line(gateway.port) as (line, url),
        khabar.connect(url, api_key="reader") as events,
    ):
        line.cut()
        article = an_article()
        await updates.send(article)
        assert _ids(await _some(events, 1)) == [article.id]


async def test_an_address_without_a_stream_is_refused(gateway: Running) -> None:
    """Another path of a gateway, a server that speaks otherwise, no address."""
    async with _gateway(_says("hello"), _says('{"type": "article", "data": {}}')) as elsewhere:
        for url in (f"{gateway.url}/foo", elsewhere, elsewhere, "ftp://localhost", "http://[::1"):
            with pytest.raises(khabar.Refused) as refused:
                async with asyncio.timeout(10), khabar.connect(url):
                    pass
            assert refused.value.code == "no_stream"


async def test_what_is_no_longer_kept(
    start: Start, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``TooOld`` names the oldest cursor; with ``on_gap="skip"`` it goes on there by itself."""
    kafka = Kafka(tmp_path_factory.mktemp("own-kafka"))
    await kafka.start()
    await kafka_topics.ensure(kafka.bootstrap, raw_partitions=1, replication=1)
    articles = [an_article() for _ in range(10)]
    async with kafka_clients.producer(kafka.bootstrap) as producer, start(kafka=kafka.bootstrap) as first:
        async with khabar.connect(first.url) as events:
            begin = events.cursor
        await Updates(producer).send(*articles)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(kafka_topics.UPDATES.name, 0): RecordsToDelete(before_offset=4)})
    await admin.close()
    async with start(kafka=kafka.bootstrap, limits={"tail_records": 2}) as second, asyncio.timeout(30):
        with pytest.raises(khabar.TooOld) as too_old:
            async with khabar.connect(second.url, cursor=begin):
                pass
        async with khabar.connect(second.url, cursor=too_old.value.oldest) as events:
            kept = await _some(events, 6)
        assert _ids(kept) == [one.id for one in articles[4:]]
        async with khabar.connect(second.url, cursor=begin, on_gap="skip") as events:
            assert await _some(events, 6) == kept
    await kafka.stop()


Answers = Callable[[ServerConnection], Awaitable[None]]


def _says(*frames: str | dict[str, Any]) -> Answers:
    async def say(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame if isinstance(frame, str) else json.dumps(frame))
        await connection.wait_closed()

    return say


@asynccontextmanager
async def _gateway(*answers: Answers) -> AsyncIterator[str]:
    """A gateway of another version, with an answer to each connection."""
    left = list(answers)

    async def answer(connection: ServerConnection) -> None:
        await left.pop(0)(connection)

    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def _envelope(cursor: str, kind: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"cursor": cursor, "type": kind, "time": "2026-01-31T09:30:00.000Z", "data": data, **more}


async def test_a_newer_gateway_does_not_break_an_older_client() -> None:
    """Fields, events and messages that it does not know, and new kinds of what it knows, are no errors."""
    article = json.loads(an_article(entities=[an_entity("Q1")]).encode()) | {"mood": {"joy": 1}}
    article["entities"][0] |= {"type": "EVENT", "weight": 2}
    trend = json.loads(a_trend().encode()) | {"window": "7d"}
    frames = (
        {"type": "subscribed", "cursor": "c0", "filter": {}, "shard": 1},
        {"type": "weather", "temperature": 20},
        _envelope("c1", "obituary", {"id": "o"}),
        "\n".join(map(json.dumps, (_envelope("c2", "article", article, signed="x"), _envelope("c3", "trend", trend)))),
        _envelope("c4", "story", {"id": 7}),
        {"type": "error", "code": "out_of_coffee", "message": "wait a moment"},
        _envelope("c5", "article", article),
    )
    async with _gateway(_says(*frames)) as url, khabar.connect(url) as events:
        assert events.cursor == "c0"
        first, second = await _some(events, 2)
        assert isinstance(first.data, khabar.Article) and isinstance(second.data, khabar.Trend)
        assert isinstance(first.data.entities[0], khabar.Entity)
        assert (first.cursor, first.data.entities[0].type, second.data.window) == ("c2", "EVENT", "7d")
        with pytest.raises(khabar.Unreadable, match=r"story.*data\.id") as unreadable:
            await anext(events)
        assert unreadable.value.cursor == "c4"
        assert (await anext(events)).cursor == "c5"


async def test_errors_and_cursors_wait_for_their_turn() -> None:
    """What came before an error is handed over first, also when all came in one frame."""
    article = json.loads(an_article().encode())
    frame = "\n".join(
        map(
            json.dumps,
            (
                {"type": "subscribed", "cursor": "c0", "filter": {}},
                _envelope("c1", "article", article),
                {"type": "heartbeat", "cursor": "c2"},
                {"type": "error", "code": "bad_cursor", "message": "the stream began again"},
            ),
        )
    )
    async with _gateway(_says(frame)) as url, khabar.connect(url) as events:
        assert events.cursor == "c0"
        await anext(events)
        assert events.cursor == "c0"
        with pytest.raises(khabar.Refused, match="began again"):
            await anext(events)
        assert events.cursor == "c2"


async def test_where_an_error_says_to_resume_takes_nothing_back() -> None:
    """The gateway may not know that its last frame arrived: it is not asked for again."""
    article = json.loads(an_article().encode())
    asked: list[str] = []

    async def cut_off(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "subscribed", "cursor": "c0", "filter": {}}))
        await connection.send("\n".join(json.dumps(_envelope(cursor, "article", article)) for cursor in ("c1", "c2")))
        await connection.send(json.dumps({"type": "error", "code": "too_slow", "message": "", "cursor": "c0"}))
        await connection.close(4408)

    async def go_on(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        await _says(_envelope("c3", "article", article))(connection)

    async with _gateway(cut_off, go_on) as url, khabar.connect(url, language="ar") as events:
        assert [event.cursor for event in await _some(events, 3)] == ["c1", "c2", "c3"]
    assert asked == ["/v1/stream?language=ar&cursor=c2"]


async def test_a_gateway_that_is_away_is_tried_again_and_again_but_not_busily(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ever more seldom; giving up leaves no task behind."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.5), khabar.connect(f"127.0.0.1:{free_port()}"):
            pass
    assert 2 <= len(caplog.records) <= 5
    assert all("stream_interrupted" in record.getMessage() for record in caplog.records)
    assert not _left_behind()


async def test_closing_leaves_nothing_behind(start: Start, updates: Updates) -> None:
    """No task and no connection, however it ends; a loop that another task closes comes to its end."""
    async with start() as gateway:
        articles = [an_article(), an_article()]
        async with khabar.connect(gateway.url) as events:
            await updates.send(*articles)
            async for _ in events:
                break
        with pytest.raises(ZeroDivisionError):
            async with khabar.connect(gateway.url) as events:
                raise ZeroDivisionError
        async with khabar.connect(gateway.url) as events:
            reading = asyncio.create_task(_all(events))
            await updates.send(*articles)
            await asyncio.sleep(0.3)
            await events.close()
            assert _ids(await reading) == [one.id for one in articles]
        with pytest.raises(RuntimeError):
            async with events:
                pass
        await eventually(lambda: gateway.counted('connections{transport="websocket"} 0.0'))
        assert not _left_behind()


def _left_behind() -> list[str]:
    return [name for task in asyncio.all_tasks() if "Stream._" in (name := repr(task)) or "websockets" in name]


async def _all(events: khabar.Events) -> list[khabar.Event]:
    return [event async for event in events]


def test_the_client_loads_nothing_heavy() -> None:
    """Neither Kafka, the web framework nor anything else of Khabar."""
    code = (
        "import sys; before = set(sys.modules); import khabar; khabar.connect;"
        "print(*{name for name in set(sys.modules) - before if name.split('.')[0] not in sys.stdlib_module_names})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    tops = {name.split(".")[0] for name in loaded if not name.startswith("_")}
    pydantics = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
    assert tops == {"khabar", "websockets"} | pydantics
    assert Path(khabar.__file__).with_name("py.typed").exists()
