"""``khabar ingest watch``: sends the files that appear in a directory, each once it is complete."""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import structlog

from ingest.replay import Outcome, Plan, Sender, Target, TargetUnavailable, open_target, schedule_items
from services.documents.files import FilesError, Item, check_kind, read_file
from services.errors import OperatorError

log = structlog.get_logger(__name__)

DONE: Final = "done"
FAILED: Final = "failed"
ERRORS: Final = ".error.txt"
_LOCK: Final = ".khabar-watch.lock"
# Names that programs give to files that are not complete.
_TEMPORARY: Final = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".swp", "~")
_SCAN_SECONDS: Final = 0.5
# A file is complete when nobody has it open for writing and it has not changed for so long; where it cannot be known
# who has it open, as on a network drive, for longer.
_SETTLED_SECONDS: Final = 1.0
_SETTLED_UNKNOWN_SECONDS: Final = 5.0
# A file that was sent and cannot be moved is sent again after so long.
_RETRY_SECONDS: Final = 60.0


class WatchError(OperatorError):
    """The directory cannot be watched; the message says why."""


@dataclass
class _FileOutcome(Outcome):
    """The results of one file; each rejected article is written to ``errors``, a file that is made for the first."""

    errors: Path = Path()
    _written: IO[str] | None = None

    def reject(self, place: str, cause: str) -> None:
        """As ``Outcome.reject``. Raises ``OSError``."""
        super().reject(place, cause)
        if self._written is None:
            self._written = self.errors.open("w", encoding="utf-8", errors="backslashreplace")
        self._written.write(f"{place}: {cause}\n")

    def close(self) -> None:
        """Write the errors to the disk. Raises ``OSError``."""
        if self._written is not None:
            with self._written as file:
                file.flush()
                os.fsync(file.fileno())


