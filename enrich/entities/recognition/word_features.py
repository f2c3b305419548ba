"""The network's input for a word: its pieces, and hashes of its forms and parts. Shared by training and inference."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from services.normalization import ALL_MARKS

_MARKS = re.compile(f"[{ALL_MARKS}]")
_SPELLING = str.maketrans(
    {
        "أ": "ا",
        "إ": "ا",
        "آ": "ا",
        "ٱ": "ا",
        "ى": "ي",
        "ی": "ي",
        "ة": "ه",
        "ؤ": "و",
        "ئ": "ي",
        "ک": "ك",
        "گ": "ك",
        "ڤ": "ف",
        "پ": "ب",
        "چ": "ج",
    }
)
# Further characters of a word are ignored.
LONGEST = 30
BUCKETS = 1 << 16
FEATURES = 16
MOST_PIECES = 6
_AFFIXES = (1, 2, 3, 4)
_CONJUNCTIONS, _PREPOSITIONS = "وف", "بلكس"


def bare(word: str) -> str:
    """A word without diacritics and tatweel; a word of nothing else is unchanged."""
    return _MARKS.sub("", word) or word


def hashed(word: str) -> list[int]:
    """The numbers (below ``BUCKETS``) of a bare word's features, always ``FEATURES`` of them; 0 means none."""
    form = word.translate(_SPELLING)
    length = len(form)
    stem = _stem(form)
    noun = stem[2:] if stem.startswith("ال") and len(stem) > 4 else stem
    named = [f"w{form}", f"s{stem}", f"n{noun}", f"k{_shape(word)}", f"l{min(length, 9)}"]
    named += [f"a{noun[:3]}", f"z{noun[-3:]}", f"m{noun[1:4]}"]
    named += [f"p{form[:size]}" if length >= size else "" for size in _AFFIXES]
    named += [f"e{form[-size:]}" if length >= size else "" for size in _AFFIXES]
    return [crc32(name.encode("utf-8", "surrogatepass")) % (BUCKETS - 1) + 1 if name else 0 for name in named]


def _stem(form: str) -> str:
    """A word without the particles that may be written onto it; a guess, made the same way always."""
    if len(form) > 4 and form[0] in _CONJUNCTIONS:
        form = form[1:]
    if len(form) > 4 and form.startswith("لل"):
        return "ال" + form[2:]
    if len(form) > 4 and form[0] in _PREPOSITIONS:
        form = form[1:]
    return form


def _shape(word: str) -> str:
    first = word[0]
    if word.isdigit():
        return f"d{len(word)}" if len(word) < 5 else "d"
    if any(char.isdigit() for char in word):
        return "m"
    if "\u0600" <= first <= "\u06ff" and first.isalpha():
        return "a"
    if first.isalpha():
        return "u" if first.isupper() else "l"
    return first


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
