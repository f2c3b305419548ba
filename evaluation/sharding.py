"""Simulates group in shards: the loss of quality and the messages sent (docs/explanation/scaling.md).

A shard is a grouper that sees only its part of a stream. It sends messages about its stories to a stitcher, which joins
stories of different shards. The stitcher has no articles: it has one vector per story, made of language-independent
features. Everything runs synchronously in one process, so no message is late; in production stitches would be delayed.
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
from evaluation.grouping import WINDOW, Grouped, StoryMembership, grouper
from evaluation.labelled_streams import Arrival
from services.events import AnnotatedArticle, Story

Route = Callable[[AnnotatedArticle], Hashable]

SOURCE_SHARDS = 4
# Stories are joined from this cosine of their vectors on.
_STITCH_COSINE = 0.45
# Stories are compared if they share one of a story's heaviest features (this number of them) that at most
# _MAX_STORIES_PER_KEY stories have.
_KEYS = 8
_MAX_STORIES_PER_KEY = 200
# A message has this number of features, and this number of bytes for ids, size and times.
_SENT_FEATURES = 32
_HEAD_BYTES = 64


def whole(_: AnnotatedArticle) -> Hashable:
    """One shard: group without sharding."""
    return ""


def by_language(article: AnnotatedArticle) -> Hashable:
    """One shard per language."""
    return article.language


def by_source(article: AnnotatedArticle) -> Hashable:
    """``SOURCE_SHARDS`` shards, independent of the language."""
    return crc32((article.source or article.id).encode()) % SOURCE_SHARDS


def arabic_by_source(article: AnnotatedArticle) -> Hashable:
    """One shard per language, and ``SOURCE_SHARDS`` for Arabic, the largest."""
    return (article.language, by_source(article) if article.language == "ar" else 0)


@dataclass(frozen=True, slots=True)
class Form:
    """How to shard. ``follow``: a near-duplicate goes to the shard of its original, as if a previous stage had found
    the near-duplicates (here they are taken from the labels)."""

    route: Route
    stitched: bool = True
    follow: bool = False


FORMS = {
    "one": Form(whole, stitched=False),
    "by language, not stitched": Form(by_language, stitched=False),
    "by language": Form(by_language),
    "Arabic by source too": Form(arabic_by_source),
    "Arabic by source too, near-duplicates found before": Form(arabic_by_source, follow=True),
    "by source, not stitched": Form(by_source, stitched=False),
    "by source": Form(by_source),
}


@dataclass(frozen=True, slots=True)
class Sharded:
    """The result of shards on a stream: the number of ``articles``, of ``shards``, and of articles in the ``largest``.

    ``messages``, of ``message_bytes`` in total, were sent to the stitcher, which made ``stitches``.
    """

    grouped: Grouped
    articles: int
    shards: int
    largest: int
    messages: int
    message_bytes: int
    stitches: int


def sharded(stream: Sequence[Arrival], form: Form, make: Callable[[], Grouper] = grouper) -> Sharded:
    """Group a stream in shards, each with a new grouper."""
    shards: defaultdict[Hashable, _Shard] = defaultdict(lambda: _Shard(make()))
    seen: Counter[Hashable] = Counter()
    shard_of: dict[str, Hashable] = {}
    stitcher = Stitcher()
    membership = StoryMembership()
    reports: list[tuple[str, float] | None] = []
    messages = message_bytes = 0
    for arrival in stream:
        name = form.route(arrival.annotated)
        if form.follow and arrival.original is not None:
            name = shard_of.get(arrival.original, name)
        shard_of[arrival.annotated.id] = name
        seen[name] += 1
        output = shards[name].grouper.process(arrival.annotated)
        reports.append(None)
        if output is None:
            continue
        membership.follow(output.article, output.stories)
        original, similarity = output.article.duplicate_of, output.article.similarity
        if original is not None and similarity is not None:
            reports[-1] = original, similarity
        for message in shards[name].messages(arrival.annotated, output.stories) if form.stitched else ():
            messages += 1
            message_bytes += _HEAD_BYTES + message.found.nbytes
            stitcher.apply(name, message)
    story_of = {article: stitcher.story(story) for article, story in membership.story_of.items()}
    return Sharded(
        Grouped(reports, StoryMembership(story_of, membership.merges, membership.splits)),
        len(stream),
        len(shards),
        max(seen.values()),
        messages,
        message_bytes,
        stitcher.stitches,
    )


def meeting(streams: Iterable[Sequence[Arrival]], hashes: int) -> dict[str, float]:
    """By grade, the share of near-duplicates that share one of their lowest hashes (``hashes`` of them) with their
    original: they meet it in a shard if each article goes to the shards of these hashes."""
    labelled: Counter[str] = Counter()
    met: Counter[str] = Counter()
    for stream in streams:
        lowest: dict[str, set[int]] = {}
        for arrival in stream:
            article = arrival.annotated
            signed = signature.unpack(article.signature, article.sketch, article.shingles)
            own = set(signed.sketch[:hashes].tolist())
            lowest.setdefault(article.id, own)
            true_grade = grade(arrival)
            if true_grade is not None and arrival.original in lowest:
                labelled[true_grade] += 1
                met[true_grade] += bool(own & lowest[arrival.original])
    return {name: met[name] / count for name, count in labelled.items()}


@dataclass(frozen=True, slots=True)
class Message:
    """A shard's message about a story: the mean of the language-independent features of its newest articles
    (``features.PACKED``) and its last publication. ``merged``: the story no longer exists; ``found`` is empty."""

    story: str
    last: datetime
    found: NDArray[np.void]
    merged: bool = False


@dataclass(slots=True)
class _Shard:
    """A grouper, and the state for its messages about stories that are new, have doubled since the last message, were
    merged or split."""

    grouper: Grouper
    _shared: dict[str, NDArray[np.void]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)

    def messages(self, article: AnnotatedArticle, stories: Sequence[Story]) -> Iterator[Message]:
        """The messages to the stitcher after an article, merged stories first."""
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
    """A story that the stitcher knows: its shard, its last message, its features weighted by their rarity among
    stories, and the joined stories of different shards that it is a part of, by shard."""

    shard: Hashable
    message: Message
    vector: dict[int, float]
    parts: dict[Hashable, str]


class Stitcher:
    """Joins stories of different shards. A joined story has at most one story of each shard: stories that a shard keeps
    apart stay apart."""

    def __init__(self) -> None:
        self.stitches = 0
        self._known: dict[str, _Known] = {}
        self._stories_with: defaultdict[int, set[str]] = defaultdict(set)
        self._frequency = np.zeros(FEATURES, np.int32)

    def story(self, story: str) -> str:
        """The id of the joined story that a shard's story is a part of, the same for all its parts."""
        known = self._known.get(story)
        return next(iter(known.parts.values())) if known else story

    def apply(self, shard: Hashable, message: Message) -> None:
        """Apply a shard's message, and stitch."""
        before = self._known.pop(message.story, None)
        if before is not None:
            self._frequency[before.message.found["feature"]] -= 1
            for feature in before.vector:
                self._stories_with[feature].discard(message.story)
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
            self._stories_with[feature].add(message.story)
        self._stitch(known)

    def _stitch(self, known: _Known) -> None:
        """Join a story with all similar ones that have no story of the same shards, the most similar first."""
        cosines = {other: self._cosine(known, self._known[other]) for other in self._near(known)}
        for other, cosine in sorted(cosines.items(), key=lambda pair: (-pair[1], pair[0])):
            parts = self._known[other].parts
            if cosine >= _STITCH_COSINE and not known.parts.keys() & parts.keys():
                self.stitches += 1
                together = parts | known.parts
                for part in together.values():
                    self._known[part].parts = together

    def _near(self, known: _Known) -> set[str]:
        stories_with = (self._stories_with[feature] for feature in list(known.vector)[:_KEYS])
        near = {story for stories in stories_with if len(stories) <= _MAX_STORIES_PER_KEY for story in stories}
        return {
            story
            for story in near - set(known.parts.values())
            if abs(self._known[story].message.last - known.message.last) <= WINDOW
        }

    def _cosine(self, one: _Known, other: _Known) -> float:
        return sum(weight * other.vector.get(feature, 0.0) for feature, weight in one.vector.items())
