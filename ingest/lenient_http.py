"""One HTTP request to a server whose responses are not quite HTTP, by http.client, which reads them as browsers do.

aiohttp refuses what old servers send: a length that is given twice, or beside chunks, header lines without a colon, and
bytes beyond the length, which some servers count in characters. There the body is read up to the end of the connection.
"""

import contextlib
import http.client
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from services.addresses import public_socket

_STEP_SECONDS: Final = 10.0
_CHUNK: Final = 65_536
_MAX_SKIPPED: Final = 100
_INFORMATIONAL: Final = re.compile(rb"HTTP/\S* +1\d\d")


class LenientError(Exception):
    """There is no response; the message says why. ``is_cut``: it ended too early; else it is not HTTP at all."""

    def __init__(self, message: str, *, is_cut: bool = False) -> None:
        super().__init__(message)
        self.is_cut = is_cut


@dataclass(frozen=True)
class LenientResponse:
    """A response. ``body``: at most one byte more than was allowed."""

    status: int
    headers: CIMultiDictProxy[str]
    cookies: SimpleCookie
    body: bytes


class _Lines:
    """What a server sends, without lines in the head that are no headers: http.client would end the head there."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._is_head, self._is_informational = True, False
        self._skipped = 0

    def readline(self, limit: int = -1) -> bytes:
        """The next line."""
        while True:
            line = bytes(self._file.readline(limit))
            if not self._is_head or not line:
                return line
            if line.startswith(b"HTTP/"):
                self._is_informational = bool(_INFORMATIONAL.match(line))
                return line
            if not line.strip(b"\r\n"):
                self._is_head = self._is_informational
                return line
            if line[:1] in b" \t":  # the previous header goes on
                return line
            name, colon, value = line.partition(b":")
            if colon and name.strip():
                return name.replace(b" ", b"") + colon + value
            self._skipped += 1
            if self._skipped > _MAX_SKIPPED:
                raise http.client.HTTPException("too many lines that are no headers")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Response(http.client.HTTPResponse):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp: Any = _Lines(self.fp)


def get(url: URL, headers: Mapping[str, str], *, most: int, seconds: float, allow_private: bool) -> LenientResponse:
    """The response to a GET request, without following redirects. Blocks, for about ``seconds`` at most.

    ``most``: bytes of the body. Raises ``LenientError`` and ``OSError``, also for addresses that are not public.
    """
    until = time.monotonic() + seconds
    host, port = url.raw_host or "", url.port or 80
    connection = http.client.HTTPConnection(host, port)
    connection.response_class = _Response
    try:
        connection.sock = _connected(host, port, until, allow_private=allow_private)
        if url.scheme == "https":
            connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
        connection.putrequest("GET", url.raw_path_qs, skip_host=True, skip_accept_encoding=True)
        default = url.is_default_port()
        connection.putheader("Host", f"[{host}]" if ":" in host and default else host if default else f"{host}:{port}")
        for name, value in {**headers, "Connection": "close"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        found = CIMultiDict(response.getheaders())
        return LenientResponse(response.status, CIMultiDictProxy(found), _cookies(found), _body(response, most, until))
    except http.client.IncompleteRead as error:
        raise LenientError("the response ends before it is complete", is_cut=True) from error
    except (http.client.HTTPException, UnicodeError) as error:
        raise LenientError(f"not a valid HTTP response: {type(error).__name__}") from error
    finally:
        connection.close()


def _connected(host: str, port: int, until: float, *, allow_private: bool) -> socket.socket:
    failed: OSError | None = None
    for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        family, kind, protocol, _, address = found
        try:
            made = socket.socket(family, kind, protocol) if allow_private else public_socket(found)
        except OSError as error:
            failed = failed or error
            continue
        try:
            made.settimeout(_left(until))
            made.connect(address)
        except OSError as error:
            made.close()
            failed = failed or error
        else:
            return made
    raise failed or OSError(f"{host} has no address")


def _body(response: http.client.HTTPResponse, most: int, until: float) -> bytes:
    """The body up to the end of the connection, whatever length is announced; not shorter than that."""
    announced = response.length or 0
    if not response.chunked:
        response.length = None
    body = bytearray()
    try:
        while time.monotonic() < until and len(body) <= most:
            chunk = response.read1(_CHUNK)
            if not chunk:
                break
            body += chunk
    except TimeoutError:
        # The server keeps the connection although it was asked to close it.
        if not announced or len(body) < announced:
            raise
    if len(body) < announced and len(body) <= most:
        raise http.client.IncompleteRead(b"")
    return bytes(body[: most + 1])


def _cookies(headers: CIMultiDict[str]) -> SimpleCookie:
    cookies = SimpleCookie()
    for header in headers.getall("Set-Cookie", ()):
        with contextlib.suppress(CookieError):
            cookies.load(header)
    return cookies


def _left(until: float) -> float:
    return min(max(until - time.monotonic(), 0.001), _STEP_SECONDS)
