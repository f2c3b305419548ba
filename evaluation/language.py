"""Measures language detection: accuracy by kind of text and by language.

``gold/languages.jsonl`` has one text per line: ``{"text", "title", "language", "kind"}``, null where there is none. The
kinds are ``article`` (its title is also counted as a title), ``title``, ``short`` (two to five words), ``mixed``
(labelled with the language of most of the letters), ``dialect`` (of Arabic) and ``und`` (undetermined). All texts are
invented and were written for this file.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from enrich.text.language import detect

GOLD = Path(__file__).parent / "gold" / "languages.jsonl"


def measure() -> dict[str, Any]:
    """Accuracy by kind (``kinds``), and for articles and titles by language (``languages``); the number of texts of
    each kind (``texts``); and the errors (``confusions``: kind, language, answer, score, text)."""
    correct: Counter[tuple[str, str]] = Counter()
    count: Counter[tuple[str, str]] = Counter()
    confusions: list[tuple[str, str, str, float, str]] = []
    for kind, language, text in _texts():
        answer, score = detect(text)
        count[kind, language] += 1
        correct[kind, language] += answer == language
        if answer != language:
            confusions.append((kind, language, answer, score, text[:80]))
    kinds = dict.fromkeys(kind for kind, _ in count)
    texts = {kind: sum(number for (one, _), number in count.items() if one == kind) for kind in kinds}
    return {
        "kinds": {
            kind: sum(number for (one, _), number in correct.items() if one == kind) / texts[kind] for kind in kinds
        },
        "languages": {
            kind: {language: correct[kind, language] / count[kind, language] for one, language in count if one == kind}
            for kind in ("article", "title")
        },
        "texts": texts,
        "confusions": confusions,
    }


def _texts() -> Iterator[tuple[str, str, str]]:
    """Kind, language, text; an article follows its title, as in the pipeline."""
    for line in GOLD.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == "article":
            yield "article", row["language"], f"{row['title']}\n{row['text']}"
            yield "title", row["language"], row["title"]
        else:
            yield row["kind"], row["language"], row["text"] or row["title"]
