"""The entries of a feed document, converted to the fields of an article and checked."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ingest.feeds.feed import Feed, FeedError, is_web_url
from ingest.feeds.fetch import FeedDocument
from ingest.producer import MAX_VALUE_BYTES
from services import kafka_topics
from services.clock import utc_now
from services.deadletters import SourceRecord
from services.documents.feed import FeedEntry, NotAFeed
from services.documents.feed_parser import MAX_ENTRIES, PARSERS, parse_feed
from services.events import ArticleIn
from services.identity import article_id, digest, make_id
from services.parsing import InvalidArticle, check

__all__ = ["MAX_ENTRIES", "PARSERS", "Candidate", "read_candidates"]


@dataclass(frozen=True)
class Candidate:
    """A feed entry that may become an article.

    ``fields``: the fields of ``ArticleIn`` as in the entry, unchecked. ``id``: the article id. ``content``: a hash of
    the content, which changes when the entry is revised. ``article``: the checked article, or why it is invalid.
    """

    entry: Any
    fields: dict[str, Any]
    id: str
    content: str
    article: ArticleIn | InvalidArticle

    @classmethod
    def of(cls, entry: Any, fields: dict[str, Any], source: str, language: str | None) -> "Candidate":
        """Check the fields of one entry; ``source`` and ``language`` are those of its feed."""
        url = fields["url"]
        if url and url == fields["guid"] and not is_web_url(url):
            url = None  # feedparser uses a guid as the link unless the feed says that it is not a permalink
        fields = {**fields, "url": url, "source": source, "language": language}
        article = _check(fields)
        return cls(
            entry=entry,
            fields=fields,
            id=article_id(article) if isinstance(article, ArticleIn) else _make_id(fields),
            content=digest(fields["title"], fields["html"], fields["text"], fields["url"]),
            article=article,
        )

    def dead_letter(self) -> SourceRecord:
        """The entry as the source record of a dead letter: shaped like a raw article, so that a retry can send it.

        The record has never been on Kafka. Dead letters are identified by the position of their source record, so it
        gets a negative offset that is a hash of its id and content.
        """
        article = {**self.fields, "id": self.id, "received_at": utc_now()}
        value = _json({**article, "entry": dict(self.entry)})
        if len(value) > MAX_VALUE_BYTES:
            value = _json(article)
        return SourceRecord(
            topic=kafka_topics.RAW.name,
            partition=-1,
            offset=-2 - int(digest(self.id, self.fields["title"], self.fields["html"]), 36) % 2**53,
            key=self.id.encode(),
            value=value,
        )


def read_candidates(feed: Feed, document: FeedDocument) -> list[Candidate]:
    """The entries of a document, in its order. Blocks, for seconds if the document is hostile. Raises ``FeedError``."""
    try:
        content = parse_feed(document.data, content_type=document.content_type, url=document.url)
    except NotAFeed as error:
        raise FeedError(str(error)) from error
    return [Candidate.of(_entry(entry), _fields(entry), feed.source, entry.language) for entry in content.entries]


def _fields(entry: FeedEntry) -> dict[str, Any]:
    return {
        "title": entry.title,
        "url": entry.url,
        "guid": entry.guid,
        "html": entry.html,
        "text": entry.text,
        "published_at": entry.published_at,
        "authors": entry.authors,
    }


def _entry(entry: FeedEntry) -> dict[str, Any]:
    return {**asdict(entry), "link": entry.url}


def _check(fields: dict[str, Any]) -> ArticleIn | InvalidArticle:
    """The article with these fields; an invalid language or invalid authors are left out, not rejected."""
    article = check(fields)
    for _ in range(2):
        if isinstance(article, InvalidArticle) and article.field in {"language", "authors"}:
            fields = {**fields, article.field: None}
            article = check(fields)
    return article


def _make_id(fields: dict[str, Any]) -> str:
    content = (fields["title"], fields["html"])
    return make_id(source=fields["source"], guid=fields["guid"], url=fields["url"], content=content)


def _json(value: object) -> bytes:
    def plain(other: object) -> object:
        return other.isoformat() if isinstance(other, datetime) else str(other)

    return json.dumps(value, ensure_ascii=False, default=plain).encode("utf-8", "replace")
