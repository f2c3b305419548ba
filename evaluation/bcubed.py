"""BCubed: agreement of a grouping with the true one, per article (Bagga and Baldwin, 1998).

For each article, precision is the share of the articles assigned to its story that belong there; recall is the share
of the articles that belong to its story that were assigned to it. Both are averaged over the articles; F1 is the
harmonic mean of the averages.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Literal, NamedTuple

Among = Literal["all", "within", "across"]


class Item(NamedTuple):
    """An article in a grouping: its true story, the story it was assigned to, its language.

    An article that is not ``scored`` counts as a companion of others but not in the averages.
    """

    truth: str
    assigned: str
    language: str
    scored: bool = True


def bcubed(items: Sequence[Item], among: Among = "all") -> dict[str, float]:
    """``precision``, ``recall`` and ``f1``; 0 where there is nothing to average.

    ``within`` compares each article only with those in its own language, ``across`` only with those in other
    languages. An article is its own companion, except across languages: there, an article that was grouped with none in
    another language has no precision, and one that belongs with none has no recall. Such articles are left out of that
    average instead of counting as correct.
    """
    correct = _companions(items, among, lambda item: (item.truth, item.assigned))
    precision = _mean(correct, _companions(items, among, lambda item: item.assigned))
    recall = _mean(correct, _companions(items, among, lambda item: item.truth))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def _companions(items: Sequence[Item], among: Among, group: Callable[[Item], Hashable]) -> list[int]:
    """For each scored article, the number of compared articles in the same group."""
    everywhere = Counter(group(item) for item in items)
    same_language = Counter((group(item), item.language) for item in items)
    counts = []
    for item in items:
        if not item.scored:
            continue
        total, within = everywhere[group(item)], same_language[group(item), item.language]
        counts.append({"all": total, "within": within, "across": total - within}[among])
    return counts


def _mean(parts: Sequence[int], wholes: Sequence[int]) -> float:
    shares = [part / whole for part, whole in zip(parts, wholes, strict=True) if whole]
    return sum(shares) / len(shares) if shares else 0.0
