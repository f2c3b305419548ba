"""A text with all that its quotations are read by, looked up once."""

from bisect import bisect_left, bisect_right
from itertools import compress, count
from typing import cast

from enrich.quotes.lexicon import CUES, Lexicon
from enrich.quotes.quotation_marks import LONGEST, places
from enrich.quotes.segments import Segment, segments, trim
from enrich.text.tokens import Passage

_BREAKS = frozenset(",،;؛")
_PAUSES = ",،;؛:"
_STOPS = _BREAKS | frozenset(':()«»“”"—–.!?؟')

_Columns = tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...], tuple[str, ...]]


class Page:
    """A text and its words. A word is told by its place among them, an offset by its place in the text.

    Of each word ``starts`` and ``ends`` are the offsets, ``surfaces`` what is written, ``keys`` what it is looked up
    by, ``jobs`` what it does. ``cues`` are the places of words of saying; ``segments`` is what is spoken word for word,
    ``quoted`` the words in it.
    """

    def __init__(self, passage: Passage, lexicon: Lexicon) -> None:
        self.text, self.lexicon = passage.text, lexicon
        columns = zip(*passage.words, strict=True) if passage.words else ((), (), (), ())
        self.starts, self.ends, self.surfaces, forms = cast("_Columns", columns)
        self.keys = lexicon.keys(self.surfaces, forms)
        self.jobs = list(map(lexicon.jobs.get, self.keys))
        busy = list(compress(count(), self.jobs))
        self.cues = [word for word in busy if self.jobs[word] in CUES]
        self.segments = segments(self.text, self.starts, self.jobs)
        self.quoted = {word for segment in self.segments for word in range(segment.first, segment.behind)}
        self._pauses = places(self.text, _PAUSES)
        self._points = sorted({*busy, *self.quoted, *map(self.word, self._pauses)})
        self._opens = [segment.opens for segment in self.segments]

    def word(self, offset: int) -> int:
        """The first word that begins at an offset or behind it."""
        return bisect_left(self.starts, offset)

    def gap(self, word: int) -> str:
        """What stands between a word and the one before it."""
        return self.text[self.ends[word - 1] : self.starts[word]]

    def breaks(self, word: int) -> bool:
        """Whether a comma or semicolon stands before a word."""
        return not _BREAKS.isdisjoint(self.gap(word))

    def joined(self, word: int) -> bool:
        """Whether nothing but space, an apostrophe or a hyphen stands between a word and the one before it."""
        gap = self.text[self.ends[word - 1] : self.starts[word]]
        return gap == " " or _STOPS.isdisjoint(gap)

    def points(self, first: int, behind: int) -> list[int]:
        """Those of a range of words at which something may begin or end: words with a job, words in quotation marks
        and words behind a comma, semicolon or colon.
        """
        at = bisect_left(self._points, first)
        return self._points[at : bisect_left(self._points, behind, at)]

    def pauses(self, start: int, end: int) -> list[int]:
        """Where commas, semicolons and colons stand between two offsets, the second excluded."""
        at = bisect_left(self._pauses, start)
        return self._pauses[at : bisect_left(self._pauses, end, at)]

    def spoken(self, first: int, behind: int) -> list[Segment]:
        """What is spoken word for word and begins between two offsets, the second excluded."""
        return self.segments[bisect_left(self._opens, first) : bisect_left(self._opens, behind)]

    def inside(self, offset: int) -> bool:
        """Whether an offset lies in what is spoken word for word, its marks included."""
        at = bisect_right(self._opens, offset) - 1
        return at >= 0 and offset < self.segments[at].closes

    def trim(self, start: int, end: int) -> tuple[int, int] | None:
        """A span without spaces and punctuation at its sides, or None if nothing else is in it."""
        return trim(self.text, start, end)

    def holds(self, span: tuple[int, int], words: int) -> bool:
        """Whether a span has so many words and is not longer than a quotation may be."""
        return span[1] - span[0] <= LONGEST and self.word(span[1]) - self.word(span[0]) >= words

    def light(self, word: int) -> bool:
        """Whether a word may stand between a verb and its subject: an adverb, an auxiliary, a conjunction."""
        return self.keys[word] in self.lexicon.adverb or self.keys[word] in self.lexicon.breaks

    def capital(self, word: int) -> bool:
        """Whether a word begins with a capital letter."""
        return self.surfaces[word][0].isupper()
