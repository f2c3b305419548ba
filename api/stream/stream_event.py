"""A record of ``updates`` → an event: the envelope, ready to be sent, and the facets that filters compare."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from sys import intern
from typing import get_args

from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError
from pydantic_core import from_json

from api.stream.cursor import Cursors, check_of
from api.stream.protocols import escape_line_breaks
from api.stream.turns import Turns
from services import kafka
from services.arabic import normalize_unicode
from services.events import Article, EventType, Story, Trend
from services.normalization import arabic

_WORD = re.compile(r"\w+")
# The words of an envelope with more bytes are extracted in pieces of this many characters: about 2 ms each.
_LARGE_BYTES = 32_000
_PIECE_CHARACTERS = 8_000
# Memory for sets of words that several filters compare at about the same time, by the estimate of ``_WordSets``.
_WORD_SETS_BYTES = 32_000_000
_BYTES_PER_WORD = 100
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
    _preparing: asyncio.Task[None] | None = field(default=None, repr=False, compare=False)

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

    def words(self) -> frozenset[str]:
        """The words (as ``words`` gives them) of title and text, each once. Takes long unless ``is_prepared``."""
        found = _word_sets.get(self)
        if found is None:
            found = frozenset(self._compared().split(" "))
            _word_sets.put(self, found)
        return found

    def is_prepared(self) -> bool:
        """Whether ``words`` takes at most a few milliseconds."""
        return len(self.line) <= _LARGE_BYTES or _word_sets.get(self) is not None

    async def prepare(self, turns: Turns) -> None:
        """Extract the words in small pieces; concurrent calls share the work."""
        if self.is_prepared():
            return
        if self._preparing is None or self._preparing.done():
            self._preparing = asyncio.create_task(self._prepare(turns))
        await asyncio.shield(self._preparing)

    async def _prepare(self, turns: Turns) -> None:
        if self._words is None:
            parts: list[str] = []
            for piece in _pieces(self._text(), _PIECE_CHARACTERS):
                async with turns.turn():
                    parts += words(piece)
            self._words = f" {' '.join(parts)} "
        found: set[str] = set()
        for piece in _pieces(self._words, 8 * _PIECE_CHARACTERS):
            async with turns.turn():
                found.update(piece.split(" "))
        _word_sets.put(self, frozenset(found))
        self._preparing = None

    def _text(self) -> str:
        data = from_json(self.data)
        texts = (data.get(name) for name in ("title", "text", "name"))
        return " ".join(text for text in texts if isinstance(text, str))

    def _compared(self) -> str:
        # Stored as one string: a set of the same words takes ten times the memory.
        if self._words is None:
            self._words = f" {' '.join(words(self._text()))} "
        return self._words


class _WordSets:
    """The sets of words of the events that were compared last, bounded in memory."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        # By identity: events are mutable and several gateways of a test may have the same one. The event is kept, so
        # that its identity is not used again.
        self._sets: dict[int, tuple[Event, frozenset[str]]] = {}

    def get(self, event: Event) -> frozenset[str] | None:
        """The words of an event, if they are kept."""
        found = self._sets.get(id(event))
        return None if found is None else found[1]

    def put(self, event: Event, found: frozenset[str]) -> None:
        """Keep the words of an event; those that were added first are dropped."""
        if id(event) in self._sets:
            return
        self._sets[id(event)] = (event, found)
        self._bytes += self._size(event, found)
        while self._bytes > self._max_bytes and len(self._sets) > 1:
            self._bytes -= self._size(*self._sets.pop(next(iter(self._sets))))

    @staticmethod
    def _size(event: Event, found: frozenset[str]) -> int:
        return len(event.line) + _BYTES_PER_WORD * len(found)


_word_sets = _WordSets(_WORD_SETS_BYTES)


def _pieces(text: str, size: int) -> Iterator[str]:
    """The text in pieces of about ``size`` characters that end at a space, where there is one."""
    at = 0
    while at < len(text):
        end = at + size
        if end < len(text):
            space = max(text.rfind(" ", at + 1, end), text.rfind("\n", at + 1, end))
            end = space if space > at else end
        yield text[at:end]
        at = end


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
