"""An article as received → the title and text that are shown."""

from collections.abc import Iterable

import regex

from services.documents.html_fragment import unescape
from services.documents.html_text import text_of_html
from services.events import Span
from services.normalization import compose

_INVISIBLE = regex.compile(r"[\p{Cc}\p{Cf}--[\n\t\u200c\u200d]]|\ufeff", flags=regex.V1)
_SPACES = regex.compile(r"[^\S\n]+")
_BLANK_LINES = regex.compile(r"\n{3,}")
_WORDS = regex.compile(r"\p{L}[\p{L}\p{M}]*")
_SENTENCE_END = (".", "!", "؟", "?", "…", ":", "،", "。")


class EmptyText(ValueError):
    """An article has no readable text besides markup and invisible characters."""


def clean_text(text: str) -> str:
    """Readable text: no control or direction marks, single spaces, at most one blank line, letters in composed form."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    text = compose(_INVISIBLE.sub("", text))
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def clean(text: str | None, markup: str | None, title: str | None = None) -> str:
    """The text that is shown, without the headline of a page where it is the ``title``.

    Raises ``EmptyText`` when there is none.
    """
    body = clean_text(text) if text and text.strip() else clean_text(text_of_html(markup or "", title))
    if not _WORDS.search(body):
        raise EmptyText("no readable text is left after cleaning")
    return body


def clean_title(title: str | None) -> str | None:
    """The title on one line, or None."""
    line = " ".join(clean_text(unescape(title)).split()) if title else ""
    return line or None


def headline(text: str, boilerplate: Iterable[Span] = ()) -> str | None:
    """The headline in the text of an article without a title, or None.

    It is one of the first four lines outside ``boilerplate``, not the only line, and has 4 to 25 words and no full stop
    at its end.
    """
    parts = []
    at = 0
    for span in boilerplate:
        parts.append(text[at : span.start])
        at = span.end
    lines = [line for line in "".join([*parts, text[at:]]).split("\n") if line]
    for line in lines[:4]:
        if len(lines) > 1 and 4 <= len(_WORDS.findall(line)) <= 25 and not line.endswith(_SENTENCE_END):
            return line
    return None
