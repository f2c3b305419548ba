"""The quality tier: the fine-tuned multilingual encoder itself, from a folder that the operator names.

The folder contains ``encoder.onnx`` (word pieces to logits) and ``pieces.txt``; ``training/README.md`` describes how
they are made. It is much slower than the default tier. Sentences of one line are processed together, as context for
each other; lines are processed separately.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime

from enrich.entities.recognition import word_features
from enrich.entities.recognition.decoding import Scores
from enrich.entities.recognition.recognizer import NameSpan
from enrich.entities.recognition.sentences import sentences
from enrich.entities.recognition.spans import decoded, spans
from enrich.text.pieces import read_pieces
from enrich.text.tokens import Passage, Token
from services.errors import OperatorError

_FILES = ("encoder.onnx", "pieces.txt")
_BEGIN, _END, _UNKNOWN = 0, 2, 3
_MOST_PIECES = 12
# Pieces that are processed together; the encoder accepts 512 and was trained with windows of 200.
_WINDOW = 200
_MOST_AT_ONCE = 500


class Transformer:
    """The encoder; safe to call from any thread. Trained on Arabic names, it finds those of other languages too."""

    languages: ClassVar[frozenset[str] | None] = None

    def __init__(self, folder: Path | None) -> None:
        if folder is None:
            raise OperatorError("The quality tier of recognition needs a folder with its model: set KHABAR_NER_MODEL.")
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise OperatorError(f"The quality tier of recognition lacks {' and '.join(missing)} in {folder}.")
        self._cut = read_pieces(folder / "pieces.txt", _UNKNOWN)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                folder / "encoder.onnx", options, providers=["CPUExecutionProvider"]
            )
        except Exception as cause:  # onnxruntime's errors have no common base class
            raise OperatorError(f"{folder / 'encoder.onnx'} is not a valid model: {cause}") from cause

    def find(self, passage: Passage) -> list[NameSpan]:
        """The names of a passage."""
        found = list(sentences(passage))
        scores = [rows for window in self._windows(passage, found) for rows in self._scores(window)]
        if not scores:
            return []
        named = decoded(np.concatenate(scores), [len(rows) for rows in scores])
        return spans(zip(found, named, strict=True))

    def _windows(self, passage: Passage, found: Sequence[list[Token]]) -> Iterator[list[list[list[int]]]]:
        """Sentences, as the pieces of their words, that are processed together."""
        window: list[list[list[int]]] = []
        capacity = _WINDOW
        end = 0
        for sentence in found:
            words = [self._cut.of(word_features.bare(unit.surface[: word_features.LONGEST])) for unit in sentence]
            words = _limited([word[:_MOST_PIECES] for word in words])
            size = sum(map(len, words)) + 1
            if window and (size > capacity or "\n" in passage.text[end : sentence[0].start]):
                yield window
                window, capacity = [], _WINDOW
            window.append(words)
            capacity -= size
            end = sentence[-1].end
        if window:
            yield window

    def _scores(self, window: Sequence[Sequence[Sequence[int]]]) -> list[Scores]:
        ids: list[int] = [_BEGIN]
        firsts: list[list[int]] = []
        for sentence in window:
            firsts.append([])
            for pieces in sentence:
                firsts[-1].append(len(ids))
                ids.extend(pieces)
            ids.append(_END)
        row = np.array([ids], np.int64)
        logits = np.asarray(self._session.run(None, {"ids": row, "attention": np.ones_like(row)})[0][0], np.float64)
        logits -= logits.max(1, keepdims=True)
        logs = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
        return [logs[places] for places in firsts]


def _limited(words: list[list[int]]) -> list[list[int]]:
    """The pieces of words, fewer per word where a sentence would have more than the encoder accepts."""
    most = _MOST_PIECES
    while sum(map(len, words)) > _MOST_AT_ONCE and most > 1:
        most -= 1
        words = [word[:most] for word in words]
    return words
