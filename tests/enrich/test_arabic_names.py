"""Which Arabic names an article has, where they begin and end, and which of them are one."""

import pytest

from enrich.entities import recognition
from enrich.entities.find import find_entities
from enrich.entities.recognition.boundaries import corrected
from enrich.entities.recognition.recognizer import NameSpan
from enrich.text.tokens import Passage
from services.events import Entity

SAUDI_ARABIA, RIYADH, EGYPT, ALEXANDRIA = "Q851", "Q3692", "Q79", "Q87"


def find(text: str, title: str = "") -> list[Entity]:
    """The entities of an Arabic article."""
    return find_entities(Passage(title), Passage(text), "ar", recognition.load())


def named(text: str) -> dict[str, str]:
    """The type of each entity of a text by its name."""
    return {entity.name: entity.type for entity in find(text)}


def spans(text: str, *recognised: tuple[str, str]) -> list[tuple[str, str]]:
    """The names (text, type) made of those that a recognizer found."""
    found, at = [], 0
    for name, kind in recognised:
        at = text.index(name, at)
        found.append(NameSpan(at, at + len(name), kind, 0.9))  # type: ignore[arg-type]
        at += len(name)
    return [(text[span.start : span.end], span.type) for span in corrected(Passage(text), found)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("قال المهندس عبد الرحيم الحارثي إن الجسر اكتمل.", "قال المهندس عبدالرحيم الحارثي إن الجسر اكتمل."),
        ("قال الدكتور أبو بكر المنصوري إن العمل بدأ.", "قال الدكتور ابوبكر المنصوري إن العمل بدأ."),
    ],
)
def test_a_name_written_in_one_word_or_two_is_one(one: str, other: str) -> None:
    """«عبد» and «أبو» are written with or without a space before the word they need; the id is the same."""
    assert [entity.id for entity in find(one)] == [entity.id for entity in find(other)] != []


def test_a_name_after_the_particle_that_hides_its_article_is_the_same() -> None:
    """«للخطوط» is ل and «الخطوط»: one entity, whose name has the article."""
    found = find("أعلنت الخطوط الجوية الكويتية وصول طائرة تابعة للخطوط الجوية الكويتية.")
    (airline,) = [entity for entity in found if entity.type == "ORG"]
    assert airline.name.startswith("الخطوط الجوية")
    assert len(airline.mentions) == 2


def test_a_person_is_one_with_and_without_the_fathers_name() -> None:
    """«خالد بن صالح العتيبي», «خالد العتيبي», «العتيبي» and «الدكتور خالد» after it are one person."""
    found = find("أعلن الدكتور خالد بن صالح العتيبي النتائج. وشكر خالد العتيبي الفريق، وقال العتيبي إن العمل مستمر.")
    (person,) = [entity for entity in found if entity.type == "PER"]
    assert len(person.mentions) == 3


def test_a_persons_name_that_begins_like_a_particle_is_not_cut() -> None:
    """A given name alone is unfinished, so that what follows it is its surname: no «آسيا» in «سالم باسيا»."""
    assert named("قال سالم باسيا وأيمن فريحان إن الفريق جاهز.") == {"سالم باسيا": "PER", "أيمن فريحان": "PER"}


