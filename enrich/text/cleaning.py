"""An article as received → the title and text that are shown."""

from collections.abc import Iterable

import regex

from enrich.text import spacing
from enrich.text.boilerplate import without
from services import characters
from services.documents.html_fragment import unescape
from services.documents.html_text import text_of_html
from services.events import Span
from services.normalization import compose

# The invisible characters of Unicode's class Cf, without the joiners, which are spelling, and the signs of that class
# that are seen (number signs, the end of an ayah); flags of regions are written with invisible letters.
_INVISIBLE = regex.compile(
    r"(?P<flag>\U0001f3f4[\U000e0020-\U000e007e]{1,31}+\U000e007f)"
    r"|[\p{Cf}--[\u200c\u200d\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]]++",
    flags=regex.V1,
)
_ZERO_WIDTH_SPACE, _SOFT_HYPHEN = "\u200b", "\u00ad"
# What stands for a picture or a note in the text, and blanks that Unicode counts as letters and symbols.
_BLANKS = regex.compile("[\ufff9-\ufffc\u3164\uffa0\u2800]")
_SPACES = regex.compile(r"[^\S\n]+")
_BLANK_LINES = regex.compile(r"\n{3,}")
_WORDS = regex.compile(r"\p{L}[\p{L}\p{M}]*")
# Letters of scripts that separate words by spaces, and digits.
_SPACED = regex.compile(
    r"[[\p{L}\p{M}\p{N}]--[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Han}\p{Hiragana}\p{Katakana}]]",
    flags=regex.V1,
)
_CLOSING = "،؛؟!,;?:»”)]…۔"
_LONGEST_PART = 20
_ARABIC_END = regex.compile(r"[\p{Arabic}--\p{P}]++\Z", flags=regex.V1)
_ARABIC_BEGINNING = regex.compile(r"[\p{Arabic}--\p{P}]++", flags=regex.V1)
_JOINERS = regex.compile(r"(?<=\p{Arabic})[\u200c\u200d]++(?=\p{Arabic})")
_PERSIAN_WORD = regex.compile("[پچژگیک]")
# The two letters that Persian writes with other characters than Arabic.
_PERSIAN_LETTERS = regex.compile("[یک]")
_ARABIC_LETTERS = regex.compile("[يك]")
_AS_ARABIC = str.maketrans("یک", "يك")
# A tag of HTML as it may stand in a title; «a < b» and «<Ctrl>» are none.
_TITLE_TAG = regex.compile(
    r"""
      <!--.*?(?:-->|\Z)
    | <(?P<hidden>script|style)\b[^<>]*+>.*?(?:</(?P=hidden)\s*+>|\Z)
    | </?(?:(?P<block>blockquote|br|div|dd|dl|dt|h[1-6]|hr|li|ol|p|table|td|th|tr|ul)|abbr|acronym|a|audio|bdi|bdo|big
        |body|button|b|center|cite|code|del|embed|em|figure|font|form|head|html|iframe|img|input|ins|i|kbd|label|link
        |mark|meta|object|q|script|select|small|source|span|strike|strong|style|sub|sup|svg|s|textarea|time|title|tt
        |u|var|video|wbr)
      (?=[\s/>])(?:[^<>"']++|"[^"]*+"|'[^']*+')*+>
    """,
    flags=regex.VERBOSE | regex.DOTALL | regex.IGNORECASE,
)
_ENDLESS_WORD = regex.compile(r"(\S{199})\S{2,}+")
_SENTENCE_END = (".", "!", "؟", "?", "…", ":", "،", "。")


class EmptyText(ValueError):
    """An article has no readable text besides markup and invisible characters."""


def clean_text(text: str) -> str:
    """Readable text: no control or direction marks, single spaces, at most one blank line, letters as all write them.

    What separated words or lines still does, whichever character it was.
    """
    text = characters.plain(text.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.replace("\u2028", "\n").replace("\u2029", "\n\n")
    if not text.isascii():
        text = compose(_INVISIBLE.sub(_visible, _BLANKS.sub(" ", text)))
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def _visible(invisible: regex.Match[str]) -> str:
    """A space where invisible characters stand between two words; a flag as it is."""
    if invisible["flag"]:
        return invisible[0]
    text, start, end = invisible.string, invisible.start(), invisible.end()
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    if not _SPACED.match(after):
        return ""
    if _ZERO_WIDTH_SPACE in invisible[0]:
        return " " if _SPACED.match(before) or (before and before in _CLOSING) else ""
    if invisible[0].strip(_SOFT_HYPHEN):
        # Others never separate words by themselves, but some publishers write them in place of a space.
        part = _ARABIC_END.search(text, max(0, start - _LONGEST_PART), start)
        rest = _ARABIC_BEGINNING.match(text, end, end + _LONGEST_PART)
        return " " if part and rest and spacing.is_border(part[0], rest[0]) else ""
    return ""


def clean(text: str | None, markup: str | None, title: str | None = None) -> str:
    """The text that is shown, without the headline of a page where it is the ``title``.

    Raises ``EmptyText`` when there is none.
    """
    body = clean_text(text or "")
    if markup and not has_words(body):
        body = clean_text(text_of_html(markup, title))
    if not has_words(body):
        raise EmptyText("no readable text is left after cleaning")
    return body


def has_words(text: str) -> bool:
    """Whether there is a letter in a text."""
    return _WORDS.search(text) is not None


def clean_title(title: str | None) -> str | None:
    """The title on one line without HTML tags, or None. A "word" of over 200 characters is cut."""
    if not title:
        return None
    # Some publishers escape the markup of a title, some do not.
    line = " ".join(clean_text(_without_tags(unescape(_without_tags(title)))).split())
    return _ENDLESS_WORD.sub(r"\1…", line) or None


def _without_tags(title: str) -> str:
    return _TITLE_TAG.sub(lambda tag: " " if tag["block"] else "", title) if "<" in title else title


def arabic_spelling(text: str) -> str:
    """A text in Arabic with the letters and joins of Arabic, where its publisher's keyboard is Persian.

    «فی الکویت» → «في الكويت», where that is how the text is written throughout: a quotation in Persian stays as it is.
    """
    if len(_PERSIAN_LETTERS.findall(text)) > len(_ARABIC_LETTERS.findall(text)):
        text = text.translate(_AS_ARABIC)
    return _JOINERS.sub(_without_joiners, text)


def _without_joiners(joiners: regex.Match[str]) -> str:
    """Nothing, or the joiners inside a word with letters of Persian."""
    text, start, end = joiners.string, joiners.start(), joiners.end()
    word = _ARABIC_END.search(text, max(0, start - _LONGEST_PART), start)
    rest = _ARABIC_BEGINNING.match(text, end, end + _LONGEST_PART)
    return joiners[0] if any(_PERSIAN_WORD.search(part[0]) for part in (word, rest) if part) else ""


def headline(text: str, boilerplate: Iterable[Span] = ()) -> str | None:
    """The headline in the text of an article without a title, or None.

    It is one of the first four lines outside ``boilerplate``, not the only line, and has 4 to 25 words and no full stop
    at its end.
    """
    lines = [line for line in without(text, boilerplate).split("\n") if line]
    for line in lines[:4]:
        # Items of lists and rows of tables as html_fragment writes them are no headlines.
        listed = line.startswith("• ") or " | " in line
        if len(lines) > 1 and not listed and 4 <= len(_WORDS.findall(line)) <= 25 and not line.endswith(_SENTENCE_END):
            return line
    return None
