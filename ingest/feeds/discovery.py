"""The feeds of a site: those that a page declares, else those that it links to, else those at the usual paths.

Every address is requested and parsed before it counts as a feed.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urljoin, urlsplit

from ingest.feeds.fetch import FeedDocument, FeedRequest, FetchFailure, fetch
from ingest.web import Access, WebClient, without_credentials
from services.blocking import run_in_thread
from services.child_parser import MEGABYTE, ChildParser, ParserFailed
from services.documents.encodings import decode, labels
from services.documents.feed import FeedContent, NotAFeed
from services.documents.feed_parser import parse_feed
from services.subscriptions import FoundFeed

# All requests together.
SECONDS: Final = 40.0
# Links of a page that are requested at most.
_MAX_REQUESTS: Final = 30
# Pages that a page calls a list of feeds are searched too.
_MAX_PAGES: Final = 2
_PATHS: Final = (
    *("feed", "rss", "rss.xml", "feed.xml", "atom.xml", "index.xml", "feed.json", "feeds", "feed/atom", "rss/feed"),
    *("rss/all", "news/rss", "news/feed", "?feed=rss2"),
)
_LIST_OF_FEEDS = re.compile(r"(?<![a-z])(?:rss|feeds?)(?![a-z])", re.IGNORECASE)
# Pages are parsed by a C library in linear time: 5 MB take 0.4 s.
_PARSER = ChildParser("services.documents.page_links:read", memory=384 * MEGABYTE)
_CPU_SECONDS: Final = 5.0


class Unreachable(Exception):
    """An address could not be requested; the message says why. ``failure``: what the request ended with."""

    def __init__(self, failure: FetchFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True)
class Found:
    """A document that is a feed, or why it is none (``error``). ``url``: to subscribe to."""

    url: str
    document: FeedDocument
    content: FeedContent | None
    error: str = ""


@dataclass(frozen=True)
class Discovery:
    """What an address has: ``first``, what is at the address itself, and if that is no feed, the ``feeds`` of the site.

    ``complete`` is False when there was no time for all links.
    """

    first: Found
    feeds: list[Found] = field(default_factory=list)
    complete: bool = True


@dataclass(frozen=True)
class _Link:
    url: str
    title: str | None
    declared: bool


async def read(url: str, web: WebClient, *, access: Access | None, max_bytes: int) -> Found:
    """What is at an address. Raises ``Unreachable``."""
    answer = await fetch(FeedRequest(url, access=access or Access()), web, max_bytes=max_bytes)
    if not isinstance(answer, FeedDocument):
        failure = answer if isinstance(answer, FetchFailure) else FetchFailure("status", "HTTP status 304", 304)
        raise Unreachable(failure)
    return await _parsed(answer.permanent_url or url, answer)


async def discover(
    address: str, web: WebClient, *, access: Access | None = None, max_bytes: int, seconds: float = SECONDS
) -> Discovery:
    """What is at an address and, if it is a page, the feeds of the page or of its site. Raises ``Unreachable``.

    An address without a scheme is requested with https, then with http. ``access`` is for the address only.
    """
    until = asyncio.get_running_loop().time() + seconds
    first = await _first(address, web, access, max_bytes)
    if first.content is not None:
        return Discovery(first)
    search = _Search(web, max_bytes, until)
    try:
        async with asyncio.timeout_at(until):
            await search.run(first)
    except TimeoutError:
        search.complete = False
    return Discovery(first, search.feeds, search.complete)


async def _first(address: str, web: WebClient, access: Access | None, max_bytes: int) -> Found:
    address = address.strip()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address):
        return await read(address, web, access=access, max_bytes=max_bytes)
    try:
        return await read(f"https://{address}", web, access=access, max_bytes=max_bytes)
    except Unreachable as error:
        if error.failure.kind not in {"connection", "tls", "timeout"}:
            raise
    return await read(f"http://{address}", web, access=access, max_bytes=max_bytes)


class _Search:
    """The search for the feeds of one site."""

    def __init__(self, web: WebClient, max_bytes: int, until: float) -> None:
        self._web = web
        self._max_bytes = max_bytes
        self._until = until
        self.feeds: list[Found] = []
        self.complete = True
        # Addresses that were requested, and what they led to: an address or a document is a feed once.
        self._asked: set[str] = set()
        self._known: set[str] = set()

    async def run(self, page: Found) -> None:
        """Search the page, then the usual paths."""
        links = await links_of(page.document)
        await self._try(link.url for link in links if link.declared)
        # The page of a newspaper links to its feeds where it declares one; a list of feeds is nothing but links.
        if self.feeds and not _LIST_OF_FEEDS.search(urlsplit(page.url).path):
            return
        others = await self._try(link.url for link in links if not link.declared)
        if not self.feeds:
            for other in others[:_MAX_PAGES]:
                await self._try(link.url for link in await links_of(other.document))
        if not self.feeds:
            await self._try(_usual(page.document.url))

    async def _try(self, urls: Iterable[str]) -> list[Found]:
        """Request addresses and keep those that are feeds, in their order; return the others that are pages."""
        wanted = [url for url in dict.fromkeys(urls) if url not in self._asked]
        room = max(0, _MAX_REQUESTS - len(self._asked))
        self.complete = self.complete and len(wanted) <= room
        wanted = wanted[:room]
        self._asked.update(wanted)
        tasks = [asyncio.create_task(self._one(url)) for url in wanted]
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            # At the end of the time those that are done count.
            pages = self._take([task.result() for task in tasks if task.done()])
            for task in tasks:
                task.cancel()
        return pages

    def _take(self, answers: Iterable[Found | None]) -> list[Found]:
        """Keep those that are feeds; return the others that are pages."""
        pages = []
        for found in answers:
            if found is None:
                continue
            if found.content is None:
                pages.append(found)
                continue
            same = {found.document.url, found.url, found.document.digest}
            if not same & self._known:
                self.feeds.append(found)
            self._known |= same
        return pages

    async def _one(self, url: str) -> Found | None:
        try:
            return await read(url, self._web, access=None, max_bytes=self._max_bytes)
        except Unreachable:
            return None


async def links_of(document: FeedDocument) -> list[_Link]:
    """The links of a page that may be feeds, declared ones first."""

    def work() -> list[_Link]:
        text, _, _ = decode(document.data, labels(document.data, document.content_type))
        request = json.dumps({"url": document.url}).encode() + b"\n" + text.encode("utf-8", "replace")
        try:
            answer = json.loads(_PARSER.parse(request, cpu_seconds=_CPU_SECONDS))
        except ParserFailed:
            return []
        return [_Link(one["url"], one["title"], one["declared"]) for one in answer["links"]]

    return await run_in_thread(work, name="links")


async def _parsed(url: str, document: FeedDocument) -> Found:
    try:
        parse = partial(parse_feed, document.data, content_type=document.content_type, url=document.url)
        content = await run_in_thread(parse, name="feed")
    except NotAFeed as error:
        return Found(without_credentials(url), document, None, str(error))
    return Found(without_credentials(url), document, content)


def _usual(url: str) -> list[str]:
    """Addresses that feeds usually have, at the page's own path and at the root of its site."""
    parts = urlsplit(url)
    own = parts.path if parts.path.endswith("/") else parts.path + "/"
    last = parts.path.rpartition("/")[2]
    folders = ["/"] if "." in last or own == "/" else [own, "/"]
    return [urljoin(url, folder + path) for folder in folders for path in _PATHS]


def described(found: Sequence[Found]) -> list[FoundFeed]:
    """Feeds as they are shown to a user."""
    return [
        FoundFeed(
            url=one.url,
            title=one.content.title,
            format=one.content.format,
            entries=len(one.content.entries),
            newest=newest(one.content),
        )
        for one in found
        if one.content is not None
    ]


def newest(content: FeedContent) -> datetime | None:
    """When the newest entry was published."""
    moments = [datetime.fromisoformat(entry.published_at) for entry in content.entries if entry.published_at]
    return max(moments, default=None)
