"""The stream over WebSocket: delivery, ops, errors."""

import asyncio
import json
import socket
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Frame, Opcode

from api.stream.log import CHUNK_BYTES
from tests.api.conftest import Running, Start, Updates, a_story, an_article, an_entity, eventually, ids
from tests.api.raw import raw


async def test_events_are_delivered_live_as_they_are_on_kafka(gateway: Running, updates: Updates) -> None:
    """A subscriber first gets its cursor, then each event with type, time, cursor and the data unchanged."""
    article, story = an_article(entities=[an_entity("Q39760")]), a_story()
    async with gateway.stream() as subscriber:
        subscribed = await subscriber.next()
        assert subscribed["type"] == "subscribed"
        assert subscribed["filter"] == {"duplicates": "hide"}
        await updates.send(article, story)
        first, second = await subscriber.events(2)
    assert (first["type"], second["type"]) == ("article", "story")
    assert first["data"] == json.loads(article.encode())
    assert second["data"] == json.loads(story.encode())
    assert subscribed["cursor"] < first["cursor"] < second["cursor"]
    assert first["time"].endswith("Z") and "T" in first["time"] and "." in first["time"]


async def test_several_events_are_one_frame_with_one_json_a_line(gateway: Running, updates: Updates) -> None:
    """Events that are available at a resume are sent together, one envelope a line."""
    async with gateway.stream() as subscriber:
        cursor = (await subscriber.next())["cursor"]
    articles = [an_article() for _ in range(50)]
    await updates.send(*articles)
    await asyncio.sleep(0.3)
    async with connect(f"ws://127.0.0.1:{gateway.port}/v1/stream?cursor={cursor}") as socket:
        assert json.loads(await socket.recv())["type"] == "subscribed"
        lines = str(await socket.recv()).split("\n")
    assert ids(map(json.loads, lines)) == [one.id for one in articles]


async def test_subscribe_changes_filter_and_position_without_reconnecting(gateway: Running, updates: Updates) -> None:
    """The answer to ``subscribe`` has the cursor after which the new filter applies; a cursor moves the position."""
    french, arabic = an_article(language="fr"), an_article()
    async with gateway.stream(language="fr") as subscriber:
        first = await subscriber.next()
        await updates.send(french, arabic)
        assert ids(await subscriber.events(1)) == [french.id]
        await subscriber.op(op="subscribe", filter={"language": ["ar", "en"]}, cursor=first["cursor"])
        again = await subscriber.until("subscribed")
        assert again["cursor"] == first["cursor"]
        assert again["filter"] == {"language": ["ar", "en"], "duplicates": "hide"}
        assert ids(await subscriber.events(1)) == [arabic.id]
        await subscriber.op(op="subscribe", filter={"language": "fr"})
        changed = await subscriber.until("subscribed")
        assert changed["cursor"] > first["cursor"]
        more = [an_article(), an_article(language="fr")]
        await updates.send(*more)
        assert ids(await subscriber.events(1)) == [more[1].id]


@pytest.mark.parametrize("frame", ['{"op":"subscribe"}', '{"op":"subscribe","filter":null}'])
async def test_subscribe_without_a_filter_selects_everything(gateway: Running, frame: str) -> None:
    """A missing filter and null mean the same."""
    async with gateway.stream(language="fr") as subscriber:
        await subscriber.next()
        await subscriber.socket.send(frame)
        assert (await subscriber.until("subscribed"))["filter"] == {"duplicates": "hide"}


async def test_ping_is_answered(gateway: Running) -> None:
    """The answer to ``ping`` is ``pong``."""
    async with gateway.stream() as subscriber:
        await subscriber.op(op="ping")
        assert await subscriber.until("pong") == {"type": "pong"}


