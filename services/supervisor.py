"""``khabar up``: everything in one terminal, each service a child process that is restarted when it dies."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO

import aiohttp
import click

from services import instances
from services.embedded.process import Process, free_port, port_taken
from services.errors import StartError
from services.groups import GROUP, stable_members
from services.settings import Settings, check_reach

SEEDS = Path(__file__).resolve().parent.parent / "seeds"
# -P: a file in the working directory that is called like a module must not stand in for it.
KHABAR = (sys.executable, "-P", "-m", "services")
_SERVERS = {"Kafka", "Valkey"}
_READY_WITHIN = 90.0
# Longer than any start takes on a machine that is well.
_PATIENT = 20.0
_DEMO_RATE = "2"
_DEMO_EVENTS = "8"
# A little less than one pass over seeds/ takes: what comes again in the next pass is news again, not a copy.
_DEMO_WINDOW_SECONDS = 40
# A child that lived this long was well; its next death is a new one, not part of a crash loop.
_WELL = 30.0
_HOPELESS = 3


class Child:
    """A process that is kept running: started anew whenever it ends, with growing pauses."""

    def __init__(self, name: str, process: Callable[[], Process], start: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.deaths = 0
        self.on_restart: Callable[[], None] = lambda: None
        self._process = process
        self._start = start
        self._keeper: asyncio.Task[None] | None = None

    @property
    def process(self) -> Process:
        """The running process."""
        return self._process()

    async def start(self) -> None:
        """Start it and keep it."""
        await self._start()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _keep(self) -> None:
        pause = 0.5
        while True:
            born = time.monotonic()
            status = await self.process.wait()
            self.deaths += 1
            pause = 0.5 if time.monotonic() - born > _WELL else min(pause * 2, 10.0)
            say(f"{self.name} ended with status {status}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            try:
                await self._start()
                self.on_restart()
            except StartError as error:
                say(str(error))

    async def stop(self) -> None:
        """Stop it and keep it no longer."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self.process.stop()


