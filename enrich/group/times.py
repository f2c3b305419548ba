"""Times as columns have them: µs since 1970."""

from datetime import UTC, datetime, timedelta

MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(when: datetime) -> int:
    """A time as µs since 1970."""
    return (when - _EPOCH) // MICROSECOND


def moment(at: int) -> datetime:
    """µs since 1970 as a time."""
    return _EPOCH + at * MICROSECOND
