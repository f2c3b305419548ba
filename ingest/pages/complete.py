"""The text of an entry's page in place of the summary that the feed has."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter

from ingest.pages.addresses import leads_to_front, same_site, shown_url
from ingest.pages.article_check import holds, why_not
from ingest.pages.robots import Robots
from ingest.web import WebClient, WebError, without_credentials
from services.blocking import run_in_thread
from services.child_parser import ParserFailed
from services.documents.encodings import decode, labels
from services.documents.feed import FeedEntry
from services.documents.html_fragment import fragment_text
from services.documents.html_text import is_page, read_page

log = structlog.get_logger(__name__)

PAGES = Counter(
    "khabar_ingest_pages_total", "Pages fetched for the full text of articles, by their outcome", ["outcome"]
)
_OUTCOMES: Final = (
    *("complete", "robots", "status", "unreachable", "not_html", "too_large", "unreadable", "late"),
    *("consent", "paywall", "login", "not_found", "front_page", "other_page", "no_longer", "empty"),
)
for _outcome in _OUTCOMES:
    PAGES.labels(_outcome)

# An entry with more words than this is whole although the feed does not say so.
WHOLE_WORDS: Final = 150
# Seconds for one page, and between two pages of a host unless its robots.txt asks for more.
PAGE_SECONDS: Final = 20.0
HOST_DELAY: Final = 1.0
# Seconds for which a host is left alone that is busy, or that did not answer so many times in a row.
HOST_PAUSE: Final = 600.0
_HOST_FAILURES: Final = 3
_MAX_HOSTS: Final = 10_000
# Seconds for the pages of one document of a feed; entries that would take longer keep the feed's text.
DOCUMENT_SECONDS: Final = 120.0
_AT_A_TIME: Final = 16
# Pages are read by one process at a time.
_READ_AT_A_TIME: Final = 2
# The longest text of an article.
_MAX_TEXT: Final = 900_000
_HTML_TYPES: Final = ("text/html", "application/xhtml+xml")
_ACCEPT: Final = "text/html, application/xhtml+xml, */*;q=0.1"

_REASONS: Final = {
    "robots": "robots.txt does not allow it",
    "not_html": "it is not HTML",
    "unreadable": "it could not be parsed",
    "late": "it was not there in time",
    "consent": "it asks for consent instead",
    "paywall": "it is not free to read",
    "login": "it asks for a login instead",
    "not_found": "it says that the article is not there",
    "front_page": "it leads to the front page or a section",
    "other_page": "its text is not that of the entry",
    "no_longer": "it has no more text than the feed",
    "empty": "it has no text",
}


class _NotTheArticle(Exception):
    """The page cannot be used. ``outcome``: for the metric."""

    def __init__(self, outcome: str, reason: str | None = None) -> None:
        super().__init__(reason or _REASONS[outcome])
        self.outcome = outcome


class Pages:
    """Completes entries from their pages, politely: one page of a host at a time, with a pause between them.

    ``web``: makes the requests. ``max_bytes``: of a page. ``delay``: seconds between two pages of a host.
    """

    def __init__(self, web: WebClient, *, max_bytes: int, delay: float = HOST_DELAY) -> None:
        self._web = web
        self._max_bytes = max_bytes
        self._delay = delay
        self._robots = Robots(web)
        self._hosts = _Hosts()
        self._fetching = asyncio.Semaphore(_AT_A_TIME)
        self._reading = asyncio.Semaphore(_READ_AT_A_TIME)

    async def complete_all(self, entries: Sequence[FeedEntry], *, seconds: float = DOCUMENT_SECONDS) -> list[FeedEntry]:
        """All entries of a document, in their order, as ``complete`` gives them; those that take longer unchanged."""
        return list(await asyncio.gather(*(self.complete(entry, seconds=seconds) for entry in entries)))

    async def complete(self, entry: FeedEntry, *, seconds: float = DOCUMENT_SECONDS) -> FeedEntry:
        """The entry with the text of its page, and with the address by which the page itself is known.

        Title, summary and all other fields are the feed's. An entry that is whole, or whose page cannot be had or is
        not the article, keeps its text; ``problems`` says why. Never raises for a page. Compute what identifies the
        entry before: its address changes. ``seconds``: the longest time, waiting for the host included.
        """
        if entry.url is None or not needs_page(entry):
            return entry
        try:
            async with asyncio.timeout(seconds):
                done = await self._completed(entry, entry.url)
            PAGES.labels("complete").inc()
        except TimeoutError:
            return self._kept(entry, _NotTheArticle("late"))
        except _NotTheArticle as error:
            return self._kept(entry, error)
        except Exception:  # whatever it is, the feed's text is there
            log.warning("page_failed", url=without_credentials(entry.url), exc_info=True)
            return self._kept(entry, _NotTheArticle("unreadable"))
        return done

    def _kept(self, entry: FeedEntry, error: _NotTheArticle) -> FeedEntry:
        PAGES.labels(error.outcome).inc()
        log.debug("page_not_used", url=without_credentials(entry.url or ""), cause=str(error))
        return replace(entry, problems=[*entry.problems, f"text: the page was not used: {error}"])

    async def _completed(self, entry: FeedEntry, url: str) -> FeedEntry:
        body, content_type, found = await self._fetch(shown_url(url))
        async with self._reading:
            work = partial(_read, entry, body, content_type, found)
            return await run_in_thread(work, name="page")

    async def _fetch(self, url: str) -> tuple[bytes, str, str]:
        """The page, its content type, and where it came from."""
        permission = await self._robots.permission(url)
        if not permission.allowed:
            raise _NotTheArticle("robots")
        host = urlsplit(url).hostname or ""
        try:
            async with self._hosts.turn(host, max(self._delay, permission.delay)), self._fetching:
                response = await self._web.get(
                    url, headers={"Accept": _ACCEPT}, max_bytes=self._max_bytes, seconds=PAGE_SECONDS
                )
        except _HostPaused:
            raise _NotTheArticle("late", "its host does not answer, or asks to wait") from None
        except WebError as error:
            self._hosts.failed(host, error)
            outcome = error.kind if error.kind in {"status", "too_large"} else "unreachable"
            raise _NotTheArticle(outcome, str(error)) from None
        self._hosts.succeeded(host)
        # A redirect may lead where robots.txt of another site does not allow it.
        if not same_site(response.url, url) and not (await self._robots.permission(response.url)).allowed:
            raise _NotTheArticle("robots")
        return response.body, response.headers.get("Content-Type", ""), response.url


def needs_page(entry: FeedEntry) -> bool:
    """Whether the feed has no more of an article than a summary."""
    return entry.summary_only or len((entry.text or entry.html or "")[: WHOLE_WORDS * 100].split()) < WHOLE_WORDS


def _read(entry: FeedEntry, body: bytes, content_type: str, found: str) -> FeedEntry:
    """The entry with the text of this page. Blocks. Raises ``_NotTheArticle``."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in _HTML_TYPES:
        raise _NotTheArticle("not_html", f"it is {kind[:100]}, not HTML")
    markup = decode(body, labels(body, content_type))[0]
    if not kind and not is_page(markup):
        raise _NotTheArticle("not_html")
    try:
        page = read_page(markup, found)
    except ParserFailed as error:
        raise _NotTheArticle("unreadable", f"it could not be parsed: {error}") from None
    wanted = entry.url or ""
    summary = fragment_text(entry.html) if entry.html else entry.text or ""
    title = entry.title or ""
    if summary.strip() == title.strip():  # an entry of a headline alone
        summary = ""
    cause = why_not(page, markup, title=title, summary=summary, wanted=wanted, found=found)
    if cause:
        raise _NotTheArticle(cause)
    text = page.text if not summary or holds(page.text, summary) else f"{summary}\n\n{page.text}"
    if len(text) > _MAX_TEXT:
        raise _NotTheArticle("too_large", f"its text has more than {_MAX_TEXT} characters")
    canonical = page.canonical
    if canonical is None or not same_site(canonical, found) or leads_to_front(wanted, canonical):
        canonical = wanted
    origins = {**{name: origin for name, origin in entry.origins.items() if name != "html"}, "text": "page"}
    return replace(entry, url=shown_url(canonical), html=None, text=text, origins=origins, summary_only=False)


