"""Cleaned text."""

import time
import unicodedata

import pytest

from enrich.text.cleaning import EmptyText, clean, clean_title, headline


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
    """Of thousands of marks on one letter 30 are kept; sorting them all would take minutes."""
    began = time.process_time()
    assert len(clean("مرحبا" + "\u0651\u064e" * 200_000, None)) == len("مرحبا") + 30
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
