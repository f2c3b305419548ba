"""What group keeps of an article: one row of fixed size, the same in memory and on Kafka."""

from typing import Final

import numpy as np

from enrich.fingerprint.signature import PERMUTATIONS, SKETCH

# Features that every language shares (entities, numbers, consonants of names), and terms of one language.
SHARED: Final = 24
TERMS: Final = 40
ENTITIES: Final = 12
TOPICS: Final = 6
# A feature's weight, 0 to 1, is kept in steps of 1/255.
WEIGHT: Final = 255.0

ROW: Final = np.dtype(
    [
        ("received", "<i8"),  # µs since 1970
        ("published", "<i8"),  # µs since 1970; when it was received, where nothing is known
        ("sequence", "<i8"),  # offset on articles.raw
        ("fingerprint", "V16"),
        ("revision", "<u4"),
        ("shingles", "<u4"),
        ("sketch", "<u4", SKETCH),  # ascending, the largest number where there are fewer
        ("features", "<u4", SHARED + TERMS),  # heaviest first, shared ones before terms; 0 is none
        ("weights", "u1", SHARED + TERMS),
        ("minhash", "u1", PERMUTATIONS),
    ],
    align=True,
)
