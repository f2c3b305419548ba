"""HTML → text: by ``page_extraction`` in a child process, or, where that fails, all text without its tags."""

import html
import time

import regex
import structlog
from prometheus_client import Counter

from services.child_parser import MEGABYTE, ChildParser, ParserFailed

log = structlog.get_logger(__name__)

STRIPPED = Counter("khabar_annotate_html_stripped_total", "Pages of which all text was taken, by the cause", ["cause"])

# Ordinary pages take up to 1.3 s of CPU time a million characters; hostile ones may take hours.
_CPU_SECONDS, _CPU_SECONDS_A_BYTE = 1.0, 2.5e-6
# Pages of the largest size take up to 500 MB, ordinary ones a tenth of it.
_EXTRACTOR = ChildParser("services.documents.page_extraction:extract", memory=640 * MEGABYTE)

# In one pass: whatever a branch has read, it consumes. What is not closed goes to the end, as in browsers.
_MARKUP = regex.compile(
    r"""
      <!--(?:-?>|.*?(?:--!?>|\Z))
    | <(?P<hidden>script|style|title|textarea|iframe)(?=[\s/>]).*?(?:</(?P=hidden)\b[^<>]*+>?|\Z)
    | </?(?P<name>[A-Za-z][A-Za-z0-9:-]{0,40}+)(?:[^>"']++|"[^"]*+"|'[^']*+')*+>?
    | <[!?/][^>]*+>?
    """,
    flags=regex.VERBOSE | regex.DOTALL | regex.IGNORECASE,
)
_INLINE = frozenset(
    (
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
        *("ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time"),
        *("tt", "u", "var", "wbr"),
    )
)
_LONG_REFERENCE = regex.compile(r"&#[0-9]{20,}+;?")


def text_of_html(markup: str) -> str:
    """The main text of an HTML page or fragment, with blank lines between paragraphs."""
    data = markup.encode("utf-8", "replace")
    started = time.monotonic()
    try:
        text = _EXTRACTOR.parse(data, cpu_seconds=_CPU_SECONDS + len(data) * _CPU_SECONDS_A_BYTE).decode("utf-8")
    except ParserFailed as error:
        STRIPPED.labels(error.cause).inc()
        seconds = round(time.monotonic() - started, 3)
        log.warning("html_stripped", cause=str(error), bytes=len(data), seconds=seconds)
        text = strip_tags(markup)
    return unescape(text).replace("\n", "\n\n")


def strip_tags(markup: str) -> str:
    """All text of a page or fragment without its tags, a line for each block. The time is linear in the length."""
    text = _MARKUP.sub(_separator, markup)
    return "\n".join(line for line in (" ".join(line.split()) for line in text.split("\n")) if line)


def _separator(tag: regex.Match[str]) -> str:
    name = tag["name"]
    return "" if name is None or name.lower() in _INLINE else "\n"


def unescape(text: str) -> str:
    """The text with character references resolved."""
    # html.unescape raises ValueError for a number of thousands of digits.
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text))
