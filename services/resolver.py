"""Look-up of host names that users chose, separate from all other look-ups.

The event loop has few threads for look-ups, and Kafka and the store need them too: a name server that never answers
must not block these, nor the end of the process. Hence daemon threads. Their number is limited, also for each owner (of
webhooks, of a host with feeds): names that one owner chose to be slow do not make another owner wait.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from services.addresses import PrivateAddress, is_public, is_web_port
from services.blocking import run_in_thread

_MAX_THREADS: Final = 64
_MAX_THREADS_PER_OWNER: Final = 4
# The system's resolver takes up to half a minute for a name server that does not answer.
_SECONDS: Final = 5.0

# Whose names are looked up. aiohttp passes on the context of a request, but no argument.
_owner: ContextVar[str] = ContextVar("owner", default="")


@contextmanager
def looking_up_for(owner: str) -> Iterator[None]:
    """Look-ups within this block are those of this owner."""
    token = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(token)


@dataclass
class _Turns:
    """The look-ups of one owner, waiting ones included."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_THREADS_PER_OWNER))
    users: int = 0


class ThreadedResolver(AbstractResolver):
    """Resolves host names, at most 64 at a time and at most 4 of one owner, each for at most ``seconds``."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._slots = asyncio.Semaphore(_MAX_THREADS)
        self._owners: dict[str, _Turns] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises ``OSError``, also when there is no answer in time."""
        owner = _owner.get()
        turns = self._owners.setdefault(owner, _Turns())
        turns.users += 1
        held: list[asyncio.Semaphore] = []

        def release() -> None:
            for slots in held:
                slots.release()
            turns.users -= 1
            if not turns.users:
                del self._owners[owner]

        try:
            for slots in (turns.slots, self._slots):
                await slots.acquire()
                held.append(slots)
        except BaseException:
            release()
            raise
        try:
            # The slots are occupied until the thread has ended, even if this call ends before.
            return await run_in_thread(
                lambda: _look_up(host, port, family), name="resolver", deadline=self._seconds, on_end=release
            )
        except TimeoutError:
            raise OSError(f"{host} could not be resolved within {self._seconds:g} s") from None
        except (RuntimeError, UnicodeError) as error:  # no thread can be started; the name cannot be encoded
            raise OSError(str(error)) from error

    async def close(self) -> None:
        """There is nothing to close."""


def _look_up(host: str, port: int, family: int) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in found
    ]


async def check_public(url: str, resolver: ThreadedResolver, *, seconds: float = 3.0) -> None:
    """Return when an http or https URL may lead to a public web server. Raises ``PrivateAddress``.

    A name may later resolve to other addresses: connections are checked again (``addresses.public_socket``). A name
    that cannot be resolved within ``seconds`` is accepted.
    """
    host, port = check_literal(url)
    try:
        async with asyncio.timeout(seconds):
            addresses = [one["host"] for one in await resolver.resolve(host, port)]
    except OSError:  # TimeoutError is a subclass
        return
    if addresses and not any(map(is_public, addresses)):
        raise PrivateAddress(errno.EACCES, f"{host} is not a public address")


def check_literal(url: str) -> tuple[str, int]:
    """Host and port of an http or https URL. Raises ``PrivateAddress`` where they say that it is not public."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if not is_web_port(port):
        raise PrivateAddress(errno.EACCES, f"port {port} is not one of a web server: 80, 443, or one from 1024")
    with contextlib.suppress(ValueError):
        if not is_public(host):
            raise PrivateAddress(errno.EACCES, f"{host} is not a public address")
    if host == "localhost" or host.endswith(".localhost"):
        raise PrivateAddress(errno.EACCES, f"{host} is not a public address")
    return host, port
