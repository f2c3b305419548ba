"""The quotations of a text, sentence by sentence."""

from collections.abc import Sequence

from enrich.quotes.annotated_text import AnnotatedText
from enrich.quotes.direct import continued, direct
from enrich.quotes.headline_quotes import headline_quote
from enrich.quotes.lexicon import Lexicon
from enrich.quotes.reported import reported
from enrich.quotes.sentences import Sentence, sentences
from enrich.quotes.speakers import Speakers, Statement
from enrich.quotes.subjects import Subjects
from enrich.quotes.verbs import ReportingVerb, reporting_verbs, surface
from enrich.text.tokens import Passage
from services.events import Entity, Quote

MOST_QUOTES = 100
# A text with more reporting verbs is an attack and is not processed to its end.
_MOST_VERBS = 1_000
_MOST_SEGMENTS = 40


def extract(passage: Passage, lexicon: Lexicon, entities: Sequence[Entity]) -> list[Quote]:
    """All quotations of a text, in order."""
    annotated = AnnotatedText(passage, lexicon)
    if not annotated.reporting and ":" not in annotated.text:
        return []
    parts = sentences(annotated)
    speakers = Speakers(annotated, Subjects(annotated, entities), parts)
    found: list[Quote] = []
    seen = 0
    for sentence in parts:
        if not annotated.points(sentence.first, sentence.after):
            continue
        verbs = reporting_verbs(annotated, sentence)
        seen += len(verbs)
        for statement in _statements(speakers, sentence, verbs):
            found.append(_quote(annotated, statement))
            speakers.add(statement)
        if len(found) >= MOST_QUOTES or seen > _MOST_VERBS:
            break
    return found[:MOST_QUOTES]


def _statements(speakers: Speakers, sentence: Sentence, verbs: list[ReportingVerb]) -> list[Statement]:
    """The statements of a sentence with its reporting verbs, in order."""
    segments = speakers.annotated.spoken(sentence.start, sentence.end)[:_MOST_SEGMENTS]
    speakers.enter(sentence, verbs)
    if not verbs:
        return headline_quote(speakers, sentence, segments) or continued(speakers, sentence, segments)
    quoted = direct(speakers, verbs, segments)
    return sorted([*quoted, *reported(speakers, sentence, verbs, quoted)], key=_start)


def _start(statement: Statement) -> int:
    return statement.start


def _quote(annotated: AnnotatedText, statement: Statement) -> Quote:
    return Quote(
        start=statement.start,
        end=statement.end,
        text=annotated.text[statement.start : statement.end],
        speaker=statement.speaker,
        verb=None if statement.verb is None else surface(annotated, statement.verb),
        direct=statement.direct,
    )
