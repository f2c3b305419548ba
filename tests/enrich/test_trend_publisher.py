"""The trend publisher: each trend event is published on the log once, whichever worker publishes."""

from datetime import UTC, datetime, timedelta

import pytest

from enrich.aggregate.counter import Aggregate
from enrich.trends.detector import Rules
from enrich.trends.publisher import TrendPublisher
from services.events import Article
from services.fencing import Fenced
from services.store import Store
from tests.api.conftest import an_article, an_entity
from tests.enrich.logs import Log

# Half a minute after a full one.
NOW = datetime.now(UTC).replace(second=30, microsecond=0)
RULES = Rules(min_past=50)


def usual() -> list[Article]:
    """Ten articles an hour for two days, all of them about Rabat."""
    return [
        an_article(entities=[an_entity("Q3551", "الرباط")], received_at=NOW - timedelta(minutes=60 + 6 * number))
        for number in range(480)
    ]


def burst(articles: int, now: datetime = NOW) -> list[Article]:
    """Articles of the last two minutes about Gaza."""
    return [
        an_article(
            entities=[an_entity("Q39760", "غزة")], received_at=now - timedelta(seconds=2 * number), story=f"b{number}"
        )
        for number in range(articles)
    ]


class System:
    """A log, the store that follows it, and trend publishers."""

    def __init__(self, store: Store, log: Log) -> None:
        self.store = store
        self.log = log
        self.aggregate = Aggregate(store, log.bootstrap, topic=log.topic, clock=lambda: NOW)

    async def follow(self) -> int:
        """Let the store reflect the whole log; return the offset reached."""
        await self.aggregate.apply(await self.log.read())
        return self.aggregate.reached

    def publisher(self) -> TrendPublisher:
        """A publisher that takes over."""
        return TrendPublisher(self.store, self.log.bootstrap, topic=self.log.topic, rules=RULES)

    async def published(self) -> list[tuple[str, str, str]]:
        """Id, phase and name of the trends on the log in the window of 15 minutes."""
        return [(one.id, one.phase, one.name) for one in await self.log.trends() if one.window == "15m"]


@pytest.fixture
def system(store: Store, log: Log) -> System:
    """A system of one test."""
    return System(store, log)


async def test_a_trend_is_published_once(system: System) -> None:
    """It is on the log with its name, and listed by the store once the log is applied; usual counts are no trend."""
    await system.log.write(*usual(), *burst(15))
    publisher = system.publisher()
    assert await publisher.publish(NOW, await system.follow()) == [], "its fence is not in the store yet"
    events = await publisher.publish(NOW, await system.follow())
    assert {one.id for one in events} == {"Q39760"}
    assert await system.published() == [("Q39760", "start", "غزة")]
    assert await publisher.publish(NOW + timedelta(seconds=5), system.aggregate.reached) == []
    await system.follow()
    assert {(one.id, one.phase) for one in await system.store.trends()} == {("Q39760", "start")}


async def test_a_trend_grows_and_ends(system: System) -> None:
    """A rise that doubles is published again; it ends when the articles stop."""
    await system.log.write(*usual(), *burst(15))
    publisher = system.publisher()
    await publisher.publish(NOW, await system.follow())
    await publisher.publish(NOW, await system.follow())
    await system.log.write(*burst(25))
    await publisher.publish(NOW, await system.follow())
    later = NOW + timedelta(minutes=20)
    await system.store.roll(later)
    await publisher.publish(later, await system.follow())
    assert [phase for _, phase, _ in await system.published()] == ["start", "grow", "end"]


@pytest.mark.parametrize("applied", [True, False], ids=["after they were applied", "before they were applied"])
async def test_a_successor_publishes_nothing_again(system: System, applied: bool) -> None:
    """Whether its predecessor's events were already applied to the store when it took over, or not."""
    await system.log.write(*usual(), *burst(15))
    first = system.publisher()
    await first.publish(NOW, await system.follow())
    await first.publish(NOW, await system.follow())
    if applied:
        await system.follow()
    second = system.publisher()
    assert await second.publish(NOW, system.aggregate.reached) == []
    assert await second.publish(NOW, await system.follow()) == []
    assert await system.published() == [("Q39760", "start", "غزة")]


async def test_a_replaced_publisher_is_fenced(system: System) -> None:
    """A worker that resumes late cannot publish what its successor publishes."""
    await system.log.write(*usual())
    late = system.publisher()
    await late.publish(NOW, await system.follow())
    await late.publish(NOW, await system.follow())
    successor = system.publisher()
    await successor.publish(NOW, await system.follow())
    await system.log.write(*burst(15))
    reached = await system.follow()
    with pytest.raises(Fenced):
        await late.publish(NOW, reached)
    assert await system.published() == []
    await successor.publish(NOW, reached)
    assert await system.published() == [("Q39760", "start", "غزة")]


async def test_a_new_instance_publishes_no_trend(system: System) -> None:
    """Without a past to compare with, a flood of articles is no trend."""
    await system.log.write(*burst(40))
    publisher = system.publisher()
    await publisher.publish(NOW, await system.follow())
    assert await publisher.publish(NOW, await system.follow()) == []
