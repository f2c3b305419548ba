"""Reads public corpora in the form in which they are downloaded."""

import json
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from services.events import ArticleIn, RawArticle
from services.identity import article_id

_DAYS = 4
_RIYADH = timezone(timedelta(hours=3))


def newspaper_texts(folder: Path) -> Iterator[str]:
    """The texts of the first four days of SaudiNewsNet: ZIP files of JSON, one per day."""
    for record in _newspapers(sorted(folder.glob("*.zip"))[:_DAYS]):
        yield record.get("content") or ""


def newspaper_articles(folder: Path) -> list[RawArticle]:
    """The articles of all days of SaudiNewsNet that have a text; they arrive when they were extracted.

    A URL that was extracted again gives the same article again, as on ``articles.raw``.
    """
    articles = [
        _raw_article(record)
        for record in _newspapers(sorted(folder.glob("*.zip")))
        if (record.get("content") or "").strip()
    ]
    return sorted(articles, key=lambda article: article.received_at)


def _newspapers(days: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in days:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield from json.loads(archive.read(name))


def _raw_article(record: dict[str, Any]) -> RawArticle:
    at = datetime.fromisoformat(record["date_extracted"]).replace(tzinfo=_RIYADH)
    article = ArticleIn(
        text=record["content"],
        title=record["title"],
        source=record["source"],
        url=record["url"],
        published_at=at,
    )
    return RawArticle(**article.model_dump(), id=article_id(article), received_at=at)
