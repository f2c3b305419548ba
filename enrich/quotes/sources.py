"""«According to X»: whose words a clause before or behind it are."""

from typing import NamedTuple

from enrich.quotes import clauses
from enrich.quotes.annotated_text import Page
from enrich.quotes.names import REACH, Name
from enrich.quotes.sentences import Sentence
from enrich.quotes.speakers import GROUP, Speakers

_POSSESSIVE = frozenset({"его", "ее", "их"})

_Span = tuple[int, int]


class _Clause(NamedTuple):
    """A clause told according to somebody: its span, the words in which the source is named, and whether a word such as
    «فإن» opens it.
    """

    span: _Span | None
    first: int
    behind: int
    opened: bool


def according(speakers: Speakers, sentence: Sentence, cue: int) -> tuple[_Span, str | None] | None:
    """What is told according to somebody, and the id of the source; None where neither name nor looks tell a source."""
    page = speakers.page
    lead = _lead(page, cue)
    first = cue + 2 if page.lexicon.language == "en" else cue + 1
    if lead > sentence.first and not all(map(page.light, range(sentence.first, lead))):
        told = _before(page, sentence, lead, first)
    else:
        told = _behind(page, sentence, first)
    if told.span is None:
        return None
    if page.keys[cue - 1] in _POSSESSIVE:
        return told.span, speakers.antecedent()
    name = _source(speakers, told.first, told.behind)
    if name is not None:
        return told.span, name.id
    if speakers.anaphoric(told.first, told.behind):
        return told.span, speakers.recalled()
    return (told.span, None) if told.opened or looks_named(speakers, told.first, told.behind) else None


def looks_named(speakers: Speakers, first: int, behind: int) -> bool:
    """Whether a source that is no known entity looks like one: a voice, or a name in capitals."""
    page, lexicon = speakers.page, speakers.lexicon
    for key in page.keys[first:behind]:
        if key in lexicon.source or (key in lexicon.voice and key not in lexicon.preposition):
            return True
    return lexicon.language != "ar" and any(
        page.capital(word) and not speakers.names.governed(word, first) for word in range(first, behind)
    )


def _lead(page: Page, cue: int) -> int:
    """The first word of «according to», «d'après», «по его словам»."""
    lead = cue - 1 if page.lexicon.language in ("ru", "fr") and page.keys[cue] != "selon" else cue
    return lead - (page.keys[lead] in _POSSESSIVE)


def _before(page: Page, sentence: Sentence, lead: int, first: int) -> _Clause:
    """«…, according to X»: the clause before the words that name the source; «first» is the first of the name."""
    begin = sentence.first
    if not page.breaks(lead):
        # The clause is the one right before, not all that the sentence tells.
        begin = next((word for word in range(lead - 1, begin, -1) if page.breaks(word)), begin)
    span = page.trim(page.starts[begin], page.ends[lead - 1])
    return _Clause(span, first, min(sentence.behind, first + GROUP), False)


def _behind(page: Page, sentence: Sentence, first: int) -> _Clause:
    """«According to X, …»: the clause behind the first comma, or behind a word that opens it."""
    pauses = page.pauses(page.ends[first - 1], sentence.end)
    comma = next((page.word(at) for at in pauses if page.text[at] != ":"), sentence.behind)
    near = range(first, min(first + REACH, sentence.behind))
    opening = next((word for word in near if page.keys[word] in page.lexicon.opening), None)
    begin = comma if opening is None else opening + 1
    if begin >= sentence.behind:
        return _Clause(None, first, first, False)
    span = page.trim(page.starts[begin], clauses.end(page, sentence, begin))
    return _Clause(span, first, min(max(comma, first), first + GROUP), opening is not None)


def _source(speakers: Speakers, first: int, behind: int) -> Name | None:
    """Whom «according to» names: the first name that no other word governs, cases and particles aside."""
    for name in speakers.names.between(first, behind):
        if name.type == "PER" or _follows(speakers.page, name, first):
            return name
    return None


def _follows(page: Page, name: Name, first: int) -> bool:
    """Whether a body or place stands behind a word at once, or a body behind its voice («مصدر في الكرملين»)."""
    voice = page.lexicon.voice
    between = range(first, name.first)
    if any(page.keys[word] not in voice and not page.light(word) and page.capital(word) for word in between):
        return False
    if name.first - first <= 1:
        return True
    return name.type == "ORG" and any(page.keys[word].lstrip("لب") in voice for word in between)
