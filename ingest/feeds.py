"""Polling RSS and Atom feeds: what is new in them becomes articles, what cannot be one a dead letter.

A feed is asked only for what changed (ETag, Last-Modified). What was sent is remembered in memory: after a
restart entries are sent again, under the same ids. Nothing is remembered before Kafka has acknowledged it.
"""

import asyncio
import calendar
import contextlib
import html
import io
import json
import random
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import feedparser
import structlog
from prometheus_client import Counter

from ingest.gzipped import Corrupt, Gunzip, Oversized
from ingest.producer import MAX_VALUE_BYTES, Intake, Sealed, TooLarge, Unavailable
from services import kafka_topics
from services.addresses import PrivateAddress, public_socket
from services.clock import utc_now
from services.deadletters import SourceRecord
from services.errors import SettingsError
from services.events import ArticleIn
from services.identity import digest, make_id
from services.parsing import InvalidArticle, check
from services.settings import Settings

log = structlog.get_logger(__name__)

POLLS = Counter("khabar_ingest_feed_polls_total", "Polls of feeds by their outcome", ["outcome"])

MAX_FEED_BYTES = 5_000_000
MAX_REDIRECTS = 5
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10, sock_read=20)
# Of a feed that holds more, the first (by custom the newest) are taken.
_MOST_ENTRIES = 5_000
_REMEMBERED = 2 * _MOST_ENTRIES
_BATCH = 200
_LONGEST_PAUSE = 6 * 3600.0
_TAG = re.compile(r"<[^>]*>")
_HEADERS = {
    "User-Agent": "Khabar/0.1 (feed reader)",
    "Accept": "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5",
    "Accept-Encoding": "gzip",
}


class FeedError(Exception):
    """A feed could not be fetched or read this time; the message says why."""


@dataclass
class Feed:
    """A feed and what is remembered of it between polls."""

    url: str
    etag: str | None = None
    modified: str | None = None
    failures: int = 0
    # Hash of what was sent, by id; oldest first.
    seen: OrderedDict[str, str] = field(default_factory=OrderedDict)

    @property
    def source(self) -> str:
        """The host name that the articles are said to come from."""
        return urlsplit(self.url).hostname or self.url


@dataclass(frozen=True)
class Outcome:
    """What one poll brought: articles sent, entries refused; ``changed`` is False for a 304."""

    changed: bool
    accepted: int = 0
    refused: int = 0


@dataclass(frozen=True)
class _Body:
    data: bytes
    url: str
    content_type: str
    etag: str | None
    modified: str | None


def read_feeds(path: Path) -> list[Feed]:
    """The feeds of a file: one URL a line, blank lines and lines from ``#`` on skipped, each feed once.

    Raises ``SettingsError``.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"KHABAR_FEEDS: {path} cannot be read: {error}") from error
    feeds: dict[str, Feed] = {}
    for number, line in enumerate(lines, 1):
        url = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if url:
            if not _is_web(url):
                raise SettingsError(f"KHABAR_FEEDS: {path}:{number}: {url!r} is no http or https address")
            feeds[url] = Feed(url)
    return list(feeds.values())


def open_session(*, allow_private: bool) -> aiohttp.ClientSession:
    """A session that connects to public addresses only, unless private ones are allowed.

    No cookies, no proxies from the environment, nothing decompressed before it is measured.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            limit_per_host=4,
            socket_factory=None if allow_private else public_socket,
            ttl_dns_cache=60,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=_TIMEOUT,
        auto_decompress=False,
        trust_env=False,
    )


async def poll(feed: Feed, session: aiohttp.ClientSession, intake: Intake) -> Outcome:
    """Fetch a feed once and send what is new or changed in it.

    Raises ``FeedError`` when the feed is at fault and ``Unavailable`` when Kafka is; either way nothing that
    was not sent is remembered as sent.
    """
    body = await _fetch(feed, session)
    if body is None:
        return Outcome(changed=False)
    parsed = await _beside(lambda: _parse(body))
    accepted = refused = 0
    fresh: list[tuple[str, str, Sealed | tuple[SourceRecord, str]]] = []
    met: set[str] = set()
    for key, content, made in _convert(feed, parsed, intake):
        if key in met:
            continue  # the same entry twice in one document: the first, by custom the newest, counts
        met.add(key)
        if feed.seen.get(key) == content:
            feed.seen.move_to_end(key)
            continue
        fresh.append((key, content, made))
    # Feeds list the newest first; articles go out in the order in which they were published.
    fresh.reverse()
    for start in range(0, len(fresh), _BATCH):
        batch = fresh[start : start + _BATCH]
        sealed = [made for _, _, made in batch if isinstance(made, Sealed)]
        letters = [made for _, _, made in batch if not isinstance(made, Sealed)]
        if sealed:
            await intake.write(sealed, way="feed")
        if letters:
            await intake.reject(letters, stage="feeds")
        for key, content, _ in batch:
            feed.seen[key] = content
            feed.seen.move_to_end(key)
        accepted += len(sealed)
        refused += len(letters)
    while len(feed.seen) > _REMEMBERED:
        feed.seen.popitem(last=False)
    # Only now: had these been kept before, a failure on the way would end in a 304 and lost entries.
    feed.etag, feed.modified = body.etag, body.modified
    return Outcome(changed=True, accepted=accepted, refused=refused)


