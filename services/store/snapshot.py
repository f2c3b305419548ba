"""The counts that the trend detector reads: recent ones, and the usual ones of the past."""

from dataclasses import dataclass

from services.events import TrendKind

# How many minutes are listed one by one, and of how many days the same hour is listed.
RECENT = 5
SEASONS = 7


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of one id at a moment.

    ``recent``: in each of the last five minutes, newest first, beginning with the current one so far. ``quarter``,
    ``hour`` and ``day``: in the last 15, 60 and 1,440 minutes, including the current one. ``all``: in up to 30 days,
    as far back as counts are kept. ``seasonal``: in the hours that began 24 h, 48 h, … 7 times 24 h before the current
    one, then in the hour before each of those.
    """

    recent: tuple[int, ...]
    quarter: int
    hour: int
    day: int
    all: int
    seasonal: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """One trend candidate. For a story ``all`` equals ``day``, and ``seasonal`` is zeros."""

    kind: TrendKind
    id: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The trend candidates at a moment, with the counts of all articles (``volume``)."""

    volume: Counts
    observations: list[Observation]
