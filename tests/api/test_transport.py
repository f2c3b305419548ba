"""Hostile clients below HTTP."""

import asyncio
import contextlib

import pytest

from api.stream.protocols import Http
from tests.api.conftest import Running


async def test_an_endless_head_is_rejected(gateway: Running) -> None:
    """A request whose headers do not end gets 431 and is closed before it takes much memory."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
    answer = asyncio.create_task(reader.read())
    for _ in range(1_000):
        if answer.done():
            break
        with contextlib.suppress(ConnectionError):
            writer.write(b"x" * 10_000)
            await writer.drain()
        await asyncio.sleep(0)
    assert (await answer).startswith(b"HTTP/1.1 431 ")
    writer.close()
    assert (await gateway.get("/healthz"))[0] == 200


async def test_a_connection_without_a_request_is_closed(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither silence nor half a request keeps a connection open; after a complete request it can be reused."""
    monkeypatch.setattr(Http, "head_seconds", 0.3)
    for beginning, answer in ((b"", b""), (b"GET /healthz HT", b"HTTP/1.1 408 ")):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(beginning)
        async with asyncio.timeout(3):
            with contextlib.suppress(ConnectionError):
                assert (await reader.read()).startswith(answer)
        writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.5)
    writer.close()