class Supervisor:
    """All children of one ``khabar up``, in the order of their start."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.children: list[Child] = []

    def add_servers(self) -> None:
        """Add Kafka and Valkey where no addresses are given, and their addresses to the settings."""
        found = {}
        if self.settings.kafka is None or self.settings.redis is None:
            try:
                from services.embedded import jars  # noqa: PLC0415 - not everywhere installed
                from services.embedded.kafka import Kafka  # noqa: PLC0415
                from services.embedded.valkey import Valkey  # noqa: PLC0415
            except ImportError as error:
                raise StartError(
                    f"the embedded servers are not installed here ({error}): set KHABAR_KAFKA and KHABAR_REDIS"
                ) from None
        if self.settings.kafka is None:
            kafka = Kafka(self.settings.data_dir / "kafka")
            self.children.append(Child("Kafka", lambda: kafka.process, kafka.start))
            if number := jars.missing():
                click.echo(f"fetching Kafka ({number} jar files, 44 MB in all, only the first time) ...", err=True)
            found["kafka"] = kafka.bootstrap
        if self.settings.redis is None:
            valkey = Valkey(self.settings.data_dir / "valkey")
            self.children.append(Child("Valkey", lambda: valkey.process, valkey.start))
            found["redis"] = valkey.url
        self.settings = self.settings.model_copy(update=found)

    def add_service(self, name: str, *command: str, **environment: object) -> None:
        """Add ``khabar COMMAND`` with these settings as its environment."""
        process = Process(name, self.settings.data_dir / "log" / f"{name}.log")
        variables = os.environ | {f"KHABAR_{key.upper()}": str(value) for key, value in environment.items()}

        async def start() -> None:
            await process.start([*KHABAR, *command], env=variables)

        self.children.append(Child(name, lambda: process, start))

    @property
    def _servers(self) -> list[Child]:
        return [child for child in self.children if child.name in _SERVERS]

    @property
    def _services(self) -> list[Child]:
        return [child for child in self.children if child.name not in _SERVERS]

    async def start(self, gateway: str) -> None:
        """Start the servers and one worker, then the other services, each lot at once.

        (The worker has most to load, and waits for Kafka by itself. All services together with the servers was
        slower: they take the processors that Kafka needs to come up.)
        """
        early = [child for child in self._services if child.name == "enrich-1"]
        await asyncio.gather(*(child.start() for child in (*self._servers, *early)))
        await asyncio.gather(*(child.start() for child in self._services if child not in early))
        self._note(gateway)
        for child in self.children:
            child.on_restart = partial(self._note, gateway)

    def _note(self, gateway: str) -> None:
        """Record the addresses and processes for ``khabar status`` and other commands."""
        noted = {
            "gateway": gateway,
            "kafka": self.settings.kafka,
            "redis": self.settings.redis,
            "processes": {child.name: child.process.pid for child in self.children},
        }
        instances.publish(self.settings.data_dir, noted)

    async def until_ready(self, gateway: str, workers: int) -> None:
        """Return when an article would go through. Raises ``StartError`` when it would not for too long."""
        began = time.monotonic()
        deadline = began + _READY_WITHIN
        told = False
        state = ""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while time.monotonic() < deadline:
                for child in self.children:
                    self._check(child)
                try:
                    async with session.get(f"{gateway}/readyz") as response:
                        state = await response.text()
                        if (
                            response.status == 200
                            and await stable_members(self.settings.kafka_servers, GROUP) >= workers
                        ):
                            return
                except (aiohttp.ClientError, TimeoutError) as error:
                    state = repr(error)
                if not told and time.monotonic() - began > _PATIENT:
                    told = True
                    sys.stderr.write(f"still waiting: {state}\n")
                await asyncio.sleep(0.1)
        raise StartError(f"not ready after {_READY_WITHIN:.0f} s: {state}; logs: {self.settings.data_dir / 'log'}")

    def _check(self, child: Child) -> None:
        """Raise ``StartError`` for one that says that it cannot start, or keeps ending without a word."""
        if child.deaths:
            lines = child.process.log.read_text(encoding="utf-8", errors="replace").splitlines()
            said = next((line for line in reversed(lines) if line.strip()), "")
            if said.startswith("error: "):
                raise StartError(said.removeprefix("error: "))
        if child.deaths >= _HOPELESS:
            raise StartError(f"{child.name} keeps ending; its log: {child.process.log}")

    async def stop(self) -> None:
        """Stop the children, last started first; services together, then what they stand on."""
        await asyncio.gather(*(child.stop() for child in self._services))
        await asyncio.gather(*(child.stop() for child in self._servers))
        instances.withdraw(self.settings.data_dir)


async def run(settings: Settings, *, workers: int, demo: bool, temporary: bool) -> None:
    """Run everything until SIGINT or SIGTERM. ``temporary``: in a data directory that is removed at the end.

    Raises ``StartError`` (or ``jars.JarsError``, ``SettingsError``) with one sentence when it cannot start.
    """
    check_reach(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    with _data_dir(settings, temporary) as settings_here:  # noqa: SIM117
        with _only_one(settings_here.data_dir):
            await _run(settings_here, workers, demo, stopping)


async def _run(settings: Settings, workers: int, demo: bool, stopping: asyncio.Event) -> None:
    try:
        port = settings.port or free_port(settings.host)
        taken = port_taken(settings.host, port)
    except OSError as error:
        raise StartError(f"KHABAR_HOST: cannot listen on {settings.host}: {error.strerror}") from None
    if taken:
        hint = ' (make demo ARGS="--port N")' if demo else ""
        raise StartError(f"port {port} is taken: stop what uses it, or choose another with --port{hint}")
    ingest_port = free_port()
    gateway = f"http://{_reachable(settings.host)}:{port}"
    house = Supervisor(settings)
    if sys.stderr.isatty():
        click.echo("starting Kafka, Valkey and the services ...", err=True)
    try:
        async with _abandoned_when(stopping):
            house.add_servers()
            settings = house.settings
            # With one partition articles are told in the very order in which they came; more are for more workers.
            partitions = settings.raw_partitions if "raw_partitions" in settings.model_fields_set else workers
            shared = {
                "kafka": settings.kafka,
                "redis": settings.redis,
                "data_dir": settings.data_dir,
                "raw_partitions": partitions,
            }
            feeds = {} if settings.feeds is None else {"feeds": settings.feeds.resolve()}
            house.add_service("ingest", "ingest", **shared, **feeds, ingest_port=ingest_port)
            window = {"story_window_hours": _DEMO_WINDOW_SECONDS / 3600} if demo else {}
            for number in range(1, workers + 1):
                house.add_service(f"enrich-{number}", "enrich", **shared, **window)
            forward = f"http://127.0.0.1:{ingest_port}"
            house.add_service("api", "api", **shared, host=settings.host, port=port, ingest_url=forward)
            await house.start(gateway)
            await house.until_ready(gateway, workers)
            say(f"ready {gateway}")
            async with _demo(house, gateway) if demo else contextlib.nullcontext():
                await stopping.wait()
    except _Abandoned:
        pass
    finally:
        await house.stop()


@asynccontextmanager
async def _demo(house: Supervisor, gateway: str) -> AsyncIterator[None]:
    say(f"dashboard {gateway}/   (Ctrl-C stops everything)")
    say("replaying seeds/ as if live; the first events on the stream:\n")
    log_dir = house.settings.data_dir / "log"
    watching = Process("watch", log_dir / "watch.log")
    shown = ["--type", "article", "--duplicates", "show", "--limit", _DEMO_EVENTS]
    await watching.start(
        [*KHABAR, "watch", "--to", gateway, *shown],
        stdout=sys.stdout.fileno(),
    )
    replaying = Process("replay", log_dir / "replay.log")
    await replaying.start(
        [*KHABAR, "replay", SEEDS, "--to", gateway, "--rate", _DEMO_RATE, "--repeat", "0", "--rebase"]
    )

    async def point_to_page() -> None:
        await watching.wait()
        say(f"\n... and so on, live at {gateway}/")

    pointing = asyncio.create_task(point_to_page())
    try:
        yield
    finally:
        pointing.cancel()
        await asyncio.gather(watching.stop(), replaying.stop())


class _Abandoned(Exception):
    """Told to stop before everything was up."""


@asynccontextmanager
async def _abandoned_when(stopping: asyncio.Event) -> AsyncIterator[None]:
    """Let a stop signal end the start-up too, which otherwise only waits."""
    body = asyncio.current_task()
    done = False

    async def watch() -> None:
        await stopping.wait()
        # The body waits for the same event once it is up; give it the turn to end by itself.
        await asyncio.sleep(0.05)
        if body is not None and not done:
            body.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if stopping.is_set():
            raise _Abandoned from None
        raise
    finally:
        done = True
        watcher.cancel()


@contextlib.contextmanager
def _data_dir(settings: Settings, temporary: bool) -> Iterator[Settings]:
    if not temporary:
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            (settings.data_dir / "lock").touch()
        except OSError as error:
            problem = f"{settings.data_dir} cannot be written: {error.strerror}; choose another with --data-dir"
            raise StartError(problem) from None
        yield settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
        return
    path = Path(tempfile.mkdtemp(prefix="khabar-demo-"))
    kept = False
    try:
        yield settings.model_copy(update={"data_dir": path})
    except StartError:
        kept = (path / "log").exists()  # the message may name a file in it
        raise
    finally:
        if not kept:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the directory's lock; two Kafkas on one directory would destroy it."""
    lock: IO[str] = (data_dir / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(
                f"another khabar up uses {data_dir}: stop it, or choose another directory with --data-dir"
            ) from None
        yield


def _reachable(host: str) -> str:
    """The host part of the gateway's URL for this machine."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def say(line: str) -> None:
    """A line for the person at the terminal, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
