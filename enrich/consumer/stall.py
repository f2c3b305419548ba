"""Detects partitions that no longer advance although records wait and their stage is idle.

Faust revokes and assigns partitions in many steps. If one of them does not happen, a worker keeps its partitions, and
so no other worker takes them over, but it reads nothing from them; Faust only logs what it notices of that. Such a
worker must exit and start again from the committed offsets.
"""

import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from faust.types import TP

CHECK_SECONDS = 10.0
"""Between two checks."""
TIMEOUT_SECONDS = 60.0
"""How long a partition may fail to advance."""


class Stalled(Exception):
    """Records wait on these partitions, and the stages that should read them are idle."""


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """Offsets of a partition: the committed one (None: none), the oldest that is kept, and that of the next record."""

    committed: int | None
    oldest: int
    end: int

    @property
    def next(self) -> int:
        """The first offset that is not done."""
        return max(self.committed or 0, self.oldest)

    @property
    def behind(self) -> bool:
        """Whether an offset is not done yet."""
        return self.end > self.next


class StallDetector:
    """Compares the lags of partitions from one check to the next.

    ``timeout``: seconds that a partition with waiting records may keep its committed offset while its stage is idle.
    """

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout = timeout
        self._clock = clock
        self._checked = clock()
        # For each partition that is behind: the committed offset, and since when it has been that.
        self._since: dict[TP, tuple[int | None, float]] = {}

    @property
    def unmoved(self) -> list[TP]:
        """The partitions that were behind, at the same offset, in an earlier check as in the last one."""
        return [partition for partition, (_, at) in self._since.items() if at < self._checked]

    def check(self, lags: Mapping[TP, PartitionLag], idle_topics: Container[str]) -> list[TP]:
        """The partitions that have stalled. ``idle_topics``: topics whose stage waits for records.

        A stage that processes records, or waits for Kafka or the store, is not idle.
        """
        now = self._checked = self._clock()
        since: dict[TP, tuple[int | None, float]] = {}
        for partition, lag in lags.items():
            if lag.behind and partition.topic in idle_topics:
                current = (lag.committed, now)
                known = self._since.get(partition, current)
                since[partition] = known if known[0] == lag.committed else current
        self._since = since
        return [partition for partition, (_, at) in since.items() if now - at >= self._timeout]
