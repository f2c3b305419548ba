"""The known names: people, places and organisations in many languages, each under one Wikidata id.

The entities are in the tables of this folder (README.md), their names in ``languages/xx/gazetteer.tsv``.
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path

from enrich.entities.gazetteer.declension import declined, is_cyrillic
from enrich.languages import LANGUAGES, files
from enrich.text.tokens import form, is_arabic, tokens
from services.events import EntityType

_FOLDER = Path(__file__).parent
ENTITY_FILES = ("organizations.tsv", "people.tsv", "places.tsv", "regions.tsv")

# What ``form`` does to a word of these letters, in one pass: the gazetteer has tens of thousands of words.
_ARABIC_FOLDS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه", "ؤ": "و", "ئ": "ي"})
_PLAIN_ARABIC = frozenset("ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entity: ``names`` has the display name by language; ``within`` is the id of its country, or empty."""

    id: str
    type: EntityType
    names: dict[str, str]
    within: str = ""

    def name(self, language: str) -> str:
        """The name in a language, else in English."""
        return self.names.get(language) or self.names["en"]


@dataclass(frozen=True, slots=True)
class Alias:
    """A spelling of a name: its words, and the forms by which they are matched.

    A ``weak`` name is also something else (a word, a person's name, a bigger place): it counts only where the article
    has further evidence of this entry.
    """

    forms: tuple[str, ...]
    words: tuple[str, ...]
    language: str
    entry: Entry
    weak: bool = False

    @property
    def capitals(self) -> tuple[tuple[str, str], ...]:
        """For each word what its letters must look like, with the word.

        ``exact`` (an acronym: the same letters), ``initial`` (a capital first) or ``any``.
        """
        return tuple((_capitals(word), word) for word in self.words)

    def fits(self, surfaces: list[str]) -> bool:
        """Whether words with these surfaces are written with the capitals of this alias."""
        for word, surface in zip(self.words, surfaces, strict=True):
            rule = _capitals(word)
            if rule == "exact" and surface != word:
                return False
            if rule == "initial" and not surface[0].isupper():
                return False
        return True


@dataclass
class Gazetteer:
    """All entries by id; strong (``aliases``) and weak names by the form of their first word, longest first."""

    entries: dict[str, Entry] = field(default_factory=dict)
    aliases: dict[str, list[Alias]] = field(default_factory=dict)
    weak: dict[str, list[Alias]] = field(default_factory=dict)

    def opening(self, form: str) -> list[Alias]:
        """All names, strong and weak, whose first word has this form, longest first."""
        strong, weak = self.aliases.get(form, []), self.weak.get(form, [])
        return sorted(strong + weak, key=_length) if strong and weak else strong or weak


def _length(alias: Alias) -> int:
    return -len(alias.forms)


def _capitals(word: str) -> str:
    if not word[0].isupper() or is_arabic(word):
        return "any"
    return "exact" if len(word) > 1 and word.isupper() else "initial"


def written(cell: str) -> list[tuple[str, bool]]:
    """The names in a cell in order, each with whether it is weak (marked by a question mark at its end)."""
    names = (name.strip() for name in cell.split("|"))
    return [(name.removesuffix("?").rstrip(), name.endswith("?")) for name in names if name]


def _words(name: str) -> list[str]:
    words = name.split(" ")
    if all(map(str.isalpha, words)):
        return words
    return [token.surface for token in tokens(name)]


def _form(word: str) -> str:
    if word.isascii():
        return word.lower()
    if _PLAIN_ARABIC.issuperset(word):
        return word.translate(_ARABIC_FOLDS)
    return form(word)


def _first_forms(alias: Alias) -> set[str]:
    """The forms under which a name is looked up: those of its declined forms, whose stems may differ."""
    word = alias.words[0]
    if len(alias.words) > 1 or not is_cyrillic(word) or word.isupper():
        return {alias.forms[0]}
    return {alias.forms[0], *(form(one) for one in declined(word.casefold().replace("ё", "е"), alias.entry.type))}


@functools.cache
def load() -> Gazetteer:
    """The gazetteer, loaded once per process."""
    gazetteer = Gazetteer()
    cells = {
        language.code: {row["id"]: row["names"] for row in files.rows(language.code, files.GAZETTEER)}
        for language in LANGUAGES
    }
    # Names and forms recur over languages and entries; each is kept once.
    known: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for file in ENTITY_FILES:
        for row in files.read_rows(_FOLDER / file):
            names = {code: written(cell) for code, by_id in cells.items() if (cell := by_id.get(row["id"]))}
            shown = {language: aliases[0][0] for language, aliases in names.items()}
            entry = Entry(row["id"], row["type"], shown, row.get("within", ""))  # type: ignore[arg-type]
            gazetteer.entries[entry.id] = entry
            for language, aliases in names.items():
                for name, weak in aliases:
                    if name not in known:
                        words = tuple(_words(name))
                        forms = tuple(map(_form, words))
                        known[name] = (words if forms == words else forms, words)
                    forms, words = known[name]
                    index = gazetteer.weak if weak else gazetteer.aliases
                    alias = Alias(forms, words, language, entry, weak)
                    for first in _first_forms(alias):
                        index.setdefault(first, []).append(alias)
    for found in (*gazetteer.aliases.values(), *gazetteer.weak.values()):
        found.sort(key=_length)
    return gazetteer
