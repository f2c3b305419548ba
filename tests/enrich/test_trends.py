"""The trend detector: the events that a user sees, minute by minute."""

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from enrich.trends.detector import Rules, TrendDetector, surprise
from services.events import Trend, TrendKind
from services.store.snapshot import RECENT, SEASONS, Counts, Observation, Snapshot

START = datetime(2026, 11, 2, tzinfo=UTC)
DAY = 1440
HOUR = 60
VOLUME = 70
Rate = Callable[[int], int]


class World:
    """Counts by the minute from given rates: of all articles, and of things that they name.

    Of earlier days it has the current hour and the one before.
    """

    def __init__(self, things: dict[str, Rate], volume: Rate = lambda _: VOLUME, kind: TrendKind = "entity") -> None:
        self._kind: TrendKind = kind
        self._rates = {"": volume, **things}
        self._sums: dict[str, list[int]] = {name: [0] for name in self._rates}

    def snapshot(self, minute: int) -> Snapshot:
        """The counts at the end of a minute since the beginning."""
        for name, rate in self._rates.items():
            sums = self._sums[name]
            while len(sums) <= minute + 1:
                sums.append(sums[-1] + rate(len(sums) - 1))
        volume, *others = (self._counts(sums, minute) for sums in self._sums.values())
        names = [name for name in self._rates if name]
        return Snapshot(volume, [Observation(self._kind, n, c) for n, c in zip(names, others, strict=True)])

    @staticmethod
    def _counts(sums: Sequence[int], minute: int) -> Counts:
        def since(begin: int, end: int = minute + 1) -> int:
            return sums[max(0, end)] - sums[max(0, begin)]

        hour = minute // HOUR * HOUR
        return Counts(
            recent=tuple(since(minute - back, minute - back + 1) for back in range(RECENT)),
            quarter=since(minute - 14),
            hour=since(minute - HOUR + 1),
            day=since(minute - DAY + 1),
            all=since(0),
            seasonal=tuple(
                since(hour - before - back * DAY, hour - before - back * DAY + HOUR)
                for before in (0, HOUR)
                for back in range(1, SEASONS + 1)
            ),
        )


def at(minute: int) -> datetime:
    """The time at the end of a minute."""
    return START + timedelta(minutes=minute + 1)


def run(world: World, minutes: Iterable[int], detector: TrendDetector | None = None) -> list[Trend]:
    """The events of these minutes, each applied at once."""
    detector = detector or TrendDetector()
    events = []
    for minute in minutes:
        for trend in detector.evaluate(at(minute), world.snapshot(minute)):
            detector.apply(trend)
            events.append(trend)
    return events


def phases(events: Iterable[Trend], window: str = "15m") -> list[str]:
    """The phases of the events of one window."""
    return [event.phase for event in events if event.window == window]


def every(period: int) -> Rate:
    """One article in each ``period`` minutes."""
    return lambda minute: int(minute % period == 0)


EVERY_OTHER = every(2)


def burst(begin: int, end: int, rate: int = 5, usual: Rate = EVERY_OTHER) -> Rate:
    """A usual rate with some minutes of a higher one."""
    return lambda minute: rate if begin <= minute < end else usual(minute)


def test_a_burst_starts_once_grows_and_ends_once() -> None:
    """Ten times the usual rate for twenty minutes: a start within two minutes, growth as it doubles, an end in time."""
    begin = 2 * DAY + 100
    events = run(World({"a": burst(begin, begin + 20, 10, every(1)), "b": every(1)}), range(2 * DAY, 2 * DAY + 300))
    own = [event for event in events if event.window == "15m"]
    assert {event.id for event in events} == {"a"}
    assert phases(own) in (["start", "grow", "end"], ["start", "grow", "grow", "end"])
    start, *_, end = own
    assert start.at <= at(begin + 1)
    assert at(begin + 20) <= end.at <= at(begin + 40)
    assert {event.started for event in own} == {start.at}
    assert (start.kind, start.id, start.name) == ("entity", "a", "a")
    assert start.count > start.expected > 5
    counts = [event.count for event in own[:-1]]
    assert all(later >= 2 * earlier for earlier, later in pairwise(counts))
    assert start.score >= Rules().start_score


def test_a_rise_within_an_hour_is_a_trend_of_the_hour() -> None:
    """A rise too slow for the window of 15 minutes starts a trend in that of an hour."""
    begin = 2 * DAY + 100

    def slow(minute: int) -> int:
        return every(2 if begin <= minute < begin + 120 else 10)(minute)

    events = run(World({"a": slow}), range(2 * DAY, 2 * DAY + 400))
    assert phases(events, "15m") == []
    assert phases(events, "1h")[0] == "start"
    assert phases(events, "1h")[-1] == "end"


