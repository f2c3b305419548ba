"""The gateway as an ASGI application."""

import asyncio
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
from api.access.limits import Addresses, Allowances, Reads
from api.gateway import Gateway
from api.methods import MethodsMiddleware
from api.routes import aggregates, articles, asyncapi, caching, docs, feeds, health, push, sse, websocket, websub
from api.routes.docs import PAGE_HEADERS
from api.stream.subscription import StreamTimeouts
from khabar.filters import FILTERS
from services.settings import Settings

_DASHBOARD = Path(__file__).with_name("dashboard")
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
    """The files of the dashboard. It shows text from untrusted sources, so its policy allows nothing else."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(PAGE_HEADERS)
        return response


def _page(name: str) -> Response:
    page = _DASHBOARD / name
    if not page.exists():
        raise HTTPException(404, "the dashboard is not installed")
    return FileResponse(page, headers=PAGE_HEADERS)


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
            checking = asyncio.create_task(readiness.run(), name="readiness")
            try:
                yield
            finally:
                checking.cancel()
                await asyncio.wait({checking})

    app = FastAPI(
        title="Khabar",
        version=version("khabar"),
        description="News in at one end, enriched and grouped live events out at the other. "
        "The same stream as `/v1/events` is at `/v1/stream` over WebSocket.",
        lifespan=lifespan,
        # Their pages would load scripts of another site; api.routes.docs has its own.
        docs_url=None,
        redoc_url=None,
    )
    app.state.gateway = gateway
    app.state.allowances = allowances
    app.state.reads = Reads(settings.max_reads_per_minute)
    app.state.deliveries = deliveries
    readiness = app.state.readiness = health.Readiness(gateway)
    app.state.addresses = Addresses(settings.max_connections_per_address)
    problems.install(app)
    app.add_middleware(MethodsMiddleware, routed=app)
    origins.install(
        app, origins.Origins(settings.origins, any_host=keys.required, hosts=[settings.host]), app.state.addresses
    )
    for module in (websocket, sse, push, feeds, websub, articles, aggregates, webhooks, health, asyncapi, docs):
        app.include_router(module.router)

    @app.get("/", include_in_schema=False)
    async def dashboard() -> Response:
        return _page("index.html")

    @app.get("/feeds", include_in_schema=False)
    async def feeds_page() -> Response:
        return _page("feeds.html")

    @app.get("/dashboard/filters.json", include_in_schema=False)
    async def filter_table(request: Request) -> Response:
        # The page makes a field for each of them.
        return caching.answer(request, _FILTER_TABLE, seconds=caching.REVALIDATE)

    app.mount("/dashboard", _Assets(directory=_DASHBOARD, check_dir=False))
    return app
