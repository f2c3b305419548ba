"""Open stories: which one an article joins, which become one, which fall apart.

A story is its articles in the window; there are no sums to keep. What is asked of one is asked of a sample of its
articles, so that the largest costs as much as a middling one.
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
from enrich.group.arrays import counted, distinct
from enrich.group.columns import SHARED
from enrich.group.index import RecentIndex
from enrich.group.similarity import Similarity
from enrich.group.window import Numbers, PendingArticle, Window

# Stories that share most with an article are compared with it: so many, by so many of their first and newest articles.
_COMPARED = 6
_FOUND_BY, _FOUND_BY_TERMS, _SOUGHT = 16, 24, 40
_KEY_BITS = 6
_KEY_MASK = (1 << _KEY_BITS) - 1
_FIRST, _NEWEST = 4, 12
# Two stories that an article would join are one when their articles are alike so much on average.
_ONE = 0.9
_BRIDGED = 2
# A story falls apart where two parts, of three articles at least, are each of a kind and have little in common.
_LOOKED_AT = 64
_SMALLEST_SPLIT = 8
_PART = 3
_APART = 0.6
_TOGETHER = 1.0
_MOST_ALIKE = 2.0
# Of fewer than three articles none is more central; of more, so many are asked.
_CENTRAL, _TITLED = 3, 8
_ENTITLED_AT = frozenset(size for power in range(1, 20) for size in (2**power, 2**power * 3 // 2))
_LOOSE = 0.01


@dataclass(slots=True)
class OpenStory:
    """A story with articles in the window: their numbers, ascending, and what outlasts them.

    ``number`` is that of the article with which it began: whoever takes over knows older stories from younger ones.
    ``size`` counts every article that ever came, ``first`` and ``last`` are the earliest and the latest publication
    of them (µs since 1970). ``titled`` is the article that gives it its title.
    """

    id: str
    number: int
    members: "array[int]"
    size: int
    first: int
    last: int
    titled: int = 0


class Stories:
    """All stories with an article in the window, by number."""

    def __init__(self, window: Window, likeness: Similarity) -> None:
        self._window = window
        self._likeness = likeness
        # An article has 50 keys, most of which others have too.
        self._index = RecentIndex(3 * window.capacity)
        self._open: dict[int, OpenStory] = {}
        self._by_id: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def of(self, number: int) -> OpenStory:
        """The story of an article."""
        return self._open[int(self._window.stories[self._window.slot(number)])]

    def find(self, story: str) -> OpenStory | None:
        """An open story by its id."""
        number = self._by_id.get(story)
        return None if number is None else self._open[number]

    def open(self, story: str, number: int) -> OpenStory:
        """A new story that begins with article ``number``, or the one of this id that is open."""
        found = self.find(story)
        if found is not None:
            return found
        opened = OpenStory(story, number, array("I"), 0, 0, 0)
        self._open[number] = opened
        self._by_id[story] = number
        return opened

    def choose(self, draft: PendingArticle) -> list[OpenStory]:
        """The stories that an article is alike enough to join, the likest first."""
        candidates = self._candidates(draft.row)
        if not candidates:
            return []
        samples = [self._sample(story) for story in candidates]
        alike = self._likeness.of(draft, self._window.slots(np.concatenate(samples)))
        starts = np.cumsum([0, *(len(sample) for sample in samples[:-1])])
        counts = np.array([len(sample) for sample in samples])
        # Near to some and not far from all: the mean alone breaks long stories, the nearest alone chains them.
        scores = (np.maximum.reduceat(alike, starts) + np.add.reduceat(alike, starts) / counts) / 2
        ranked = sorted(zip((-scores).tolist(), candidates, strict=True), key=lambda pair: (pair[0], pair[1].number))
        return [story for score, story in ranked if score <= -1.0]

    def join(self, draft: PendingArticle, story: OpenStory, *, grows: bool) -> int:
        """Place an article in a story; its number. ``grows``: it is not the newer revision of one that is in it."""
        number = self._window.place(draft, story.number)
        story.members.append(number)
        published = int(draft.row["published"])
        story.first = min(story.first, published) if story.size else published
        story.last = max(story.last, published) if story.size else published
        story.size += grows
        self._index.add(keys(draft.row), number)
        return number

    def restore(self, draft: PendingArticle, story: OpenStory) -> int:
        """Place an article that was told before; ``build`` makes it findable."""
        number = self._window.place(draft, story.number)
        story.members.append(number)
        return number

    def build(self, numbers: Numbers) -> None:
        """Make restored articles findable, ``numbers`` ascending."""
        self._index.build(keys(self._window.rows[self._window.slots(numbers)]), numbers)

    def leave(self, number: int) -> None:
        """Take an article out of its story, if it is in one; a story without articles is closed."""
        story = self._open.get(int(self._window.stories[self._window.slot(number)]))
        if story is not None:
            story.members.remove(number)
            if not story.members:
                self._close(story)

    def supersede(self, number: int) -> None:
        """Take an older revision out of the story that its newer one is in by now."""
        self.of(number).members.remove(number)
        self._window.supersede(number)

    def bridged(self, stories: list[OpenStory]) -> list[OpenStory]:
        """Of stories that an article would join, those that are one with the first."""
        one = stories[0]
        return [other for other in stories[1 : 1 + _BRIDGED] if self._linked(one, other) >= _ONE]

    def merge(self, story: OpenStory, into: OpenStory) -> None:
        """Move all articles of one story to another and close it."""
        self._move(story.members, into)
        into.size += story.size
        into.first, into.last = min(into.first, story.first), max(into.last, story.last)
        self._close(story)

    def loose(self, story: OpenStory) -> list[int]:
        """The articles that a story should lose: a part that has next to nothing of the rest. Mostly there is none.

        Looked for whenever the story has doubled, among its newest 64 articles.
        """
        count = len(story.members)
        if count < _SMALLEST_SPLIT or count & (count - 1):
            return []
        members = np.array(story.members[-_LOOKED_AT:], np.uint32)
        alike = np.minimum(self._likeness.matrix(self._window.slots(members)), _MOST_ALIKE)
        part = _halved(alike)
        if min(part.sum(), (~part).sum()) < _PART or alike[part][:, ~part].mean() >= _APART:
            return []
        if min(_within(alike, part), _within(alike, ~part)) < _TOGETHER:
            return []
        return [int(number) for number in members[part]]

    def split(self, numbers: Iterable[int], of: OpenStory, into: OpenStory) -> None:
        """Move some articles of a story to a new one."""
        moving = sorted(numbers)
        for number in moving:
            of.members.remove(number)
        self._move(moving, into)
        published = self._window.rows["published"][self._window.slots(np.array(moving, np.uint32))]
        into.first, into.last = int(published.min()), int(published.max())
        into.size = len(moving)
        of.size -= len(moving)

    def entitle(self, story: OpenStory) -> None:
        """Let the most central article give the story its title: the likest to its first and newest ones.

        Asked anew when the one that did is gone, and whenever the story has grown by half.
        """
        members, count = story.members, len(story.members)
        there = bisect_left(members, story.titled)
        if there < count and members[there] == story.titled and count not in _ENTITLED_AT:
            return
        if count < _CENTRAL:
            story.titled = members[0]
            return
        asked = np.array(members if count <= _TITLED else members[: _TITLED // 2] + members[-_TITLED // 2 :], np.uint32)
        alike = np.minimum(self._likeness.matrix(self._window.slots(asked)), _MOST_ALIKE)
        story.titled = int(asked[np.argmax(np.round(alike.sum(axis=1), 3))])

    def _candidates(self, row: NDArray[np.void]) -> list[OpenStory]:
        """Stories that share features with an article, most promising first."""
        window = self._window
        sought, speaks = _sought(row, window.frequency)
        met = self._index.find(sought)
        key, way = np.nonzero(met >= window.oldest)
        stories = window.stories[window.slots(met[key, way])]
        # A story with many articles under a key has it once.
        pairs = distinct((stories.astype(np.int64) << _KEY_BITS) | key)
        numbers = pairs >> _KEY_BITS
        found, counts = counted(numbers)
        if not len(found):
            return []
        votes = np.add.reduceat(speaks[pairs & _KEY_MASK], np.cumsum(counts) - counts)
        best = np.lexsort((found, -votes))[: _COMPARED + 1]
        return [self._open[number] for number in found[best].tolist() if number][:_COMPARED]

    def _sample(self, story: OpenStory) -> Numbers:
        members = story.members
        if len(members) > _FIRST + _NEWEST:
            return np.concatenate([np.array(members[:_FIRST], np.uint32), np.array(members[-_NEWEST:], np.uint32)])
        return np.array(members, np.uint32)

    def _linked(self, one: OpenStory, other: OpenStory) -> float:
        """How alike the articles of two stories are on average."""
        ours, theirs = self._sample(one), self._sample(other)
        alike = self._likeness.matrix(self._window.slots(np.concatenate([ours, theirs])))
        return float(alike[: len(ours), len(ours) :].mean())

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


def keys(rows: NDArray[np.void]) -> NDArray[np.uint32]:
    """Keys by which an article, or each of many, is found: (…, 50) heaviest shared features, terms and pairs."""
    found = rows["features"]
    terms = found[..., SHARED : SHARED + _FOUND_BY_TERMS]
    return np.concatenate([found[..., :_FOUND_BY], terms, feature_weights.pairs(found)], axis=-1)


def _sought(row: NDArray[np.void], frequency: NDArray[np.int32]) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Keys by which an article finds others, and how much each speaks for a story: what others have, too."""
    found = row["features"]
    known = np.flatnonzero(frequency[found])[:_SOUGHT]
    weights = row["weights"][known].astype(np.float32)
    return (
        np.concatenate([found[known], feature_weights.pairs(found)]),
        np.concatenate([weights * weights, feature_weights.products(row["weights"])]),
    )


def _halved(alike: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The half, without the first article, that a spectral bisection cuts off (signs of the Fiedler vector)."""
    ties = (alike + alike.T) / 2 + _LOOSE
    np.fill_diagonal(ties, 0.0)
    scale = 1 / np.sqrt(ties.sum(axis=1))
    _, vectors = np.linalg.eigh(np.eye(len(ties)) - ties * scale[:, None] * scale)
    side = vectors[:, 1] * vectors[0, 1]
    off: NDArray[np.bool_] = side < 0
    return off


def _within(alike: NDArray[np.float32], part: NDArray[np.bool_]) -> float:
    """How alike the articles of a part are on average, each with the others."""
    inside = alike[part][:, part]
    count = len(inside)
    return float((inside.sum() - np.trace(inside)) / (count * (count - 1)))
