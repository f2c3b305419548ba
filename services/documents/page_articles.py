"""A whole web page → an article: its news, title, address, language and date."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from services.child_parser import ParserFailed
from services.clock import utc_now
from services.documents.encodings import decode, labels
from services.documents.html_text import read_page

# Where the head of a page and its structured data are.
_HEAD: Final = 300_000
_META = re.compile(r"<meta\s[^>]{1,1000}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-z]{3,12})\s{0,9}=\s{0,9}(?:"([^"]{0,400})"|'([^']{0,400})')""", re.IGNORECASE)
_DATED = re.compile(
    r"(?:article|og|rnews):(?:published_time|datepublished)|datepublished|date|pubdate|publish-?date|publication_date|"
    r"dc(?:terms)?\.(?:date|created|issued|date\.issued)|parsely-pub-date|sailthru\.date",
    re.IGNORECASE,
)
_DATA = re.compile(r'"datePublished"\s{0,9}:\s{0,9}"([^"]{8,40})"')
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")
_EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)


def page_article(data: bytes, *, content_type: str = "", url: str | None = None) -> dict[str, Any] | None:
    """The fields of the article on a page, those of ``ArticleIn`` unchecked; None when there is no article on it.

    ``url``: where the page was found, if that is known; else its address is the one that it gives itself. Blocks, in a
    child process. A page that cannot be read in time has its HTML as its body.
    """
    markup = decode(data, labels(data, content_type))[0]
    fields: dict[str, Any] = {"url": url, "published_at": _published(markup[:_HEAD])}
    try:
        page = read_page(markup, url)
    except ParserFailed:
        fields["html"] = markup
    else:
        if not page.text.strip():
            return None
        fields["text"] = page.text
        fields["title"] = page.title
        fields["url"] = url or page.canonical
        fields["language"] = page.language if _LANGUAGE.fullmatch(page.language or "") else None
    fields["source"] = source_of(fields["url"])
    return fields


def source_of(url: str | None) -> str | None:
    """The host of an address, without ``www.``."""
    try:
        host = urlsplit(url or "").hostname
    except ValueError:
        return None
    return host.removeprefix("www.") if host else None


def _published(markup: str) -> str | None:
    """When the page says that it was published, as RFC 3339."""
    for tag in _META.finditer(markup):
        attributes = {name.lower(): one or other for name, one, other in _ATTRIBUTE.findall(tag[0])}
        name = attributes.get("property") or attributes.get("name") or attributes.get("itemprop") or ""
        if _DATED.fullmatch(name) and (found := _moment(attributes.get("content", ""))):
            return found
    for data in _DATA.finditer(markup):
        if found := _moment(data[1]):
            return found
    return None


def _moment(text: str) -> str | None:
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    # A day, or a time of an unknown zone, is better than none.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.isoformat() if _EARLIEST < moment < utc_now() + timedelta(days=1) else None
