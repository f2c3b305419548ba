"""Measures mentions: labelled mentions that are found with the correct text and type, by language.

Texts, types and counts are compared instead of offsets, since cleaning may shift offsets.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from evaluation.samples import Sample


def measure(samples: Iterable[Sample]) -> dict[str, dict[str, float]]:
    """By language and for ``all``: labelled mentions (``count``), ``precision``, ``recall``, ``f1``.

    Articles in HTML have no labelled mentions and are left out.
    """
    correct: Counter[str] = Counter()
    found: Counter[str] = Counter()
    labelled: Counter[str] = Counter()
    for sample in samples:
        if sample.raw.text is None:
            continue
        gold = Counter(
            (mention["text"], one["type"]) for one in sample.label["entities"] for mention in one["mentions"]
        )
        predicted = Counter((mention.text, one.type) for one in sample.annotated.entities for mention in one.mentions)
        for part in (sample.label["language"], "all"):
            correct[part] += (gold & predicted).total()
            found[part] += predicted.total()
            labelled[part] += gold.total()
    figures: dict[str, dict[str, float]] = defaultdict(dict)
    for part, count in sorted(labelled.items(), key=lambda item: -item[1]):
        figures[part] = {
            "count": count,
            "precision": correct[part] / found[part] if found[part] else 0.0,
            "recall": correct[part] / count if count else 0.0,
            "f1": 2 * correct[part] / (found[part] + count) if correct[part] else 0.0,
        }
    return dict(figures)
