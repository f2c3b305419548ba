"""The filters of the stream, as one table.

The gateway, its OpenAPI and AsyncAPI documents, its page, webhooks, ``khabar watch`` and ``khabar.connect`` read
``FILTERS``. To add a filter, add a row (and its keyword to ``FilterValues``). If it compares something that the
gateway does not yet extract from an event, add that to ``Facets`` in api/stream/stream_event.py.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict

#: The facet of full-text filters: the words of title and text.
WORDS = "words"
#: Bounds of the filters of one subscription, webhook or query: values in all, characters of a value, words of a ``q``.
#: The work for a subscription grows with them, and its client chooses them.
MAX_VALUES = 100
MAX_VALUE_CHARACTERS = 200
MAX_WORDS = 10


@dataclass(frozen=True)
class FilterSpec:
    """One filter.

    ``facet`` is the attribute of ``Facets`` that holds what an event has to compare: the event passes when it has one
    of the filter's values. With the facet ``WORDS`` it passes when it contains all the words of one value.

    ``values`` are the only valid values; without them a value must match ``pattern`` after ``normalize``, and
    ``expected`` completes the error message about one that does not. A filter with a ``default`` takes a single value.

    ``selectivity`` ranks filters by how few events pass one value, 1 being the fewest: the gateway looks up the
    filters of an event by the most selective one. Without a rank a filter is not indexed, because it excludes little.
    """

    name: str
    description: str
    facet: str
    values: tuple[str, ...] = ()
    default: str | None = None
    pattern: str = ""
    expected: str = ""
    normalize: Callable[[str], str] = str
    selectivity: int | None = None

    @property
    def multiple(self) -> bool:
        """Whether it takes several values."""
        return self.default is None

    def accepts(self, value: str) -> bool:
        """Whether a normalized value is valid."""
        return value in self.values if self.values else re.fullmatch(self.pattern or ".*", value, re.DOTALL) is not None

    @property
    def valid(self) -> str:
        """What a valid value is, for error messages."""
        return f"it is one of {', '.join(self.values)}" if self.values else self.expected


FILTERS: tuple[FilterSpec, ...] = (
    FilterSpec(
        "type",
        "Event types: article, story, trend.",
        facet="types",
        values=("article", "story", "trend"),
    ),
    FilterSpec(
        "language",
        "Language codes.",
        facet="languages",
        normalize=lambda value: value.lower().replace("_", "-"),
        pattern=r"[a-z]{2,3}(-[a-z0-9]{1,8})*",
        expected="it is a language code such as ar",
        selectivity=6,
    ),
    FilterSpec("source", "Sources.", facet="sources", selectivity=4),
    FilterSpec("entity", "Entity ids.", facet="entities", selectivity=2),
    FilterSpec(
        "topic",
        "IPTC Media Topics (medtop:…).",
        facet="topics",
        pattern=r"medtop:\w+",
        expected="it is an id such as medtop:04000000",
        selectivity=3,
    ),
    FilterSpec("story", "Story ids.", facet="stories", selectivity=1),
    FilterSpec(
        "q",
        "Words in title or text, Arabic-normalised.",
        facet=WORDS,
        expected="there is no word in it",
        # Selective, but the words of an event are expensive to extract.
        selectivity=5,
    ),
    FilterSpec(
        "duplicates",
        "Near-duplicates: hide (default), show, or only them.",
        facet="duplicates",
        values=("hide", "show", "only"),
        default="hide",
    ),
)

# The keywords of ``khabar.connect``, for type checkers; a test compares them with the table.
_Type = Literal["article", "story", "trend"]
_Values = str | Iterable[str] | None


class FilterValues(TypedDict, total=False):
    """The filters as keyword arguments: one value, or several of which any may match."""

    type: _Type | Iterable[_Type] | None
    language: _Values
    source: _Values
    entity: _Values
    topic: _Values
    story: _Values
    q: _Values
    duplicates: Literal["hide", "show", "only"] | None
