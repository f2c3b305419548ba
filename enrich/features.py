"""What of an article matters to its story, as numbers: features below ``FEATURES``.

Shared features speak all languages: entities by id, numbers, consonants of names. Terms belong to one language.
Annotate finds both, with how much of each the article has; group, where all articles meet, weighs them by rarity.
"""

import base64
import itertools
import math
from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from enrich.grouping.columns import FEATURES, SHARED, TERMS, WEIGHT
from enrich.skeleton import skeleton
from services.events import Entity, Span

PACKED = np.dtype([("feature", "<u4"), ("weight", "<f4")])
_MOST = 64
# An identity of the article's language alone; elsewhere the name is known by its consonants.
_LOCAL = "x"
_NUMBER = 0.8
# An article that has little to go by has no vector of full length: as if it had one rare feature more.
_UNSAID = 0.7
# The pairs of the heaviest features are features, too.
_FIRST, _SECOND = np.triu_indices(5, 1)
# An odd number that spreads what it multiplies over 32 bits (Knuth's multiplicative hashing).
_SPREAD = np.uint32(2_654_435_761)


def shared(entities: Sequence[Entity], boilerplate: Sequence[Span], numbers: Sequence[str]) -> dict[str, float]:
    """Entities by their mentions (``e:ID``, ``k:CONSONANTS``) and numbers (``n:NUMBER``), and how much of each.

    Who is named in boilerplate alone has no part in the news.
    """
    found: dict[str, float] = {}
    for entity in entities:
        count = mentions(entity, boilerplate)
        if count or not entity.mentions:
            consonants = skeleton(entity.name) if entity.id.startswith(_LOCAL) else None
            name = f"k:{consonants}" if consonants else f"e:{entity.id}"
            found[name] = max(found.get(name, 0.0), 1.0 + math.log1p(count))
    return found | dict.fromkeys((f"n:{number}" for number in numbers), _NUMBER)


def terms(words: Sequence[str], language: str) -> dict[str, float]:
    """Content words (``t:LANGUAGE:WORD``), and how much of each: by rank."""
    return {f"t:{language}:{word}": 1.0 / math.sqrt(1 + at / 8) for at, word in enumerate(words)}


def number(name: str) -> int:
    """The number of a feature: 1 and up, below ``FEATURES``."""
    return crc32(name.encode("utf-8", "surrogatepass")) % (FEATURES - 1) + 1


def pack(found: Mapping[str, float]) -> str:
    """Features and weights as base64 of ``PACKED``; the first 64 when there are more."""
    rows = [(number(name), weight) for name, weight in itertools.islice(found.items(), _MOST)]
    return base64.b64encode(np.array(rows, PACKED).tobytes()).decode()


def unpack(packed: str) -> NDArray[np.void]:
    """Features and weights as ``PACKED``. Raises ``ValueError`` for what is none."""
    found = np.frombuffer(base64.b64decode(packed), PACKED)
    if len(found) and not (found["feature"].min() >= 1 and found["feature"].max() < FEATURES):
        raise ValueError(f"features are numbers from 1 to {FEATURES - 1}")
    return found


def weigh(
    shared: NDArray[np.void], terms: NDArray[np.void], frequency: NDArray[np.int32], articles: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """The heaviest of ``PACKED`` features and their weights, as a row has them.

    A weight is tf-idf: how much the article has of a feature, by how rare that is among the articles in the window at
    this moment; nothing is weighed again later.
    """
    names, weights = np.zeros(SHARED + TERMS, np.uint32), np.zeros(SHARED + TERMS, np.uint8)
    log_all = math.log(articles + 2)
    for found, start, kept in ((shared, 0, SHARED), (terms, SHARED, TERMS)):
        own = found["feature"]
        values = found["weight"] * (log_all - np.log(frequency[own] + 1))
        heaviest = np.lexsort((own, -values))[:kept]
        values = values[heaviest]
        length = math.sqrt(float(values @ values) + (_UNSAID * log_all) ** 2)
        names[start : start + len(heaviest)] = own[heaviest]
        weights[start : start + len(heaviest)] = np.rint(values * (WEIGHT / length))
    return names, weights


def pairs(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Keys of the pairs of an article's five heaviest shared features, (…, 10), 0 where there are fewer; one or many.

    Presidents are named in a thousand articles, two of them together in a few.
    """
    one, other = numbers[..., _FIRST], numbers[..., _SECOND]
    low, high = np.minimum(one, other), np.maximum(one, other)
    keys = (low * _SPREAD) ^ (high + np.uint32(FEATURES))
    keys[low == 0] = 0
    return keys


def products(weights: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much each of the pairs speaks, (10,): twice the product of the two weights."""
    return 2.0 * weights[_FIRST].astype(np.float32) * weights[_SECOND]


def mentions(entity: Entity, boilerplate: Sequence[Span]) -> int:
    """How often an entity is mentioned outside boilerplate."""
    if not boilerplate:
        return len(entity.mentions)
    return sum(
        not any(span.start <= mention.start and mention.end <= span.end for span in boilerplate)
        for mention in entity.mentions
    )
