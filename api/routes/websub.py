"""``/v1/websub/…``: requests of WebSub's hubs, forwarded to ingest without an API key.

A hub knows the callback URL, which nobody can guess, and signs what it delivers: ingest checks both.
"""

from typing import Final

import aiohttp
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from yarl import URL

from api.gateway import Gateway
from api.problems import RETRY_AFTER, ProblemError
from api.routes.forwarding import headers_for
from api.routes.push import ForwardedBody

router = APIRouter(include_in_schema=False)

log = structlog.get_logger(__name__)

_PATH: Final = "/v1/websub/{callback}"
_FORWARDED: Final = ("content-type", "content-encoding", "content-length", "x-hub-signature")
_RETURNED: Final = ("content-type", "retry-after", "x-content-type-options")
_TIMEOUT: Final = aiohttp.ClientTimeout(total=90, sock_connect=3)
_MAX_ANSWER: Final = 100_000
_MAX_QUERY: Final = 10_000


@router.get(_PATH)
@router.post(_PATH)
async def forward(callback: str, request: Request) -> Response:
    """Verification of a subscription (GET), or a delivery (POST)."""
    gateway: Gateway = request.app.state.gateway
    settings = gateway.settings
    if settings.public_url is None or not callback.replace(".", "").replace("-", "").replace("_", "").isalnum():
        raise ProblemError(404, "there is no such subscription")
    if len(request.url.query) > _MAX_QUERY:
        raise ProblemError(414, "the query is too long")
    headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
    headers |= headers_for(gateway, request, None)
    body = ForwardedBody(request, settings.max_feed_bytes)
    data = body.chunks() if request.method == "POST" else None
    # As the hub has sent it.
    query = f"?{request.url.query}" if request.url.query else ""
    url = URL(f"{settings.ingest_url.rstrip('/')}/v1/websub/{callback}{query}", encoded=True)
    try:
        async with gateway.http.request(request.method, url, data=data, headers=headers, timeout=_TIMEOUT) as answer:
            content = await answer.content.read(_MAX_ANSWER)
            returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
            return Response(content, answer.status, headers=returned)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        if body.too_large:
            raise ProblemError(413, f"the body has more than {settings.max_feed_bytes} bytes") from None
        if body.abandoned:
            raise ProblemError(400, "the body ended too early") from None
        log.warning("ingest_unreachable", path=_PATH, error=repr(error))
        raise ProblemError(503, "nothing can be accepted at the moment", headers=RETRY_AFTER) from None
