"""uvicorn's HTTP protocol, extended so that every request is answered or its connection closed.

uvicorn bounds neither the size of a head nor the time until head and body are complete; it leaves some upgrade
requests without an answer, and sends chunks to HTTP/1.0 clients. What is refused here, before the application sees
it, is answered with a problem document (RFC 9457) after the answers to all requests before it.
"""

import logging
from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, ClassVar, cast

import httptools
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from services import problems

# Unread input when a connection is closed would reset it, and the client might never read the answer. So the rest of a
# refused request is read and dropped for this long.
_LINGER_SECONDS = 2.0
# More refused clients at once are an attack: their connections are closed right away.
_MAX_LINGERING = 32

Admit = Callable[[str | None], AbstractContextManager[None]]


class Refused(Exception):
    """Ends a request, and its connection, with this problem. ``headers`` are added to the answer."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self, *, head_only: bool) -> bytes:
        """The whole answer, as bytes."""
        body = problems.problem(self.status, self.detail).model_dump_json(exclude_none=True).encode()
        headers = {
            "date": formatdate(usegmt=True),
            "content-type": problems.MEDIA_TYPE,
            "content-length": str(len(body)),
            "connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head_only else body)


class BoundedHttp(HttpToolsProtocol):
    """Bounds a request's head in bytes, a request in seconds, and the unfinished heads of one address.

    ``admit`` counts a connection of an address from the start of a head to its end, and raises ``Refused`` when the
    address has too many.
    """

    url_bytes = 64 * 1024
    header_bytes = 64 * 1024
    max_headers = 128
    head_seconds = 20.0
    # Longer than ingest takes to refuse a slow body, so that its answer is the one that is sent.
    body_seconds = 90.0

    # Input since the current head began: none before its first byte.
    _head = 0
    _headers = 0
    _reading_head = True
    _reading_body = False
    _timer: TimerHandle | None = None
    # The answer that ends the connection, as soon as the requests before it are answered.
    _refusal: bytes | None = None
    _ended = False

    def __init__(self, *args: Any, admit: Admit | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._admit = admit
        self._counted = ExitStack()

    # The connections of this process that are kept for the rest of a refused request.
    _lingering: ClassVar[set["BoundedHttp"]] = set()

    def connection_made(self, transport: BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(cast(Transport, transport))
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        self._counted.close()
        self._lingering.discard(self)
        super().connection_lost(exc)

    # ------------------------------------------------------------ input

    def data_received(self, data: bytes) -> None:
        """Parse input, or drop it when a request was refused before it."""
        self._unset_keepalive_if_required()
        if self._refusal is not None or self._ended:
            return
        # The parser keeps a header until it is complete, so unfinished ones are only in this sum. Input that begins
        # with the end of another request does not count.
        if self._reading_head:
            if self._timer is None:
                self._start_head()
            self._head += len(data)
        try:
            self.parser.feed_data(data)
            if self._reading_head and self._head > self.url_bytes + self.header_bytes:
                raise self._too_large()
        except Refused as refused:
            self._refuse(refused)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(_reason(error))

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head = max(self._head, 1)
        self._headers = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """The request target, or a part of it."""
        super().on_url(url)
        if len(self.url) > self.url_bytes:
            raise self._too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer of a chunked body, which is dropped."""
        if not self._reading_head:
            return
        self._headers += len(name) + len(value) + 4
        if self._headers > self.header_bytes or len(self.headers) >= self.max_headers:
            raise self._too_large()
        super().on_header(name, value)

    def _too_large(self) -> Refused:
        if len(self.url) > self.url_bytes:
            return Refused(414, f"the request target is longer than {self.url_bytes} bytes")
        return Refused(
            431, f"the headers are more than {self.max_headers}, or larger than {self.header_bytes} bytes in all"
        )

    def on_headers_complete(self) -> None:
        """The head is complete: check it, and pass the request on."""
        self._reading_head = False
        self._stop_timer()
        self._counted.close()
        version, method = self.parser.get_http_version(), self.parser.get_method()
        names = [name for name, _ in self.headers]
        if version not in {"1.0", "1.1"}:
            raise Refused(505, "this server speaks HTTP/1.1 and HTTP/1.0")
        if method == b"CONNECT":
            raise Refused(501, "this server is no proxy: CONNECT is not implemented")
        if names.count(b"host") != 1 and not (version == "1.0" and b"host" not in names):
            raise Refused(400, "a request has exactly one header Host")
        self._make_origin_form(method)
        if self.parser.should_upgrade():
            if not self._should_upgrade():
                return  # the request is parsed again without its upgrade
            if b"transfer-encoding" in names or any(value != b"0" for value in self._values(b"content-length")):
                raise Refused(400, "a WebSocket handshake has no body")
            if self._values(b"sec-websocket-version") != [b"13"]:
                raise Refused(426, "Sec-WebSocket-Version must be 13", sec_websocket_version="13", upgrade="websocket")
        else:
            self._reading_body = True
            self._start_timer(self.body_seconds, "body")
        super().on_headers_complete()
        if version == "1.0" and self.cycle is not None:
            self.cycle.send = _unchunked(self.cycle)  # type: ignore[assignment, method-assign]

    def on_message_complete(self) -> None:
        """A request is complete; the next one may follow."""
        self._stop_timer()
        if not (self.parser.should_upgrade() and not self._should_upgrade()):
            self._reading_head = True
            self._reading_body = False
            self._head = 0
            super().on_message_complete()

    def _values(self, name: bytes) -> list[bytes]:
        return [value.strip() for known, value in self.headers if known == name]

    def _make_origin_form(self, method: bytes) -> None:
        """Of ``http://host/path`` keep the path, and the host in place of the header (RFC 9112, 3.2.2)."""
        if self.url == b"*" and method == b"OPTIONS":
            self.url = b"/"
        try:
            url = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            raise Refused(400, "the request target is not a valid URL") from None
        if url.host is None:
            return
        host = b"[%b]" % url.host if b":" in url.host else url.host
        host += b":%d" % url.port if url.port else b""
        # In place: the scope has this very list.
        self.headers[:] = [(name, host if name == b"host" else value) for name, value in self.headers]
        self.url = (url.path or b"/") + (b"?" + url.query if url.query else b"")

    # ------------------------------------------------------------ upgrades

    def _should_upgrade(self) -> bool:
        """Whether to speak WebSocket from here on. Any other upgrade is ignored (RFC 9110, 7.8)."""
        return (
            self.parser.get_http_version() == "1.1"
            and self.parser.get_method() == b"GET"
            and bool(super()._should_upgrade())
        )

    def _upgrade(self, rest: bytes) -> None:
        if self._should_upgrade():
            self.handle_websocket_upgrade()
            return
        # The parser stops at an upgrade, and takes the body for another protocol: parse again, without that header.
        version = self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        head += [b"%b: %b" % one for one in self.headers if one[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._reading_head = True
        self.data_received(b"\r\n".join([*head, b"", b""]) + rest)

    # ------------------------------------------------------------ time

    def _start_head(self) -> None:
        self._reading_head = True
        try:
            if self._admit is not None:
                self._counted.enter_context(self._admit(self.client[0] if self.client else None))
        except Refused as refused:
            self._refuse(refused)
        else:
            self._start_timer(self.head_seconds, "head")

    def _start_timer(self, seconds: float, part: str) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._on_timeout, seconds, part)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self, seconds: float, part: str) -> None:
        self._timer = None
        if part == "head" and not self._head:
            self.transport.abort()  # the client has sent nothing
        elif part == "body" and self.flow.read_paused:
            self._start_timer(seconds, part)  # the server reads slowly, not the client
        else:
            self._refuse(Refused(408, f"the {part} of the request did not arrive within {seconds:g} s"))

    # ------------------------------------------------------------ refusals

    def _refuse(self, refused: Refused) -> None:
        """Answer, after the answers to the requests before, and close."""
        self._stop_timer()
        self._counted.close()
        head_only = self._head > 0 and self.parser.get_method() == b"HEAD"
        self._refusal = refused.answer(head_only=head_only)
        if self._reading_body:
            if self.pipeline:
                self.pipeline.popleft()  # this request still waits for the answers to those before it
            elif self.cycle.response_started:
                self.transport.close()
            else:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
                self._end()
        elif self.cycle is None or self.cycle.response_complete:
            self._end()

    def on_response_complete(self) -> None:
        """Start the next request that waits; after the last one before a refused request, refuse that."""
        last = not self.pipeline
        super().on_response_complete()
        if self._refusal is not None and last:
            self._end()

    def _end(self) -> None:
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._unset_keepalive_if_required()
        self.transport.write(self._refusal or b"")
        if len(self._lingering) >= _MAX_LINGERING:
            self.transport.close()
            return
        self._lingering.add(self)
        self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)


def _reason(error: httptools.HttpParserError) -> Refused:
    cause = error.__context__
    if isinstance(error, httptools.HttpParserCallbackError):
        if isinstance(cause, Refused):
            return cause
        logging.getLogger(__name__).error("http_parser_failed", exc_info=cause)
        return Refused(400, "the request is not valid HTTP")
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return Refused(501, "the request method is not known")
    if "HTTP version" in str(error) or "PRI" in str(error):
        return Refused(505, "this server speaks HTTP/1.1 and HTTP/1.0")
    return Refused(400, f"the request is not valid HTTP: {error}")


def _unchunked(cycle: RequestResponseCycle) -> Callable[[ASGISendEvent], Coroutine[Any, Any, None]]:
    """The cycle's ``send`` for HTTP/1.0, where an answer without a length ends with the connection."""
    send_chunked = cycle.send

    async def send(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            cycle.chunked_encoding = False
        elif message["type"] == "http.response.body":
            cycle.expected_content_length = len(message.get("body", b""))
        await send_chunked(message)

    return send
