"""``/v1/feeds``: forwarded to ingest, whose answers are returned unchanged."""

from typing import Any, Final

import aiohttp
import structlog
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from api.access.auth import Key, Reader, Writer, may_ask
from api.access.limits import Allowances, TooMany
from api.gateway import Gateway
from api.problems import RETRY_AFTER, ProblemError, documented, only
from api.routes.forwarding import headers_for
from services import request_body
from services.store.feeds import FeedStatus
from services.subscriptions import (
    MAX_LIST_BYTES,
    MAX_PAGE,
    CheckedFeed,
    CheckFeed,
    FeedChanges,
    FeedOut,
    FeedsOut,
    FoundFeed,
    ImportResult,
    NewFeed,
)

router = APIRouter(tags=["feeds"])
log = structlog.get_logger(__name__)

_MAX_BODY_BYTES: Final = 64 * 1024
# Ingest itself needs at most 60 s.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=75, sock_connect=3)
_RETURNED: Final = ("content-type", "content-disposition", "cache-control", "link", "location", "retry-after")
_UNREACHABLE: Final = "feeds cannot be managed at the moment: ingest does not answer"
_READ: Final = documented(401, 403, 422, 429, 503)
_WRITE: Final = documented(400, 401, 403, 408, 413, 422, 429, 503)
_ONE: Final = documented(401, 403, 404, 422, 429, 503)
_SEVERAL: Final = documented(409, code={"type": "string"})
_NAMES = Query(False, description="the name of a feed in the list is its `source`; else its host name is")


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


_LIST: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "text/x-opml": {"schema": {"type": "string"}},
            "text/plain": {"schema": {"type": "string", "description": "one URL a line; # begins a comment"}},
        },
    }
}


@router.get(
    "/v1/feeds",
    response_class=Response,
    responses={200: {"model": FeedsOut}, **_READ},
    dependencies=[Depends(only("status", "url", "offset", "limit")), Depends(may_ask)],
)
async def listed(  # noqa: PLR0913, PLR0917 - one parameter a parameter
    request: Request,
    key: Reader,
    status: FeedStatus | None = None,
    url: str | None = Query(None, max_length=2_048, description="only the feed with this URL"),
    offset: int = Query(0, ge=0, le=1_000_000),
    limit: int = Query(100, ge=0, le=MAX_PAGE),
) -> Response:
    """The feeds that Khabar polls, with their state, in the order of their URLs."""
    return await _forward(request, key)


@router.get(
    "/v1/feeds.opml",
    response_class=Response,
    responses={200: {"content": {"text/x-opml": {"schema": {"type": "string"}}}}, **_READ},
    dependencies=[Depends(only()), Depends(may_ask)],
)
async def export(request: Request, key: Reader) -> Response:
    """All feeds as OPML 2.0, without what is secret."""
    return await _forward(request, key)


@router.post(
    "/v1/feeds",
    status_code=201,
    response_class=Response,
    responses={
        201: {"model": FeedOut},
        **_WRITE,
        **documented(409, code={"type": "string"}, feeds={"type": "array", "items": FoundFeed.model_json_schema()}),
    },
    openapi_extra=_body(NewFeed),
    dependencies=[Depends(only())],
)
async def add(request: Request, key: Writer) -> Response:
    """Add a feed by its URL, or the feed of a site.

    By default the address is requested first. A page with one feed: that feed is added. A page with several: 409 with
    the code `several_feeds` and `feeds`, one of which can be added by its `url`. A feed that is there already: 409 with
    the code `already_there` and its `id`.
    """
    return await _forward(request, key, limit=_MAX_BODY_BYTES)


@router.post(
    "/v1/feeds/check",
    response_class=Response,
    responses={200: {"model": CheckedFeed}, **_WRITE},
    openapi_extra=_body(CheckFeed),
    dependencies=[Depends(only())],
)
async def check(request: Request, key: Writer) -> Response:
    """What an address has: a feed with its entries as articles, or the feeds of a page. Nothing is added."""
    return await _forward(request, key, limit=_MAX_BODY_BYTES)


