"""What the stream costs: events delivered a CPU second of the server, against servers that do less.

- ``gateway``: the gateway's own ``/v1/stream``, whose log is fed directly, so that Kafka is not measured.
- ``raw``: an asyncio server that writes a prebuilt frame to every transport, in bursts ten frames a write.
- ``queues``: FastAPI with a queue and a task a client, as it is commonly written.

All three run on uvloop in a process of their own; all clients are one further process that reads raw sockets. Events
have 1 KB. ``paced`` is 20 events a second, one at a time; ``bursts`` is 20 events at once, four times a second.

    python -m benchmarks.fanout speed --clients 1000 --seconds 5
    python -m benchmarks.fanout memory --clients 1000
    python -m benchmarks.fanout filters
"""

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, cast

import uvicorn
import uvloop
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from websockets.utils import accept_key

from api.cursor import Cursors
from api.events import Event, Facets
from api.feeds import Feeds
from api.filters import Filter
from api.log import Log
from api.service import Server, listen
from api.transport import text_frame
from services.settings import Settings

_KINDS = ("gateway", "raw", "queues")
_MODES = ("paced", "bursts")
_RATE = 20
_BURST = 20
_BURSTS = 4
_RAW_AT_ONCE = 10
_TEXT = "خبر عاجل من غزة " * 28
_CURSORS = Cursors("bench")
_AT = re.compile(rb'"at":(\d{19})')
_FACETS = Facets(type="article", languages=frozenset(["ar"]))

_Publish = Callable[[list[Event]], None]


def _event(offset: int, facets: Facets = _FACETS) -> Event:
    cursor = _CURSORS.encode(offset)
    head = f'{{"cursor":"{cursor}","type":"article","time":"2026-11-22T00:00:00.000Z","data":'.encode()
    data = f'{{"id":"{offset}","text":"{_TEXT}","at":{time.monotonic_ns():019}}}'.encode()
    return Event(offset, cursor, head + data + b"}", len(head), facets)


async def _drive(mode: str, seconds: float, publish: _Publish) -> dict[str, float]:
    """Publish for so long; events and the CPU seconds of this process."""
    offsets = count()
    began, cpu = time.monotonic(), time.process_time()
    pause = 1 / _RATE if mode == "paced" else 1 / _BURSTS
    for turn in range(round(seconds / pause)):
        await asyncio.sleep(max(0.0, began + turn * pause - time.monotonic()))
        publish([_event(next(offsets)) for _ in range(1 if mode == "paced" else _BURST)])
    await asyncio.sleep(1)
    return {"cpu": time.process_time() - cpu, "events": next(offsets)}


def _gateway() -> tuple[uvicorn.Server, _Publish]:
    server = Server(Settings(kafka="127.0.0.1:9", redis="redis://127.0.0.1:9"))
    gateway = server.app.state.gateway

    async def follow() -> None:
        gateway.follower.cursors = _CURSORS
        gateway.follower.caught_up.set()
        await asyncio.Event().wait()

    gateway.follower.run = follow

    def publish(events: list[Event]) -> None:
        gateway.log.append(events, events[-1].offset + 1)

    return server, publish


def _queues() -> tuple[uvicorn.Server, _Publish]:
    app = FastAPI()
    queues: set[asyncio.Queue[str]] = set()

    @app.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        queue: asyncio.Queue[str] = asyncio.Queue()
        queues.add(queue)
        try:
            while True:
                await websocket.send_text(await queue.get())
        except WebSocketDisconnect:
            queues.discard(queue)

    def publish(events: list[Event]) -> None:
        for event in events:
            text = event.line.decode()
            for queue in queues:
                queue.put_nowait(text)

    config = uvicorn.Config(app, ws="websockets-sansio", ws_per_message_deflate=False, log_config=None)
    return uvicorn.Server(config), publish


class _Raw(asyncio.Protocol):
    """Answers the handshake, and is written to."""

    transports: set[asyncio.Transport] = set()  # noqa: RUF012 - all of this process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        found = re.search(rb"(?i)sec-websocket-key: *(\S+)", data)
        if found:
            accept = accept_key(found[1].decode())
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
            )
            self.transports.add(self._transport)

    def connection_lost(self, _: Exception | None) -> None:
        self.transports.discard(self._transport)

    @classmethod
    def publish(cls, events: list[Event]) -> None:
        for first in range(0, len(events), _RAW_AT_ONCE):
            frames = b"".join(text_frame(event.line) for event in events[first : first + _RAW_AT_ONCE])
            for transport in cls.transports:
                transport.write(frames)


async def _serve(kind: str, mode: str, seconds: float) -> None:
    """Tell the port; begin at a line from stdin, tell the figures, end at the next one."""
    loop = asyncio.get_running_loop()
    with listen("127.0.0.1", 0) as listener:
        publish: _Publish
        if kind == "raw":
            publish = _Raw.publish
            await loop.create_server(_Raw, sock=listener)
        else:
            server, publish = _gateway() if kind == "gateway" else _queues()
            # Held, or the loop would forget it.
            task = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        before = _resident()
        _say({"port": listener.getsockname()[1]})
        await loop.run_in_executor(None, sys.stdin.readline)
        figures: dict[str, float] = {"memory": _resident() - before}
        if seconds:
            figures |= await _drive(mode, seconds, publish)
        _say(figures)
        await loop.run_in_executor(None, sys.stdin.readline)
        if kind != "raw":
            task.cancel()


