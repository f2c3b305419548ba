"""The parts of one running gateway, put together; what routes find under ``app.state.gateway``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp

from api.access.auth import Keys
from api.problems import RETRY_AFTER, STORE_AWAY, ProblemError
from api.stream.backlog import Backlog
from api.stream.follower import Follower
from api.stream.hub import Stream
from api.stream.log import Log
from api.stream.metrics import Metrics
from api.stream.subscription import Limits
from services.settings import Settings
from services.store import Store

# A connection that ingest may be closing at this moment is not used again.
_KEEP_ALIVE = 2.0
_STOP_SECONDS = 1.0
# A store that takes longer is as good as away, and whoever waits for it has better things to do.
_STORE_SECONDS = 3.0

_T = TypeVar("_T")


class Gateway:
    """Log, follower, backlog, store and keys of one gateway."""

    http: aiohttp.ClientSession

    def __init__(self, settings: Settings, keys: Keys, limits: Limits) -> None:
        self.settings = settings
        self.limits = limits
        self.keys = keys
        self.log = Log(settings.log_bytes)
        self.metrics = Metrics(self.log)
        self.follower = Follower(settings, self.log, self.metrics, tail=limits.tail_records)
        self.backlog = Backlog(settings.kafka_servers)
        self.stream = Stream(self.log, self.backlog, self.follower, limits)
        self.stream.feeds.count_delivered = self.metrics.delivered.labels("websocket").inc
        self.store = Store(settings.redis_url)

    async def answered(self, question: Awaitable[_T]) -> _T:
        """What the store answers. Raises ``ProblemError`` 503 when it does not in time, or ``RedisError``."""
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                return await question
        except TimeoutError:
            raise ProblemError(503, STORE_AWAY, headers=RETRY_AFTER) from None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the stream; neither Kafka nor the store nor ingest needs to be there."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self.http:
            tasks = [
                asyncio.create_task(self.follower.run(), name="follower"),
                asyncio.create_task(self.backlog.keep_tidy(), name="backlog"),
                asyncio.create_task(self.stream.look_after(), name="heartbeats"),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                # A Kafka that does not answer must not hold up the end.
                await asyncio.wait(tasks, timeout=_STOP_SECONDS)
                await self.store.close()
