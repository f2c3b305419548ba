"""The registry of languages, their folders, and Portuguese as an example of a language made of word lists alone."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import Stemmer

from enrich import languages, quotes
from enrich.dates import finder
from enrich.entities.recognition import capitals
from enrich.languages import LANGUAGES, Language, files
from enrich.quotes import lexicon
from enrich.text.boilerplate import BoilerplateDetector
from enrich.text.language import detect
from enrich.text.tokens import Passage, stem
from enrich.text.word_counts import word_counts
from enrich.topics.classifier import linear_model, topic_terms, tree
from services.events import Entity, Mention

FOLDER = Path(languages.__file__).parent
# The keys that each kind of TOML file may have, as languages/README.md lists them.
KEYS = {
    files.DATES: {
        *("capitals", "months", "weekdays", "relative", "past", "future", "modifiers", "until", "articles"),
        *("auxiliaries", "links", "years", "month_first", "ambiguous_slashes", "clitics", "verb_prefix", "pairs"),
        *("compounds", "day_before", "day_after", "day_first", "name_endings", "corresponding", "never_capital"),
        *("never_after", "never_before", "only_after"),
    },
    files.QUOTES: {
        *("say", "quote", "participle", "according", "aside", "according_after", "according_before", "endings"),
        *("plural_endings", *lexicon.WORD_LISTS),
    },
    files.BOILERPLATE: {
        *("links", "link_headings", "buttons", "beginnings", "agencies", "bylines", "stamps", "by", "by_joints"),
        *("counters", "counter_units", "footers"),
    },
    files.BODIES: {
        *(
            "order",
            "links",
            "joints",
            "of",
            "adjective_endings",
            "place_needs_link",
            "kinds",
            "placed",
            "whole",
            "subjects",
        ),
    },
    files.CAPITALS: {
        *("title", "lone_title", "given", "relative", "organization", "in_organization", "company", "place"),
        *("place_of", "of", "link", "conjunction", "particle", "saint", "not_a_person", "not_a_name", "opening"),
    },
    files.DETECTION: {"sentence_words"},
}
COLUMNS = {
    files.GAZETTEER: ["id", "names"],
    files.DEMONYMS: ["id", "names"],
    files.TOPICS: ["topic", "label", "terms"],
}


def each(file: str) -> pytest.MarkDecorator:
    """The test runs once for each language that has a file of this name."""
    return pytest.mark.parametrize("language", files.having(file), ids=lambda language: language.code)


def test_each_language_has_a_row_and_a_folder() -> None:
    """Codes are unique, and the folders are those of the registered languages."""
    codes = [language.code for language in LANGUAGES]
    assert len(codes) == len(set(codes))
    assert {path.name for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(codes)


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)
def test_a_folder_has_only_known_files(language: Language) -> None:
    """No file is ignored because its name is misspelled."""
    assert {path.name for path in files.folder(language.code).iterdir()} <= set(files.FILES)


@pytest.mark.parametrize("file", KEYS)
def test_the_keys_of_each_file_are_known(file: str) -> None:
    """No table is ignored because its key is misspelled, and none is empty."""
    for language in files.having(file):
        table = files.table(language.code, file)
        assert table is not None
        assert set(table) <= KEYS[file], language.code
        assert all(value or value is False for value in table.values()), language.code


@pytest.mark.parametrize("file", COLUMNS)
def test_each_line_has_the_columns_of_its_table(file: str) -> None:
    """The header is the same in every language, and each line has as many cells, the first of them once."""
    for language in files.having(file):
        header, *lines = (files.folder(language.code) / file).read_text(encoding="utf-8").splitlines()
        assert header.split("\t") == COLUMNS[file]
        rows = [line.split("\t") for line in lines]
        assert all(len(row) == len(COLUMNS[file]) and row[0] for row in rows), language.code
        assert len({row[0] for row in rows}) == len(rows), language.code


@each(files.DATES)
def test_dates_have_twelve_months_and_seven_days(language: Language) -> None:
    """The tables can be loaded; they name each month and each weekday."""
    table = files.table(language.code, files.DATES)
    assert table is not None
    assert len(table["months"].strip().split("\n")) == 12
    assert len(table["weekdays"].strip().split("\n")) == 7
    assert finder.find("2022-02-28", language.code, None, datetime(2022, 3, 1, tzinfo=UTC))


@each(files.QUOTES)
def test_quotes_have_reporting_verbs(language: Language) -> None:
    """The lexicon can be loaded and has reporting verbs and complementizers."""
    words = lexicon.load(language.code)
    assert words is not None
    assert {"say", "complementizer"} <= set(words.jobs.values())


@each(files.TOPICS)
def test_terms_belong_to_topics_of_the_tree(language: Language) -> None:
    """Every topic with terms or a label exists."""
    assert {row["topic"] for row in files.rows(language.code, files.TOPICS)} <= set(tree())
    assert topic_terms(language.code).weights


def test_models_and_counts_can_be_loaded() -> None:
    """A topic model and word counts exist for the languages that have the files, and for no other."""
    for language in LANGUAGES:
        assert (linear_model(language.code) is None) == (files.path(language.code, files.TOPIC_MODEL) is None)
        assert bool(word_counts(language.code)) == (files.path(language.code, files.WORD_COUNTS) is not None)


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)
def test_the_traits_of_a_row_exist(language: Language) -> None:
    """Snowball has the stemmer, and only languages with capitals have rules for them."""
    assert language.stemmer is None or language.stemmer in Stemmer.algorithms()
    assert language.has_case or files.path(language.code, files.CAPITALS) is None
    assert language.right_to_left == (language.script == "Arabic")


def test_a_language_without_a_row_has_no_traits() -> None:
    """What the registry does not know has no stemmer, no attached letters and no files."""
    assert languages.get("nl").stemmer is None
    assert languages.get("nl").conjunctions == ""
    assert stem("huizen", "nl") == "huizen"
    assert files.path("nl", files.DATES) is None


def test_the_shared_tables_have_known_keys() -> None:
    """The phrases and cues of no language are in tables of the same form."""
    package = FOLDER.parent
    for folder, file in ((package / "text", files.BOILERPLATE), (package / "entities/recognition", files.CAPITALS)):
        assert set(tomllib.loads((folder / file).read_text(encoding="utf-8"))) <= KEYS[file]


THURSDAY = datetime(2022, 3, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "written", "day"),
    [
        ("O acordo foi assinado em 28 de fevereiro de 2022 em Lisboa.", "28 de fevereiro de 2022", "2022-02-28"),
        ("O texto entrou em vigor no dia 1º de março.", "1º de março", "2022-03-01"),
        ("O ministro chegou ontem a Brasília.", "ontem", "2022-03-02"),
        ("A cúpula começa depois de amanhã.", "depois de amanhã", "2022-03-05"),
        ("O presidente reuniu-se na terça-feira com o embaixador.", "terça-feira", "2022-03-01"),
        ("A votação foi adiada para a próxima segunda-feira.", "próxima segunda-feira", "2022-03-07"),
        ("A greve começou na sexta-feira passada.", "sexta-feira passada", "2022-02-25"),
        ("As inscrições vão até sábado.", "sábado", "2022-03-05"),
        ("O museu foi aberto em 12 de maio do ano passado.", "12 de maio do ano passado", "2021-05-12"),
    ],
)
def test_portuguese_dates(text: str, written: str, day: str) -> None:
    """Explicit and relative days, before and after their modifiers."""
    assert [(one.text, one.date.isoformat()) for one in finder.find(text, "pt", THURSDAY, THURSDAY)] == [(written, day)]


@pytest.mark.parametrize("text", ["Hoje em dia, poucos sabem.", "A missa é celebrada todo domingo.", "Em maio chove."])
def test_portuguese_words_that_are_no_dates(text: str) -> None:
    """Idioms, repeated days and months without a day are left out."""
    assert finder.find(text, "pt", THURSDAY, THURSDAY) == ()


def quoted(text: str) -> list[tuple[str | None, str | None, str, bool]]:
    """Speaker, verb, words and directness of the quotations of a Portuguese text with one known name."""
    at = text.index("Guterres")
    mention = Mention(start=at, end=at + 8, text="Guterres")
    entity = Entity(id="Q311440", name="António Guterres", type="PER", mentions=[mention])
    return [(one.speaker, one.verb, one.text, one.direct) for one in quotes.find(Passage(text), "pt", [entity])]


@pytest.mark.parametrize(
    ("text", "verb", "words", "direct"),
    [
        ("Guterres afirmou: “O trigo sairá do porto”.", "afirmou", "O trigo sairá do porto", True),
        ("“O trigo sairá do porto”, disse Guterres.", "disse", "O trigo sairá do porto", True),
        ("Guterres disse ontem que o trigo sairá do porto.", "disse", "o trigo sairá do porto", False),
        ("Segundo Guterres, o trigo sairá do porto.", "Segundo", "o trigo sairá do porto", False),
        ("De acordo com Guterres, o trigo sairá do porto.", "acordo", "o trigo sairá do porto", False),
        ("O trigo sairá do porto, segundo Guterres.", "segundo", "O trigo sairá do porto", False),
    ],
)
def test_portuguese_quotations(text: str, verb: str, words: str, direct: bool) -> None:
    """Direct and reported speech, before and after the verb, and according to somebody."""
    assert quoted(text) == [("Q311440", verb, words, direct)]


def test_portuguese_verbs_that_report_nothing() -> None:
    """An agreement is no source, and the name of a film is no speech."""
    assert quoted("Guterres chegou a um acordo, antes que o porto fosse fechado.") == []
    assert quoted("Guterres viu o filme “Cidade de Deus” em Lisboa.") == []


@pytest.mark.parametrize(
    "line",
    [
        "Leia também: o que se sabe da cúpula",
        "Veja também",
        "Leia mais",
        "Compartilhar",
        "Todos os direitos reservados",
        "Por Maria da Silva e João Souza",
        "Redação: Maria da Silva",
        "Publicado em 28/02/2022",
        "Brasília - Agência Brasil",
    ],
)
def test_portuguese_boilerplate(line: str) -> None:
    """Links, buttons, bylines and stamps are found; the news around them is not."""
    news = ("O ministro chegou a Brasília na noite de ontem.", "A empresa aumentou a produção de trigo no norte.")
    text = "\n\n".join((news[0], line, news[1]))
    assert [text[span.start : span.end] for span in BoilerplateDetector().find(None, text)] == [line]


def test_portuguese_words_lose_their_endings_and_titles_mark_names() -> None:
    """The stemmer and the cues of capitals are those of the registry and the folder."""
    assert stem("governadores", "pt") == stem("governador", "pt")
    passage = Passage("Foi o que disse a deputada Zélia Quaresma em Brasília.")
    assert [passage.text[span.start : span.end] for span in capitals.find(passage, "pt")] == ["Zélia Quaresma"]
    assert detect("O ministro afirmou que o governo não vai aumentar os impostos neste ano.")[0] == "pt"
