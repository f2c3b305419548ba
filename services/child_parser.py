"""Third-party parsers in child processes that can be killed: each call has a limit of CPU time, time and memory.

Nothing can stop a parser in a thread of its own process, where some documents would take it hours. Here it runs in a
child, with a limit for each call. The child imports the parser once and forks a process that serves calls; when a limit
ends that process, it forks the next one, without importing again.

The kernel enforces the limits with timers of the serving process. They also hold when the parent has died: a child
ends when its call does, and when it reads the end of its input. (``PR_SET_PDEATHSIG`` would fire when the thread that
started the child ends.)

Bytes go in and come out: nothing that a child sends is unpickled.
"""

import contextlib
import importlib
import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, Literal, NoReturn

MEGABYTE: Final = 1 << 20
# A longer result is refused.
MAX_RESULT: Final = 64 * MEGABYTE
# On a busy machine a call may take this many times its CPU time, and some seconds more.
_WALL_FACTOR, _WALL_EXTRA = 5.0, 5.0
_START_TIMEOUT = 60.0
# The child ends a call by itself; the parent waits this much longer before it kills the child.
_GRACE = 2.0

# A call: limits of CPU time and time in seconds, length of the data. A response: kind, length of the data.
_CALL = struct.Struct(">ddI")
_RESPONSE = struct.Struct(">BI")
_READY, _RESULT, _ERROR, _ENDED = range(4)

# What the timers of a call send.
_LIMIT_SIGNALS = (signal.SIGPROF, signal.SIGALRM)

Cause = Literal["slow", "error", "died"]


class ParserFailed(Exception):
    """A parser gave no result; the message says why.

    ``cause``: "slow" (it exceeded its time), "error" (it raised an exception, out of memory included) or "died" (its
    process ended or could not be started).
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause: Cause = cause


class ChildParser:
    """A parser that runs in at most ``children`` processes, which are started when they are needed.

    ``function``: ``package.module:name`` of a function from bytes to bytes. ``memory``: of each process in bytes, its
    libraries included (RLIMIT_AS). May be called from several threads.
    """

    def __init__(self, function: str, *, memory: int, children: int = 1) -> None:
        self._command = [sys.executable, "-P", "-m", "services.child_parser", function, str(memory)]
        self._turns = threading.BoundedSemaphore(children)
        self._idle: list[_Child] = []

    def parse(self, data: bytes, *, cpu_seconds: float) -> bytes:
        """What the function returns for ``data``. Blocks, also while all children are busy. Raises ``ParserFailed``.

        A child that dies without exceeding a limit may have been killed by somebody else: the call is tried once more.
        """
        with self._turns:
            try:
                return self._call(data, cpu_seconds)
            except EOFError:
                pass
            try:
                return self._call(data, cpu_seconds)
            except EOFError as error:
                raise ParserFailed("died", str(error)) from None

    def close(self) -> None:
        """End the idle children. The next call starts another one."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().end()

    def _call(self, data: bytes, cpu_seconds: float) -> bytes:
        child = self._take()
        try:
            result = child.call(data, cpu_seconds)
        except ParserFailed:
            self._idle.append(child)
            raise
        except BaseException:
            child.end()
            raise
        self._idle.append(child)
        return result

    def _take(self) -> "_Child":
        with contextlib.suppress(IndexError):
            while True:
                child = self._idle.pop()
                if child.is_idle():
                    return child
                child.end()
        try:
            return _Child(self._command)
        except OSError as error:
            raise ParserFailed("died", f"no process can be started: {error}") from error


class _Child:
    """A child process and the socket to it."""

    def __init__(self, command: list[str]) -> None:
        """Start the process and wait until it has imported the function. Raises ``OSError``, ``EOFError``."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                # Secrets in the settings are none of a parser's business.
                environment = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
                process = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,
                )
            except BaseException:
                self._socket.close()
                raise
        self.end = weakref.finalize(self, _end, process, self._socket)
        """Kill the process; it is called when this process exits, too."""
        try:
            self._receive(time.monotonic() + _START_TIMEOUT)
        except BaseException:
            self.end()
            raise

    def is_idle(self) -> bool:
        """Whether the child still runs, and waits for a call."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def call(self, data: bytes, cpu_seconds: float) -> bytes:
        """Raises ``ParserFailed``, after which the child can be used again, and ``EOFError``, after which it cannot."""
        seconds = cpu_seconds * _WALL_FACTOR + _WALL_EXTRA
        deadline = time.monotonic() + seconds + _GRACE
        try:
            self._socket.settimeout(seconds + _GRACE)
            self._socket.sendall(_CALL.pack(cpu_seconds, seconds, len(data)))
            self._socket.sendall(data)
            kind, result = self._receive(deadline)
        except OSError as error:  # a timeout, a broken pipe
            raise EOFError(f"the parser's process does not respond: {error!r}") from error
        if kind == _RESULT:
            return result
        message = result.decode("utf-8", "replace")
        if kind == _ERROR:
            raise ParserFailed("error", message)
        took = f"{cpu_seconds:g} s of CPU time" if message == signal.SIGPROF.name else f"{seconds:g} s"
        raise ParserFailed("slow", f"parsing {len(data)} bytes took more than {took}")

    def _receive(self, deadline: float) -> tuple[int, bytes]:
        kind, length = _RESPONSE.unpack(self._read(_RESPONSE.size, deadline))
        if length > MAX_RESULT:
            raise EOFError(f"the parser's result has {length} bytes, more than {MAX_RESULT}")
        return kind, self._read(length, deadline)

    def _read(self, length: int, deadline: float) -> bytes:
        data = bytearray(length)
        view = memoryview(data)
        at = 0
        while at < length:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            received = self._socket.recv_into(view[at:])
            if not received:
                raise EOFError("the parser's process ended")
            at += received
        return bytes(data)


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    # The process that serves calls, too.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _run(function: str, memory: int) -> None:
    """The child: import the function, then keep one process that serves calls until the parent closes the socket."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in _LIMIT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    logging.disable()
    connection = socket.socket(fileno=os.dup(0))
    module, _, name = function.partition(":")
    parse = getattr(importlib.import_module(module), name)
    _respond(connection, _READY, b"")
    while True:
        process = os.fork()
        if process == 0:
            _serve(connection, parse)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) not in _LIMIT_SIGNALS:
            return
        _respond(connection, _ENDED, signal.Signals(os.WTERMSIG(status)).name.encode())


def _serve(connection: socket.socket, parse: Callable[[bytes], bytes]) -> NoReturn:
    """Answer calls; timers end this process when a call exceeds its limits."""
    while True:
        header = connection.recv(_CALL.size, socket.MSG_WAITALL)
        if len(header) < _CALL.size:
            os._exit(0)
        cpu_seconds, seconds, length = _CALL.unpack(header)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        data = connection.recv(length, socket.MSG_WAITALL)
        if len(data) < length:
            os._exit(0)
        try:
            kind, result = _RESULT, parse(data)
        except Exception as error:  # parsers raise any kind of error
            kind, result = _ERROR, repr(error)[:300].encode("utf-8", "replace")
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _respond(connection, kind, result)


def _respond(connection: socket.socket, kind: int, data: bytes) -> None:
    if len(data) > MAX_RESULT:
        kind, data = _ERROR, f"the result has {len(data)} bytes, more than {MAX_RESULT}".encode()
    connection.sendall(_RESPONSE.pack(kind, len(data)))
    connection.sendall(data)


if __name__ == "__main__":
    _run(sys.argv[1], int(sys.argv[2]))
