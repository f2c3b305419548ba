"""The measurement of trends: the modelled counts equal those of the store, and flat days are flat."""

import random
from datetime import UTC, datetime, timedelta

import numpy as np

from enrich.trends.detector import LENGTHS, Rules, TrendDetector, TrendKey
from evaluation import trends as measured
from evaluation.store_model import Mentions, StoreModel
from ingest.generator import START, Burst
from services.events import Article, Entity, Topic, Trend, TrendKind
from services.store import Batch, Store
from services.store.snapshot import Snapshot

MINUTES = 100
RATE = 20
STORIES = 40
# The minutes of stories are gone after two hours.
BEGIN = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=MINUTES)
TOPIC = "medtop:04000000"


def articles() -> list[Article]:
    """More than an hour of articles; for ten minutes half of them name one entity."""
    rng = random.Random(5)
    made = []
    for number in range(MINUTES * RATE):
        second = number * 60 // RATE
        names = {f"e{int(30 * rng.random() ** 2)}" for _ in range(2)}
        if 80 * 60 <= second < 90 * 60 and rng.random() < 0.5:
            names.add("sudden")
        made.append(
            Article(
                id=f"a{number}",
                revision=1,
                source="one.example",
                url=None,
                title=None,
                text="نص",
                published_at=None,
                received_at=BEGIN + timedelta(seconds=second),
                language="ar",
                language_score=1,
                entities=[Entity(id=name, name=name, type="PER") for name in sorted(names)],
                topics=[Topic(id=TOPIC, label=TOPIC, score=1)] if rng.random() < 0.3 else [],
                duplicate_of=None,
                similarity=None,
                story=f"s{number % STORIES if number < STORIES else rng.randrange(STORIES)}",
            )
        )
    return made


def mentions(published: list[Article]) -> Mentions:
    """The same articles as the evaluation's mentions."""
    named: list[tuple[int, tuple[TrendKind, str]]] = []
    for article in published:
        second = int(article.received_at.timestamp())
        named += [(second, ("entity", entity.id)) for entity in article.entities]
        named += [(second, ("topic", topic.id)) for topic in article.topics]
        named.append((second, ("story", article.story)))
    names = sorted({name for _, name in named})
    return Mentions(
        np.array([int(article.received_at.timestamp()) for article in published]),
        np.array([second for second, _ in named]),
        np.array([names.index(name) for _, name in named]),
        names,
    )


def compared(snapshot: Snapshot) -> list[object]:
    """The counts that must be equal. The day of a story is counted in whole hours, so it is left out."""
    return [
        snapshot.volume,
        *(
            (one.kind, one.id, *((c.recent, c.quarter, c.hour) if one.kind == "story" else (c,)))
            for one in sorted(snapshot.observations, key=lambda one: (one.kind, one.id))
            for c in [one.counts]
        ),
    ]


async def test_the_model_has_the_counts_of_the_store(store: Store) -> None:
    """At each tick the snapshots are equal, and so are the trends."""
    rules = Rules()
    published = articles()
    counts = StoreModel(mentions(published), rules.floors)
    trends = TrendDetector(rules)
    events: list[Trend] = []
    at = 0
    # All stories are requested: whether a story passes the prefilter would depend on its count of the day.
    stories: list[TrendKey] = [("story", f"s{number}", "1h") for number in range(STORIES)]
    for tick in range(1, MINUTES * 4, 3):
        now = BEGIN + timedelta(seconds=15 * tick)
        batch = Batch()
        while at < len(published) and published[at].received_at < now:
            batch.add_article(at, published[at])
            at += 1
        await store.apply("updates-0", batch, now=now)
        await store.roll(now)
        stored = await store.trend_candidates(
            now, floors=rules.floors, active=[key[:2] for key in {*trends.active(), *stories}]
        )
        counted = counts.snapshot(int(now.timestamp()), [*trends.active(), *stories])
        assert compared(stored) == compared(counted)
        answer = trends.evaluate(now, stored)
        assert [event.id for event in answer] == [event.id for event in trends.evaluate(now, counted)]
        for trend in answer:
            trends.apply(trend)
        events += answer
    assert events[0].phase == "start"
    assert {event.id for event in events} == {"sudden"}


def test_a_flat_day_has_the_articles_and_no_stories() -> None:
    """A flat day has the same number of articles and mentions, at other times that follow the daily curve."""
    day = measured.Day(
        np.arange(1000) * 60,
        np.arange(0, 2001, 2),
        np.array([thing for number in range(1000) for thing in (int(number >= 900), 2)]),
        [("entity", "early"), ("entity", "late"), ("story", "s")],
    )
    made = measured.flat(day, START, 1)
    assert len(made.times) == 1000
    assert (np.diff(made.times) >= 0).all()
    assert np.bincount(made.subjects, minlength=3).tolist() == [900, 100, 0]
    late = [at for at in range(1000) if 1 in made.subjects[made.begins[at] : made.begins[at + 1]]]
    assert min(late) < 100
    assert max(late) > 900
    hours = np.bincount((made.times - int(START.timestamp())) // 3600, minlength=24)
    assert hours[10] > 3 * hours[1]


def test_detection_of_a_burst() -> None:
    """The delay counts from its start; a trend after it, or of another entity, does not belong to it."""
    burst = Burst("a", "a", "PER", START, START + timedelta(minutes=20), 90, 10.0)

    def started(name: str, minute: float) -> Trend:
        at = START + timedelta(minutes=minute)
        return Trend(
            kind="entity",
            id=name,
            name=name,
            window="15m",
            phase="start",
            count=9,
            expected=1,
            score=8,
            started=at,
            at=at,
        )

    early, late, other = started("a", 1.5), started("a", 23), started("b", 2)
    end = early.model_copy(update={"phase": "end", "at": START + timedelta(minutes=30)})
    assert measured.found([other, early, end], [burst]) == [measured.Found(5.0, 1.5, 10.0)]
    assert measured.found([other, late], [burst]) == [measured.Found(5.0, None, None)]
    assert [measured.belongs(one, [burst]) for one in (early, late, other)] == [True, True, False]
    assert not measured.belongs(started("a", 21 + LENGTHS["15m"].seconds / 60), [burst])
