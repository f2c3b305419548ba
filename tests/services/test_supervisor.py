"""The supervisor keeps processes running whatever happens, keeps their data private and reports what is wrong."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services import conditions, instances, merged_metrics, rotation, settings, supervisor
from services.embedded.process import Process, free_port
from services.supervisor import Child, Supervisor
from tests.harness import eventually
from tests.test_system import System, environment, up

NOBODY = 65534


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor.Backoff, "next", lambda _: 0.01)


def _child(tmp_path: Path, script: str, *, fail: list[Exception] | None = None, name: str = "one") -> Child:
    """A child that runs a script; each start first raises what ``fail`` holds."""
    process = Process(name, tmp_path / f"{name}.log")
    errors = fail if fail is not None else []

    async def start() -> None:
        if process._child is not None and errors:
            raise errors.pop(0)
        await process.start([sys.executable, "-c", script])

    return Child(name, lambda: process, start)


async def test_whatever_a_restart_raises_is_tried_again(tmp_path: Path) -> None:
    """A full disk or a missing file at a restart does not end the supervision of the process."""
    child = _child(tmp_path, "input()", fail=[OSError(28, "No space left on device"), RuntimeError("lost")])
    await child.start()
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: child.process.pid != first and child.process.returncode is None, 10)
    assert child.state["restarts"] == 1
    await child.stop()


async def test_stop_stops_all_processes_whatever_one_of_them_raises(tmp_path: Path) -> None:
    """The others do not stay behind."""
    running = Supervisor(settings.Settings(data_dir=tmp_path))
    broken, fine = (_child(tmp_path, "import time; time.sleep(60)", name=name) for name in ("broken", "fine"))

    async def cannot() -> None:
        raise OSError(5, "Input/output error")

    running.children = [broken, fine]
    for child in running.children:
        await child.start()
    stop = broken.process.stop
    broken.process.stop = cannot  # type: ignore[method-assign]
    await running.stop()
    assert fine.process.returncode is not None
    await stop()


async def test_a_process_that_keeps_crashing_is_reported(tmp_path: Path) -> None:
    """Restarts, the last exit and the crash loop are in endpoints.json, in the metrics and among the conditions."""
    running = Supervisor(settings.Settings(data_dir=tmp_path, kafka="k:1", redis="redis://r:1"))
    running.children = [_child(tmp_path, "raise SystemExit(7)", name="enrich-1")]
    await running.start("http://127.0.0.1:1")
    try:

        def wrong() -> str | None:
            found = conditions.checks(running.settings)["processes"]
            return None if found == conditions.OK else found

        found = await eventually(wrong, 10)
        assert found.startswith("enrich-1 keeps crashing: exited with status 7, restarted ")
        metrics = running.metrics().decode()
        assert 'khabar_process_crash_loop{process="enrich-1"} 1.0' in metrics
    finally:
        await running.stop()
    assert conditions.checks(running.settings) == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; a directory where none can be mounted."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0 if os.getuid() == 0 else False
    if not mounted:
        pytest.skip("cannot mount a file system here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def test_a_full_disk_is_reported(small_disk: Path) -> None:
    """The condition says how much is free, and where; endpoints.json is not damaged by a full disk."""
    instances.publish(small_disk, {"processes": {}, "restarts": {}})
    used = settings.Settings(data_dir=small_disk, min_free_bytes=100_000)
    assert conditions.checks(used)["disk"] == conditions.OK
    with contextlib.suppress(OSError), (small_disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))
    assert conditions.checks(used)["disk"].startswith("0 MB free for the data, less than 0 MB")
    with pytest.raises(OSError, match="No space left"):
        instances.publish(small_disk, {"processes": {"x": 1}, "filler": "x" * 10_000})
    assert instances.endpoints(small_disk)["processes"] == {}


def test_logs_are_bounded(tmp_path: Path) -> None:
    """A log that grew is moved to .1, older ones further; the process writes on into the same file."""
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as file:
        for number in range(6):
            file.write(f"line {number}\n".encode() * 50)
            assert rotation.rotate(log, max_bytes=100, kept=2)
        file.write(b"last\n")
        assert not rotation.rotate(log, max_bytes=100, kept=2)
    assert log.read_bytes() == b"last\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.log", "api.log.1", "api.log.2"]
    assert (tmp_path / "api.log.2").read_text().startswith("line 4")


async def test_the_logs_of_all_children_are_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of Kafka and Valkey: whatever a child writes to its outputs."""
    monkeypatch.setattr(supervisor, "LOG_CHECK_SECONDS", 0.02)
    monkeypatch.setattr(supervisor, "rotate", lambda path: rotation.rotate(path, max_bytes=10_000))
    running = Supervisor(settings.Settings(data_dir=tmp_path))
    script = "import time\nwhile True: print('x' * 1000, flush=True); time.sleep(0.001)"
    running.children = [_child(tmp_path, script, name="Kafka")]
    await running.children[0].start()
    rotating = asyncio.create_task(running.keep_logs_small())
    await eventually((tmp_path / "Kafka.log.3").exists, 20)
    rotating.cancel()
    await running.stop()
    assert not (tmp_path / "Kafka.log.4").exists()


