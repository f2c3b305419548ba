"""The layout of the store: keys, buckets, windows, and how long each is kept.

All keys have the hash tag ``{khabar}``: in a cluster they are in one slot, so that a script can use all of them.

============================== ====== ===========================================================================
key (after ``{khabar}:``)      type   holds
============================== ====== ===========================================================================
applied                        hash   log id → offset of the last applied record of ``updates``; one field
state                          hash   ``WINDOW:SPAN``: the newest bucket that has left a window; ``complete``: since
                                      when (ms since 1970) all is counted; ``rebuilding``, ``goal``: during a rebuild;
                                      ``layout``: the digest of this layout; ``sample``: offset and timestamp of the
                                      last counted record; ``unknown_past``: the log before this one is gone
n:DIM:SPAN:START:SHARD         hash   id → count in the minute, hour or day number START since 1970
top:DIM:WINDOW                 zset   id → count in the window
names:ERA:SHARD                hash   entity or topic id → name
source:DAY:SHARD               hash   entity id → digests of the sources that named it that day; ``*``: six or more
sources:DAY:ID                 string HyperLogLog of the sources that named an entity that day, if six or more
sources:ID                     string HyperLogLog of the sources of a story, if two or more
new:SPAN:START                 hash   how much of the budgets of new ids is used in a minute or day: source digest → its
                                      local entities; ``other`` → those of sources counted as that; ``*`` → sources
place:DAY:SHARD                hash   article or story id → offset of its newest record on ``updates``;
                                      ``=ID`` → offset and story to which an article was moved,
                                      ``>ID`` → offset and story into which a story was merged
story:ID                       string one of the newest 20,000 stories as JSON
stories                        zset   ids of those, without merged ones, by when they were published (ms)
stories:FACET:VALUE            zset   the same of the stories that have this language, entity or topic
facets                         hash   story id → its FACET:VALUE, one a line; for the stories in ``stories``
trends                         hash   KIND:WINDOW:ID → last event of a trend, active or recently ended, as JSON
============================== ====== ===========================================================================

Webhooks and feeds are in the same slot, under keys that do not begin with the tag (``services/store/webhooks.py``,
``services/store/feeds.py``).

Hashes of many small fields are split into shards, so that each stays in the compact encoding that servers use for up
to some hundred fields: a count then takes some 20 bytes instead of 70.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, Literal, get_args

Dimension = Literal["language", "source", "topic", "entity", "story", "pair"]
Window = Literal["15m", "1h", "24h", "all"]
Span = Literal["m", "h", "d"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
WINDOWS: Final[tuple[Window, ...]] = get_args(Window)

TAG: Final = "{khabar}"
APPLIED: Final = f"{TAG}:applied"
STATE: Final = f"{TAG}:state"
STORIES: Final = f"{TAG}:stories"
FACETS: Final = f"{TAG}:facets"
TRENDS: Final = f"{TAG}:trends"

SECONDS: Final[dict[Span, int]] = {"m": 60, "h": 3600, "d": 86_400}
DAY: Final = SECONDS["d"]
# A day longer than ``updates`` keeps the record that a location points to.
KEPT: Final = 8 * DAY
# Names are stored once per era; an id that is still counted was named in this era or in one of the two before it.
ERA_DAYS: Final = 16
NAME_SHARDS: Final = 2_048
PLACE_SHARDS: Final = 16_384
SOURCE_SHARDS: Final = 1_024
# Up to this many sources of an entity are stored as a list of digests with this many digits, more as a HyperLogLog.
FEW_SOURCES: Final = 5
SOURCE_DIGITS: Final = 12
# How many of an article's entities form its pairs: those that it mentions most.
PAIRED: Final = 3
MOST_STORIES: Final = 20_000
# How many ids that are new on their day are counted per minute and per day: of sources, and of local entities (those
# without a Wikidata id) of one source. Writers choose both kinds of ids. What exceeds a budget is counted as ``OTHER``.
NEW_IDS: Final[dict[Literal["source", "entity"], dict[Span, int]]] = {
    "source": {"m": 1_000, "d": 10_000},
    "entity": {"m": 1_000, "d": 20_000},
}
OTHER: Final = "other"
# What stories are found by.
Facet = Literal["entity", "language", "topic"]
STORY_FACETS: Final[tuple[Facet, ...]] = get_args(Facet)


@dataclass(frozen=True, slots=True)
class WindowView:
    """A window: the sum of the last ``buckets`` buckets of one span.

    Counts below ``min_count`` in a bucket are left out of the window. Some dimensions have hundreds of thousands of
    ids of which most occur once: with a minimum of 2, the window holds only ids that occur again within the same
    bucket, and each of its counts is too low by at most 1 per bucket.
    """

    window: Window
    buckets: int
    min_count: int = 1


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts by one span of time, in ``shards`` hashes per bucket, that expire ``kept`` buckets after their own.

    ``views`` are the windows over them. ``dropped``: they are deleted when they leave the longest window, before they
    expire.
    """

    shards: int
    kept: int
    views: tuple[WindowView, ...] = ()
    dropped: bool = False


