"""Words cut into pieces of a fixed vocabulary, as models read them."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path


class Pieces:
    """Cuts words into the likeliest sequence of pieces of a fixed vocabulary (a unigram language model).

    Pieces are numbered in the order of the vocabulary; a word begins with ``▁``. A character that no piece has is
    ``unknown``.
    """

    def __init__(self, vocabulary: Sequence[tuple[str, float]], unknown: int) -> None:
        self._numbers = {piece: (number, score) for number, (piece, score) in enumerate(vocabulary)}
        self._longest = max((len(piece) for piece in self._numbers), default=1)
        self._unknown = (unknown, min((score for _, score in vocabulary), default=0.0) - 10.0)

    def of(self, word: str) -> list[int]:
        """The numbers of a word's pieces, at least one."""
        text = "▁" + unicodedata.normalize("NFKC", word)
        size = len(text)
        # best[i]: the score of the likeliest way to cut text[:i], with its last piece's beginning and number
        best: list[tuple[float, int, int]] = [(0.0, 0, 0)]
        for end in range(1, size + 1):
            score, number = self._unknown[1] + best[end - 1][0], self._unknown[0]
            top = (score, end - 1, number)
            for start in range(max(0, end - self._longest), end):
                known = self._numbers.get(text[start:end])
                if known is not None and best[start][0] + known[1] > top[0]:
                    top = (best[start][0] + known[1], start, known[0])
            best.append(top)
        found = []
        at = size
        while at:
            _, at, number = best[at]
            found.append(number)
        return found[::-1]


def read_pieces(path: Path, unknown: int) -> Pieces:
    """The pieces of a file with a piece and its score on each line, a tabulator between."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return Pieces([(piece, float(score)) for piece, score in (line.split("\t") for line in lines if line)], unknown)
