"""Reads the partitions of a worker, and detects those that no longer advance although records wait.

Faust revokes and assigns partitions in many steps. If one of them does not happen, a worker keeps its partitions, and
so no other worker takes them over, but it reads nothing from them; Faust only logs what it notices of that. Such a
worker must exit and start again from the committed offsets.

Transaction markers and aborted records hold nothing to read, so a partition may end with offsets that no event ever
acknowledges: ``CommittedConsumer.skip_to`` commits them.
"""

import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
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


class _ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # It is passed on when the consumer starts. Faust has no setting for it.
        consumer._isolation_level = "read_committed"
        return consumer


class CommittedConsumer(driver.Consumer):  # type: ignore[misc]
    """Reads committed records only, and commits across any gap in the offsets."""

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _new_offset(self, tp: TP) -> int | None:
        # Each stage acknowledges the events of a partition in the order of their offsets, so all before the last one
        # are done. Faust looks for consecutive offsets instead, and waits for ever at some gaps.
        acked = self._acked[tp]
        if not acked:
            return None
        last: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        self._gap[tp].clear()
        return last + 1

    async def skip_to(self, offsets: dict[TP, int]) -> None:
        """Commit offsets before which nothing is left to read."""
        await self._commit_offsets(offsets)


class Transport(driver.Transport):  # type: ignore[misc]
    """Kafka with ``CommittedConsumer``."""

    Consumer = CommittedConsumer


def transport(app: Any) -> Transport:
    """The transport of an app, for its attribute ``transport``."""
    return Transport(cast("Any", app.conf.broker_consumer), app)
