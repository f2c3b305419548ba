"""The running instances of ``khabar up``, so that the other commands find them.

An instance writes its addresses and process ids to ``endpoints.json`` in its data directory, and the path of that
directory to an entry in a directory of the user: ``$XDG_RUNTIME_DIR/khabar``, or ``khabar-UID`` in the directory for
temporary files. Both are removed when it stops. Those of a killed instance are recognised by its process id.
"""

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def endpoints_file(data_dir: Path) -> Path:
    """The file with the addresses and processes of the instance in ``data_dir``."""
    return data_dir / "endpoints.json"


def endpoints(data_dir: Path) -> dict[str, Any]:
    """What the instance in ``data_dir`` recorded; empty when none runs there."""
    recorded = _read(endpoints_file(data_dir))
    return recorded if _alive(recorded.get("pid", os.getpid())) else {}


def newest() -> Path | None:
    """The data directory of the instance of this user that was started last; None when none runs."""
    directory = _directory()
    if directory is None:
        return None
    found: list[tuple[float, Path]] = []
    for entry in directory.glob("*.json"):
        recorded = _read(entry)
        data_dir = Path(str(recorded.get("data_dir", "")))
        if _alive(recorded.get("pid")) and endpoints(data_dir).get("pid") == recorded["pid"]:
            with contextlib.suppress(OSError):
                found.append((entry.stat().st_mtime, data_dir))
        elif recorded:
            entry.unlink(missing_ok=True)
    return max(found)[1] if found else None


def publish(data_dir: Path, recorded: Mapping[str, Any]) -> None:
    """Record the addresses and processes of this instance, which uses ``data_dir``."""
    pid = os.getpid()
    _write(endpoints_file(data_dir), {**recorded, "pid": pid})
    directory = _directory()
    if directory is not None:
        # Without the entry everything works with --data-dir.
        with contextlib.suppress(OSError):
            _write(directory / f"{pid}.json", {"pid": pid, "data_dir": str(data_dir)})


def withdraw(data_dir: Path) -> None:
    """Remove what ``publish`` wrote."""
    endpoints_file(data_dir).unlink(missing_ok=True)
    directory = _directory()
    if directory is not None:
        with contextlib.suppress(OSError):
            (directory / f"{os.getpid()}.json").unlink(missing_ok=True)


def _directory() -> Path | None:
    """The user's directory of entries; None where there can be none that no other user writes to."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        directory = Path(runtime, "khabar")
    else:
        directory = Path(tempfile.gettempdir(), f"khabar-{os.getuid()}")
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return directory if private else None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file as a whole, readable by this user only: a reader sees the old content or the new."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
