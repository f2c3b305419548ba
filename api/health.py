"""Is it alive, is it ready, and how is it doing: open to all, whatever keys are set."""

import asyncio
import time
from collections.abc import Awaitable

import aiohttp
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.gateway import Gateway

router = APIRouter(tags=["health"])

_PATIENCE = 2.0
# Anybody may ask, so asking often must not cost Kafka, ingest and the store anything.
_FRESH = 0.5


class Readiness:
    """Whether an article would go through: what is asked again at most every half second."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._checks: dict[str, str] = {}
        self._checked_at = float("-inf")
        self._turn = asyncio.Lock()

    async def checks(self) -> dict[str, str]:
        """``ok`` or the reason, for each thing that is needed."""
        async with self._turn:
            if time.monotonic() - self._checked_at > _FRESH:
                names = ("kafka", "ingest", "store")
                found = await asyncio.gather(*map(_reason, (self._kafka(), self._ingest(), self._store())))
                self._checks = dict(zip(names, found, strict=True))
                self._checked_at = time.monotonic()
            return self._checks

    async def _kafka(self) -> str:
        await self._gateway.follower.end()
        return "ok" if self._gateway.follower.caught_up.is_set() else "still reading updates"

    async def _ingest(self) -> str:
        url = f"{self._gateway.settings.ingest_url.rstrip('/')}/readyz"
        async with self._gateway.http.get(url, timeout=aiohttp.ClientTimeout(total=_PATIENCE)) as answer:
            return "ok" if answer.status == 200 else f"not ready: {answer.status}"

    async def _store(self) -> str:
        await self._gateway.store.redis.ping()
        return "ok"


async def _reason(check: Awaitable[str]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await check
    except TimeoutError:
        return f"no answer within {_PATIENCE:g} s"
    except Exception as error:  # whatever it is, it is the reason
        return f"{type(error).__name__}: {error}"[:300]


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def alive() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"description": "Something is missing; the body tells what."}})
async def ready(request: Request) -> JSONResponse:
    """200 when an article would go through."""
    readiness: Readiness = request.app.state.readiness
    checks = await readiness.checks()
    fine = all(reason == "ok" for reason in checks.values())
    return JSONResponse({"ready": fine, "checks": checks}, 200 if fine else 503)


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus."""
    gateway: Gateway = request.app.state.gateway
    return Response(gateway.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})
