"""``GET /v1/events``: the stream as server-sent events."""

import asyncio
import time
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from api import problems
from api.access.auth import Reader
from api.access.limits import Allowance, Allowances, TooMany
from api.gateway import Gateway
from api.problems import RETRY_AFTER, ProblemError, documented
from api.stream.hub import until
from api.stream.protocols import as_line, http_connection
from api.stream.session import Session
from api.stream.subscription import StreamError, Subscription
from khabar.filters import FILTERS

router = APIRouter(tags=["stream"])

_RETRY_MS = 2_000
# How often a rate-limited stream that waits checks whether the gateway stops.
_CHECK_SECONDS = 1.0
# The status of an error before the first event.
STATUSES = {
    "bad_request": HTTPStatus.BAD_REQUEST,
    "bad_filter": HTTPStatus.BAD_REQUEST,
    "bad_cursor": HTTPStatus.BAD_REQUEST,
    "cursor_too_old": HTTPStatus.GONE,
    "too_many": HTTPStatus.TOO_MANY_REQUESTS,
    "going_away": HTTPStatus.SERVICE_UNAVAILABLE,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}
# Polyfills of EventSource send the last id in the query, where it needs no CORS preflight.
_LAST_EVENT_ID = "lastEventId"
_OLDEST = {"type": "string", "description": "The cursor to resume with for all events that are still kept."}
_PARAMETERS = [
    {"name": name, "in": place, "required": False, "description": text, "schema": {"type": "string"}}
    for name, place, text in (
        *((spec.name, "query", spec.description) for spec in FILTERS),
        ("cursor", "query", "Resume after this event; `earliest` starts at the oldest that is kept."),
        ("since", "query", "Start at this time (RFC 3339)."),
        ("Last-Event-ID", "header", "Resume after this event; overrides cursor and since."),
        (
            _LAST_EVENT_ID,
            "query",
            "The same for clients that cannot set the header. Of several ids the newest applies.",
        ),
    )
]


def _code(status: HTTPStatus) -> dict[str, Any]:
    """The schema of ``code`` in problems of this status."""
    return {"type": "string", "enum": [code for code, known in STATUSES.items() if known == status]}


@router.get(
    "/v1/events",
    response_class=Response,
    responses={
        200: {
            "description": "The stream: `id` is the cursor, `data` the envelope.",
            "content": {"text/event-stream": {}},
        },
        **documented(400, code=_code(HTTPStatus.BAD_REQUEST)),
        **documented(401, 403),
        **documented(410, code=_code(HTTPStatus.GONE), oldest=_OLDEST),
        **documented(429, code=_code(HTTPStatus.TOO_MANY_REQUESTS)),
        **documented(503, code=_code(HTTPStatus.SERVICE_UNAVAILABLE)),
    },
    openapi_extra={"parameters": _PARAMETERS},
)
async def events(request: Request, key: Reader) -> Response:
    """Subscribe with server-sent events. Each filter can be repeated or comma-separated."""
    gateway: Gateway = request.app.state.gateway
    allowances: Allowances = request.app.state.allowances
    parameters = request.query_params.multi_items()
    ids = [value for value in request.headers.getlist("last-event-id") if value]
    ids += [value for name, value in parameters if name == _LAST_EVENT_ID and value]
    parameters = [(name, value) for name, value in parameters if name != _LAST_EVENT_ID]
    gone = asyncio.create_task(_disconnected(request.receive))
    try:
        return EventStream(gateway, await until(_open(gateway, parameters, ids), gone), allowances.of(key))
    except StreamError as error:
        headers = RETRY_AFTER if error.code in {"going_away", "unavailable"} else None
        extra = {name: value for name, value in error.extra.items() if name != "field"}
        raise ProblemError(
            STATUSES[error.code],
            error.message,
            field=error.extra.get("field"),
            headers=headers,
            code=error.code,
            **extra,
        ) from None
    finally:
        gone.cancel()


