"""Running instances are found by the other commands; stopped and killed ones are not."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services import instances, settings


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory of the user, and a working directory without an instance."""
    (tmp_path / "run").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("KHABAR_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "run"


def _data_dir(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def _publish(data_dir: Path, kafka: str) -> None:
    instances.publish(data_dir, {"gateway": "http://127.0.0.1:1", "kafka": kafka, "redis": "redis://127.0.0.1:2/0"})


def _of_another_process(data_dir: Path, kafka: str, pid: int) -> None:
    """Records as another process with this id has left them."""
    recorded = {"gateway": "http://127.0.0.1:1", "kafka": kafka, "redis": "redis://127.0.0.1:2/0", "pid": pid}
    instances.endpoints_file(data_dir).write_text(json.dumps(recorded))
    entry = Path(os.environ["XDG_RUNTIME_DIR"], "khabar", f"{pid}.json")
    entry.write_text(json.dumps({"pid": pid, "data_dir": str(data_dir)}))


def _ended_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_an_instance_is_found_from_anywhere_until_it_stops(tmp_path: Path) -> None:
    """Its addresses are used where no data directory is given."""
    data_dir = _data_dir(tmp_path, "demo")
    assert settings.load_running().kafka_servers.addresses == "127.0.0.1:9092"
    _publish(data_dir, "127.0.0.1:3")
    found = settings.load_running()
    assert (found.kafka_servers.addresses, found.gateway_url) == ("127.0.0.1:3", "http://127.0.0.1:1")
    assert found.data_dir == data_dir
    # Services started by hand use what they were given, not what happens to run.
    assert settings.load().kafka_servers.addresses == "127.0.0.1:9092"
    instances.withdraw(data_dir)
    assert settings.load_running().kafka_servers.addresses == "127.0.0.1:9092"
    assert not instances.endpoints_file(data_dir).exists()


def test_the_data_dir_chooses_an_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One given as option or setting, then .khabar here, then the instance that was started last."""
    first, second, here = (
        _data_dir(tmp_path, "first"),
        _data_dir(tmp_path, "second"),
        _data_dir(tmp_path, "work/.khabar"),
    )
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        _publish(first, "127.0.0.1:3")
        _of_another_process(second, "127.0.0.1:4", child.pid)
        os.utime(Path(os.environ["XDG_RUNTIME_DIR"], "khabar", f"{os.getpid()}.json"), (1, 1))
        assert settings.load_running().kafka_servers.addresses == "127.0.0.1:4"
        assert settings.load_running(first).kafka_servers.addresses == "127.0.0.1:3"
        instances.endpoints_file(here).write_text(json.dumps({"kafka": "127.0.0.1:5", "pid": child.pid}))
        assert settings.load_running().kafka_servers.addresses == "127.0.0.1:5"
        monkeypatch.setenv("KHABAR_DATA_DIR", str(first))
        assert settings.load_running().kafka_servers.addresses == "127.0.0.1:3"
    finally:
        child.communicate(b"\n")


def test_a_killed_instance_is_not_found(tmp_path: Path, runtime: Path) -> None:
    """Its records are recognised by the process id; its entry is removed."""
    data_dir = _data_dir(tmp_path, "killed")
    _publish(data_dir, "127.0.0.1:3")
    instances.withdraw(data_dir)
    _of_another_process(data_dir, "127.0.0.1:3", _ended_pid())
    assert settings.load_running().kafka_servers.addresses == "127.0.0.1:9092"
    assert settings.load_running(data_dir).kafka_servers.addresses == "127.0.0.1:9092"
    assert list((runtime / "khabar").iterdir()) == []


def test_records_are_for_this_user_only_and_never_half_written(tmp_path: Path, runtime: Path) -> None:
    """Mode 0600 in a directory of mode 0700; nothing but the two files is left."""
    data_dir = _data_dir(tmp_path, "data")
    for _ in range(2):
        _publish(data_dir, "127.0.0.1:3")
    entry = runtime / "khabar" / f"{os.getpid()}.json"
    for path in (instances.endpoints_file(data_dir), entry):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1.5, "data_dir": 7}'])
def test_damaged_entries_are_ignored(content: str, tmp_path: Path, runtime: Path) -> None:
    """A running instance is found despite them."""
    data_dir = _data_dir(tmp_path, "data")
    _publish(data_dir, "127.0.0.1:3")
    (runtime / "khabar" / "1.json").write_text(content)
    assert settings.load_running().kafka_servers.addresses == "127.0.0.1:3"


def test_a_directory_that_others_can_write_to_is_not_used(tmp_path: Path, runtime: Path) -> None:
    """Another user must not choose where this user's commands send articles and keys."""
    (runtime / "khabar").mkdir()
    (runtime / "khabar").chmod(0o777)
    data_dir = _data_dir(tmp_path, "data")
    _publish(data_dir, "127.0.0.1:3")
    assert list((runtime / "khabar").iterdir()) == []
    assert settings.load_running().kafka_servers.addresses == "127.0.0.1:9092"
    assert settings.load_running(data_dir).kafka_servers.addresses == "127.0.0.1:3"


def test_without_a_runtime_directory_the_one_for_temporary_files_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in containers and over sudo."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    _publish(_data_dir(tmp_path, "data"), "127.0.0.1:3")
    assert (tmp_path / "tmp" / f"khabar-{os.getuid()}" / f"{os.getpid()}.json").exists()
    assert settings.load_running().kafka_servers.addresses == "127.0.0.1:3"
