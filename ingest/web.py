"""HTTP requests to other people's servers, for feeds and pages: bounded in time, size, redirects, connections a host.

A request waits for its turn at a host before its time begins, so that many slow feeds of one host are no failures.
Cookies are kept within one request and its redirects. What a feed's owner set for its host (headers, user, password) is
sent to no other host.
"""

import asyncio
import base64
import errno
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from importlib.metadata import version
from typing import Final, Literal, Self
from urllib.parse import quote

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from services.addresses import public_socket
from services.blocking import run_in_thread
from services.decompression import Corrupt, Oversized, UnknownEncoding, unpack
from services.resolver import ThreadedResolver, looking_up_for
from services.settings import Settings

MAX_REDIRECTS: Final = 5
# Seconds from the turn at the host to the end of the body, redirects included.
TOTAL_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 20.0
# A server that asks for more waits this long.
MAX_RETRY_AFTER: Final = 24 * 3600.0
MAX_PER_HOST: Final = 4
MAX_CONNECTIONS: Final = 200
# Lines of a response's head: cookies and security policies of large sites exceed aiohttp's 8 KB.
_MAX_HEAD_LINE: Final = 32_768
_MAX_HEAD_LINES: Final = 256
# Bodies up to this size are checked in the event loop unless they are compressed; it takes under a millisecond.
_SMALL: Final = 262_144
_UNPACKED_AT_A_TIME: Final = 4
_CHUNK: Final = 65_536

