"""Filters of a subscription: parsed from query parameters or a JSON object, and matched against events.

``khabar.filters`` defines which filters there are. An event passes a filter when it has any of its values, and a
subscription when it passes all of its filters. ``FilterIndex`` finds the filters among many that an event passes, at a
cost that grows with the matches and not with the number of filters.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import attrgetter, methodcaller

from api.stream.stream_event import Event, Facets, words
from khabar.filters import FILTERS, MAX_VALUE_CHARACTERS, MAX_VALUES, MAX_WORDS, WORDS, FilterSpec

_SPECS = {spec.name: spec for spec in FILTERS}
NAMES = tuple(_SPECS)
_DEFAULTS = {spec.name: frozenset([spec.default]) for spec in FILTERS if spec.default is not None}
_FACET_FILTERS = [(spec.name, attrgetter(spec.facet)) for spec in FILTERS if spec.facet != WORDS]
_WORD_FILTERS = [spec.name for spec in FILTERS if spec.facet == WORDS]


@lru_cache(maxsize=2_000)
def _query_words(value: str) -> frozenset[str]:
    """The different words of a value of a full-text filter."""
    return frozenset(words(value))


class FilterError(ValueError):
    """A filter is unknown or has an invalid value; ``name`` is the filter and the message says what is wrong."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Filter:
    """The filters of one subscription: ``values`` by name, defaults included.

    The values must be valid and in normal form, as ``parse`` returns them. Immutable; equal filters are
    interchangeable, so work done for one is shared by all subscriptions that have it.
    """

    __slots__ = ("_conditions", "_hash", "_queries", "values")

    def __init__(self, **values: str | Iterable[str]) -> None:
        given = {name: frozenset([one] if isinstance(one, str) else one) for name, one in values.items()}
        self.values: Mapping[str, frozenset[str]] = _DEFAULTS | {name: some for name, some in given.items() if some}
        self._conditions = [(facet, self.values[name]) for name, facet in _FACET_FILTERS if name in self.values]
        # For each full-text filter the alternatives, each a set of words that must all occur.
        self._queries = {
            name: [_query_words(one) for one in self.values[name]] for name in _WORD_FILTERS if name in self.values
        }
        # Filters are looked up for every event, so their sets are not hashed each time.
        self._hash = hash(frozenset(self.values.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self.values == other.values

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Filter({', '.join(f'{name}={sorted(values)}' for name, values in self.values.items())})"

    def admits(self, facets: Facets) -> bool:
        """Whether an event with these facets passes every filter but the full-text ones."""
        # Loops here and below: a generator costs more than the comparisons.
        for facet, wanted in self._conditions:  # noqa: SIM110
            if wanted.isdisjoint(facet(facets)):
                return False
        return True

    def matches(self, event: Event) -> bool:
        """Whether the event passes. A full-text value of several words requires all of them.

        If the filter ``is_pending``, this takes as long as extracting the words of a long text.
        """
        if not self.admits(event.facets):
            return False
        for alternatives in self._queries.values():  # noqa: SIM110
            if not any(map(event.words().issuperset, alternatives)):
                return False
        return True

    def is_pending(self, event: Event) -> bool:
        """Whether it depends on words of the event that ``event.prepare`` should extract first."""
        return bool(self._queries) and not event.is_prepared() and self.admits(event.facets)

    def keys(self, name: str) -> frozenset[str]:
        """Values of one filter such that every event that passes has at least one of them."""
        if _SPECS[name].facet != WORDS:
            return self.values[name]
        # All words of a query must occur; the longest is likely the rarest.
        return frozenset(max(wanted, key=lambda word: (len(word), word)) for wanted in self._queries[name])

    def as_json(self) -> dict[str, object]:
        """The filter as a client would write it, defaults included."""
        return {
            spec.name: sorted(self.values[spec.name]) if spec.multiple else next(iter(self.values[spec.name]))
            for spec in FILTERS
            if spec.name in self.values
        }


def _lookup(spec: FilterSpec) -> Callable[[Event], Iterable[str]]:
    return methodcaller("words") if spec.facet == WORDS else attrgetter(f"facets.{spec.facet}")


# The filters that the index looks events up by, the most selective first, and the values that an event has for each.
_INDEXED: dict[str, Callable[[Event], Iterable[str]]] = {
    spec.name: _lookup(spec)
    for spec in sorted(FILTERS, key=lambda spec: spec.selectivity or 0)
    if spec.selectivity is not None
}


class FilterIndex:
    """Distinct filters with the number of their subscriptions, and which of them an event passes.

    A filter is stored under the values of its most selective part, so an event is compared only with filters that name
    one of its own stories, entities, words and so on. Filters without such a part (``type`` or ``duplicates`` alone)
    are compared with every event, once each.
    """

    def __init__(self) -> None:
        self._counts: dict[Filter, int] = {}
        self._by_value: dict[str, dict[str, dict[Filter, None]]] = {name: {} for name in _INDEXED}
        self._unindexed: dict[Filter, None] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, wanted: Filter) -> None:
        """Count one more subscription of this filter."""
        count = self._counts.get(wanted, 0)
        self._counts[wanted] = count + 1
        if count:
            return
        name = _most_selective(wanted)
        if name is None:
            self._unindexed[wanted] = None
            return
        for value in wanted.keys(name):
            self._by_value[name].setdefault(value, {})[wanted] = None

    def discard(self, wanted: Filter) -> None:
        """Count one subscription of this filter less. Raises ``KeyError`` when there is none."""
        count = self._counts[wanted]
        if count > 1:
            self._counts[wanted] = count - 1
            return
        del self._counts[wanted]
        name = _most_selective(wanted)
        if name is None:
            del self._unindexed[wanted]
            return
        for value in wanted.keys(name):
            filters = self._by_value[name][value]
            del filters[wanted]
            if not filters:
                del self._by_value[name][value]

    def match(self, event: Event) -> tuple[list[Filter], list[Filter]]:
        """The filters that the event passes, each once, and those that depend on its words if it is not prepared."""
        candidates = dict(self._unindexed)
        pending: dict[Filter, None] = {}
        prepared = event.is_prepared()
        for name, values in _INDEXED.items():
            by_value = self._by_value[name]
            if not by_value:
                continue
            if not prepared and _SPECS[name].facet == WORDS:
                # Any of these filters may match.
                for found in by_value.values():
                    candidates.update(found)
                continue
            for value in values(event):
                if value in by_value:
                    candidates.update(by_value[value])
        if not prepared:
            pending = dict.fromkeys(wanted for wanted in candidates if wanted.is_pending(event))
        return [wanted for wanted in candidates if wanted not in pending and wanted.matches(event)], [*pending]


def _most_selective(wanted: Filter) -> str | None:
    return next((name for name in _INDEXED if name in wanted.values), None)


def parse(given: Iterable[tuple[str, str]]) -> Filter:
    """The filter in query parameters, each repeatable and comma-separated, with at most ``MAX_VALUES`` values in all.

    Raises ``FilterError``.
    """
    found: dict[str, set[str]] = {}
    count = 0
    for name, value in given:
        if name not in _SPECS:
            raise _unknown(name)
        parts = value.split(",")
        count += len(parts)
        if count > MAX_VALUES:
            raise FilterError(name, f"filter {name} is too long: all filters together take {MAX_VALUES} values")
        found.setdefault(name, set()).update(_checked(_SPECS[name], part) for part in parts)
    for name, values in found.items():
        if len(values) > 1 and not _SPECS[name].multiple:
            raise FilterError(name, f"filter {name} takes one of {', '.join(_SPECS[name].values)}")
    return Filter(**found)


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
        if not values and name not in _SPECS:
            raise _unknown(str(name))
    return parse(pairs)


def _unknown(name: str) -> FilterError:
    return FilterError(name, f"unknown filter {name[:60]!r}; known are {', '.join(NAMES)}")


def _checked(spec: FilterSpec, value: str) -> str:
    """A value in its normal form. Raises ``FilterError``."""
    value = value.strip()
    if not value:
        raise FilterError(spec.name, f"filter {spec.name} has an empty value")
    if len(value) > MAX_VALUE_CHARACTERS:
        raise FilterError(spec.name, f"filter {spec.name} has a value of more than {MAX_VALUE_CHARACTERS} characters")
    value = spec.normalize(value)
    count = len(_query_words(value)) if spec.facet == WORDS else 1
    if count > MAX_WORDS:
        raise FilterError(spec.name, f"filter {spec.name} has a value of more than {MAX_WORDS} words")
    if not spec.accepts(value) or not count:
        raise FilterError(spec.name, f"filter {spec.name} cannot be {value[:60]!r}: {spec.valid}")
    return value
