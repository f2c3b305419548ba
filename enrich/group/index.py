"""An index of bounded size: which recent articles have a key.

Works like a set-associative cache: a key selects a bucket, a bucket holds the newest articles that were added to it,
and each new one replaces the oldest. So a key that fifty thousand articles share costs as much memory and time as any
other. Nothing is ever removed: callers recognise an article that has left the window by its number.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint32]
Keys = NDArray[np.uint32]

WAYS = 8
_BUILD_BATCH = 4_096


class RecentIndex:
    """Buckets of the ``WAYS`` newest article numbers (1 and up; 0 is none) by key (0 is none as well).

    Two keys may share a bucket, so callers must check each article that they find.
    """

    def __init__(self, buckets: int) -> None:
        self._buckets = np.uint32(buckets)
        self._numbers: Numbers = np.zeros((buckets, WAYS), np.uint32)
        self._next = np.zeros(buckets, np.uint8)

    def find(self, keys: Keys) -> Numbers:
        """(keys, WAYS) numbers in no particular order, padded with 0."""
        found: Numbers = self._numbers[keys % self._buckets]
        return found

    def add(self, keys: Keys, number: int) -> None:
        """Add an article, newer than all before, under its keys."""
        at = keys[keys != 0] % self._buckets
        way = self._next[at]
        self._numbers[at, way] = number
        self._next[at] = (way + 1) % WAYS

    def build(self, keys: Keys, numbers: Numbers) -> None:
        """Add many articles (``numbers`` ascending, one row of ``keys`` each), as ``add`` would one by one."""
        for first in range(0, len(numbers), _BUILD_BATCH):
            self._build(keys[first : first + _BUILD_BATCH], numbers[first : first + _BUILD_BATCH])

    def _build(self, keys: Keys, numbers: Numbers) -> None:
        flat = keys.ravel()
        present = flat != 0
        at = flat[present] % self._buckets
        own = np.repeat(numbers, keys.shape[1])[present]
        order = np.argsort(at, kind="stable")
        at, own = at[order], own[order]
        # An article enters a bucket once, even if two of its keys select it.
        once = np.ones(len(at), bool)
        once[1:] = (at[1:] != at[:-1]) | (own[1:] != own[:-1])
        at, own = at[once], own[once]
        buckets, first, counts = np.unique(at, return_index=True, return_counts=True)
        rank = np.arange(len(at)) - np.repeat(first, counts)
        way = (self._next[at] + rank) % WAYS
        stays = rank >= np.repeat(counts, counts) - WAYS
        self._numbers[at[stays], way[stays]] = own[stays]
        self._next[buckets] = (self._next[buckets] + counts) % WAYS
