"""A text with everything that the rules of quotations look up, computed once."""

from bisect import bisect_left, bisect_right
from itertools import compress, count
from typing import cast

from enrich.quotes.lexicon import REPORTING_JOBS, Lexicon
from enrich.quotes.quotation_marks import LONGEST, positions
from enrich.quotes.segments import Segment, segments, trim
from enrich.text.tokens import Passage

_BREAKS = frozenset(",،;؛")
_PAUSES = ",،;؛:"
_STOPS = _BREAKS | frozenset(':()«»“”"—–.!?؟')

_Columns = tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...], tuple[str, ...]]


class AnnotatedText:
    """A text and its words. A word is identified by its index, an offset is one in the text.

    For each word there are its offsets (``starts``, ``ends``), its surface, the key by which it is looked up, and its
    job in the lexicon or None. ``reporting`` are the reporting verbs; ``segments`` are the direct speech, ``quoted``
    the words in it.
    """

    def __init__(self, passage: Passage, lexicon: Lexicon) -> None:
        self.text, self.lexicon = passage.text, lexicon
        columns = zip(*passage.words, strict=True) if passage.words else ((), (), (), ())
        self.starts, self.ends, self.surfaces, forms = cast("_Columns", columns)
        self.keys = lexicon.keys(self.surfaces, forms)
        self.jobs = list(map(lexicon.jobs.get, self.keys))
        busy = list(compress(count(), self.jobs))
        self.reporting = [word for word in busy if self.jobs[word] in REPORTING_JOBS]
        self.segments = segments(self.text, self.starts, self.jobs)
        self.quoted = {word for segment in self.segments for word in range(segment.first, segment.after)}
        self._pauses = positions(self.text, _PAUSES)
        self._points = sorted({*busy, *self.quoted, *map(self.word, self._pauses)})
        self._opens = [segment.opens for segment in self.segments]

    def word(self, offset: int) -> int:
        """The first word that begins at an offset or after it."""
        return bisect_left(self.starts, offset)

    def gap(self, word: int) -> str:
        """The characters between a word and the one before it."""
        return self.text[self.ends[word - 1] : self.starts[word]]

    def breaks(self, word: int) -> bool:
        """Whether there is a comma or semicolon before a word."""
        return not _BREAKS.isdisjoint(self.gap(word))

    def joined(self, word: int) -> bool:
        """Whether only space, an apostrophe or a hyphen separates a word and the one before it."""
        gap = self.text[self.ends[word - 1] : self.starts[word]]
        return gap == " " or _STOPS.isdisjoint(gap)

    def points(self, first: int, after: int) -> list[int]:
        """The words of a range at which something may begin or end: words with a job, words in quotation marks
        and words after a comma, semicolon or colon.
        """
        at = bisect_left(self._points, first)
        return self._points[at : bisect_left(self._points, after, at)]

    def pauses(self, start: int, end: int) -> list[int]:
        """The offsets of commas, semicolons and colons from ``start`` to ``end``, the latter excluded."""
        at = bisect_left(self._pauses, start)
        return self._pauses[at : bisect_left(self._pauses, end, at)]

    def spoken(self, start: int, end: int) -> list[Segment]:
        """The direct speech that begins from ``start`` to ``end``, the latter excluded."""
        return self.segments[bisect_left(self._opens, start) : bisect_left(self._opens, end)]

    def inside(self, offset: int) -> bool:
        """Whether an offset is in direct speech, quotation marks included."""
        at = bisect_right(self._opens, offset) - 1
        return at >= 0 and offset < self.segments[at].closes

    def trim(self, start: int, end: int) -> tuple[int, int] | None:
        """A span without spaces and punctuation at its ends, or None if nothing else is in it."""
        return trim(self.text, start, end)

    def fits_quotation(self, span: tuple[int, int], words: int) -> bool:
        """Whether a span has at least ``words`` words and is not longer than a quotation may be."""
        return span[1] - span[0] <= LONGEST and self.word(span[1]) - self.word(span[0]) >= words

    def is_light(self, word: int) -> bool:
        """Whether a word may stand between a verb and its subject: an adverb, an auxiliary, a conjunction."""
        return self.keys[word] in self.lexicon.adverb or self.keys[word] in self.lexicon.breaks

    def capital(self, word: int) -> bool:
        """Whether a word begins with a capital letter."""
        return self.surfaces[word][0].isupper()
