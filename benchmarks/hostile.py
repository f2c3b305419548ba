"""What hostile clients cost the others: ``python -m benchmarks.hostile [--seconds 45] [--only KIND ...]``.

One gateway in a process of its own, as in ``benchmarks.fanout``: its log is fed directly, its limits are the defaults.
200 well-behaved subscribers get 20 events a second each (4,000 deliveries a second). How long these take is measured
alone, then beside each kind of hostile client, beside all of them, and alone again. Times run from when an event was
due until the kernel had it at the subscriber (see ``benchmarks.receivers``).

Each kind of hostile client is a process of its own, ``nice 19``. On a machine of two cores they still take time from
the gateway that has nothing to do with what it does for them. So there is a control, ``spins``: a process that computes
and connects to nobody. And the share of a core that the gateway itself took is printed: what it is more than alone, the
hostile clients made it do. Memory is that of the gateway's process before, at most during, and after.

``never_reads``  subscribe to all there was and read nothing; half of them look after 12 s what they were told
``silent``       connect and send nothing; others upgrade, and answer no ping
``garbage``      frames that are none, text that is no JSON, requests that are no HTTP
``huge``         frames of 2^62 bytes, of one byte too many, messages of endless pieces
``pieces``       messages of endless empty pieces
``pings``        pings as fast as they go through: one that reads the answers and one that does not
``subscribes``   ops as fast as they go through: two that read the answers and one that does not
``slow_heads``   a request's head a line a second, and one without an end as fast as it goes
``many``         1,100 at once subscribe to everything from one address, which is not the loopback's, of which 1,000 are
                 let in; after 10 s they leave, and do it again
"""

import argparse
import asyncio
import json
import os
import random
import re
import select
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import count, islice, repeat
from typing import IO, Any

import psutil
import uvloop

from benchmarks.fanout import CURSORS, Load, drive
from benchmarks.receivers import UPGRADE, Child, crowd, prepare, say

OTHERS = 200
_EVERY = 0.05
_SETTLE_SECONDS = 4.0
_LIMIT = 64 * 1024
_TOO_MANY = 1_100
_ERROR = re.compile(rb'"type":"error","code":"(\w+)"')

Address = tuple[str, int]
_Attack = Callable[["GroupOutput", Address], Coroutine[Any, Any, None]]


