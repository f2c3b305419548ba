"""Open stories: which one an article joins, which ones merge, which ones split.

A story is the set of its articles in the window; no sums are kept. Decisions about a story look at a sample of its
articles, so a very large story costs no more than a medium-sized one.
"""

import hashlib
from array import array
from base64 import b32encode
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from enrich.group import weights as feature_weights
from enrich.group.arrays import unique, unique_counts
from enrich.group.columns import SHARED
from enrich.group.index import RecentIndex
from enrich.group.similarity import Similarity
from enrich.group.window import Numbers, PendingArticle, Window

# The heaviest features by which an article is indexed, and how many it looks others up by.
_SHARED_KEYS, _TERM_KEYS, _QUERY_FEATURES = 16, 24, 40
_KEY_BITS = 6
_KEY_MASK = (1 << _KEY_BITS) - 1
# An article is compared with this many stories, by a sample of their first and newest articles.
_MAX_COMPARED = 6
_SAMPLE_FIRST, _SAMPLE_NEWEST = 4, 12
# Two stories that an article would join merge when their articles have this similarity on average.
_MERGE_THRESHOLD = 0.9
_MAX_MERGES = 2
# A story splits when its newest articles fall into two parts of at least _MIN_PART articles, each part with at least
# this mean similarity within, and less than that between the two.
_SPLIT_SAMPLE = 64
_MIN_SPLIT_SIZE = 8
_MIN_PART = 3
_SPLIT_MAX_SIMILARITY = 0.6
_SPLIT_MIN_COHESION = 1.0
# Added to every similarity, so that no article is without an edge in the bisected graph.
_SMOOTHING = 0.01
# Above this a similarity says no more.
_MAX_SIMILARITY = 2.0
# From this size on a story's title is that of its most central article, chosen from a sample.
_MIN_FOR_CENTRAL, _TITLE_SAMPLE = 3, 8
_RETITLE_SIZES = frozenset(size for power in range(1, 20) for size in (2**power, 2**power * 3 // 2))


@dataclass(slots=True)
class OpenStory:
    """A story with articles in the window: their numbers, ascending, and what outlives them.

    ``number`` is that of the article that opened the story; it orders stories by age. ``size`` counts every article
    that ever joined, ``first`` and ``last`` are their earliest and latest publication (µs since 1970), as ``extend``
    determines them. ``title_article`` is the number of the article whose title the story has.
    """

    id: str
    number: int
    members: "array[int]"
    size: int
    first: int
    last: int
    title_article: int = 0

    def extend(self, first: int, last: int, window: int) -> None:
        """Include publications from ``first`` to ``last``.

        Articles that are similar were published within ``window`` µs of each other. A near-duplicate or a revision may
        have a date further away, such as one with the wrong year: of two times so far apart the later one counts.
        """
        if last < self.first - window:
            return
        self.first = first if first > self.last + window else min(self.first, first)
        self.last = max(self.last, last)


class Stories:
    """All stories with an article in the window, by number."""

    def __init__(self, window: Window, similarity: Similarity) -> None:
        self._window = window
        self._similarity = similarity
        # An article has 50 keys, most of which it shares with others.
        self._index = RecentIndex(3 * window.capacity)
        self._open: dict[int, OpenStory] = {}
        self._by_id: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def story_of(self, number: int) -> OpenStory:
        """The story of an article."""
        return self._open[int(self._window.stories[self._window.slot(number)])]

    def find(self, story: str) -> OpenStory | None:
        """An open story by its id."""
        number = self._by_id.get(story)
        return None if number is None else self._open[number]

    def open(self, story: str, number: int) -> OpenStory:
        """The open story with this id, or a new one that begins with article ``number``."""
        found = self.find(story)
        if found is not None:
            return found
        opened = OpenStory(story, number, array("I"), 0, 0, 0)
        self._open[number] = opened
        self._by_id[story] = number
        return opened

    def matching(self, article: PendingArticle) -> list[OpenStory]:
        """The stories that an article is similar enough to join, the most similar first."""
        candidates = self._candidates(article.row)
        if not candidates:
            return []
        samples = [self._sample(story) for story in candidates]
        scores = self._similarity.score(article, self._window.slots(np.concatenate(samples)))
        starts = np.cumsum([0, *(len(sample) for sample in samples[:-1])])
        counts = np.array([len(sample) for sample in samples])
        # Mean of the highest and the average score: the average alone breaks up long stories, the highest alone chains
        # unrelated ones.
        totals = (np.maximum.reduceat(scores, starts) + np.add.reduceat(scores, starts) / counts) / 2
        ranked = sorted(zip((-totals).tolist(), candidates, strict=True), key=lambda pair: (pair[0], pair[1].number))
        return [story for total, story in ranked if total <= -1.0]

    def join(self, article: PendingArticle, story: OpenStory, *, grows: bool) -> int:
        """Add an article to the window and to a story; return its number.

        ``grows`` is false for a newer revision of an article that is in the story already.
        """
        number = self._window.add(article, story.number)
        story.members.append(number)
        published = int(article.row["published"])
        if not story.size:
            story.first = story.last = published
        story.extend(published, published, self._window.length)
        story.size += grows
        self._index.add(index_keys(article.row), number)
        return number

    def restore(self, article: PendingArticle, story: OpenStory) -> int:
        """Add an article that was processed before; ``build`` must be called to index it."""
        number = self._window.add(article, story.number)
        story.members.append(number)
        return number

    def build(self, numbers: Numbers) -> None:
        """Index restored articles, ``numbers`` ascending."""
        self._index.build(index_keys(self._window.rows[self._window.slots(numbers)]), numbers)

    def remove(self, number: int) -> None:
        """Remove an article from its story, if it is in one; a story without articles is closed."""
        story = self._open.get(int(self._window.stories[self._window.slot(number)]))
        if story is not None:
            story.members.remove(number)
            if not story.members:
                self._close(story)

    def supersede(self, number: int) -> None:
        """Remove an older revision from its story, which has the newer one already."""
        self.story_of(number).members.remove(number)
        self._window.supersede(number)

    def merge_candidates(self, stories: list[OpenStory]) -> list[OpenStory]:
        """Of the stories that an article matches, those that should merge with the first of them."""
        one = stories[0]
        return [
            other for other in stories[1 : 1 + _MAX_MERGES] if self._mean_similarity(one, other) >= _MERGE_THRESHOLD
        ]

    def merge(self, story: OpenStory, into: OpenStory) -> None:
        """Move all articles of one story to another and close it."""
        self._move(story.members, into)
        into.size += story.size
        into.extend(story.first, story.last, self._window.length)
        self._close(story)

    def split_candidates(self, story: OpenStory) -> list[int]:
        """The articles that should leave a story because they have little in common with the rest; mostly none.

        Checked whenever the story has doubled, among its newest 64 articles.
        """
        count = len(story.members)
        if count < _MIN_SPLIT_SIZE or count & (count - 1):
            return []
        members = np.array(story.members[-_SPLIT_SAMPLE:], np.uint32)
        scores = np.minimum(self._similarity.matrix(self._window.slots(members)), _MAX_SIMILARITY)
        part = _bisect(scores)
        if min(part.sum(), (~part).sum()) < _MIN_PART or scores[part][:, ~part].mean() >= _SPLIT_MAX_SIMILARITY:
            return []
        if min(_cohesion(scores, part), _cohesion(scores, ~part)) < _SPLIT_MIN_COHESION:
            return []
        return [int(number) for number in members[part]]

    def split(self, numbers: Iterable[int], of: OpenStory, into: OpenStory) -> None:
        """Move some articles of a story to a new one."""
        moving = sorted(numbers)
        for number in moving:
            of.members.remove(number)
        self._move(moving, into)
        published = np.sort(self._window.rows["published"][self._window.slots(np.array(moving, np.uint32))]).tolist()
        into.first = into.last = published[-1]
        for moment in reversed(published):
            into.extend(moment, moment, self._window.length)
        into.size = len(moving)
        of.size -= len(moving)

    def choose_title(self, story: OpenStory) -> None:
        """Choose the article that gives the story its title: the one most similar to its first and newest ones.

        Does so again when that article has left the story, and whenever the story has grown by half.
        """
        members, count = story.members, len(story.members)
        there = bisect_left(members, story.title_article)
        if there < count and members[there] == story.title_article and count not in _RETITLE_SIZES:
            return
        if count < _MIN_FOR_CENTRAL:
            story.title_article = members[0]
            return
        half = _TITLE_SAMPLE // 2
        sample = np.array(members if count <= _TITLE_SAMPLE else members[:half] + members[-half:], np.uint32)
        scores = np.minimum(self._similarity.matrix(self._window.slots(sample)), _MAX_SIMILARITY)
        story.title_article = int(sample[np.argmax(np.round(scores.sum(axis=1), 3))])

    def _candidates(self, row: NDArray[np.void]) -> list[OpenStory]:
        """Stories that share features with an article, most promising first."""
        window = self._window
        queried, key_weights = _query_keys(row, window.frequency)
        hits = self._index.find(queried)
        key, way = np.nonzero(hits >= window.oldest)
        stories = window.stories[window.slots(hits[key, way])]
        # A story with several articles under a key counts once for that key.
        pairs = unique((stories.astype(np.int64) << _KEY_BITS) | key)
        numbers = pairs >> _KEY_BITS
        found, counts = unique_counts(numbers)
        if not len(found):
            return []
        votes = np.add.reduceat(key_weights[pairs & _KEY_MASK], np.cumsum(counts) - counts)
        best = np.lexsort((found, -votes))[: _MAX_COMPARED + 1]
        return [self._open[number] for number in found[best].tolist() if number][:_MAX_COMPARED]

    def _sample(self, story: OpenStory) -> Numbers:
        members = story.members
        if len(members) > _SAMPLE_FIRST + _SAMPLE_NEWEST:
            first, newest = members[:_SAMPLE_FIRST], members[-_SAMPLE_NEWEST:]
            return np.concatenate([np.array(first, np.uint32), np.array(newest, np.uint32)])
        return np.array(members, np.uint32)

    def _mean_similarity(self, one: OpenStory, other: OpenStory) -> float:
        """The mean similarity of the articles of one story to those of another."""
        ours, theirs = self._sample(one), self._sample(other)
        scores = self._similarity.matrix(self._window.slots(np.concatenate([ours, theirs])))
        return float(scores[: len(ours), len(ours) :].mean())

    def _move(self, numbers: Iterable[int], into: OpenStory) -> None:
        moving = np.array(list(numbers), np.uint32)
        self._window.stories[self._window.slots(moving)] = into.number
        into.members = array("I", sorted([*into.members, *moving.tolist()]))

    def _close(self, story: OpenStory) -> None:
        del self._open[story.number]
        del self._by_id[story.id]


def story_id(article_id: str) -> str:
    """The id of the story that an article opens."""
    return "s" + b32encode(hashlib.sha256(b"story:" + article_id.encode()).digest()[:12]).decode().lower().rstrip("=")


def index_keys(rows: NDArray[np.void]) -> NDArray[np.uint32]:
    """The keys that one article or many are indexed by, (…, 50): heaviest shared features, terms and pairs."""
    features = rows["features"]
    terms = features[..., SHARED : SHARED + _TERM_KEYS]
    return np.concatenate([features[..., :_SHARED_KEYS], terms, feature_weights.pair_keys(features)], axis=-1)


def _query_keys(row: NDArray[np.void], frequency: NDArray[np.int32]) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The keys by which an article looks up others, and the weight of each; only features that others have."""
    features = row["features"]
    known = np.flatnonzero(frequency[features])[:_QUERY_FEATURES]
    weights = row["weights"][known].astype(np.float32)
    return (
        np.concatenate([features[known], feature_weights.pair_keys(features)]),
        np.concatenate([weights * weights, feature_weights.pair_weights(row["weights"])]),
    )


def _bisect(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The half that a spectral bisection (signs of the Fiedler vector) separates from the first article."""
    # Sentence vectors may be opposed: a negative edge would leave a node with less than nothing to divide by.
    edges = np.maximum((scores + scores.T) / 2, 0.0) + _SMOOTHING
    np.fill_diagonal(edges, 0.0)
    scale = 1 / np.sqrt(edges.sum(axis=1))
    _, vectors = np.linalg.eigh(np.eye(len(edges)) - edges * scale[:, None] * scale)
    side = vectors[:, 1] * vectors[0, 1]
    separated: NDArray[np.bool_] = side < 0
    return separated


def _cohesion(scores: NDArray[np.float32], part: NDArray[np.bool_]) -> float:
    """The mean similarity of the articles of a part to each other."""
    inside = scores[part][:, part]
    count = len(inside)
    return float((inside.sum() - np.trace(inside)) / (count * (count - 1)))
