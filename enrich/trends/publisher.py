"""The herald tells on ``updates`` what rises: the store's counts → trend events.

What was told is on the log, and the store's list of trends is made from the log. So a herald that takes over takes the
pen of trends first, waits until the store reflects everything up to there, and begins with that list: what its
predecessor told is in it, and nothing of it will come behind. Nothing is told twice, and nothing is forgotten.
"""

from datetime import datetime

from aiokafka.errors import KafkaError

from enrich.trends.detector import Rules, Trends
from services import fencing, kafka_topics
from services.events import Trend
from services.store import Store

_PEN = "trends"


class TrendPublisher:
    """The one who tells of trends. ``topic`` is where."""

    def __init__(
        self, store: Store, bootstrap: str, *, topic: str = kafka_topics.UPDATES.name, rules: Rules | None = None
    ) -> None:
        self._store = store
        self._bootstrap = bootstrap
        self._topic = topic
        self._rules = rules or Rules()
        self._pen: fencing.FencedProducer | None = None
        self._trends: Trends | None = None

    def forget(self) -> None:
        """Another worker may tell from here on, or what was told is not known."""
        if self._pen is not None:
            self._pen.close()
        self._pen = self._trends = None

    async def tell(self, now: datetime, reached: int) -> list[Trend]:
        """Tell what rises now, when the store reflects the log up to offset ``reached``; what was told.

        Raises ``KafkaError``, ``redis.RedisError``, or ``fencing.Fenced`` when another one tells; each may be tried
        again at the next occasion.
        """
        try:
            return await self._tell(now, reached)
        except (KafkaError, OSError, fencing.Fenced):
            # Some of it may be on the log.
            self.forget()
            raise

    async def _tell(self, now: datetime, reached: int) -> list[Trend]:
        if self._pen is not None and self._pen.needs_renewal:
            self.forget()
        if self._pen is None:
            self._pen = await fencing.FencedProducer.acquire(self._bootstrap, self._topic, _PEN)
        if reached < self._pen.fence:
            return []
        if self._trends is None:
            trends = Trends(self._rules)
            for trend in await self._store.trends():
                trends.hear(trend)
            self._trends = trends
        told = [(kind, name) for kind, name, _ in self._trends.active()]
        snapshot = await self._store.trend_candidates(now, floors=self._rules.floors, active=told)
        news = self._trends.judge(now, snapshot)
        if news:
            names = await self._store.names([(trend.kind, trend.id) for trend in news])
            news = [_called(trend, name) for trend, name in zip(news, names, strict=True)]
            await self._pen.append([_record(trend) for trend in news])
            for trend in news:
                self._trends.hear(trend)
        return news


def _called(trend: Trend, name: str) -> Trend:
    # The name of a story that is no longer listed is the one it was told by.
    return trend if name == trend.id else trend.model_copy(update={"name": name})


def _record(trend: Trend) -> fencing.Record:
    return f"{trend.kind}:{trend.window}:{trend.id}".encode(), trend.encode(), [("type", b"trend")]
