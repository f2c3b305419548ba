"""Raw connections to a gateway: a test sends any bytes, and nothing is read but what the test reads."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.frames import Frame, Opcode

from tests.api.conftest import Running


@asynccontextmanager
async def raw(
    gateway: Running, *, target: str = "/v1/stream", host: str = "x", origin: str | None = None
) -> AsyncIterator[socket.socket]:
    """A connection after its handshake, of which nothing is read but what the test reads."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", gateway.port))
        await loop.sock_sendall(
            sock,
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"{f'Origin: {origin}' + chr(13) + chr(10) if origin else ''}"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode(),
        )
        assert b" 101 " in await loop.sock_recv(sock, 20)
        yield sock


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame."""
    return Frame(opcode, data, fin=fin).serialize(mask=True)


def op(**message: Any) -> bytes:
    """An op in one frame."""
    return frame(Opcode.TEXT, json.dumps(message).encode())


async def frames(sock: socket.socket, last: bytes | None = None, *, seconds: float = 20) -> list[tuple[int, bytes]]:
    """Opcode and payload of all received frames, until ``last`` is among them or the connection is closed or reset."""
    loop, received, found = asyncio.get_running_loop(), b"", []
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(seconds):
            while (last is None or last not in received) and (part := await loop.sock_recv(sock, 65_536)):
                received += part
    _, _, received = received.partition(b"\r\n\r\n")
    while received:
        size, at = received[1], 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(received[2:at], "big")
        found.append((received[0] & 0x0F, received[at : at + size]))
        received = received[at + size :]
    return found
