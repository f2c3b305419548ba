"""Look-up of host names that users chose, separate from all other look-ups.

The event loop has few threads for look-ups, and Kafka and the store need them too: a name server that never answers
must not block these, nor the end of the process. Hence daemon threads.
"""

import asyncio
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from services.blocking import run_in_thread

_MAX_THREADS: Final = 64


class ThreadedResolver(AbstractResolver):
    """Resolves host names, at most 64 at a time."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_MAX_THREADS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises ``OSError``."""
        await self._slots.acquire()
        try:
            # The slot is occupied until the thread has ended, even if this call is cancelled before.
            return await run_in_thread(
                lambda: _look_up(host, port, family), name="resolver", on_end=self._slots.release
            )
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
