"""Measures linking: pairs of article and Wikidata id.

An id counts once per article. An id given to a name that is labelled without one («the Kremlin» as an institution) is
neither correct nor wrong; it is counted separately.
"""

from collections.abc import Iterable
from typing import Any

from evaluation.samples import Sample


def measure(samples: Iterable[Sample]) -> dict[str, Any]:
    """``precision``, ``recall``, labelled ``pairs``, ``wrong`` and ``missed`` pairs, the number ``not_evaluated``."""
    correct = not_evaluated = 0
    wrong: list[tuple[str, str]] = []
    missed: list[tuple[str, str]] = []
    for sample in samples:
        title = sample.annotated.title or sample.annotated.text[:40]
        gold = {_id(entity) for entity in sample.label["entities"]} - {None}
        without_id = {name for entity in sample.label["entities"] if not _id(entity) for name in _names(entity)}
        found = set()
        for entity in sample.annotated.entities:
            if not entity.id.startswith("Q"):
                continue
            if entity.id not in gold and {mention.text for mention in entity.mentions} & without_id:
                not_evaluated += 1
            else:
                found.add(entity.id)
        correct += len(found & gold)
        names = {entity.id: entity.name for entity in sample.annotated.entities}
        wrong += [(title, f"{names[one]} {one}") for one in sorted(found - gold)]
        missed += [(title, str(one)) for one in sorted(gold - found, key=str)]
    return {
        "precision": correct / (correct + len(wrong)),
        "recall": correct / (correct + len(missed)),
        "pairs": correct + len(missed),
        "not_evaluated": not_evaluated,
        "wrong": wrong,
        "missed": missed,
    }


def _id(entity: dict[str, Any]) -> str | None:
    known: str | None = entity.get("id") or entity.get("wikidata_id")
    return known


def _names(entity: dict[str, Any]) -> set[str]:
    return {mention["text"] for mention in entity.get("mentions", ())} | set(entity.get("name_ar", ()))
