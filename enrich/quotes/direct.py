"""Quotations in quotation marks."""

from bisect import bisect_left
from collections.abc import Sequence

from enrich.quotes.annotated_text import AnnotatedText
from enrich.quotes.lexicon import ACCORDING, QUOTE, SAY
from enrich.quotes.quotation_marks import LONGEST
from enrich.quotes.segments import EDGE, Segment
from enrich.quotes.sentences import Sentence
from enrich.quotes.speakers import GROUP, Speakers, Statement
from enrich.quotes.subjects import REACH
from enrich.quotes.verbs import ReportingVerb

_SHORTEST = 2
# Where nothing connects a verb with the marks, fewer words are a name or emphasis.
_SHORTEST_LOOSE = 3
# Words up to this length may have no capital in a title.
_SHORT_WORD = 3
# «"…" هكذا قال الوزير»
_THUS = "هكذا"
_BETWEEN = EDGE.replace(":", "")
_SEPARATING = frozenset('«“"„:;؛')


def direct(speakers: Speakers, verbs: Sequence[ReportingVerb], segments: Sequence[Segment]) -> list[Statement]:
    """The quotations among the direct speech of a sentence, each with its reporting verb."""
    annotated = speakers.annotated
    found = []
    for segment in segments:
        if not _fits_quotation(segment, _SHORTEST):
            continue
        at = bisect_left(verbs, segment.first, key=_word)
        earlier = verbs[at - 1] if at else None
        later = next((verb for verb in verbs[at:] if verb.job in (SAY, QUOTE)), None)
        closes = later is not None and _closes(annotated, segment, later.word)
        if earlier is not None and (_introduces(annotated, earlier.word, segment) or not closes):
            verb, job = earlier
            if _belongs(speakers, verb, job, segment):
                found.append(_statement(segment, speakers.of(verb, job, segment.first), verb))
        elif later is not None and closes:
            verb, job = later
            found.append(_statement(segment, speakers.of_preceding(segment, verb, job), verb))
    return found


def continued(speakers: Speakers, sentence: Sentence, segments: Sequence[Segment]) -> list[Statement]:
    """The quotation of a sentence that consists of one, directly after a sentence with a quotation."""
    before = speakers.just_said()
    if before is None or len(segments) != 1:
        return []
    (segment,) = segments
    text = speakers.annotated.text
    rest = text[sentence.start : segment.opens] + text[segment.closes : sentence.end]
    if rest.strip(EDGE) or not _fits_quotation(segment, _SHORTEST_LOOSE):
        return []
    return [_statement(segment, before.speaker, before.verb)]


def _statement(segment: Segment, speaker: str | None, verb: int | None) -> Statement:
    return Statement(segment.start, segment.end, speaker, verb, True)


def _word(verb: ReportingVerb) -> int:
    return verb.word


def _fits_quotation(segment: Segment, words: int) -> bool:
    """Whether a segment has at least ``words`` words and is not too long."""
    return segment.after - segment.first >= words and segment.end - segment.start <= LONGEST


def _belongs(speakers: Speakers, verb: int, job: str, segment: Segment) -> bool:
    """Whether a segment is the quotation of a verb before it, and not the name of something."""
    annotated = speakers.annotated
    adjacent = segment.first == verb + 1 or ":" in annotated.text[segment.opens - 2 : segment.opens]
    if (
        job == ACCORDING
        or not (adjacent or _fits_quotation(segment, _SHORTEST_LOOSE))
        or _is_title(speakers, verb, segment)
    ):
        return False
    return segment.first - verb <= REACH or _introduces(annotated, verb, segment)


def _introduces(annotated: AnnotatedText, verb: int, segment: Segment) -> bool:
    """Whether a verb and a segment are adjacent or connected by a colon or a complementizer."""
    if segment.first == verb + 1 or _colon(annotated, verb, segment):
        return True
    between = annotated.keys[verb + 1 : min(segment.first, verb + REACH)]
    return not annotated.lexicon.complementizer.isdisjoint(between)


def _colon(annotated: AnnotatedText, verb: int, segment: Segment) -> bool:
    return annotated.text[annotated.ends[verb] : segment.opens].rstrip(_BETWEEN).endswith(":")


def _closes(annotated: AnnotatedText, segment: Segment, verb: int) -> bool:
    """Whether a verb and its subject follow a segment: «"…," the minister said»."""
    first = segment.after
    if verb - first > GROUP or not _SEPARATING.isdisjoint(annotated.text[segment.closes : annotated.starts[verb]]):
        return False
    if annotated.lexicon.language.syntax.verb_first:
        return annotated.keys[verb] in annotated.lexicon.plain and (
            verb == first or annotated.keys[first:verb] == (_THUS,)
        )
    return verb == first or annotated.keys[first] not in annotated.lexicon.breaks


def _is_title(speakers: Speakers, verb: int, segment: Segment) -> bool:
    """Whether quotation marks enclose the name of a newspaper, a film or a person, and no speech."""
    annotated, subjects = speakers.annotated, speakers.subjects
    before = segment.first - 1
    if (
        annotated.keys[before] in annotated.lexicon.title
        and ":" not in annotated.text[annotated.ends[before] : segment.opens]
    ):
        return True
    if any(subject.after == segment.after for subject in subjects.between(segment.first, segment.first + 1)):
        return True
    if not annotated.lexicon.language.syntax.title_case:
        return False
    words = annotated.surfaces[segment.first : segment.after]
    return all(word[0].isupper() for word in words if len(word) > _SHORT_WORD)
