"""The articles of the window: rows in a ring, in order of arrival.

Each article has a number, one higher than the article before; its slot in the columns is the number modulo the
capacity. An article is evicted when it arrived more than a window before the newest one, or when the ring is full.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from enrich.dates import event_days
from enrich.fingerprint import embedding, features, signature
from enrich.fingerprint.features import FEATURES
from enrich.group import weights
from enrich.group.columns import ENTITIES, NO_HASH, ROW, TOPICS
from enrich.group.interned import Interned
from enrich.group.times import to_microseconds
from enrich.group.vectors import CentredVectors, PackedVectors
from services.events import AnnotatedArticle, EntityType

Numbers = NDArray[np.uint32]

# Lower numbers are left free, for stories that began with an article that this process has never seen.
_FIRST_NUMBER = 1 << 30
_NO_FEATURES = np.zeros(0, features.PACKED)
# Words of the text that stand in for a missing title.
_TITLE_WORDS = 16

# Id, name and type of an entity, and id and label of a topic, as a story lists them.
NamedEntity = tuple[str, str, EntityType]
LabelledTopic = tuple[str, str]


@dataclass(slots=True)
class PendingArticle:
    """An article that is not in the window yet: its row, and what does not fit into a row.

    ``topics`` have their ``scores`` in hundredths. ``original`` is the id of the article that this one is a
    near-duplicate of. ``age`` is how many articles arrived since its first revision, 0 for a first revision.
    ``meaning`` (128,) and ``event`` (title and text, (2, 128)) are packed as ``embedding.pack`` does. ``days`` are the
    event's (``event_days``). ``packed`` are
    the shared features and the terms that the row's are chosen from, without their weights in a window.
    """

    row: NDArray[np.void]
    id: str
    title: str
    language: str
    source: str | None
    entities: Sequence[NamedEntity]
    topics: Sequence[LabelledTopic]
    scores: Sequence[int]
    original: str | None = None
    age: int = 0
    meaning: NDArray[np.uint8] | None = None
    event: NDArray[np.uint8] | None = None
    days: Sequence[int] = ()
    packed: tuple[NDArray[np.void], NDArray[np.void]] = (_NO_FEATURES, _NO_FEATURES)

    @classmethod
    def of(cls, annotated: AnnotatedArticle) -> Self:
        """What a window will store of an article; ``enter`` completes it.

        Raises ``ValueError`` when a fingerprint, signature, feature, embedding or score is malformed.
        """
        signed = signature.unpack(annotated.signature, annotated.sketch, annotated.shingles)
        row = np.zeros(1, ROW)[0]
        row["received"] = to_microseconds(annotated.received_at)
        row["published"] = to_microseconds(annotated.published_at or annotated.received_at)
        row["sequence"] = annotated.sequence
        row["fingerprint"] = _fingerprint(annotated.fingerprint)
        row["shingles"] = signed.shingles
        row["minhash"] = signed.minhash
        row["sketch"] = NO_HASH
        row["sketch"][: len(signed.sketch)] = signed.sketch
        scores = [topic.score for topic in annotated.topics[:TOPICS]]
        if not all(0 <= score <= 1 for score in scores):
            raise ValueError(f"the scores of topics are from 0 to 1, not {scores}")
        return cls(
            row=row,
            id=annotated.id,
            title=annotated.title or _opening(annotated.text),
            language=annotated.language,
            source=annotated.source,
            entities=_main_entities(annotated),
            topics=[(topic.id, topic.label) for topic in annotated.topics[:TOPICS]],
            scores=[round(100 * score) for score in scores],
            meaning=None if annotated.meaning is None else embedding.unpack(annotated.meaning),
            event=_event(annotated),
            days=event_days.event_days(annotated),
            packed=(features.unpack(annotated.shared), features.unpack(annotated.terms)),
        )

    def enter(self, window: "Window") -> None:
        """Complete an article that is the next to enter a window.

        Takes revision and age from the article's newest revision there, and feature weights from the document
        frequencies there.
        """
        previous = window.newest(self.id)
        self.row["revision"] = 1 if previous is None else window.rows["revision"][window.slot(previous)] + 1
        self.age = 0 if previous is None else window.last + 1 - int(window.firsts[window.slot(previous)])
        self.row["features"], self.row["weights"] = weights.weigh(*self.packed, window.frequency, len(window))

    @property
    def received(self) -> int:
        """Arrival time in µs since 1970."""
        return int(self.row["received"])


class Window:
    """At most ``capacity`` articles that arrived within ``length`` µs of the newest. Only touched pages take memory."""

    def __init__(self, length: int, capacity: int) -> None:
        self.length = length
        self.capacity = capacity
        self.rows = np.zeros(capacity, ROW)
        # Number of the article's story; 0 once a newer revision has replaced the article.
        self.stories = np.zeros(capacity, np.uint32)
        # Number of the article's first revision; orders articles by when they were first seen.
        self.firsts = np.zeros(capacity, np.int64)
        # When that first revision arrived (µs): later ones do not make an article younger.
        self.arrivals = np.zeros(capacity, np.int64)
        self.languages = np.zeros(capacity, np.uint32)
        self.sources = np.zeros(capacity, np.uint32)
        self.entities = np.zeros((capacity, ENTITIES), np.uint32)
        self.topics = np.zeros((capacity, TOPICS), np.uint32)
        self.scores = np.zeros((capacity, TOPICS), np.uint8)
        # The meaning of each article, and of its title and text without names.
        self.vectors = CentredVectors(capacity)
        self.events = PackedVectors(capacity, 2)
        # The days of each article's event (``event_days``), 0 is none.
        self.days = np.zeros((capacity, event_days.MOST), np.int32)
        # Document frequencies: how many articles have a feature.
        self.frequency = np.zeros(FEATURES, np.int32)
        self.language_names: Interned[str] = Interned()
        self.source_names: Interned[str] = Interned()
        self.entity_names: Interned[NamedEntity] = Interned()
        self.topic_names: Interned[LabelledTopic] = Interned()
        self._ids: list[str] = [""] * capacity
        self._titles: list[bytes] = [b""] * capacity
        self._originals: list[str | None] = [None] * capacity
        self._newest: dict[str, int] = {}
        self.oldest = _FIRST_NUMBER
        self.last = _FIRST_NUMBER - 1
        # How many articles were evicted before they expired because the ring was full.
        self.evicted_early = 0
        self._latest = 0

    def __len__(self) -> int:
        return self.last - self.oldest + 1

    def slots(self, numbers: Numbers) -> NDArray[np.intp]:
        """The slots of articles in the columns."""
        return (numbers % self.capacity).astype(np.intp)

    def slot(self, number: int) -> int:
        """The slot of an article in the columns."""
        return number % self.capacity

    def newest(self, article_id: str) -> int | None:
        """The number of an article's newest revision, if it is in the window."""
        return self._newest.get(article_id)

    def id(self, number: int) -> str:
        """The id of an article."""
        return self._ids[number % self.capacity]

    def title(self, number: int) -> str:
        """The title of an article, or the beginning of its text where it has none."""
        return self._titles[number % self.capacity].decode()

    def original(self, number: int) -> str | None:
        """The id of the article that this one is a near-duplicate of."""
        return self._originals[number % self.capacity]

    def event_days(self, number: int) -> list[int]:
        """The days of an article's event, the first mentioned first."""
        return [day for day in self.days[number % self.capacity].tolist() if day]

    @property
    def span(self) -> int:
        """µs from the arrival of the oldest article in the window to that of the newest."""
        return self._latest - int(self.rows["received"][self.slot(self.oldest)]) if len(self) else 0

    def is_expired(self, number: int, now: int) -> bool:
        """Whether an article is too old to stay when another one arrives at ``now`` (µs)."""
        return bool(self.rows["received"][number % self.capacity] < max(self._latest, now) - self.length)

    def to_evict(self, now: int) -> Iterator[int]:
        """Numbers of the articles to evict before one that arrives at ``now`` (µs) can be added, oldest first.

        The caller must call ``evict_oldest`` for each before it takes the next. A late arrival does not turn the
        window's time back.
        """
        self._latest = max(self._latest, now)
        while self.oldest <= self.last:
            expired = self.is_expired(self.oldest, now)
            if not expired and len(self) < self.capacity:
                return
            self.evicted_early += not expired
            yield self.oldest

    def add(self, article: PendingArticle, story: int) -> int:
        """Add an article to the story with this number; return the article's number."""
        self.last += 1
        number, slot = self.last, self.last % self.capacity
        arrival = self.arrival(article)
        self.rows[slot] = article.row
        self.stories[slot] = story
        self.firsts[slot] = number - article.age
        self.arrivals[slot] = arrival
        self.languages[slot] = self.language_names.use(article.language)
        self.sources[slot] = self.source_names.use(article.source) if article.source else 0
        _fill(self.entities[slot], [self.entity_names.use(entity) for entity in article.entities])
        _fill(self.topics[slot], [self.topic_names.use(topic) for topic in article.topics])
        _fill(self.scores[slot], article.scores)
        self.vectors.put(slot, article.meaning)
        self.vectors.entered(number, self.oldest, self.capacity)
        self.events.put(slot, article.event)
        _fill(self.days[slot], article.days)
        self._ids[slot] = article.id
        self._titles[slot] = article.title.encode("utf-8", "surrogatepass")
        self._originals[slot] = article.original
        self._newest[article.id] = number
        self.frequency[article.row["features"]] += 1
        return number

    def arrival(self, article: PendingArticle) -> int:
        """When the first revision of an article arrived that is about to enter."""
        previous = self._newest.get(article.id) if article.age else None
        return article.received if previous is None else int(self.arrivals[previous % self.capacity])

    def supersede(self, number: int) -> None:
        """Mark an article as replaced by a newer revision."""
        self.stories[number % self.capacity] = 0

    def evict_oldest(self) -> None:
        """Remove the oldest article."""
        number, slot = self.oldest, self.oldest % self.capacity
        row = self.rows[slot]
        self.vectors.evicted(number, self.last, self.capacity)
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


