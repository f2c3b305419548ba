"""Where sentences begin and end."""

import re
from bisect import bisect_left
from typing import NamedTuple

from enrich.quotes.annotated_text import Page

# A longer sentence is read in pieces, so that hostile input costs no more than other input of its size.
_LONGEST = 4_000
# The end of a line, or full stops; those without a space behind are matched too, so that none is looked at twice.
# Behind one set of letters all patterns begin with, ``re`` is faster than ``regex``.
_END = re.compile(r"[.!?؟۔…\n](?:(?<=\n)\s*+|[.!?؟۔…]*+(?:[\"»”’)]*+\s++)?+)")
_ABBREVIATED = frozenset({"dr", "mr", "mrs", "ms", "st", "gen", "sen", "prof", "mme", "mlle", "им", "ул"})


class Sentence(NamedTuple):
    """A sentence: offsets of its text, its first word and the one behind its last, and its place in the text."""

    start: int
    end: int
    first: int
    behind: int
    number: int


def sentences(page: Page) -> list[Sentence]:
    """All sentences in order; they cover the text. One that is longer than 4,000 characters is cut into several."""
    found: list[Sentence] = []
    start = first = 0
    for end in _ends(page):
        while start < end:
            piece = min(start + _LONGEST, end)
            behind = bisect_left(page.starts, piece, first)
            found.append(Sentence(start, piece, first, behind, len(found)))
            start, first = piece, behind
    return found


def _ends(page: Page) -> list[int]:
    """Offsets behind each sentence and the space that follows it. None lies within quotation marks."""
    text = page.text
    found = []
    segments = iter(page.segments)
    segment = next(segments, None)
    for match in _END.finditer(text):
        stop, behind = match.span()
        while segment is not None and segment.closes <= stop:
            segment = next(segments, None)
        if not text[behind - 1].isspace() or (segment is not None and segment.start <= stop < segment.end):
            continue
        if text[stop] == "\n" or "\n" in match.group() or _closes(page, stop, behind):
            found.append(behind)
    found.append(len(text))
    return found


def _closes(page: Page, stop: int, behind: int) -> bool:
    """Whether a full stop closes a sentence: not in «U.N. Secretary», «4 a.m. in», «г. Казань»."""
    text = page.text
    after = text[behind : behind + 1]
    if after.islower() or after in "—–":
        return False
    if page.lexicon.language == "ar":
        return text[stop : stop + 3] != ".. "  # two dots are a dash
    word = page.word(stop) - 1
    if text[stop] != "." or word < 0 or page.ends[word] != stop:
        return True
    letter = stop - page.starts[word] == 1 and page.surfaces[word].isalpha()
    return not (letter or page.keys[word] in _ABBREVIATED)
