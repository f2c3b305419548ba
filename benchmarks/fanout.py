"""The cost of the stream: events delivered per CPU-second of the server, compared with servers that do less.

- ``gateway``: the gateway's own ``/v1/stream``; its log is fed directly, so that Kafka is not measured.
- ``raw``: an asyncio server that writes a prebuilt frame to each transport, in bursts ten frames per write.
- ``queues``: FastAPI with a queue and a task per client, as it is commonly written.

All three run on uvloop in a separate process; all clients run in one other process that reads raw sockets
(``benchmarks.receivers``). Events have 1 KB.

``paced``: single events, evenly spaced, 20 thousand deliveries a second in total (``--deliveries``), so that nothing
coalesces: 100 events a second to 200 clients, 4 to 5,000. ``--each 20`` makes it 20 events a second independent of the
number of clients; at 5,000 clients these are 100 thousand deliveries a second, about what one core can write one by
one, each event separately even if it is overdue. ``bursts``: 20 events at once, 80 thousand deliveries a second in
total.

Delays are measured from when an event was *due*, not from when a busy server published it, and each delivery counts;
see ``benchmarks.receivers`` for the two times. A CPU-second is one of the server's process, user and system, from the
first event until all are delivered. In each round the servers take turns in a different order; figures are medians of
the rounds, ratios are computed within a round. Trust ratios more than figures.

Memory is that of the server's process (resident), without the kernel's socket buffers: per idle connection, and per
connection after paced events for ``--seconds`` (including the gateway's log of at most 64 MB).

    python -m benchmarks.fanout speed --clients 200 1000 5000 --seconds 5
    python -m benchmarks.fanout speed --clients 5000 --each 20
    python -m benchmarks.fanout memory --clients 1000 5000
    python -m benchmarks.fanout filters
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any, cast

import uvicorn
import uvloop
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from websockets.utils import accept_key

from api.server import Server, listen
from api.stream.cursor import Cursors
from api.stream.fanout import Fanout
from api.stream.filters import Filter
from api.stream.log import Log
from api.stream.protocols import text_frame
from api.stream.stream_event import Event, Facets
from benchmarks.receivers import Child, due, prepare, report, resident, settled, subscribers
from services import telemetry
from services.settings import Settings

KINDS = ("gateway", "raw", "queues")
_MODES = ("paced", "bursts")
_BURST = 20
_BURST_DELIVERIES = 80_000
_MIN_BURSTS = 10
# After connecting, the server has work left that is not part of the measurement.
_SETTLE_SECONDS = 1.0
_RAW_AT_ONCE = 10
_BYTES = 1_024
CURSORS = Cursors("bench")
_TEXT = "خبر عاجل من غزة " * 40
# The words of long articles, of which filters in ``benchmarks.hostile`` are made.
VOCABULARY = [f"كلمة{number}" for number in range(3_000)]
_LONG_BYTES = 300_000
_LONG_FACETS = Facets(type="article", languages=frozenset(["ar"]), duplicate=True)
_FACETS = Facets(type="article", languages=frozenset(["ar"]))

_Publish = Callable[[list[Event]], None]


def _event(offset: int, planned: int = 10**18, facets: Facets = _FACETS, text: str = _TEXT) -> Event:
    """An event of 1 KB that is due at ``planned``, in nanoseconds since 1970."""
    cursor = CURSORS.encode(offset)
    head = f'{{"cursor":"{cursor}","type":"article","time":"2026-11-22T00:00:00.000Z","data":'.encode()
    data = f'{{"id":"{offset}",{due(planned)},"text":"'.encode()
    length = _BYTES - len(head) - len(data) - 3
    # If a letter was cut, ASCII fills the length up.
    body = text.encode()[:length].decode(errors="ignore").encode().ljust(length, b".")
    return Event(offset, cursor, head + data + body + b'"}}', len(head), facets)


def _long_event(offset: int) -> Event:
    """An article of 300 KB that only those get who want duplicates."""
    cursor = CURSORS.encode(offset)
    head = f'{{"cursor":"{cursor}","type":"article","time":"2026-11-22T00:00:00.000Z","data":'.encode()
    words = cycle(VOCABULARY)
    text = " ".join(next(words) for _ in range(_LONG_BYTES // len(VOCABULARY[-1].encode())))
    data = f'{{"id":"{offset}","text":"{text}"}}'.encode()
    return Event(offset, cursor, head + data + b"}", len(head), _LONG_FACETS)


async def _drive(  # noqa: PLR0913 - the load
    publish: _Publish, offsets: "count[int]", *, at_once: int, pause: float, turns: int, long_every: int
) -> dict[str, float]:
    """Publish ``at_once`` events, ``turns`` times; returns the number of events and the longest delay (ms).

    ``long_every``: with the first of so many turns also a long one that the receivers do not get.
    """
    began, clock = time.time_ns(), time.monotonic()
    latest = 0.0
    for turn in range(turns):
        planned = clock + turn * pause
        await asyncio.sleep(max(0.0, planned - time.monotonic()))
        latest = max(latest, time.monotonic() - planned)
        at = began + round(turn * pause * 1e9)
        publish([_event(next(offsets), at) for _ in range(at_once)])
        if long_every and not turn % long_every:
            publish([_long_event(next(offsets))])
    return {"events": turns * at_once, "late": latest * 1000}


def _gateway() -> tuple[uvicorn.Server, _Publish]:
    settings = Settings(kafka="127.0.0.1:9", redis="redis://127.0.0.1:9", log_level="warning")
    telemetry.configure(settings, "api")
    server = Server(settings)
    gateway = server.app.state.gateway

    async def follow() -> None:
        gateway.follower.cursors = CURSORS
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
    """Answers the handshake; frames are written to its transport."""

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


async def _serve(kind: str, hosts: list[str]) -> None:
    """Report the ports; then answer ``drive``, and ``cpu`` with the CPU seconds since, until stdin ends."""
    loop = asyncio.get_running_loop()
    offsets = count()
    with ExitStack() as open_ones:
        listeners = [open_ones.enter_context(listen(host, 0)) for host in hosts]
        publish: _Publish
        if kind == "raw":
            publish = _Raw.publish
            servers = [await loop.create_server(_Raw, sock=listener, backlog=4_096) for listener in listeners]
        else:
            server, publish = _gateway() if kind == "gateway" else _queues()
            # The event loop holds tasks only weakly.
            task = asyncio.create_task(server.serve(sockets=listeners))
            while not server.started:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
        report(ports=[listener.getsockname()[1] for listener in listeners])
        cpu = time.process_time()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            request = json.loads(line)
            if request.pop("do") == "drive":
                cpu = time.process_time()
                report(**await _drive(publish, offsets, **request))
            else:
                report(cpu=time.process_time() - cpu)
        if kind == "raw":
            for one in servers:
                one.close()
        else:
            task.cancel()


@dataclass(frozen=True)
class Load:
    """``turns`` times ``at_once`` events, with pauses of ``pause`` seconds."""

    at_once: int
    pause: float
    turns: int

    @classmethod
    def of(cls, mode: str, clients: int, seconds: float, deliveries: float) -> "Load":
        """The load of a mode, see the module."""
        if mode == "paced":
            pause = clients / deliveries
            return cls(1, pause, max(1, round(seconds / pause)))
        pause = _BURST * clients / _BURST_DELIVERIES
        return cls(_BURST, pause, max(_MIN_BURSTS, round(seconds / pause)))


def drive(server: Child, receivers: Child, load: Load, clients: int, *, long_every: int = 0) -> dict[str, Any]:
    """Publish, and wait until all subscribers have received everything; returns the figures of both sides."""
    receivers.ask("begin")
    published = server.ask("drive", at_once=load.at_once, pause=load.pause, turns=load.turns, long_every=long_every)
    expected = published["events"] * clients
    figures = settled(receivers, expected)
    return published | figures | {"spent": server.ask("cpu")["cpu"], "missing": expected - figures["received"]}


def speed(clients: int, seconds: float, rounds: int, deliveries: float) -> None:
    """Delivered events per CPU-second of each server."""
    loads = {mode: Load.of(mode, clients, seconds, deliveries) for mode in _MODES}
    paced, bursts = loads["paced"], loads["bursts"]
    print(f"\n{clients} clients, {rounds} rounds; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"paced: {1 / paced.pause:.3g} events/s per client, {clients / paced.pause:,.0f} deliveries/s in total")
    print(f"bursts: {_BURST} events at once, one burst every {bursts.pause * 1000:.0f} ms")
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {(mode, kind): [] for mode in _MODES for kind in KINDS}
    for turn in range(rounds):
        for kind in (*KINDS[turn % len(KINDS) :], *KINDS[: turn % len(KINDS)]):
            with (
                Child.of("fanout", "serve", kind) as server,
                subscribers(server.read()["ports"][0], clients) as receivers,
            ):
                time.sleep(_SETTLE_SECONDS / 2)
                # The first events are slower.
                drive(server, receivers, Load(1, 0.05, 10), clients)
                for mode, load in loads.items():
                    runs[mode, kind].append(drive(server, receivers, load, clients))
    for mode in _MODES:
        for kind in KINDS:
            _print(mode, kind, runs[mode, kind])
        _compare(mode, runs)


def _print(mode: str, kind: str, runs: list[dict[str, Any]]) -> None:
    arrived, read = (
        "/".join(f"{statistics.median(run[name][at] for run in runs):.1f}" for at in range(3))
        for name in ("arrived", "read")
    )
    print(
        f"{mode:6} {kind:8} {statistics.median(map(_efficiency, runs)):9,.0f} per CPU-second  "
        f"p50/p99/p99.9 ms: arrived {arrived}, read {read}; published at most {_median(runs, 'late'):.0f} ms late; "
        f"receivers {_median(runs, 'cpu'):.0%} of a core{_full(runs)}"
        f"{_wrong(runs, 'missing')}{_wrong(runs, 'closed')}"
    )


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return statistics.median(float(run[name]) for run in runs)


def _efficiency(run: dict[str, Any]) -> float:
    return float(run["received"] / run["spent"])


def _full(runs: list[dict[str, Any]]) -> str:
    return " (they are the bottleneck)" if _median(runs, "cpu") > 0.85 else ""


def _wrong(runs: list[dict[str, Any]], name: str) -> str:
    found = sum(run[name] for run in runs)
    return f"; {found} {name}" if found else ""


def _compare(mode: str, runs: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    ours = [_efficiency(run) for run in runs[mode, "gateway"]]
    for kind in KINDS[1:]:
        ratios = sorted(mine / _efficiency(run) for mine, run in zip(ours, runs[mode, kind], strict=True))
        print(
            f"{mode:6} gateway / {kind}: {statistics.median(ratios):.2f} (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def memory(clients: int, seconds: float, kinds: Sequence[str]) -> None:
    """Memory per connection, and the CPU time to open one."""
    for kind in kinds:
        with Child.of("fanout", "serve", kind) as server:
            port = server.read()["ports"][0]
            before, cpu = resident(server.pid), server.ask("cpu")["cpu"]
            with subscribers(port, clients) as receivers:
                opened = (server.ask("cpu")["cpu"] - cpu) / clients
                time.sleep(_SETTLE_SECONDS)
                idle = resident(server.pid) - before
                drive(server, receivers, Load.of("paced", clients, seconds, 20_000), clients)
                busy = resident(server.pid) - before
        print(
            f"{clients:6} clients {kind:8} {idle / clients / 1024:6.1f} KB per idle connection, "
            f"{busy / clients / 1024:6.1f} KB after events; opening one took {opened * 1000:.2f} CPU ms"
        )


class _CaughtUp:
    """A subscriber that always has capacity."""

    def wake(self) -> None:
        """Not called."""


def filters(rounds: int, events: int = 1_000) -> None:
    """The cost of an event that three subscribers receive, of few and of many that each have a different filter."""
    for name in ("entity", "source", "q", "q and language"):
        costs: dict[int, list[float]] = {10: [], 100: [], 1_000: [], 10_000: []}
        _filtered(name, 10, 100)
        for _ in range(rounds):
            for distinct, found in costs.items():
                found.append(_filtered(name, distinct, events if "q" not in name else events // 10))
        medians = {distinct: statistics.median(found) for distinct, found in costs.items()}
        shown = ", ".join(f"{cost * 1e6:.1f} µs at {distinct:,}" for distinct, cost in medians.items())
        print(f"{name:15} cost of an event: {shown}: ratio {medians[10_000] / medians[10]:.2f}")


def _filtered(name: str, distinct: int, events: int) -> float:
    """CPU seconds per event. Raises ``RuntimeError`` if not exactly three subscribers receive each."""
    log = Log(64_000_000)
    fanout = Fanout(log)
    delivered = [0]

    def take(_: bytes) -> None:
        delivered[0] += 1

    # Each event matches three of these, so the work for matches is constant.
    for wanted in _wanted(name, distinct):
        fanout.join(_CaughtUp(), wanted, take)
    named = ["w1", "w5", "w9"]
    facets = Facets(
        type="article",
        languages=frozenset(["ar"]),
        entities=frozenset(named if name == "entity" else ()),
        sources=frozenset(named if name == "source" else ()),
    )
    made = [_event(offset, 10**18, facets, f"{' '.join(named)} {_TEXT}") for offset in range(events)]
    began = time.process_time()
    for event in made:
        log.append([event], event.offset + 1)
    spent = time.process_time() - began
    if delivered[0] != events * len(named):
        raise RuntimeError(f"{delivered[0]} deliveries instead of {events * len(named)}")
    return spent / events


def _wanted(name: str, distinct: int) -> Iterable[Filter]:
    for number in range(distinct):
        value = frozenset([f"w{number}"])
        match name:
            case "entity":
                yield Filter(language=frozenset(["ar"]), entity=value)
            case "source":
                yield Filter(source=value)
            case "q":
                yield Filter(q=value)
            case _:
                yield Filter(language=frozenset(["ar"]), q=value)


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory", "filters", "serve"])
    parser.add_argument("of", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, nargs="+", default=[1_000])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=1_000, help="filters: events per measurement")
    parser.add_argument("--servers", nargs="+", choices=KINDS, default=KINDS, help="memory: servers to measure")
    parser.add_argument("--deliveries", type=float, default=20_000, help="paced: deliveries per second in total")
    parser.add_argument("--each", type=float, help="paced: events per second to each client, instead")
    given = parser.parse_args()
    prepare()
    match given.what:
        case "speed":
            for clients in given.clients:
                speed(clients, given.seconds, given.rounds, given.each * clients if given.each else given.deliveries)
        case "memory":
            for clients in given.clients:
                memory(clients, given.seconds, given.servers)
        case "filters":
            filters(given.rounds, given.events)
        case "serve":
            uvloop.run(_serve(given.of[0], given.of[1:] or ["127.0.0.1"]))


if __name__ == "__main__":
    main()
