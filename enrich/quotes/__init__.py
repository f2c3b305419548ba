"""Who said what: words in quotation marks and reported clauses, with the word of saying and the speaker.

=============== =========================================================================================
lexicon         the words of a language by their job (``ar.toml``, ``en.toml``, ``fr.toml``, ``ru.toml``)
quotation_marks pairs of quotation marks, lines of dialogue
segments        what is spoken word for word, without the author's words inside
annotated_text  a text with everything the rules look up, computed once
sentences       where sentences begin and end
verbs           the reporting verbs of a sentence
names           people, bodies and places among the words; which can be the subject of a verb
clauses         where a reported clause begins and ends
speakers        to whom a reporting verb belongs, and who goes on speaking
direct          quotations in quotation marks
reported        reported speech: clauses after or before a reporting verb
sources         reported speech according to somebody
headline_quotes a name and a colon before what is said
extract         all of it, sentence by sentence
=============== =========================================================================================

A quotation must have a word of saying in its own sentence or follow one of the same speaker; the name of a newspaper
or a film between quotation marks is none. A clause behind «أن», «that», «que», «что» or a colon is reported speech;
where part of it stands in quotation marks, that part is the quotation and the clause is not told beside it.
"""

from collections.abc import Sequence

from enrich.quotes.extract import read
from enrich.quotes.lexicon import load
from enrich.text.tokens import Passage
from services.events import Entity, Quote


def find(passage: Passage, language: str, entities: Sequence[Entity]) -> list[Quote]:
    """The quotations of a text in order, without overlap; at most 100, none longer than 2,000 characters.

    ``entities`` are those of the article with their mentions in ``passage.text``; a speaker is the id of one of them
    (a person, a body, or a place that stands for its government) or None. A language without words of its own
    (``lexicon.LANGUAGES``) has no quotations.
    """
    lexicon = load(language)
    return [] if lexicon is None else read(passage, lexicon, entities)
