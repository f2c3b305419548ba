"""Who said what."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich import quotes
from enrich.text.tokens import Passage
from services.events import Entity, Mention, Quote

PUTIN, MACRON, LAVROV, KREMLIN, MOSCOW = "Q7747", "Q3052772", "Q58217", "Q133274", "Q649"


NAMES = {
    PUTIN: ("PER", ["فلاديمير بوتين", "بوتين", "Vladimir Poutine", "Poutine", "Владимир Путин", "Putin", "Путин"]),
    MACRON: ("PER", ["ماكرون", "Macron", "Макрону"]),
    LAVROV: ("PER", ["لافروف", "Lavrov"]),
    KREMLIN: ("ORG", ["الكرملين", "Kremlin"]),
    MOSCOW: ("LOC", ["موسكو"]),
    "Q22868": ("ORG", ["روسيا اليوم"]),
}


def found(text: str) -> list[Entity]:
    """The entities of a text, found by their names."""
    return [
        Entity(
            id=one,
            name=names[-1],
            type=kind,
            mentions=[
                Mention(start=match.start(), end=match.end(), text=match.group())
                for match in re.finditer("|".join(names), text)
            ],
        )
        for one, (kind, names) in NAMES.items()
    ]


def find(text: str, language: str) -> list[Quote]:
    """The quotations of a text."""
    return quotes.find(Passage(text), language, found(text))


def said(text: str, language: str) -> list[tuple[str | None, str | None, str]]:
    """Speaker, verb and words of each quotation."""
    return [(quote.speaker, quote.verb, quote.text) for quote in find(text, language)]


@pytest.mark.parametrize(
    ("language", "text", "verb", "words"),
    [
        ("ar", "قال بوتين: «سنرسل القمح قبل الشتاء».", "قال", "سنرسل القمح قبل الشتاء"),
        ("ar", 'وَقَالَ بوتين إنّ "القمح جاهز في الميناء".', "قَالَ", "القمح جاهز في الميناء"),
        ("en", 'Putin said: "We will ship the grain."', "said", "We will ship the grain"),
        ("en", "“We will ship the grain,” said Putin.", "said", "We will ship the grain"),
        ("en", "'We will ship the grain,' Putin said. He doesn't wait.", "said", "We will ship the grain"),
        ("fr", "« Nous enverrons le grain », a déclaré Poutine.", "déclaré", "Nous enverrons le grain"),
        ("ru", "«Мы отправим зерно зимой», — заявил Путин.", "заявил", "Мы отправим зерно зимой"),
        ("ru", "— Мы отправим зерно зимой, — сказал Путин.", "сказал", "Мы отправим зерно зимой"),
    ],
)
def test_words_in_quotation_marks(language: str, text: str, verb: str, words: str) -> None:
    """Before or after the verb, in the marks of each language; the verb as written, without a conjunction."""
    assert said(text, language) == [(PUTIN, verb, words)]
    assert find(text, language)[0].direct


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("ar", "وأكد الرئيس الروسي فلاديمير بوتين، في كلمة له، أن القمح جاهز في الميناء.", "القمح جاهز في الميناء"),
        ("en", "Putin told Macron that the grain was ready to leave.", "the grain was ready to leave"),
        ("en", "The grain was ready to leave, Putin said.", "The grain was ready to leave"),
        ("fr", "Vladimir Poutine a affirmé que le grain était prêt.", "le grain était prêt"),
        ("ru", "Владимир Путин сообщил Макрону, что зерно готово к отправке.", "зерно готово к отправке"),
    ],
)
def test_reported_speech(language: str, text: str, words: str) -> None:
    """A clause after «that» is found and is not direct."""
    (quote,) = find(text, language)
    assert (quote.speaker, quote.text, quote.direct) == (PUTIN, words, False)


def test_marks_inside_a_clause_are_the_quotation() -> None:
    """In «أن ... "..."» only the words in quotation marks are a quotation."""
    assert said('أكد لافروف أن موسكو "لم تغلق الباب يوما"، ثم غادر.', "ar") == [(LAVROV, "أكد", "لم تغلق الباب يوما")]


@pytest.mark.parametrize(
    ("language", "text", "speaker"),
    [
        ("ar", "قال لافروف إن القمح جاهز للسفر. وأضاف: «السفن في الميناء الآن».", LAVROV),
        ("ar", "التقى بوتين ماكرون، وقال لافروف إن القمح جاهز، مضيفاً أن السفن في الميناء.", LAVROV),
        ("en", 'Lavrov met Macron. "The ships are in the port," he said.', LAVROV),
        ("fr", "Lavrov a dit que le grain était prêt. « Les navires attendent », a-t-il ajouté.", LAVROV),
        ("ru", "«Зерно готово к отправке», — сказал Путин. «Корабли в порту», — добавил он.", PUTIN),
    ],
)
def test_the_same_speaker_continues(language: str, text: str, speaker: str) -> None:
    """A pronoun, a participle or an omitted subject means the last speaker."""
    assert find(text, language)[-1].speaker == speaker


@pytest.mark.parametrize(
    ("language", "text", "speaker"),
    [
        ("ar", "قال لافروف إن القمح جاهز للسفر. ووصل بوتين إلى قازان. وأضاف أن السفن في الميناء.", LAVROV),
        ("ar", "قال لافروف إن القمح جاهز للسفر. ووصل بوتين إلى قازان. وقال إن السفن في الميناء.", PUTIN),
        (
            "ar",
            'قال الكرملين إن "بوتين هنأ ماكرون"، كما أكد له "أهمية الرياضة للشباب". وتابع: "زار بوتين قازان".',
            KREMLIN,
        ),
        ("en", "Lavrov said that the grain was ready. Putin was in Kazan. He added that the ships waited.", LAVROV),
        ("en", "Lavrov said that the grain was ready. Putin was in Kazan. He said that the ships waited.", PUTIN),
        (
            "ru",
            "Lavrov сообщил, что зерно уже готово. Путин прибыл. Он добавил, что корабли ждут погрузки.",
            LAVROV,
        ),
        (
            "ru",
            "Lavrov сообщил, что зерно уже готово. Путин прибыл. Macron добавил, что корабли ждут зерна.",
            MACRON,
        ),
    ],
)
def test_verbs_of_adding_mean_the_last_speaker(language: str, text: str, speaker: str) -> None:
    """«He added» means the last speaker, not a person named since; «he said» may mean either."""
    assert find(text, language)[-1].speaker == speaker


@pytest.mark.parametrize(
    ("language", "text", "speaker"),
    [
        ("ar", "وقال الكرملين إن بوتين سيزور قازان غدا.", KREMLIN),
        ("ar", "أعلنت موسكو أن المهرجان سيبدأ في الصيف.", MOSCOW),
        ("ar", "وقال مسؤول في مكتب الرئيس ماكرون إن الموعد لم يتغير بعد.", None),
        ("en", "An aide to Macron said the programme had not changed.", None),
        ("en", "A spokesman for the Kremlin said the concert was free for all.", KREMLIN),
    ],
)
def test_who_is_the_speaker(language: str, text: str, speaker: str | None) -> None:
    """Bodies and governments can be speakers; somebody who works for a person is not that person."""
    assert [quote.speaker for quote in find(text, language)] == [speaker]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ar", "وقال موقع «روسيا اليوم» في نبذة عنه كلاما كثيرا."),
        ("ar", "عرض فيلم «رحلة إلى آخر العالم البعيد» بحضور بوتين."),
        ("ar", "يريد بوتين أن تنخفض الأسعار قبل الصيف."),
        ("ar", "تصحيح: ذكرت النسخة الأولى أن عدد القطع عشرون."),
        ("en", "Putin announced a plan that would fund ten schools."),
        ("en", 'Putin saw the film "The Long Road to the Sea" twice.'),
        ("fr", "La visite que prépare Macron aura lieu en mai."),
        ("ru", "Фильм «Долгая дорога к северному морю» видел Путин."),
        ("xx", 'Putin said: "We will ship the grain."'),
    ],
)
def test_not_all_quotation_marks_and_clauses_are_quotations(language: str, text: str) -> None:
    """Newspapers, films, wishes, plans, corrections, and languages without word lists have no quotations."""
    assert find(text, language) == []


def test_a_stray_mark_does_not_invert_the_rest() -> None:
    """A mark without its pair ends with its paragraph; later quotations are found."""
    text = 'He is 6" tall.\n\nPutin said: "We will ship the grain."'
    assert said(text, "en") == [(PUTIN, "said", "We will ship the grain")]


PIECES = [
    "قال",
    "بوتين",
    "أن",
    "said",
    "Putin",
    "that",
    "selon",
    "что",
    "«",
    "»",
    '"',
    "“",
    "'",
    "— ",
    ": ",
    ", ",
    ". ",
    "\n\n",
    " كلمة ",
    " a ",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60), st.sampled_from(["ar", "en", "fr", "ru"]))
def test_spans_hold_for_any_text(pieces: list[str], language: str) -> None:
    """Each span is its text, in order, without overlap; the same text gives the same answer."""
    text = " ".join(pieces)
    found_quotes = find(text, language)
    assert found_quotes == find(text, language)
    assert all(text[quote.start : quote.end] == quote.text and quote.text.strip() for quote in found_quotes)
    assert all(first.end <= second.start for first, second in pairwise(found_quotes))


@pytest.mark.parametrize(
    "text", ['"' * 50_000, "«" * 50_000, "قال إن " * 8_000, "selon a " * 5_000, "." * 50_000, "\n— " * 15_000]
)
@pytest.mark.parametrize("language", ["ar", "fr"])
def test_hostile_text_is_bounded(text: str, language: str) -> None:
    """Very many marks and words neither hang nor crash, and give at most a hundred quotations."""
    assert len(quotes.find(Passage(text), language, [])) <= 100


def test_a_quotation_has_a_longest_length() -> None:
    """A quotation has at most 2,000 characters."""
    assert find("قال بوتين: «" + "كلمة " * 500 + "».", "ar") == []


def test_the_place_of_a_dateline_says_nothing() -> None:
    """«تاس- موسكو: ...» is an agency's report from Moscow; a place alone before a colon speaks."""
    entities = [Entity(id=MOSCOW, name="موسكو", type="LOC", mentions=[Mention(start=5, end=10, text="موسكو")])]
    assert quotes.find(Passage("تاس- موسكو: أطلق البريد خدمة جديدة للشحن إلى جميع المدن."), "ar", entities) == []
    alone = [Entity(id=MOSCOW, name="موسكو", type="LOC", mentions=[Mention(start=0, end=5, text="موسكو")])]
    assert quotes.find(Passage("موسكو: سنرد على العقوبات الجديدة في الوقت المناسب"), "ar", alone)
