"""Identities: which pairs of article and Wikidata id are found, and how many of those found are right.

An id counts once an article. An id given to a name that the labels leave without one («the Kremlin» as an
institution) is neither right nor wrong; it is counted apart.
"""

from collections.abc import Iterable
from typing import Any

from evaluation.samples import Sample


def measure(samples: Iterable[Sample]) -> dict[str, Any]:
    """Precision, recall, the pairs that were wrong and missed, and the number that nobody can judge."""
    right = unjudged = 0
    wrong: list[tuple[str, str]] = []
    missed: list[tuple[str, str]] = []
    for sample in samples:
        title = sample.annotated.title or sample.annotated.text[:40]
        gold = {_id(entity) for entity in sample.label["entities"]} - {None}
        unsure = {name for entity in sample.label["entities"] if not _id(entity) for name in _names(entity)}
        found = set()
        for entity in sample.annotated.entities:
            if not entity.id.startswith("Q"):
                continue
            if entity.id not in gold and {mention.text for mention in entity.mentions} & unsure:
                unjudged += 1
            else:
                found.add(entity.id)
        right += len(found & gold)
        names = {entity.id: entity.name for entity in sample.annotated.entities}
        wrong += [(title, f"{names[one]} {one}") for one in sorted(found - gold)]
        missed += [(title, str(one)) for one in sorted(gold - found, key=str)]
    return {
        "precision": right / (right + len(wrong)),
        "recall": right / (right + len(missed)),
        "pairs": right + len(missed),
        "unjudged": unjudged,
        "wrong": wrong,
        "missed": missed,
    }


def _id(entity: dict[str, Any]) -> str | None:
    known: str | None = entity.get("id") or entity.get("wikidata_id")
    return known


def _names(entity: dict[str, Any]) -> set[str]:
    return {mention["text"] for mention in entity.get("mentions", ())} | set(entity.get("name_ar", ()))
