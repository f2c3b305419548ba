"""Reads OG2021: titles of news on the Olympic Games of 2021, each with its event, in two halves."""

import hashlib
import json
import lzma
from collections.abc import Sequence
from pathlib import Path

from enrich.annotate import annotate
from enrich.text.boilerplate import BoilerplateDetector
from enrich.text.cleaning import EmptyText
from evaluation.labelled_streams import Arrival
from services.events import ArticleIn, RawArticle
from services.identity import article_id

FILE = Path("stories", "og2021-dev.jsonl.xz")


def stream(data: Path) -> list[Arrival]:
    """The titles of a folder of corpora as articles that repeat their title, in the order of publication."""
    with lzma.open(data / FILE, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    boilerplate = BoilerplateDetector()
    arrivals = []
    for sequence, line in enumerate(sorted(lines, key=lambda line: str(line["published_at"]))):
        article = ArticleIn.model_validate({key: line[key] for key in line if key in ArticleIn.model_fields})
        if article.published_at is None:
            raise ValueError(f"{FILE}: {line['guid']} has no date")
        raw = RawArticle(**article.model_dump(), id=article_id(article), received_at=article.published_at)
        try:
            annotated = annotate(raw, sequence, boilerplate=boilerplate)
        except EmptyText:  # a line of markup or of a link alone
            continue
        arrivals.append(Arrival(annotated, line["lang"], line["cluster"], "title"))
    return arrivals


def half(arrivals: Sequence[Arrival], number: int) -> list[Arrival]:
    """The titles of about half of the events, by a hash of their names. ``number``: 0 or 1."""
    return [arrival for arrival in arrivals if _digest(arrival.story) % 2 == number]


def _digest(name: str) -> int:
    return int(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(), 16)
