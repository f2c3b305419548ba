"""One subscription across reconnects: the messages of the gateway as JSON objects.

States: *waiting* (for the next attempt to connect) → *connected* (messages arrive) → *waiting*, until it is closed or
the gateway gives a final answer. All messages go through one queue in the order of arrival, so that the cursor only
advances past messages that the caller has finished.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from khabar.backoff import Backoff
from khabar.errors import Refused, TooOld

if TYPE_CHECKING:
    from typing_extensions import Self

OnGap = Literal["raise", "skip"]

# Seconds without a message after which the connection counts as dead; the gateway sends a heartbeat every 15 s.
SILENCE = 40.0
_FIRST_DELAY = 0.5
_MAX_DELAY = 15.0
# An event of 8 MB may be three times as long when its line breaks are escaped.
_MAX_FRAME_BYTES = 32 * 1024 * 1024
_CLOSE_TIMEOUT = 2.0
_PATH = "/v1/stream"
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PING = '{"op":"ping"}'
# Messages whose cursor covers everything delivered so far.
_POSITIONS = {"subscribed", "heartbeat"}
# Errors that a retry would get again.
_FINAL = {"bad_filter", "bad_cursor", "bad_request", "unauthorized", "forbidden"}
# 4xx answers to the handshake that are temporary, usually from a busy proxy.
_TEMPORARY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}

log = logging.getLogger("khabar")


def _log_warning(event: str, **fields: object) -> None:
    log.warning("%s %s", event, " ".join(f"{name}={value!r}" for name, value in fields.items()))


class Stream:
    """The envelopes of one subscription, each once, in order; an async context manager for one task at a time.

    Entering waits until the subscription is active, however long the gateway is unavailable. ``cursor`` is that of the
    last envelope that the caller has finished; it finishes one by requesting the next. ``report`` is called with an
    event name and fields at ``stream_interrupted`` (url, reason) and ``stream_gap_skipped`` (url).
    """

    def __init__(  # noqa: PLR0913 - what a subscription is made of
        self,
        url: str,
        parameters: Sequence[tuple[str, str]] = (),
        *,
        cursor: str | None = None,
        since: str | None = None,
        api_key: str | None = None,
        on_gap: OnGap = "raise",
        report: Callable[..., None] = _log_warning,
    ) -> None:
        self.cursor = cursor
        self.on_gap = on_gap
        self._url = url
        self._parameters = list(parameters)
        self._since = since
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._report = report
        self._arrived: deque[dict[str, Any]] = deque()
        self._delivered: str | None = None
        self._reading: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._backoff = Backoff(_FIRST_DELAY, _MAX_DELAY)
        self._connect_at = 0.0
        self._active = False
        self._closed = False

    async def __aenter__(self) -> "Self":
        """Subscribe. Raises ``Refused`` or ``TooOld``; ``RuntimeError`` after ``close``."""
        if self._closed:
            raise RuntimeError("a subscription can be entered only once")
        try:
            while not self._active:
                await self._arrival()
                self._handle_messages()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def __aiter__(self) -> "Self":
        return self

    async def __anext__(self) -> dict[str, Any]:
        """The next envelope. Raises ``Refused`` or ``TooOld``. Cancellation loses no envelope."""
        if self._delivered is not None:
            self.cursor, self._delivered = self._delivered, None
        self._handle_messages()
        while not self._arrived:
            await self._arrival()
            self._handle_messages()
        envelope = self._arrived.popleft()
        self._delivered = envelope["cursor"]
        return envelope

    async def close(self) -> None:
        """Close the connection; no envelope is delivered after that."""
        self._closed = True
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled():
                reading.exception()  # retrieved, so that asyncio does not report it
        await self._disconnect()

    def _handle_messages(self) -> None:
        """Handle the messages that arrived before the first envelope. Raises ``Refused`` or ``TooOld``."""
        while self._arrived and "data" not in self._arrived[0]:
            message = self._arrived.popleft()
            if message["type"] == "error":
                self._handle_error(message)
            elif message["type"] in _POSITIONS:
                self.cursor = message["cursor"]

    async def _arrival(self) -> None:
        """Return when a message has arrived. Raises ``StopAsyncIteration`` after ``close``."""
        if self._closed:
            raise StopAsyncIteration
        # A separate task, so that a cancelled caller does not interrupt it, not even between two connections.
        reading = self._reading = self._reading or asyncio.create_task(self._read())
        await asyncio.wait({reading})
        if self._closed:
            raise StopAsyncIteration
        self._reading = None
        reading.result()

    async def _read(self) -> None:
        """Wait for one frame, and reconnect as often as needed. Raises ``Refused``."""
        while not self._arrived:
            try:
                if self._socket is None:
                    await asyncio.sleep(max(0.0, self._connect_at - time.monotonic()))
                    self._socket = await self._connect()
                    if not self._headers:
                        # A gateway that requires a key waits for it in the first frame. Any other frame makes it
                        # answer at once.
                        with contextlib.suppress(ConnectionClosed):  # the reason for the close is read below
                            await self._socket.send(_PING)
                frame = await asyncio.wait_for(self._socket.recv(), SILENCE)
            except InvalidStatus as error:
                await self._interrupted(self._status(error.response.status_code))
            except InvalidURI as error:
                raise Refused("no_stream", str(error)) from None
            except (TimeoutError, asyncio.TimeoutError):  # two classes in Python 3.10
                await self._interrupted("the gateway does not answer")
            except (OSError, InvalidHandshake, ConnectionClosed) as error:
                await self._interrupted(_reason(error))
            else:
                self._arrived.extend(self._messages(frame))

    async def _connect(self) -> ClientConnection:
        return await connect_websocket(
            self._address(),
            additional_headers=self._headers,
            compression=None,
            max_size=_MAX_FRAME_BYTES,
            close_timeout=_CLOSE_TIMEOUT,
            # Heartbeats show that the gateway is alive, and a caller who reads slowly is not disconnected.
            ping_interval=None,
        )

    async def _interrupted(self, reason: str) -> None:
        await self._disconnect()
        self._connect_at = time.monotonic() + self._backoff.next() * random.uniform(0.5, 1)  # noqa: S311 - jitter
        self._report("stream_interrupted", url=self._url, reason=reason)

    async def _disconnect(self) -> None:
        if self._socket is not None:
            try:
                await self._socket.close()
            finally:
                self._socket.transport.abort()
            self._socket = None

    def _messages(self, frame: str | bytes) -> list[dict[str, Any]]:
        """The messages in a frame. Raises ``Refused`` when they are not those of a gateway."""
        try:
            messages = [json.loads(line) for line in str(frame).split("\n")]
            valid = [one for one in messages if one["type"] != "error"]
            if not all(one["cursor"] for one in valid if "data" in one or one["type"] in _POSITIONS):
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise Refused("no_stream", f"{self._url} does not send Khabar's stream") from None
        if valid:
            self._backoff.reset()
            self._active = True
        return messages

    def _handle_error(self, error: dict[str, Any]) -> None:
        """Continue after an error that a reconnect can resolve. Raises ``Refused`` or ``TooOld``.

        The error's ``cursor`` is not used: it is never beyond what was received here.
        """
        code, message = str(error.get("code")), str(error.get("message"))
        if code in _FINAL:
            raise Refused(code, message)
        if code == "cursor_too_old":
            if self.on_gap == "raise":
                raise TooOld(str(error.get("oldest")), message)
            self._report("stream_gap_skipped", url=self._url)
            self.cursor = error.get("oldest")
        else:
            log.info("stream_error url=%r code=%r message=%r", self._url, code, message)

    def _address(self) -> str:
        """The address to connect to, which resumes at the cursor. Raises ``Refused``."""
        try:
            parts = urlsplit(self._url if "://" in self._url else f"http://{self._url}")
            # urlsplit checks the port only when it is read, and nothing checks the host before the resolver.
            _ = parts.port, (parts.hostname or "").encode("idna")
        except ValueError as error:
            raise Refused("no_stream", f"{self._url} is not an address: {error}") from None
        query = list(self._parameters)
        if self.cursor:
            query.append(("cursor", self.cursor))
        elif self._since:
            query.append(("since", self._since))
        scheme = _SCHEMES.get(parts.scheme)
        if scheme is None:
            raise Refused("no_stream", f"{self._url} is not an address of a gateway: use {', '.join(_SCHEMES)}")
        path = parts.path.rstrip("/").removesuffix(_PATH) + _PATH
        return urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))

    def _status(self, status: int) -> str:
        """The reason for a failed handshake when a retry may succeed. Raises ``Refused`` when it will not."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TEMPORARY:
            if status == HTTPStatus.UNAUTHORIZED:
                raise Refused("unauthorized", f"{self._url} requires an API key")
            raise Refused("no_stream", f"{self._url} answers {status}: no stream is open to you there")
        return f"the gateway answers {status}"


def _reason(error: Exception) -> str:
    # asyncio's message for a failed connection is a tuple of the address.
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
