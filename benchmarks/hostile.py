"""Effect of hostile clients on other clients: ``python -m benchmarks.hostile [--seconds 45] [--only KIND ...]``.

One gateway runs in a separate process, as in ``benchmarks.fanout``: its log is fed directly, its limits are the
defaults. 200 well-behaved subscribers get 20 events a second each (4,000 deliveries a second). Their delay is measured
alone, then together with each kind of hostile client, together with all of them, and alone again. Delays run from when
an event was due until the subscriber's kernel had it (see ``benchmarks.receivers``).

Each kind of hostile client is a separate process with ``nice 19``. On a machine of two cores it still takes CPU time
from the gateway, independent of the gateway's work for it. The control ``spins`` shows this: a process that computes
and connects to nothing. The gateway's share of a core is printed as well: the increase over the run alone is caused by
the hostile clients. Memory is that of the gateway's process before, the maximum during, and after.

``never_reads``  subscribe from the start of the log and read nothing; half of them read after 12 s
``silent``       connect and send nothing; others upgrade and do not answer pings
``garbage``      invalid frames, text that is not JSON, requests that are not HTTP
``huge``         frames of 2^62 bytes, frames one byte above the limit, messages of endless fragments
``pieces``       messages of endless empty fragments
``pings``        pings as fast as possible: one client reads the answers, one does not
``subscribes``   ops as fast as possible: two clients read the answers, one does not
``slow_heads``   request heads that grow by one line a second, and endless ones as fast as possible
``many``         1,100 connections at once subscribe to everything from one address other than the loopback, of which
                 1,000 are accepted; after 10 s they disconnect, and start again
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
from benchmarks.receivers import UPGRADE, Child, prepare, report, subscribers

OTHERS = 200
_EVERY = 0.05
_SETTLE_SECONDS = 4.0
_LIMIT = 64 * 1024
_TOO_MANY = 1_100
_WARM_UP_EVENTS = 40
_ERROR = re.compile(rb'"type":"error","code":"(\w+)"')

Address = tuple[str, int]
_Attack = Callable[["Outcomes", Address], Coroutine[Any, Any, None]]


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


class _Client:
    """A connection that counts the answers it gets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outcomes: Outcomes) -> None:
        self.reader = reader
        self.writer = writer
        self._outcomes = outcomes

    @classmethod
    async def connect(cls, outcomes: Outcomes, address: Address) -> "_Client":
        """A connection on which nothing was sent."""
        reader, writer = await asyncio.open_connection(*address)
        outcomes["connections"] += 1
        return cls(reader, writer, outcomes)

    @classmethod
    async def upgrade(cls, outcomes: Outcomes, address: Address, path: str = "/v1/stream?source=nobody") -> "_Client":
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


async def _repeat(outcomes: Outcomes, address: Address, once: _Attack, pause: float = 0.1) -> None:
    """Repeat an attack, ignoring errors."""
    while True:
        # uvloop raises RuntimeError on a connection that was aborted.
        with suppress(OSError, asyncio.IncompleteReadError, RuntimeError):
            await once(outcomes, address)
        await asyncio.sleep(pause)


async def _concurrently(outcomes: Outcomes, address: Address, count: int, once: _Attack, pause: float = 0.1) -> None:
    await asyncio.gather(*(_repeat(outcomes, address, once, pause) for _ in range(count)))


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
            client = _Client(reader, writer, outcomes)
            await client.head()
            await client.read(3)
            client.close()

    async def reads_late(outcomes: Outcomes, address: Address) -> None:
        await once(outcomes, address, reads_late=True)

    await asyncio.gather(_concurrently(outcomes, address, 10, once), _concurrently(outcomes, address, 10, reads_late))


def _is_reset(unread: socket.socket) -> bool:
    polled = select.poll()
    polled.register(unread, select.POLLERR | select.POLLHUP)
    return bool(polled.poll(0))


