"""The current time, and the type of a clock that is passed in so that a test can pass its own."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, with a time zone."""


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)
