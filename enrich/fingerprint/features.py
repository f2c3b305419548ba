"""The features of an article by which group assigns it to a story, hashed to numbers below ``FEATURES``.

Shared features are the same in all languages: entities by id, numbers, consonant keys of names. Terms belong to one
language. Annotate finds both with their frequency in the article; group, which sees all articles, weighs them by
rarity.
"""

import base64
import itertools
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint.consonants import consonant_key
from services.events import Entity, Span

# Features are distinguished by 22 bits of their hash.
FEATURES: Final = 1 << 22

PACKED: Final = np.dtype([("feature", "<u4"), ("weight", "<f4")])
_MOST = 64
# More than any weight that is computed here.
_MAX_WEIGHT = 1_000.0
# Prefix of ids that are valid in one language only; across languages such a name is compared by its consonant key.
_LOCAL = "x"
_NUMBER_WEIGHT = 0.8


def shared(entities: Sequence[Entity], boilerplate: Sequence[Span], numbers: Sequence[str]) -> dict[str, float]:
    """Entities by their mentions (``e:ID``, ``k:CONSONANTS``) and numbers (``n:NUMBER``), with their weights.

    Entities that are mentioned only in boilerplate are left out.
    """
    found: dict[str, float] = {}
    for entity in entities:
        count = mentions(entity, boilerplate)
        if count or not entity.mentions:
            consonants = consonant_key(entity.name) if entity.id.startswith(_LOCAL) else None
            name = f"k:{consonants}" if consonants else f"e:{entity.id}"
            found[name] = max(found.get(name, 0.0), 1.0 + math.log1p(count))
    return found | dict.fromkeys((f"n:{number}" for number in numbers), _NUMBER_WEIGHT)


def terms(words: Sequence[str], language: str) -> dict[str, float]:
    """Content words (``t:LANGUAGE:WORD``), with weights by rank."""
    return {f"t:{language}:{word}": 1.0 / math.sqrt(1 + at / 8) for at, word in enumerate(words)}


def number(name: str) -> int:
    """The number of a feature: 1 and up, below ``FEATURES``."""
    return crc32(name.encode("utf-8", "surrogatepass")) % (FEATURES - 1) + 1


def pack(found: Mapping[str, float]) -> str:
    """Features and weights as base64 of ``PACKED``; the first 64 when there are more."""
    rows = [(number(name), weight) for name, weight in itertools.islice(found.items(), _MOST)]
    return base64.b64encode(np.array(rows, PACKED).tobytes()).decode()


def unpack(packed: str) -> NDArray[np.void]:
    """Features and weights as ``PACKED``. Raises ``ValueError`` for invalid data."""
    found = np.frombuffer(base64.b64decode(packed), PACKED)
    if len(found) and not (found["feature"].min() >= 1 and found["feature"].max() < FEATURES):
        raise ValueError(f"features are numbers from 1 to {FEATURES - 1}")
    if not np.all((found["weight"] >= 0) & (found["weight"] <= _MAX_WEIGHT)):  # also refuses NaN
        raise ValueError(f"the weights of features are from 0 to {_MAX_WEIGHT:g}")
    return found


def mentions(entity: Entity, boilerplate: Sequence[Span]) -> int:
    """How often an entity is mentioned outside boilerplate (ascending spans)."""
    if not boilerplate:
        return len(entity.mentions)
    return sum(not is_within(mention.start, mention.end, boilerplate) for mention in entity.mentions)


def is_within(start: int, end: int, spans: Sequence[Span]) -> bool:
    """Whether one of some spans, ascending without overlaps, contains the text from ``start`` to ``end``."""
    at = bisect_right(spans, start, key=attrgetter("start"))
    return at > 0 and end <= spans[at - 1].end