def test_merged_metrics_have_the_process_as_label() -> None:
    """One family for all processes, as Prometheus requires; values and other labels stay."""
    texts = {
        name: f'# HELP a_total Some.\n# TYPE a_total counter\na_total{{stage="group"}} {value}\n'
        for name, value in (("enrich-1", 1), ("enrich-2", 2))
    }
    text = merged_metrics.merge(texts | {"api": ""}).decode()
    assert text.count("# TYPE a_total") == 1
    (family,) = text_string_to_metric_families(text)
    found = {sample.labels["process"]: sample.value for sample in family.samples if sample.labels["stage"] == "group"}
    assert found == {"enrich-1": 1, "enrich-2": 2}


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """``khabar up`` on a directory that others could read, deep enough that a socket's path would be too long."""
    base = tmp_path_factory.mktemp("private")
    data_dir = base / ("deep" * 30)
    data_dir.mkdir(mode=0o755)
    for path in (base, base.parent, base.parent.parent):
        path.chmod(0o755)
    async with up(data_dir, metrics_port=free_port()) as system:
        yield system


@contextlib.contextmanager
def _another_user() -> Iterator[None]:
    """Become another user of this machine for a moment."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def test_the_data_directory_is_private(running: System) -> None:
    """A directory that others could read is tightened; no file in it, nor the socket, is for others."""
    assert running.data_dir.stat().st_mode & 0o777 == 0o700
    open_to_others = [path for path in running.data_dir.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert open_to_others == []
    recorded = instances.endpoints(running.data_dir)
    assert recorded["redis"].startswith("unix:///")
    for name in recorded["processes"]:
        assert recorded["kafka_access"]["password"] not in " ".join(running.child(name).cmdline())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_another_user_reaches_neither_data_nor_store(running: System) -> None:
    """Its files and Valkey's socket refuse another user of the machine."""
    recorded = instances.endpoints(running.data_dir)
    with _another_user(), socket.socket(socket.AF_UNIX) as client:
        for path in (running.data_dir / "endpoints.json", running.data_dir / "kafka" / "server.properties"):
            with pytest.raises(PermissionError):
                path.read_bytes()
        with pytest.raises(PermissionError):
            client.connect(recorded["redis"].removeprefix("unix://"))


async def test_kafka_refuses_who_does_not_log_in(running: System) -> None:
    """Both of its listeners: a metadata request without a login is not answered."""
    ports = [
        connection.laddr.port
        for connection in running.child("Kafka").net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(ports) == 2
    metadata = bytes.fromhex("0000000f 0003 0001 00000001 0001 78 ffffffff".replace(" ", ""))
    metadata = (len(metadata) - 4).to_bytes(4) + metadata[4:]
    for port in ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(metadata)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_one_port_has_the_metrics_of_all_processes(running: System) -> None:
    """KHABAR_METRICS_PORT with ``khabar up``: each process as a label, and how often each was restarted."""
    port = next(
        connection.laddr.port
        for connection in psutil.Process(running.process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    )
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
        text = await response.text()
    processes = {
        sample.labels["process"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "process_start_time_seconds"
    }
    assert processes == {"api", "ingest", "enrich-1"}
    assert 'khabar_process_restarts_total{process="Kafka"} 0.0' in text
    assert "khabar_disk_free_bytes " in text


async def test_readyz_and_status_report_a_low_disk(tmp_path: Path) -> None:
    """With a threshold that no disk reaches; status then ends with 1."""
    async with up(tmp_path, min_free_bytes=10**18) as system:
        _, body = await system.get("/readyz")
        assert body["ready"]
        assert "MB free for" in body["checks"]["disk"]
        assert body["checks"]["processes"] == "ok"
        status, out, _ = await system.khabar("status")
        assert status == 1
        assert "MB free for" in out


async def test_a_replication_that_kafka_cannot_keep_is_one_error(tmp_path: Path) -> None:
    """Three replicas on one node: the start ends with one sentence instead of a retry without end."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", "up", "--port", str(free_port())),
        env=environment(tmp_path, replication=3),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, err = await child.communicate()
    assert child.returncode == 1
    last = err.decode().splitlines()[-1]
    assert last.startswith("error: KHABAR_REPLICATION: Kafka cannot keep 3 replicas: ")


async def test_ctrl_c_ends_the_demo_cleanly() -> None:
    """No traceback, status 0, and no process stays behind."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", "up", "--demo", "--port", str(free_port())),
        env={name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    async with asyncio.timeout(60):
        while b"dashboard" not in await child.stdout.readline():
            pass
    processes = psutil.Process(child.pid).children()
    child.send_signal(signal.SIGINT)
    async with asyncio.timeout(40):
        _, err = await child.communicate()
    assert (child.returncode, err.decode()) == (0, "")
    assert not any(process.is_running() for process in processes)
