"""Feed documents → entries, by feedparser.

Its time grows with the square of some documents, so it runs in a child process (``services.child_parser``), which
imports this module and nothing else of Khabar.
"""

import calendar
import html
import io
import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import feedparser

# A longer title is cut: no feed has one.
MAX_TITLE = 2_000
_TAG = re.compile(r"<[^<>]*>")


def read(request: bytes) -> bytes:
    """Parse a document: both sides are lines of JSON in UTF-8.

    The request is an object with ``content_type``, ``url`` and ``max_entries``, and on the following lines the
    document. The result is an object with ``error`` (why the document is no feed, or null) and ``language``, and on
    each following line an entry: an object with its ``fields``, those of ``ArticleIn`` unchecked, and the ``entry`` as
    feedparser has it.
    """
    head, _, document = request.partition(b"\n")
    options = json.loads(head)
    headers = {"content-type": options["content_type"], "content-location": options["url"]}
    try:
        # A stream, because feedparser would take a string for a URL or a file name.
        parsed = feedparser.parse(io.BytesIO(document), response_headers=headers)
    except Exception as error:  # its tolerant parser can raise any kind of error
        return _lines({"error": repr(error)[:300]})
    if not parsed.entries and (not parsed.get("version") or parsed.get("bozo")):
        return _lines({"error": str(parsed.get("bozo_exception", "neither RSS nor Atom"))[:300]})
    entries = [
        {**_fields(entry), "language": parsed.feed.get("language")}
        for entry in parsed.entries[: options["max_entries"]]
    ]
    return _lines(
        {
            "error": None,
            "feed": {
                "format": parsed.version,
                "language": parsed.feed.get("language"),
                "over_limit": len(parsed.entries) - len(entries),
            },
        },
        *entries,
    )


def _fields(entry: Any) -> dict[str, Any]:
    bodies = [part.get("value") for part in entry.get("content", ()) if part.get("value")]
    title = entry.get("title")
    if title:
        title = title[:MAX_TITLE]
        if "html" in (entry.get("title_detail") or {}).get("type", ""):
            title = html.unescape(_TAG.sub("", title))
    return {
        "title": title,
        "url": entry.get("link"),
        "guid": entry.get("id"),
        "html": bodies[0] if bodies else entry.get("summary"),
        "published_at": _published(entry.get("published_parsed") or entry.get("updated_parsed")),
        "authors": [name for name in (author.get("name") for author in entry.get("authors", ())) if name],
    }


def _published(parsed: time.struct_time | None) -> str | None:
    """feedparser's time, which is in UTC; None when it is missing or out of range."""
    if parsed is None:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _lines(*values: object) -> bytes:
    # A line for each entry, so that the parent never decodes all of them in one step.
    lines = "\n".join(json.dumps(value, ensure_ascii=False, default=str) for value in values)
    return lines.encode("utf-8", "surrogatepass")
