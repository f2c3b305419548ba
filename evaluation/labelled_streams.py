"""Streams to measure group with: annotated articles in the order of their arrival, with their labels."""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate

from enrich.annotate import annotate
from enrich.fingerprint.embedding import Encoder, embed
from enrich.text.boilerplate import BoilerplateDetector
from evaluation.samples import SEEDS
from ingest.generator import Stream
from services.events import AnnotatedArticle, ArticleIn, RawArticle
from services.identity import article_id


@dataclass(frozen=True, slots=True)
class Arrival:
    """An article of a stream as group receives it, with its labels.

    ``story`` is the same for all articles of a story. ``original`` is the id of the article that this one is a
    near-duplicate of, or None. ``kind`` and ``changed`` are those of ``ingest.generator.Truth``; a near-duplicate in
    seeds/ has the kind ``copy``, and ``changed`` is None because it is not labelled.
    """

    annotated: AnnotatedArticle
    language: str
    story: str
    kind: str
    original: str | None = None
    changed: float | None = None


def generated(articles: int, seed: int) -> list[Arrival]:
    """A generated stream, annotated by one worker from the first article on."""
    boilerplate = BoilerplateDetector()
    ids: dict[str, str] = {}
    arrivals = []
    for sequence, (fields, truth) in enumerate(Stream(articles, seed)):
        raw = _raw(ArticleIn.model_validate(fields), truth.arrives_at)
        ids.setdefault(truth.guid, raw.id)
        arrivals.append(
            Arrival(
                annotated=annotate(raw, sequence, boilerplate=boilerplate),
                language=truth.language,
                story=truth.story,
                kind=truth.kind,
                original=ids[truth.duplicate_of] if truth.duplicate_of else None,
                changed=truth.changed,
            )
        )
    return arrivals


def encoded(arrivals: Sequence[Arrival], encoder: Encoder) -> list[Arrival]:
    """The same articles with the vectors of a sentence encoder, as with ``KHABAR_VECTORS``."""
    found = []
    for arrival in arrivals:
        article = arrival.annotated
        vectors = embed(article.title, article.text, article.boilerplate, article.entities, encoder)
        found.append(replace(arrival, annotated=article.model_copy(update=dict(vectors))))
    return found


@functools.cache
def seeds() -> tuple[Arrival, ...]:
    """The articles of seeds/; each arrives when it was published, but never before the line above it."""
    lines = (SEEDS / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    gold = (SEEDS / "articles.gold.jsonl").read_text(encoding="utf-8").splitlines()
    articles = [ArticleIn.model_validate_json(line) for line in lines]
    labels = [json.loads(line) for line in gold]
    boilerplate = BoilerplateDetector()
    ids: dict[str, str] = {}
    arrivals = []
    for sequence, (article, label, at) in enumerate(zip(articles, labels, _times(articles), strict=True)):
        raw = _raw(article, at)
        if label["guid"]:
            ids.setdefault(label["guid"], raw.id)
        original = label["duplicate_of"]
        arrivals.append(
            Arrival(
                annotated=annotate(raw, sequence, boilerplate=boilerplate),
                language=label["language"],
                story=label["story"],
                kind="correction" if label["revision"] > 1 else "copy" if original else "original",
                original=ids[original] if original else None,
            )
        )
    return tuple(arrivals)


def _raw(article: ArticleIn, at: datetime) -> RawArticle:
    return RawArticle(**article.model_dump(), id=article_id(article), received_at=at)


def _times(articles: list[ArticleIn]) -> Iterator[datetime]:
    """When each article was published, or the latest time so far if that is unknown or earlier."""
    first = next(article.published_at for article in articles if article.published_at)
    return accumulate((article.published_at or first for article in articles), max)
