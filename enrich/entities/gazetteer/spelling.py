"""How a name of the gazetteer may be written in an article: in which languages, with which endings and accents."""

import functools
import unicodedata
from collections.abc import Set as AbstractSet

from enrich import languages
from enrich.entities.gazetteer.declension import declined, is_cyrillic
from enrich.entities.gazetteer.entries import Alias
from enrich.text.tokens import is_arabic
from services.events import EntityType

# A shorter name of one word counts only in a language that lists it.
_SHORTEST_ELSEWHERE = 4
# How many languages must list a word in Latin letters that counts in other languages.
_LISTING = 2
# A name of at least so many letters is recognised with other accents («Gutiérrez», «Gutierrez»).
_LONG = 6
# Languages in which the names of the gazetteer are declined.
_DECLINED = frozenset({"ru", "uk"})


def counts_in(alias: Alias, language: str, elsewhere: AbstractSet[str]) -> bool:
    """Whether a name counts in the articles of a language.

    ``elsewhere`` has the languages that list the same spelling for the same entity. A name of several words counts in
    every language. One word counts where the language lists it. Where the language has no name for the entity, a word
    that two other languages list counts; one that a single other language has is often a word of this language. In
    Cyrillic one suffices. Acronyms count so beside the language's own names. Of another script only English ones count.
    """
    if alias.language == language or language in elsewhere:
        return True
    if len(alias.forms) > 1:
        return True
    word = alias.words[0]
    if not _same_script(word, language):
        return alias.language == "en" and _is_latin(word)
    if word.isupper() and not is_arabic(word):
        return len(elsewhere) >= (1 if is_cyrillic(word) else _LISTING)
    if language in alias.entry.names or len(word) < _SHORTEST_ELSEWHERE:
        return False
    return len(elsewhere) >= (1 if is_cyrillic(word) else _LISTING)


def _same_script(word: str, language: str) -> bool:
    script = languages.get(language).script
    if not script:
        return True
    if is_arabic(word):
        return script == "Arabic"
    return script == ("Cyrillic" if is_cyrillic(word) else "Latin")


def _is_latin(word: str) -> bool:
    return not is_cyrillic(word) and not is_arabic(word)


@functools.lru_cache(50_000)
def is_written(word: str, surface: str, kind: EntityType, language: str) -> bool:
    """Whether ``surface`` is a name of one word, declined by its class in Russian and Ukrainian, exact elsewhere.

    The stems of both are equal already; but stems join «Дания» and «данные», accents «Uber» and «über».
    """
    written, found = _plain(word), _plain(surface)
    if written == found:
        return True
    if is_cyrillic(word):
        if language in _DECLINED:
            return found in declined(written, kind)
        return len(word) >= _LONG and _is_similar(written, found, kind)
    if is_arabic(word):
        return True
    return _accents(surface) <= _accents(word) or len(word) >= _LONG


def _plain(word: str) -> str:
    return unicodedata.normalize("NFC", word.casefold()).replace("ё", "е").replace("’", "'")


def _accents(word: str) -> int:
    return sum(unicodedata.combining(mark) != 0 for mark in unicodedata.normalize("NFD", word))


def _is_similar(written: str, found: str, kind: EntityType) -> bool:
    """Whether a word of another Slavic language is a Russian name with the endings of masculines, or й for и."""
    if written.replace("й", "и") == found.replace("й", "и") or written.removesuffix("ь") == found:
        return True
    return written[-1] not in "аеиоуыэюяйь" and found in declined(written, kind)