_PERMANENT: Final = frozenset({301, 308})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Headers that a user may set and that are no secret of one host.
_PUBLIC_HEADERS: Final = frozenset({"user-agent", "accept", "accept-language"})
# Headers that HTTP itself needs to set.
_RESERVED_HEADERS: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\t -~]{0,4000}")
# A URL that needs no further quoting.
_QUOTED: Final = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=|]|%[0-9A-Fa-f]{2})+")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_WEB_ADDRESS: Final = re.compile(r"(https?://[^/?#\s]+)(.*)", re.IGNORECASE | re.DOTALL)
# The user name and the password in a URL.
_CREDENTIALS: Final = re.compile(r"//[^/?#\s]*@")

Kind = Literal[
    "status",
    "timeout",
    "dns",
    "connection",
    "tls",
    "private_address",
    "redirects",
    "too_large",
    "cut",
    "encoding",
    "protocol",
    "url",
]


class WebError(Exception):
    """A request has failed; the message says why, without credentials.

    ``kind``: "status" (of the response), "timeout", "dns", "connection" (refused or broken before the body), "tls",
    "private_address", "redirects" (too many, in a circle, to no web address), "too_large", "cut" (the body is not
    complete), "encoding" (the body is not in its ``Content-Encoding``), "protocol" (not HTTP) or "url" (not valid).
    ``status``: of the last response, if there was one. ``retry_after``: seconds for which the server asks to wait.
    """

    def __init__(
        self, kind: Kind, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(without_credentials(message))
        self.kind: Kind = kind
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class WebResponse:
    """The response to a request: of status 200 with its body, or 304 without one.

    ``url``: where it came from after redirects, without credentials. ``permanent_url``: the same if there were
    redirects and all were permanent (301, 308), else None. ``body``: decompressed. ``size``: as it was sent.
    """

    status: int
    url: str
    permanent_url: str | None
    headers: CIMultiDictProxy[str]
    body: bytes = field(repr=False, default=b"")
    size: int = 0


@dataclass(frozen=True)
class Access:
    """What one host is sent and no other: credentials and additional headers.

    ``url``: an address of that host; None for the host of the request.
    """

    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str | None = None


def user_agent(settings: Settings) -> str:
    """The ``User-Agent`` of all requests."""
    return settings.user_agent or f"Khabar/{version('khabar')} (news feed reader)"


def check_headers(headers: Mapping[str, str]) -> None:
    """Check headers that a user wants to send. Raises ``ValueError`` with a message that names the header."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is not the name of a header")
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"header {name} cannot be set")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the value of header {name} must be at most 4,000 printable ASCII characters")


def without_credentials(text: str) -> str:
    """A URL, or a message that quotes URLs, without user names and passwords."""
    return _CREDENTIALS.sub("//", text)


def split_credentials(url: str) -> tuple[str, str | None, str | None]:
    """A URL without its user name and password, and these two, decoded. Raises ``ValueError`` for an invalid URL."""
    parts = URL(url)
    return without_credentials(url), parts.user, parts.password


def retry_after(value: str | None, *, now: float) -> float | None:
    """The seconds of a ``Retry-After`` header, a number or an HTTP date, from 0 to a day; None if it has none.

    ``now``: seconds since 1970.
    """
    if not value:
        return None
    value = value.strip()
    try:
        seconds = float(value) if value[:1].isdigit() else _http_date(value) - now
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def fresh_seconds(headers: Mapping[str, str], *, now: float) -> float | None:
    """For how long a response stays fresh by ``Cache-Control`` or ``Expires``; None if it does not say.

    ``now``: seconds since 1970.
    """
    fresh: float | None = None
    control = headers.get("Cache-Control", "").lower()
    if re.search(r"\bno-(?:cache|store)\b", control):
        return None
    if found := re.search(r'\bmax-age\s*=\s*"?(\d{1,10})', control):
        fresh = float(found[1])
    elif "Expires" in headers:
        try:
            fresh = _http_date(headers["Expires"]) - (_http_date(headers["Date"]) if "Date" in headers else now)
        except (ValueError, OverflowError, TypeError, IndexError):
            return None
    if fresh is None:
        return None
    age = headers.get("Age", "").strip()
    fresh -= float(age) if age.isascii() and age.isdigit() and len(age) <= 10 else 0.0
    return fresh if fresh > 0 else None


def _http_date(value: str) -> float:
    when = parsedate_to_datetime(value[:100])
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


class Turns:
    """Turns of requests: a number at each host, a number in all. Who waits gets a turn in the order of arrival."""

    def __init__(self, per_host: int, total: int) -> None:
        self._per_host = per_host
        self._total = asyncio.Semaphore(total)
        self._hosts: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def at(self, host: str) -> AsyncIterator[None]:
        """Wait for a turn at a host and hold it."""
        semaphore, users = self._hosts.get(host, (asyncio.Semaphore(self._per_host), 0))
        self._hosts[host] = semaphore, users + 1
        try:
            async with semaphore, self._total:
                yield
        finally:
            _, users = self._hosts[host]
            if users > 1:
                self._hosts[host] = semaphore, users - 1
            else:
                del self._hosts[host]


class WebClient:
    """Makes requests; an async context manager. It connects to public addresses only, unless private ones are allowed.

    It ignores proxy settings in the environment.
    """

    def __init__(
        self,
        *,
        agent: str,
        allow_private: bool = False,
        per_host: int = MAX_PER_HOST,
        total: int = MAX_CONNECTIONS,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.agent = agent
        self._seconds = seconds
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                socket_factory=None if allow_private else public_socket,
                resolver=ThreadedResolver(),
                ttl_dns_cache=60,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": agent},
            auto_decompress=False,
            trust_env=False,
            max_line_size=_MAX_HEAD_LINE,
            max_field_size=_MAX_HEAD_LINE,
            max_headers=_MAX_HEAD_LINES,
        )
        self.turns = Turns(per_host, total)
        self._unpacking = asyncio.Semaphore(_UNPACKED_AT_A_TIME)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A client with these settings."""
        return cls(agent=user_agent(settings), allow_private=settings.allow_private_addresses)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        access: Access | None = None,
        seconds: float | None = None,
    ) -> WebResponse:
        """The response to a GET request, after redirects. Raises ``WebError``, also for any status but 200 and 304.

        ``headers`` are sent to every host, ``access`` to the host of ``url`` only. ``max_bytes``: of the body, as it
        is sent and when it is decompressed. ``seconds``: without the time that the request waits for its turn;
        those of the client unless given.
        """
        seconds = self._seconds if seconds is None else seconds
        try:
            at, login = _split(url)
            owner = _split(access.url)[0] if access and access.url else at
        except ValueError as error:
            raise WebError("url", f"not a web address: {error}") from None
        chain = _Chain(
            client=self,
            at=at,
            login=login,
            owner=owner,
            access=access or Access(),
            headers=headers or {},
            max_bytes=max_bytes,
            left=seconds,
        )
        try:
            return await chain.follow()
        except WebError:
            raise
        except TimeoutError as error:
            why = f"no response within {seconds:g} s" if chain.left <= 0 else "no response in time"
            raise WebError("timeout", why) from error
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            raise _explained(error) from error

    async def unpack(self, body: bytes, encoding: str, limit: int) -> bytes:
        """As ``decompression.unpack``, without holding up the event loop."""
        if len(body) <= _SMALL and not encoding and not body.startswith(b"\x1f\x8b"):
            return body
        async with self._unpacking:
            return await run_in_thread(partial(unpack, body, encoding, limit), name="unpack")


@dataclass
class _Chain:
    """One request and its redirects."""

    client: WebClient
    # Where the next request goes.
    at: URL
    # The credentials of the first URL, as a header, for its host.
    login: str | None
    # An address of the host that is sent what is in ``access``.
    owner: URL
    access: Access
    headers: Mapping[str, str]
    max_bytes: int
    # Seconds.
    left: float
    cookies: aiohttp.CookieJar = field(default_factory=lambda: aiohttp.CookieJar(unsafe=True))

    def __post_init__(self) -> None:
        self._first = self.at

    async def follow(self) -> WebResponse:
        permanent = True
        visited: set[tuple[URL, str]] = set()
        while True:
            headers = self._request_headers()
            place = (self.at, headers.get("Cookie", ""))
            if place in visited:
                raise WebError("redirects", f"redirected in a circle, at {self.at}")
            if len(visited) > MAX_REDIRECTS:
                raise WebError("redirects", f"more than {MAX_REDIRECTS} redirects")
            visited.add(place)
            found = await self._one(headers)
            if isinstance(found, int):
                permanent = permanent and found in _PERMANENT
                continue
            response, raw = found
            body = raw
            if raw:
                encoding = ",".join(response.headers.getall("Content-Encoding", ()))
                try:
                    body = await self.client.unpack(raw, encoding.strip(), self.max_bytes)
                except Oversized:
                    raise self._too_large() from None
                except (Corrupt, UnknownEncoding) as error:
                    kind: Kind = "cut" if "ends too early" in str(error) else "encoding"
                    raise WebError(kind, str(error), status=response.status) from error
            url = str(self.at)
            return WebResponse(
                status=response.status,
                url=url,
                permanent_url=url if permanent and len(visited) > 1 else None,
                headers=response.headers,
                body=body,
                size=len(raw),
            )

    async def _one(self, headers: CIMultiDict[str]) -> tuple[aiohttp.ClientResponse, bytes] | int:
        """One response with its body, or the status of a redirect that was followed."""
        host = self.at.host or ""
        async with self.client.turns.at(host):
            began = time.monotonic()
            timeout = aiohttp.ClientTimeout(
                total=max(self.left, 0.001), sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS
            )
            try:
                request = self.client.session.get(self.at, headers=headers, allow_redirects=False, timeout=timeout)
                with looking_up_for(host):
                    async with request as response:
                        if response.status in _REDIRECTS:
                            self._redirect(response)
                            return response.status
                        if response.status not in {200, 203, 304}:
                            raise _refused(response)
                        return response, await self._read(response)
            finally:
                self.left -= time.monotonic() - began

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status == 304:
            return b""
        if (response.content_length or 0) > self.max_bytes:
            raise self._too_large()
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > self.max_bytes:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> WebError:
        return WebError("too_large", f"larger than {self.max_bytes} bytes")

    def _redirect(self, response: aiohttp.ClientResponse) -> None:
        """Set where the next request goes, and keep the cookies for it. Raises ``WebError``."""
        location = response.headers.get("Location", "").strip()
        if not location:
            raise WebError("status", f"HTTP status {response.status} without Location", status=response.status)
        try:
            target, _ = _split(str(self.at.join(_url(location))))
        except ValueError:
            raise WebError("redirects", f"redirected to {location[:200]}, which is no web address") from None
        self.cookies.update_cookies(response.cookies, self.at)
        self.at = target

    def _request_headers(self) -> CIMultiDict[str]:
        headers = CIMultiDict(self.headers)
        headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
        if self.login and _same_host(self._first, self.at):
            headers["Authorization"] = self.login
        own = _same_host(self.owner, self.at)
        if own and self.access.user is not None:
            headers["Authorization"] = _basic(self.access.user, self.access.password or "")
        for name, value in self.access.headers.items():
            if own or name.lower() in _PUBLIC_HEADERS:
                headers[name] = value
        cookies = [headers["Cookie"]] if "Cookie" in headers else []
        cookies += [f"{name}={morsel.value}" for name, morsel in self.cookies.filter_cookies(self.at).items()]
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
        return headers


def _refused(response: aiohttp.ClientResponse) -> WebError:
    wait = retry_after(response.headers.get("Retry-After"), now=time.time())
    asks = "" if wait is None else f"; the server asks to wait {wait:.0f} s"
    return WebError("status", f"HTTP status {response.status}{asks}", status=response.status, retry_after=wait)


def _url(text: str) -> URL:
    """A URL as it is if it is quoted, else quoted. Raises ``ValueError``."""
    if _QUOTED.fullmatch(text):
        return URL(text, encoded=True)
    # A header that is not in UTF-8 has its bytes as surrogates.
    return URL(_NOT_ASCII.sub(lambda found: quote(found[0].encode("utf-8", "surrogateescape")), text))


def _split(url: str) -> tuple[URL, str | None]:
    """A web address without credentials and fragment, and the credentials as a header. Raises ``ValueError``."""
    found = _WEB_ADDRESS.fullmatch(url.strip())
    if found is None:
        raise ValueError(f"{without_credentials(url)[:200]!r} does not begin with http:// or https:// and a host")
    host = URL(found[1])  # encodes an international name
    if not host.host or host.explicit_port == 0:
        raise ValueError(f"{without_credentials(found[1])[:200]!r} has no valid host and port")
    rest = found[2] if found[2].startswith("/") else f"/{found[2]}"
    login = _basic(host.user or "", host.password or "") if host.user or host.password else None
    return URL(f"{host.origin()}{_url(f'http://h{rest}').raw_path_qs}", encoded=True), login


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _same_host(first: URL, other: URL) -> bool:
    """Whether what is meant for the first may be sent to the other: the same host and port, or its HTTPS."""
    if first.host != other.host:
        return False
    if first.scheme == other.scheme:
        return first.port == other.port
    return other.scheme == "https" and first.is_default_port() and other.is_default_port()


def _explained(error: Exception) -> WebError:  # noqa: PLR0911
    """The error of a request as a ``WebError``."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return WebError("dns", f"host {error.host} is not found: {error.os_error.strerror or error.os_error}")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return WebError("tls", str(error))
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.EACCES:  # that of PrivateAddress
            return WebError("private_address", f"refused: {error.os_error.strerror}")
        case aiohttp.ClientPayloadError():
            return WebError("cut", "the response ends before it is complete")
        case aiohttp.InvalidURL():
            return WebError("url", f"not a web address: {error}")
        case aiohttp.ClientResponseError():
            return WebError("protocol", f"not a valid HTTP response: {error.message[:200]}")
        case aiohttp.ServerDisconnectedError():
            return WebError("connection", "the server closed the connection without a response")
        case aiohttp.ClientError() | OSError() | RuntimeError():
            return WebError("connection", str(error)[:300] or type(error).__name__)
    return WebError("url", f"{type(error).__name__}: {error}"[:300])
