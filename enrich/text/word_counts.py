"""How often words of a language were counted in the news (``languages/xx/word_counts.txt.gz``)."""

import functools
import gzip
from collections.abc import Mapping

from enrich.languages import files


@functools.cache
def word_counts(language: str) -> Mapping[str, int]:
    """Words in the spelling of ``tokens.form``, each with the least count of its tier; empty without a list."""
    path = files.path(language, files.WORD_COUNTS)
    counts: dict[str, int] = {}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines() if path else ():
        tier, *words = line.split(" ")
        counts.update(dict.fromkeys(words, int(tier)))
    return counts
