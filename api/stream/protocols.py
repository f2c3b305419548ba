"""uvicorn protocols that expose the connection below ASGI: to close it for certain, and to write finished frames.

ASGI can only send to a client that reads. A client that does not read would keep its connection and buffers forever,
because closing waits until everything was sent. And a frame for a thousand clients would be a thousand messages,
coroutines and encodings. Both protocols therefore put themselves into ``scope["extensions"]["khabar"]``, so that an
endpoint can end a connection whatever its client does, and write finished frames to it.
"""

import contextlib
import fcntl
import json
import os
import socket
import struct
import termios
from asyncio import BaseTransport, Handle, TimerHandle, Transport
from collections.abc import Callable
from typing import Any, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from api.http_protocol import BoundedHttp
from services import problems

_EXTENSION = "khabar"
# A connection is full while more than the high mark is buffered, until less than the low mark is.
_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024
# A client that closes has this long to read what it was sent before, and the answer to its close.
_LINGER_SECONDS = 2.0
# Payloads below these sizes have a frame header of two and of four bytes.
_SHORT, _MEDIUM = 126, 65_536
# Input is parsed in slices of this size: the loop reads far more at once, and thousands of frames block other clients.
_SLICE_BYTES = 4 * 1024
# Frames of one message; ops are small, and each frame costs more than its bytes.
_MAX_FRAMES = 64

# The head of a handshake has been checked before; these limits of websockets are lower.
http11.MAX_LINE_LENGTH = BoundedHttp.url_bytes + BoundedHttp.header_bytes
http11.MAX_NUM_HEADERS = BoundedHttp.max_headers


def text_frame(text: bytes) -> bytes:
    """A complete WebSocket text frame as a server sends it, unmasked (RFC 6455, 5.2)."""
    size = len(text)
    if size < _SHORT:
        return struct.pack("!BB", 0x81, size) + text
    if size < _MEDIUM:
        return struct.pack("!BBH", 0x81, 126, size) + text
    return struct.pack("!BBQ", 0x81, 127, size) + text


# Valid inside JSON strings, but many clients split lines at them. With how JSON escapes them.
_LINE_BREAKS = tuple((mark.encode(), f"\\u{ord(mark):04x}".encode()) for mark in "\u0085\u2028\u2029")


def escape_line_breaks(data: bytes) -> bytes:
    """The same JSON without U+0085, U+2028 and U+2029, at which many clients split lines."""
    for mark, escaped in _LINE_BREAKS:
        if mark in data:
            data = data.replace(mark, escaped)
    return data


def as_line(message: object) -> str:
    """A message as JSON on one line."""
    return escape_line_breaks(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()).decode()


class ConnectionListener(Protocol):
    """Is called when the connection it writes to changes, synchronously within the call that caused the change."""

    def on_backpressure(self) -> None:
        """The connection's buffer is full: write no more until ``drain`` returns."""

    def on_disconnect(self) -> None:
        """The connection takes no more frames: it is closed or closing."""


