"""From HTML to text, also where the extractor fails or would take hours."""

import time

import pytest
from prometheus_client import REGISTRY

from enrich.text.cleaning import EmptyText, clean
from services.documents.html_fragment import fragment_text, unescape
from services.documents.page_extraction import shorten_tags


def stripped(cause: str) -> float:
    """How many pages were stripped for this cause so far."""
    return REGISTRY.get_sample_value("khabar_annotate_html_stripped_total", {"cause": cause}) or 0.0


@pytest.mark.parametrize(
    "tag",
    [
        "<p " + " ".join(f"a{number}=1" for number in range(60_000)) + ">",
        "<p " + " ".join(f'a{number}="<"' for number in range(60_000)) + ">",
        "<p " + " ".join(f"a{number}='>'" for number in range(60_000)) + ">",
        "<p " + "a=1 <b " * 60_000 + ">",
    ],
)
@pytest.mark.timeout(20)
def test_a_tag_with_thousands_of_attributes_costs_no_more_than_its_length(tag: str) -> None:
    """A tag that would take the parser minutes takes no time, and the text after it is kept."""
    assert "وصل الوفد إلى القاهرة" in clean(None, f"{tag}وصل الوفد إلى القاهرة مساء اليوم</p>")


def test_ordinary_tags_are_unchanged() -> None:
    """Quoted signs do not end a tag, and tags that are not overlong are unchanged."""
    markup = """<p class="a > b">A</p><img alt='it"s > that' src="x"><br/>< not a tag <b"""
    assert shorten_tags(markup) == markup
    assert shorten_tags(f'<img src="data:{"x" * 9_000}" alt="y">z') == "<img>z"


def test_a_page_that_would_take_minutes_is_stripped_and_the_next_does_not_wait() -> None:
    """Of a page that the extractor takes too long for, all text is taken, within seconds; it is counted."""
    page = f"<html><body>{'<div class=ad>' * 2_000}{'word ' * 100_000}{'</div>' * 2_000}"
    before, began = stripped("slow"), time.monotonic()
    assert "وصل الوفد إلى القاهرة" in clean(None, f"{page}<p>وصل الوفد إلى القاهرة مساء اليوم</p>")
    assert clean(None, "<html><p>وصل الوفد إلى القاهرة</p>") == "وصل الوفد إلى القاهرة"
    assert time.monotonic() - began < 15
    assert stripped("slow") == before + 1


def test_all_text_is_taken_of_a_page_that_cannot_be_read() -> None:
    """Elements nested more deeply than the parser reads, or no element at all: an error, counted, and no word lost."""
    before = stripped("error")
    deep = (
        f"<html><nav>menu</nav><article><p>lead</p>{'<div>' * 3_000}<p>deep</p>{'</div>' * 3_000}<p>end</p></article>"
    )
    assert clean(None, deep).split() == ["menu", "lead", "deep", "end"]
    with pytest.raises(EmptyText):
        clean(None, "<!doctype html>")
    assert stripped("error") == before + 2


def test_stripping_keeps_blocks_apart_and_inline_tags_together() -> None:
    """Blocks have lines of their own, emphasis cuts no word; scripts, comments, titles, declarations are left out."""
    markup = """<!DOCTYPE html><title>A > B</title><style>p {}</style><script>if (a < b) "</p>"</script>
    <p class="a > b">One<b>word</b>, <a href='x">'>a link</a>.<P>Two<br>lines<!-- > --> here</p>1 < 2 &amp; 3"""
    assert fragment_text(markup).split("\n") == ["Oneword, a link.", "", "Two", "lines here", "", "1 < 2 & 3"]


@pytest.mark.parametrize("markup", ["<p>a<!-- b", "<p>a<script>b", "<p>a<title>b", "<p>a<b", "<p>a<!b"])
def test_what_is_not_closed_hides_the_rest(markup: str) -> None:
    """As in a browser, an unclosed comment, script or tag goes to the end of the page."""
    assert fragment_text(markup) == "a"


def test_references_of_any_length_are_resolved() -> None:
    """A number of thousands of digits is no code point, and no error."""
    assert unescape(f"&#65;&#x42;&amp;&#{'9' * 5_000};") == "AB&\ufffd"
