"""Open stories and which of them an article joins.

An article and a story are compared by their entities (which speak all languages) and, where the story has
articles in the same language, by their content words; both are cosines of vectors weighted by rarity (inverse
document frequency among the articles in the window).
"""

import functools
import hashlib
import heapq
import math
from base64 import b32encode
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from services.events import AnnotatedArticle, Article, Entity, Span, Story

_SAME_LANGUAGE = 0.30
_ACROSS = 0.50
_ENTITY_SHARE = 0.5
_LISTED_ARTICLES = 50
_LISTED_ENTITIES = 20
# Below this a sum of weights is what rounding left of zero.
_NOTHING = 1e-9
# What more stories than this share with an article does not point to any of them.
_COMMON = 200
# Only the most promising stories are compared in full: a comparison costs as many steps as the story has terms.
_COMPARED = 8


@dataclass(slots=True)
class Features:
    """What of an article matters to its story: entity ids with weights, terms, language."""

    entities: dict[str, float]
    terms: dict[str, float]
    language: str


def features(article: AnnotatedArticle | Article, terms: list[str]) -> Features:
    """Features of an article: an entity weighs by its mentions, a term by its rank.

    Who is named in boilerplate alone has no part in the news.
    """
    language = article.language
    return Features(
        entities={
            entity.id: 1.0 + math.log1p(count)
            for entity in article.entities
            if (count := _mentions(entity, article.boilerplate)) or not entity.mentions
        },
        terms={f"{language}:{term}": 1.0 / math.sqrt(1 + rank / 8) for rank, term in enumerate(terms)},
        language=language,
    )


def _mentions(entity: Entity, boilerplate: list[Span]) -> int:
    """How often an entity is mentioned outside boilerplate."""
    return sum(
        not any(span.start <= mention.start and mention.end <= span.end for span in boilerplate)
        for mention in entity.mentions
    )


@dataclass(slots=True)
class _Open:
    """A story with the sums of its members' features (terms by language); ``public`` is its state as announced."""

    entities: dict[str, float] = field(default_factory=dict)
    terms: defaultdict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    languages: Counter[str] = field(default_factory=Counter)
    members: int = 0
    public: Story | None = None


