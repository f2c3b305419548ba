"""``POST /v1/articles``: forwarded to ingest, whose answer is returned unchanged."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from api.access.auth import Writer
from api.access.limits import Allowances, TooMany
from api.gateway import Gateway
from api.problems import RETRY_AFTER, ProblemError, documented
from api.routes.forwarding import headers_for
from services.events import ArticleIn, PushResult

router = APIRouter(tags=["push"])

_FORWARDED = ("content-type", "content-encoding", "content-length")
_RETURNED = ("content-type", "retry-after")
# Ingest answers once Kafka has acknowledged, for which its producer waits at most 15 s.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=3, sock_read=60)
_NDJSON = "application/x-ndjson"
# A longer answer, that to many articles, is passed on while it arrives.
_SHORT_ANSWER = 1_000_000
# A client that reads nothing of it for so many seconds is disconnected.
_READ_SECONDS = 60.0

log = structlog.get_logger(__name__)

_ARTICLE: dict[str, Any] = ArticleIn.model_json_schema()
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"anyOf": [_ARTICLE, {"type": "array", "items": _ARTICLE}], "title": "Article or articles"}
        },
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "one article a line, each an object as in application/json"}
        },
    },
}


class _LongAnswer(Response):
    """An answer of ingest that is passed on while it arrives; it has begun with ``content``."""

    def __init__(self, answer: aiohttp.ClientResponse, content: bytes, headers: dict[str, str]) -> None:
        super().__init__(status_code=answer.status, headers=headers)
        del self.headers["content-length"]
        self._answer = answer
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ``Response``, in chunks."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._content, "more_body": True})
            self._content = b""
            async for chunk in self._answer.content.iter_any():
                async with asyncio.timeout(_READ_SECONDS):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._answer.close()


class ForwardedBody:
    """The body of a push on its way to ingest, and how it ended."""

    def __init__(self, request: Request, limit: float) -> None:
        self._request = request
        self._limit = limit
        self.begun = False
        self.too_large = False
        self.abandoned = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they arrive; raises, which aborts the request to ingest, when they exceed the limit or end."""
        size = 0
        try:
            async for chunk in self._request.stream():
                self.begun = True
                size += len(chunk)
                if size > self._limit:
                    self.too_large = True
                    raise ValueError("the body is too large")
                yield chunk
        except ClientDisconnect:
            self.abandoned = True
            raise


@router.post(
    "/v1/articles",
    status_code=202,
    response_class=Response,
    responses={
        202: {"model": PushResult, "description": "Kafka has acknowledged every accepted article."},
        **documented(400, 401, 403, 408, 413, 415, 422, 429, 503),
    },
    openapi_extra={"requestBody": _BODY},
)
async def push(request: Request, key: Writer) -> Response:
    """Push articles. Pushing again is safe: the same article has the same id."""
    gateway: Gateway = request.app.state.gateway
    allowances: Allowances = request.app.state.allowances
    status = 500
    try:
        try:
            allowances.of(key).post()
        except TooMany as refused:
            raise refused.as_problem() from None
        answer = await _forward(gateway, request, headers_for(gateway, request, key))
        status = answer.status_code
        return answer
    except ProblemError as problem:
        status = problem.status
        raise
    finally:
        gateway.metrics.pushes.labels(str(status)).inc()


async def _forward(gateway: Gateway, request: Request, about: dict[str, str]) -> Response:
    # NDJSON may have any length: ingest handles it while it arrives, and limits each line.
    lines = request.headers.get("content-type", "").lower().partition(";")[0].strip() == _NDJSON
    limit = math.inf if lines else gateway.settings.max_body_bytes
    too_large = ProblemError(413, f"the body has more than {limit} bytes")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
    headers.setdefault("content-type", "application/octet-stream")
    headers |= about
    body = ForwardedBody(request, limit)
    url = f"{gateway.settings.ingest_url.rstrip('/')}/v1/articles"
    try:
        answer = await gateway.http.post(url, data=body.chunks(), headers=headers, timeout=_TIMEOUT)
        returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
        try:
            content = b""
            async for chunk in answer.content.iter_any():
                content += chunk
                if len(content) > _SHORT_ANSWER:
                    return _LongAnswer(answer, content, headers=returned)
        except BaseException:
            answer.close()
            raise
        answer.release()
        return Response(content, answer.status, headers=returned)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        if body.too_large:
            raise too_large from None
        if body.abandoned:
            raise ProblemError(400, "the body ended too early; nothing was accepted") from None
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not body.begun:
            log.warning("ingest_unreachable", url=url, error=repr(error))
            detail = "articles cannot be accepted at the moment; nothing was accepted"
        else:
            log.warning("ingest_connection_lost", url=url, error=repr(error))
            detail = "the push got no answer: articles may have been accepted; sending them again is safe"
        raise ProblemError(503, detail, headers=RETRY_AFTER) from None