def _fill(cells: NDArray[np.integer], values: Sequence[int]) -> None:
    cells[: len(values)] = values
    cells[len(values) :] = 0


def _event(annotated: AnnotatedArticle) -> NDArray[np.uint8] | None:
    if annotated.event_title is None or annotated.event_text is None:
        return None
    return np.stack([embedding.unpack(annotated.event_title), embedding.unpack(annotated.event_text)])


def _fingerprint(digest: str) -> bytes:
    found = bytes.fromhex(digest)
    if len(found) != ROW["fingerprint"].itemsize:
        raise ValueError(f"a fingerprint has {ROW['fingerprint'].itemsize} bytes, not {len(found)}")
    return found


def _main_entities(annotated: AnnotatedArticle) -> list[NamedEntity]:
    """The entities that are named most outside boilerplate."""
    counts = [(features.mentions(entity, annotated.boilerplate), entity) for entity in annotated.entities]
    ranked = sorted(counts, key=lambda counted: -counted[0])[:ENTITIES]
    return [(entity.id, entity.name, entity.type) for count, entity in ranked if count or not entity.mentions]


def _opening(text: str) -> str:
    """The first words of a text's first line."""
    first = text.split("\n", 1)[0]
    words = first.split()
    return first if len(words) <= _TITLE_WORDS else " ".join(words[:_TITLE_WORDS]) + " …"
