"""The default tier: a small network, distilled from a fine-tuned multilingual encoder.

A word's vector is computed from its pieces and its hashed features, and cached; the network then processes words with
their neighbours in the same sentence. The result for a sentence does not depend on the rest of the batch: tables and
products are of integers, and their scales are fixed.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from enrich.entities.recognition import decoding, word_features
from enrich.entities.recognition.decoding import Scores
from enrich.entities.recognition.recognizer import NameSpan
from enrich.entities.recognition.sentences import sentences
from enrich.entities.recognition.spans import Name, decoded, spans
from enrich.text.pieces import read_pieces
from enrich.text.tokens import Passage, Token

FOLDER = Path(__file__).with_name("model")
# Cached word vectors (256 bytes each), and words and marks processed at a time; in a longer text, repeated words are
# looked for within such a part.
_KEPT = 60_000
_AT_ONCE = 4_000
_UNKNOWN = 3
# Vectors have mean 0 and variance 1; larger values are clipped.
LARGEST = 4.5


class Student:
    """The network; safe to call from any thread."""

    languages: ClassVar[frozenset[str] | None] = frozenset({"ar"})

    def __init__(self, folder: Path = FOLDER) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._bias: float = config["name_bias"]
        self._share: float = config["consistency"]
        self._dilations: list[int] = config["dilations"]
        self._vectors = Vectors(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            folder / "network.onnx", options, providers=["CPUExecutionProvider"]
        )

    def find(self, passage: Passage) -> list[NameSpan]:
        """The names of an Arabic passage."""
        return spans(pair for part in _parts(sentences(passage)) for pair in self._named(part))

    def _named(self, part: Sequence[list[Token]]) -> Iterator[tuple[list[Token], list[Name]]]:
        """Sentences with their names."""
        scores = decoding.consistent(self._scores(part), [unit.form for units in part for unit in units], self._share)
        scores[:, 0] -= self._bias
        return zip(part, decoded(scores, [len(units) for units in part]), strict=True)

    def _scores(self, part: Sequence[Sequence[Token]]) -> Scores:
        """Log-probabilities [words, labels] of some sentences."""
        words = self._vectors.of([unit.surface for sentence in part for unit in sentence])
        lengths = np.array([len(sentence) for sentence in part])
        count = len(words)
        ends = np.cumsum(lengths)
        at = np.arange(count)
        before = at - np.repeat(ends - lengths, lengths)
        after = np.repeat(ends, lengths) - 1 - at
        # The neighbours of each word; row ``count`` is the padding outside a sentence.
        taps = [
            neighbour
            for step in self._dilations
            for neighbour in (np.where(before >= step, at - step, count), np.where(after >= step, at + step, count))
        ]
        (scores,) = self._session.run(None, {"words": words, "taps": np.stack(taps)})
        return np.asarray(scores, np.float32)


def _parts(found: Iterable[list[Token]]) -> Iterator[list[list[Token]]]:
    part: list[list[Token]] = []
    capacity = _AT_ONCE
    for sentence in found:
        if len(sentence) > capacity and part:
            yield part
            part, capacity = [], _AT_ONCE
        part.append(sentence)
        capacity -= len(sentence)
    if part:
        yield part


class Vectors:
    """The vectors of words as the network's input: 8-bit numbers around 128, cached by word."""

    def __init__(self, folder: Path) -> None:
        self._cut = read_pieces(folder / "pieces.txt", _UNKNOWN)
        self._tables = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("pieces", "hashed")]
        self._scale = 127 / LARGEST
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}
        self._kept = np.zeros((_KEPT, sum(table.shape[1] for table in self._tables)), np.uint8)

    def of(self, surfaces: Sequence[str]) -> NDArray[np.uint8]:
        """The vectors [words, width] of words; at most ``_KEPT`` different ones."""
        with self._lock:
            rows = self._rows
            fresh = [surface for surface in dict.fromkeys(surfaces) if surface not in rows]
            if fresh:
                if len(rows) + len(fresh) > _KEPT:
                    rows.clear()
                    fresh = list(dict.fromkeys(surfaces))
                self._kept[len(rows) : len(rows) + len(fresh)] = self._made(fresh)
                rows.update(zip(fresh, range(len(rows), len(rows) + len(fresh)), strict=True))
            return self._kept[[rows[surface] for surface in surfaces]]

    def _made(self, surfaces: Sequence[str]) -> NDArray[np.uint8]:
        words = [word_features.bare(surface[: word_features.LONGEST]) for surface in surfaces]
        pieces, hashed = self._tables
        halves = [
            _normal([pieces[self._cut.of(word)[: word_features.MOST_PIECES]].sum(0, dtype=np.int32) for word in words]),
            _normal([hashed[word_features.hashed(word)].sum(0, dtype=np.int32) for word in words]),
        ]
        scaled = np.rint(np.concatenate(halves, 1) * self._scale)
        return (np.clip(scaled, -127, 127) + 128).astype(np.uint8)


def _normal(sums: list[NDArray[np.int32]]) -> NDArray[np.float64]:
    """Rows with mean 0 and variance 1."""
    rows = np.stack(sums).astype(np.float64)
    rows -= rows.mean(1, keepdims=True)
    deviation = rows.std(1, keepdims=True)
    rows /= np.maximum(deviation, 1e-9)
    return rows
