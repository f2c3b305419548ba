"""A feed document → its content: RSS 0.9x to 2.0, RDF, Atom, JSON Feed, news sitemaps.

Foreign documents may make it slow or large, so it runs in the child process of ``feed_parser``.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from services.documents import encodings, feed_json, feed_sitemap, feed_xml
from services.documents.feed import FeedContent, NotAFeed
from services.documents.feed_entries import read_feed

_HTML = re.compile(r"<(?:!doctype\s+html|html)(?=[\s>])", re.IGNORECASE)
_ELEMENT = re.compile(r"<([A-Za-z][\w.:-]{0,40})")


def read(request: bytes) -> bytes:
    """Parse a document: both sides are lines of JSON in UTF-8.

    The request is an object with ``content_type``, ``url``, ``links``, ``max_entries`` and ``now``, and on the
    following lines the document. The result is an object with ``error`` (why the document is no feed, or null) and
    ``feed``, the fields of ``FeedContent`` but its entries, and on each following line the fields of a ``FeedEntry``.
    """
    head, _, data = request.partition(b"\n")
    options = json.loads(head)
    try:
        content = parse(
            data,
            content_type=options["content_type"],
            url=options["url"],
            links=options["links"],
            max_entries=options["max_entries"],
            now=datetime.fromisoformat(options["now"]),
        )
    except NotAFeed as error:
        return _lines({"error": str(error)})
    entries = content.entries
    return _lines({"error": None, "feed": asdict(FeedContent(**{**vars(content), "entries": []}))}, *map(vars, entries))


def parse(  # noqa: PLR0913
    data: bytes, *, content_type: str, url: str, links: Sequence[str], max_entries: int, now: datetime
) -> FeedContent:
    """The content of a document. Raises ``NotAFeed``."""
    if not data.strip(b" \t\r\n\0\xef\xbb\xbf"):
        raise NotAFeed("not a feed: the document is empty")
    text, encoding, problems = encodings.decode(data, encodings.labels(data, content_type))
    start = text.lstrip("\ufeff \t\r\n\0")
    content = None
    if start.startswith(("{", "[")):
        content = feed_json.read_json(start, url, max_entries, now)
    else:
        page = _HTML.search(text[:5_000])
        root, broken = feed_xml.parse_xml(text)
        feed_begins = re.search(
            r"<(?:\w+:)?(?:rss|feed|rdf|urlset|sitemapindex|channel)\b", text[:5_000], re.IGNORECASE
        )
        if root is None or (page and not (feed_begins and feed_begins.start() < page.start())):
            raise NotAFeed(_what_it_is(text, page is not None))
        problems += broken
        name = feed_xml.local_name(root.tag)
        if name in {"urlset", "sitemapindex"}:
            content = feed_sitemap.read_sitemap(root, max_entries, now)
        elif name == "opml":
            raise NotAFeed("not a feed, but a list of feeds (OPML), which can be imported")
        else:
            content = read_feed(root, url=url, links=links, based="xml:base" in text, max_entries=max_entries, now=now)
    return FeedContent(**{**vars(content), "encoding": encoding, "problems": [*problems, *content.problems]})


def _what_it_is(text: str, page: bool) -> str:
    if page:
        return "not a feed, but an HTML page"
    if found := _ELEMENT.search(text[:10_000]):
        return f"not a feed: it begins with <{found[1]}>, and has neither RSS, Atom nor a news sitemap"
    beginning = " ".join(text[:2_000].split())[:60]
    return f"not a feed: neither XML nor JSON; it begins with {beginning!r}"


def _lines(*values: object) -> bytes:
    # A line for each entry, so that the parent never decodes all of them in one step.
    lines = "\n".join(json.dumps(value, ensure_ascii=False) for value in values)
    return lines.encode("utf-8", "surrogatepass")
