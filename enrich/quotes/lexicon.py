"""The words by which a language reports speech, from its ``quotes.toml``."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

from enrich import languages
from enrich.languages import Language, files
from enrich.text.tokens import form

SAY, QUOTE, PARTICIPLE, ACCORDING = "say", "quote", "participle", "according"
REPORTING_JOBS = frozenset({SAY, QUOTE, PARTICIPLE, ACCORDING})
# Jobs of words that are no reporting verbs.
ASIDE, COMPLEMENTIZER = "aside", "complementizer"
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of a language by their job, in the form that ``keys`` returns.

    ``jobs`` are reporting verbs, asides and complementizers with their job; ``plain`` are the reporting verbs and
    asides without a conjunction. ``according_after`` and ``according_before`` are, by word, the words one of which must
    be next to it. The other fields are described in ``languages/README.md`` under the same names.
    """

    language: Language
    jobs: Mapping[str, str]
    plain: frozenset[str]
    according_after: Mapping[str, frozenset[str]]
    according_before: Mapping[str, frozenset[str]]
    plural_endings: tuple[str, ...]
    abbreviation: frozenset[str]
    according_apart: frozenset[str]
    according_say: frozenset[str]
    adverb: frozenset[str]
    anaphor: frozenset[str]
    article: frozenset[str]
    bare: frozenset[str]
    breaks: frozenset[str]
    complementizer: frozenset[str]
    continuing: frozenset[str]
    correction: frozenset[str]
    locative: frozenset[str]
    office: frozenset[str]
    opening: frozenset[str]
    possessive: frozenset[str]
    preposition: frozenset[str]
    pronoun: frozenset[str]
    relation: frozenset[str]
    relative: frozenset[str]
    relative_pronoun: frozenset[str]
    source: frozenset[str]
    through: frozenset[str]
    title: frozenset[str]
    unreported: frozenset[str]
    voice: frozenset[str]

    def keys(self, surfaces: Iterable[str], forms: tuple[str, ...]) -> tuple[str, ...]:
        """The keys by which words are looked up, from their surfaces and forms."""
        if _keeps_endings(self.language):
            return tuple(surface.casefold().replace("ё", "е") for surface in surfaces)
        return forms

    def companions_before(self, key: str) -> frozenset[str] | None:
        """The words one of which must precede a word with the meaning of «according»; None if it needs none."""
        return self.according_before.get(key) or self.according_before.get(_ANY)


# The fields that are plain lists of words, with the keys of ``quotes.toml`` as names.
WORD_LISTS = tuple(field.name for field in fields(Lexicon) if field.type == frozenset[str] and field.name != "plain")


@functools.cache
def load(code: str) -> Lexicon | None:
    """The words of a language, or None if there are none."""
    table = files.table(code, files.QUOTES)
    if table is None:
        return None
    language = languages.get(code)
    endings = table.pop("endings", "").split()
    plural_endings = tuple(table.pop("plural_endings", "").split())
    after, before = (
        {
            key: frozenset(_keys(words, language, endings))
            for word, words in table.pop(name, {}).items()
            for key in ([word] if word == _ANY else _keys(word, language, endings))
        }
        for name in ("according_after", "according_before")
    )
    words = {job: frozenset(_keys(text, language, endings)) for job, text in table.items()}
    plain = {word: job for job in (ASIDE, QUOTE, SAY, PARTICIPLE, ACCORDING) for word in words.get(job, ())}
    joined = {letter + word: job for letter in language.conjunctions for word, job in plain.items()}
    written_onto = language.conjunctions + language.prepositions
    words["office"] = words.get("office", frozenset()).union(
        letter + word for letter in written_onto for word in words.get("office", ())
    )
    sets = {name: words.get(name, frozenset[str]()) for name in WORD_LISTS}
    return Lexicon(
        language=language,
        jobs=joined | plain | dict.fromkeys(sets[COMPLEMENTIZER], COMPLEMENTIZER),
        plain=frozenset(plain),
        according_after=after,
        according_before=before,
        plural_endings=plural_endings,
        **sets,
    )


def _keeps_endings(language: Language) -> bool:
    """Whether words are looked up as written: «сообщил» (said) and «сообщение» (message) have the same stem."""
    return language.script == "Cyrillic"


def _keys(text: str, language: Language, endings: Iterable[str]) -> Iterator[str]:
    for word in text.split():
        if word.endswith("*"):
            yield from (word[:-1] + ending for ending in endings)
        elif _keeps_endings(language):
            yield word
        else:
            yield form(word)
