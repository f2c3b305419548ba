"""A web site whose pages and feeds a test sets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from services.embedded.process import free_port

_RSS = """<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>{title}</title>
<link>{site}</link><language>ar</language>{items}</channel></rss>"""
_ITEM = """<item><title>{title}</title><link>{site}{path}</link><guid isPermaLink="false">{path}</guid>
<pubDate>Wed, 01 Jan 2025 12:00:00 +0300</pubDate><description>نص الخبر كاملًا: {title}</description></item>"""


class Site:
    """A running site; it records the paths that were requested, and the headers of the last request."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, web.Response] = {}
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, body: str | bytes, *, status: int = 200, **headers: str) -> str:
        """Serve this; returns its URL."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = web.Response(body=data, status=status, headers=named)
        return self.url(path)

    def rss(self, path: str, *titles: str, title: str = "أخبار") -> str:
        """Serve a feed with entries of these titles; returns its URL."""
        items = "".join(_ITEM.format(title=one, path=f"{path}/{one}", site=self.url("")) for one in titles)
        return self.serve(path, _RSS.format(title=title, site=self.url("/"), items=items), Content_Type="text/xml")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Respond as set."""
        self.asked.append(request.path)
        self.headers = dict(request.headers)
        wanted = self.answers.get(request.path_qs) or self.answers.get(request.path)
        if wanted is None:
            return web.Response(status=404)
        if wanted.status == 299:
            await asyncio.sleep(30)
        return web.Response(body=wanted.body, status=wanted.status, headers=wanted.headers)


@asynccontextmanager
async def running_site() -> AsyncIterator[Site]:
    """A site on a free port."""
    made = Site(free_port())
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    try:
        yield made
    finally:
        await runner.cleanup()
