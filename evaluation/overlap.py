"""Labels pairs of articles by the words that they share: exact, slow, and independent of Khabar's signatures.

Candidate pairs share runs of five words that few articles have. For each pair, the words of each text are counted that
occur in the other, anywhere, in runs of four or more words: paragraphs may have moved.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["same", "excerpt", "partly", "different"]

# Runs in more articles than this are fixed phrases and boilerplate.
_RARE = 60
_RUN = 5
# A candidate pair shares at least this number, and this share, of the runs of the shorter text.
_MIN_RUNS, _MIN_SHARE = 3, 0.1
# Shorter runs are shared by chance.
_SHARED_RUN = 4
_MIN_WORDS = 15
_SAME, _PARTLY = 0.7, 0.4

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a text, without diacritics, case-folded."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c) and c != "\u0640")
    return tuple(_WORD.findall(plain.casefold()))


def candidates(texts: Sequence[tuple[str, ...]]) -> dict[tuple[int, int], int]:
    """Pairs of texts (by index, the smaller first) that may share much, with the number of shared rare runs."""
    runs = [np.unique(_hashes(text)) for text in texts]
    sizes = [len(own) for own in runs]
    indexes = np.repeat(np.arange(len(texts)), sizes)
    together = np.concatenate(runs)
    order = np.argsort(together, kind="stable")
    _, starts, counts = np.unique(together[order], return_index=True, return_counts=True)
    shared: Counter[tuple[int, int]] = Counter()
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        if count <= _RARE:
            shared.update(combinations(indexes[order[start : start + count]].tolist(), 2))
    return {
        pair: count
        for pair, count in shared.items()
        if count >= max(_MIN_RUNS, _MIN_SHARE * min(sizes[pair[0]], sizes[pair[1]]))
    }


def _hashes(text: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([hash(text[at : at + _RUN]) for at in range(len(text) - _RUN + 1)], np.int64)


def covered(one: Sequence[str], other: Sequence[str]) -> int:
    """The number of words of one text that are in runs of four or more words which occur in the other."""
    runs = {tuple(other[at : at + _SHARED_RUN]) for at in range(len(other) - _SHARED_RUN + 1)}
    count = end = 0
    for at in range(len(one) - _SHARED_RUN + 1):
        if tuple(one[at : at + _SHARED_RUN]) in runs:
            count += at + _SHARED_RUN - max(at, end)
            end = at + _SHARED_RUN
    return count


def verdict(one: Sequence[str], other: Sequence[str]) -> tuple[Verdict, float]:
    """The relation of two texts, and the share of the shorter text's words that the longer one has.

    ``same``: each has 70% of the other's words; ``excerpt``: the longer has 70% of the shorter one's; ``partly``: it
    has 40% of them; otherwise ``different``. Fewer than 15 common words count as none.
    """
    short, long = sorted((one, other), key=len)
    shared = covered(short, long)
    share = shared / len(short) if short else 0.0
    if shared < _MIN_WORDS or share < _PARTLY:
        return "different", share
    if share < _SAME:
        return "partly", share
    return ("same" if covered(long, short) >= _SAME * len(long) else "excerpt"), share
