"""What words are in names and around them: titles, demonyms, given names, words that make another place of a name.

The tables lie in ``gazetteer/``; its README tells their formats. All functions take forms (``normalization.form``).
"""

import functools

from enrich.entities.gazetteer.entries import rows, written
from enrich.text.tokens import tokens

_ARTICLE = "ال"
_SHORTEST_WITH_ARTICLE = 5

# «شارع القاهرة» is not Cairo; «مدينة القاهرة» is.
_PLACE_WORDS = frozenset(
    "شارع جسر مطار ميناء جامع مسجد كنيسه جبل نهر بحيره خليج معبر مخيم حي ساحه ميدان سجن ملعب استاد مستشفي "  # noqa: SIM905
    "قصر برج سد حقل قاعده مضيق متحف فندق محطه".split()
)


def is_title(form: str) -> bool:
    """Whether an Arabic word belongs to titles of office or address that stand before persons."""
    return form in _titles()


def is_demonym(form: str) -> bool:
    """Whether a word tells whence somebody or something is (``الروسي``, ``Russian``)."""
    return form in _demonyms()


def is_place_word(form: str) -> bool:
    """Whether an Arabic word before the name of a place makes it another place."""
    return form in _PLACE_WORDS


def is_given_name(form: str) -> bool:
    """Whether a word is a given name."""
    return form in given_names()


def canonical_given_name(form: str) -> str:
    """One spelling for all of a given name's (سيرجي، سيرغي, Sergei, Сергей); other words stay as they are."""
    return given_names().get(form, form)


@functools.cache
def _titles() -> frozenset[str]:
    words = {token.form for row in rows("titles.tsv") if row["language"] == "ar" for token in tokens(row["title"])}
    return frozenset(words | {word.removeprefix(_ARTICLE) for word in words if len(word) >= _SHORTEST_WITH_ARTICLE})


@functools.cache
def _demonyms() -> frozenset[str]:
    found = set()
    for row in rows("demonyms.tsv"):
        for language, cell in row.items():
            for name, _ in written(cell) if language != "id" else ():
                words = tokens(name)
                if len(words) == 1:
                    found |= {words[0].form, _ARTICLE + words[0].form} if language == "ar" else {words[0].form}
    return frozenset(found)


@functools.cache
def given_names() -> dict[str, str]:
    """The forms of given names in all scripts, each with the first form of its group."""
    groups: dict[str, str] = {}
    for row in rows("given_names.tsv"):
        forms = [words[0].form for cell in row.values() for name, _ in written(cell) if len(words := tokens(name)) == 1]
        for form in forms:
            groups.setdefault(form, forms[0])
    return groups
