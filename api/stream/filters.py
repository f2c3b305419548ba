"""Filters of a subscription: from query parameters or a JSON object, matched against events.

Values of one filter are alternatives (any of), different filters hold together (all of). ``FilterIndex`` finds
those of many filters that an event passes, at the cost of its matches.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from api.stream.stream_event import Event, Facets, words
from services.events import EventType

Duplicates = Literal["hide", "show", "only"]

NAMES = ("type", "language", "source", "entity", "topic", "story", "q", "duplicates")
_TYPES = get_args(EventType)
_DUPLICATES: tuple[Duplicates, ...] = get_args(Duplicates)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,8})*")
_TOPIC = re.compile(r"medtop:\w+")
_LONGEST = 500


class FilterError(ValueError):
    """A filter is unknown or has a wrong value; ``name`` is the filter and the message says what is wrong."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Filter:
    """What a subscriber wants to see. Equal filters are interchangeable, so work done for one serves all."""

    type: frozenset[str] = frozenset()
    language: frozenset[str] = frozenset()
    source: frozenset[str] = frozenset()
    entity: frozenset[str] = frozenset()
    topic: frozenset[str] = frozenset()
    story: frozenset[str] = frozenset()
    q: frozenset[str] = frozenset()
    duplicates: Duplicates = "hide"
    _queries: tuple[tuple[str, ...], ...] = field(default=(), init=False, compare=False, repr=False)
    _hash: int = field(default=0, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_queries", tuple(tuple(words(value)) for value in sorted(self.q)))
        object.__setattr__(self, "_hash", hash(tuple(getattr(self, name) for name in NAMES)))

    def __hash__(self) -> int:
        # Filters are looked up for every event: eight sets are not hashed each time.
        return self._hash

    def admits(self, facets: Facets) -> bool:
        """Whether something with these facets passes everything but ``q``."""
        if facets.type == "article" and self.duplicates != "show" and facets.duplicate != (self.duplicates == "only"):
            return False
        return (
            (not self.type or facets.type in self.type)
            and (not self.language or not self.language.isdisjoint(facets.languages))
            and (not self.source or not self.source.isdisjoint(facets.sources))
            and (not self.entity or not self.entity.isdisjoint(facets.entities))
            and (not self.topic or not self.topic.isdisjoint(facets.topics))
            and (not self.story or not self.story.isdisjoint(facets.stories))
        )

    def matches(self, event: Event) -> bool:
        """Whether the event is to be delivered. A ``q`` of several words asks for all of them."""
        return self.admits(event.facets) and (not self._queries or any(map(event.has_words, self._queries)))

    def keys(self, name: str) -> frozenset[str]:
        """Values of one dimension such that every event that passes has at least one of them."""
        if name != "q":
            return getattr(self, name)  # type: ignore[no-any-return]
        # Of several words all must be there; the longest is likely the rarest.
        return frozenset(max(query, key=len) for query in self._queries)

    def as_json(self) -> dict[str, object]:
        """The filter as a client would write it, complete with the default of ``duplicates``."""
        given: dict[str, object] = {name: sorted(values) for name in NAMES[:-1] if (values := getattr(self, name))}
        return given | {"duplicates": self.duplicates}


# What an event is looked up by, the most selective first, with the values that it has. Its words cost most to get at;
# a language is shared by half of all events.
_DIMENSIONS: dict[str, Callable[[Event], Iterable[str]]] = {
    "story": lambda event: event.facets.stories,
    "entity": lambda event: event.facets.entities,
    "topic": lambda event: event.facets.topics,
    "source": lambda event: event.facets.sources,
    "q": lambda event: event.words(),
    "language": lambda event: event.facets.languages,
}


class FilterIndex:
    """Distinct filters, each added as often as it is wanted, and which of them an event passes.

    A filter is kept under the values of its most selective dimension, so an event meets only those that name one
    of its own stories, entities, words and so on. Filters without any (``type``, ``duplicates`` alone) are met by
    every event, once each.
    """

    def __init__(self) -> None:
        self._wanted: dict[Filter, int] = {}
        self._by_value: dict[str, dict[str, dict[Filter, None]]] = {name: {} for name in _DIMENSIONS}
        self._without: dict[Filter, None] = {}

    def __len__(self) -> int:
        return len(self._wanted)

    def add(self, wanted: Filter) -> None:
        """One more wants this filter."""
        count = self._wanted.get(wanted, 0)
        self._wanted[wanted] = count + 1
        if count:
            return
        name = _dimension(wanted)
        if name is None:
            self._without[wanted] = None
            return
        for value in wanted.keys(name):
            self._by_value[name].setdefault(value, {})[wanted] = None

    def discard(self, wanted: Filter) -> None:
        """One less wants this filter. Raises ``KeyError`` when nobody did."""
        count = self._wanted[wanted]
        if count > 1:
            self._wanted[wanted] = count - 1
            return
        del self._wanted[wanted]
        name = _dimension(wanted)
        if name is None:
            del self._without[wanted]
            return
        for value in wanted.keys(name):
            filters = self._by_value[name][value]
            del filters[wanted]
            if not filters:
                del self._by_value[name][value]

    def match(self, event: Event) -> list[Filter]:
        """The filters that the event passes, each once."""
        met = dict(self._without)
        for name, values in _DIMENSIONS.items():
            by_value = self._by_value[name]
            if by_value:
                for value in values(event):
                    found = by_value.get(value)
                    if found is not None:
                        met.update(found)
        return [wanted for wanted in met if wanted.matches(event)]


def _dimension(wanted: Filter) -> str | None:
    return next((name for name in _DIMENSIONS if getattr(wanted, name)), None)


def parse(given: Iterable[tuple[str, str]]) -> Filter:
    """The filter in query parameters, each repeatable and comma-separated. Raises ``FilterError``."""
    found: dict[str, list[str]] = {}
    for name, value in given:
        if name not in NAMES:
            raise FilterError(name, f"unknown filter {name[:60]!r}; known are {', '.join(NAMES)}")
        found.setdefault(name, []).extend(_checked(name, part) for part in value.split(","))
    duplicates: Duplicates = "hide"
    if "duplicates" in found:
        chosen = set(found.pop("duplicates"))
        if len(chosen) > 1:
            raise FilterError("duplicates", f"filter duplicates takes one of {', '.join(_DUPLICATES)}")
        duplicates = next(one for one in _DUPLICATES if one in chosen)
    return Filter(**{name: frozenset(values) for name, values in found.items()}, duplicates=duplicates)


def parse_json(given: object) -> Filter:
    """The filter in a JSON object whose values are strings or lists of strings. Raises ``FilterError``."""
    if not isinstance(given, Mapping):
        raise FilterError("filter", "filter must be an object")
    pairs: list[tuple[str, str]] = []
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        for one in values:
            if not isinstance(one, str):
                raise FilterError(str(name), f"filter {str(name)[:60]} must be a string or a list of strings")
            pairs.append((str(name), one))
        if not values and name not in NAMES:
            raise FilterError(str(name), f"unknown filter {str(name)[:60]!r}; known are {', '.join(NAMES)}")
    return parse(pairs)


def _checked(name: str, value: str) -> str:
    """One value in its normal form. Raises ``FilterError``."""
    value = value.strip()
    if not value:
        raise FilterError(name, f"filter {name} has an empty value")
    if len(value) > _LONGEST:
        raise FilterError(name, f"filter {name} has a value of more than {_LONGEST} characters")
    if name == "language":
        value = value.lower().replace("_", "-")
    test, expected = _RULES.get(name, (lambda _: True, ""))
    if not test(value):
        raise FilterError(name, f"filter {name} cannot be {value[:60]!r}: {expected}")
    return value


_RULES: dict[str, tuple[Callable[[str], object], str]] = {
    "type": (_TYPES.__contains__, f"it is one of {', '.join(_TYPES)}"),
    "duplicates": (_DUPLICATES.__contains__, f"it is one of {', '.join(_DUPLICATES)}"),
    "language": (_LANGUAGE.fullmatch, "it is a language code such as ar"),
    "topic": (_TOPIC.fullmatch, "it is an id such as medtop:04000000"),
    "q": (words, "there is no word in it"),
}
