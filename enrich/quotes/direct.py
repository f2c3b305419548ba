"""Words in quotation marks that somebody says."""

from bisect import bisect_left
from collections.abc import Sequence

from enrich.quotes.annotated_text import Page
from enrich.quotes.lexicon import ACCORDING, QUOTE, SAY
from enrich.quotes.names import REACH
from enrich.quotes.quotation_marks import LONGEST
from enrich.quotes.segments import EDGE, Segment
from enrich.quotes.sentences import Sentence
from enrich.quotes.speakers import GROUP, Said, Speakers
from enrich.quotes.verbs import Cue

_SHORTEST = 2
# With nothing that leads from a verb to the marks, fewer words are a name or emphasis.
_SHORTEST_LOOSE = 3
# Words that are no longer may be written small in a title.
_SHORT_WORD = 3
_BETWEEN = EDGE.replace(":", "")
_PARTING = frozenset('«“"„:;؛')


def direct(speakers: Speakers, cues: Sequence[Cue], segments: Sequence[Segment]) -> list[Said]:
    """The quotations among what is marked as spoken in a sentence, each with its word of saying."""
    page = speakers.page
    found = []
    for segment in segments:
        if not _holds(segment, _SHORTEST):
            continue
        at = bisect_left(cues, (segment.first, ""))
        earlier = cues[at - 1] if at else None
        later = next((cue for cue in cues[at:] if cue[1] in (SAY, QUOTE)), None)
        closes = later is not None and _closes(page, segment, later[0])
        if earlier is not None and (_introduces(page, earlier[0], segment) or not closes):
            verb, job = earlier
            if _belongs(speakers, verb, job, segment):
                found.append(_said(segment, speakers.of(verb, job, segment.first), verb))
        elif later is not None and closes:
            verb, job = later
            found.append(_said(segment, speakers.behind(segment, verb, job), verb))
    return found


def continued(speakers: Speakers, sentence: Sentence, segments: Sequence[Segment]) -> list[Said]:
    """A sentence that is nothing but words in quotation marks, right behind one in which somebody spoke."""
    before = speakers.just_said()
    if before is None or len(segments) != 1:
        return []
    (segment,) = segments
    text = speakers.page.text
    rest = text[sentence.start : segment.opens] + text[segment.closes : sentence.end]
    if rest.strip(EDGE) or not _holds(segment, _SHORTEST_LOOSE):
        return []
    return [_said(segment, before.speaker, before.verb)]


def _said(segment: Segment, speaker: str | None, verb: int | None) -> Said:
    return Said(segment.start, segment.end, speaker, verb, True)


def _holds(segment: Segment, words: int) -> bool:
    """Whether a segment has so many words and is not too long."""
    return segment.behind - segment.first >= words and segment.end - segment.start <= LONGEST


def _belongs(speakers: Speakers, verb: int, job: str, segment: Segment) -> bool:
    """Whether a segment is what a verb before it tells, and not the name of something."""
    page = speakers.page
    beside = segment.first == verb + 1 or ":" in page.text[segment.opens - 2 : segment.opens]
    if job == ACCORDING or not (beside or _holds(segment, _SHORTEST_LOOSE)) or _is_title(speakers, verb, segment):
        return False
    return segment.first - verb <= REACH or _introduces(page, verb, segment)


def _introduces(page: Page, verb: int, segment: Segment) -> bool:
    """Whether a colon or a complementiser leads from a verb to a segment, or nothing stands between them."""
    if segment.first == verb + 1 or _colon(page, verb, segment):
        return True
    between = page.keys[verb + 1 : min(segment.first, verb + REACH)]
    return not page.lexicon.complementizer.isdisjoint(between)


def _colon(page: Page, verb: int, segment: Segment) -> bool:
    return page.text[page.ends[verb] : segment.opens].rstrip(_BETWEEN).endswith(":")


def _closes(page: Page, segment: Segment, verb: int) -> bool:
    """Whether a verb and its subject follow a segment: «"…," the minister said»."""
    first = segment.behind
    if verb - first > GROUP or not _PARTING.isdisjoint(page.text[segment.closes : page.starts[verb]]):
        return False
    if page.lexicon.language == "ar":
        return page.keys[verb] in page.lexicon.plain and (verb == first or page.keys[first:verb] == ("هكذا",))
    return verb == first or page.keys[first] not in page.lexicon.breaks


def _is_title(speakers: Speakers, verb: int, segment: Segment) -> bool:
    """Whether marks hold the name of a newspaper, a film or somebody, and not what somebody said."""
    page, names = speakers.page, speakers.names
    before = segment.first - 1
    if page.keys[before] in page.lexicon.title and ":" not in page.text[page.ends[before] : segment.opens]:
        return True
    if any(name.behind == segment.behind for name in names.between(segment.first, segment.first + 1)):
        return True
    words = page.surfaces[segment.first : segment.behind]
    return page.lexicon.language == "en" and all(word[0].isupper() for word in words if len(word) > _SHORT_WORD)
