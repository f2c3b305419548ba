"""The types that the store returns."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Count:
    """The count of one id, with its name; ``sources``: about how many distinct sources, if requested."""

    id: str
    name: str
    count: int
    sources: int | None = None


@dataclass(frozen=True, slots=True)
class Completeness:
    """Since when everything is counted; None: since the beginning. ``rebuilding``: a rebuild is in progress."""

    since: datetime | None
    rebuilding: bool


@dataclass(frozen=True, slots=True)
class Top:
    """Totals of a window and its most frequent ids.

    ``size``: how many ids the window has. ``since`` and ``until``: the time it covers; ``until`` follows the worker's
    clock, a minute at a time. ``error``: how much too low a count may be.
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
    """Counts of one id: the start time and count of each step, oldest first."""

    points: list[tuple[datetime, int]]
    complete: Completeness


@dataclass(frozen=True, slots=True)
class RecordLocation:
    """The offset of an article's or story's newest record on ``updates``; ``moved``: the story that an article is in
    now, if it is not the one in the article's record."""

    offset: int
    moved: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The state of the store: ``applied`` is the offset of the last applied record, -1 when there is none.

    ``goal``: the offset at which the rebuild in progress is complete.
    """

    applied: int
    goal: int | None
    complete: Completeness