class GroupOutput(Counter[str]):
    """How often the hostile ones did what, and were told what."""


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """A client's frame; masked with zeros, which changes nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + payload


class _Client:
    """A connection that can be asked what it was told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: GroupOutput) -> None:
        self.reader = reader
        self.writer = writer
        self._told = told

    @classmethod
    async def connect(cls, told: GroupOutput, address: Address) -> "_Client":
        """A connection, nothing sent."""
        reader, writer = await asyncio.open_connection(*address)
        told["connections"] += 1
        return cls(reader, writer, told)

    @classmethod
    async def upgrade(cls, told: GroupOutput, address: Address, path: str = "/v1/stream?source=nobody") -> "_Client":
        """A subscriber. Raises ``ConnectionError`` when it is refused."""
        client = await cls.connect(told, address)
        client.writer.write(UPGRADE.format(path=path).encode())
        status = (await client.head()).split(b" ")[1].decode()
        if status != "101":
            told[f"HTTP {status}"] += 1
            client.close()
            raise ConnectionError(status)
        return client

    async def head(self) -> bytes:
        """The head of an answer. Raises ``ConnectionError`` when there is none."""
        try:
            return await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            raise ConnectionError("no answer") from None

    async def hear(self, seconds: float) -> bool:
        """Read for so long, or until the end, which is counted; whether it has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not await self._hear():
                    pass
                return True
        return False

    async def _hear(self) -> bool:
        try:
            first, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self._told["cut" if isinstance(error, asyncio.IncompleteReadError) else "reset"] += 1
            return True
        if first == 0x88:
            self._told[f"close {struct.unpack('!H', payload[:2])[0] if payload else 'without code'}"] += 1
            return True
        for error_code in _ERROR.findall(payload):
            self._told[f"error {error_code.decode()}"] += 1
        self._told["subscribed"] += payload.count(b'"type":"subscribed"')
        return False

    def close(self) -> None:
        """Cut the line."""
        transport: asyncio.WriteTransport = self.writer.transport
        transport.abort()


async def _persist(told: GroupOutput, address: Address, once: _Attack, pause: float = 0.1) -> None:
    """Again and again, whatever comes of it."""
    while True:
        # uvloop has an error of its own for a line that was cut.
        with suppress(OSError, asyncio.IncompleteReadError, RuntimeError):
            await once(told, address)
        await asyncio.sleep(pause)


async def _together(told: GroupOutput, address: Address, count: int, once: _Attack, pause: float = 0.1) -> None:
    await asyncio.gather(*(_persist(told, address, once, pause) for _ in range(count)))


async def never_reads(told: GroupOutput, address: Address) -> None:
    """See the module."""
    beginning = f"/v1/stream?cursor={CURSORS.encode(0)}"

    async def once(told: GroupOutput, address: Address, looks: bool = False) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.setblocking(False)
            await loop.sock_connect(deaf, address)
            told["connections"] += 1
            await loop.sock_sendall(deaf, UPGRADE.format(path=beginning).encode())
            # Events of 10 s fill all buffers at once, so it is known when the gateway has had enough.
            await asyncio.sleep(12)
            if not looks:
                await asyncio.sleep(8)
                told["reset" if _is_reset(deaf) else "hears of nothing"] += 1
                return
            reader, writer = await asyncio.open_connection(sock=deaf.dup())
            client = _Client(reader, writer, told)
            await client.head()
            await client.hear(3)
            client.close()

    async def looking(told: GroupOutput, address: Address) -> None:
        await once(told, address, looks=True)

    await asyncio.gather(_together(told, address, 10, once), _together(told, address, 10, looking))


def _is_reset(deaf: socket.socket) -> bool:
    polled = select.poll()
    polled.register(deaf, select.POLLERR | select.POLLHUP)
    return bool(polled.poll(0))


async def silent(told: GroupOutput, address: Address) -> None:
    """See the module."""

    async def nothing(told: GroupOutput, address: Address) -> None:
        client = await _Client.connect(told, address)
        began = time.monotonic()
        await client.reader.read()
        told[f"cut after {time.monotonic() - began:.0f} s"] += 1

    async def no_pong(told: GroupOutput, address: Address) -> None:
        client = await _Client.upgrade(told, address)
        await client.hear(3_600)
        client.close()

    await asyncio.gather(_together(told, address, 100, nothing), _together(told, address, 20, no_pong))


async def garbage(told: GroupOutput, address: Address) -> None:
    """See the module."""
    chance = random.Random(1)  # noqa: S311 - a choice, not a secret
    kinds = [
        b"\x81\x02{}",  # not masked
        frame(b"{}", 0x83),  # an opcode that is none
        frame(b"{}", 0xC1),  # a reserved bit
        frame(b"\xff\xfe{}"),  # not UTF-8
        frame(b"", 0x80),  # the end of a message that has not begun
        frame(b"x" * 126, 0x89),  # a ping that is too long
        frame(b"\x00\x01", 0x88),  # a close code that is none
        frame(b"not JSON"),
        frame(b"[" * 60_000),
        frame(b'{"op":{"op":{}}}'),
        frame(b"\x00" * 1_000, 0x82),  # binary
    ]

    async def frames(told: GroupOutput, address: Address) -> None:
        client = await _Client.upgrade(told, address)
        client.writer.write(chance.choice(kinds))
        await client.hear(0.3)
        client.close()

    async def request(told: GroupOutput, address: Address) -> None:
        client = await _Client.connect(told, address)
        client.writer.write(chance.randbytes(200) + b"\r\n\r\n")
        told[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await asyncio.gather(_together(told, address, 4, frames), _together(told, address, 2, request))


async def huge(told: GroupOutput, address: Address) -> None:
    """See the module."""

    async def endless(told: GroupOutput, address: Address) -> None:
        client = await _Client.upgrade(told, address)
        client.writer.write(struct.pack("!BBQ", 0x81, 0xFF, 2**62) + bytes(4) + bytes(100_000))
        await client.hear(1)
        client.close()

    async def one_more(told: GroupOutput, address: Address) -> None:
        client = await _Client.upgrade(told, address)
        client.writer.write(frame(b"x" * (_LIMIT + 1)))
        await client.hear(1)
        client.close()

    async def pieces(told: GroupOutput, address: Address) -> None:
        client = await _Client.upgrade(told, address)
        client.writer.write(b"".join(frame(b"x" * 30_000, 0x01 if not number else 0x00) for number in range(10)))
        await client.hear(1)
        client.close()

    await asyncio.gather(*(_together(told, address, 2, once) for once in (endless, one_more, pieces)))


async def pieces(told: GroupOutput, address: Address) -> None:
    """See the module."""

    async def once(told: GroupOutput, address: Address) -> None:
        client = await _Client.upgrade(told, address)
        hearing = asyncio.create_task(client.hear(3_600))
        many = frame(b"", 0x00) * 1_000
        client.writer.write(frame(b"", 0x01))
        while not hearing.done():
            client.writer.write(many)
            told["pieces"] += 1_000
            with suppress(OSError):
                await client.writer.drain()
            await asyncio.sleep(0.01)
        client.close()

    await _together(told, address, 2, once)


async def _flood(  # noqa: PLR0913 - in what floods differ
    told: GroupOutput, address: Address, name: str, frames: Iterator[bytes], *, reads: bool, pause: float = 0.0
) -> None:
    """Send 200 frames at a time as fast as they go through, until the other side ends it."""
    client = await _Client.upgrade(told, address)
    hearing = asyncio.create_task(client.hear(3_600)) if reads else None
    with suppress(OSError):
        while hearing is None or not hearing.done():
            client.writer.write(b"".join(islice(frames, 200)))
            told[name] += 200
            await client.writer.drain()
            await asyncio.sleep(pause)
    client.close()


async def pings(told: GroupOutput, address: Address) -> None:
    """See the module."""
    ping = frame(b"x" * 100, 0x89)

    async def once(told: GroupOutput, address: Address, reads: bool = True) -> None:
        await _flood(told, address, "pings", repeat(ping), reads=reads, pause=0.001)

    await asyncio.gather(_together(told, address, 1, once), _together(told, address, 1, partial(once, reads=False)))


async def subscribes(told: GroupOutput, address: Address) -> None:
    """See the module."""

    async def once(told: GroupOutput, address: Address, reads: bool = True) -> None:
        asked = ({"op": "subscribe", "filter": {"source": f"s{number}"}} for number in count())
        await _flood(told, address, "ops sent", (frame(json.dumps(op).encode()) for op in asked), reads=reads)

    await asyncio.gather(_together(told, address, 2, once), _together(told, address, 1, partial(once, reads=False)))


async def slow_heads(told: GroupOutput, address: Address) -> None:
    """See the module."""

    async def slow(told: GroupOutput, address: Address) -> None:
        client = await _Client.connect(told, address)
        began = time.monotonic()
        client.writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n")
        with suppress(OSError):
            while not client.reader.at_eof():
                client.writer.write(b"X-More: and more\r\n")
                await client.writer.drain()
                await asyncio.sleep(1)
        told[f"cut after {time.monotonic() - began:.0f} s"] += 1
        client.close()

    async def endless(told: GroupOutput, address: Address) -> None:
        client = await _Client.connect(told, address)
        client.writer.write(b"GET /v1/stream HTTP/1.1\r\n" + b"X-More: and more\r\n" * 5_000)
        told[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await asyncio.gather(_together(told, address, 100, slow), _together(told, address, 2, endless))


class _Reader(asyncio.Protocol):
    """Reads and forgets, but for the status."""

    def __init__(self, told: GroupOutput) -> None:
        self._told = told
        self._new = True

    def data_received(self, data: bytes) -> None:
        if self._new:
            self._new = False
            self._told[f"HTTP {data[9:12].decode()}"] += 1


async def many(told: GroupOutput, address: Address) -> None:
    """See the module."""
    loop = asyncio.get_running_loop()
    request = UPGRADE.format(path="/v1/stream").encode()

    async def one() -> asyncio.Transport:
        transport, _ = await loop.create_connection(lambda: _Reader(told), *address)
        transport.write(request)
        told["connections"] += 1
        return transport

    while True:
        held = await asyncio.gather(*(one() for _ in range(_TOO_MANY)))
        await asyncio.sleep(10)
        for transport in held:
            transport.abort()
        await asyncio.sleep(1)


async def spins(told: GroupOutput, _: Address) -> None:
    """See the module."""
    while True:
        told["turns"] += sum(1 for _ in range(20_000)) // 20_000
        await asyncio.sleep(0)


ATTACKS: dict[str, _Attack] = {
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


async def _attack(kind: str, address: Address) -> None:
    """Begin, and say so; at a line from stdin stop, and tell what was told."""
    told = GroupOutput()
    task = asyncio.create_task((ATTACKS | {"spins": spins})[kind](told, address))
    say(begun=kind)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    say(told=told, failed=f"; ended early: {task.exception()!r}" if task.done() else "")


class _Watch:
    """The gateway's process: the share of a core it takes, and the most memory it had."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.share = 0.0
        self.most = 0

    @property
    def memory(self) -> int:
        return int(self._process.memory_info().rss)

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look as long as this is held."""
        ended = threading.Event()
        self.most = self.memory

        def look() -> None:
            while not ended.wait(0.2):
                self.most = max(self.most, self.memory)

        looking = threading.Thread(target=look)
        looking.start()
        cpu, began = self._cpu(), time.monotonic()
        try:
            yield
        finally:
            ended.set()
            looking.join()
            self.share = (self._cpu() - cpu) / (time.monotonic() - began)


def own_address() -> str | None:
    """An address of this machine that is not the loopback's, if it has one; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked, suppress(OSError):
        asked.connect(("192.0.2.1", 9))
        found = str(asked.getsockname()[0])
        return None if found.startswith("127.") else found
    return None


