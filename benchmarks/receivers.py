"""Subscribers in a separate process that read raw sockets and record times; shared code of the stream's benchmarks.

An event has a field with the time when it was *due* to be published (``due()``): if a server publishes late because it
is busy, the delay counts for each event that had to wait (no coordinated omission). Each delivery is counted.

Two times are recorded for each, both from when it was due. *Arrived* is the kernel's time when the last byte of the
frame reached the client's socket, independent of what this process was doing (``SO_TIMESTAMPNS``; if several frames are
read at once, all have the time of the last one, so it may be too late but never too early). *Read* is the time when
this process had read it: the difference is the delay of the receivers, many of which share one core here.
"""

import argparse
import json
import os
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Self, cast

import numpy as np

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PERCENTILES = (50, 99, 99.9)

_DUE = b'"due":'
_DIGITS = 19
_TIMESTAMPS = 35  # SO_TIMESTAMPNS, which the module socket does not name
_READ = 512 * 1024
_WAVE = 100
_PING, _PONG = 0x89, 0x8A
_STALLED_SECONDS = 5.0


def due(nanoseconds: int) -> str:
    """The field of an event's JSON with the time when it was due, in nanoseconds since 1970."""
    return f"{_DUE.decode()}{nanoseconds:0{_DIGITS}}"


class Subscriber:
    """One connection."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._rest = b""

    def feed(self, new: bytes, arrived: int, figures: "Figures") -> None:
        """Process the bytes read, up to the last complete frame."""
        data = self._rest + new if self._rest else new
        size, at = len(data), 0
        while size - at >= 2:
            kind, length, start = data[at], data[at + 1], at + 2
            if length == 126:
                if size < start + 2:
                    break
                length, start = int.from_bytes(data[start : start + 2]), start + 2
            elif length == 127:
                if size < start + 8:
                    break
                length, start = int.from_bytes(data[start : start + 8]), start + 8
            end = start + length
            if end > size:
                break
            if kind == _PING:
                # Clients must mask; a mask of zeros changes nothing.
                self.socket.send(bytes((_PONG, 0x80 | length, 0, 0, 0, 0)) + data[start:end])
            else:
                figures.add(data, start, end, arrived)
            at = end
        self._rest = data[at:]


class Figures:
    """The events received and their times."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start over."""
        self.arrived = array("q")
        self.read = array("q")
        self.closed = 0
        self._cpu, self._since = time.process_time(), time.monotonic()

    def add(self, data: bytes, start: int, end: int, arrived: int) -> None:
        """Count the events of a frame."""
        now = time.time_ns()
        at = data.find(_DUE, start, end)
        while at >= 0:
            at += len(_DUE)
            planned = int(data[at : at + _DIGITS])
            self.arrived.append(arrived - planned)
            self.read.append(now - planned)
            at = data.find(_DUE, at, end)

    def __call__(self) -> dict[str, Any]:
        """Counts, times in milliseconds, and the share of a core that this process used."""
        share = (time.process_time() - self._cpu) / (time.monotonic() - self._since)
        return {
            "received": len(self.arrived),
            "closed": self.closed,
            "cpu": share,
            "arrived": percentiles(self.arrived),
            "read": percentiles(self.read),
        }


def percentiles(nanoseconds: "array[int]") -> list[float]:
    """p50, p99 and p99.9 in milliseconds; NaN if nothing was received."""
    if not nanoseconds:
        return [float("nan")] * len(PERCENTILES)
    found = np.percentile(np.frombuffer(nanoseconds, dtype=np.int64), PERCENTILES)
    return [float(one) / 1e6 for one in found]


