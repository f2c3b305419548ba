"""Flashes: «عاجل | الكرملين: ...», a name and a colon before what is said."""

from collections.abc import Sequence

import regex

from enrich.quotes import clauses
from enrich.quotes.segments import Segment
from enrich.quotes.sentences import Sentence
from enrich.quotes.speakers import Said, Speakers

# So many words may stand before the name.
_LEAD = 3
_COLON = regex.compile(r"\s*+:\s*+")


def flash(speakers: Speakers, sentence: Sentence, segments: Sequence[Segment]) -> list[Said]:
    """What a sentence without a word of saying has a name say behind a colon; nothing or one."""
    page = speakers.page
    if page.text.find(":", sentence.start, sentence.end) < 0:
        return []
    for name in speakers.names.between(sentence.first, min(sentence.first + _LEAD + 1, sentence.behind)):
        colon = _COLON.match(page.text, page.ends[name.behind - 1])
        lead = page.text[sentence.start : page.starts[name.first]].strip()
        if colon is None or (lead and not lead.endswith(("|", "-", ":", "/"))):
            continue
        marked = next((segment for segment in segments if segment.opens == colon.end()), None)
        span = (marked.start, marked.end) if marked else page.trim(colon.end(), sentence.end)
        if span and page.holds(span, clauses.SHORTEST):
            return [Said(*span, name.id, None, marked is not None)]
    return []
