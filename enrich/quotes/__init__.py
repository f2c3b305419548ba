"""Who said what: words in quotation marks and reported clauses, with the word of saying and the speaker.

lexicon.py     the words of a language by their job (ar.toml, en.toml, fr.toml, ru.toml)
marks.py       pairs of quotation marks, lines of dialogue
segments.py    what is spoken word for word, without the author's words inside
page.py        a text with all that it is read by, looked up once
sentences.py   where sentences begin and end
cues.py        the words of saying of a sentence
names.py       people, bodies and places among the words; which can be the subject of a verb
clauses.py     where a reported clause begins and ends
speakers.py    whom a word of saying belongs to, and who goes on speaking
direct.py      quotations in quotation marks
reported.py    reported speech: clauses behind a word of saying or before it
sources.py     reported speech according to somebody
flash.py       a name and a colon before what is said
reading.py     all of it, sentence by sentence

A quotation must have a word of saying in its own sentence or follow one of the same speaker; the name of a newspaper
or a film between quotation marks is none. A clause behind «أن», «that», «que», «что» or a colon is reported speech;
where part of it stands in quotation marks, that part is the quotation and the clause is not told beside it.
"""

from collections.abc import Sequence

from enrich.normalization import Passage
from enrich.quotes.lexicon import load
from enrich.quotes.reading import read
from services.events import Entity, Quote


def find(passage: Passage, language: str, entities: Sequence[Entity]) -> list[Quote]:
    """The quotations of a text in order, without overlap; at most 100, none longer than 2,000 characters.

    ``entities`` are those of the article with their mentions in ``passage.text``; a speaker is the id of one of them
    (a person, a body, or a place that stands for its government) or None. A language without words of its own
    (``lexicon.LANGUAGES``) has no quotations.
    """
    lexicon = load(language)
    return [] if lexicon is None else read(passage, lexicon, entities)
