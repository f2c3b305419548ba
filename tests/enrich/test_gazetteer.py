"""The gazetteer's own rules, as its README states them."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from enrich import gazetteer
from enrich.normalization import tokens

FILES = sorted((Path(gazetteer.__file__).parent / "gazetteer").glob("*.tsv"))
COLUMNS = ["id", "type", *gazetteer.LANGUAGES]


def rows() -> list[dict[str, str]]:
    """All rows of all files."""
    found = []
    for path in FILES:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            assert reader.fieldnames == COLUMNS, path.name
            found += list(reader)
    return found


def test_people_places_and_organisations_in_four_languages() -> None:
    """At least 300 identities, each named in Arabic, English, French and Russian; ids are Wikidata's, each once."""
    entries = rows()
    assert len(entries) >= 300
    assert {path.stem for path in FILES} == {"organizations", "people", "places"}
    assert {row["type"] for row in entries} <= {"PER", "LOC", "ORG", "MISC"}
    assert [identity for identity, count in Counter(row["id"] for row in entries).items() if count > 1] == []
    for row in entries:
        assert re.fullmatch(r"Q[1-9]\d*", row["id"]), row
        assert all(row[language].strip() for language in ("ar", "en", "fr", "ru")), row


@pytest.mark.parametrize("language", ["ar", "en", "fr", "es", "de"])
def test_no_name_means_two_things(language: str) -> None:
    """Within a language a name, in the form it is matched by, belongs to one identity (Russian: by its spelling)."""
    owners: dict[tuple[str, ...], set[str]] = {}
    for row in rows():
        for name in filter(None, map(str.strip, row[language].split("|"))):
            words = tuple(word.form for word in tokens(name))
            assert words, (row["id"], name)
            owners.setdefault(words, set()).add(row["id"])
    assert {words: ids for words, ids in owners.items() if len(ids) > 1} == {}
