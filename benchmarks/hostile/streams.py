"""Clients that are hostile by how they connect, read and send. The package's docstring describes each kind."""

import asyncio
import json
import random
import select
import socket
import struct
import time
from contextlib import suppress
from functools import partial
from itertools import count, repeat

from benchmarks.fanout import CURSORS
from benchmarks.hostile.client import Address, Attack, Client, Outcomes, concurrently, flood, frame
from benchmarks.receivers import UPGRADE

_LIMIT = 64 * 1024
_TOO_MANY = 1_100


async def never_reads(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""
    beginning = f"/v1/stream?cursor={CURSORS.encode(0)}"

    async def once(outcomes: Outcomes, address: Address, reads_late: bool = False) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as unread:
            unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            unread.setblocking(False)
            await loop.sock_connect(unread, address)
            outcomes["connections"] += 1
            await loop.sock_sendall(unread, UPGRADE.format(path=beginning).encode())
            # Events of 10 s fill all buffers, so by then the gateway has disconnected the client.
            await asyncio.sleep(12)
            if not reads_late:
                await asyncio.sleep(8)
                outcomes["reset" if _is_reset(unread) else "not reset"] += 1
                return
            reader, writer = await asyncio.open_connection(sock=unread.dup())
            client = Client(reader, writer, outcomes)
            await client.head()
            await client.read(3)
            client.close()

    async def reads_late(outcomes: Outcomes, address: Address) -> None:
        await once(outcomes, address, reads_late=True)

    await asyncio.gather(concurrently(outcomes, address, 10, once), concurrently(outcomes, address, 10, reads_late))


def _is_reset(unread: socket.socket) -> bool:
    polled = select.poll()
    polled.register(unread, select.POLLERR | select.POLLHUP)
    return bool(polled.poll(0))


async def silent(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def nothing(outcomes: Outcomes, address: Address) -> None:
        client = await Client.connect(outcomes, address)
        began = time.monotonic()
        await client.reader.read()
        outcomes[f"disconnected after {time.monotonic() - began:.0f} s"] += 1

    async def no_pong(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address)
        await client.read(3_600)
        client.close()

    await asyncio.gather(concurrently(outcomes, address, 100, nothing), concurrently(outcomes, address, 20, no_pong))


async def garbage(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""
    rng = random.Random(1)  # noqa: S311 - not for security
    kinds = [
        b"\x81\x02{}",  # not masked
        frame(b"{}", 0x83),  # an undefined opcode
        frame(b"{}", 0xC1),  # a reserved bit
        frame(b"\xff\xfe{}"),  # not UTF-8
        frame(b"", 0x80),  # the end of a message that was not started
        frame(b"x" * 126, 0x89),  # a ping that is too long
        frame(b"\x00\x01", 0x88),  # an invalid close code
        frame(b"not JSON"),
        frame(b"[" * 60_000),
        frame(b'{"op":{"op":{}}}'),
        frame(b"\x00" * 1_000, 0x82),  # binary
    ]

    async def frames(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address)
        client.writer.write(rng.choice(kinds))
        await client.read(0.3)
        client.close()

    async def request(outcomes: Outcomes, address: Address) -> None:
        client = await Client.connect(outcomes, address)
        client.writer.write(rng.randbytes(200) + b"\r\n\r\n")
        outcomes[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await asyncio.gather(concurrently(outcomes, address, 4, frames), concurrently(outcomes, address, 2, request))


async def huge(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def endless(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address)
        client.writer.write(struct.pack("!BBQ", 0x81, 0xFF, 2**62) + bytes(4) + bytes(100_000))
        await client.read(1)
        client.close()

    async def one_more(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address)
        client.writer.write(frame(b"x" * (_LIMIT + 1)))
        await client.read(1)
        client.close()

    async def pieces(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address)
        client.writer.write(b"".join(frame(b"x" * 30_000, 0x01 if not number else 0x00) for number in range(10)))
        await client.read(1)
        client.close()

    await asyncio.gather(*(concurrently(outcomes, address, 2, once) for once in (endless, one_more, pieces)))


async def pieces(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address)
        reading = asyncio.create_task(client.read(3_600))
        many = frame(b"", 0x00) * 1_000
        client.writer.write(frame(b"", 0x01))
        while not reading.done():
            client.writer.write(many)
            outcomes["pieces"] += 1_000
            with suppress(OSError):
                await client.writer.drain()
            await asyncio.sleep(0.01)
        client.close()

    await concurrently(outcomes, address, 2, once)


async def pings(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""
    ping = frame(b"x" * 100, 0x89)

    async def once(outcomes: Outcomes, address: Address, reads: bool = True) -> None:
        await flood(outcomes, address, "pings", repeat(ping), reads=reads, pause=0.001)

    await asyncio.gather(
        concurrently(outcomes, address, 1, once), concurrently(outcomes, address, 1, partial(once, reads=False))
    )


async def subscribes(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def once(outcomes: Outcomes, address: Address, reads: bool = True) -> None:
        ops = ({"op": "subscribe", "filter": {"source": f"s{number}"}} for number in count())
        await flood(outcomes, address, "ops sent", (frame(json.dumps(op).encode()) for op in ops), reads=reads)

    await asyncio.gather(
        concurrently(outcomes, address, 2, once), concurrently(outcomes, address, 1, partial(once, reads=False))
    )


async def slow_heads(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def slow(outcomes: Outcomes, address: Address) -> None:
        client = await Client.connect(outcomes, address)
        began = time.monotonic()
        client.writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n")
        with suppress(OSError):
            while not client.reader.at_eof():
                client.writer.write(b"X-More: and more\r\n")
                await client.writer.drain()
                await asyncio.sleep(1)
        outcomes[f"disconnected after {time.monotonic() - began:.0f} s"] += 1
        client.close()

    async def endless(outcomes: Outcomes, address: Address) -> None:
        client = await Client.connect(outcomes, address)
        client.writer.write(b"GET /v1/stream HTTP/1.1\r\n" + b"X-More: and more\r\n" * 5_000)
        outcomes[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await asyncio.gather(concurrently(outcomes, address, 100, slow), concurrently(outcomes, address, 2, endless))


class _Reader(asyncio.Protocol):
    """Discards everything except the status."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._new = True

    def data_received(self, data: bytes) -> None:
        if self._new:
            self._new = False
            self._outcomes[f"HTTP {data[9:12].decode()}"] += 1


async def many(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""
    loop = asyncio.get_running_loop()
    request = UPGRADE.format(path="/v1/stream").encode()

    async def one() -> asyncio.Transport:
        transport, _ = await loop.create_connection(lambda: _Reader(outcomes), *address)
        transport.write(request)
        outcomes["connections"] += 1
        return transport

    while True:
        held = await asyncio.gather(*(one() for _ in range(_TOO_MANY)))
        await asyncio.sleep(10)
        for transport in held:
            transport.abort()
        await asyncio.sleep(1)


async def spins(outcomes: Outcomes, _: Address) -> None:
    """See the module's docstring."""
    while True:
        outcomes["turns"] += sum(1 for _ in range(20_000)) // 20_000
        await asyncio.sleep(0)


ATTACKS: dict[str, Attack] = {
    "never_reads": never_reads,
    "silent": silent,
    "garbage": garbage,
    "huge": huge,
    "pieces": pieces,
    "pings": pings,
    "subscribes": subscribes,
    "slow_heads": slow_heads,
    "many": many,
}
