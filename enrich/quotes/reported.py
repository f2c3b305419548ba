"""Reported speech: clauses behind a word of saying, before one, and according to somebody."""

from collections.abc import Iterator, Sequence

from enrich.quotes import clauses, sources
from enrich.quotes.lexicon import ACCORDING, QUOTE, SAY
from enrich.quotes.sentences import Sentence
from enrich.quotes.speakers import GROUP, Said, Speakers
from enrich.quotes.verbs import Cue

# Behind a verb at the end of a sentence stand its subject, a day and a place.
_TAIL = 8
_RELATIVE = frozenset({"who", "which", "that", "qui", "que", "dont", "который", "которая", "которые"})

_Told = tuple[tuple[int, int], str | None] | None


def reported(speakers: Speakers, sentence: Sentence, cues: Sequence[Cue], direct: Sequence[Said]) -> Iterator[Said]:
    """The reported clauses of a sentence that share no letter with ``direct``, its words in quotation marks."""
    covered = sentence.start
    verbs = {said.verb for said in direct}
    for verb, job in cues:
        if job == QUOTE or verb in verbs:
            continue
        told = _told(speakers, sentence, verb, job)
        if told is None or told[0][0] < covered or not speakers.page.holds(told[0], clauses.SHORTEST):
            continue
        (start, covered), speaker = told
        if not any(said.start < covered and start < said.end for said in direct):
            yield Said(start, covered, speaker, verb, False)


def _told(speakers: Speakers, sentence: Sentence, verb: int, job: str) -> _Told:
    """The clause that a word of saying reports, and who says it."""
    if job == ACCORDING:
        return sources.according(speakers, sentence, verb)
    page = speakers.page
    begin = clauses.begin(page, sentence, verb)
    if begin is None:
        return _before(speakers, sentence, verb) if job == SAY and page.lexicon.language != "ar" else None
    span = page.trim(page.starts[begin], clauses.end(page, sentence, begin))
    return (span, speakers.of(verb, job, begin)) if span else None


def _before(speakers: Speakers, sentence: Sentence, verb: int) -> _Told:
    """«The talks went on, the Kremlin said.»: the clause before a comma, and who said it."""
    page = speakers.page
    group = next((word for word in range(verb, sentence.first, -1) if page.breaks(word)), sentence.first)
    if group == sentence.first or not _stands_apart(speakers, sentence, group, verb):
        return None
    span = page.trim(sentence.start, page.ends[group - 1])
    if span is None:
        return None
    if not all(map(page.light, range(group, verb))):
        return (span, speakers.subject(group, verb)) if page.lexicon.language == "en" else None
    name = speakers.names.subject(verb + 1, sentence.behind, verb)
    if name is None and not sources.looks_named(speakers, verb + 1, sentence.behind):
        return None
    return span, name.id if name else None


def _stands_apart(speakers: Speakers, sentence: Sentence, group: int, verb: int) -> bool:
    """Whether the words from ``group`` to a verb say no more than who said the clause before them."""
    page = speakers.page
    if verb - group > GROUP or page.inside(page.ends[group - 1] - 1):
        return False
    breaks = page.lexicon.breaks
    if page.keys[group] in breaks or page.keys[group - 1] in breaks or page.keys[group - 1] in _RELATIVE:
        return False
    behind = verb + 1
    return sentence.behind - behind <= _TAIL or page.breaks(behind)