async def silent(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def nothing(outcomes: Outcomes, address: Address) -> None:
        client = await _Client.connect(outcomes, address)
        began = time.monotonic()
        await client.reader.read()
        outcomes[f"disconnected after {time.monotonic() - began:.0f} s"] += 1

    async def no_pong(outcomes: Outcomes, address: Address) -> None:
        client = await _Client.upgrade(outcomes, address)
        await client.read(3_600)
        client.close()

    await asyncio.gather(_concurrently(outcomes, address, 100, nothing), _concurrently(outcomes, address, 20, no_pong))


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
        client = await _Client.upgrade(outcomes, address)
        client.writer.write(rng.choice(kinds))
        await client.read(0.3)
        client.close()

    async def request(outcomes: Outcomes, address: Address) -> None:
        client = await _Client.connect(outcomes, address)
        client.writer.write(rng.randbytes(200) + b"\r\n\r\n")
        outcomes[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await asyncio.gather(_concurrently(outcomes, address, 4, frames), _concurrently(outcomes, address, 2, request))


async def huge(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def endless(outcomes: Outcomes, address: Address) -> None:
        client = await _Client.upgrade(outcomes, address)
        client.writer.write(struct.pack("!BBQ", 0x81, 0xFF, 2**62) + bytes(4) + bytes(100_000))
        await client.read(1)
        client.close()

    async def one_more(outcomes: Outcomes, address: Address) -> None:
        client = await _Client.upgrade(outcomes, address)
        client.writer.write(frame(b"x" * (_LIMIT + 1)))
        await client.read(1)
        client.close()

    async def pieces(outcomes: Outcomes, address: Address) -> None:
        client = await _Client.upgrade(outcomes, address)
        client.writer.write(b"".join(frame(b"x" * 30_000, 0x01 if not number else 0x00) for number in range(10)))
        await client.read(1)
        client.close()

    await asyncio.gather(*(_concurrently(outcomes, address, 2, once) for once in (endless, one_more, pieces)))


async def pieces(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await _Client.upgrade(outcomes, address)
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

    await _concurrently(outcomes, address, 2, once)


async def _flood(  # noqa: PLR0913 - the differences between floods
    outcomes: Outcomes, address: Address, name: str, frames: Iterator[bytes], *, reads: bool, pause: float = 0.0
) -> None:
    """Send 200 frames at a time as fast as possible, until the server closes the connection."""
    client = await _Client.upgrade(outcomes, address)
    reading = asyncio.create_task(client.read(3_600)) if reads else None
    with suppress(OSError):
        while reading is None or not reading.done():
            client.writer.write(b"".join(islice(frames, 200)))
            outcomes[name] += 200
            await client.writer.drain()
            await asyncio.sleep(pause)
    client.close()


async def pings(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""
    ping = frame(b"x" * 100, 0x89)

    async def once(outcomes: Outcomes, address: Address, reads: bool = True) -> None:
        await _flood(outcomes, address, "pings", repeat(ping), reads=reads, pause=0.001)

    await asyncio.gather(
        _concurrently(outcomes, address, 1, once), _concurrently(outcomes, address, 1, partial(once, reads=False))
    )


async def subscribes(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def once(outcomes: Outcomes, address: Address, reads: bool = True) -> None:
        ops = ({"op": "subscribe", "filter": {"source": f"s{number}"}} for number in count())
        await _flood(outcomes, address, "ops sent", (frame(json.dumps(op).encode()) for op in ops), reads=reads)

    await asyncio.gather(
        _concurrently(outcomes, address, 2, once), _concurrently(outcomes, address, 1, partial(once, reads=False))
    )


async def slow_heads(outcomes: Outcomes, address: Address) -> None:
    """See the module's docstring."""

    async def slow(outcomes: Outcomes, address: Address) -> None:
        client = await _Client.connect(outcomes, address)
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
        client = await _Client.connect(outcomes, address)
        client.writer.write(b"GET /v1/stream HTTP/1.1\r\n" + b"X-More: and more\r\n" * 5_000)
        outcomes[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await asyncio.gather(_concurrently(outcomes, address, 100, slow), _concurrently(outcomes, address, 2, endless))


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
    """Start, and report it; at a line from stdin stop, and report the outcomes."""
    outcomes = Outcomes()
    task = asyncio.create_task((ATTACKS | {"spins": spins})[kind](outcomes, address))
    report(started=kind)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    report(outcomes=outcomes, failed=f"; ended early: {task.exception()!r}" if task.done() else "")


class _Watch:
    """The gateway's process: the share of a core it uses, and its maximum memory."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.share = 0.0
        self.peak = 0

    @property
    def memory(self) -> int:
        return int(self._process.memory_info().rss)

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Sample until the context ends."""
        ended = threading.Event()
        self.peak = self.memory

        def sample() -> None:
            while not ended.wait(0.2):
                self.peak = max(self.peak, self.memory)

        sampling = threading.Thread(target=sample)
        sampling.start()
        cpu, began = self._cpu(), time.monotonic()
        try:
            yield
        finally:
            ended.set()
            sampling.join()
            self.share = (self._cpu() - cpu) / (time.monotonic() - began)


def own_address() -> str | None:
    """An address of this machine other than the loopback, if it has one; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        found = str(probe.getsockname()[0])
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
    """The gateway and the other clients, whose delay is measured."""

    def __init__(  # noqa: PLR0913 - processes, addresses and durations
        self,
        server: Child,
        others: Child,
        *,
        clients: int,
        local: Address,
        outside: Address,
        seconds: float,
        settle: float,
        log: IO[bytes],
    ) -> None:
        self._server = server
        self._others = others
        self._clients = clients
        self._settle = settle
        self._local = local
        self._outside = outside
        # The gateway's process writes through the same open file, and so moves its position.
        self._log = log
        self._load = Load(1, _EVERY, round(seconds / _EVERY))
        self._watch = _Watch(server.pid)
        self._alone = 0.0

    def measure(self, name: str, kinds: list[str]) -> None:
        """Measure the other clients together with these kinds, and print."""
        before, slow = self._watch.memory, _metric(self._local[1], "khabar_api_too_slow_total")
        logged = self._log.tell()
        with ExitStack() as running:
            hostile = {
                kind: running.enter_context(
                    Child.of("hostile", "--attack", kind, "--at", *(self._outside if kind == "many" else self._local))
                )
                for kind in kinds
            }
            for child in hostile.values():
                child.read()
            if kinds:
                time.sleep(self._settle)
            with self._watch.watching():
                figures = drive(self._server, self._others, self._load, self._clients)
            answers = {kind: child.ask("stop") for kind, child in hostile.items()}
        if kinds:
            time.sleep(self._settle)
        p50, p99, p999 = figures["arrived"]
        self._alone = self._alone or p99
        print(
            f"{name:12} p50/p99/p99.9 {p50:.1f}/{p99:.1f}/{p999:.1f} ms  p99 {p99 / self._alone:5.2f} of alone  "
            f"published at most {figures['late']:.0f} ms late  gateway {self._watch.share:4.0%} of a core  "
            f"memory {before / 1e6:.0f} → {self._watch.peak / 1e6:.0f} → {self._watch.memory / 1e6:.0f} MB  "
            f"log {(self._log.tell() - logged) / 1e3:.0f} KB{_wrong(figures)}"
        )
        for kind, answer in answers.items():
            outcomes = ", ".join(f"{times:,} {what}" for what, times in sorted(answer["outcomes"].items()))
            print(f"{'':12}   {kind}: {outcomes}{answer['failed']}")
        if kinds:
            too_slow = _metric(self._local[1], "khabar_api_too_slow_total") - slow
            still_open = _metric(self._local[1], 'khabar_api_connections{transport="websocket"}') - self._clients
            print(f"{'':12}   too_slow: {too_slow:.0f}; streams still open: {still_open:.0f}")


def run(only: list[str], *, clients: int, seconds: float, settle: float) -> None:
    """Measure all kinds, one after the other."""
    external = own_address()
    hosts = ["127.0.0.1", *([external] if external else [])]
    with tempfile.TemporaryFile() as log, Child.of("fanout", "serve", "gateway", *hosts, log=log) as server:
        ports = server.read()["ports"]
        local = ("127.0.0.1", ports[0])
        kinds = [kind for kind in only if kind != "many" or external]
        if not external:
            print("this machine has only the loopback, which has no limit of connections: many is left out")
        with subscribers(ports[0], clients) as others:
            outside = (external, ports[1]) if external else local
            bench = _Bench(
                server,
                others,
                clients=clients,
                local=local,
                outside=outside,
                seconds=seconds,
                settle=settle,
                log=log,
            )
            print(f"{clients} others, {1 / _EVERY:g} events/s each, {seconds:g} s; load {os.getloadavg()[0]:.1f}")
            drive(server, others, Load(1, _EVERY, min(_WARM_UP_EVENTS, round(seconds / _EVERY))), clients)
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
    parser.add_argument("--seconds", type=float, default=45.0, help="per kind")
    parser.add_argument("--settle", type=float, default=_SETTLE_SECONDS, help="seconds before and after each kind")
    parser.add_argument("--others", type=int, default=OTHERS, help="well-behaved subscribers")
    parser.add_argument("--only", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--at", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    prepare()
    if given.attack:
        os.nice(19)
        uvloop.run(_attack(given.attack, (given.at[0], int(given.at[1]))))
    else:
        run(given.only, clients=given.others, seconds=given.seconds, settle=given.settle)


if __name__ == "__main__":
    main()
