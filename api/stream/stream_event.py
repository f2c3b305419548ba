"""A record of ``updates`` → an event: the envelope, ready to be sent, and the facets that filters compare."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from sys import intern
from typing import get_args

from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError
from pydantic_core import from_json

from api.stream.cursor import Cursors, check_of
from api.stream.protocols import escape_line_breaks
from services import kafka
from services.arabic import normalize_unicode
from services.events import Article, EventType, Story, Trend
from services.normalization import arabic

_WORD = re.compile(r"\w+")
# Memory of an event besides its bytes: the object, its sets, and the words that a ``q`` may need.
_OVERHEAD = 1_500
_OVERHEAD_PER_ID = 128


class Unparsable(ValueError):
    """A record of ``updates`` is not an event; the message says why."""


def words(text: str) -> list[str]:
    """The words of a text, normalized for comparison: NFKC, one spelling of Arabic, case-folded."""
    return _WORD.findall(arabic(normalize_unicode(text)).casefold())


# The values of the filters ``type`` and ``duplicates`` that an event passes.
_TYPES = {kind: frozenset([kind]) for kind in get_args(EventType)}
_ORIGINAL, _DUPLICATE = frozenset(["hide", "show"]), frozenset(["show", "only"])
_NO_ARTICLE = _ORIGINAL | _DUPLICATE


@dataclass(frozen=True, slots=True)
class Facets:
    """What filters compare, computed once for each event. An event passes a filter that names any of the values.

    The filters are rows of ``khabar.filters``; each names one of these attributes.
    """

    type: EventType
    languages: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    entities: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    stories: frozenset[str] = frozenset()
    duplicate: bool = False
    types: frozenset[str] = field(init=False, repr=False)
    duplicates: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", _TYPES[self.type])
        passes = _NO_ARTICLE if self.type != "article" else _DUPLICATE if self.duplicate else _ORIGINAL
        object.__setattr__(self, "duplicates", passes)

    @classmethod
    def of_article(cls, article: Article) -> "Facets":
        """Facets of an article. Without a source it has the name that aggregates count it under."""
        return cls(
            type="article",
            languages=_ids([article.language]),
            sources=_ids([article.source or "unknown"]),
            entities=_ids(entity.id for entity in article.entities),
            topics=_ids(topic.id for topic in article.topics),
            stories=frozenset([article.story]),
            duplicate=article.duplicate_of is not None,
        )

    @classmethod
    def of_story(cls, story: Story) -> "Facets":
        """Facets of a story: those of all its articles. Its first event also has the story it was split from."""
        return cls(
            type="story",
            languages=_ids(story.languages),
            sources=_ids(story.sources),
            entities=_ids(entity.id for entity in story.entities),
            topics=_ids(topic.id for topic in story.topics),
            stories=frozenset([story.id, story.split_from] if story.split_from else [story.id]),
        )

    @classmethod
    def of_trend(cls, trend: Trend) -> "Facets":
        """Facets of a trend: the one entity, topic or story that rises."""
        ids = frozenset([trend.id])
        return cls(
            type="trend",
            entities=ids if trend.kind == "entity" else frozenset(),
            topics=ids if trend.kind == "topic" else frozenset(),
            stories=ids if trend.kind == "story" else frozenset(),
        )


def _ids(found: Iterable[str]) -> frozenset[str]:
    # The same few languages, sources and ids recur in most events.
    return frozenset(intern(one) for one in found)


@dataclass(slots=True)
class Event:
    """One event of the stream: its envelope as it is sent, on one line, and its facets."""

    offset: int
    cursor: str
    line: bytes
    data_at: int
    facets: Facets
    _words: str | None = field(default=None, repr=False)

    @property
    def data(self) -> bytes:
        """The JSON inside the envelope."""
        return self.line[self.data_at : -1]

    @property
    def size(self) -> int:
        """Bytes of memory to account for this event, including its words in case a filter needs them."""
        facets = self.facets
        ids = sum(map(len, (facets.entities, facets.topics, facets.sources, facets.languages, facets.stories)))
        return 2 * len(self.line) + _OVERHEAD + _OVERHEAD_PER_ID * ids

    def has_words(self, wanted: Iterable[str]) -> bool:
        """Whether all these words (as ``words`` gives them) occur in title or text."""
        text = self._compared()
        return all(f" {word} " in text for word in wanted)

    def words(self) -> frozenset[str]:
        """The words (as ``words`` gives them) of title and text, each once."""
        return frozenset(self._compared().split(" "))

    def _compared(self) -> str:
        # Stored as one string: a set of the same words takes ten times the memory.
        if self._words is None:
            data = from_json(self.data)
            texts = (data.get(name) for name in ("title", "text", "name"))
            self._words = f" {' '.join(words(' '.join(text for text in texts if isinstance(text, str))))} "
        return self._words


def parse(record: "ConsumerRecord[bytes, bytes]", cursors: Cursors) -> Event:
    """The event in a record. Raises ``Unparsable``, whatever the record holds."""
    try:
        return _parse(record, cursors)
    except Unparsable:
        raise
    except Exception as error:  # anyone may have written it: nothing in it may end the caller
        raise Unparsable(f"{type(error).__name__}: {error}") from error


def _parse(record: "ConsumerRecord[bytes, bytes]", cursors: Cursors) -> Event:
    kind = kafka.header(record.headers, "type")
    if record.value is None:
        raise Unparsable("the record has no value")
    if len(record.value) > kafka.MAX_RECORD_BYTES:
        raise Unparsable(f"the value has {len(record.value)} bytes, more than {kafka.MAX_RECORD_BYTES}")
    try:
        facets, data = _read(kind, record.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "value"
        raise Unparsable(f"the value is not a valid {kind}: {where}: {first['msg']}") from error
    cursor = cursors.encode(record.offset, check_of(record))
    head = f'{{"cursor":"{cursor}","type":"{kind}","time":"{_rfc3339(record.timestamp)}","data":'.encode()
    return Event(
        offset=record.offset,
        cursor=cursor,
        line=head + escape_line_breaks(data) + b"}",
        data_at=len(head),
        facets=facets,
    )


def _read(kind: str | None, value: bytes) -> tuple[Facets, bytes]:
    """The facets of an event, and its JSON.

    The JSON is written again: the model's own has no NaN, no member twice, no line breaks and no unknown members,
    whoever wrote the record.
    """
    match kind:
        case "article":
            article = Article.model_validate_json(value)
            return Facets.of_article(article), article.encode()
        case "story":
            story = Story.model_validate_json(value)
            return Facets.of_story(story), story.encode()
        case "trend":
            trend = Trend.model_validate_json(value)
            return Facets.of_trend(trend), trend.encode()
    raise Unparsable("the header type is missing" if kind is None else f"the header type is {kind[:60]!r}")


def _rfc3339(milliseconds: int) -> str:
    if milliseconds < 0:
        raise Unparsable("the record has no time, or one before 1970")
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise Unparsable("the record's time is after the year 9999") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
