"""BCubed: how well a grouping agrees with the true one, article by article (Bagga and Baldwin, 1998).

For each article, precision is the share of those told to be in its story that truly are, recall the share of those
truly in its story that are told to be. Both are averaged over the articles; F1 is the harmonic mean of the averages.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Literal, NamedTuple

Among = Literal["all", "within", "across"]


class Item(NamedTuple):
    """An article in a grouping: its true story, the story it was told to be in, its language.

    One that is not ``judged`` is company for the others and has no part in the averages.
    """

    truth: str
    told: str
    language: str
    judged: bool = True


def bcubed(items: Sequence[Item], among: Among = "all") -> dict[str, float]:
    """``precision``, ``recall`` and ``f1``; 0 where there is nothing to average.

    ``within`` compares each article with those in its own language only, ``across`` with those in other languages
    only. An article is always together with itself, save across languages: there, one that was told to be together
    with no article in another language has no precision, and one that truly is with none has no recall. Such articles
    are left out of that average, not counted as right.
    """
    right = _companions(items, among, lambda item: (item.truth, item.told))
    precision = _mean(right, _companions(items, among, lambda item: item.told))
    recall = _mean(right, _companions(items, among, lambda item: item.truth))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def _companions(items: Sequence[Item], among: Among, group: Callable[[Item], Hashable]) -> list[int]:
    """With how many of those that it is compared with each judged article shares a group."""
    everywhere = Counter(group(item) for item in items)
    at_home = Counter((group(item), item.language) for item in items)
    counts = []
    for item in items:
        if not item.judged:
            continue
        own, home = everywhere[group(item)], at_home[group(item), item.language]
        counts.append({"all": own, "within": home, "across": own - home}[among])
    return counts


def _mean(parts: Sequence[int], wholes: Sequence[int]) -> float:
    shares = [part / whole for part, whole in zip(parts, wholes, strict=True) if whole]
    return sum(shares) / len(shares) if shares else 0.0
