"""A web server with feeds, and polls of them into a real Kafka with a real store."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from ingest.feeds.poller import Poller
from ingest.feeds.writer import FeedWriter
from ingest.producer import Intake
from ingest.web import WebClient
from services.embedded.process import free_port
from services.identity import digest
from services.settings import Settings
from services.store import Store
from services.store.feeds import AlreadyThere, Feed, FeedOptions, Feeds, FeedStatus

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
     xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>أخبار</title><language>{language}</language>
<link>https://example.org/</link>{items}</channel></rss>"""

HOST = "127.0.0.1"


def item(
    guid: str | None,
    body: str = "<p>نص</p>",
    *,
    title: str = "عنوان &amp; خبر",
    link: str | None = None,
    date: str = "Wed, 01 Jan 2025 12:00:00 +0300",
) -> str:
    """One RSS item; ``link``: by default one of the guid's own, "" for none."""
    link = f"https://example.org/{guid}" if link is None else link
    return f"""<item><title>{title}</title>{f"<link>{link}</link>" if link else ""}
    {f'<guid isPermaLink="false">{guid}</guid>' if guid else ""}<pubDate>{date}</pubDate>
    <dc:creator>هدى</dc:creator><description><![CDATA[{body}]]></description></item>"""


def rss(*items: str, language: str = "ar") -> str:
    """An RSS document."""
    return RSS.format(items="".join(items), language=language)


def id_of(guid: str, link: str | None = None) -> str:
    """The id of an article of a feed of the site, with a guid and a link."""
    return digest(HOST, "guid", guid, "url", f"https://example.org/{guid}" if link is None else link)


class Site:
    """A web server whose responses a test sets; it records the requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, web.Response] = {}
        self.requests: list[web.Request] = []
        #: Paths that answer after so many seconds.
        self.delays: dict[str, float] = {"/slow": 30.0}

    def url(self, path: str, host: str = HOST) -> str:
        """The URL of a path."""
        return f"http://{host}:{self.port}{path}"

    def rss(self, path: str, *items: str, language: str = "ar", **headers: str) -> str:
        """Serve an RSS feed; return its URL."""
        self.serve(path, rss(*items, language=language), **headers)
        return self.url(path)

    def serve(self, path: str, text: str | bytes, status: int = 200, **headers: str) -> None:
        """Serve this document."""
        body = text.encode() if isinstance(text, str) else text
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = web.Response(body=body, status=status, headers=named)

    def requested(self, path: str) -> list[web.Request]:
        """The requests for a path."""
        return [request for request in self.requests if request.path == path]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Respond as set; 304 when the request has the response's ETag or date."""
        self.requests.append(request)
        if request.path.startswith("/redirect/"):
            left = int(request.path.rsplit("/", 1)[1])
            raise web.HTTPFound(f"/redirect/{left - 1}" if left else "/end")
        await asyncio.sleep(self.delays.get(request.path, 0.0))
        wanted = self.answers[request.path]
        for asked, said in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
            if asked in request.headers and request.headers[asked] == wanted.headers.get(said):
                return web.Response(status=304)
        return web.Response(body=wanted.body, status=wanted.status, headers=wanted.headers)


@asynccontextmanager
async def serving_site() -> AsyncIterator[Site]:
    """A running site."""
    made = Site(free_port())
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, made.port).start()
    try:
        yield made
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Polled:
    """The result of one poll: the feed after it, and what became of the entries of its document."""

    feed: Feed
    sent: int
    known: int
    rejected: int

    @property
    def status(self) -> FeedStatus:
        """The status of the feed."""
        return self.feed.status

    @property
    def error(self) -> str:
        """Why the poll failed."""
        return self.feed.state.error


@dataclass
class Polling:
    """What one ingest process has to poll feeds; a second one stands for another process, or for a restart."""

    settings: Settings
    feeds: Feeds
    poller: Poller
    writer: FeedWriter
    web: WebClient
    lease: float = field(default=60.0)

    async def poll(self, url: str, **options: object) -> Polled:
        """Poll a feed now, and add it before if it is not there."""
        wanted = FeedOptions(url=url, **options)
        try:
            await self.feeds.add(wanted, most=1_000)
        except AlreadyThere as there:
            return await self.poll_id(there.feed_id)
        return await self.poll_id(wanted.id)

    async def poll_id(self, feed_id: str) -> Polled:
        """Poll a feed now."""
        claim = await self.feeds.claim(feed_id, uuid.uuid4().hex, seconds=self.lease)
        assert claim is not None
        before = claim.feed.state
        await self.poller.poll(claim, self.web)
        feed = await self.feeds.get(feed_id)
        assert feed is not None
        after = feed.state
        return Polled(
            feed,
            after.articles - before.articles,
            after.known - before.known,
            after.rejected - before.rejected,
        )


@asynccontextmanager
async def polling_with(settings: Settings, store: Store, intake: Intake, **changes: object) -> AsyncIterator[Polling]:
    """A process that polls feeds of this machine; ``changes``: of the settings."""
    settings = settings.model_copy(update={"allow_private_addresses": True, **changes})
    feeds = Feeds(store.redis)
    writer = FeedWriter(feeds, intake, max_entries=settings.max_feed_entries)
    poller = Poller(settings, feeds, intake, writer, rng=lambda: 0.5)
    async with WebClient.of(settings) as client:
        yield Polling(settings, feeds, poller, writer, client)