@pytest.mark.parametrize(
    ("frame", "code", "word"),
    [
        ("{", "bad_request", "JSON"),
        ("[]", "bad_request", "object"),
        ("[" * 30_000, "bad_request", "JSON"),
        ("{}", "bad_request", "op"),
        ('{"op":"jump"}', "bad_request", "jump"),
        ('{"op":"subscribe","filtre":{}}', "bad_request", "filtre"),
        ('{"op":"subscribe","filter":{"langage":"ar"}}', "bad_filter", "langage"),
        ('{"op":"subscribe","filter":{"type":["article","rumour"]}}', "bad_filter", "rumour"),
        ('{"op":"subscribe","filter":7}', "bad_filter", "object"),
        ('{"op":"subscribe","filter":[]}', "bad_filter", "object"),
        ('{"op":"subscribe","filter":0}', "bad_filter", "object"),
        ('{"op":"subscribe","filter":false}', "bad_filter", "object"),
        ('{"op":"subscribe","filter":""}', "bad_filter", "object"),
        ('{"op":"subscribe","cursor":"abc"}', "bad_cursor", "cursor"),
        ('{"op":"subscribe","cursor":7}', "bad_cursor", "cursor"),
        ('{"op":"subscribe","since":"yesterday"}', "bad_request", "since"),
        (b"\x00", "bad_request", "text"),
    ],
)
async def test_a_wrong_op_is_an_error_and_the_subscription_continues(
    gateway: Running, updates: Updates, frame: str | bytes, code: str, word: str
) -> None:
    """The error names what is wrong; events continue with the previous filter."""
    article = an_article(language="it")
    async with gateway.stream(language="it") as subscriber:
        await subscriber.next()
        await subscriber.socket.send(frame)
        error = await subscriber.until("error")
        assert error["code"] == code
        assert word in error["message"]
        await updates.send(article)
        assert ids(await subscriber.events(1)) == [article.id]


@pytest.mark.parametrize(
    ("parameters", "code", "word"),
    [
        ({"langage": "ar"}, "bad_filter", "langage"),
        ({"language": "klingon"}, "bad_filter", "klingon"),
        ({"type": "article,rumour"}, "bad_filter", "rumour"),
        ({"duplicates": ["show", "only"]}, "bad_filter", "duplicates"),
        ({"q": "!"}, "bad_filter", "word"),
        ({"cursor": "0" * 24}, "cursor_too_old", "oldest"),
        ({"cursor": "x"}, "bad_cursor", "cursor"),
        ({"since": "2025-01-01T00:00:00"}, "bad_request", "since"),
    ],
)
async def test_a_wrong_query_is_an_error_and_a_close_with_4400(
    gateway: Running, parameters: dict[str, Any], code: str, word: str
) -> None:
    """A client that connects with a wrong filter or cursor gets an error that names it, and is closed."""
    async with gateway.stream(**parameters) as subscriber:
        error = await subscriber.next()
        assert (error["type"], error["code"]) == ("error", code)
        assert word in error["message"]
        assert await subscriber.close_code() == 4400


async def test_a_cursor_ahead_of_the_stream_is_too_old(gateway: Running) -> None:
    """A cursor ahead of Kafka is of a log that was replaced by an older copy of itself."""
    ahead = gateway.gateway.hub.cursors.encode(10**9)
    async with gateway.stream(cursor=ahead) as subscriber:
        assert (await subscriber.next())["code"] == "cursor_too_old"


async def test_frames_larger_than_64_kilobytes_are_rejected(gateway: Running) -> None:
    """A client cannot make the gateway buffer a large frame."""
    async with gateway.stream() as subscriber:
        await subscriber.socket.send('"' + "x" * 70_000 + '"')
        assert await subscriber.close_code() == 1009


