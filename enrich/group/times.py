"""Times as columns store them: µs since 1970."""

from datetime import UTC, datetime, timedelta

MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(time: datetime) -> int:
    """A time as µs since 1970."""
    return (time - _EPOCH) // MICROSECOND


def to_datetime(microseconds: int) -> datetime:
    """µs since 1970 as a time in UTC."""
    return _EPOCH + microseconds * MICROSECOND
