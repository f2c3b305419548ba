"""``khabar.connect``: the stream as typed events."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from khabar import filters, messages
from khabar.filters import FilterValues
from khabar.messages import Event
from khabar.stream import OnGap, Stream

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Events:
    """The events of one subscription, each once, in order, for ``async for`` in one task at a time."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def cursor(self) -> str | None:
        """Where to resume: after the last event that the loop has finished.

        The loop finishes an event when it requests the next one. The cursor also advances while no event passes the
        filter. It is None only before anything was received.
        """
        return self._stream.cursor

    async def __aenter__(self) -> "Self":
        """Subscribe: everything published from here on will be delivered. Raises ``Refused`` or ``TooOld``.

        Waits for as long as the gateway is unavailable.
        """
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self._stream.close()

    def __aiter__(self) -> "Self":
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises ``Refused``, ``TooOld`` or ``Unreadable``. Cancellation loses no event."""
        while True:
            event = messages.read(await anext(self._stream))
            if event is not None:
                return event

    async def close(self) -> None:
        """End the subscription and any loop over it."""
        await self._stream.close()


def connect(
    url: str,
    *,
    cursor: str | None = None,
    since: datetime | str | None = None,
    api_key: str | None = None,
    on_gap: OnGap = "raise",
    **values: "Unpack[FilterValues]",
) -> Events:
    """A subscription to the gateway at ``url`` (http, https, ws or wss), to be entered with ``async with``.

    A filter takes one value or several, any of which may match; all filters must match. ``cursor`` resumes after that
    event, or starts at the oldest retained one (``earliest``); without a cursor, ``since`` starts at a time (RFC 3339,
    or a datetime with a zone); without both, the stream starts with the next event. ``on_gap`` decides what happens
    when the events to resume with are no longer retained: ``raise`` ``TooOld``, or ``skip`` to the oldest retained
    event. Raises ``ValueError`` for a filter without values and a time without a zone.
    """
    given: dict[str, Any] = {**values}
    known = {spec.name: given.pop(spec.name, None) for spec in filters.FILTERS}
    if given:
        raise TypeError(f"connect() got an unexpected keyword argument {next(iter(given))!r}")
    parameters = [(name, value) for name, listed in known.items() for value in _listed(name, listed)]
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ValueError("since needs a time zone")
        since = since.isoformat()
    return Events(Stream(url, parameters, cursor=cursor, since=since, api_key=api_key, on_gap=on_gap))


def _listed(name: str, values: str | Iterable[str] | None) -> list[str]:
    if values is None:
        return []
    listed = [values] if isinstance(values, str) else list(values)
    if not listed:
        # Leaving the filter out would let every event through.
        raise ValueError(f"the filter {name} has no values")
    return listed
