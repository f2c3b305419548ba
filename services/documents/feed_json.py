"""JSON Feed 1.0 and 1.1."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from services.documents import feed_fields, feed_links
from services.documents.dates import read_date
from services.documents.feed import FeedContent, FeedEntry, NotAFeed
from services.documents.feed_bodies import Body, choose, make_body


def read_json(text: str, url: str, max_entries: int, now: datetime) -> FeedContent:
    """The content of a JSON Feed. A field of another type than it should have costs that field. Raises ``NotAFeed``."""
    try:
        # Numbers are kept as written: ids may be long ones.
        feed = json.loads(text, strict=False, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise NotAFeed(f"not a feed: no valid JSON: {error}") from None
    if not isinstance(feed, dict) or not isinstance(feed.get("items"), list):
        raise NotAFeed("not a feed, but JSON without items")
    version = _text(feed, "version").rstrip("/").rpartition("/")[2]
    bases = [one for one in (_text(feed, "home_page_url"), _text(feed, "feed_url"), url) if one]
    language, problem = feed_fields.read_language(_text(feed, "language"))
    problems = [problem] if problem else []
    items = feed["items"]
    if len(items) > max_entries:
        problems.append(f"entries: only the first {max_entries} of {len(items)} are read")
    hubs = feed["hubs"] if isinstance(feed.get("hubs"), list) else []
    return FeedContent(
        format=f"JSON Feed {version}" if version and len(version) < 10 else "JSON Feed",
        title=feed_fields.read_title(_text(feed, "title"))[0],
        site=_resolved(_text(feed, "home_page_url"), bases),
        language=language,
        hub=next((hub for one in hubs if (hub := _resolved(_text(one, "url"), bases))), None),
        topic=_resolved(_text(feed, "feed_url"), bases),
        entries=[_entry(item, feed, bases, language, now) for item in items[:max_entries]],
        problems=problems,
    )


def _entry(item: Any, feed: Any, bases: list[str], language: str | None, now: datetime) -> FeedEntry:
    if not isinstance(item, dict):
        return FeedEntry(problems=["entry: is not an object"])
    problems: list[str] = []
    origins: dict[str, str] = {}
    title, wrong_title = feed_fields.read_title(_text(item, "title"), plain=True)
    guid, wrong_guid = feed_fields.read_guid(_text(item, "id"))
    language_of, wrong_language = feed_fields.read_language(_text(item, "language"))
    names, wrong_names = feed_fields.read_authors(_authors(item) or _authors(feed))
    problems += [one for one in (wrong_title, wrong_guid, wrong_language, *wrong_names) if one]
    url = None
    for name in ("url", "external_url"):
        if url is None and (link := _text(item, name)):
            try:
                url, origins["url"] = feed_links.resolve(link, bases), name
            except ValueError as error:
                problems.append(f"url: {feed_links.shown(link)} in {name}: {error}")
    chosen = choose(list(_bodies(item)), title, linked=url is not None)
    problems += chosen.problems
    text = chosen.text
    if chosen.origin:
        origins["html" if chosen.html is not None else "text"] = chosen.origin
    elif title:
        text, origins["text"] = title, "title"
    published = None
    for name in ("date_published", "date_modified"):
        if published is None and (written := _text(item, name)):
            if published := read_date(written, now):
                origins["published_at"] = name
            else:
                problems.append(f"published_at: {written[:80]!r} in {name} is no date that can be true")
    return FeedEntry(
        guid=guid,
        url=url,
        title=title,
        html=chosen.html,
        text=text,
        published_at=published.isoformat() if published else None,
        authors=names,
        language=language_of or language,
        origins={**origins, **({"title": "title"} if title else {}), **({"guid": "id"} if guid else {})},
        problems=problems,
        summary_only=chosen.teaser,
    )


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found.strip() if isinstance(found, str) else ""


def _authors(value: Any) -> list[str]:
    authors = value.get("authors")
    if not isinstance(authors, list):
        authors = [value.get("author")]
    return [name for one in authors if (name := one.strip() if isinstance(one, str) else _text(one, "name"))]


def _bodies(item: Any) -> Iterator[Body]:
    for name, kind in (("content_html", "html"), ("content_text", "text"), ("summary", "text")):
        if body := make_body(name, _text(item, name), kind):
            yield body


def _resolved(link: str, bases: list[str]) -> str | None:
    try:
        return feed_links.resolve(link, bases)
    except ValueError:
        return None
