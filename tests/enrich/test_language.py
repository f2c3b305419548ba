"""Language detection."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.text.language import detect
from evaluation.language import measure


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("أعلنت الحكومة اليوم عن خطة جديدة للمياه", "ar"),
        ("The government announced a new water plan today", "en"),
        ("Le gouvernement a annoncé aujourd'hui un nouveau plan pour l'eau", "fr"),
        ("Правительство объявило сегодня о новом плане", "ru"),
        ("El gobierno anunció hoy un nuevo plan de agua", "es"),
        ("Die Regierung hat heute einen neuen Plan angekündigt", "de"),
        ("دولت امروز از یک برنامهٔ جدید برای آب خبر داد و گفت که می‌خواهد آن را اجرا کند", "fa"),
        ("Hükümet bugün yeni bir su planı açıkladı ve bunun için çalışacağını söyledi", "tr"),
        ("حکومت نے آج پانی کے نئے منصوبے کا اعلان کیا", "ur"),
        ("Уряд сьогодні оголосив про новий план", "uk"),
        ("הממשלה הודיעה היום על תוכנית מים חדשה", "he"),
        ("政府今天宣布了新的用水计划", "zh"),
        ("حکومەت ئەمڕۆ پلانێکی نوێی ئاوی ڕاگەیاند", "ku"),
    ],
)
def test_the_language_of_a_sentence_is_detected(text: str, language: str) -> None:
    """One sentence of news is enough."""
    found, score = detect(text)
    assert found == language
    assert 0 < score <= 1


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("عاجل", "ar"),
        ("بث مباشر", "ar"),
        ("هبوط الأسعار", "ar"),
        ("الترجي 3 - 2 الوداد", "ar"),
        ("🔴 تحديث", "ar"),
        ("قال وزیر الخارجیة إن الاجتماع المقبل سیعقد فی الدوحة", "ar"),
        ("افتتاح المدرسة الجدیدة فی الکرک", "ar"),
        ("وزیر امور خارجه گفت نشست بعدی در دوحه برگزار می‌شود", "fa"),
        ("ڪراچيءَ ۾ مينهن کانپوءِ رستا ٻڏي ويا ۽ ماڻهو پريشان آهن", "sd"),
        ("ملتان وچ نواں ہسپتال کھل گیا تے لوکاں نوں بڑی سہولت ہوئی اے", "pa"),
        ("ملتان میں نیا ہسپتال کھل گیا اور لوگوں کو بڑی سہولت ہوئی ہے", "ur"),
        ("سٔری نَگرَس مَنٛز چھِ شیٖنَس سٕتۍ وَتہٕ بَنٛد گٔمژٕ", "ks"),
        ("وزير برداڠڠ ملنچركن رنچاڠن بهارو اونتوق نلاين د ڤنتاي تيمور", "ms"),
        ("اورمیه گؤلونون سویو بو ایل چوخ آزالیبدیر دئدیلر", "az"),
        ("په هرات کې د ښوونکو لپاره نوی روزنیز مرکز جوړ شو", "ps"),
        ("لە سلێمانی کتێبخانەیەکی نوێ کرایەوە", "ku"),
        ("ئۈرۈمچىدە يېڭى كۈتۈپخانا ئېچىلدى", "ug"),
    ],
)
def test_languages_of_the_arabic_script_are_told_apart(text: str, language: str) -> None:
    """A short Arabic headline is Arabic, on a Persian keyboard too; a relative is not taken for it, or for Urdu."""
    assert detect(text)[0] == language


def test_the_promised_share_is_detected() -> None:
    """The language is right for 99 % of the articles and 95 % of the other gold texts, in every language."""
    figures = measure()
    assert figures["kinds"]["article"] >= 0.99
    assert all(share >= 0.95 for share in figures["kinds"].values()), figures["confusions"]
    assert all(share >= 0.99 for share in figures["languages"]["article"].values())
    assert len(figures["languages"]["article"]) >= 10


@pytest.mark.parametrize(
    "text",
    [
        "الواد ده لعب ماتش جامد قوي النهارده وجاب جونين",
        "شو هالحكي؟ مبارح قالوا الطريق مسكر واليوم عم يقولوا فاتح",
        "أبغى أعرف متى يفتحون الجسر الجديد",
        "بزاف ديال الناس جاو للسوق اليوم حيت الخضرة رخيصة",
        "هسه الحديقة صارت أحلى مكان بالمنطقة",
    ],
)
def test_dialects_are_arabic(text: str) -> None:
    """Egyptian, Levantine, Gulf, Moroccan and Iraqi have the code of Arabic."""
    assert detect(text)[0] == "ar"


@pytest.mark.parametrize(
    "text",
    ["", "   ", "2026 - 11 - 06", "🎉🎉🔥", "OK", "Martha Quillfeather", "سالم العقربي", "xkcd qwrt zxcv", "@desk_7"],
)
def test_texts_without_evidence_are_undetermined(text: str) -> None:
    """Numbers, symbols, abbreviations and a name alone have no language."""
    assert detect(text) == ("und", 0.0)


def test_arabic_in_latin_letters_is_undetermined() -> None:
    """Chat in Latin letters and digits is not detected as Somali or another similar language."""
    assert detect("wallah el match kan 7elw awi bas el 7akam msh 3adel") == ("und", 0.0)
    assert detect("The 3rd and the 4th runner passed the line at once, said the judges")[0] == "en"


def test_most_letters_decide_a_mixed_text() -> None:
    """An Arabic text with English names in it is Arabic and an English one with Arabic names English; both score
    less than without."""
    arabic = "أعلنت شركة عن هاتف جديد يعمل بنظام مفتوح المصدر ويباع في الربيع"
    english = "The company announced a new phone that will be sold from next spring in all shops"
    assert detect(f"{arabic} Blue Lantern Technologies")[0] == "ar"
    assert detect(f"{english} {arabic[:20]}")[0] == "en"
    assert detect(f"{english} {arabic[:20]}")[1] < detect(english)[1]


def test_the_end_counts_too() -> None:
    """A few English lines above a long Arabic article do not make it English."""
    opening = "Share this article with your friends. Read more on our site every day. " * 4
    body = "وقالت البلدية إن العمل في الحديقة انتهى وإن الأبواب تفتح يوم الجمعة أمام الجميع. " * 30
    assert detect(opening + body)[0] == "ar"


def test_a_hint_does_not_overrule_the_text() -> None:
    """A publisher's wrong claim is ignored where the text is conclusive."""
    assert detect("The government announced a new water plan today", "ar")[0] == "en"


def test_a_hint_decides_where_the_text_is_not_conclusive() -> None:
    """A name is in the publisher's language, in any notation of its code, if the script allows it."""
    assert detect("Martha Quillfeather", "en-GB")[0] == "en"
    assert detect("Martha Quillfeather", "FR")[0] == "fr"
    assert detect("سالم العقربي", "fa_IR")[0] == "fa"
    assert detect("سالم العقربي", "en") == ("und", 0.0)
    assert detect("2026 - 11 - 06", "en") == ("und", 0.0)


@settings(deadline=None)
@given(st.text() | st.text(st.sampled_from("aé1 ابپ ыя中ひ한\ud800\u0640\u200c'7\n")), st.none() | st.text(max_size=8))
def test_any_text_has_an_answer(text: str, hint: str | None) -> None:
    """Any text has a code of two letters or ``und``, and a score from 0 to 1."""
    code, score = detect(text, hint)
    assert code == "und" or (len(code) == 2 and code.isalpha() and code.islower())
    assert 0 <= score <= 1
    assert code != "und" or score == 0
