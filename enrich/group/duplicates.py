"""Which earlier article a new one is a copy of.

Candidates share a band of their MinHash (locality-sensitive hashing: likely where much is shared) or a low hash of
their sketches (likely where a short text stands in a long one). Each candidate is then verified: a copy is what has
most of its three-word shingles from the earlier text, the more the less the two name the same. An article that holds
an earlier one and says as much again is no copy; it is a development.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint.signature import PERMUTATIONS, SKETCH
from enrich.group.arrays import counted
from enrich.group.index import RecentIndex
from enrich.group.similarity import Similarity
from enrich.group.window import Numbers, Window

# 42 bands of 3 places: of pairs that share 0.45 of their shingles 98% become candidates, of those with 0.1 4%.
_ROWS = 3
_BANDS = PERMUTATIONS // _ROWS
# The lowest hashes are looked up in the index; all of them are compared.
_INDEXED = 32
_COMPARED = 12
# By chance, and by phrases that all use, articles meet in one key or two; a copy meets its original in more.
_LEAST_HITS = 3
# What an article must have from another to be its copy: so much where they name nobody in common, less where they do.
_STRANGERS = 0.70
_ACQUAINTED = 0.22
# Of a flash of a few words, all of it.
_FLASH = 12
_WHOLE = 0.9
# Two places of a MinHash agree by chance so often.
_CHANCE = 1 / 256
_EVIDENCE = 6.0
_BAND_SPREAD = np.arange(1, _BANDS + 1).astype(np.uint32) * np.uint32(2_654_435_761)
_BYTE_SPREAD = np.uint32(2_246_822_519)
_NO_HASH = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Copy:
    """The article (by number) that an article is a copy of, and the share of its shingles that this one has."""

    number: int
    similarity: float


class Keys(NamedTuple):
    """By what an article is found: its bands, (…, 42), and the hashes of its sketch, (…, 64), 0 where there is none."""

    bands: NDArray[np.uint32]
    sketch: NDArray[np.uint32]


class Duplicates:
    """The near-duplicate index over a window."""

    def __init__(self, window: Window, likeness: Similarity) -> None:
        self._window = window
        self._likeness = likeness
        # An article has 42 and 32 keys; a bucket has room for eight.
        self._bands = RecentIndex(6 * window.capacity)
        self._sketches = RecentIndex(4 * window.capacity)

    def find(self, row: NDArray[np.void], keys: Keys, before: int) -> Copy | None:
        """What an article that came as number ``before`` is a copy of: the likest, of those alike the first-seen."""
        window = self._window
        bands, sketches = self._bands.find(keys.bands), self._sketches.find(keys.sketch)
        met = np.concatenate([bands[bands >= window.oldest], sketches[sketches >= window.oldest]])
        numbers, hits = counted(met)
        if not len(numbers) or hits.max() < _LEAST_HITS:
            return None
        slots = window.slots(numbers)
        fit = (hits > 1) & (window.stories[slots] != 0) & (window.firsts[slots] < before)
        numbers, hits = numbers[fit], hits[fit]
        if len(numbers) > _COMPARED:
            numbers = numbers[np.lexsort((numbers, -hits))[:_COMPARED]]
        likely = share(row, window.rows[window.slots(numbers)]) >= _STRANGERS - _ACQUAINTED
        if not likely.any():
            return None
        numbers = self._originals(numbers[likely], before)
        slots = window.slots(numbers)
        shares = share(row, window.rows[slots])
        copies = np.flatnonzero(shares >= self.needed(row, slots))
        if not len(copies):
            return None
        best = copies[np.lexsort((window.firsts[slots[copies]], -shares[copies]))[0]]
        return Copy(int(numbers[best]), round(float(shares[best]), 4))

    def add(self, keys: Keys, number: int) -> None:
        """Take an article in."""
        self._bands.add(keys.bands, number)
        self._sketches.add(keys.sketch[:_INDEXED], number)

    def _originals(self, numbers: Numbers, before: int) -> Numbers:
        """Each article, or what it is itself a copy of, where that is still here: what a copy is said to be one of."""
        window = self._window
        found = set()
        for number in numbers.tolist():
            original = window.original(number)
            first = None if original is None else window.newest(original)
            found.add(number if first is None or window.firsts[window.slot(first)] >= before else first)
        return np.array(sorted(found), np.uint32)

    def build(self, numbers: Numbers) -> None:
        """Take many articles of the window in, ``numbers`` ascending."""
        keys = keys_of(self._window.rows[self._window.slots(numbers)])
        self._bands.build(keys.bands, numbers)
        self._sketches.build(keys.sketch[:, :_INDEXED], numbers)

    def needed(self, row: NDArray[np.void], slots: NDArray[np.intp]) -> NDArray[np.float64]:
        """What share of its shingles an article must have from each of some others to be its copy, (slots,)."""
        if row["shingles"] < _FLASH:
            return np.full(len(slots), _WHOLE)
        shared = self._likeness.cosines(row, slots)[0]
        return _STRANGERS - _ACQUAINTED * shared.astype(np.float64)


def share(row: NDArray[np.void], others: NDArray[np.void]) -> NDArray[np.float64]:
    """Of an article's shingles, the estimated share (0 to 1) that each of some others has.

    MinHash tells what two have of what both have together, from which the share follows by their sizes. Sketches
    tell it of the shingles below the lower of the two largest hashes kept. Each counts by how many of the article's
    own shingles it rests on.
    """
    own, theirs = float(row["shingles"]), others["shingles"].astype(np.float64)
    agreeing = np.count_nonzero(others["minhash"] == row["minhash"], axis=1) / PERMUTATIONS
    jaccard = np.clip((agreeing - _CHANCE) / (1 - _CHANCE), 0.0, 1.0)
    most = np.minimum(1.0, theirs / own)
    by_minhash = np.minimum(jaccard * (own + theirs) / ((1 + jaccard) * own), most)
    sketch = row["sketch"]
    reach = np.minimum(_reach(row), _reach(others))
    seen = np.searchsorted(sketch, reach, side="right")
    at = np.minimum(np.searchsorted(sketch, others["sketch"]), SKETCH - 1)
    both = ((sketch[at] == others["sketch"]) & (others["sketch"] <= reach[:, None])).sum(axis=1)
    by_sketch = np.minimum(both / np.maximum(seen, 1), most)
    weight = PERMUTATIONS * own / (own + theirs)
    found = (by_minhash * weight + by_sketch * seen) / (weight + seen)
    # Of a few words in a long text, one place that agrees by chance would make the whole.
    return np.where(weight + seen >= _EVIDENCE, found, 0.0)


def _reach(rows: NDArray[np.void]) -> NDArray[np.uint32]:
    """Up to which hash a sketch is complete; one below the mark for "no hash"."""
    return np.where(rows["shingles"] > SKETCH, rows["sketch"][..., -1], np.uint32(_NO_HASH - 1)).astype(np.uint32)


def keys_of(rows: NDArray[np.void]) -> Keys:
    """Keys of one article or many."""
    minhash = rows["minhash"]
    places = minhash[..., : _BANDS * _ROWS].reshape(*minhash.shape[:-1], _BANDS, _ROWS).astype(np.uint32)
    together = places[..., 0] | places[..., 1] << 8 | places[..., 2] << 16
    bands = ((together + _BAND_SPREAD) * _BYTE_SPREAD).astype(np.uint32, copy=False)
    sketch = rows["sketch"]
    return Keys(bands ^ bands >> np.uint32(15), np.where(sketch == _NO_HASH, np.uint32(0), sketch))
