"""The rules of the gazetteer, as its README states them."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from enrich.entities.gazetteer import entries
from enrich.entities.gazetteer.declension import declined
from enrich.entities.gazetteer.entries import ENTITY_FILES, Alias, load, written
from enrich.languages import files
from enrich.text.tokens import form, tokens
from enrich.text.word_counts import word_counts
from services.events import EntityType
from services.identity import digest

FOLDER = Path(entries.__file__).parent
CHECKS = Path(__file__).parents[2] / "training" / "gazetteer" / "id_checks.tsv"
SOURCES = {"natural-earth", "name-suggestion-index", "cities", "memory"}
ALWAYS_NAMED = ("ar", "en", "fr", "ru")


def read(path: Path) -> list[dict[str, str]]:
    """A data file by columns; every line has as many cells as the header."""
    with path.open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert all(None not in row and None not in row.values() for row in found), path
    return found


def table(file: str) -> list[dict[str, str]]:
    """A data file of the gazetteer by columns."""
    return read(FOLDER / file)


def names(code: str) -> dict[str, str]:
    """The cells of a language's gazetteer by id, each id once."""
    rows = read(files.folder(code) / files.GAZETTEER)
    assert len({row["id"] for row in rows}) == len(rows), code
    return {row["id"]: row["names"] for row in rows}


def entity_rows() -> list[dict[str, str]]:
    """All rows of all entity files."""
    return [row for file in ENTITY_FILES for row in table(file)]


def opening(word: str) -> list[Alias]:
    """The strong names that begin with a word."""
    return load().aliases.get(form(word), [])


def test_people_places_and_organisations_in_four_languages() -> None:
    """Three thousand identities, each named in Arabic, English, French and Russian, each once.

    An id is Wikidata's, or a local one where none is certain.
    """
    entries = entity_rows()
    assert len(entries) >= 3000
    assert {path.name for path in FOLDER.glob("*.tsv")} == {
        *ENTITY_FILES,
        "given_names.tsv",
    }
    assert {row["type"] for row in entries} <= {"PER", "LOC", "ORG", "MISC"}
    assert [identity for identity, count in Counter(row["id"] for row in entries).items() if count > 1] == []
    for row in entries:
        assert re.fullmatch(r"Q[1-9]\d*|x[a-z2-7]{26}", row["id"]), row
        if row["id"].startswith("x"):
            assert row["id"] == "x" + digest("entity", row["type"], row["name"]), row
    for language in ALWAYS_NAMED:
        named = names(language)
        assert all(named[row["id"]].strip() for row in entries), language


def test_every_wikidata_id_has_the_source_that_confirmed_it() -> None:
    """An id without a second source is marked as written by hand; about half have one."""
    checks = {row["id"]: row["source"] for row in read(CHECKS)}
    ids = {row["id"] for row in entity_rows() if row["id"].startswith("Q")}
    assert ids <= checks.keys()
    assert {source for cell in checks.values() for source in cell.split()} <= SOURCES
    assert sum(checks[identity] != "memory" for identity in ids) > 0.45 * len(ids)


def test_columns_are_known() -> None:
    """An entity table has no unknown column; its column ``name`` repeats the English name for readers of the table."""
    for file in ENTITY_FILES:
        assert set(table(file)[0]) <= {"id", "type", "within", "country", "name"}, file
    assert {row["id"]: row["name"] for row in entity_rows()} == {
        identity: written(cell)[0][0] for identity, cell in names("en").items()
    }


def test_names_belong_to_entities() -> None:
    """A language's gazetteer has only ids of the entity tables."""
    known = {row["id"] for row in entity_rows()}
    for language in files.having(files.GAZETTEER):
        assert set(names(language.code)) <= known, language.code


def test_no_name_is_blank() -> None:
    """There is a name between two bars, and every name has a word."""
    for language in files.having(files.GAZETTEER):
        for identity, cell in names(language.code).items():
            assert cell, identity
            assert all(part.strip(" ?") for part in cell.split("|")), (identity, cell)
            assert all(tokens(name) for name, _ in written(cell)), (identity, cell)


@pytest.mark.parametrize("language", ["ar", "en", "fr", "es", "de", "tr", "fa", "pt", "uk", "it"])
def test_no_strong_name_means_two_things(language: str) -> None:
    """Within a language a strong name, in the form it is matched by, belongs to one identity."""
    owners: dict[tuple[str, ...], set[str]] = {}
    for identity, cell in names(language).items():
        for name, weak in written(cell):
            if not weak:
                owners.setdefault(tuple(word.form for word in tokens(name)), set()).add(identity)
    assert {words: ids for words, ids in owners.items() if len(ids) > 1} == {}


def test_weak_names_are_marked_by_a_question_mark() -> None:
    """The mark is no part of the name, and the order of names stays."""
    assert written("Georgia state | Georgia? |  | Peach State ?") == [
        ("Georgia state", False),
        ("Georgia", True),
        ("Peach State", True),
    ]
    assert written("") == []


def test_regions_name_their_country() -> None:
    """``within`` is the id of a place that the gazetteer knows."""
    known = load().entries
    for row in table("regions.tsv"):
        assert known[row["within"]].type == "LOC", row["id"]
        assert known[row["id"]].within == row["within"]


def test_persons_are_named_with_all_spellings_of_their_given_name() -> None:
    """«سيرجي ناريشكين» and «سيرغي ناريشكين» are one person, as they would be if the gazetteer had neither."""
    ids = {
        alias.entry.id
        for given in ("سيرجي", "سيرغي")
        for alias in opening(given)
        if alias.forms[1:] == (form("ناريشكين"),)
    }
    assert len(ids) == 1


