"""Ministries and other public bodies, which are found by the pattern of their names."""

import re
import tomllib

import pytest

from enrich.entities import bodies, countries, matching
from enrich.entities.find import find_entities
from enrich.entities.recognition.recognizer import NameSpan, Recognizer
from enrich.languages import files
from enrich.text.tokens import Passage
from services.events import Entity

RUSSIA, SYRIA, EGYPT, TURKEY, PALESTINE = "Q159", "Q858", "Q79", "Q43", "Q219060"


class Nothing:
    """A recognizer that finds no names."""

    languages = None

    def find(self, passage: Passage) -> list[NameSpan]:
        """No names."""
        return []


def organisations(text: str, language: str, title: str = "") -> dict[str, list[str]]:
    """The mentions of organisations in an article, by id."""
    recognizer: Recognizer = Nothing()  # type: ignore[assignment]
    found = find_entities(Passage(title), Passage(text), language, recognizer)
    assert all(text[m.start : m.end] == m.text for entity in found for m in entity.mentions)
    return {entity.id: [mention.text for mention in entity.mentions] for entity in found if entity.type == "ORG"}


def places(text: str, language: str) -> set[str]:
    """The ids of the places in an article."""
    recognizer: Recognizer = Nothing()  # type: ignore[assignment]
    found: list[Entity] = find_entities(Passage(""), Passage(text), language, recognizer)
    return {entity.id for entity in found if entity.type == "LOC"}


@pytest.mark.parametrize(
    ("language", "text", "mention"),
    [
        ("ar", "أعلنت وزارة الدفاع الروسية أمس", "وزارة الدفاع الروسية"),
        ("ar", "وقال متحدث بوزارة الدفاع الروسية أمس", "وزارة الدفاع الروسية"),
        ("en", "The Russian Defence Ministry said", "Russian Defence Ministry"),
        ("en", "the Russian ministry of defense said", "Russian ministry of defense"),
        ("en", "Russia's Defence Ministry said", "Defence Ministry"),
        ("en", "The Ministry of Defence of Russia said", "Ministry of Defence"),
        ("en", "the defence ministry in Moscow said", "defence ministry"),
        ("fr", "Le ministère russe de la Défense a dit", "ministère russe de la Défense"),
        ("fr", "Le ministère de la Défense russe a dit", "ministère de la Défense russe"),
        ("es", "El Ministerio de Defensa ruso dijo", "Ministerio de Defensa ruso"),
        ("es", "El Ministerio de Defensa de Rusia dijo", "Ministerio de Defensa"),
        ("de", "Das russische Verteidigungsministerium sagte", "russische Verteidigungsministerium"),
        ("de", "Sprecher des russischen Verteidigungsministeriums", "russischen Verteidigungsministeriums"),
        ("ru", "Об этом сообщили в Минобороны РФ", "Минобороны"),
        ("ru", "Представитель министерства обороны России", "министерства обороны"),
        ("ru", "Российское министерство обороны сообщило", "Российское министерство обороны"),
        ("tr", "Rusya Savunma Bakanlığı'ndan açıklama", "Savunma Bakanlığı"),
    ],
)
def test_a_ministry_has_one_id_in_all_languages(language: str, text: str, mention: str) -> None:
    """Its kind, subject and country make the id; the mention has the country's adjective, but not its verbs."""
    assert organisations(text, language) == {bodies.identity("ministry", "defence", RUSSIA): [mention]}


@pytest.mark.parametrize(
    ("language", "text", "kind", "subject", "country"),
    [
        ("ar", "قالت وزارة الداخلية المصرية إن", "ministry", "interior", EGYPT),
        ("en", "the Syrian interior ministry said", "ministry", "interior", SYRIA),
        ("fr", "le ministère de l'Intérieur syrien", "ministry", "interior", SYRIA),
        ("tr", "Suriye İçişleri Bakanlığı, Türkiye", "ministry", "interior", SYRIA),
        ("ar", "وزارة الشؤون الاجتماعية والتخطيط المصرية", "ministry", "planning+social_affairs", EGYPT),
        ("en", "the Egyptian Ministry of Planning and Social Affairs", "ministry", "planning+social_affairs", EGYPT),
        ("ar", "قال مجلس النواب المصري", "council", "representatives", EGYPT),
        ("en", "the Egyptian House of Representatives", "council", "representatives", EGYPT),
        ("en", "the Egyptian Council of Ministers", "council", "ministers", EGYPT),
        ("ar", "قرر مجلس الوزراء المصري", "council", "ministers", EGYPT),
        ("ar", "رفع البنك المركزي التركي الفائدة", "central_bank", "", TURKEY),
        ("en", "the Turkish central bank raised rates", "central_bank", "", TURKEY),
        ("ar", "أكدت جامعة دمشق أمس", "university", "Q3766", SYRIA),
        ("en", "Damascus University said", "university", "Q3766", SYRIA),
        ("ar", "الهيئة العامة للسياحة المصرية", "authority", "tourism", EGYPT),
        ("de", "das Innenministerium in Damaskus", "ministry", "interior", SYRIA),
    ],
)
def test_bodies_of_other_kinds(language: str, text: str, kind: str, subject: str, country: str) -> None:
    """Councils, central banks, authorities and universities are found like ministries."""
    assert list(organisations(text, language)) == [bodies.identity(kind, subject, country)]


