"""A child process that serves a TCP port: start it, wait until it responds, stop it."""

import asyncio
import contextlib
import ctypes
import errno
import os
import random
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from services.errors import StartError

_PR_SET_PDEATHSIG = 1
_PORTS = (15_000, 32_000)
_libc = ctypes.CDLL(None)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free at this moment.

    It is below the kernel's range of ephemeral ports: an outgoing connection could take one of those before the
    server has started.
    """
    while port_taken(host, port := random.randrange(*_PORTS)):  # noqa: S311 - a number, not a secret
        pass
    return port


def port_taken(host: str, port: int) -> bool:
    """Whether this port is in use. Raises ``OSError`` when the host is not an address of this machine."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return True
            raise
    return False


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only this user can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def die_with_parent() -> None:
    """Call in a child before exec: the kernel then sends it SIGTERM when its parent dies, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """One child process with its log file. It is not restarted when it ends."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the child."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._child.returncode if self._child else None

    async def start(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> None:
        """Start the command. Its output is appended to the log, unless ``stdout`` names another file descriptor."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *map(str, command),
                env=None if env is None else dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                preexec_fn=die_with_parent,
                # An own process group, so that Ctrl-C in the terminal reaches only the parent, which stops it.
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Wait for the child to end; return its exit status."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return await self._child.wait()

    async def until(self, check: Callable[[], Awaitable[object]], *, seconds: float) -> None:
        """Call ``check`` again and again until it does not raise.

        Raises ``StartError`` when the child ends before that, or after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while True:
            if self.returncode is not None:
                raise StartError(f"{self.name} exited with status {self.returncode}; its log: {self.log}")
            try:
                async with asyncio.timeout(5):
                    await check()
                return
            except Exception as error:
                if time.monotonic() > deadline:
                    raise StartError(
                        f"{self.name} did not answer within {seconds:.0f} s ({error!r}); its log: {self.log}"
                    ) from error
            await asyncio.sleep(0.05)

    async def stop(self, *, seconds: float = 15) -> None:
        """Send SIGTERM, and SIGKILL if it is still running after ``seconds``."""
        if self._child is None or self._child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._child.wait()
        except TimeoutError:
            self.kill()
            await self._child.wait()

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
