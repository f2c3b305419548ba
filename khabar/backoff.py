"""Delays between tries: doubled from one try to the next, with a limit and with jitter."""

import asyncio
import random
from collections.abc import Callable


def delay(failures: int, first: float, limit: float) -> float:
    """Seconds to wait after this number of failures in a row (1 and up), without jitter."""
    return min(limit, first * 2.0 ** min(failures - 1, 60))


class Backoff:
    """The delays of one thing that is tried again and again.

    ``first`` and ``limit`` are seconds. ``jitter`` spreads each delay by that share of it, up and down, so that many
    that failed together do not try again together. ``rng`` gives numbers from 0 to 1.
    """

    def __init__(
        self, first: float, limit: float, *, jitter: float = 0.0, rng: Callable[[], float] = random.random
    ) -> None:
        self.failures = 0
        self._first = first
        self._limit = limit
        self._jitter = jitter
        self._rng = rng

    def next(self) -> float:
        """Count a failure; the seconds to wait before the next try."""
        self.failures += 1
        spread = 1.0 + self._jitter * (2.0 * self._rng() - 1.0) if self._jitter else 1.0
        return delay(self.failures, self._first, self._limit) * spread

    def reset(self) -> None:
        """A try has succeeded: the next failure waits for the first delay again."""
        self.failures = 0

    async def wait(self) -> None:
        """Count a failure and wait."""
        await asyncio.sleep(self.next())
