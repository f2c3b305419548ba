"""Delivers new events to the subscribers that are caught up, grouped by filter.

A subscriber that has read up to the end of the log joins the group of its filter. The position of all group members is
``Fanout.position``: those whose filter does not match advance at no cost, and none of them needs a task. Each distinct
filter is matched once per event, the matches of one append are encoded once, and the finished frame is written to all
connections of the group in one pass.

The words of a long text take many milliseconds to extract. The members of groups whose filter depends on them leave at
that event: they extract the words once, in small pieces, and read on by themselves, while all others get the event.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from api.stream.filters import Filter, FilterIndex
from api.stream.log import Log, chunks
from api.stream.stream_event import Event

log = structlog.get_logger(__name__)


class Member(Protocol):
    """A subscriber in a group."""

    def wake(self) -> None:
        """Leave the group at ``Fanout.position`` and read on from there."""


class FanoutGroup:
    """The caught-up subscribers of one filter.

    Frames are written to the connections in ``writers``; ``readers`` are woken and read by themselves. ``written``
    counts the bytes of all frames so far and ``sent_at`` is when the last one was written (monotonic clock), so what a
    connection got is known without counting it for each connection.
    """

    def __init__(self, wanted: Filter) -> None:
        self.filter = wanted
        self.writers: dict[Member, Callable[[bytes], None]] = {}
        self.readers: dict[Member, None] = {}
        self.written = 0
        self.sent_at = 0.0


class Fanout:
    """All subscribers that are caught up with a log. ``count_delivered`` is called with the number of deliveries."""

    def __init__(
        self,
        shared_log: Log,
        *,
        count_delivered: Callable[[int], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = shared_log
        self._clock = clock
        self._index = FilterIndex()
        self._groups: dict[Filter, FanoutGroup] = {}
        self._growth: asyncio.Future[None] | None = None
        # While new events are delivered: the position of a member that leaves now. Otherwise that is the log's end.
        self._delivering: int | None = None
        self.count_delivered = count_delivered
        shared_log.listener = self

    @property
    def position(self) -> int:
        """The position of all group members."""
        return self._log.end if self._delivering is None else self._delivering

    def join(self, member: Member, wanted: Filter, write: Callable[[bytes], None] | None = None) -> FanoutGroup:
        """Add a caught-up subscriber to its group. Frames go to ``write``; without it the member is woken instead."""
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = FanoutGroup(wanted)
            self._index.add(wanted)
        if write is None:
            group.readers[member] = None
        else:
            group.writers[member] = write
        return group

    def leave(self, member: Member, group: FanoutGroup) -> None:
        """Remove a subscriber from its group."""
        group.readers.pop(member, None)
        group.writers.pop(member, None)
        if not group.readers and not group.writers and self._groups.get(group.filter) is group:
            del self._groups[group.filter]
            self._index.discard(group.filter)

    def growth(self) -> "asyncio.Future[None]":
        """A future, shared by all callers, that is done after the next change of the log."""
        if self._growth is None or self._growth.done():
            self._growth = asyncio.get_running_loop().create_future()
        return self._growth

    def on_append(self, events: Sequence[Event], begin: int) -> None:
        """Deliver new events to the groups whose filter they pass."""
        found: dict[Filter, list[Event]] = {}
        # By filter that depends on the words of a long text: the offset of the first such event.
        leave_at: dict[Filter, int] = {}
        if self._groups:
            for event in events:
                matching, pending = self._index.match(event)
                for wanted in matching:
                    if wanted not in leave_at:
                        found.setdefault(wanted, []).append(event)
                for wanted in pending:
                    leave_at.setdefault(wanted, event.offset)
        try:
            for wanted, new in found.items():
                self._delivering = begin
                self._deliver(self._groups[wanted], new, leave_at.get(wanted, self._log.end))
            for wanted, offset in leave_at.items():
                self._delivering = offset
                self._wake_all(self._groups.get(wanted))
        finally:
            self._delivering = None
        self._grown()

    def on_reset(self) -> None:
        """Make all members leave at their present position, before the log drops it."""
        for group in tuple(self._groups.values()):
            self._wake_all(group)
        self._grown()

    @staticmethod
    def _wake_all(group: FanoutGroup | None) -> None:
        if group is not None:
            for member in (*group.readers, *group.writers):
                member.wake()

    def _deliver(self, group: FanoutGroup, events: Sequence[Event], end: int) -> None:
        for reader in tuple(group.readers):
            reader.wake()
        for chunk in chunks(events, end):
            if not group.writers:
                return
            # A connection whose buffer this chunk fills leaves at once, at the position after the chunk.
            self._delivering = chunk.position
            frame = chunk.frames(self._log.frame_bytes)
            group.written += len(frame)
            group.sent_at = self._clock()
            members = tuple(group.writers.items())
            for member, write in members:
                try:
                    write(frame)
                except Exception:
                    # The transport reports the end of this connection; the others get their frames.
                    log.exception("frame_write_failed")
                    self.leave(member, group)
            self.count_delivered(len(chunk.events) * len(members))

    def _grown(self) -> None:
        if self._growth is not None and not self._growth.done():
            self._growth.set_result(None)
