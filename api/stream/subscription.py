"""A subscription as a client requests it, in a query or as JSON, and the errors of a subscription."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from api.stream import filters
from api.stream.filters import Filter, FilterError

# The value of ``cursor`` for the oldest event that is kept.
EARLIEST = "earliest"
_LOST_PLUS = re.compile(r"(T\S{1,20}) (\d\d:\d\d)$")


@dataclass(frozen=True)
class StreamTimeouts:
    """Times of subscriptions, in seconds.

    ``heartbeat``: the longest silence. ``send``: how long a client may read nothing. ``authenticate``: until the first
    frame with a key. ``connect``: for the gateway to reach Kafka. ``close``: for a client to take its last message.
    ``tail_records`` is a number: how many records the log starts with.
    """

    heartbeat: float = 10.0
    send: float = 10.0
    authenticate: float = 10.0
    connect: float = 10.0
    close: float = 2.0
    tail_records: int = 2_000


class StreamError(Exception):
    """A subscription cannot start or continue. ``code`` identifies the case to clients; ``extra`` are more members."""

    def __init__(self, code: str, message: str, **extra: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.extra = extra

    def as_json(self) -> dict[str, str]:
        """The error as subscribers receive it."""
        return {"type": "error", "code": self.code, "message": self.message, **self.extra}


@dataclass(frozen=True)
class Subscription:
    """A filter, and where to start: after a cursor, at a time, or with neither, at the next event.

    The cursor ``EARLIEST`` starts at the oldest event that is kept.
    """

    filter: Filter = field(default_factory=Filter)
    cursor: str | None = None
    since: datetime | None = None

    @classmethod
    def of_query(cls, parameters: Iterable[tuple[str, str]]) -> "Subscription":
        """The subscription in query parameters. Raises ``StreamError``."""
        start: dict[str, str] = {}
        rest: list[tuple[str, str]] = []
        for name, value in parameters:
            if name in {"cursor", "since"}:
                if name in start:
                    raise StreamError("bad_request", f"{name} is given twice", field=name)
                start[name] = value
            else:
                rest.append((name, value))
        try:
            wanted = filters.parse(rest)
        except FilterError as error:
            raise StreamError("bad_filter", str(error), field=error.name) from None
        return cls._of(wanted, start.get("cursor"), start.get("since"))

    @classmethod
    def of_json(cls, given: dict[str, object]) -> "Subscription":
        """The subscription in an object with ``filter``, ``cursor`` and ``since``. Raises ``StreamError``."""
        for name in given:
            if name not in {"filter", "cursor", "since"}:
                raise StreamError("bad_request", f"unknown member {name[:60]!r} in subscribe", field=name[:60])
        try:
            wanted = filters.parse_json({} if given.get("filter") is None else given["filter"])
        except FilterError as error:
            raise StreamError("bad_filter", str(error), field=error.name) from None
        return cls._of(wanted, given.get("cursor"), given.get("since"))

    @classmethod
    def _of(cls, wanted: Filter, cursor: object, since: object) -> "Subscription":
        if cursor is not None and since is not None:
            raise StreamError("bad_request", "give cursor or since, not both", field="since")
        if cursor is not None and not isinstance(cursor, str):
            raise StreamError("bad_cursor", "a cursor is a string", field="cursor")
        return cls(wanted, cursor, None if since is None else _moment(since))


def _moment(text: object) -> datetime:
    try:
        # An unescaped plus sign in a query arrives as a space.
        moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", str(text)))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise StreamError("bad_request", "since must be a time as in 2025-01-31T09:30:00Z", field="since")
    return moment
