"""Labelled articles: those of seeds/, and a folder of text files with a ``gold.json``."""

import functools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from enrich.annotate import annotate
from services.events import AnnotatedArticle, ArticleIn, RawArticle

SEEDS = Path(__file__).parent.parent / "seeds"
ARRIVAL = datetime(2026, 11, 6, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """An article as received, its labels, and the annotated article."""

    raw: RawArticle
    label: dict[str, Any]
    annotated: AnnotatedArticle


@functools.cache
def seeds() -> tuple[Sample, ...]:
    """The articles of seeds/ in order, annotated."""
    articles = (SEEDS / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    labels = (SEEDS / "articles.gold.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(
        sample(number, ArticleIn.model_validate_json(article), json.loads(label))
        for number, (article, label) in enumerate(zip(articles, labels, strict=True))
    )


def folder(path: Path) -> tuple[Sample, ...]:
    """The text files that ``gold.json`` in a folder lists, annotated."""
    labels = json.loads((path / "gold.json").read_text(encoding="utf-8"))
    return tuple(
        sample(number, ArticleIn(text=(path / label["file"]).read_text(encoding="utf-8")), label)
        for number, label in enumerate(labels)
    )


def sample(number: int, article: ArticleIn, label: dict[str, Any]) -> Sample:
    """An article with its labels, annotated; its number is its id."""
    raw = RawArticle(**article.model_dump(), id=str(number), received_at=ARRIVAL)
    return Sample(raw, label, annotate(raw))
