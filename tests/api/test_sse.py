"""The stream as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.api.conftest import Running, Start, Updates, an_article, eventually, ids


class Events:
    """Reads server-sent events as a browser does."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def block(self) -> dict[str, str]:
        """The fields of the next event."""
        fields: dict[str, str] = {}
        while True:
            line = (await self.response.content.readline()).decode().rstrip("\n")
            if not line:
                return fields
            name, _, value = line.partition(": ")
            fields[name] = value

    async def envelopes(self, count: int) -> list[dict[str, Any]]:
        """The next envelopes; heartbeats are skipped."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while len(found) < count:
                fields = await self.block()
                if fields.get("event") in {"article", "story"}:
                    envelope = json.loads(fields["data"])
                    assert (fields["id"], fields["event"]) == (envelope["cursor"], envelope["type"])
                    found.append(envelope)
        return found


@asynccontextmanager
async def _events(gateway: Running, **options: Any) -> AsyncIterator[Events]:
    timeout = aiohttp.ClientTimeout(sock_read=20)
    async with gateway.http.get(f"{gateway.url}/v1/events", timeout=timeout, **options) as response:
        assert response.status == 200
        yield Events(response)


async def test_events_are_server_sent_events(gateway: Running, updates: Updates) -> None:
    """``id`` is the cursor, ``event`` the type, ``data`` the same envelope as over WebSocket; nothing is cached."""
    async with (
        gateway.stream() as socket,
        _events(gateway, params={"cursor": (await socket.next())["cursor"]}) as stream,
    ):
        assert await stream.block() == {"retry": "2000"}
        assert stream.response.content_type == "text/event-stream"
        assert stream.response.headers["Cache-Control"].startswith("no-cache")
        assert stream.response.headers["X-Accel-Buffering"] == "no"
        assert "Content-Length" not in stream.response.headers
        await updates.send(an_article(), an_article(duplicate_of="x"), an_article())
        assert await stream.envelopes(2) == await socket.events(2)


async def test_last_event_id_resumes_and_overrides(gateway: Running, updates: Updates) -> None:
    """A browser reconnects to the same URL with its last id; the id overrides the cursor in the URL."""
    async with _events(gateway) as stream:
        await stream.block()
        await updates.send(*[an_article() for _ in range(5)])
        whole = await stream.envelopes(5)
    old = {"cursor": whole[0]["cursor"]}
    async with _events(gateway, params=old) as stream:
        assert await stream.envelopes(4) == whole[1:]
    async with _events(gateway, params=old, headers={"Last-Event-ID": whole[2]["cursor"]}) as stream:
        assert await stream.envelopes(2) == whole[3:]


async def test_heartbeats_advance_the_cursor_of_a_quiet_filter(start: Start, updates: Updates) -> None:
    """Heartbeats have the cursor as ``id``, so a browser that reconnects does not start far back."""
    async with start(timeouts={"heartbeat": 0.2}) as gateway, _events(gateway, params={"source": "nobody"}) as stream:
        await stream.block()
        first = await stream.block()
        assert (first["event"], json.loads(first["data"])["cursor"]) == ("heartbeat", first["id"])
        (offset,) = await updates.send(an_article())
        async with asyncio.timeout(5):
            while gateway.gateway.hub.cursors.decode((await stream.block())["id"]).offset != offset:
                pass


@pytest.mark.parametrize(
    ("query", "field"),
    [("langage=ar", "langage"), ("language=klingon", "language"), ("cursor=x", "cursor"), ("since=now", "since")],
)
async def test_errors_before_the_stream_are_problems(gateway: Running, query: str, field: str) -> None:
    """A wrong filter or cursor is 400 with a problem document that names it."""
    status, problem, response = await gateway.get(f"/v1/events?{query}")
    assert status == problem["status"] == 400
    assert response.content_type == "application/problem+json"
    assert problem["field"] == field


async def test_the_connection_of_a_client_that_stops_reading_is_reset(start: Start, updates: Updates) -> None:
    """It is reset after ``timeouts.send``, and others get everything meanwhile."""
    articles = [an_article(text="خبر " * 30_000) for _ in range(60)]
    async with (
        start(timeouts={"send": 0.5}) as gateway,
        aiohttp.ClientSession(read_bufsize=1024) as session,
        session.get(f"{gateway.url}/v1/events"),
        gateway.stream() as reader,
    ):
        await reader.next()
        _, got = await asyncio.gather(updates.send(*articles), reader.events(len(articles)))
        assert ids(got) == [one.id for one in articles]
        await eventually(lambda: gateway.counted("too_slow_total 1.0"))
        await eventually(lambda: len(gateway.server.server_state.connections) == 1)


async def test_stopping_ends_the_stream_with_its_reason(start: Start, updates: Updates) -> None:
    """A gateway that stops sends an ``error`` event and completes the response."""
    async with start() as gateway, _events(gateway) as stream:
        await stream.block()
        await stream.block()
        gateway.server.stop()
        fields = await stream.block()
        assert fields["event"] == "error"
        assert json.loads(fields["data"])["code"] == "going_away"
        assert await stream.response.content.read() == b""


async def test_events_that_do_not_match_wake_no_subscriber(start: Start, updates: Updates) -> None:
    """A subscriber is woken only for matching events, and its position advances past the others."""
    async with start() as gateway, _events(gateway, params={"language": "fi"}) as stream, gateway.stream() as socket:
        await stream.block()
        await stream.block()
        await socket.next()
        log, reads = gateway.gateway.log, 0
        read = log.read

        def counting(*given: Any) -> Any:
            nonlocal reads
            reads += 1
            return read(*given)

        log.read = counting  # type: ignore[method-assign]
        for _ in range(10):
            await updates.send(an_article())
            await socket.events(1)
        assert reads == 0
        finnish = an_article(language="fi")
        await updates.send(finnish)
        assert ids(await stream.envelopes(1)) == [finnish.id]
        assert 0 < reads <= 2
