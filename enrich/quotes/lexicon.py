"""The words by which a language tells who says what; one TOML file a language lies beside this one."""

import functools
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from enrich.text.tokens import form

LANGUAGES = ("ar", "en", "fr", "ru")

SAY, QUOTE, PARTICIPLE, ACCORDING = "say", "quote", "participle", "according"
CUES = frozenset({SAY, QUOTE, PARTICIPLE, ACCORDING})
# Jobs of words that are no words of saying.
ASIDE, COMPLEMENTIZER = "aside", "complementizer"
# Letters that Arabic writes onto a word for «and».
_CONJUNCTIONS = {"ar": "وف", "en": "", "fr": "", "ru": ""}
# The same for «and», «for», «in», «as», and the future.
_CLITICS = _CONJUNCTIONS | {"ar": "وفبلكس"}
_PAST = ("л", "ла", "ло", "ли")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of a language by their job, as ``keys`` gives them. The files say what each job is.

    ``jobs`` are words of saying, asides and complementisers with their job; ``plain`` are the words of saying and
    asides without a conjunction.
    """

    language: str
    jobs: dict[str, str]
    plain: frozenset[str]
    continuing: frozenset[str]
    complementizer: frozenset[str]
    unreported: frozenset[str]
    opening: frozenset[str]
    preposition: frozenset[str]
    adverb: frozenset[str]
    voice: frozenset[str]
    source: frozenset[str]
    anaphor: frozenset[str]
    correction: frozenset[str]
    through: frozenset[str]
    office: frozenset[str]
    relation: frozenset[str]
    title: frozenset[str]
    pronoun: frozenset[str]
    bare: frozenset[str]
    breaks: frozenset[str]

    def keys(self, surfaces: Iterable[str], forms: tuple[str, ...]) -> tuple[str, ...]:
        """What words are looked up by, given as they are written and in their one spelling."""
        if self.language == "ru":
            # Stems would make one word of «сообщил» (said) and «сообщение» (message).
            return tuple(surface.casefold().replace("ё", "е") for surface in surfaces)
        return forms


@functools.cache
def load(language: str) -> Lexicon | None:
    """The words of a language, or None if there are none."""
    if language not in LANGUAGES:
        return None
    table = tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text(encoding="utf-8"))
    words = {job: frozenset(_keys(text, language)) for job, text in table.items()}
    plain = {word: job for job in (ASIDE, QUOTE, SAY, PARTICIPLE, ACCORDING) for word in words[job]}
    joined = {letter + word: job for letter in _CONJUNCTIONS[language] for word, job in plain.items()}
    return Lexicon(
        language=language,
        jobs=joined | plain | dict.fromkeys(words[COMPLEMENTIZER], COMPLEMENTIZER),
        plain=frozenset(plain),
        continuing=words["continuing"],
        complementizer=words[COMPLEMENTIZER],
        unreported=words["unreported"],
        opening=words["opening"],
        preposition=words["preposition"],
        adverb=words["adverb"],
        voice=words["voice"],
        source=words["source"],
        anaphor=words["anaphor"],
        correction=words["correction"],
        through=words["through"],
        office=words["office"] | {letter + word for letter in _CLITICS[language] for word in words["office"]},
        relation=words["relation"],
        title=words["title"],
        pronoun=words["pronoun"],
        bare=words["bare"],
        breaks=words["break"],
    )


def _keys(text: str, language: str) -> Iterator[str]:
    for word in text.split():
        if language != "ru":
            yield form(word)
        elif word.endswith("*"):
            yield from (word[:-1] + ending for ending in _PAST)
        else:
            yield word