def test_a_body_without_a_country_is_of_the_article_s_only_one() -> None:
    """«وزارة الصحة» in an article about Egypt alone is the Egyptian one; with two countries it is nobody's."""
    health = bodies.identity("ministry", "health", EGYPT)
    assert list(organisations("القاهرة: أعلنت وزارة الصحة اليوم عن علاج جديد.", "ar")) == [health]
    assert list(organisations("Cairo: The health ministry said today", "en")) == [health]
    assert list(organisations("The health ministry said.", "en", title="Egyptian cases rise")) == [health]
    alone = organisations("أعلنت وزارة الصحة اليوم عن علاج جديد.", "ar")
    assert list(alone.values()) == [["وزارة الصحة"]]
    assert health not in alone
    assert organisations("أعلنت وزارة الصحة اليوم في لقاء بين مصر وتركيا.", "ar").keys() == alone.keys()


def test_a_ministry_named_with_its_country_means_the_same_later_without_it() -> None:
    """Of two countries in an article the one that the ministry was named with is its country."""
    text = "The Syrian interior ministry answered Turkey. Turkey's border is closed, the interior ministry said."
    assert organisations(text, "en") == {
        bodies.identity("ministry", "interior", SYRIA): ["Syrian interior ministry", "interior ministry"]
    }


def test_a_country_s_name_stays_a_place() -> None:
    """The name of the country is not part of the body; a place that completes the name is."""
    assert places("Министерство обороны России", "ru") == {RUSSIA}
    assert places("قالت بلدية غزة", "ar") == set()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ar", "قالت الوزارة إن الداخلية المصرية"),
        ("ar", "وزارة. الدفاع الروسية"),
        ("en", "the central bank said"),
        ("en", "the ministry, defence experts said"),
        ("en", "a university in general"),
        ("en", "the Council of Energy minister"),
        ("fr", "l'Université Paris V"),
        ("ru", "министерство. Обороны не было"),
    ],
)
def test_other_words_are_no_bodies(language: str, text: str) -> None:
    """A kind without a subject is no body, nor is one whose words are apart."""
    assert organisations(text, language) == {}


def test_the_country_is_not_taken_from_another_sentence_or_list() -> None:
    """«وزارة الدفاع وروسيا» and "the Defence Ministry. Russia" are no Russian ministries."""
    russian = bodies.identity("ministry", "defence", RUSSIA)
    assert russian not in organisations("بين وزارة الدفاع وروسيا ومصر", "ar")
    assert russian not in organisations("said the Defence Ministry. Russia and Egypt agreed", "en")


def test_two_bodies_are_not_one() -> None:
    """«وزارة الداخلية والدفاع المدني» are the ministry of the interior and the civil defence."""
    assert list(organisations("وزارة الداخلية والدفاع المدني", "ar").values()) == [["وزارة الداخلية"]]


def test_a_body_ends_with_the_recognised_name_that_begins_with_it() -> None:
    """«هيئة السياحة والتراث الوطني» is named in full where the recogniser found it, under the id of the body."""
    text = "قالت هيئة السياحة والتراث الوطني في مصر"
    passage = Passage(text)
    span = NameSpan(5, 32, "ORG", 1.0)
    ((found, _),) = bodies.find([(passage, matching.matches(passage, "ar", [span]), [span])], "ar")
    assert found.entry.id == bodies.identity("authority", "tourism", EGYPT)
    assert text[found.start : found.end] == "هيئة السياحة والتراث الوطني"


def test_longer_names_of_the_gazetteer_are_kept() -> None:
    """A body that the gazetteer has is the gazetteer's."""
    assert list(organisations("US Supreme Court", "en")) == ["Q11201"]
    assert list(organisations("The Supreme Court of the United States", "en")) == ["Q11201"]
    assert list(organisations("قالت جامعة القاهرة", "ar")) == ["Q194445"]


def test_the_article_is_shown_where_it_is_not_written() -> None:
    """«للهيئة» is «الهيئة» with a preposition that swallows a letter: the name shown has it, the mention does not."""
    recognizer: Recognizer = Nothing()  # type: ignore[assignment]
    text = Passage("تابعة للهيئة العامة للسياحة المصرية")
    (entity,) = (e for e in find_entities(Passage(""), text, "ar", recognizer) if e.type == "ORG")
    assert entity.name == "الهيئة العامة للسياحة المصرية"
    assert [mention.text for mention in entity.mentions] == ["لهيئة العامة للسياحة المصرية"]


def test_ids_are_stable() -> None:
    """The id of a body is part of what is stored, so it never changes."""
    assert bodies.identity("ministry", "defence", RUSSIA) == "xf7c3iqd5ceflgx2zyuqi25dwcx"


def test_keys_mean_the_same_in_all_languages() -> None:
    """Every subject is one of two languages at least: a misspelled key is alone."""
    keys: dict[str, int] = {}
    for language in files.having(files.BODIES):
        path = files.path(language.code, files.BODIES)
        assert path is not None
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        assert table["order"] in {"before", "after", "both"}
        for key in table["subjects"]:
            assert re.fullmatch(r"[a-z_]+", key)
            keys[key] = keys.get(key, 0) + 1
    assert {key for key, count in keys.items() if count < 2} == {"representatives", "senators", "shura", "ministers"}


def test_countries() -> None:
    """A city and a region are in their country, a country in itself, a continent in none."""
    assert countries.country_of("Q3766") == SYRIA
    assert countries.country_of(SYRIA) == SYRIA
    assert countries.country_of("Q46") is None
    assert countries.country_of("Q39760") == PALESTINE


def test_matches_stay_in_order() -> None:
    """Matches and bodies come back in the order of the text, without overlaps."""
    passage = Passage("Moscow and the Russian Defence Ministry, Kyiv")
    ((found),) = bodies.find([(passage, matching.matches(passage, "en", []), [])], "en")
    assert [passage.text[match.start : match.end] for match in found] == ["Moscow", "Russian Defence Ministry", "Kyiv"]
