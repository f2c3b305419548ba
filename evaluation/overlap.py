"""Which articles tell the same in the same words, found slowly and surely: by counting the words they share.

Nothing here knows of signatures. Pairs to look at share runs of five words that few articles have. Of each pair is then
counted which words of either text stand, in runs of four and more, anywhere in the other: paragraphs may have changed
places.
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

# Runs that more articles have are set phrases and furniture.
_RARE = 60
_RUN = 5
# Of the runs of the shorter text, so many must be in the longer for the pair to be looked at.
_LEAST_RUNS, _LEAST_SHARE = 3, 0.1
# Shorter runs agree by chance.
_SHARED_RUN = 4
_LEAST_WORDS = 15
_SAME, _PARTLY = 0.7, 0.4

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a text, without marks and case."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c) and c != "\u0640")
    return tuple(_WORD.findall(plain.casefold()))


def candidates(texts: Sequence[tuple[str, ...]]) -> dict[tuple[int, int], int]:
    """Pairs of texts (by their places, the smaller first) that may have much in common, with the rare runs shared."""
    runs = [np.unique(_hashes(text)) for text in texts]
    sizes = [len(own) for own in runs]
    places = np.repeat(np.arange(len(texts)), sizes)
    together = np.concatenate(runs)
    order = np.argsort(together, kind="stable")
    _, starts, counts = np.unique(together[order], return_index=True, return_counts=True)
    shared: Counter[tuple[int, int]] = Counter()
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        if count <= _RARE:
            shared.update(combinations(places[order[start : start + count]].tolist(), 2))
    return {
        pair: count
        for pair, count in shared.items()
        if count >= max(_LEAST_RUNS, _LEAST_SHARE * min(sizes[pair[0]], sizes[pair[1]]))
    }


def _hashes(text: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([hash(text[at : at + _RUN]) for at in range(len(text) - _RUN + 1)], np.int64)


def covered(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words of one text lie in runs of four words and more that stand in the other."""
    runs = {tuple(other[at : at + _SHARED_RUN]) for at in range(len(other) - _SHARED_RUN + 1)}
    count = end = 0
    for at in range(len(one) - _SHARED_RUN + 1):
        if tuple(one[at : at + _SHARED_RUN]) in runs:
            count += at + _SHARED_RUN - max(at, end)
            end = at + _SHARED_RUN
    return count


def verdict(one: Sequence[str], other: Sequence[str]) -> tuple[Verdict, float]:
    """What two texts are to each other, and the share of the shorter one's words that the longer has.

    ``same``: each has 70% of the other's words; ``excerpt``: the longer has 70% of the shorter one's; ``partly``: it
    has 40% of them; else ``different``. Fewer than 15 words in common prove nothing.
    """
    short, long = sorted((one, other), key=len)
    shared = covered(short, long)
    share = shared / len(short) if short else 0.0
    if shared < _LEAST_WORDS or share < _PARTLY:
        return "different", share
    if share < _SAME:
        return "partly", share
    return ("same" if covered(long, short) >= _SAME * len(long) else "excerpt"), share
