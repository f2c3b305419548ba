"""Cleaned text."""

import time
import unicodedata

import pytest

from enrich.annotate import annotate
from enrich.text.cleaning import EmptyText, clean, clean_title, headline
from services.events import AnnotatedArticle, ArticleIn
from tests.harness import ARRIVAL, raw

NEWS = "التقى الرئيس عبد الفتاح السيسي في القاهرة وفدا من ألمانيا\x1fوبحث معه دعم لبنان\x1fإلى جانب الأمم المتحدة."


def test_invisible_characters_and_spaces_are_removed_and_paragraphs_kept() -> None:
    """Control and direction marks are removed, runs of spaces collapsed, paragraphs separated by one blank line."""
    assert clean("\u202bخبر\u00a0 عاجل\u202c\x00\r\n\r\n\r\n\r\nنص\u200b ثان", None) == "خبر عاجل\n\nنص ثان"


def test_diacritics_are_kept() -> None:
    """Marks that matching ignores are kept in the text that is shown."""
    assert clean("قالَ مُحَمَّدٌ", None) == "قالَ مُحَمَّدٌ"


def test_decomposed_letters_are_composed() -> None:
    """A letter and its mark as two characters become the one character that everybody writes."""
    text = "زار الأمين العام للأمم المتحدة إيران، Žižek à Genève"
    decomposed = unicodedata.normalize("NFD", text)
    assert decomposed != text
    assert clean(decomposed, None) == text
    assert clean_title(decomposed) == text


def test_endless_marks_are_cut() -> None:
    """Of thousands of marks on one letter eight are kept; sorting them all would take minutes."""
    began = time.process_time()
    assert len(clean("مرحبا" + "\u0651\u064e" * 200_000, None)) == len("مرحبا") + 8
    assert time.process_time() - began < 2


def test_joiners_of_persian_words_are_kept() -> None:
    """The zero-width non-joiner is part of Persian spelling."""
    assert clean("می‌خواهم بروم", None) == "می‌خواهم بروم"


def test_html_becomes_paragraphs_without_markup_or_script() -> None:
    """Paragraphs are kept, entities resolved, scripts removed."""
    markup = (
        "<p>وصل الوفد إلى القاهرة&nbsp;مساء اليوم.</p><script>alert(1)</script><p>A &amp; B met later that day.</p>"
    )
    cleaned = clean(None, markup)
    assert "وصل الوفد إلى القاهرة مساء اليوم." in cleaned
    assert "A & B met later that day." in cleaned
    assert "alert" not in cleaned
    assert "<" not in cleaned


@pytest.mark.parametrize("text", ["12345 !!", "\u200b\u200e", "<p></p>"])
def test_text_without_words_is_refused(text: str) -> None:
    """Without readable text there is a named error, not an empty article."""
    with pytest.raises(EmptyText):
        clean(None if text.startswith("<") else text, text if text.startswith("<") else None)


def test_a_headline_is_found_below_page_chrome() -> None:
    """The headline of a text without a title is its first line like one, after navigation words."""
    text = "icon\nالتغطية الحية\n\nمحادثات جديدة بين القاهرة والرباط حول الطاقة\n\nبدأت اليوم محادثات جديدة."
    assert headline(text) == "محادثات جديدة بين القاهرة والرباط حول الطاقة"


def test_items_and_rows_are_no_headlines() -> None:
    """Lists and tables have short lines without a full stop, too."""
    html = "<p>The board decided.</p><ul><li>lower fees for all ports</ul><table><tr><td>a b c<td>d e f</table>"
    assert headline(clean(None, html)) is None


def test_a_single_paragraph_has_no_headline() -> None:
    """A paragraph is not mistaken for a headline."""
    assert headline("وصل الوفد إلى القاهرة مساء اليوم بعد رحلة طويلة") is None


def test_titles_are_one_line() -> None:
    """Line breaks and markup entities in titles are resolved; a blank title is None."""
    assert clean_title("  A&amp;B\n news ") == "A&B news"
    assert clean_title(" \u200b ") is None


def test_an_article_in_a_table_is_extracted() -> None:
    """Where a page has no text outside a table, the table is the article."""
    markup = "<table><tr><td>انتهت المحادثات بين الجانبين.</td></tr></table>"
    assert clean(None, markup) == "انتهت المحادثات بين الجانبين."


def article(text: str, title: str | None = None) -> AnnotatedArticle:
    """A text as annotated."""
    return annotate(raw(ArticleIn(text=text, title=title), "a", ARRIVAL))


def entity_ids(text: str) -> list[str]:
    """The entities of a text, by their first mention."""
    return [entity.id for entity in article(text).entities]


