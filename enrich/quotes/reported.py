"""Reported speech: clauses after or before a reporting verb, and according to somebody."""

from collections.abc import Iterator, Sequence

from enrich.quotes import clauses, sources
from enrich.quotes.lexicon import ACCORDING, QUOTE, SAY
from enrich.quotes.sentences import Sentence
from enrich.quotes.speakers import GROUP, Speakers, Statement
from enrich.quotes.verbs import ReportingVerb

# After a verb at the end of a sentence its subject, a day and a place may follow.
_TAIL = 8

_Reported = tuple[tuple[int, int], str | None] | None


def reported(
    speakers: Speakers, sentence: Sentence, verbs: Sequence[ReportingVerb], direct: Sequence[Statement]
) -> Iterator[Statement]:
    """The reported clauses of a sentence that do not overlap ``direct``, its quotations in quotation marks."""
    covered = sentence.start
    done = {statement.verb for statement in direct}
    for verb, job in verbs:
        if job == QUOTE or verb in done:
            continue
        found = _clause_of(speakers, sentence, verb, job)
        if found is None or found[0][0] < covered or not speakers.annotated.fits_quotation(found[0], clauses.SHORTEST):
            continue
        (start, covered), speaker = found
        if not any(said.start < covered and start < said.end for said in direct):
            yield Statement(start, covered, speaker, verb, False)


def _clause_of(speakers: Speakers, sentence: Sentence, verb: int, job: str) -> _Reported:
    """The clause that a reporting verb introduces, and its speaker."""
    if job == ACCORDING:
        return sources.according(speakers, sentence, verb)
    annotated = speakers.annotated
    begin = clauses.begin(annotated, sentence, verb)
    if begin is None:
        verb_first = annotated.lexicon.language.syntax.verb_first
        return _before(speakers, sentence, verb) if job == SAY and not verb_first else None
    span = annotated.trim(annotated.starts[begin], clauses.end(annotated, sentence, begin))
    return (span, speakers.of(verb, job, begin)) if span else None


def _before(speakers: Speakers, sentence: Sentence, verb: int) -> _Reported:
    """The clause before a comma and a verb, and its speaker: «The talks went on, the Kremlin said.»"""
    annotated = speakers.annotated
    group = next((word for word in range(verb, sentence.first, -1) if annotated.breaks(word)), sentence.first)
    if group == sentence.first or not _is_tag(speakers, sentence, group, verb):
        return None
    span = annotated.trim(sentence.start, annotated.ends[group - 1])
    if span is None:
        return None
    if not all(map(annotated.is_light, range(group, verb))):
        allowed = annotated.lexicon.language.syntax.subject_before_verb
        return (span, speakers.subject(group, verb)) if allowed else None
    subject = speakers.subjects.subject(verb + 1, sentence.after, verb)
    if subject is None and not sources.looks_named(speakers, verb + 1, sentence.after):
        return None
    return span, subject.id if subject else None


def _is_tag(speakers: Speakers, sentence: Sentence, group: int, verb: int) -> bool:
    """Whether the words from ``group`` to a verb only name the speaker of the clause before them."""
    annotated = speakers.annotated
    if verb - group > GROUP or annotated.inside(annotated.ends[group - 1] - 1):
        return False
    breaks = annotated.lexicon.breaks
    if (
        annotated.keys[group] in breaks
        or annotated.keys[group - 1] in breaks
        or annotated.keys[group - 1] in annotated.lexicon.relative_pronoun
    ):
        return False
    after = verb + 1
    return sentence.after - after <= _TAIL or annotated.breaks(after)
