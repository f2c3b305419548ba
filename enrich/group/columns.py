"""What group keeps of an article: one row of fixed size, the same in memory and on Kafka."""

from typing import Final

import numpy as np

from enrich.fingerprint.signature import PERMUTATIONS, SKETCH

# Features that all languages share (entities, numbers, consonants of names), and terms of one language.
SHARED: Final = 24
TERMS: Final = 40
ENTITIES: Final = 12
TOPICS: Final = 6
# Feature weights, 0 to 1, are stored as integers from 0 to 255.
WEIGHT_SCALE: Final = 255.0
# Pads a sketch that has fewer hashes.
NO_HASH: Final = 0xFFFFFFFF

ROW: Final = np.dtype(
    [
        ("received", "<i8"),  # µs since 1970
        ("published", "<i8"),  # µs since 1970; the arrival time where the publication time is unknown
        ("sequence", "<i8"),  # offset on articles.raw
        ("fingerprint", "V16"),
        ("revision", "<u4"),
        ("shingles", "<u4"),
        ("sketch", "<u4", SKETCH),  # ascending, padded with NO_HASH
        ("features", "<u4", SHARED + TERMS),  # heaviest first, shared ones before terms; 0 is none
        ("weights", "u1", SHARED + TERMS),
        ("minhash", "u1", PERMUTATIONS),
    ],
    align=True,
)
