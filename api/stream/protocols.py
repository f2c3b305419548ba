"""The connections beneath ASGI, where the gateway needs more than ASGI offers: a certain end, and cheap frames.

ASGI can only send to a client that reads. A client that does not would keep its connection and buffers for
ever, because closing waits until everything was sent. And a frame that a thousand clients get is a thousand times
a message, a coroutine and an encoding. Both protocols therefore put themselves into
``scope["extensions"]["khabar"]``, so that an endpoint can end a connection whatever its client does, and write
finished frames to it.
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

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State

_EXTENSION = "khabar"
# When more than the first waits in a connection it is full, until less than the second does.
_FULL = 64 * 1024
_ROOM = 16 * 1024
# A client that closes has so long to take what it was sent before, and the answer to its close.
_LINGER_SECONDS = 2.0
_SHORT, _MEDIUM = 126, 65_536
# Taken in at once of what a client sends; the loop reads far more, and thousands of frames hold up everybody else.
_PIECE = 4 * 1024
# Frames of one message; ops are small, and each frame costs more than its bytes.
_MOST_FRAMES = 64


def text_frame(text: bytes) -> bytes:
    """A whole WebSocket text frame of a server, unmasked (RFC 6455, 5.2)."""
    size = len(text)
    if size < _SHORT:
        return struct.pack("!BB", 0x81, size) + text
    if size < _MEDIUM:
        return struct.pack("!BBH", 0x81, 126, size) + text
    return struct.pack("!BBQ", 0x81, 127, size) + text


def as_line(message: object) -> str:
    """A message as JSON on one line."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


class WebSocketUser(Protocol):
    """Who writes frames to a connection, and is told at once, within the call that brought it about."""

    def full(self) -> None:
        """More waits in the connection than should: write no more until there is ``room``."""

    def lost(self) -> None:
        """The connection takes no more frames: it is closed or closing."""


class WebSocketConnection(Protocol):
    """What a WebSocket endpoint can do beneath ASGI."""

    @property
    def is_open(self) -> bool:
        """Whether frames can be written: the handshake is done, and neither side has closed."""

    @property
    def is_full(self) -> bool:
        """Whether more waits than should."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Writes a whole frame, synchronously; to be called only while the connection is open."""

    def use(self, user: WebSocketUser | None) -> None:
        """Tell this one from now on what becomes of the connection."""

    def waiting(self) -> int:
        """Bytes that the client has not taken yet; 0 when all of them have gone to the kernel."""

    async def room(self) -> None:
        """Return when the connection is not full, or is lost."""

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


