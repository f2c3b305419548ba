"""One conditional HTTP request for a feed, with limits on size and redirects."""

from dataclasses import dataclass

import aiohttp

from ingest.feeds.feed import Feed, FeedError, without_credentials
from services.addresses import PrivateAddress, public_socket
from services.decompression import Corrupt, Gunzip, Oversized

MAX_FEED_BYTES = 5_000_000
MAX_REDIRECTS = 5
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10, sock_read=20)
_HEADERS = {
    "User-Agent": "Khabar/0.1 (feed reader)",
    "Accept": "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5",
    "Accept-Encoding": "gzip",
}


@dataclass(frozen=True)
class FeedDocument:
    """A fetched feed document and the response headers that matter."""

    data: bytes
    url: str
    content_type: str
    etag: str | None
    modified: str | None


def open_session(*, allow_private: bool) -> aiohttp.ClientSession:
    """An HTTP session that connects to public addresses only, unless private ones are allowed.

    It has no cookies, ignores proxy settings in the environment, and does not decompress bodies.
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


async def fetch(feed: Feed, session: aiohttp.ClientSession) -> FeedDocument | None:
    """The feed's document; None when it has not changed. Raises ``FeedError``."""
    conditions = {"If-None-Match": feed.etag, "If-Modified-Since": feed.modified}
    headers = {name: value for name, value in conditions.items() if value}
    try:
        # aiohttp fails at the redirect with this number, so it is one more than are allowed.
        async with session.get(feed.url, headers=headers, max_redirects=MAX_REDIRECTS + 1) as response:
            if response.status == 304:
                return None
            if response.status != 200:
                raise FeedError(f"HTTP status {response.status}")
            return FeedDocument(
                data=await _read(response),
                url=without_credentials(str(response.url)),
                content_type=response.headers.get("Content-Type", ""),
                etag=response.headers.get("ETag"),
                modified=response.headers.get("Last-Modified"),
            )
    except aiohttp.TooManyRedirects as error:
        raise FeedError(f"more than {MAX_REDIRECTS} redirects") from error
    except TimeoutError as error:
        raise FeedError("no response in time") from error
    except (aiohttp.ClientError, PrivateAddress, OSError, ValueError) as error:
        raise FeedError(f"{type(error).__name__}: {without_credentials(str(error))}") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise FeedError(f"content encoding {encoding} was not requested")
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
