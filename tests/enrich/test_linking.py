"""The identities of names, in the gazetteer or not."""

import pytest

from enrich.entities import linking, matching
from enrich.entities.linking import Name, Persons
from enrich.entities.recognition.recognizer import NameSpan
from enrich.text.tokens import Passage

PUTIN, MACRON, CAIRO = "Q7747", "Q3052772", "Q85"


def names(text: str, *recognised: tuple[str, str], language: str = "ar") -> list[Name]:
    """The names of a text in which a recognizer has found these (text, type)."""
    passage, spans, at = Passage(text), [], 0
    for name, kind in recognised:
        at = text.index(name, at)
        spans.append(NameSpan(at, at + len(name), kind, 0.9))  # type: ignore[arg-type]
        at += len(name)
    matched = matching.matches(passage, language, spans)
    return Persons().resolve(passage, linking.names(passage, matched, spans), language)


def ids(text: str, *recognised: tuple[str, str], language: str = "ar") -> list[str]:
    """Their ids."""
    return [name.id for name in names(text, *recognised, language=language)]


def test_the_same_unknown_person_has_the_same_id_in_two_articles() -> None:
    """A local id is a function of the normalised name: hamzas, marks and spelling of the given name do not count."""
    (one,) = ids("التقى سيرجي كوزنيتسوف", ("سيرجي كوزنيتسوف", "PER"))
    (other,) = ids("وصل سيرغي كوزنيتسوف أمس", ("سيرغي كوزنيتسوف", "PER"))
    (marked,) = ids("قال سيرغي كُوزنيتسوف", ("سيرغي كُوزنيتسوف", "PER"))
    (somebody_else,) = ids("قال سيرغي بتروف", ("سيرغي بتروف", "PER"))
    assert one == other == marked
    assert one.startswith("x")
    assert one != somebody_else


def test_a_surname_means_the_person_named_in_full() -> None:
    """«بودولياك» after «ميخايلو بودولياك» is the same person, also where a recognizer finds the surname alone."""
    text = "قال ميخايلو بودولياك ذلك. وأضاف بودولياك أمس، ثم غادر بودولياك"
    found = names(text, ("ميخايلو بودولياك", "PER"), ("بودولياك", "PER"))
    assert len(found) == 3
    assert len({name.id for name in found}) == 1
    assert {name.text for name in found} == {"ميخايلو بودولياك"}


def test_a_surname_keeps_its_particle() -> None:
    """«al-Mansour» alone is Tariq al-Mansour, the particle being part of the mention."""
    text = "Tariq al-Mansour chaired the session. Al-Mansour told reporters."
    found = names(text, ("Tariq al-Mansour", "PER"), language="en")
    assert [text[name.start : name.end] for name in found] == ["Tariq al-Mansour", "Al-Mansour"]
    assert found[0].id == found[1].id


def test_the_last_one_named_in_full_has_the_surname() -> None:
    """Of two persons with one surname, the surname alone means the last one named."""
    text = "John Miller met Anna Miller. Miller agreed."
    found = ids(text, ("John Miller", "PER"), ("Anna Miller", "PER"), language="en")
    assert found[0] != found[1] == found[2]


def test_an_ordinary_word_is_no_surname() -> None:
    """«صلاح» is reform, «على» is on: after a full name such words are no mentions unless they are recognised."""
    text = "سجل أحمد علي هدفا على ملعب الفريق"
    assert len(ids(text, ("أحمد علي", "PER"))) == 1


def test_three_vladimirs_are_three() -> None:
    """Persons with the same given name are different, and a given name alone is nobody."""
    text = "فلاديمير بوتين وفلاديمير ماكاروف وفلاديمير سوروكين، وقال فلاديمير"
    found = ids(text, ("فلاديمير ماكاروف", "PER"), ("فلاديمير سوروكين", "PER"), ("فلاديمير", "PER"))
    assert found[0] == PUTIN
    assert len(set(found)) == len(found) == 3


@pytest.mark.parametrize("name", ["إيمانويل ماكرون", "عمانوئيل ماكرون", "ايمانويل ماكرون"])
def test_spellings_of_a_known_name_are_the_known_person(name: str) -> None:
    """A given name in another spelling before a known surname is the same person."""
    assert ids(f"وصل {name} إلى المدينة", (name, "PER")) == [MACRON]


def test_a_relative_of_a_known_person_is_another_person() -> None:
    """Another given name before a known surname is another person."""
    (found,) = ids("وصلت ماريا بوتين إلى المدينة", ("ماريا بوتين", "PER"))
    assert found != PUTIN
    assert found.startswith("x")


@pytest.mark.parametrize(
    ("text", "recognised"),
    [("قال الرئيس الفرنسي إنه سيعود", "الرئيس الفرنسي"), ("حضر الروس الحفل", "الروس"), ("قال الوزير", "الوزير")],
)
def test_titles_and_demonyms_are_no_names(text: str, recognised: str) -> None:
    """Not even where a recognizer finds them as persons."""
    assert ids(text, (recognised, "PER")) == []