class _HostPaused(Exception):
    """The host is left alone for now."""


class _Hosts:
    """Turns at hosts: one request at a time, with a pause after each. Hosts that fail are left alone for a while."""

    def __init__(self) -> None:
        self._hosts: dict[str, tuple[asyncio.Lock, int]] = {}
        # By the event loop's clock: when the next request may begin, and until when a host is left alone.
        self._free: dict[str, float] = {}
        self._paused: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, host: str, delay: float) -> AsyncIterator[None]:
        """Wait for a turn and hold it; the next one begins ``delay`` seconds after its end. Raises ``_HostPaused``."""
        now = asyncio.get_running_loop().time
        lock, users = self._hosts.get(host, (asyncio.Lock(), 0))
        self._hosts[host] = lock, users + 1
        try:
            async with lock:
                if self._paused.get(host, 0.0) > now():
                    raise _HostPaused
                await asyncio.sleep(self._free.get(host, 0.0) - now())
                try:
                    yield
                finally:
                    self._free[host] = now() + delay
        finally:
            _, users = self._hosts[host]
            if users > 1:
                self._hosts[host] = lock, users - 1
            else:
                del self._hosts[host]
                self._forget_past(now())

    def failed(self, host: str, error: WebError) -> None:
        """Leave a host alone that is too busy, or that did not answer several times in a row."""
        busy = error.status in {429, 503}
        if not busy and error.kind not in {"timeout", "dns", "connection", "tls"}:
            self.succeeded(host)
            return
        self._failures[host] = self._failures.get(host, 0) + 1
        if busy or self._failures[host] >= _HOST_FAILURES:
            seconds = max(error.retry_after or 0.0, HOST_PAUSE)
            self._paused[host] = asyncio.get_running_loop().time() + seconds

    def succeeded(self, host: str) -> None:
        """The host has answered."""
        self._failures.pop(host, None)

    def _forget_past(self, now: float) -> None:
        for times in (self._free, self._paused):
            for host in [host for host, time in times.items() if time <= now]:
                del times[host]
        if len(self._failures) > _MAX_HOSTS:
            self._failures.clear()
