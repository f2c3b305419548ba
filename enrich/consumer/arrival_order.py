"""Puts articles into the order in which they arrived, where several workers annotate side by side.

Which of two articles is the original is decided by which one arrived first, but a worker with much to do publishes
later than one with little. So group holds an article back as long as others were late recently: not at all where one
worker does everything in order, a few milliseconds where several do, seconds while they catch up. An article is not
held longer than it took to get here, or ``_SHORTEST`` where that was less.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_Item = TypeVar("_Item")

_SHORTEST, _LONGEST = 0.25, 5.0
# How much longer than the latest article of this time (seconds) an article is held.
_MARGIN, _MEMORY = 1.5, 60.0
_MOST_HELD = 2_000


class ArrivalOrder(Generic[_Item]):
    """Items that are held back. ``now`` is a monotonic clock's time; all times are in seconds."""

    def __init__(self) -> None:
        # By arrival: when it arrived, its place among all, until when it is held, the item.
        self._held: list[tuple[float, int, float, _Item]] = []
        self._count = 0
        # The latest arrivals so far, ascending, and when each was added.
        self._latest: deque[tuple[float, float]] = deque()
        # How late items were, the largest first, and when.
        self._late: deque[tuple[float, float]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, item: _Item, arrived: float, delay: float, now: float) -> None:
        """Add the next item; ``arrived``: when it arrived at the system, on any clock; ``delay``: how long ago."""
        self._note(arrived, now)
        until = now + min(self._hold(now), max(_SHORTEST, delay), _LONGEST)
        self._held.append((arrived, self._count, until, item))
        self._count += 1

    def take(self, now: float) -> list[_Item]:
        """The items that are due, in the order of their arrival, and before each of them all that arrived earlier."""
        self._held.sort(key=lambda held: held[:2])
        due = [at for at, held in enumerate(self._held, 1) if held[2] <= now]
        taken = max(due[-1] if due else 0, len(self._held) - _MOST_HELD)
        ready, self._held = self._held[:taken], self._held[taken:]
        return [item for *_, item in ready]

    def wait(self, now: float) -> float | None:
        """The time until an item is due; None when none is held."""
        return max(0.0, min(until for _, _, until, _ in self._held) - now) if self._held else None

    def drop(self, unwanted: Callable[[_Item], bool]) -> None:
        """Drop the items that somebody else has to process."""
        self._held = [held for held in self._held if not unwanted(held[-1])]

    def _note(self, arrived: float, now: float) -> None:
        """Learn how late an item is: the time since one that arrived after it was added."""
        while self._latest and self._latest[0][1] < now - _MEMORY:
            self._latest.popleft()
        later = bisect_right(self._latest, arrived, key=lambda latest: latest[0])
        if later == len(self._latest):
            self._latest.append((arrived, now))
            return
        late = now - self._latest[later][1]
        while self._late and self._late[-1][0] <= late:
            self._late.pop()
        self._late.append((late, now))

    def _hold(self, now: float) -> float:
        while self._late and self._late[0][1] < now - _MEMORY:
            self._late.popleft()
        return _MARGIN * self._late[0][0] if self._late else 0.0
