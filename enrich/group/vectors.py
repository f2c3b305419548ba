"""Packed vectors of the articles in the window, and their centre."""

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint import embedding

# The centre is the mean of so many newest vectors; of fewer than the second number it is none.
_NEWEST, _FEWEST = 2_000, 50


class PackedVectors:
    """A column of packed vectors: ``values`` (capacity, *shape, 128), and which slots have one (``present``)."""

    def __init__(self, capacity: int, *shape: int) -> None:
        self.values = np.zeros((capacity, *shape, embedding.BYTES), np.uint8)
        self.present = np.zeros(capacity, bool)

    def put(self, slot: int, value: NDArray[np.uint8] | None) -> None:
        """Set the value of a slot, or that it has none."""
        self.present[slot] = value is not None
        if value is not None:
            self.values[slot] = value


class CentredVectors(PackedVectors):
    """Packed vectors with the mean of the newest ones.

    Sums are of whole numbers, so the centre depends on the articles in the window alone, not on how it was filled.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._sum = np.zeros(2 * embedding.BYTES, np.int64)
        self._count = 0

    def entered(self, number: int, oldest: int, capacity: int) -> None:
        """Count an article that entered, and no longer the one that is not among the newest any more."""
        self._add(number % capacity, 1)
        left = number - _NEWEST
        if left >= oldest:
            self._add(left % capacity, -1)

    def evicted(self, number: int, last: int, capacity: int) -> None:
        """Count an article no longer that is evicted; its value must still be there."""
        if number > last - _NEWEST:
            self._add(number % capacity, -1)

    def centre(self) -> NDArray[np.float32]:
        """The mean of the newest vectors, in steps, (256,); zeros when there are few."""
        if self._count < _FEWEST:
            return np.zeros(len(self._sum), np.float32)
        return (self._sum / self._count).astype(np.float32)

    def _add(self, slot: int, sign: int) -> None:
        if self.present[slot]:
            self._sum += sign * embedding.steps(self.values[slot]).astype(np.int64)
            self._count += sign
