"""What the store answers."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How often one id was counted, with its name; ``sources``: how many named it, about, where that was asked for."""

    id: str
    name: str
    count: int
    sources: int | None = None


@dataclass(frozen=True, slots=True)
class Completeness:
    """Since when everything is counted; None: since the beginning. ``rebuilding``: records are being read back."""

    since: datetime | None
    rebuilding: bool


@dataclass(frozen=True, slots=True)
class Top:
    """Totals of a window and its most frequent ids.

    ``size``: how many ids there are. ``since`` and ``until``: what the window covers; ``until`` follows the worker's
    clock, a minute at a time. ``error``: a count may be too low by so much at most.
    """

    total: int
    duplicates: int
    items: list[Count]
    size: int
    since: datetime
    until: datetime
    error: int
    complete: Completeness


@dataclass(frozen=True, slots=True)
class Series:
    """Counts of one id: a pair of beginning and count for each step, oldest first."""

    points: list[tuple[datetime, int]]
    complete: Completeness


@dataclass(frozen=True, slots=True)
class RecordLocation:
    """Where the newest record of an article or a story lies on ``updates``; ``moved``: the story an article is in now,
    where that is another than the article's record says."""

    offset: int
    moved: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """How far the store is: ``applied`` is the offset of the last record it reflects, -1 when there is none.

    ``goal``: the offset at which a rebuild under way is done.
    """

    applied: int
    goal: int | None
    complete: Completeness
