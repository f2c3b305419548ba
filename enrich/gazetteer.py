"""The names Khabar knows: people, places, organisations in many languages under one Wikidata id each.

The data lies in ``gazetteer/*.tsv``; its README tells the format.
"""

import csv
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from enrich.normalization import is_arabic, tokens
from services.events import EntityType

_FOLDER = Path(__file__).with_name("gazetteer")
LANGUAGES = ("ar", "en", "fr", "ru", "es", "de")


@dataclass(frozen=True)
class Entry:
    """One identity: ``names`` has, by language, the name to show."""

    id: str
    type: EntityType
    names: dict[str, str]

    def name(self, language: str) -> str:
        """The name in a language, else in English."""
        return self.names.get(language) or self.names["en"]


@dataclass(frozen=True)
class Alias:
    """One way to write a name. ``capitals`` holds, for each word, what its letters must look like:

    ``exact`` (an acronym: the same letters), ``initial`` (a capital first) or ``any``.
    """

    forms: tuple[str, ...]
    capitals: tuple[tuple[str, str], ...]
    language: str
    entry: Entry

    def fits(self, surfaces: list[str]) -> bool:
        """Whether words with these surfaces are written as this alias demands."""
        for (rule, wanted), surface in zip(self.capitals, surfaces, strict=True):
            if rule == "exact" and surface != wanted:
                return False
            if rule == "initial" and not surface[0].isupper():
                return False
        return True


@dataclass
class Gazetteer:
    """All entries by id, and all aliases by the form of their first word, longest first."""

    entries: dict[str, Entry] = field(default_factory=dict)
    aliases: dict[str, list[Alias]] = field(default_factory=dict)


def _capitals(word: str) -> tuple[str, str]:
    if is_arabic(word) or not word[0].isupper():
        return ("any", word)
    return ("exact", word) if len(word) > 1 and word.isupper() else ("initial", word)


def _rows() -> Iterator[dict[str, str]]:
    for path in sorted(_FOLDER.glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as lines:
            yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


@functools.cache
def load() -> Gazetteer:
    """The gazetteer, read once a process."""
    gazetteer = Gazetteer()
    for row in _rows():
        written = {
            language: [name.strip() for name in (row[language] or "").split("|") if name.strip()]
            for language in LANGUAGES
        }
        shown = {language: names[0] for language, names in written.items() if names}
        entry = Entry(row["id"], row["type"], shown)  # type: ignore[arg-type]
        gazetteer.entries[entry.id] = entry
        for language, names in written.items():
            for name in names:
                words = tokens(name)
                alias = Alias(
                    tuple(word.form for word in words),
                    tuple(_capitals(word.surface) for word in words),
                    language,
                    entry,
                )
                gazetteer.aliases.setdefault(alias.forms[0], []).append(alias)
    for aliases in gazetteer.aliases.values():
        aliases.sort(key=lambda alias: -len(alias.forms))
    return gazetteer
