"""Measures how well glued words, boilerplate and dates are found. Returns figures as dicts and prints nothing.

Precision and recall are None where the denominator is zero.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from enrich.dates import finder
from enrich.text import cleaning
from enrich.text.boilerplate import BoilerplateDetector
from enrich.text.spacing import split_glued

SEEDS = Path(__file__).parent.parent / "seeds"
GOLD = Path(__file__).with_name("gold")

Figures = dict[str, Any]


def glued(seeds: Path = SEEDS) -> Figures:
    """Glued words in the seed articles: ``found`` and ``missed`` labelled ones, and ``damaged`` other ``words``.

    A split at a sentence end or another boundary inside a token counts as damage too, as the seeds have none.
    """
    found = missed = damaged = words = 0
    for article, gold in _articles(seeds):
        body = cleaning.clean(article.get("text"), article.get("html"))
        labelled = set(gold["glued"])
        split = {word for word in body.split() if split_glued(word) != word}
        repaired = {word for word in labelled if any(word in token for token in split)}
        found += len(repaired)
        missed += len(labelled) - len(repaired)
        damaged += sum(not any(word in token for word in labelled) for token in split)
        words += len(body.split())
    return {"words": words, "found": found, "missed": missed, "damaged": damaged}


def changed_tokens(texts: Iterable[str]) -> Figures:
    """Changes in texts without labels, which may be correct: ``changed`` tokens of ``words``, and ``per_100k``."""
    words = changed = 0
    for text in texts:
        tokens = text.split()
        words += len(tokens)
        changed += sum(split_glued(token) != token for token in tokens)
    return {"words": words, "changed": changed, "per_100k": changed / words * 100_000 if words else None}


def boilerplate(seeds: Path = SEEDS, warm: bool = False) -> Figures:
    """Boilerplate lines in the seed articles, each article seen once, in order. ``warm``: all were learnt before.

    Labelled lines that are missing from the text extracted from HTML are left out.
    """
    finder = BoilerplateDetector()
    articles = [
        (article, gold, cleaning.clean(article.get("text"), article.get("html"))) for article, gold in _articles(seeds)
    ]
    if warm:
        for article, _, text in articles:
            finder.learn(article["source"], text)
    hits = extra = missed = 0
    for article, gold, text in articles:
        have = set(_lines([text]))
        wanted = set(_lines(gold["boilerplate"])) & have
        got = set(_lines(text[span.start : span.end] for span in finder.find(article["source"], text)))
        hits += len(wanted & got)
        extra += len(got - wanted)
        missed += len(wanted - got)
    return _rates(hits, extra, missed)


def day_mentions(path: Path = GOLD / "dates.jsonl") -> Figures:
    """Dates in sentences of six languages; a hit has the correct text, day and basis."""
    hits = extra = missed = 0
    for case in _records(path):
        published = datetime.fromisoformat(case["published_at"])
        found = finder.find(case["text"], case["language"], published, published)
        got = {(day.text, day.date.isoformat(), day.basis) for day in found}
        wanted = {(day["text"], day["date"], day["basis"]) for day in case["dates"]}
        hits += len(wanted & got)
        extra += len(got - wanted)
        missed += len(wanted - got)
    return _rates(hits, extra, missed)


def _rates(hits: int, extra: int, missed: int) -> Figures:
    return {
        "hits": hits,
        "extra": extra,
        "missed": missed,
        "precision": hits / (hits + extra) if hits + extra else None,
        "recall": hits / (hits + missed) if hits + missed else None,
    }


def _lines(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        yield from filter(None, map(str.strip, part.split("\n")))


def _articles(seeds: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    return zip(_records(seeds / "articles.jsonl"), _records(seeds / "articles.gold.jsonl"), strict=True)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
