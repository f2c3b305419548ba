"""Detects what is rising: what is counted more often than its own past and the volume of the day predict.

The number of articles in a window that name a thing is modelled as Poisson with the rate ``volume x share``. The share
is estimated from the past: with ``n`` of ``V`` earlier articles it has the Gamma distribution of shape ``n + 1/2`` and
rate ``V`` (Jeffreys' prior), and the expected count is negative binomial (Gelman and others, Bayesian Data Analysis,
3rd edition, section 2.6). docs/explanation/trends.md explains the rest of the method.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal

from services.events import Trend, TrendKind, TrendWindow
from services.store.snapshot import SEASONS, Counts, Observation, Snapshot

# One thing in one window: what is evaluated, and what becomes a trend.
TrendKey = tuple[TrendKind, str, TrendWindow]

LENGTHS: Mapping[TrendWindow, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
}
# Stories are counted for a day only: there is nothing to compare their 24 hours with.
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
    """When a trend starts, grows and ends; docs/explanation/trends.md explains what each number does.

    ``floors``: minimum count in the window. ``start_score``: minimum surprise of a start, -log10 of a probability.
    ``start_ratio``: minimum count of a start, in multiples of the expected one. ``end_score``, ``end_ratio``: a trend
    ends below either. ``growth``: a trend is published again when its count is this multiple of the last one published.
    ``dispersion``: variance of a count in multiples of its mean, if the share were known: articles come in groups.
    ``shrinkage``: articles' worth of trust in the long-term share when a shorter past is evaluated. ``min_past_ratio``:
    articles before the window, in multiples of those in it, below which nothing is evaluated; ``min_past``: the same as
    a number of articles. ``cool_down``: how long after its end a trend cannot start again, in lengths of the window.
    ``max_active``: trends at a time.
    """

    floors: Mapping[TrendWindow, int] = field(default_factory=_floors)
    start_score: float = 7.0
    start_ratio: float = 3.0
    end_score: float = 2.0
    end_ratio: float = 1.5
    growth: float = 2.0
    dispersion: float = 1.0
    shrinkage: float = 2.0
    min_past_ratio: float = 3.0
    min_past: int = 1_000
    cool_down: float = 1.0
    max_active: int = 500


@dataclass(frozen=True, slots=True)
class _Past:
    """How often something was counted in an earlier period, among how many articles."""

    count: float
    volume: float


@dataclass(frozen=True, slots=True)
class _Share:
    """An estimated share: its mean, and the number of counts it is based on (the shape of a Gamma distribution)."""

    mean: float
    shape: float


@dataclass(frozen=True, slots=True)
class _Rise:
    """How far a count exceeds the expected one; ``ratio`` and ``score`` of the period where it does most clearly."""

    count: int
    expected: float
    ratio: float
    score: float


_NO_RISE = _Rise(0, 0.0, 0.0, 0.0)


class TrendDetector:
    """The active trends, and which events follow from new counts.

    The state depends only on the events applied, so a worker that applies the events of the log continues as if it had
    never stopped.
    """

    def __init__(self, rules: Rules = Rules()) -> None:
        self._rules = rules
        self._active: dict[TrendKey, Trend] = {}
        # When the cool-down of each ended trend is over, in the order in which they ended.
        self._cooling: dict[TrendKey, datetime] = {}

    def apply(self, trend: Trend) -> None:
        """Update the state by an event that is on the log. Events must be applied in the order of the log."""
        key = (trend.kind, trend.id, trend.window)
        if trend.phase == "end":
            self._active.pop(key, None)
            self._cooling.pop(key, None)
            self._cooling[key] = trend.at + LENGTHS[trend.window] * self._rules.cool_down
        else:
            self._active[key] = trend
        self._cooling = {key: until for key, until in self._cooling.items() if until > trend.at}

    def active(self) -> list[TrendKey]:
        """The active trends, sorted."""
        return sorted(self._active)

    def evaluate(self, at: datetime, snapshot: Snapshot) -> list[Trend]:
        """The events to publish now, sorted: ends, then growth, then starts.

        ``snapshot`` holds the candidates and all that is active; an active trend that is not in it has a count of 0.
        Changes nothing: until its events are applied, it returns the same again.
        """
        seen = {(one.kind, one.id): one for one in snapshot.observations}
        evaluated = {kind: self._evaluated_windows(kind, snapshot.volume) for kind in _WINDOWS}
        ends, grown, starts = [], [], []
        for key, last in sorted(self._active.items()):
            kind, name, window = key
            one = seen.get((kind, name)) or Observation(kind, name, _NOTHING)
            rise = self._rise(one, window, snapshot.volume) if window in evaluated[kind] else _NO_RISE
            if rise.score < self._rules.end_score or rise.ratio < self._rules.end_ratio:
                ends.append(_updated(last, "end", rise, at))
            elif rise.count >= self._rules.growth * last.count:
                grown.append(_updated(last, "grow", rise, at))
        for (kind, name), one in sorted(seen.items()):
            for window in evaluated[kind]:
                if _within(one.counts, window) < self._rules.floors[window]:
                    continue
                key = (kind, name, window)
                if key in self._active or (key in self._cooling and at < self._cooling[key]):
                    continue
                rise = self._rise(one, window, snapshot.volume)
                if rise.score >= self._rules.start_score and rise.ratio >= self._rules.start_ratio:
                    starts.append(_started(one, window, rise, at))
        capacity = max(0, self._rules.max_active - len(self._active) + len(ends))
        strongest = sorted(starts, key=lambda trend: -trend.score)[:capacity]
        return [*ends, *grown, *sorted(strongest, key=_key)]

    def _evaluated_windows(self, kind: TrendKind, volume: Counts) -> list[TrendWindow]:
        """The windows with enough articles before them."""
        rules = self._rules
        return [
            window
            for window in _WINDOWS[kind]
            if _before(kind, volume, window) >= max(rules.min_past_ratio * _within(volume, window), rules.min_past)
        ]

    def _rise(self, one: Observation, window: TrendWindow, volume: Counts) -> _Rise:
        own, total = _within(one.counts, window), _within(volume, window)
        longest = _Past(max(0, one.counts.all - own), _before(one.kind, volume, window))
        share = self._share(longest, _shorter_pasts(one.counts, volume, window))
        ratio = score = 0.0
        for count, among, tries in [(own, total, 1.0), *_last_minutes(one.counts, volume, window)]:
            expected = among * share.mean
            if not count or count < self._rules.end_ratio * expected:
                continue
            found = surprise(count, expected, self._rules.dispersion + expected / share.shape)
            found = max(0.0, found - math.log10(tries))
            # A start needs both: a period with a higher score but too low a ratio must not hide one that has enough.
            if (count / expected >= self._rules.start_ratio, found) > (ratio >= self._rules.start_ratio, score):
                ratio, score = count / expected, found
        return _Rise(own, total * share.mean, ratio, score)

    def _share(self, longest: _Past, shorter: Iterator[_Past]) -> _Share:
        """The largest share that any of the pasts suggests; the shorter ones are drawn towards the longest."""
        usual = _Share((longest.count + 0.5) / longest.volume, longest.count + 0.5)
        trust = self._rules.shrinkage
        shares = [
            _Share((past.count + trust) / (past.volume + trust / usual.mean), past.count + trust) for past in shorter
        ]
        return max([usual, *shares], key=lambda share: share.mean)


def surprise(count: int, mean: float, dispersion: float) -> float:
    """-log10 of the probability that a negative binomial variable reaches ``count``, for a count above the mean.

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
    # Add the probabilities of higher counts, each by its ratio to the one before; above the mean they decrease.
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
    """The number of articles before a window, as far back as things of that kind are counted."""
    return (volume.day if kind == "story" else volume.all) - _within(volume, window)


def _last_minutes(counts: Counts, volume: Counts, window: TrendWindow) -> Iterator[tuple[int, int, float]]:
    """Counts and volumes of the last minute, the last two and so on, where a rise that has just begun shows first.

    With each, how many such periods fit into a quarter of an hour: the number of tries that chance has (Bonferroni).
    """
    if window == "15m":
        own = counts.recent or (0,) * len(volume.recent)
        pairs = zip(accumulate(own), accumulate(volume.recent), strict=True)
        for minutes, (count, among) in enumerate(pairs, 1):
            yield count, among, 15 / minutes


def _shorter_pasts(counts: Counts, volume: Counts, window: TrendWindow) -> Iterator[_Past]:
    """Pasts shorter than the longest: the day before the window, the same hour of earlier days, and of last week.

    If ``seasonal`` has a second half, it is of the hour before: a window reaches back into it.
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


def _updated(last: Trend, phase: Literal["grow", "end"], rise: _Rise, at: datetime) -> Trend:
    figures = {"count": rise.count, "expected": round(rise.expected, 3), "score": round(rise.score, 1)}
    return last.model_copy(update={"phase": phase, "at": at, **figures})


def _key(trend: Trend) -> TrendKey:
    return trend.kind, trend.id, trend.window
