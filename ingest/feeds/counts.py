"""The number of feeds by status, for the metrics."""

import asyncio
import contextlib
from typing import Final

from prometheus_client import Gauge
from redis import RedisError

from services.store.feeds import Feeds

FEEDS = Gauge("khabar_ingest_feeds", "Feeds by their status; each ingest process reports all of them", ["status"])

_SECONDS: Final = 15.0


async def keep(feeds: Feeds) -> None:
    """Keep the metric current until cancelled."""
    while True:
        with contextlib.suppress(RedisError):
            for status, number in (await feeds.summary(most=0)).counts.items():
                FEEDS.labels(status).set(number)
        await asyncio.sleep(_SECONDS)