def _metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name):
                return float(line.rpartition(" ")[2])
    return 0.0


def _wrong(figures: dict[str, Any]) -> str:
    return "".join(f"  {figures[name]} {name}" for name in ("missing", "closed") if figures[name])


class _Bench:
    """The gateway, the others, and what they take alone."""

    def __init__(  # noqa: PLR0913 - its surroundings
        self, server: Child, others: Child, *, near: Address, outside: Address, seconds: float, log: IO[bytes]
    ) -> None:
        self._server = server
        self._others = others
        self._near = near
        self._outside = outside
        # The gateway's process writes through the same open file, and so moves its position.
        self._log = log
        self._load = Load(1, _EVERY, round(seconds / _EVERY))
        self._watch = _Watch(server.pid)
        self._alone = 0.0

    def measure(self, name: str, kinds: list[str]) -> None:
        """Measure the others beside these, and print."""
        before, slow = self._watch.memory, _metric(self._near[1], "khabar_api_too_slow_total")
        logged = self._log.tell()
        with ExitStack() as running:
            hostile = {
                kind: running.enter_context(
                    Child.of("hostile", "--attack", kind, "--at", *(self._outside if kind == "many" else self._near))
                )
                for kind in kinds
            }
            for child in hostile.values():
                child.hear()
            if kinds:
                time.sleep(_SETTLE_SECONDS)
            with self._watch.watching():
                figures = drive(self._server, self._others, self._load, OTHERS)
            answers = {kind: child.ask("stop") for kind, child in hostile.items()}
        if kinds:
            time.sleep(_SETTLE_SECONDS)
        p50, p99, most = figures["arrived"]
        self._alone = self._alone or p99
        print(
            f"{name:12} p50/p99/p99.9 {p50:.1f}/{p99:.1f}/{most:.1f} ms  p99 {p99 / self._alone:5.2f} of alone  "
            f"published {figures['late']:.0f} ms late at most  gateway {self._watch.share:4.0%} of a core  "
            f"memory {before / 1e6:.0f} → {self._watch.most / 1e6:.0f} → {self._watch.memory / 1e6:.0f} MB  "
            f"log {(self._log.tell() - logged) / 1e3:.0f} KB{_wrong(figures)}"
        )
        for kind, answer in answers.items():
            told = ", ".join(f"{times:,} {what}" for what, times in sorted(answer["told"].items()))
            print(f"{'':12}   {kind}: {told}{answer['failed']}")
        if kinds:
            told_slow = _metric(self._near[1], "khabar_api_too_slow_total") - slow
            left = _metric(self._near[1], 'khabar_api_connections{transport="websocket"}') - OTHERS
            print(f"{'':12}   too_slow: {told_slow:.0f}; streams that are still open: {left:.0f}")