@pytest.mark.parametrize(
    "separator", [*"\x0b\x0c\x85\x1c\x1d\x1e\x1f\x00\x02\x7f\u00a0\u200b\u202f\u3000\ufffc\u2060\ufeff\u200f"]
)
def test_no_separator_joins_two_words(separator: str) -> None:
    """Whatever stands between two words in place of a space or line break, the same names are found."""
    assert entity_ids(NEWS.replace("\x1f", separator)) == entity_ids(NEWS.replace("\x1f", " "))


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        ("أول\x0bثان\x0cثالث\x85رابع", "أول\nثان\nثالث\nرابع"),
        ("الأول\x00والثاني\x1fوالثالث\ufffcوالرابع", "الأول والثاني والثالث والرابع"),
        # A zero-width space divides words, but no word that is written without spaces, and not from punctuation.
        ("Mayor\u200bsaid on\u200b Monday\u200b.", "Mayor said on Monday."),
        ("ข่าว\u200bวันนี้", "ข่าววันนี้"),
        # Marks of the writing direction, joiners and hyphens that are not shown do not divide a word.
        ("ال\u2060قاهرة وال\u200fرباط وبي\ufeffروت", "القاهرة والرباط وبيروت"),
        ("Bundes\u00adregierung", "Bundesregierung"),
        ("the mayor\x92s \x93plan\x94 \x97 a year", "the mayor’s “plan” — a year"),
        ("\x1b[31mred\x1b[0m alert", "red alert"),
    ],
)
def test_separators_mean_what_the_publisher_meant(received: str, shown: str) -> None:
    """Line breaks of any kind are line breaks, blanks of any kind spaces; what only formats a word leaves no trace."""
    assert clean(received, None) == shown


@pytest.mark.parametrize(
    "kept",
    [
        "قال تعالى والعصر \u06dd١ ثم سكت",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f فريق اسكتلندا",
        "عائلة 👨\u200d👩\u200d👦 في الحديقة",
        "ﷲ أكبر، قال ﷺ",
        "برنامه\u200cهای کتاب\u200cخانه",
        "سنة 1448هـ (الموافق 2026م)",
    ],
)
def test_signs_that_are_seen_are_kept(kept: str) -> None:
    """Signs that Unicode counts as formatting, but that readers see, stay as they are."""
    assert clean(kept, None) == kept


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        ("\ufebb\ufea3\ufef4\ufed4\ufe94", "صحيفة"),
        ("اﻻقتصاد", "الاقتصاد"),
        ("الـــقــاهـــرة", "القاهرة"),
        ("\ufe8d\ufedf\ufed8\ufea7\ufc60", "القخ" + "\u064e\u0651"),
        ("ﬁnance oﬃce", "finance office"),
    ],
)
def test_letters_are_shown_as_everybody_writes_them(received: str, shown: str) -> None:
    """Presentation forms and ligatures are the letters that they show; lengthened words lose the lengthening."""
    assert clean(received, None) == shown


def test_a_ligature_in_a_name_does_not_hide_it() -> None:
    """The ligature for a word is kept, and the name with it is found."""
    assert entity_ids("وصل الملك عبدﷲ الثاني إلى الرباط صباحا.") == entity_ids(
        "وصل الملك عبدالله الثاني إلى الرباط صباحا."
    )


def test_arabic_from_a_persian_keyboard_is_shown_in_arabic_letters() -> None:
    """Letters of the Persian keyboard and joiners inside words are no spelling of Arabic; of Persian they are."""
    arabic = "وقال الرئيس الفرنسي إيمانويل ماكرون في باريس إن الحكومة الكويتية تشارك في المؤتمر."
    received = arabic.replace("ي", "ی").replace("ك", "ک").replace("ماکرون", "ما\u200cکرون").replace("ؤت", "ؤ\u200cت")
    shown = article(received, "الکویت تشارک فی المؤتمر")
    assert (shown.title, shown.text) == ("الكويت تشارك في المؤتمر", arabic)
    assert entity_ids(received) == entity_ids(arabic)
    persian = "رئیس جمهور ایران گفت که دولت برنامه\u200cهای تازه برای کشاورزان دارد."
    assert article(persian).text == persian
    quoting = f"{arabic} وكتب بالفارسية: «می\u200cخواهیم کشور را بسازیم»."
    assert article(quoting).text == quoting


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("<b>Port</b> strike <img src=x onerror=alert(1)>ends", "Port strike ends"),
        ("Port strike<script>document.title='x'</script> ends", "Port strike ends"),
        ("&lt;i&gt;Port&lt;/i&gt; strike ends &amp;amp; begins", "Port strike ends &amp; begins"),
        ("Strike<br/>ends", "Strike ends"),
        ("If a < b and c > d", "If a < b and c > d"),
        ("2 &lt; 3 &amp; 5 > 4", "2 < 3 & 5 > 4"),
        ("Press <Ctrl> in x<y", "Press <Ctrl> in x<y"),
        ("one\ntwo\x00three\x07\x1b[31mred", "one two three red"),
        ("\u202egnp.exe\u202c bill \u2066x\u2069", "gnp.exe bill x"),
        ("A" + "\u0335" * 300 + " b", "A" + "\u0335" * 8 + " b"),
        ("W" * 1_500 + " end", "W" * 199 + "… end"),
    ],
)
def test_a_title_is_plain_text(title: str, shown: str) -> None:
    """Tags of HTML are removed, with what they hide; signs that only look like tags stay; nothing is endless."""
    assert clean_title(title) == shown
