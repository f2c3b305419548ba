"""The current time, and the type of a clock that is passed in so that a test can pass its own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

CLOCK_SKEW: Final = timedelta(minutes=10)
"""By how much the clocks of two machines may differ."""

Clock = Callable[[], datetime]
"""Returns the current time, with a time zone."""


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)
