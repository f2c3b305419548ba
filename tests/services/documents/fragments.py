"""Generated HTML fragments with the words that a reader sees in each."""

import html
from typing import NamedTuple

from hypothesis import strategies as st

_LETTERS = (
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويىةأإآؤئء",
    "abcdefghijklmnopqrstuvwxyzABCDEéüñß",
    "新闻报道中国東京都知事発表",
    "0123456789",
)


class Fragment(NamedTuple):
    """Markup, and its text: blocks and breaks separate words, inline elements do not."""

    markup: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words that are seen, in order."""
        return self.text.split()


def _joined(parts: list[Fragment], markup: str = "", text: str = "") -> Fragment:
    return Fragment(markup.join(part.markup for part in parts), text.join(part.text for part in parts))


def _spelled(word: str, style: int) -> str:
    """A word as markup: as it is, or with references."""
    if style == 1:
        return "".join(f"&#{ord(letter)};" for letter in word)
    if style == 2:
        return word[0] + "".join(f"&#x{ord(letter):X};" for letter in word[1:])
    return html.escape(word)


_WORDS = st.one_of(
    [st.text(letters, min_size=1, max_size=6) for letters in _LETTERS]
    + [st.sampled_from(["AT&T", "<", ">", "20%", "«نعم»", "don't", "(a)", "R&D;", "1,5", "—", "x=y", '"q"', "&c."])]
)
_SPACES = st.sampled_from([" ", "  ", "\n", " \t\n ", "&nbsp;", "&#160; ", "\r\n"])


@st.composite
def _text(draw: st.DrawFn) -> Fragment:
    """Words with spaces between them, and perhaps around them."""
    words = draw(st.lists(_WORDS, min_size=1, max_size=4))
    spelled = [_spelled(word, draw(st.integers(0, 3))) for word in words]
    separators = [draw(_SPACES) for _ in words]
    before, after = draw(st.booleans()), draw(st.booleans())
    markup = "".join(part for pair in zip(separators, spelled, strict=True) for part in pair)
    if not before:
        markup = markup[len(separators[0]) :]
    text = " ".join(words)
    return Fragment(markup + (" " if after else ""), f"{' ' * before}{text}{' ' * after}")


def _hidden(content: Fragment, form: str) -> Fragment:
    return Fragment(form.replace("{}", content.markup), " " if form.startswith(" ") else "")


_HIDDEN_RAW = st.sampled_from(
    [
        "<!-- secret <p>secret</p> -->",
        "<!---->",
        "<!-->",
        "<script>var secret = '<p>secret</p>';</script>",
        '<SCRIPT type="text/javascript" async src=a.js></SCRIPT >',
        "<style>.secret > p { color: red }</style>",
        '<noscript><img src="secret.jpg"/>secret</noscript>',
        '<iframe src="https://secret.example">secret</iframe> ',
        "<template><p>secret</p></template>",
        "<svg><title>secret</title><path d='M0'/></svg> ",
        "<wbr>",
        '<a name="x"></a>',
        "<?xml version='1.0'?>",
        "<rt>secret</rt>",
        '<img src="x.png" alt="secret"> ',
        "<video controls><source src=a.mp4>secret</video> ",
    ]
)
_HIDING = st.sampled_from(
    [
        '<span style="display:none">{}</span>',
        "<span hidden>{}</span>",
        " <div style='color: red; DISPLAY : none'>{}</div> ",
        ' <p class="a screen-reader-text">{}</p> ',
        '<b aria-hidden="true" hidden="">{}</b>',
    ]
)
# An inline element or a paragraph ends where a block begins; a division holds anything.
_HIDING_ALL = st.sampled_from([" <div hidden>{}</div> ", ' <div id="comments"><p>{}</p></div> '])
_INLINE = st.sampled_from(
    [
        *("<b>{}</b>", "<i>{}</i>", "<em class='x y'>{}</em>", "<strong>{}</strong>", "<span>{}</span>", "<u>{}</u>"),
        *('<a href="https://a.example/?b=1&amp;c=2">{}</a>', "<font color=red>{}</font>", "<sup>{}</sup>", "<q>{}</q>"),
        *(
            '<a title="a > b" href=x>{}</a>',
            "<mark>{}</mark>",
            "<x-custom>{}</x-custom>",
            "<time datetime=''>{}</time>",
        ),
        *("<ruby>{}<rp>(</rp><rt>secret</rt><rp>)</rp></ruby>", "<FONT\nsize='2'>{}</FONT>", "<bdi dir=rtl>{}</bdi>"),
        *('<span class="hidden-xs" style="color:none">{}</span>', "<a title=it's>{}</a>", "<del>{}</del>", "{}</b>"),
    ]
)
_BLOCKS = st.sampled_from(
    [
        *("<p>{}</p>", "<div>{}</div>", "<h2>{}</h2>", "<blockquote>{}</blockquote>", "<section>{}</section>"),
        *("<article>{}</article>", "<figure><figcaption>{}</figcaption></figure>", "<center>{}</center>"),
        *(
            "<details><summary>{}</summary></details>",
            "<P dir='rtl'>{}</P>",
            "<address>{}</address>",
            "<div>{}</p></div>",
        ),
        *("<pre>{}</pre>", "<br>{}<br/>", "<hr>{}<hr/>", "<ul><li>{}</ul>", "<dl><dt>{}</dl>", "<aside>{}</aside>"),
        *("<table><tr><td>{}</table>", "<form>{}</form>", '<div class="comment-count">{}</div>', "<main>{}</main>"),
    ]
)
_ROWS = st.sampled_from(
    [
        ("<ul>", "<li>", "</li>", "</ul>"),
        ("<ol>\n", "<li class=x>", "\n", "</ol>"),
        ("<dl>", "<dt>a</dt><dd>", "</dd>", "</dl>"),
        ("<table><tr>", "<td>", "</td>", "</tr></table>"),
        ("<table>\n<tbody><tr>", "\n<th>", "", "</table>"),
        ("<table>", "<tr><td>", "", "</table>"),
        ("<table border=1>", "<tr><td></td><td>", "</td><td></td></tr>\n", "</table>"),
        ("<div>", "<p>", "", "</div>"),
        ("<select>", "<option>", "</option>", "</select>"),
    ]
)


def _inline(content: Fragment, form: str) -> Fragment:
    return Fragment(form.replace("{}", content.markup), content.text)


def _block(content: Fragment, form: str) -> Fragment:
    return Fragment(form.replace("{}", content.markup), f" {content.text} ")


def _rows(contents: list[Fragment], form: tuple[str, str, str, str]) -> Fragment:
    begin, before, after, end = form
    extra = "a " if "<dt>" in before else ""
    markup = "".join(f"{before}{content.markup}{after}" for content in contents)
    return Fragment(f"{begin}{markup}{end}", "".join(f" {extra}{content.text} " for content in contents))


def _larger(smaller: st.SearchStrategy[Fragment]) -> st.SearchStrategy[Fragment]:
    several = st.lists(smaller, min_size=1, max_size=4)
    return st.one_of(
        several.map(_joined),
        st.builds(_inline, smaller, _INLINE),
        st.builds(_block, smaller, _BLOCKS),
        st.builds(_block, several.map(_joined), _BLOCKS),
        st.builds(_rows, several, _ROWS),
        st.builds(_hidden, _text(), _HIDING),
        st.builds(_hidden, smaller, _HIDING_ALL),
    )


def fragments() -> st.SearchStrategy[Fragment]:
    """Fragments of text, inline and block elements, lists, tables and hidden parts, in each other."""
    hidden = _HIDDEN_RAW.map(lambda markup: Fragment(markup, " " if markup.endswith(" ") else ""))
    return st.recursive(st.one_of(_text(), _text(), _text(), hidden), _larger, max_leaves=12)