@router.post(
    "/v1/feeds/import",
    response_class=Response,
    responses={200: {"model": ImportResult}, **_WRITE},
    openapi_extra=_LIST,
    dependencies=[Depends(only("names"))],
)
async def import_list(request: Request, key: Writer, names: bool = _NAMES) -> Response:
    """Add every feed of a list, OPML or one URL a line. No address is requested. Importing again is safe."""
    return await _forward(request, key, limit=MAX_LIST_BYTES)


@router.get(
    "/v1/feeds/{feed_id}",
    response_class=Response,
    responses={200: {"model": FeedOut}, **_ONE},
    dependencies=[Depends(only()), Depends(may_ask)],
)
async def one(request: Request, feed_id: str, key: Reader) -> Response:
    """One feed and its state."""
    return await _forward(request, key)


@router.patch(
    "/v1/feeds/{feed_id}",
    response_class=Response,
    responses={200: {"model": FeedOut}, **_WRITE, **_ONE},
    openapi_extra=_body(FeedChanges),
    dependencies=[Depends(only())],
)
async def change(request: Request, feed_id: str, key: Writer) -> Response:
    """Change options of a feed, pause or resume it. It is polled at once, unless it is paused."""
    return await _forward(request, key, limit=_MAX_BODY_BYTES)


@router.delete(
    "/v1/feeds/{feed_id}",
    status_code=204,
    response_class=Response,
    responses={**_ONE, **documented(409)},
    dependencies=[Depends(only())],
)
async def remove(request: Request, feed_id: str, key: Writer) -> Response:
    """Remove a feed. Its articles stay. Added again within 30 days, it does not send its entries a second time."""
    return await _forward(request, key)


@router.post(
    "/v1/feeds/{feed_id}/poll",
    status_code=202,
    response_class=Response,
    responses={202: {"model": FeedOut}, **_ONE, **documented(409)},
    dependencies=[Depends(only())],
)
async def poll(request: Request, feed_id: str, key: Writer) -> Response:
    """Poll a feed now. The answer does not wait for it: `polled` shows when it was done."""
    return await _forward(request, key)


async def _forward(request: Request, key: Key | None, *, limit: int = 0) -> Response:
    """The answer of ingest. ``limit``: bytes of the body, which is forwarded when it is complete."""
    gateway: Gateway = request.app.state.gateway
    feed_id = request.path_params.get("feed_id", "0")
    if not (feed_id.isascii() and feed_id.isalnum()):
        raise ProblemError(404, "there is no feed with this id")
    if request.method != "GET":
        allowances: Allowances = request.app.state.allowances
        try:
            allowances.of(key).post()
        except TooMany as refused:
            raise refused.as_problem() from None
    body = await _read(request, limit) if limit else None
    headers = headers_for(gateway, request, key)
    if "content-type" in request.headers:
        headers["content-type"] = request.headers["content-type"]
    url = f"{gateway.settings.ingest_url.rstrip('/')}{request.url.path}"
    if request.url.query:
        url += f"?{request.url.query}"
    try:
        async with gateway.http.request(request.method, url, data=body, headers=headers, timeout=_TIMEOUT) as answer:
            content = await answer.read()
            returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
            return Response(content or None, answer.status, headers=returned)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        log.warning("ingest_unreachable", path=request.url.path, error=repr(error))
        raise ProblemError(503, _UNREACHABLE, headers=RETRY_AFTER) from None


async def _read(request: Request, limit: int) -> bytes:
    """The body of a request. Raises ``ProblemError``."""
    body = bytearray()

    def take(chunk: bytes) -> None:
        body.extend(chunk)
        if len(body) > limit:
            raise ProblemError(413, f"the body has more than {limit} bytes", headers={"Connection": "close"})

    try:
        await request_body.receive(request.stream(), take)
    except ClientDisconnect:
        raise ProblemError(400, "the body ended too early") from None
    except request_body.TooSlow as error:
        raise ProblemError(408, str(error), headers={"Connection": "close"}) from None
    return bytes(body)
