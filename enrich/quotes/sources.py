"""Reported speech with «according to X»: the clause before or after it, and the source."""

from typing import NamedTuple

from enrich.quotes import clauses
from enrich.quotes.annotated_text import AnnotatedText
from enrich.quotes.sentences import Sentence
from enrich.quotes.speakers import GROUP, Speakers
from enrich.quotes.subjects import REACH, Subject

_Span = tuple[int, int]


class _Clause(NamedTuple):
    """A clause according to somebody: its span, the words in which the source is named (``first`` to ``after``, the
    latter excluded), and whether a word such as «فإن» opens it.
    """

    span: _Span | None
    first: int
    after: int
    opened: bool


def according(speakers: Speakers, sentence: Sentence, verb: int) -> tuple[_Span, str | None] | None:
    """The clause according to somebody and the id of its source; None without a source."""
    annotated = speakers.annotated
    lead = _lead(annotated, verb)
    first = verb + 2 if annotated.keys[verb] in annotated.lexicon.according_after else verb + 1
    if lead > sentence.first and not all(map(annotated.is_light, range(sentence.first, lead))):
        clause = _before(annotated, sentence, lead, first)
    else:
        clause = _after(annotated, sentence, first)
    if clause.span is None:
        return None
    if annotated.keys[verb - 1] in annotated.lexicon.possessive:
        return clause.span, speakers.antecedent()
    source = _source(speakers, clause.first, clause.after)
    if source is not None:
        return clause.span, source.id
    if speakers.anaphoric(clause.first, clause.after):
        return clause.span, speakers.recalled()
    return (clause.span, None) if clause.opened or looks_named(speakers, clause.first, clause.after) else None


def looks_named(speakers: Speakers, first: int, after: int) -> bool:
    """Whether a source that is no known entity looks like one: a spokesperson, or a name in capitals."""
    annotated, lexicon = speakers.annotated, speakers.lexicon
    for key in annotated.keys[first:after]:
        if key in lexicon.source or (key in lexicon.voice and key not in lexicon.preposition):
            return True
    return lexicon.language.has_case and any(
        annotated.capital(word) and not speakers.subjects.governed(word, first) for word in range(first, after)
    )


def _lead(annotated: AnnotatedText, verb: int) -> int:
    """The first word of «according to», «d'après», «по его словам»."""
    lead = verb if annotated.lexicon.companions_before(annotated.keys[verb]) is None else verb - 1
    return lead - (annotated.keys[lead] in annotated.lexicon.possessive)


def _before(annotated: AnnotatedText, sentence: Sentence, lead: int, first: int) -> _Clause:
    """«…, according to X»: the clause before the words that name the source, which begin with ``first``."""
    begin = sentence.first
    if not annotated.breaks(lead):
        # Only the clause directly before, not the whole sentence.
        begin = next((word for word in range(lead - 1, begin, -1) if annotated.breaks(word)), begin)
    span = annotated.trim(annotated.starts[begin], annotated.ends[lead - 1])
    return _Clause(span, first, min(sentence.after, first + GROUP), False)


def _after(annotated: AnnotatedText, sentence: Sentence, first: int) -> _Clause:
    """«According to X, …»: the clause after the first comma, or after a word that opens it."""
    pauses = annotated.pauses(annotated.ends[first - 1], sentence.end)
    comma = next((annotated.word(at) for at in pauses if annotated.text[at] != ":"), sentence.after)
    near = range(first, min(first + REACH, sentence.after))
    opening = next((word for word in near if annotated.keys[word] in annotated.lexicon.opening), None)
    begin = comma if opening is None else opening + 1
    if begin >= sentence.after:
        return _Clause(None, first, first, False)
    span = annotated.trim(annotated.starts[begin], clauses.end(annotated, sentence, begin))
    return _Clause(span, first, min(max(comma, first), first + GROUP), opening is not None)


def _source(speakers: Speakers, first: int, after: int) -> Subject | None:
    """The source after «according to»: the first person, or body or place that follows directly."""
    for subject in speakers.subjects.between(first, after):
        if subject.type == "PER" or _follows(speakers.annotated, subject, first):
            return subject
    return None


def _follows(annotated: AnnotatedText, subject: Subject, first: int) -> bool:
    """Whether a body or place follows directly, or a body follows its spokesperson («مصدر في الكرملين»)."""
    voice = annotated.lexicon.voice
    between = range(first, subject.first)
    if any(
        annotated.keys[word] not in voice and not annotated.is_light(word) and annotated.capital(word)
        for word in between
    ):
        return False
    if subject.first - first <= 1:
        return True
    return subject.type == "ORG" and any(annotated.keys[word].lstrip("لب") in voice for word in between)
