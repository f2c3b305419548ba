"""``GET /v1/stream``: the stream over WebSocket.

States of a connection: *unauthenticated* (only with keys set and none in the headers; the first frame must be
``auth``) → *subscribed* (a task delivers while this one answers ops) → *closed*, always with an ``error`` frame
that says why when it was the gateway that closed.
"""

import asyncio
import json
import time

from fastapi import APIRouter, WebSocket
from pydantic_core import from_json
from starlette.websockets import WebSocketDisconnect

from api.auth import Forbidden, Unauthorized, header_key
from api.gateway import Gateway
from api.problems import ProblemError, documented
from api.session import Session, StreamError, Subscription
from api.transport import websocket_connection

router = APIRouter()

# The codes with which the gateway closes, by the code of the error sent before.
CLOSE_CODES = {
    "bad_request": 4400,
    "bad_filter": 4400,
    "bad_cursor": 4400,
    "cursor_too_old": 4400,
    "unauthorized": 4401,
    "forbidden": 4403,
    "too_slow": 4408,
    "going_away": 1012,
    "unavailable": 1013,
}
# What a client got wrong while it was subscribed already: it is told, and the subscription stays.
_STAYS = {"bad_request", "bad_filter", "bad_cursor", "cursor_too_old", "unavailable"}
_OPS = "subscribe, ping, auth"


@router.get("/v1/stream", tags=["stream"], status_code=426, responses=documented(426))
async def upgrade() -> None:
    """The stream over WebSocket: connect here with an upgrade. Filters and cursor as for `/v1/events`."""
    raise ProblemError(426, "connect with WebSocket, or use /v1/events", headers={"Upgrade": "websocket"})


@router.websocket("/v1/stream")
async def stream(websocket: WebSocket) -> None:
    """Deliver events until one side ends it."""
    gateway: Gateway = websocket.app.state.gateway
    await websocket.accept()
    connection = _Connection(websocket, gateway)
    try:
        with gateway.metrics.connections.labels("websocket").track_inprogress():
            await connection.run()
    except WebSocketDisconnect:
        pass
    except StreamError as error:
        if error.code == "too_slow":
            gateway.metrics.too_slow.inc()
        websocket_connection(websocket.scope).farewell(
            _json(error.as_json()), CLOSE_CODES[error.code], grace=gateway.limits.farewell
        )


class _Connection:
    """One client."""

    def __init__(self, websocket: WebSocket, gateway: Gateway) -> None:
        self._websocket = websocket
        self._gateway = gateway
        self._limits = gateway.limits
        self._sent_at = 0.0
        self._delivered = gateway.metrics.delivered.labels("websocket")

    async def run(self) -> None:
        """Authenticate, subscribe, deliver. Raises ``StreamError`` with what to tell the client at the end."""
        await self._authenticate()
        subscription = Subscription.of_query(self._websocket.query_params.multi_items())
        session = await self._gateway.stream.open(subscription)
        with self._gateway.stream.counted():
            await self._send(session, self._subscribed(session))
            tasks = [asyncio.create_task(self._deliver(session)), asyncio.create_task(self._answer(session))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception):
                    raise end

    async def _authenticate(self) -> None:
        keys = self._gateway.keys
        key = header_key(self._websocket.headers)
        try:
            if keys.required and key is None:
                key = await self._first_frame_key()
            keys.check(key, "read")
        except Unauthorized:
            raise StreamError("unauthorized", 'a valid key is needed, in a header or as {"op":"auth"}') from None
        except Forbidden:
            raise StreamError("forbidden", "this key does not have the scope read") from None

    async def _first_frame_key(self) -> bytes:
        try:
            async with asyncio.timeout(self._limits.authenticate):
                frame = await self._receive()
        except (TimeoutError, StreamError):
            raise Unauthorized from None
        if frame.get("op") != "auth" or not isinstance(frame.get("key"), str):
            raise Unauthorized
        return str(frame["key"]).encode("utf-8", "replace")

    async def _deliver(self, session: Session) -> None:
        """Send what comes, and heartbeats when nothing does. Ends with an exception only."""
        while True:
            async with session.turn:
                chunk = await session.read()
                if chunk.events:
                    await self._send(session, chunk.text)
                    self._delivered.inc(len(chunk.events))
                session.position = chunk.position
                if time.monotonic() - self._sent_at >= self._limits.heartbeat:
                    await self._send(session, _json({"type": "heartbeat", "cursor": session.cursor}))
            await session.wait(max(0.0, self._sent_at + self._limits.heartbeat - time.monotonic()))

    async def _answer(self, session: Session) -> None:
        """Answer ops. Ends with an exception only; a client that does not read the answers gets no more."""
        while True:
            try:
                answer = await self._answer_to(await self._receive(), session)
            except StreamError as error:
                if error.code not in _STAYS:
                    raise
                answer = _json(error.as_json())
            if answer:
                async with session.turn:
                    await self._send(session, answer)

    async def _answer_to(self, frame: dict[str, object], session: Session) -> str | None:
        match frame.get("op"):
            case "ping":
                return '{"type":"pong"}'
            case "auth":
                return None  # it was checked, or none is needed
            case "subscribe":
                asked = Subscription.of_json({name: value for name, value in frame.items() if name != "op"})
                continues = asked.cursor is None and asked.since is None
                position = None if continues else await self._gateway.stream.place(asked)
                async with session.turn:
                    session.change(asked.filter, session.position if position is None else position)
                    await self._send(session, self._subscribed(session))
                return None
            case None:
                raise StreamError("bad_request", f"op is missing; known are {_OPS}", field="op")
            case unknown:
                raise StreamError("bad_request", f"unknown op {str(unknown)[:60]!r}; known are {_OPS}", field="op")

    async def _receive(self) -> dict[str, object]:
        """The next frame's object. Raises ``StreamError`` when it holds none."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise StreamError("bad_request", "frames must be text")
        try:
            frame = from_json(text)
        except ValueError as error:
            raise StreamError("bad_request", f"not JSON: {error}") from None
        if not isinstance(frame, dict):
            raise StreamError("bad_request", "a frame must hold one JSON object")
        return frame

    async def _send(self, session: Session, text: str) -> None:
        """Send one frame. Raises ``StreamError`` too_slow when the client leaves no room for it in time."""
        try:
            async with asyncio.timeout(self._limits.send):
                await self._websocket.send_text(text)
        except TimeoutError:
            message = f"nothing could be sent for {self._limits.send:g} s"
            raise StreamError("too_slow", message, cursor=session.cursor) from None
        self._sent_at = time.monotonic()

    def _subscribed(self, session: Session) -> str:
        return _json({"type": "subscribed", "cursor": session.cursor, "filter": session.filter.as_json()})


def _json(message: object) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
