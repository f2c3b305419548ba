"""The words in names and around them: titles, demonyms, given names, particles of surnames, kinds of places.

Titles and demonyms are in the folders of languages, given names in ``given_names.tsv``. All functions take forms
(``tokens.form``).
"""

import functools
import gzip
from collections.abc import Container
from pathlib import Path

from enrich.entities.gazetteer.entries import written
from enrich.languages import LANGUAGES, files
from enrich.text.tokens import tokens

_GIVEN_NAMES = Path(__file__).with_name("given_names.tsv")
_SHORTEST_WITH_ARTICLE = 5
# The words with which a surname of more than one word begins.
SURNAME_PARTICLES = frozenset("بن ابن ابو ال عبد ام de da di del van von der la bin al el dos".split())  # noqa: SIM905

# «شارع القاهرة» is not Cairo; «مدينة القاهرة» is.
_PLACE_WORDS = frozenset(
    "شارع جسر مطار ميناء جامع مسجد كنيسه جبل نهر بحيره خليج معبر مخيم حي ساحه ميدان سجن ملعب استاد مستشفي "  # noqa: SIM905
    "قصر برج سد حقل قاعده مضيق متحف فندق محطه".split()
)


def is_title(form: str) -> bool:
    """Whether an Arabic word belongs to titles of office or address that stand before persons."""
    return form in _titles()


def is_demonym(form: str) -> bool:
    """Whether a word is a demonym (``الروسي``, ``Russian``)."""
    return form in _demonyms()


def is_place_word(form: str) -> bool:
    """Whether an Arabic word before the name of a place makes it another place."""
    return form in _PLACE_WORDS


def is_given_name(form: str) -> bool:
    """Whether a word is a given name."""
    return form in given_names()


def canonical_given_name(form: str) -> str:
    """One spelling for all spellings of a given name (سيرجي، سيرغي, Sergei, Сергей); other words unchanged."""
    return given_names().get(form, form)


def surname(forms: tuple[str, ...], particles: Container[str] = SURNAME_PARTICLES) -> tuple[str, ...]:
    """The surname of a name: its last word and the particles before it, but never its first word."""
    first = len(forms) - 1
    while first > 1 and forms[first - 1] in particles:
        first -= 1
    return forms[first:]


@functools.cache
def _titles() -> frozenset[str]:
    """The titles of languages with a written article; in others the rules for capitals leave titles out."""
    found: set[str] = set()
    for language in LANGUAGES:
        path = files.path(language.code, files.TITLES)
        if path is not None and language.article:
            words = {token.form for token in tokens(path.read_text(encoding="utf-8"))}
            found |= words
            found |= {word.removeprefix(language.article) for word in words if len(word) >= _SHORTEST_WITH_ARTICLE}
    return frozenset(found)


@functools.cache
def _demonyms() -> frozenset[str]:
    found = set()
    for language in LANGUAGES:
        for row in files.rows(language.code, files.DEMONYMS):
            for name, _ in written(row["names"]):
                words = tokens(name)
                if len(words) == 1:
                    found |= {words[0].form, language.article + words[0].form}
    return frozenset(found)


@functools.cache
def given_names() -> dict[str, str]:
    """The forms of given names in all scripts, each with the first form of its group."""
    groups: dict[str, str] = {}
    for row in files.read_rows(_GIVEN_NAMES):
        forms = [words[0].form for cell in row.values() for name, _ in written(cell) if len(words := tokens(name)) == 1]
        for form in forms:
            groups.setdefault(form, forms[0])
    return groups


def is_ordinary(surface: str, language: str) -> bool:
    """Whether a word as written also occurs in a language without a capital."""
    return surface.lower().replace("i\u0307", "i") in ordinary_words(language)


@functools.cache
def ordinary_words(language: str) -> frozenset[str]:
    """The words of a language that occur without a capital; empty without a list."""
    path = files.path(language, files.ORDINARY_WORDS)
    return frozenset(gzip.decompress(path.read_bytes()).decode().split()) if path else frozenset()
