"""Which web pages may use the gateway: its own, and those of ``KHABAR_ORIGINS``.

A browser sends the origin of the page with every WebSocket and with every request that could do harm; a page cannot
change it. Programs send none and pass. The own origin is the one whose host and port the request was addressed to. That
proves little while no key is needed: a page may make its own name lead to 127.0.0.1 (DNS rebinding). An open gateway
therefore takes as its own only addresses and ``localhost``, which nobody else can have.
"""

import asyncio
import ipaddress
from collections.abc import Iterable
from contextlib import ExitStack
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from api import problems
from api.access.limits import Addresses, TooMany
from api.problems import ProblemError

_PORTS = {"http": 80, "https": 443}
_SSE = "/v1/events"
_ASKED = ("Authorization", "X-API-Key", "Content-Type", "Content-Encoding", "Last-Event-ID", "If-None-Match")
_TOLD = ("ETag", "Link", "Location", "Retry-After", "WWW-Authenticate")
_REMEMBERED_SECONDS = 600


class Origins:
    """Tells which requests of browsers are served. ``named``: a host name may be the own origin."""

    def __init__(self, listed: Iterable[str], *, named: bool) -> None:
        self.listed = frozenset(listed)
        self._named = named

    def check(self, headers: Headers) -> None:
        """Return when a request with these headers may be served. Raises ``ProblemError`` 403."""
        origin = headers.get("origin")
        if origin is None or "*" in self.listed or origin.lower() in self.listed:
            return
        if not self._own(origin, headers.get("host", "")):
            detail = f"pages of {origin[:200]!r} may not use this gateway; KHABAR_ORIGINS lists those that may"
            raise ProblemError(403, detail)

    def _own(self, origin: str, host: str) -> bool:
        try:
            page = urlsplit(origin)
            addressed = urlsplit(f"//{host}")
            port = _PORTS[page.scheme]
            same = (page.hostname, page.port or port) == (addressed.hostname, addressed.port or port)
        except (KeyError, ValueError):
            return False
        return same and page.hostname is not None and (self._named or _unnamed(page.hostname))


def _unnamed(host: str) -> bool:
    """Whether a host is an address, or the name that always means this machine."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


class Gate:
    """What every request passes first: the check of its origin and, for streams, the limit of its address."""

    def __init__(self, app: ASGIApp, origins: Origins, addresses: Addresses) -> None:
        self._inner = app
        self._origins = origins
        self._addresses = addresses
        self._beginning = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it; a WebSocket before it is accepted."""
        if scope["type"] not in {"http", "websocket"}:
            await self._inner(scope, receive, send)
            return
        try:
            self._origins.check(Headers(scope=scope))
        except ProblemError as refused:
            await _refuse(problems.response(refused), scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] != _SSE:
            await self._inner(scope, receive, send)
            return
        # One stream is begun in a turn of the loop: a thousand that come at once let others have theirs between.
        async with self._beginning:
            await asyncio.sleep(0)
        client = scope.get("client")
        with ExitStack() as held:
            try:
                held.enter_context(self._addresses.connection(client[0] if client else None))
            except TooMany as refused:
                await _refuse(problems.response(refused.as_problem()), scope, receive, send)
                return
            await self._inner(scope, receive, send)


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


def install(app: FastAPI, origins: Origins, addresses: Addresses) -> None:
    """Put the gate before the application, and before it the headers that let listed pages read what it answers."""
    app.add_middleware(Gate, origins=origins, addresses=addresses)
    if origins.listed:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(origins.listed),
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=_ASKED,
            expose_headers=_TOLD,
            max_age=_REMEMBERED_SECONDS,
        )
