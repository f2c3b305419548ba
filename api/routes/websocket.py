"""``GET /v1/stream``: the stream over WebSocket.

States of a connection: *unauthenticated* (only if keys are set and the headers have none; the first frame must be
``auth``) → *subscribed* (its session delivers by itself while this task answers ops) → *closed*. When the gateway
closes, it always sends an ``error`` frame with the reason first.
"""

import asyncio
import math
import time

from fastapi import APIRouter, WebSocket
from pydantic_core import from_json
from starlette.websockets import WebSocketDisconnect

from api.access.auth import Forbidden, Key, Unauthorized, header_key
from api.access.limits import Allowance, Allowances, Bucket, TooMany
from api.gateway import Gateway
from api.problems import ProblemError, documented
from api.stream.protocols import as_line, websocket_connection
from api.stream.session import LiveSession
from api.stream.subscription import StreamError, Subscription

router = APIRouter()

# The close code by the code of the error that is sent before.
CLOSE_CODES = {
    "bad_request": 4400,
    "bad_filter": 4400,
    "bad_cursor": 4400,
    "cursor_too_old": 4400,
    "unauthorized": 4401,
    "forbidden": 4403,
    "too_many": 4429,
    "too_slow": 4408,
    "going_away": 1012,
    "unavailable": 1013,
}
# Errors in an op of a subscribed client: they are sent, and the subscription continues.
_RECOVERABLE = {"bad_request", "bad_filter", "bad_cursor", "cursor_too_old", "unavailable"}
_OPS = "subscribe, ping, auth"
# What a connection may send: more than any client needs, and too little to affect others. A long frame counts as
# several: the work for a filter grows with its length.
_FRAMES_PER_SECOND, _FRAMES_BURST = 20, 200
_FRAME_BYTES = 512


@router.get("/v1/stream", tags=["stream"], status_code=426, responses=documented(426))
async def upgrade() -> None:
    """The stream over WebSocket: connect here with an upgrade. Filters and cursor as for `/v1/events`."""
    raise ProblemError(426, "connect with WebSocket, or use /v1/events", headers={"Upgrade": "websocket"})


@router.websocket("/v1/stream")
async def stream(websocket: WebSocket) -> None:
    """Deliver events until either side closes."""
    gateway: Gateway = websocket.app.state.gateway
    await websocket.accept()
    connection = _Connection(websocket, gateway)
    try:
        with gateway.metrics.connections.labels("websocket").track_inprogress():
            await connection.run()
    except WebSocketDisconnect:
        pass
    except StreamError as error:
        connection.close_with(error)


class _Connection:
    """One client."""

    def __init__(self, websocket: WebSocket, gateway: Gateway) -> None:
        self._websocket = websocket
        self._gateway = gateway
        self._timeouts = gateway.timeouts
        self._connection = websocket_connection(websocket.scope)
        self._frames = Bucket(_FRAMES_PER_SECOND, _FRAMES_BURST, time.monotonic)

    async def run(self) -> None:
        """Authenticate, subscribe, answer ops. Raises ``StreamError`` when the connection has to be closed."""
        allowances: Allowances = self._websocket.app.state.allowances
        allowance = allowances.of(await self._authenticate())
        try:
            with allowance.connection():
                await self._serve(allowance)
        except TooMany as error:
            raise StreamError("too_many", error.message, retry_after=str(error.retry_after)) from None

    async def _serve(self, allowance: Allowance) -> None:
        subscription = Subscription.of_query(self._websocket.query_params.multi_items())
        session = await self._gateway.hub.open_live(subscription, self._connection, self.close_with, allowance)
        with self._gateway.hub.track_connection():
            try:
                session.begin()
                await self._answer(session)
            finally:
                session.close()

    def close_with(self, error: StreamError) -> None:
        """Send the error, and close."""
        if error.code == "too_slow":
            self._gateway.metrics.too_slow.inc()
        self._connection.close_with(as_line(error.as_json()), CLOSE_CODES[error.code], grace=self._timeouts.close)

    async def _authenticate(self) -> Key | None:
        keys = self._gateway.keys
        key = header_key(self._websocket.headers)
        try:
            if keys.required and key is None:
                key = await self._first_frame_key()
            return keys.check(key, "read")
        except Unauthorized:
            raise StreamError("unauthorized", 'a valid key is needed, in a header or as {"op":"auth"}') from None
        except Forbidden:
            raise StreamError("forbidden", "this key does not have the scope read") from None

    async def _first_frame_key(self) -> bytes:
        try:
            async with asyncio.timeout(self._timeouts.authenticate):
                frame = await self._receive()
        except (TimeoutError, StreamError):
            raise Unauthorized from None
        if frame.get("op") != "auth" or not isinstance(frame.get("key"), str):
            raise Unauthorized
        return str(frame["key"]).encode("utf-8", "replace")

    async def _answer(self, session: LiveSession) -> None:
        """Answer ops until the client has gone. No op is read while the client does not read the answers."""
        while True:
            await session.drain()
            try:
                answer = await self._answer_to(await self._receive(), session)
            except StreamError as error:
                if error.code not in _RECOVERABLE:
                    raise
                answer = error.as_json()
            if answer:
                session.send(answer)
            await asyncio.sleep(0)  # let other tasks run

    async def _answer_to(self, frame: dict[str, object], session: LiveSession) -> dict[str, str] | None:
        match frame.get("op"):
            case "ping":
                return {"type": "pong"}
            case "auth":
                return None  # the key was checked before, or none is needed
            case "subscribe":
                # A full filter takes milliseconds.
                async with self._gateway.hub.turns.turn():
                    wanted = Subscription.of_json({name: value for name, value in frame.items() if name != "op"})
                continues = wanted.cursor is None and wanted.since is None
                session.change(wanted.filter, None if continues else await self._gateway.hub.locate(wanted))
                return None
            case None:
                raise StreamError("bad_request", f"op is missing; known are {_OPS}", field="op")
            case unknown:
                raise StreamError("bad_request", f"unknown op {str(unknown)[:60]!r}; known are {_OPS}", field="op")

    async def _receive(self) -> dict[str, object]:
        """The object in the next frame. Raises ``StreamError`` when there is none, or the client sends too fast."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if wait := self._frames.try_take(max(1.0, len(text or "") / _FRAME_BYTES)):
            limit = f"a connection may send {_FRAMES_PER_SECOND} frames of {_FRAME_BYTES} bytes a second"
            raise StreamError("too_many", limit, retry_after=str(math.ceil(wait)))
        if text is None:
            raise StreamError("bad_request", "frames must be text")
        try:
            frame = from_json(text)
        except ValueError as error:
            raise StreamError("bad_request", f"not JSON: {error}") from None
        if not isinstance(frame, dict):
            raise StreamError("bad_request", "a frame must hold one JSON object")
        return frame
