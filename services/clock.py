"""The current time, which times can be true, and the type of a clock that a test can replace by its own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

CLOCK_SKEW: Final = timedelta(minutes=10)
"""By how much the clocks of two machines may differ."""

EARLIEST_PUBLICATION: Final = datetime(1971, 1, 1, tzinfo=UTC)
"""No article is older. Broken clocks show 1970, year 1 and the like."""

PUBLICATION_LEAD: Final = timedelta(days=1)
"""How long after its arrival an article may say that it was published: time zones are often wrong."""

Clock = Callable[[], datetime]
"""Returns the current time, with a time zone."""


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def is_plausible(published: datetime, received: datetime) -> bool:
    """Whether an article that arrived at ``received`` can have been published at ``published``; both with time zone.

    A publication that is not plausible comes from a broken clock and counts as no date.
    """
    return EARLIEST_PUBLICATION <= published <= received + PUBLICATION_LEAD
