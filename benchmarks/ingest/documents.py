"""Feed documents of each kind, made of seeds/."""

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

SEEDS = Path(__file__).parent.parent.parent / "seeds" / "articles.jsonl"
_FIRST = datetime(2026, 11, 6, 12, tzinfo=UTC)


class Items:
    """The items of a feed as XML, made once; ``document`` puts some of them into a document."""

    def __init__(self, count: int, item: Callable[[int, dict[str, str]], str], frame: str) -> None:
        seeds = [json.loads(line) for line in SEEDS.read_text(encoding="utf-8").splitlines()]
        chosen = zip(range(count), itertools.cycle(seeds), strict=False)
        self._items = [item(number, _of(number, seed)) for number, seed in chosen]
        self._frame = frame

    def document(self, *, first: int = 0, count: int | None = None) -> bytes:
        """A document with ``count`` items (None: all) from the one at ``first`` on, in turn."""
        wanted = range(first, first + (len(self._items) if count is None else count))
        items = "\n".join(self._items[number % len(self._items)] for number in wanted)
        return self._frame.replace("ITEMS", items).encode()


def _of(number: int, seed: dict[str, str]) -> dict[str, str]:
    paragraphs = [part for part in (seed.get("text") or "").split("\n") if part.strip()]
    body = seed.get("html") or "".join(f'<p class="body">{escape(part)}</p>\n' for part in paragraphs)
    moment = _FIRST - timedelta(minutes=number)
    return {
        "title": escape(seed.get("title") or f"title {number}"),
        "link": f"https://news.example/articles/{number}?utm_source=rss&amp;utm_medium=feed",
        "guid": f"https://news.example/?p={number}",
        "html": escape(f'<p><img src="https://news.example/{number}.jpg" alt=""/></p>{body}'),
        "summary": escape((seed.get("text") or "")[:200] or "summary"),
        "rfc822": moment.strftime("%a, %d %b %Y %H:%M:%S +0000"),
        "rfc3339": moment.isoformat(),
    }


def _small(_: int, one: dict[str, str]) -> str:
    return (
        f"<item><title>{one['title']}</title><link>{one['link']}</link><guid>{one['guid']}</guid>"
        f"<pubDate>{one['rfc822']}</pubDate><description>{one['summary']}</description></item>"
    )


def _content(number: int, one: dict[str, str]) -> str:
    return (
        f"<item><title>{one['title']}</title><link>{one['link']}</link><guid isPermaLink='false'>{one['guid']}</guid>"
        f"<pubDate>{one['rfc822']}</pubDate><dc:creator>Author {number % 9}</dc:creator><category>news</category>"
        f"<media:content url='https://news.example/{number}.jpg' medium='image'/>"
        f"<description>{one['summary']}</description><content:encoded>{one['html']}</content:encoded></item>"
    )


def _atom(number: int, one: dict[str, str]) -> str:
    return (
        f"<entry><title>{one['title']}</title><link href='{one['link']}'/><id>{one['guid']}</id>"
        f"<published>{one['rfc3339']}</published><updated>{one['rfc3339']}</updated>"
        f"<author><name>Author {number % 9}</name></author><summary>{one['summary']}</summary>"
        f"<content type='html'>{one['html']}</content></entry>"
    )


def _rdf(_: int, one: dict[str, str]) -> str:
    return (
        f"<item rdf:about='{one['guid']}'><title>{one['title']}</title><link>{one['link']}</link>"
        f"<dc:date>{one['rfc3339']}</dc:date><description>{one['summary']}</description></item>"
    )


_RSS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" '
    'xmlns:content="http://purl.org/rss/1.0/modules/content/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:media="http://search.yahoo.com/mrss/"><channel>'
    "<title>News</title><link>https://news.example/</link><description>News</description><language>ar</language>\n"
    "ITEMS\n</channel></rss>"
)
_ATOM = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="ar">'
    "<title>News</title><link href='https://news.example/'/><id>urn:news</id><updated>2026-11-06T12:00:00Z</updated>\nITEMS\n</feed>"
)
_RDF = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    "<channel rdf:about='https://news.example/'><title>News</title><link>https://news.example/</link>"
    "<description>News</description></channel>\nITEMS\n</rdf:RDF>"
)

# A name for each kind, the number of its items, and how its documents are made.
KINDS: Mapping[str, Callable[[int], Items]] = {
    "RSS, summaries": lambda count: Items(count, _small, _RSS),
    "RSS, content:encoded": lambda count: Items(count, _content, _RSS),
    "Atom": lambda count: Items(count, _atom, _ATOM),
    "RDF": lambda count: Items(count, _rdf, _RDF),
}
