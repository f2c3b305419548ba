"""A child process that serves a TCP port: start it, wait until it answers, stop it."""

import asyncio
import contextlib
import ctypes
import errno
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
    """A TCP port that nothing uses at this moment.

    Below those that the kernel gives to outgoing connections: one of them could take the port between this look
    and the server's start.
    """
    while port_taken(host, port := random.randrange(*_PORTS)):  # noqa: S311 - a number, not a secret
        pass
    return port


def port_taken(host: str, port: int) -> bool:
    """Whether something else already has this port. Raises ``OSError`` when the host is no address of ours."""
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


def die_with_parent() -> None:
    """Run in a child before exec: the kernel ends it when its parent is gone, however the parent died."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """One child process with its log file. Not restarted by itself."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the running child."""
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
        """Start the command with its output appended to the log (or stdout as given)."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *map(str, command),
                env=None if env is None else dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                preexec_fn=die_with_parent,
                # Its own group, so that a Ctrl-C in the terminal reaches only the one that orders the stop.
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Wait for the end; the exit status."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return await self._child.wait()

    async def until(self, answers: Callable[[], Awaitable[object]], *, seconds: float) -> None:
        """Wait until ``answers`` returns instead of raising.

        Raises ``StartError`` when the child ends first or the time is over.
        """
        deadline = time.monotonic() + seconds
        while True:
            if self.returncode is not None:
                raise StartError(f"{self.name} stopped with status {self.returncode}; its log: {self.log}")
            try:
                async with asyncio.timeout(5):
                    await answers()
                return
            except Exception as error:
                if time.monotonic() > deadline:
                    raise StartError(
                        f"{self.name} did not answer within {seconds:.0f} s ({error!r}); its log: {self.log}"
                    ) from error
            await asyncio.sleep(0.05)

    async def stop(self, *, seconds: float = 15) -> None:
        """SIGTERM, and SIGKILL when it has not ended after ``seconds``."""
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
        """SIGKILL at once."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
