"""One text read sentence by sentence."""

from collections.abc import Sequence

from enrich.quotes.annotated_text import Page
from enrich.quotes.direct import continued, direct
from enrich.quotes.headline_quotes import flash
from enrich.quotes.lexicon import Lexicon
from enrich.quotes.names import Names
from enrich.quotes.reported import reported
from enrich.quotes.sentences import Sentence, sentences
from enrich.quotes.speakers import Said, Speakers
from enrich.quotes.verbs import Cue, cues, surface
from enrich.text.tokens import Passage
from services.events import Entity, Quote

MOST_QUOTES = 100
# A text with more words of saying is not written to be read.
_MOST_CUES = 1_000
_MOST_SEGMENTS = 40


def read(passage: Passage, lexicon: Lexicon, entities: Sequence[Entity]) -> list[Quote]:
    """All quotations of a text, in order."""
    page = Page(passage, lexicon)
    if not page.cues and ":" not in page.text:
        return []
    parts = sentences(page)
    speakers = Speakers(page, Names(page, entities), parts)
    found: list[Quote] = []
    met = 0
    for sentence in parts:
        if not page.points(sentence.first, sentence.behind):
            continue
        told = cues(page, sentence)
        met += len(told)
        said = _said(speakers, sentence, told)
        for one in said:
            found.append(_quote(page, one))
            speakers.remember(one)
        if len(found) >= MOST_QUOTES or met > _MOST_CUES:
            break
    return found[:MOST_QUOTES]


def _said(speakers: Speakers, sentence: Sentence, told: list[Cue]) -> list[Said]:
    """What is said in a sentence with its words of saying, in order."""
    segments = speakers.page.spoken(sentence.start, sentence.end)[:_MOST_SEGMENTS]
    speakers.enter(sentence, told)
    if not told:
        return flash(speakers, sentence, segments) or continued(speakers, sentence, segments)
    quoted = direct(speakers, told, segments)
    return sorted([*quoted, *reported(speakers, sentence, told, quoted)], key=_start)


def _start(said: Said) -> int:
    return said.start


def _quote(page: Page, said: Said) -> Quote:
    return Quote(
        start=said.start,
        end=said.end,
        text=page.text[said.start : said.end],
        speaker=said.speaker,
        verb=None if said.verb is None else surface(page, said.verb),
        direct=said.direct,
    )
