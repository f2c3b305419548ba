"""The entries of a feed document, converted to the fields of an article and checked."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from ingest.feeds.identity import Identity, Seen, identify
from ingest.producer import MAX_VALUE_BYTES
from services import kafka_topics
from services.clock import utc_now
from services.deadletters import SourceRecord
from services.documents.feed import FeedEntry
from services.events import ArticleIn
from services.identity import digest
from services.parsing import InvalidArticle, check
from services.store.feeds import Feed

# What an entry can do without: a wrong value costs the field, not the article.
_OPTIONAL: Final = ("language", "authors", "guid", "url", "published_at", "title")


@dataclass(frozen=True)
class Candidate:
    """A feed entry that may become an article.

    ``article``: the checked article, or why it is invalid. ``problems``: of the entry, a sentence for each.
    """

    entry: FeedEntry
    article: ArticleIn | InvalidArticle
    problems: list[str]
    identity: Identity

    @property
    def id(self) -> str:
        """The id of the article."""
        return self.identity.id

    def dead_letter(self) -> SourceRecord:
        """The entry as the source record of a dead letter: shaped like a raw article, so that a retry can send it.

        The record has never been on Kafka. Dead letters are identified by the position of their source record, so it
        gets a negative offset that is a hash of its id and content.
        """
        fields = _fields(self.entry)
        if isinstance(self.article, ArticleIn):
            fields |= self.article.model_dump()
        article = {**fields, "id": self.id, "received_at": utc_now()}
        value = _json({**article, "entry": asdict(self.entry)})
        if len(value) > MAX_VALUE_BYTES:
            value = _json(article)
        return SourceRecord(
            topic=kafka_topics.RAW.name,
            partition=-1,
            offset=-2 - int(digest(self.id, self.identity.content), 36) % 2**53,
            key=self.id.encode(),
            value=value,
        )

    def completed(self, feed: Feed, entry: FeedEntry) -> "Candidate":
        """The same with the full text of its page, if that is a valid article."""
        entry, article, problems = _checked(feed, entry)
        if isinstance(article, InvalidArticle):
            return self
        return replace(self, entry=entry, article=article, problems=problems)


def candidates(feed: Feed, entries: Sequence[FeedEntry], seen: Seen, *, day: int) -> list[Candidate]:
    """The entries of a document of a feed, in its order. Takes long for a large document.

    ``day``: days since 1970. Notes in ``seen`` which guids and links are shared.
    """
    checked = [_checked(feed, entry) for entry in entries]
    named = [_named(entry, article) for entry, article, _ in checked]
    identities = identify(named, seen, feed, day=day)
    return [
        Candidate(entry, article, problems, identity)
        for (entry, article, problems), identity in zip(checked, identities, strict=True)
    ]


def _checked(feed: Feed, entry: FeedEntry) -> tuple[FeedEntry, ArticleIn | InvalidArticle, list[str]]:
    """An entry with the source and language of its feed; its article, or why there is none; its problems."""
    if not (entry.html or "").strip() and not (entry.text or "").strip() and entry.title:
        entry = replace(entry, html=None, text=entry.title)
    entry = replace(entry, language=feed.options.language or entry.language)
    fields = _fields(entry) | {"source": feed.options.source_name}
    problems = [*entry.problems]
    article = check(fields)
    for _ in _OPTIONAL:
        if not isinstance(article, InvalidArticle) or article.field not in _OPTIONAL:
            break
        problems.append(str(article))
        fields[article.field] = [] if article.field == "authors" else None
        article = check(fields)
    return entry, article, problems


def _named(entry: FeedEntry, article: ArticleIn | InvalidArticle) -> FeedEntry:
    """What identifies an entry: its own guid, and its link as the article has it, as a push with this link would."""
    return replace(entry, guid=(entry.guid or "").strip() or None, url=getattr(article, "url", entry.url))


def _fields(entry: FeedEntry) -> dict[str, Any]:
    return {
        "title": entry.title,
        "url": entry.url,
        "guid": entry.guid,
        "html": entry.html,
        "text": entry.text,
        "published_at": entry.published_at,
        "authors": entry.authors,
        "language": entry.language,
    }


def _json(value: object) -> bytes:
    def plain(other: object) -> object:
        return other.isoformat() if isinstance(other, datetime) else str(other)

    return json.dumps(value, ensure_ascii=False, default=plain).encode("utf-8", "replace")
