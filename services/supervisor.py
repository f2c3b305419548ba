"""``khabar up``: the whole system in one terminal, each service a child process that is restarted when it exits."""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO

import aiohttp
import click
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from services import conditions, instances, merged_metrics
from services.backoff import Backoff
from services.embedded.process import Process, free_port, port_taken
from services.errors import StartError
from services.groups import GROUP, stable_members
from services.rotation import rotate
from services.settings import Settings, check_reach

log = structlog.get_logger(__name__)

SEEDS = Path(__file__).resolve().parent.parent / "seeds"
# -P: a file in the working directory must not shadow a module of the same name.
KHABAR = (sys.executable, "-P", "-m", "services")
_SERVERS = {"Kafka", "Valkey"}
READY_TIMEOUT = 90.0
# A start that takes longer than this is reported: on a healthy machine none does.
SLOW_START_SECONDS = 20.0
_DEMO_RATE = "2"
_DEMO_EVENTS = "8"
# A little less than one pass over seeds/ takes, so that articles of the next pass are not near-duplicates.
_DEMO_WINDOW_SECONDS = 40
# A child that ran this long is stable: its next crash does not count as part of a crash loop.
STABLE_SECONDS = 30.0
MAX_CRASHES = 3
LOG_CHECK_SECONDS = 5.0
# The kernel's limit for the path of a Unix socket is 108 bytes, one of them for the end.
_MAX_SOCKET_PATH = 107


