"""The herald: what rises is told on the log, once, whoever tells it."""

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
RULES = Rules(least_past=50)


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


class Place:
    """A log, the store that follows it, and heralds."""

    def __init__(self, store: Store, log: Log) -> None:
        self.store = store
        self.log = log
        self.numbers = Aggregate(store, log.bootstrap, topic=log.topic, clock=lambda: NOW)

    async def follow(self) -> int:
        """Let the store reflect the whole log; the offset it has then reached."""
        await self.numbers.apply(await self.log.read())
        return self.numbers.reached

    def herald(self) -> TrendPublisher:
        """One that takes up the work."""
        return TrendPublisher(self.store, self.log.bootstrap, topic=self.log.topic, rules=RULES)

    async def told(self) -> list[tuple[str, str, str]]:
        """What lies on the log of trends in 15 minutes."""
        return [(one.id, one.phase, one.name) for one in await self.log.trends() if one.window == "15m"]


@pytest.fixture
def place(store: Store, written: Log) -> Place:
    """A place of one's own."""
    return Place(store, written)


async def test_what_rises_is_told_once(place: Place) -> None:
    """On the log, with its name; and is what the store lists once it has read that; what is usual is not told."""
    await place.log.write(*usual(), *burst(15))
    herald = place.herald()
    assert await herald.tell(NOW, await place.follow()) == [], "its fence is not in the store yet"
    told = await herald.tell(NOW, await place.follow())
    assert {one.id for one in told} == {"Q39760"}
    assert await place.told() == [("Q39760", "start", "غزة")]
    assert await herald.tell(NOW + timedelta(seconds=5), place.numbers.reached) == []
    await place.follow()
    assert {(one.id, one.phase) for one in await place.store.trends()} == {("Q39760", "start")}


async def test_it_grows_and_ends(place: Place) -> None:
    """A rise that doubles is told again; when the articles stop it ends, and the list is empty."""
    await place.log.write(*usual(), *burst(15))
    herald = place.herald()
    await herald.tell(NOW, await place.follow())
    await herald.tell(NOW, await place.follow())
    await place.log.write(*burst(25))
    await herald.tell(NOW, await place.follow())
    later = NOW + timedelta(minutes=20)
    await place.store.roll(later)
    await herald.tell(later, await place.follow())
    assert [phase for _, phase, _ in await place.told()] == ["start", "grow", "end"]


@pytest.mark.parametrize("reads", [True, False], ids=["after it was read", "before it was read"])
async def test_a_successor_tells_nothing_again(place: Place, reads: bool) -> None:
    """Whether the last one's events were in the store when it took over, or still on their way."""
    await place.log.write(*usual(), *burst(15))
    first = place.herald()
    await first.tell(NOW, await place.follow())
    await first.tell(NOW, await place.follow())
    if reads:
        await place.follow()
    second = place.herald()
    assert await second.tell(NOW, place.numbers.reached) == []
    assert await second.tell(NOW, await place.follow()) == []
    assert await place.told() == [("Q39760", "start", "غزة")]


async def test_one_that_was_replaced_is_refused(place: Place) -> None:
    """A worker that woke up late cannot tell what its successor told; then it begins anew, as any other."""
    await place.log.write(*usual())
    late = place.herald()
    await late.tell(NOW, await place.follow())
    await late.tell(NOW, await place.follow())
    successor = place.herald()
    await successor.tell(NOW, await place.follow())
    await place.log.write(*burst(15))
    reached = await place.follow()
    with pytest.raises(Fenced):
        await late.tell(NOW, reached)
    assert await place.told() == []
    await successor.tell(NOW, reached)
    assert await place.told() == [("Q39760", "start", "غزة")]


async def test_an_instance_that_has_just_begun_tells_nothing(place: Place) -> None:
    """With no past to compare with, a flood is no trend."""
    await place.log.write(*burst(40))
    herald = place.herald()
    await herald.tell(NOW, await place.follow())
    assert await herald.tell(NOW, await place.follow()) == []