class Stories:
    """All stories with an article in the window."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = defaultdict(_Open)
        self._by_feature: dict[str, set[str]] = defaultdict(set)
        self._frequency: Counter[str] = Counter()
        self._articles = 0

    def choose(self, article_id: str, found: Features) -> str:
        """The story an article joins: the most alike that is alike enough, otherwise a new one."""
        promising = heapq.nsmallest(_COMPARED, self._candidates(found).items(), key=lambda item: (-item[1], item[0]))
        best = max(((self._likeness(found, self._open[story]), story) for story, _ in promising), default=None)
        if best is not None and best[0] >= 1.0:
            return best[1]
        return story_id(article_id)

    def _candidates(self, found: Features) -> dict[str, float]:
        """Stories that share something with the article, with a rough measure of how much, per member."""
        shared: dict[str, float] = defaultdict(float)
        for names, terms in ((found.entities, False), (found.terms, True)):
            for name, weight in names.items():
                sharing = self._by_feature.get(name, ())
                if len(sharing) > _COMMON:
                    continue
                value = weight * self._rarity(name) ** 2
                for story in sharing:
                    opened = self._open[story]
                    sums = opened.terms[found.language] if terms else opened.entities
                    shared[story] += value * sums[name] / opened.members
        return shared

    def add(self, story: str, found: Features) -> None:
        """Count an article's features to its story."""
        opened = self._open[story]
        opened.members += 1
        opened.languages[found.language] += 1
        self._articles += 1
        for sums, values in ((opened.entities, found.entities), (opened.terms[found.language], found.terms)):
            for name, weight in values.items():
                sums[name] = sums.get(name, 0.0) + weight
                self._by_feature[name].add(story)
                self._frequency[name] += 1

    def remove(self, story: str, found: Features) -> None:
        """Take an article's features away again; a story without articles in the window is closed."""
        opened = self._open[story]
        opened.members -= 1
        opened.languages[found.language] -= 1
        self._articles -= 1
        for sums, values in ((opened.entities, found.entities), (opened.terms[found.language], found.terms)):
            for name, weight in values.items():
                sums[name] -= weight
                self._frequency[name] -= 1
                if self._frequency[name] <= 0:
                    del self._frequency[name]
                if sums[name] < _NOTHING:
                    del sums[name]
                    self._by_feature[name].discard(story)
                    if not self._by_feature[name]:
                        del self._by_feature[name]
        if opened.members <= 0:
            del self._open[story]

    def announce(self, article: Article) -> Story:
        """The story's new public state now that it has this article (or this new revision of one)."""
        opened = self._open[article.story]
        opened.public = _joined(opened.public, article, self._leading(opened, article))
        return opened.public

    def restore(self, story: Story) -> None:
        """Take over a public state that was announced before."""
        if story.id in self._open:
            self._open[story.id].public = story

    def _likeness(self, found: Features, story: _Open) -> float:
        """How alike, 1.0 being just enough."""
        entities = self._cosine(found.entities, story.entities)
        if not story.languages[found.language]:
            return entities / _ACROSS
        terms = self._cosine(found.terms, story.terms[found.language])
        return (_ENTITY_SHARE * entities + (1 - _ENTITY_SHARE) * terms) / _SAME_LANGUAGE

    def _cosine(self, one: dict[str, float], other: dict[str, float]) -> float:
        dot = own = 0.0
        for name, weight in one.items():
            rarity = self._rarity(name)
            own += (weight * rarity) ** 2
            dot += weight * other.get(name, 0.0) * rarity * rarity
        if not dot:
            return 0.0
        theirs = sum([(weight * self._rarity(name)) ** 2 for name, weight in other.items()])
        return dot / math.sqrt(own * theirs)

    def _rarity(self, name: str) -> float:
        return _log(self._articles + 2) - _log(self._frequency.get(name, 0) + 1)

    def _leading(self, opened: _Open, article: Article) -> list[Entity]:
        """The entities most of the story's articles name, without mentions."""
        known = {entity.id: entity for entity in (opened.public.entities if opened.public else ())}
        known |= {entity.id: entity for entity in article.entities if entity.id not in known}
        ranked = sorted(known.values(), key=lambda entity: (-opened.entities.get(entity.id, 0.0), entity.id))
        return [entity.model_copy(update={"mentions": []}) for entity in ranked[:_LISTED_ENTITIES]]


# Small numbers, asked for a hundred thousand times an article: looked up rather than calculated.
_log = functools.lru_cache(1_000_000)(math.log)


def story_id(article_id: str) -> str:
    """The id of the story that an article opens."""
    return "s" + b32encode(hashlib.sha256(b"story:" + article_id.encode()).digest()[:12]).decode().lower().rstrip("=")


def _joined(story: Story | None, article: Article, entities: list[Entity]) -> Story:
    when = _published(article)
    if story is None:
        return Story(
            id=article.story,
            title=article.title or _opening(article.text),
            languages=[article.language],
            size=1,
            sources=[article.source] if article.source else [],
            first_published=when,
            last_published=when,
            entities=entities,
            topics=article.topics,
            articles=[article.id],
        )
    others = [known for known in story.articles if known != article.id]
    topics = {topic.id: topic for topic in (*article.topics, *story.topics)}
    return Story(
        id=story.id,
        title=story.title,
        languages=sorted({*story.languages, article.language}),
        size=story.size + (article.revision == 1),
        sources=sorted({*story.sources, *([article.source] if article.source else [])}),
        first_published=min(story.first_published, when),
        last_published=max(story.last_published, when),
        entities=entities,
        topics=sorted(topics.values(), key=lambda topic: (-topic.score, topic.id)),
        articles=[article.id, *others][:_LISTED_ARTICLES],
    )


def _published(article: Article) -> datetime:
    return article.published_at or article.received_at


def _opening(text: str) -> str:
    first = text.split("\n", 1)[0]
    words = first.split()
    return first if len(words) <= 16 else " ".join(words[:16]) + " …"