def test_a_rise_within_a_day_is_a_trend_of_the_day() -> None:
    """A rise too slow for an hour starts a trend in 24 hours, if there are enough days to compare with."""
    events = run(World({"a": burst(6 * DAY, 8 * DAY, 1, every(60)), "b": every(60)}), range(5 * DAY, 7 * DAY, 5))
    slow = World({"a": lambda minute: int(minute % (60 if minute < 6 * DAY else 15) == 0)})
    assert phases(events, "24h")[0] == "start"
    slow_events = run(slow, range(5 * DAY, 7 * DAY, 5))
    assert phases(slow_events, "15m") == []
    assert phases(slow_events, "24h") == ["start"]


def test_a_trend_that_ended_cools_down() -> None:
    """A second burst right after the first starts no trend; one after the cool-down does."""
    begin = 2 * DAY + 100
    first = burst(begin, begin + 10)
    detector = TrendDetector()
    world = World({"a": first})
    (end,) = [event for event in run(world, range(2 * DAY, begin + 60), detector) if event.phase == "end"][:1]
    ended = int((end.at - START) / timedelta(minutes=1)) - 1
    for pause, starts in ((1, False), (16, True)):
        again = World({"a": burst(ended + pause, ended + pause + 10, 5, first)})
        replayed = TrendDetector()
        events = run(again, range(2 * DAY, ended + pause + 8), replayed)
        assert (phases(events).count("start") == 2) == starts


def test_nothing_rises_in_flat_counts() -> None:
    """Thirty things at steady rates with random variation: no trend in a day."""
    rng = random.Random(7)
    days = 2

    def steady(share: float) -> Rate:
        counts = [sum(rng.random() < share for _ in range(VOLUME)) for _ in range(days * DAY)]
        return counts.__getitem__

    world = World({f"{number}": steady(0.02 / (number + 1)) for number in range(30)})
    assert run(world, range(DAY, days * DAY)) == []


def test_the_rhythm_of_the_day_is_not_a_trend() -> None:
    """When all articles treble at seven o'clock, and with them everything they name, nothing rises."""

    def day(rate: int) -> Rate:
        return lambda minute: rate * (3 if minute % DAY >= 7 * HOUR else 1)

    events = run(World({"a": day(2), "b": day(5)}, day(40)), range(2 * DAY, 3 * DAY))
    assert events == []


@pytest.mark.parametrize("period", [1, 7])
def test_what_recurs_at_the_same_hour_is_not_a_trend(period: int) -> None:
    """A report at seven every day or week is no trend, but at another hour it is; except in the 24 hours window."""
    last = 14

    def seven(minute: int) -> int:
        return 3 if minute % (period * DAY) // HOUR == 7 else every(30)(minute)

    def moved(minute: int) -> int:
        return 3 if minute // DAY == last and minute % DAY // HOUR == 12 else seven(minute)

    events = run(World({"a": seven, "b": moved}), range(last * DAY + 6 * HOUR, last * DAY + 15 * HOUR))
    trends = {(event.id, event.window) for event in events if event.window != "24h"}
    assert trends == {("b", "15m"), ("b", "1h")}


def test_few_articles_are_not_a_trend() -> None:
    """Something never named before is no trend below the floor, however surprising; from the floor on it is one."""
    begin = 2 * DAY
    floor = Rules().floors["15m"]
    for articles, rises in ((floor - 1, False), (floor, True)):
        world = World({"a": lambda minute, articles=articles: articles if minute == begin else 0})  # type: ignore[misc]
        assert bool(run(world, range(begin - 5, begin + 20))) == rises


def test_a_small_rise_of_something_frequent_is_not_a_trend() -> None:
    """Half as many again of what is in every third article is statistically certain, but below the ratio."""
    begin = 2 * DAY
    assert run(World({"a": burst(begin, begin + 60, 36, lambda _: 24)}), range(begin - 5, begin + 120)) == []


def test_nothing_rises_at_a_cold_start() -> None:
    """In the first minutes everything is new: there are no trends until the past is three times the window."""
    things: dict[str, Rate] = {f"{number}": burst(5, 12, 4, lambda _: 1) for number in range(10)}
    assert run(World(things), range(59)) == []
    late = run(World({"a": burst(90, 110, 10, lambda _: 1)}), range(120))
    assert phases(late, "15m")[:1] == ["start"]
    assert phases(late, "1h") == []


