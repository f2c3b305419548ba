"""Direct speech: in quotation marks or in a line of dialogue, without the author's words inside."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import regex

from enrich.quotes.lexicon import QUOTE, SAY
from enrich.quotes.quotation_marks import LONGEST, dashed, lines_of_dialogue, marked

# Characters that belong to no clause at its beginning or end.
EDGE = " \t\n\u00a0\u202f.,،;؛:—–-…"

_INSERTED = regex.compile(r"[,!?…]\s++[—–]\s++")
_RESUMED = regex.compile(r"[.,!?…]\s++[—–]\s++")


class Segment(NamedTuple):
    """Direct speech: offsets without the marks (``start``, ``end``) and with them (``opens``, ``closes``); its first
    word and the one after its last.
    """

    start: int
    end: int
    opens: int
    closes: int
    first: int
    after: int


def segments(text: str, starts: Sequence[int], jobs: Sequence[str | None]) -> list[Segment]:
    """All direct speech, in order, without overlap.

    ``starts`` and ``jobs`` have for each word its offset and its job in the lexicon.
    """
    found = []
    for start, end, opens, closes in _segment_offsets(text, starts, jobs):
        found.append(Segment(start, end, opens, closes, bisect_left(starts, opens), bisect_left(starts, closes)))
    return found


def trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    """A span without spaces and punctuation at its ends, or None if nothing else is in it."""
    while start < end and text[start] in EDGE:
        start += 1
    while end > start and text[end - 1] in EDGE:
        end -= 1
    return (start, end) if start < end else None


_Offsets = tuple[int, int, int, int]


def _segment_offsets(text: str, starts: Sequence[int], jobs: Sequence[str | None]) -> Iterator[_Offsets]:
    pairs = marked(text)
    if not dashed(text):
        yield from (inner + outer for inner, outer in pairs)
        return
    for inner, outer in pairs:
        whole = inner + outer
        yield from _interrupted(text, whole, starts, jobs) or [whole]
    covered = pairs[-1].outer[1] if pairs else 0
    for start in lines_of_dialogue(text):
        if start >= covered:
            end = text.find("\n", start, start + LONGEST)
            end = min(start + LONGEST, len(text)) if end < 0 else end
            yield from _interrupted(text, (start, end, start, end), starts, jobs)


def _interrupted(text: str, whole: _Offsets, starts: Sequence[int], jobs: Sequence[str | None]) -> list[_Offsets]:
    """The parts of a segment before and after the author's words («…, — said he. — …»); none without such words."""
    start, end, opens, closes = whole
    first = _INSERTED.search(text, start, end)
    if first is None:
        return []
    at = bisect_left(starts, first.end())
    if not any(job in (SAY, QUOTE) for job in jobs[at : at + 2]):
        return []
    found = [(start, first.start(), opens, first.start())]
    second = _RESUMED.search(text, first.end(), end)
    if second is not None and (rest := trim(text, second.end(), end)):
        found.append((*rest, second.end(), closes))
    return found
