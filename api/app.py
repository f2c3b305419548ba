"""The gateway as an ASGI application."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api import problems, webhooks
from api.access import origins
from api.access.auth import Keys
from api.access.limits import Addresses, Allowances
from api.gateway import Gateway
from api.methods import MethodsMiddleware
from api.routes import aggregates, articles, asyncapi, caching, health, push, sse, websocket
from api.stream.subscription import StreamTimeouts
from khabar.filters import FILTERS
from services.settings import Settings

_DASHBOARD = Path(__file__).with_name("dashboard")
# The page shows text from untrusted sources, so it may run and load nothing but its own files.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# Only what describes a filter to somebody outside.
_FILTER_TABLE = json.dumps(
    {
        "filters": [
            {
                "name": spec.name,
                "description": spec.description,
                "values": spec.values,
                "default": spec.default,
                "pattern": spec.pattern,
                "multiple": spec.multiple,
            }
            for spec in FILTERS
        ]
    }
).encode()


class _Assets(StaticFiles):
    """The files of the dashboard."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_PAGE_HEADERS)
        return response


def create_app(settings: Settings, timeouts: StreamTimeouts | None = None) -> FastAPI:
    """The application. It starts and stays up without Kafka, store and ingest; ``/readyz`` reports what is missing.

    Run it with the protocols of ``api.stream.protocols``, as ``api.server`` does. Raises ``SettingsError``.
    """
    keys = Keys.of(settings)
    # From here on only the digests are kept.
    settings = settings.model_copy(update={"api_keys": ()})
    gateway = Gateway(settings, keys, timeouts or StreamTimeouts())
    allowances = Allowances()
    deliveries = webhooks.DeliveryManager(gateway, allowances)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running(), deliveries.running():
            yield

    app = FastAPI(
        title="Khabar",
        version=version("khabar"),
        description="News in at one end, enriched and grouped live events out at the other. "
        "The same stream as `/v1/events` is at `/v1/stream` over WebSocket.",
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    app.state.allowances = allowances
    app.state.deliveries = deliveries
    app.state.readiness = health.Readiness(gateway)
    app.state.addresses = Addresses(settings.max_connections_per_address)
    problems.install(app)
    app.add_middleware(MethodsMiddleware, routed=app)
    origins.install(app, origins.Origins(settings.origins, named=keys.required), app.state.addresses)
    for module in (websocket, sse, push, articles, aggregates, webhooks, health, asyncapi):
        app.include_router(module.router)

    @app.get("/", include_in_schema=False)
    async def dashboard() -> Response:
        page = _DASHBOARD / "index.html"
        if not page.exists():
            raise HTTPException(404, "the dashboard is not installed")
        return FileResponse(page, headers=_PAGE_HEADERS)

    @app.get("/dashboard/filters.json", include_in_schema=False)
    async def filter_table(request: Request) -> Response:
        # The page makes a field for each of them.
        return caching.answer(request, _FILTER_TABLE, seconds=caching.REVALIDATE)

    app.mount("/dashboard", _Assets(directory=_DASHBOARD, check_dir=False))
    return app
