"""What is rising: what is counted more often than its own past and the volume of the day predict.

The number of articles of a window that name a thing is taken to be Poisson with the rate ``volume x share``. The share
is not known but learnt from the past: with ``n`` of ``V`` earlier articles it has the Gamma distribution of shape
``n + 1/2`` and rate ``V`` (Jeffreys' prior), and the count that is to be expected is negative binomial (Gelman and
others, Bayesian Data Analysis, 3rd edition, section 2.6). The rest, and why: docs/explanation/trends.md.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal

from services.events import Trend, TrendKind, TrendWindow
from services.store.snapshot import SEASONS, Counts, Observation, Snapshot

# What is judged, and what becomes a trend: one thing in one window.
Key = tuple[TrendKind, str, TrendWindow]

LENGTHS: Mapping[TrendWindow, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
}
# Of a story no more than a day is kept: there is nothing to compare its day with.
_WINDOWS: Mapping[TrendKind, tuple[TrendWindow, ...]] = {
    "entity": ("15m", "1h", "24h"),
    "topic": ("15m", "1h", "24h"),
    "story": ("15m", "1h"),
}
_FIELDS: Mapping[TrendWindow, str] = {"15m": "quarter", "1h": "hour", "24h": "day"}
_NOTHING = Counts(recent=(), quarter=0, hour=0, day=0, all=0, seasonal=())


def _floors() -> dict[TrendWindow, int]:
    return {"15m": 8, "1h": 20, "24h": 40}


@dataclass(frozen=True)
class Rules:
    """When something rises; what each number does is in docs/explanation/trends.md.

    ``floors``: articles in the window below which nothing is a trend. ``score``: least surprise of a start, -log10 of
    a probability. ``ratio``: least count of a start, in multiples of what is expected. ``last_score``,
    ``last_ratio``: below either a rise is over. ``growth``: the count, in multiples of the one told last, that is told
    again. ``dispersion``: variance of a count in multiples of its mean, were the share known: articles come in groups.
    ``shrinkage``: articles' worth of trust in the long-term share when a shorter past is judged. ``past``: articles
    before the window, in multiples of those in it, without which nothing is judged, and ``least_past`` in articles.
    ``cool_down``: how long after its end something does not start again, in lengths of the window. ``most``: trends at
    a time.
    """

    floors: Mapping[TrendWindow, int] = field(default_factory=_floors)
    score: float = 7.0
    ratio: float = 3.0
    last_score: float = 2.0
    last_ratio: float = 1.5
    growth: float = 2.0
    dispersion: float = 1.0
    shrinkage: float = 2.0
    past: float = 3.0
    least_past: int = 1_000
    cool_down: float = 1.0
    most: int = 500


@dataclass(frozen=True, slots=True)
class _Past:
    """How often something was counted in an earlier stretch of time, among how many articles."""

    count: float
    volume: float


@dataclass(frozen=True, slots=True)
class _Share:
    """What is known of a share: its mean, and how many counts' worth of it (the shape of a Gamma distribution)."""

    mean: float
    shape: float


@dataclass(frozen=True, slots=True)
class _Rise:
    """How far a count is over what was to be expected; ``ratio`` and ``score`` in the stretch where it is clearest."""

    count: int
    expected: float
    ratio: float
    score: float


_NONE = _Rise(0, 0.0, 0.0, 0.0)


