"""Lost spaces are put back, and nothing else is changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.text.spacing import gaps, split_glued

PIECES = st.sampled_from(
    "الولايات المتحدة الأمريكية وزارة الخارجية القاهرة كأس العرب عبد الله على مستقبلاً إيران في من هذا قالَ جي بي "
    ". ، ! ... « » - 2022 ١٩٩٠ 15 مليون Google said The iPhone Москве Он com \u0640 \u064b ( )".split()
)
MIXED = st.lists(PIECES | st.just(" ") | st.characters(), max_size=30).map("".join)


@pytest.mark.parametrize(
    ("glued", "apart"),
    [
        ("مع الولاياتالمتحدةالأمريكية، متابعًا", "مع الولايات المتحدة الأمريكية، متابعًا"),
        ("جامعةالدولالعربية", "جامعة الدول العربية"),
        ("والأمنالغذائي", "والأمن الغذائي"),
        ("كأسالعرب", "كأس العرب"),
        ("وزارةُالصحّةِ", "وزارةُ الصحّةِ"),
        ("علىالأرض", "على الأرض"),
        ("كبيرًامن", "كبيرًا من"),
        ("سنوياًفي", "سنوياً في"),
        ("العراقإيقاف", "العراق إيقاف"),
        ("الدوليحلول", "الدولي حلول"),
    ],
)
def test_joined_words_are_separated(glued: str, apart: str) -> None:
    """Two or three words in one, where the letters show the border; marks and punctuation stay with their letters."""
    assert split_glued(glued) == apart


@pytest.mark.parametrize(
    "whole",
    [
        "والاستقلال بالانتخابات الكهروضوئية استقبالهم والاتصالات للاحتجاجات",
        "عبدالفتاح عبدالرحمن وعبدالمجيد أبوالعيش نورالدين رسولالله",
        "انتصاراتهم استخداماتهم إنسانيتهم الثلاثمائة",
        "بالإنسانية وللإعلام فالإصلاح لإيران",
        "السيسي وزيلينسكي وبودولياك كريستيانو",
    ],
)
def test_whole_words_stay_whole(whole: str) -> None:
    """Long words, clitics, pronouns, foreign names and names usually written as one word are not divided."""
    assert split_glued(whole) == whole


@pytest.mark.parametrize(
    ("glued", "apart"),
    [
        ("في القاهرة.وقال الوزير", "في القاهرة. وقال الوزير"),
        ("القاهرة،من جانبه", "القاهرة، من جانبه"),
        ("منذ 2014.وأضاف", "منذ 2014. وأضاف"),
        ("he said.The deal", "he said. The deal"),
        ("в Москве.Он сказал", "в Москве. Он сказал"),
    ],
)
def test_a_sentence_joined_to_the_one_before_is_separated(glued: str, apart: str) -> None:
    """The space after a full stop or comma is put back."""
    assert split_glued(glued) == apart


@pytest.mark.parametrize(
    "text",
    [
        "3.5 2022.02.28 1,000.50",
        "U.N. e.g. i.e. a.m. z.B. т.е.",
        "ا.ف.ب بي.بي.سي وبي.جي د.محمد آي.أيه.جي",
        "example.com Booking.Com www.Example.Org/Path file.jpg Node.js me.You@Mail.Com",
        "iPhone McDonald YouTube saidThursday OpenAI",
        "https://example.com/a.Bc?d=E.Fg",
        "كوفيد19 إف35 بـGoogle الـFBI والGoogle covid19",
    ],
)
def test_points_digits_and_capitals_that_belong_inside_stay(text: str) -> None:
    """Numbers, abbreviations, addresses, file names, brands and model numbers are not divided."""
    assert split_glued(text) == text


@pytest.mark.parametrize(
    ("glued", "apart"), [("عام2022", "عام 2022"), ("15مليون", "15 مليون"), ("شركةGoogle", "شركة Google")]
)
def test_a_word_joined_to_a_number_or_another_script_is_separated(glued: str, apart: str) -> None:
    """A known Arabic word before a year or a Latin name, or after a number."""
    assert split_glued(glued) == apart


@given(MIXED)
def test_only_spaces_are_added_and_a_second_time_changes_nothing(text: str) -> None:
    """Every character is kept in order, with one new space per gap; a repaired text is not changed again."""
    once = split_glued(text)
    assert "".join(once.split()) == "".join(text.split())
    assert len(once) == len(text) + len(gaps(text))
    assert gaps(once) == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "ا" * 1_000_000,
        "ال" * 500_000,
        "الةالة" * 150_000,
        "هذاالعامة." * 100_000,
        "a.B" * 300_000,
        "." * 1_000_000,
        "(" * 1_000_000,
        "2022من" * 150_000,
        ("الولاياتالمتحدةالأمريكيةالولاياتالمتحدةال" + "ق" * 9 + " ") * 10_000,
    ],
)
def test_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    """Very long words and very many borders take no longer, and only spaces are added."""
    assert split_glued(text).replace(" ", "") == text.replace(" ", "")
