"""Who and what an article names: recognise, match, link.

A recognizer finds names by form and context (Arabic: a neural network; languages with capitals: rules), the gazetteer
has known names; linking decides where both find a name, and gives each entity one identity.
"""

from collections.abc import Iterable

from enrich.entities import bodies, linking, matching
from enrich.entities.linking import Name, Persons
from enrich.entities.matching import Match
from enrich.entities.recognition import boundaries, capitals
from enrich.entities.recognition.recognizer import NameSpan, Recognizer
from enrich.text.tokens import Passage
from services.events import Entity, Mention

_ARABIC = "ar"


def find_entities(title: Passage, text: Passage, language: str, recognizer: Recognizer) -> list[Entity]:
    """The entities of an article in the order of their first mention.

    Mentions are those in the text; one named only in the title comes last and has none.
    """
    heading, body = recognise(title, language, recognizer), recognise(text, language, recognizer)
    in_heading, in_body = _matches(title, language, heading), _matches(text, language, body)
    in_heading += matching.regions(title, language, in_heading, {match.entry.id for match in in_body})
    in_body += matching.regions(text, language, in_body, {match.entry.id for match in in_heading})
    in_heading, in_body = bodies.find([(title, in_heading, heading), (text, in_body, body)], language)
    persons = Persons()
    in_text = persons.resolve(text, linking.names(text, in_body, body), language)
    in_title = persons.resolve(title, linking.names(title, in_heading, heading), language)
    if language == _ARABIC:
        in_title = _sure(in_title, {name.id for name in in_text})
    return _entities(text.text, in_text, in_title, language)


def _sure(in_title: list[Name], named: set[str]) -> list[Name]:
    """The names of a headline without single words that are not known and not in the text («سيول جازان»)."""
    return [name for name in in_title if name.entry or len(name.forms) > 1 or name.id in named]


def _matches(passage: Passage, language: str, recognised: list[NameSpan]) -> list[Match]:
    """The names of the gazetteer in a passage, without Arabic words that only look like one («بورشة العمل»)."""
    found = matching.matches(passage, language, recognised)
    return boundaries.without_words(passage, found, recognised) if language == _ARABIC else found


def recognise(passage: Passage, language: str, recognizer: Recognizer) -> list[NameSpan]:
    """The names in a passage by form and context; by rules where the recognizer does not support the language."""
    if recognizer.languages is None or language in recognizer.languages:
        found = recognizer.find(passage)
        return boundaries.corrected(passage, found) if language == _ARABIC else found
    return capitals.find(passage, language)


def _entities(text: str, in_text: Iterable[Name], in_title: Iterable[Name], language: str) -> list[Entity]:
    found: dict[str, tuple[Name, list[Mention]]] = {}
    for name in in_text:
        _, mentions = found.setdefault(name.id, (name, []))
        mentions.append(Mention(start=name.start, end=name.end, text=text[name.start : name.end]))
    for name in in_title:
        found.setdefault(name.id, (name, []))
    return [
        Entity(id=key, name=_shown(name, language), type=name.type, mentions=mentions)
        for key, (name, mentions) in found.items()
    ]


def _shown(name: Name, language: str) -> str:
    return name.entry.name(language) if name.entry else name.text
