"""Who has everything and waits for more, by filter; what comes is handed to those whose filter it passes.

A subscriber that has read up to the end of the log is *parked* here. Its position is then ``Feeds.position``,
the same for all: those whose filter does not match move on at no cost, and no task of theirs runs. For the
others each distinct filter is matched once an event, what matches of one append is encoded once, and the
finished frame is written to all connections parked under that filter in one pass.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from api.stream.filters import Filter, FilterIndex
from api.stream.log import Log, chunks
from api.stream.stream_event import Event

_log = structlog.get_logger(__name__)


class Parked(Protocol):
    """A subscriber while it is parked."""

    def wake(self) -> None:
        """Leave, at ``Feeds.position``: there is something to read behind it."""


class Feed:
    """The parked subscribers of one filter.

    ``writes`` are those to whose connections frames are written, ``readers`` those that are woken to read.
    ``written`` counts the bytes of all frames so far, and ``sent_at`` is when the last one was: what each of the
    connections was given is known without keeping it a connection.
    """

    def __init__(self, wanted: Filter) -> None:
        self.filter = wanted
        self.writes: dict[Parked, Callable[[bytes], None]] = {}
        self.readers: dict[Parked, None] = {}
        self.written = 0
        self.sent_at = 0.0


class Feeds:
    """All who are parked at the end of a log."""

    def __init__(self, log: Log, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._index = FilterIndex()
        self._feeds: dict[Filter, Feed] = {}
        self._growth: asyncio.Future[None] | None = None
        # Where whoever leaves now stands: the end of the log, but while new events are being handed out.
        self._handing: int | None = None
        self.count_delivered: Callable[[int], object] = _uncounted
        log.listener = self

    @property
    def position(self) -> int:
        """The position of everybody who is parked."""
        return self._log.end if self._handing is None else self._handing

    def park(self, member: Parked, wanted: Filter, write: Callable[[bytes], None] | None = None) -> Feed:
        """Take in one who has everything: frames go to ``write``, or without one it is woken for them."""
        feed = self._feeds.get(wanted)
        if feed is None:
            feed = self._feeds[wanted] = Feed(wanted)
            self._index.add(wanted)
        if write is None:
            feed.readers[member] = None
        else:
            feed.writes[member] = write
        return feed

    def leave(self, member: Parked, feed: Feed) -> None:
        """Let one go."""
        feed.readers.pop(member, None)
        feed.writes.pop(member, None)
        if not feed.readers and not feed.writes and self._feeds.get(feed.filter) is feed:
            del self._feeds[feed.filter]
            self._index.discard(feed.filter)

    def growth(self) -> "asyncio.Future[None]":
        """A future that is done when the log has changed, whatever came; shared by all who ask."""
        if self._growth is None or self._growth.done():
            self._growth = asyncio.get_running_loop().create_future()
        return self._growth

    def appended(self, events: Sequence[Event], begin: int) -> None:
        """Hand new events to those whose filter they pass."""
        found: dict[Filter, list[Event]] = {}
        if self._feeds:
            for event in events:
                for wanted in self._index.match(event):
                    found.setdefault(wanted, []).append(event)
        try:
            for wanted, matching in found.items():
                self._handing = begin
                self._hand(self._feeds[wanted], matching)
        finally:
            self._handing = None
        self._grown()

    def forgetting(self) -> None:
        """Let all go, where they stand, before that place is forgotten."""
        for feed in tuple(self._feeds.values()):
            for member in (*feed.readers, *feed.writes):
                member.wake()
        self._grown()

    def _hand(self, feed: Feed, events: Sequence[Event]) -> None:
        for reader in tuple(feed.readers):
            reader.wake()
        for chunk in chunks(events, self._log.end):
            if not feed.writes:
                return
            # A connection that is full with this chunk leaves at once, behind it.
            self._handing = chunk.position
            frame = chunk.frame
            feed.written += len(frame)
            feed.sent_at = self._clock()
            members = tuple(feed.writes.items())
            for member, write in members:
                try:
                    write(frame)
                except Exception:
                    # Its end is told by the transport; the others get theirs.
                    _log.exception("a frame could not be written")
                    self.leave(member, feed)
            self.count_delivered(len(chunk.events) * len(members))

    def _grown(self) -> None:
        if self._growth is not None and not self._growth.done():
            self._growth.set_result(None)


def _uncounted(_: int) -> None:
    pass