@dataclass(frozen=True)
class _Stamp:
    """What changes when a file is written to or replaced."""

    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> "_Stamp":
        """Raises ``OSError``."""
        status = path.lstat()
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class Watcher:
    """Sends each complete file in ``directory`` and its subdirectories, then moves it to ``done`` or ``failed`` there.

    ``failed`` gets the files of which an article was rejected, and beside each an error file with place and cause of
    each of these articles. A file that was not moved is sent again: its articles have the same ids.
    """

    def __init__(self, directory: Path, plan: Plan) -> None:
        """``plan``: the target; it has no paths."""
        self.failed = 0
        self._directory = directory
        self._plan = plan
        # Since when a file is as it is, and when one is tried again that could not be moved.
        self._since: dict[Path, tuple[_Stamp, float]] = {}
        self._not_before: dict[Path, float] = {}

    async def run(self, stop: asyncio.Event, *, once: bool = False) -> None:
        """Send files until ``stop`` is set. ``once``: those that are there, except those that are not complete.

        Raises ``WatchError``, ``TargetError`` for a target that takes no articles at all, and with ``once``
        ``TargetUnavailable``.
        """
        # The kernel signals a process whose lease another one breaks; unhandled, the signal would end it.
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        with self._locked():
            log.info("watching", directory=str(self._directory), target=self._plan.target)
            async with open_target(self._plan) as target:
                while not stop.is_set():
                    await self._pass(target, stop, last=once)
                    if once:
                        return
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), _SCAN_SECONDS)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other watchers away from the directory. Raises ``WatchError``."""
        with contextlib.ExitStack() as held:
            try:
                for name in (DONE, FAILED):
                    (self._directory / name).mkdir(exist_ok=True)
                lock = held.enter_context((self._directory / _LOCK).open("a+", encoding="utf-8"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.truncate(0)
                lock.write(f"{os.getpid()}\n")
                lock.flush()
            except BlockingIOError:
                other = (self._directory / _LOCK).read_text(encoding="utf-8").strip()
                raise WatchError(f"{self._directory}: process {other} watches this directory already") from None
            except OSError as error:
                raise WatchError(f"{error.filename or self._directory}: {error.strerror or error}") from error
            yield

    async def _pass(self, target: Target, stop: asyncio.Event, *, last: bool) -> None:
        """Send every complete file. ``last``: report those that are not complete."""
        now = time.monotonic()
        found = sorted(self._files())
        for seen in self._since.keys() - set(found):
            self._since.pop(seen)
            self._not_before.pop(seen, None)
        for path in found:
            if stop.is_set():
                return
            try:
                if not self._complete(path, now):
                    if last:
                        log.warning("file_not_complete", file=self._name(path))
                elif self._not_before.get(path, now) <= now:
                    await self._handle(path, target, stop)
            except FileNotFoundError:
                continue  # somebody has taken it away
            except OSError as error:
                self.failed += last
                self._not_before[path] = time.monotonic() + _RETRY_SECONDS
                log.error("file_not_moved", file=self._name(path), cause=error.strerror or str(error))

    def _files(self) -> Iterator[Path]:
        ours = {self._directory / DONE, self._directory / FAILED}
        for parent, folders, names in os.walk(self._directory):
            folders[:] = [one for one in folders if not one.startswith(".") and Path(parent, one) not in ours]
            for name in names:
                path = Path(parent, name)
                temporary = name.startswith(".") or name.lower().endswith(_TEMPORARY)
                if not temporary and path.is_file() and not path.is_symlink():
                    yield path

    def _complete(self, path: Path, now: float) -> bool:
        """Whether nobody writes to a file any more. Raises ``OSError``."""
        stamp = _Stamp.of(path)
        since = self._since.get(path)
        if since is None or since[0] != stamp:
            # The clock of a network drive may be another one: a file can seem to be of the future.
            age = max(0.0, time.time() - stamp.changed / 1e9)
            since = self._since[path] = (stamp, now - age)
        settled = now - since[1]
        if settled < _SETTLED_SECONDS:
            return False
        written = _is_written(path)
        return settled >= _SETTLED_UNKNOWN_SECONDS if written is None else not written

    async def _handle(self, path: Path, target: Target, stop: asyncio.Event) -> None:
        """Send a file and move it. Raises ``OSError``."""
        started = time.monotonic()
        stamp = _Stamp.of(path)
        errors = self._directory / FAILED / f"{ERRORS}.part"
        outcome = _FileOutcome(errors=errors)
        items = _Items(path)
        try:
            await Sender(self._plan, target, outcome, stop, say=_say).send_all(
                schedule_items(self._plan, outcome, iter(items)), started
            )
        except TargetUnavailable:
            if not stop.is_set():
                raise
        finally:
            outcome.close()
        if not items.ended or outcome.lost:
            return  # stopped in the middle: it is sent again after the next start
        if _Stamp.of(path) != stamp:
            log.warning("file_changed_while_read", file=self._name(path))
            return
        seconds = round(time.monotonic() - started, 3)
        if not outcome.rejected:
            moved = self._move(path, DONE)
            log.info("file_sent", file=self._name(path), to=moved, articles=outcome.accepted, seconds=seconds)
            return
        self.failed += 1
        moved = self._move(path, FAILED, errors)
        log.warning(
            "file_failed",
            file=self._name(path),
            to=moved,
            accepted=outcome.accepted,
            rejected=outcome.rejected,
            first=outcome.complaints[0],
            seconds=seconds,
        )

    def _move(self, path: Path, folder: str, errors: Path | None = None) -> str:
        """Move a file, after its error file; return its new name. Raises ``OSError``."""
        wanted = self._directory / folder / path.relative_to(self._directory)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        place, number = wanted, 1
        while place.exists():
            number += 1
            place = wanted.with_name(f"{number}.{wanted.name}")
        if errors is not None:
            errors.rename(place.with_name(place.name + ERRORS))
        path.rename(place)
        return self._name(place)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._directory))


class _Items:
    """The articles of a file; ``ended``: all were taken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ended = False

    def __iter__(self) -> Iterator[Item]:
        try:
            check_kind(self._path)
        except FilesError as error:
            yield Item(str(self._path), error=str(error).removeprefix(f"{self._path}: "))
        else:
            yield from read_file(self._path)
        self.ended = True


def _is_written(path: Path) -> bool | None:
    """Whether a process has a file open for writing; None where that cannot be known."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError:
        return None
    try:
        # Linux gives a lease for reading only on a file that nobody writes.
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):
        return None
    finally:
        os.close(descriptor)
    return False


def _say(line: str) -> None:
    log.warning("target_unavailable", cause=line)
