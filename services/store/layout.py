"""Where everything lies in the store: keys, buckets, windows, and how long each is kept.

All keys carry the hash tag ``{khabar}``: a cluster holds them in one slot, and a script never touches two.

============================== ====== ===========================================================================
key (after ``{khabar}:``)      type   holds
============================== ====== ===========================================================================
applied                        hash   cluster/topic-partition → offset of the last applied record of ``updates``
state                          hash   ``WINDOW:SPAN``: the newest bucket that has left a window; ``complete``: from
                                      when on (ms since 1970) all is counted; ``rebuilding``, ``goal``: not yet
n:DIM:SPAN:START:SHARD         hash   id → count in the minute, hour or day that begins at START (in such units)
top:DIM:WINDOW                 zset   id → count in the window
names:ERA:SHARD                hash   entity or topic id → name
source:DAY:SHARD               hash   entity id → the sources that named it that day (hashed); ``*``: six or more
sources:DAY:ID                 string HyperLogLog of the sources that named an entity that day, if six or more
sources:ID                     string HyperLogLog of the sources of a story, if two or more
place:DAY:SHARD                hash   article or story id → offset of its newest record on ``updates``;
                                      ``=ID`` → offset and story to which an article was moved,
                                      ``>ID`` → offset and story into which a story was merged
story:ID                       string one of the newest 20,000 stories as JSON
stories                        zset   ids of those, without merged ones, by when they were published (ms)
trends                         hash   KIND:WINDOW:ID → last trend event of what rises, or ended lately, as JSON
============================== ====== ===========================================================================

Webhooks lie in the same slot, under keys that do not begin with the tag (``services/store/webhooks.py``).

Hashes of many small fields are cut into shards, so that each stays in the compact encoding that servers use for up to
some hundred fields: a count then takes some 20 bytes instead of 70.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
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
TRENDS: Final = f"{TAG}:trends"

SECONDS: Final[dict[Span, int]] = {"m": 60, "h": 3600, "d": 86_400}
DAY: Final = SECONDS["d"]
# As long as ``updates`` keeps what a place points to, and a day more.
KEPT: Final = 8 * DAY
# Names are written anew in each era; an id that is counted at all was named in this one or one of the two before.
ERA_DAYS: Final = 16
NAME_SHARDS: Final = 2_048
PLACE_SHARDS: Final = 16_384
SOURCE_SHARDS: Final = 1_024
# So many sources of an entity are noted one by one, as hashes of so many digits; of more there is a HyperLogLog.
FEW_SOURCES: Final = 5
SOURCE_DIGITS: Final = 12
# An article's pairs are those of the entities that it names most.
PAIRED: Final = 3
MOST_STORIES: Final = 20_000


@dataclass(frozen=True, slots=True)
class View:
    """A window over buckets of one span.

    A count below ``least`` in a bucket is left out of the window: of what is mostly met once, and then by the
    hundred thousand, the window holds what came again within an hour, and is short by one at most for each hour.
    """

    window: Window
    buckets: int
    least: int = 1


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts by one span of time: cut into ``shards``, seen through ``views``, gone ``kept`` buckets after their own.

    ``dropped``: they go when they leave the longest view; they would go later by themselves.
    """

    shards: int
    kept: int
    views: tuple[View, ...] = ()
    dropped: bool = False


_MINUTES = (View("15m", 15), View("1h", 60), View("24h", 1_440))
_DAYS = (View("all", 30),)


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
        "m": Buckets(8, 2 * 60, (View("15m", 15), View("1h", 60)), dropped=True),
        "h": Buckets(256, 2 * 24, (View("24h", 24, least=2),), dropped=True),
    },
    "pair": {"h": Buckets(512, 2 * 24, (View("24h", 24, least=2),), dropped=True)},
}
# What scripts need of the above.
LAYOUT: Final[dict[str, Any]] = {
    "names": NAME_SHARDS,
    "sources": SOURCE_SHARDS,
    "places": PLACE_SHARDS,
    "era": ERA_DAYS,
    "few": FEW_SOURCES,
    "source": SOURCE_DIGITS,
    "kept": KEPT,
    "stories": MOST_STORIES,
    "seconds": SECONDS,
    "spans": {
        dimension: {
            span: {
                "shards": buckets.shards,
                "kept": buckets.kept,
                "dropped": buckets.dropped,
                "views": [[view.window, view.buckets, view.least] for view in buckets.views],
            }
            for span, buckets in spans.items()
        }
        for dimension, spans in SPANS.items()
    },
}


def as_lua(value: object) -> str:
    """A table of Lua that is what a dict, a list, a string, a number or a truth value is here."""
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
    """The windows in which a dimension can be asked for."""
    return tuple(view.window for buckets in SPANS[dimension].values() for view in buckets.views)


def seen_through(dimension: str, window: Window) -> tuple[Span, View]:
    """The span and the view behind a window of a dimension. Raises ``KeyError`` when there is none."""
    for span, buckets in SPANS[dimension].items():
        for view in buckets.views:
            if view.window == window:
                return span, view
    raise KeyError(window)


def bucket(span: Span, at: datetime) -> int:
    """The bucket that a moment lies in, counted from 1970."""
    return int(at.timestamp()) // SECONDS[span]


def start(span: Span, number: int) -> datetime:
    """When a bucket begins."""
    return datetime.fromtimestamp(number * SECONDS[span], UTC)


def shard(name: str, shards: int) -> int:
    """The shard that an id lies in; scripts reckon the same."""
    number = 0
    for byte in name.encode()[-6:]:
        number = (number * 31 + byte) % 65_521
    return number % shards


def top(dimension: str, window: Window) -> str:
    """Key of the sorted set of a window."""
    return f"{TAG}:top:{dimension}:{window}"
