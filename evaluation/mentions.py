"""Mentions: what of all that an article names is found, with the right border and type, by language.

Compared as texts with types and how often each occurs, since cleaning may shift offsets.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from evaluation.samples import Sample


def measure(samples: Iterable[Sample]) -> dict[str, dict[str, float]]:
    """By language and for ``all``: labelled mentions (``count``), ``precision``, ``recall``, ``f1``.

    Articles that came as HTML have no labelled mentions and are left out.
    """
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    labelled: Counter[str] = Counter()
    for sample in samples:
        if sample.raw.text is None:
            continue
        gold = Counter(
            (mention["text"], one["type"]) for one in sample.label["entities"] for mention in one["mentions"]
        )
        told = Counter((mention.text, one.type) for one in sample.annotated.entities for mention in one.mentions)
        for part in (sample.label["language"], "all"):
            right[part] += (gold & told).total()
            found[part] += told.total()
            labelled[part] += gold.total()
    figures: dict[str, dict[str, float]] = defaultdict(dict)
    for part, count in sorted(labelled.items(), key=lambda item: -item[1]):
        figures[part] = {
            "count": count,
            "precision": right[part] / found[part] if found[part] else 0.0,
            "recall": right[part] / count if count else 0.0,
            "f1": 2 * right[part] / (found[part] + count) if right[part] else 0.0,
        }
    return dict(figures)
