"""Faust's Kafka consumer, with what Faust offers only in its exactly-once mode: it reads committed records only.

Offsets of transaction markers and of aborted records hold nothing to read, so a partition can end with offsets that
no worker ever commits by itself: ``skip_to`` does.
"""

from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP


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
