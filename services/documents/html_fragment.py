"""An HTML fragment (the body of a feed's entry, of a push) → text, in one pass over its tags.

Every word that a browser shows is kept, in order. Left out: what a browser hides (scripts, ``display: none``, ``rt`` of
ruby), what stands in for other content (``noscript``, text inside ``video``), and readers' comments. The time and the
memory are linear in the length for any input, because no tree is built: HTML parsers take quadratic time, and some
memory, on nested formatting.

Blocks become paragraphs, ``<br>`` and rows become lines, the cells of a row are separated by `` | ``, items of lists
begin with ``• ``. In a table for layout (cells of several lines or long ones) each cell has separate lines.
"""

import html
from dataclasses import dataclass, field

import regex

_ATTRIBUTES = r"""(?:[^<>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+"""
# In one pass: whatever a branch has read, it consumes. What is not closed goes to the end, as in browsers.
_TOKEN = regex.compile(
    rf"""
      <!--(?:-?>|.*?(?:--!?>|\Z))
    | <!\[CDATA\[ | \]\]>
    | <(?P<raw>script|style|title|textarea|iframe|noscript|noembed|noframes)(?=[\s/>]){_ATTRIBUTES}
      (?:(?<=/)>|.*?(?:</(?P=raw)(?=[\s/>])[^>]*+>?|\Z))
    | <(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9:_-]{{0,40}}+)(?P<attributes>{_ATTRIBUTES})(?P<closed>>?)
    | <[!?/][^>]*+>?
    """,
    flags=regex.VERBOSE | regex.DOTALL | regex.IGNORECASE,
)
_ATTRIBUTE = regex.compile(r"""([^\s=>"'/]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++)))?+""")
# Attributes without one of these hide nothing.
_HINT = regex.compile(r"hidden|none|comment|respond|disqus|sr-only|screen-reader", flags=regex.IGNORECASE)
_HIDING_STYLE = regex.compile(
    r"(?:^|[;\s])(?:display\s*+:\s*+none|visibility\s*+:\s*+hidden)\b", flags=regex.IGNORECASE
)
# As id or among the classes: what only screen readers get, and readers' comments.
_HIDING_NAMES = frozenset(
    (
        *("sr-only", "screen-reader-text", "visually-hidden", "visuallyhidden"),
        *("comments", "comments-area", "comment-list", "comment-respond", "disqus_thread"),
    )
)

# The blank lines around a block: a paragraph, or a separate line.
_LINE, _PARAGRAPH = 1, 2
_BLOCKS = dict.fromkeys(
    (
        *("address", "article", "aside", "blockquote", "body", "center", "details", "dialog", "dir", "div", "dl"),
        *("fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header"),
        *("hgroup", "html", "listing", "main", "menu", "nav", "ol", "p", "pre", "search", "section", "summary"),
        *("table", "ul", "xmp", "hr"),
    ),
    _PARAGRAPH,
) | dict.fromkeys(
    (
        *("caption", "dd", "dt", "legend", "li", "optgroup", "option", "tbody", "td", "tfoot", "th", "thead", "tr"),
        *("amp-carousel", "amp-img", "amp-video", "amp-iframe"),
    ),
    _LINE,
)
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
# Shown as something else than text; words on both sides are apart.
_REPLACED = frozenset(
    ["img", "input", "embed", "object", "button", "select", "video", "audio", "canvas", "svg", "picture"]
)
# What stands in for a picture or a video, and what annotates the base of ruby.
_HIDDEN_ELEMENTS = frozenset(
    (
        *("amp-ad", "amp-analytics", "annotation", "annotation-xml", "audio", "canvas", "datalist", "rp"),
        *("rt", "rtc", "svg", "template", "video"),
    )
)
# A start tag ends an open element of these names ... unless one of those is open inside it.
_CELLS = (("td", "th"), ("table", "tr"))
_IMPLIED_ENDS = {
    "li": (("li",), ("ul", "ol", "menu", "dir")),
    "dt": (("dt", "dd"), ("dl",)),
    "dd": (("dt", "dd"), ("dl",)),
    "tr": (("tr",), ("table",)),
    "thead": (("tr", "thead", "tbody"), ("table",)),
    "tbody": (("tr", "thead", "tbody"), ("table",)),
    "tfoot": (("tr", "thead", "tbody"), ("table",)),
    "td": _CELLS,
    "th": _CELLS,
    "option": (("option",), ("select",)),
    "rt": (("rt", "rp"), ("ruby",)),
    "rp": (("rt", "rp"), ("ruby",)),
}
_PARAGRAPH_TAG = regex.compile(r"<(?:p|br|div)(?=[\s/>])", flags=regex.IGNORECASE)
_BLANK_LINE = regex.compile(r"\n[^\S\n]*+\n\s*+")
_SEPARATOR = " | "
# Longer cells are prose.
_LONGEST_CELL = 200