def run(only: list[str], seconds: float) -> None:
    """Measure all, one after the other."""
    away = own_address()
    hosts = ["127.0.0.1", *([away] if away else [])]
    with tempfile.TemporaryFile() as log, Child.of("fanout", "serve", "gateway", *hosts, log=log) as server:
        ports = server.hear()["ports"]
        near = ("127.0.0.1", ports[0])
        kinds = [kind for kind in only if kind != "many" or away]
        if not away:
            print("this machine has the loopback alone, for which there is no limit of connections: many is left out")
        with crowd(ports[0], OTHERS) as others:
            outside = (away, ports[1]) if away else near
            bench = _Bench(server, others, near=near, outside=outside, seconds=seconds, log=log)
            print(f"{OTHERS} others, {1 / _EVERY:g} events/s each, {seconds:g} s; load {os.getloadavg()[0]:.1f}")
            drive(server, others, Load(1, _EVERY, 40), OTHERS)
            bench.measure("alone", [])
            bench.measure("spins", ["spins"])
            for kind in kinds:
                bench.measure(kind, [kind])
            if len(kinds) > 1:
                bench.measure("together", kinds)
            bench.measure("alone again", [])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=45.0, help="for each kind")
    parser.add_argument("--only", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--at", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    prepare()
    if given.attack:
        os.nice(19)
        uvloop.run(_attack(given.attack, (given.at[0], int(given.at[1]))))
    else:
        run(given.only, given.seconds)


if __name__ == "__main__":
    main()
