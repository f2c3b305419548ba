"""Publishes trends on ``updates``: the store's counts → trend events.

Published trends are on the log, and the store's list of trends is made from the log. So a publisher that takes over
first acquires the write fence of trends, waits until the store reflects the log up to there, and starts from the
store's list: it holds all that its predecessor published, and the predecessor can publish nothing more. No trend is
published twice, and none is lost.
"""

from datetime import datetime

from aiokafka.errors import KafkaError

from enrich.trends.detector import Rules, TrendDetector
from services import fencing, kafka_topics
from services.connections import Bootstrap
from services.events import Trend
from services.store import Store

# The write fence of trends, separate from that of group.
_FENCE_NAME = "trends"


class TrendPublisher:
    """The one publisher of trends on ``topic``."""

    def __init__(
        self, store: Store, bootstrap: Bootstrap, *, topic: str = kafka_topics.UPDATES.name, rules: Rules | None = None
    ) -> None:
        self._store = store
        self._bootstrap = bootstrap
        self._topic = topic
        self._rules = rules or Rules()
        self._writer: fencing.FencedProducer | None = None
        self._detector: TrendDetector | None = None

    def reset(self) -> None:
        """Drop the state: another worker may publish from now on, or it is unknown what was written."""
        if self._writer is not None:
            self._writer.close()
        self._writer = self._detector = None

    async def publish(self, now: datetime, reached: int) -> list[Trend]:
        """Publish what has changed at ``now``, when the store reflects the log up to offset ``reached``.

        Returns the events published. Raises ``KafkaError``, ``redis.RedisError``, or ``fencing.Fenced`` when another
        worker publishes; each call may be repeated later.
        """
        try:
            return await self._publish(now, reached)
        except (KafkaError, OSError, fencing.Fenced):
            # Some of the events may be on the log.
            self.reset()
            raise

    async def _publish(self, now: datetime, reached: int) -> list[Trend]:
        if self._writer is not None and self._writer.needs_renewal:
            self.reset()
        if self._writer is None:
            self._writer = await fencing.FencedProducer.acquire(self._bootstrap, self._topic, _FENCE_NAME)
        if reached < self._writer.fence:
            return []
        if self._detector is None:
            detector = TrendDetector(self._rules)
            for trend in await self._store.trends():
                detector.apply(trend)
            self._detector = detector
        active = [(kind, name) for kind, name, _ in self._detector.active()]
        snapshot = await self._store.trend_candidates(now, floors=self._rules.floors, active=active)
        events = self._detector.evaluate(now, snapshot)
        if events:
            names = await self._store.names([(trend.kind, trend.id) for trend in events])
            events = [_named(trend, name) for trend, name in zip(events, names, strict=True)]
            await self._writer.append([_record(trend) for trend in events])
            for trend in events:
                self._detector.apply(trend)
        return events


def _named(trend: Trend, name: str) -> Trend:
    # The store returns the id for a story that it no longer lists; the trend keeps the name it was published with.
    return trend if name == trend.id else trend.model_copy(update={"name": name})


def _record(trend: Trend) -> fencing.Record:
    return f"{trend.kind}:{trend.window}:{trend.id}".encode(), trend.encode(), [("type", b"trend")]
