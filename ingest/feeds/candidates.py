"""The entries of a feed document, converted to the fields of an article and checked."""

import calendar
import html
import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import feedparser

from ingest.feeds.feed import Feed, FeedError, is_web_url
from ingest.feeds.fetch import FeedDocument
from ingest.producer import MAX_VALUE_BYTES
from services import kafka_topics
from services.clock import utc_now
from services.deadletters import SourceRecord
from services.events import ArticleIn
from services.identity import article_id, digest, make_id
from services.parsing import InvalidArticle, check

# Further entries of a feed document are ignored: the first ones are usually the newest.
MAX_ENTRIES = 5_000
_TAG = re.compile(r"<[^>]*>")


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
    def of(cls, entry: Any, source: str, language: str | None) -> "Candidate":
        """Convert and check one entry; ``source`` and ``language`` are those of its feed."""
        fields = _fields(entry, source, language)
        article = _check(fields)
        return cls(
            entry=entry,
            fields=fields,
            id=article_id(article) if isinstance(article, ArticleIn) else _make_id(fields),
            content=digest(fields["title"], fields["html"], fields["url"]),
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
            offset=-1 - int(digest(self.id, self.fields["title"], self.fields["html"]), 36) % 2**53,
            key=self.id.encode(),
            value=value,
        )


def parse_document(document: FeedDocument) -> Any:
    """Parse a document with feedparser. It may take a minute for malicious input. Raises ``FeedError``."""
    headers = {"content-type": document.content_type, "content-location": document.url}
    try:
        # A stream, because feedparser would take a string for a URL or a file name.
        parsed = feedparser.parse(io.BytesIO(document.data), response_headers=headers)
    except Exception as error:  # its tolerant parser can raise any kind of error
        raise FeedError(f"not a feed: {error!r}") from error
    if not parsed.entries and (not parsed.get("version") or parsed.get("bozo")):
        raise FeedError(f"not a feed: {parsed.get('bozo_exception', 'neither RSS nor Atom')}")
    return parsed


def read_candidates(feed: Feed, parsed: Any) -> Iterator[Candidate]:
    """The entries of a parsed document, in its order."""
    language = parsed.feed.get("language")
    for entry in parsed.entries[:MAX_ENTRIES]:
        yield Candidate.of(entry, feed.source, language)


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


def _fields(entry: Any, source: str, language: str | None) -> dict[str, Any]:
    """The fields of ``ArticleIn`` as in an entry, unchecked."""
    bodies = [part.get("value") for part in entry.get("content", ()) if part.get("value")]
    title = entry.get("title")
    if title and "html" in (entry.get("title_detail") or {}).get("type", ""):
        title = html.unescape(_TAG.sub("", title))
    url = entry.get("link")
    if url and url == entry.get("id") and not is_web_url(url):
        url = None  # feedparser uses a guid as the link unless the feed says that it is not a permalink
    return {
        "title": title,
        "url": url,
        "guid": entry.get("id"),
        "html": bodies[0] if bodies else entry.get("summary"),
        "source": source,
        "published_at": _published(entry.get("published_parsed") or entry.get("updated_parsed")),
        "authors": [name for name in (author.get("name") for author in entry.get("authors", ())) if name],
        "language": language,
    }


def _published(parsed: time.struct_time | None) -> datetime | None:
    """feedparser's time, which is in UTC; None when it is missing or out of range."""
    if parsed is None:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _json(value: object) -> bytes:
    def plain(other: object) -> object:
        return other.isoformat() if isinstance(other, datetime) else str(other)

    return json.dumps(value, ensure_ascii=False, default=plain).encode("utf-8", "replace")