class Trends:
    """Which trends there are, by the events that told of them; what is to be told next.

    Its state follows from the events that it hears alone, so that a worker that reads them back goes on as if it had
    never stopped.
    """

    def __init__(self, rules: Rules = Rules()) -> None:
        self._rules = rules
        self._active: dict[Key, Trend] = {}
        # Until when what has ended stays quiet, in the order in which it ended.
        self._quiet: dict[Key, datetime] = {}

    def hear(self, trend: Trend) -> None:
        """Take note of an event that is on the log, in the order of the log."""
        key = (trend.kind, trend.id, trend.window)
        if trend.phase == "end":
            self._active.pop(key, None)
            self._quiet.pop(key, None)
            self._quiet[key] = trend.at + LENGTHS[trend.window] * self._rules.cool_down
        else:
            self._active[key] = trend
        self._quiet = {key: until for key, until in self._quiet.items() if until > trend.at}

    def active(self) -> list[Key]:
        """What rises at present, sorted."""
        return sorted(self._active)

    def judge(self, at: datetime, snapshot: Snapshot) -> list[Trend]:
        """What is to be told now, sorted: ends, then what has grown, then starts.

        ``snapshot`` holds what may rise and all that is active; what is active and not in it was not counted at all.
        Changes nothing: asked again before its answer is heard it says the same.
        """
        seen = {(one.kind, one.id): one for one in snapshot.observations}
        judged = {kind: self._judged(kind, snapshot.volume) for kind in _WINDOWS}
        ends, grown, starts = [], [], []
        for key, last in sorted(self._active.items()):
            kind, name, window = key
            one = seen.get((kind, name)) or Observation(kind, name, _NOTHING)
            rise = self._rise(one, window, snapshot.volume) if window in judged[kind] else _NONE
            if rise.score < self._rules.last_score or rise.ratio < self._rules.last_ratio:
                ends.append(_told(last, "end", rise, at))
            elif rise.count >= self._rules.growth * last.count:
                grown.append(_told(last, "grow", rise, at))
        for (kind, name), one in sorted(seen.items()):
            for window in judged[kind]:
                if _within(one.counts, window) < self._rules.floors[window]:
                    continue
                key = (kind, name, window)
                if key in self._active or (key in self._quiet and at < self._quiet[key]):
                    continue
                rise = self._rise(one, window, snapshot.volume)
                if rise.score >= self._rules.score and rise.ratio >= self._rules.ratio:
                    starts.append(_started(one, window, rise, at))
        room = max(0, self._rules.most - len(self._active) + len(ends))
        strongest = sorted(starts, key=lambda trend: -trend.score)[:room]
        return [*ends, *grown, *sorted(strongest, key=_key)]

    def _judged(self, kind: TrendKind, volume: Counts) -> list[TrendWindow]:
        """The windows with enough past before them."""
        return [
            window
            for window in _WINDOWS[kind]
            if _before(kind, volume, window) >= max(self._rules.past * _within(volume, window), self._rules.least_past)
        ]

    def _rise(self, one: Observation, window: TrendWindow, volume: Counts) -> _Rise:
        own, total = _within(one.counts, window), _within(volume, window)
        longest = _Past(max(0, one.counts.all - own), _before(one.kind, volume, window))
        share = self._share(longest, _shorter(one.counts, volume, window))
        ratio = score = 0.0
        for count, among, tries in [(own, total, 1.0), *_latest(one.counts, volume, window)]:
            expected = among * share.mean
            if not count or count < self._rules.last_ratio * expected:
                continue
            found = surprise(count, expected, self._rules.dispersion + expected / share.shape)
            found = max(0.0, found - math.log10(tries))
            # It takes both to start: what is most surprising, but of too low a ratio, must not hide what has enough.
            if (count / expected >= self._rules.ratio, found) > (ratio >= self._rules.ratio, score):
                ratio, score = count / expected, found
        return _Rise(own, total * share.mean, ratio, score)

    def _share(self, longest: _Past, shorter: Iterator[_Past]) -> _Share:
        """The largest share that the past suggests, the shorter pasts drawn towards the longest."""
        usual = _Share((longest.count + 0.5) / longest.volume, longest.count + 0.5)
        trust = self._rules.shrinkage
        shares = [
            _Share((past.count + trust) / (past.volume + trust / usual.mean), past.count + trust) for past in shorter
        ]
        return max([usual, *shares], key=lambda share: share.mean)


def surprise(count: int, mean: float, dispersion: float) -> float:
    """-log10 of the probability that a negative binomial count is so high or higher, for a count above the mean.

    ``dispersion`` is its variance in multiples of the mean, more than 1.
    """
    size, fail = mean / (dispersion - 1), 1 - 1 / dispersion
    log = (
        math.lgamma(count + size)
        - math.lgamma(count + 1)
        - math.lgamma(size)
        - size * math.log(dispersion)
        + count * math.log(fail)
    )
    # The probabilities behind the first one, each by its ratio to the one before; they shrink above the mean.
    term = total = 1.0
    while term > 1e-6 * total:
        term *= (count + size) / (count + 1) * fail
        total += term
        count += 1
    return -(log + math.log(total)) / math.log(10)


def _within(counts: Counts, window: TrendWindow) -> int:
    count: int = getattr(counts, _FIELDS[window])
    return count


def _before(kind: TrendKind, volume: Counts, window: TrendWindow) -> int:
    """Articles before a window, as far back as things of that kind are counted."""
    return (volume.day if kind == "story" else volume.all) - _within(volume, window)


def _latest(counts: Counts, volume: Counts, window: TrendWindow) -> Iterator[tuple[int, int, float]]:
    """Counts and volumes of the last minute, of the last two and so on: what has begun just now shows there first.

    And how many such stretches a quarter of an hour has: as often chance had an opportunity (Bonferroni).
    """
    if window == "15m":
        own = counts.recent or (0,) * len(volume.recent)
        pairs = zip(accumulate(own), accumulate(volume.recent), strict=True)
        for minutes, (count, among) in enumerate(pairs, 1):
            yield count, among, 15 / minutes


def _shorter(counts: Counts, volume: Counts, window: TrendWindow) -> Iterator[_Past]:
    """Pasts nearer to now than the longest: the day before the window, the same hour of earlier days, of last week.

    Where ``seasonal`` has as many numbers more, they are of the hour before: a window reaches back into it.
    """
    if window == "24h":
        return
    yield _Past(counts.day - _within(counts, window), volume.day - _within(volume, window))
    for at in range(0, len(counts.seasonal), SEASONS):
        own, total = counts.seasonal[at : at + SEASONS], volume.seasonal[at : at + SEASONS]
        yield _Past(sum(own), sum(total))
        yield _Past(own[-1], total[-1])


def _started(one: Observation, window: TrendWindow, rise: _Rise, at: datetime) -> Trend:
    return Trend(
        kind=one.kind,
        id=one.id,
        name=one.id,
        window=window,
        phase="start",
        count=rise.count,
        expected=round(rise.expected, 3),
        score=round(rise.score, 1),
        started=at,
        at=at,
    )


def _told(last: Trend, phase: Literal["grow", "end"], rise: _Rise, at: datetime) -> Trend:
    figures = {"count": rise.count, "expected": round(rise.expected, 3), "score": round(rise.score, 1)}
    return last.model_copy(update={"phase": phase, "at": at, **figures})


def _key(trend: Trend) -> Key:
    return trend.kind, trend.id, trend.window
