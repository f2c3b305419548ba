"""Public corpora as they are downloaded, read in place."""

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
    """The texts of the first days of SaudiNewsNet: ZIP files of JSON, one a day."""
    for record in _newspapers(sorted(folder.glob("*.zip"))[:_DAYS]):
        yield record.get("content") or ""


def newspaper_articles(folder: Path) -> list[RawArticle]:
    """The articles of all days of SaudiNewsNet that have a text, as if they had arrived when they were extracted.

    An address that was extracted again is the same article again, as it would be on ``articles.raw``.
    """
    articles = [
        _arrived(record)
        for record in _newspapers(sorted(folder.glob("*.zip")))
        if (record.get("content") or "").strip()
    ]
    return sorted(articles, key=lambda article: article.received_at)


def _newspapers(days: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in days:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield from json.loads(archive.read(name))


def _arrived(record: dict[str, Any]) -> RawArticle:
    at = datetime.fromisoformat(record["date_extracted"]).replace(tzinfo=_RIYADH)
    article = ArticleIn(
        text=record["content"],
        title=record["title"],
        source=record["source"],
        url=record["url"],
        published_at=at,
    )
    return RawArticle(**article.model_dump(), id=article_id(article), received_at=at)
