"""Fragments of HTML: a reader gets every word that a browser shows, and no other."""

import html

from hypothesis import given

from services.documents.html_fragment import fragment_text
from tests.services.documents.fragments import Fragment, fragments


def words(text: str) -> list[str]:
    """The words of a text, without the signs that stand for items and cells."""
    return [word for word in text.split() if word not in ("•", "|")]


@given(fragments())
def test_words_in_are_words_out(fragment: Fragment) -> None:
    """No word is lost, added, split or joined, and their order is kept."""
    assert words(fragment_text(fragment.markup)) == fragment.words


@given(fragments())
def test_words_of_escaped_fragments(fragment: Fragment) -> None:
    """The same of a fragment that was escaped as a whole."""
    escaped = html.escape(f"<div>{fragment.markup}</div>")
    assert words(fragment_text(escaped)) == fragment.words
