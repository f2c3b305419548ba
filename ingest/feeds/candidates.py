"""The entries of a feed document, converted to the fields of an article and checked."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ingest.feeds.feed import Feed, FeedError, is_web_url
from ingest.feeds.fetch import FeedDocument
from ingest.producer import MAX_VALUE_BYTES
from services import kafka_topics
from services.child_parser import MEGABYTE, ChildParser, ParserFailed
from services.clock import utc_now
from services.deadletters import SourceRecord
from services.events import ArticleIn
from services.identity import article_id, digest, make_id
from services.parsing import InvalidArticle, check

# Further entries of a feed document are ignored: the first ones are usually the newest.
MAX_ENTRIES = 5_000
# Documents that are parsed at the same time.
PARSERS: Final = 2
# An ordinary document of the largest size (``MAX_FEED_BYTES``) takes 3 s of CPU time.
CPU_SECONDS: Final = 10.0
_PARSER = ChildParser("services.documents.feed_parser:read", memory=256 * MEGABYTE, children=PARSERS)


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
            offset=-2 - int(digest(self.id, self.fields["title"], self.fields["html"]), 36) % 2**53,
            key=self.id.encode(),
            value=value,
        )


def read_candidates(feed: Feed, document: FeedDocument) -> list[Candidate]:
    """The entries of a document, in its order. Blocks, for seconds if the document is hostile. Raises ``FeedError``."""
    head = {"content_type": document.content_type, "url": document.url, "max_entries": MAX_ENTRIES}
    try:
        result = _PARSER.parse(json.dumps(head).encode() + b"\n" + document.data, cpu_seconds=CPU_SECONDS)
    except ParserFailed as error:
        raise FeedError(f"not parsed: {error}") from error
    first, *lines = (json.loads(line.decode("utf-8", "surrogatepass")) for line in result.split(b"\n"))
    if first["error"] is not None:
        raise FeedError(f"not a feed: {first['error']}")
    return [Candidate.of(line["entry"], line["fields"], feed.source, first["language"]) for line in lines]


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
