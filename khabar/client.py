"""``khabar.connect``: the stream as typed events."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from khabar import filters, messages
from khabar.filters import FilterValues
from khabar.messages import Event
from khabar.stream import OnGap, Stream

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Events:
    """The events of one subscription, each once, in order: ``async for`` gives them, for one task at a time."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def cursor(self) -> str | None:
        """Where to resume: after the last event whose turn in the loop has ended.

        An event's turn ends when the next one is asked for. The cursor also moves on while nothing passes the
        filter. None only before anything was received.
        """
        return self._stream.cursor

    async def __aenter__(self) -> Self:
        """Subscribe; whatever is published from here on will come. Raises ``Refused`` or ``TooOld``.

        Waits for as long as the gateway is away.
        """
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self._stream.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises ``Refused``, ``TooOld`` or ``Unreadable``. Cancelled, it loses nothing."""
        while True:
            event = messages.read(await anext(self._stream))
            if event is not None:
                return event

    async def close(self) -> None:
        """End the subscription; a loop over it ends."""
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

    Filters take one value or several (any of them); different filters apply together. ``cursor`` resumes after that
    event, ``since`` begins at a time (RFC 3339, or a datetime with a zone) when there is no cursor; neither: with what
    comes next. ``on_gap`` says what to do when what follows is no longer kept: ``raise`` ``TooOld``, or ``skip`` to
    what is. Raises ``ValueError`` for a filter without values and a time without a zone.
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
        # Without the filter everything would come.
        raise ValueError(f"the filter {name} has no values")
    return listed