async def test_heartbeats_advance_the_cursor_of_a_quiet_filter(start: Start, updates: Updates) -> None:
    """When nothing matches, heartbeats are sent and their cursor follows the stream."""
    async with start(timeouts={"heartbeat": 0.2}) as gateway, gateway.stream(source="nobody") as subscriber:
        before = (await subscriber.next())["cursor"]
        (offset,) = await updates.send(an_article())
        after = gateway.gateway.hub.cursors.encode(offset)
        async with asyncio.timeout(5):
            while (beat := await subscriber.until("heartbeat"))["cursor"] < after:
                pass
        assert before < after < beat["cursor"] == gateway.gateway.hub.cursor_at(offset + 1)


async def test_a_client_that_does_not_read_is_closed_and_delays_no_other(start: Start, updates: Updates) -> None:
    """Another client gets everything meanwhile; the slow one gets a cursor to resume with and is closed with 4408."""
    articles = [an_article(text="خبر " * 30_000) for _ in range(60)]
    async with start(timeouts={"send": 0.5}) as gateway:
        url = f"ws://127.0.0.1:{gateway.port}/v1/stream"
        async with connect(url, compression=None, max_size=None, max_queue=1) as silent, gateway.stream() as reader:
            await asyncio.sleep(0.2)
            _, got = await asyncio.gather(updates.send(*articles), reader.events(len(articles)))
            assert ids(got) == [one.id for one in articles]
            await eventually(lambda: gateway.counted("too_slow_total 1.0"))
            seen: list[dict[str, Any]] = []
            with pytest.raises(ConnectionClosedError):
                async for frame in silent:
                    seen += map(json.loads, str(frame).split("\n"))
            assert silent.close_code == 4408
            assert (seen[-1]["type"], seen[-1]["code"]) == ("error", "too_slow")
            got = [one for one in seen if "data" in one]
            assert 0 < len(got) < len(articles)
            assert seen[-1]["cursor"] == got[-1]["cursor"]
            # The cursor that it got is the right one.
            async with gateway.stream(cursor=seen[-1]["cursor"]) as resumed:
                rest = await resumed.events(len(articles) - len(got))
            assert ids(got + rest) == [one.id for one in articles]


async def test_a_client_that_never_reads_again_frees_its_memory(start: Start, updates: Updates) -> None:
    """A connection whose client does not even read the close is reset."""
    async with start(timeouts={"send": 0.3, "close": 0.3}) as gateway:
        url = f"ws://127.0.0.1:{gateway.port}/v1/stream"
        async with connect(url, compression=None, max_size=None, max_queue=1, close_timeout=0.1):
            await asyncio.sleep(0.2)
            await updates.send(*[an_article(text="خبر " * 30_000) for _ in range(60)])
            await eventually(lambda: not gateway.server.server_state.connections)


async def test_stopping_sends_subscribers_their_cursor(start: Start, updates: Updates) -> None:
    """A gateway that stops sends ``going_away`` with the cursor, and closes with 1012, within seconds."""
    async with start() as gateway, gateway.stream() as subscriber:
        await subscriber.next()
        await updates.send(an_article())
        (event,) = await subscriber.events(1)
        gateway.server.stop()
        error = await subscriber.until("error")
        assert (error["code"], error["cursor"]) == ("going_away", event["cursor"])
        assert await subscriber.close_code() == 1012


async def test_control_frames_do_not_break_event_frames(gateway: Running, updates: Updates) -> None:
    """Pings are answered between events of every size, and the client's close ends the stream cleanly."""
    sizes = (1, 100, 10_000, 60_000, 5, 300_000)
    articles = [an_article(text="x" * size) for size in sizes]
    async with gateway.stream() as subscriber:
        await subscriber.next()
        sending = asyncio.create_task(updates.send(*articles))
        got = []
        for _ in articles:
            pong = await subscriber.socket.ping()
            await subscriber.op(op="ping")
            got += await subscriber.events(1)
            await pong
        await sending
        assert ids(got) == [one.id for one in articles]
        assert [len(one["data"]["text"]) for one in got] == list(sizes)
        more = asyncio.gather(updates.send(*[an_article() for _ in range(200)]))
        await subscriber.socket.close(1000)
        assert subscriber.socket.close_code == 1000
        await more


