"""One subscription through every interruption: what the gateway sends, as JSON objects.

States: *waiting* (until it is time to connect) → *connected* (messages come) → *waiting*, until it is closed, or
the gateway gives an answer that it would give again. Everything that comes lies in one queue in the order in which
it came, so that the place to resume at only moves past what the caller is done with.
"""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Literal, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from khabar.errors import Refused, TooOld

OnGap = Literal["raise", "skip"]

# The gateway sends a heartbeat every 15 s at least.
SILENCE = 40.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_LARGEST_FRAME = 16 * 1024 * 1024
# How long the other side may take to answer our close.
_CLOSE_SECONDS = 2.0
_PATH = "/v1/stream"
_HELLO = '{"op":"ping"}'
# Messages that tell how far everything was handed over.
_PLACES = {"subscribed", "heartbeat"}
# Errors after which asking again can only give the same answer.
_FINAL = {"bad_filter", "bad_cursor", "bad_request", "unauthorized", "forbidden"}
# Answers to the handshake that pass although they are 4xx: what stands before the gateway is busy.
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}

_log = logging.getLogger("khabar")


class Stream:
    """Envelopes of one subscription, each once, in order; to be used by one task at a time, as a context.

    Entering waits until the subscription holds, however long the gateway is away. ``cursor`` stands after the last
    envelope that the caller is done with: it is done with one when it asks for the next.
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
        tell: Callable[[str], None] = _log.warning,
    ) -> None:
        self.cursor = cursor
        self.on_gap = on_gap
        self._url = url
        self._parameters = list(parameters)
        self._since = since
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._tell = tell
        self._arrived: deque[dict[str, Any]] = deque()
        self._given: str | None = None
        self._reading: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._pause = 0.0
        self._connect_at = 0.0
        self._began = False
        self._closed = False

    async def __aenter__(self) -> Self:
        """Subscribe. Raises ``Refused`` or ``TooOld``; ``RuntimeError`` when it was closed."""
        if self._closed:
            raise RuntimeError("a subscription is entered once")
        try:
            while not self._began:
                await self._arrival()
                self._take_note()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        """The next envelope. Raises ``Refused`` or ``TooOld``. Cancelled, it loses nothing."""
        if self._given is not None:
            self.cursor, self._given = self._given, None
        self._take_note()
        while not self._arrived:
            await self._arrival()
            self._take_note()
        envelope = self._arrived.popleft()
        self._given = envelope["cursor"]
        return envelope

    async def close(self) -> None:
        """Close the connection; nothing comes after that."""
        self._closed = True
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled():
                reading.exception()  # nobody waits for it any more
        await self._disconnect()

    def _take_note(self) -> None:
        """Deal with what has arrived, up to the first envelope. Raises ``Refused`` or ``TooOld``."""
        while self._arrived and "data" not in self._arrived[0]:
            message = self._arrived.popleft()
            if message["type"] == "error":
                self._heed(message)
            elif message["type"] in _PLACES:
                self.cursor = message["cursor"]

    async def _arrival(self) -> None:
        """Return when something has arrived. Raises ``StopAsyncIteration`` when nothing will any more."""
        if self._closed:
            raise StopAsyncIteration
        # A task of its own: whoever stops waiting for it leaves it where it is, also between two connections.
        reading = self._reading = self._reading or asyncio.create_task(self._read())
        await asyncio.wait({reading})
        if self._closed:
            raise StopAsyncIteration
        self._reading = None
        reading.result()

    async def _read(self) -> None:
        """Wait for one frame, over as many connections as it takes. Raises ``Refused``."""
        while not self._arrived:
            try:
                if self._socket is None:
                    await asyncio.sleep(max(0.0, self._connect_at - time.monotonic()))
                    self._socket = await self._connect()
                    if not self._headers:
                        # A gateway that needs a key waits for it in the first frame: it answers another one at once.
                        with contextlib.suppress(ConnectionClosed):  # why it closed is still to be read
                            await self._socket.send(_HELLO)
                async with asyncio.timeout(SILENCE):
                    frame = await self._socket.recv()
            except InvalidStatus as error:
                await self._interrupted(self._status(error.response.status_code))
            except InvalidURI as error:
                raise Refused("no_stream", str(error)) from None
            except TimeoutError:
                await self._interrupted("the gateway does not answer")
            except (OSError, InvalidHandshake, ConnectionClosed) as error:
                await self._interrupted(str(error) or type(error).__name__)
            else:
                self._arrived.extend(self._messages(frame))

    async def _connect(self) -> ClientConnection:
        return await connect_websocket(
            self._address(),
            additional_headers=self._headers,
            compression=None,
            max_size=_LARGEST_FRAME,
            close_timeout=_CLOSE_SECONDS,
            # Heartbeats tell whether the other side is there, and a caller who is slow to read them is not cut off.
            ping_interval=None,
        )

    async def _interrupted(self, reason: str) -> None:
        await self._disconnect()
        self._pause = min(self._pause * 2, _LONGEST_PAUSE) or _FIRST_PAUSE
        self._connect_at = time.monotonic() + self._pause * random.uniform(0.5, 1)  # noqa: S311 - only spreads them
        self._tell(f"{self._url}: {reason}; trying again")

    async def _disconnect(self) -> None:
        if self._socket is not None:
            try:
                await self._socket.close()
            finally:
                self._socket.transport.abort()
            self._socket = None

    def _messages(self, frame: str | bytes) -> list[dict[str, Any]]:
        """The messages in a frame. Raises ``Refused`` when they are not what a gateway sends."""
        try:
            messages = [json.loads(line) for line in str(frame).split("\n")]
            told = [one for one in messages if one["type"] != "error"]
            # Each of these must say where it stands.
            if not all(one["cursor"] for one in told if "data" in one or one["type"] in _PLACES):
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise Refused("no_stream", f"{self._url} sends something else than Khabar's stream") from None
        if told:
            self._pause = 0.0
            self._began = True
        return messages

    def _heed(self, error: dict[str, Any]) -> None:
        """Go on after an error if that makes sense. Raises ``Refused`` or ``TooOld``.

        Where the gateway says to resume is never further than what was handed over here.
        """
        code, message = str(error.get("code")), str(error.get("message"))
        if code in _FINAL:
            raise Refused(code, message)
        if code == "cursor_too_old":
            if self.on_gap == "raise":
                raise TooOld(str(error.get("oldest")), message)
            self._tell("some events are no longer kept and were missed; going on with the oldest")
            self.cursor = error.get("oldest")
        else:
            _log.info("%s: %s", self._url, message)

    def _address(self) -> str:
        """Where to connect, to go on where we are. Raises ``Refused``."""
        try:
            parts = urlsplit(self._url if "://" in self._url else f"http://{self._url}")
            # What is wrong with these is found when they are asked for.
            _ = parts.port, (parts.hostname or "").encode("idna")
        except ValueError as error:
            raise Refused("no_stream", f"{self._url} is not an address: {error}") from None
        query = list(self._parameters)
        if self.cursor:
            query.append(("cursor", self.cursor))
        elif self._since:
            query.append(("since", self._since))
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        path = parts.path.rstrip("/").removesuffix(_PATH) + _PATH
        return urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))

    def _status(self, status: int) -> str:
        """What a refused handshake means, when the same may work later. Raises ``Refused`` when it will not."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PASSING:
            if status == HTTPStatus.UNAUTHORIZED:
                raise Refused("unauthorized", f"{self._url} asks for an API key")
            raise Refused("no_stream", f"{self._url} answers {status}: there is no stream for you at this address")
        return f"the gateway answers {status}"
