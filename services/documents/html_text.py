"""HTML → text. Fragments: all their words (``html_fragment``). Whole pages: their news (``page_extraction``)."""

import json
import time
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import regex
import structlog
from prometheus_client import Counter

from services.child_parser import MEGABYTE, ChildParser, ParserFailed
from services.documents.html_fragment import fragment_text

log = structlog.get_logger(__name__)

STRIPPED = Counter("khabar_annotate_html_stripped_total", "Pages of which all text was taken, by the cause", ["cause"])

# Ordinary pages take up to 1.3 s of CPU time a million characters; hostile ones may take hours.
_CPU_SECONDS, _CPU_SECONDS_A_BYTE = 1.0, 2.5e-6
# Pages of the largest size take up to 500 MB, ordinary ones a tenth of it.
_EXTRACTOR = ChildParser("services.documents.page_extraction:extract", memory=640 * MEGABYTE)

_PAGE = regex.compile(r"<(?:!doctype\s++html|html|head|body|frameset)(?=[\s/>])", flags=regex.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """What a whole page says: its news without the site around it.

    ``text``: the article without its headline; empty where the page has none (only a menu, a consent banner, a script).
    ``heading``: the headline as the page shows it. ``title``: the same, or what the page's head names as title.
    ``canonical``: the absolute http(s) address that the page names as its own. ``language``: as the page declares it
    (``ar``, ``en-GB``), not checked.
    """

    text: str
    heading: str | None = None
    title: str | None = None
    canonical: str | None = None
    language: str | None = None


def is_page(markup: str) -> bool:
    """Whether the markup is a whole page, not a fragment."""
    return _PAGE.search(markup) is not None


def text_of_html(markup: str, title: str | None = None) -> str:
    """The text of an HTML page or fragment, with blank lines between paragraphs.

    Of a fragment every visible word; of a page the headline, unless it is the ``title`` that is known, and the article.
    """
    if not is_page(markup):
        return fragment_text(markup)
    started = time.monotonic()
    try:
        page = read_page(markup)
    except ParserFailed as error:
        STRIPPED.labels(error.cause).inc()
        seconds = round(time.monotonic() - started, 3)
        log.warning("html_stripped", cause=str(error), characters=len(markup), seconds=seconds)
        return fragment_text(markup)
    if not page.text:
        return fragment_text(markup)
    if page.heading and _words(page.heading) != _words(title or ""):
        return f"{page.heading}\n\n{page.text}"
    return page.text


def read_page(markup: str, url: str | None = None) -> Page:
    """The article of a whole page and what the page says of itself. ``url``: where it was found.

    Runs in a child process; blocks. Raises ``ParserFailed`` where the page is too slow or too large to read.
    """
    data = markup.encode("utf-8", "replace")
    result = json.loads(_EXTRACTOR.parse(data, cpu_seconds=_CPU_SECONDS + len(data) * _CPU_SECONDS_A_BYTE))
    return Page(
        text=result["text"],
        heading=result["heading"] or None,
        title=result["title"] or None,
        canonical=_absolute(url, result["canonical"]),
        language=result["language"] or None,
    )


def _words(line: str) -> list[str]:
    return regex.findall(r"\w+", line.casefold())


def _absolute(base: str | None, link: str) -> str | None:
    try:
        address = urljoin(base or "", link.strip())
        parts = urlsplit(address)
    except ValueError:
        return None
    return address if link and parts.scheme in ("http", "https") and parts.hostname else None