def test_titles_are_not_part_of_the_name() -> None:
    """A recognised name begins after the title."""
    (name,) = names("قال الرئيس ميخايلو بودولياك", ("الرئيس ميخايلو بودولياك", "PER"))
    assert name.text == "ميخايلو بودولياك"


def test_an_institution_named_after_a_city_is_not_the_city() -> None:
    """«جامعة القاهرة» recognised as a body, «استاد القاهرة» as any place: neither is Cairo; «مدينة القاهرة» is."""
    (university,) = names("أعلنت جامعة القاهرة النتائج", ("جامعة القاهرة", "ORG"))
    (stadium,) = names("جرت المباراة في استاد القاهرة أمس")
    assert (university.type, university.id == CAIRO) == ("ORG", False)
    assert (stadium.text, stadium.id == CAIRO) == ("استاد القاهرة", False)
    assert ids("وصل إلى مدينة القاهرة") == [CAIRO]


def test_a_known_name_wins_over_a_recognised_one_that_cuts_it() -> None:
    """A recognised name that is part of a known one, or crosses its end, changes nothing."""
    assert ids("الجمعية العامة للأمم المتحدة", ("العامة", "ORG")) == ["Q47423"]
    assert ids("قال بوتين وماكرون اليوم", ("بوتين وماكرون اليوم", "PER")) == [PUTIN, MACRON]


@pytest.mark.parametrize(
    ("text", "countries"),
    [("الحرب في تعز باليمن", ["Q805"]), ("الحرب في تعز", []), ("الحرب في تعز\n\nفي اليمن", [])],
    ids=["in its paragraph", "nowhere", "in a later one"],
)
def test_a_weak_region_needs_its_country(text: str, countries: list[str]) -> None:
    """A region with an ambiguous name counts where its country is named by the end of its paragraph."""
    passage = Passage(text)
    found = matching.regions(passage, "ar", matching.matches(passage, "ar", []))
    assert [match.entry.within for match in found] == countries


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ru", "Данные опубликованы. Дело передано в суд, газ подорожал. Газ дешевеет."),
        ("uk", "Але ціни не зростуть."),
        ("de", "Über die Wahl wird beraten."),
        ("it", "Nato a Torre Annunziata nel 1960, vive qui."),
        ("ro", "Dacă taxele nu scad, vor protesta."),
        ("bg", "Холандия победи снощи."),
        ("ur", "وزیر نے کہا کہ ایسا کوئی منصوبہ نہیں"),
    ],
)
def test_ordinary_words_have_no_identity(language: str, text: str) -> None:
    """A word that shares a stem, an accent or its letters with a name, here or in another language, is no name."""
    assert ids(text, language=language) == []


def test_an_ordinary_word_is_a_name_by_its_capital_within_a_sentence_or_beside_a_sure_one() -> None:
    """«Nato» begins an Italian sentence as "born"; within a sentence, and after that, it is the alliance."""
    assert ids("Il vertice della Nato comincia domani", language="it") == ["Q7184"]
    assert ids("Nato divisa. Il vertice della Nato comincia domani", language="it") == ["Q7184", "Q7184"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "She flew with Qatar Airways yesterday."),
        ("en", "The ferry to Vancouver Island was late."),
        ("en", "The campaign Leave.EU was fined."),
        ("en", "The new Airbus A380 landed."),
        ("en", "An old friend, Jordan Rochester, agreed."),
        ("pt", "Aristides Lima nega a acusação."),
        ("fr", "Un concert de la Banque de France."),
        ("de", "Wir fuhren nach Ellis Island."),
        ("pl", "Prezes PKO BP odszedł."),
        ("ru", "Он живёт в Северной Ирландии."),
        ("ru", "Все одобрили назначение Доминика Рааба вчера."),
    ],
)
def test_a_part_of_a_longer_name_is_another_entity(language: str, text: str) -> None:
    """A city, country or company within the name of an airline, an island, a person is not that entity."""
    assert not {"Q846", "Q24639", "Q458", "Q2311", "Q810", "Q2868", "Q142", "Q189", "Q152057", "Q27", "Q784"} & set(
        ids(text, language=language)
    )


@pytest.mark.parametrize(
    ("language", "text", "identity"),
    [
        ("ru", "Экспорт Китая вырос", "Q148"),
        ("ru", "Президент Франции Иванов прибыл", "Q142"),
        ("ru", "В Москве Петров заявил", "Q649"),
        ("uk", "Економіка Німеччини зросла", "Q183"),
        ("en", "Officials in Paris said so", "Q90"),
        ("en", "The Ukrainian capital. Ukraine President Volodymyr Zelensky spoke", "Q212"),
        ("pl", "Komisja UE odpowiedziała", "Q458"),
        ("ru", "Компания Boeing сообщила", "Q66"),
    ],
)
def test_names_keep_their_identity(language: str, text: str, identity: str) -> None:
    """Declined names, names before a title or a person, acronyms and names in Latin letters are found."""
    assert identity in ids(text, language=language)
