"""A hostile client: a connection that counts the answers it gets, and how often an attack is repeated."""

import asyncio
import re
import struct
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from benchmarks.receivers import UPGRADE

_ERROR = re.compile(rb'"type":"error","code":"(\w+)"')

Address = tuple[str, int]
Attack = Callable[["Outcomes", Address], Coroutine[Any, Any, None]]


class Outcomes(Counter[str]):
    """Counts of what hostile clients did and of the answers they got."""


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """A client's frame; a mask of zeros changes nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + payload


class Client:
    """A connection that counts the answers it gets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outcomes: Outcomes) -> None:
        self.reader = reader
        self.writer = writer
        self._outcomes = outcomes

    @classmethod
    async def connect(cls, outcomes: Outcomes, address: Address) -> "Client":
        """A connection on which nothing was sent."""
        reader, writer = await asyncio.open_connection(*address)
        outcomes["connections"] += 1
        return cls(reader, writer, outcomes)

    @classmethod
    async def upgrade(cls, outcomes: Outcomes, address: Address, path: str = "/v1/stream?source=nobody") -> "Client":
        """A subscriber. Raises ``ConnectionError`` if it is refused."""
        client = await cls.connect(outcomes, address)
        client.writer.write(UPGRADE.format(path=path).encode())
        status = (await client.head()).split(b" ")[1].decode()
        if status != "101":
            outcomes[f"HTTP {status}"] += 1
            client.close()
            raise ConnectionError(status)
        return client

    async def head(self) -> bytes:
        """The head of an answer. Raises ``ConnectionError`` if there is none."""
        try:
            return await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            raise ConnectionError("no answer") from None

    async def read(self, seconds: float) -> bool:
        """Read for ``seconds``, or until the connection ends, which is counted; returns whether it has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not await self._read_frame():
                    pass
                return True
        return False

    async def _read_frame(self) -> bool:
        try:
            first, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self._outcomes["disconnected" if isinstance(error, asyncio.IncompleteReadError) else "reset"] += 1
            return True
        if first == 0x88:
            self._outcomes[f"close {struct.unpack('!H', payload[:2])[0] if payload else 'without code'}"] += 1
            return True
        for error_code in _ERROR.findall(payload):
            self._outcomes[f"error {error_code.decode()}"] += 1
        self._outcomes["subscribed"] += payload.count(b'"type":"subscribed"')
        return False

    def close(self) -> None:
        """Abort the connection."""
        transport: asyncio.WriteTransport = self.writer.transport
        transport.abort()


async def repeat_attack(outcomes: Outcomes, address: Address, once: Attack, pause: float = 0.1) -> None:
    """Repeat an attack, ignoring errors."""
    while True:
        # uvloop raises RuntimeError on a connection that was aborted.
        with suppress(OSError, asyncio.IncompleteReadError, RuntimeError):
            await once(outcomes, address)
        await asyncio.sleep(pause)


async def concurrently(outcomes: Outcomes, address: Address, count: int, once: Attack, pause: float = 0.1) -> None:
    """Repeat an attack by ``count`` clients at the same time."""
    await asyncio.gather(*(repeat_attack(outcomes, address, once, pause) for _ in range(count)))


async def flood(  # noqa: PLR0913 - the differences between floods
    outcomes: Outcomes, address: Address, name: str, frames: Iterator[bytes], *, reads: bool, pause: float = 0.0
) -> None:
    """Send 200 frames at a time as fast as possible, until the server closes the connection."""
    client = await Client.upgrade(outcomes, address)
    reading = asyncio.create_task(client.read(3_600)) if reads else None
    with suppress(OSError):
        while reading is None or not reading.done():
            client.writer.write(b"".join(islice(frames, 200)))
            outcomes[name] += 200
            await client.writer.drain()
            await asyncio.sleep(pause)
    client.close()