class WebSocketConnection(Protocol):
    """What a WebSocket endpoint can do below ASGI."""

    @property
    def is_open(self) -> bool:
        """Whether frames can be written: the handshake is done, and neither side has closed."""

    @property
    def is_full(self) -> bool:
        """Whether the buffer of unsent bytes is full."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """A function that writes a complete frame synchronously; call it only while the connection is open."""

    def set_listener(self, listener: ConnectionListener | None) -> None:
        """Call this listener from now on when the connection changes."""

    def pending_bytes(self) -> int:
        """Bytes that the client has not acknowledged; 0 when the kernel has taken all of them."""

    async def drain(self) -> None:
        """Return when the connection is not full, or is lost."""

    def close_with(self, text: str, code: int, *, grace: float) -> None:
        """Send a last frame and close; reset the connection when the client has not read both in ``grace`` seconds."""


class HttpConnection(Protocol):
    """What an HTTP endpoint can do below ASGI."""

    def abort(self) -> None:
        """Reset the connection at once; unsent bytes are dropped."""


def websocket_connection(scope: Any) -> WebSocketConnection:
    """The connection of a WebSocket endpoint. The server must run with ``WebSockets``."""
    return cast(WebSocketConnection, scope["extensions"][_EXTENSION])


def http_connection(scope: Any) -> HttpConnection:
    """The connection of an HTTP endpoint. The server must run with ``Http``."""
    return cast(HttpConnection, scope["extensions"][_EXTENSION])


def _reset(transport: Transport) -> None:
    """Reset a connection at once. The kernel drops its unsent bytes too, which it would otherwise keep for minutes."""
    with contextlib.suppress(OSError, ValueError):  # the socket has just been closed
        number = transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Handshake(ServerProtocol):
    """The protocol of websockets, which rejects a handshake with a problem document."""

    def reject(self, status: Any, text: str) -> Response:
        """The answer to a handshake that fails."""
        response = super().reject(status, text)
        response.body = bytes(problems.response(problems.problem(response.status_code, text.strip())).body)
        for name, value in (("Content-Type", problems.MEDIA_TYPE), ("Content-Length", str(len(response.body)))):
            del response.headers[name]
            response.headers[name] = value
        return response


class WebSockets(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, extended to write finished frames and to close when a client does not read.

    Writing a frame without going through ``conn`` is safe: ``conn`` keeps no count of what it sends, returns what it
    has to send at once, and neither it nor uvicorn sends a message of several frames. Only a frame after a close would
    be wrong, so the listener is called before anything else can be written. Extensions must be off
    (``ws_per_message_deflate=False``).
    """

    is_full = False

    _listener: ConnectionListener | None = None
    _reset_timer: TimerHandle | None = None
    _next: Handle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Handshake(max_size=self.config.ws_max_size, logger=self.logger)

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound the buffer of unsent bytes."""
        self._unparsed = bytearray()
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER, low=_LOW_WATER)

    def handle_connect(self, event: Request) -> None:
        """Hand the connection to the endpoint, whose task has not run yet."""
        super().handle_connect(event)
        if self.handshake_initiated and not self.handshake_complete:
            cast(dict[str, object], self.scope["extensions"])[_EXTENSION] = self

    @property
    def is_open(self) -> bool:
        """Whether frames can be written: the handshake is done, and neither side has closed."""
        return (
            self.handshake_complete
            and not self.close_sent
            and not self.disconnected
            and self.conn.state is State.OPEN
            and not self.transport.is_closing()
        )

    @property
    def write(self) -> Callable[[bytes], None]:
        """A function that writes a complete frame synchronously; call it only while the connection is open."""
        return self.transport.write

    def set_listener(self, listener: ConnectionListener | None) -> None:
        """Call this listener from now on when the connection changes."""
        self._listener = listener
        # The handshake is over: what is still needed of it is in the scope.
        self.__dict__.pop("request", None)
        self.__dict__.pop("response", None)

    def pending_bytes(self) -> int:
        """Bytes that the client has not acknowledged; 0 when the kernel has taken all of them."""
        here: int = self.transport.get_write_buffer_size()
        if not here:
            return 0
        # The kernel takes more only in large steps, so its own queue has to show whether a slow client reads.
        try:
            answer = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):  # the socket has just been closed
            return here
        return here + int(struct.unpack("i", answer)[0])

    async def drain(self) -> None:
        """Return when the connection is not full, or is lost."""
        await self.writable.wait()

    def pause_writing(self) -> None:
        """The buffer is full."""
        super().pause_writing()
        self.is_full = True
        if self._listener is not None:
            self._listener.on_backpressure()

    def resume_writing(self) -> None:
        """The buffer has capacity again."""
        self.is_full = False
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse input slice by slice: other tasks run between two slices, and no more is read meanwhile."""
        if not self._unparsed and len(data) <= _SLICE_BYTES:
            self._parse(data)
            return
        self._unparsed += data
        self.transport.pause_reading()
        self._schedule_parse()

    async def receive(self) -> Any:
        """The next message. When the endpoint has received all parsed messages, the next slice is parsed."""
        message = await super().receive()
        if self._unparsed and not self.transport.is_closing():
            self.transport.pause_reading()
            self._schedule_parse()
        return message

    def handle_cont(self, event: Frame) -> None:
        """Accept a continuation frame, unless the message has too many frames."""
        if self.close_sent:
            return
        if len(self.frames) < _MAX_FRAMES:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.send_close(CloseCode.MESSAGE_TOO_BIG)
        self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        """Pass on a message. Text that is not UTF-8 is the client's error: close, instead of logging an exception."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer, unless the client does not read the answers."""
        if self.is_full:
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def _schedule_parse(self) -> None:
        if self._next is None and not self.read_paused:
            self._next = self.loop.call_soon(self._parse_slice)

    def _parse_slice(self) -> None:
        self._next = None
        if self.disconnected or self.read_paused:
            return
        data = bytes(self._unparsed[:_SLICE_BYTES])
        del self._unparsed[:_SLICE_BYTES]
        self._parse(data)
        if self._unparsed:
            self._schedule_parse()
        elif not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # uvicorn waits for a request that websockets has refused.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
            return
        # The data may have been the client's close.
        if self.handshake_complete and not self.is_open:
            self._disconnect_listener()
            self._reset_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._disconnect_listener()
        if self._reset_timer is not None:
            self._reset_timer.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close because the server stops."""
        self._disconnect_listener()
        super().shutdown()

    def keepalive_timeout(self) -> None:
        """Close because the client does not answer pings."""
        self._disconnect_listener()
        super().keepalive_timeout()
        self._reset_later()

    def _disconnect_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.on_disconnect()

    def _reset_later(self) -> None:
        # uvicorn waits until everything is sent, which never happens when the client does not read.
        if self._reset_timer is None and not self.disconnected:
            self._reset_timer = self.loop.call_later(_LINGER_SECONDS, _reset, self.transport)
            self.writable.set()

    def close_with(self, text: str, code: int, *, grace: float) -> None:
        """Send a last frame and close; reset the connection when the client has not read both in ``grace`` seconds."""
        self._disconnect_listener()
        if self.close_sent or self.disconnected:
            return
        self.stop_keepalive()
        with contextlib.suppress(InvalidState):  # the client's own close was faster
            self.conn.send_text(text.encode())
            self.conn.send_close(code)
            # A few bytes after those already buffered: no need to wait until the client reads.
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(grace, _reset, self.transport)
        if self.read_paused:
            self.read_paused = False
            if self._unparsed:
                self._schedule_parse()
            else:
                self.transport.resume_reading()
        # Unblock the endpoint: it receives nothing more and need not wait to write.
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        self.writable.set()


class _HttpConnection:
    """The connection of a request. Not the protocol itself, which has the scope: that would be a reference cycle."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def abort(self) -> None:
        """Reset the connection at once; unsent bytes are dropped."""
        _reset(self._transport)


class Http(BoundedHttp):
    """The HTTP protocol of the gateway, extended to reset the connection of a client that does not read."""

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket protocol."""
        super().handle_websocket_upgrade()
        # Parser and connection refer to each other. Break the cycle, or the head of the request stays in memory until
        # the garbage collector runs.
        self.parser = cast(Any, None)

    def on_message_begin(self) -> None:
        """Put the connection into the scope of the new request."""
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = {_EXTENSION: _HttpConnection(self.transport)}