async def test_a_caught_up_subscriber_costs_only_its_writes(start: Start, updates: Updates) -> None:
    """A caught-up subscriber has no task and reads nothing, and its position advances also without matches."""
    async with start() as gateway, gateway.stream() as all_of_it, gateway.stream(source="nobody") as quiet:
        await all_of_it.next()
        began = (await quiet.next())["cursor"]
        live = gateway.gateway.hub.live
        await eventually(lambda: len(live) == 2 and not any(session.catching_up for session in live))
        tasks, reads = len(asyncio.all_tasks()), 0
        read = gateway.gateway.log.read

        def counting(*given: Any) -> Any:
            nonlocal reads
            reads += 1
            return read(*given)

        gateway.gateway.log.read = counting  # type: ignore[method-assign]
        for article in (an_article(), an_article()):
            await updates.send(article)
            (event,) = await all_of_it.events(1)
            assert event["data"]["id"] == article.id
        assert reads == 0
        assert len(asyncio.all_tasks()) <= tasks
        assert {session.cursor for session in live} == {event["cursor"]}
        assert event["cursor"] > began
        assert gateway.counted('events_delivered_total{transport="websocket"} 2.0')


async def test_the_buffers_of_a_client_are_bounded(start: Start, updates: Updates) -> None:
    """For a client that does not read, at most a chunk and a full buffer wait in the gateway and in the kernel."""
    text = "خبر " * 15_000
    async with start(timeouts={"send": 30.0}) as gateway, raw(gateway), gateway.stream() as reader:
        await reader.next()
        connections = gateway.server.server_state.connections
        await eventually(lambda: len(gateway.gateway.hub.live) == 2)
        most = 0
        for _ in range(60):
            await updates.send(an_article(text=text))
            await reader.events(1)
            most = max(most, *(one.transport.get_write_buffer_size() for one in connections))
        assert 64 * 1024 < most < 64 * 1024 + CHUNK_BYTES + 2 * len(text.encode())
        for one in connections:
            # The kernel reports twice the requested size.
            assert one.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 512 * 1024


async def test_a_slow_reader_that_does_read_is_kept(start: Start, updates: Updates) -> None:
    """Only a client that reads nothing for ``timeouts.send`` is too slow; one that reads a little gets everything."""
    loop = asyncio.get_running_loop()
    articles = [an_article(text="خبر " * 15_000) for _ in range(30)]
    async with start(timeouts={"send": 0.6}) as gateway, raw(gateway) as line:
        await eventually(lambda: gateway.gateway.hub.live)
        await updates.send(*articles)
        began, received = loop.time(), b""
        async with asyncio.timeout(60):
            while articles[-1].id.encode() not in received[-200_000:]:
                # 80 KB a second are less than the kernel takes at a time.
                part = await loop.sock_recv(line, 8_192)
                assert part, received[-300:]
                received += part
                await asyncio.sleep(0.1 if loop.time() - began < 3 else 0)
        assert b"too_slow" not in received


async def test_the_connection_of_a_client_that_closes_without_reading_is_reset(start: Start, updates: Updates) -> None:
    """Its close does not leave a connection open that waits forever to be drained."""
    async with start(timeouts={"send": 60.0}) as gateway, raw(gateway) as line:
        connections = gateway.server.server_state.connections
        await eventually(lambda: gateway.gateway.hub.live)
        await updates.send(*[an_article(text="خبر " * 30_000) for _ in range(20)])
        await eventually(lambda: any(one.is_full for one in connections))
        close = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
        await asyncio.get_running_loop().sock_sendall(line, close)
        await eventually(lambda: not gateway.gateway.hub.live)
        await eventually(lambda: not connections, seconds=5)
        assert gateway.counted('connections{transport="websocket"} 0.0')