@pytest.mark.parametrize(
    ("text", "recognised", "expected"),
    [
        ("زار مستشفى الملك فهد أمس", ("فهد", "PER"), ("مستشفى الملك فهد", "LOC")),
        ("تنظم جامعة الأمير سلطان الأهلية لقاء", ("سلطان", "PER"), ("جامعة الأمير سلطان الأهلية", "ORG")),
        ("على ملعب الأمير فيصل بن فهد بالرياض", ("فيصل بن فهد", "PER"), ("ملعب الأمير فيصل بن فهد", "LOC")),
        ("في جامعة أم درمان أمس", ("جامعة أم", "ORG"), ("جامعة أم درمان", "ORG")),
        ("وأكد المتحدث تيسير المفلح أنه", ("تيسير", "PER"), ("تيسير المفلح", "PER")),
        ("وأوضح المواطن سامي الظفيري أنه", ("الظفيري", "PER"), ("سامي الظفيري", "PER")),
        ("الأمير نايف بن خالد ولي العهد أمس", ("نايف بن خالد ولي العهد", "PER"), ("نايف بن خالد", "PER")),
        ("هدد حزب العمال الكردستاني بذلك", ("حزب العمال", "ORG"), ("حزب العمال الكردستاني", "ORG")),
        ("قال لـ«الرياض» أمس", ("الرياض", "LOC"), ("الرياض", "ORG")),
        ("واس- جدة: أعلنت الوزارة", ("واس", "LOC"), ("واس", "LOC")),
    ],
)
def test_names_begin_and_end_where_they_do(text: str, recognised: tuple[str, str], expected: tuple[str, str]) -> None:
    """What a recognizer cut is completed, and what is called by a name is not the name."""
    assert spans(text, recognised) == [expected]


def test_what_opens_a_dateline_before_a_city_is_an_agency() -> None:
    """«واس- جدة» is the agency's report from Jeddah."""
    assert spans("واس- جدة: أعلنت الوزارة", ("واس", "LOC"), ("جدة", "LOC")) == [("واس", "ORG"), ("جدة", "LOC")]


@pytest.mark.parametrize(
    ("text", "recognised"),
    [
        ("في أبريل (نيسان) الماضي", ("نيسان", "ORG")),
        ("الراحل - رحمه الله - أمس", ("رحمه الله", "PER")),
        ("وصل الشيخ والنائب إلى القاعة", ("الشيخ", "PER")),
        ("ضمن معهد تعليمي خاص أمس", ("معهد تعليمي خاص", "ORG")),
        ("قال ذلك كاشفًا عن الخطة", ("كاشفًا", "PER")),
        ("بعد إصابة الرباط الصليبي أمس", ("الرباط", "LOC")),
    ],
)
def test_months_titles_blessings_and_phrases_are_no_names(text: str, recognised: tuple[str, str]) -> None:
    """A recognizer takes them for names where the text looks like one."""
    assert spans(text, recognised) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("أكدت الباحثة السعودية منى الغامدي ذلك أمس.", SAUDI_ARABIA),
        ("قال المتحدث لـ«الرياض» إن العمل مستمر.", RIYADH),
        ("نشرت صحيفة الرياض الخبر أمس.", RIYADH),
        ("أقيم المعرض في مكتبة الإسكندرية أمس.", ALEXANDRIA),
        ("أمام محكمة الأسرة في مصر الجديدة أمس.", EGYPT),
        ("أشاد الزوار بورشة العمل التي أقامها الفنان.", "Q40993"),
        ("خسر المنتخب نهائي بطولة كوبا أمريكا أمس.", "Q241"),
        ("يستعد مهاجم فريق برشلونة للمباراة أمس.", "Q1492"),
        ("حضر اللاعبون جلسة علاج الرباط الصليبي أمس.", "Q3551"),
    ],
)
def test_words_and_names_of_other_things_have_no_id_of_a_place_or_company(text: str, wrong: str) -> None:
    """An adjective, a newspaper, a library and a quarter are not the country or city in their names."""
    assert wrong not in [entity.id for entity in find(text)]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("وصل الوفد إلى السعودية أمس.", SAUDI_ARABIA),
        ("وصل الوفد إلى الرياض أمس.", RIYADH),
        ("وصل الوفد إلى الإسكندرية أمس.", ALEXANDRIA),
        ("غادرت الوزيرة مصر أمس إلى لندن.", EGYPT),
    ],
)
def test_places_keep_their_ids(text: str, right: str) -> None:
    """The same names where they mean the place."""
    assert right in [entity.id for entity in find(text)]


def test_a_single_unknown_word_of_a_headline_is_no_name() -> None:
    """A headline has too little text to decide; a word that the text does not name either is left out."""
    text = "أنقذت فرق الدفاع المدني تسعة أشخاص احتجزتهم المياه أمس."
    assert [entity.name for entity in find(text, "إنقاذ أشخاص من سيول المحافظة")] == []
