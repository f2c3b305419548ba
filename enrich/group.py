"""Group: every article meets every other of the window here; copies are marked and stories told.

Plain state and plain functions of it: the same articles in the same order give the same answers. Time is that of
the articles' arrival, never the clock's, so that a replayed log is grouped as it was the first time.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from enrich import signature
from enrich.duplicates import Copy, DuplicateIndex
from enrich.stories import Features, Stories, features
from services.events import AnnotatedArticle, Article, Record, Story

# What an article has of what annotate found.
_SHARED = Article.model_fields.keys() & AnnotatedArticle.model_fields.keys()


class Entry(Record):
    """What group must remember of an article besides the article itself: kept beside it on ``updates``."""

    sequence: int
    fingerprint: str
    signature: str
    terms: list[str]


@dataclass(slots=True)
class _Seen:
    """An article in the window: its newest revision."""

    received_at: datetime
    sequence: int
    revision: int
    fingerprint: str
    story: str
    features: Features


class Grouper:
    """The state of group. Not safe for two writers: one partition, one Grouper."""

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._duplicates = DuplicateIndex()
        self._stories = Stories()
        self._latest: datetime | None = None

    def __len__(self) -> int:
        return len(self._seen)

    def process(self, annotated: AnnotatedArticle) -> tuple[Article, Story] | None:
        """The article as subscribers see it and its story's new state.

        None when there is nothing to tell: the same content was here before, or a newer revision was (annotate
        delivers at least once, so an older revision can come again after a newer one).
        """
        self._expire(annotated.received_at)
        seen = self._seen.get(annotated.id)
        if seen is not None and (
            seen.fingerprint == annotated.fingerprint
            or (annotated.received_at, annotated.sequence) < (seen.received_at, seen.sequence)
        ):
            return None
        sketch = signature.unpack(annotated.signature)
        copy = self._duplicates.find(annotated.id, sketch)
        found = features(annotated, annotated.terms)
        article = Article(
            **{name: getattr(annotated, name) for name in _SHARED},
            revision=seen.revision + 1 if seen else 1,
            duplicate_of=copy.original if copy else None,
            similarity=copy.similarity if copy else None,
            story=self._story(annotated.id, seen, copy, found),
        )
        self._remember(article, entry_of(annotated), sketch, found)
        return article, self._stories.announce(article)

    def restore_article(self, article: Article, entry: Entry) -> None:
        """Take over an article that was published before, in the order of publication."""
        self._expire(article.received_at)
        found = features(article, entry.terms)
        self._remember(article, entry, signature.unpack(entry.signature), found)

    def announce(self, article: Article) -> Story:
        """The state of the article's story, for one that was published without it."""
        return self._stories.announce(article)

    def restore_story(self, story: Story) -> None:
        """Take over a story's state that was published before."""
        self._stories.restore(story)

    def _story(self, article_id: str, seen: _Seen | None, copy: Copy | None, found: Features) -> str:
        if seen is not None:  # A correction stays where the article was.
            return seen.story
        original = self._seen.get(copy.original) if copy else None
        return original.story if original else self._stories.choose(article_id, found)

    def _remember(self, article: Article, entry: Entry, sketch: signature.Signature, found: Features) -> None:
        before = self._seen.pop(article.id, None)
        self._seen[article.id] = _Seen(
            article.received_at, entry.sequence, article.revision, entry.fingerprint, article.story, found
        )
        self._duplicates.add(article.id, sketch, article.duplicate_of)
        self._stories.add(article.story, found)
        if before is not None:  # after the newer one is in, so that a story of one article stays open
            self._stories.remove(before.story, before.features)

    def _expire(self, now: datetime) -> None:
        """Forget what arrived a window before the newest arrival. Arrivals that come late do not turn time back."""
        self._latest = max(self._latest, now) if self._latest else now
        while self._seen:
            oldest_id, oldest = next(iter(self._seen.items()))
            if oldest.received_at >= self._latest - self._window:
                return
            del self._seen[oldest_id]
            self._duplicates.remove(oldest_id)
            self._stories.remove(oldest.story, oldest.features)


def entry_of(annotated: AnnotatedArticle) -> Entry:
    """What to remember of an article."""
    return Entry(
        sequence=annotated.sequence,
        fingerprint=annotated.fingerprint,
        signature=annotated.signature,
        terms=annotated.terms,
    )
