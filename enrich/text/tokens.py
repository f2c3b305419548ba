"""Text in the form in which it is matched, as opposed to the text that is shown: tokens, forms, stems.

Arabic spelling is unified (``services.normalization``, and the carriers of hamza); other scripts are case-folded and
lose their accents. Offsets always refer to the original text.
"""

import functools
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import regex
import Stemmer

from enrich import languages
from services.events import Span
from services.normalization import TATWEEL, arabic, spell_out

_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}\u0640]*")
_ARABIC = regex.compile(r"\p{Arabic}")
_CYRILLIC = regex.compile(r"\p{Cyrillic}")
_DIGIT = regex.compile(r"[\p{Nd}--[0-9]]", flags=regex.V1)
_SHORTEST_STEM = 3
# Longer strings are no words (an encoded picture, an attack) and must not fill the cache.
_LONGEST = 60
# Words in Cyrillic letters are stemmed as Russian, whatever the article's language.
_CYRILLIC_STEMMER = "russian"
_VOWEL_CARRIERS = str.maketrans({"ؤ": "و", "ئ": "ي", "ک": "ك", "ی": "ي", "ھ": "ه"})


class Token(NamedTuple):
    """A word in a text: ``text[start:end]`` is its surface; it is matched by ``form``."""

    start: int
    end: int
    surface: str
    form: str


class Passage:
    """A text with its words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = tokens(text)

    def without(self, spans: Sequence[Span]) -> "Passage":
        """The same text with the words of some spans (ascending) left out."""
        if not spans:
            return self
        part = object.__new__(Passage)
        part.text = self.text
        part.words = []
        at = 0
        for span in spans:
            first = bisect_left(self.words, span.start, lo=at, key=_start)
            part.words += self.words[at:first]
            at = bisect_left(self.words, span.end, lo=first, key=_start)
        part.words += self.words[at:]
        return part


def _start(word: Token) -> int:
    return word.start


def tokens(text: str) -> list[Token]:
    """All words of a text, in order."""
    found = []
    end = 0
    # There are no letters between two words, so the next word is where its letters are found first.
    for surface in _WORD.findall(text):
        start = text.find(surface, end)
        end = start + len(surface)
        found.append(Token(start, end, surface, form(surface if end - start <= _LONGEST else surface[:_LONGEST])))
    return found


def is_arabic(word: str) -> bool:
    """Whether a word is in Arabic script."""
    return _ARABIC.match(word) is not None


def after_letters(word: str, letters: int) -> int:
    """How many characters the first ``letters`` letters of a word take, with the marks on them."""
    at = 0
    while at < len(word) and (letters or _is_mark(word[at])):
        letters -= not _is_mark(word[at])
        at += 1
    return at


def _is_mark(character: str) -> bool:
    return character == TATWEEL or unicodedata.combining(character) != 0


@functools.lru_cache(100_000)
def form(word: str) -> str:
    """The spelling that all variants of a word share, with digits of ASCII; Cyrillic words are stemmed too."""
    if not word.isascii():
        word = _DIGIT.sub(_ascii_digit, word)
    if is_arabic(word):
        return arabic(spell_out(word)).translate(_VOWEL_CARRIERS)
    folded = "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))
    return str(_snowball(_CYRILLIC_STEMMER).stemWord(folded)) if _CYRILLIC.match(folded) else folded


def _ascii_digit(digit: regex.Match[str]) -> str:
    return str(unicodedata.decimal(digit[0]))


@functools.lru_cache(200_000)
def stem(word: str, language: str) -> str:
    """A word without its inflection, where its language has a stemmer; otherwise the word."""
    traits = languages.get(language)
    if traits.article:
        # Snowball leaves the conjunction and the article on; without them all stems of a noun are equal.
        bare = _article(language).sub("", word)
        word = bare if len(bare) >= _SHORTEST_STEM else word
    return word if traits.stemmer is None else str(_snowball(traits.stemmer).stemWord(word))


@functools.cache
def _article(language: str) -> regex.Pattern[str]:
    """The article at the beginning of a word, with what may be written onto it («وبال», «لل»)."""
    traits = languages.get(language)
    return regex.compile(
        rf"^[{traits.conjunctions}]?(?:[{traits.prepositions}]?{traits.article}|{traits.contracted_article})"
    )


@functools.cache
def _snowball(name: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(name)
