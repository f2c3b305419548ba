"""Who said what: words in quotation marks and reported clauses, with the reporting verb and the speaker.

=============== =======================================================================
lexicon         the words of a language by their job (``languages/xx/quotes.toml``)
quotation_marks pairs of quotation marks, lines of dialogue
segments        direct speech, without the author's words inside
annotated_text  a text with everything that the rules look up, computed once
sentences       where sentences begin and end
verbs           the reporting verbs of a sentence
subjects        people, bodies and places that can be the subject of a verb
clauses         where a reported clause begins and ends
speakers        the speaker of a reporting verb, and who continues to speak
direct          quotations in quotation marks
reported        reported speech: clauses after or before a reporting verb
sources         reported speech according to somebody
headline_quotes a name and a colon before what is said
extract         the quotations of a text, sentence by sentence
=============== =======================================================================

A quotation must have a reporting verb in its own sentence or follow one of the same speaker; the name of a newspaper
or a film in quotation marks is none. A clause after «أن», «that», «que», «что» or a colon is reported speech; where
part of it is in quotation marks, that part is the quotation and the clause is left out.
"""

from collections.abc import Sequence

from enrich.quotes.extract import extract
from enrich.quotes.lexicon import load
from enrich.text.tokens import Passage
from services.events import Entity, Quote


def find(passage: Passage, language: str, entities: Sequence[Entity]) -> list[Quote]:
    """The quotations of a text in order, without overlap; at most 100, none longer than 2,000 characters.

    ``entities`` are those of the article with their mentions in ``passage.text``; a speaker is the id of one of them
    (a person, a body, or a place that means its government) or None. A language without ``quotes.toml`` has no
    quotations.
    """
    lexicon = load(language)
    return [] if lexicon is None else extract(passage, lexicon, entities)
