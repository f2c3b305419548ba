"""Looking up host names that strangers chose, apart from all other look-ups.

The loop has few threads for look-ups, and Kafka and the store need them too: a name server that never answers must not
hold these up. Nor may it hold up the end of the process, hence daemon threads.
"""

import asyncio
import contextlib
import socket
import threading
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

_MOST: Final = 64


class Names(AbstractResolver):
    """Looks names up, at most 64 at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_MOST)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises ``OSError``."""
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def settle(found: list[ResolveResult], error: Exception | None) -> None:
            self._turns.release()
            if answer.done():
                return  # nobody waits any more
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def run() -> None:
            found: list[ResolveResult] = []
            failed: Exception | None = None
            try:
                found = _looked_up(host, port, family)
            except (OSError, UnicodeError) as error:
                failed = error if isinstance(error, OSError) else OSError(str(error))
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, found, failed)

        threading.Thread(target=run, name="names", daemon=True).start()
        return await answer

    async def close(self) -> None:
        """Nothing is to be closed."""


def _looked_up(host: str, port: int, family: int) -> list[ResolveResult]:
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
