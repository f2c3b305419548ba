"""Turns for work on the event loop that takes milliseconds: about one millisecond of it in each iteration of the loop.

However many subscribers scan the log at the same time, other tasks run and sockets are served between two turns.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Work in one iteration of the loop; the turn that exceeds it is the last one of the iteration.
_SECONDS = 0.001


class Turns:
    """Gives one turn at a time, in the order of the calls."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._used = 0.0
        self._scheduled = False
        self._held = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold this during the work, which must not wait."""
        await self._lock.acquire()
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_iteration)
        began = time.monotonic()
        try:
            yield
        finally:
            self._used += time.monotonic() - began
            if self._used < _SECONDS:
                self._lock.release()
            else:
                self._held = True

    def _next_iteration(self) -> None:
        self._used, self._scheduled = 0.0, False
        if self._held:
            self._held = False
            self._lock.release()
