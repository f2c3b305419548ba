"""Feed documents → entries, in a child process: ``feed_document`` does the work."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.child_parser import MEGABYTE, ChildParser, ParserFailed
from services.clock import utc_now
from services.documents.feed import FeedContent, FeedEntry, NotAFeed

# Further entries of a document are left out: the first ones are usually the newest.
MAX_ENTRIES: Final = 5_000
# Documents that are parsed at the same time.
PARSERS: Final = 2
# An ordinary document of 5 MB takes 3 s of CPU time.
CPU_SECONDS: Final = 10.0
_PARSER = ChildParser("services.documents.feed_document:read", memory=256 * MEGABYTE, children=PARSERS)


def parse_feed(  # noqa: PLR0913
    data: bytes,
    *,
    content_type: str = "",
    url: str = "",
    links: Sequence[str] = (),
    max_entries: int | None = None,
    now: datetime | None = None,
) -> FeedContent:
    """Read a feed document. Blocks, for seconds if the document is hostile.

    ``content_type`` and ``links``: the values of the HTTP headers Content-Type and Link. ``url``: the address of the
    document, for relative links. ``max_entries``: further ones are left out, which is a problem of the feed.
    ``now``: dates after it cannot be true. Raises ``NotAFeed``.
    """
    head = {
        "content_type": content_type,
        "url": url,
        "links": list(links),
        "max_entries": max_entries or MAX_ENTRIES,
        "now": (now or utc_now()).isoformat(),
    }
    try:
        result = _PARSER.parse(json.dumps(head).encode() + b"\n" + data, cpu_seconds=CPU_SECONDS)
    except ParserFailed as error:
        raise NotAFeed(f"not parsed: {error}") from error
    first, *lines = (json.loads(line.decode("utf-8", "surrogatepass")) for line in result.split(b"\n"))
    if first["error"] is not None:
        raise NotAFeed(first["error"])
    return FeedContent(**{**first["feed"], "entries": [FeedEntry(**line) for line in lines]})