class Poller:
    """Polls every feed at its own pace; what one does never delays another."""

    def __init__(
        self,
        feeds: list[Feed],
        settings: Settings,
        intake: Intake,
        *,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._feeds = feeds
        self._settings = settings
        self._intake = intake
        self._dice = dice

    async def run(self) -> None:
        """Poll until cancelled."""
        private = self._settings.allow_private_addresses
        async with open_session(allow_private=private) as session, asyncio.TaskGroup() as group:
            for feed in self._feeds:
                group.create_task(self._follow(feed, session))

    async def _follow(self, feed: Feed, session: aiohttp.ClientSession) -> None:
        # Many feeds do not all start in the same moment.
        await asyncio.sleep(self._dice() * min(self._settings.feed_interval, 0.05 * len(self._feeds)))
        while True:
            await self.turn(feed, session)
            await asyncio.sleep(self.pause(feed))

    async def turn(self, feed: Feed, session: aiohttp.ClientSession) -> None:
        """One poll that never raises; a feed's trouble is logged when it begins and when it ends."""
        try:
            outcome = await poll(feed, session, self._intake)
        except Unavailable as error:
            POLLS.labels("kafka_away").inc()
            log.debug("feed_waits_for_kafka", feed=feed.url, cause=str(error))
        except FeedError as error:
            self._failed(feed, str(error))
        except Exception as error:  # a feed that trips something unforeseen must not end its polling
            log.debug("feed_failed", feed=feed.url, exc_info=True)
            self._failed(feed, repr(error))
        else:
            POLLS.labels("changed" if outcome.changed else "unchanged").inc()
            if feed.failures:
                log.info("feed_recovered", feed=feed.url, failures=feed.failures)
                feed.failures = 0
            if outcome.refused:
                log.warning("feed_entries_refused", feed=feed.url, refused=outcome.refused)

    def pause(self, feed: Feed) -> float:
        """Seconds until the next poll: the interval, doubled by each failure, give or take a tenth."""
        interval = self._settings.feed_interval
        longest = max(interval, _LONGEST_PAUSE)
        backed_off: float = min(interval * 2.0 ** min(feed.failures, 20), longest)
        return backed_off * (0.9 + 0.2 * self._dice())

    def _failed(self, feed: Feed, cause: str) -> None:
        POLLS.labels("failed").inc()
        if not feed.failures:
            log.warning("feed_failing", feed=feed.url, cause=cause)
        feed.failures += 1


async def _fetch(feed: Feed, session: aiohttp.ClientSession) -> _Body | None:
    """The feed's document; None when it has not changed. Raises ``FeedError``."""
    conditions = {"If-None-Match": feed.etag, "If-Modified-Since": feed.modified}
    headers = {name: value for name, value in conditions.items() if value}
    try:
        # aiohttp stops at the redirect with this number, so one more than are allowed.
        async with session.get(feed.url, headers=headers, max_redirects=MAX_REDIRECTS + 1) as response:
            if response.status == 304:
                return None
            if response.status != 200:
                raise FeedError(f"HTTP status {response.status}")
            return _Body(
                data=await _read(response),
                url=str(response.url),
                content_type=response.headers.get("Content-Type", ""),
                etag=response.headers.get("ETag"),
                modified=response.headers.get("Last-Modified"),
            )
    except aiohttp.TooManyRedirects as error:
        raise FeedError(f"more than {MAX_REDIRECTS} redirects") from error
    except TimeoutError as error:
        raise FeedError("no answer in time") from error
    except (aiohttp.ClientError, PrivateAddress, OSError, ValueError) as error:
        raise FeedError(f"{type(error).__name__}: {error}") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise FeedError(f"content encoding {encoding} was not asked for")
    gunzip = Gunzip(MAX_FEED_BYTES) if "gzip" in encoding else None
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in response.content.iter_chunked(65_536):
            plain = gunzip.feed(chunk) if gunzip else chunk
            size += len(plain)
            if size > MAX_FEED_BYTES:
                raise Oversized
            chunks.append(plain)
        if gunzip:
            gunzip.finish()
    except Oversized:
        raise FeedError(f"larger than {MAX_FEED_BYTES} bytes") from None
    except Corrupt as error:
        raise FeedError(str(error)) from error
    return b"".join(chunks)


async def _beside(work: Callable[[], Any]) -> Any:
    """What ``work`` returns or raises, done in a thread of its own.

    Not in the loop's pool: a document made to be slow takes a minute to parse, and must then keep neither the
    name look-ups of other feeds waiting nor the end of the process.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if answer.done():
            return  # nobody waits any more
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="feed", daemon=True).start()
    return await answer


def _parse(body: _Body) -> Any:
    """What feedparser makes of the bytes. Raises ``FeedError``."""
    headers = {"content-type": body.content_type, "content-location": body.url}
    try:
        # A stream, for a string could be taken for an address or a file name.
        parsed = feedparser.parse(io.BytesIO(body.data), response_headers=headers)
    except Exception as error:  # its tolerant parser has raised all kinds of errors over the years
        raise FeedError(f"not a feed: {error!r}") from error
    if not parsed.entries and (not parsed.get("version") or parsed.get("bozo")):
        raise FeedError(f"not a feed: {parsed.get('bozo_exception', 'neither RSS nor Atom')}")
    return parsed


def _convert(feed: Feed, parsed: Any, intake: Intake) -> Iterator[tuple[str, str, Sealed | tuple[SourceRecord, str]]]:
    """Each entry's id, the hash of its content, and its record: an article, or a dead letter with its cause."""
    language = parsed.feed.get("language")
    for entry in parsed.entries[:_MOST_ENTRIES]:
        wanted = _fields(entry, feed.source, language)
        checked = _check(wanted)
        content = digest(wanted["title"], wanted["html"], wanted["url"])
        if isinstance(checked, ArticleIn):
            try:
                sealed = intake.seal(checked)
            except TooLarge as error:
                checked = InvalidArticle(str(error))
            else:
                yield sealed.id, content, sealed
                continue
        place = _dead_letter(entry, wanted)
        yield (place.key or b"").decode(), content, (place, str(checked))


def _check(wanted: dict[str, Any]) -> ArticleIn | InvalidArticle:
    """An article of these fields; a language or authors that do not fit are left out rather than refused."""
    checked = check(wanted)
    for _ in range(2):
        if isinstance(checked, InvalidArticle) and checked.field in {"language", "authors"}:
            wanted = {**wanted, checked.field: None}
            checked = check(wanted)
    return checked


def _fields(entry: Any, source: str, language: str | None) -> dict[str, Any]:
    """The fields of ``ArticleIn`` as an entry has them, unchecked."""
    bodies = [part.get("value") for part in entry.get("content", ()) if part.get("value")]
    title = entry.get("title")
    if title and "html" in (entry.get("title_detail") or {}).get("type", ""):
        title = html.unescape(_TAG.sub("", title))
    url = entry.get("link")
    if url and url == entry.get("id") and not _is_web(url):
        url = None  # feedparser takes a guid for a link unless the feed says that it is none
    return {
        "title": title,
        "url": url,
        "guid": entry.get("id"),
        "html": bodies[0] if bodies else entry.get("summary"),
        "source": source,
        "published_at": _moment(entry.get("published_parsed") or entry.get("updated_parsed")),
        "authors": [name for name in (author.get("name") for author in entry.get("authors", ())) if name],
        "language": language,
    }


def _moment(parsed: time.struct_time | None) -> datetime | None:
    """feedparser's time (UTC) as a moment; None for none, and for one that no calendar has."""
    if parsed is None:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _dead_letter(entry: Any, wanted: dict[str, Any]) -> SourceRecord:
    """The record of an entry that is no article: shaped like one, so that a retry can send it, plus the entry.

    It never had a place on Kafka. Dead letters are told apart by their places, so it gets a negative offset
    that stands for the entry and its content.
    """
    identity = make_id(
        source=wanted["source"],
        guid=wanted["guid"],
        url=wanted["url"],
        content=(wanted["title"], wanted["html"]),
    )
    article = {**wanted, "id": identity, "received_at": utc_now()}
    value = _json({**article, "entry": dict(entry)})
    if len(value) > MAX_VALUE_BYTES:
        value = _json(article)
    return SourceRecord(
        topic=kafka_topics.RAW.name,
        partition=-1,
        offset=-1 - int(digest(identity, wanted["title"], wanted["html"]), 36) % 2**53,
        key=identity.encode(),
        value=value,
    )


def _json(value: object) -> bytes:
    def plain(other: object) -> object:
        return other.isoformat() if isinstance(other, datetime) else str(other)

    return json.dumps(value, ensure_ascii=False, default=plain).encode("utf-8", "replace")


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False
