"""Clients that flood the gateway: each is bounded, gets an error, and does not affect others."""

import asyncio
import contextlib
import gc
import json
import weakref
from asyncio import BaseTransport
from pathlib import Path

import pytest
from websockets.frames import Opcode

from api.stream.protocols import Http
from tests.api.conftest import Running, Start, Updates, an_article, eventually
from tests.api.raw import frame, frames, op, raw

_TCP = Path("/proc/net/tcp")
_PONG = b'{"type":"pong"}'
_CLOSE = frame(Opcode.CLOSE, b"\x03\xe8")


async def test_ops_sent_at_once_are_answered_one_by_one(gateway: Running) -> None:
    """However many ops are in one write, each is answered in order and none is lost."""
    async with raw(gateway) as sock:
        ops = b"".join(op(op="subscribe", filter={"source": [f"source {n}" + "x" * 100]}) for n in range(150))
        await asyncio.get_running_loop().sock_sendall(sock, ops + op(op="ping"))
        got = [json.loads(one) for code, text in await frames(sock, _PONG) if code == 1 for one in text.split(b"\n")]
    answers = [one for one in got if one["type"] in {"subscribed", "pong"}]
    assert [one["type"] for one in answers] == ["subscribed"] * 151 + ["pong"]
    assert [one["filter"]["source"] for one in answers[1:-1]] == [[f"source {n}" + "x" * 100] for n in range(150)]


async def test_too_many_frames_are_an_error_and_a_close(gateway: Running) -> None:
    """A few hundred at once are answered; then follow ``too_many`` with ``retry_after``, and 4429."""
    async with raw(gateway) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, op(op="ping") * 600)
        got = await frames(sock)
    messages = [json.loads(text) for code, text in got if code == 1]
    pongs = sum(one["type"] == "pong" for one in messages)
    assert 200 <= pongs < 600
    assert (messages[-1]["code"], messages[-1]["retry_after"]) == ("too_many", "1")
    assert (got[-1][0], int.from_bytes(got[-1][1][:2], "big")) == (8, 4429)


async def test_a_message_of_too_many_frames_is_rejected(gateway: Running) -> None:
    """It is closed with 1009, also when the frames are empty and the message never becomes too large."""
    async with raw(gateway) as sock:
        pieces = frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.CONT, fin=False) * 100
        await asyncio.get_running_loop().sock_sendall(sock, pieces)
        code, text = (await frames(sock))[-1]
    assert (code, int.from_bytes(text[:2], "big")) == (8, 1009)


async def test_invalid_utf8_is_rejected_without_logging(gateway: Running, caplog: pytest.LogCaptureFixture) -> None:
    """The connection is closed with 1007, and clients that send garbage do not fill the log."""
    async with raw(gateway) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, frame(Opcode.TEXT, b"\xff\xfe"))
        code, text = (await frames(sock))[-1]
    assert (code, int.from_bytes(text[:2], "big")) == (8, 1007)
    assert not caplog.records


async def test_a_message_of_several_frames_is_accepted(gateway: Running) -> None:
    """The protocol allows continuation frames."""
    async with raw(gateway) as sock:
        first, last = frame(Opcode.TEXT, b'{"op"', fin=False), frame(Opcode.CONT, b"}")
        between = [frame(Opcode.CONT, part, fin=False) for part in (b":", b"", b'"ping"')]
        await asyncio.get_running_loop().sock_sendall(sock, first + b"".join(between) + last)
        got = await frames(sock, _PONG)
    assert _PONG in [text for _, text in got]


async def test_pings_of_a_client_that_does_not_read_fill_no_memory(start: Start) -> None:
    """While pongs are buffered for the client, no further ones are made."""
    async with start() as gateway, raw(gateway) as sock:
        await eventually(lambda: gateway.gateway.hub.live)
        (connection,) = gateway.server.server_state.connections
        loop, most = asyncio.get_running_loop(), 0
        pings = frame(Opcode.PING, b"x" * 125) * 100
        for _ in range(200):
            await loop.sock_sendall(sock, pings)
            await asyncio.sleep(0.002)  # let the gateway run: it is in the same loop
            most = max(most, connection.transport.get_write_buffer_size())
        await eventually(lambda: connection.is_full)
        assert most < 80 * 1024
        assert connection.transport.get_write_buffer_size() < 80 * 1024


async def test_a_rejected_head_is_freed_at_once(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection with a head of many KB is freed when it closes, without garbage collection."""
    known: list[weakref.ref[Http]] = []
    made = Http.connection_made

    def watched(self: Http, transport: BaseTransport) -> None:
        known.append(weakref.ref(self))
        made(self, transport)

    monkeypatch.setattr(Http, "connection_made", watched)
    gc.collect()
    gc.disable()
    try:
        endless = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 200_000
        for head in (endless, b"GET /nowhere HTTP/1.0\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(head)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
        async with raw(gateway) as sock:
            await asyncio.get_running_loop().sock_sendall(sock, _CLOSE)
            await frames(sock)
        assert len(known) == 3
        await eventually(lambda: not any(one() for one in known), seconds=5)
    finally:
        gc.enable()


async def test_the_kernel_keeps_nothing_of_a_reset_connection(start: Start, updates: Updates) -> None:
    """Unread bytes are not kept for the minutes in which TCP would retransmit them."""
    async with start(timeouts={"send": 0.3, "close": 0.3}) as gateway, raw(gateway) as sock:
        await eventually(lambda: gateway.gateway.hub.live)
        await updates.send(*[an_article(text="خبر " * 30_000) for _ in range(30)])
        await eventually(lambda: not gateway.server.server_state.connections)
        ours, theirs = (f":{port:04X}" for port in (gateway.port, sock.getsockname()[1]))
        lines = [one.split() for one in _TCP.read_text().splitlines()[1:]]  # noqa: ASYNC240 - it takes no time
        assert not [one for one in lines if one[1].endswith(ours) and one[2].endswith(theirs)]
