"""Fragments of HTML: a reader gets every word that a browser shows, and no other."""

import html

import pytest
from hypothesis import given

from enrich.text.cleaning import clean_text
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


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        # Text before, between and after elements.
        ("Fire in the market.<br>No one was hurt.", "Fire in the market.\nNo one was hurt."),
        (
            "Fire in the market.<p>No one was hurt.</p>Police said.",
            "Fire in the market.\n\nNo one was hurt.\n\nPolice said.",
        ),
        ("one<br/><br />two<br>three</br>four", "one\n\ntwo\nthree\nfour"),
        ("<article><p>one</p></article><article><p>one</p></article>", "one\n\none"),
        ("one\r\n\r\n<b>two</b>\r\nthree", "one\n\ntwo three"),
        # Inline elements neither split nor join words.
        ("<p>قال <span>الس</span><span>ودان</span>, <b>Al</b><i>eppo</i> a<wbr>b</p>", "قال السودان, Aleppo ab"),
        ("<p>120 km<sup>2</sup>, H<sub>2</sub>O</p>", "120 km2, H2O"),
        ("<p>東京<ruby>都<rp>(</rp><rt>と<rp>)</ruby>知事</p>", "東京都知事"),
        ("<p>one<img src=x alt=no>two<o:p></o:p></p>", "one two"),
        # Lists and tables.
        ("<ul><li>a<ul><li>b</ul><li><p>c</p><li></ul>d", "• a\n• b\n\n• c\n\nd"),
        ("<dl><dt>place<dd>Amman<dt>time<dd>ten</dl>", "place\nAmman\ntime\nten"),
        ("<table><caption>Rates<tr><th>$<td><p>1</p><tr><td>€<td><td>3</table>x", "Rates\n$ | 1\n€ | | 3\n\nx"),
        ("<table><tr><td><p>one</p><p>two</p><td>three</table>", "one\n\ntwo\n\nthree"),
        ("<table><tr><td><table><tr><td>1<td>2</table><td>x</table>", "1 | 2\n\nx"),
        ("<td>a<td>b", "a\nb"),
        ("<pre>a   1\nb   2\n\nc</pre>", "a 1\nb 2\n\nc"),
        # Hidden parts, also where their end is only implied.
        ("<p hidden>no<p>yes", "yes"),
        ('<section><div style="display:none">no<div>no</div></section>yes', "yes"),
        ("<ul><li>a<li hidden>no<li>b</ul>", "• a\n• b"),
        ('a<span class="screen-reader-text">no<b>no</b></span>b', "ab"),
        ("<noscript><p>no</p></noscript><svg><text>no</svg>yes<video>no</video>", "yes"),
        ("<script src=x />yes<style/>yes", "yesyes"),
        ("<!--[if mso]><p>no</p><![endif]-->yes<![CDATA[ <b>yes</b> ]]>", "yes yes"),
        ('<iframe src="x"></iframe><img alt="no">', ""),
        # References and signs.
        ("AT&amp;amp;T &amp;quot;a&amp;quot; &lt; 20 &copy R&D", 'AT&T "a" < 20 © R&D'),
        ("<p>a<b and 5 < 6 > 4</p>c", "a<b and 5 < 6 > 4\n\nc"),
        ("<p class=don't title='a > b'>isn't", "isn't"),
        ("<p>cut in the middle of <a href='x", "cut in the middle of"),
        # Escaped once, twice, in CDATA, in an element; code is not markup.
        ("&lt;p&gt;one&lt;/p&gt;two", "one\n\ntwo"),
        ("&amp;lt;p&amp;gt;one &amp;amp; two&amp;lt;br/&amp;gt;three", "one & two\nthree"),
        ("&lt;![CDATA[&lt;p&gt;one&lt;/p&gt;]]&gt;", "one"),
        ("<div>one<br>&lt;p&gt;two&lt;/p&gt;</div>", "one\n\ntwo"),
        ("<p>Write <code>&lt;br&gt;</code> here", "Write <br> here"),
        ("<p>The &lt;b&gt; tag", "The <b> tag"),
    ],
)
def test_forms(markup: str, text: str) -> None:
    """Single forms of markup and the text that is expected of each, spaces and blank lines included."""
    assert clean_text(fragment_text(markup)) == text


def test_long_cells_are_prose() -> None:
    """A table with paragraphs in its cells is a layout."""
    prose = "word " * 60
    assert fragment_text(f"<table><tr><td>{prose}<td>{prose}</table>") == f"{prose.strip()}\n{prose.strip()}"


def test_comments_of_readers_are_left_out() -> None:
    """Comments are no part of an article; an element that only counts them is."""
    markup = '<p>news</p><div class="comment-count">3</div><div id="comments"><div>great</div></div><p>more</p>'
    assert fragment_text(markup) == "news\n\n3\n\nmore"