_MINUTES = (WindowView("15m", 15), WindowView("1h", 60), WindowView("24h", 1_440))
_DAYS = (WindowView("all", 30),)


def _spans(shards: tuple[int, int, int]) -> dict[Span, Buckets]:
    minutes, hours, days = shards
    return {
        "m": Buckets(minutes, 2 * 1_440, _MINUTES, dropped=True),
        "h": Buckets(hours, 8 * 24),
        "d": Buckets(days, 38, _DAYS, dropped=True),
    }


# ``total`` has the ids ``articles`` and ``duplicates``.
SPANS: Final[dict[str, dict[Span, Buckets]]] = {
    "total": _spans((1, 1, 1)),
    "language": _spans((1, 1, 1)),
    "source": _spans((1, 4, 16)),
    "topic": _spans((1, 1, 1)),
    "entity": _spans((16, 256, 1_024)),
    "story": {
        "m": Buckets(8, 2 * 60, (WindowView("15m", 15), WindowView("1h", 60)), dropped=True),
        "h": Buckets(256, 2 * 24, (WindowView("24h", 24, min_count=2),), dropped=True),
    },
    "pair": {"h": Buckets(512, 2 * 24, (WindowView("24h", 24, min_count=2),), dropped=True)},
}
# The constants that the scripts need.
LAYOUT: Final[dict[str, Any]] = {
    "names": NAME_SHARDS,
    "sources": SOURCE_SHARDS,
    "places": PLACE_SHARDS,
    "era": ERA_DAYS,
    "few": FEW_SOURCES,
    "source": SOURCE_DIGITS,
    "kept": KEPT,
    "stories": MOST_STORIES,
    "new": NEW_IDS,
    "other": OTHER,
    "facets": [*STORY_FACETS],
    "seconds": SECONDS,
    "spans": {
        dimension: {
            span: {
                "shards": buckets.shards,
                "kept": buckets.kept,
                "dropped": buckets.dropped,
                "views": [[view.window, view.buckets, view.min_count] for view in buckets.views],
            }
            for span, buckets in spans.items()
        }
        for dimension, spans in SPANS.items()
    },
}


# Increase it when what the scripts store changes in a way that ``LAYOUT`` does not show.
VERSION: Final = 1


def digest() -> str:
    """Identifies this layout: a store that was written in another one is emptied and counted again."""
    described = json.dumps([VERSION, PAIRED, LAYOUT], sort_keys=True)
    return blake2b(described.encode(), digest_size=8).hexdigest()


def as_lua(value: object) -> str:
    """A Lua literal of a dict, list, string, number or bool."""
    match value:
        case dict():
            return "{" + ",".join(f"[{as_lua(name)}]={as_lua(one)}" for name, one in value.items()) + "}"
        case list():
            return "{" + ",".join(map(as_lua, value)) + "}"
        case str():
            return f"'{value}'"
        case _:
            return str(value).lower()


def windows(dimension: str) -> tuple[Window, ...]:
    """The windows of a dimension."""
    return tuple(view.window for buckets in SPANS[dimension].values() for view in buckets.views)


def window_source(dimension: str, window: Window) -> tuple[Span, WindowView]:
    """The span that a window of a dimension is summed from, and the view. Raises ``KeyError`` when there is none."""
    for span, buckets in SPANS[dimension].items():
        for view in buckets.views:
            if view.window == window:
                return span, view
    raise KeyError(window)


def bucket(span: Span, at: datetime) -> int:
    """The number of the bucket that contains a time, counted from 1970."""
    return int(at.timestamp()) // SECONDS[span]


def start(span: Span, number: int) -> datetime:
    """The time at which a bucket begins."""
    return datetime.fromtimestamp(number * SECONDS[span], UTC)


def shard(name: str, shards: int) -> int:
    """The shard of an id; ``hash`` in ``common.lua`` computes the same."""
    number = 0
    for byte in name.encode()[-6:]:
        number = (number * 31 + byte) % 65_521
    return number % shards


def stories_with(facet: str) -> str:
    """Key of the sorted set of the stories that have a facet, ``FACET:VALUE``."""
    return f"{STORIES}:{facet}"


def top(dimension: str, window: Window) -> str:
    """Key of the sorted set of a window."""
    return f"{TAG}:top:{dimension}:{window}"
