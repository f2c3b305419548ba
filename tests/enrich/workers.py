"""Workers in the test's own process, and empty topics for them."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import faust
from aiokafka.admin import AIOKafkaAdminClient

from enrich.app import Intervals, create_app
from enrich.stage import STAGES
from services import groups, kafka_topics
from services.settings import Settings
from tests.harness import eventually


class Worker:
    """A worker in this process, which can be stopped and started again."""

    def __init__(
        self, settings: Settings, *, stages: Collection[str] = STAGES, intervals: Intervals | None = None
    ) -> None:
        self.app: faust.App
        self._settings = settings
        self._stages = stages
        self._intervals = intervals

    async def start(self) -> None:
        """Start it, with nothing of an earlier run in memory."""
        self.app = create_app(self._settings, stages=self._stages, intervals=self._intervals)
        await self.app.start()

    async def stop(self) -> None:
        """Stop it as SIGTERM does; it must not have failed."""
        failed = self.app.crashed
        await self.app.stop()
        assert not failed, self.app.crash_reason


@asynccontextmanager
async def running(
    settings: Settings, *, stages: Collection[str] = STAGES, intervals: Intervals | None = None
) -> AsyncIterator[Worker]:
    """A worker in this process until the end of the block."""
    worker = Worker(settings, stages=stages, intervals=intervals)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def empty_topics(bootstrap: str, *, raw_partitions: int, window_hours: float = 0) -> None:
    """Delete all topics, and with them the offsets that workers have committed, and create them again."""

    async def no_members() -> bool:
        return await groups.stable_members(bootstrap, groups.GROUP) == 0

    await eventually(no_members)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        await admin.delete_topics([topic.name for topic in kafka_topics.ALL if topic.name in present])
    finally:
        await admin.close()
    await kafka_topics.ensure(bootstrap, raw_partitions=raw_partitions, replication=1, window_hours=window_hours)
