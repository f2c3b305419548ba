"""What the trend detector sees of the store: how often something was counted lately, and before."""

from dataclasses import dataclass

from services.events import TrendKind

# Minutes told one by one, and days whose same hour is told.
RECENT = 5
SEASONS = 7


@dataclass(frozen=True, slots=True)
class Counts:
    """How often something was counted up to a moment.

    ``recent``: in each of the last five minutes, newest first; the first is the current one, so far. ``quarter``,
    ``hour`` and ``day``: in the last 15, 60 and 1,440 minutes, the current one included. ``all``: as far back as is
    kept, 30 days at most. ``seasonal``: in the hours that began 24 h, 48 h, … 7 times 24 h before the current one, then
    in those before them.
    """

    recent: tuple[int, ...]
    quarter: int
    hour: int
    day: int
    all: int
    seasonal: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing that may be rising. Of a story ``all`` is what ``day`` is, and ``seasonal`` is zeros."""

    kind: TrendKind
    id: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What may be rising at a moment, beside how many articles there were in all."""

    volume: Counts
    observations: list[Observation]
