"""Quotations of headlines: «عاجل | الكرملين: ...», a name and a colon before what is said."""

from collections.abc import Sequence

import regex

from enrich.quotes import clauses
from enrich.quotes.segments import Segment
from enrich.quotes.sentences import Sentence
from enrich.quotes.speakers import Speakers, Statement

# The most words before the name.
_LEAD = 3
# What an agency's name and a place are separated by at the beginning of its reports.
_DATELINE = ("-", "–", "—")
_COLON = regex.compile(r"\s*+:\s*+")


def headline_quote(speakers: Speakers, sentence: Sentence, segments: Sequence[Segment]) -> list[Statement]:
    """The words after a name and a colon in a sentence without reporting verb; none or one."""
    annotated = speakers.annotated
    if annotated.text.find(":", sentence.start, sentence.end) < 0:
        return []
    for subject in speakers.subjects.between(sentence.first, min(sentence.first + _LEAD + 1, sentence.after)):
        colon = _COLON.match(annotated.text, annotated.ends[subject.after - 1])
        lead = annotated.text[sentence.start : annotated.starts[subject.first]].strip()
        if colon is None or (lead and not lead.endswith(("|", "-", ":", "/"))):
            continue
        if subject.type == "LOC" and lead.endswith(_DATELINE):  # «واس- الرياض:»
            continue
        marked = next((segment for segment in segments if segment.opens == colon.end()), None)
        span = (marked.start, marked.end) if marked else annotated.trim(colon.end(), sentence.end)
        if span and annotated.fits_quotation(span, clauses.SHORTEST):
            return [Statement(*span, subject.id, None, marked is not None)]
    return []