class Child:
    """A process that is kept running: restarted whenever it exits, with exponential backoff.

    ``crashes`` counts its ends, ``streak`` those since it last ran for ``STABLE_SECONDS``; ``last_exit`` says how it
    ended last, or why it could not be started. ``on_change`` is called when one of them changes.
    """

    def __init__(self, name: str, process: Callable[[], Process], start: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.crashes = 0
        self.streak = 0
        self.last_exit = ""
        self.on_change: Callable[[], None] = lambda: None
        self._process = process
        self._start = start
        self._keeper: asyncio.Task[None] | None = None

    @property
    def process(self) -> Process:
        """The running process."""
        return self._process()

    async def start(self) -> None:
        """Start the process and keep it running until ``stop``."""
        await self._start()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _keep(self) -> None:
        backoff = Backoff(0.5, 10.0)
        while True:
            try:
                async with asyncio.timeout(STABLE_SECONDS):
                    status = await self.process.wait()
            except TimeoutError:
                backoff.reset()
                self._note(streak=0)
                status = await self.process.wait()
            self.crashes += 1
            self._note(streak=self.streak + 1, last_exit=f"exited with status {status}")
            while True:
                delay = backoff.next()
                say(f"{self.name} {self.last_exit}; restarting it in {delay:g} s")
                await asyncio.sleep(delay)
                try:
                    await self._start()
                    break
                # Whatever it is, as a full disk or a lost file: it may be gone at the next try.
                except Exception as error:
                    log.warning("restart_failed", process=self.name, cause=repr(error)[:300])
                    with contextlib.suppress(Exception):
                        await self.process.stop()  # it may run without answering
                    self._note(streak=self.streak + 1, last_exit=f"did not start: {error}"[:300])
            self._note()

    def _note(self, streak: int | None = None, last_exit: str | None = None) -> None:
        self.streak = self.streak if streak is None else streak
        self.last_exit = self.last_exit if last_exit is None else last_exit
        try:
            self.on_change()
        except OSError as error:
            log.warning("endpoints_not_written", cause=repr(error)[:300])

    @property
    def state(self) -> dict[str, object]:
        """How often it was restarted and why, for ``khabar status`` and the gateway."""
        return {"restarts": self.crashes, "last_exit": self.last_exit, "crash_loop": self.streak >= MAX_CRASHES}

    async def stop(self) -> None:
        """Stop the process and do not restart it."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self.process.stop()


class Supervisor:
    """All child processes of one ``khabar up``, in the order in which they start."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.children: list[Child] = []
        # What the services are given besides the environment: how to reach the embedded servers.
        self._given: dict[str, object] = {}
        self._temporary: list[Path] = []

    def add_servers(self) -> None:
        """Add embedded Kafka and Valkey where the settings give no address, and put their addresses in the settings."""
        found: dict[str, str | None] = {}
        if self.settings.kafka is None or self.settings.redis is None:
            try:
                from services.embedded import jars  # noqa: PLC0415 - not everywhere installed
                from services.embedded.kafka import Kafka  # noqa: PLC0415
                from services.embedded.valkey import Valkey  # noqa: PLC0415
            except ImportError as error:
                raise StartError(
                    f"the embedded servers are not installed here ({error}): set KHABAR_KAFKA and KHABAR_REDIS"
                ) from None
        data_dir = self.settings.data_dir
        if self.settings.kafka is None:
            kafka = Kafka(data_dir / "kafka", password=secrets.token_hex(24))
            self.children.append(Child("Kafka", lambda: kafka.process, kafka.start))
            if number := jars.missing():
                click.echo(f"fetching Kafka ({number} jar files, 44 MB in all, only the first time) ...", err=True)
            found |= {
                "kafka": kafka.bootstrap,
                "kafka_security": "sasl_plaintext",
                "kafka_sasl_mechanism": "PLAIN",
                "kafka_user": kafka.servers.user,
                "kafka_password": kafka.servers.password,
                "kafka_password_file": None,
                "kafka_ca_file": None,
            }
        if self.settings.redis is None:
            valkey = Valkey(data_dir / "valkey", socket=self._socket(data_dir / "valkey"))
            self.children.append(Child("Valkey", lambda: valkey.process, valkey.start))
            found |= {"redis": valkey.url, "redis_password_file": None, "redis_ca_file": None}
        self.settings = self.settings.model_copy(update=found)
        self._given = {name: "" if value is None else value for name, value in found.items()}

    def _socket(self, directory: Path) -> Path:
        """Where Valkey listens: in its directory, or, where that path is too long for a socket, in a private one."""
        path = directory / "valkey.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        made = Path(tempfile.mkdtemp(prefix="khabar-", dir=runtime if Path(runtime).is_dir() and runtime else None))
        self._temporary.append(made)
        return made / "valkey.sock"

    def add_service(self, name: str, *command: str, **environment: object) -> None:
        """Add ``khabar COMMAND``, with these settings in its environment."""
        process = Process(name, self.settings.data_dir / "log" / f"{name}.log")
        given = self._given | environment
        variables = os.environ | {f"KHABAR_{key.upper()}": str(value) for key, value in given.items()}

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
        """Start the servers and one worker at the same time, then all other services at the same time.

        (The worker loads the most data and waits for Kafka by itself. Starting all services with the servers was
        slower: they use the CPU that Kafka needs to start.)
        """
        early = [child for child in self._services if child.name == "enrich-1"]
        await asyncio.gather(*(child.start() for child in (*self._servers, *early)))
        await asyncio.gather(*(child.start() for child in self._services if child not in early))
        self._publish(gateway)
        for child in self.children:
            child.on_change = partial(self._publish, gateway)

    def _publish(self, gateway: str) -> None:
        """Record the addresses and processes for ``khabar status`` and other commands."""
        noted = {
            "gateway": gateway,
            "kafka": str(self.settings.kafka_servers),
            "kafka_access": self.settings.kafka_servers.access(),
            "redis": self.settings.redis_url,
            "ingest": self.settings.ingest_url,
            "ingest_token": self.settings.ingest_token,
            "processes": {child.name: child.process.pid for child in self.children},
            "restarts": {child.name: child.state for child in self.children},
        }
        instances.publish(self.settings.data_dir, noted)

    async def until_ready(self, gateway: str, workers: int) -> None:
        """Return when the system can process an article. Raises ``StartError`` when it is not ready in time."""
        started = time.monotonic()
        deadline = started + READY_TIMEOUT
        reported = False
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
                if not reported and time.monotonic() - started > SLOW_START_SECONDS:
                    reported = True
                    sys.stderr.write(f"still waiting: {state}\n")
                await asyncio.sleep(0.1)
        raise StartError(f"not ready after {READY_TIMEOUT:.0f} s: {state}; logs: {self.settings.data_dir / 'log'}")

    def _check(self, child: Child) -> None:
        """Raise ``StartError`` for a child that exited with an error message, or that keeps crashing."""
        if child.crashes:
            lines = child.process.log.read_text(encoding="utf-8", errors="replace").splitlines()
            last = next((line for line in reversed(lines) if line.strip()), "")
            if last.startswith("error: "):
                raise StartError(last.removeprefix("error: "))
        if child.crashes >= MAX_CRASHES:
            raise StartError(f"{child.name} keeps crashing; its log: {child.process.log}")

    async def keep_logs_small(self) -> None:
        """Rotate the logs of all processes; never ends."""
        while True:
            for child in self.children:
                with contextlib.suppress(RuntimeError, OSError):
                    await asyncio.to_thread(rotate, child.process.log)
            await asyncio.sleep(LOG_CHECK_SECONDS)

    def metrics(self) -> bytes:
        """What only the supervisor knows, in Prometheus' text format."""
        registry = CollectorRegistry()
        restarts = Counter("khabar_process_restarts", "Restarts of a process.", ["process"], registry=registry)
        loops = Gauge("khabar_process_crash_loop", "1: the process keeps crashing.", ["process"], registry=registry)
        for child in self.children:
            restarts.labels(child.name).inc(child.crashes)
            loops.labels(child.name).set(child.streak >= MAX_CRASHES)
        free = Gauge("khabar_disk_free_bytes", "Free space for the data of Kafka and Valkey.", registry=registry)
        free.set(shutil.disk_usage(self.settings.data_dir).free)
        low = Gauge("khabar_disk_low", "1: less is free than KHABAR_MIN_FREE_BYTES.", registry=registry)
        low.set(conditions.disk(self.settings.data_dir, self.settings.min_free_bytes) != conditions.OK)
        return generate_latest(registry)

    async def stop(self) -> None:
        """Stop the services at the same time, then the servers that they use, whatever one of them raises."""
        for children in (self._services, self._servers):
            results = await asyncio.gather(*(child.stop() for child in children), return_exceptions=True)
            for child, result in zip(children, results, strict=True):
                if isinstance(result, BaseException):
                    log.warning("stop_failed", process=child.name, cause=repr(result)[:300])
        for path in self._temporary:
            shutil.rmtree(path, ignore_errors=True)
        instances.withdraw(self.settings.data_dir)


async def run(settings: Settings, *, workers: int, demo: bool, temporary: bool) -> None:
    """Run everything until SIGINT or SIGTERM. ``temporary``: use a data directory that is removed at the end.

    Raises ``StartError`` (or ``jars.JarsError``, ``SettingsError``) with a one-sentence message when it cannot start.
    """
    check_reach(settings)
    os.umask(0o077)  # of all processes: their data and logs are for this user only
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
    gateway = f"http://{_reachable(settings.host)}:{port}"
    supervisor = Supervisor(settings)
    if sys.stderr.isatty():
        click.echo("starting Kafka, Valkey and the services ...", err=True)
    background = AsyncExitStack()
    try:
        async with _cancelled_by(stopping):
            supervisor.add_servers()
            scraped = _add_services(supervisor, gateway, port, workers, demo)
            if settings.metrics_port:
                merged = merged_metrics.serving(
                    settings.metrics_host, settings.metrics_port, scraped, supervisor.metrics
                )
                await background.enter_async_context(merged)
            rotating = asyncio.create_task(supervisor.keep_logs_small(), name="rotate logs")
            background.callback(rotating.cancel)
            await supervisor.start(gateway)
            await supervisor.until_ready(gateway, workers)
            say(f"ready {gateway}")
        # Outside of what a signal cancels: a signal now ends the wait, and the demo closes by itself.
        async with _demo(supervisor, gateway) if demo else contextlib.nullcontext():
            await stopping.wait()
    except _StartCancelled:
        pass
    finally:
        await background.aclose()
        await supervisor.stop()


def _add_services(supervisor: Supervisor, gateway: str, port: int, workers: int, demo: bool) -> dict[str, str]:
    """Add ingest, the workers and the gateway; return where each serves its metrics, by name."""
    settings, ingest_port = supervisor.settings, free_port()
    # With one partition, articles are published in the order of arrival; more workers need more partitions.
    partitions = settings.raw_partitions if "raw_partitions" in settings.model_fields_set else workers
    shared = {"data_dir": settings.data_dir, "raw_partitions": partitions}
    scraped = {"api": f"{gateway}/metrics"}

    def own_metrics(name: str) -> dict[str, object]:
        """Each process serves its metrics on its own port, which only the supervisor uses."""
        own = free_port() if settings.metrics_port else 0
        scraped[name] = f"http://127.0.0.1:{own}/metrics"
        return {"metrics_port": own, "metrics_host": "127.0.0.1"}

    feeds = {} if settings.feeds is None else {"feeds": settings.feeds.resolve()}
    forward = f"http://127.0.0.1:{ingest_port}"
    # New at each start, so that nothing but the gateway pushes to ingest.
    token = {"ingest_token": settings.ingest_token or secrets.token_urlsafe(32)}
    supervisor.settings = settings.model_copy(update={"ingest_url": forward, **token})
    own = own_metrics("ingest")
    supervisor.add_service("ingest", "ingest", **shared, **feeds, **token, **own, ingest_port=ingest_port)
    window = {"story_window_hours": _DEMO_WINDOW_SECONDS / 3600} if demo else {}
    for number in range(1, workers + 1):
        own = own_metrics(f"enrich-{number}")
        supervisor.add_service(f"enrich-{number}", "enrich", **shared, **window, **own)
    supervisor.add_service("api", "api", **shared, **token, host=settings.host, port=port, ingest_url=forward)
    return scraped


@asynccontextmanager
async def _demo(supervisor: Supervisor, gateway: str) -> AsyncIterator[None]:
    say(f"dashboard {gateway}/   (Ctrl-C stops everything)")
    say("replaying seeds/ as if live; the first events on the stream:\n")
    log_dir = supervisor.settings.data_dir / "log"
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


class _StartCancelled(Exception):
    """A stop signal arrived before everything had started."""


@asynccontextmanager
async def _cancelled_by(stopping: asyncio.Event) -> AsyncIterator[None]:
    """Cancel the body when a stop signal arrives, so that the start-up can be interrupted.

    Raises ``_StartCancelled``.
    """
    body = asyncio.current_task()
    done = False

    async def watch() -> None:
        await stopping.wait()
        if body is not None and not done:
            body.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if stopping.is_set():
            raise _StartCancelled from None
        raise
    finally:
        done = True
        watcher.cancel()


@contextlib.contextmanager
def _data_dir(settings: Settings, temporary: bool) -> Iterator[Settings]:
    if not temporary:
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(settings.data_dir)
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


def _make_private(data_dir: Path) -> None:
    """Let nobody but this user into the data directory, or, where others use it too, as /tmp, into those in it."""
    status = data_dir.stat()
    own = status.st_uid == os.getuid() and not status.st_mode & stat.S_ISVTX
    for path in [data_dir] if own else [data_dir / name for name in ("kafka", "valkey", "log", "faust")]:
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the directory's lock: two Kafka nodes on one directory would corrupt it."""
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
    """The host part of the gateway's URL, as seen from this machine."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def say(line: str) -> None:
    """Print a line on the terminal and flush it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