def test_a_past_of_few_articles_is_not_enough() -> None:
    """With few articles a minute it takes longer until there are trends."""
    world = World({"a": burst(300, 320, 2, lambda _: 0)}, lambda _: 2)
    assert run(world, range(400)) == []


def test_events_applied_again_give_the_same_state() -> None:
    """After a restart at any moment, a detector with the events of the log continues as the first would have."""
    begin = 2 * DAY + 30
    world = World({"a": burst(begin, begin + 20), "b": burst(begin + 25, begin + 40), "c": every(2)})
    minutes = range(2 * DAY, begin + 90)
    events = run(world, minutes)
    assert {event.id for event in events} == {"a", "b"}
    for stop in range(minutes.start + 20, minutes.stop, 7):
        applied = [event for event in events if event.at <= at(stop)]
        detector = TrendDetector()
        for event in applied:
            detector.apply(event)
        assert applied + run(world, range(stop + 1, minutes.stop), detector) == events


def test_growth_or_end_without_a_start_can_be_applied() -> None:
    """Where the log begins after the start of a trend, its remaining events still set the state."""
    begin = 2 * DAY + 30
    world = World({"a": burst(begin, begin + 20)})
    events = [event for event in run(world, range(2 * DAY, begin + 60)) if event.window == "15m"]
    grown, ended = TrendDetector(), TrendDetector()
    for event in events[1:2]:
        grown.apply(event)
    assert grown.active() == [("entity", "a", "15m")]
    ended.apply(events[-1])
    assert ended.active() == []


def test_evaluation_changes_nothing() -> None:
    """Evaluated twice, or with the observations in another order, the events are the same."""
    begin = 2 * DAY + 30
    world = World({name: burst(begin, begin + 20) for name in "abc"})
    detector = TrendDetector()
    count = 0
    for minute in range(2 * DAY, begin + 50):
        snapshot = world.snapshot(minute)
        events = detector.evaluate(at(minute), snapshot)
        assert detector.evaluate(at(minute), snapshot) == events
        assert detector.evaluate(at(minute), Snapshot(snapshot.volume, snapshot.observations[::-1])) == events
        count += len(events)
        for trend in events:
            detector.apply(trend)
    assert count >= 9


def test_a_trend_that_is_no_longer_observed_ends() -> None:
    """A story that was merged into another is in no snapshot: its trend ends."""
    begin = 2 * DAY + 30
    world = World({"a": burst(begin, begin + 20, 10, lambda _: 0)}, kind="story")
    detector = TrendDetector()
    events = run(world, range(2 * DAY, begin + 10), detector)
    assert phases(events)[0] == "start"
    (_, name, _), *_ = detector.active()
    last = detector.evaluate(at(begin + 10), Snapshot(world.snapshot(begin + 10).volume, []))
    assert {(event.id, event.phase, event.count) for event in last} == {(name, "end", 0)}
    assert len(last) == len(detector.active())


def test_active_trends_are_limited() -> None:
    """When everything rises at once only the most surprising start; trends that ended make room for others."""
    begin = 2 * DAY + 30
    things: dict[str, Rate] = {f"{n:02}": burst(begin, begin + 10, 3 + n, every(5)) for n in range(20)}
    detector = TrendDetector(Rules(max_active=5))
    world = World(things, lambda minute: 700)
    assert {e.id for e in detector.evaluate(at(begin), world.snapshot(begin))} == {"15", "16", "17", "18", "19"}
    for minute in range(2 * DAY, begin + 60):
        for trend in detector.evaluate(at(minute), world.snapshot(minute)):
            detector.apply(trend)
        assert len(detector.active()) <= 5


def test_surprise_is_the_tail_of_the_negative_binomial() -> None:
    """It equals the sum of the probabilities where that can be computed, and Poisson without dispersion."""
    for mean, dispersion, count in ((2.0, 1.5, 9), (0.3, 1.2, 4), (40.0, 3.0, 90)):
        size, fail = mean / (dispersion - 1), 1 - 1 / dispersion
        probability, below = (1 - fail) ** size, 0.0
        for number in range(count):
            below += probability
            probability *= (number + size) / (number + 1) * fail
        assert 10 ** -surprise(count, mean, dispersion) == pytest.approx(1 - below, rel=1e-4)
    # P(X >= 5) of a Poisson count with mean 1 is 0.00366.
    assert 10 ** -surprise(5, 1.0, 1 + 1e-9) == pytest.approx(0.0036598, rel=1e-3)
