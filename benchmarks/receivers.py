"""Subscribers in a process of their own that read raw sockets and take times; what benchmarks of the stream share.

An event bears when it was *due* to be published (``due()`` makes the field): a server that publishes late because it
is busy has the lateness counted, in all that had to wait for it (no coordinated omission). Every delivery is counted.

Two times are taken of each, both from when it was due. *Arrived* is the kernel's own: when the last byte of the frame
came to the client's socket, whatever this process was doing (``SO_TIMESTAMPNS``; where several frames are read at once
all have the time of the last, so it may be too late but never too early). *Read* is when this process had it: what it
is later than *arrived* is the delay of the receivers, many of which share one core here.
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
_AT_ONCE = 100
_PING, _PONG = 0x89, 0x8A
_STALLED_SECONDS = 5.0


def due(nanoseconds: int) -> str:
    """The field of an event's JSON that says when it was due, in nanoseconds since 1970."""
    return f"{_DUE.decode()}{nanoseconds:0{_DIGITS}}"


class Subscriber:
    """One connection."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._rest = b""

    def take(self, new: bytes, arrived: int, figures: "Figures") -> None:
        """Take in what was read, up to the last whole frame."""
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
                # A client must mask; with zeros that changes nothing.
                self.socket.send(bytes((_PONG, 0x80 | length, 0, 0, 0, 0)) + data[start:end])
            else:
                figures.add(data, start, end, arrived)
            at = end
        self._rest = data[at:]


class Figures:
    """What came."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
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
        """Milliseconds, and the share of a core that this process took."""
        share = (time.process_time() - self._cpu) / (time.monotonic() - self._since)
        return {
            "received": len(self.arrived),
            "closed": self.closed,
            "cpu": share,
            "arrived": percentiles(self.arrived),
            "read": percentiles(self.read),
        }


def percentiles(nanoseconds: "array[int]") -> list[float]:
    """p50, p99 and p99.9 in milliseconds; none when nothing came."""
    if not nanoseconds:
        return [float("nan")] * len(PERCENTILES)
    found = np.percentile(np.frombuffer(nanoseconds, dtype=np.int64), PERCENTILES)
    return [float(one) / 1e6 for one in found]


def connect(host: str, port: int, count: int, path: str) -> Iterator[tuple[Subscriber, bytes]]:
    """Subscribers, and what each got behind the handshake; in waves, so that no queue of the kernel overflows."""
    request = UPGRADE.format(path=path).encode()
    for first in range(0, count, _AT_ONCE):
        wave = [socket.create_connection((host, port)) for _ in range(min(_AT_ONCE, count - first))]
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
    """Connect all and say so; then answer ``begin``, ``count`` and ``figures`` until stdin ends."""
    figures = Figures()
    subscribers: dict[int, Subscriber] = {}
    waiting = select.epoll()
    for subscriber, early in connect(host, port, count, path):
        subscribers[subscriber.socket.fileno()] = subscriber
        subscriber.take(early, time.time_ns(), figures)
        waiting.register(subscriber.socket, select.EPOLLIN)
    waiting.register(sys.stdin, select.EPOLLIN)
    say(ready=count)
    buffer = memoryview(bytearray(_READ))
    while True:
        for number, _ in waiting.poll(maxevents=count + 1):
            if number == sys.stdin.fileno():
                asked = os.read(number, 4096).decode().strip()
                if not asked:
                    return
                _answer(json.loads(asked)["do"], figures)
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
            subscriber.take(bytes(buffer[:size]), seconds * 10**9 + nanoseconds, figures)


def _answer(asked: str, figures: Figures) -> None:
    if asked == "begin":
        figures.reset()
    say(**(figures() if asked == "figures" else {"received": len(figures.arrived)}))


def say(**figures: object) -> None:
    """Tell the process that started this one."""
    sys.stdout.write(json.dumps(figures) + "\n")


def prepare() -> None:
    """Every connection is an open file, and what is printed is to be seen at once."""
    cast(TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Child:
    """A process of a module of this folder, which is asked and answers in lines of JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    @contextmanager
    def of(cls, module: str, *arguments: object, log: IO[bytes] | None = None) -> Iterator[Self]:
        """Start one, whose standard error goes to ``log`` if given; it ends with the context."""
        command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True) as process:
            try:
                yield cls(process)
            finally:
                process.kill()

    def hear(self) -> dict[str, Any]:
        """What it tells next. Raises ``RuntimeError`` when it has ended."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended")
        return cast(dict[str, Any], json.loads(line))

    def tell(self, what: str, **more: object) -> None:
        """Ask something, without waiting for the answer."""
        if self._process.stdin is None:
            raise RuntimeError("no pipe")
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()

    def ask(self, what: str, **more: object) -> dict[str, Any]:
        """Ask something; the answer."""
        self.tell(what, **more)
        return self.hear()


@contextmanager
def crowd(port: int, count: int, path: str = "/v1/stream") -> Iterator[Child]:
    """So many subscribers in a process of their own; they are connected."""
    with Child.of("receivers", "127.0.0.1", port, count, path) as child:
        child.hear()
        yield child


def settled(receivers: Child, expected: int) -> dict[str, Any]:
    """The figures of a crowd when it has everything, or nothing has come for some seconds."""
    received, since = -1, time.monotonic()
    while received < expected and time.monotonic() - since < _STALLED_SECONDS:
        time.sleep(0.1)
        now = receivers.ask("count")["received"]
        if now > received:
            received, since = now, time.monotonic()
    return receivers.ask("figures")


def main() -> None:
    """Be a crowd."""
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