_ESCAPED_TAG = regex.compile(
    r"</(?:p|div|span|a|b|i|u|em|strong|h[1-6]|ul|ol|li|table|tr|td|blockquote|figure|font|section|article)\s*+>"
    r"|<(?:br|hr|img|p|div)(?:\s[^<>]*+|/)?>|<!--|<!\[CDATA\[",
    flags=regex.IGNORECASE,
)
_CODE = regex.compile(r"<(?:pre|code|samp|kbd)(?=[\s/>])", flags=regex.IGNORECASE)
_MOST_ESCAPES = 3
_REFERENCE = regex.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});")
_LONG_REFERENCE = regex.compile(r"&#[0-9]{20,}+;?")


def unescape(text: str) -> str:
    """The text with character references resolved."""
    # html.unescape raises ValueError for a number of thousands of digits.
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text)) if "&" in text else text


def fragment_text(markup: str) -> str:
    """The text of an HTML fragment, or of all of a page: single spaces, a blank line between paragraphs.

    Markup that was escaped once more than it should be is converted, too, unless the fragment shows code.
    """
    for _ in range(_MOST_ESCAPES):
        text = _Text(keeps_blank_lines=not _PARAGRAPH_TAG.search(markup)).convert(markup)
        # Escaped twice: "AT&amp;amp;T". Without the semicolon it may be part of an address.
        text = _REFERENCE.sub(lambda reference: html.unescape(reference.group()), text) if "&" in text else text
        if "<" not in text or not _ESCAPED_TAG.search(text) or _CODE.search(markup):
            break
        markup = text.replace("\n", "<br>")
    return text


@dataclass(slots=True)
class _Row:
    """A row of a table that is open: the numbers of its first line and of each cell's, and the breaks before it."""

    first: int
    breaks: int
    cells: list[int] = field(default_factory=list)
    nested: bool = False


