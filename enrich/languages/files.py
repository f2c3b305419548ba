"""The word lists in a language's folder. README.md in this folder describes their formats."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from enrich.languages.registry import LANGUAGES, Language

_FOLDER = Path(__file__).parent

DATES = "dates.toml"
QUOTES = "quotes.toml"
BOILERPLATE = "boilerplate.toml"
BODIES = "bodies.toml"
CAPITALS = "capitals.toml"
DETECTION = "detection.toml"
GAZETTEER = "gazetteer.tsv"
DEMONYMS = "demonyms.tsv"
TITLES = "titles.txt"
TOPICS = "topics.tsv"
TOPIC_MODEL = "topics.npz"
WORD_COUNTS = "word_counts.txt.gz"
ORDINARY_WORDS = "ordinary_words.txt.gz"
# All files that a language's folder may have.
FILES = (
    *(DATES, QUOTES, BOILERPLATE, BODIES, CAPITALS, DETECTION),
    *(GAZETTEER, DEMONYMS, TITLES, TOPICS, TOPIC_MODEL, WORD_COUNTS, ORDINARY_WORDS),
)


def folder(code: str) -> Path:
    """The folder of a language."""
    return _FOLDER / code


def path(code: str, file: str) -> Path | None:
    """Where a file of a language is; None when the language has none of this name."""
    found = folder(code) / file
    return found if found.is_file() else None


def having(file: str) -> list[Language]:
    """The languages that have a file of this name, in the order of the registry."""
    return [language for language in LANGUAGES if path(language.code, file) is not None]


def table(code: str, file: str) -> dict[str, Any] | None:
    """A TOML file of a language; None when it has none."""
    found = path(code, file)
    return None if found is None else tomllib.loads(found.read_text(encoding="utf-8"))


def tables(file: str) -> list[dict[str, Any]]:
    """The TOML files of this name of all languages that have one, in the order of the registry."""
    return [found for language in LANGUAGES if (found := table(language.code, file)) is not None]


def rows(code: str, file: str) -> Iterator[dict[str, str]]:
    """The lines of a tab-separated file by column; nothing when the language has none."""
    found = path(code, file)
    return iter(()) if found is None else read_rows(found)


def read_rows(table: Path) -> Iterator[dict[str, str]]:
    """The lines of a tab-separated table by column; columns that a line does not reach are missing."""
    with table.open(encoding="utf-8", newline="") as lines:
        columns = next(lines).rstrip("\n").split("\t")
        for line in lines:
            yield dict(zip(columns, line.rstrip("\n").split("\t"), strict=False))
