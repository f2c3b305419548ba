"""When a feed is polled next, and whether its host is asked at all.

Pure functions: the caller has the clock and the state. Times are seconds since 1970, intervals are seconds.

A feed is polled after half of the mean time between its new entries, as learnt from the last polls, or at first from
the dates of its entries. Before anything is known it is ``Bounds.start``. While nothing new comes the interval grows.
It is not shorter than what the feed announces (``ttl``, ``sy:updatePeriod``), unless entries have come more often than
it announces, and not shorter than its response stays fresh in caches. All of this is kept between ``Bounds.least`` and
``Bounds.most``. An interval that a user set is used as it is.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from services import backoff
from services.settings import Settings

# The share that the newest time between entries has in the mean.
_WEIGHT: Final = 0.3
# The number of newest entries whose dates show how often a feed changes.
_DATED: Final = 10
# A feed is polled this often in the mean time between two new entries.
_POLLS: Final = 2.0
# A feed that fails is polled at least this often.
MAX_BACKOFF: Final = 6 * 3600.0
# A host's other feeds wait at most this long when it asks one to wait.
_MAX_HOST_PAUSE: Final = 3_600.0
_JITTER: Final = 0.1
# ``feed_interval_max`` is for the default of ``feed_interval``; a shorter one has a shorter maximum.
_MOST_INTERVALS: Final = 12.0

Random = Callable[[], float]
"""Returns numbers from 0 to 1."""


@dataclass(frozen=True)
class Bounds:
    """The intervals of all feeds: ``start`` before anything is known, ``least`` and ``most``."""

    start: float = 300.0
    least: float = 60.0
    most: float = 3_600.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The bounds of these settings; a short ``feed_interval`` makes the others shorter too."""
        start = settings.feed_interval
        most = max(start, min(settings.feed_interval_max, _MOST_INTERVALS * start))
        return cls(start=start, least=min(start, settings.feed_interval_min), most=most)


@dataclass(frozen=True)
class Pace:
    """What is known of how often a feed changes; 0.0 stands for not known.

    ``learnt``: the mean time between new entries. ``announced``: the time between updates as the feed has it.
    ``changed``: when a poll last found something new. ``failures``: failed polls in a row.
    """

    learnt: float = 0.0
    announced: float = 0.0
    changed: float = 0.0
    failures: int = 0


def succeeded(  # noqa: PLR0913
    pace: Pace,
    bounds: Bounds,
    *,
    now: float,
    new: int,
    dates: Iterable[float] = (),
    announced: float | None = None,
) -> Pace:
    """The pace after a poll that could read the feed.

    ``new``: the number of its new entries. ``dates``: of all its entries, as far as they have one. ``announced``: the
    time between updates that the document has; None for a document that has not changed.
    """
    announced = pace.announced if announced is None else max(announced, 0.0)
    pace = replace(pace, announced=announced, failures=0)
    if not pace.changed:  # the first poll: all entries are new to us
        return replace(pace, learnt=pace.learnt or _between_dates(dates, now), changed=now)
    if new <= 0:
        return pace
    # A night or a weekend without entries counts only as far as it makes a difference.
    found = min(max((now - pace.changed) / new, 1.0), _POLLS * bounds.most)
    learnt = (
        found
        if not pace.learnt
        else math.exp((1 - _WEIGHT) * math.log(max(pace.learnt, 1.0)) + _WEIGHT * math.log(found))
    )
    return replace(pace, learnt=learnt, changed=now)


def failed(pace: Pace) -> Pace:
    """The pace after a poll that failed."""
    return replace(pace, failures=pace.failures + 1)


def interval(
    pace: Pace, bounds: Bounds, *, now: float, own: float | None = None, max_age: float | None = None
) -> float:
    """The time between two polls. ``own``: the feed's setting. ``max_age``: how long its response stays fresh."""
    if own:
        return own
    if pace.learnt:
        # While nothing new comes, the time since then is the better guess.
        between = max(pace.learnt, (now - pace.changed) / _POLLS if pace.changed else 0.0)
        wanted = max(between / _POLLS, min(pace.announced, between))
    else:
        quiet = (now - pace.changed) / _POLLS**2 if pace.changed else 0.0
        wanted = max(bounds.start, pace.announced, quiet)
    return min(max(wanted, max_age or 0.0, bounds.least), bounds.most)


def next_poll(  # noqa: PLR0913
    pace: Pace,
    bounds: Bounds,
    *,
    now: float,
    rng: Random,
    own: float | None = None,
    max_age: float | None = None,
    retry_after: float | None = None,
) -> float:
    """When the feed is polled next, plus or minus 10%.

    After failures the interval is doubled for each; a server's ``retry_after`` is obeyed instead, and never shortened.
    A feed that is gone (410) is not polled again: that is the caller's part.
    """
    chance = 2 * rng() - 1
    if not pace.failures:
        return now + interval(pace, bounds, now=now, own=own, max_age=max_age) * (1 + _JITTER * chance)
    base = own or bounds.start
    if retry_after is not None:
        return now + max(retry_after, base) * (1 + _JITTER * abs(chance))
    return now + backoff.delay(pace.failures + 1, base, max(base, MAX_BACKOFF)) * (1 + _JITTER * chance)


def _between_dates(dates: Iterable[float], now: float) -> float:
    """The mean time between the newest entries by their dates, up to now; 0.0 when there are too few dates."""
    newest = sorted((date for date in dates if date <= now), reverse=True)[:_DATED]
    return (now - newest[-1]) / len(newest) if len(newest) > 2 else 0.0


@dataclass
class _Host:
    """A host with failures: the feeds that failed in a row, and when it may be asked again."""

    feeds: set[str]
    failures: int = 0
    until: float = 0.0


class Hosts:
    """A circuit breaker for each host: when several of its feeds fail in a row, one poll tries it, and others wait.

    It is also what makes all feeds of a host wait when it asks for that (``Retry-After``). In memory, for each process.
    """

    # A host that fails for this many feeds in a row.
    FEEDS: Final = 3

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._hosts: dict[str, _Host] = {}

    def wait(self, host: str, *, now: float) -> float:
        """Seconds for which a host is left alone: 0.0 if a feed of it may be polled now.

        That poll is the only one until its result is reported, or until it should have been.
        """
        found = self._hosts.get(host)
        if found is None or not self._open(found):
            return 0.0
        if now < found.until:
            return found.until - now
        found.until = now + self._pause(found)
        return 0.0

    def succeeded(self, host: str) -> None:
        """The host has answered, if only that this feed is not there."""
        self._hosts.pop(host, None)

    def failed(self, host: str, feed: str, *, now: float, retry_after: float | None = None) -> None:
        """A poll failed for a reason of the host (``FetchFailure.of_host``)."""
        found = self._hosts.setdefault(host, _Host(set()))
        found.feeds.add(feed)
        found.failures += 1
        if retry_after is not None:
            found.until = max(found.until, now + min(retry_after, _MAX_HOST_PAUSE))
        elif self._open(found):
            found.until = now + self._pause(found)

    def _open(self, host: _Host) -> bool:
        return len(host.feeds) >= self.FEEDS or host.until > 0.0

    def _pause(self, host: _Host) -> float:
        return backoff.delay(max(1, host.failures - self.FEEDS + 1), self._bounds.start, MAX_BACKOFF)