class _Client(asyncio.Protocol):
    """Reads, counts, and takes times."""

    ready = 0
    latencies: list[float] = []  # noqa: RUF012 - all of this process
    _rest = b""
    _upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self._upgraded and b"\r\n\r\n" in data:
            self._upgraded = True
            type(self).ready += 1
        data = self._rest + data
        end = 0
        for found in _AT.finditer(data):
            self.latencies.append((now - int(found[1])) / 1e6)
            end = found.end()
        self._rest = data[max(end, len(data) - 24) :]


async def _connect(port: int, clients: int) -> None:
    """Connect all, tell so; at a line from stdin tell what came."""
    loop = asyncio.get_running_loop()
    for _ in range(clients):
        await loop.create_connection(_Client, "127.0.0.1", port)
    while _Client.ready < clients:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    _say({"ready": clients})
    await loop.run_in_executor(None, sys.stdin.readline)
    found = sorted(_Client.latencies)
    _say({"received": len(found)} | {f"p{n}": found[len(found) * n // 100] for n in (50, 99) if found})


def _resident() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _say(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


@contextmanager
def _child(*arguments: object) -> Iterator[Callable[..., dict[str, Any]]]:
    """A process of this module: each call sends it a line if ``go``, and returns what it tells next."""
    command = [sys.executable, "-m", "benchmarks.fanout", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        written, told = process.stdin, process.stdout
        if written is None or told is None:
            raise RuntimeError("no pipes")

        def ask(*, go: bool = True) -> dict[str, Any]:
            if go:
                written.write("\n")
                written.flush()
            line = told.readline()
            return cast(dict[str, Any], json.loads(line or '{"ended": true}'))

        try:
            yield ask
        finally:
            process.kill()


def _measure(kind: str, mode: str, clients: int, seconds: float) -> dict[str, Any]:
    with _child("serve", kind, mode, seconds) as server:
        port = server(go=False)["port"]
        with _child("connect", port, clients) as crowd:
            crowd(go=False)
            figures = server()
            return figures | crowd() | {"expected": figures.get("events", 0) * clients}


def speed(clients: int, seconds: float, rounds: int) -> None:
    """Delivered events a CPU second, in turns; the median of the rounds."""
    print(f"{clients} clients, {seconds:g} s, median of {rounds}")
    for mode in _MODES:
        rates: dict[str, float] = {}
        for kind in _KINDS:
            runs = [_measure(kind, mode, clients, seconds) for _ in range(rounds)]
            lost = sum(run["expected"] - run["received"] for run in runs)
            rates[kind] = statistics.median(run["received"] / run["cpu"] for run in runs)
            p50, p99 = (statistics.median(run[name] for run in runs) for name in ("p50", "p99"))
            print(
                f"{mode:7} {kind:8} {rates[kind]:9,.0f} events/CPU s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  "
                f"{rates[kind] / rates.get('raw', rates[kind]):5.2f} of raw  missing {lost}"
            )
        print(f"{mode:7} gateway is {rates['gateway'] / rates['raw']:.2f} of raw")


def memory(clients: int) -> None:
    """Memory a connection that is idle."""
    for kind in _KINDS:
        grown = _measure(kind, "paced", clients, 0)["memory"]
        print(f"{kind:8} {grown / clients / 1024:6.1f} KB a connection, of {clients} idle ones")


class _Idle:
    """A parked subscriber that is never full."""

    def wake(self) -> None:
        """Never."""


def filters(events: int = 2_000) -> None:
    """What an event costs that three subscribers get, of few and of many with a filter of their own."""
    for distinct in (10, 100, 1_000, 10_000):
        log = Log(64_000_000)
        feeds = Feeds(log)
        handed = [0]

        def take(_: bytes, handed: list[int] = handed) -> None:
            handed[0] += 1

        for number in range(distinct):
            wanted = Filter(language=frozenset(["ar"]), entity=frozenset([f"Q{number}"]))
            feeds.park(_Idle(), wanted, take)
        entities = frozenset(["Q1", "Q5", "Q9"])
        facets = Facets(type="article", languages=frozenset(["ar"]), entities=entities)
        made = [_event(offset, facets) for offset in range(events)]
        began = time.process_time()
        for event in made:
            log.append([event], event.offset + 1)
        spent = (time.process_time() - began) / events
        print(f"{distinct:6} distinct filters: {spent * 1e6:6.1f} µs an event, {handed[0] / events:g} matches")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory", "filters", "serve", "connect"])
    parser.add_argument("of", nargs="*")
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    match given.what:
        case "speed":
            speed(given.clients, given.seconds, given.rounds)
        case "memory":
            memory(given.clients)
        case "filters":
            filters()
        case "serve":
            uvloop.run(_serve(given.of[0], given.of[1], float(given.of[2])))
        case "connect":
            uvloop.run(_connect(int(given.of[0]), int(given.of[1])))


if __name__ == "__main__":
    main()
