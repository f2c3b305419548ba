"""Group in shards, simulated: what quality that costs and what it sends (docs/explanation/scaling.md).

A shard is a grouper that sees its part of a stream alone. What it tells of its stories goes to a stitcher, which finds
those of different shards that are one. The stitcher knows no articles: of each story it has one vector, of what all
languages share. All of it runs in one process and in step, so nothing is late; in truth stitches come after the fact.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint import features, signature
from enrich.fingerprint.features import FEATURES
from enrich.group import weights as feature_weights
from enrich.group.columns import WEIGHT_SCALE
from enrich.group.grouper import Grouper
from evaluation.duplicates import grade
from evaluation.grouping import WINDOW, Grouped, Places, grouper
from evaluation.streams import Arrival
from services.events import AnnotatedArticle, Story

Route = Callable[[AnnotatedArticle], Hashable]

SOURCE_SHARDS = 4
# Two stories are one when their vectors have this cosine.
_ALIKE = 0.45
# Compared are stories that have one of so many heaviest features in common, if no more than so many stories have it.
_FOUND_BY = 8
_MOST_FOUND = 200
# Of a story so many features are sent, and besides them this much: ids, size, times.
_SENT_FEATURES = 32
_HEAD_BYTES = 64


def whole(_: AnnotatedArticle) -> Hashable:
    """One shard: group as it is."""
    return ""


def by_language(article: AnnotatedArticle) -> Hashable:
    """A shard a language."""
    return article.language


def by_source(article: AnnotatedArticle) -> Hashable:
    """``SOURCE_SHARDS``, whatever the language."""
    return crc32((article.source or article.id).encode()) % SOURCE_SHARDS


def arabic_by_source(article: AnnotatedArticle) -> Hashable:
    """A shard a language, and ``SOURCE_SHARDS`` for Arabic, the largest."""
    return (article.language, by_source(article) if article.language == "ar" else 0)


@dataclass(frozen=True, slots=True)
class Form:
    """How to shard. ``follow``: a copy goes where its original went, as if a stage before had found the copies (here
    it is the truth that knows them)."""

    route: Route
    stitched: bool = True
    follow: bool = False


FORMS = {
    "one": Form(whole, stitched=False),
    "by language, not stitched": Form(by_language, stitched=False),
    "by language": Form(by_language),
    "Arabic by source too": Form(arabic_by_source),
    "Arabic by source too, copies found before": Form(arabic_by_source, follow=True),
    "by source, not stitched": Form(by_source, stitched=False),
    "by source": Form(by_source),
}


@dataclass(frozen=True, slots=True)
class Sharded:
    """What shards made of a stream of so many ``articles``, the ``largest`` of which saw so many of them.

    ``messages``, of ``message_bytes`` in all, went to the stitcher; ``stitches`` came from it.
    """

    grouped: Grouped
    articles: int
    shards: int
    largest: int
    messages: int
    message_bytes: int
    stitches: int


def sharded(stream: Sequence[Arrival], form: Form) -> Sharded:
    """Group a stream in shards."""
    shards: defaultdict[Hashable, _Shard] = defaultdict(_Shard)
    seen: Counter[Hashable] = Counter()
    homes: dict[str, Hashable] = {}
    stitcher = Stitcher()
    places = Places()
    copies: list[tuple[str, float] | None] = []
    messages = message_bytes = 0
    for arrival in stream:
        name = form.route(arrival.annotated)
        if form.follow and arrival.original is not None:
            name = homes.get(arrival.original, name)
        homes[arrival.annotated.id] = name
        seen[name] += 1
        told = shards[name].grouper.process(arrival.annotated)
        copies.append(None)
        if told is None:
            continue
        places.follow(told.article, told.stories)
        original, similarity = told.article.duplicate_of, told.article.similarity
        if original is not None and similarity is not None:
            copies[-1] = original, similarity
        for message in shards[name].messages(arrival.annotated, told.stories) if form.stitched else ():
            messages += 1
            message_bytes += _HEAD_BYTES + message.found.nbytes
            stitcher.hear(name, message)
    story_of = {article: stitcher.story(story) for article, story in places.story_of.items()}
    return Sharded(
        Grouped(copies, Places(story_of, places.merges, places.splits)),
        len(stream),
        len(shards),
        max(seen.values()),
        messages,
        message_bytes,
        stitcher.stitches,
    )


def meeting(streams: Iterable[Sequence[Arrival]], hashes: int) -> dict[str, float]:
    """Of the copies of each grade, the share that have one of their so many lowest hashes in common with their
    original: those that meet it in a shard when each article goes to the shards that these hashes name."""
    copies: Counter[str] = Counter()
    met: Counter[str] = Counter()
    for stream in streams:
        lowest: dict[str, set[int]] = {}
        for arrival in stream:
            article = arrival.annotated
            signed = signature.unpack(article.signature, article.sketch, article.shingles)
            own = set(signed.sketch[:hashes].tolist())
            lowest.setdefault(article.id, own)
            copied = grade(arrival)
            if copied is not None and arrival.original in lowest:
                copies[copied] += 1
                met[copied] += bool(own & lowest[arrival.original])
    return {name: met[name] / count for name, count in copies.items()}


@dataclass(frozen=True, slots=True)
class Message:
    """What a shard says of a story: how much its articles have of what all languages share (``features.PACKED``, the
    mean of the newest), and its last publication. ``merged``: it is no more, and nothing else is said."""

    story: str
    last: datetime
    found: NDArray[np.void]
    merged: bool = False


@dataclass(slots=True)
class _Shard:
    """A grouper, and what it needs to tell the stitcher of its stories: those that are new, that doubled since they
    were last spoken of, merged or split."""

    grouper: Grouper = field(default_factory=grouper)
    _shared: dict[str, NDArray[np.void]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)

    def messages(self, article: AnnotatedArticle, stories: Sequence[Story]) -> Iterator[Message]:
        """What the stitcher must know after an article, merged stories first."""
        self._shared[article.id] = features.unpack(article.shared)
        for story in stories:
            if story.merged_into is not None:
                self._sizes.pop(story.id)
                yield Message(story.id, story.last_published, np.zeros(0, features.PACKED), merged=True)
        for story in stories:
            changed = len(stories) > 1 or story.size >= 2 * self._sizes.get(story.id, 0)
            if story.merged_into is None and changed:
                self._sizes[story.id] = story.size
                yield Message(story.id, story.last_published, _mean(self._shared[one] for one in story.articles))


def _mean(found: Iterable[NDArray[np.void]]) -> NDArray[np.void]:
    """The heaviest features of several articles, each with the mean of its weights."""
    articles = list(found)
    every = np.concatenate(articles)
    names, at = np.unique(every["feature"], return_inverse=True)
    weights = np.bincount(at, weights=every["weight"], minlength=len(names)) / len(articles)
    heaviest = np.lexsort((names, -weights))[:_SENT_FEATURES]
    mean = np.zeros(len(heaviest), features.PACKED)
    mean["feature"], mean["weight"] = names[heaviest], weights[heaviest]
    return mean


@dataclass(slots=True)
class _Known:
    """A story that the stitcher knows: who told of it, its last message, its features weighed by their rarity among
    stories, and what it is a part of: stories of different shards that are one, by shard."""

    shard: Hashable
    message: Message
    vector: dict[int, float]
    parts: dict[Hashable, str]


class Stitcher:
    """Which stories of different shards are one. Of one shard it takes at most one story: those that a shard keeps
    apart stay apart."""

    def __init__(self) -> None:
        self.stitches = 0
        self._known: dict[str, _Known] = {}
        self._having: defaultdict[int, set[str]] = defaultdict(set)
        self._frequency = np.zeros(FEATURES, np.int32)

    def story(self, story: str) -> str:
        """A name for the whole that a shard's story is a part of, the same for all its parts."""
        known = self._known.get(story)
        return next(iter(known.parts.values())) if known else story

    def hear(self, shard: Hashable, message: Message) -> None:
        """Take in what a shard says, and stitch."""
        before = self._known.pop(message.story, None)
        if before is not None:
            self._frequency[before.message.found["feature"]] -= 1
            for feature in before.vector:
                self._having[feature].discard(message.story)
        if message.merged:
            if before is not None:
                del before.parts[shard]
            return
        no_terms = message.found[:0]
        numbers, weights = feature_weights.weigh(message.found, no_terms, self._frequency, len(self._known) + 1)
        vector = {
            feature: weight / WEIGHT_SCALE
            for feature, weight in zip(numbers.tolist(), weights.tolist(), strict=True)
            if weight
        }
        known = _Known(shard, message, vector, before.parts if before else {shard: message.story})
        self._known[message.story] = known
        self._frequency[message.found["feature"]] += 1
        for feature in vector:
            self._having[feature].add(message.story)
        self._stitch(known)

    def _stitch(self, known: _Known) -> None:
        """Make a story one with all that are alike and that nothing stands against, the likest first."""
        cosines = {other: self._cosine(known, self._known[other]) for other in self._near(known)}
        for other, cosine in sorted(cosines.items(), key=lambda pair: (-pair[1], pair[0])):
            parts = self._known[other].parts
            if cosine >= _ALIKE and not known.parts.keys() & parts.keys():
                self.stitches += 1
                together = parts | known.parts
                for part in together.values():
                    self._known[part].parts = together

    def _near(self, known: _Known) -> set[str]:
        having = (self._having[feature] for feature in list(known.vector)[:_FOUND_BY])
        near = {story for stories in having if len(stories) <= _MOST_FOUND for story in stories}
        return {
            story
            for story in near - set(known.parts.values())
            if abs(self._known[story].message.last - known.message.last) <= WINDOW
        }

    def _cosine(self, one: _Known, other: _Known) -> float:
        return sum(weight * other.vector.get(feature, 0.0) for feature, weight in one.vector.items())
