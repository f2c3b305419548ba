"""How much each feature of an article counts: tf-idf weights and the keys of feature pairs.

Weights are set once, when an article enters the window, from the document frequencies at that moment.
"""

import math

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint.features import FEATURES
from enrich.group.columns import SHARED, TERMS, WEIGHT_SCALE

# A vector of few features is shortened, as if the article had one more rare feature of this weight: one name in common
# must not count as everything in common.
_NORM_PADDING = 0.7
# Pairs of the five heaviest features are index keys as well.
_FIRST, _SECOND = np.triu_indices(5, 1)
# An odd number that spreads what it multiplies over 32 bits (Knuth's multiplicative hashing).
_SPREAD = np.uint32(2_654_435_761)


def weigh(
    shared: NDArray[np.void], terms: NDArray[np.void], frequency: NDArray[np.int32], articles: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """The heaviest of ``PACKED`` features and their tf-idf weights, as stored in a row.

    ``frequency`` is how many of the ``articles`` in the window have each feature at this moment. Weights never change
    afterwards.
    """
    names, weights = np.zeros(SHARED + TERMS, np.uint32), np.zeros(SHARED + TERMS, np.uint8)
    log_all = math.log(articles + 2)
    for found, start, kept in ((shared, 0, SHARED), (terms, SHARED, TERMS)):
        own = found["feature"]
        values = found["weight"] * (log_all - np.log(frequency[own] + 1))
        heaviest = np.lexsort((own, -values))[:kept]
        values = values[heaviest]
        length = math.sqrt(float(values @ values) + (_NORM_PADDING * log_all) ** 2)
        names[start : start + len(heaviest)] = own[heaviest]
        weights[start : start + len(heaviest)] = np.rint(values * (WEIGHT_SCALE / length))
    return names, weights


def pair_keys(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Keys of the pairs of an article's five heaviest shared features, (…, 10), 0 where there are fewer.

    Takes one article or many. A president is named in a thousand articles, two presidents together in a few.
    """
    one, other = numbers[..., _FIRST], numbers[..., _SECOND]
    low, high = np.minimum(one, other), np.maximum(one, other)
    keys = (low * _SPREAD) ^ (high + np.uint32(FEATURES))
    keys[low == 0] = 0
    return keys


def pair_weights(weights: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The weight of each of the pairs, (10,): twice the product of the weights of the two features."""
    return 2.0 * weights[_FIRST].astype(np.float32) * weights[_SECOND]
