"""Hypothesis strategies for events and filters: few values, so that they often match."""

import json
from typing import Any

from hypothesis import strategies as st

from api.stream.cursor import Cursors
from api.stream.filters import Filter
from api.stream.stream_event import Event, Facets

CURSORS = Cursors("one")
_LANGUAGES = ["ar", "fr"]
_SOURCES = ["الجزيرة", "RFI"]
_ENTITIES = ["Q1", "Q2", "Q3"]
_TOPICS = ["medtop:01000000", "medtop:20000002"]
_STORIES = ["s1", "s2"]
_WORDS = ["زلزال", "غزة", "خبر"]


def _some(values: list[str], most: int = 2) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), max_size=most)


FILTERS: st.SearchStrategy[Filter] = st.builds(
    Filter,
    type=_some(["article", "story", "trend"], 1),
    language=_some(_LANGUAGES),
    source=_some(_SOURCES, 1),
    entity=_some(_ENTITIES),
    topic=_some(_TOPICS),
    story=_some(_STORIES),
    q=_some([*_WORDS, "زلزال غزة"]),
    duplicates=st.sampled_from(["hide", "show", "only"]),
)
# Filters that many events pass.
WIDE = st.sampled_from(
    [
        Filter(),
        Filter(duplicates="show"),
        Filter(language=frozenset(["ar"])),
        Filter(entity=frozenset(["Q1", "Q2"])),
        Filter(q=frozenset(["زلزال"])),
        Filter(source=frozenset(["nobody"])),
    ]
)
FACETS: st.SearchStrategy[Facets] = st.builds(
    Facets,
    type=st.sampled_from(["article", "article", "story", "trend"]),
    languages=_some(_LANGUAGES),
    sources=_some(_SOURCES),
    entities=_some(_ENTITIES),
    topics=_some(_TOPICS),
    stories=_some(_STORIES),
    duplicate=st.booleans(),
)
# Facets and text of an event.
EVENTS = st.tuples(FACETS, st.lists(st.sampled_from(_WORDS), max_size=3).map(" ".join))


def event(offset: int, facets: Facets, text: str, **more: Any) -> Event:
    """An event at this offset."""
    cursor = CURSORS.encode(offset)
    head = f'{{"cursor":"{cursor}","type":"{facets.type}","data":'.encode()
    data = json.dumps({"text": text, **more}, ensure_ascii=False).encode()
    return Event(offset, cursor, head + data + b"}", len(head), facets)
