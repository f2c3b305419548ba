"""News sitemaps: the headlines of a site's latest articles. They hold no text."""

from datetime import datetime
from typing import Final

from lxml import etree

from services.documents import feed_fields, feed_links
from services.documents.dates import read_date
from services.documents.feed import FeedContent, FeedEntry, NotAFeed
from services.documents.feed_xml import local_name

# So many sitemaps of an index are named.
_SHOWN: Final = 5


def read_sitemap(root: etree._Element, max_entries: int, now: datetime) -> FeedContent:
    """The content of a news sitemap. Raises ``NotAFeed`` for an index and for a sitemap without news."""
    if local_name(root.tag) == "sitemapindex":
        children = [text for one in root.iter(etree.Element) if local_name(one.tag) == "loc" and (text := _text(one))]
        shown = ", ".join(children[:_SHOWN]) + (", …" if len(children) > _SHOWN else "")
        raise NotAFeed(f"not a feed, but an index of {len(children)} sitemaps; take the one of the news: {shown}")
    urls = [one for one in root if isinstance(one.tag, str) and local_name(one.tag) == "url"]
    entries = [_entry(one, now) for one in urls[:max_entries]]
    if not any(entry.title for entry in entries):
        raise NotAFeed("not a feed, but a sitemap without news: it has addresses only")
    problems = []
    if len(urls) > max_entries:
        problems.append(f"entries: only the first {max_entries} of {len(urls)} are read")
    names = (_text(one) for one in root.iter(etree.Element) if local_name(one.tag) == "name")
    return FeedContent(
        format="news sitemap", title=next((name for name in names if name), None), entries=entries, problems=problems
    )


def _entry(element: etree._Element, now: datetime) -> FeedEntry:
    fields: dict[str, str] = {}
    # The address comes first; an image's has the same name.
    for one in element.iter(etree.Element):
        fields.setdefault(local_name(one.tag), _text(one))
    title, wrong_title = feed_fields.read_title(fields.get("title", ""))
    language, wrong_language = feed_fields.read_language(fields.get("language", ""))
    problems = [one for one in (wrong_title, wrong_language) if one]
    origins: dict[str, str] = {}
    if title:
        origins |= {"title": "news:title", "text": "news:title"}
    url = published = None
    try:
        url, origins["url"] = feed_links.resolve(fields.get("loc", ""), []), "loc"
    except ValueError as error:
        problems.append(f"url: {feed_links.shown(fields.get('loc', ''))} in loc: {error}")
    for name, shown in (("publication_date", "news:publication_date"), ("lastmod", "lastmod")):
        if published is None and (written := fields.get(name)):
            if published := read_date(written, now):
                origins["published_at"] = shown
            else:
                problems.append(f"published_at: {written[:80]!r} in {shown} is no date that can be true")
    return FeedEntry(
        url=url,
        title=title,
        text=title,
        published_at=published.isoformat() if published else None,
        language=language,
        origins=origins,
        problems=problems,
        summary_only=url is not None,
    )


def _text(element: etree._Element) -> str:
    return (element.text or "").strip()