def _cut_off(transport: Transport) -> None:
    """Cut a line at once. The kernel too forgets what was not sent; otherwise it holds it for minutes."""
    with contextlib.suppress(OSError, ValueError):  # it has just been closed
        number = transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class WebSockets(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, able to take finished frames and to say goodbye to a client that does not read.

    A frame that is written past ``conn`` is as good as one of its own: ``conn`` counts nothing of what it sends,
    hands out what it has to send at once, and neither it nor uvicorn begins a message of several frames. What
    must not be is a frame behind a close; so whoever writes is told of one before anything else can be written.
    Extensions must be off (``ws_per_message_deflate=False``).
    """

    is_full = False

    _user: WebSocketUser | None = None
    _cut: TimerHandle | None = None
    _next: Handle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound what waits."""
        self._untaken = bytearray()
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_FULL, low=_ROOM)

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
        """Writes a whole frame, synchronously; to be called only while the connection is open."""
        return self.transport.write

    def use(self, user: WebSocketUser | None) -> None:
        """Tell this one from now on what becomes of the connection."""
        self._user = user
        # Of the handshake nothing is needed any more but what the scope has.
        self.__dict__.pop("request", None)
        self.__dict__.pop("response", None)

    def waiting(self) -> int:
        """Bytes that the client has not taken yet; 0 when all of them have gone to the kernel."""
        here: int = self.transport.get_write_buffer_size()
        if not here:
            return 0
        # The kernel takes more only in large steps: what it has itself tells whether a slow client takes anything.
        try:
            answer = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):  # it has just been closed
            return here
        return here + int(struct.unpack("i", answer)[0])

    async def room(self) -> None:
        """Return when the connection is not full, or is lost."""
        await self.writable.wait()

    def pause_writing(self) -> None:
        """Take note that too much waits."""
        super().pause_writing()
        self.is_full = True
        if self._user is not None:
            self._user.full()

    def resume_writing(self) -> None:
        """Take note that there is room again."""
        self.is_full = False
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take in what came, piece by piece: others get their turn between two, and no more is read meanwhile."""
        if not self._untaken and len(data) <= _PIECE:
            self._take(data)
            return
        self._untaken += data
        self.transport.pause_reading()
        self._go_on()

    async def receive(self) -> Any:
        """The next message; when the endpoint has all that were taken in, the next piece is."""
        message = await super().receive()
        if self._untaken and not self.transport.is_closing():
            self.transport.pause_reading()
            self._go_on()
        return message

    def handle_cont(self, event: Frame) -> None:
        """Take in a part of a message, unless there are too many."""
        if self.close_sent:
            return
        if len(self.frames) < _MOST_FRAMES:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.send_close(CloseCode.MESSAGE_TOO_BIG)
        self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        """Hand a message over, if it is one: text that is no UTF-8 is its client's error, not one for our log."""
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
        """Answer, unless the client does not take the answers."""
        if self.is_full:
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def _go_on(self) -> None:
        if self._next is None and not self.read_paused:
            self._next = self.loop.call_soon(self._take_piece)

    def _take_piece(self) -> None:
        self._next = None
        if self.disconnected or self.read_paused:
            return
        piece = bytes(self._untaken[:_PIECE])
        del self._untaken[:_PIECE]
        self._take(piece)
        if self._untaken:
            self._go_on()
        elif not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _take(self, data: bytes) -> None:
        super().data_received(data)
        # It may be the client's close.
        if self.handshake_complete and not self.is_open:
            self._lose()
            self._cut_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone."""
        self._lose()
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close because the server stops."""
        self._lose()
        super().shutdown()

    def keepalive_timeout(self) -> None:
        """Close because the client does not answer pings."""
        self._lose()
        super().keepalive_timeout()
        self._cut_later()

    def _lose(self) -> None:
        user, self._user = self._user, None
        if user is not None:
            user.lost()

    def _cut_later(self) -> None:
        # uvicorn waits until all is sent, which somebody who does not read puts off for ever.
        if self._cut is None and not self.disconnected:
            self._cut = self.loop.call_later(_LINGER_SECONDS, _cut_off, self.transport)
            self.writable.set()

    def farewell(self, text: str, code: int, *, grace: float) -> None:
        """Send a last frame and close; cut the line when the client has not taken both after ``grace`` seconds."""
        self._lose()
        if self.close_sent or self.disconnected:
            return
        self.stop_keepalive()
        with contextlib.suppress(InvalidState):  # the client's own close was faster
            self.conn.send_text(text.encode())
            self.conn.send_close(code)
            # Behind what waits already, and a few bytes only: no need to wait until the client reads.
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(grace, _cut_off, self.transport)
        if self.read_paused:
            self.read_paused = False
            if self._untaken:
                self._go_on()
            else:
                self.transport.resume_reading()
        # Nothing more will come to the endpoint, nor will it be asked to wait.
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        self.writable.set()


class _Line:
    """The line of a request, for its endpoint. Not the protocol: that has the scope, which would have it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def abort(self) -> None:
        """Cut the line at once; what was not sent yet is dropped."""
        _cut_off(self._transport)


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

    def handle_websocket_upgrade(self) -> None:
        """Hand the line to the WebSocket protocol."""
        super().handle_websocket_upgrade()
        # The parser calls this connection, and this connection the parser: only the garbage collector would end that,
        # late, and the head of the request hangs on it.
        self.parser = cast(Any, None)

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
        cast(dict[str, object], self.scope)["extensions"] = {_EXTENSION: _Line(self.transport)}
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_arrived()
        super().on_headers_complete()

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
