"""The feeds that a web page links to, in a child process (``services.child_parser``).

Links are found wherever they are on the page: many pages have no ``head``, or close it too early.
"""

import json
import re
from typing import Final
from urllib.parse import urljoin, urlsplit

from lxml import etree

MAX_LINKS: Final = 100
_MAX_TITLE: Final = 300

_FEED_TYPES: Final = frozenset(
    (
        *("application/rss+xml", "application/atom+xml", "application/rdf+xml", "application/feed+json"),
        *("application/x-rss+xml", "application/x-atom+xml", "application/rss", "application/atom", "text/rss+xml"),
        *("text/atom+xml", "text/rss", "text/atom", "application/rss+atom", "application/atom+rss"),
    )
)
# Types that other things have too: they count where the address or the title says feed.
_OTHER_TYPES: Final = frozenset(("application/xml", "text/xml", "application/json", ""))
# In an address or the text of a link. Words in between are those of sites: /rss-feeds, /feed.xml, ?format=rss.
_LOOKS_LIKE_FEED = re.compile(
    r"(?<![a-z])(?:rss|rss2|atom|feed|feeds|rdf|xml)(?![a-z])|feedburner|آر\s?[اإ]س\s?[اإ]س|خلاصات", re.IGNORECASE
)
_NO_FEED = re.compile(r"oembed|opensearch|wp-json|sitemap|\.(?:png|jpe?g|gif|svg|css|js|pdf)(?:\?|$)", re.IGNORECASE)


def read(request: bytes) -> bytes:
    """The feeds that a page names, as JSON.

    The request is a line of JSON, an object with ``url`` of the page, and on the following lines the page in UTF-8. The
    result is an object with the ``title`` of the page and ``links``: objects with ``url``, ``title`` and ``declared``,
    whether the page says that it is a feed (``rel="alternate"``) or only a link's address or text looks like one.
    Declared ones come first, each in the order of the page.
    """
    head, _, page = request.partition(b"\n")
    reader = _LinkReader(json.loads(head)["url"])
    if page.strip():
        parser = etree.HTMLParser(target=reader, encoding="utf-8", recover=True, no_network=True, huge_tree=True)
        etree.fromstring(page, parser)
    return json.dumps({"title": reader.title, "links": reader.links()}).encode()


class _LinkReader:
    """Collects the page's title, its base address, and links that may be feeds: a target of lxml."""

    def __init__(self, url: str) -> None:
        self._base = url
        self._has_base = False
        self._title: list[str] = []
        self._in_title = False
        # (declared, address as written, title)
        self._found: list[tuple[bool, str, str]] = []
        # The address of the open link, and its text so far.
        self._anchor: str | None = None
        self._text: list[str] = []

    @property
    def title(self) -> str | None:
        """The page's title."""
        return " ".join("".join(self._title).split())[:_MAX_TITLE] or None

    def links(self) -> list[dict[str, object]]:
        """What was found, each address once."""
        found: dict[str, dict[str, object]] = {}
        for declared, written, title in sorted(self._found, key=lambda one: not one[0]):
            url = _absolute(self._base, written)
            if url is not None and url not in found:
                found[url] = {"url": url, "title": title[:_MAX_TITLE] or None, "declared": declared}
        return [*found.values()][:MAX_LINKS]

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag."""
        given = {name: value.strip() for name, value in attributes.items()}
        if tag == "base" and given.get("href") and not self._has_base:
            self._has_base = True
            self._base = urljoin(self._base, given["href"])
        elif tag == "title" and not self._title:
            self._in_title = True
        elif tag == "link":
            self._link(given)
        elif tag == "a":
            self._end_anchor()
            if _is_alternate(given):
                self._link(given)
            elif given.get("href"):
                self._anchor = given["href"]
                self._text = [given.get("title", "")]

    def end(self, tag: str) -> None:
        """The end of an element."""
        if tag == "title":
            self._in_title = False
        elif tag == "a":
            self._end_anchor()

    def data(self, data: str) -> None:
        """Text."""
        if self._in_title:
            self._title.append(data)
        elif self._anchor is not None and len(self._text) < 20:
            self._text.append(data)

    def close(self) -> None:
        """The end of the page, which may end a link."""
        self._end_anchor()

    def _link(self, given: dict[str, str]) -> None:
        address, title = given.get("href", ""), " ".join(given.get("title", "").split())
        kind = given.get("type", "").partition(";")[0].strip().lower()
        if not address or not _is_alternate(given) or _NO_FEED.search(address):
            return
        says_feed = "feed" in given.get("rel", "").lower().split()
        if kind in _FEED_TYPES or says_feed or (kind in _OTHER_TYPES and _LOOKS_LIKE_FEED.search(f"{address} {title}")):
            self._found.append((True, address, title))

    def _end_anchor(self) -> None:
        if self._anchor is None:
            return
        text = " ".join(" ".join(self._text).split())
        looks = _LOOKS_LIKE_FEED.search(self._anchor) or _LOOKS_LIKE_FEED.search(text)
        if looks and not _NO_FEED.search(self._anchor):
            self._found.append((False, self._anchor, text))
        self._anchor = None


def _is_alternate(given: dict[str, str]) -> bool:
    relations = given.get("rel", "").lower().split()
    return bool({"alternate", "feed"} & {*relations}) and "stylesheet" not in relations


def _absolute(base: str, written: str) -> str | None:
    """The address without its fragment; ``feed:`` is an old name of http. None for other schemes."""
    if written.lower().startswith("feed:"):
        written = written[5:]
        written = f"http:{written}" if written.startswith("//") else written
    try:
        url = urljoin(base, written).partition("#")[0]
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in {"http", "https"} and parts.hostname else None
