"""``/v1/websub/…``: the requests of WebSub's hubs. The gateway forwards them, without an API key."""

from typing import Final

from fastapi import APIRouter, Request, Response
from redis import RedisError
from starlette.requests import ClientDisconnect

from ingest.access import Access, NotAdmitted
from ingest.budget import BodyBudget, Claim, Exhausted
from ingest.feeds.websub import PATH, Delivered, NotConfirmed, WebSub
from ingest.refusal import CLOSE, LATER, refuse
from services import request_body
from services.settings import Settings

# All bodies may take this many times the size limit of one body.
_BODIES: Final = 8
_REQUESTS: Final = 200
_MAX_CHALLENGE: Final = 2_000
# The answer to a hub: 2xx ends the delivery, also of what is ignored; 410 ends the subscription; 5xx repeats it.
_STATUS: Final[dict[Delivered, int]] = {
    "unknown": 404,
    "ended": 410,
    "too_large": 413,
    "busy": 503,
    "kafka_away": 503,
}


def router(websub: WebSub, settings: Settings) -> APIRouter:
    """The endpoints; refusals are raised as ``ingest.refusal.Refusal``."""
    routes = APIRouter()
    access = Access(settings)
    budget = BodyBudget(settings.max_feed_bytes * _BODIES, _REQUESTS)

    @routes.get(f"{PATH}{{callback}}", include_in_schema=False)
    async def verify(callback: str, request: Request) -> Response:
        _check(access, request)
        try:
            challenge = await websub.verify(callback, request.query_params)
        except RedisError:
            refuse(503, "the store cannot be reached", headers=LATER)
        except NotConfirmed:
            refuse(404, "no such subscription was asked for")
        return Response(
            challenge[:_MAX_CHALLENGE], media_type="text/plain", headers={"X-Content-Type-Options": "nosniff"}
        )

    @routes.post(f"{PATH}{{callback}}", include_in_schema=False)
    async def deliver(callback: str, request: Request) -> Response:
        _check(access, request)
        try:
            outcome = await websub.expects(callback)
            if outcome is None:
                with budget.request(access.client(request)) as claim:
                    body = await _body(request, settings.max_feed_bytes, claim)
                    outcome = await websub.deliver(
                        callback,
                        body,
                        signature=request.headers.get("x-hub-signature", ""),
                        content_type=request.headers.get("content-type", ""),
                        encoding=request.headers.get("content-encoding", ""),
                    )
        except RedisError:
            outcome = "busy"
        except Exhausted as error:
            refuse(error.status, str(error), headers={**CLOSE, "Retry-After": "1"})
        except ClientDisconnect:
            return Response(status_code=400)  # the client has disconnected and will not read it
        status = _STATUS.get(outcome, 202)
        headers = {} if status == 202 else CLOSE | LATER if status == 503 else CLOSE
        return Response(status_code=status, headers=headers)

    return routes


def _check(access: Access, request: Request) -> None:
    try:
        access.check_token(request)
    except NotAdmitted as refused:
        refuse(refused.status, str(refused), headers={**CLOSE, **(refused.headers or {})})


async def _body(request: Request, limit: int, claim: Claim) -> bytes:
    body = bytearray()

    def take(chunk: bytes) -> None:
        if len(body) + len(chunk) > limit:
            refuse(413, f"a delivery may have {limit} bytes (KHABAR_MAX_FEED_BYTES)", headers=CLOSE)
        claim.hold(len(body) + len(chunk))
        body.extend(chunk)

    try:
        await request_body.receive(request.stream(), take)
    except request_body.TooSlow as error:
        refuse(408, str(error), headers=CLOSE)
    return bytes(body)