async def _open(gateway: Gateway, parameters: list[tuple[str, str]], ids: list[str]) -> Session:
    """The session for the parameters; the newest of the last ``ids`` overrides where they start."""
    if ids:
        await gateway.hub.ready()
        parameters = [(name, value) for name, value in parameters if name not in {"cursor", "since"}]
        parameters.append(("cursor", gateway.hub.newest_of(ids)))
    return await gateway.hub.open(Subscription.of_query(parameters))


class _ClientNotReading(StreamError):
    """The client does not read, so it cannot be sent an error either."""


class EventStream(Response):
    """The body of a subscription: it ends when the client disconnects, is too slow, or the gateway stops."""

    def __init__(self, gateway: Gateway, session: Session, allowance: Allowance) -> None:
        self.status_code = HTTPStatus.OK
        self.background = None
        self.body = b""
        self._gateway = gateway
        self._session = session
        self._allowance = allowance
        self._sent_at = 0.0
        self.init_headers(
            {
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache, no-transform",
                "X-Accel-Buffering": "no",
            }
        )
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Deliver until one side ends it."""
        with ExitStack() as held:
            try:
                held.enter_context(self._allowance.connection())
            except TooMany as error:
                await problems.response(error.as_problem())(scope, receive, send)
                return
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with self._gateway.metrics.connections.labels("sse").track_inprogress(), self._gateway.hub.track_connection():
            tasks = [asyncio.create_task(self._deliver(send)), asyncio.create_task(_disconnected(receive))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                end, _ = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(end, StreamError):
            if not await self._send_error(end, send):
                http_connection(scope).abort()
                await _disconnected(receive)
        elif isinstance(end, Exception):
            raise end

    async def _deliver(self, send: Send) -> None:
        """Send events, and heartbeats when there are none. Returns only by raising."""
        session, timeouts = self._session, self._gateway.timeouts
        delivered = self._gateway.metrics.delivered.labels("sse")
        # A heartbeat at once: a client that disconnects before the first event then knows where to resume.
        await self._send(send, b"retry: %d\n\n" % _RETRY_MS + self._heartbeat())
        while True:
            wait = self._allowance.take_events(0)
            if not wait:
                chunk = await session.read()
                chunk = chunk.head(self._allowance.budget(len(chunk.events)))
                if chunk.events:
                    await self._send(send, chunk.sse)
                    delivered.inc(len(chunk.events))
                session.advance(chunk)
                wait = self._allowance.take_events(len(chunk.events))
            if time.monotonic() - self._sent_at >= timeouts.heartbeat:
                await self._send(send, self._heartbeat())
            rest = max(0.0, self._sent_at + timeouts.heartbeat - time.monotonic())
            await (asyncio.sleep(min(wait, rest, _CHECK_SECONDS)) if wait else session.wait(rest))

    async def _send(self, send: Send, body: bytes) -> None:
        seconds = self._gateway.timeouts.send
        try:
            async with asyncio.timeout(seconds):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            message = f"nothing could be sent for {seconds:g} s"
            raise _ClientNotReading("too_slow", message, cursor=self._session.cursor) from None
        self._sent_at = time.monotonic()

    async def _send_error(self, error: StreamError, send: Send) -> bool:
        """Send the reason for the end. False when the client does not read: then only a reset frees its memory."""
        if error.code == "too_slow":
            self._gateway.metrics.too_slow.inc()
        if isinstance(error, _ClientNotReading):
            return False
        body = _event("error", error.as_json())
        try:
            async with asyncio.timeout(self._gateway.timeouts.close):
                await send({"type": "http.response.body", "body": body, "more_body": False})
        except TimeoutError:
            return False
        return True

    def _heartbeat(self) -> bytes:
        cursor = self._session.cursor
        return b"id: %b\n" % cursor.encode() + _event("heartbeat", {"type": "heartbeat", "cursor": cursor})


def _event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {as_line(data)}\n\n".encode()


async def _disconnected(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
