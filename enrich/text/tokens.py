"""Text as it is matched, apart from the text that is shown: tokens, one spelling, stems.

Arabic spelling is unified (``services.normalization``, and the carriers of hamza); other scripts are
case-folded and stripped of accents. Offsets always refer to the text that came in.
"""

import functools
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import regex
import Stemmer

from services.events import Span
from services.normalization import arabic

_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}\u0640]*")
_ARABIC = regex.compile(r"\p{Arabic}")
_CYRILLIC = regex.compile(r"\p{Cyrillic}")
_ARTICLE = regex.compile(r"^[وف]?(?:[بلك]?ال|لل)")
_SHORTEST_STEM = 3
# No word is longer; what is (an encoded picture, an attack) need not fill the cache.
_LONGEST = 60
_VOWEL_CARRIERS = str.maketrans({"ؤ": "و", "ئ": "ي", "ک": "ك", "ی": "ي", "ھ": "ه"})

# Snowball's names of the languages it stems.
_STEMMERS = {
    "ar": "arabic",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "it": "italian",
    "pt": "portuguese",
    "ru": "russian",
    "tr": "turkish",
}


class Token(NamedTuple):
    """A word where it stands: ``text[start:end]`` is its surface, ``form`` what it is matched by."""

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
    # Between two words no letter stands, so the next word is where its letters are found first.
    for surface in _WORD.findall(text):
        start = text.find(surface, end)
        end = start + len(surface)
        found.append(Token(start, end, surface, form(surface if end - start <= _LONGEST else surface[:_LONGEST])))
    return found


def is_arabic(word: str) -> bool:
    """Whether a word is in Arabic script."""
    return _ARABIC.match(word) is not None


def after_letters(word: str, letters: int) -> int:
    """How many characters the first letters of a word take, with the marks written upon them."""
    at = 0
    while at < len(word) and (letters or _is_mark(word[at])):
        letters -= not _is_mark(word[at])
        at += 1
    return at


def _is_mark(character: str) -> bool:
    return character == "\u0640" or unicodedata.combining(character) != 0


@functools.lru_cache(100_000)
def form(word: str) -> str:
    """The one spelling of a word that all its variants share; Cyrillic words lose their endings too."""
    if is_arabic(word):
        return arabic(word).translate(_VOWEL_CARRIERS)
    folded = "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))
    return stem(folded, "ru") if _CYRILLIC.match(folded) else folded


@functools.lru_cache(200_000)
def stem(word: str, language: str) -> str:
    """A word without its inflection, where Snowball knows the language; otherwise the word."""
    if language == "ar":
        # Snowball leaves the conjunction and the article on; without them the stems of one noun meet.
        bare = _ARTICLE.sub("", word)
        word = bare if len(bare) >= _SHORTEST_STEM else word
    stemmer = _stemmer(language)
    return word if stemmer is None else str(stemmer.stemWord(word))


@functools.cache
def _stemmer(language: str) -> Stemmer.Stemmer | None:
    name = _STEMMERS.get(language)
    return None if name is None else Stemmer.Stemmer(name)
