"""Countries: in which one a place is, which one a demonym means, and which one an article is about.

A country is a place that is in itself (column ``country`` of ``places.tsv``). All functions take forms.
"""

import functools
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from enrich import languages
from enrich.entities.gazetteer import entries
from enrich.entities.gazetteer.entries import written
from enrich.entities.matching import Match
from enrich.languages import files
from enrich.text.tokens import Passage, tokens

_TABLES = Path(entries.__file__).parent
_LONGEST_DEMONYM = 2
# A country is what an article is about if it has this share of all mentions of countries.
_MOST = 0.8


@functools.cache
def _countries() -> dict[str, str]:
    """The country of each place and region whose country is known, by id."""
    rows = [*files.read_rows(_TABLES / "places.tsv"), *files.read_rows(_TABLES / "regions.tsv")]
    return {row["id"]: country for row in rows if (country := row.get("country") or row.get("within"))}


def country_of(place: str) -> str | None:
    """The id of the country that a place (id) is in; of a country itself; None where it is not known."""
    return _countries().get(place)


@functools.cache
def demonyms(language: str, endings: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """The countries by the words of their demonyms in a language, which may have one of some endings."""
    article = languages.get(language).article
    found: dict[tuple[str, ...], str] = {}
    for row in files.rows(language, files.DEMONYMS):
        if country_of(row["id"]) != row["id"]:
            continue
        for name, _ in written(row["names"]):
            forms = tuple(word.form for word in tokens(name))
            if len(forms) > _LONGEST_DEMONYM:
                continue
            found.setdefault(forms, row["id"])
            for ending in endings:
                found.setdefault((*forms[:-1], forms[-1] + ending), row["id"])
            if article:
                found.setdefault(tuple(article + form for form in forms), row["id"])
    return found


def demonym_at(forms: list[str], at: int, known: dict[tuple[str, ...], str]) -> tuple[int, str] | None:
    """The number of words and the country of the longest demonym that begins at a word."""
    for length in range(min(_LONGEST_DEMONYM, len(forms) - at), 0, -1):
        country = known.get(tuple(forms[at : at + length]))
        if country is not None:
            return length, country
    return None


def subject(parts: Iterable[tuple[Passage, list[Match]]], known: dict[tuple[str, ...], str]) -> str | None:
    """The one country that an article of some parts (title, text) is about, or None.

    Places, regions and demonyms count for their country, and nearly all of them have to be of the same.
    """
    counts: Counter[str] = Counter()
    for passage, matched in parts:
        counts.update(country for match in matched if (country := country_of(match.entry.id)) is not None)
        forms = [word.form for word in passage.words]
        counts.update(country for form in forms if (country := known.get((form,))) is not None)
        counts.update(country for pair in pairwise(forms) if (country := known.get(pair)))
    if not counts:
        return None
    ((country, count),) = counts.most_common(1)
    return country if count >= _MOST * counts.total() else None
