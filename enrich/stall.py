"""Notices records that nobody takes, although the stage that should take them waits for some.

Faust gives partitions up and takes them up in many steps. Should one of them fail to happen, a worker keeps its
partitions, and the others leave them to it, but takes nothing from them; what Faust notices of that it only logs. Such
a worker is to end and to begin anew from the committed offsets.
"""

import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from faust.types import TP

# Between two looks.
LOOK_SECONDS = 10.0
# For so long nothing may move.
PATIENCE_SECONDS = 60.0


class Stalled(Exception):
    """Records wait on these partitions, and the stages that should take them wait, too."""


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """Offsets of a partition: the committed one (None: none), the oldest that is kept, and that of the next record."""

    committed: int | None
    oldest: int
    end: int

    @property
    def behind(self) -> bool:
        """Whether there is a record that is not done."""
        return self.end > max(self.committed or 0, self.oldest)


class StallDetector:
    """Told again and again where the partitions are; ``patience`` (seconds) is how long nothing may move."""

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        # For each partition that is behind: the committed offset, and since when it has been that.
        self._since: dict[TP, tuple[int | None, float]] = {}

    def look(self, places: Mapping[TP, PartitionLag], waiting: Container[str]) -> list[TP]:
        """The partitions that stood still for too long. ``waiting``: topics whose stage waits for records.

        A stage that is at work, or waits for Kafka or the store, is not among those.
        """
        now = self._clock()
        since: dict[TP, tuple[int | None, float]] = {}
        for partition, place in places.items():
            if place.behind and partition.topic in waiting:
                here = (place.committed, now)
                known = self._since.get(partition, here)
                since[partition] = known if known[0] == place.committed else here
        self._since = since
        return [partition for partition, (_, at) in since.items() if now - at >= self._patience]
