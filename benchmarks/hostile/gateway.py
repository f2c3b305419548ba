"""Measures hostile clients of a gateway that runs alone: delay of its other subscribers, its CPU time and memory."""

import os
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

import psutil

from benchmarks.fanout import Load, drive
from benchmarks.hostile.client import Address
from benchmarks.receivers import Child, subscribers

_EVERY = 0.05
_WARM_UP_EVENTS = 40
# What hostile clients may cost: milliseconds of the others' p99, and memory of the gateway beyond that before.
_MAX_DELAY_MS = 10.0
_MAX_MEMORY = 150e6
# Kinds that listen to long articles: one of these is published with every so many events.
_LONG_EVERY = {"filters": 10}


class Watch:
    """The gateway's process: the share of a core it uses, and its maximum memory."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.share = 0.0
        self.peak = 0

    @property
    def memory(self) -> int:
        """Resident bytes."""
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
        self.failed: list[str] = []
        self._watch = Watch(server.pid)
        self._alone = self._control = 0.0

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
                long_every = min((_LONG_EVERY[kind] for kind in kinds if kind in _LONG_EVERY), default=0)
                figures = drive(self._server, self._others, self._load, self._clients, long_every=long_every)
            answers = {kind: child.ask("stop") for kind, child in hostile.items()}
        if kinds:
            time.sleep(self._settle)
        p50, p99, p999 = figures["arrived"]
        self._alone = self._alone or p99
        if name == "spins":
            self._control = p99
        grown = self._watch.peak - before
        if kinds and (p99 > self._control + _MAX_DELAY_MS or grown > _MAX_MEMORY or figures["missing"]):
            self.failed.append(name)
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


def run(only: list[str], *, clients: int, seconds: float, settle: float) -> list[str]:
    """Measure all kinds, one after the other; returns those that failed."""
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
            return bench.failed
