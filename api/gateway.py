"""The parts of a running gateway, assembled; routes find it as ``app.state.gateway``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

import aiohttp

from api.access.auth import Keys
from api.problems import RETRY_AFTER, STORE_UNAVAILABLE, ProblemError
from api.stream.backlog import Backlog
from api.stream.follower import Follower
from api.stream.hub import StreamHub
from api.stream.log import Log
from api.stream.metrics import Metrics
from api.stream.subscription import StreamTimeouts
from services.clock import utc_now
from services.settings import Settings
from services.store import Store

# Shorter than ingest's own limit, so that no connection is reused while ingest closes it.
_KEEP_ALIVE = 2.0
_STOP_SECONDS = 1.0
# A store that takes longer counts as unavailable.
_STORE_SECONDS = 3.0

_T = TypeVar("_T")


class Gateway:
    """Log, follower, backlog, stream, store and keys of one gateway. ``now`` is the clock of its routes."""

    http: aiohttp.ClientSession

    def __init__(
        self, settings: Settings, keys: Keys, timeouts: StreamTimeouts, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.settings = settings
        self.timeouts = timeouts
        self.keys = keys
        self.now = now
        self.log = Log(settings.log_bytes, frame_bytes=settings.frame_bytes)
        self.metrics = Metrics(self.log)
        self.follower = Follower(settings, self.log, self.metrics, tail=timeouts.tail_records)
        self.backlog = Backlog(settings.kafka_servers)
        self.hub = StreamHub(
            self.log,
            self.backlog,
            self.follower,
            timeouts,
            count_delivered=self.metrics.delivered.labels("websocket").inc,
            now=now,
        )
        self.store = Store(settings.redis_url)

    async def with_store_timeout(self, awaitable: Awaitable[_T]) -> _T:
        """The result of a request to the store. Raises ``ProblemError`` 503 when it takes too long."""
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                return await awaitable
        except TimeoutError:
            raise ProblemError(503, STORE_UNAVAILABLE, headers=RETRY_AFTER) from None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the stream. Kafka, the store and ingest may be unavailable at the start and at any time."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self.http:
            tasks = [
                asyncio.create_task(self.follower.run(), name="follower"),
                asyncio.create_task(self.backlog.reap_idle(), name="backlog"),
                asyncio.create_task(self.hub.run_heartbeats(), name="heartbeats"),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                # Kafka may not answer; that must not delay the end.
                await asyncio.wait(tasks, timeout=_STOP_SECONDS)
                await self.store.close()