def connect(host: str, port: int, count: int, path: str) -> Iterator[tuple[Subscriber, bytes]]:
    """Connected subscribers, each with the bytes received after its handshake; in waves, as kernel queues are short.

    Raises ``ConnectionError`` if the server refuses one."""
    request = UPGRADE.format(path=path).encode()
    for first in range(0, count, _WAVE):
        wave = [socket.create_connection((host, port)) for _ in range(min(_WAVE, count - first))]
        for one in wave:
            one.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
            one.sendall(request)
        for one in wave:
            answer = b""
            while b"\r\n\r\n" not in answer:
                more = one.recv(4096)
                if not more:
                    raise ConnectionError(f"refused: {answer[:60]!r}")
                answer += more
            if not answer.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(f"refused: {answer[:60]!r}")
            one.setblocking(False)
            yield Subscriber(one), answer.partition(b"\r\n\r\n")[2]


def _receive(host: str, port: int, count: int, path: str) -> None:
    """Connect all and report it; then answer ``begin``, ``count`` and ``figures`` until stdin ends."""
    figures = Figures()
    subscribers: dict[int, Subscriber] = {}
    waiting = select.epoll()
    for subscriber, early in connect(host, port, count, path):
        subscribers[subscriber.socket.fileno()] = subscriber
        subscriber.feed(early, time.time_ns(), figures)
        waiting.register(subscriber.socket, select.EPOLLIN)
    waiting.register(sys.stdin, select.EPOLLIN)
    report(ready=count)
    buffer = memoryview(bytearray(_READ))
    while True:
        for number, _ in waiting.poll(maxevents=count + 1):
            if number == sys.stdin.fileno():
                request = os.read(number, 4096).decode().strip()
                if not request:
                    return
                _answer(json.loads(request)["do"], figures)
                continue
            subscriber = subscribers[number]
            try:
                size, ancillary, _, _ = subscriber.socket.recvmsg_into([buffer], 64)
            except OSError:
                size, ancillary = 0, []
            if not size:
                figures.closed += 1
                waiting.unregister(number)
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2]) if ancillary else divmod(time.time_ns(), 10**9)
            subscriber.feed(bytes(buffer[:size]), seconds * 10**9 + nanoseconds, figures)


def _answer(request: str, figures: Figures) -> None:
    if request == "begin":
        figures.reset()
    report(**(figures() if request == "figures" else {"received": len(figures.arrived)}))


def report(**figures: object) -> None:
    """Send a line of JSON to the process that started this one."""
    sys.stdout.write(json.dumps(figures) + "\n")


def prepare() -> None:
    """Raise the limit of open files, as each connection is one, and print without buffering."""
    cast(TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def resident(pid: int) -> int:
    """Resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Child:
    """A process that runs a module of this package; requests and answers are lines of JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    @contextmanager
    def of(cls, module: str, *arguments: object, log: IO[bytes] | None = None) -> Iterator[Self]:
        """Start one; its standard error goes to ``log`` if given. It is killed at the end of the context."""
        command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True) as process:
            try:
                yield cls(process)
            finally:
                process.kill()

    def read(self) -> dict[str, Any]:
        """Its next line. Raises ``RuntimeError`` if it has ended."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended")
        return cast(dict[str, Any], json.loads(line))

    def send(self, what: str, **more: object) -> None:
        """Send a request without waiting for the answer."""
        if self._process.stdin is None:
            raise RuntimeError("no pipe")
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()

    def ask(self, what: str, **more: object) -> dict[str, Any]:
        """Send a request; returns the answer."""
        self.send(what, **more)
        return self.read()


@contextmanager
def subscribers(port: int, count: int, path: str = "/v1/stream") -> Iterator[Child]:
    """Connected subscribers in a separate process."""
    with Child.of("receivers", "127.0.0.1", port, count, path) as child:
        child.read()
        yield child


def settled(receivers: Child, expected: int) -> dict[str, Any]:
    """The figures of subscribers when they have received everything, or nothing for some seconds."""
    received, since = -1, time.monotonic()
    while received < expected and time.monotonic() - since < _STALLED_SECONDS:
        time.sleep(0.1)
        now = receivers.ask("count")["received"]
        if now > received:
            received, since = now, time.monotonic()
    return receivers.ask("figures")


def main() -> None:
    """Run as a process of subscribers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("path")
    given = parser.parse_args()
    prepare()
    _receive(given.host, given.port, given.count, given.path)


if __name__ == "__main__":
    main()
