"""``khabar generate``: a synthetic stream of articles with known truth, the same for the same seed everywhere.

======== ==============================================================================
stream   which article comes when, of which story, copied from what; ``Stream``
schedule stories, their sizes and the times of their articles; bursts
writing  titles and texts in six languages, from ``words/*.toml``
names    whom and what articles name: ``entities.tsv``, and any number of invented ones
outlets  who publishes
copying  edited copies and excerpts
output   the files
words/   words and sentences, a file a language
======== ==============================================================================

Only ``random.Random`` decides anything, and sums, products and square roots are the only arithmetic on its numbers:
these give the same bits on every machine, logarithms and powers do not.
"""

from ingest.generator.schedule import Burst
from ingest.generator.stream import START, Stream, Truth
from ingest.generator.writing import LANGUAGES

__all__ = ["LANGUAGES", "START", "Burst", "Stream", "Truth"]
