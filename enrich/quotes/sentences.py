"""Where sentences begin and end."""

import re
from bisect import bisect_left
from typing import NamedTuple

from enrich.quotes.annotated_text import AnnotatedText

# A longer sentence is processed in pieces, so that hostile input costs no more than other input of its size.
_LONGEST = 4_000
# The end of a line, or full stops; those without a space after them are matched too, so that none is examined twice.
# As all alternatives begin with one set of letters, ``re`` is faster than ``regex``.
_END = re.compile(r"[.!?؟۔…\n](?:(?<=\n)\s*+|[.!?؟۔…]*+(?:[\"»”’)]*+\s++)?+)")


class Sentence(NamedTuple):
    """A sentence: offsets of its text, its first word and the one after its last, and its number in the text."""

    start: int
    end: int
    first: int
    after: int
    number: int


def sentences(annotated: AnnotatedText) -> list[Sentence]:
    """All sentences in order; they cover the text. Longer ones are cut after 4,000 characters."""
    found: list[Sentence] = []
    start = first = 0
    for end in _ends(annotated):
        while start < end:
            piece = min(start + _LONGEST, end)
            after = bisect_left(annotated.starts, piece, first)
            found.append(Sentence(start, piece, first, after, len(found)))
            start, first = piece, after
    return found


def _ends(annotated: AnnotatedText) -> list[int]:
    """The offset after each sentence and the space that follows it. None is within quotation marks."""
    text = annotated.text
    found = []
    segments = iter(annotated.segments)
    segment = next(segments, None)
    for match in _END.finditer(text):
        stop, after = match.span()
        while segment is not None and segment.closes <= stop:
            segment = next(segments, None)
        if not text[after - 1].isspace() or (segment is not None and segment.start <= stop < segment.end):
            continue
        if text[stop] == "\n" or "\n" in match.group() or _closes(annotated, stop, after):
            found.append(after)
    found.append(len(text))
    return found


def _closes(annotated: AnnotatedText, stop: int, after: int) -> bool:
    """Whether a full stop closes a sentence: not in «U.N. Secretary», «4 a.m. in», «г. Казань»."""
    text = annotated.text
    following = text[after : after + 1]
    if following.islower() or following in "—–":
        return False
    if not annotated.lexicon.language.has_case:
        return text[stop : stop + 3] != ".. "  # two dots are a dash
    word = annotated.word(stop) - 1
    if text[stop] != "." or word < 0 or annotated.ends[word] != stop:
        return True
    letter = stop - annotated.starts[word] == 1 and annotated.surfaces[word].isalpha()
    return not (letter or annotated.keys[word] in annotated.lexicon.abbreviation)
