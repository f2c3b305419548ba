"""How a name of the gazetteer may be written in an article: in which languages, with which endings and accents."""

import functools
import unicodedata
from collections.abc import Container

from enrich import languages
from enrich.entities.gazetteer.entries import Alias
from enrich.languages import files
from enrich.text.tokens import is_arabic
from services.events import EntityType

# A shorter name of one word counts only in a language that lists it.
_SHORTEST_ELSEWHERE = 4
# A name of at least so many letters is recognised with other accents («Gutiérrez», «Gutierrez»).
_LONG = 6
# Languages in which the names of the gazetteer are declined.
_DECLINED = frozenset({"ru", "uk"})
_HUSHING = frozenset("жчшщц")
_VELAR = frozenset("кгх")
_VOWELS = frozenset("аеиоуыэюяіїє")


def counts_in(alias: Alias, language: str, elsewhere: Container[str]) -> bool:
    """Whether a name counts in the articles of a language.

    ``elsewhere`` has the languages that list the same spelling for the same entity. A name of several words counts in
    every language of its script. One word counts where the language lists it. Where the language has no name for the
    entity, it counts if it is English or Russian too: a word that only one other language uses for the entity is often
    a word of this language. Of another script only English names count.
    """
    if alias.language == language or language in elsewhere:
        return True
    if len(alias.forms) > 1:
        return True
    word = alias.words[0]
    if not _same_script(word, language):
        return alias.language == "en" and _is_latin(word)
    if language in alias.entry.names or (len(word) < _SHORTEST_ELSEWHERE and not word.isupper()):
        return False
    if _is_cyrillic(word):
        return alias.language == "ru" or "ru" in elsewhere
    if is_arabic(word):
        return files.path(language, files.GAZETTEER) is None and {"ar", "fa"} <= {alias.language, *_codes(elsewhere)}
    if word.isupper():
        return alias.language == "en"
    return alias.language == "en" and bool({"fr", "es", "de", "it", "pt", "tr"} & _codes(elsewhere))


def _codes(elsewhere: Container[str]) -> set[str]:
    return {language.code for language in languages.LANGUAGES if language.code in elsewhere}


def _same_script(word: str, language: str) -> bool:
    script = languages.get(language).script
    if not script:
        return True
    if is_arabic(word):
        return script == "Arabic"
    return script == ("Cyrillic" if _is_cyrillic(word) else "Latin")


def _is_cyrillic(word: str) -> bool:
    return "\u0400" <= word[0] <= "\u052f"


def _is_latin(word: str) -> bool:
    return not _is_cyrillic(word) and not is_arabic(word)


@functools.lru_cache(50_000)
def is_written(word: str, surface: str, kind: EntityType, language: str) -> bool:
    """Whether ``surface`` is a name of one word, declined by its class in Russian and Ukrainian, exact elsewhere.

    The stems of both are equal already; but stems join «Дания» and «данные», accents «Uber» and «über».
    """
    written, found = _plain(word), _plain(surface)
    if written == found:
        return True
    if _is_cyrillic(word):
        return language in _DECLINED and found in declined(written, kind)
    if is_arabic(word):
        return True
    return _accents(surface) <= _accents(word) or len(word) >= _LONG


def _plain(word: str) -> str:
    return unicodedata.normalize("NFC", word.casefold()).replace("ё", "е").replace("’", "'")


def _accents(word: str) -> int:
    return sum(unicodedata.combining(mark) != 0 for mark in unicodedata.normalize("NFD", word))


@functools.lru_cache(20_000)
def declined(word: str, kind: EntityType) -> frozenset[str]:
    """The singular and plural forms of a Russian or Ukrainian name of one word (lower case, nominative)."""
    found = {word[: len(word) - cut] + ending for cut, endings in _classes(word, kind) for ending in endings.split()}
    if kind != "PER" and word[-1] in "ыи" and found:
        found.add(word[:-1])  # Филиппин, Афин
    return frozenset({word, *found})


def _classes(word: str, kind: EntityType) -> list[tuple[int, str]]:
    """The endings of the declension classes that a name may belong to, each with how many letters they replace."""
    if len(word) < 3:
        return []
    last, before = word[-1], word[-2]
    if word.endswith(("ский", "ской", "цкий", "цкой", "ський", "цький", "ый", "ой")):
        return [(2, "ого ому ым ом им ім")] + ([(1, "я ю ем е")] if word.endswith("ой") else [])
    if word.endswith("ий"):
        return [(2, "его ему им ем ого ому ом"), (1, "я ю ем и")]
    if word.endswith(("ая", "яя")):
        return [(2, "ой ую ою ей юю")]
    if word.endswith(("ое", "ее")):
        return [(2, "ого ому ым ом его ему им ем")]
    if word.endswith(("ые", "ие")) and kind != "LOC":
        return [(2, "ых ым ыми их им ими")]
    if word.endswith(("ова", "ева", "ёва", "ина", "ына")) and kind == "PER":
        return [(1, "ой у ою ы е")]
    if word.endswith(("ия", "ія")):
        return [(1, "и ю ей і єю")]
    if last == "а":
        return [(1, "ы у е ой ою і" if before not in _VELAR | _HUSHING else "и ы у е ой ою ей ею і")]
    if last == "я":
        return [(1, "и ю е ей ею і ї єю")]
    if last == "о":
        declinable = before in "внт" and (kind != "PER" or word.endswith("енко"))
        return [(1, "а у ом е і ові")] if declinable else []
    if last == "е":
        return [(1, "я ю ем и")] if before in "рлв" and kind != "PER" else []
    if last in "ыи":
        singular = last == "и" and before not in _VELAR | _VOWELS and before not in "нт"
        return [] if singular or kind == "PER" else [(1, "ов ев ам ами ах ям ями ях")]
    if last == "й":
        return [(1, "я ю ем ем е єм єві")]
    if last == "ь":
        return [(1, "я ю ем е ем і єм еві")] + ([] if kind == "PER" else [(1, "и ью і ю")])
    if last in _VOWELS:
        return []
    if last in _HUSHING:
        return [(0, "а у ем ом е і еві")]
    surname = " ым им" if kind == "PER" and word.endswith(("ов", "ев", "ин", "ын", "ін")) else ""
    return [(0, "а у ом е і ові" + surname)]
