"""The articles that group remembers: rows in a ring, in the order in which they came.

Each has a number, one higher than that of the article before; its place in the columns is the number modulo the
capacity.
An article leaves when it arrived a window before the newest, or when the ring is full.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint import embedding
from enrich.fingerprint.features import FEATURES
from enrich.group.columns import ENTITIES, ROW, TOPICS
from enrich.group.interned import Interned
from services.events import EntityType

Numbers = NDArray[np.uint32]

# There are numbers below, for stories that were opened by an article that this process has never seen.
_FIRST = 1 << 30

# An entity and a topic as a story shows them.
Named = tuple[str, str, EntityType]
Labelled = tuple[str, str]


@dataclass(slots=True)
class PendingArticle:
    """An article about to be placed: its row, and what a row has no room for.

    ``topics`` are (id, label) with scores in hundredths; ``original`` is the id of the article that it is a copy of;
    ``age`` is how many articles came since the first revision of it, 0 for a first one; ``vector`` is packed as in
    ``vectors``.
    """

    row: NDArray[np.void]
    id: str
    title: str
    language: str
    source: str | None
    entities: Sequence[Named]
    topics: Sequence[Labelled]
    scores: Sequence[int]
    original: str | None = None
    age: int = 0
    vector: NDArray[np.uint8] | None = None

    @property
    def received(self) -> int:
        """µs since 1970."""
        return int(self.row["received"])


class Window:
    """At most ``capacity`` articles that arrived within ``span`` µs of the newest. Only touched pages take memory."""

    def __init__(self, span: int, capacity: int) -> None:
        self.span = span
        self.capacity = capacity
        self.rows = np.zeros(capacity, ROW)
        # Number of the article's story; 0 when a newer revision has taken the article's place.
        self.stories = np.zeros(capacity, np.uint32)
        # Number of the article's first revision: who came before whom.
        self.firsts = np.zeros(capacity, np.int64)
        self.languages = np.zeros(capacity, np.uint32)
        self.sources = np.zeros(capacity, np.uint32)
        self.entities = np.zeros((capacity, ENTITIES), np.uint32)
        self.topics = np.zeros((capacity, TOPICS), np.uint32)
        self.scores = np.zeros((capacity, TOPICS), np.uint8)
        # Packed sentence vectors, of those that have one.
        self.vectors = np.zeros((capacity, embedding.BYTES), np.uint8)
        self.vectored = np.zeros(capacity, bool)
        # How many articles have a feature.
        self.frequency = np.zeros(FEATURES, np.int32)
        self.language_names: Interned[str] = Interned()
        self.source_names: Interned[str] = Interned()
        self.entity_names: Interned[Named] = Interned()
        self.topic_names: Interned[Labelled] = Interned()
        self._ids: list[str] = [""] * capacity
        self._titles: list[bytes] = [b""] * capacity
        self._originals: list[str | None] = [None] * capacity
        self._newest: dict[str, int] = {}
        self.oldest = _FIRST
        self.last = _FIRST - 1
        # How many had to leave before their time, as there was no room.
        self.left_early = 0
        self._latest = 0

    def __len__(self) -> int:
        return self.last - self.oldest + 1

    def slots(self, numbers: Numbers) -> NDArray[np.intp]:
        """Places in the columns."""
        return (numbers % self.capacity).astype(np.intp)

    def slot(self, number: int) -> int:
        """Place in the columns."""
        return number % self.capacity

    def newest(self, article_id: str) -> int | None:
        """The number of an article's newest revision, if it is here."""
        return self._newest.get(article_id)

    def id(self, number: int) -> str:
        """The id of an article."""
        return self._ids[number % self.capacity]

    def title(self, number: int) -> str:
        """The title of an article, or what opens it."""
        return self._titles[number % self.capacity].decode()

    def original(self, number: int) -> str | None:
        """The id of the article that this one is a copy of."""
        return self._originals[number % self.capacity]

    @property
    def reach(self) -> int:
        """µs from the arrival of the oldest that is here to that of the newest."""
        return self._latest - int(self.rows["received"][self.slot(self.oldest)]) if len(self) else 0

    def has_left(self, number: int, now: int) -> bool:
        """Whether an article must leave before one that arrives now (µs) can be placed, for its age."""
        return bool(self.rows["received"][number % self.capacity] < max(self._latest, now) - self.span)

    def leaving(self, now: int) -> Iterator[int]:
        """Numbers of those that must leave before an article that arrives now (µs) can be placed, oldest first.

        The caller ends each with ``remove_oldest`` before it takes the next. A late arrival does not turn time back.
        """
        self._latest = max(self._latest, now)
        while self.oldest <= self.last:
            old = self.has_left(self.oldest, now)
            if not old and len(self) < self.capacity:
                return
            self.left_early += not old
            yield self.oldest

    def place(self, draft: PendingArticle, story: int) -> int:
        """Take an article in; its number."""
        self.last += 1
        number, slot = self.last, self.last % self.capacity
        self.rows[slot] = draft.row
        self.stories[slot] = story
        self.firsts[slot] = number - draft.age
        self.languages[slot] = self.language_names.use(draft.language)
        self.sources[slot] = self.source_names.use(draft.source) if draft.source else 0
        _fill(self.entities[slot], [self.entity_names.use(named) for named in draft.entities])
        _fill(self.topics[slot], [self.topic_names.use(labelled) for labelled in draft.topics])
        _fill(self.scores[slot], draft.scores)
        self.vectored[slot] = draft.vector is not None
        if draft.vector is not None:
            self.vectors[slot] = draft.vector
        self._ids[slot] = draft.id
        self._titles[slot] = draft.title.encode("utf-8", "surrogatepass")
        self._originals[slot] = draft.original
        self._newest[draft.id] = number
        self.frequency[draft.row["features"]] += 1
        return number

    def supersede(self, number: int) -> None:
        """A newer revision has taken an article's place."""
        self.stories[number % self.capacity] = 0

    def remove_oldest(self) -> None:
        """Forget the oldest article."""
        number, slot = self.oldest, self.oldest % self.capacity
        row = self.rows[slot]
        self.frequency[row["features"]] -= 1
        self.language_names.drop([int(self.languages[slot])])
        self.source_names.drop([int(self.sources[slot])])
        self.entity_names.drop(self.entities[slot].tolist())
        self.topic_names.drop(self.topics[slot].tolist())
        if self._newest[self._ids[slot]] == number:
            del self._newest[self._ids[slot]]
        self.stories[slot] = 0
        self._ids[slot], self._titles[slot], self._originals[slot] = "", b"", None
        self.oldest += 1


def _fill(places: NDArray[np.unsignedinteger], values: Sequence[int]) -> None:
    places[: len(values)] = values
    places[len(values) :] = 0
