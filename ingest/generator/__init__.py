"""``khabar generate``: a synthetic stream of articles with known truth, the same for the same seed on every machine.

======== ===============================================================================
stream   the stream: each article with the truth about it; ``Stream``
schedule stories, their sizes and the arrival times of their articles; bursts
writing  titles and texts in six languages, from ``words/*.toml``
names    the entities of the stream: ``entities.tsv``, and any number of invented ones
outlets  the publishers
copying  edited near-duplicates and excerpts
output   writes the files
words/   words and sentences, one file per language
======== ===============================================================================

All random decisions use ``random.Random``, and the only arithmetic on its numbers is sums, products, quotients and
square roots: these have the same result on every machine, logarithms and powers do not.
"""

from ingest.generator.schedule import Burst
from ingest.generator.stream import START, Stream, Truth
from ingest.generator.writing import LANGUAGES

__all__ = ["LANGUAGES", "START", "Burst", "Stream", "Truth"]
