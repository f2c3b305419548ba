"""Who said what: spans and speakers, on the labelled articles and on passages written with traps.

A quotation is found when the characters of the two spans overlap by at least 0.8 (intersection over union). A speaker
is right when it has the label's id; where the label has only a name, when one of the speaker's mentions is that name,
or when no entity of the article has it and the speaker is null.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evaluation import samples
from services.events import AnnotatedArticle, ArticleIn, Entity, Quote

_PASSAGES = Path(__file__).parent / "gold" / "quotes.jsonl"
_OVERLAP = 0.8

# An article, its language and the labels of what is said in it.
_Row = tuple[AnnotatedArticle, str, list[dict[str, Any]]]


def measure() -> dict[str, dict[str, dict[str, float]]]:
    """By gold set (``seeds``, ``passages``) and language, ``all`` included: counts of quotations in the labels
    (``gold``) and ``found``; ``precision``, ``recall`` and ``f1`` of spans; the same of pairs of span and speaker,
    prefixed ``speaker_``; and of the labels whose speaker has an id, the part found with it (``linked_recall``)."""
    return {"seeds": _score(_seeds()), "passages": _score(_passages())}


def _seeds() -> Iterable[_Row]:
    for sample, said in zip(samples.seeds(), _lines(samples.SEEDS / "quotes.gold.jsonl"), strict=True):
        yield sample.annotated, sample.label["language"], said["quotes"]


def _passages() -> Iterable[_Row]:
    for number, passage in enumerate(_lines(_PASSAGES)):
        article = ArticleIn(text=passage["text"], language=passage["language"])
        yield samples.sample(number, article, passage).annotated, passage["language"], passage["quotes"]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _score(rows: Iterable[_Row]) -> dict[str, dict[str, float]]:
    counts: dict[str, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(("gold", "found", "hit", "pair", "id", "linked"), 0)
    )
    for annotated, language, labels in rows:
        found = annotated.quotes
        pairs = _matched(annotated, labels, found)
        right = [(label, quote) for label, quote in pairs if _same_speaker(label, quote, annotated.entities)]
        for part in (language, "all"):
            counts[part]["gold"] += len(labels)
            counts[part]["found"] += len(found)
            counts[part]["hit"] += len(pairs)
            counts[part]["pair"] += len(right)
            counts[part]["id"] += sum(label["speaker"] is not None for label in labels)
            counts[part]["linked"] += sum(label["speaker"] is not None for label, _ in right)
    return {part: _figures(count) for part, count in counts.items()}


def _figures(count: dict[str, int]) -> dict[str, float]:
    figures: dict[str, float] = {"gold": count["gold"], "found": count["found"]}
    for prefix, right in (("", count["hit"]), ("speaker_", count["pair"])):
        figures[f"{prefix}precision"] = right / count["found"] if count["found"] else 0.0
        figures[f"{prefix}recall"] = right / count["gold"] if count["gold"] else 0.0
        figures[f"{prefix}f1"] = 2 * right / (count["found"] + count["gold"]) if right else 0.0
    figures["linked_recall"] = count["linked"] / count["id"] if count["id"] else 0.0
    return figures


def _matched(
    article: AnnotatedArticle, labels: list[dict[str, Any]], found: Sequence[Quote]
) -> list[tuple[dict[str, Any], Quote]]:
    """Each label with the first quotation that covers it, each quotation used once."""
    free = list(found)
    pairs = []
    for label in labels:
        span = _span(article.text, label)
        match = next((quote for quote in free if _overlap(span, (quote.start, quote.end)) >= _OVERLAP), None)
        if match is not None:
            free.remove(match)
            pairs.append((label, match))
    return pairs


def _span(text: str, label: dict[str, Any]) -> tuple[int, int]:
    """Where a label stands in the cleaned text, which may have shifted it; labels of HTML have no offsets."""
    near = label.get("start", 0)
    places = list(_places(text, label["text"]))
    start = min(places, key=lambda at: abs(at - near), default=near)
    return start, start + len(label["text"])


def _places(text: str, part: str) -> Iterable[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _overlap(first: tuple[int, int], second: tuple[int, int]) -> float:
    shared = min(first[1], second[1]) - max(first[0], second[0])
    return max(shared, 0) / (max(first[1], second[1]) - min(first[0], second[0]))


def _same_speaker(label: dict[str, Any], quote: Quote, entities: Sequence[Entity]) -> bool:
    if label["speaker"] is not None:
        return bool(quote.speaker == label["speaker"])
    name = label["speaker_name"]
    named = {e.id for e in entities if name and any(name in m.text or m.text in name for m in e.mentions)}
    return quote.speaker in named if named else quote.speaker is None
