"""The connections beneath ASGI, where the gateway needs more than ASGI offers: an end that is certain.

ASGI can only send to a client that reads. A client that does not would keep its connection and buffers for
ever, because closing waits until everything was sent. Both protocols therefore put themselves into
``scope["extensions"]["khabar"]``, so that an endpoint can end a connection whatever its client does.
"""

import contextlib
from asyncio import BaseTransport, TimerHandle, Transport
from typing import Any, Protocol, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

_EXTENSION = "khabar"


class WebSocketConnection(Protocol):
    """What a WebSocket endpoint can do beneath ASGI."""

    def farewell(self, text: str, code: int, *, grace: float) -> None:
        """Send a last frame and close; cut the line when the client has not taken both after ``grace`` seconds."""


class HttpConnection(Protocol):
    """What an HTTP endpoint can do beneath ASGI."""

    def abort(self) -> None:
        """Cut the line at once; what was not sent yet is dropped."""


def websocket_connection(scope: Any) -> WebSocketConnection:
    """The connection of a WebSocket endpoint. The server must run with ``WebSockets``."""
    return cast(WebSocketConnection, scope["extensions"][_EXTENSION])


def http_connection(scope: Any) -> HttpConnection:
    """The connection of an HTTP endpoint. The server must run with ``Http``."""
    return cast(HttpConnection, scope["extensions"][_EXTENSION])


class WebSockets(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, able to say goodbye to a client that does not read."""

    def handle_connect(self, event: Request) -> None:
        """Hand the connection to the endpoint, whose task has not run yet."""
        super().handle_connect(event)
        if self.handshake_initiated and not self.handshake_complete:
            cast(dict[str, object], self.scope["extensions"])[_EXTENSION] = self

    def farewell(self, text: str, code: int, *, grace: float) -> None:
        """Send a last frame and close; cut the line when the client has not taken both after ``grace`` seconds."""
        if self.close_sent or self.disconnected:
            return
        self.stop_keepalive()
        with contextlib.suppress(InvalidState):  # the client's own close was faster
            self.conn.send_text(text.encode())
            self.conn.send_close(code)
            # Behind what waits already, and a few bytes only: no need to wait until the client reads.
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(grace, self.transport.abort)
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()


class Http(HttpToolsProtocol):
    """uvicorn's HTTP protocol, able to cut the line of a client that does not read.

    A request's head has bounds in bytes and seconds, which uvicorn gives it neither: a client that never comes
    to the end of it holds nothing for long.
    """

    head_bytes = 64 * 1024
    head_seconds = 20.0

    _head = 0
    _reading_head = True
    _head_timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(cast(Transport, transport))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came, unless the head of the request is out of all proportion."""
        super().data_received(data)
        if self._reading_head:
            self._head += len(data)
            if self._head > self.head_bytes and not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
                self.transport.close()

    def on_message_begin(self) -> None:
        """Hand the connection to the endpoint of the request that begins."""
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = {_EXTENSION: self}
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_arrived()
        super().on_headers_complete()

    def abort(self) -> None:
        """Cut the line at once; what was not sent yet is dropped."""
        self.transport.abort()

    def _expect_head(self) -> None:
        self._reading_head = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _head_arrived(self) -> None:
        self._reading_head = False
        self._head = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