def test_places_name_their_country() -> None:
    """``country`` is the id of a country, which is in itself; most places have one."""
    countries = {row["id"]: row["country"] for row in table("places.tsv")}
    named = {country for country in countries.values() if country}
    assert all(countries[country] == country for country in named)
    assert len(named) > 190
    assert sum(map(bool, countries.values())) > 0.9 * len(countries)


# An Arabic word counted this often in the news is an ordinary one, except for the names that news has often.
ORDINARY = 150
OFTEN_NAMED = {"ترامب", "داعش"}


def test_ordinary_words_are_weak() -> None:
    """A strong name of one Arabic word is no ordinary word of the news; places are in the count as often as words."""
    counts = word_counts("ar")
    strong = {
        name
        for row in entity_rows()
        if row["type"] != "LOC"
        for name, weak in written(names("ar")[row["id"]])
        if not weak and len(words := tokens(name)) == 1 and counts.get(words[0].form, 0) >= ORDINARY
    }
    assert strong <= OFTEN_NAMED


def test_forms_are_those_of_running_text() -> None:
    """The faster way to compute forms gives the forms that an article's words have."""
    for aliases in (*load().aliases.values(), *load().weak.values()):
        for alias in aliases:
            assert alias.forms == tuple(word.form for word in tokens(" ".join(alias.words))), alias
            assert len(alias.forms) == len(alias.words)


def test_longest_names_come_first() -> None:
    """The first name that fits is the longest one, weak names included."""
    for word in ("ولاية", "new", "republic"):
        lengths = [len(alias.forms) for alias in load().opening(form(word))]
        assert lengths
        assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("word", ["الشرقية", "الوسطى", "الجنوب", "مين", "بالي", "تنسي", "المدينة", "بهار", "يونان"])
def test_arabic_words_are_no_strong_names(word: str) -> None:
    """An ordinary word of Arabic is a strong name in no language of the script."""
    assert [alias for alias in opening(word) if len(alias.forms) == 1] == []


@pytest.mark.parametrize("word", ["Victoria", "Virginia", "Florence", "Orlando", "Central", "Eastern", "Union", "Van"])
def test_given_names_and_common_words_are_no_strong_names(word: str) -> None:
    """A first name, or a word of a language in Latin letters, is no strong name."""
    assert [alias for alias in opening(word) if len(alias.forms) == 1] == []


@pytest.mark.parametrize(
    ("name", "identity", "never"),
    [
        ("Georgia", "Q230", "Q1428"),
        ("Washington", "Q61", "Q1223"),
        ("New York", "Q60", "Q1384"),
        ("جورجيا", "Q230", "Q1428"),
    ],
)
def test_the_bigger_bearer_of_a_name_has_it(name: str, identity: str, never: str) -> None:
    """Georgia is the country, Washington and New York are the cities; the states have weak or longer names."""
    words = tuple(word.form for word in tokens(name))
    owners = {alias.entry.id for alias in opening(words[0]) if alias.forms == words}
    assert identity in owners
    assert never not in owners
    assert never in {alias.entry.id for alias in load().weak[words[0]] if alias.forms == words}


def test_demonyms_belong_to_known_places() -> None:
    """The six main languages have forms for the same places of the gazetteer, each place once."""
    known = load().entries
    lines = {code: read(files.folder(code) / files.DEMONYMS) for code in ("ar", "en", "fr", "ru", "es", "de")}
    for code, rows in lines.items():
        assert max(Counter(row["id"] for row in rows).values()) == 1
        assert [row["id"] for row in rows] == [row["id"] for row in lines["ar"]], code
        for row in rows:
            assert known[row["id"]].type == "LOC", row
            assert written(row["names"]), row


def test_titles_are_listed_once_per_language() -> None:
    """A title is a word or phrase of a language, and no title is the name of an identity."""
    having = files.having(files.TITLES)
    assert {language.code for language in having} >= {"ar", "en", "fr", "ru", "es", "de"}
    for language in having:
        titles = (files.folder(language.code) / files.TITLES).read_text(encoding="utf-8").splitlines()
        assert max(Counter(titles).values()) == 1
        for title in titles:
            words = tuple(word.form for word in tokens(title))
            assert words, title
            assert not [alias for alias in load().aliases.get(words[0], ()) if alias.forms == words], title


def test_a_given_name_is_in_one_group() -> None:
    """A spelling is in one group; a group has at least two spellings."""
    groups = table("given_names.tsv")
    assert len(groups) >= 300
    owners: Counter[str] = Counter()
    for group in groups:
        spellings = [name for cell in group.values() for name, _ in written(cell)]
        assert len(spellings) >= 2, group
        owners.update({" ".join(word.form for word in tokens(name)) for name in spellings})
    assert [name for name, count in owners.items() if count > 1] == []


@pytest.mark.parametrize(
    ("name", "kind", "forms", "others"),
    [
        ("дания", "LOC", "дания дании данию данией", "данные дан дани"),
        ("газа", "LOC", "газы газе газу газой", "газ газом"),
        ("дели", "LOC", "дели", "дело дел дела"),
        ("китай", "LOC", "китая китаю китаем китае", "кит кита"),
        ("путин", "PER", "путина путину путиным путине", "путиной"),
        ("зеленский", "PER", "зеленского зеленскому зеленским", "зеленской зелень"),
        ("захарова", "PER", "захаровой захарову", "захаров"),
        ("україна", "LOC", "україни україні україну україною", "україно"),
    ],
)
def test_names_are_declined_by_their_class(name: str, kind: EntityType, forms: str, others: str) -> None:
    """A Russian or Ukrainian name has the endings of its class, and no word that only shares its stem."""
    found = declined(name, kind)
    assert set(forms.split()) <= found
    assert found.isdisjoint(others.split())
