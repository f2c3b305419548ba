"""A segment of the log, aggregated before it is applied to the store."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import combinations

from pydantic_core import to_json

from services.events import Article, Entity, Story, Trend
from services.store.layout import DAY, PAIRED, SOURCE_DIGITS, STORY_FACETS, Facet

# How long ended trends are kept: longer than any cool-down.
_KEEP_ENDED = timedelta(hours=48)
# Of these ids there are as many as the gazetteer has; any other id of an entity is made from a name in a text.
_WIKIDATA_ID = re.compile("Q[0-9]+")


@dataclass(frozen=True, slots=True)
class _ArticleChange:
    """The changes that one article makes. ``arrived``: seconds since 1970; ``local``: entities without Wikidata id."""

    offset: int
    id: str
    arrived: int
    counts: tuple[tuple[str, tuple[str, ...]], ...]
    names: dict[str, str]
    entities: tuple[str, ...]
    local: tuple[str, ...]
    source: str
    source_digest: str


@dataclass(frozen=True, slots=True)
class _StoryChange:
    """The changes that one state of a story makes."""

    offset: int
    story: Story
    arrived_ms: int
    encoded: str


@dataclass(frozen=True, slots=True)
class _TrendChange:
    """The change that one trend event makes."""

    offset: int
    trend: Trend


class Batch:
    """Consecutive records of one log, added in the order of their offsets without gaps.

    Each method that adds raises ``ValueError`` when the offset is not the next one.
    """

    def __init__(self) -> None:
        self.first = -1
        self.last = -1
        self.sample: tuple[int, int] | None = None
        """Offset and timestamp (ms since 1970) of the last record, if known: they identify the log's history."""
        self._records: list[_ArticleChange | _StoryChange | _TrendChange] = []

    def __len__(self) -> int:
        """How many offsets the batch covers."""
        return self.last - self.first + 1 if self.first >= 0 else 0

    def add_article(self, offset: int, article: Article) -> None:
        """Count one (article, revision) and record its offset."""
        self._advance(offset)
        entities = tuple(sorted({entity.id for entity in article.entities}))
        topics = tuple(sorted({topic.id for topic in article.topics}))
        source = article.source or "unknown"
        counts = (
            ("total", ("articles", "duplicates") if article.duplicate_of else ("articles",)),
            ("language", (article.language,)),
            ("source", (source,)),
            ("topic", topics),
            ("entity", entities),
            ("story", (article.story,)),
            ("pair", tuple(_pairs(article.entities))),
        )
        names = {topic.id: topic.label for topic in article.topics}
        names |= {entity.id: entity.name for entity in reversed(article.entities)}
        arrived = int(article.received_at.timestamp())
        local = tuple(entity.id for entity in article.entities if not _WIKIDATA_ID.fullmatch(entity.id))
        self._records.append(
            _ArticleChange(offset, article.id, arrived, counts, names, entities, local, source, _hashed(source))
        )

    def add_story(self, offset: int, story: Story, arrived_ms: int, encoded: bytes | None = None) -> None:
        """Set the newest state of a story, and list the story by when that state was published (ms since 1970).

        ``encoded``: the story's JSON, if the caller has it. A merged story is removed from the list; a story that was
        split off takes over the articles that it lists.
        """
        self._advance(offset)
        self._records.append(_StoryChange(offset, story, arrived_ms, (encoded or story.encode()).decode()))

    def add_trend(self, offset: int, trend: Trend) -> None:
        """Set the newest event of a trend."""
        self._advance(offset)
        self._records.append(_TrendChange(offset, trend))

    def add_nothing(self, offset: int) -> None:
        """Add a record that changes no count; it still advances the applied offset."""
        self._advance(offset)

    def skip(self, first: int, last: int) -> None:
        """Cover offsets at which the log has no records."""
        self._advance(first)
        self.last = last

    def after(self, offset: int) -> "Batch":
        """The part of the batch after an offset that was already applied."""
        rest = Batch()
        if offset >= self.last:
            return rest
        rest.first, rest.last, rest.sample = max(self.first, offset + 1), self.last, self.sample
        rest._records = [record for record in self._records if record.offset > offset]
        return rest

    def split(self) -> tuple["Batch", "Batch"]:
        """Two batches with half of the articles each. The batch must have at least two articles."""
        articles = [record.offset for record in self._records if isinstance(record, _ArticleChange)]
        middle = articles[len(articles) // 2]
        begin = Batch()
        begin.first, begin.last = self.first, middle - 1
        begin._records = [record for record in self._records if record.offset < middle]
        return begin, self.after(middle - 1)

    def encode(self) -> bytes:
        """The JSON argument of ``apply.lua``."""
        articles = [record for record in self._records if isinstance(record, _ArticleChange)]
        stories = {record.story.id: record for record in self._records if isinstance(record, _StoryChange)}
        trends = [record.trend for record in self._records if isinstance(record, _TrendChange)]
        names: dict[str, str] = {}
        for article in articles:
            for name in article.names.items():
                names.setdefault(*name)
        return to_json(
            {
                "articles": len(articles),
                "counts": _counts(articles),
                "first_named": _first_named(articles),
                "names": _flat(names),
                "sources": _sources(articles),
                "places": self._places(),
                "stories": [_story_row(change) for change in stories.values()],
                "trends": [(f"{trend.kind}:{trend.window}:{trend.id}", _trend(trend), trend.phase) for trend in trends],
                "expire_before": min((_ms(trend.at - _KEEP_ENDED) for trend in trends), default=0),
                "sample": self.sample,
                "since": articles[0].arrived * 1_000 if articles else None,
            }
        )

    def _advance(self, offset: int) -> None:
        if self.first < 0:
            self.first = offset
        elif offset != self.last + 1:
            raise ValueError(f"offset {offset} does not follow {self.last}")
        self.last = offset

    def _places(self) -> list[tuple[int, list[str | int]]]:
        days: dict[int, dict[str, str]] = defaultdict(dict)
        for record in self._records:
            if isinstance(record, _ArticleChange):
                places = days[record.arrived // DAY]
                places[record.id] = str(record.offset)
            elif isinstance(record, _StoryChange):
                story, places = record.story, days[record.arrived_ms // 1_000 // DAY]
                places[story.id] = str(record.offset)
                if story.merged_into is not None:
                    places[f">{story.id}"] = f"{record.offset} {story.merged_into}"
                if story.split_from is not None:
                    places |= {f"={moved}": f"{record.offset} {story.id}" for moved in story.articles}
        return [(day, _flat(places)) for day, places in days.items()]


def _counts(articles: list[_ArticleChange]) -> list[tuple[int, dict[str, list[str | int]]]]:
    minutes: dict[int, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for article in articles:
        counters = minutes[article.arrived // 60]
        for dimension, ids in article.counts:
            if ids:
                counters[dimension].update(ids)
    return [
        (minute, {dimension: _flat(counter) for dimension, counter in counters.items()})
        for minute, counters in minutes.items()
    ]


def _first_named(articles: list[_ArticleChange]) -> dict[str, list[tuple[int, str, list[str]]]]:
    """Sources and local entities by the minute and source in which the segment first names them on their day."""
    sources: dict[int, list[str]] = defaultdict(list)
    entities: dict[tuple[int, str], list[str]] = defaultdict(list)
    named: set[tuple[int, str, str]] = set()
    for article in articles:
        day, minute = article.arrived // DAY, article.arrived // 60
        if (day, "source", article.source) not in named:
            named.add((day, "source", article.source))
            sources[minute].append(article.source)
        for entity in article.local:
            if (day, "entity", entity) not in named:
                named.add((day, "entity", entity))
                entities[minute, article.source_digest].append(entity)
    return {
        "source": [(minute, "*", ids) for minute, ids in sources.items()],
        "entity": [(minute, source, ids) for (minute, source), ids in entities.items()],
    }


def _sources(articles: list[_ArticleChange]) -> list[tuple[int, list[str]]]:
    days: dict[int, dict[tuple[str, str], None]] = defaultdict(dict)
    for article in articles:
        for entity in article.entities:
            days[article.arrived // DAY][(entity, article.source_digest)] = None
    return [(day, [word for pair in pairs for word in pair]) for day, pairs in days.items()]


def _story_row(change: _StoryChange) -> tuple[str, str, int | None, list[str], list[str]]:
    story = change.story
    score = change.arrived_ms if story.merged_into is None else None
    values: dict[Facet, Iterable[str]] = {
        "entity": (entity.id for entity in story.entities),
        "language": story.languages,
        "topic": (topic.id for topic in story.topics),
    }
    facets = sorted({f"{facet}:{value}" for facet in STORY_FACETS for value in values[facet]})
    return story.id, change.encoded, score, [_hashed(source) for source in story.sources], facets


def _trend(trend: Trend) -> str:
    return to_json(trend.model_dump(mode="json") | {"at_ms": _ms(trend.at)}).decode()


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def _pairs(entities: list[Entity]) -> Iterator[str]:
    """Pairs of the entities that an article mentions most, the two ids of each pair in sorted order."""
    most = sorted(entities, key=lambda entity: (-len(entity.mentions), entity.id))[:PAIRED]
    for one, other in combinations(sorted({entity.id for entity in most}), 2):
        yield f"{one}+{other}"


def _hashed(source: str) -> str:
    """A digest of a source that is short enough for the server's compact encoding of hashes."""
    return blake2b(source.encode("utf-8", "surrogatepass"), digest_size=SOURCE_DIGITS // 2).hexdigest()


def _flat(mapping: dict[str, str] | Counter[str]) -> list[str | int]:
    return [word for pair in mapping.items() for word in pair]
