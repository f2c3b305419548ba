"""An article as received → the title and text that are shown."""

import html
from collections.abc import Iterable

import regex
import trafilatura
from trafilatura.settings import use_config

from services.events import Span

_INVISIBLE = regex.compile(r"[\p{Cc}\p{Cf}--[\n\t\u200c\u200d]]|\ufeff", flags=regex.V1)
_SPACES = regex.compile(r"[^\S\n]+")
_BLANK_LINES = regex.compile(r"\n{3,}")
_WORDS = regex.compile(r"\p{L}[\p{L}\p{M}]*")
_TAG = regex.compile(r"<[A-Za-z][A-Za-z0-9:-]{0,40}")
# Up to the end of the tag; a quoted value may contain ">".
_REST_OF_TAG = regex.compile(r"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+>?""")
_LONGEST_TAG = 4_000
_SENTENCE_END = (".", "!", "؟", "?", "…", ":", "،", "。")

_CONFIG = use_config()
_CONFIG.set("DEFAULT", "MIN_EXTRACTED_SIZE", "0")
_CONFIG.set("DEFAULT", "MIN_OUTPUT_SIZE", "0")


class EmptyText(ValueError):
    """An article has no readable text besides markup and invisible characters."""


def clean_text(text: str) -> str:
    """Readable text: no control or direction marks, single spaces, at most one blank line; not renormalised."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    text = _INVISIBLE.sub("", text)
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def shorten_tags(markup: str) -> str:
    """The markup without the attributes of overlong tags, in one pass.

    The parser's time grows with the square of a tag's attributes: one tag of a megabyte would block the stage.
    """
    parts: list[str] = []
    at = 0
    while (opening := _TAG.search(markup, at)) is not None:
        tag = _REST_OF_TAG.match(markup, opening.end())
        end = tag.end() if tag else opening.end()
        if end - opening.start() > _LONGEST_TAG:
            parts += [markup[at : opening.end()], ">"]
        else:
            parts.append(markup[at:end])
        at = end
    return "".join([*parts, markup[at:]])


def text_of_html(markup: str) -> str:
    """The main text of an HTML page or fragment, with blank lines between paragraphs."""
    page = shorten_tags(markup)
    if "<body" not in page.lower():
        page = f"<html><body><article>{page}</article></body></html>"
    extracted = trafilatura.extract(
        page,
        output_format="txt",
        include_comments=False,
        include_tables=False,
        favor_recall=True,
        config=_CONFIG,
    )
    if not extracted:
        # Too short (or all in a table) for the extractor to find a main part: take all of it.
        extracted = trafilatura.html2txt(page) or ""
    return html.unescape(extracted).replace("\n", "\n\n")


def clean(text: str | None, markup: str | None) -> str:
    """The text that is shown. Raises ``EmptyText`` when there is none."""
    body = clean_text(text) if text and text.strip() else clean_text(text_of_html(markup or ""))
    if not _WORDS.search(body):
        raise EmptyText("no readable text is left after cleaning")
    return body


def clean_title(title: str | None) -> str | None:
    """The title on one line, or None."""
    line = " ".join(clean_text(html.unescape(title)).split()) if title else ""
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
