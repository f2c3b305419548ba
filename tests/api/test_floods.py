"""Clients that send without end: each is bounded, is told why, and takes nothing from the others."""

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


async def test_what_comes_all_at_once_is_answered_one_by_one(gateway: Running) -> None:
    """However much lies in one write, each op is taken in its turn and none is lost on the way."""
    async with raw(gateway) as line:
        ops = b"".join(op(op="subscribe", filter={"source": [f"source {n}" + "x" * 100]}) for n in range(150))
        await asyncio.get_running_loop().sock_sendall(line, ops + op(op="ping"))
        got = [json.loads(one) for code, text in await frames(line, _PONG) if code == 1 for one in text.split(b"\n")]
    told = [one for one in got if one["type"] in {"subscribed", "pong"}]
    assert [one["type"] for one in told] == ["subscribed"] * 151 + ["pong"]
    assert [one["filter"]["source"] for one in told[1:-1]] == [[f"source {n}" + "x" * 100] for n in range(150)]


async def test_who_sends_too_many_frames_is_told_and_closed(gateway: Running) -> None:
    """Some hundreds at once are answered; then ``too_many``, when to come again, and 4429."""
    async with raw(gateway) as line:
        await asyncio.get_running_loop().sock_sendall(line, op(op="ping") * 600)
        got = await frames(line)
    messages = [json.loads(text) for code, text in got if code == 1]
    pongs = sum(one["type"] == "pong" for one in messages)
    assert 200 <= pongs < 600
    assert (messages[-1]["code"], messages[-1]["retry_after"]) == ("too_many", "1")
    assert (got[-1][0], int.from_bytes(got[-1][1][:2], "big")) == (8, 4429)


async def test_a_message_in_endless_pieces_is_refused(gateway: Running) -> None:
    """Also when the pieces are empty, so that it never becomes too large: 1009."""
    async with raw(gateway) as line:
        pieces = frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.CONT, fin=False) * 100
        await asyncio.get_running_loop().sock_sendall(line, pieces)
        code, text = (await frames(line))[-1]
    assert (code, int.from_bytes(text[:2], "big")) == (8, 1009)


async def test_what_is_no_text_is_refused_without_a_word_in_the_log(
    gateway: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """1007; whoever sends garbage fills no log."""
    async with raw(gateway) as line:
        await asyncio.get_running_loop().sock_sendall(line, frame(Opcode.TEXT, b"\xff\xfe"))
        code, text = (await frames(line))[-1]
    assert (code, int.from_bytes(text[:2], "big")) == (8, 1007)
    assert not caplog.records


async def test_a_message_in_some_pieces_is_taken(gateway: Running) -> None:
    """Pieces are a part of the protocol."""
    async with raw(gateway) as line:
        first, last = frame(Opcode.TEXT, b'{"op"', fin=False), frame(Opcode.CONT, b"}")
        between = [frame(Opcode.CONT, part, fin=False) for part in (b":", b"", b'"ping"')]
        await asyncio.get_running_loop().sock_sendall(line, first + b"".join(between) + last)
        got = await frames(line, _PONG)
    assert _PONG in [text for _, text in got]


async def test_pings_of_one_that_reads_nothing_fill_no_memory(start: Start) -> None:
    """While answers wait for the client no further ones are made."""
    async with start() as gateway, raw(gateway) as line:
        await eventually(lambda: gateway.gateway.hub.live)
        (connection,) = gateway.server.server_state.connections
        loop, most = asyncio.get_running_loop(), 0
        pings = frame(Opcode.PING, b"x" * 125) * 100
        for _ in range(200):
            await loop.sock_sendall(line, pings)
            await asyncio.sleep(0.002)  # the gateway's turn: it runs in the same loop
            most = max(most, connection.transport.get_write_buffer_size())
        await eventually(lambda: connection.is_full)
        assert most < 80 * 1024
        assert connection.transport.get_write_buffer_size() < 80 * 1024


async def test_a_refused_head_leaves_nothing_behind(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection, and with it a head of many KB, is gone with the line; it needs no garbage collection."""
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
        async with raw(gateway) as line:
            await asyncio.get_running_loop().sock_sendall(line, _CLOSE)
            await frames(line)
        assert len(known) == 3
        await eventually(lambda: not any(one() for one in known), seconds=5)
    finally:
        gc.enable()


async def test_the_kernel_keeps_nothing_of_a_line_that_was_cut(start: Start, updates: Updates) -> None:
    """What one who never reads did not take is not kept for the minutes in which TCP tries again."""
    async with start(timeouts={"send": 0.3, "close": 0.3}) as gateway, raw(gateway) as line:
        await eventually(lambda: gateway.gateway.hub.live)
        await updates.send(*[an_article(text="خبر " * 30_000) for _ in range(30)])
        await eventually(lambda: not gateway.server.server_state.connections)
        ours, theirs = (f":{port:04X}" for port in (gateway.port, line.getsockname()[1]))
        lines = [one.split() for one in _TCP.read_text().splitlines()[1:]]  # noqa: ASYNC240 - it takes no time
        assert not [one for one in lines if one[1].endswith(ours) and one[2].endswith(theirs)]
