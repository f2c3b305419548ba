"""Measures quotations and their speakers, on seeds/ and on difficult passages.

A quotation is found when the characters of the two spans overlap by at least 0.8 (intersection over union). A speaker
is correct if it has the label's id. If the label has only a name, the speaker is correct if one of its mentions is that
name, or if it is null and no entity of the article has that name.
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

# An article, its language and the labels of its quotations.
_Row = tuple[AnnotatedArticle, str, list[dict[str, Any]]]


def measure() -> dict[str, dict[str, dict[str, float]]]:
    """By gold set (``seeds``, ``passages``) and language, including ``all``: counts of quotations, labelled (``gold``)
    and ``found``; ``precision``, ``recall`` and ``f1`` of spans; the same for pairs of span and speaker, prefixed
    ``speaker_``; and the share of labels with a speaker id that were found with it (``linked_recall``)."""
    return {"seeds": _score(_seeds()), "passages": _score(_passages())}


def _seeds() -> Iterable[_Row]:
    for sample, gold in zip(samples.seeds(), _lines(samples.SEEDS / "quotes.gold.jsonl"), strict=True):
        yield sample.annotated, sample.label["language"], gold["quotes"]


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
        correct = [(label, quote) for label, quote in pairs if _same_speaker(label, quote, annotated.entities)]
        for part in (language, "all"):
            counts[part]["gold"] += len(labels)
            counts[part]["found"] += len(found)
            counts[part]["hit"] += len(pairs)
            counts[part]["pair"] += len(correct)
            counts[part]["id"] += sum(label["speaker"] is not None for label in labels)
            counts[part]["linked"] += sum(label["speaker"] is not None for label, _ in correct)
    return {part: _figures(count) for part, count in counts.items()}


def _figures(count: dict[str, int]) -> dict[str, float]:
    figures: dict[str, float] = {"gold": count["gold"], "found": count["found"]}
    for prefix, correct in (("", count["hit"]), ("speaker_", count["pair"])):
        figures[f"{prefix}precision"] = correct / count["found"] if count["found"] else 0.0
        figures[f"{prefix}recall"] = correct / count["gold"] if count["gold"] else 0.0
        figures[f"{prefix}f1"] = 2 * correct / (count["found"] + count["gold"]) if correct else 0.0
    figures["linked_recall"] = count["linked"] / count["id"] if count["id"] else 0.0
    return figures


def _matched(
    article: AnnotatedArticle, labels: list[dict[str, Any]], found: Sequence[Quote]
) -> list[tuple[dict[str, Any], Quote]]:
    """Each label with the first quotation that overlaps it enough; each quotation is used once."""
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
    """The span of a label in the cleaned text. Cleaning may have shifted it; labels of HTML have no offsets."""
    expected = label.get("start", 0)
    starts = list(_occurrences(text, label["text"]))
    start = min(starts, key=lambda at: abs(at - expected), default=expected)
    return start, start + len(label["text"])


def _occurrences(text: str, part: str) -> Iterable[int]:
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
