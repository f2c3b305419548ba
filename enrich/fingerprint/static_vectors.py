"""The meaning of a text as a vector, from a table: each word piece adds its row, frequent pieces little.

The table was fitted to a multilingual sentence encoder (training/vectors), so texts that say the same in different
languages have similar vectors. A title takes some 30 µs, an article's beginning some 100.
"""

import functools
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from enrich.text.pieces import Pieces, read_pieces

DIMENSIONS: Final = 256
# The axes on which the encoder's own vectors are laid, to be comparable with these.
AXES: Final = "axes.npz"
_TABLE, _SCALES, _PIECES = "table.npy", "scales.npy", "pieces.txt"
# Rows are stored in four bits, with a scale for each block of this many dimensions.
_BLOCK = 64
_LARGEST = 7
# Words of which the pieces are cached.
_CACHED_WORDS = 50_000
# A longer word is no word.
_LONGEST_WORD = 40
FOLDER: Final = Path(__file__).with_name("model")


class StaticVectors:
    """The table of a folder, and the vocabulary by which texts are cut into its rows. Not safe for several threads."""

    def __init__(self, folder: Path = FOLDER) -> None:
        # Mapped: the workers of a machine share it.
        self._table: NDArray[np.uint8] = np.load(folder / _TABLE, mmap_mode="r")
        self._scales = np.load(folder / _SCALES).astype(np.float32)
        self._unknown = len(self._table)
        self._pieces: Pieces = read_pieces(folder / _PIECES, self._unknown)
        self._words: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def vector(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a text, (256,); zeros where no piece of it is known."""
        rows = [row for word in text.split() for row in self._of(word)]
        if not rows:
            return np.zeros(DIMENSIONS, np.float32)
        packed = self._table[rows]
        found = np.empty((len(rows), DIMENSIONS), np.float32)
        found[:, 0::2] = packed.view(np.int8) >> 4
        found[:, 1::2] = (packed << 4).view(np.int8) >> 4
        blocks = found.reshape(len(rows), -1, _BLOCK)
        total: NDArray[np.float32] = np.einsum("rbd,rb->bd", blocks, self._scales[rows]).ravel()
        length = np.float32(np.sqrt(total @ total))
        if length:
            total /= length
        return total

    def _of(self, word: str) -> tuple[int, ...]:
        """The rows of a word's pieces."""
        found = self._words.get(word)
        if found is not None:
            self._words.move_to_end(word)
            return found
        found = tuple(row for row in self._pieces.of(word[:_LONGEST_WORD]) if row != self._unknown)
        self._words[word] = found
        if len(self._words) > _CACHED_WORDS:
            self._words.popitem(last=False)
        return found


@functools.cache
def load() -> StaticVectors:
    """The shipped table, loaded once per process."""
    return StaticVectors()


def write(folder: Path, rows: NDArray[np.float32], pieces: Sequence[tuple[str, float]]) -> None:
    """Write a table: ``rows`` (pieces, 256), and the pieces with their scores."""
    folder.mkdir(parents=True, exist_ok=True)
    blocks = rows.reshape(len(rows), -1, _BLOCK)
    scales = (np.abs(blocks).max(axis=2) / _LARGEST).astype(np.float16)
    steps = np.rint(blocks / np.maximum(scales.astype(np.float32), 1e-12)[:, :, None])
    whole = np.clip(steps, -_LARGEST, _LARGEST).astype(np.int8).reshape(len(rows), DIMENSIONS).view(np.uint8)
    np.save(folder / _TABLE, (whole[:, 0::2] << 4) | (whole[:, 1::2] & 15))
    np.save(folder / _SCALES, scales)
    # A piece with white space could not be read back; no word contains any.
    lines = [f"{'' if any(map(str.isspace, piece)) else piece}\t{np.float32(score)!s}\n" for piece, score in pieces]
    (folder / _PIECES).write_text("".join(lines), encoding="utf-8")