class _Text:
    """The text of one fragment while its tags are read."""

    def __init__(self, *, keeps_blank_lines: bool) -> None:
        # Without paragraphs and breaks in the markup, blank lines separate paragraphs: blogs write so.
        self._keeps_blank_lines = keeps_blank_lines
        self._lines: list[str] = []
        self._breaks: list[int] = []
        self._pieces: list[str] = []
        self._break = 0
        self._item = False
        # The open elements (not the inline ones, except inside a hidden element), and where each name is in it.
        self._open: list[str] = []
        self._places: dict[str, list[int]] = {}
        self._hidden_from: int | None = None
        self._rows: list[_Row] = []

    def convert(self, markup: str) -> str:
        at = 0
        for token in _TOKEN.finditer(markup):
            if token.start() > at:
                self._add(markup[at : token.start()])
            at = token.end()
            name = token["name"]
            if name is not None:
                name = name.lower()
                if not token["closed"] and at < len(markup) and "=" not in token["attributes"]:
                    # "a<b", not a tag; a tag has no "<".
                    self._add(token.group())
                elif token["end"]:
                    self._end(name)
                else:
                    self._start(name, token["attributes"])
            elif token["raw"] and self._hidden_from is None:
                self._pieces.append(" " if token["raw"].lower() in ("iframe", "textarea") else "")
        self._add(markup[at:])
        self._close_to(0)
        self._end_line()
        return "".join(
            part for line, breaks in zip(self._lines, self._breaks, strict=True) for part in ("\n" * breaks, line)
        ).lstrip("\n")

    def _start(self, name: str, attributes: str) -> None:
        if name == "br":
            self._break_line()
            return
        hidden = name in _HIDDEN_ELEMENTS or (bool(attributes) and _is_hidden(attributes))
        level = self._level(name)
        if level is not None:
            self._close_implied(name)
            self._begin_block(level)
        elif name in _IMPLIED_ENDS:
            self._close_implied(name)
        if name in _REPLACED and self._hidden_from is None:
            self._pieces.append(" ")
        if name in _VOID:
            return
        if hidden and attributes.endswith("/") and level is None:
            return
        if level is None and not hidden and name != "ruby" and not self._places.get(name):
            return
        self._push(name, hidden)
        self._begin(name)

    def _begin(self, name: str) -> None:
        """What an element of a list or table begins."""
        if name == "li":
            self._item = self._hidden_from is None
        elif name == "table" and self._rows:
            self._rows[-1].nested = True
        elif name in ("td", "th") and self._rows and self._row_is_open():
            self._rows[-1].cells.append(len(self._lines))

    def _end(self, name: str) -> None:
        if name == "p" and not self._places.get("p"):
            self._begin_block(_PARAGRAPH)
            return
        if name == "br":
            self._break_line()
            return
        places = self._places.get(name)
        if places:
            self._close_to(places[-1])
        if (level := self._level(name)) is not None:
            self._begin_block(level)

    def _level(self, name: str) -> int | None:
        """How a block is set off; a list inside a list is only lines. None: not a block."""
        level = _BLOCKS.get(name)
        return _LINE if level and name in _LISTS and self._places.get("li") else level

    def _push(self, name: str, hidden: bool) -> None:
        if name == "tr":
            self._rows.append(_Row(len(self._lines), self._break))
        if hidden and self._hidden_from is None:
            self._hidden_from = len(self._open)
        self._places.setdefault(name, []).append(len(self._open))
        self._open.append(name)

    def _close_implied(self, name: str) -> None:
        """End the elements that cannot hold ``name``; begin a row where a cell has none."""
        paragraph = self._place("p")
        if name in _BLOCKS and paragraph >= 0 and not self._is_in_hidden_element(after=paragraph):
            self._close_to(paragraph)
        ends = _IMPLIED_ENDS.get(name)
        if ends is not None:
            least = max((self._place(other) for other in ends[1]), default=-1)
            found = [place for other in ends[0] if (place := self._place(other)) > least]
            if found:
                self._close_to(min(found))
        if name in ("td", "th") and self._places.get("table") and not self._row_is_open():
            self._begin_block(_LINE)
            self._push("tr", hidden=False)

    def _row_is_open(self) -> bool:
        return self._place("tr") > self._place("table")

    def _is_in_hidden_element(self, *, after: int) -> bool:
        """Whether the hidden part is an element such as ``<template>``, in which a block ends nothing outside."""
        at = self._hidden_from
        return at is not None and at > after and self._open[at] in _HIDDEN_ELEMENTS

    def _place(self, name: str) -> int:
        """Where the innermost open element of this name is; -1: nowhere."""
        places = self._places.get(name)
        return places[-1] if places else -1

    def _close_to(self, place: int) -> None:
        """End the open elements from this place on."""
        while len(self._open) > place:
            name = self._open.pop()
            self._places[name].pop()
            if name == "tr":
                self._end_row(self._rows.pop())
            elif name == "li":
                self._end_line()
                self._item = False
            elif (level := self._level(name)) is not None:
                self._begin_block(level)
        if self._hidden_from is not None and len(self._open) <= self._hidden_from:
            self._hidden_from = None

    def _end_row(self, row: _Row) -> None:
        """Join the cells of a row in one line, unless it is a table for layout."""
        self._end_line()
        lines = self._lines
        cells = row.cells
        if row.nested or not cells or cells[0] != row.first:
            return
        ends = [*cells[1:], len(lines)]
        if any(end - start > 1 for start, end in zip(cells, ends, strict=True)):
            return
        if len(lines) - row.first < 2 or any(len(line) > _LONGEST_CELL for line in lines[row.first :]):
            return
        texts = [lines[start] if end > start else "" for start, end in zip(cells, ends, strict=True)]
        while not texts[-1]:
            texts.pop()
        first = next(number for number, cell in enumerate(texts) if cell)
        lines[row.first :] = [_SEPARATOR.join(texts[first:])]
        # Paragraphs in the cells do not set the row off.
        self._breaks[row.first :] = [row.breaks]
        self._break = _LINE

    def _add(self, chunk: str) -> None:
        if self._hidden_from is not None:
            return
        chunk = unescape(chunk)
        if self._places.get("pre") or self._places.get("xmp") or self._places.get("listing"):
            first, *others = chunk.replace("\r\n", "\n").split("\n")
            self._pieces.append(first)
            for other in others:
                self._break_line()
                self._pieces.append(other)
        elif self._keeps_blank_lines and "\n" in chunk:
            first, *others = _BLANK_LINE.split(chunk)
            self._pieces.append(first)
            for other in others:
                self._begin_block(_PARAGRAPH)
                self._pieces.append(other)
        else:
            self._pieces.append(chunk)

    def _break_line(self) -> None:
        if self._hidden_from is None:
            # A second break, or one after a block's end, leaves a line blank.
            level = _LINE if self._end_line() else _PARAGRAPH
            self._break = max(self._break, level)

    def _begin_block(self, level: int) -> None:
        if self._hidden_from is None:
            self._end_line()
            self._break = max(self._break, level)

    def _end_line(self) -> bool:
        """Whether the line has text."""
        if not self._pieces:
            return False
        line = " ".join("".join(self._pieces).split())
        self._pieces.clear()
        if not line:
            return False
        if self._item:
            line, self._item = f"• {line}", False
        self._lines.append(line)
        self._breaks.append(self._break)
        self._break = 0
        return True


def _is_hidden(attributes: str) -> bool:
    """Whether an element with these attributes is not shown."""
    if not _HINT.search(attributes):
        return False
    for name, double, single, bare in _ATTRIBUTE.findall(attributes):
        value = double or single or bare
        match name.lower():
            case "hidden":
                return True
            case "style":
                if _HIDING_STYLE.search(value):
                    return True
            case "id" | "class":
                if not _HIDING_NAMES.isdisjoint(value.lower().split()):
                    return True
    return False
